//! The calls of [`Protocol`], put to a share.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use sitta_tree::{Entry, Fingerprint, Kind, Meta, RelPath, SideTraits, Time};
use smb2::types::Command;
use smb2::types::status::NtStatus;

use super::calls::{NO_DIRECTORY, ONLY_A_DIRECTORY, Volume, is_absent, ticks};
use super::failure::told;
use super::link::Answer;
use super::names::{self, Refusal};
use super::pool::{Lease, Pool};
use super::transfer::{self, Placed, Reading, Wanted};
use super::upload;
use crate::remote::{Progress, Protocol};
use crate::{ByteStream, Capabilities, Error, ErrorKind, Fetched, Result};

/// How many calls in flight suit a share, over all connections.
const CONCURRENCY: usize = 32;
/// How many writes suit a batch.
const BATCH: usize = 256;

/// A folder of a share.
#[derive(Debug)]
pub(super) struct SmbProtocol {
    pool: Arc<Pool>,
    /// The folder, below the share.
    root: RelPath,
    volume: Volume,
    in_flight: usize,
}

impl SmbProtocol {
    /// Logs in, and looks what there is.
    pub async fn open(pool: Arc<Pool>, root: RelPath, transfers: Option<usize>) -> Result<Self> {
        let in_flight = transfers.unwrap_or(CONCURRENCY).max(1);
        let protocol = Self { pool, root, volume: Volume::default(), in_flight };
        protocol.wire(&RelPath::root())?;
        // A share that does not let its root be looked at can still be used.
        let volume = protocol.ask(&RelPath::root(), async |link: Lease| link.volume().await).await;
        let volume = match volume {
            Err(error) if matches!(error.kind, ErrorKind::Auth | ErrorKind::Unreachable | ErrorKind::Untrusted) => {
                return Err(error);
            }
            // Whether there is such a share at all.
            Err(_) => protocol.pool.lease().await.map(|_| Volume::default())?,
            Ok(volume) => volume,
        };
        Ok(Self { volume, ..protocol })
    }

    /// A path as it goes over the wire.
    fn wire(&self, path: &RelPath) -> Result<String> {
        names::wire_path(&self.root.join_path(path)).map_err(|why| self.refused(path, why))
    }

    /// The same for something that is to be made.
    fn new_wire(&self, path: &RelPath) -> Result<String> {
        names::check_new(path).map_err(|why| self.refused(path, why))?;
        self.wire(path)
    }

    fn refused(&self, path: &RelPath, why: Refusal) -> Error {
        self.error(ErrorKind::Unsupported, path, why)
    }

    fn failed(&self, path: &RelPath, error: &smb2::Error) -> Error {
        let (kind, what) = told(error);
        Error::new(kind, self.location(), path.clone(), what)
    }

    /// A time as it goes over the wire.
    fn ticks(&self, path: &RelPath, time: Time) -> Result<u64> {
        ticks(time).ok_or_else(|| self.refused(path, "SMB shares keep no time before 1601"))
    }

    /// The time for something new, if it was told.
    fn told_ticks(&self, path: &RelPath, meta: &Meta) -> Result<Option<u64>> {
        match meta.mtime == Time::default() {
            true => Ok(None),
            false => self.ticks(path, meta.mtime).map(Some),
        }
    }

    async fn lease(&self, path: &RelPath) -> Result<Lease> {
        self.pool.lease().await.map_err(|error| Error { path: Some(path.clone()), ..error })
    }

    /// Runs a call to its end, whether or not anybody waits for it.
    async fn answer<T, F>(&self, path: &RelPath, call: impl FnOnce(Lease) -> F) -> Result<Answer<T>>
    where
        T: Send + 'static,
        F: Future<Output = Answer<T>> + Send + 'static,
    {
        let link = self.lease(path).await?;
        self.finish(path, call(link)).await
    }

    async fn finish<T>(
        &self,
        path: &RelPath,
        call: impl Future<Output = Answer<T>> + Send + 'static,
    ) -> Result<Answer<T>>
    where
        T: Send + 'static,
    {
        match tokio::spawn(call).await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.error(ErrorKind::Cancelled, path, "the program is ending")),
        }
    }

    async fn ask<T, F>(&self, path: &RelPath, call: impl FnOnce(Lease) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Answer<T>> + Send + 'static,
    {
        self.answer(path, call).await?.map_err(|error| self.failed(path, &error))
    }

    /// A connection for what gets a new name. Samba looks at the target and renames in two steps, one process for each
    /// connection: what goes to one name goes over one connection, so that two of ours cannot both find nothing there.
    async fn lease_to(&self, path: &RelPath, wire: &str) -> Result<Lease> {
        let link = self.pool.lease_for(&wire.to_lowercase()).await;
        link.map_err(|error| Error { path: Some(path.clone()), ..error })
    }

    fn not_renamed(&self, to: &RelPath, replace: bool, error: &smb2::Error) -> Error {
        match error {
            smb2::Error::Protocol { status: NtStatus::ACCESS_DENIED, command: Command::SetInfo } if replace => {
                // What Windows says of a file that somebody has open.
                self.error(ErrorKind::Busy, to, "access denied: somebody may have it open")
            }
            error => self.failed(to, error),
        }
    }

    async fn begin(&self, path: &RelPath, wanted: Wanted) -> Result<Reading> {
        let wire = self.wire(path)?;
        let ask = |wire| self.ask(path, move |link| transfer::begin(link, wire, wanted));
        match ask(wire.clone()).await {
            // Samba also says so of what is being replaced at this moment.
            Err(error) if error.kind == ErrorKind::NotFound => ask(wire).await,
            begun => begun,
        }
    }

    fn stream(&self, path: &RelPath, reading: Reading) -> ByteStream {
        if let Some(whole) = reading.whole {
            return stream::iter((!whole.is_empty()).then_some(Ok(whole))).boxed();
        }
        let Some(pieces) = reading.pieces else { return stream::empty().boxed() };
        let (location, path) = (self.location().clone(), path.clone());
        let pieces = stream::unfold(pieces, |mut pieces| async move { Some((pieces.recv().await?, pieces)) });
        let named = pieces.map(move |piece| {
            piece.map_err(|error| {
                let (kind, what) = match error {
                    smb2::Error::Cancelled => (ErrorKind::Changed, "it changed while it was being read".into()),
                    error => told(&error),
                };
                Error::new(kind, &location, path.clone(), what)
            })
        });
        named.boxed()
    }
}

#[async_trait]
impl Protocol for SmbProtocol {
    fn location(&self) -> &Arc<str> {
        self.pool.location()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            traits: SideTraits {
                mtime_precision: 100,
                modes: false,
                owners: false,
                xattrs: false,
                symlinks: false,
                dirs: true,
                folds_names: true,
                stable_ids: self.volume.stable_ids,
            },
            rename: true,
            atomic_preconditions: true,
            hard_links: false,
            writable: true,
            lists_meta: true,
            verifies: false,
            concurrency: self.in_flight,
            batch: BATCH,
            batches: 2,
        }
    }

    fn requests(&self) -> u64 {
        self.pool.sent()
    }

    async fn list(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>> {
        let (wire, ids) = (self.wire(dir)?, self.volume.stable_ids);
        self.ask(dir, move |link| super::list::list(link, wire, ids)).await
    }

    async fn stat(&self, path: &RelPath) -> Result<Option<Entry>> {
        let (wire, ids) = (self.wire(path)?, self.volume.stable_ids);
        self.ask(path, move |link| async move { link.stat(&wire, ids).await }).await
    }

    async fn read(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream> {
        let reading = self.begin(path, Wanted { from: range.start, until: range.end, version: None }).await?;
        Ok(self.stream(path, reading))
    }

    async fn fetch(&self, path: &RelPath, version: &Fingerprint, offset: u64) -> Result<Fetched> {
        let wanted = Wanted { from: offset, until: u64::MAX, version: Some(*version) };
        let reading = self.begin(path, wanted).await?;
        if reading.changed {
            return Err(self.error(ErrorKind::Changed, path, "it is another version than was expected"));
        }
        let meta = Some(reading.facts.meta());
        Ok(Fetched { bytes: self.stream(path, reading), meta, pinned: true })
    }

    async fn create(
        &self,
        path: &RelPath,
        mut bytes: ByteStream,
        size: Option<u64>,
        meta: &Meta,
        progress: &Progress,
    ) -> Result<()> {
        let mtime = self.told_ticks(path, meta)?;
        let wire = self.new_wire(path)?;
        let mut taken = progress.from();
        let progress = progress.clone();
        let mut upload = self.ask(path, move |link| upload::begin(link, wire, progress)).await?;
        let gone_wrong = loop {
            match bytes.next().await {
                Some(Ok(piece)) => {
                    taken += piece.len() as u64;
                    if !upload.push(&piece).await {
                        break None;
                    }
                }
                Some(Err(error)) => break Some(error),
                None if size.is_none_or(|size| taken == size) => break None,
                None => {
                    let what = "another number of bytes came than was announced";
                    break Some(self.error(ErrorKind::Changed, path, what));
                }
            }
        };
        match gone_wrong {
            None => upload.finish(mtime).await.map_err(|error| self.failed(path, &error)),
            Some(error) => {
                // The caller is about to remove it.
                upload.abandon().await;
                Err(error)
            }
        }
    }

    fn places(&self) -> u64 {
        self.volume.small
    }

    async fn place(
        &self,
        temp: &RelPath,
        path: &RelPath,
        replace: bool,
        bytes: Bytes,
        meta: &Meta,
    ) -> Result<Entry> {
        let (from, to, mtime) = (self.wire(temp)?, self.new_wire(path)?, self.told_ticks(path, meta)?);
        let link = self.lease_to(path, &to).await?;
        let placed =
            self.finish(path, async move { link.place(&from, &to, replace, (bytes, mtime)).await }).await?;
        let id = |id| if self.volume.stable_ids { id } else { 0 };
        match placed {
            Ok(Some(Placed { facts, id: told })) => Ok(facts.entry(id(told), None)),
            Ok(None) => {
                let seen = self.stat(path).await?;
                seen.ok_or_else(|| self.error(ErrorKind::Changed, path, "it vanished right after it was written"))
            }
            Err(error) => Err(self.not_renamed(path, replace, &error)),
        }
    }

    async fn make_dir(&self, path: &RelPath, meta: &Meta) -> Result<()> {
        let (wire, mtime) = (self.new_wire(path)?, self.told_ticks(path, meta)?);
        self.ask(path, move |link| async move { link.make_dir(&wire, mtime).await }).await
    }

    async fn rename(&self, from: &RelPath, to: &RelPath, replace: bool) -> Result<()> {
        let (old, new) = (self.wire(from)?, self.new_wire(to)?);
        let link = self.lease_to(to, &new).await?;
        let answer = self.finish(to, async move { link.rename(&old, &new, replace).await }).await?;
        answer.map_err(|error| self.not_renamed(to, replace, &error))
    }

    /// Files go when they are closed. Samba confirms that even if the server's own system has refused it, so that it is
    /// looked at once more.
    async fn remove_file(&self, path: &RelPath) -> Result<()> {
        let wire = self.wire(path)?;
        self.ask(path, move |link| async move { link.remove(&wire, NO_DIRECTORY).await }).await?;
        match self.stat(path).await {
            Ok(Some(_)) => Err(self.error(
                ErrorKind::Denied,
                path,
                "it is still there, though the server said that it was deleted",
            )),
            _ => Ok(()),
        }
    }

    async fn remove_dir(&self, path: &RelPath) -> Result<()> {
        let wire = self.wire(path)?;
        self.ask(path, move |link| async move { link.remove(&wire, ONLY_A_DIRECTORY).await }).await
    }

    async fn set_meta(&self, path: &RelPath, _: Kind, meta: &Meta) -> Result<()> {
        let (wire, mtime) = (self.wire(path)?, self.ticks(path, meta.mtime)?);
        self.ask(path, move |link| async move { link.set_times(&wire, mtime).await }).await
    }

    async fn create_root(&self) -> Result<()> {
        let top = RelPath::root();
        let mut dir = RelPath::root();
        for part in self.root.parts() {
            dir = dir.join(part).map_err(|_| self.refused(&top, "no valid path"))?;
            let wire = names::wire_path(&dir).map_err(|why| self.refused(&top, why))?;
            let made = self.answer(&top, move |link| async move { link.make_dir(&wire, None).await });
            match made.await? {
                Err(error) if error.status() != Some(NtStatus::OBJECT_NAME_COLLISION) && !is_absent(&error) => {
                    return Err(self.failed(&top, &error));
                }
                _ => {}
            }
        }
        match self.stat(&top).await? {
            Some(root) if root.kind == Kind::Dir => Ok(()),
            Some(_) => Err(self.error(ErrorKind::NotADirectory, &top, "no directory stands there")),
            None => Err(self.error(ErrorKind::NotFound, &top, "it could not be made")),
        }
    }

    /// The volume and the folder on it, where files keep their ids.
    async fn root_identity(&self) -> Option<String> {
        let root = self.stat(&RelPath::root()).await.ok()??;
        (root.id != 0).then(|| format!("{:08x}:{:x}", self.volume.serial, root.id))
    }
}
