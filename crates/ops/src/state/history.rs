//! What was run when, and how it ended.

use rusqlite::params;

use super::{Pair, State};
use crate::{Report, RunError};

/// One run of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// Its id.
    pub id: String,
    /// `copy`, `mirror`, …
    pub verb: String,
    /// When it began, ISO 8601 in UTC.
    pub started: String,
    /// When it ended; none if it was killed or still goes on.
    pub ended: Option<String>,
    /// How it ended, as [`crate::Outcome::name`] says it.
    pub outcome: Option<String>,
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl State {
    /// Records that a run begins.
    pub fn begin_run(&self, pair: &Pair, run: &str, verb: &str) -> Result<(), RunError> {
        self.write(|db| {
            db.execute(
                "INSERT INTO run (id, pair, verb, started) VALUES (?, ?, ?, ?)",
                params![run, pair.id, verb, now()],
            )
            .map(drop)
        })
    }

    /// Records how a run ended.
    pub fn end_run(&self, report: &Report) -> Result<(), RunError> {
        self.write(|db| {
            db.execute(
                "UPDATE run SET ended=?, outcome=?, copied=?, updated=?, deleted=?, moved=?, unchanged=?, bytes=?, \
                 problems=? WHERE id=?",
                params![
                    now(),
                    report.outcome.name(),
                    report.copied as i64,
                    report.updated as i64,
                    report.deleted as i64,
                    report.moved as i64,
                    report.unchanged as i64,
                    report.bytes as i64,
                    report.problems.len() as i64,
                    report.run
                ],
            )
            .map(drop)
        })
    }

    /// Forgets a run that turned out to be none: it had nothing to do.
    pub fn drop_run(&self, run: &str) -> Result<(), RunError> {
        self.write(|db| db.execute("DELETE FROM run WHERE id = ?", [run]).map(drop))
    }

    /// The newest runs first, at most `limit`.
    pub fn runs(&self, limit: u32) -> Result<Vec<RunRecord>, RunError> {
        self.read(|db| {
            db.prepare_cached(
                "SELECT id, verb, started, ended, outcome FROM run ORDER BY started DESC, id DESC LIMIT ?",
            )?
            .query_map([limit], |row| {
                Ok(RunRecord {
                    id: row.get(0)?,
                    verb: row.get(1)?,
                    started: row.get(2)?,
                    ended: row.get(3)?,
                    outcome: row.get(4)?,
                })
            })?
            .collect()
        })
    }
}
