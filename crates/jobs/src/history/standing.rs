//! How a job stands, beyond its runs: since when it is known, when it last went well, whether there is an alarm.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::{History, from_millis, millis};
use crate::JobError;

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Since when it has its schedule, as far as was noticed.
    pub seen: Timestamp,
    /// When it last began.
    pub began: Option<Timestamp>,
    /// When everything was last done.
    pub succeeded: Option<Timestamp>,
    /// Since when it has not succeeded for too long, and somebody was told.
    pub alarm: Option<Timestamp>,
    /// A watched sync: since when one of its places is away.
    pub away: Option<Timestamp>,
}

impl Standing {
    /// From when on scheduled times count: those before were kept, or never promised.
    pub fn since(&self) -> Timestamp {
        self.began.map_or(self.seen, |began| began.max(self.seen))
    }

    /// Whether it has gone without success for longer than it may.
    pub fn is_overdue(&self, alert_after: std::time::Duration, now: Timestamp) -> bool {
        let good = self.succeeded.unwrap_or(self.seen);
        // A clock that was put back makes no alarm.
        now.duration_since(good).unsigned_abs() > alert_after && now > good
    }
}

impl History {
    /// Notices a job with its schedule; a new or changed schedule counts from now on.
    pub fn see(&self, job: &str, schedule: Option<&str>, now: Timestamp) -> Result<Standing, JobError> {
        self.with(|db| {
            db.execute(
                "INSERT INTO job (name, schedule, seen) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE \
                 SET schedule=?2, seen=?3 WHERE schedule IS NOT ?2",
                params![job, schedule, millis(now)],
            )
        })?;
        Ok(self.standing(job)?.expect("it was just seen"))
    }

    /// How a job stands; none if it was never seen.
    pub fn standing(&self, job: &str) -> Result<Option<Standing>, JobError> {
        let began = self.last_began(job)?;
        self.with(|db| {
            db.prepare_cached("SELECT seen, succeeded, alarm, away FROM job WHERE name=?")?
                .query_row([job], |row| {
                    let at = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(from_millis));
                    Ok(Standing {
                        seen: from_millis(row.get(0)?),
                        began,
                        succeeded: at(1)?,
                        alarm: at(2)?,
                        away: at(3)?,
                    })
                })
                .optional()
        })
    }

    /// Notes an alarm, or that it is over. Says whether that is news: of several processes only one raises it.
    pub fn set_alarm(&self, job: &str, alarm: Option<Timestamp>) -> Result<bool, JobError> {
        self.with(|db| {
            let changed = db.execute(
                "UPDATE job SET alarm=?2 WHERE name=?1 AND (alarm IS NULL) != (?2 IS NULL)",
                params![job, alarm.map(millis)],
            )?;
            Ok(changed == 1)
        })
    }

    /// A watched sync is in step, or one of its places is away.
    pub fn set_watched(&self, job: &str, in_step: bool, now: Timestamp) -> Result<(), JobError> {
        let change = match in_step {
            true => "UPDATE job SET succeeded=?2, away=NULL WHERE name=?1",
            false => "UPDATE job SET away=coalesce(away, ?2) WHERE name=?1",
        };
        self.with(|db| db.execute(change, params![job, millis(now)]).map(drop))
    }
}
