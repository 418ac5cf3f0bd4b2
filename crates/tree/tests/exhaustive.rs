//! Everything that can happen on a small scale: every triple of base, left and right over two names, three contents,
//! metadata, symbolic links and nested directories; and for each a crash at every moment of the run.
//!
//! Checked: no content that one side made is lost; both sides become the same in one run; the next run has nothing to
//! do; it does not matter which side is called left; after a crash all of this still holds.
//!
//! Environment: `SITTA_EXHAUSTIVE=full` goes through all of it; without it, through an evenly spread part.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test binary may read its environment and print"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use sitta_tree::{Agreed, OnConflict, Policy, RelPath, Side};
use support::executor::Chaos;
use support::fs::{TRAITS, hash_of};
use support::user::path;
use support::{Fs, Halt, Random, Run, What, World};

/// What may stand at a name: nothing, a file with its mode, a link, or a directory with at most one thing in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thing {
    Nothing,
    File(u64, u32),
    Link,
    Dir,
    DirWith(u64),
    DirWithDir,
}

const FIRST: [Thing; 10] = [
    Thing::Nothing,
    Thing::File(1, 0o644),
    Thing::File(2, 0o644),
    Thing::File(3, 0o644),
    Thing::File(1, 0o600),
    Thing::Link,
    Thing::Dir,
    Thing::DirWith(1),
    Thing::DirWith(3),
    Thing::DirWithDir,
];
const SECOND: [Thing; 5] =
    [Thing::Nothing, Thing::File(1, 0o644), Thing::File(3, 0o644), Thing::File(1, 0o600), Thing::Dir];

/// The entries of one state, parents first.
type Entries = BTreeMap<RelPath, (What, u32)>;

fn state(index: usize) -> Entries {
    let mut entries = Entries::new();
    for (name, thing) in [("a", FIRST[index / SECOND.len()]), ("b", SECOND[index % SECOND.len()])] {
        let inner = path(name).join(b"x").expect("valid");
        let mut add = |path: &RelPath, what, mode| {
            entries.insert(path.clone(), (what, mode));
        };
        match thing {
            Thing::Nothing => {}
            Thing::File(content, mode) => add(&path(name), What::File(content), mode),
            Thing::Link => add(&path(name), What::Link(1), 0o777),
            Thing::Dir | Thing::DirWith(_) | Thing::DirWithDir => add(&path(name), What::Dir, 0o755),
        }
        match thing {
            Thing::DirWith(content) => add(&inner, What::File(content), 0o644),
            Thing::DirWithDir => add(&inner, What::Dir, 0o755),
            _ => {}
        }
    }
    entries
}

fn put_all(fs: &mut Fs, entries: &Entries) {
    for (at, (path, (what, mode))) in entries.iter().enumerate() {
        assert!(fs.put(path, what.clone(), Some(900 + at as i64), *mode));
    }
}

/// Brings a side from the base to `now` as a user would: what is the same stays untouched, what stands under another
/// name was renamed, the rest is new.
fn evolve(fs: &mut Fs, base: &Entries, now: &Entries) {
    let is_same_file = |path: &RelPath, what: &What| base.get(path).is_some_and(|(old, _)| old == what);
    let mut moved = Vec::new();
    for (path, (what, mode)) in now.iter().filter(|(path, (what, _))| !is_same_file(path, what)) {
        let from = base.iter().find(|(from, (old, _))| {
            matches!(what, What::File(_)) && old == what && now.get(*from).is_none_or(|(there, _)| there != what)
        });
        let node = from.and_then(|(from, _)| fs.get(from).cloned());
        moved.push((path.clone(), what.clone(), *mode, node));
    }
    for path in base.keys().rev() {
        let stays = now.get(path).is_some_and(|(what, _)| is_same_file(path, what));
        if !stays {
            fs.remove(path);
        }
    }
    for (path, what, mode, node) in moved {
        assert!(fs.put(&path, what, None, mode));
        if let Some(node) = node {
            fs.change(&path, |new, _| (new.inode, new.mtime) = (node.inode, node.mtime));
        }
    }
    for (path, (_, mode)) in now {
        if fs.get(path).is_some_and(|node| node.mode != *mode) {
            fs.change(path, |node, _| node.mode = *mode);
        }
    }
}

fn world(states: &[Entries], [b, l, r]: [usize; 3], ids: bool, swapped: bool) -> World {
    let traits = sitta_tree::SideTraits { stable_ids: ids, ..TRAITS };
    let mut sides = [Fs::new(traits, 1_000), Fs::new(traits, 1_200)];
    sides.iter_mut().for_each(|fs| put_all(fs, &states[b]));
    let mut base = BTreeMap::new();
    let order = if swapped { [1, 0] } else { [0, 1] };
    for (path, (what, _)) in &states[b] {
        let entry = sides[0].entry(sides[0].get(path).expect("just put"));
        let print = |side: usize| sides[order[side]].fingerprint(path).expect("just put");
        let content = if let What::File(content) = what { Some(hash_of(*content)) } else { None };
        let (kind, meta, target) = (entry.kind, entry.meta, entry.target.clone());
        let agreed = Agreed { kind, meta, content, target, left: print(0), right: print(1), conflicted: false };
        base.insert(path.clone(), agreed);
    }
    evolve(&mut sides[0], &states[b], &states[l]);
    evolve(&mut sides[1], &states[b], &states[r]);
    let [first, second] = sides;
    let (left, right) = if swapped { (second, first) } else { (first, second) };
    let mut world = World::new(left, right, Policy::Sync(OnConflict::KeepBoth));
    world.base = base;
    world
}

/// Contents that a side made or moved: whatever the other side did, they must be there in the end.
fn must_stay(states: &[Entries], [b, l, r]: [usize; 3]) -> BTreeSet<u64> {
    let made = |side: &Entries| -> Vec<u64> {
        let new = side.iter().filter(|(path, (what, _))| states[b].get(*path).is_none_or(|(old, _)| old != what));
        new.filter_map(|(_, (what, _))| if let What::File(content) = what { Some(*content) } else { None })
            .collect()
    };
    made(&states[l]).into_iter().chain(made(&states[r])).collect()
}

fn go(world: &mut World, crash_at: Option<usize>) -> (Halt, usize, usize) {
    let mut random = Random::new(1);
    let mut run = Run::new(world, &mut random, &[]);
    run.chaos = Chaos { crash_at, ..Chaos::default() };
    let (halt, plan) = run.go(&Default::default());
    (halt, plan.actions.len(), run.moments)
}

fn check_settled(world: &World, must: &BTreeSet<u64>) -> Result<(), String> {
    for content in must {
        if !world.sides.iter().all(|fs| fs.holds_content(*content)) {
            return Err(format!("content {content} is lost"));
        }
    }
    world.difference().map_or(Ok(()), |difference| Err(format!("different: {difference}")))
}

/// Goes through one triple; counts crash points.
fn check(states: &[Entries], triple: [usize; 3], ids: bool) -> Result<usize, String> {
    let must = must_stay(states, triple);
    let mut calm = world(states, triple, ids, false);
    let (_, _, moments) = go(&mut calm, None);
    check_settled(&calm, &must)?;
    let (_, again, _) = go(&mut calm, None);
    if again > 0 {
        return Err(format!("{again} actions in the second run"));
    }
    let mut swapped = world(states, triple, ids, true);
    go(&mut swapped, None);
    let names = |world: &World, side: Side| -> Vec<_> {
        world.fs(side).nodes.iter().map(|(path, node)| (path.clone(), node.what.clone())).collect()
    };
    if names(&calm, Side::Left) != names(&swapped, Side::Right) {
        return Err(format!("not symmetric: {} / {}", calm.sides[0].show(), swapped.sides[1].show()));
    }
    for crash_at in 1..=moments {
        let mut world = world(states, triple, ids, false);
        let (halt, _, _) = go(&mut world, Some(crash_at));
        assert_eq!(halt, Halt::Crashed);
        let settled = (0..4).any(|_| go(&mut world, None).1 == 0);
        let crashed = |error| format!("crash at {crash_at}: {error}");
        check_settled(&world, &must).map_err(crashed)?;
        if !settled {
            return Err(crashed("never settles".to_owned()));
        }
    }
    Ok(moments)
}

fn all(ids: bool) {
    let states: Vec<_> = (0..FIRST.len() * SECOND.len()).map(state).collect();
    let full = std::env::var("SITTA_EXHAUSTIVE").is_ok_and(|value| value == "full");
    let total = states.len().pow(3);
    // Coprime to the scope, so that every state meets many others.
    let step = if full { 1 } else { 37 };
    let (mut triples, mut crashes, mut failures) = (0, 0, Vec::new());
    for index in (0..total).step_by(step) {
        let n = states.len();
        let triple = [index / n / n, index / n % n, index % n];
        triples += 1;
        match check(&states, triple, ids) {
            Ok(moments) => crashes += moments,
            Err(error) => failures.push((triple, error)),
        }
    }
    println!("{triples} triples, {crashes} crash points, {} failures", failures.len());
    for (triple, error) in failures.iter().take(12) {
        println!("{triple:?} {error}");
        for (what, index) in ["base", "left", "right"].into_iter().zip(triple) {
            println!("  {what}: {:?}", states[*index]);
        }
    }
    assert!(failures.is_empty(), "{} of {triples} triples fail", failures.len());
}

#[test]
fn every_triple_with_stable_ids() {
    all(true);
}

#[test]
fn every_triple_without_ids() {
    all(false);
}
