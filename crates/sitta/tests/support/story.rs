//! A source that is edited on and on, and a destination that is checked after every blow.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::{Blob, Rng, What, World, put, snapshot, trashed};

/// What stands at which path.
pub type Files = BTreeMap<String, Blob>;

/// A source that is edited on and on, and what was last seen at the destination.
pub struct Story {
    pub world: World,
    pub rng: Rng,
    pub next: u32,
    pub source: Files,
    pub seen: Files,
}

impl Story {
    /// A story of so many files that are new at the source.
    pub fn new(files: usize) -> Self {
        let mut story =
            Self { world: World::new(), rng: Rng::new(), next: 0, source: Files::new(), seen: Files::new() };
        for _ in 0..files {
            let path = story.new_path();
            story.write(path);
        }
        story
    }

    pub fn new_path(&mut self) -> String {
        self.next += 1;
        format!("d{}/e{}/f{}", self.rng.below(9), self.rng.below(4), self.next)
    }

    /// Writes new content at a path of the source.
    pub fn write(&mut self, path: String) {
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

    /// Changes a third of the source, adds `new` files, deletes and renames some, and swaps a file and a directory.
    pub fn edit(&mut self, new: usize) {
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
        for _ in 0..new {
            let path = self.new_path();
            self.write(path);
        }
    }

    /// Looks at every file of the destination: each must be whole, and either as it was or as the source has it.
    #[track_caller]
    pub fn check(&mut self, trash: bool) {
        let dst = self.world.dst.clone();
        let mut now = Files::new();
        for (path, item) in snapshot(&dst) {
            let What::File(bytes) = item.what else { continue };
            let path = String::from_utf8(path).expect("UTF-8");
            if path.split('/').any(|name| name.starts_with(".sitta-tmp-")) {
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
    #[track_caller]
    fn check_trash(&self, dst: &Path, present: &BTreeSet<&Blob>) {
        let trash: BTreeSet<_> =
            trashed(dst).iter().map(|bytes| Blob::recognise(bytes).expect("whole files in the trash")).collect();
        for (path, old) in &self.seen {
            assert!(present.contains(old) || trash.contains(old), "the old version of {path} is nowhere");
        }
    }
}
