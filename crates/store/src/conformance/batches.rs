//! Many writes in one call.

use sitta_tree::{Kind, Time};

use super::tools::*;
use crate::{ErrorKind, Precondition, What, Write};

pub(super) async fn a_tree_at_once(store: Subject) {
    let mut writes = Vec::new();
    for d in 0..6 {
        writes.push(new(&format!("d{d}"), What::Dir));
        writes.push(new(&format!("d{d}/sub"), What::Dir));
        for f in 0..20 {
            writes.push(new(&format!("d{d}/f{f:02}"), bytes(format!("{d} {f}"))));
            writes.push(new(&format!("d{d}/sub/f{f:02}"), bytes(pattern(f * 1000))));
        }
        if store.capabilities().traits.symlinks {
            writes.push(new(&format!("d{d}/link"), What::Symlink((*b"f00").into())));
        }
    }
    let wanted = writes.clone();
    let results = store.write_batch(writes, &flow()).await;
    assert_eq!(results.len(), wanted.len());
    assert_eq!(paths(&store).await.len(), wanted.len());
    let precision = store.capabilities().traits.mtime_precision;
    for (result, write) in results.iter().zip(&wanted) {
        let (at, written) = (write.path.to_string(), result.as_ref().expect("it worked"));
        let told = stat(&store, &at).await;
        if written.entry.kind != Kind::Dir || store.capabilities().traits.dirs {
            // What is put into a directory moves its time; that is set when all is done.
            let told = told.map(|told| if told.kind == Kind::Dir { written.entry.clone() } else { told });
            assert_eq!(told.as_ref(), Some(&written.entry), "{at}: told as stat tells it");
            // Some servers keep times of files only.
            let timeless = precision == 0 || written.entry.kind == Kind::Dir;
            let exact = timeless || MTIME.same_within(written.entry.meta.mtime, precision);
            assert!(exact, "{at}: {:?}", written.entry.meta.mtime);
        }
    }
    assert_eq!(get(&store, "d3/f07").await.unwrap(), b"3 7");
    assert!(get(&store, "d5/sub/f19").await.unwrap() == pattern(19_000));
}

pub(super) async fn failures_stop_nobody_else(store: Subject) {
    put(&store, "taken", "old").await;
    let own = put(&store, "own", "12345").await;
    let mut version = own.fingerprint();
    version.mtime = Time::new(1, 0);
    let wrong = crate::Source::Stored { store: store.clone(), path: path("own"), version };
    let mut writes = vec![
        new("d", What::Dir),
        new("d/a", bytes("a")),
        new("d/wrong", What::File(wrong)),
        new("taken", bytes("new")),
        new("d/b", bytes("b")),
        new("z", bytes("z")),
    ];
    // Where directories are only implied, a file does not keep others from standing below it.
    if store.capabilities().traits.dirs {
        writes.push(new("taken/below", bytes("new")));
    }
    let results = store.write_batch(writes, &flow()).await;
    let kinds: Vec<_> = results.iter().map(|r| r.as_ref().err().map(|e| e.kind)).collect();
    if let Some(below) = kinds.get(6) {
        let below = below.expect("below a file");
        assert!(matches!(below, ErrorKind::NotADirectory | ErrorKind::NotFound), "{below:?}");
    }
    let changed = Some(ErrorKind::Changed);
    assert_eq!(kinds[..6], [None, None, changed, changed, None, None], "{results:?}");
    assert_eq!(paths(&store).await, ["d", "d/a", "d/b", "own", "taken", "z"]);
    assert_eq!(get(&store, "taken").await.unwrap(), b"old");
}

pub(super) async fn mixed(store: Subject) {
    dir(&store, "d").await;
    for n in 0..12 {
        put(&store, &format!("d/f{n}"), format!("old {n}")).await;
    }
    let mut writes = vec![new("d/new", What::Dir), new("d/new/f", bytes("x"))];
    for n in 0..12 {
        let at = format!("d/f{n}");
        let expect = if n == 5 { Precondition::Absent } else { version(&store, &at).await };
        writes.push(Write { expect, ..new(&at, bytes(format!("new {n}"))) });
        writes.push(new(&format!("d/g{n}"), bytes("x")));
    }
    let wanted = writes.clone();
    let results = store.write_batch(writes, &flow()).await;
    for (result, write) in results.iter().zip(&wanted) {
        let at = write.path.to_string();
        match result {
            Ok(written) if written.entry.kind == Kind::File => {
                assert_eq!(stat(&store, &at).await.as_ref(), Some(&written.entry), "{at}");
            }
            Ok(_) => {}
            Err(error) => assert_eq!((&*at, error.kind), ("d/f5", ErrorKind::Changed)),
        }
    }
    assert_eq!(get(&store, "d/f5").await.unwrap(), b"old 5");
    assert_eq!(get(&store, "d/f11").await.unwrap(), b"new 11");
    assert_eq!(paths(&store).await.len(), 1 + 2 + 24);
}

pub(super) async fn directory_that_is_there_already(store: Subject) {
    dir(&store, "d").await;
    put(&store, "d/old", "x").await;
    let writes = vec![new("d", What::Dir), new("d/a", bytes("a")), new("d/old", bytes("y"))];
    let results = store.write_batch(writes, &flow()).await;
    assert_eq!(results[0].as_ref().expect_err("it is there").kind, ErrorKind::Changed);
    assert_eq!(results[2].as_ref().expect_err("it is there").kind, ErrorKind::Changed);
    assert_eq!(get(&store, "d/old").await.unwrap(), b"x");
    assert!(results[1].is_ok(), "what goes into it still can: {results:?}");
    assert_eq!(paths(&store).await, ["d", "d/a", "d/old"]);
}

pub(super) async fn cancelled(store: Subject) {
    let flow = flow();
    flow.cancel();
    let writes = vec![new("d", What::Dir), new("d/a", bytes("a")), new("b", bytes("b"))];
    let results = store.write_batch(writes, &flow).await;
    for result in results {
        assert_eq!(result.expect_err("cancelled").kind, ErrorKind::Cancelled);
    }
    assert_eq!(paths(&store).await, Vec::<String>::new());
}
