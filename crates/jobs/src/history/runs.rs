//! Runs: begun, ended, found again.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde::de::DeserializeOwned;

use super::{History, from_millis, millis};
use crate::{Cause, Ended, Ending, JobError, Run, Step};

const SELECT: &str = "SELECT id, job, verb, cause, pid, started, ended, outcome, exit, seconds, counts, problems, message, \
                      steps, named FROM run";

impl History {
    /// Records that a job begins to run. The caller holds its lock; gives the run's id.
    pub fn begin(&self, job: &str, verb: &str, cause: Cause, pid: u32, now: Timestamp) -> Result<String, JobError> {
        let stamp = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        self.with(|db| {
            for nth in 1.. {
                // Within one second a job may run several times.
                let id = if nth == 1 { format!("{stamp}-{job}") } else { format!("{stamp}.{nth}-{job}") };
                let new = db.execute(
                    "INSERT OR IGNORE INTO run (id, job, verb, cause, pid, started) VALUES (?, ?, ?, ?, ?, ?)",
                    params![id, job, verb, cause.name(), pid, millis(now)],
                )?;
                if new == 1 {
                    return Ok(id);
                }
            }
            unreachable!("there is always another number")
        })
    }

    /// Records that a run works on a pair of places.
    pub fn add_step(&self, id: &str, step: &Step) -> Result<(), JobError> {
        let step = serde_json::to_string(step).unwrap_or_default();
        self.with(|db| {
            db.execute(
                "UPDATE run SET steps=json_insert(coalesce(steps, '[]'), '$[#]', json(?)) WHERE id=?",
                params![step, id],
            )
            .map(drop)
        })
    }

    /// Records how a run ended.
    pub fn end(&self, id: &str, ending: &Ending, now: Timestamp) -> Result<(), JobError> {
        let text = |value: Result<String, serde_json::Error>| value.unwrap_or_default();
        self.with(|db| {
            db.execute(
                "UPDATE run SET ended=?, outcome=?, exit=?, seconds=?, counts=?, problems=?, message=?, steps=?, named=? WHERE id=?",
                params![
                    millis(now),
                    ending.ended.name(),
                    ending.exit,
                    ending.seconds,
                    text(serde_json::to_string(&ending.counts)),
                    text(serde_json::to_string(&ending.problems)),
                    ending.message,
                    text(serde_json::to_string(&ending.steps)),
                    text(serde_json::to_string(&ending.named)),
                    id
                ],
            )?;
            if ending.ended == Ended::Success {
                db.execute(
                    "UPDATE job SET succeeded=?, away=NULL WHERE name=(SELECT job FROM run WHERE id=?)",
                    params![millis(now), id],
                )?;
            }
            Ok(())
        })
    }

    /// Runs of a job that never ended are over: the caller holds the job's lock. Gives their ids.
    pub fn end_killed(&self, job: &str, now: Timestamp) -> Result<Vec<String>, JobError> {
        let killed: Vec<Run> = self.select("WHERE ended IS NULL AND job=?", params![job])?;
        const WHY: &str = "it was killed, or the machine went off; nobody was there to note when";
        self.with(|db| {
            db.execute(
                "UPDATE run SET ended=?, outcome=?, exit=130, seconds=0, message=? WHERE ended IS NULL AND job=?",
                params![millis(now), Ended::Interrupted.name(), WHY, job],
            )
        })?;
        Ok(killed.into_iter().map(|run| run.id).collect())
    }

    /// Runs that have not ended, as far as is known.
    pub fn unfinished(&self) -> Result<Vec<Run>, JobError> {
        self.select("WHERE ended IS NULL ORDER BY started DESC", [])
    }

    /// The newest runs first, of one job or of all, at most `limit`.
    pub fn runs(&self, job: Option<&str>, limit: u32) -> Result<Vec<Run>, JobError> {
        self.select("WHERE ?1 IS NULL OR job=?1 ORDER BY started DESC, id DESC LIMIT ?2", params![job, limit])
    }

    /// Runs whose id begins so, a few of them.
    pub fn like(&self, beginning: &str) -> Result<Vec<Run>, JobError> {
        self.select("WHERE substr(id, 1, length(?1)) = ?1 ORDER BY started DESC LIMIT 10", [beginning])
    }

    /// The ids under which the state knows what jobs have done.
    pub fn steps(&self) -> Result<HashSet<String>, JobError> {
        self.with(|db| {
            db.prepare_cached("SELECT json_extract(step.value, '$.run') FROM run, json_each(run.steps) AS step")?
                .query_map([], |row| row.get(0))?
                .collect()
        })
    }

    /// By which processes jobs were run, and from when to when; to the end of time if they still are.
    pub fn spans(&self) -> Result<HashMap<u32, Vec<(Timestamp, Timestamp)>>, JobError> {
        let mut spans: HashMap<u32, Vec<(Timestamp, Timestamp)>> = HashMap::new();
        self.with(|db| {
            let mut of = db.prepare_cached("SELECT pid, started, ended FROM run")?;
            let mut rows = of.query([])?;
            while let Some(row) = rows.next()? {
                let end = row.get::<_, Option<i64>>(2)?.map_or(Timestamp::MAX, from_millis);
                spans.entry(row.get(0)?).or_default().push((from_millis(row.get(1)?), end));
            }
            Ok(spans)
        })
    }

    /// One run; none if it is not known.
    pub fn run(&self, id: &str) -> Result<Option<Run>, JobError> {
        Ok(self.select("WHERE id=?", [id])?.pop())
    }

    /// The last run of a job that has ended, other than `but`.
    pub fn last_ended(&self, job: &str, but: Option<&str>) -> Result<Option<Run>, JobError> {
        let which = "WHERE job=?1 AND ended IS NOT NULL AND id IS NOT ?2 ORDER BY started DESC, id DESC LIMIT 1";
        Ok(self.select(which, params![job, but])?.pop())
    }

    /// How many runs of a job ended in which way, as far back as the history goes.
    pub fn tally(&self, job: &str) -> Result<Vec<(Ended, u64)>, JobError> {
        self.with(|db| {
            let mut of = db.prepare_cached("SELECT outcome, count(*) FROM run WHERE job=? GROUP BY outcome")?;
            let rows = of.query_map([job], |row| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, i64>(1)?)))?;
            let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
            let known = |name: Option<String>| name.as_deref().and_then(Ended::from_name);
            Ok(rows.into_iter().filter_map(|(name, n)| Some((known(name)?, n.unsigned_abs()))).collect())
        })
    }

    /// Forgets runs that ended before `before`, but for each job's last one. Gives the id and job of each, whose logs may go.
    pub fn forget(&self, before: Timestamp) -> Result<Vec<(String, String)>, JobError> {
        self.with(|db| {
            let gone = db
                .prepare_cached(
                    "DELETE FROM run WHERE ended < ?1 AND id NOT IN (SELECT max(id) FROM run GROUP BY job) \
                     RETURNING id, job",
                )?
                .query_map([millis(before)], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<Vec<_>, _>>()?;
            db.execute("DELETE FROM outbox WHERE next IS NULL AND created < ?", [millis(before)])?;
            Ok(gone)
        })
    }

    fn select(&self, which: &str, params: impl rusqlite::Params) -> Result<Vec<Run>, JobError> {
        self.with(|db| db.prepare_cached(&format!("{SELECT} {which}"))?.query_map(params, from_row)?.collect())
    }

    /// When a job last began.
    pub(super) fn last_began(&self, job: &str) -> Result<Option<Timestamp>, JobError> {
        self.with(|db| {
            let began = db.prepare_cached("SELECT max(started) FROM run WHERE job=?")?;
            let mut began = began;
            let at = began.query_row([job], |row| row.get::<_, Option<i64>>(0)).optional()?;
            Ok(at.flatten().map(from_millis))
        })
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Run> {
    fn json<T: DeserializeOwned + Default>(text: Option<String>) -> T {
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }
    let outcome: Option<String> = row.get(7)?;
    let end = match (row.get::<_, Option<i64>>(6)?, outcome.as_deref().and_then(Ended::from_name)) {
        (Some(at), Some(ended)) => {
            let ending = Ending {
                ended,
                exit: row.get(8)?,
                seconds: row.get(9)?,
                counts: json(row.get(10)?),
                problems: json(row.get(11)?),
                message: row.get(12)?,
                steps: json(row.get(13)?),
                named: json(row.get(14)?),
            };
            Some((from_millis(at), ending))
        }
        _ => None,
    };
    Ok(Run {
        id: row.get(0)?,
        job: row.get(1)?,
        verb: row.get(2)?,
        cause: Cause::from_name(&row.get::<_, String>(3)?).unwrap_or(Cause::Hand),
        pid: row.get(4)?,
        started: from_millis(row.get(5)?),
        end,
    })
}
