//! The course of one run.

use std::sync::Arc;
use std::time::Instant;

use sitta_store::{Error, ErrorKind, Flow, Store};
use sitta_tree::{RelPath, Side, Summary};

use super::packer::Account;
use super::steps::{StepName, Steps};
use super::{ArchiveOptions, Origin, Packed};
use crate::event::{Event, Sink, Step, StepKind};
use crate::run_id::RunId;
use crate::state::PairKey;
use crate::{Outcome, Report, RunError, State, guards};

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

pub(super) struct Run<'r> {
    pub origin: &'r Origin,
    pub to: &'r Arc<dyn Store>,
    pub options: &'r ArchiveOptions,
    pub state: &'r State,
    pub sink: &'r dyn Sink,
    pub flow: &'r Arc<Flow>,
    pub packed: &'r Arc<Flow>,
    pub id: RunId,
    pub started: Instant,
}

impl Run<'_> {
    /// The source's location.
    pub(super) fn from(&self) -> String {
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

    pub(super) fn path(&self, name: &str) -> Result<RelPath, RunError> {
        let wrong = |error| Error::new(ErrorKind::Unsupported, &self.to.location().into(), None, error);
        Ok(RelPath::new(name).map_err(wrong)?)
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
