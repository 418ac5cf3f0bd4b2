//! Directories on the way to what is written, and names that are not the client's.

use std::sync::Arc;

use axum::http::StatusCode;
use sitta_store::temps::TempNames;
use sitta_store::{Displaced, Error, ErrorKind, OWN_DIR, Precondition, Store, TEMP_PREFIX, What, Write, Written};
use sitta_tree::{Kind, Meta, RelPath};

use super::problem::Trouble;

/// Refuses to change what is the server's own: its directory, and temporaries, which no listing shows.
pub(super) fn allowed(path: &RelPath) -> Result<(), Trouble> {
    if path.is_root() {
        return Err(Trouble::new(StatusCode::CONFLICT, "is_a_directory", "it is the share itself"));
    }
    if is_own(path) || path.parts().any(|part| part.starts_with(TEMP_PREFIX.as_bytes())) {
        return Err(reserved());
    }
    Ok(())
}

/// Whether a path is the server's own directory or lies in it.
pub(crate) fn is_own(path: &RelPath) -> bool {
    path.parts().next() == Some(OWN_DIR.as_bytes())
}

/// The refusal to change what is the server's own.
pub(crate) fn reserved() -> Trouble {
    Trouble::new(StatusCode::FORBIDDEN, "reserved", "names like this are the server's own")
}

/// Makes one directory where nothing stands.
pub(crate) async fn make(store: &Arc<dyn Store>, temps: &TempNames, path: RelPath) -> sitta_store::Result<Written> {
    let write = Write {
        path,
        what: What::Dir,
        meta: Meta::default(),
        expect: Precondition::Absent,
        displaced: Displaced::Discard,
        temp: temps.next(),
    };
    store.write(write, &Arc::default()).await
}

/// Makes the directories above a path that are missing; which ones it made, from the top down. If it fails, none.
pub(super) async fn make_above(
    store: &Arc<dyn Store>,
    temps: &TempNames,
    path: &RelPath,
) -> Result<Vec<RelPath>, Trouble> {
    make_all(store, temps, &path.parent().unwrap_or_default()).await
}

/// Makes a directory and those above it, where they are missing; which ones it made, from the top down. If it fails, none.
pub(super) async fn make_all(
    store: &Arc<dyn Store>,
    temps: &TempNames,
    path: &RelPath,
) -> Result<Vec<RelPath>, Trouble> {
    let (mut made, mut at) = (Vec::new(), RelPath::root());
    for part in path.parts() {
        at = at.join(part).map_err(Trouble::odd)?;
        match make_missing(store, temps, &at).await {
            Ok(true) => made.push(at.clone()),
            Ok(false) => {}
            Err(trouble) => {
                unmake(store, &made).await;
                return Err(trouble);
            }
        }
    }
    Ok(made)
}

async fn make_missing(store: &Arc<dyn Store>, temps: &TempNames, at: &RelPath) -> Result<bool, Trouble> {
    match store.stat(at).await? {
        Some(entry) if entry.kind == Kind::Dir => return Ok(false),
        Some(_) => return Err(Trouble::new(StatusCode::CONFLICT, "not_a_directory", "it is not a directory")),
        None => {}
    }
    match make(store, temps, at.clone()).await {
        // Somebody else made it meanwhile.
        Err(error) if error.kind == ErrorKind::Changed => Ok(false),
        made => Ok(made.map(|_| true)?),
    }
}

/// Removes directories that were made for nothing, unless somebody put something there.
pub(super) async fn unmake(store: &Arc<dyn Store>, made: &[RelPath]) {
    for dir in made.iter().rev() {
        let _ = store.remove(dir, Precondition::None, Displaced::Discard).await;
    }
}

/// A directory above the path that is not there says nothing of what the path itself holds.
pub(crate) fn no_directory(error: Error) -> Trouble {
    match error.kind {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            let what = "the directory above it is not there; with parents=true it is made";
            Trouble::new(StatusCode::CONFLICT, "no_directory", what)
        }
        _ => error.into(),
    }
}
