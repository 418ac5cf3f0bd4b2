//! Old archives of a job go: those that its template made, that stand right in its folder, and that no rule keeps.

use sitta_store::{Displaced, ErrorKind, Precondition, Result, Store};
use sitta_tree::retention::Keep;
use sitta_tree::template::Template;
use sitta_tree::{Civil, Entry, Kind, Problem, RelPath};

use super::run::Run;
use super::steps::{StepName, Steps, Told};
use crate::event::Event;

/// An archive that stands there.
#[derive(Debug)]
struct Old {
    name: RelPath,
    entry: Entry,
}

impl Old {
    /// What it is called.
    fn name(&self) -> String {
        self.name.to_string()
    }
}

impl Run<'_> {
    /// Lets go of old archives. Tells which.
    pub(super) async fn clean(
        &self,
        steps: &mut Steps<'_>,
        name: &str,
        problems: &mut Vec<Problem>,
    ) -> Vec<String> {
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
        let expired = expired(&**self.to, &options.template, &options.keep, options.local, name).await;
        let (told, failed) = match expired {
            Ok((expired, _)) if options.dry_run => {
                steps.skipped(StepName::Clean, "dry run");
                return expired.iter().map(Old::name).collect();
            }
            Ok((expired, stay)) => remove(&**self.to, expired, stay).await,
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
}

/// The archives that no rule keeps, oldest first; and how many stay. The one called `newest`, which is there or will be,
/// counts as one that stays.
async fn expired(
    store: &dyn Store,
    template: &Template,
    keep: &Keep,
    now: Civil,
    newest: &str,
) -> Result<(Vec<Old>, u64)> {
    let mut found = Vec::new();
    for (name, entry) in store.list(&RelPath::root()).await? {
        // Folders and links of such a name are somebody else's.
        let stamp = template.stamp(&name).filter(|_| entry.kind == Kind::File && *name != *newest.as_bytes());
        if let (Some(stamp), Ok(name)) = (stamp, RelPath::new(&name)) {
            found.push((stamp, Some(Old { name, entry })));
        }
    }
    if let Some(stamp) = template.stamp(newest.as_bytes()) {
        found.push((stamp, None));
    }
    found.sort_by_key(|(stamp, _)| *stamp);
    let stamps: Vec<_> = found.iter().map(|(stamp, _)| *stamp).collect();
    let kept = keep.decide(&stamps, now);
    let mut expired = Vec::new();
    for ((_, old), kept) in found.into_iter().zip(kept) {
        expired.extend(old.filter(|_| !kept));
    }
    let stay = (stamps.len() - expired.len()) as u64;
    Ok((expired, stay))
}

/// Removes them, each in the version that was seen.
async fn remove(store: &dyn Store, expired: Vec<Old>, stay: u64) -> (Told, Vec<Problem>) {
    let (mut deleted, mut problems, mut kept) = (Vec::new(), Vec::new(), stay);
    for old in expired {
        let seen = Precondition::Version(old.entry.fingerprint());
        match store.remove(&old.name, seen, Displaced::Discard).await {
            Ok(()) => deleted.push(old.name.to_string()),
            Err(error) => {
                kept += 1;
                let what = format!("kept, though it is old enough: {}", error.source);
                problems.push(Problem::new(old.name, error.problem_kind(true), what));
            }
        }
    }
    (Told::Cleaned { deleted, kept }, problems)
}
