//! What cannot be seen in one value of a config: names that are used must be there, and keys must go together.

use std::ops::Range;

use sitta_store::Location;
use sitta_tree::Filter;

use super::job::{Job, Verb};
use super::{Config, Misfit, Source};
use crate::exit::{Failure, Outcome};
use crate::hints;

impl Config {
    /// Whether it is right as a whole.
    pub(super) fn verify(&self, source: &Source<'_>) -> Outcome<()> {
        for (name, store) in &self.store {
            if !matches!(Location::parse(format!("{name}:")), Ok(Location::Named { .. })) {
                return Err(no_name(source, "store", name)
                    .hint("a name is two letters or more: letters, digits, '-', '_' and '.'"));
            }
            fits(source, "store", name, store.misfit())?;
        }
        for (name, notify) in &self.notify {
            fits(source, "notify", name, notify.misfit())?;
        }
        for (name, job) in &self.job {
            // It names a folder and a file, too.
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if name.is_empty() || name.starts_with(['.', '-']) || name.len() > 100 || !name.chars().all(plain) {
                return Err(no_name(source, "job", name).hint(
                    "a name is made of letters, digits, '-', '_' and '.', and begins with a letter or digit",
                ));
            }
            fits(source, "job", name, job.misfit(name))?;
            self.job_names_what_is_there(source, name, job)?;
        }
        self.jobs_do_not_collide(source)
    }

    fn job_names_what_is_there(&self, source: &Source<'_>, name: &str, job: &Job) -> Outcome<()> {
        for person in &job.notify {
            self.known(source, &person.span(), "notify", person.get_ref(), self.notify.keys())?;
        }
        for place in &job.from.0 {
            self.known_store(source, &source.key("job", name, "from"), &place.location)?;
        }
        if let Some(to) = &job.to {
            self.known_store(source, &source.key("job", name, "to"), &to.location)?;
        }
        for rule in &job.filter {
            Filter::new().rules_from(rule.get_ref().as_bytes()).map_err(|error| {
                let place = source.place(&rule.span());
                Failure::usage(format!("{place}: the rule '{}' cannot be understood", rule.get_ref()))
                    .note(error.error.to_string())
            })?;
        }
        Ok(())
    }

    /// Two jobs that write the same place undo each other's work: a mirror deletes what the other one brought.
    fn jobs_do_not_collide(&self, source: &Source<'_>) -> Outcome<()> {
        let written: Vec<_> =
            self.job.iter().filter_map(|(name, job)| Some((name, job, self.target(job)?))).collect();
        for (index, (name, job, to)) in written.iter().enumerate() {
            let others = written.iter().enumerate().filter(|(other, _)| *other != index);
            for (other_index, (other, other_job, other_to)) in others {
                let same = to == other_to && other_index < index && self.is_same_work(job, other_job);
                let inside = other_job.verb == Verb::Mirror
                    && other_job.filter.is_empty()
                    && to.strip_prefix(other_to.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
                    && to != other_to;
                if !same && !inside {
                    continue;
                }
                let place = source.place(&source.key("job", name, "to"));
                let first = source.place(&source.key("job", other, "to"));
                let failure = Failure::usage(format!("{place}: [job.{name}] writes where [job.{other}] does"));
                let failure = failure.note(format!("{first} is where the other one says so"));
                return Err(match inside {
                    true => failure.note(format!("[job.{other}] would delete what [job.{name}] brings")).hint(
                        format!("choose another folder for one of them, or leave it out: filter = [\"/{}\"]", {
                            let rest = to.strip_prefix(other_to.trim_end_matches('/')).unwrap_or_default();
                            rest.trim_matches('/')
                        }),
                    ),
                    false => failure.hint("give each a folder of its own, for example one inside of it"),
                });
            }
        }
        Ok(())
    }

    /// Where a job writes that has one place to itself; a dated archive makes a new file each time.
    fn target(&self, job: &Job) -> Option<String> {
        let to = job.to.as_ref()?;
        let whole = match &to.location {
            Location::Named { name, path } => self.store.get(name)?.url.location.join(path),
            location => location.clone(),
        };
        let text = match &whole {
            Location::Local(path) => path.to_string_lossy().into_owned(),
            location => location.to_string(),
        };
        (job.verb != Verb::Backup && !text.contains('{')).then(|| text.trim_end_matches('/').to_owned())
    }

    /// Two syncs may share one side, and what is synced may be copied into; what is copied or mirrored has one source.
    fn is_same_work(&self, a: &Job, b: &Job) -> bool {
        match (a.verb, b.verb) {
            (Verb::Sync, Verb::Sync) => a.from == b.from,
            (Verb::Sync, _) | (_, Verb::Sync) => false,
            _ => true,
        }
    }

    fn known_store(&self, source: &Source<'_>, span: &Range<usize>, location: &Location) -> Outcome<()> {
        match location {
            Location::Named { name, .. } => self.known(source, span, "store", name, self.store.keys()),
            Location::Inside { archive, .. } => self.known_store(source, span, archive),
            Location::Local(_) | Location::Remote(_) => Ok(()),
        }
    }

    fn known<'n>(
        &self,
        source: &Source<'_>,
        span: &Range<usize>,
        table: &str,
        name: &str,
        names: impl Iterator<Item = &'n String> + Clone,
    ) -> Outcome<()> {
        if names.clone().any(|known| known == name) {
            return Ok(());
        }
        let failure = Failure::usage(format!("{}: there is no [{table}.{name}]", source.place(span)));
        Err(match hints::nearest(name, names.map(String::as_str)) {
            Some(nearest) => failure.hint(format!("did you mean {nearest} ?")),
            None => failure.hint(format!("add [{table}.{name}]")),
        })
    }
}

fn no_name(source: &Source<'_>, table: &str, name: &str) -> Failure {
    Failure::usage(format!("{}: '{name}' is no name for a {table}", source.place_of_table(table, name)))
}

fn fits(source: &Source<'_>, table: &str, name: &str, misfit: Option<Misfit>) -> Outcome<()> {
    match misfit {
        Some(misfit) => {
            let place = source.place(&source.key(table, name, misfit.key));
            Err(Failure::usage(format!("{place}: {}", misfit.what)).hint(misfit.hint))
        }
        None => Ok(()),
    }
}
