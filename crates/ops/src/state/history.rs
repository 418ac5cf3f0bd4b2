//! What was run when, and how it ended.

use rusqlite::{Row, params};

use super::{Pair, State};
use crate::{Report, RunError};

/// One run of the past.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunRecord {
    /// Its id.
    pub id: String,
    /// `copy`, `mirror`, …
    pub verb: String,
    /// The locations that it worked on, in the order in which the state knows them.
    pub places: [String; 2],
    /// When it began, ISO 8601 in UTC.
    pub started: String,
    /// When it ended; none if it was killed or still goes on.
    pub ended: Option<String>,
    /// How it ended, as [`crate::Outcome::name`] says it.
    pub outcome: Option<String>,
    /// What became of files and links, as in [`Report`].
    pub copied: u64,
    /// As in [`Report`].
    pub updated: u64,
    /// As in [`Report`].
    pub deleted: u64,
    /// As in [`Report`].
    pub moved: u64,
    /// As in [`Report`].
    pub unchanged: u64,
    /// File bytes sent.
    pub bytes: u64,
    /// How many problems there were.
    pub problems: u64,
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
            db.prepare_cached(&format!("{SELECT} ORDER BY started DESC, run.id DESC LIMIT ?"))?
                .query_map([limit], from_row)?
                .collect()
        })
    }

    /// Forgets runs that began before a moment, ISO 8601 in UTC as [`RunRecord::started`] is.
    pub fn forget_runs(&self, before: &str) -> Result<(), RunError> {
        if !self.file().exists() {
            return Ok(());
        }
        self.write(|db| db.execute("DELETE FROM run WHERE started < ?", [before]).map(drop))
    }

    /// Runs whose id begins so, a few of them.
    pub fn runs_like(&self, beginning: &str) -> Result<Vec<RunRecord>, RunError> {
        let which = "WHERE substr(run.id, 1, length(?1)) = ?1 ORDER BY started DESC LIMIT 10";
        self.read(|db| db.prepare_cached(&format!("{SELECT} {which}"))?.query_map([beginning], from_row)?.collect())
    }
}

const SELECT: &str = "SELECT run.id, verb, started, ended, outcome, copied, updated, deleted, moved, unchanged, bytes, \
                      problems, left, right FROM run LEFT JOIN pair ON pair.id = run.pair";

fn from_row(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    let count = |column| row.get::<_, Option<i64>>(column).map(|n| n.unwrap_or(0).max(0) as u64);
    let place = |column| row.get::<_, Option<String>>(column).map(Option::unwrap_or_default);
    Ok(RunRecord {
        id: row.get(0)?,
        verb: row.get(1)?,
        started: row.get(2)?,
        ended: row.get(3)?,
        outcome: row.get(4)?,
        copied: count(5)?,
        updated: count(6)?,
        deleted: count(7)?,
        moved: count(8)?,
        unchanged: count(9)?,
        bytes: count(10)?,
        problems: count(11)?,
        places: [place(12)?, place(13)?],
    })
}
