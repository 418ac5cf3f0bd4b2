//! What takes more than one request: setting metadata, taking another file's place, finding out why something failed.

use sitta_tree::{Meta, Time};

use super::packet::{Ask, Attrs, Reply, Request};
use super::protocol::SftpProtocol;
use super::session::{Failure, Session};
use super::site::{self, Site};
use crate::{Error, ErrorKind, TEMP_PREFIX};

impl SftpProtocol {
    /// What to set of `meta`, in order: a change of owner would take back the special bits of a mode.
    pub(super) fn settings(&self, mode: Option<u32>, meta: &Meta, mtime: Option<Time>, owner: bool) -> Vec<Attrs> {
        let owner = Attrs { owner: (self.owners && owner).then_some((meta.uid, meta.gid)), ..Attrs::default() };
        let rest = Attrs { mode, times: mtime.map(site::times), ..Attrs::default() };
        [owner, rest].into_iter().filter(|attrs| *attrs != Attrs::default()).collect()
    }

    /// The same for something new: fields that are 0 were not told.
    pub(super) fn settings_of_new(&self, meta: &Meta) -> Vec<Attrs> {
        let mode = (meta.mode != 0).then_some(meta.mode);
        let mtime = (meta.mtime != Time::default()).then_some(meta.mtime);
        self.settings(mode, meta, mtime, (meta.uid, meta.gid) != (0, 0))
    }

    /// Sets each of `settings` of what stands at a path; never through a link there.
    pub(super) async fn set(
        &self,
        site: &Site,
        session: &Session,
        link: bool,
        settings: &[Attrs],
    ) -> Result<(), Failure> {
        let request = |attrs| match link {
            true => Request::extended("lsetstat@openssh.com").string(&site.full).attrs(attrs),
            false => Request::at(Ask::Setstat, &site.full).attrs(attrs),
        };
        let answers: Vec<_> = settings.iter().map(|attrs| session.send(request(attrs))).collect();
        for answer in answers {
            answer.done().await?;
        }
        Ok(())
    }

    /// Version 3 has one code for all that fails: the reason is found out.
    pub(super) async fn why(&self, site: &Site, session: &Session, failure: Failure) -> Error {
        if !Site::is_vague(&failure) || !session.extensions.statvfs {
            return site.told(failure);
        }
        let above = site.path.parent().unwrap_or_default();
        let asked = Request::extended("statvfs@openssh.com").string(&self.site(&above).full);
        if let Ok(Reply::Extended(mut fields)) = session.send(asked).reply().await {
            let numbers: Vec<u64> = std::iter::from_fn(|| fields.u64()).take(11).collect();
            // Sizes of blocks, blocks, free ones, free ones for us, files, free ones, ones for us, id, flags.
            if let [_, _, _, _, blocks, _, _, files, _, flags, _] = numbers[..] {
                if flags & 1 != 0 {
                    return site.error(ErrorKind::ReadOnly, "the file system is read-only");
                }
                if blocks == 0 || (files == 0 && numbers[5] != 0) {
                    return site.error(ErrorKind::Full, "no space left on the server");
                }
            }
        }
        site.told(failure)
    }

    /// Puts `from` in the place of `to` on a server that cannot do that in one step: the old file goes aside first and
    /// comes back if the new one cannot take its place, so at any moment both are there, under some name.
    pub(super) async fn replace_in_steps(&self, from: &Site, to: &Site, session: &Session) -> Result<(), Failure> {
        let aside = to.path.parent().unwrap_or_default();
        let name = format!("{TEMP_PREFIX}old-{:016x}", number_of(&to.full, &from.full));
        let Ok(aside) = aside.join(name.as_bytes()) else { return Err(Failure::Nonsense) };
        let aside = self.site(&aside);
        let moved = rename(session, &to.full, &aside.full).await;
        match moved {
            Err(failure) if !Site::is_missing(&failure) => return Err(failure),
            _ => {}
        }
        match rename(session, &from.full, &to.full).await {
            Ok(()) if moved.is_ok() => {
                // What cannot be removed now goes at the next run.
                let _ = self.plain(Ask::Remove, &aside, session).await;
                Ok(())
            }
            Err(failure) if moved.is_ok() => {
                let _ = rename(session, &aside.full, &to.full).await;
                Err(failure)
            }
            done => done,
        }
    }
}

pub(super) async fn rename(session: &Session, from: &[u8], to: &[u8]) -> Result<(), Failure> {
    session.send(Request::at(Ask::Rename, from).string(to)).done().await
}

pub(super) async fn posix_rename(session: &Session, from: &[u8], to: &[u8]) -> Result<(), Failure> {
    session.send(Request::extended("posix-rename@openssh.com").string(from).string(to)).done().await
}

/// A number of its own for each pair of names.
fn number_of(one: &[u8], other: &[u8]) -> u64 {
    use std::hash::BuildHasher;
    std::hash::RandomState::new().hash_one((one, other))
}
