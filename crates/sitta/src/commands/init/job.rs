//! What shall happen, when, and who is told.

use std::path::Path;

use jiff::tz::TimeZone;
use sitta_jobs::Schedule;
use sitta_jobs::notify::{MailServer, check_address, check_url};
use toml_edit::{Array, InlineTable, Value};

use super::ask::{Asker, Checked, Choice, some};
use super::draft::Section;
use super::place::free;
use super::secret::{self, Without};
use crate::config::{Config, Verb};
use crate::exit::Outcome;

fn choices(of: &[(&str, &str)]) -> Vec<Choice> {
    of.iter().map(|(word, what)| ((*word).to_owned(), (*what).to_owned())).collect()
}

/// Asks what shall happen; one file can be packed only.
pub fn verb(asker: &Asker<'_>, is_file: bool) -> Outcome<Verb> {
    const VERBS: [(Verb, &str); 4] = [
        (Verb::Mirror, "the other place becomes what this one is, deletes included"),
        (Verb::Copy, "what is new or changed goes there; nothing is ever deleted"),
        (Verb::Sync, "both ways: what changed on one side goes to the other"),
        (Verb::Archive, "it is packed into one dated file; so many of them stay"),
    ];
    let fitting: Vec<_> = VERBS.into_iter().filter(|(verb, _)| !is_file || *verb == Verb::Archive).collect();
    let shown: Vec<Choice> = fitting.iter().map(|(verb, what)| (verb.name().into(), (*what).into())).collect();
    Ok(fitting[asker.choose("Which one", &shown, 0)?].0)
}

/// Asks how many archives stay.
pub fn keep(asker: &Asker<'_>) -> Outcome<Option<Value>> {
    let last = asker.ask("How many archives shall stay (0: all of them)", "7", |answer| {
        answer.parse::<u32>().map_err(|_| "write a number".to_owned())
    })?;
    Ok((last > 0).then(|| InlineTable::from_iter([("last", i64::from(last))]).into()))
}

/// When a job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    ByHand,
    Always,
    At(String),
}

/// Asks when it runs.
pub fn when(asker: &Asker<'_>, verb: Verb) -> Outcome<When> {
    let mut of = vec![
        ("daily", "every day, at a time of day"),
        ("hourly", "every hour"),
        ("weekly", "every Sunday, at a time of day"),
        ("monthly", "on the first of each month, at a time of day"),
        ("cron", "at times that you write as five cron fields"),
        ("hand", "only when you say `sitta run`"),
    ];
    if verb == Verb::Sync {
        of.push(("always", "all the time: each change as it happens"));
    }
    let chosen = asker.choose("Which one", &choices(&of), 0)?;
    let at = |asker: &Asker<'_>, days: &str| -> Outcome<When> {
        let (hour, minute) = asker.ask("At what time", "02:00", time)?;
        Ok(When::At(format!("{minute} {hour} {days}")))
    };
    match of[chosen].0 {
        "daily" => at(asker, "* * *"),
        "weekly" => at(asker, "* * 0"),
        "monthly" => at(asker, "1 * *"),
        "hourly" => Ok(When::At("@hourly".to_owned())),
        "always" => Ok(When::Always),
        "cron" => {
            let question = "Minute, hour, day, month and weekday";
            let check = |answer: &str| match Schedule::parse(answer, TimeZone::UTC) {
                Ok(_) => Ok(When::At(answer.to_owned())),
                Err(error) => Err(error.to_string()),
            };
            asker.ask(question, "0 2 * * 1-5", check)
        }
        _ => Ok(When::ByHand),
    }
}

fn time(answer: &str) -> Checked<(u8, u8)> {
    let parts = answer.split_once(':').and_then(|(h, m)| Some((h.parse::<u8>().ok()?, m.parse::<u8>().ok()?)));
    parts.filter(|(hour, minute)| *hour < 24 && *minute < 60).ok_or("write a time such as 02:00".to_owned())
}

/// Asks who is told: somebody whom the config knows, somebody new, or nobody.
pub fn whom(asker: &Asker<'_>, config: &Config) -> Outcome<Option<(String, Option<Section>)>> {
    const NEW: [(&str, &str); 5] = [
        ("nobody", "what happened stands in `sitta history`"),
        ("mail", "by mail"),
        ("webhook", "by a POST of JSON"),
        ("ping", "a monitor such as healthchecks.io, which raises an alarm when it hears nothing"),
        ("desktop", "by a notification on this desktop, where the job runs as its user"),
    ];
    let mut all = choices(&NEW);
    all.extend(config.notify.iter().map(|(name, notify)| {
        // One whose name is a word from above is chosen by its number.
        (name.clone(), format!("as the config says already, by {}", notify.kind.name()))
    }));
    let chosen = asker.choose("Which one", &all, 0)?;
    let kind = match NEW.get(chosen) {
        Some(("nobody", _)) => return Ok(None),
        Some((kind, _)) => *kind,
        None => return Ok(Some((all[chosen].0.clone(), None))),
    };
    let default = free(kind, |name| config.notify.contains_key(name));
    let name = asker.ask("What shall that be called here", &default, |answer| match plain_name(answer) {
        Ok(name) if config.notify.contains_key(&name) => Err(format!("there is a [notify.{name}] already")),
        checked => checked,
    })?;
    let mut notify = Section::new("notify", &name);
    notify.key("kind", kind);
    match kind {
        "mail" => mail(asker, &mut notify, &name)?,
        "desktop" => {}
        _ => {
            let url = asker.ask("Its URL", "", |answer| check_url(answer).map(|()| answer.to_owned()))?;
            notify.key("url", url);
        }
    }
    if kind != "ping" {
        asker.say("After which runs?");
        let which = [("problems", "those that did not go well"), ("always", "all of them")];
        if asker.choose("Which one", &choices(&which), 0)? == 1 {
            notify.key("on", "always");
        }
    }
    Ok(Some((name, Some(notify))))
}

fn mail(asker: &Asker<'_>, notify: &mut Section, name: &str) -> Outcome<()> {
    let to = asker.ask("To which address (several with commas between)", "", |answer| {
        let addresses: Vec<String> = answer.split(',').map(|address| address.trim().to_owned()).collect();
        addresses.iter().try_for_each(|address| check_address(address))?;
        Ok(addresses)
    })?;
    notify.key("to", to.iter().collect::<Array>());
    let question = "The mail server, as smtps://host (TLS) or smtp://host (STARTTLS)";
    let (url, server) = asker.ask(question, "", |answer| {
        let url = if answer.contains("://") { answer.to_owned() } else { format!("smtps://{}", some(answer)?) };
        MailServer::parse(&url).map(|server| (url, server))
    })?;
    let mut url = url;
    let mut user = server.user.clone();
    if user.is_none() && server.security != sitta_jobs::notify::Security::Plain {
        let typed = asker.ask("The user there (empty: without a login)", "", |answer| Ok(answer.to_owned()))?;
        if !typed.is_empty() {
            url = url.replacen("://", &format!("://{}@", escape(&typed)), 1);
            user = Some(typed);
        }
    }
    notify.key("smtp", url);
    if user.is_some() {
        notify.secret = secret::ask(asker, "password", name, Without::No)?.map(|kept| ("password", kept));
    }
    Ok(())
}

/// A user as it can stand in a URL; it may be a mail address.
fn escape(user: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    user.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn plain_name(answer: &str) -> Checked<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let fits = !answer.is_empty() && answer.len() <= 100 && !answer.starts_with(['.', '-']);
    match fits && answer.chars().all(plain) {
        true => Ok(answer.to_owned()),
        false => {
            Err("a name is made of letters, digits, '-', '_' and '.', and begins with a letter or digit".to_owned())
        }
    }
}

/// Asks what the job is called.
pub fn name(asker: &Asker<'_>, config: &Config, source: &str) -> Outcome<String> {
    let default = default_name(config, source);
    asker.ask("What shall the job be called", &default, |answer| match plain_name(answer) {
        Ok(name) if config.job.contains_key(&name) => {
            Err(format!("there is a job {name} already: choose another name"))
        }
        checked => checked,
    })
}

/// A name that no job has yet: the folder's own, in small letters.
pub fn default_name(config: &Config, source: &str) -> String {
    let last =
        Path::new(source.trim_end_matches('/')).file_name().map(|name| name.to_string_lossy().to_lowercase());
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = last.unwrap_or_default().chars().map(plain).collect();
    let name = name.trim_matches('-');
    free(if name.is_empty() { "job" } else { name }, |name| config.job.contains_key(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_called_after_their_folder() {
        let config =
            Config::parse(Path::new("c"), "[job.documents]\nverb='copy'\nfrom='/a'\nto='/b'\n").expect("right");
        assert_eq!(default_name(&config, "~/Documents/"), "documents-2");
        assert_eq!(default_name(&config, "/srv/My Files"), "my-files");
        assert_eq!(default_name(&config, "/"), "job");
    }

    #[test]
    fn times_of_day_are_checked() {
        assert_eq!(time("02:30"), Ok((2, 30)));
        assert!(["24:00", "2", "12:60", "-1:00"].iter().all(|text| time(text).is_err()));
    }

    #[test]
    fn users_that_are_addresses_can_stand_in_a_url() {
        let server = MailServer::parse(&format!("smtps://{}@smtp.example.org", escape("ops@example.org")));
        assert_eq!(server.expect("a server").user.as_deref(), Some("ops@example.org"));
    }
}
