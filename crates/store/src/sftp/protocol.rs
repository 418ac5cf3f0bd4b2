//! What the driver asks for, in requests of SFTP.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use sitta_tree::{Entry, Fingerprint, Kind, Meta, RelPath, SideTraits, Unknown};

use super::listing;
use super::packet::{Ask, Attrs, Reply, Request, flags};
use super::pool::Pool;
use super::requests::{posix_rename, rename};
use super::session::{Failure, Session};
use super::site::Site;
use super::transfer::{self, Broken, Handle};
use crate::remote::{Progress, Protocol};
use crate::{ByteStream, Capabilities, Error, ErrorKind, Fetched, Result};

/// A folder of an SSH server.
#[derive(Debug)]
pub(super) struct SftpProtocol {
    pool: Arc<Pool>,
    /// The root on the server, without a slash at its end.
    root: Vec<u8>,
    /// Whether owners are told and set.
    pub(super) owners: bool,
    concurrency: usize,
    /// Temporaries that are plain files, made by us: these a server renames and checks in one step.
    files: Mutex<HashSet<RelPath>>,
}

impl SftpProtocol {
    pub fn new(pool: Arc<Pool>, root: Vec<u8>, owners: bool, concurrency: usize) -> Self {
        Self { pool, root, owners, concurrency, files: Mutex::default() }
    }

    fn files(&self) -> MutexGuard<'_, HashSet<RelPath>> {
        self.files.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(super) fn site(&self, path: &RelPath) -> Site {
        let mut full = self.root.clone();
        if !path.is_root() || full.is_empty() {
            full.push(b'/');
        }
        full.extend_from_slice(path.as_bytes());
        Site { location: self.pool.target().location.clone(), path: path.clone(), full }
    }

    async fn session(&self, path: &RelPath) -> Result<Arc<Session>> {
        self.pool.session().await.map_err(|error| Error { path: Some(path.clone()), ..error })
    }

    /// What is at a path and a session to ask.
    async fn at(&self, path: &RelPath) -> Result<(Site, Arc<Session>)> {
        Ok((self.site(path), self.session(path).await?))
    }

    /// A request with a path alone that is done or not.
    pub(super) async fn plain(&self, ask: Ask, site: &Site, session: &Session) -> Result<(), Failure> {
        session.send(Request::at(ask, &site.full)).done().await
    }

    async fn look(&self, site: &Site, session: &Session) -> Result<Option<Entry>> {
        // The root may be a link itself: whoever named it meant what it leads to.
        let ask = if site.path.is_root() { Ask::Stat } else { Ask::Lstat };
        match listing::facts(session, ask, &site.full, self.owners).await {
            Ok(entry) => Ok(Some(entry)),
            Err(failure) if Site::is_missing(&failure) => Ok(None),
            Err(failure) => Err(site.told(failure)),
        }
    }

    async fn open(&self, site: &Site, session: &Arc<Session>) -> Result<Handle, Failure> {
        Handle::opened(session, open_request(site, session)).await
    }

    /// A file that is about to be read.
    fn must_be_file(site: &Site, entry: &Entry) -> Result<()> {
        match entry.kind {
            Kind::File => Ok(()),
            Kind::Dir => Err(site.error(ErrorKind::IsADirectory, "it is a directory")),
            Kind::Symlink => Err(site.error(ErrorKind::Unsupported, "it is a symbolic link")),
            Kind::Unknown => {
                Err(site.error(ErrorKind::Unsupported, "it is neither a file, a directory nor a link"))
            }
        }
    }
}

fn open_request(site: &Site, session: &Session) -> super::session::Answer {
    session.send(Request::at(Ask::Open, &site.full).u32(flags::READ).attrs(&Attrs::default()))
}

#[async_trait]
impl Protocol for SftpProtocol {
    fn location(&self) -> &Arc<str> {
        &self.pool.target().location
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            traits: SideTraits {
                // Version 3 tells seconds.
                mtime_precision: 1_000_000_000,
                modes: true,
                owners: self.owners,
                xattrs: false,
                symlinks: true,
                dirs: true,
                folds_names: false,
                stable_ids: false,
            },
            rename: true,
            atomic_preconditions: true,
            hard_links: false,
            writable: true,
            lists_meta: true,
            verifies: false,
            concurrency: self.concurrency,
            batch: 128,
            batches: 2,
        }
    }

    fn requests(&self) -> u64 {
        self.pool.target().requests.load(Relaxed)
    }

    async fn list(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>> {
        let (site, session) = self.at(dir).await?;
        match listing::list(&site, &session, self.owners).await {
            // Servers say the same of what is no directory.
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Other) => {
                match self.look(&site, &session).await? {
                    Some(entry) if entry.kind != Kind::Dir => {
                        Err(site.error(ErrorKind::NotADirectory, "it is no directory"))
                    }
                    _ => Err(error),
                }
            }
            listed => listed,
        }
    }

    async fn stat(&self, path: &RelPath) -> Result<Option<Entry>> {
        let (site, session) = self.at(path).await?;
        self.look(&site, &session).await
    }

    async fn read(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream> {
        let (site, session) = self.at(path).await?;
        // First what it is: to open a fifo would hold up the server.
        let Some(entry) = self.look(&site, &session).await? else {
            return Err(site.error(ErrorKind::NotFound, "no such file"));
        };
        Self::must_be_file(&site, &entry)?;
        let handle = self.open(&site, &session).await.map_err(|failure| site.told(failure))?;
        Ok(transfer::read(site, handle, range, entry.size, None))
    }

    /// What it was seen to be a moment ago it is looked at and opened as, in one go.
    async fn fetch(&self, path: &RelPath, version: &Fingerprint, offset: u64) -> Result<Fetched> {
        let (site, session) = self.at(path).await?;
        let opening = open_request(&site, &session);
        let entry = self.look(&site, &session).await;
        let handle = Handle::opened(&session, opening).await;
        let Some(entry) = entry? else { return Err(site.error(ErrorKind::NotFound, "no such file")) };
        Self::must_be_file(&site, &entry)?;
        let handle = handle.map_err(|failure| site.told(failure))?;
        if !entry.fingerprint().same_version(version) {
            return Err(site.error(ErrorKind::Changed, "it is another version than was seen"));
        }
        let range = offset..version.size.max(offset);
        let bytes = transfer::read(site, handle, range, version.size, Some(*version));
        Ok(Fetched { bytes, meta: Some(entry.meta), pinned: true })
    }

    async fn create(
        &self,
        path: &RelPath,
        bytes: ByteStream,
        size: Option<u64>,
        meta: &Meta,
        progress: &Progress,
    ) -> Result<()> {
        let (site, session) = self.at(path).await?;
        match transfer::create(&session, &site.full, bytes, &self.settings_of_new(meta), progress).await {
            Ok(written) if size.is_none_or(|size| written == size) => {
                self.files().insert(path.clone());
                Ok(())
            }
            Ok(_) => Err(site.error(ErrorKind::Changed, "it had another size than was told")),
            Err(Broken::Bytes(error)) => Err(error),
            Err(Broken::Server(failure)) => {
                if Site::is_vague(&failure)
                    && self.look(&site, &session).await?.is_some_and(|e| e.kind != Kind::File)
                {
                    return Err(site.error(ErrorKind::Changed, "something stands there already"));
                }
                Err(self.why(&site, &session, failure).await)
            }
        }
    }

    async fn symlink(&self, path: &RelPath, target: &[u8], meta: &Meta) -> Result<()> {
        let (site, session) = self.at(path).await?;
        // OpenSSH takes the two in the opposite order of the draft's, and all others have followed it.
        let made = session.send(Request::at(Ask::Symlink, target).string(&site.full)).done().await;
        if let Err(failure) = made {
            return Err(self.why(&site, &session, failure).await);
        }
        if session.extensions.lsetstat {
            let settings = self.settings_of_new(&Meta { mode: 0, ..*meta });
            self.set(&site, &session, true, &settings).await.map_err(|failure| site.told(failure))?;
        }
        Ok(())
    }

    async fn make_dir(&self, path: &RelPath, meta: &Meta) -> Result<()> {
        let (site, session) = self.at(path).await?;
        let mode = if meta.mode == 0 { 0o777 } else { meta.mode & 0o777 };
        let attrs = Attrs { mode: Some(mode), ..Attrs::default() };
        let made = session.send(Request::at(Ask::Mkdir, &site.full).attrs(&attrs)).done().await;
        match made {
            Ok(()) => {}
            Err(failure) if Site::is_vague(&failure) => {
                return match self.look(&site, &session).await? {
                    Some(_) => Err(site.error(ErrorKind::Changed, "something stands there already")),
                    None => Err(self.why(&site, &session, failure).await),
                };
            }
            Err(failure) => return Err(site.told(failure)),
        }
        let settings = self.settings_of_new(meta);
        self.set(&site, &session, false, &settings).await.map_err(|failure| site.told(failure))
    }

    /// Without `replace`, OpenSSH renames files by a hard link, which fails if anything stands there: one step. All
    /// else it looks at first, through links; so that is looked at here.
    async fn rename(&self, from: &RelPath, to: &RelPath, replace: bool) -> Result<()> {
        let (site, session) = self.at(to).await?;
        let from_site = self.site(from);
        let ours = self.files().remove(from);
        let taken = || site.error(ErrorKind::Changed, "something stands there already");
        let result = match replace {
            true if session.extensions.posix_rename => posix_rename(&session, &from_site.full, &site.full).await,
            true => self.replace_in_steps(&from_site, &site, &session).await,
            false => {
                if !ours && self.look(&site, &session).await?.is_some() {
                    return Err(taken());
                }
                rename(&session, &from_site.full, &site.full).await
            }
        };
        let Err(failure) = result else { return Ok(()) };
        match failure {
            Failure::Status { code: 3 | 4, .. } if !replace => match self.look(&site, &session).await? {
                Some(_) => Err(taken()),
                // Hard links to what belongs to others may be forbidden; a rename is not.
                None if session.extensions.posix_rename => {
                    match posix_rename(&session, &from_site.full, &site.full).await {
                        Ok(()) => Ok(()),
                        Err(failure) => Err(self.why(&site, &session, failure).await),
                    }
                }
                None => Err(self.why(&site, &session, failure).await),
            },
            failure => Err(self.why(&site, &session, failure).await),
        }
    }

    async fn remove_file(&self, path: &RelPath) -> Result<()> {
        let (site, session) = self.at(path).await?;
        self.files().remove(path);
        match self.plain(Ask::Remove, &site, &session).await {
            Ok(()) => Ok(()),
            Err(failure) if Site::is_vague(&failure) => match self.look(&site, &session).await? {
                Some(entry) if entry.kind == Kind::Dir => {
                    Err(site.error(ErrorKind::IsADirectory, "it is a directory"))
                }
                _ => Err(self.why(&site, &session, failure).await),
            },
            Err(failure) => Err(site.told(failure)),
        }
    }

    async fn remove_dir(&self, path: &RelPath) -> Result<()> {
        let (site, session) = self.at(path).await?;
        match self.plain(Ask::Rmdir, &site, &session).await {
            Ok(()) => Ok(()),
            Err(failure) if Site::is_vague(&failure) => match self.list(path).await {
                Ok(entries) if !entries.is_empty() => {
                    Err(site.error(ErrorKind::NotEmpty, "the directory is not empty"))
                }
                Err(error) if error.kind == ErrorKind::NotADirectory => Err(error),
                _ => Err(self.why(&site, &session, failure).await),
            },
            Err(failure) => Err(site.told(failure)),
        }
    }

    async fn set_meta(&self, path: &RelPath, kind: Kind, meta: &Meta) -> Result<()> {
        let (site, session) = self.at(path).await?;
        let link = kind == Kind::Symlink;
        if link && !session.extensions.lsetstat {
            return Err(site.error(ErrorKind::Unsupported, "this server cannot set the times of symbolic links"));
        }
        let settings = self.settings((!link).then_some(meta.mode), meta, Some(meta.mtime), true);
        match self.set(&site, &session, link, &settings).await {
            Ok(()) => Ok(()),
            Err(failure) => Err(self.why(&site, &session, failure).await),
        }
    }

    async fn create_root(&self) -> Result<()> {
        let root = RelPath::root();
        let (site, session) = self.at(&root).await?;
        let mut missing = Vec::new();
        let mut at = site.full.clone();
        loop {
            match listing::facts(&session, Ask::Stat, &at, false).await {
                Ok(entry) if entry.kind == Kind::Dir => break,
                Ok(_) => return Err(site.error(ErrorKind::NotADirectory, "what stands there is no directory")),
                Err(failure) if Site::is_missing(&failure) => {}
                Err(failure) => return Err(site.told(failure)),
            }
            let above = at.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            missing.push(at.clone());
            if above == 0 {
                break;
            }
            at.truncate(above);
        }
        for dir in missing.iter().rev() {
            let attrs = Attrs { mode: Some(0o777), ..Attrs::default() };
            let made = session.send(Request::at(Ask::Mkdir, dir).attrs(&attrs)).done().await;
            if let Err(failure) = made {
                match listing::facts(&session, Ask::Stat, dir, false).await {
                    // Somebody else was faster.
                    Ok(entry) if entry.kind == Kind::Dir => {}
                    _ => return Err(self.why(&site, &session, failure).await),
                }
            }
        }
        Ok(())
    }
}

/// The login directory, as the server names it.
pub(super) async fn home(session: &Session) -> Result<Bytes, Failure> {
    match session.send(Request::at(Ask::Realpath, b".")).reply().await? {
        Reply::Names(names) => names.into_iter().next().map(|(name, _)| name).ok_or(Failure::Nonsense),
        other => Err(other.into()),
    }
}

/// What an entry is that the server does not tell of.
pub(super) fn untold() -> Entry {
    Entry::unknown(Unknown::Unreadable)
}
