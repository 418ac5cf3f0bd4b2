//! Compressing in parallel: blocks of about a MiB each, on their own, in any order; what comes of them is put in order
//! again. Memory is bounded by how many blocks are under way.
//!
//! Every block of a tar is a gzip member or a zstd frame of its own, which standard tools read as one stream: RFC 1952
//! (2.2) and RFC 8878 (3.1) allow any number of them.

use std::cell::RefCell;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use libdeflater::{CompressionLvl, Compressor};
use sitta_store::{ByteStream, Error, Result};
use tokio::sync::mpsc;

use super::format::Format;
use super::zip::{Directory, Record};

/// What one piece of work gives.
pub(super) enum Block {
    /// Bytes.
    Plain(Vec<u8>),
    /// Whole members of a zip, each with where in these bytes it begins.
    Members(Vec<u8>, Vec<(usize, Record)>),
    /// A member of a zip begins, whose bytes follow in parts.
    Begin(Record),
    /// A part of it, and the sum of what was compressed.
    Part(Vec<u8>, crc32fast::Hasher),
    /// Its end.
    End,
    /// The end of all: without it, something went wrong.
    Last,
}

/// One piece of work, for any thread.
pub(super) type Job = Box<dyn FnOnce() -> Result<Block, String> + Send>;

/// Where work is handed in, in order; or what ends it all.
pub(super) type Jobs = mpsc::Sender<Result<Job>>;

/// So many pieces of finished work wait at most for whoever takes them.
const READY: usize = 4;

thread_local! {
    /// What compressors work with is large, and made once for a thread.
    static ZSTD: RefCell<Option<(i32, zstd::bulk::Compressor<'static>)>> = const { RefCell::new(None) };
    static DEFLATE: RefCell<Option<(i32, Compressor)>> = const { RefCell::new(None) };
}

/// How much stands in one block of a tar. Higher levels find more in larger ones.
pub(super) fn block_size(format: Format, level: i32) -> usize {
    match (format, level) {
        (Format::TarZstd, 10..) => 8 << 20,
        (Format::TarZstd, 6..) => 2 << 20,
        _ => 1 << 20,
    }
}

/// A block as a member or frame of its own.
pub(super) fn compress(format: Format, level: i32, block: &[u8]) -> Result<Vec<u8>, String> {
    match format {
        Format::TarZstd => zstd(level, block),
        Format::TarGzip => deflate(level, block, Wrapping::Gzip),
        Format::Zip => deflate(level, block, Wrapping::None),
    }
}

fn zstd(level: i32, block: &[u8]) -> Result<Vec<u8>, String> {
    ZSTD.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some((known, compressor)) if *known == level => compressor,
            _ => {
                let mut compressor = zstd::bulk::Compressor::new(level).map_err(|e| e.to_string())?;
                compressor.include_checksum(true).map_err(|e| e.to_string())?;
                &mut kept.insert((level, compressor)).1
            }
        };
        compressor.compress(block).map_err(|e| e.to_string())
    })
}

enum Wrapping {
    Gzip,
    None,
}

fn deflate(level: i32, block: &[u8], wrapping: Wrapping) -> Result<Vec<u8>, String> {
    DEFLATE.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some((known, compressor)) if *known == level => compressor,
            _ => {
                let allowed = CompressionLvl::new(level).map_err(|_| format!("there is no level {level}"))?;
                &mut kept.insert((level, Compressor::new(allowed))).1
            }
        };
        let most = match wrapping {
            Wrapping::Gzip => compressor.gzip_compress_bound(block.len()),
            Wrapping::None => compressor.deflate_compress_bound(block.len()),
        };
        let mut out = vec![0; most];
        let written = match wrapping {
            Wrapping::Gzip => compressor.gzip_compress(block, &mut out),
            Wrapping::None => compressor.deflate_compress(block, &mut out),
        };
        out.truncate(written.map_err(|e| e.to_string())?);
        Ok(out)
    })
}

/// A part of a deflated stream, which ends at a byte: parts are compressed on their own and stand one behind the other.
pub(super) fn deflate_part(level: i32, part: &[u8], last: bool) -> Result<Vec<u8>, String> {
    let level = flate2::Compression::new(level.clamp(1, 9) as u32);
    let mut compressor = flate2::Compress::new(level, false);
    let mut out = Vec::with_capacity(part.len() + part.len() / 1000 + 1024);
    let flush = if last { flate2::FlushCompress::Finish } else { flate2::FlushCompress::Sync };
    loop {
        let from = compressor.total_in() as usize;
        let status = compressor.compress_vec(&part[from..], &mut out, flush).map_err(|e| e.to_string())?;
        let done = match status {
            flate2::Status::StreamEnd => true,
            _ => !last && compressor.total_in() as usize == part.len() && out.len() < out.capacity(),
        };
        if done {
            return Ok(out);
        }
        out.reserve(64 << 10);
    }
}

/// What comes of the work, in order. `directory` is that of a zip. Ends with what ends the work, or with the end of
/// all of it.
pub(super) fn ordered(
    jobs: mpsc::Receiver<Result<Job>>,
    threads: usize,
    mut directory: Option<Directory>,
    failed: impl Fn(String) -> Error + Send + Sync + 'static,
) -> ByteStream {
    let (ready, taken) = mpsc::channel::<Result<Bytes>>(READY);
    // In a task of its own: work goes on while whoever takes the bytes waits for a server.
    tokio::spawn(async move {
        let work = stream::unfold(jobs, |mut jobs| async move { Some((jobs.recv().await?, jobs)) });
        let mut done = work.map(carry_out).buffered(threads).boxed();
        while let Some(block) = done.next().await {
            let bytes = match block {
                Ok(Ok(Block::Last)) => {
                    if let Some(directory) = directory {
                        let _ = ready.send(Ok(directory.finish().into())).await;
                    }
                    return;
                }
                Ok(Ok(block)) => Ok(put(block, directory.as_mut())),
                Ok(Err(why)) => Err(failed(why)),
                Err(error) => Err(error),
            };
            let broken = bytes.is_err();
            // Nobody takes it any more, or there is no more.
            if ready.send(bytes).await.is_err() || broken {
                return;
            }
        }
        let _ = ready.send(Err(failed("packing stopped in the middle".to_owned()))).await;
    });
    stream::unfold(taken, |mut taken| async move { Some((taken.recv().await?, taken)) }).boxed()
}

async fn carry_out(job: Result<Job>) -> Result<Result<Block, String>> {
    let done = tokio::task::spawn_blocking(job?).await;
    Ok(done.unwrap_or_else(|stopped| Err(stopped.to_string())))
}

/// A block's bytes, and what the directory has to know of them.
fn put(block: Block, directory: Option<&mut Directory>) -> Bytes {
    let Some(directory) = directory else {
        return match block {
            Block::Plain(bytes) => bytes.into(),
            _ => Bytes::new(),
        };
    };
    let bytes = match block {
        Block::Plain(bytes) => bytes,
        Block::Members(bytes, members) => {
            members.into_iter().for_each(|(ahead, record)| directory.add(record, ahead));
            bytes
        }
        Block::Begin(record) => {
            let mut bytes = Vec::new();
            record.write_local(&mut bytes);
            directory.begin(record);
            bytes
        }
        Block::Part(bytes, crc32) => {
            directory.part(&crc32, bytes.len());
            bytes
        }
        Block::End => {
            let mut bytes = Vec::new();
            directory.end_of_member(&mut bytes);
            bytes
        }
        Block::Last => Vec::new(),
    };
    directory.wrote(bytes.len());
    bytes.into()
}
