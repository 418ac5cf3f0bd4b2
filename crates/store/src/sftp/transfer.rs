//! Files in pieces, many of them on their way at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::{Bytes, BytesMut};
use futures::future;
use futures::stream::{self, StreamExt};
use sitta_tree::{Fingerprint, Time};

use super::packet::{Ask, Attrs, Reply, Request, flags};
use super::session::{Answer, Failure, Session};
use super::site::Site;
use crate::remote::Progress;
use crate::{ByteStream, Error, ErrorKind, Result};

/// Pieces to ask for at first; each that arrives allows one more.
const AT_FIRST: usize = 4;

/// A file or directory that the server holds open for us; closed when dropped.
#[derive(Debug)]
pub(super) struct Handle {
    pub session: Arc<Session>,
    id: Bytes,
    open: bool,
}

impl Handle {
    /// What came of an opening.
    pub async fn opened(session: &Arc<Session>, answer: Answer) -> Result<Self, Failure> {
        match answer.reply().await? {
            Reply::Handle(id) => {
                session.open.fetch_add(1, Relaxed);
                Ok(Self { session: session.clone(), id, open: true })
            }
            other => Err(other.into()),
        }
    }

    /// Sends a request about it.
    pub fn ask(&self, ask: Ask) -> Answer {
        self.session.send(self.request(ask))
    }

    pub fn request(&self, ask: Ask) -> Request {
        Request::at(ask, &self.id)
    }

    pub fn close(&mut self) -> Option<Answer> {
        std::mem::take(&mut self.open).then(|| {
            self.session.open.fetch_sub(1, Relaxed);
            self.ask(Ask::Close)
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

/// A file that is being read.
struct Reading {
    site: Site,
    handle: Handle,
    /// In order: offset, length, and what is to come.
    asked: VecDeque<(u64, u64, Answer)>,
    /// Where to ask next.
    next: u64,
    end: u64,
    /// The size as far as is known: beyond it one piece at a time is asked for.
    size: u64,
    at_once: usize,
    /// The version that it must still be at the end.
    version: Option<Fingerprint>,
    /// What it is after the last piece.
    last: Option<Answer>,
    ended: bool,
}

/// The bytes of an open file of about `size` bytes, from `offset` to `end`. With a `version` it fails at the end with
/// [`ErrorKind::Changed`] unless it was that one throughout.
pub(super) fn read(
    site: Site,
    handle: Handle,
    range: std::ops::Range<u64>,
    size: u64,
    version: Option<Fingerprint>,
) -> ByteStream {
    let (next, end) = (range.start, range.end);
    let mut reading = Reading {
        site,
        handle,
        asked: VecDeque::new(),
        next,
        end,
        size,
        at_once: AT_FIRST,
        version,
        last: None,
        ended: false,
    };
    // Before anybody waits for it.
    reading.ask();
    let pieces = stream::unfold(Some(reading), |reading| async move {
        let mut reading = reading?;
        match reading.piece().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(reading))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    pieces.boxed()
}

impl Reading {
    /// Asks for as much as may be on its way. Behind the last piece goes the question what the file is now: a server
    /// answers requests for one file as if one after the other (section 4.1).
    fn ask(&mut self) {
        let piece = self.handle.session.pieces.0;
        let most = self.at_once.min((self.handle.session.share() / piece) as usize);
        while !self.ended
            && self.next < self.end
            && self.asked.len() < most
            && (self.next < self.size || self.asked.is_empty())
        {
            let len = piece.min(self.end - self.next);
            let answer = self.read(self.next, len);
            self.asked.push_back((self.next, len, answer));
            self.next += len;
        }
        if self.next >= self.end && self.version.is_some() && self.last.is_none() {
            self.last = Some(self.handle.ask(Ask::Fstat));
        }
    }

    fn read(&self, offset: u64, len: u64) -> Answer {
        self.handle.session.send(self.handle.request(Ask::Read).u64(offset).u32(len as u32))
    }

    async fn piece(&mut self) -> Result<Option<Bytes>> {
        self.ask();
        let Some((at, len, answer)) = self.asked.pop_front() else {
            self.check().await?;
            return Ok(None);
        };
        self.at_once += 1;
        match answer.reply().await {
            Ok(Reply::Data(bytes)) if bytes.len() as u64 > len => Err(self.site.told(Failure::Nonsense)),
            Ok(Reply::Data(bytes)) if bytes.is_empty() => self.end().await,
            Ok(Reply::Data(bytes)) => {
                let got = bytes.len() as u64;
                if got < len {
                    // The server gives less at a time, or this is the end.
                    let rest = self.read(at + got, len - got);
                    self.asked.push_front((at + got, len - got, rest));
                    self.last = None;
                }
                Ok(Some(bytes))
            }
            Ok(Reply::Status { code: 1, .. }) => self.end().await,
            Ok(other) => Err(self.site.told(other.into())),
            Err(failure) => Err(self.site.told(failure)),
        }
    }

    /// The file ends here.
    async fn end(&mut self) -> Result<Option<Bytes>> {
        self.ended = true;
        self.asked.clear();
        self.next = self.end;
        self.ask();
        self.check().await?;
        Ok(None)
    }

    async fn check(&mut self) -> Result<()> {
        let (Some(version), Some(last)) = (self.version, self.last.take()) else { return Ok(()) };
        match last.reply().await {
            Ok(Reply::Attrs(attrs)) if is_version(&attrs, &version) => Ok(()),
            Ok(Reply::Attrs(_)) => Err(self.site.error(ErrorKind::Changed, "changed while it was being read")),
            Ok(other) => Err(self.site.told(other.into())),
            Err(failure) => Err(self.site.told(failure)),
        }
    }
}

/// Whether the file that `attrs` tell of is in this version.
fn is_version(attrs: &Attrs, version: &Fingerprint) -> bool {
    let mtime = attrs.times.map_or(0, |(_, mtime)| mtime);
    let now =
        Fingerprint { size: attrs.size.unwrap_or(0), mtime: Time::new(i64::from(mtime), 0), id: 0, change: 0 };
    now.same_version(version)
}

/// How writing a new file failed.
pub(super) enum Broken {
    /// On the server.
    Server(Failure),
    /// On the way there: the bytes themselves.
    Bytes(Error),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Server(failure)
    }
}

/// Makes a new file from `bytes`, or goes on with one. Until it is whole nobody but its owner may look into it, where
/// `settings` say who may. Tells its size.
pub(super) async fn create(
    session: &Arc<Session>,
    path: &[u8],
    mut bytes: ByteStream,
    settings: &[Attrs],
    progress: &Progress,
) -> Result<u64, Broken> {
    let private = settings.iter().any(|attrs| attrs.mode.is_some());
    let first = Attrs { mode: Some(if private { 0o600 } else { 0o666 }), ..Attrs::default() };
    let goes_on = progress.from() > 0;
    let how = flags::WRITE | if goes_on { 0 } else { flags::CREATE | flags::EXCLUSIVE };
    let opening = session.send(Request::at(Ask::Open, path).u32(how).attrs(&first));
    // The first bytes are fetched meanwhile.
    let (opened, piece) = future::join(Handle::opened(session, opening), bytes.next()).await;
    let offset = progress.from();
    let mut writing =
        Writing { handle: opened?, offset, on_the_way: 0, answers: VecDeque::new(), progress: progress.clone() };
    if goes_on {
        writing.check().await?;
    }
    let mut piece = piece;
    let (most, mut rest) = (session.pieces.1 as usize, BytesMut::new());
    while let Some(bytes_now) = piece {
        let mut now = bytes_now.map_err(Broken::Bytes)?;
        // What fits into no whole piece waits for more.
        if !rest.is_empty() {
            let fits = now.split_to(now.len().min(most - rest.len()));
            rest.extend_from_slice(&fits);
            if rest.len() == most {
                writing.write(&rest.split()).await?;
            }
        }
        while now.len() >= most {
            writing.write(&now.split_to(most)).await?;
        }
        rest.extend_from_slice(&now);
        piece = bytes.next().await;
    }
    if !rest.is_empty() {
        writing.write(&rest).await?;
    }
    writing.finish(settings).await
}

struct Writing {
    handle: Handle,
    offset: u64,
    on_the_way: u64,
    answers: VecDeque<(u64, Answer)>,
    progress: Progress,
}

impl Writing {
    /// A server that went down meanwhile may have lost what it had taken.
    async fn check(&self) -> Result<(), Failure> {
        match self.handle.ask(Ask::Fstat).reply().await? {
            Reply::Attrs(attrs) if attrs.size.is_some_and(|size| size >= self.offset) => Ok(()),
            other => Err(other.into()),
        }
    }

    async fn write(&mut self, data: &[u8]) -> Result<(), Failure> {
        while self.on_the_way + data.len() as u64 > self.handle.session.share()
            && let Some((len, answer)) = self.answers.pop_front()
        {
            answer.done().await?;
            self.on_the_way -= len;
            self.progress.note(self.offset - self.on_the_way);
        }
        let len = data.len() as u64;
        let request = Request::write(&self.handle.id, self.offset, data);
        self.answers.push_back((len, self.handle.session.send(request)));
        self.offset += len;
        self.on_the_way += len;
        Ok(())
    }

    /// Settings, safety from a power cut and the closing go out right behind the bytes.
    async fn finish(mut self, settings: &[Attrs]) -> Result<u64, Broken> {
        let session = self.handle.session.clone();
        let mut last: Vec<_> =
            settings.iter().map(|attrs| session.send(self.handle.request(Ask::Fsetstat).attrs(attrs))).collect();
        if session.extensions.fsync {
            last.push(session.send(Request::extended("fsync@openssh.com").string(&self.handle.id)));
        }
        last.extend(self.handle.close());
        for (len, answer) in self.answers.drain(..) {
            answer.done().await?;
            self.on_the_way -= len;
            self.progress.note(self.offset - self.on_the_way);
        }
        for answer in last {
            answer.done().await?;
        }
        Ok(self.offset)
    }
}
