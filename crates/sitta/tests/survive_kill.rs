//! kill -9 at any moment costs time, never data.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use support::*;

/// What stands at which path.
type Files = BTreeMap<String, Blob>;

/// A source that is edited on and on, and what was last seen at the destination.
struct Story {
    world: World,
    rng: Rng,
    next: u32,
    source: Files,
    seen: Files,
}

impl Story {
    fn new(files: usize) -> Self {
        let mut story =
            Self { world: World::new(), rng: Rng::new(), next: 0, source: Files::new(), seen: Files::new() };
        for _ in 0..files {
            let path = story.new_path();
            story.write(path);
        }
        story
    }

    fn new_path(&mut self) -> String {
        self.next += 1;
        format!("d{}/e{}/f{}", self.rng.below(9), self.rng.below(4), self.next)
    }

    /// Writes new content at a path of the source.
    fn write(&mut self, path: String) {
        self.next += 1;
        let size = match self.rng.below(100) {
            0..3 => 1_500_000 + self.rng.below(2_000_000),
            3..15 => self.rng.below(200_000),
            _ => self.rng.below(6_000),
        };
        let blob = Blob::new(self.next, size);
        put(&self.world.src, &path, blob.bytes());
        self.source.insert(path, blob);
    }

    /// Changes a third of the source, adds, deletes and renames some, and swaps a file and a directory.
    fn edit(&mut self) {
        let paths: Vec<_> = self.source.keys().cloned().collect();
        for path in &paths {
            if !self.source.contains_key(path) {
                continue;
            }
            match self.rng.below(100) {
                0..30 => self.write(path.clone()),
                30..33 => {
                    fs::remove_file(self.world.src.join(path)).expect("remove");
                    self.source.remove(path);
                }
                33..36 => {
                    let to = self.new_path();
                    let full = self.world.src.join(&to);
                    fs::create_dir_all(full.parent().expect("a parent")).expect("mkdir");
                    fs::rename(self.world.src.join(path), full).expect("rename");
                    let blob = self.source.remove(path).expect("it is there");
                    self.source.insert(to, blob);
                }
                36 => {
                    fs::remove_file(self.world.src.join(path)).expect("remove");
                    self.source.remove(path);
                    self.write(format!("{path}/now-inside"));
                }
                _ => {}
            }
        }
        for _ in 0..10 {
            let path = self.new_path();
            self.write(path);
        }
    }

    /// Looks at every file of the destination: each must be whole, and either as it was or as the source has it.
    fn check(&mut self, trash: bool) {
        let dst = self.world.dst.clone();
        let mut now = Files::new();
        for (path, item) in snapshot(&dst) {
            let What::File(bytes) = item.what else { continue };
            let path = String::from_utf8(path).expect("UTF-8");
            if path.rsplit('/').next().is_some_and(|name| name.starts_with(".sitta-tmp-")) {
                continue;
            }
            let blob = Blob::recognise(&bytes);
            let blob = blob.unwrap_or_else(|| panic!("{path} is neither old nor new but {} bytes", bytes.len()));
            assert!(
                self.seen.get(&path) == Some(&blob) || self.source.get(&path) == Some(&blob),
                "{path} holds {blob:?}, was {:?}, shall be {:?}",
                self.seen.get(&path),
                self.source.get(&path)
            );
            now.insert(path, blob);
        }
        let wanted: BTreeSet<_> = self.source.values().collect();
        let present: BTreeSet<_> = now.values().collect();
        for (path, blob) in &self.seen {
            let lost = self.source.contains_key(path) && !now.contains_key(path);
            assert!(!lost, "{path} is gone before its new version was whole");
            let lost = wanted.contains(blob) && !present.contains(blob);
            assert!(!lost, "the content of {path}, which the source still has elsewhere, is gone");
        }
        if trash {
            self.check_trash(&dst, &present);
        }
        self.seen = now;
    }

    /// What was displaced is whole in the trash, unless it only moved.
    fn check_trash(&self, dst: &Path, present: &BTreeSet<&Blob>) {
        let trash: BTreeSet<_> =
            trashed(dst).iter().map(|bytes| Blob::recognise(bytes).expect("whole files in the trash")).collect();
        for (path, old) in &self.seen {
            assert!(present.contains(old) || trash.contains(old), "the old version of {path} is nowhere");
        }
    }

    /// Mirrors again and again, killed at random moments, until it was killed `kills` times and then finished.
    fn play(&mut self, kills: usize, options: &[&str]) {
        let trash = options.contains(&"--trash");
        let (mut killed, mut finished) = (0, 0);
        let mut longest = 20_000.0;
        while killed < kills {
            let mut child = start(&mut self.world.verb("mirror", options));
            // The pipes must not fill up and hold the run back.
            let out = child.stdout.take();
            let reader =
                std::thread::spawn(move || out.map(|mut out| std::io::copy(&mut out, &mut std::io::sink())));
            std::thread::sleep(Duration::from_micros(self.rng.below(longest as usize) as u64));
            let before_kill = child.try_wait().expect("wait");
            signal(child.id(), rustix::process::Signal::KILL);
            let run = finish(child);
            reader.join().expect("reader").expect("a pipe").expect("read");
            self.check(trash);
            if before_kill.is_none() && run.status.code().is_none() {
                killed += 1;
                longest *= 1.02;
            } else {
                run.expect_code(0);
                assert_eq!(self.seen, self.source, "a finished run leaves the destination as the source");
                finished += 1;
                longest *= 0.8;
                self.edit();
            }
        }
        self.world.mirror_well(options);
        self.check(trash);
        assert_eq!(self.seen, self.source);
        self.world.nothing_to_do(options);
        eprintln!("killed {killed} times; {finished} runs came through");
    }
}

#[test]
fn two_hundred_kills_in_one_mirror() {
    Story::new(1500).play(220, &["--max-delete", "100%"]);
}

#[test]
fn kills_with_the_trash_on() {
    Story::new(600).play(80, &["--max-delete", "100%", "--trash"]);
}

#[test]
fn kills_in_the_first_copy_leave_no_parts() {
    let mut story = Story::new(300);
    for i in 0..6 {
        story.write(format!("large/{i}"));
        story.next += 1;
        let blob = Blob::new(story.next, 12_000_000);
        put(&story.world.src, format!("huge/{i}"), blob.bytes());
        story.source.insert(format!("huge/{i}"), blob);
    }
    let mut wait = 1_000;
    loop {
        let mut child = start(&mut story.world.verb("mirror", &["-q"]));
        std::thread::sleep(Duration::from_micros(wait));
        let done = child.try_wait().expect("wait").is_some();
        signal(child.id(), rustix::process::Signal::KILL);
        let run = finish(child);
        story.check(false);
        if done {
            run.expect_code(0);
            break;
        }
        wait += 1_000 + story.rng.below(2_000) as u64;
    }
    story.world.mirror_well(&[]);
}
