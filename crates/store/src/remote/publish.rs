//! New things are made beside their targets and renamed into place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use sitta_tree::{ContentHash, Entry, Kind, Meta, RelPath};

use super::{Progress, Protocol, RemoteStore};
use crate::body::Body;
use crate::wrap::Backoff;
use crate::{Displaced, Error, ErrorKind, Fetched, Flow, Precondition, Result, Source, Store, Write, Written};

/// From this size on it is worth a request to see first whether the target is what is expected.
const LOOK_FIRST: u64 = 1 << 20;
/// What was seen longer ago is looked at again before anything is replaced.
const STALE: Duration = Duration::from_millis(500);

/// What stood at the target, and when that was seen.
struct Seen {
    old: Option<Entry>,
    at: Instant,
}

/// Whether a write is put in its place by renaming alone, and whether that replaces what stands there.
fn replaces(write: &Write, seen: Option<&Seen>) -> Option<bool> {
    let Some(seen) = seen else { return Some(false) };
    if seen.at.elapsed() > STALE && write.expect != Precondition::None {
        return None;
    }
    match &seen.old {
        None => Some(write.expect == Precondition::None),
        Some(old) => (old.kind != Kind::Dir && write.displaced == Displaced::Discard).then_some(true),
    }
}

/// Whether the way to the server broke, rather than anything at one of its ends.
fn is_cut(made: &Result<()>, body: &Body) -> bool {
    made.as_ref().is_err_and(|error| error.kind.is_transient()) && body.failed().is_none()
}

impl<P: Protocol> RemoteStore<P> {
    pub(super) async fn write_dir(&self, write: &Write) -> Result<Written> {
        let seen = self.look(write, true).await?;
        if let Some(old) = seen.as_ref().and_then(|seen| seen.old.as_ref()) {
            self.displace(&write.path, old.kind, &write.displaced, &write.expect).await?;
        }
        if let Err(error) = self.protocol.make_dir(&write.path, &write.meta).await {
            return Err(self.why_not(write, error).await);
        }
        self.written(&write.path, None).await
    }

    pub(super) async fn write_link(&self, write: &Write, target: &[u8]) -> Result<Written> {
        if !self.capabilities().traits.symlinks {
            return self
                .protocol
                .symlink(&write.path, target, &write.meta)
                .await
                .and(self.written(&write.path, None).await);
        }
        let seen = self.look(write, false).await?;
        let temp = self.temp(write).await?;
        let made = self.protocol.symlink(&temp, target, &write.meta).await;
        self.finish(write, &temp, made, seen, None).await
    }

    pub(super) async fn write_file(&self, write: &Write, source: &Source, flow: &Arc<Flow>) -> Result<Written> {
        let seen = self.look(write, source.size().is_none_or(|size| size >= LOOK_FIRST)).await?;
        let temp = self.temp(write).await?;
        let Fetched { bytes, meta, .. } = source.open(0).await?;
        let meta = meta.map_or(write.meta, |told| write.meta.or(&told));
        let (mut body, cancelled) = (Body::default(), self.error(ErrorKind::Cancelled, &write.path, "cancelled"));
        let mut bytes = body.watch(bytes, 0, flow, cancelled.clone());
        let places = self.protocol.places();
        if places > 0 && source.size().is_some_and(|size| size <= places) {
            // All bytes are vouched for before anything is made.
            let data: Bytes = bytes.try_collect::<Vec<_>>().await?.concat().into();
            if let Some(replace) = replaces(write, seen.as_ref()) {
                return match self.protocol.place(&temp, &write.path, replace, data, &meta).await {
                    Ok(entry) => Ok(Written { entry, content: body.content() }),
                    Err(error) => Err(self.give_up(write, &temp, error).await),
                };
            }
            bytes = stream::once(async { Ok(data) }).boxed();
        }
        let mut progress = Progress::default();
        let mut made = self.protocol.create(&temp, bytes, source.size(), &meta, &progress).await;
        // What is made while it is sent may come out otherwise the next time: it is begun anew.
        let may_go_on = source.size().is_some();
        while let Some(further) = progress.next().filter(|_| may_go_on && is_cut(&made, &body)) {
            Backoff::default().pause(1).await;
            progress = further;
            body = Body::default();
            let bytes = match source.open(0).await {
                Ok(Fetched { bytes, .. }) => body.watch(bytes, progress.from(), flow, cancelled.clone()),
                // The part that was sent is removed as after any other failure.
                Err(error) => {
                    made = Err(error);
                    break;
                }
            };
            let again = self.protocol.create(&temp, bytes, source.size(), &meta, &progress).await;
            // What cannot be gone on with is begun anew, by whoever tries again what was cut.
            let stuck = progress.next().is_none() && again.is_err() && body.failed().is_none();
            made = if stuck { made } else { again };
        }
        let made = match body.failed() {
            Some(error) => Err(error),
            None if made.is_ok() && !body.ended() => {
                Err(self.error(ErrorKind::Other, &write.path, "not all of its bytes were taken"))
            }
            None => made,
        };
        self.finish(write, &temp, made, seen, body.content()).await
    }

    /// What stands at the target of a write. Nothing is looked at where a rename that replaces nothing will tell anyway.
    async fn look(&self, write: &Write, always: bool) -> Result<Option<Seen>> {
        if write.expect == Precondition::Absent && !always && self.capabilities().atomic_preconditions {
            self.check_way(&write.path).await?;
            return Ok(None);
        }
        let old = self.expected(&write.path, &write.expect).await?;
        if old.as_ref().is_some_and(|old| old.kind == Kind::Dir) {
            self.must_be_empty(&write.path).await?;
        }
        Ok(Some(Seen { old, at: Instant::now() }))
    }

    /// Where it is made. What an earlier try has left there goes.
    async fn temp(&self, write: &Write) -> Result<RelPath> {
        let dir = write.path.parent().unwrap_or_default();
        let unnamed = |_| self.error(ErrorKind::Unsupported, &write.path, "its temporary cannot be named");
        let temp = dir.join(write.temp.as_bytes()).map_err(unnamed)?;
        if self.left.lock().expect("nobody panics with it").remove(&temp)
            && let Err(error) = self.remove_left(&temp).await
        {
            return Err(Error { path: Some(write.path.clone()), ..error });
        }
        Ok(temp)
    }

    /// Removes a temporary; if that cannot be now, it goes at the next try of the same write, or at the next run.
    async fn remove_left(&self, temp: &RelPath) -> Result<()> {
        match self.protocol.remove_file(temp).await {
            Err(error) if error.kind.is_transient() => {
                self.left.lock().expect("nobody panics with it").insert(temp.clone());
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Renames what was made into place; on any failure it is removed.
    async fn finish(
        &self,
        write: &Write,
        temp: &RelPath,
        made: Result<()>,
        seen: Option<Seen>,
        content: Option<ContentHash>,
    ) -> Result<Written> {
        let published = match made {
            Ok(()) => self.publish(write, temp, seen).await,
            Err(error) => Err(error),
        };
        match published {
            Ok(()) => self.written(&write.path, content).await,
            Err(error) => Err(self.give_up(write, temp, error).await),
        }
    }

    /// Removes the temporary of a write that failed, and says why it did.
    async fn give_up(&self, write: &Write, temp: &RelPath, error: Error) -> Error {
        let _ = self.remove_left(temp).await;
        let at_target = match &error.path {
            // The temporary is our own affair: the caller asked for the target.
            Some(path) if path == temp => Error { path: Some(write.path.clone()), ..error },
            _ => error,
        };
        self.why_not(write, at_target).await
    }

    /// Servers tell of a missing directory in many ways; the caller is told in one.
    async fn why_not(&self, write: &Write, error: Error) -> Error {
        let unclear = matches!(
            error.kind,
            ErrorKind::NotFound | ErrorKind::Other | ErrorKind::Denied | ErrorKind::NotADirectory
        );
        let Some(dir) = write.path.parent().filter(|_| unclear && error.path.as_ref() == Some(&write.path)) else {
            return error;
        };
        match self.stat(&dir).await {
            Ok(Some(above)) if above.kind != Kind::Dir => {
                self.error(ErrorKind::NotADirectory, &write.path, "what is above it is no directory")
            }
            Ok(None) => self.error(ErrorKind::NotFound, &write.path, "no such directory"),
            _ => error,
        }
    }

    async fn publish(&self, write: &Write, temp: &RelPath, seen: Option<Seen>) -> Result<()> {
        let Some(mut seen) = seen else { return self.protocol.rename(temp, &write.path, false).await };
        if seen.at.elapsed() > STALE && write.expect != Precondition::None {
            seen.old = self.expected(&write.path, &write.expect).await?;
        }
        let Some(old) = seen.old else {
            return self.protocol.rename(temp, &write.path, write.expect == Precondition::None).await;
        };
        if old.kind != Kind::Dir && write.displaced == Displaced::Discard {
            return self.protocol.rename(temp, &write.path, true).await;
        }
        self.displace(&write.path, old.kind, &write.displaced, &write.expect).await?;
        let placed = self.protocol.rename(temp, &write.path, false).await;
        if let (Err(_), Displaced::MoveTo(trash)) = (&placed, &write.displaced) {
            // The old version stands where it stood, unless somebody else came first.
            let _ = self.protocol.rename(trash, &write.path, false).await;
        }
        placed
    }

    async fn must_be_empty(&self, dir: &RelPath) -> Result<()> {
        match self.protocol.list(dir).await?.is_empty() {
            true => Ok(()),
            false => Err(self.error(ErrorKind::NotEmpty, dir, "the directory is not empty")),
        }
    }

    /// Makes way at `path`: what stands there goes, or goes to the trash. Somebody may have saved another version since
    /// it was looked at: what has come to the trash is looked at once more, and goes back if it is not what was expected.
    pub(super) async fn displace(
        &self,
        path: &RelPath,
        kind: Kind,
        displaced: &Displaced,
        expect: &Precondition,
    ) -> Result<()> {
        if kind == Kind::Dir {
            self.way.forget(path);
        }
        let Displaced::MoveTo(trash) = displaced else {
            return match kind {
                Kind::Dir => self.protocol.remove_dir(path).await,
                _ => self.protocol.remove_file(path).await,
            };
        };
        if kind == Kind::Dir {
            self.must_be_empty(path).await?;
        }
        let named = |error: Error| Error { path: Some(path.clone()), ..error };
        self.check_way(trash).await.or_else(|error| match error.kind {
            ErrorKind::NotFound => Ok(()),
            _ => Err(named(error)),
        })?;
        let moved = match self.protocol.rename(path, trash, false).await {
            Err(error) if error.kind != ErrorKind::Changed => {
                // Most often the trash has no such directory yet.
                self.make_dirs(trash.parent().unwrap_or_default()).await.map_err(named)?;
                self.protocol.rename(path, trash, false).await
            }
            moved => moved,
        };
        match moved {
            // What the directory held went to the trash before it.
            Err(error) if error.kind == ErrorKind::Changed && kind == Kind::Dir => {
                match self.protocol.stat(trash).await? {
                    Some(there) if there.kind == Kind::Dir => self.protocol.remove_dir(path).await,
                    _ => Err(named(error)),
                }
            }
            Ok(()) if kind != Kind::Dir => self.must_be_in_trash(path, trash, expect).await,
            moved => moved.map_err(named),
        }
    }

    async fn must_be_in_trash(&self, path: &RelPath, trash: &RelPath, expect: &Precondition) -> Result<()> {
        if !matches!(expect, Precondition::Version(_)) {
            return Ok(());
        }
        let there = self.protocol.stat(trash).await;
        let is_expected = there.map(|there| there.is_some_and(|entry| expect.admits_moved(&entry)));
        if let Ok(true) = is_expected {
            return Ok(());
        }
        let _ = self.protocol.rename(trash, path, false).await;
        match is_expected {
            Err(error) => Err(Error { path: Some(path.clone()), ..error }),
            Ok(_) => Err(self.error(ErrorKind::Changed, path, "it is not what was expected")),
        }
    }

    /// Makes a directory with those above it.
    async fn make_dirs(&self, dir: RelPath) -> Result<()> {
        let mut missing = Vec::new();
        let mut at = Some(dir);
        while let Some(dir) = at.filter(|dir| !dir.is_root()) {
            match self.protocol.stat(&dir).await? {
                Some(entry) if entry.kind == Kind::Dir => break,
                Some(_) => return Err(self.error(ErrorKind::NotADirectory, &dir, "no directory")),
                None => {}
            }
            at = dir.parent();
            missing.push(dir);
        }
        for dir in missing.iter().rev() {
            match self.protocol.make_dir(dir, &Meta::default()).await {
                // Somebody else, or another write of ours, made it meanwhile.
                Err(error) if error.kind != ErrorKind::Changed => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
