//! The course of one run.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use sitta_store::temps::is_left_over;
use sitta_store::{
    Change, Displaced, Error, ErrorKind, Flow, Precondition, ScanOptions, Source, Store, What, Write, Written,
};
use sitta_tree::{Entry, Filter, Kind, Meta, NodeId, Problem, RelPath, Side, Summary, Time, Tree};

use super::members::Members;
use super::packer::{Account, Packer};
use super::steps::{StepName, Steps, Told};
use super::{ArchiveOptions, Origin, Packed, clean};
use crate::event::{Event, Held, Sink, Step, StepKind};
use crate::run_id::RunId;
use crate::state::PairKey;
use crate::{Outcome, Report, RunError, State, content, guards};

/// So many files may turn out to be unreadable half way before it is given up.
const TORN: u64 = 20;

/// Packs `origin` into a file of `to`. `packed` counts the bytes that were packed, `flow` those that were sent.
///
/// Fails if no archive was made; what went wrong besides is in the report.
pub async fn archive(
    origin: &Origin,
    to: &Arc<dyn Store>,
    options: &ArchiveOptions,
    state: &State,
    sink: &dyn Sink,
    flow: &Arc<Flow>,
    packed: &Arc<Flow>,
) -> Result<Report, RunError> {
    let id = RunId::new();
    let run = Run { origin, to, options, state, sink, flow, packed, id, started: Instant::now() };
    if origin.file.is_none() {
        run.not_into_itself()?;
    }
    sink.event(Event::Started {
        verb: "archive",
        run: run.id.as_str().to_owned(),
        left: run.from(),
        right: to.location().to_owned(),
    });
    let report = run.perform().await?;
    sink.event(Event::Finished(Box::new(report.clone())));
    Ok(report)
}

struct Run<'r> {
    origin: &'r Origin,
    to: &'r Arc<dyn Store>,
    options: &'r ArchiveOptions,
    state: &'r State,
    sink: &'r dyn Sink,
    flow: &'r Arc<Flow>,
    packed: &'r Arc<Flow>,
    id: RunId,
    started: Instant,
}

/// What was found to pack.
struct Found {
    members: Members,
    files: u64,
    bytes: u64,
    newest: Option<Time>,
    problems: Vec<Problem>,
}

impl Run<'_> {
    /// The source's location.
    fn from(&self) -> String {
        let store = self.origin.store.location();
        match &self.origin.file {
            Some((path, _)) => format!("{}/{path}", store.trim_end_matches('/')),
            None => store.to_owned(),
        }
    }

    /// An archive in the folder that it is made of would be packed into the next one.
    fn not_into_itself(&self) -> Result<(), RunError> {
        match guards::not_nested(&*self.origin.store, &**self.to) {
            // A folder inside the one that takes the archive.
            Err(RunError::Nested { inner, .. })
                if inner != self.to.location() && inner == self.origin.store.location() =>
            {
                Ok(())
            }
            other => other,
        }
    }

    async fn perform(&self) -> Result<Report, RunError> {
        let key = PairKey {
            left: self.from(),
            right: format!("{}/{}", self.to.location().trim_end_matches('/'), self.options.template),
            two_way: false,
        };
        if self.options.dry_run {
            return self.steps().await;
        }
        let _lock = self.state.lock(&key.left, &key.right)?;
        let pair = self.state.begin_pair(&key)?;
        self.state.begin_run(&pair, self.id.as_str(), "archive")?;
        let report = self.steps().await?;
        self.state.end_run(&report)?;
        Ok(report)
    }

    async fn steps(&self) -> Result<Report, RunError> {
        let mut steps = Steps::new(self.sink);
        let found = self.find(&mut steps).await?;
        self.check(&mut steps, &found)?;
        let name = self.options.template.name(self.options.local);
        let old = self.may_be_made(&mut steps, &name).await?;
        let planned = Summary { new: found.files, bytes: found.bytes, ..Summary::default() };
        if !self.options.dry_run {
            self.sink.event(Event::Planned(planned));
        }
        found.problems.iter().for_each(|problem| self.sink.event(Event::Problem(problem.clone())));
        let mut problems = found.problems.clone();
        let (account, size) = match self.options.dry_run {
            true => {
                steps.skipped(StepName::Compress, "dry run");
                steps.skipped(StepName::Upload, "dry run");
                (Account { files: found.files, bytes: found.bytes, ..Account::default() }, 0)
            }
            false => self.make(&mut steps, &found, &name, old.as_ref()).await?,
        };
        account.problems.iter().for_each(|problem| self.sink.event(Event::Problem(problem.clone())));
        problems.extend(account.problems.iter().cloned());
        let deleted = self.clean(&mut steps, &name, &mut problems).await;
        if self.options.dry_run {
            self.tell_plan(&name, old.is_some(), found.bytes, &deleted)?;
        }
        problems.sort_by(|a, b| a.path.cmp(&b.path).then_with(|| a.message.cmp(&b.message)));
        problems.dedup();
        Ok(Report {
            verb: "archive",
            run: self.id.as_str().to_owned(),
            outcome: if problems.is_empty() { Outcome::Success } else { Outcome::Partial },
            copied: account.files,
            updated: 0,
            deleted: deleted.len() as u64,
            moved: 0,
            unchanged: 0,
            bytes: size,
            requests: self.origin.store.requests() + self.to.requests(),
            took: self.started.elapsed(),
            problems,
            conflicts: Vec::new(),
            held: Vec::new(),
            trash: [None, None],
            changed: [false, !self.options.dry_run],
            dry_run: self.options.dry_run,
            steps: steps.all(),
            archive: Some(Packed { name, size, content: account.bytes }),
        })
    }

    /// Looks at the source.
    async fn find(&self, steps: &mut Steps<'_>) -> Result<Found, RunError> {
        let started = Instant::now();
        let step = match (self.origin.is_inside, self.origin.is_remote) {
            (true, _) => StepName::Extract,
            (false, true) => StepName::Download,
            (false, false) => StepName::Check,
        };
        match self.origin.is_remote {
            true => steps.begin(StepName::Download),
            false => steps.skipped(StepName::Download, "the source is on this machine"),
        }
        match self.origin.is_inside {
            true => steps.begin(StepName::Extract),
            false => steps.skipped(StepName::Extract, "the source is not inside an archive"),
        }
        if step == StepName::Check {
            steps.begin(StepName::Check);
        }
        let found = match self.look().await {
            Ok(found) => found,
            Err(error) => {
                let lost = matches!(error.kind, ErrorKind::Unreachable | ErrorKind::Auth | ErrorKind::Untrusted);
                let failed = if lost && self.origin.is_remote { StepName::Download } else { step };
                if failed == StepName::Extract && self.origin.is_remote {
                    steps.done(StepName::Download, Told::Source { files: 0, bytes: 0 });
                }
                steps.failed(failed, error.source.to_string());
                return Err(match error.kind {
                    ErrorKind::NotFound => RunError::Held(Held::Missing { side: Side::Left }),
                    ErrorKind::Cancelled => RunError::Interrupted,
                    _ => error.into(),
                });
            }
        };
        let (files, bytes) = (found.files, found.bytes);
        for (step, is) in [(StepName::Download, self.origin.is_remote), (StepName::Extract, self.origin.is_inside)]
        {
            if is {
                steps.done(step, Told::Source { files, bytes });
            }
        }
        if step != StepName::Check {
            steps.begin(StepName::Check);
        }
        let location = self.from();
        self.sink.event(Event::Scanned { side: Side::Left, location, files, bytes, took: started.elapsed() });
        Ok(found)
    }

    async fn look(&self) -> Result<Found, Error> {
        let store = &self.origin.store;
        if let Some((path, entry)) = &self.origin.file {
            let mut entry = entry.clone();
            if self.options.format.is_tar() && entry.kind == Kind::File && store.capabilities().traits.xattrs {
                entry.meta.xattrs = u64::from(!store.xattrs(path).await?.is_empty());
            }
            let newest = Some(entry.meta.mtime).filter(|time| *time != Time::default());
            let bytes = entry.size;
            let members = Members::One(path.clone(), entry);
            return Ok(Found { members, files: 1, bytes, newest, problems: Vec::new() });
        }
        let options = ScanOptions {
            filter: self.options.filter.clone(),
            xattrs: self.options.format.is_tar() && store.capabilities().traits.xattrs,
            flow: self.flow.clone(),
            temps: None,
        };
        let tree = store.scan(&options).await?;
        let (mut files, mut bytes, mut newest) = (0, 0, None);
        for id in tree.ids().filter(|id| matches!(tree.kind(*id), Kind::File | Kind::Symlink)) {
            files += 1;
            bytes += tree.size(id);
            if tree.kind(id) == Kind::File {
                newest = newest.max(self.modified(&tree, id, newest).await);
            }
        }
        let problems = tree.problems.clone();
        Ok(Found { members: Members::Tree(Arc::new(tree)), files, bytes, newest, problems })
    }

    /// When a file was modified; asked for where a listing does not tell it and it may matter.
    async fn modified(&self, tree: &Tree, id: NodeId, newest: Option<Time>) -> Option<Time> {
        let told = tree.mtime(id);
        if told != Time::default() {
            return Some(told);
        }
        let max_age = self.options.max_age?;
        let store = &self.origin.store;
        if store.capabilities().lists_meta || newest.is_some_and(|newest| self.age(newest) <= max_age) {
            return None;
        }
        let entry = store.stat(&tree.path(id)).await.ok().flatten()?;
        Some(entry.meta.mtime).filter(|time| *time != Time::default())
    }

    fn age(&self, time: Time) -> Duration {
        let nanos = (self.options.now.as_nanos() - time.as_nanos()).max(0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Whether there is something to pack, and it is fresh enough.
    fn check(&self, steps: &mut Steps<'_>, found: &Found) -> Result<(), RunError> {
        let age = found.newest.map(|newest| self.age(newest));
        let held = match (self.options.max_age, age) {
            _ if found.files == 0 && !self.options.force_empty => Some(Held::Empty),
            (Some(max_age), Some(age)) if age > max_age => Some(Held::Stale { newest: found.newest, age, max_age }),
            (Some(max_age), None) if found.files > 0 => {
                Some(Held::Stale { newest: None, age: Duration::ZERO, max_age })
            }
            _ => None,
        };
        match held {
            Some(held) => Err(self.held(steps, StepName::Check, held)),
            None => {
                steps.done(StepName::Check, Told::Newest { at: found.newest, age });
                Ok(())
            }
        }
    }

    fn held(&self, steps: &mut Steps<'_>, step: StepName, held: Held) -> RunError {
        let why = match &held {
            Held::Empty => "there is nothing to pack",
            Held::Stale { newest: None, .. } => "the source tells no times: how old it is nobody knows",
            Held::Stale { .. } => "the newest file is too old",
            _ => "an archive of this name is there already",
        };
        if step == StepName::Upload {
            steps.skipped(StepName::Compress, "UPLOAD failed");
        }
        steps.failed(step, why);
        RunError::Held(held)
    }

    /// What stands under the archive's name, if it may be replaced.
    async fn may_be_made(&self, steps: &mut Steps<'_>, name: &str) -> Result<Option<Entry>, RunError> {
        let path = self.path(name)?;
        let old = match self.to.stat(&path).await {
            Ok(old) => old,
            // The folder is made when it is needed.
            Err(error) if error.kind == ErrorKind::NotFound => None,
            Err(error) => {
                steps.skipped(StepName::Compress, "UPLOAD failed");
                steps.failed(StepName::Upload, error.source.to_string());
                return Err(error.into());
            }
        };
        match old.as_ref().map(|old| old.kind) {
            None => Ok(None),
            Some(Kind::File) if self.options.replace => Ok(old),
            Some(Kind::File) => Err(self.held(steps, StepName::Upload, Held::Exists { name: name.to_owned() })),
            Some(_) => {
                let what = "something that is no file stands under the archive's name";
                steps.skipped(StepName::Compress, "UPLOAD failed");
                steps.failed(StepName::Upload, what);
                Err(Error::new(ErrorKind::Unsupported, &self.to.location().into(), path, what).into())
            }
        }
    }

    fn path(&self, name: &str) -> Result<RelPath, RunError> {
        let wrong = |error| Error::new(ErrorKind::Unsupported, &self.to.location().into(), None, error);
        Ok(RelPath::new(name).map_err(wrong)?)
    }

    /// Makes it, and sees that it has arrived whole. Also tells its size.
    async fn make(
        &self,
        steps: &mut Steps<'_>,
        found: &Found,
        name: &str,
        old: Option<&Entry>,
    ) -> Result<(Account, u64), RunError> {
        let packer = Packer {
            source: self.origin.store.clone(),
            members: found.members.clone(),
            format: self.options.format,
            level: self.options.level,
            flow: self.flow.clone(),
            packed: self.packed.clone(),
            left_out: Arc::default(),
            account: Arc::default(),
        };
        steps.begin(StepName::Compress);
        steps.begin(StepName::Upload);
        let sent = match self.send(&packer, found.files, name, old).await {
            Ok(sent) => sent,
            Err(error) => return Err(self.not_made(steps, &packer, error)),
        };
        let (size, mut account) = (sent.entry.size, packer.told());
        account.problems.extend(packer.left_out.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
        steps.done(StepName::Compress, Told::Packed { files: account.files, bytes: account.bytes, into: size });
        let verified = match self.verify(&sent, &self.path(name)?).await {
            Ok(verified) => verified,
            Err(error) => {
                steps.failed(StepName::Upload, error.source.to_string());
                return Err(error.into());
            }
        };
        let told = Told::Stored { name: name.to_owned(), bytes: size, verified, replaced: old.is_some() };
        steps.done(StepName::Upload, told);
        Ok((account, size))
    }

    async fn send(&self, packer: &Packer, files: u64, name: &str, old: Option<&Entry>) -> Result<Written, Error> {
        self.to.create_root().await?;
        self.remove_temps().await;
        let path = RelPath::new(name).unwrap_or_default();
        let most = files.saturating_sub(1).min(TORN);
        loop {
            let write = Write {
                path: path.clone(),
                what: What::File(Source::Made(Arc::new(packer.clone()))),
                meta: Meta::default(),
                expect: old.map_or(Precondition::Absent, |old| Precondition::Version(old.fingerprint())),
                displaced: Displaced::Discard,
                temp: self.id.temp_name(),
            };
            let mut results = self.to.apply(vec![Change::Write(write)], self.flow).await;
            let ended = results.pop().unwrap_or_else(|| Ok(None));
            let torn = packer.told().torn;
            let mut left_out = packer.left_out.lock().unwrap_or_else(PoisonError::into_inner);
            match (ended, torn) {
                (Ok(Some(written)), _) => return Ok(written),
                // Made again without what cannot be read to its end.
                (Err(_), Some(torn)) if (left_out.len() as u64) < most && !self.flow.is_cancelled() => {
                    left_out.push(torn);
                }
                (Err(error), _) => return Err(error),
                (Ok(None), _) => {
                    return Err(Error::new(
                        ErrorKind::Other,
                        &self.to.location().into(),
                        path,
                        "nothing was written",
                    ));
                }
            }
        }
    }

    /// Which step it was that failed, and why.
    fn not_made(&self, steps: &mut Steps<'_>, packer: &Packer, error: Error) -> RunError {
        let account = packer.told();
        let from_source = account.failed.is_some() || account.torn.is_some();
        let step = match from_source {
            false => StepName::Upload,
            true if self.origin.is_inside && error.kind == ErrorKind::Corrupt => StepName::Extract,
            true if self.origin.is_remote => StepName::Download,
            true => StepName::Compress,
        };
        if step != StepName::Compress {
            steps.skipped(StepName::Compress, format!("{} failed", step.name()));
        }
        steps.failed(step, error.source.to_string());
        match error.kind {
            ErrorKind::Cancelled => RunError::Interrupted,
            _ => error.into(),
        }
    }

    /// Whether it is known that what was sent is what stands there.
    async fn verify(&self, sent: &Written, path: &RelPath) -> Result<bool, Error> {
        if self.to.capabilities().verifies {
            return Ok(true);
        }
        let Some(hash) = sent.content.filter(|_| self.options.verify) else { return Ok(false) };
        if content::hash(self.to, path, self.flow).await? == hash {
            return Ok(true);
        }
        let seen = Precondition::Version(sent.entry.fingerprint());
        let what = match self.to.remove(path, seen, Displaced::Discard).await {
            Ok(()) => "read back, it was not what was sent; it was removed",
            Err(_) => "read back, it was not what was sent; it could not be removed",
        };
        Err(Error::new(ErrorKind::Corrupt, &self.to.location().into(), path.clone(), what))
    }

    /// What killed runs have left in the folder. Only looked for where files get temporary names.
    async fn remove_temps(&self) {
        if !self.to.capabilities().traits.dirs {
            return;
        }
        let mut filter = Filter::new();
        if filter.exclude("*/").is_err() {
            return;
        }
        let temps = Arc::default();
        let options = ScanOptions { filter: Some(Arc::new(filter)), temps: Some(temps), ..ScanOptions::default() };
        let seen = self.to.scan(&options).await;
        let temps = options.temps.map(|temps| temps.lock().map(|temps| temps.clone()).unwrap_or_default());
        let Some(temps) = temps.filter(|_| seen.is_ok()) else { return };
        let mut temporaries = 0;
        for path in temps.iter().filter(|path| path.depth() == 1 && is_left_over(path.name())) {
            temporaries += u64::from(self.to.remove_temp(path).await.is_ok());
        }
        if temporaries > 0 {
            self.sink.event(Event::Recovered { temporaries });
        }
    }

    /// Lets go of old archives. Tells which.
    async fn clean(&self, steps: &mut Steps<'_>, name: &str, problems: &mut Vec<Problem>) -> Vec<String> {
        let options = self.options;
        if options.keep.is_empty() {
            steps.skipped(StepName::Clean, "all archives are kept");
            return Vec::new();
        }
        if !problems.is_empty() {
            steps.skipped(StepName::Clean, "the new archive does not hold everything; older ones are kept");
            return Vec::new();
        }
        if !options.dry_run {
            steps.begin(StepName::Clean);
        }
        let expired = clean::expired(&**self.to, &options.template, &options.keep, options.local, name).await;
        let (told, failed) = match expired {
            Ok((expired, _)) if options.dry_run => {
                steps.skipped(StepName::Clean, "dry run");
                return expired.iter().map(clean::Old::name).collect();
            }
            Ok((expired, stay)) => clean::remove(&**self.to, expired, stay).await,
            // A folder that is not there yet.
            Err(error) if error.kind == ErrorKind::NotFound && options.dry_run => {
                steps.skipped(StepName::Clean, "dry run");
                return Vec::new();
            }
            Err(error) => {
                steps.failed(StepName::Clean, error.source.to_string());
                let what = format!("old archives could not be looked at: {}", error.source);
                problems.push(Problem::new(RelPath::root(), error.problem_kind(true), what));
                return Vec::new();
            }
        };
        let deleted = match &told {
            Told::Cleaned { deleted, .. } => deleted.clone(),
            _ => Vec::new(),
        };
        match failed.first() {
            None => steps.done(StepName::Clean, told),
            Some(problem) => steps.failed(StepName::Clean, problem.message.clone()),
        }
        failed.iter().for_each(|problem| self.sink.event(Event::Problem(problem.clone())));
        problems.extend(failed);
        deleted
    }

    /// What a run would do.
    fn tell_plan(&self, name: &str, replaces: bool, bytes: u64, deleted: &[String]) -> Result<(), RunError> {
        let (new, changed) = if replaces { (0, 1) } else { (1, 0) };
        let deletes = deleted.len() as u64;
        self.sink.event(Event::Planned(Summary { new, changed, deleted: deletes, bytes, ..Summary::default() }));
        let what = if replaces { StepKind::Update } else { StepKind::Copy };
        let step = |what, path, bytes| Step { side: Side::Right, what, path, from: None, bytes };
        self.sink.event(Event::Would(step(what, self.path(name)?, bytes)));
        for name in deleted {
            self.sink.event(Event::Would(step(StepKind::Delete, self.path(name)?, 0)));
        }
        Ok(())
    }
}
