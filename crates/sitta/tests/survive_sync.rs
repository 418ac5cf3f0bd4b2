//! Two-way syncs that are killed while both sides are worked on, and watches beside each other.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::*;

/// Both sides, and every content that nobody got rid of.
struct Both {
    world: World,
    rng: Rng,
    next: u32,
    alive: BTreeSet<Blob>,
    /// What came from the other side between a look and a save is in the trash: nobody meant to get rid of it.
    trash_counts: bool,
}

impl Both {
    fn new() -> Self {
        Self { world: World::new(), rng: Rng::new(), next: 0, alive: BTreeSet::new(), trash_counts: false }
    }

    fn sync(&self, options: &[&str]) -> std::process::Command {
        let options = [&["--max-delete", "100%", "--force-empty"], options].concat();
        self.world.verb("sync", &options)
    }

    fn blob(&mut self) -> Blob {
        self.next += 1;
        let size = if self.rng.below(40) == 0 { 2_000_000 } else { self.rng.below(8_000) };
        let blob = Blob::new(self.next, size);
        self.alive.insert(blob);
        blob
    }

    /// What a file held that its user gets rid of.
    fn forget(&mut self, path: &Path) {
        if let Some(blob) = fs::read(path).ok().and_then(|bytes| Blob::recognise(&bytes)) {
            self.alive.remove(&blob);
        }
    }

    /// Some edits on either side: new files, new versions, deletes, renames.
    fn edit(&mut self, count: usize) {
        for _ in 0..count {
            let root = if self.rng.below(2) == 0 { self.world.src.clone() } else { self.world.dst.clone() };
            let path: PathBuf = root.join(format!("d{}/f{}", self.rng.below(6), self.rng.below(30)));
            fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
            match self.rng.below(10) {
                0..6 => {
                    self.forget(&path);
                    let blob = self.blob();
                    // As editors save: the old version stands until the new one is whole.
                    let temp = path.with_extension("saving");
                    fs::write(&temp, blob.bytes()).expect("write");
                    fs::rename(temp, &path).expect("rename");
                }
                6 | 7 => {
                    self.forget(&path);
                    let _ = fs::remove_file(&path);
                }
                _ => {
                    let to = root.join(format!("d{}/g{}", self.rng.below(6), self.rng.below(30)));
                    if path.exists() && to.parent().is_some_and(Path::exists) {
                        self.forget(&to);
                        fs::rename(&path, to).expect("rename");
                    }
                }
            }
        }
    }

    /// Everything that nobody got rid of stands somewhere, whole.
    #[track_caller]
    fn nothing_is_lost(&self) {
        let mut held = BTreeSet::new();
        for root in [&self.world.src, &self.world.dst] {
            for (path, item) in snapshot(root) {
                let name = String::from_utf8_lossy(&path).into_owned();
                if let What::File(bytes) = item.what
                    && !name.contains(".sitta-tmp-")
                {
                    held.insert(Blob::recognise(&bytes).unwrap_or_else(|| panic!("{name} is not whole")));
                }
            }
        }
        if self.trash_counts {
            let trash = [&self.world.src, &self.world.dst].into_iter().flat_map(|root| trashed(root));
            held.extend(trash.filter_map(|bytes| Blob::recognise(&bytes)));
        }
        let lost: Vec<_> = self.alive.difference(&held).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
    }

    /// Once everybody keeps still, both sides become the same.
    #[track_caller]
    fn settles(&self) {
        for _ in 0..4 {
            let run = finish(start(&mut self.sync(&[])));
            self.nothing_is_lost();
            run.expect_code(0);
            let report = run.report();
            if ["copied", "updated", "deleted", "moved"].iter().all(|count| report[count] == 0) {
                assert_same_snapshots(&timeless(&self.world.src), &timeless(&self.world.dst));
                assert_no_temporaries(&self.world.src);
                return assert_no_temporaries(&self.world.dst);
            }
        }
        panic!("it does not settle");
    }
}

#[test]
fn killed_at_any_moment_and_edited_on_both_sides() {
    let mut both = Both::new();
    both.edit(400);
    let (mut killed, mut longest) = (0, 30_000.0);
    while killed < 120 {
        let child = start(&mut both.sync(&["-q"]));
        std::thread::sleep(Duration::from_micros(both.rng.below(longest as usize) as u64));
        signal(child.id(), Signal::KILL);
        let run = finish(child);
        both.nothing_is_lost();
        if run.status.code().is_none() {
            killed += 1;
            longest *= 1.03;
        } else {
            longest *= 0.8;
        }
        let edits = both.rng.below(12);
        both.edit(edits);
    }
    both.settles();
}

/// A tree without the times of its directories: those alone are no reason for a sync to do anything.
fn timeless(root: &Path) -> Snapshot {
    let mut tree = snapshot(root);
    tree.values_mut().filter(|item| matches!(item.what, What::Dir)).for_each(|item| item.mtime = (0, 0));
    tree
}

/// A watch that is running.
struct Watch(Option<Child>);

impl Watch {
    fn start(both: &Both) -> Self {
        let mut command = both.sync(&["--watch"]);
        command.stdout(std::process::Stdio::null());
        Self(Some(command.spawn().expect("the program starts")))
    }

    fn end(mut self, how: Signal) -> Option<i32> {
        let mut child = self.0.take().expect("running");
        signal(child.id(), how);
        child.wait().expect("wait").code()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "not: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_watch_is_killed_and_begun_again() {
    let mut both = Both { trash_counts: true, ..Both::new() };
    both.edit(100);
    for round in 0..6 {
        let watch = Watch::start(&both);
        let mark = both.world.src.join(format!("mark-{round}"));
        fs::write(&mark, Blob::new(1_000_000 + round, 10).bytes()).expect("write");
        until("it is at work", || both.world.dst.join(format!("mark-{round}")).exists());
        for _ in 0..5 {
            both.edit(10);
            std::thread::sleep(Duration::from_millis(30 + both.rng.below(60) as u64));
        }
        watch.end(Signal::KILL);
        both.edit(20);
        both.nothing_is_lost();
    }
    both.settles();
}

#[test]
fn a_watch_ends_well_when_it_is_stopped() {
    let both = Both::new();
    fs::write(both.world.src.join("a"), "a").expect("write");
    for how in [Signal::INT, Signal::TERM] {
        let watch = Watch::start(&both);
        let mark = format!("mark-{how:?}");
        fs::write(both.world.dst.join(&mark), "mark").expect("write");
        until("it is at work", || both.world.src.join(&mark).exists());
        assert_eq!(watch.end(how), Some(0));
    }
}

#[test]
fn a_second_one_on_the_same_pair_is_told_who_is_first() {
    let both = Both::new();
    fs::write(both.world.src.join("a"), "a").expect("write");
    let watch = Watch::start(&both);
    until("it is at work", || both.world.dst.join("a").exists());
    let mut other = both.world.command();
    other.arg("sync").arg(&both.world.dst).arg(&both.world.src).arg("--watch");
    let second = finish(start(&mut other));
    second.expect_code(1);
    assert!(second.err().contains("another sitta works on these two"), "{}", second.err());
    assert_eq!(watch.end(Signal::INT), Some(0));
}

#[test]
fn three_folders_with_a_hub() {
    let world = World::new();
    let (hub, a, b) = (world.path("hub"), world.src.clone(), world.dst.clone());
    fs::create_dir(&hub).expect("mkdir");
    let all = |options: &[&str]| {
        let mut command = world.command();
        command.arg("sync").args([&hub, &a, &b]).arg("--json").args(options);
        finish(start(&mut command))
    };
    put(&a, "from-a", "a");
    put(&b, "from-b", "b");
    put(&hub, "from-hub", "hub");
    let same = |one: &Path, other: &Path| assert_same_snapshots(&timeless(one), &timeless(other));
    all(&[]).expect_code(0);
    same(&a, &hub);
    same(&b, &hub);
    fs::remove_file(b.join("from-a")).expect("remove");
    put(&a, "from-hub", "edited in a");
    let run = all(&[]);
    run.expect_code(0);
    assert_eq!(run.report()["pairs"], 2);
    same(&a, &hub);
    same(&b, &hub);
    assert!(!a.join("from-a").exists());
    all(&[]).expect_counts([0, 0, 0, 0]);
    let mut direct = world.command();
    direct.arg("sync").args([&a, &b]);
    let refused = finish(start(&mut direct));
    refused.expect_code(2);
    assert!(
        refused.err().contains("kept in step already") && refused.err().contains("--forget"),
        "{}",
        refused.err()
    );

    let mut command = world.command();
    command.arg("sync").args([&hub, &a, &b]).arg("--watch").stdout(std::process::Stdio::null());
    let watch = Watch(Some(command.spawn().expect("it starts")));
    put(&a, "through", "the hub");
    until("a change travels through the hub", || b.join("through").exists());
    assert_eq!(watch.end(Signal::INT), Some(0));
}
