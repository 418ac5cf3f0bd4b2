//! What stands where.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use sitta_tree::{Entry, Kind};

use super::packet::{Ask, Attrs, Reply, Request};
use super::protocol::untold;
use super::session::{Failure, Session};
use super::site::{self, Site};
use super::transfer::Handle;
use crate::{ErrorKind, Result};

/// Requests for the next names that are on their way at most; a server answers with about a hundred at a time.
const ON_THE_WAY: usize = 32;
/// Links whose targets are asked for at once.
const LINKS: usize = 64;
/// The longest path that servers look at: OpenSSH leaves out, without a word, what is longer.
const LONGEST_PATH: usize = 4096;
/// The longest name.
const LONGEST_NAME: usize = 255;

/// What stands at a path, with a link's target.
pub(super) async fn facts(session: &Session, ask: Ask, path: &[u8], owners: bool) -> Result<Entry, Failure> {
    let attrs = match session.send(Request::at(ask, path)).reply().await? {
        Reply::Attrs(attrs) => attrs,
        other => return Err(other.into()),
    };
    let mut entry = site::entry(&attrs, owners).unwrap_or_else(untold);
    if entry.kind == Kind::Symlink {
        entry.target = target(session, path).await?;
    }
    Ok(entry)
}

async fn target(session: &Session, path: &[u8]) -> Result<Box<[u8]>, Failure> {
    match session.send(Request::at(Ask::Readlink, path)).reply().await? {
        Reply::Names(names) => match names.first() {
            Some((target, _)) => Ok(target.to_vec().into()),
            None => Err(Failure::Nonsense),
        },
        other => Err(other.into()),
    }
}

/// All entries of a directory but `.` and `..`.
pub(super) async fn list(site: &Site, session: &Arc<Session>, owners: bool) -> Result<Vec<(Box<[u8]>, Entry)>> {
    let told = |failure| site.told(failure);
    if site.full.len() + 1 + LONGEST_NAME >= LONGEST_PATH {
        let what = "the path is so long that the server could leave out names below it";
        return Err(site.error(ErrorKind::Unsupported, what));
    }
    // The root may be a link itself; all else is what it is.
    let looking = (!site.path.is_root()).then(|| session.send(Request::at(Ask::Lstat, &site.full)));
    let opening = session.send(Request::at(Ask::Opendir, &site.full));
    if let Some(looking) = looking {
        match looking.reply().await.map_err(told)? {
            Reply::Attrs(attrs) if site::entry(&attrs, false).is_none_or(|entry| entry.kind == Kind::Dir) => {}
            Reply::Attrs(_) => return Err(site.error(ErrorKind::NotADirectory, "it is no directory")),
            other => return Err(told(other.into())),
        }
    }
    let mut handle = Handle::opened(session, opening).await.map_err(told)?;
    let names = names(&handle).await.map_err(told)?;
    handle.close();
    // OpenSSH leaves out what it cannot look at: in a directory that may be listed but not entered, all. Then not even
    // the directory itself can be looked at.
    if !names.iter().any(|(name, _)| name == ".") {
        let itself = [&site.full[..], b"/."].concat();
        facts(session, Ask::Lstat, &itself, false).await.map_err(told)?;
    }
    let names = names.into_iter().filter(|(name, _)| name != "." && name != "..");
    let entries = stream::iter(names.map(|(name, attrs)| entry(site, session, name, attrs, owners)));
    let mut found = Vec::new();
    let mut entries = entries.buffer_unordered(LINKS);
    while let Some(entry) = entries.next().await {
        found.extend(entry.map_err(told)?);
    }
    Ok(found)
}

async fn names(handle: &Handle) -> Result<Vec<(Bytes, Attrs)>, Failure> {
    let mut found = Vec::new();
    let mut asked = VecDeque::from([handle.ask(Ask::Readdir), handle.ask(Ask::Readdir)]);
    let mut at_once = asked.len();
    while let Some(answer) = asked.pop_front() {
        match answer.reply().await? {
            Reply::Names(names) => {
                // Twice as many each time: small directories cost little, and large ones few round trips.
                at_once = (at_once * 2).min(ON_THE_WAY);
                found.extend(names);
                while asked.len() < at_once {
                    asked.push_back(handle.ask(Ask::Readdir));
                }
            }
            // The end; further ones say the same.
            Reply::Status { code: 1, .. } => break,
            other => return Err(other.into()),
        }
    }
    Ok(found)
}

/// One entry; none if it has vanished meanwhile.
async fn entry(
    site: &Site,
    session: &Session,
    name: Bytes,
    attrs: Attrs,
    owners: bool,
) -> Result<Option<(Box<[u8]>, Entry)>, Failure> {
    let mut entry = match site::entry(&attrs, owners) {
        Some(entry) if entry.kind != Kind::Symlink => return Ok(Some((name.to_vec().into(), entry))),
        known => known,
    };
    let slash: &[u8] = if site.full.ends_with(b"/") { b"" } else { b"/" };
    // What is no name is told as it is, and nothing is asked about it.
    if name.is_empty() || name.contains(&b'/') || name.contains(&0) {
        return Ok(Some((name.to_vec().into(), untold())));
    }
    let path = [&site.full[..], slash, &name[..]].concat();
    let found = match &mut entry {
        Some(link) => target(session, &path).await.map(|target| {
            link.target = target;
            link.clone()
        }),
        None => facts(session, Ask::Lstat, &path, owners).await,
    };
    match found {
        Ok(entry) => Ok(Some((name.to_vec().into(), entry))),
        Err(failure) if Site::is_missing(&failure) => Ok(None),
        Err(failure @ Failure::Lost(_)) => Err(failure),
        Err(_) => Ok(Some((name.to_vec().into(), untold()))),
    }
}
