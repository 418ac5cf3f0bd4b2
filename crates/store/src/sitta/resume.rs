//! Uploads that go on where they were cut off: the server keeps what has arrived for a while, under a name that only the
//! same bytes on their way to the same place have.

use serde::Deserialize;
use sitta_tree::RelPath;

use super::client::Client;
use super::wire::{WireChange, WireWhat, tag};
use crate::{ErrorKind, Result, Source};

/// Smaller files begin anew: to ask would cost as much.
const LEAST: u64 = 8 << 20;

/// What the server says of an upload.
#[derive(Debug, Deserialize)]
struct Received {
    id: String,
    received: u64,
}

/// The change as an upload that can be gone on with, and how many bytes of it are there already.
pub(super) async fn resumable(
    client: &Client,
    path: &RelPath,
    change: WireChange,
    source: &Source,
) -> Result<(WireChange, u64)> {
    let (Some(id), Some(size)) = (name(source), source.size()) else { return Ok((change, 0)) };
    if size < LEAST || !client.resumes {
        return Ok((change, 0));
    }
    let from = match client.get::<Received>("uploads", path).await {
        Ok(there) if there.id == id && there.received <= size => there.received,
        Ok(_) => 0,
        Err(error) if error.kind == ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let mut change = change;
    if let WireChange::Write { what, .. } = &mut change {
        *what = WireWhat::Resumable { size, id, from };
    }
    Ok((change, from))
}

/// What tells these bytes from all others; none if nothing does.
fn name(source: &Source) -> Option<String> {
    let Source::Stored { store, path, version } = source else { return None };
    let mut hasher = blake3::Hasher::new_derive_key("sitta 2026 names of uploads");
    // No part but the last can hold a NUL byte.
    for part in [store.location().as_bytes(), tag(version).as_bytes()] {
        hasher.update(part).update(b"\0");
    }
    Some(hasher.update(path.as_bytes()).finalize().to_hex().to_string())
}
