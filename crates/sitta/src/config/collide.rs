//! Two jobs must not undo each other's work: where each of them writes, and what it does to what it finds there.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use sitta_store::{Location, Remote, Scheme};
use sitta_tree::template::{Names, Template};
use sitta_tree::{Civil, Filter};

use super::job::{Job, Verb};
use super::{Config, Source};
use crate::archive_name::{self, USUAL_NAME};
use crate::context::{host_name, variable};
use crate::exit::{Failure, Outcome};

/// What no rule names but one that leaves out whatever there is.
const ANY_NAME: &str = "any name";

/// Seconds of nights that have little in common: a rule that leaves out the archives of all of them does not go by the date.
const NIGHTS: [i64; 3] = [0, 951_827_696, 1_795_263_280];

/// Whether no job deletes or replaces what another one brings.
pub(super) fn verify(config: &Config, source: &Source<'_>) -> Outcome<()> {
    let all: Vec<Written> = config.job.iter().flat_map(|(name, job)| written(config, source, name, job)).collect();
    for (index, one) in all.iter().enumerate() {
        for (other_index, other) in all.iter().enumerate().filter(|(_, other)| other.name != one.name) {
            let clash = match other_index < index {
                true => one.same_work(other).or_else(|| one.deleted_by(other)),
                false => one.deleted_by(other),
            };
            if let Some(clash) = clash {
                return Err(clash.failure(source, one, other));
            }
        }
    }
    Ok(())
}

/// A place that a job writes.
struct Written<'c> {
    name: &'c str,
    job: &'c Job,
    /// The key that names the place.
    key: &'static str,
    at: Folder,
    /// What it is called that is written there, if that are archives.
    archives: Option<Template>,
}

/// How one job gets into another one's way.
enum Clash {
    /// Both bring their files to one folder.
    Same,
    /// Both give archives of one folder the same names.
    Names,
    /// What the one brings, the other one, a mirror, deletes; the rule that would keep it from that, if there is one.
    Deleted(Option<String>),
}

/// All places that a job writes: a sync writes each of its sides.
fn written<'c>(config: &'c Config, source: &Source<'_>, name: &'c str, job: &'c Job) -> Vec<Written<'c>> {
    let sides = job.from.0.iter().filter(|_| job.verb == Verb::Sync).map(|place| ("from", place));
    let places = sides.chain(job.to.iter().filter(|_| job.verb != Verb::Backup).map(|place| ("to", place)));
    let written = |(key, place): (&'static str, &super::Place)| {
        let mut at = Folder::of(config, source.file, &place.location)?;
        let archives = match job.verb {
            Verb::Archive => {
                let named = archive_name::written(&place.location, place.written.expose().as_bytes()).ok()?;
                if named.is_some() {
                    at.names.pop();
                }
                let names = Names { host: &host_name(), job: name };
                Some(Template::parse(named.as_deref().unwrap_or(USUAL_NAME), names).ok()?)
            }
            _ => None,
        };
        Some(Written { name, job, key, at, archives })
    };
    places.filter_map(written).collect()
}

impl Written<'_> {
    /// Whether both bring something to the same place. Two syncs may share one side, and what is synced may be copied into;
    /// what is copied or mirrored has one source.
    fn same_work(&self, other: &Self) -> Option<Clash> {
        if self.key != "to" || other.key != "to" || self.at.below(&other.at)?.next().is_some() {
            return None;
        }
        let (job, others) = (self.job, other.job);
        let same = match (&self.archives, &other.archives) {
            (Some(names), Some(others)) => return names.meets(others).then_some(Clash::Names),
            (None, None) => match (job.verb, others.verb) {
                (Verb::Sync, Verb::Sync) => job.from == others.from,
                (Verb::Sync, _) | (_, Verb::Sync) => false,
                _ => true,
            },
            // What is copied stands beside archives.
            _ => false,
        };
        same.then_some(Clash::Same)
    }

    /// Whether the other one deletes what this one brings, as a mirror does with all that its source does not have. A sync
    /// does not: it deletes only what was deleted on its other side, into a trash, and that old archives go on both sides
    /// is what it is for.
    fn deleted_by(&self, other: &Self) -> Option<Clash> {
        if other.job.verb != Verb::Mirror {
            return None;
        }
        let below: Vec<&str> = self.at.below(&other.at)?.collect();
        let mut filter = Filter::new();
        for rule in &other.job.filter {
            filter.rules_from(rule.get_ref().as_bytes()).ok()?;
        }
        let below = below.join("/");
        if let Some(names) = &self.archives {
            let left_out = NIGHTS.into_iter().all(|secs| {
                let name = names.name(Civil::at(secs, 0));
                filter.excludes_within(join(&below, &name).as_bytes(), false)
            });
            let rule = if below.is_empty() { join("", &pattern(names)) } else { below };
            return (!left_out).then_some(Clash::Deleted(Some(rule)));
        }
        if below.is_empty() {
            // Two that bring the same place what is not of one source are told as such.
            return (self.job.verb == Verb::Sync).then_some(Clash::Deleted(None));
        }
        let inner = join(&below, ANY_NAME);
        let all = [true, false].into_iter().all(|is_dir| filter.excludes_within(inner.as_bytes(), is_dir));
        (!all).then_some(Clash::Deleted(Some(below)))
    }
}

impl Clash {
    fn failure(self, source: &Source<'_>, one: &Written<'_>, other: &Written<'_>) -> Failure {
        let place = |written: &Written<'_>| source.place(&source.key("job", written.name, written.key));
        let (name, other_name) = (one.name, other.name);
        let failure = |does: &str| {
            Failure::usage(format!("{}: [job.{name}] {does}", place(one)))
                .note(format!("{} is where the other one says so", place(other)))
        };
        let writes = format!("writes where [job.{other_name}] does");
        let deletes = format!("[job.{other_name}] would delete what [job.{name}] brings");
        match self {
            Self::Same => failure(&writes).hint("give each a folder of its own, for example one inside of it"),
            Self::Names => failure(&format!("names its archives as [job.{other_name}] does"))
                .note("each may replace the other's, or take them for old ones of its own")
                .hint("put {job} into the names, as in {job}-{date}.tgz, or give each a folder of its own"),
            Self::Deleted(None) => {
                failure(&writes).note(deletes).hint("choose another folder for one of them, or let one of them copy")
            }
            Self::Deleted(Some(rule)) => failure(&writes).note(deletes).hint(format!(
                "choose another folder for one of them, or leave it out in [job.{other_name}]: filter = [\"/{rule}\"]"
            )),
        }
    }
}

fn join(above: &str, name: &str) -> String {
    if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") }
}

/// A filter's pattern for all names of a template.
fn pattern(names: &Template) -> String {
    let plain = names.to_string().replace(['*', '?', '[', '\\'], "?");
    let starred = plain.replace("{date}", "*").replace("{time}", "*");
    starred.replace("**", "*")
}

/// A folder, however it is written.
#[derive(Debug, PartialEq, Eq)]
struct Folder {
    /// What tells one store from another; empty for this machine.
    server: String,
    /// The way to it.
    names: Vec<String>,
    /// Upper and lower case are one.
    folds: bool,
}

impl Folder {
    /// None for what cannot be written.
    fn of(config: &Config, file: &Path, location: &Location) -> Option<Self> {
        let (whole, store) = match location {
            Location::Named { name, path } => {
                let store = config.store.get(name)?;
                (store.url.location.join(path), Some(store))
            }
            location => (location.clone(), None),
        };
        match &whole {
            Location::Local(path) => Some(Self { server: String::new(), names: local(file, path), folds: false }),
            Location::Remote(remote) => {
                let user = remote.user.as_deref().or(store.and_then(|store| store.user.as_deref()));
                let endpoint = store.and_then(|store| store.endpoint.as_ref()).map(|endpoint| endpoint.0.as_str());
                let names = remote.path.trim_matches('/').split('/').filter(|name| !name.is_empty());
                Some(Self {
                    server: server(remote, user, endpoint),
                    names: names.map(str::to_owned).collect(),
                    folds: remote.scheme == Scheme::Smb,
                })
            }
            Location::Named { .. } | Location::Inside { .. } => None,
        }
    }

    /// The way to this folder from another one; none if it is not inside of it, nor the same.
    fn below<'f>(&'f self, other: &Self) -> Option<impl Iterator<Item = &'f str>> {
        let same = |(one, other): (&String, &String)| match self.folds {
            true => one.eq_ignore_ascii_case(other),
            false => one == other,
        };
        let is = self.server == other.server
            && self.names.len() >= other.names.len()
            && self.names.iter().zip(&other.names).all(same);
        is.then(|| self.names[other.names.len()..].iter().map(String::as_str))
    }
}

/// A server; one that is written without what goes without saying is the same.
fn server(remote: &Remote, user: Option<&str>, endpoint: Option<&str>) -> String {
    let usual = match remote.scheme {
        Scheme::Smb => 445,
        Scheme::Sftp => 22,
        Scheme::Webdav | Scheme::Http => 80,
        Scheme::S3 | Scheme::Webdavs | Scheme::Https | Scheme::Sitta => 443,
    };
    // A share is the same one for all who may write there; elsewhere each user may have folders of their own.
    let user = user.filter(|_| remote.scheme != Scheme::Smb).unwrap_or_default();
    let (scheme, host) = (remote.scheme.name(), remote.host.to_ascii_lowercase());
    let endpoint = endpoint.unwrap_or_default().trim_end_matches('/');
    format!("{scheme}://{user}@{host}:{} {endpoint}", remote.port.unwrap_or(usual))
}

/// A folder of this machine, from its root; links are not followed.
fn local(file: &Path, path: &Path) -> Vec<String> {
    let home = variable("HOME").map(PathBuf::from);
    let whole = match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => file.parent().unwrap_or(Path::new("")).join(path),
    };
    let text = |name: &OsStr| String::from_utf8_lossy(name.as_bytes()).into_owned();
    let mut names = Vec::new();
    for part in whole.components() {
        match part {
            Component::Normal(name) => names.push(text(name)),
            Component::ParentDir => drop(names.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    names
}

#[cfg(test)]
mod tests;
