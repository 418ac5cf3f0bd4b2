//! What lies in the trash is told, and comes back.

use std::fs;
use std::sync::Arc;

use futures::StreamExt;
use sitta_store::memory::{Fault, MemoryStore};
use sitta_store::{Capabilities, ErrorKind, What};
use sitta_tree::{RelPath, SideTraits, Time};

use super::place::{MIDDLE, NEW, OLD, Place, path, when};

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
