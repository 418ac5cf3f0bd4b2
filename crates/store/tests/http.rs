//! HTTP, read-only, against real servers and hostile pages.

#[path = "http/hostile.rs"]
mod hostile;
#[path = "http/lines.rs"]
mod lines;
#[path = "http/servers.rs"]
mod servers;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt;
use sitta_store::{Access, ErrorKind, Location, Remote, Result, ScanOptions, Store, http};
use sitta_tree::{RelPath, Tree};

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("a path")
}

fn remote(text: &str) -> Remote {
    match Location::parse(text).expect("a location") {
        Location::Remote(remote) => remote,
        other => panic!("{other:?}"),
    }
}

async fn open_with(url: &str, access: &Access) -> Arc<dyn Store> {
    http::open(&remote(url), access).await.expect("opened")
}

async fn open(url: &str) -> Arc<dyn Store> {
    open_with(url, &Access::default()).await
}

async fn get(store: &Arc<dyn Store>, at: &str, range: std::ops::Range<u64>) -> Result<Vec<u8>> {
    let pieces: Vec<_> = store.read(&path(at), range).await?.try_collect().await?;
    Ok(pieces.concat())
}

async fn scan(store: &Arc<dyn Store>) -> Tree {
    store.scan(&ScanOptions::default()).await.expect("a scan")
}

fn seen(tree: &Tree) -> Vec<String> {
    let mut paths: Vec<_> = tree.ids().skip(1).map(|id| tree.path(id).to_string()).collect();
    paths.sort();
    paths
}

fn put(root: &Path, at: &str, content: &[u8]) {
    let file = root.join(at);
    fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    fs::write(file, content).expect("written");
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0] ^ (at >> 9) as u8).collect()
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.expect_err("this must fail").kind
}
