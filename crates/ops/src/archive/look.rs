//! The first steps: reaching the source, seeing what it holds, and whether that may be packed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sitta_store::{Error, ErrorKind, ScanOptions};
use sitta_tree::{Kind, NodeId, Problem, Side, Time, Tree};

use super::members::Members;
use super::run::Run;
use super::steps::{HERE, NOT_INSIDE, StepName, Steps, Told};
use crate::RunError;
use crate::event::{Event, Held};

/// What was found to pack.
pub(super) struct Found {
    pub members: Members,
    pub files: u64,
    pub bytes: u64,
    pub newest: Option<Time>,
    pub problems: Vec<Problem>,
}

impl Found {
    /// Whether there is nothing to pack. A dump that failed leaves an empty file, and older archives of it would go; of a
    /// folder, files without content are content enough.
    fn is_nothing(&self) -> bool {
        self.files == 0
            || matches!(&self.members, Members::One(_, entry) if entry.kind == Kind::File && self.bytes == 0)
    }
}

impl Run<'_> {
    /// Looks at the source.
    pub(super) async fn find(&self, steps: &mut Steps<'_>) -> Result<Found, RunError> {
        let started = Instant::now();
        let step = match (self.origin.is_inside, self.origin.is_remote) {
            (true, _) => StepName::Extract,
            (false, true) => StepName::Download,
            (false, false) => StepName::Check,
        };
        match self.origin.is_remote {
            true => steps.begin(StepName::Download),
            false => steps.skipped(StepName::Download, HERE),
        }
        match self.origin.is_inside {
            true => steps.begin(StepName::Extract),
            false => steps.skipped(StepName::Extract, NOT_INSIDE),
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
    pub(super) fn check(&self, steps: &mut Steps<'_>, found: &Found) -> Result<(), RunError> {
        let age = found.newest.map(|newest| self.age(newest));
        let held = match (self.options.max_age, age) {
            _ if found.is_nothing() && !self.options.force_empty => Some(Held::Empty),
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

    pub(super) fn held(&self, steps: &mut Steps<'_>, step: StepName, held: Held) -> RunError {
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
}
