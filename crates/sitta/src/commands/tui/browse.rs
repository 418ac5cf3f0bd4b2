//! Where somebody is in a place, and what is seen there.

use std::time::Instant;

use sitta_tree::{Printable, RelPath};

use super::data::Spot;

/// An entry of a directory, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Raw.
    pub name: Box<[u8]>,
    /// Safe to print.
    pub shown: String,
    pub size: String,
    pub time: String,
    pub is_dir: bool,
}

/// A directory to be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Answers to any but the last one are too late.
    pub serial: u64,
    pub spot: Spot,
    pub path: RelPath,
    /// The place is opened once more.
    pub afresh: bool,
}

/// What is seen of a directory.
#[derive(Debug, Clone)]
pub enum Seen {
    /// Nothing yet; since when.
    Loading(Instant),
    /// It could not be listed.
    Failed(String),
    /// What it holds.
    Items(Vec<Item>),
}

/// One directory on the way down.
#[derive(Debug, Clone)]
struct Level {
    path: RelPath,
    seen: Seen,
    picked: usize,
}

/// A place that is looked into.
#[derive(Debug, Clone)]
pub struct Browser {
    spot: Spot,
    /// From the place's root down; never empty.
    levels: Vec<Level>,
    serial: u64,
}

impl Browser {
    /// At the root of a place; the second value is what is to be listed.
    pub fn enter(spot: Spot, serial: u64) -> (Self, Request) {
        let mut browser = Self { spot, levels: Vec::new(), serial };
        let request = browser.down(RelPath::root(), serial);
        (browser, Request { afresh: true, ..request })
    }

    fn down(&mut self, path: RelPath, serial: u64) -> Request {
        self.levels.push(Level { path: path.clone(), seen: Seen::Loading(Instant::now()), picked: 0 });
        self.serial = serial;
        Request { serial, spot: self.spot.clone(), path, afresh: false }
    }

    fn level(&self) -> &Level {
        &self.levels[self.levels.len() - 1]
    }

    fn level_mut(&mut self) -> &mut Level {
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    /// Where it is, safe to print.
    pub fn title(&self) -> String {
        let path = self.level().path.as_bytes();
        let gap = if path.is_empty() || self.spot.label.ends_with([':', '/']) { "" } else { "/" };
        format!("{}{gap}{}", self.spot.label, Printable(path))
    }

    /// What is seen, and which entry is chosen.
    pub fn seen(&self) -> (&Seen, usize) {
        (&self.level().seen, self.level().picked)
    }

    /// How many entries are seen.
    pub fn len(&self) -> usize {
        match &self.level().seen {
            Seen::Items(items) => items.len(),
            Seen::Loading(_) | Seen::Failed(_) => 0,
        }
    }

    /// The number of the entry that is chosen.
    pub fn picked(&mut self) -> &mut usize {
        &mut self.level_mut().picked
    }

    /// Goes into the directory that is chosen, if it is one.
    pub fn go_in(&mut self, serial: u64) -> Option<Request> {
        let level = self.level();
        let Seen::Items(items) = &level.seen else { return None };
        let item = items.get(level.picked).filter(|item| item.is_dir)?;
        let path = level.path.join(&item.name).ok()?;
        Some(self.down(path, serial))
    }

    /// Goes up; false at the place's root. What was seen there is still known.
    pub fn go_up(&mut self) -> bool {
        let above = self.levels.len() > 1;
        if above {
            self.levels.pop();
            // An answer that is still on its way was for further down.
            self.serial = 0;
        }
        above
    }

    /// Looks once more.
    pub fn again(&mut self, serial: u64) -> Request {
        self.serial = serial;
        let spot = self.spot.clone();
        let level = self.level_mut();
        level.seen = Seen::Loading(Instant::now());
        Request { serial, spot, path: level.path.clone(), afresh: true }
    }

    /// Whether it waits for an answer.
    pub fn is_loading(&self) -> bool {
        matches!(self.level().seen, Seen::Loading(_))
    }

    /// Takes an answer, unless it is too late.
    pub fn listed(&mut self, serial: u64, result: Result<Vec<Item>, String>) {
        if serial != self.serial {
            return;
        }
        let level = self.level_mut();
        level.seen = match result {
            Ok(items) => Seen::Items(items),
            Err(why) => Seen::Failed(why),
        };
        level.picked = level.picked.min(match &level.seen {
            Seen::Items(items) => items.len().saturating_sub(1),
            Seen::Loading(_) | Seen::Failed(_) => 0,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(name: &str) -> Item {
        let shown = format!("{name}/");
        Item { name: name.as_bytes().into(), shown, size: String::new(), time: "-".into(), is_dir: true }
    }

    #[test]
    fn an_answer_that_is_too_late_is_not_shown_elsewhere() {
        let spot = Spot { label: "nas:".into(), written: "nas:".into() };
        let (mut browser, first) = Browser::enter(spot, 1);
        assert!(first.path.is_root() && first.afresh);
        assert!(browser.go_in(2).is_none(), "nothing is known yet");
        browser.listed(1, Ok(vec![dir("a"), dir("b")]));
        *browser.picked() = 1;
        let second = browser.go_in(2).expect("a directory");
        assert_eq!((second.path.as_bytes(), second.afresh), (&b"b"[..], false));
        assert_eq!(browser.title(), "nas:b");
        assert!(browser.go_up() && !browser.is_loading());
        browser.listed(2, Ok(vec![dir("too late")]));
        assert_eq!((browser.len(), *browser.picked()), (2, 1), "what was seen above, and where one was");
        assert!(!browser.go_up(), "this is the root");
    }
}
