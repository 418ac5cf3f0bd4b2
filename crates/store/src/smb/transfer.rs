//! Bytes of files from the server, and of small ones to it.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use sitta_tree::Fingerprint;
use smb2::msg::flush::FlushRequest;
use smb2::msg::query_info::QueryInfoResponse;
use smb2::msg::read::{ReadRequest, ReadResponse};
use smb2::msg::write::WriteResponse;
use smb2::pack::{ReadCursor, Unpack};
use smb2::types::flags::FileAccessMask as Access;
use smb2::types::status::NtStatus;
use smb2::types::{Command, FileId};
use tokio::sync::mpsc;

use super::calls::{NO_DIRECTORY, ending, id_in, make, open, set_mtime};
use super::facts::Facts;
use super::link::{Answer, Call, End, Link, checked, told_at_close};
use super::pool::Lease;
use super::upload::{all_taken, write};

/// Up to this size a file goes in one message, if the server takes that much. Larger ones go in pieces, several in
/// flight.
const SMALL: u64 = 256 << 10;
/// How large the pieces of a download are, and how many are in flight.
const PIECE: u64 = 512 << 10;
const IN_FLIGHT: usize = 8;

/// Bytes on their way, and the failure that ended them.
pub(super) type Pieces = mpsc::Receiver<Answer<Bytes>>;

/// What to read of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub from: u64,
    /// May lie behind the end.
    pub until: u64,
    /// Only if it is this version, from the first byte to the last.
    pub version: Option<Fingerprint>,
}

/// A file that is being read.
pub(super) struct Reading {
    pub facts: Facts,
    /// It is another version than the one that was wanted. There are no bytes then.
    pub changed: bool,
    /// All that was wanted.
    pub whole: Option<Bytes>,
    /// Or the bytes to come; they end with none if the file changed meanwhile.
    pub pieces: Option<Pieces>,
}

fn read(file: FileId, at: u64, len: u64) -> Call {
    let request = ReadRequest {
        padding: 0x50,
        flags: 0,
        length: u32::try_from(len).unwrap_or(u32::MAX),
        offset: at,
        file_id: file,
        minimum_count: 0,
        channel: 0,
        remaining_bytes: 0,
        read_channel_info: Vec::new(),
    };
    Call::sized(Command::Read, request, len as usize)
}

/// What stands in its place.
pub(super) struct Placed {
    pub facts: Facts,
    pub id: u64,
}

/// The bytes of an answer; none at the end of the file.
fn bytes(answer: Answer<ReadResponse>) -> Answer<Bytes> {
    match answer {
        Ok(answer) => Ok(answer.data.into()),
        Err(error) if error.status() == Some(NtStatus::END_OF_FILE) => Ok(Bytes::new()),
        Err(error) => Err(error),
    }
}

/// What the crate says where a file is not what it was.
pub(super) fn changed_meanwhile() -> smb2::Error {
    smb2::Error::Cancelled
}

impl Link {
    /// Up to which size a file goes in one message.
    pub fn small(&self) -> u64 {
        let most =
            self.connection.params().map_or(1 << 16, |params| params.max_read_size.min(params.max_write_size));
        SMALL.min(most.into()).min(self.connection.compound_write_limit())
    }

    /// How large the pieces of a download are.
    fn piece(&self) -> u64 {
        PIECE.min(self.connection.params().map_or(1 << 16, |params| params.max_read_size).max(1).into())
    }

    /// Makes a new file of `data`, safe on the server's disk. (A message of its own: a server may not wait in the midst
    /// of a message, and flushing waits.)
    async fn make(&self, path: &str, data: &[u8], mtime: Option<u64>) -> Answer<FileId> {
        let mut calls = Vec::with_capacity(3);
        if !data.is_empty() {
            calls.push(write(FileId::SENTINEL, 0, data.to_vec()));
        }
        calls.extend(mtime.map(set_mtime));
        calls.push(Call::new(Command::Flush, FlushRequest { file_id: FileId::SENTINEL }));
        let access = Access::FILE_WRITE_DATA | Access::FILE_WRITE_ATTRIBUTES | Access::DELETE;
        let done = self.compound(make(self.at(path), access, NO_DIRECTORY), calls, End::StaysOpen).await?;
        let taken = match (done.all(), data.is_empty()) {
            (Ok(()), false) => done.answer(0).and_then(|answer: WriteResponse| all_taken(&answer, data.len())),
            (all, _) => all,
        };
        if taken.is_err() {
            let _ = self.close(done.opened.file_id).await;
        }
        taken.map(|()| done.opened.file_id)
    }

    /// Makes a new file of `data` at `temp` and renames it to `path`: two messages. What stands there then, if the
    /// server told it.
    pub async fn place(
        &self,
        temp: &str,
        path: &str,
        replace: bool,
        file: (Bytes, Option<u64>),
    ) -> Answer<Option<Placed>> {
        let (data, mtime) = file;
        let file = self.make(temp, &data, mtime).await?;
        let answers = self.together(&ending(file, path, replace)).await?;
        let closed = match checked(&answers[2]) {
            Ok(()) => told_at_close(&answers[2]),
            // What fails before it takes it along.
            Err(_) => self.close(file).await?,
        };
        checked(&answers[0])?;
        // It is in its place; what the server does not tell now can be asked for.
        let id =
            checked(&answers[1]).and_then(|()| QueryInfoResponse::unpack(&mut ReadCursor::new(&answers[1].body)));
        let (Ok(id), Some(closed)) = (id.as_ref().map(id_in), closed) else { return Ok(None) };
        Ok(Some(Placed { facts: Facts::of_closed(&closed), id }))
    }

    /// Reads at `at` until `len` bytes are there or the file ends.
    async fn read_at(&self, file: FileId, at: u64, len: u64) -> Answer<Bytes> {
        let mut first = bytes(self.call(read(file, at, len)).await)?;
        while !first.is_empty() && (first.len() as u64) < len {
            let (at, len) = (at + first.len() as u64, len - first.len() as u64);
            let more = bytes(self.call(read(file, at, len)).await)?;
            if more.is_empty() {
                break;
            }
            first = [&*first, &more].concat().into();
        }
        Ok(first)
    }
}

/// Opens a file and begins to read. What is small is read to its end in the same message. To be run to its end.
pub(super) async fn begin(link: Lease, path: String, wanted: Wanted) -> Answer<Reading> {
    let end = wanted.version.map_or(wanted.until, |version| version.size.min(wanted.until));
    let len = end.saturating_sub(wanted.from);
    let small = link.small().max(1);
    let how = if len <= small { End::Close } else { End::StaysOpen };
    let first = if len == 0 { vec![] } else { vec![read(FileId::SENTINEL, wanted.from, len.min(small))] };
    let request = open(link.at(&path), Access::FILE_READ_DATA | Access::FILE_READ_ATTRIBUTES, NO_DIRECTORY);
    let done = link.compound(request, first, how).await?;
    let facts = Facts::of_opened(&done.opened);
    let mut reading = Reading { facts, changed: false, whole: None, pieces: None };
    reading.changed = wanted.version.is_some_and(|version| !facts.is(&version));
    let got = if len == 0 { Ok(Bytes::new()) } else { bytes(done.answer(0)) };
    if how == End::Close {
        let still = done.closed.as_ref().is_some_and(|closed| Facts::of_closed(closed).same_version(&facts));
        reading.changed |= wanted.version.is_some() && !still;
        reading.whole = Some(got?);
        return Ok(reading);
    }
    let open = Open { file: done.opened.file_id, facts, link };
    let got = match got {
        Ok(got) if !reading.changed => got,
        failed => {
            let _ = open.link.close(open.file).await;
            failed?;
            return Ok(reading);
        }
    };
    let end = end.min(facts.size);
    let (send, receive) = mpsc::channel(2);
    tokio::spawn(open.send(send, got, wanted, end));
    reading.pieces = Some(receive);
    Ok(reading)
}

/// A file that is open for reading.
struct Open {
    file: FileId,
    facts: Facts,
    link: Lease,
}

impl Open {
    /// Sends what is left, after `first`, until nobody takes it any more; then closes the file.
    async fn send(self, to: mpsc::Sender<Answer<Bytes>>, first: Bytes, wanted: Wanted, end: u64) {
        let mut at = wanted.from + first.len() as u64;
        let mut sent = to.send(Ok(first)).await.map_err(drop);
        let link: &Arc<Link> = &self.link;
        let piece = link.piece();
        let starts = stream::iter((at..end).step_by(piece as usize));
        let pieces = starts.map(|start| link.read_at(self.file, start, piece.min(end - start)));
        let mut pieces = std::pin::pin!(pieces.buffered(IN_FLIGHT));
        while sent.is_ok()
            && let Some(got) = pieces.next().await
        {
            let short = got.as_ref().map_or(true, |got| (got.len() as u64) < piece.min(end - at));
            at += got.as_ref().map_or(0, |got| got.len() as u64);
            sent = to.send(got).await.map_err(drop);
            if short {
                break;
            }
        }
        let closed = link.close(self.file).await;
        if sent.is_err() || wanted.version.is_none() {
            return;
        }
        let still = match closed {
            Ok(Some(closed)) => Facts::of_closed(&closed).same_version(&self.facts).then_some(()),
            Ok(None) => None,
            Err(error) => return drop(to.send(Err(error)).await),
        };
        if still.is_none() {
            drop(to.send(Err(changed_meanwhile())).await);
        }
    }
}
