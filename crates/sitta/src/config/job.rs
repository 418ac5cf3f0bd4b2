//! `[job.NAME]`: work that is done again and again. Its keys are the options of its verb on the command line.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sitta_tree::retention;
use toml::Spanned;

use super::Misfit;
use super::values::{Length, Limit, Place, Places, Rate, Schedule, Timeout, TrashDir, TrashTime, Zone};
use crate::archive_name::{self, USUAL_NAME, Wish};

/// Work that is done again and again.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// What is done.
    pub verb: Verb,
    /// Where from; a folder of this machine starts from the config's, or with ~/ from your own. Of a sync, the first folder; of more than two, the first is the hub.
    pub from: Places,
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
    /// archive: how much is done to make it small: 1 to 19 for .tar.zst (usually 3), 1 to 12 for .tar.gz and .zip (usually 5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<i32>,
    /// archive: do not read back what was sent.
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_verify: bool,
    /// When it runs (under `sitta daemon`): five cron fields, or "@hourly", "@daily", "@weekly", "@monthly", "@yearly".
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
    /// Read back what was written and compare it with what was sent.
    #[serde(default, skip_serializing_if = "is_false")]
    pub verify: bool,
    /// copy: replace a file at the destination only if the source's is newer.
    #[serde(default, skip_serializing_if = "is_false")]
    pub update: bool,
    /// copy: leave every file at the destination as it is. archive: leave one of the same name as it is.
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_overwrite: bool,
    /// sync: go on until stopped, and take up changes as they happen; the daemon keeps it running.
    #[serde(default, skip_serializing_if = "is_false")]
    pub watch: bool,
    /// sync, watched: look so often at a place that does not tell of changes, for example "10s".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll: Option<Timeout>,
    /// sync: what becomes of a file that both sides changed; without it, both are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<OnConflict>,
    /// copy, mirror: keep hard links.
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
    pub trash: Option<TrashDir>,
    /// How long the trash keeps it, for example "30d", or "forever".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trash_keep: Option<TrashTime>,
    /// The time zone of this job's schedule, if it is another than that of [daemon].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<Zone>,
    /// Raise an alarm, once, when the job has not succeeded for so long, for example "48h".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert_after: Option<Length>,
}

pub fn is_false(value: &bool) -> bool {
    !value
}

/// What becomes of a file that both sides of a sync changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnConflict {
    /// Both versions stay, the older one as NAME.conflict-HASH.
    KeepBoth,
    /// The newer one wins; the other goes to the trash.
    Newest,
    /// That of `from` wins; the other goes to the trash.
    Left,
    /// That of `to` wins; the other goes to the trash.
    Right,
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

impl Verb {
    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Mirror => "mirror",
            Self::Sync => "sync",
            Self::Archive => "archive",
            Self::Backup => "backup",
        }
    }
}

const COPY: &[Verb] = &[Verb::Copy];
const ONE_WAY: &[Verb] = &[Verb::Copy, Verb::Mirror];
const SYNC: &[Verb] = &[Verb::Sync];
const MOVING: &[Verb] = &[Verb::Copy, Verb::Mirror, Verb::Sync];
const ARCHIVE: &[Verb] = &[Verb::Archive];
const MAKING: &[Verb] = &[Verb::Copy, Verb::Archive];
const KEEPING: &[Verb] = &[Verb::Archive, Verb::Backup];

impl Keep {
    /// What it says; none if it says nothing, or of something that none is to stay.
    pub fn rules(&self) -> Option<retention::Keep> {
        let counts = [
            ("last", self.last),
            ("hourly", self.hourly),
            ("daily", self.daily),
            ("weekly", self.weekly),
            ("monthly", self.monthly),
            ("yearly", self.yearly),
        ];
        let counts = counts.into_iter().filter_map(|(word, n)| Some(format!("{word}={}", n?)));
        let within = self.within.iter().map(|within| format!("within={}", within.0));
        counts.chain(within).collect::<Vec<_>>().join(",").parse().ok()
    }
}

impl Job {
    /// What cannot be of an archive: its name, its level, which old ones stay.
    fn archive_misfit(&self, job: &str) -> Option<Misfit> {
        if self.keep.as_ref().is_some_and(|keep| keep.rules().is_none()) {
            let hint = "write for example keep = { last = 7, monthly = 12 }".to_owned();
            return Some(Misfit { key: "keep", what: "'keep' keeps nothing".into(), hint });
        }
        let wish = Wish { level: self.level, cleans: self.keep.is_some() };
        let to = self.to.as_ref()?;
        let named = archive_name::written(&to.location, to.written.expose().as_bytes())
            .and_then(|name| archive_name::checked(name.as_deref().unwrap_or(USUAL_NAME), job, wish));
        let failure = named.err()?;
        let what = std::iter::once(failure.what).chain(failure.notes).collect::<Vec<_>>().join("; ");
        let key = if what.starts_with("there is no level") { "level" } else { "to" };
        Some(Misfit { key, what, hint: failure.hint.unwrap_or_default() })
    }

    /// Where from, without passwords.
    pub fn source_text(&self) -> String {
        self.from.0.iter().map(Place::text).collect::<Vec<_>>().join(", ")
    }

    /// Where to, without a password.
    pub fn target_text(&self) -> String {
        self.to.as_ref().map(Place::text).unwrap_or_default()
    }

    /// Whether a password stands in one of its URLs.
    pub fn has_password(&self) -> bool {
        self.from.0.iter().chain(&self.to).any(Place::has_password)
    }

    /// The keys that are there and not for every verb, and for which verbs each is.
    fn keys(&self) -> impl Iterator<Item = (&'static str, &'static [Verb])> {
        [
            ("max_age", ARCHIVE, self.max_age.is_some()),
            ("keep", KEEPING, self.keep.is_some()),
            ("checksum", MOVING, self.checksum),
            ("verify", MOVING, self.verify),
            ("update", COPY, self.update),
            ("no_overwrite", MAKING, self.no_overwrite),
            ("level", ARCHIVE, self.level.is_some()),
            ("no_verify", ARCHIVE, self.no_verify),
            ("xattrs", MOVING, self.xattrs),
            ("transfers", MOVING, self.transfers.is_some()),
            ("watch", SYNC, self.watch),
            ("poll", SYNC, self.poll.is_some()),
            ("policy", SYNC, self.policy.is_some()),
            ("hard_links", ONE_WAY, self.hard_links),
            ("max_delete", MOVING, self.max_delete.is_some()),
            ("trash", MOVING, self.trash.is_some()),
            ("trash_keep", MOVING, self.trash_keep.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, verbs, there)| there.then_some((key, verbs)))
    }

    /// What does not go together.
    pub fn misfit(&self, name: &str) -> Option<Misfit> {
        let misfit = |key, what: &str, hint: &str| Some(Misfit { key, what: what.into(), hint: hint.into() });
        if let Some((key, verbs)) = self.keys().find(|(_, verbs)| !verbs.contains(&self.verb)) {
            let names: Vec<_> = verbs.iter().map(|verb| verb.name()).collect();
            return Some(Misfit {
                key,
                what: format!("'{key}' means nothing for {}", self.verb.name()),
                hint: format!("leave it out; it is for {}", names.join(", ")),
            });
        }
        if self.from.0.is_empty() {
            return misfit("from", "'from' names nothing", "name a folder");
        }
        if self.to.is_none() && self.verb != Verb::Backup {
            let several = self.verb == Verb::Sync && self.from.0.len() > 1;
            if !several {
                return misfit("verb", "the key 'to' is missing", "add to = \"…\", the place that it goes to");
            }
        }
        if self.verb != Verb::Sync && self.from.0.len() > 1 {
            return misfit("from", "one job has one source", "write a job for each source");
        }
        if self.update && self.no_overwrite {
            return misfit(
                "no_overwrite",
                "'update' and 'no_overwrite' exclude each other",
                "leave out one of the two",
            );
        }
        if self.verb == Verb::Archive
            && let Some(misfit) = self.archive_misfit(name)
        {
            return Some(misfit);
        }
        if self.poll.is_some() && !self.watch {
            return misfit("poll", "'poll' is of no use without 'watch'", "add watch = true");
        }
        if self.watch && self.schedule.is_some() {
            return misfit("schedule", "a watched sync runs all the time", "leave out 'schedule', or 'watch'");
        }
        if self.time_zone.is_some() && self.schedule.is_none() {
            return misfit(
                "time_zone",
                "'time_zone' is of no use without 'schedule'",
                "add schedule = \"0 3 * * *\"",
            );
        }
        if self.alert_after.is_some() && self.notify.is_empty() {
            return misfit("alert_after", "nobody would be told", "add notify = [\"NAME\"]");
        }
        None
    }
}
