//! Names that somebody, somewhere, has given a file.

use super::tools::*;
use crate::{ErrorKind, Precondition};

/// A store holds such a name exactly, or refuses it as unsupported. It never holds another one instead.
async fn exactly_or_not_at_all(store: &Subject, name: &[u8]) {
    let at = path("d").join(name).expect("a valid name");
    let mut one = new("x", bytes("content"));
    one.path = at.clone();
    match store.write(one, &flow()).await {
        Err(error) => assert_eq!(error.kind, ErrorKind::Unsupported, "{error:?}"),
        Ok(written) => {
            let listed = store.list(&path("d")).await.unwrap();
            let names: Vec<_> = listed.iter().map(|(name, _)| sitta_tree::Printable(name).to_string()).collect();
            assert_eq!(names, [sitta_tree::Printable(name).to_string()], "the name it was given");
            assert_eq!(store.stat(&at).await.unwrap().as_ref(), Some(&written.entry), "{at}");
            let tree = scan(store).await;
            assert!(tree.find(&at).is_some(), "{at} is in the scan");
            let expect = Precondition::Version(written.entry.fingerprint());
            store.remove(&at, expect, crate::Displaced::Discard).await.unwrap();
            match store.list(&path("d")).await {
                // The directory went with what it held.
                Err(error) if !store.capabilities().traits.dirs => assert_eq!(error.kind, ErrorKind::NotFound),
                left => assert_eq!(left.unwrap().len(), 0, "{at} is gone"),
            }
        }
    }
}

pub(super) async fn odd_names(store: Subject) {
    dir(&store, "d").await;
    let names: [&[u8]; 24] = [
        b" ",
        b" leading",
        b"trailing ",
        b"trailing.",
        b"...",
        b"-rf",
        b"~",
        b"a:b",
        b"a\\b",
        b"a*b?",
        b"\"<|>\"",
        b"%2F",
        b"a%20b+c&d=e#f;g",
        b"new\nline",
        b"tab\t",
        b"\x1b[31m",
        b"\x7f",
        b"\xff\xfe",
        b"half \xc3",
        "e\u{301} and \u{e9}".as_bytes(),
        "\u{1f426}\u{202e}".as_bytes(),
        b"CON",
        b"aux.txt",
        b".sitta",
    ];
    for name in names {
        exactly_or_not_at_all(&store, name).await;
    }
}

pub(super) async fn longest_names(store: Subject) {
    dir(&store, "d").await;
    exactly_or_not_at_all(&store, &[b'n'; 255]).await;
    exactly_or_not_at_all(&store, "\u{e9}".repeat(127).as_bytes()).await;
    let mut one = new("x", bytes("content"));
    one.path = path([b'n'; 300]);
    if let Err(error) = store.write(one, &flow()).await {
        assert_eq!(error.kind, ErrorKind::Unsupported, "{error:?}");
    }
}

pub(super) async fn case(store: Subject) {
    put(&store, "Name", "x").await;
    let again = refused(write(&store, new("name", bytes("y"))).await, "name");
    assert_eq!(again, ErrorKind::Changed, "something stands there");
    assert_eq!(get(&store, "Name").await.unwrap(), b"x");
}
