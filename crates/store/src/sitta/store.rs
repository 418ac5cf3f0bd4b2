//! The contract, by asking the server.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use reqwest::Method;
use reqwest::header::{ETAG, IF_MATCH, RANGE};
use sitta_tree::{Entry, Fingerprint, Kind, Meta, RelPath, Tree};

use super::batch;
use super::client::Client;
use super::delta;
use super::wire::{Text, TreeLine, WireEntry, WireShare, WireXattrs, tag};
use crate::chunk::Recipe;
use crate::gather::Gather;
use crate::look::{Found, Wanted};
use crate::watch::Watch;
use crate::{
    ByteStream, Capabilities, Change, Displaced, Error, ErrorKind, Fetched, Flow, OWN_DIR, OnServer, Precondition,
    Result, ScanOptions, Source, Store, Write, Written, Xattrs,
};

/// Calls in flight that suit a server.
pub(super) const IN_FLIGHT: usize = 32;

/// Part of a share of a server.
#[derive(Debug, Clone)]
pub(super) struct SittaStore {
    client: Client,
    capabilities: Capabilities,
    watches: bool,
}

impl SittaStore {
    pub fn new(client: Client, told: &WireShare, in_flight: usize) -> Self {
        let capabilities = Capabilities {
            traits: told.traits(),
            rename: told.rename,
            atomic_preconditions: told.atomic_preconditions,
            hard_links: told.hard_links,
            writable: told.writable,
            lists_meta: told.lists_meta,
            verifies: true,
            concurrency: in_flight,
            batch: 256,
            batches: 4,
        };
        Self { client, capabilities, watches: told.watch }
    }

    fn error(&self, kind: ErrorKind, path: &RelPath, what: &str) -> Error {
        self.client.site.error(kind, path, what)
    }

    /// The bytes from `from` to before `to`, of that version if one is named.
    async fn get(&self, path: &RelPath, range: Range<u64>, version: Option<&Fingerprint>) -> Result<Fetched> {
        let mut request = self.client.ask(&Method::GET, "files", path);
        if let Some(version) = version {
            request = request.header(IF_MATCH, format!("\"{}\"", tag(version)));
        }
        if range.start > 0 || range.end < u64::MAX {
            let last = range.end.saturating_sub(1);
            request = match range.end {
                u64::MAX => request.header(RANGE, format!("bytes={}-", range.start)),
                _ => request.header(RANGE, format!("bytes={}-{last}", range.start)),
            };
        }
        let answer = self.client.download(request, path).await?;
        if answer.status == 416 {
            return Ok(Fetched { bytes: Box::pin(futures::stream::empty()), meta: None, pinned: false });
        }
        if answer.status == 200 && range.start > 0 {
            return Err(self.client.odd(path, "it sends more than was asked for"));
        }
        let same = version.map(|version| format!("\"{}\"", tag(version)));
        let told = answer.headers.get(ETAG).and_then(|etag| etag.to_str().ok());
        // The server makes sure that all bytes are of this version, or breaks off.
        let pinned = same.is_some() && told == same.as_deref();
        Ok(Fetched { bytes: answer.bytes, meta: None, pinned })
    }

    async fn one(&self, change: Change, flow: &Arc<Flow>) -> Result<Option<Written>> {
        let path = change.path().clone();
        let results = batch::apply(&self.client, vec![change], flow).await;
        results.into_iter().next().unwrap_or_else(|| Err(self.client.odd(&path, "it does not say what it did")))
    }

    async fn one_written(&self, change: Change, flow: &Arc<Flow>) -> Result<Written> {
        let path = change.path().clone();
        let written = self.one(change, flow).await?;
        written.ok_or_else(|| self.client.odd(&path, "it does not say what it wrote"))
    }

    /// One line of a listing of the whole tree.
    fn take(
        &self,
        line: &[u8],
        above: &mut Vec<(RelPath, bool)>,
        gather: &mut Gather<'_>,
        root: &mut Option<Entry>,
    ) -> Result<bool> {
        let here = RelPath::root();
        let odd = |what: &dyn std::fmt::Display| self.client.odd(&here, what);
        match serde_json::from_slice(line).map_err(|error| odd(&error))? {
            TreeLine::End(_) => return Ok(true),
            TreeLine::Problem(problem) => {
                let problem = problem.problem().map_err(|error| odd(&error))?;
                if let Some(path) = self.client.below(&problem.path) {
                    gather.problem(sitta_tree::Problem { path, ..problem });
                }
            }
            TreeLine::Temp(path) => {
                let path = path.path().map_err(|error| odd(&error))?;
                if let Some(path) = self.client.below(&path) {
                    gather.child(path, Entry::new(Kind::File));
                }
            }
            TreeLine::Entry { depth, name, incomplete, is } => {
                let entry = is.entry().map_err(|error| odd(&error))?;
                let name = name.bytes().map_err(|error| odd(&error))?;
                if name.is_empty() && depth == 0 && root.is_none() {
                    if incomplete {
                        gather.is_incomplete(RelPath::root());
                    }
                    *root = Some(entry);
                    return Ok(false);
                }
                above.truncate(usize::from(depth));
                if above.len() != usize::from(depth) {
                    return Err(odd(&"it tells of what lies in nothing"));
                }
                let (dir, taken) = above.last().cloned().unwrap_or((RelPath::root(), true));
                let is_dir = entry.kind == Kind::Dir;
                let Ok(path) = dir.join(&name) else {
                    gather.misnamed(&dir, &name);
                    if is_dir {
                        above.push((dir, false));
                    }
                    return Ok(false);
                };
                let taken = taken && gather.child(path.clone(), entry);
                if taken && incomplete {
                    gather.is_incomplete(path.clone());
                }
                if is_dir {
                    above.push((path, taken));
                }
            }
        }
        Ok(false)
    }
}

#[async_trait]
impl Store for SittaStore {
    fn location(&self) -> &str {
        &self.client.site.location
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Tree> {
        let root = RelPath::root();
        let query = options.xattrs.then_some("xattrs=true");
        let request = self.client.asking(&Method::GET, "tree", &root, query);
        let answer = self.client.site.web.send(request, &root).await?;
        let answer = self.client.granted(answer, &root).await?;
        let mut bytes = self.client.site.web.bytes(answer, &root);
        let mut gather = Gather::new(options);
        let (mut above, mut own, mut rest, mut ended) = (Vec::new(), None, Vec::new(), false);
        while let Some(piece) = bytes.next().await {
            if options.flow.is_cancelled() {
                return Err(self.error(ErrorKind::Cancelled, &root, "cancelled"));
            }
            rest.extend_from_slice(&piece?);
            let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            for line in rest[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                ended |= self.take(line, &mut above, &mut gather, &mut own)?;
            }
            rest.drain(..whole);
        }
        match ended {
            true => gather.finish(own, self.location()),
            false => Err(self.error(ErrorKind::Unreachable, &root, "the listing was cut off")),
        }
    }

    async fn list(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>> {
        let told: Vec<(Text, WireEntry)> = self.client.get("list", dir).await?;
        let mut entries = Vec::with_capacity(told.len());
        for (name, entry) in told {
            let name = name.bytes().map_err(|error| self.client.odd(dir, error))?;
            if dir.is_root() && name == OWN_DIR.as_bytes() {
                continue;
            }
            entries.push((name.into(), entry.entry().map_err(|error| self.client.odd(dir, error))?));
        }
        Ok(entries)
    }

    async fn stat(&self, path: &RelPath) -> Result<Option<Entry>> {
        match self.client.get::<Option<WireEntry>>("stat", path).await? {
            None => Ok(None),
            Some(told) => told.entry().map(Some).map_err(|error| self.client.odd(path, error)),
        }
    }

    async fn find(&self, dir: &RelPath, wanted: &Wanted, recursive: bool) -> Result<Option<Found>> {
        super::search::find(&self.client, dir, wanted, recursive).await
    }

    async fn read(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream> {
        if range.is_empty() {
            return Ok(Box::pin(futures::stream::empty()));
        }
        Ok(self.get(path, range, None).await?.bytes)
    }

    async fn fetch(&self, path: &RelPath, version: &Fingerprint, offset: u64) -> Result<Fetched> {
        self.get(path, offset..u64::MAX, Some(version)).await
    }

    async fn recipe(&self, path: &RelPath, version: &Fingerprint, old: &Source) -> Result<Option<Recipe>> {
        delta::recipe_down(&self.client, path, version, old).await
    }

    async fn xattrs(&self, path: &RelPath) -> Result<Xattrs> {
        if !self.client.xattrs {
            return Ok(Xattrs::new());
        }
        let told: WireXattrs = self.client.get("xattrs", path).await?;
        told.pairs().map_err(|error| self.client.odd(path, error))
    }

    async fn write(&self, write: Write, flow: &Arc<Flow>) -> Result<Written> {
        self.one_written(Change::Write(write), flow).await
    }

    async fn write_batch(&self, writes: Vec<Write>, flow: &Arc<Flow>) -> Vec<Result<Written>> {
        let paths: Vec<_> = writes.iter().map(|write| write.path.clone()).collect();
        let results = self.apply(writes.into_iter().map(Change::Write).collect(), flow).await;
        let written = |path: &RelPath, result: Result<Option<Written>>| {
            result?.ok_or_else(|| self.client.odd(path, "it does not say what it wrote"))
        };
        paths.iter().zip(results).map(|(path, result)| written(path, result)).collect()
    }

    async fn apply(&self, changes: Vec<Change>, flow: &Arc<Flow>) -> Vec<Result<Option<Written>>> {
        batch::apply(&self.client, changes, flow).await
    }

    async fn remove(&self, path: &RelPath, expect: Precondition, displaced: Displaced) -> Result<()> {
        self.one(Change::Remove { path: path.clone(), expect, displaced }, &Arc::default()).await.map(drop)
    }

    async fn rename(&self, from: &RelPath, to: &RelPath, expect: Precondition) -> Result<Written> {
        self.one_written(Change::Rename { from: from.clone(), to: to.clone(), expect }, &Arc::default()).await
    }

    async fn set_meta(&self, path: &RelPath, meta: &Meta, expect: Precondition) -> Result<Written> {
        let change = Change::SetMeta { path: path.clone(), meta: *meta, expect, xattrs: None };
        self.one_written(change, &Arc::default()).await
    }

    async fn sync(&self) -> Result<()> {
        let root = RelPath::root();
        let answer = self.client.site.web.send(self.client.ask(&Method::POST, "sync", &root), &root).await?;
        self.client.granted(answer, &root).await.map(drop)
    }

    async fn create_root(&self) -> Result<()> {
        let root = RelPath::root();
        let answer = self.client.site.web.send(self.client.ask(&Method::POST, "root", &root), &root).await?;
        self.client.granted(answer, &root).await.map(drop)
    }

    async fn root_identity(&self) -> Option<String> {
        self.client.share().await.ok()?.identity
    }

    async fn watch(&self) -> Result<Option<Watch>> {
        match self.watches {
            true => super::feed::watch(&self.client).await.map(Some),
            false => Ok(None),
        }
    }

    fn on_server(&self) -> Option<OnServer> {
        self.client.on_server()
    }

    fn requests(&self) -> u64 {
        self.client.site.web.requests()
    }

    fn read_only_because(&self) -> &'static str {
        "the server gives it for reading only"
    }
}
