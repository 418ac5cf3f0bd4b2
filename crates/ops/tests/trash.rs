//! The trash: what lies in it is told, comes back without anything being lost, and goes when its time has come. On a disk
//! and in memory, and on a store that keeps no directories.

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use sitta_ops::Event;
use sitta_ops::trash::{Restored, Trash, TrashKeep, Trashed};
use sitta_store::local::LocalStore;
use sitta_store::memory::{Fault, MemoryStore};
use sitta_store::{Capabilities, Displaced, ErrorKind, Flow, Precondition, Source, Store, What, Write, temps};
use sitta_tree::{Kind, Meta, RelPath, SideTraits, Time};

const OLD: &str = "20260101T100000Z-00000000-7.0";
const MIDDLE: &str = "20260201T100000Z-00000000-8.0";
const NEW: &str = "20260301T100000Z-00000000-9.0";

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

/// A store with a trash, and the folder that it is, if it is one.
struct Place {
    store: Arc<dyn Store>,
    disk: Option<tempfile::TempDir>,
}

impl Place {
    fn disk() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("top")).unwrap();
        Self { store: Arc::new(LocalStore::open(dir.path().join("top")).unwrap()), disk: Some(dir) }
    }

    fn memory() -> Self {
        Self { store: Arc::new(MemoryStore::new("memory:")), disk: None }
    }

    /// As object stores are.
    fn objects() -> Self {
        let traits = SideTraits { dirs: false, symlinks: false, ..MemoryStore::CAPABILITIES.traits };
        let can = Capabilities { traits, lists_meta: false, ..MemoryStore::CAPABILITIES };
        Self { store: Arc::new(MemoryStore::with("memory:", can)), disk: None }
    }

    fn all() -> [Self; 3] {
        [Self::disk(), Self::memory(), Self::objects()]
    }

    fn trash(&self) -> Trash {
        Trash::new(self.store.clone(), path(".sitta/trash"), Arc::new(Flow::default()))
    }

    fn links(&self) -> bool {
        self.store.capabilities().traits.symlinks
    }

    fn outside(&self) -> &Path {
        self.disk.as_ref().expect("on a disk").path()
    }

    async fn write(&self, at: &str, what: What) {
        let mut dir = RelPath::root();
        for part in path(at).parent().unwrap().parts() {
            dir = dir.join(part).unwrap();
            if self.store.stat(&dir).await.unwrap().is_none() {
                self.write_one(dir.clone(), What::Dir).await;
            }
        }
        self.write_one(path(at), what).await;
    }

    async fn write_one(&self, path: RelPath, what: What) {
        let write = Write {
            path,
            what,
            meta: Meta::default(),
            expect: Precondition::None,
            displaced: Displaced::Discard,
            temp: ".sitta-tmp-x".into(),
        };
        self.store.write(write, &Arc::default()).await.unwrap();
    }

    async fn put(&self, at: &str, text: &'static str) {
        self.write(at, What::File(Source::Bytes(text.into()))).await;
    }

    async fn trashed(&self, run: &str, at: &str, text: &'static str) {
        self.put(&format!(".sitta/trash/{run}/{at}"), text).await;
    }

    async fn get(&self, at: &str) -> Option<String> {
        read(&*self.store, &path(at)).await
    }

    /// Everything that is held, as `path content`, the names of runs that were made meanwhile apart.
    async fn held(&self) -> Vec<String> {
        let mut all = Vec::new();
        gather(&*self.store, &RelPath::root(), &mut all).await;
        gather(&*self.store, &path(".sitta"), &mut all).await;
        all.sort();
        all
    }

    async fn find(&self, at: &str) -> Trashed {
        self.trash().find(&path(at), None).await.unwrap().expect("in the trash")
    }

    async fn restore(&self, at: &str, force: bool) -> Restored {
        let found = self.find(at).await;
        self.trash().restore(&[(found, path(at))], force).await.unwrap()
    }
}

async fn read(store: &dyn Store, path: &RelPath) -> Option<String> {
    let entry = store.stat(path).await.unwrap()?;
    match entry.kind {
        Kind::File => {
            let pieces: Vec<_> = store.read(path, 0..u64::MAX).await.unwrap().try_collect().await.unwrap();
            Some(String::from_utf8(pieces.concat()).unwrap())
        }
        Kind::Symlink => Some(format!("-> {}", String::from_utf8_lossy(&entry.target))),
        _ => Some("a directory".to_owned()),
    }
}

async fn gather(store: &dyn Store, dir: &RelPath, all: &mut Vec<String>) {
    for (name, entry) in store.list(dir).await.unwrap_or_default() {
        let at = dir.join(&name).unwrap();
        match entry.kind {
            Kind::Dir => Box::pin(gather(store, &at, all)).await,
            _ => {
                let shown = at.parts().map(|part| match part {
                    part if part.len() > 20 && !part.ends_with(b".0") => "RUN".into(),
                    part if temps_of_this_process(part) => "RUN".into(),
                    part => String::from_utf8_lossy(part),
                });
                let shown: Vec<_> = shown.collect();
                all.push(format!("{} {}", shown.join("/"), read(store, &at).await.unwrap_or_default()));
            }
        }
    }
}

/// Whether it is the id of a run of this process.
fn temps_of_this_process(name: &[u8]) -> bool {
    let own = format!("-{}-{}.", temps::machine(), std::process::id());
    String::from_utf8_lossy(name).contains(&own)
}

fn when(run: &str) -> Time {
    match run {
        OLD => Time::new(1_767_261_600, 0),
        MIDDLE => Time::new(1_769_940_000, 0),
        _ => Time::new(1_772_359_200, 0),
    }
}

#[tokio::test]
async fn what_every_run_has_left_is_told_the_last_one_first() {
    for place in Place::all() {
        assert_eq!(place.trash().runs().await.unwrap(), [], "a trash that is not there is empty");
        place.trashed(OLD, "a", "old").await;
        place.trashed(NEW, "d/e/b", "bb").await;
        place.trashed(NEW, "a", "new").await;
        // None of ours.
        place.put(".sitta/trash/notes", "mine").await;
        place.put(".sitta/trash/old/a", "mine").await;
        place.put(&format!(".sitta/trash/{MIDDLE}"), "a file").await;
        let runs = place.trash().runs().await.unwrap();
        let ids: Vec<_> = runs.iter().map(|run| (&*run.id, run.began)).collect();
        assert_eq!(ids, [(NEW, when(NEW)), (OLD, when(OLD))]);
        let trash = place.trash();
        let listed: Vec<_> = trash.list(runs).collect().await;
        let mut told = Vec::new();
        for contents in listed {
            let mut contents = contents.unwrap();
            assert_eq!(contents.problems, []);
            trash.fill_in(&mut contents.versions).await;
            for version in contents.versions {
                assert_ne!(version.entry.meta.mtime, Time::default(), "asked for where it is not listed");
                told.push(format!("{} {} {}", version.run.id, version.path, version.entry.size));
            }
        }
        assert_eq!(told, [format!("{NEW} a 3"), format!("{NEW} d/e/b 2"), format!("{OLD} a 3")]);
    }
}

#[tokio::test]
async fn the_last_version_comes_back_and_leaves_no_empty_folder() {
    for place in Place::all() {
        place.trashed(OLD, "d/e/a", "old").await;
        place.trashed(NEW, "d/e/a", "new").await;
        place.trashed(NEW, "other", "stays").await;
        let done = place.restore("d/e/a", false).await;
        assert_eq!((done.versions.len(), done.displaced, done.problems), (1, None, vec![]));
        let left = [
            "d/e/a new".to_owned(),
            format!(".sitta/trash/{NEW}/other stays"),
            format!(".sitta/trash/{OLD}/d/e/a old"),
        ];
        let mut left = left.to_vec();
        left.sort();
        assert_eq!(place.held().await, left);
        if place.store.capabilities().traits.dirs {
            let folder = path(&format!(".sitta/trash/{NEW}/d"));
            assert!(place.store.stat(&folder).await.unwrap().is_none(), "it was empty");
        }
        // An older one by its run, to another path.
        let trash = place.trash();
        let runs = trash.runs().await.unwrap();
        let found = trash.find(&path("d/e/a"), runs.iter().find(|run| &*run.id == OLD)).await.unwrap().unwrap();
        trash.restore(&[(found, path("x/y"))], false).await.unwrap();
        assert_eq!(place.get("x/y").await.as_deref(), Some("old"));
        assert!(trash.find(&path("d/e/a"), None).await.unwrap().is_none(), "it is out of the trash");
    }
}

#[tokio::test]
async fn what_stands_there_stays_or_goes_to_the_trash() {
    for place in Place::all() {
        place.put("a", "now").await;
        place.trashed(OLD, "a", "then").await;
        let before = place.held().await;
        let done = place.restore("a", false).await;
        assert_eq!((done.versions.len(), done.occupied), (0, vec![path("a")]));
        assert_eq!(place.held().await, before);

        let done = place.restore("a", true).await;
        assert_eq!((done.versions.len(), &done.occupied, &done.problems), (1, &vec![], &vec![]));
        assert_eq!(place.held().await, [".sitta/trash/RUN/a now", "a then"]);
        let run = done.displaced.expect("it had to make way");
        assert_eq!(place.get(&format!(".sitta/trash/{run}/a")).await.as_deref(), Some("now"));
        // And back again.
        place.restore("a", true).await;
        assert_eq!(place.held().await, [".sitta/trash/RUN/a then", "a now"]);
    }
}

#[tokio::test]
async fn folders_and_what_is_above_make_way_too() {
    for place in [Place::disk(), Place::memory()] {
        place.put("a/x", "1").await;
        place.put("a/y/z", "2").await;
        place.put("d", "a file").await;
        place.trashed(OLD, "a", "was a file").await;
        place.trashed(OLD, "d/b", "was in a folder").await;
        place.trashed(OLD, "d/c", "too").await;
        let before = place.held().await;
        assert_eq!(place.restore("a", false).await.occupied, [path("a")]);
        assert_eq!(place.restore("d", false).await.occupied, [path("d")], "told once");
        assert_eq!(place.held().await, before);
        let done = place.restore("a", true).await;
        assert_eq!((done.versions.len(), done.problems), (1, vec![]));
        let done = place.restore("d", true).await;
        assert_eq!((done.versions.len(), done.problems), (2, vec![]));
        assert_eq!(
            place.held().await,
            [
                ".sitta/trash/RUN/a/x 1",
                ".sitta/trash/RUN/a/y/z 2",
                ".sitta/trash/RUN/d a file",
                "a was a file",
                "d/b was in a folder",
                "d/c too",
            ]
        );
    }
}

#[tokio::test]
async fn a_folder_comes_back_as_one_run_left_it() {
    for place in Place::all() {
        place.trashed(OLD, "d/a", "old a").await;
        place.trashed(OLD, "d/only-old", "old").await;
        place.trashed(NEW, "d/a", "new a").await;
        place.trashed(NEW, "d/e/f/g", "g").await;
        place.put("d/a", "now").await;
        let done = place.restore("d", false).await;
        assert_eq!((done.versions.len(), &*done.occupied), (1, &[path("d/a")][..]), "the free ones come back");
        assert_eq!(place.get("d/e/f/g").await.as_deref(), Some("g"));
        assert_eq!(place.get("d/a").await.as_deref(), Some("now"));
        assert_eq!(place.get("d/only-old").await, None);
        // All of a run, by its root.
        let trash = place.trash();
        let runs = trash.runs().await.unwrap();
        let found = trash.find(&RelPath::root(), runs.last()).await.unwrap().unwrap();
        let done = trash.restore(&[(found, path("back"))], false).await.unwrap();
        assert_eq!(done.versions.len(), 2);
        assert_eq!(place.get("back/d/a").await.as_deref(), Some("old a"));
    }
}

#[tokio::test]
async fn links_come_back_as_links_and_are_never_followed() {
    let place = Place::disk();
    assert!(place.links());
    fs::create_dir(place.outside().join("elsewhere")).unwrap();
    fs::write(place.outside().join("elsewhere/a"), "not ours").unwrap();
    let to = |target: &str| What::Symlink(target.as_bytes().into());
    place.write(&format!(".sitta/trash/{OLD}/link"), to("../elsewhere")).await;
    place.write(&format!(".sitta/trash/{OLD}/dir/inside"), to("/nonexistent")).await;
    place.put("link", "a file now").await;
    let done = place.restore("link", true).await;
    assert_eq!((done.versions.len(), done.problems), (1, vec![]));
    assert_eq!(place.get("link").await.as_deref(), Some("-> ../elsewhere"));
    place.restore("dir", false).await;
    assert_eq!(place.get("dir/inside").await.as_deref(), Some("-> /nonexistent"));

    // A folder on the way is a link out of the store now.
    place.write("way", to("../elsewhere")).await;
    place.trashed(MIDDLE, "way/a", "ours").await;
    assert_eq!(place.restore("way/a", false).await.occupied, [path("way")]);
    assert_eq!(fs::read_to_string(place.outside().join("elsewhere/a")).unwrap(), "not ours");
    assert_eq!(place.restore("way/a", true).await.versions.len(), 1);
    assert_eq!(place.get("way/a").await.as_deref(), Some("ours"), "the link made way, not what it leads to");
    assert_eq!(fs::read_to_string(place.outside().join("elsewhere/a")).unwrap(), "not ours");
}

#[tokio::test]
async fn emptying_follows_no_link_and_touches_nothing_else() {
    let place = Place::disk();
    fs::create_dir(place.outside().join("elsewhere")).unwrap();
    fs::write(place.outside().join("elsewhere/a"), "not ours").unwrap();
    let out = || What::Symlink(place.outside().join("elsewhere").as_os_str().as_encoded_bytes().into());
    place.trashed(OLD, "a", "old").await;
    place.write(&format!(".sitta/trash/{OLD}/d/link"), out()).await;
    place.write(&format!(".sitta/trash/{MIDDLE}"), out()).await;
    place.put(".sitta/trash/notes/a", "mine").await;
    place.put("a", "now").await;
    let gone = place.trash().empty(None, false).await.unwrap();
    assert_eq!((gone.files(), gone.bytes(), gone.runs.len(), &gone.problems), (2, 3, 1, &vec![]));
    let link = format!(".sitta/trash/{MIDDLE} -> {}", place.outside().join("elsewhere").display());
    assert_eq!(place.held().await, [link, ".sitta/trash/notes/a mine".to_owned(), "a now".to_owned()]);
    assert_eq!(fs::read_to_string(place.outside().join("elsewhere/a")).unwrap(), "not ours");
    assert!(!place.outside().join("top/.sitta/trash").join(OLD).exists());

    // The trash itself is a link: it is none of ours.
    fs::rename(place.outside().join("top/.sitta/trash"), place.outside().join("elsewhere/trash")).unwrap();
    std::os::unix::fs::symlink(place.outside().join("elsewhere/trash"), place.outside().join("top/.sitta/trash"))
        .unwrap();
    assert_eq!(place.trash().empty(None, false).await.unwrap_err().kind, ErrorKind::NotADirectory);
}

#[tokio::test]
async fn what_is_older_goes_and_the_rest_stays() {
    for place in Place::all() {
        for (run, text) in [(OLD, "o"), (MIDDLE, "mm"), (NEW, "nnn")] {
            place.trashed(run, "d/a", text).await;
            place.trashed(run, "b", text).await;
        }
        let trash = place.trash();
        let all = place.held().await;
        let told = trash.empty(None, true).await.unwrap();
        assert_eq!((told.files(), told.bytes(), told.runs.len()), (6, 12, 3));
        assert_eq!(place.held().await, all, "a dry run");

        assert_eq!(trash.expire(TrashKeep::Forever, when(NEW)).await.unwrap().files(), 0);
        // To the second.
        let age = (when(NEW).secs - when(OLD).secs) as u64;
        let keep = TrashKeep::Within(Duration::from_secs(age));
        assert_eq!(trash.expire(keep, when(NEW)).await.unwrap().files(), 0);
        let gone = trash.expire(keep, Time::new(when(NEW).secs + 1, 0)).await.unwrap();
        assert_eq!((gone.files(), gone.bytes(), &*gone.runs[0].run.id), (2, 2, OLD));
        let keep = TrashKeep::Within(Duration::from_secs(u64::MAX));
        assert_eq!(trash.expire(keep, when(NEW)).await.unwrap().files(), 0);

        let gone = trash.empty(Some(when(NEW)), false).await.unwrap();
        assert_eq!((gone.files(), gone.bytes()), (2, 4));
        let ids: Vec<_> = trash.runs().await.unwrap().iter().map(|run| run.id.clone()).collect();
        assert_eq!(ids, [NEW.into()]);
        trash.empty(None, false).await.unwrap();
        assert_eq!(place.held().await, Vec::<String>::new());
        assert_eq!(trash.runs().await.unwrap(), []);
    }
}

#[tokio::test]
async fn what_a_living_process_may_be_at_is_left_alone() {
    let place = Place::memory();
    let own = |at: &str, n: u32| format!("{at}-{}-{}.{n}", temps::machine(), std::process::id());
    let dead = format!("20260101T000000Z-{}-2147483646.0", temps::machine());
    let (earlier, last) = (own("20260101T000000Z", 0), own("20260101T000001Z", 1));
    for run in [&earlier, &last, &dead] {
        place.trashed(run, "a", "x").await;
    }
    let gone = place.trash().empty(None, false).await.unwrap();
    assert_eq!((gone.files(), gone.busy), (2, 1));
    assert_eq!(&*place.trash().runs().await.unwrap()[0].id, last);
}

#[tokio::test]
async fn what_cannot_be_removed_is_told_and_the_rest_goes() {
    let place = Place::memory();
    let memory = MemoryStore::new("memory:");
    let place = Place { store: Arc::new(memory.clone()), ..place };
    for at in ["a", "d/b", "d/c"] {
        place.trashed(OLD, at, "x").await;
        place.trashed(NEW, at, "x").await;
    }
    let held = path(&format!(".sitta/trash/{NEW}/d/b"));
    let refused = held.clone();
    memory.on_call(move |call| match call.name == "remove" && call.path == refused {
        true => Fault::Fail(ErrorKind::Denied),
        false => Fault::None,
    });
    let gone = place.trash().empty(None, false).await.unwrap();
    assert_eq!(gone.files(), 5);
    let told: Vec<_> = gone.problems.iter().map(|problem| problem.path.clone()).collect();
    assert_eq!(told, [held], "not of the folders above it as well");
    memory.calm();
    let flow = Arc::new(Flow::default());
    flow.cancel();
    let stopped = Trash::new(place.store.clone(), path(".sitta/trash"), flow).empty(None, false).await;
    assert_eq!(stopped.unwrap_err().kind, ErrorKind::Cancelled);
}

/// Wherever a restore is cut off, both versions are somewhere, and the next one brings back what was meant.
#[tokio::test]
async fn cut_off_anywhere_nothing_is_lost() {
    for dirs in [true, false] {
        for cut in 1.. {
            let traits = SideTraits { dirs, ..MemoryStore::CAPABILITIES.traits };
            let memory = MemoryStore::with("memory:", Capabilities { traits, ..MemoryStore::CAPABILITIES });
            let place = Place { store: Arc::new(memory.clone()), disk: None };
            for (at, now, then) in [("d/a", "a now", "a then"), ("d/b", "b now", "b then")] {
                place.put(at, now).await;
                place.trashed(OLD, at, then).await;
            }
            place.trashed(OLD, "d/e/c", "c then").await;
            let mut calls = 0;
            let (reached, told) = std::sync::mpsc::channel();
            memory.on_call(move |_| {
                calls += 1;
                if calls < cut {
                    Fault::None
                } else {
                    let _ = reached.send(());
                    // The first lost call may have been carried out, as far as anybody knows.
                    if calls == cut && cut % 2 == 0 {
                        Fault::LoseReply(ErrorKind::Unreachable)
                    } else {
                        Fault::Fail(ErrorKind::Unreachable)
                    }
                }
            });
            let trash = place.trash();
            let found = trash.find(&path("d"), None).await;
            if let Ok(Some(found)) = found {
                let _ = trash.restore(&[(found, path("d"))], true).await;
            }
            let cut_off = told.try_recv().is_ok();
            memory.calm();
            let held = place.held().await.join("\n");
            for text in ["a now", "a then", "b now", "b then", "c then"] {
                assert!(held.contains(text), "cut at call {cut}: {text} is lost:\n{held}");
            }
            let runs = trash.runs().await.unwrap();
            if let Some(run) = runs.iter().find(|run| &*run.id == OLD)
                && let Some(found) = trash.find(&path("d"), Some(run)).await.unwrap()
            {
                trash.restore(&[(found, path("d"))], true).await.unwrap();
            }
            for (at, text) in [("d/a", "a then"), ("d/b", "b then"), ("d/e/c", "c then")] {
                assert_eq!(place.get(at).await.as_deref(), Some(text), "cut at call {cut}");
            }
            if !cut_off {
                assert!(cut > 10, "there were calls to cut off");
                break;
            }
        }
    }
}

/// On a disk the version gets a second name before its place in the trash goes: a restore that was killed in between is
/// finished by the next one.
#[tokio::test]
async fn a_version_with_two_names_is_brought_back_already() {
    let place = Place::disk();
    place.trashed(OLD, "a", "then").await;
    let top = place.outside().join("top");
    fs::hard_link(top.join(format!(".sitta/trash/{OLD}/a")), top.join("a")).unwrap();
    let done = place.restore("a", false).await;
    assert_eq!((done.versions.len(), done.displaced), (1, None));
    assert_eq!(place.held().await, ["a then"]);
}

#[test]
fn a_run_lets_go_of_what_is_old_enough() {
    let mut pair = support::Pair::mirror().trashing();
    support::put(&pair.src(), "a", "1");
    pair.run();
    let dir = pair.dst().join(".sitta/trash");
    support::put(&dir, &format!("{OLD}/a"), "old");
    support::put(&dir, "notes", "mine");
    pair.run();
    assert!(dir.join(OLD).exists(), "kept for ever unless asked otherwise");
    pair.options.trash_keep = TrashKeep::Within(Duration::from_secs(86_400));
    pair.options.dry_run = true;
    pair.run();
    assert!(dir.join(OLD).exists(), "a dry run");
    pair.options.dry_run = false;
    support::put(&pair.src(), "a", "another");
    let events = support::Events::default();
    let [left, right] = pair.stores();
    let report = pair.run_between(left, right, &events).unwrap();
    assert!(!dir.join(OLD).exists() && dir.join("notes").exists());
    assert!(dir.join(&report.run).exists(), "its own versions are new");
    let events = events.0.into_inner().unwrap();
    let told = events.iter().find_map(|event| match event {
        Event::Expired { emptied, .. } => Some((emptied.files(), emptied.problems.len())),
        _ => None,
    });
    assert_eq!(told, Some((1, 0)));
}

#[test]
fn a_trash_that_cannot_be_looked_at_fails_no_run() {
    let mut pair = support::Pair::mirror().trashing();
    pair.options.trash_keep = TrashKeep::Within(Duration::ZERO);
    support::put(&pair.src(), "a", "1");
    support::put(&pair.dst(), ".sitta/trash", "a file");
    let events = support::Events::default();
    let [left, right] = pair.stores();
    let report = pair.run_between(left, right, &events).unwrap();
    assert_eq!((report.outcome.name(), report.problems.len()), ("success", 0));
    let events = events.0.into_inner().unwrap();
    assert!(
        events.iter().any(|event| matches!(event, Event::Expired { emptied, .. } if !emptied.problems.is_empty()))
    );
}
