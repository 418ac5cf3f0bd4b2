//! Inside zip and tar files, for reading, wherever the file is.
//!
//! What a file is tell its first bytes (for a zip behind a program: its last ones), not its name: zip; tar, plain or
//! compressed by gzip, zstd or bzip2. xz is told to be unsupported.
//!
//! **What it costs.** A look at the tree asks for the version of the file first; only if that is another one the index
//! is made anew. *Zip*: one request for the file's end with the directory, one more if the directory is larger than
//! that; then one for each member that is read, of about its compressed size. *Plain tar*: requests for the headers,
//! jumping over what is large; then one for each member. *Compressed tar*: all is decoded once for the index; then
//! reads in the order of the archive are one more pass, reads that go back by more than 64 MiB begin again.
//!
//! **What is believed.** Every member of a zip is held to its size and CRC-32: bytes that differ end as `Corrupt`. A
//! tar has no checksums of what members hold; gzip, zstd and bzip2 have of the whole, so that nothing is given out of one
//! that is damaged or cut off. A plain tar that is cut off gives what stands before the cut, and says so. The file's
//! version is checked after each read: bytes of two versions are never mixed.
//!
//! **What is refused.** Names that lead out of the archive are told and never used. Symbolic links are kept as they are
//! and never followed. Encrypted members, sparse ones in tars, those of a zip that share bytes with others or would grow
//! out of all proportion are listed, and their bytes refused; so is a compressed tar that would. Hard links in tars
//! are told as names of one file.

mod index;
mod outside;
mod tar;
mod zip;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::StreamExt;
use sitta_tree::{Entry, Fingerprint, Kind, Problem, RelPath, SideTraits, Tree};
use tokio::sync::Mutex;

use self::index::{Data, Index, Member};
use self::outside::{Ask, Outside};
use crate::gather::Gather;
use crate::{
    ByteStream, Capabilities, ErrorKind, Fetched, Flow, OWN_DIR, Result, ScanOptions, Store, TEMP_PREFIX, Xattrs,
};

/// What compresses a tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Plain,
    Gzip,
    Zstd,
    Bzip2,
}

/// What sort of archive a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Zip,
    Tar(Coding),
}

/// Looks into the archive `file` of the store `outside`: the store's root is the directory `inner` in it. `location` is
/// what the store is shown as. Fails with `NotFound` if the file is not there, with `Unsupported` if it is no archive
/// of ours; whether `inner` is there, a scan tells.
pub async fn open(outside: Arc<dyn Store>, file: &RelPath, inner: &str, location: &str) -> Result<Arc<dyn Store>> {
    let ask = Ask { location: location.into(), path: RelPath::root() };
    let inner = RelPath::new(inner.trim_matches('/')).map_err(|error| {
        let what = format!("no path inside an archive: it {error}");
        ask.error(ErrorKind::Unsupported, what)
    })?;
    let outside = Arc::new(Outside::new(outside, file.clone()));
    let version = outside.version(&ask).await?;
    let sort = sort_of(&ask, &outside, version.size).await?;
    let archive = Archive { ask, outside, inner, sort, index: Mutex::default(), parked: Arc::default() };
    Ok(Arc::new(archive))
}

async fn sort_of(ask: &Ask, outside: &Outside, size: u64) -> Result<Sort> {
    let head = outside.bytes(ask, 0..size.min(512)).await?;
    let sort = match &head[..] {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Sort::Zip,
        [0x1f, 0x8b, 8, ..] => Sort::Tar(Coding::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Sort::Tar(Coding::Zstd),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Sort::Tar(Coding::Bzip2),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            return Err(ask.error(ErrorKind::Unsupported, "compressed by xz, which is not supported"));
        }
        head if tar::is_tar(head) => Sort::Tar(Coding::Plain),
        _ if zip::is_behind(ask, outside, size).await? => Sort::Zip,
        _ => return Err(ask.error(ErrorKind::Unsupported, "neither a zip nor a tar archive")),
    };
    Ok(sort)
}

/// A digest of what makes a member's version: the archive's, and where and what it is in there. Never 0.
fn digest(version: &Fingerprint, numbers: &[u64]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    let own = [version.size, version.mtime.secs as u64, version.mtime.nanos.into(), version.id, version.change];
    for number in own.iter().chain(numbers) {
        hasher.update(&number.to_le_bytes());
    }
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_le_bytes(first).max(1)
}

/// Ends when the flow is cancelled: an index of a large archive takes a while.
async fn cancelled(flow: &Flow) {
    while !flow.is_cancelled() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[derive(Debug)]
struct Archive {
    ask: Ask,
    outside: Arc<Outside>,
    inner: RelPath,
    sort: Sort,
    index: Mutex<Option<Arc<Index>>>,
    parked: Arc<zip::Parked>,
}

impl Archive {
    fn ask(&self, path: &RelPath) -> Ask {
        Ask { path: path.clone(), ..self.ask.clone() }
    }

    /// The index of the version that is there now.
    async fn fresh(&self, ask: &Ask) -> Result<Arc<Index>> {
        let mut index = self.index.lock().await;
        let version = self.outside.version(ask).await?;
        match &*index {
            Some(known) if known.version.same_version(&version) => Ok(known.clone()),
            _ => {
                *index = None;
                Ok(index.insert(self.build(ask, version).await?).clone())
            }
        }
    }

    /// The index that was made last.
    async fn known(&self, ask: &Ask) -> Result<Arc<Index>> {
        if let Some(index) = &*self.index.lock().await {
            return Ok(index.clone());
        }
        self.fresh(ask).await
    }

    async fn build(&self, ask: &Ask, version: Fingerprint) -> Result<Arc<Index>> {
        if sort_of(ask, &self.outside, version.size).await? != self.sort {
            return Err(ask.error(ErrorKind::Changed, "the archive became one of another sort"));
        }
        let index = match self.sort {
            Sort::Zip => zip::index(ask, &self.outside, version).await,
            Sort::Tar(coding) => tar::index(ask, &self.outside, version, coding).await,
        };
        match index {
            Ok(index) => {
                self.outside.check(ask, &version).await?;
                Ok(Arc::new(index))
            }
            Err(error) => Err(self.outside.blame(ask, &version, error).await),
        }
    }

    /// The root's entry; fails as a missing root does.
    fn root(&self, index: &Index) -> Result<Entry> {
        if self.inner.is_root() {
            return Ok(index.root.clone().unwrap_or(Entry::new(Kind::Dir)));
        }
        match index.find(&self.inner) {
            Some(member) if member.entry.kind == Kind::Dir => Ok(member.entry.clone()),
            Some(_) => Err(self.ask.error(ErrorKind::NotADirectory, format!("{} is no directory", self.inner))),
            None => Err(self.ask.error(ErrorKind::NotFound, format!("there is no {} in the archive", self.inner))),
        }
    }

    fn member<'i>(&self, index: &'i Index, path: &RelPath) -> Option<&'i Member> {
        index.find(&self.inner.join_path(path))
    }

    /// The path below our root, of what is below it.
    fn own_path(&self, path: &RelPath) -> Option<RelPath> {
        if !path.is_within(&self.inner) {
            return None;
        }
        let rest = &path.as_bytes()[self.inner.as_bytes().len()..];
        RelPath::new(rest.strip_prefix(b"/").unwrap_or(rest)).ok()
    }

    /// Where a file's bytes are.
    fn data(&self, ask: &Ask, index: &Index) -> Result<Data> {
        if ask.path.is_root() {
            return Err(ask.error(ErrorKind::IsADirectory, "a directory"));
        }
        let Some(member) = self.member(index, &ask.path) else {
            return Err(ask.error(ErrorKind::NotFound, "the archive does not have it"));
        };
        let refused = match (member.entry.kind, &member.problem) {
            (Kind::File, _) => None,
            (Kind::Dir, _) => Some((ErrorKind::IsADirectory, "a directory")),
            (Kind::Symlink, _) => Some((ErrorKind::Unsupported, "a symbolic link")),
            (Kind::Unknown, Some((sitta_tree::ProblemKind::Corrupt, what))) => Some((ErrorKind::Corrupt, &**what)),
            (Kind::Unknown, Some((_, what))) => Some((ErrorKind::Unsupported, &**what)),
            (Kind::Unknown, None) => Some((ErrorKind::Unsupported, "neither a file, a directory nor a link")),
        };
        if let Some((kind, what)) = refused {
            return Err(ask.error(kind, what));
        }
        match (&member.data, &index.damaged) {
            (Data::Refused(kind, why), _) => Err(ask.error(*kind, &**why)),
            (_, Some(error)) => Err(ask.own(error.clone())),
            (data, None) => Ok(data.clone()),
        }
    }

    async fn stream(
        &self,
        ask: &Ask,
        index: &Arc<Index>,
        data: Data,
        range: Range<u64>,
        checked: bool,
    ) -> Result<ByteStream> {
        match data {
            Data::Zip(data) if !checked && data.is_stored_and_cut_by(&range) => {
                zip::read_stored(ask, &self.outside, index.version, data, range).await
            }
            Data::Zip(data) => zip::read(ask, &self.outside, index.version, data, range, &self.parked).await,
            Data::Tar(data) => tar::read(ask, &self.outside, index, data, range, checked).await,
            Data::None | Data::Refused(..) | Data::SameAs(_) => Ok(futures::stream::empty().boxed()),
        }
    }
}

#[async_trait]
impl Store for Archive {
    fn location(&self) -> &str {
        &self.ask.location
    }

    fn capabilities(&self) -> Capabilities {
        let is_tar = self.sort != Sort::Zip;
        Capabilities {
            traits: SideTraits {
                // The time of DOS ticks every 2 s; zips may tell better ones, but need not.
                mtime_precision: if is_tar { 1 } else { 2_000_000_000 },
                modes: true,
                owners: is_tar,
                xattrs: is_tar,
                symlinks: true,
                dirs: true,
                folds_names: false,
                stable_ids: false,
            },
            rename: false,
            atomic_preconditions: false,
            hard_links: false,
            writable: false,
            lists_meta: true,
            verifies: false,
            concurrency: if matches!(self.sort, Sort::Zip | Sort::Tar(Coding::Plain)) { 8 } else { 1 },
            batch: 1,
            batches: 1,
        }
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Tree> {
        let index = tokio::select! {
            biased;
            () = cancelled(&options.flow) => return Err(self.ask.error(ErrorKind::Cancelled, "cancelled")),
            index = self.fresh(&self.ask) => index?,
        };
        let root = self.root(&index)?;
        let mut gather = Gather::new(options);
        let members = &index.members[index.below(&self.inner)];
        for member in members {
            if let Some(path) = self.own_path(&member.path) {
                gather.deep(path, member.entry.clone());
            }
        }
        let mut tree = gather.finish(Some(root), self.location())?;
        for member in members {
            if let Some((kind, what)) = &member.problem
                && let Some(path) = self.own_path(&member.path)
                && tree.find(&path).is_some()
            {
                tree.problems.push(Problem::new(path, *kind, &**what));
            }
        }
        // What is wrong above our root, or with all of it, is wrong with ours.
        let seen = |path: &RelPath| match self.inner.is_within(path) {
            true => Some(RelPath::root()),
            false => self.own_path(path),
        };
        for problem in &index.problems {
            if let Some(path) = seen(&problem.path) {
                tree.problems.push(Problem { path, ..problem.clone() });
            }
        }
        for dir in index.incomplete.iter().filter_map(seen) {
            if let Some(id) = tree.find(&dir) {
                tree.set_incomplete(id);
            }
        }
        Ok(tree)
    }

    async fn list(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>> {
        let ask = self.ask(dir);
        let index = self.fresh(&ask).await?;
        self.root(&index)?;
        if !dir.is_root() {
            match self.member(&index, dir).map(|member| member.entry.kind) {
                Some(Kind::Dir) => {}
                Some(_) => return Err(ask.error(ErrorKind::NotADirectory, "no directory")),
                None => return Err(ask.error(ErrorKind::NotFound, "the archive does not have it")),
            }
        }
        let is_ours =
            |name: &[u8]| name.starts_with(TEMP_PREFIX.as_bytes()) || (dir.is_root() && name == OWN_DIR.as_bytes());
        let inside = self.inner.join_path(dir);
        let children = index.children(&inside).filter(|member| !is_ours(member.path.name()));
        Ok(children.map(|member| (member.path.name().into(), member.entry.clone())).collect())
    }

    async fn stat(&self, path: &RelPath) -> Result<Option<Entry>> {
        let index = self.fresh(&self.ask(path)).await?;
        if path.is_root() {
            return match self.root(&index) {
                Ok(root) => Ok(Some(root)),
                Err(_) => Ok(None),
            };
        }
        Ok(self.member(&index, path).map(|member| member.entry.clone()))
    }

    async fn read(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream> {
        let ask = self.ask(path);
        let index = self.fresh(&ask).await?;
        let data = self.data(&ask, &index)?;
        self.stream(&ask, &index, data, range, false).await
    }

    async fn fetch(&self, path: &RelPath, version: &Fingerprint, offset: u64) -> Result<Fetched> {
        let ask = self.ask(path);
        let index = self.known(&ask).await?;
        let member = self.member(&index, path);
        if member.is_some_and(|member| !member.entry.fingerprint().same_version(version)) {
            return Err(ask.error(ErrorKind::Changed, "the archive changed meanwhile"));
        }
        let data = self.data(&ask, &index)?;
        let meta = member.map(|member| member.entry.meta);
        let bytes = self.stream(&ask, &index, data, offset..u64::MAX, true).await?;
        Ok(Fetched { bytes, meta, pinned: true })
    }

    async fn xattrs(&self, path: &RelPath) -> Result<Xattrs> {
        let index = self.known(&self.ask(path)).await?;
        Ok(self.member(&index, path).map(|member| member.xattrs.clone()).unwrap_or_default())
    }

    fn read_only_because(&self) -> &'static str {
        "archives can only be read"
    }

    fn requests(&self) -> u64 {
        self.outside.store().requests()
    }
}
