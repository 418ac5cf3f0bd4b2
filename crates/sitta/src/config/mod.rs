//! The config: TOML that is checked as a whole. Whatever is wrong is named with its file, its line and what was
//! probably meant.

mod cache;
mod collide;
mod job;
mod model;
mod notify;
mod reveal;
mod secret;
mod share;
mod store;
mod values;
mod verify;

use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub use job::{Job, OnConflict, Verb};
pub use model::Config;
pub use notify::{Notify, NotifyKind};
pub use reveal::reveal;
pub use secret::Secret;
pub use share::{Share, is_share_name};
pub use store::{Store, remote};
pub use values::{Limit, OneOrMany, Place, Smtp, Zone};

use crate::exit::{Failure, Outcome};
use crate::hints;

/// Something in a table that makes no sense.
#[derive(Debug)]
pub struct Misfit {
    /// The key.
    pub key: &'static str,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub hint: String,
}

impl Config {
    /// Reads the file; none is the same as an empty one, unless the user named it.
    pub fn load(file: &Path, named: bool) -> Outcome<Self> {
        Self::load_copy(file, file, named)
    }

    /// Reads a copy of the file, as it was when it was taken up.
    pub fn load_copy(file: &Path, copy: &Path, named: bool) -> Outcome<Self> {
        let text = match fs::read_to_string(copy) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !named => return Ok(Self::default()),
            Err(error) => {
                return Err(Failure::usage(format!("the config {} could not be read", file.display()))
                    .note(error.to_string()));
            }
        };
        let config = Self::parse(file, &text)?;
        config.keep_secret(copy)?;
        Ok(config)
    }

    /// Understands the text of the file, or what is to become it.
    pub fn parse(file: &Path, text: &str) -> Outcome<Self> {
        let source = Source { file, text };
        let config: Self = toml::from_str(text).map_err(|error| source.malformed(&error))?;
        config.verify(&source)?;
        Ok(config)
    }

    /// Passwords as plain text are taken only from a file that nobody else can read.
    fn keep_secret(&self, file: &Path) -> Outcome<()> {
        let plain = |secret: &Secret| matches!(secret, Secret::Plain(_));
        let holds = |store: &Store| store.url.has_password() || store.secrets().any(|(_, secret)| plain(secret));
        let store = self.store.iter().find(|(_, store)| holds(store));
        // A URL is not shown either, but may stand in the file.
        let tells = |notify: &Notify| [&notify.password, &notify.token].into_iter().flatten().any(plain);
        let person = self.notify.iter().find(|(_, notify)| tells(notify));
        let Some(table) = store
            .map(|(name, _)| format!("[store.{name}]"))
            .or_else(|| person.map(|(name, _)| format!("[notify.{name}]")))
            .or_else(|| {
                self.job.iter().find(|(_, job)| job.has_password()).map(|(name, _)| format!("[job.{name}]"))
            })
            .or_else(|| {
                let open = self.share.iter().find(|(_, share)| share.location.has_password());
                open.map(|(name, _)| format!("[share.{name}]"))
            })
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
        if name.is_empty() {
            let at = self.text.find(&format!("[{kind}]")).unwrap_or(0);
            return at..at;
        }
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
