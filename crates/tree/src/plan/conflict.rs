//! Both sides made something of their own of one thing.

use std::fmt::Write as _;

use super::join::Triple;
use super::schedule::Phase;
use super::two_way::Pair;
use super::walk::{Context, Planner, Seen};
use super::{Expect, MetaFields, OnConflict, Op, Outcome, Place, Policy, Side};
use crate::{Kind, NodeId, RelPath, fold_key};

/// What becomes of a conflict.
enum Verdict {
    Wins(Side),
    KeepBoth,
    Ask,
}

/// The longest name that every common file system takes.
const LONGEST_NAME: usize = 255;

/// What stands between a name and the hash in the name of its conflict copy.
const MARK: &str = ".conflict-";

/// The name whose conflict copy this is called: `name` for `name.conflict-1a2b3c4d`, with or without a number behind it. A
/// name that was too long for the mark is cut.
pub fn conflict_copy_of(name: &[u8]) -> Option<&[u8]> {
    let at = (0..name.len()).rev().find(|at| name[*at..].starts_with(MARK.as_bytes())).filter(|at| *at > 0)?;
    let (hash, number) = name[at + MARK.len()..].split_at_checked(8)?;
    let is_hash = hash.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_number = number.is_empty()
        || number.strip_prefix(b"-").is_some_and(|n| !n.is_empty() && n.iter().all(u8::is_ascii_digit));
    (is_hash && is_number).then(|| &name[..at])
}

impl Planner<'_> {
    /// Whether a conflict was left to the user here and neither version has changed since.
    pub fn still_left_to_user(&self, t: Triple, pair: &Pair) -> bool {
        self.inputs.policy == Policy::Sync(OnConflict::Ask)
            && t.base.is_some_and(|b| {
                self.inputs.base.is_conflicted(b)
                    && self.untouched(Side::Left, pair.left, b)
                    && self.untouched(Side::Right, pair.right, b)
            })
    }

    /// Two versions of a file or link.
    pub fn settle_conflict(&mut self, t: Triple, pair: Pair, seen: &mut Seen) {
        match self.verdict(&pair, true) {
            Verdict::Ask => self.conflict(t, Outcome::Left),
            Verdict::Wins(winner) => {
                let loser = winner.other();
                self.overwrite(loser, pair.on(loser), pair.on(winner), seen);
                self.conflict(t, Outcome::Won(winner));
            }
            Verdict::KeepBoth => {
                let loser = self.loser(&pair);
                if let Some(kept) = self.set_aside(Phase::Move, loser, &pair, seen) {
                    let from = pair.on(loser.other());
                    let at = Place::of(loser, pair.on(loser));
                    self.out.push(Phase::Move, loser, Op::Write { from }, at, Expect::Absent);
                    self.plan.summary.changed += 1;
                    self.plan.summary.bytes += self.tree(loser.other()).size(from);
                    self.conflict(t, Outcome::KeptBoth(loser, kept));
                }
            }
        }
    }

    /// A directory on one side, a file or link on the other.
    pub fn kinds_clash(&mut self, t: Triple, pair: Pair, context: Context, seen: &mut Seen) {
        seen.stays_on_both();
        let dir_side = if self.inputs.left.kind(pair.left) == Kind::Dir { Side::Left } else { Side::Right };
        let leaf_side = dir_side.other();
        let (dir, leaf) = (pair.on(dir_side), pair.on(leaf_side));
        let agreed = self.inputs.base.tree();
        match pair.base {
            // One side changed, the other follows.
            Some(b) if agreed.kind(b) == Kind::Dir && !self.is_changed_inside(dir_side, dir, b) => {
                return self.replace(dir_side, dir, leaf, pair.base, context, seen);
            }
            Some(b) if self.state(leaf_side, leaf, b) == super::compare::State::Same => {
                return self.replace(leaf_side, leaf, dir, pair.base, context, seen);
            }
            _ => {}
        }
        match self.verdict(&pair, false) {
            Verdict::Ask => self.conflict(t, Outcome::Left),
            Verdict::Wins(winner) => {
                let loser = winner.other();
                self.replace(loser, pair.on(loser), pair.on(winner), pair.base, context, seen);
                self.conflict(t, Outcome::Won(winner));
            }
            Verdict::KeepBoth => {
                let Some(kept) = self.set_aside(Phase::Replace, leaf_side, &pair, seen) else { return };
                // What is in the directory is to be made anew on the other side: nothing of it is agreed any more.
                self.forget_all(pair.base);
                let making = std::mem::replace(&mut self.making, Phase::Replace);
                self.create_dir(leaf_side, dir, context, seen);
                self.making = making;
                self.conflict(t, Outcome::KeptBoth(leaf_side, kept));
            }
        }
    }

    fn verdict(&self, pair: &Pair, dated: bool) -> Verdict {
        let (left, right) = ((Side::Left, pair.left), (Side::Right, pair.right));
        match self.inputs.policy {
            Policy::Sync(OnConflict::Left) => Verdict::Wins(Side::Left),
            Policy::Sync(OnConflict::Right) => Verdict::Wins(Side::Right),
            Policy::Sync(OnConflict::Ask) => Verdict::Ask,
            Policy::Sync(OnConflict::Newest { skew }) if dated && self.is_newer(left, right, skew) => {
                Verdict::Wins(Side::Left)
            }
            Policy::Sync(OnConflict::Newest { skew }) if dated && self.is_newer(right, left, skew) => {
                Verdict::Wins(Side::Right)
            }
            _ => Verdict::KeepBoth,
        }
    }

    /// Which version gives up its name: the older; else the smaller; else that of the lesser hash. The same one whichever
    /// side is called left.
    fn loser(&self, pair: &Pair) -> Side {
        let rank = |side: Side| {
            let (tree, node) = (self.tree(side), pair.on(side));
            let mtime = self.keeps.has(MetaFields::MTIME).then(|| tree.mtime(node));
            (mtime, tree.size(node), tree.content(node).map(|hash| hash.0))
        };
        if rank(Side::Left) < rank(Side::Right) { Side::Left } else { Side::Right }
    }

    /// Gives `loser`'s version a name of its own on both sides and returns its path on that side. It is renamed before
    /// anything else comes to its place, so that it stands somewhere at every moment.
    fn set_aside(&mut self, phase: Phase, loser: Side, pair: &Pair, seen: &mut Seen) -> Option<RelPath> {
        let (winner, node) = (loser.other(), pair.on(loser));
        if !self.can_hold(winner, node) || !self.can_hold(loser, pair.on(winner)) {
            return None;
        }
        let name = self.conflict_name(loser, node, pair);
        let path = |planner: &Self, side: Side| {
            let tree = planner.tree(side);
            tree.path(tree.parent(pair.on(side))).join(&name).expect("made of a valid name")
        };
        let (path, there) = (path(self, loser), path(self, winner));
        self.named.extend([path.clone(), there.clone()]);
        let at = self.name(path.clone());
        let place = if there == path { at } else { self.name(there) };
        self.out.push(phase, loser, Op::Move { from: node, like: None }, at, Expect::Absent);
        self.out.push(phase, winner, Op::WriteAt { place: at, from: node }, place, Expect::Absent);
        seen.touched = [true; 2];
        self.plan.summary.new += 1;
        self.plan.summary.bytes += self.tree(loser).size(node);
        Some(path)
    }

    /// `name.conflict-<hash8>`, with a number behind it if that name is taken on either side.
    fn conflict_name(&self, loser: Side, node: NodeId, pair: &Pair) -> Vec<u8> {
        let tree = self.tree(loser);
        let mut mark = String::from(MARK);
        match self.known_content(loser, node, None) {
            Some(hash) => hash.0[..4].iter().for_each(|byte| {
                let _ = write!(mark, "{byte:02x}");
            }),
            None => {
                let _ = write!(mark, "{:08x}", self.print_hash(loser, node));
            }
        }
        (1u32..)
            .map(|count| {
                let suffix = if count == 1 { mark.clone() } else { format!("{mark}-{count}") };
                let name = tree.name(node);
                [cut(name, LONGEST_NAME - suffix.len()), suffix.as_bytes()].concat()
            })
            .find(|name| [Side::Left, Side::Right].iter().all(|side| !self.is_taken(*side, pair.on(*side), name)))
            .expect("some number is free")
    }

    /// Whether `name` stands beside `node` on `side` or will, or something else that is the same name there.
    fn is_taken(&self, side: Side, node: NodeId, name: &[u8]) -> bool {
        let tree = self.tree(side);
        let dir = tree.parent(node);
        let path = tree.path(dir).join(name).expect("made of a valid name");
        tree.child(dir, name).is_some()
            || self.named.contains(&path)
            || (self.folds && {
                let key = fold_key(name);
                tree.children(dir).any(|child| fold_key(tree.name(child)) == key)
                    || self.named.iter().any(|named| fold_key(named.as_bytes()) == fold_key(path.as_bytes()))
            })
    }

    /// Eight hexadecimal digits that stand for a version of which the content is not known (FNV-1a).
    fn print_hash(&self, side: Side, node: NodeId) -> u32 {
        let tree = self.tree(side);
        let print = tree.fingerprint(node);
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let parts = [print.size, print.mtime.secs as u64, u64::from(print.mtime.nanos), print.id, print.change];
        let bytes = parts.iter().flat_map(|part| part.to_le_bytes());
        for byte in bytes.chain(tree.target(node).iter().copied()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        (hash ^ hash >> 32) as u32
    }
}

/// The start of `name` that is at most `len` bytes long, without a torn character.
fn cut(name: &[u8], len: usize) -> &[u8] {
    if name.len() <= len {
        return name;
    }
    let mut end = len;
    while end > 0 && name[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    &name[..if end == 0 { len } else { end }]
}

#[cfg(test)]
mod tests {
    use super::conflict_copy_of;

    #[test]
    fn conflict_copies_are_known_by_their_names() {
        assert_eq!(conflict_copy_of(b"a.odt.conflict-1a2b3c4d"), Some(&b"a.odt"[..]));
        assert_eq!(conflict_copy_of(b"a.conflict-00000000-12"), Some(&b"a"[..]));
        assert_eq!(conflict_copy_of(b"a.conflict-00000000.conflict-1a2b3c4d"), Some(&b"a.conflict-00000000"[..]));
        for other in [
            "a",
            ".conflict-1a2b3c4d",
            "a.conflict-1a2b3c4",
            "a.conflict-1A2B3C4D",
            "a.conflict-1a2b3c4d-",
            "a.conflict-1a2b3c4dx",
        ] {
            assert_eq!(conflict_copy_of(other.as_bytes()), None, "{other}");
        }
    }
}
