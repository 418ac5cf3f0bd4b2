//! Random edits on either side, round after round: a mirror always comes out as its source, and a second one has nothing
//! to do.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::*;

/// Somebody who edits a tree at random.
struct Editor<'a> {
    rng: &'a mut Rng,
    root: &'a Path,
}

impl Editor<'_> {
    /// A path among few names, so that edits meet.
    fn path(&mut self) -> PathBuf {
        let mut path = self.root.to_owned();
        for _ in 0..=self.rng.below(3) {
            path.push(self.rng.pick(&["a", "b", "A", "c.txt", "\u{e9}", "e\u{301}"]));
        }
        path
    }

    /// Something that exists, if there is anything.
    fn existing(&mut self) -> Option<PathBuf> {
        let all: Vec<_> = snapshot(self.root).into_keys().collect();
        if all.is_empty() {
            return None;
        }
        let path = String::from_utf8(self.rng.pick(&all).clone()).expect("UTF-8");
        Some(self.root.join(path))
    }

    fn clear(path: &Path) {
        let _ = fs::remove_file(path);
        let _ = fs::remove_dir_all(path);
    }

    /// Makes room for something new at a path; no if a file stands above it.
    fn make_room(path: &Path) -> bool {
        Self::clear(path);
        fs::create_dir_all(path.parent().expect("a parent")).is_ok()
    }

    fn edit(&mut self) {
        let path = self.path();
        match self.rng.below(12) {
            0..4 => {
                if Self::make_room(&path) {
                    // Few contents: equal ones meet under different names.
                    let len = *self.rng.pick(&[0, 1, 5, 5, 70_000]);
                    let fill = *self.rng.pick(b"xyz");
                    // Renamed over one another, two of one size and tick could not be told apart.
                    next_tick();
                    fs::write(&path, vec![fill; len]).expect("write");
                }
            }
            4 => {
                if Self::make_room(&path) {
                    let target = *self.rng.pick(&["a", "../b", "/nowhere", "c.txt"]);
                    std::os::unix::fs::symlink(target, &path).expect("symlink");
                }
            }
            5 => {
                if Self::make_room(&path) {
                    fs::create_dir(&path).expect("mkdir");
                }
            }
            6 | 7 => {
                if let Some(path) = self.existing() {
                    Self::clear(&path);
                }
            }
            8 | 9 => {
                if let Some(from) = self.existing()
                    && !path.starts_with(&from)
                    && !from.starts_with(&path)
                    && Self::make_room(&path)
                {
                    let _ = fs::rename(from, path);
                }
            }
            10 => {
                if let Some(path) = self.existing()
                    && !path.is_symlink()
                {
                    let modes: &[u32] = if path.is_dir() { &[0o755, 0o700] } else { &[0o644, 0o600, 0o755] };
                    chmod(&path, *self.rng.pick(modes));
                }
            }
            _ => {
                if let Some(path) = self.existing() {
                    // Never the time that another version has: sizes and times are what tells versions apart.
                    let seconds = 1_000_000_000 + self.rng.below(100_000_000) as i64;
                    set_mtime(&path, seconds, self.rng.below(1_000_000_000) as i64);
                }
            }
        }
    }
}

/// Waits until new files have other times than those before: the system's clock for them ticks every few milliseconds.
fn next_tick() {
    std::thread::sleep(std::time::Duration::from_millis(11));
}

fn rounds(count: usize, options: &[&str], edit_destination: bool) {
    let world = World::new();
    let mut rng = Rng::new();
    let options = [&["--max-delete", "100%", "--force-empty"], options].concat();
    for round in 0..count {
        for _ in 0..1 + rng.below(12) {
            Editor { rng: &mut rng, root: &world.src }.edit();
        }
        if edit_destination {
            next_tick();
            for _ in 0..rng.below(6) {
                Editor { rng: &mut rng, root: &world.dst }.edit();
            }
        }
        eprintln!("round {round}");
        world.mirror_well(&options);
        world.nothing_to_do(&options);
    }
}

#[test]
fn edits_of_the_source() {
    rounds(60, &[], false);
}

#[test]
fn edits_of_both_sides() {
    rounds(60, &[], true);
}

#[test]
fn edits_of_both_sides_with_the_trash_on() {
    rounds(40, &["--trash", ".sitta/trash"], true);
}

#[test]
fn edits_of_both_sides_compared_by_content() {
    rounds(30, &["--checksum"], true);
}

#[test]
fn edits_without_memory() {
    let world = World::new();
    let mut rng = Rng::new();
    for _ in 0..40 {
        for _ in 0..1 + rng.below(12) {
            Editor { rng: &mut rng, root: &world.src }.edit();
            Editor { rng: &mut rng, root: &world.dst }.edit();
        }
        fs::remove_dir_all(&world.state).expect("remove");
        fs::create_dir(&world.state).expect("mkdir");
        world.mirror_well(&["--max-delete", "100%", "--force-empty", "--checksum"]);
    }
}
