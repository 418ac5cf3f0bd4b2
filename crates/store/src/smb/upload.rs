//! Large files on their way to the server: a task gathers what arrives into pieces of full size and keeps several of
//! them in flight, while the next bytes are read and hashed.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::stream::{FuturesUnordered, StreamExt};
use smb2::msg::flush::FlushRequest;
use smb2::msg::write::{WriteRequest, WriteResponse};
use smb2::types::flags::FileAccessMask as Access;
use smb2::types::{Command, FileId};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::calls::{NO_DIRECTORY, make, open, set_mtime_of};
use super::link::{Answer, Call, End, Link, checked};
use super::pool::Lease;
use crate::remote::Progress;

/// How large the pieces are, and how many of one file are in flight.
const PIECE: u64 = 512 << 10;
const IN_FLIGHT: usize = 8;
/// How many of all files are in flight over one connection.
const ROOM: usize = 32;

/// Where a WRITE's data stands in its message: behind the header and its own fixed part.
const DATA_OFFSET: u16 = 64 + 48;

/// Bounds what one connection holds in memory.
pub(super) fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(ROOM))
}

pub(super) fn write(file: FileId, at: u64, data: Vec<u8>) -> Call {
    let len = data.len();
    let request = WriteRequest {
        data_offset: DATA_OFFSET,
        offset: at,
        file_id: file,
        channel: 0,
        remaining_bytes: 0,
        write_channel_info_offset: 0,
        write_channel_info_length: 0,
        flags: 0,
        data,
    };
    Call::sized(Command::Write, request, len)
}

/// Fails unless the server took all bytes of a WRITE.
pub(super) fn all_taken(answer: &WriteResponse, len: usize) -> Answer<()> {
    match answer.count as usize == len {
        true => Ok(()),
        false => Err(smb2::Error::invalid_data("the server took fewer bytes than it was given")),
    }
}

/// A new file that is being written. When it is dropped the file is closed as it is.
pub(super) struct Upload {
    pieces: mpsc::Sender<Vec<u8>>,
    /// Less than a piece.
    gathered: Vec<u8>,
    piece: usize,
    /// Says that all bytes were given, and which time the file gets.
    end: oneshot::Sender<Option<u64>>,
    writing: JoinHandle<Answer<()>>,
}

/// Makes a new file to be written in pieces, or opens the one to go on with. To be run to its end.
pub(super) async fn begin(link: Lease, path: String, progress: Progress) -> Answer<Upload> {
    let access = Access::FILE_WRITE_DATA | Access::FILE_WRITE_ATTRIBUTES | Access::DELETE;
    let request = match progress.from() {
        0 => make(link.at(&path), access, NO_DIRECTORY),
        _ => open(link.at(&path), access, NO_DIRECTORY),
    };
    let done = link.compound(request, Vec::new(), End::StaysOpen).await?;
    // A server that went down meanwhile may have lost what it had taken.
    if done.opened.end_of_file < progress.from() {
        link.close(done.opened.file_id).await?;
        return Err(smb2::Error::invalid_data("the server lost what it had taken"));
    }
    let most = link.connection.params().map_or(1 << 16, |params| params.max_write_size);
    let piece = PIECE.min(u64::from(most)).max(1) as usize;
    let ((pieces, arriving), (end, ended)) = (mpsc::channel(1), oneshot::channel());
    let writing = tokio::spawn(write_all(link, done.opened.file_id, arriving, ended, progress));
    Ok(Upload { pieces, gathered: Vec::new(), piece, end, writing })
}

impl Upload {
    /// Takes bytes; false if there is no point in giving more, and [`Upload::finish`] tells why.
    pub async fn push(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.gathered.capacity() == 0 {
                self.gathered.reserve_exact(self.piece);
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.piece - self.gathered.len()));
            self.gathered.extend_from_slice(now);
            bytes = later;
            if self.gathered.len() == self.piece && !self.send().await {
                return false;
            }
        }
        true
    }

    async fn send(&mut self) -> bool {
        self.pieces.send(std::mem::take(&mut self.gathered)).await.is_ok()
    }

    /// Ends it: all bytes and the time are safe on the server's disk.
    pub async fn finish(mut self, mtime: Option<u64>) -> Answer<()> {
        if !self.gathered.is_empty() {
            self.send().await;
        }
        let Self { pieces, end, writing, .. } = self;
        let _ = end.send(mtime);
        drop(pieces);
        writing.await.unwrap_or(Err(smb2::Error::Disconnected))
    }

    /// Gives it up, and returns when the file is closed.
    pub async fn abandon(self) {
        let Self { pieces, end, writing, .. } = self;
        drop((pieces, end));
        let _ = writing.await;
    }
}

/// Writes what arrives until nothing more does; then closes the file, and before that, if all has arrived, sets its time
/// and makes it safe.
async fn write_all(
    link: Lease,
    file: FileId,
    pieces: mpsc::Receiver<Vec<u8>>,
    ended: oneshot::Receiver<Option<u64>>,
    progress: Progress,
) -> Answer<()> {
    let written = match write_pieces(&link, file, pieces, &progress).await {
        Ok(()) => match ended.await {
            Ok(mtime) => link.settle(file, mtime).await,
            // Nobody wants it any more.
            Err(_) => Err(smb2::Error::Cancelled),
        },
        Err(error) => Err(error),
    };
    let closed = link.close(file).await.map(drop);
    written.and(closed)
}

/// After a failure no more are sent, and those in flight are waited for: a file with requests in flight stays open.
async fn write_pieces(
    link: &Link,
    file: FileId,
    mut pieces: mpsc::Receiver<Vec<u8>>,
    progress: &Progress,
) -> Answer<()> {
    let mut in_flight = FuturesUnordered::new();
    let (mut at, mut more, mut outcome) = (progress.from(), true, Ok(()));
    // Where those begin that the server has not taken yet.
    let mut waiting = BTreeSet::new();
    loop {
        let next = async {
            let room = link.room.clone().acquire_owned().await.expect("it stays open");
            pieces.recv().await.map(|data| (room, data))
        };
        tokio::select! {
            arrived = next, if more && in_flight.len() < IN_FLIGHT => match arrived {
                Some((room, data)) => {
                    let (from, len) = (at, data.len());
                    at += len as u64;
                    waiting.insert(from);
                    in_flight.push(async move {
                        let answer = link.call::<WriteResponse>(write(file, from, data)).await;
                        drop(room);
                        all_taken(&answer?, len).map(|()| from)
                    });
                }
                None => more = false,
            },
            Some(written) = in_flight.next() => {
                more &= written.is_ok();
                match written {
                    Ok(from) => {
                        waiting.remove(&from);
                        progress.note(waiting.first().copied().unwrap_or(at));
                    }
                    Err(error) => outcome = outcome.and(Err(error)),
                }
            }
            else => return outcome,
        }
    }
}

impl Link {
    /// Sets the time of an open file, and makes all of it safe on the server's disk.
    async fn settle(&self, file: FileId, mtime: Option<u64>) -> Answer<()> {
        let mut calls: Vec<Call> = mtime.map(|ticks| set_mtime_of(file, ticks)).into_iter().collect();
        // Last: flushing waits, and a server may not wait in the midst of a message.
        calls.push(Call::new(Command::Flush, FlushRequest { file_id: file }));
        self.together(&calls).await?.iter().try_for_each(checked)
    }
}
