//! What is to be told and was not taken yet.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Row, params};

use super::{History, from_millis, millis};
use crate::JobError;
use crate::notify::Message;

/// How long after which failed attempt the next one comes; after the last of these, so long each time.
const PAUSES: [i64; 5] = [60, 300, 1800, 7200, 21_600];

/// What could not be told for so long is given up.
const PATIENCE: SignedDuration = SignedDuration::from_hours(72);

/// While somebody sends a message, nobody else does; if that process dies, it is tried again after so long.
const CLAIM: SignedDuration = SignedDuration::from_mins(10);

/// A message for one `[notify.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Queued {
    /// Its number.
    pub id: i64,
    /// Whom it is for: the name of a `[notify.NAME]`.
    pub notify: String,
    /// The job.
    pub job: String,
    /// The run; none for an alarm.
    pub run: Option<String>,
    /// When it was written.
    pub created: Timestamp,
    /// What it says.
    pub message: Message,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried (again); none if it was sent or given up.
    pub next: Option<Timestamp>,
    /// When it was sent.
    pub sent: Option<Timestamp>,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

const SELECT: &str = "SELECT id, notify, job, run, created, message, tries, next, sent, error FROM outbox";

impl History {
    /// Puts a message into the outbox.
    pub fn queue(
        &self,
        notify: &str,
        job: &str,
        run: Option<&str>,
        message: &Message,
        now: Timestamp,
    ) -> Result<(), JobError> {
        let text = serde_json::to_string(message).unwrap_or_default();
        self.with(|db| {
            db.execute(
                "INSERT INTO outbox (notify, job, run, created, message, next) VALUES (?, ?, ?, ?, ?, ?)",
                params![notify, job, run, millis(now), text, millis(now)],
            )
            .map(drop)
        })
    }

    /// Takes the next message that is due, so that no other process sends it too.
    pub fn claim(&self, now: Timestamp) -> Result<Option<Queued>, JobError> {
        let until = now.checked_add(CLAIM).unwrap_or(now);
        let claimed: Option<i64> = self.with(|db| {
            let mut claim = db.prepare_cached(
                "UPDATE outbox SET next=?2, tries=tries+1 WHERE id=(SELECT id FROM outbox WHERE next<=?1 ORDER BY id \
                 LIMIT 1) RETURNING id",
            )?;
            let mut rows = claim.query_map(params![millis(now), millis(until)], |row| row.get(0))?;
            rows.next().transpose()
        })?;
        match claimed {
            Some(id) => Ok(self.messages("WHERE id=?", [id])?.pop()),
            None => Ok(None),
        }
    }

    /// A message was taken.
    pub fn sent(&self, message: &Queued, now: Timestamp) -> Result<(), JobError> {
        self.with(|db| {
            db.execute(
                "UPDATE outbox SET sent=?, next=NULL, error=NULL WHERE id=?",
                params![millis(now), message.id],
            )
            .map(drop)
        })
    }

    /// A message could not be sent; gives when it is tried again, or none if it is given up.
    pub fn unsent(&self, message: &Queued, why: &str, now: Timestamp) -> Result<Option<Timestamp>, JobError> {
        let pause = PAUSES[(message.tries.max(1) as usize - 1).min(PAUSES.len() - 1)];
        let next = now.checked_add(SignedDuration::from_secs(pause)).ok();
        let next = next.filter(|next| next.duration_since(message.created) < PATIENCE);
        self.with(|db| {
            db.execute("UPDATE outbox SET next=?, error=? WHERE id=?", params![next.map(millis), why, message.id])
        })?;
        Ok(next)
    }

    /// What was told of a run, or is still to be.
    pub fn told_of(&self, run: &str) -> Result<Vec<Queued>, JobError> {
        self.messages("WHERE run=? ORDER BY id", [run])
    }

    /// What is still to be told: how much, and to whom it could not be told so far.
    pub fn waiting(&self) -> Result<Vec<Queued>, JobError> {
        self.messages("WHERE next IS NOT NULL ORDER BY id", [])
    }

    fn messages(&self, which: &str, params: impl rusqlite::Params) -> Result<Vec<Queued>, JobError> {
        self.with(|db| db.prepare_cached(&format!("{SELECT} {which}"))?.query_map(params, from_row)?.collect())
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Queued> {
    let at = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(from_millis));
    Ok(Queued {
        id: row.get(0)?,
        notify: row.get(1)?,
        job: row.get(2)?,
        run: row.get(3)?,
        created: from_millis(row.get(4)?),
        message: serde_json::from_str(&row.get::<_, String>(5)?).unwrap_or_default(),
        tries: row.get(6)?,
        next: at(7)?,
        sent: at(8)?,
        error: row.get(9)?,
    })
}
