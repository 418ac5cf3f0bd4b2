//! Where from and where to.

use std::path::{Path, PathBuf};

use sitta_store::{Location, Remote};

use super::ask::{Asker, Checked, Choice, some};
use super::draft::Section;
use super::secret::{self, Without};
use crate::config::Config;
use crate::context::user_name;
use crate::exit::Outcome;
use crate::hints;

/// A place that somebody named.
#[derive(Debug, Clone)]
pub struct Place {
    /// As it stands in the config.
    pub text: String,
    /// On this machine: where.
    pub local: Option<PathBuf>,
}

/// Asks what is to be copied.
pub fn source(asker: &Asker<'_>, config: &Config) -> Outcome<Place> {
    let documents = asker.context.home.as_ref().map(|home| home.join("Documents")).filter(|path| path.is_dir());
    let default = if documents.is_some() { "~/Documents" } else { "" };
    asker.ask("Which folder", default, |answer| {
        let place = understood(asker, config, answer)?;
        if let Some(path) = &place.local {
            path.metadata().map_err(|error| format!("{answer} cannot be read: {error}"))?;
        }
        Ok(place)
    })
}

/// Asks for a folder of this machine that is not, and does not hold, the source.
pub fn folder(asker: &Asker<'_>, config: &Config, source: &Place) -> Outcome<Place> {
    let place = asker.ask("Which folder", "", |answer| {
        let place = understood(asker, config, answer)?;
        let Some(path) = &place.local else { return Err("that is no folder of this machine".to_owned()) };
        if path.exists() && !path.is_dir() {
            return Err(format!("{answer} is no folder"));
        }
        if let Some(source) = &source.local {
            let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            let (from, to) = (real(source), real(path));
            if from.starts_with(&to) || to.starts_with(&from) {
                return Err(format!("{answer} and the source lie one inside the other"));
            }
        }
        Ok(place)
    })?;
    if place.local.as_ref().is_some_and(|path| !path.exists()) {
        asker.say(format!("  {} is not there yet: the first run makes it", place.text));
    }
    Ok(place)
}

/// What somebody wrote, as it can stand in the config: a daemon is started from anywhere.
fn understood(asker: &Asker<'_>, config: &Config, answer: &str) -> Checked<Place> {
    let context = asker.context;
    match Location::parse(some(answer)?).map_err(|error| error.to_string())? {
        Location::Local(path) => {
            let path = match (path.strip_prefix("~"), &context.home) {
                (Ok(below), Some(home)) => home.join(below),
                _ => std::path::absolute(&path).map_err(|error| error.to_string())?,
            };
            let text = path.to_str().ok_or("such a name cannot stand in a config")?.to_owned();
            let text = match context.shorten(&text) {
                home if home == "~" => "~/".to_owned(),
                shorter => shorter,
            };
            Ok(Place { text, local: Some(path) })
        }
        Location::Named { name, .. } if !config.store.contains_key(&name) => {
            let nearest = hints::nearest(&name, config.store.keys().map(String::as_str));
            let hint = nearest.map_or(String::new(), |nearest| format!("; did you mean {nearest}: ?"));
            Err(format!("there is no store named '{name}' in the config{hint}"))
        }
        location => match crate::config::remote(&location) {
            Some(Remote { password: Some(_), .. }) => Err("leave out the password: it would be shown".to_owned()),
            _ => Ok(Place { text: answer.to_owned(), local: None }),
        },
    }
}

/// What kind of place it goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Folder,
    Server(Server),
    /// A store that the config has already.
    Known(String),
}

/// What sort of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Smb,
    S3,
    Sftp,
    Webdav,
}

/// Asks what kind of place it goes to.
pub fn kind(asker: &Asker<'_>, config: &Config) -> Outcome<Kind> {
    const KINDS: [(&str, &str, Kind); 5] = [
        ("folder", "a folder of this machine, or a disk that is mounted", Kind::Folder),
        ("smb", "a share of Windows, Samba or a network disk", Kind::Server(Server::Smb)),
        ("s3", "a bucket of Amazon's, or of any other that speaks S3", Kind::Server(Server::S3)),
        ("sftp", "a server that is reached by SSH", Kind::Server(Server::Sftp)),
        ("webdav", "Nextcloud, ownCloud and their like", Kind::Server(Server::Webdav)),
    ];
    let mut choices: Vec<Choice> = KINDS.iter().map(|(word, what, _)| ((*word).into(), (*what).into())).collect();
    let known = config.store.iter().map(|(name, store)| (format!("{name}:"), store.url.text()));
    choices.extend(known);
    let chosen = asker.choose("Which one", &choices, 0)?;
    Ok(match KINDS.get(chosen) {
        Some((.., kind)) => kind.clone(),
        None => Kind::Known(choices[chosen].0.trim_end_matches(':').to_owned()),
    })
}

/// What was answered before, when it is asked again.
#[derive(Debug, Default)]
pub struct Before {
    address: String,
    user: String,
    name: String,
    endpoint: String,
    region: String,
    key_id: String,
}

/// Asks for a server's address, and what it takes to get in. The second: whether each run asks for the password.
pub fn server(asker: &Asker<'_>, config: &Config, server: Server, before: &mut Before) -> Outcome<(Section, bool)> {
    let question = match server {
        Server::Smb => "Its address, as host/share or host/share/folder",
        Server::S3 => "The bucket, as bucket or bucket/folder",
        Server::Sftp => "Its address, as host/folder",
        Server::Webdav => "Its address, as https://host/folder",
    };
    let (url, remote) = asker.ask(question, &before.address, |answer| address(server, answer))?;
    before.address.clone_from(&url);
    let optional = |answer: &str| Ok(if answer == "-" { String::new() } else { answer.to_owned() });
    let mut keys: Vec<(&'static str, String)> = Vec::new();
    let asks_for_key;
    match server {
        Server::S3 => {
            before.endpoint =
                asker.ask("The server, as https://host (empty for Amazon's)", &before.endpoint, endpoint)?;
            before.region = asker.ask("The region (may be empty)", &before.region, optional)?;
            let question = "The access key's id (empty: as AWS_* and ~/.aws say)";
            before.key_id = asker.ask(question, &before.key_id, optional)?;
            keys.extend([
                ("endpoint", before.endpoint.clone()),
                ("region", before.region.clone()),
                ("key_id", before.key_id.clone()),
            ]);
            asks_for_key = !before.key_id.is_empty();
        }
        _ if remote.user.is_some() => asks_for_key = true,
        _ => {
            if before.user.is_empty() && server == Server::Sftp {
                before.user = user_name().unwrap_or_default();
            }
            let question = match server {
                Server::Smb => "The user (empty: as a guest)",
                Server::Sftp => "The user",
                _ => "The user (empty: without a login)",
            };
            before.user = asker.ask(question, &before.user, optional)?;
            keys.push(("user", before.user.clone()));
            asks_for_key = !before.user.is_empty();
        }
    }
    if before.name.is_empty() {
        before.name = name_for(server, &remote, config);
    }
    let name = asker.ask("What shall it be called here", &before.name, |answer| {
        if !matches!(Location::parse(format!("{answer}:")), Ok(Location::Named { .. })) {
            return Err("a name is two letters or more: letters, digits, '-', '_' and '.'".to_owned());
        }
        match config.store.get(answer) {
            Some(store) => Err(format!("{answer} is {} already: choose another name", store.url.text())),
            None => Ok(answer.to_owned()),
        }
    })?;
    before.name.clone_from(&name);
    let mut store = Section::new("store", &name);
    store.key("url", url);
    keys.into_iter().filter(|(_, value)| !value.is_empty()).for_each(|(key, value)| store.key(key, value));
    let mut asked_each_time = false;
    if asks_for_key {
        let (key, what, without) = match server {
            Server::S3 => ("secret", "secret key", Without::No),
            Server::Sftp => ("password", "password", Without::Key),
            Server::Smb | Server::Webdav => ("password", "password", Without::Asked),
        };
        let kept = secret::ask(asker, what, &name, without)?;
        asked_each_time = kept.is_none() && without == Without::Asked;
        store.secret = kept.map(|kept| (key, kept));
    }
    Ok((store, asked_each_time))
}

/// Asks for the file of certificates that a server is trusted by.
pub fn certificates(asker: &Asker<'_>) -> Outcome<String> {
    asker.ask("Which file, in PEM form", "", |answer| {
        let place = understood(asker, &Config::default(), answer)?;
        let path = place.local.ok_or("name a file of this machine")?;
        crate::open::certificates(&path, "this answer").map_err(|failure| failure.what)?;
        Ok(place.text)
    })
}

/// A server's URL, from what somebody wrote or copied from elsewhere.
fn address(server: Server, answer: &str) -> Checked<(String, Remote)> {
    let answer = some(answer)?;
    let plain = answer.replace('\\', "/");
    let after = |scheme: &str| plain.strip_prefix(scheme).map(str::to_owned);
    let url = match server {
        Server::Smb => format!("smb://{}", after("smb:").unwrap_or(plain.clone()).trim_start_matches('/')),
        Server::S3 => format!("s3://{}", after("s3://").unwrap_or(answer)),
        Server::Sftp => format!("sftp://{}", after("sftp://").unwrap_or(answer)),
        Server::Webdav => {
            let plain_http = after("http://").or_else(|| after("webdav://"));
            let tls = after("https://").or_else(|| after("webdavs://"));
            plain_http
                .map_or_else(|| format!("webdavs://{}", tls.unwrap_or(answer)), |rest| format!("webdav://{rest}"))
        }
    };
    match Location::parse(&url).map_err(|error| error.to_string())? {
        Location::Remote(Remote { password: Some(_), .. }) => {
            Err("leave out the password: it is asked for below".to_owned())
        }
        Location::Remote(remote) => Ok((url, remote)),
        _ => Err("that is no address of a server".to_owned()),
    }
}

fn endpoint(answer: &str) -> Checked<String> {
    let host = answer.strip_prefix("https://").or_else(|| answer.strip_prefix("http://"));
    match host {
        _ if matches!(answer, "" | "-") => Ok(String::new()),
        Some(host) if !host.trim_matches('/').is_empty() && !host.contains('@') => Ok(answer.to_owned()),
        _ => Err("write it as https://s3.example.org".to_owned()),
    }
}

/// A name that nothing has yet: the server's own, or that of its kind.
fn name_for(server: Server, remote: &Remote, config: &Config) -> String {
    let first = remote.host.split('.').next().unwrap_or_default().to_lowercase();
    let is_word = first.len() > 1 && first.starts_with(|c: char| c.is_ascii_alphabetic());
    let kind = match server {
        Server::Smb => "share",
        Server::S3 => "bucket",
        Server::Sftp => "server",
        Server::Webdav => "cloud",
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let name = if is_word && first.chars().all(plain) { first } else { kind.to_owned() };
    free(&name, |name| config.store.contains_key(name))
}

/// The name, or the name with the first number that makes it new.
pub fn free(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2..).map(|n| format!("{name}-{n}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !is_taken(name)).expect("numbers do not end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_people_have_them() {
        for (server, answer, url) in [
            (Server::Smb, r"\\nas\archive\docs", "smb://nas/archive/docs"),
            (Server::Smb, "smb://me@nas:1445/archive", "smb://me@nas:1445/archive"),
            (Server::S3, "bucket/folder", "s3://bucket/folder"),
            (Server::Sftp, "host/srv", "sftp://host/srv"),
            (Server::Webdav, "https://cloud.example.org/dav/me", "webdavs://cloud.example.org/dav/me"),
            (Server::Webdav, "http://localhost:8080/", "webdav://localhost:8080/"),
            (Server::Webdav, "cloud.example.org/dav", "webdavs://cloud.example.org/dav"),
        ] {
            assert_eq!(address(server, answer).expect(answer).0, url);
        }
        assert!(address(Server::Smb, "nas").is_err(), "a share is missing");
        let wrong = address(Server::Sftp, "me:s3cret@host/x").expect_err("it holds a password");
        assert!(!wrong.contains("s3cret"), "{wrong}");
    }
}
