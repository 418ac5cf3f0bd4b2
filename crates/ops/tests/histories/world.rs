//! Two sides, their users, and what has become of every content that was ever written.

use std::collections::BTreeSet;

use sitta_store::TEMP_PREFIX;
use sitta_tree::{OnConflict, RelPath, Side, SideTraits, fold_key};

use super::content;
use super::hands::{Everything, Hands, Save, Thing, is_ours};
use super::random::Random;

pub struct World {
    pub hands: [Box<dyn Hands>; 2],
    pub traits: [SideTraits; 2],
    pub names: Vec<&'static str>,
    /// What directories are called, where nothing may come to stand in the place of another kind.
    pub dirs: Option<Vec<&'static str>>,
    pub on_conflict: OnConflict,
    /// Contents that a user wrote and no user deleted or overwrote.
    alive: BTreeSet<u64>,
    /// Contents that stood on each side and that no user of it deleted or overwrote.
    held: [BTreeSet<u64>; 2],
    written: u64,
    /// Where each side's users moved things, to move them back.
    moved: [Vec<(RelPath, RelPath)>; 2],
    /// Older copies of each side.
    copies: [Vec<Everything>; 2],
    pub trace: bool,
}

/// The contents that a side holds: where they should be, and at all.
pub struct Held {
    pub live: BTreeSet<u64>,
    pub anywhere: BTreeSet<u64>,
}

fn held(everything: &Everything) -> Held {
    let mut held = Held { live: BTreeSet::new(), anywhere: BTreeSet::new() };
    for (path, thing) in everything {
        if let Thing::File { bytes, .. } = thing {
            // What is not finished may be torn.
            let temp = path.parts().any(|part| part.starts_with(TEMP_PREFIX.as_bytes()));
            if temp {
                held.anywhere.extend(content::if_whole(bytes));
                continue;
            }
            let Some(n) = content::written(bytes) else { continue };
            held.anywhere.insert(n);
            if !is_ours(path) {
                held.live.insert(n);
            }
        }
    }
    held
}

fn index(side: Side) -> usize {
    side as usize
}

impl World {
    pub fn new(
        hands: [Box<dyn Hands>; 2],
        traits: [SideTraits; 2],
        names: Vec<&'static str>,
        on_conflict: OnConflict,
    ) -> Self {
        Self {
            hands,
            traits,
            names,
            dirs: None,
            on_conflict,
            alive: BTreeSet::new(),
            held: Default::default(),
            written: 0,
            moved: Default::default(),
            copies: Default::default(),
            trace: false,
        }
    }

    #[expect(clippy::disallowed_macros, reason = "a failing history is told on demand")]
    pub fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{}", what());
        }
    }

    /// All that both sides hold.
    pub fn look(&mut self) -> [Everything; 2] {
        [0, 1].map(|side| self.hands[side].everything())
    }

    /// After a run: nothing may be lost. What is left to be told is in the error.
    pub fn check(&mut self) -> Result<(), String> {
        let everything = self.look();
        let now = everything.each_ref().map(held);
        let keeps_all = matches!(self.on_conflict, OnConflict::KeepBoth | OnConflict::Ask);
        for content in &self.alive {
            let stands = now.iter().any(|side| side.live.contains(content));
            let kept = now.iter().any(|side| side.anywhere.contains(content));
            if !stands && (keeps_all || !kept) {
                let trashed = if kept { "only in the trash" } else { "nowhere" };
                return Err(format!("content {content} is lost: it is {trashed}"));
            }
        }
        for side in [0, 1] {
            for content in &self.held[side] {
                if !now[side].anywhere.contains(content) && !now[1 - side].live.contains(content) {
                    return Err(format!("content {content} went from side {side}, and is not in its trash"));
                }
            }
            self.held[side].extend(&now[side].live);
        }
        if self.trace {
            let show = |side: &Everything| -> String {
                side.iter().map(|(path, thing)| format!("\n    {path} {}", shown(thing))).collect()
            };
            self.say(|| format!("  left{}\n  right{}", show(&everything[0]), show(&everything[1])));
        }
        Ok(())
    }

    fn any_path(&self, random: &mut Random, is_dir: bool) -> RelPath {
        let (depth, dirs) = (1 + random.below(3), self.dirs.as_ref().unwrap_or(&self.names));
        let above = (1..depth).fold(RelPath::root(), |dir, _| dir.join(random.pick(dirs).as_bytes()).unwrap());
        above.join(random.pick(if is_dir { dirs } else { &self.names }).as_bytes()).unwrap()
    }

    /// Whether something else that is the same name to this side stands there.
    fn clashes(&mut self, side: Side, path: &RelPath) -> bool {
        if !self.traits.iter().any(|traits| traits.folds_names) {
            return false;
        }
        let key = |path: &RelPath| fold_key(path.as_bytes()).into_owned();
        let paths = self.hands[index(side)].paths();
        let mut above = Some(path.clone());
        while let Some(at) = above.filter(|at| !at.is_root()) {
            if paths.iter().any(|(there, _)| *there != at && key(there) == key(&at)) {
                return true;
            }
            above = at.parent();
        }
        false
    }

    fn destroyed(&mut self, side: Side, bytes: Vec<Vec<u8>>) {
        for content in bytes.iter().filter_map(|bytes| content::written(bytes)) {
            self.say(|| format!("    user of {side:?} gets rid of {content}"));
            self.alive.remove(&content);
            self.held[index(side)].remove(&content);
        }
    }

    fn write(&mut self, side: Side, path: &RelPath, save: Save) {
        if self.clashes(side, path) {
            return;
        }
        let content = self.written + 1;
        if let Some(destroyed) = self.hands[index(side)].put(path, &content::bytes(content), save) {
            self.written = content;
            self.say(|| format!("    user of {side:?} writes {content} at {path} {save:?}"));
            self.destroyed(side, destroyed);
            self.alive.insert(content);
            self.held[index(side)].insert(content);
        }
    }

    fn discard(&mut self, side: Side, path: &RelPath) {
        if let Some(destroyed) = self.hands[index(side)].remove(path) {
            self.say(|| format!("    user of {side:?} removes {path}"));
            self.destroyed(side, destroyed);
        }
    }

    fn move_to(&mut self, side: Side, from: &RelPath, to: &RelPath) {
        if !to.is_within(from) && !self.clashes(side, to) && self.hands[index(side)].rename(from, to) {
            self.say(|| format!("    user of {side:?} moves {from} to {to}"));
            self.moved[index(side)].push((from.clone(), to.clone()));
        }
    }

    /// One thing that a user does. Into a file that is being worked with, nobody writes: what becomes of that is between
    /// them and the system.
    pub fn edit(&mut self, random: &mut Random, busy: [bool; 2]) {
        let side = if random.percent(50) { Side::Left } else { Side::Right };
        let at = index(side);
        if busy[at] && self.hands[at].is_remote() {
            return;
        }
        let paths = self.hands[at].paths();
        let old = (!paths.is_empty()).then(|| random.pick(&paths).clone());
        let dice = random.below(100);
        let takes_dir = match &old {
            Some((_, is_dir)) => (47..62).contains(&dice) && *is_dir,
            None => false,
        };
        let new = self.any_path(random, takes_dir || (70..75).contains(&dice));
        let in_place = if busy[at] { Save::Replace } else { Save::InPlace };
        match (dice, old) {
            (70..75, None) => {}
            (0..20, _) | (_, None) => self.write(side, &new, Save::Replace),
            (20..28, Some((old, false))) => self.write(side, &old, in_place),
            (28..36, Some((old, false))) => self.write(side, &old, Save::Replace),
            (36..47, Some((old, _))) => self.discard(side, &old),
            (47..62, Some((old, _))) => self.move_to(side, &old, &new),
            (62..70, Some(_)) => {
                if let Some((from, to)) = self.moved[at].pop() {
                    self.move_to(side, &to, &from);
                }
            }
            (70..75, Some(_)) => {
                if !self.clashes(side, &new) && self.hands[at].make_dir(&new) {
                    self.say(|| format!("    user of {side:?} makes {new}/"));
                }
            }
            (75..80, Some((old, false))) => self.copy(side, &old, new, random.percent(50)),
            (80..85, Some((old, is_dir))) => {
                let mode =
                    if is_dir { *random.pick(&[0o700, 0o755]) } else { *random.pick(&[0o600, 0o644, 0o755]) };
                self.say(|| format!("    user of {side:?} gives {old} mode {mode:o}"));
                self.hands[at].chmod(&old, mode);
            }
            (85..89, Some((old, false))) => {
                let long_ago = random.percent(40).then(|| 1_000_000_000 + random.below(1_000_000) as i64);
                self.say(|| format!("    user of {side:?} touches {old} {long_ago:?}"));
                self.hands[at].touch(&old, long_ago);
            }
            (89..92, Some(_)) if self.traits.iter().all(|traits| traits.symlinks) => {
                let target = random.pick(&["a", "../b", "nowhere"]).as_bytes();
                if !self.clashes(side, &new) && self.hands[at].link(&new, target) {
                    self.say(|| format!("    user of {side:?} makes the link {new}"));
                }
            }
            (92..94, Some((old, false))) => {
                if let Some(destroyed) = self.hands[at].put(&old, b"", in_place) {
                    self.say(|| format!("    user of {side:?} empties {old}"));
                    self.destroyed(side, destroyed);
                }
            }
            (94..98, _) if self.dirs.is_some() => {}
            (94..98, Some((old, is_dir))) => {
                self.discard(side, &old);
                let below = if is_dir { old } else { old.join(b"b").unwrap() };
                self.write(side, &below, Save::Replace);
            }
            _ => self.write(side, &new, Save::Replace),
        }
    }

    /// The same bytes under another name, or on the other side under the same one.
    fn copy(&mut self, side: Side, old: &RelPath, new: RelPath, here: bool) {
        let (to_side, to) = if here { (side, new) } else { (side.other(), old.clone()) };
        let Some(bytes) = self.hands[index(side)].read(old) else { return };
        // Half of what somebody is writing is no content.
        let Some(content) = content::if_whole(&bytes) else { return };
        if self.clashes(to_side, &to) {
            return;
        }
        if let Some(destroyed) = self.hands[index(to_side)].put(&to, &bytes, Save::Replace) {
            self.say(|| format!("    user of {side:?} copies {old} to {to} on {to_side:?}"));
            self.destroyed(to_side, destroyed);
            self.held[index(to_side)].insert(content);
        }
    }

    /// Keeps a copy of a side, or brings an older one back.
    pub fn restore_or_keep(&mut self, random: &mut Random) {
        let side = if random.percent(50) { Side::Left } else { Side::Right };
        let at = index(side);
        if self.copies[at].is_empty() || random.percent(60) {
            let copy = self.hands[at].everything();
            self.copies[at].push(copy.into_iter().filter(|(path, _)| !is_temp(path)).collect());
            return;
        }
        let copy = random.pick(&self.copies[at]).clone();
        let before = held(&self.hands[at].everything()).live;
        self.hands[at].restore(&copy);
        let after = held(&self.hands[at].everything()).live;
        self.say(|| format!("    {side:?} is restored from an older copy"));
        for content in before.difference(&after) {
            self.alive.remove(content);
            self.held[at].remove(content);
        }
        // What comes back may be what both agreed on, which gives way to an edit.
        self.held[at].extend(after);
    }

    /// The first path at which the sides differ in what both can hold; `left_to_user` are not looked at.
    pub fn difference(&mut self, left_to_user: &[RelPath]) -> Option<String> {
        let everything = self.look();
        let (l, r) = (&self.traits[0], &self.traits[1]);
        let folded = |path: &RelPath| match l.folds_names || r.folds_names {
            true => RelPath::new(fold_key(path.as_bytes())).unwrap(),
            false => path.clone(),
        };
        let left_to_user: Vec<_> = left_to_user.iter().map(folded).collect();
        let view = |side: &Everything| -> Everything {
            let shown = side.iter().map(|(path, thing)| (folded(path), thing)).filter(|(path, thing)| {
                !is_ours(path)
                    && !left_to_user.iter().any(|left| path.is_within(left))
                    && (!thing.is_dir() || (l.dirs && r.dirs))
            });
            shown.map(|(path, thing)| (path, thing.clone())).collect()
        };
        let [left, right] = everything.each_ref().map(view);
        let paths: BTreeSet<_> = left.keys().chain(right.keys()).collect();
        let apart = paths.into_iter().find(|path| match (left.get(path), right.get(path)) {
            (Some(left), Some(right)) => !self.are_alike(left, right),
            _ => true,
        })?;
        let show = |thing: Option<&Thing>| thing.map_or("nothing".to_owned(), shown);
        Some(format!("{apart}: {} and {}", show(left.get(apart)), show(right.get(apart))))
    }

    /// Whether two things are the same as far as both sides can tell.
    fn are_alike(&self, left: &Thing, right: &Thing) -> bool {
        let (l, r) = (&self.traits[0], &self.traits[1]);
        let told = !self.hands.iter().any(|hands| hands.is_remote());
        let same_mode = |left: u32, right: u32| left == right || !l.modes || !r.modes || !told;
        let precision = l.mtime_precision.max(r.mtime_precision);
        let timeless = l.mtime_precision == 0 || r.mtime_precision == 0 || !told;
        match (left, right) {
            (Thing::Dir { mode: left }, Thing::Dir { mode: right }) => same_mode(*left, *right),
            (Thing::File { bytes, mode, mtime }, Thing::File { bytes: bytes_r, mode: mode_r, mtime: mtime_r }) => {
                bytes == bytes_r
                    && same_mode(*mode, *mode_r)
                    && (timeless || mtime.same_within(*mtime_r, precision))
            }
            (left, right) => left == right,
        }
    }

    /// A temporary that is still there.
    pub fn left_over(&mut self) -> Option<RelPath> {
        self.look().into_iter().flatten().map(|(path, _)| path).find(is_temp)
    }
}

fn is_temp(path: &RelPath) -> bool {
    path.parts().any(|part| part.starts_with(TEMP_PREFIX.as_bytes()))
}

fn shown(thing: &Thing) -> String {
    match thing {
        Thing::Dir { mode } => format!("dir {mode:o}"),
        Thing::Link { target } => format!("-> {}", String::from_utf8_lossy(target)),
        Thing::File { bytes, mode, mtime } => {
            let n = content::if_whole(bytes);
            format!("file {n:?} {} bytes {mode:o} {}.{:09}", bytes.len(), mtime.secs, mtime.nanos)
        }
    }
}
