//! `[store.NAME]`: a place, and what it takes to get in.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sitta_store::{Location, Remote, Scheme};

use super::Misfit;
use super::secret::Secret;
use super::values::{Endpoint, OneOrMany, Place, Timeout};
use crate::render::units::parse_duration;

/// A place with a name.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Where it is: a path or a URL, best without a password.
    pub url: Place,
    /// The user, if the URL names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The password for that user; for sftp:// also the passphrase of a private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// A bearer token, for webdav://, http:// and sitta://.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// A file of certificates, in PEM form, that are trusted besides the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// How long the server may take to do anything at all, for example "30s".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Timeout>,
    /// sftp: files of known hosts, instead of OpenSSH's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<OneOrMany>,
    /// sftp: private keys, instead of those in ~/.ssh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<OneOrMany>,
    /// s3: the server, for example "https://s3.example.org"; without it, Amazon's for the region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// s3: the region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// s3: the access key's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// s3: the secret access key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// s3: the session token of temporary credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_token: Option<Secret>,
    /// s3: whether the bucket stands in the path rather than in the host's name; without it, as suits the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
    /// s3: whether the server enforces conditional writes; without it, that is tried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditional_writes: Option<bool>,
}

const LOGIN: &[Scheme] =
    &[Scheme::Smb, Scheme::Sftp, Scheme::Webdav, Scheme::Webdavs, Scheme::Http, Scheme::Https, Scheme::Sitta];
const WEB: &[Scheme] = &[Scheme::Webdav, Scheme::Webdavs, Scheme::Http, Scheme::Https, Scheme::Sitta];
const TLS: &[Scheme] = &[Scheme::S3, Scheme::Webdavs, Scheme::Https, Scheme::Sitta];
const SFTP: &[Scheme] = &[Scheme::Sftp];
const S3: &[Scheme] = &[Scheme::S3];

impl Store {
    /// The secrets, with their keys.
    pub fn secrets(&self) -> impl Iterator<Item = (&'static str, &Secret)> {
        let all = [
            ("password", &self.password),
            ("token", &self.token),
            ("secret", &self.secret),
            ("session_token", &self.session_token),
        ];
        all.into_iter().filter_map(|(key, secret)| Some((key, secret.as_ref()?)))
    }

    /// The server that it is on; none for a place of this machine.
    pub fn remote(&self) -> Option<&Remote> {
        remote(&self.url.location)
    }

    /// How long the server may take.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout.as_ref().and_then(|timeout| parse_duration(&timeout.0).ok())
    }

    /// The keys that are there, and for which places each is.
    fn keys(&self) -> impl Iterator<Item = (&'static str, &'static [Scheme])> {
        [
            ("user", LOGIN, self.user.is_some()),
            ("password", LOGIN, self.password.is_some()),
            ("token", WEB, self.token.is_some()),
            ("ca", TLS, self.ca.is_some()),
            ("timeout", &Scheme::ALL, self.timeout.is_some()),
            ("known_hosts", SFTP, self.known_hosts.is_some()),
            ("identity", SFTP, self.identity.is_some()),
            ("endpoint", S3, self.endpoint.is_some()),
            ("region", S3, self.region.is_some()),
            ("key_id", S3, self.key_id.is_some()),
            ("secret", S3, self.secret.is_some()),
            ("session_token", S3, self.session_token.is_some()),
            ("path_style", S3, self.path_style.is_some()),
            ("conditional_writes", S3, self.conditional_writes.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, places, there)| there.then_some((key, places)))
    }

    /// What does not go together.
    pub fn misfit(&self) -> Option<Misfit> {
        let misfit = |key, what: &str, hint: &str| Some(Misfit { key, what: what.into(), hint: hint.into() });
        if is_named(&self.url.location) {
            return misfit("url", "'url' is itself the name of a store", "write the path or the URL");
        }
        let remote = self.remote();
        for (key, places) in self.keys() {
            if remote.is_none_or(|remote| !places.contains(&remote.scheme)) {
                return Some(does_not_fit(key, places, remote));
            }
        }
        if remote.is_some_and(|remote| remote.user.is_some()) && self.user.is_some() {
            return misfit("user", "the user stands in 'url' already", "leave out one of the two");
        }
        if self.token.is_some() && self.password.is_some() {
            return misfit("token", "a login is either by 'token' or by 'password'", "leave out one of the two");
        }
        match (&self.key_id, &self.secret, &self.session_token) {
            (Some(_), None, _) => misfit("key_id", "'key_id' is of no use without 'secret'", "add secret = …"),
            (None, Some(_), _) => misfit("secret", "'secret' is of no use without 'key_id'", "add key_id = …"),
            (None, None, Some(_)) => {
                misfit("session_token", "'session_token' is of no use without 'key_id' and 'secret'", "add them")
            }
            _ => None,
        }
    }
}

fn does_not_fit(key: &'static str, places: &[Scheme], remote: Option<&Remote>) -> Misfit {
    let what = match remote {
        Some(remote) => format!("'{key}' means nothing for {}://", remote.scheme.name()),
        None => format!("'{key}' means nothing for a folder of this machine"),
    };
    let names: Vec<String> = places.iter().map(|scheme| format!("{}://", scheme.name())).collect();
    let hint = match (key, remote.map(|remote| remote.scheme)) {
        ("password", Some(Scheme::S3)) => "for s3:// it is key_id and secret".to_owned(),
        ("user", Some(Scheme::S3)) => "for s3:// it is key_id".to_owned(),
        _ => format!("leave it out; it is for {}", names.join(", ")),
    };
    Misfit { key, what, hint }
}

/// The server that a place is on.
pub fn remote(location: &Location) -> Option<&Remote> {
    match location {
        Location::Remote(remote) => Some(remote),
        Location::Inside { archive, .. } => remote(archive),
        Location::Local(_) | Location::Named { .. } => None,
    }
}

fn is_named(location: &Location) -> bool {
    match location {
        Location::Named { .. } => true,
        Location::Inside { archive, .. } => is_named(archive),
        Location::Local(_) | Location::Remote(_) => false,
    }
}
