//! Users: they create, edit, rename, move back, delete, on either side and at any time.

use std::collections::BTreeSet;
use std::fmt::Debug;

use sitta_tree::{RelPath, Side};

use super::fs::What;
use super::random::Random;
use super::world::World;

/// Names that meet: case, normalisation, and a plain one.
pub const NAMES: [&str; 6] = ["a", "A", "b", "\u{e9}", "e\u{301}", "d"];

pub fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("a valid path")
}

/// What is only in one of two sorted lists, for messages.
pub fn apart<T: Ord + Clone + Debug>(left: &[T], right: &[T]) -> Option<String> {
    let (l, r): (BTreeSet<_>, BTreeSet<_>) = (left.iter().cloned().collect(), right.iter().cloned().collect());
    let only: Vec<_> = l.symmetric_difference(&r).take(4).collect();
    (!only.is_empty()).then(|| format!("{only:?}"))
}

impl World {
    /// A path that may or may not be there, up to three deep.
    fn any_path(&self, random: &mut Random, names: &[&str]) -> RelPath {
        let depth = 1 + random.below(3);
        (0..depth).fold(RelPath::root(), |dir, _| dir.join(random.pick(names).as_bytes()).expect("valid"))
    }

    fn existing(&self, side: Side, random: &mut Random) -> Option<RelPath> {
        let nodes = &self.fs(side).nodes;
        (!nodes.is_empty()).then(|| nodes.keys().nth(random.below(nodes.len())).expect("counted").clone())
    }

    pub fn new_content(&mut self) -> u64 {
        self.next_content += 1;
        self.alive.insert(self.next_content);
        self.next_content
    }

    /// A user gets rid of what is at `path` and below.
    fn discard(&mut self, side: Side, path: &RelPath) {
        let all: Vec<_> = std::iter::once(path.clone()).chain(self.fs(side).below(path)).collect();
        for path in all.iter().rev() {
            if let Some(content) = self.fs(side).content(path) {
                self.alive.remove(&content);
            }
            self.fs_mut(side).remove(path);
        }
    }

    fn make_parents(&mut self, side: Side, path: &RelPath) {
        let Some(parent) = path.parent().filter(|p| !p.is_root()) else { return };
        self.make_parents(side, &parent);
        if self.fs(side).get(&parent).is_none() {
            self.fs_mut(side).put(&parent, What::Dir, None, 0o755);
        }
    }

    pub fn write(&mut self, side: Side, path: &RelPath, content: u64) {
        self.make_parents(side, path);
        if self.fs(side).is_dir(path) || !path.parent().is_some_and(|dir| self.fs(side).is_dir(&dir)) {
            self.alive.remove(&content);
            return;
        }
        if let Some(old) = self.fs(side).content(path) {
            self.alive.remove(&old);
        }
        self.fs_mut(side).put(path, What::File(content), None, 0o644);
    }

    fn edit_in_place(&mut self, side: Side, path: &RelPath) {
        if let Some(old) = self.fs(side).content(path) {
            let content = self.new_content();
            self.alive.remove(&old);
            self.fs_mut(side).change(path, |node, tick| {
                (node.what, node.mtime) = (What::File(content), tick as i64);
            });
        }
    }

    fn move_to(&mut self, side: Side, from: RelPath, to: RelPath) {
        self.make_parents(side, &to);
        if self.fs_mut(side).rename(&from, &to) {
            self.moved[side as usize].push((from, to));
        }
    }

    /// One thing that a user does.
    pub fn user_edit(&mut self, random: &mut Random, names: &[&str]) {
        let side = if random.percent(50) { Side::Left } else { Side::Right };
        let old = self.existing(side, random);
        let new = self.any_path(random, names);
        let dice = random.below(100);
        self.say(|| format!("user {dice} on {side:?}: old {old:?} new {new}"));
        match (dice, old) {
            (0..20, _) | (_, None) => {
                let content = self.new_content();
                self.write(side, &new, content);
            }
            (20..35, Some(old)) => {
                if random.percent(50) {
                    self.edit_in_place(side, &old);
                } else if self.fs(side).content(&old).is_some() {
                    let content = self.new_content();
                    self.write(side, &old, content);
                }
            }
            (35..47, Some(old)) => self.discard(side, &old),
            (47..65, Some(old)) => self.move_to(side, old, new),
            (65..75, Some(_)) => {
                // Back to where it came from.
                if let Some((from, to)) = self.moved[side as usize].pop() {
                    self.move_to(side, to, from);
                }
            }
            (75..80, Some(_)) => {
                self.make_parents(side, &new);
                if self.fs(side).get(&new).is_none() {
                    self.fs_mut(side).put(&new, What::Dir, None, 0o755);
                }
            }
            (80..85, Some(old)) => {
                // The same bytes under another name, or on the other side under the same one.
                if let Some(content) = self.fs(side).content(&old) {
                    let (side, to) = if random.percent(50) { (side, new) } else { (side.other(), old) };
                    if self.fs(side).get(&to).is_none() {
                        self.make_parents(side, &to);
                        self.fs_mut(side).put(&to, What::File(content), None, 0o644);
                    }
                }
            }
            (85..90, Some(old)) => {
                let mode = *random.pick(&[0o600, 0o644, 0o755]);
                self.fs_mut(side).change(&old, |node, _| node.mode = mode);
            }
            (90..93, Some(old)) => self.fs_mut(side).change(&old, |node, tick| node.mtime = tick as i64),
            (93..96, Some(_)) => {
                let target = random.below(3) as u64;
                self.make_parents(side, &new);
                if self.fs(side).get(&new).is_none() {
                    self.fs_mut(side).put(&new, What::Link(target), None, 0o777);
                }
            }
            (_, Some(old)) => {
                // Something of another kind in its place.
                let was_dir = self.fs(side).is_dir(&old);
                self.discard(side, &old);
                if was_dir {
                    let content = self.new_content();
                    self.write(side, &old, content);
                } else {
                    self.fs_mut(side).put(&old, What::Dir, None, 0o755);
                    let content = self.new_content();
                    self.write(side, &old.join(b"b").expect("valid"), content);
                }
            }
        }
    }
}
