//! Copy and mirror under random histories: users work on both sides, also in between; actions fail; runs crash. A mirror
//! ends as its source and a copy never deletes; the source is never touched.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test binary may read its environment and print"
)]

mod support;

use std::collections::BTreeMap;

use sitta_tree::{Existing, Op, Policy, RelPath, Side, SideTraits};
use support::executor::Chaos;
use support::fs::TRAITS;
use support::user::NAMES;
use support::{Fs, Node, Random, Run, What, World};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn store(random: &mut Random, first_tick: u64) -> Fs {
    let mut fs = Fs::new(SideTraits { stable_ids: random.percent(70), ..TRAITS }, first_tick);
    fs.renames = random.percent(60);
    fs.changes = random.percent(60);
    fs
}

fn without_times(nodes: &BTreeMap<RelPath, Node>) -> Vec<(RelPath, What)> {
    nodes.iter().map(|(path, node)| (path.clone(), node.what.clone())).collect()
}

/// One history of a policy; `oracle` looks at the world after an undisturbed run.
fn history(seed: u64, policy: Policy, oracle: fn(&World, &BTreeMap<RelPath, Node>)) -> usize {
    let mut random = Random::new(seed);
    let (left, right) = (store(&mut random, 1_000_000), store(&mut random, 1_000_300));
    let mut world = World::new(left, right, policy);
    let names = &NAMES[..2 + random.below(NAMES.len() - 1)];
    let mut actions = 0;
    for _ in 0..ROUNDS {
        for _ in 0..random.below(5) {
            world.user_edit(&mut random, names);
        }
        let crash_at = random.percent(40).then(|| 1 + random.below(24));
        let mut run = Run::new(&mut world, &mut random, names);
        run.chaos = Chaos { fail: 10, edit: 15, crash_at };
        let (_, plan) = run.go(&Default::default());
        actions += plan.actions.len();
        for action in &plan.actions {
            assert_eq!(action.side, Side::Right, "seed {seed}: the source is touched: {action:?}");
            if matches!(policy, Policy::Copy { .. }) {
                assert!(!matches!(action.op, Op::Remove | Op::Move { .. }), "seed {seed}: {action:?}");
            }
        }
    }
    let before = world.sides[1].nodes.clone();
    let source = without_times(&world.sides[0].nodes);
    Run::new(&mut world, &mut random, names).go(&Default::default());
    assert_eq!(without_times(&world.sides[0].nodes), source, "seed {seed}: the source changed");
    oracle(&world, &before);
    let (_, plan) = Run::new(&mut world, &mut random, names).go(&Default::default());
    assert!(plan.actions.is_empty(), "seed {seed}: the second run still has {:?}", plan.actions);
    actions
}

const ROUNDS: usize = 14;

fn histories(policy: Policy, oracle: fn(&World, &BTreeMap<RelPath, Node>)) {
    let (first, count) = (number("SITTA_SIM_SEED", 1), number("SITTA_SIM_HISTORIES", 3_000) / 3);
    let actions: usize = (first..first + count).map(|seed| history(seed, policy, oracle)).sum();
    println!("{policy:?}: {count} histories, {actions} actions");
}

#[test]
fn a_mirror_ends_as_its_source() {
    histories(Policy::Mirror, |world, _| assert_eq!(world.difference(), None));
}

#[test]
fn a_copy_adds_and_updates_and_never_deletes() {
    histories(Policy::Copy { existing: Existing::Replace }, |world, before| {
        for path in before.keys() {
            assert!(world.sides[1].get(path).is_some(), "{path} was deleted");
        }
        for path in world.sides[0].nodes.keys() {
            // Below something of another kind nothing can be copied.
            let blocked = |p: &RelPath| {
                let there = |fs: &Fs| fs.get(p).map(|node| std::mem::discriminant(&node.what));
                there(&world.sides[1]).is_some_and(|kind| Some(kind) != there(&world.sides[0]))
            };
            let mut above = path.parent();
            let mut is_blocked = false;
            while let Some(dir) = above.filter(|dir| !dir.is_root()) {
                is_blocked |= blocked(&dir);
                above = dir.parent();
            }
            assert!(is_blocked || world.sides[1].get(path).is_some(), "{path} was not copied");
        }
    });
}

#[test]
fn a_copy_may_keep_what_is_there() {
    histories(Policy::Copy { existing: Existing::Keep }, |world, before| {
        for (path, node) in before.iter().filter(|(_, node)| node.what != What::Dir) {
            assert_eq!(world.sides[1].get(path), Some(node), "{path} was touched");
        }
    });
}

#[test]
fn a_copy_may_update_only_what_is_older() {
    histories(Policy::Copy { existing: Existing::IfNewer }, |world, before| {
        for (path, node) in before.iter().filter(|(_, node)| matches!(node.what, What::File(_))) {
            let now = world.sides[1].get(path).expect("copies delete nothing");
            assert!(now.what == node.what || now.mtime > node.mtime, "{path} was replaced by something older");
        }
    });
}
