//! Two sides, what is remembered of them, and what has become of every content that was ever written.

use std::collections::{BTreeMap, BTreeSet};

use sitta_tree::{Agreed, Base, Fingerprint, Inputs, Plan, Policy, RelPath, Side, Tree, fold_key};

use super::fs::{Fs, What, hash_of};
use super::user::apart;

/// What was about to be done at a path when a run was cut off.
#[derive(Debug, Clone)]
pub struct Intent {
    pub side: Side,
    pub path: RelPath,
    pub before: Option<Fingerprint>,
}

#[derive(Debug, Clone)]
pub struct World {
    pub sides: [Fs; 2],
    pub base: BTreeMap<RelPath, Agreed>,
    pub intents: Vec<Intent>,
    /// Contents that a user wrote and no user deleted or overwrote.
    pub alive: BTreeSet<u64>,
    /// Contents that a policy displaced.
    pub trash: BTreeSet<u64>,
    pub next_content: u64,
    /// Where each side's users moved things, to move them back.
    pub moved: [Vec<(RelPath, RelPath)>; 2],
    pub policy: Policy,
    /// Tells all that happens.
    pub trace: bool,
}

/// Three trees as one scan saw them.
pub struct Trees {
    pub base: Base,
    pub left: Tree,
    pub right: Tree,
}

impl World {
    pub fn new(left: Fs, right: Fs, policy: Policy) -> Self {
        Self {
            sides: [left, right],
            base: BTreeMap::new(),
            intents: Vec::new(),
            alive: BTreeSet::new(),
            trash: BTreeSet::new(),
            next_content: 1,
            moved: [Vec::new(), Vec::new()],
            policy,
            trace: false,
        }
    }

    pub fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{}", what());
        }
    }

    pub fn fs(&self, side: Side) -> &Fs {
        &self.sides[side as usize]
    }

    pub fn fs_mut(&mut self, side: Side) -> &mut Fs {
        &mut self.sides[side as usize]
    }

    pub fn inputs<'t>(&self, trees: &'t Trees) -> Inputs<'t> {
        Inputs {
            base: &trees.base,
            left: &trees.left,
            right: &trees.right,
            left_traits: self.sides[0].traits,
            right_traits: self.sides[1].traits,
            policy: self.policy,
            checksum: false,
            hard_links: false,
            remember: false,
        }
    }

    /// What an interrupted run left behind is resolved first: where something was done, the base forgets the path.
    pub fn recover(&mut self) {
        for intent in std::mem::take(&mut self.intents) {
            if self.fs(intent.side).fingerprint(&intent.path) != intent.before {
                self.base.remove(&intent.path);
            }
        }
    }

    pub fn scan(&self, blind: &[Vec<RelPath>; 2]) -> Trees {
        Trees {
            base: Base::from_sorted(self.base.iter().map(|(path, agreed)| (path.clone(), agreed.clone())))
                .expect("small"),
            left: self.sides[0].scan(&blind[0]),
            right: self.sides[1].scan(&blind[1]),
        }
    }

    /// Plans, hashing what has to be known.
    pub fn plan(&self, trees: &mut Trees) -> Plan {
        loop {
            let plan = sitta_tree::plan::plan(&self.inputs(trees));
            if plan.undecided.is_empty() {
                return plan;
            }
            assert!(plan.actions.is_empty());
            for (l, r) in &plan.undecided {
                for (side, tree, id) in [(0, &mut trees.left, *l), (1, &mut trees.right, *r)] {
                    let content =
                        self.sides[side].content(&tree.path(id)).expect("a file, as nothing changed since");
                    tree.set_content(id, hash_of(content));
                }
            }
            let again = sitta_tree::plan::plan(&self.inputs(trees));
            assert!(again.undecided.iter().all(|pair| !plan.undecided.contains(pair)), "asked for a known hash");
        }
    }

    /// A content that was lost: a user wrote it, no user got rid of it, and neither side holds it.
    pub fn lost(&self) -> Option<u64> {
        let held = |content: u64| self.sides.iter().any(|fs| fs.holds_content(content));
        let keeps_all =
            matches!(self.policy, Policy::Sync(sitta_tree::OnConflict::KeepBoth | sitta_tree::OnConflict::Ask));
        self.alive.iter().copied().find(|content| !held(*content) && (keeps_all || !self.trash.contains(content)))
    }

    /// The first path at which the sides differ.
    pub fn difference(&self) -> Option<String> {
        let view = |fs: &Fs| -> Vec<(RelPath, What, i64, u32)> {
            let coarse = self.sides.iter().map(Fs::coarseness);
            let coarse = if coarse.clone().any(|c| c == 0) { i64::MAX } else { coarse.max().unwrap_or(1) };
            let modes = self.sides.iter().all(|fs| fs.traits.modes);
            let mtime =
                |what: &What, mtime: i64| if matches!(what, What::File(_)) { mtime.div_euclid(coarse) } else { 0 };
            let mode = |what: &What, mode| if matches!(what, What::Link(_)) || !modes { 0 } else { mode };
            let each = fs.nodes.iter();
            let folds = self.sides.iter().any(|fs| fs.traits.folds_names);
            // Spellings of one name may stay as they are.
            let spelled = |path: &RelPath| match folds {
                true => RelPath::new(fold_key(path.as_bytes())).expect("folding keeps a path valid"),
                false => path.clone(),
            };
            each.map(|(p, n)| (spelled(p), n.what.clone(), mtime(&n.what, n.mtime), mode(&n.what, n.mode)))
                .collect()
        };
        apart(&view(&self.sides[0]), &view(&self.sides[1]))
    }
}
