//! What there is to show of jobs: read in a thread of its own, again whenever something has changed.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sitta_jobs::{History, log_file};

use super::Heard;
use super::headway::safe;
use crate::commands::job::{self, history, jobs};
use crate::context::Context;
use crate::exit::{Failure, Outcome};

/// So often it is looked whether a file has changed.
const LOOK: Duration = Duration::from_millis(400);

/// All is read at least so often: processes end, and times come, without any file that changes.
const ANYWAY: Duration = Duration::from_secs(2);

/// So many runs of a job are shown.
const RUNS: u32 = 200;

/// So much of a log is shown: its end.
const LOG: u64 = 256 << 10;

/// Which job's runs, and which run, are to be told of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub job: Option<String>,
    pub run: Option<String>,
}

/// All there is to show.
#[derive(Debug, Clone, Default)]
pub struct News {
    /// The config's file, as people read it.
    pub file: String,
    /// Why something cannot be read; the jobs are those of before.
    pub trouble: Option<String>,
    /// It is the config that cannot be read.
    pub config_is_wrong: bool,
    pub jobs: Vec<JobNews>,
    /// The process of the daemon.
    pub daemon: Option<u32>,
    /// Jobs wait for a daemon.
    pub wait: bool,
    /// The stores of the config.
    pub stores: Vec<Spot>,
    /// The job that was asked for, and its runs.
    pub runs: Option<(String, Vec<history::Listed>)>,
    /// The run that was asked for.
    pub told: Option<Told>,
}

/// A job.
#[derive(Debug, Clone)]
pub struct JobNews {
    pub line: jobs::Line,
    /// When its last run ended, or since when it runs.
    pub at: Option<Timestamp>,
    /// What its last run could not process.
    pub problems: u64,
    /// Where it reads and writes.
    pub places: Vec<Spot>,
}

/// A place to look into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spot {
    /// What to call it.
    pub label: String,
    /// How it is written; it may hold a password.
    pub written: OsString,
}

/// All that is known of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub run: String,
    /// Without its log.
    pub facts: Vec<String>,
    /// The end of its log.
    pub log: Vec<String>,
}

/// Reads what is wanted and sends it, until nobody wants anything any more.
pub fn watch(context: Context, wanted: &Receiver<Wanted>, send: &Sender<Heard>) {
    let mut reader = Reader { context, history: None, wanted: Wanted::default(), trouble: None, seen: Vec::new() };
    let mut last: Option<Instant> = None;
    loop {
        let asked = match wanted.recv_timeout(if last.is_none() { Duration::ZERO } else { LOOK }) {
            Ok(wanted) => {
                reader.wanted = wanted;
                true
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if asked || reader.has_changed() || last.is_none_or(|last| last.elapsed() >= ANYWAY) {
            last = Some(Instant::now());
            if send.send(Heard::News(Box::new(reader.look()))).is_err() {
                return;
            }
        }
    }
}

/// What tells that a file has changed.
type Stamp = Option<(i64, i64, u64, u64)>;

struct Reader {
    context: Context,
    history: Option<History>,
    wanted: Wanted,
    trouble: Option<String>,
    /// The config first, as it was when it was last read.
    seen: Vec<Stamp>,
}

impl Reader {
    fn files(&self) -> Vec<PathBuf> {
        let mut files = vec![self.context.config_file.clone()];
        if let Ok(dir) = self.context.state_dir() {
            files.extend([dir.join("jobs.db"), dir.join("jobs.db-wal")]);
            if let (Some(job), Some(run)) = (&self.wanted.job, &self.wanted.run) {
                files.push(log_file(dir, job, run));
            }
        }
        files
    }

    fn stamps(&self) -> Vec<Stamp> {
        self.files().iter().map(|file| stamp(file)).collect()
    }

    fn has_changed(&self) -> bool {
        self.stamps() != self.seen
    }

    /// Everything, as it is now. What cannot be read is said in its place.
    fn look(&mut self) -> News {
        // Taken before anything is read: what changes meanwhile is read once more.
        let stamps = self.stamps();
        if self.seen.first() != stamps.first() || self.trouble.is_some() {
            match self.context.reload() {
                Ok(context) => (self.context, self.trouble) = (context.unasked(), None),
                Err(failure) => self.trouble = Some(failure.to_string()),
            }
        }
        self.seen = stamps;
        let file = self.context.shorten(&self.context.config_file.display().to_string());
        let config_is_wrong = self.trouble.is_some();
        let mut news = News { file, trouble: self.trouble.clone(), config_is_wrong, ..News::default() };
        if let Err(failure) = self.fill(&mut news)
            && news.trouble.is_none()
        {
            news.trouble = Some(failure.to_string());
        }
        news
    }

    fn fill(&mut self, news: &mut News) -> Outcome<()> {
        if self.history.is_none() {
            let dir = self.context.state_dir()?;
            self.history = Some(History::open(dir, Timestamp::now()).map_err(|error| job::failed(&error))?);
        }
        let Some(history) = &self.history else { return Ok(()) };
        let context = &self.context;
        let config = context.config()?;
        let spot = |name: &String| Spot { label: format!("{name}:"), written: format!("{name}:").into() };
        news.stores = config.store.keys().map(spot).collect();
        let states = job::states(context, history)?;
        for state in &states {
            let line = jobs::line(context, history, state, Timestamp::now())?;
            let line = jobs::Line { what: safe(&line.what), ..line };
            let ended = state.last.as_ref().and_then(|run| run.end.as_ref());
            let places = job::places(context, &config.job[&state.job]);
            news.jobs.push(JobNews {
                at: line.running.as_ref().map(|run| run.started).or(ended.map(|(at, _)| *at)),
                problems: ended.map_or(0, |(_, ending)| ending.counts.problems),
                places: places.into_iter().map(|(label, written)| Spot { label: safe(&label), written }).collect(),
                line,
            });
        }
        news.wait = jobs::wait(config, &states);
        news.daemon = jobs::daemon(context)?;
        if let Some(job) = &self.wanted.job {
            let runs = history.runs(Some(job), RUNS).map_err(|error| job::failed(&error))?;
            news.runs = Some((job.clone(), history::list_of(context, runs)));
        }
        if let Some(id) = &self.wanted.run {
            news.told = told(context, history, id)?;
        }
        Ok(())
    }
}

fn told(context: &Context, history: &History, id: &str) -> Outcome<Option<Told>> {
    let Some(run) = history.run(id).map_err(|error| job::failed(&error))? else { return Ok(None) };
    let log = log_file(context.state_dir()?, &run.job, id);
    let facts = history::facts_of(context, history, run)?;
    let log = match end_of(&log) {
        Ok(text) => text.lines().map(safe).collect(),
        Err(error) => vec![format!("it cannot be read: {error}")],
    };
    Ok(Some(Told { run: id.to_owned(), facts: facts.iter().map(|fact| safe(fact)).collect(), log }))
}

/// A file's text, or the end of it.
fn end_of(file: &Path) -> std::io::Result<String> {
    let mut file = fs::File::open(file)?;
    let from = file.metadata()?.len().saturating_sub(LOG);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(LOG).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(match (from, text.split_once('\n')) {
        (1.., Some((_, whole))) => format!("… (what comes before is in the file)\n{whole}"),
        _ => text,
    })
}

fn stamp(file: &Path) -> Stamp {
    let meta = fs::metadata(file).ok()?;
    Some((meta.mtime(), meta.mtime_nsec(), meta.size(), meta.ino()))
}

/// So that a thread that could not be begun is told of as anything else.
pub fn failed(error: &std::io::Error) -> Failure {
    Failure::failed("no thread could be started").note(error.to_string())
}
