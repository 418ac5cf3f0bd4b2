//! Looking: what is shared, and what it holds.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use serde_json::json;
use sitta_store::ScanOptions;
use sitta_store::local::Links;
use sitta_store::sitta::wire::{Text, TreeLine, WireEntry, WireProblem, WireShare, WireXattrs};
use sitta_tree::{Kind, NodeId, RelPath, Tree};

use super::access::{Caller, Target};
use super::problem::Trouble;
use super::query::Query;
use crate::{App, metrics};

/// The parameters of a tree.
pub(super) const TREE: &[&str] = &["xattrs"];

/// How many bytes of lines are made at a time.
const PIECE: usize = 64 << 10;

pub(super) async fn about() -> Json<serde_json::Value> {
    Json(json!({ "name": "sitta", "version": env!("CARGO_PKG_VERSION"), "api": 1 }))
}

pub(super) async fn shares(State(app): State<Arc<App>>, caller: Caller) -> Json<serde_json::Value> {
    let open = app.shares.values().filter(|share| caller.scope.opens(&share.name));
    let shares = open.map(|share| {
        let writable = share.writable && caller.scope.write && share.store.capabilities().writable;
        json!({ "name": share.name, "writable": writable })
    });
    Json(json!({ "shares": shares.collect::<Vec<_>>() }))
}

/// What a monitor is told; as it tells of all shares, only those who may see all of them.
pub(super) async fn metrics(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, Trouble> {
    if caller.scope.shares.is_some() {
        let what = "this is told to accounts that all shares are open to";
        return Err(Trouble::new(StatusCode::FORBIDDEN, "denied", what));
    }
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], app.metrics.text(&app)).into_response())
}

pub(super) async fn share(target: Target) -> Json<WireShare> {
    let (share, store) = (&target.share, &target.share.store);
    let told = WireShare::new(&share.name, &store.capabilities(), target.may_write(), store.behind().is_some());
    // What lies behind links that are followed changes unheard.
    let watch = store.behind().is_some_and(|local| local.links() == Links::Kept);
    Json(WireShare { watch, identity: store.root_identity().await, ..told })
}

pub(super) async fn stat(target: Target) -> Result<Json<Option<WireEntry>>, Trouble> {
    let entry = target.share.store.stat(&target.path).await?;
    Ok(Json(entry.as_ref().map(WireEntry::from)))
}

pub(super) async fn list(target: Target) -> Result<Json<Vec<(Text, WireEntry)>>, Trouble> {
    let entries = target.share.store.list(&target.path).await?;
    Ok(Json(entries.iter().map(|(name, entry)| (Text::new(name), entry.into())).collect()))
}

/// The extended attributes of an entry.
pub(super) async fn xattrs(target: Target) -> Result<Json<WireXattrs>, Trouble> {
    let store = &target.share.store;
    let pairs = store.xattrs(&target.path).await?;
    Ok(Json(WireXattrs::from(&pairs)))
}

/// The whole tree below a path, a line for each entry.
pub(super) async fn tree(target: Target, uri: Uri) -> Result<Response, Trouble> {
    let xattrs = Query::parse(uri.query(), TREE)?.flag("xattrs")?;
    let store = &target.share.store;
    let temps = Arc::default();
    let options = ScanOptions { temps: Some(Arc::clone(&temps)), xattrs, ..ScanOptions::default() };
    let tree = sitta_store::scan_below(&**store, &target.path, &options).await?;
    let temps = std::mem::take(&mut *temps.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
    let prefix = target.path.clone();
    let lines = Lines { tree, prefix, temps, pending: vec![(NodeId::ROOT, 0)], told: 0, state: At::Problems };
    let body = stream::unfold(lines, |mut lines| async move {
        let piece = lines.next_piece()?;
        Some((Ok::<_, std::convert::Infallible>(piece), lines))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(body)).into_response())
}

/// The lines that tell a tree.
struct Lines {
    tree: Tree,
    prefix: RelPath,
    temps: Vec<RelPath>,
    pending: Vec<(NodeId, u16)>,
    told: u64,
    state: At,
}

#[derive(PartialEq, Eq)]
enum At {
    Problems,
    Entries,
    End,
}

impl Lines {
    fn next_piece(&mut self) -> Option<Bytes> {
        let mut piece = Vec::with_capacity(PIECE + 1024);
        let mut say = |line: &TreeLine| {
            serde_json::to_writer(&mut piece, line).expect("plain data");
            piece.push(b'\n');
            piece.len() < PIECE
        };
        match self.state {
            At::End => return None,
            At::Problems => {
                for problem in self.tree.problems.drain(..) {
                    let path = self.prefix.join_path(&problem.path);
                    say(&TreeLine::Problem(WireProblem { path: (&path).into(), ..(&problem).into() }));
                }
                for temp in self.temps.drain(..) {
                    say(&TreeLine::Temp(Text::from(&self.prefix.join_path(&temp))));
                }
                self.state = At::Entries;
            }
            At::Entries => {}
        }
        while let Some((id, depth)) = self.pending.pop() {
            let tree = &self.tree;
            let is_dir = tree.kind(id) == Kind::Dir;
            if is_dir {
                let below = if id == NodeId::ROOT { 0 } else { depth + 1 };
                self.pending.extend(tree.children(id).rev().map(|child| (child, below)));
            }
            self.told += 1;
            let (name, is) = (Text::new(tree.name(id)), (&tree.entry(id)).into());
            if !say(&TreeLine::Entry { depth, name, incomplete: is_dir && !tree.is_complete(id), is }) {
                return Some(piece.into());
            }
        }
        say(&TreeLine::End(self.told));
        self.state = At::End;
        Some(piece.into())
    }
}
