//! `sitta init`: asks what to do, tries the connection, shows what it would write, and writes it once that is wanted.

mod ask;
pub mod draft;
mod job;
mod place;
mod secret;
pub mod write;

use std::ffi::OsStr;
use std::time::Instant;

use sitta_store::{ErrorKind, Scheme};
use sitta_tree::RelPath;

use self::ask::{Asker, Choice};
use self::draft::{Form, Section, add};
use self::job::When;
use self::place::{Before, Kind, Place};
use super::block_on;
use crate::config::{Config, Verb};
use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::open::{open, scheme};
use crate::render::{failure, json, units};

pub fn run(context: &Context) -> Outcome {
    let file = &context.config_file;
    let before = write::read(file)?;
    let base = match &before {
        Some(_) => context.reload()?,
        None => context.with_text("")?,
    };
    let config = base.config()?;
    let asker = Asker::new(&base)?;
    asker.say("A few questions, then a job for them is written into the config. Enter takes what stands in");
    asker.say("[brackets]; Ctrl-C leaves everything as it was.");
    let made = Wizard { asker: &asker, text: before.as_deref().unwrap_or_default(), config }.ask()?;
    let text = add(before.as_deref().unwrap_or_default(), &made.sections, Form::File)?;
    // What is put in place is what a run will read.
    Config::parse(file, &text)?;
    let shown = context.shorten(&file.display().to_string());
    asker.head(&format!("This is {} {shown}:", if before.is_some() { "added to" } else { "written to" }));
    add("", &made.sections, Form::Screen)?.lines().for_each(|line| asker.say(format!("  {line}").trim_end()));
    asker.say("");
    if !asker.confirm("Write it", true)? {
        asker.say("Nothing was written");
        return Ok(Exit::Done);
    }
    let mut written = asker.writing();
    let secrets = write::write(&base, before.as_deref(), &text, &made.sections)?;
    *written = true;
    if context.json {
        let store = made.sections.iter().find(|section| section.kind == "store").map(|store| store.name.clone());
        let fields =
            [("file", file.display().to_string().into()), ("job", made.job.into()), ("store", store.into())];
        let mut out = context.out();
        out.line(json::plain_report("init", &fields))?;
        out.flush()?;
        return Ok(Exit::Done);
    }
    let head = |word| context.console.style.head(word);
    asker.say(format!("{}{shown}", head("Written")));
    for secret in secrets {
        asker.say(format!("{}{}", head("Written"), context.shorten(&secret.display().to_string())));
    }
    let name = &made.job;
    asker.say(format!(
        "{}`sitta run {name} --dry-run` shows what it would do, `sitta run {name}` does it",
        head("Next")
    ));
    if made.runs_by_itself {
        asker.say(format!("{}`sitta schedule install` lets it run by itself", head("")));
    }
    Ok(Exit::Done)
}

/// What the answers came to.
struct Made {
    sections: Vec<Section>,
    job: String,
    runs_by_itself: bool,
}

/// What comes of it that a place was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    /// It is the one.
    Keep,
    /// It is asked for once more.
    Again,
    /// It is the one, if its certificate is trusted.
    Trust,
}

struct Wizard<'w> {
    asker: &'w Asker<'w>,
    /// The config as it is.
    text: &'w str,
    config: &'w Config,
}

/// Where it goes: the part before the folder (`nas:`), and a new store if there is one.
struct Target {
    store: Option<String>,
    new: Option<Section>,
    folder: Option<Place>,
    /// Each run asks for the password.
    asks: bool,
}

impl Wizard<'_> {
    fn ask(&self) -> Outcome<Made> {
        let (asker, config) = (self.asker, self.config);
        asker.head("What is to be kept safe?");
        let source = self.source()?;
        asker.head("What shall happen with it?");
        let is_file = source.local.as_ref().is_some_and(|path| path.is_file());
        let verb = job::verb(asker, is_file)?;
        asker.head("Where does it go?");
        let target = self.target(&source)?;
        let to = self.to(&source, verb, &target)?;
        let keep = if verb == Verb::Archive { job::keep(asker)? } else { None };
        asker.head("When does it run?");
        let when = job::when(asker, verb)?;
        if target.asks && when != When::ByHand {
            asker.say(
                "  nobody is there to be asked for the password then: such a run fails, until the config says",
            );
            asker.say("  where the password is kept");
        }
        asker.head("Who is told how it went?");
        let told = job::whom(asker, config)?;
        asker.say("");
        let name = job::name(asker, config, &source.text)?;
        let mut job = self.job(&name, &source, verb, &to);
        if let Some(keep) = keep {
            job.key("keep", keep);
        }
        match &when {
            When::At(schedule) => job.key("schedule", schedule.as_str()),
            When::Always => job.key("watch", true),
            When::ByHand => {}
        }
        let mut sections: Vec<Section> = target.new.into_iter().collect();
        if let Some((person, new)) = told {
            job.key("notify", toml_edit::Array::from_iter([person]));
            sections.extend(new);
        }
        sections.push(job);
        Ok(Made { sections, job: name, runs_by_itself: when != When::ByHand })
    }

    fn job(&self, name: &str, source: &Place, verb: Verb, to: &str) -> Section {
        let mut job = Section::new("job", name);
        job.key("verb", verb.name());
        job.key("from", source.text.as_str());
        job.key("to", to);
        job
    }

    fn source(&self) -> Outcome<Place> {
        loop {
            let source = place::source(self.asker, self.config)?;
            if source.local.is_some() || self.try_it(self.asker.context, &source.text, false)? != Tried::Again {
                return Ok(source);
            }
        }
    }

    /// Asks for a place until it can be gone to, or is kept anyway.
    fn target(&self, source: &Place) -> Outcome<Target> {
        let (asker, config) = (self.asker, self.config);
        loop {
            let kind = match place::kind(asker, config)? {
                Kind::Folder => {
                    let folder = Some(place::folder(asker, config, source)?);
                    return Ok(Target { store: None, new: None, folder, asks: false });
                }
                Kind::Known(name) => {
                    if self.try_it(asker.context, &format!("{name}:"), false)? != Tried::Again {
                        return Ok(Target { store: Some(name), new: None, folder: None, asks: false });
                    }
                    continue;
                }
                Kind::Server(kind) => kind,
            };
            let mut before = Before::default();
            loop {
                let (store, asks) = place::server(asker, config, kind, &mut before)?;
                if let Some(store) = self.try_new(store)? {
                    return Ok(Target { store: Some(store.name.clone()), new: Some(store), folder: None, asks });
                }
            }
        }
    }

    /// Tries a store that the config does not have yet; none if it is to be asked for once more. One that shows a
    /// certificate that nobody here knows may be trusted by a file of certificates.
    fn try_new(&self, mut store: Section) -> Outcome<Option<Section>> {
        let asker = self.asker;
        loop {
            let text = add(self.text, std::slice::from_ref(&store), Form::Trial)?;
            let trial = match asker.context.with_text(&text) {
                Ok(trial) => trial,
                // Two answers that do not go together.
                Err(failure) => {
                    asker.context.console.failure(&failure);
                    return Ok(None);
                }
            };
            // Keys of SSH are trusted elsewhere.
            let trusts = !store.keys.iter().any(|(key, url)| *key == "url" && is_ssh(url));
            match self.try_it(&trial, &format!("{}:", store.name), trusts)? {
                Tried::Keep => return Ok(Some(store)),
                Tried::Again => return Ok(None),
                Tried::Trust => {
                    let file = place::certificates(asker)?;
                    store.keys.retain(|(key, _)| *key != "ca");
                    store.key("ca", file);
                }
            }
        }
    }

    /// Goes to a place and looks; what to do about it. Nothing is written there. `trusts`: it can be told what to trust.
    fn try_it(&self, context: &Context, place: &str, trusts: bool) -> Outcome<Tried> {
        let asker = self.asker;
        let started = Instant::now();
        match block_on(look(context, place)) {
            Ok(found) => {
                let took = units::duration(started.elapsed());
                let holds = match found {
                    Some(entries) => units::counted(entries, "entry", "entries"),
                    None => "the folder is not there yet, the first run makes it".to_owned(),
                };
                asker.say(format!(
                    "{}{place} can be reached: {holds} ({took})",
                    context.console.style.head("Tried")
                ));
                Ok(Tried::Keep)
            }
            Err(failure) => {
                let untrusted = failure.kind == Some(ErrorKind::Untrusted);
                context.console.failure(&failure);
                let mut choices = vec![
                    (Tried::Again, "again", "answer once more"),
                    (Tried::Keep, "keep", "go on with it as it is; `sitta config check --connect` tries it later"),
                ];
                if trusts && untrusted {
                    choices.push((
                        Tried::Trust,
                        "ca",
                        "name a file with the certificate that it is to be trusted by",
                    ));
                }
                let shown: Vec<Choice> =
                    choices.iter().map(|(_, word, what)| ((*word).to_owned(), (*what).to_owned())).collect();
                Ok(choices[asker.choose("What now", &shown, 0)?].0)
            }
        }
    }

    /// Asks for the folder in a store, and makes sure that no other job writes there.
    fn to(&self, source: &Place, verb: Verb, target: &Target) -> Outcome<String> {
        let asker = self.asker;
        let mut folder = target.folder.clone();
        loop {
            let place = match (&target.store, &folder) {
                (Some(store), _) => {
                    let trimmed = source.text.trim_end_matches('/');
                    let own = trimmed.rsplit(['/', ':']).next().unwrap_or_default();
                    let default = if own.is_empty() || own.contains('~') { "." } else { own };
                    let question = format!("Which folder of {store} (a dot for all of it)");
                    let below = asker.ask(&question, default, |answer| {
                        let below = answer.trim_matches('/');
                        match below.split('/').any(|part| part == "..") {
                            true => Err("name a folder inside of it".to_owned()),
                            false => Ok(if below == "." { String::new() } else { below.to_owned() }),
                        }
                    })?;
                    format!("{store}:{below}")
                }
                (None, Some(place)) => place.text.clone(),
                (None, None) => place::folder(asker, self.config, source)?.text,
            };
            let to = match verb {
                Verb::Archive if place.ends_with([':', '/']) => format!("{place}{{job}}-{{date}}.tar.zst"),
                Verb::Archive => format!("{place}/{{job}}-{{date}}.tar.zst"),
                _ => place,
            };
            let mut sections: Vec<Section> = target.new.iter().cloned().collect();
            sections.push(self.job(&job::default_name(self.config, &source.text), source, verb, &to));
            match asker.context.with_text(&add(self.text, &sections, Form::Trial)?) {
                Ok(_) => return Ok(to),
                Err(failure) => {
                    // Its place in the file means nothing yet.
                    let what = failure.what.split_once(": ").map_or(failure.what.as_str(), |(_, what)| what);
                    asker.say(format!("  {what}"));
                    failure.hint.iter().for_each(|hint| asker.say(format!("  {hint}")));
                    folder = None;
                }
            }
        }
    }
}

/// How many entries there are; none if the folder is not there.
async fn look(context: &Context, place: &str) -> Outcome<Option<u64>> {
    let opened = open(context, OsStr::new(place)).await?;
    match opened.store.list(&RelPath::root()).await {
        Ok(entries) => Ok(Some(entries.len() as u64)),
        // Folders are made by the first run; buckets, and what can only be read, are not.
        Err(error) if error.kind == ErrorKind::NotFound && makes_folders(&error.location) => Ok(None),
        Err(error) => Err(failure::looking(&opened.label, &error)),
    }
}

fn is_ssh(url: &toml_edit::Value) -> bool {
    url.as_str().and_then(scheme) == Some(Scheme::Sftp)
}

fn makes_folders(location: &str) -> bool {
    matches!(scheme(location), Some(Scheme::Smb | Scheme::Sftp | Scheme::Webdav | Scheme::Webdavs))
}
