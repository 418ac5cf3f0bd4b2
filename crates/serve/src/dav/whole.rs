//! Whole trees: removed, copied, put aside.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use sitta_store::temps::TempNames;
use sitta_store::{
    Change, Displaced, Error, ErrorKind, Precondition, Result, ScanOptions, Source, Store, What, Write, scan_below,
};
use sitta_tree::{Entry, Kind, Meta, NodeId, RelPath, Tree};

use super::refused::XML;
use crate::api::problem::Trouble;

/// What could not be done, and where.
pub(super) type Failed = Vec<(RelPath, Error)>;

/// The answer that something was done in part only (RFC 4918, 13).
pub(super) fn partly(failed: &Failed, href: impl Fn(&RelPath) -> String) -> Response {
    let mut body = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\">");
    for (path, error) in failed {
        let status = Trouble::from(error.clone()).status();
        let _ = write!(
            body,
            "<D:response><D:href>{}</D:href><D:status>HTTP/1.1 {status}</D:status></D:response>",
            href(path)
        );
    }
    body.push_str("</D:multistatus>\n");
    (StatusCode::MULTI_STATUS, [(CONTENT_TYPE, XML)], body).into_response()
}

/// The entries of a tree, a directory before what it holds.
fn downwards(tree: &Tree) -> impl Iterator<Item = NodeId> {
    let mut pending = vec![NodeId::ROOT];
    std::iter::from_fn(move || {
        let id = pending.pop()?;
        if tree.kind(id) == Kind::Dir {
            pending.extend(tree.children(id).rev());
        }
        Some(id)
    })
}

/// Removes something; of a directory all that it holds, from the bottom up, whatever version of it is expected: object
/// stores know none of a directory.
///
/// # Errors
/// If nothing was removed.
pub(super) async fn remove(
    store: &Arc<dyn Store>,
    path: &RelPath,
    kind: Kind,
    expect: Precondition,
) -> Result<Failed> {
    if kind != Kind::Dir {
        store.remove(path, expect, Displaced::Discard).await?;
        return Ok(Failed::new());
    }
    let temps = Arc::default();
    let options = ScanOptions { temps: Some(Arc::clone(&temps)), ..ScanOptions::default() };
    let tree = scan_below(&**store, path, &options).await?;
    let temps = std::mem::take(&mut *temps.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
    for temp in temps {
        // What remains of them keeps its directory from being removed, which is told.
        let _ = store.remove_temp(&path.join_path(&temp)).await;
    }
    let mut ids: Vec<NodeId> = downwards(&tree).collect();
    let (mut failed, mut gone) = (Failed::new(), HashSet::new());
    while !ids.is_empty() {
        let some = ids.split_off(ids.len().saturating_sub(store.capabilities().batch.max(1)));
        let paths: Vec<_> = some.iter().rev().map(|id| path.join_path(&tree.path(*id))).collect();
        let change = |at: &RelPath| Change::Remove {
            path: at.clone(),
            expect: Precondition::None,
            displaced: Displaced::Discard,
        };
        let results = store.apply(paths.iter().map(change).collect(), &Arc::default()).await;
        for (at, result) in paths.into_iter().zip(results) {
            match result {
                Err(error) if error.kind != ErrorKind::NotFound => failed.push((at, error)),
                _ => drop(gone.insert(at)),
            }
        }
    }
    // What a link led to stays, and is not seen here any more.
    let above = |path: &RelPath| std::iter::successors(path.parent(), RelPath::parent);
    failed.retain(|(path, _)| !above(path).any(|dir| gone.contains(&dir)));
    // A directory that is not empty as what it holds could not be removed needs no word of its own (RFC 4918, 9.6.1).
    let reasons: Vec<_> = failed.iter().map(|(path, _)| path.clone()).collect();
    failed.retain(|(dir, error)| {
        error.kind != ErrorKind::NotEmpty || !reasons.iter().any(|path| path != dir && path.is_within(dir))
    });
    Ok(failed)
}

/// What is copied, and where it stands.
#[derive(Debug)]
pub(super) struct Original<'a> {
    pub store: &'a Arc<dyn Store>,
    pub path: &'a RelPath,
    pub entry: &'a Entry,
}

/// Where something is to go.
#[derive(Debug)]
pub(super) struct To<'a> {
    pub store: &'a Arc<dyn Store>,
    pub path: &'a RelPath,
    pub temps: &'a TempNames,
}

impl To<'_> {
    /// The write of a copy; none of what cannot be copied.
    fn write(
        &self,
        path: RelPath,
        from: (&Arc<dyn Store>, RelPath),
        entry: &Entry,
        expect: Precondition,
    ) -> Result<Write> {
        let meta = Meta { mtime: entry.meta.mtime, mode: entry.meta.mode, ..Meta::default() };
        let (what, meta) = match entry.kind {
            Kind::File => {
                let (store, path) = (from.0.clone(), from.1);
                (What::File(Source::Stored { store, path, version: entry.fingerprint() }), meta)
            }
            Kind::Symlink => (What::Symlink(entry.target.clone()), meta),
            Kind::Dir => (What::Dir, Meta::default()),
            Kind::Unknown => {
                let location = from.0.location().into();
                return Err(Error::new(ErrorKind::Unsupported, &location, from.1, "it is not a file"));
            }
        };
        Ok(Write { path, what, meta, expect, displaced: Displaced::Discard, temp: self.temps.next() })
    }
}

/// Copies something to a place that is free, or holds a file that is replaced; of a directory all that it holds if `deep`.
///
/// # Errors
/// If nothing was copied.
pub(super) async fn copy(from: Original<'_>, to: &To<'_>, expect: Precondition, deep: bool) -> Result<Failed> {
    let first = to.write(to.path.clone(), (from.store, from.path.clone()), from.entry, expect)?;
    if from.entry.kind != Kind::Dir || !deep {
        to.store.write(first, &Arc::default()).await?;
        return Ok(Failed::new());
    }
    // Seen as a whole before anything is made of it.
    let tree = scan_below(&**from.store, from.path, &ScanOptions::default()).await?;
    to.store.write(first, &Arc::default()).await?;
    let mut failed = Failed::new();
    for problem in &tree.problems {
        let (location, path) = (from.store.location().into(), from.path.join_path(&problem.path));
        failed.push((path.clone(), Error::new(ErrorKind::Denied, &location, path, problem.message.clone())));
    }
    let batch = to.store.capabilities().batch.max(1);
    let mut writes = Vec::new();
    let mut ids = downwards(&tree).skip(1).peekable();
    while let Some(id) = ids.next() {
        let (at, entry) = (tree.path(id), tree.entry(id));
        // Why it is unknown is told already.
        if entry.kind != Kind::Unknown {
            let source = (from.store, from.path.join_path(&at));
            writes.push(to.write(to.path.join_path(&at), source, &entry, Precondition::Absent)?);
        }
        if writes.len() == batch || ids.peek().is_none() {
            let paths: Vec<_> = writes.iter().map(|write| write.path.clone()).collect();
            let results = to.store.write_batch(std::mem::take(&mut writes), &Arc::default()).await;
            failed.extend(paths.into_iter().zip(results).filter_map(|(path, result)| Some((path, result.err()?))));
        }
    }
    Ok(failed)
}

/// What stood where something else is to stand, out of the way until that is done.
#[derive(Debug)]
pub(super) struct Aside<'a> {
    to: &'a To<'a>,
    /// Where it is now; none where it could not be moved and so was removed.
    kept: Option<RelPath>,
}

impl<'a> Aside<'a> {
    /// Puts it aside.
    pub async fn put(to: &'a To<'a>, entry: &Entry) -> Result<Self> {
        let dir = to.path.parent().unwrap_or_default();
        let kept = dir.join(to.temps.next().as_bytes()).expect("a temporary's name is one");
        let expect = match entry.kind {
            // Object stores know no versions of directories.
            Kind::Dir => Precondition::None,
            _ => Precondition::Version(entry.fingerprint()),
        };
        match to.store.rename(to.path, &kept, expect).await {
            Ok(_) => Ok(Self { to, kept: Some(kept) }),
            // Object stores move no directories.
            Err(error) if entry.kind == Kind::Dir && cannot_move(&error) => {
                match remove(to.store, to.path, entry.kind, expect).await?.pop() {
                    None => Ok(Self { to, kept: None }),
                    Some((_, error)) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Puts it back, as nothing came in its place.
    pub async fn back(self) {
        if let Some(kept) = &self.kept {
            let _ = self.to.store.rename(kept, self.to.path, Precondition::None).await;
        }
    }

    /// Lets go of it.
    pub async fn gone(self) {
        if let Some(kept) = &self.kept {
            // As temporaries do that cannot be removed, it waits for a sitta that tidies up.
            let _ = self.to.store.remove_temp(kept).await;
        }
    }
}

/// Whether a store says that it moves no such things.
pub(super) fn cannot_move(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::Unsupported | ErrorKind::IsADirectory)
}
