//! Entries as scripts are told of them. Names that are not UTF-8 are shown readably, with their bytes beside it.

use serde::Serialize;
use sitta_store::look::Item;
use sitta_store::sitta::wire::{hex, tag};
use sitta_store::written::utc_time;
use sitta_tree::{Kind, Printable, Problem, RelPath};

/// A name as text and, if it is not UTF-8, its bytes in hexadecimal.
pub(super) fn text(bytes: &[u8]) -> (String, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (Printable(bytes).to_string(), Some(hex(bytes))),
    }
}

/// One entry.
#[derive(Debug, Serialize)]
pub(super) struct ToldEntry {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_bytes: Option<String>,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    modified: Option<String>,
    /// In quotes it is the `ETag`.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_bytes: Option<String>,
}

impl ToldEntry {
    /// Tells of what was found below `base`.
    pub fn new(base: &RelPath, item: &Item) -> Self {
        let path = base.join_path(&item.path);
        let (name, name_bytes) = text(path.name());
        let (path, path_bytes) = text(path.as_bytes());
        let target = (item.kind == Kind::Symlink).then(|| text(&item.target));
        let (target, target_bytes) = target.map_or((None, None), |(text, bytes)| (Some(text), bytes));
        Self {
            path,
            path_bytes,
            name,
            name_bytes,
            kind: item.kind_name(),
            size: (item.kind == Kind::File).then_some(item.size),
            modified: utc_time(item.mtime),
            version: (item.kind != Kind::Unknown).then(|| tag(&item.fingerprint())),
            target,
            target_bytes,
        }
    }
}

/// What could not be looked at.
#[derive(Debug, Serialize)]
pub(super) struct ToldProblem {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    kind: &'static str,
    message: String,
}

impl ToldProblem {
    /// Tells of a problem below `base`.
    pub fn new(base: &RelPath, problem: &Problem) -> Self {
        let (path, path_bytes) = text(base.join_path(&problem.path).as_bytes());
        Self { path, path_bytes, kind: problem.kind.name(), message: problem.message.clone() }
    }
}

/// The checksum of a file.
#[derive(Debug, Serialize)]
pub(super) struct ToldHash {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    algo: &'static str,
    hash: String,
    size: u64,
    modified: Option<String>,
    version: String,
}

impl ToldHash {
    /// Tells of the hash of a file below `base`.
    pub fn new(base: &RelPath, item: &Item, algo: sitta_store::sum::Algo, hash: String) -> Self {
        let (path, path_bytes) = text(base.join_path(&item.path).as_bytes());
        let (modified, version) = (utc_time(item.mtime), tag(&item.fingerprint()));
        Self { path, path_bytes, algo: algo.name(), hash, size: item.size, modified, version }
    }
}
