//! Telling people and monitors how jobs went.

mod compose;
mod desktop;
mod mail;
mod web;
mod wish;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sitta_store::web::WebOptions;

pub use compose::{About, alarm, ended, start, sum_up};
pub use mail::{Mail, MailServer, Security, check_address};
pub use web::{Ping, Webhook, check_url, server};
pub use wish::{News, Wish};

/// Nobody waits longer than this for one message to be taken.
const PATIENCE: Duration = Duration::from_secs(60);

/// What somebody is told.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Message {
    /// What happened.
    pub kind: Kind,
    /// One line.
    pub subject: String,
    /// The same and more, as plain text.
    pub text: String,
    /// The same as `text`, as HTML.
    pub html: String,
    /// For programs; documented in docs/json.md.
    pub json: Value,
    /// The run's log.
    pub log: Option<PathBuf>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A run began: for monitors only.
    Start,
    /// A run ended as it should.
    Success,
    /// A run ended otherwise.
    #[default]
    Failure,
    /// A job has not succeeded for too long.
    Alarm,
}

/// How somebody is told, with all it takes.
#[derive(Debug)]
pub enum Channel {
    /// By mail.
    Mail(Mail),
    /// By a POST of JSON.
    Webhook(Webhook),
    /// By asking for a URL of a monitor that raises an alarm when nobody does.
    Ping(Ping),
    /// By a notification on the desktop of whoever is logged in.
    Desktop,
}

/// Why somebody could not be told. No text of it holds a password or a URL's path, which may be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct Unsent {
    /// What could not be done to which server.
    pub what: String,
    /// Why.
    pub why: String,
    /// What helps.
    pub hint: Option<&'static str>,
}

impl Unsent {
    fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into(), hint: None }
    }

    fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }
}

/// Sends one message.
pub async fn send(channel: &Channel, message: &Message, options: &WebOptions) -> Result<(), Unsent> {
    let sending = async {
        match channel {
            Channel::Mail(mail) => mail.send(message, options).await,
            Channel::Webhook(hook) => hook.send(message, options).await,
            Channel::Ping(ping) => ping.send(message, options).await,
            Channel::Desktop => desktop::show(message).await,
        }
    };
    match tokio::time::timeout(PATIENCE, sending).await {
        Ok(result) => result,
        Err(_) => Err(Unsent::new(
            format!("{} has not answered", channel.server()),
            format!("nothing came within {} s", PATIENCE.as_secs()),
        )
        .hint("check that the server is up and the port is right")),
    }
}

impl Channel {
    fn server(&self) -> String {
        match self {
            Self::Mail(mail) => mail.server.to_string(),
            Self::Webhook(hook) => server(hook.url.expose()),
            Self::Ping(ping) => server(ping.url.expose()),
            Self::Desktop => "the desktop".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
