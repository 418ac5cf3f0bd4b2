//! What lies in the trash goes when it is old enough.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use sitta_ops::Event;
use sitta_ops::trash::{Trash, TrashKeep};
use sitta_store::memory::{Fault, MemoryStore};
use sitta_store::{ErrorKind, Flow, What, temps};
use sitta_tree::Time;

use super::place::{MIDDLE, NEW, OLD, Place, path, when};
use crate::support;

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
