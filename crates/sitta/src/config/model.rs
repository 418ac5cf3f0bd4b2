//! What a config may hold. The comments are the descriptions in its JSON schema.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::secret::Secret;
use super::store::Store;
use super::values::{Length, Limit, OneOrMany, Place, Rate, Schedule};

/// The config of sitta.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Stores by name: on the command line, NAME:path is a path in one of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub store: BTreeMap<String, Store>,
    /// Jobs by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub job: BTreeMap<String, Job>,
    /// Who is told about jobs, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notify: BTreeMap<String, Notify>,
}

/// Work that is done again and again.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// What is done.
    pub verb: Verb,
    /// Where from.
    pub from: OneOrMany,
    /// Where to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub to: Option<Place>,
    /// Refuse data that was last changed longer ago, for example "24h".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Length>,
    /// Which old archives or snapshots stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
    /// When it runs: five cron fields, or "@hourly", "@daily", "@weekly", "@monthly", "@yearly".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Who is told: names of [notify.NAME].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub notify: Vec<Spanned<String>>,
    /// Rules as in a filter file, the last one that matches decides: "*.tmp" leaves out, "!keep.tmp" includes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub filter: Vec<Spanned<String>>,
    /// Compare files by content.
    #[serde(default, skip_serializing_if = "is_false")]
    pub checksum: bool,
    /// Replace a file at the destination only if the source's is newer (copy).
    #[serde(default, skip_serializing_if = "is_false")]
    pub update: bool,
    /// Keep hard links.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hard_links: bool,
    /// Keep extended attributes.
    #[serde(default, skip_serializing_if = "is_false")]
    pub xattrs: bool,
    /// How many files move at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfers: Option<u16>,
    /// At most so many bytes a second, for example "10MiB".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_rate: Option<Rate>,
    /// At most so many deletes: a number, or a share such as "30%".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_delete: Option<Limit>,
    /// "on", "off", or a folder at the destination that keeps what is replaced or deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trash: Option<String>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Add and update, never delete.
    Copy,
    /// The destination becomes the source.
    Mirror,
    /// Both ways.
    Sync,
    /// Pack into one dated file.
    Archive,
    /// Take a snapshot.
    Backup,
}

/// Which old archives or snapshots stay: all that any of these keeps.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// Those younger than this, for example "30d".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Length>,
    /// So many of the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u32>,
    /// The newest of each of so many hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hourly: Option<u32>,
    /// The newest of each of so many days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily: Option<u32>,
    /// The newest of each of so many weeks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weekly: Option<u32>,
    /// The newest of each of so many months.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monthly: Option<u32>,
    /// The newest of each of so many years.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub yearly: Option<u32>,
}

/// Somebody who is told about jobs.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// How.
    pub kind: NotifyKind,
    /// Addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// The sender's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The mail server, for example "smtps://user@smtp.example.org".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp: Option<String>,
    /// The password for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// After which outcomes.
    #[serde(default)]
    pub on: On,
    /// Send the log along.
    #[serde(default, skip_serializing_if = "is_false")]
    pub attach_log: bool,
}

/// How somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NotifyKind {
    /// By mail.
    Mail,
}

/// After which outcomes somebody is told: some, or "always".
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum On {
    /// After each run.
    Always(Always),
    /// After these.
    Some(Vec<Ended>),
}

impl Default for On {
    fn default() -> Self {
        Self::Some(vec![Ended::Failed, Ended::Partial, Ended::Held, Ended::Conflicts])
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

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
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
}
