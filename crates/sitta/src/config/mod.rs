//! The config: TOML that is checked as a whole. Whatever is wrong is named with its file, its line and what was
//! probably meant.

mod model;
mod reveal;
mod secret;
mod store;
mod values;

use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sitta_store::Location;
use sitta_tree::Filter;

pub use model::Config;
pub use reveal::reveal;
pub use secret::Secret;
pub use store::{Store, remote};
pub use values::OneOrMany;

use crate::exit::{Failure, Outcome};
use crate::hints;

impl Config {
    /// Reads the file; none is the same as an empty one, unless the user named it.
    pub fn load(file: &Path, named: bool) -> Outcome<Self> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !named => return Ok(Self::default()),
            Err(error) => {
                return Err(Failure::usage(format!("the config {} could not be read", file.display()))
                    .note(error.to_string()));
            }
        };
        let source = Source { file, text: &text };
        let config: Self = toml::from_str(&text).map_err(|error| source.malformed(&error))?;
        config.verify(&source)?;
        config.keep_secret(file)?;
        Ok(config)
    }

    /// What cannot be seen in one value: names that are used must be there.
    fn verify(&self, source: &Source<'_>) -> Outcome<()> {
        for name in self.store.keys() {
            if !matches!(Location::parse(format!("{name}:")), Ok(Location::Named { .. })) {
                return Err(Failure::usage(format!(
                    "{}: '{name}' is no name for a store",
                    source.place_of_table("store", name)
                ))
                .hint("a name is two letters or more: letters, digits, '-', '_' and '.'"));
            }
            if let Some(misfit) = self.store[name].misfit() {
                let place = source.place(&source.key("store", name, misfit.key));
                return Err(Failure::usage(format!("{place}: {}", misfit.what)).hint(misfit.hint));
            }
        }
        for (name, job) in &self.job {
            for person in &job.notify {
                self.known(source, &person.span(), "notify", person.get_ref(), self.notify.keys())?;
            }
            let table = || source.table("job", name);
            for text in job.from.all() {
                let location = Location::parse(text).map_err(|error| {
                    Failure::usage(format!("{}: 'from' of [job.{name}] is no location", source.place(&table())))
                        .note(error.to_string())
                })?;
                self.known_store(source, &table(), &location)?;
            }
            if let Some(to) = &job.to {
                self.known_store(source, &table(), &to.location)?;
            }
            for rule in &job.filter {
                Filter::new().rules_from(rule.get_ref().as_bytes()).map_err(|error| {
                    Failure::usage(format!(
                        "{}: the rule '{}' cannot be understood",
                        source.place(&rule.span()),
                        rule.get_ref()
                    ))
                    .note(error.error.to_string())
                })?;
            }
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

    /// Passwords as plain text are taken only from a file that nobody else can read.
    fn keep_secret(&self, file: &Path) -> Outcome<()> {
        let plain = |secret: &Secret| matches!(secret, Secret::Plain(_));
        let holds = |store: &Store| store.url.has_password() || store.secrets().any(|(_, secret)| plain(secret));
        let store = self.store.iter().find(|(_, store)| holds(store));
        let person = self.notify.iter().find(|(_, notify)| notify.password.as_ref().is_some_and(plain));
        let Some(table) = store
            .map(|(name, _)| format!("[store.{name}]"))
            .or_else(|| person.map(|(name, _)| format!("[notify.{name}]")))
        else {
            return Ok(());
        };
        let mode = fs::metadata(file).map_or(0, |meta| meta.permissions().mode());
        if mode & 0o077 == 0 {
            return Ok(());
        }
        Err(Failure::usage(format!("{table} holds a password, and others can read {}", file.display()))
            .note(format!("its permissions are {:03o}", mode & 0o777))
            .hint(format!(
                "chmod 600 {}; or take it from elsewhere: password = {{ env = \"NAME\" }}",
                file.display()
            )))
    }
}

/// The text of a config, to say where something stands.
struct Source<'s> {
    file: &'s Path,
    text: &'s str,
}

impl Source<'_> {
    /// `config.toml:3`
    fn place(&self, span: &Range<usize>) -> String {
        let line = 1 + self.text[..span.start.min(self.text.len())].matches('\n').count();
        format!("{}:{line}", self.file.display())
    }

    /// Where the header of a table stands.
    fn table(&self, kind: &str, name: &str) -> Range<usize> {
        let headers = [format!("[{kind}.{name}]"), format!("[{kind}.\"{name}\"]"), format!("[{kind}.'{name}']")];
        let at = headers.iter().find_map(|header| self.text.find(header)).unwrap_or(0);
        at..at
    }

    /// Where a key of a table stands, or else the table.
    fn key(&self, kind: &str, name: &str, key: &str) -> Range<usize> {
        let table = self.table(kind, name);
        let mut at = table.start;
        for (index, line) in self.text[at..].split_inclusive('\n').enumerate() {
            if index > 0 && line.trim_start().starts_with('[') {
                break;
            }
            let rest = line.trim_start().strip_prefix(key);
            if rest.is_some_and(|rest| rest.trim_start().starts_with('=')) {
                return at..at;
            }
            at += line.len();
        }
        table
    }

    fn place_of_table(&self, kind: &str, name: &str) -> String {
        self.place(&self.table(kind, name))
    }

    /// What the parser says, in our words.
    fn malformed(&self, error: &toml::de::Error) -> Failure {
        let place = error.span().map_or_else(|| self.file.display().to_string(), |span| self.place(&span));
        let message = error.message();
        let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let (unknown, word) = match message.split_whitespace().take(2).collect::<Vec<_>>()[..] {
            ["unknown", "field"] => (true, "key"),
            ["unknown", "variant"] => (true, "value"),
            _ => (false, ""),
        };
        let (Some(name), true) = (quoted.first(), unknown) else {
            return Failure::usage(format!("{place}: {}", plain(message)));
        };
        let known = quoted.get(1..).unwrap_or_default();
        let failure = Failure::usage(format!("{place}: unknown {word} '{name}'"));
        let failure = match known {
            [] => failure,
            known => failure.note(format!("known here: {}", known.join(", "))),
        };
        match hints::nearest(name, known.iter().copied()) {
            Some(nearest) => failure.hint(format!("did you mean {nearest} ?")),
            None => failure.hint("`sitta config schema` describes every key"),
        }
    }
}

/// The parser's words without its quotes, and without the value, which may be a password.
fn plain(message: &str) -> String {
    let message = match message.split_once(", expected ") {
        Some((given, expected)) if given.starts_with("invalid ") => {
            let given = given.split(['`', '"']).next().unwrap_or_default();
            format!("{}, expected {expected}", given.trim_end())
        }
        _ => message.to_owned(),
    };
    message.replace('`', "'").replace("missing field", "missing key").replace("a map", "a table")
}

#[cfg(test)]
mod tests;
