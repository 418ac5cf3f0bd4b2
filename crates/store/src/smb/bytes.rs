//! Bytes of files, to and from the server.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use sitta_tree::Fingerprint;
use smb2::msg::flush::{FlushRequest, FlushResponse};
use smb2::msg::read::ReadRequest;
use smb2::msg::read::ReadResponse;
use smb2::msg::write::{WriteRequest, WriteResponse};
use smb2::pack::FileTime;
use smb2::types::flags::FileAccessMask as Access;
use smb2::types::status::NtStatus;
use smb2::types::{Command, FileId};
use smb2::{FileTimes, FileWriter};
use tokio::sync::mpsc;

use super::calls::{NO_DIRECTORY, make, open, set_mtime};
use super::facts::Facts;
use super::link::{Answer, Call, End, Link};
use super::pool::Lease;

/// Up to this size a file goes in one message. Larger ones are sent in pieces, several in flight.
pub(super) const SMALL: u64 = 256 << 10;
/// How large the pieces of a download are, and how many are in flight.
const PIECE: u64 = 512 << 10;
const IN_FLIGHT: usize = 8;

/// Where a WRITE's data stands in its message: behind the header and its own fixed part.
const DATA_OFFSET: u16 = 64 + 48;

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
    /// Makes a new file of `data`, safe on the server's disk: a message that opens, writes and flushes, and one that
    /// closes. (A server may not wait in the midst of a message, and flushing waits.)
    pub async fn create_small(&self, path: &str, data: Vec<u8>, mtime: Option<u64>) -> Answer<()> {
        let len = data.len();
        let mut calls = Vec::with_capacity(3);
        if len > 0 {
            let request = WriteRequest {
                data_offset: DATA_OFFSET,
                offset: 0,
                file_id: FileId::SENTINEL,
                channel: 0,
                remaining_bytes: 0,
                write_channel_info_offset: 0,
                write_channel_info_length: 0,
                flags: 0,
                data,
            };
            calls.push(Call::sized(Command::Write, request, len));
        }
        calls.extend(mtime.map(set_mtime));
        calls.push(Call::new(Command::Flush, FlushRequest { file_id: FileId::SENTINEL }));
        let flush = calls.len() - 1;
        let request = make(self.at(path), Access::FILE_WRITE_DATA | Access::FILE_WRITE_ATTRIBUTES, NO_DIRECTORY);
        let done = self.compound(request, calls, End::StaysOpen).await?;
        let closed = self.close(done.opened.file_id).await;
        done.all()?;
        if len > 0 && done.answer::<WriteResponse>(0)?.count as usize != len {
            return Err(smb2::Error::invalid_data("the server took fewer bytes than it was given"));
        }
        done.answer::<FlushResponse>(flush)?;
        closed.map(drop)
    }

    /// Begins a new file that is written in pieces. Nothing stays open when the writer is dropped.
    pub async fn create_large(&self, path: &str) -> Answer<FileWriter> {
        // smb2 puts the names into their wire form itself.
        let path = smb2::decode_path(path);
        self.patiently(self.tree.create_file_writer_exclusive(self.connection.clone(), &path)).await
    }

    /// Ends it: all bytes and the time are safe on the server's disk.
    pub async fn finish(&self, mut writer: FileWriter, mtime: Option<u64>) -> Answer<u64> {
        let ending = async {
            if let Some(ticks) = mtime {
                writer.set_times(FileTimes::new().set_modified(FileTime(ticks))).await?;
            }
            writer.finish().await
        };
        self.patiently(ending).await
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
    let how = if len <= SMALL { End::Close } else { End::StaysOpen };
    let first = if len == 0 { vec![] } else { vec![read(FileId::SENTINEL, wanted.from, len.min(SMALL))] };
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
        let starts = stream::iter((at..end).step_by(PIECE as usize));
        let pieces = starts.map(|start| link.read_at(self.file, start, PIECE.min(end - start)));
        let mut pieces = std::pin::pin!(pieces.buffered(IN_FLIGHT));
        while sent.is_ok()
            && let Some(piece) = pieces.next().await
        {
            let short = piece.as_ref().map_or(true, |piece| (piece.len() as u64) < PIECE.min(end - at));
            at += piece.as_ref().map_or(0, |piece| piece.len() as u64);
            sent = to.send(piece).await.map_err(drop);
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
