//! Makes an archive of what a store holds, as often as it takes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use sitta_store::{ByteStream, Error, ErrorKind, Flow, Maker, Result, Store, Xattrs};
use sitta_tree::{Kind, Problem, ProblemKind, RelPath};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::feed::{Feed, WHOLE};
use super::format::Format;
use super::members::{Member, Members};
use super::squeeze::{Jobs, ordered};
use super::write::{Content, Stop, Writer};
use super::zip::{Directory, LONGEST_NAME};

/// What went into an archive, and what could not.
#[derive(Debug, Clone, Default)]
pub(super) struct Account {
    /// Files and links.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is not in it.
    pub problems: Vec<Problem>,
    /// A file that could not be read to its end, when a part of it was in the archive already: the archive is no good.
    pub torn: Option<Problem>,
    /// Why the source as a whole could not be read on.
    pub failed: Option<Error>,
}

/// What is packed, and how.
#[derive(Debug, Clone)]
pub(super) struct Packer {
    pub source: Arc<dyn Store>,
    pub members: Members,
    pub format: Format,
    pub level: i32,
    pub flow: Arc<Flow>,
    /// Counts what was packed.
    pub packed: Arc<Flow>,
    /// What an earlier attempt could not read to its end.
    pub left_out: Arc<Mutex<Vec<Problem>>>,
    /// Of the attempt that was made last.
    pub account: Arc<Mutex<Account>>,
}

impl Packer {
    /// What became of the attempt that was made last.
    pub fn told(&self) -> Account {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn left_out(&self) -> HashSet<RelPath> {
        let left_out = self.left_out.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        left_out.iter().map(|problem| problem.path.clone()).collect()
    }

    /// Packs all members; on a thread that may block.
    fn pack(&self, handle: Handle, jobs: Jobs) {
        *self.lock() = Account::default();
        let packed_before = self.packed.bytes();
        let owned = self.source.capabilities().traits.owners;
        let mut writer = Writer::new(jobs, self.format, self.level, owned, &self.packed);
        let all = self.all(handle, &mut writer);
        if all.is_err() {
            // What was packed so far is packed once more, if it goes on.
            self.packed.take_back(self.packed.bytes().saturating_sub(packed_before));
        }
        match all {
            Ok(account) => {
                *self.lock() = account;
                let _ = writer.finish();
            }
            Err(Broken::Gone) => {}
            Err(Broken::Torn(problem, error)) => {
                self.lock().torn = Some(problem);
                writer.fail(error);
            }
            Err(Broken::Source(error)) => {
                self.lock().failed = Some(error.clone());
                writer.fail(error);
            }
        }
    }

    fn all(&self, handle: Handle, writer: &mut Writer) -> Result<Account, Broken> {
        let left_out = self.left_out();
        let small = self.small(&left_out);
        let mut feed = Feed::new(&self.source, handle.clone(), small).map_err(Broken::Source)?;
        let (mut account, mut unreadable) = (Account::default(), None);
        // The first name of files that have several.
        let mut first_names: HashMap<u64, Vec<u8>> = HashMap::new();
        for mut member in self.members.iter() {
            if self.flow.is_cancelled() {
                return Err(Broken::Source(self.error(ErrorKind::Cancelled, &member.path, "cancelled")));
            }
            if member.entry.kind == Kind::Unknown || left_out.contains(&member.path) {
                continue;
            }
            let name = self.members.name(&member.path).to_vec();
            if !self.format.is_tar() && name.len() >= LONGEST_NAME {
                let what = "its name is longer than a zip can hold";
                account.problems.push(Problem::new(member.path, ProblemKind::Unsupported, what));
                continue;
            }
            let linked = self.format.is_tar() && member.entry.linked && member.entry.id != 0;
            let same_as = first_names.get(&member.entry.id).filter(|_| linked).cloned();
            let added = self.add(&mut member, &name, same_as.as_deref(), &mut feed, &handle, writer, &mut account);
            match added {
                Ok(()) => {
                    if linked && same_as.is_none() {
                        first_names.insert(member.entry.id, name);
                    }
                    if member.entry.kind != Kind::Dir {
                        account.files += 1;
                        account.bytes += if same_as.is_some() { 0 } else { member.entry.size };
                    }
                }
                Err(Stop::Gone) => return Err(Broken::Gone),
                Err(Stop::Unread(error)) if is_whole(error.kind) => return Err(Broken::Source(error)),
                Err(Stop::Unread(error)) => {
                    account.problems.push(unread(&member.path, &error));
                    unreadable = Some(error);
                }
                Err(Stop::Torn(error)) if is_whole(error.kind) => return Err(Broken::Source(error)),
                Err(Stop::Torn(error)) => return Err(Broken::Torn(unread(&member.path, &error), error)),
            }
        }
        match unreadable {
            // Nothing of what was to be packed is there to be packed.
            Some(error) if account.files == 0 => Err(Broken::Source(error)),
            _ => Ok(account),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "it is one step of the loop above")]
    fn add(
        &self,
        member: &mut Member,
        name: &[u8],
        same_as: Option<&[u8]>,
        feed: &mut Feed,
        handle: &Handle,
        writer: &mut Writer,
        account: &mut Account,
    ) -> Result<(), Stop> {
        let mut xattrs = Xattrs::new();
        if member.entry.meta.xattrs != 0 && same_as.is_none() && self.format.is_tar() {
            match handle.block_on(self.source.xattrs(&member.path)) {
                Ok(found) => xattrs = found,
                Err(error) => {
                    let what = format!("packed without its extended attributes: {}", error.source);
                    account.problems.push(Problem::new(member.path.clone(), ProblemKind::Unreadable, what));
                }
            }
        }
        if member.entry.kind != Kind::File {
            self.settle_mode(member);
            return writer.add(member, name, Content::None, &xattrs);
        }
        if member.entry.size > WHOLE {
            if let Some(first) = same_as {
                return writer.add(member, name, Content::SameAs(first), &xattrs);
            }
            let mut pieces = feed.open(member).map_err(Stop::Unread)?;
            self.settle_mode(member);
            return writer.add(member, name, Content::Pieces(&mut pieces), &xattrs);
        }
        // Read though it is a link: what is fetched ahead comes in order.
        let is_local = self.source.as_local().is_some();
        if let Some(first) = same_as.filter(|_| is_local) {
            return writer.add(member, name, Content::SameAs(first), &xattrs);
        }
        let whole = feed.whole(member).map_err(Stop::Unread)?;
        self.settle_mode(member);
        match same_as {
            Some(first) => writer.add(member, name, Content::SameAs(first), &xattrs),
            None => writer.add(member, name, Content::Whole(whole.as_ref()), &xattrs),
        }
    }

    /// A mode that nobody told, once all is told that will be.
    fn settle_mode(&self, member: &mut Member) {
        let told = self.source.as_local().is_some() || member.entry.meta.mode != 0;
        if !told || !self.source.capabilities().traits.modes {
            member.entry.meta.mode = usual_mode(member.entry.kind);
        }
    }

    /// The files that are read whole, in order.
    fn small(&self, left_out: &HashSet<RelPath>) -> impl Iterator<Item = Member> + Send + use<> {
        let longest = if self.format.is_tar() { usize::MAX } else { LONGEST_NAME };
        let (members, left_out) = (self.members.clone(), left_out.clone());
        self.members.iter().filter(move |member| {
            let is_small = member.entry.kind == Kind::File && member.entry.size <= WHOLE;
            is_small && !left_out.contains(&member.path) && members.name(&member.path).len() < longest
        })
    }

    fn error(&self, kind: ErrorKind, path: &RelPath, what: &str) -> Error {
        Error::new(kind, &self.source.location().into(), path.clone(), what)
    }
}

/// Why no archive was made.
enum Broken {
    Torn(Problem, Error),
    Source(Error),
    Gone,
}

/// Whether a failure is one of the whole source: what else it holds cannot be read either.
fn is_whole(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unreachable | ErrorKind::Auth | ErrorKind::Untrusted | ErrorKind::Cancelled)
}

fn unread(path: &RelPath, error: &Error) -> Problem {
    let what = match error.kind {
        ErrorKind::Changed => "changed while it was being packed; it is not in the archive".to_owned(),
        ErrorKind::NotFound => "vanished before it could be packed".to_owned(),
        _ => error.source.to_string(),
    };
    Problem::new(path.clone(), error.problem_kind(false), what)
}

/// What stores that keep no modes are said to hold.
fn usual_mode(kind: Kind) -> u32 {
    match kind {
        Kind::Dir => 0o755,
        Kind::Symlink => 0o777,
        Kind::File | Kind::Unknown => 0o644,
    }
}

#[async_trait]
impl Maker for Packer {
    async fn make(&self) -> Result<ByteStream> {
        let threads = std::thread::available_parallelism().map_or(2, |n| n.get());
        let (jobs, work) = mpsc::channel(2);
        let (packer, handle) = (self.clone(), Handle::current());
        tokio::task::spawn_blocking(move || packer.pack(handle, jobs));
        let directory = (!self.format.is_tar()).then(Directory::default);
        let location: Arc<str> = self.source.location().into();
        let failed = move |why: String| Error::new(ErrorKind::Other, &location, None, why);
        Ok(ordered(work, threads + 1, directory, failed))
    }

    fn at_most(&self) -> u64 {
        self.members.at_most()
    }
}
