//! Names that SMB shares cannot hold as they are.

use sitta_store::{ErrorKind, ScanOptions};
use sitta_testbed::samba::Samba;
use sitta_tree::{Kind, RelPath};

use crate::support::{get, open, path, put};

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_characters_stand_on_disk_as_others_and_come_back() {
    let samba = Samba::start();
    let store = open(&samba).await;
    for (name, on_disk) in [
        ("a:b?", "a\u{f022}b\u{f025}"),
        ("\"q\" *<|>\\", "\u{f020}q\u{f020} \u{f021}\u{f023}\u{f027}\u{f024}\u{f026}"),
        ("dot.", "dot\u{f029}"),
        ("space ", "space\u{f028}"),
        ("new\nline", "new\u{f00a}line"),
    ] {
        put(&store, name, name).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(std::fs::read(samba.folder().join(on_disk)).expect("on disk"), name.as_bytes());
        assert_eq!(get(&store, name).await.expect("read"), name.as_bytes());
    }
    let mut names: Vec<_> = store.list(&RelPath::root()).await.expect("listed").into_iter().map(|e| e.0).collect();
    names.sort();
    let wanted: [&[u8]; 5] = [b"\"q\" *<|>\\", b"a:b?", b"dot.", b"new\nline", b"space "];
    assert!(names.iter().map(|name| &**name).eq(wanted), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_cannot_be_kept_are_refused_and_nothing_is_written() {
    let samba = Samba::start();
    let store = open(&samba).await;
    let long = "n".repeat(256);
    let names: [&[u8]; 7] =
        [b"\xff\xfe", b"half \xc3", "am\u{f025}biguous".as_bytes(), long.as_bytes(), b"CON", b"aux.txt", b"Lpt1"];
    for name in names {
        let error = put(&store, name, "x").await.expect_err("refused");
        assert_eq!((error.kind, error.path.clone()), (ErrorKind::Unsupported, Some(path(name))), "{error}");
    }
    assert_eq!(std::fs::read_dir(samba.folder()).expect("listed").count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_names_on_the_server_are_a_problem_not_another_file() {
    let samba = Samba::start();
    std::fs::write(samba.folder().join("mid\u{f028}dle"), "x").expect("written");
    std::fs::write(samba.folder().join("plain"), "x").expect("written");
    let store = open(&samba).await;
    let tree = store.scan(&ScanOptions::default()).await.expect("scanned");
    let odd = tree.find(&path("mid\u{f028}dle")).expect("shown as it is");
    assert_eq!(tree.kind(odd), Kind::Unknown);
    assert!(tree.find(&path("mid dle")).is_none() && tree.find(&path("plain")).is_some());
    assert_eq!(tree.problems.len(), 1, "{:?}", tree.problems);
}
