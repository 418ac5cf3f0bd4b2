//! Files that change, grow, shrink or vanish while they are copied; directories swapped for links meanwhile.

mod support;

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use support::*;

/// Somebody who works on files while they are copied.
struct Busy {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Busy {
    fn with(mut work: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                work();
            }
        });
        Self { stop, thread: Some(thread) }
    }

    fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("once").join().expect("the busy one");
    }
}

/// Mirrors some times while somebody is at work, then once in peace, which must set everything right.
fn mirror_while(world: &World, times: usize, work: impl FnMut() + Send + 'static, check: impl Fn(&Run)) {
    let busy = Busy::with(work);
    for _ in 0..times {
        let run = world.mirror(&["--max-delete", "100%"]);
        assert!(matches!(run.code(), 0 | 3), "{run:?}");
        assert_eq!(run.code() == 0, run.problems().is_empty(), "problems and exit code say the same: {run:?}");
        assert_no_temporaries(&world.dst);
        check(&run);
    }
    busy.stop();
    world.mirror_well(&["--max-delete", "100%"]);
    world.nothing_to_do(&[]);
}

fn source(files: u32, size: usize) -> World {
    let world = World::new();
    for i in 0..files {
        put(&world.src, format!("f{i}"), Blob::new(i, size).bytes());
    }
    world
}

#[test]
fn files_that_grow() {
    let world = source(60, 300_000);
    let (src, mut rng) = (world.src.clone(), Rng::new());
    let work = move || {
        let path = src.join(format!("f{}", rng.below(60)));
        let mut file = fs::File::options().append(true).open(path).expect("open");
        file.write_all(&rng.bytes(1000)).expect("append");
    };
    mirror_while(&world, 12, work, |_| {});
}

#[test]
fn files_that_shrink() {
    let world = source(60, 900_000);
    let (src, mut rng) = (world.src.clone(), Rng::new());
    let work = move || {
        let file = fs::File::options().write(true).open(src.join(format!("f{}", rng.below(60)))).expect("open");
        let size = file.metadata().expect("stat").len();
        file.set_len(if size < 1000 { 900_000 } else { size * 3 / 4 }).expect("truncate");
    };
    mirror_while(&world, 12, work, |_| {});
}

#[test]
fn files_that_are_rewritten_in_place_with_the_same_size() {
    let world = source(40, 400_000);
    let (src, mut rng) = (world.src.clone(), Rng::new());
    let work = move || {
        let mut file = fs::File::options().write(true).open(src.join(format!("f{}", rng.below(40)))).expect("open");
        file.seek(SeekFrom::Start(rng.below(399_000) as u64)).expect("seek");
        file.write_all(&rng.bytes(1000)).expect("write");
    };
    mirror_while(&world, 12, work, |_| {});
}

#[test]
fn files_that_are_replaced_whole_arrive_whole() {
    let world = source(60, 200_000);
    let (src, temp, mut rng) = (world.src.clone(), world.path("temp"), Rng::new());
    let work = move || {
        let size = rng.below(400_000);
        fs::write(&temp, Blob::new(rng.next() as u32, size).bytes()).expect("write");
        fs::rename(&temp, src.join(format!("f{}", rng.below(60)))).expect("rename");
    };
    let dst = world.dst.clone();
    mirror_while(&world, 12, work, |_| {
        for (path, item) in snapshot(&dst) {
            let What::File(bytes) = item.what else { panic!("only files here") };
            assert!(Blob::recognise(&bytes).is_some(), "{path:?} is mixed from two versions");
        }
    });
}

#[test]
fn files_that_vanish_and_come_back() {
    let world = source(80, 100_000);
    let (src, away, mut rng) = (world.src.clone(), world.path("away"), Rng::new());
    fs::create_dir(&away).expect("mkdir");
    let work = move || {
        let name = format!("f{}", rng.below(80));
        let (here, there) = (src.join(&name), away.join(&name));
        let _ = fs::rename(&here, &there).or_else(|_| fs::rename(&there, &here));
    };
    mirror_while(&world, 15, work, |_| {});
}

#[test]
fn directories_that_vanish_and_come_back() {
    let world = World::new();
    many(&world.src, 400);
    let (src, away, mut rng) = (world.src.clone(), world.path("away"), Rng::new());
    fs::create_dir(&away).expect("mkdir");
    let work = move || {
        let name = format!("d{}", rng.below(40));
        let (here, there) = (src.join(&name), away.join(&name));
        let _ = fs::rename(&here, &there).or_else(|_| fs::rename(&there, &here));
    };
    mirror_while(&world, 15, work, |_| {});
}

#[test]
fn a_destination_edited_meanwhile_is_not_overwritten_unseen() {
    let world = source(50, 200_000);
    world.mirror_well(&[]);
    for i in 0..50 {
        put(&world.src, format!("f{i}"), Blob::new(1000 + i, 250_000).bytes());
    }
    // The user adds files to the destination all the time: none may be deleted by a run that did not see it.
    let (dst, mut next) = (world.dst.clone(), 0u32);
    let made = Arc::new(std::sync::Mutex::new(Vec::<PathBuf>::new()));
    let list = made.clone();
    let busy = Busy::with(move || {
        let path = dst.join(format!("user{next}"));
        fs::write(&path, next.to_string()).expect("write");
        list.lock().expect("lock").push(path);
        next += 1;
        std::thread::sleep(std::time::Duration::from_micros(300));
    });
    let run = world.mirror(&["--max-delete", "100%", "--trash", ".sitta/trash"]);
    busy.stop();
    assert!(matches!(run.code(), 0 | 3), "{run:?}");
    let trash = trashed(&world.dst).len();
    let there = made.lock().expect("lock").iter().filter(|path| path.exists()).count();
    let deleted = run.report()["deleted"].as_u64().expect("a number") as usize;
    assert!(trash >= deleted && made.lock().expect("lock").len() == there + deleted, "{there} {deleted} {trash}");
}

/// Puts a link where a directory was, and the directory back, on and on. What was made in the link's place meanwhile goes
/// to `away`.
fn swap(dir: PathBuf, aside: PathBuf, away: PathBuf, outside: PathBuf) -> impl FnMut() + Send + 'static {
    let (mut swapped, mut round) = (false, 0);
    fs::create_dir_all(&away).expect("mkdir");
    move || {
        if swapped {
            round += 1;
            let _ = fs::rename(&dir, away.join(round.to_string()));
            swapped = fs::rename(&aside, &dir).is_err();
        } else if fs::rename(&dir, &aside).is_ok() {
            let _ = std::os::unix::fs::symlink(&outside, &dir);
            swapped = true;
        }
    }
}

fn outside(world: &World) -> PathBuf {
    let outside = world.path("outside");
    for i in 0..100 {
        put(&outside, format!("f{i}"), format!("outside, not to be touched or read {i}"));
    }
    outside
}

fn assert_nothing_of(outside: &Path, tree: &Path) {
    for (path, item) in snapshot(tree) {
        if let What::File(bytes) = item.what {
            let leaked = bytes.starts_with(b"outside");
            assert!(!leaked, "{:?} came from {}", String::from_utf8_lossy(&path), outside.display());
        }
    }
}

#[test]
fn a_destination_directory_swapped_for_a_link_leads_nowhere() {
    let world = World::new();
    let outside = outside(&world);
    let before = snapshot(&outside);
    put(&world.src, "beside", "so that neither side is ever empty");
    for round in 0..25 {
        for i in 0..100 {
            put(&world.src, format!("dir/f{i}"), format!("round {round} file {i}"));
        }
        let busy =
            Busy::with(swap(world.dst.join("dir"), world.path("aside"), world.path("away"), outside.clone()));
        let run = world.mirror(&["--max-delete", "100%"]);
        busy.stop();
        assert!(matches!(run.code(), 0 | 3), "{run:?}");
        assert_same_snapshots(&before, &snapshot(&outside));
        if world.path("aside").exists() {
            let _ = fs::rename(world.dst.join("dir"), world.path(&format!("swapped-{round}")));
            fs::rename(world.path("aside"), world.dst.join("dir")).expect("rename");
        }
        fs::remove_dir_all(world.path("away")).expect("remove");
    }
    world.mirror_well(&["--max-delete", "100%"]);
    assert_same_snapshots(&before, &snapshot(&outside));
}

#[test]
fn a_source_directory_swapped_for_a_link_is_not_followed() {
    let world = World::new();
    let outside = outside(&world);
    put(&world.src, "beside", "so that the source is never empty");
    for i in 0..100 {
        put(&world.src, format!("dir/f{i}"), format!("inside, file number {i:>15}"));
    }
    let busy = Busy::with(swap(world.src.join("dir"), world.path("aside"), world.path("away"), outside.clone()));
    for _ in 0..25 {
        let run = world.mirror(&["--max-delete", "100%"]);
        assert!(matches!(run.code(), 0 | 3), "{run:?}");
        assert_nothing_of(&outside, &world.dst);
    }
    busy.stop();
    world.mirror_well(&["--max-delete", "100%"]);
    assert_nothing_of(&outside, &world.dst);
}
