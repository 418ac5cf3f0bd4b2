//! Servers with an index.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use sitta_serve::{IndexEvent, IndexNotice, IndexOptions};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::Served;

/// A server with an index that takes files as soon as they come, and what it tells.
pub struct Indexed {
    pub served: Served,
    pub client: reqwest::Client,
    pub notices: UnboundedReceiver<IndexNotice>,
}

impl Indexed {
    /// Shares what `fill` puts into the folder; ready when everything was read.
    pub async fn start(fill: impl FnOnce(&Path)) -> Self {
        Self::with(fill, |_| {}).await
    }

    pub async fn with(fill: impl FnOnce(&Path), change: impl FnOnce(&mut IndexOptions)) -> Self {
        let mut served = Served::start().await;
        served.stop().await;
        fill(&served.shared());
        let (sender, notices) = unbounded_channel();
        let mut options = IndexOptions::new(served.dir.path().join("index"), sender);
        options.settle = Duration::ZERO;
        change(&mut options);
        served.index = Some(options);
        let mut indexed = Self { client: served.client(), served, notices };
        indexed.start_again().await;
        indexed.ready().await;
        indexed
    }

    pub async fn start_again(&mut self) {
        self.served.start_again().await;
    }

    /// The next thing that is told.
    pub async fn told(&mut self) -> IndexEvent {
        let told = tokio::time::timeout(Duration::from_secs(30), self.notices.recv()).await;
        let IndexNotice { share, what } = told.expect("told in time").expect("told");
        assert_eq!(share, "files");
        what
    }

    pub async fn ready(&mut self) -> u64 {
        match self.told().await {
            IndexEvent::Ready { files, .. } => files,
            other => panic!("{other:?}"),
        }
    }

    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.served.shared().join(path)
    }

    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        write(&self.served.shared(), path, bytes);
    }

    pub async fn ask(&self, what: &str) -> Value {
        let answer = self.client.get(self.served.url(what)).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{what}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The paths of what a search below `dir` finds, as bytes, in the order of the answer.
    pub async fn search(&self, dir: &str, parameter: &str, text: &[u8]) -> Vec<Vec<u8>> {
        let text: String = text.iter().map(|byte| format!("%{byte:02x}")).collect();
        let found = self.ask(&format!("entries/{dir}?recursive=true&{parameter}={text}")).await;
        assert_eq!(found["problems"], serde_json::json!([]), "{found}");
        let path = |entry: &Value| match entry["path_bytes"].as_str() {
            Some(hex) => hex
                .as_bytes()
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect(),
            None => entry["path"].as_str().unwrap().as_bytes().to_vec(),
        };
        found["entries"].as_array().unwrap().iter().map(path).collect()
    }

    pub async fn contains(&self, text: &str) -> Vec<String> {
        let found = self.search("", "contains", text.as_bytes()).await;
        found.into_iter().map(|path| String::from_utf8(path).unwrap()).collect()
    }

    /// Segments in the index's folder.
    pub fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.served.dir.path().join("index/files")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension() == Some(OsStr::new("segment"))).collect()
    }
}

pub fn write(root: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// What reading every file below finds.
pub fn read_all(root: &Path, dir: &Path, text: &[u8], found: &mut BTreeSet<Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let (path, kind) = entry.map(|entry| (entry.path(), entry.file_type().unwrap())).unwrap();
        if kind.is_dir() {
            read_all(root, &path, text, found);
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap();
            if text.is_empty() || bytes.windows(text.len()).any(|window| window == text) {
                found.insert(path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec());
            }
        }
    }
}
