//! The bytes of files on their way into an archive. Files of this machine are read where they are packed, one after the
//! other; of those elsewhere the small ones are fetched ahead, several at a time.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, StreamExt};
use sitta_store::local::{OpenFile, Reader};
use sitta_store::{ByteStream, Error, ErrorKind, Result, Source, Store};
use sitta_tree::{Kind, Meta};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::members::Member;

/// Up to this size a file is read whole before it is packed: what cannot be read leaves nothing in the archive.
pub(super) const WHOLE: u64 = 1 << 20;
/// How much of a larger one is read at a time.
pub(super) const PIECE: usize = 256 << 10;
/// So many small files from elsewhere are held at most.
const AHEAD: usize = 16;
/// So often a file that changes is looked at anew.
const TRIES: u32 = 3;

/// A small file from elsewhere, with the metadata that came with it.
type Fetched = Result<(Bytes, Option<Meta>)>;

/// Where the bytes come from. Used on a thread that may block.
pub(super) struct Feed {
    store: Arc<dyn Store>,
    handle: Handle,
    local: Option<Reader>,
    ahead: mpsc::Receiver<Fetched>,
    scratch: Vec<u8>,
}

/// A file that is read in pieces.
pub(super) enum Pieces {
    Local(OpenFile),
    Remote(ByteStream, Handle),
}

impl Feed {
    /// `small` are the files that will be asked for by [`Feed::whole`], in that order.
    pub fn new(
        store: &Arc<dyn Store>,
        handle: Handle,
        small: impl Iterator<Item = Member> + Send + 'static,
    ) -> Result<Self> {
        let local = store.as_local().map(|local| local.reader()).transpose()?;
        let (sender, ahead) = mpsc::channel(1);
        if local.is_none() {
            let at_once = store.capabilities().concurrency.clamp(1, AHEAD);
            let from = store.clone();
            handle.spawn(async move {
                let files = small.map(|member| fetch(from.clone(), member));
                let mut files = Box::pin(stream::iter(files).buffered(at_once));
                while let Some(file) = files.next().await {
                    if sender.send(file).await.is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { store: store.clone(), handle, local, ahead, scratch: Vec::new() })
    }

    /// All bytes of a small file, in the version that `member` tells of then.
    pub fn whole(&mut self, member: &mut Member) -> Result<Whole<'_>> {
        if self.local.is_none() {
            let ended =
                || Error::new(ErrorKind::Other, &self.store.location().into(), None, "reading ahead stopped");
            let (bytes, meta) = self.ahead.blocking_recv().unwrap_or_else(|| Err(ended()))?;
            if let Some(meta) = meta {
                member.entry.meta = member.entry.meta.or(&meta);
            }
            return Ok(Whole::Fetched(bytes));
        }
        let mut tries = 0;
        loop {
            match self.read_local(member) {
                Err(error) if error.kind == ErrorKind::Changed && tries < TRIES => {
                    tries += 1;
                    let now = self.handle.block_on(self.store.stat(&member.path))?;
                    let xattrs = member.entry.meta.xattrs;
                    match now.filter(|now| now.kind == Kind::File && now.size <= WHOLE) {
                        Some(now) => member.entry = now,
                        None => return Err(error),
                    }
                    member.entry.meta.xattrs = xattrs;
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(Whole::Read(&self.scratch)),
            }
        }
    }

    fn read_local(&mut self, member: &Member) -> Result<()> {
        let reader = self.local.as_mut().expect("asked for local files only");
        self.scratch.clear();
        let mut file = reader.open(&member.path)?;
        file.read(&mut self.scratch, member.entry.size as usize)?;
        file.check(&member.entry.fingerprint())
    }

    /// A large file, to be read from its beginning.
    pub fn open(&mut self, member: &mut Member) -> Result<Pieces> {
        if let Some(reader) = &mut self.local {
            return reader.open(&member.path).map(Pieces::Local);
        }
        let opened = self.handle.block_on(source(&self.store, member).open(0))?;
        if let Some(meta) = opened.meta {
            member.entry.meta = member.entry.meta.or(&meta);
        }
        Ok(Pieces::Remote(opened.bytes, self.handle.clone()))
    }
}

/// A small file.
pub(super) enum Whole<'f> {
    Read(&'f [u8]),
    Fetched(Bytes),
}

impl AsRef<[u8]> for Whole<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Read(bytes) => bytes,
            Self::Fetched(bytes) => bytes,
        }
    }
}

impl Pieces {
    /// Adds the next bytes to `to`; none at the end, once it is sure that all were of the version that was meant. `left`
    /// are the bytes that are due.
    pub fn next(&mut self, member: &Member, left: u64, to: &mut Vec<u8>) -> Result<usize> {
        match self {
            Self::Local(file) => {
                let want = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
                let got = if want > 0 { file.read(to, want)? } else { 0 };
                if got < want || want == 0 {
                    file.check(&member.entry.fingerprint())?;
                }
                Ok(got)
            }
            Self::Remote(stream, handle) => match handle.block_on(stream.next()) {
                Some(Ok(piece)) if piece.is_empty() => self.next(member, left, to),
                Some(Ok(piece)) => {
                    to.extend_from_slice(&piece);
                    Ok(piece.len())
                }
                Some(Err(error)) => Err(error),
                None => Ok(0),
            },
        }
    }
}

fn source(store: &Arc<dyn Store>, member: &Member) -> Source {
    Source::Stored { store: store.clone(), path: member.path.clone(), version: member.entry.fingerprint() }
}

async fn fetch(store: Arc<dyn Store>, member: Member) -> Fetched {
    let opened = source(&store, &member).open(0).await?;
    let mut stream = opened.bytes;
    let mut all = BytesMut::new();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        match all.is_empty() && piece.len() as u64 == member.entry.size {
            true => all = BytesMut::from(piece),
            false => all.extend_from_slice(&piece),
        }
    }
    Ok((all.freeze(), opened.meta))
}
