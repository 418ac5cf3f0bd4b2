//! What a config may hold. The comments are the descriptions in its JSON schema.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cache::Cache;
use super::job::Job;
use super::notify::Notify;
use super::share::{Serve, Share};
use super::store::Store;
use super::values::{Length, Zone};

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
    /// How jobs are run by `sitta daemon`, and what is kept of them.
    #[serde(default, skip_serializing_if = "Daemon::is_usual")]
    pub daemon: Daemon,
    /// What `sitta get` keeps of what it downloads.
    #[serde(default, skip_serializing_if = "Cache::is_usual")]
    pub cache: Cache,
    /// What `sitta serve` shares, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub share: BTreeMap<String, Share>,
    /// How `sitta serve` listens, and how it shows who it is.
    #[serde(default, skip_serializing_if = "Serve::is_usual")]
    pub serve: Serve,
}

/// How jobs are run by `sitta daemon`, and what is kept of them.
#[derive(Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Daemon {
    /// The time zone of all schedules, for example "Europe/Berlin"; without it, the machine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<Zone>,
    /// So many jobs run at the same time at most, watched syncs not counted; without it, 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel: Option<NonZeroU16>,
    /// Serve metrics for Prometheus at this address, for example "127.0.0.1:9474".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<SocketAddr>,
    /// Write metrics for Prometheus into this file after each run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_file: Option<String>,
    /// Forget runs, and remove their logs, after so long; without it, "90d".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_history: Option<Length>,
}

impl Daemon {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}
