//! `[notify.NAME]`: somebody, or something, that is told about jobs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sitta_jobs::notify::{Wish, check_url};

use super::Misfit;
use super::job::is_false;
use super::secret::Secret;
use super::values::{Address, Smtp};

/// Somebody who is told about jobs.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// How.
    pub kind: NotifyKind,
    /// mail: the recipients' addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<Address>,
    /// mail: the sender's address; without it, the first recipient's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Address>,
    /// mail: the server: "smtps://user@smtp.example.org" (TLS), "smtp://…" (STARTTLS), "smtp+plain://localhost" (neither TLS
    /// nor login).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp: Option<Smtp>,
    /// mail: the password of the server's user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// webhook: where the JSON is posted to. ping: what is asked for after each success; after failures, the same with /fail
    /// behind it, and at the beginning with /start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// ping: asked for at the beginning of each run, instead of the URL with /start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Secret>,
    /// ping: asked for after each run that did not go well, instead of the URL with /fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Secret>,
    /// webhook: a bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// A file of certificates, in PEM form, that are trusted besides the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// After which runs; without it, those that failed, were done in part or held back, or left conflicts. A ping is always
    /// sent.
    #[serde(default)]
    pub on: On,
    /// mail: send the log along.
    #[serde(default, skip_serializing_if = "is_false")]
    pub attach_log: bool,
}

/// How somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NotifyKind {
    /// By mail.
    Mail,
    /// By a POST of JSON.
    Webhook,
    /// A monitor that raises an alarm when it hears nothing, such as healthchecks.io.
    Ping,
    /// A notification on the desktop of whoever is logged in.
    Desktop,
}

impl NotifyKind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
            Self::Ping => "ping",
            Self::Desktop => "desktop",
        }
    }
}

/// After which runs somebody is told: a list, or "always".
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum On {
    /// After each run.
    Always(Always),
    /// After these.
    Some(Vec<Occasion>),
}

impl Default for On {
    fn default() -> Self {
        Self::Some(vec![Occasion::Failed, Occasion::Partial, Occasion::Held, Occasion::Conflicts])
    }
}

// By hand, so that a wrong word is named with the right ones; an untagged enum says nothing of them.
impl<'de> Deserialize<'de> for On {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = On;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"always\" or a list of outcomes")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<On, E> {
                match text {
                    "always" => Ok(On::Always(Always::Always)),
                    other => Err(E::unknown_variant(other, &["always"])),
                }
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, list: A) -> Result<On, A::Error> {
                Vec::deserialize(serde::de::value::SeqAccessDeserializer::new(list)).map(On::Some)
            }
        }
        from.deserialize_any(Visitor)
    }
}

/// The word.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Always {
    /// After each run.
    Always,
}

/// After which runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Occasion {
    /// Everything was done.
    Success,
    /// Some files could not be processed.
    Partial,
    /// A guard held something back.
    Held,
    /// It could not be done.
    Failed,
    /// Conflicts are left.
    Conflicts,
    /// It was stopped, or killed.
    Interrupted,
    /// Everything was done, for the first time after a run that did not go well.
    Recovered,
    /// After each.
    Always,
}

impl Notify {
    /// What it says about when.
    pub fn wish(&self) -> Wish {
        use sitta_jobs::Ended;
        let always = Wish { always: true, ..Wish::default() };
        let On::Some(occasions) = &self.on else { return always };
        if self.kind == NotifyKind::Ping {
            return always;
        }
        let mut wish = Wish::default();
        for occasion in occasions {
            match occasion {
                Occasion::Success => wish.after.push(Ended::Success),
                Occasion::Partial => wish.after.push(Ended::Partial),
                Occasion::Held => wish.after.push(Ended::Held),
                Occasion::Failed => wish.after.push(Ended::Failed),
                Occasion::Conflicts => wish.after.push(Ended::Conflicts),
                Occasion::Interrupted => wish.after.push(Ended::Interrupted),
                Occasion::Recovered => wish.recovered = true,
                Occasion::Always => wish.always = true,
            }
        }
        wish
    }

    /// The secrets, with their keys.
    pub fn secrets(&self) -> impl Iterator<Item = (&'static str, &Secret)> {
        let urls = [("url", &self.url), ("start", &self.start), ("failure", &self.failure)];
        let all = [("password", &self.password), ("token", &self.token)].into_iter().chain(urls);
        all.filter_map(|(key, secret)| Some((key, secret.as_ref()?)))
    }

    /// What does not go together.
    pub fn misfit(&self) -> Option<Misfit> {
        use NotifyKind::{Desktop, Mail, Ping, Webhook};
        let misfit = |key, what: &str, hint: &str| Some(Misfit { key, what: what.into(), hint: hint.into() });
        let keys: [(&str, &[NotifyKind], bool); 10] = [
            ("to", &[Mail], !self.to.is_empty()),
            ("from", &[Mail], self.from.is_some()),
            ("smtp", &[Mail], self.smtp.is_some()),
            ("password", &[Mail], self.password.is_some()),
            ("attach_log", &[Mail], self.attach_log),
            ("url", &[Webhook, Ping], self.url.is_some()),
            ("start", &[Ping], self.start.is_some()),
            ("failure", &[Ping], self.failure.is_some()),
            ("token", &[Webhook], self.token.is_some()),
            ("ca", &[Mail, Webhook, Ping], self.ca.is_some()),
        ];
        for (key, kinds, there) in keys {
            if there && !kinds.contains(&self.kind) {
                let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
                return Some(Misfit {
                    key,
                    what: format!("'{key}' means nothing for {}", self.kind.name()),
                    hint: format!("leave it out; it is for {}", names.join(", ")),
                });
            }
        }
        for (key, url) in [("url", &self.url), ("start", &self.start), ("failure", &self.failure)] {
            if let Some(Secret::Plain(url)) = url
                && let Err(what) = check_url(url.expose())
            {
                return Some(Misfit { key, what, hint: "for example https://hc-ping.com/UUID".to_owned() });
            }
        }
        match self.kind {
            Mail if self.to.is_empty() => {
                misfit("kind", "the key 'to' is missing", "add to = [\"you@example.org\"]")
            }
            Mail => match &self.smtp {
                None => misfit("kind", "the key 'smtp' is missing", "add smtp = \"smtps://user@smtp.example.org\""),
                Some(smtp) if smtp.server().user.is_some() != self.password.is_some() => {
                    match self.password.is_some() {
                        true => misfit(
                            "password",
                            "a password is of no use without a user",
                            "name the user in 'smtp': smtps://USER@host",
                        ),
                        false => misfit(
                            "smtp",
                            "'smtp' names a user, but there is no password",
                            "add password = { env = \"NAME\" }",
                        ),
                    }
                }
                Some(_) => None,
            },
            Webhook | Ping if self.url.is_none() => {
                misfit("kind", "the key 'url' is missing", "add url = \"https://…\"")
            }
            Webhook | Ping | Desktop => None,
        }
    }
}
