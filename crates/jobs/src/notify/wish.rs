//! Who wants to be told what.

use crate::Ended;

/// After which runs somebody wants to be told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wish {
    /// After each.
    pub always: bool,
    /// After those that ended so.
    pub after: Vec<Ended>,
    /// When all is well again after a run that was not.
    pub recovered: bool,
}

/// What a run is to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It ended.
    Ended,
    /// It ended well, and the one before did not, or there was an alarm.
    Recovered,
}

impl Wish {
    /// What is told of a run that ended as `now`; `before` is how the one before ended, `alarm` whether one had been raised.
    /// Who was told of an alarm is told of its end, too.
    pub fn news(&self, before: Option<Ended>, now: Ended, alarm: bool) -> Option<News> {
        let well = now == Ended::Success;
        let was_not = before.is_some_and(|before| before != Ended::Success);
        match well {
            true if alarm || (self.recovered && was_not) => Some(News::Recovered),
            _ if self.always || self.after.contains(&now) => Some(News::Ended),
            _ => None,
        }
    }
}
