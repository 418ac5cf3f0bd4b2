//! What cannot be seen in one value of a config: names that are used must be there, and keys must go together.

use std::ops::Range;

use sitta_store::Location;
use sitta_tree::Filter;

use super::job::Job;
use super::{Config, Misfit, Source, collide, is_share_name};
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
        for (name, share) in &self.share {
            if !is_share_name(name) {
                return Err(no_name(source, "share", name)
                    .hint("a name is made of letters, digits, '-', '_' and '.', and does not begin with a '.'"));
            }
            self.known_store(source, &source.key("share", name, "location"), &share.location.location)?;
            fits(source, "share", name, share.misfit())?;
        }
        fits(source, "serve", "", self.serve.misfit())?;
        collide::verify(self, source)
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
