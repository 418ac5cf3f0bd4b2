//! Symbolic links that are followed, where that is asked for: looking and reading lead through them, and no change does.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use sitta_store::local::{Links, LocalStore};
use sitta_store::look::{Choice, Place, Wanted};
use sitta_store::{Displaced, ErrorKind, Precondition, ScanOptions, Source, Store, What, Write};
use sitta_tree::{Kind, Meta, RelPath, Tree};

use super::tools::path;

/// A folder with links of every sort, and one beside it that some of them lead to.
fn linked() -> (tempfile::TempDir, LocalStore) {
    let home = tempfile::tempdir().unwrap();
    let at = |path: &str| home.path().join(path);
    for dir in ["root/d/e", "out/deep", "out/empty"] {
        fs::create_dir_all(at(dir)).unwrap();
    }
    for (file, text) in [("root/f", "in"), ("root/d/e/g", "below"), ("out/o", "outside"), ("out/deep/p", "deeper")]
    {
        fs::write(at(file), text).unwrap();
    }
    let links = [
        ("file", "f"),
        ("dir", "d/e"),
        ("outside", "../out"),
        ("of-a-link", "outside"),
        ("one-outside", "../out/o"),
        ("dangling", "nowhere"),
        ("itself", "itself"),
        ("d/e/up", ".."),
        ("d/root", "../../root"),
        ("../out/back", "../root/d"),
        ("../out/above", ".."),
    ];
    for (link, target) in links {
        symlink(target, at("root").join(link)).unwrap();
    }
    let store = LocalStore::open_with(at("root"), Links::Followed).unwrap();
    (home, store)
}

fn shape(tree: &Tree) -> Vec<String> {
    let mut shape: Vec<_> = tree
        .ids()
        .skip(1)
        .map(|id| {
            let mark = match tree.kind(id) {
                Kind::Dir if tree.is_complete(id) => "/",
                Kind::Dir => "/?",
                Kind::File => "",
                Kind::Symlink => "@",
                Kind::Unknown => "?",
            };
            format!("{}{mark}", tree.path(id))
        })
        .collect();
    shape.sort();
    shape
}

async fn scan(store: &dyn Store) -> Vec<String> {
    shape(&store.scan(&ScanOptions::default()).await.unwrap())
}

async fn text(store: &dyn Store, at: &str) -> Result<String, ErrorKind> {
    let pieces = store.read(&path(at), 0..u64::MAX).await.map_err(|error| error.kind)?;
    let pieces: Vec<_> = pieces.try_collect().await.map_err(|error| error.kind)?;
    Ok(String::from_utf8(pieces.concat()).unwrap())
}

fn file(at: &str, expect: Precondition) -> Write {
    Write {
        path: path(at),
        what: What::File(Source::Bytes("new".into())),
        meta: Meta::default(),
        expect,
        displaced: Displaced::Discard,
        temp: ".sitta-tmp-links-1".into(),
    }
}

#[tokio::test]
async fn a_scan_shows_what_links_lead_to_and_ends() {
    let (home, store) = linked();
    let scan = tokio::time::timeout(Duration::from_secs(20), scan(&store)).await.expect("it ends");
    let has = |shown: &str| scan.iter().any(|one| one == shown);
    for shown in ["f", "file", "dir/", "dir/g", "outside/", "outside/o", "outside/deep/p", "of-a-link/deep/p"] {
        assert!(has(shown), "{shown}: {scan:#?}");
    }
    for shown in ["one-outside", "dangling@", "itself@", "d/e/up@", "d/root@", "outside/back/e/g", "d/e/g"] {
        assert!(has(shown), "{shown}: {scan:#?}");
    }
    // Through the folder above, the root itself is met again as what it is, and not gone into.
    assert!(has("outside/above/root/?") && has("outside/above/out/?"), "{scan:#?}");
    assert!(!scan.iter().any(|one| one.starts_with("outside/above/root/") && one.len() > 20), "{scan:#?}");
    // Without that the folder is as it was.
    let plain =
        shape(&LocalStore::open(home.path().join("root")).unwrap().scan(&ScanOptions::default()).await.unwrap());
    assert_eq!(plain.len(), 15 - 2, "{plain:#?}");
    assert!(plain.iter().any(|one| one == "outside@"));
}

#[tokio::test]
async fn each_entry_is_told_as_the_scan_tells_it_and_read() {
    let (_home, store) = linked();
    let tree = store.scan(&ScanOptions::default()).await.unwrap();
    for id in tree.ids().skip(1) {
        let (at, told) = (tree.path(id), tree.entry(id));
        let stat = store.stat(&at).await.unwrap().unwrap_or_else(|| panic!("{at}"));
        assert_eq!((stat.kind, stat.fingerprint()), (told.kind, told.fingerprint()), "{at}");
        if told.kind == Kind::Dir && tree.is_complete(id) {
            let mut listed: Vec<_> = store
                .list(&at)
                .await
                .unwrap()
                .into_iter()
                .map(|(name, entry)| (name.to_vec(), entry.kind))
                .collect();
            listed.sort_by(|one, other| one.0.cmp(&other.0));
            let in_tree: Vec<_> = tree.children(id).map(|id| (tree.name(id).to_vec(), tree.kind(id))).collect();
            assert_eq!(listed, in_tree, "{at}");
            let below = store.scan_below(&at, &ScanOptions::default()).await.unwrap();
            let start = format!("{at}/");
            let expected: Vec<_> =
                shape(&tree).into_iter().filter_map(|one| Some(one.strip_prefix(&start)?.to_owned())).collect();
            let expected: Vec<_> = expected.into_iter().filter(|one| !one.is_empty() && one != "?").collect();
            assert_eq!(shape(&below), expected, "{at}");
        }
    }
    for (at, held) in
        [("file", "in"), ("of-a-link/deep/p", "deeper"), ("one-outside", "outside"), ("dir/g", "below")]
    {
        assert_eq!(text(&store, at).await, Ok(held.into()), "{at}");
    }
    for at in ["dangling", "itself", "d/e/up/e/g", "d/root/f", "dir"] {
        assert!(text(&store, at).await.is_err(), "{at}");
    }
}

#[tokio::test]
async fn searches_read_through_links() {
    let (_home, store) = linked();
    let store: Arc<dyn Store> = Arc::new(store);
    let choice = Choice::new(&Wanted { contains: Some("deeper".into()), ..Wanted::default() }).unwrap();
    let place = Place { store, base: RelPath::root() };
    let found = place.find(&choice, true, false, &mut Vec::new()).await.unwrap();
    let found: Vec<_> = found.iter().map(|item| item.path.to_string()).collect();
    assert!(
        found.contains(&"outside/deep/p".to_owned()) && found.contains(&"of-a-link/deep/p".to_owned()),
        "{found:?}"
    );
}

fn all(dir: &Path) -> Vec<String> {
    let mut all: Vec<_> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    all.sort();
    all
}

#[tokio::test]
async fn nothing_behind_a_link_is_changed() {
    let (home, store) = linked();
    let flow = Arc::default();
    for at in ["outside/o", "outside/new", "dir/g", "file", "one-outside", "dangling", "of-a-link/deep/p"] {
        let expect = store
            .stat(&path(at))
            .await
            .unwrap()
            .map_or(Precondition::Absent, |entry| Precondition::Version(entry.fingerprint()));
        for expect in [expect, Precondition::None] {
            let error = store.write(file(at, expect), &flow).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::ReadOnly, "{at}: {error:?}");
            if store.stat(&path(at)).await.unwrap().is_some() {
                let meta = Meta { mode: 0o600, ..Meta::default() };
                let error = store.set_meta(&path(at), &meta, expect).await.unwrap_err();
                assert_eq!(error.kind, ErrorKind::ReadOnly, "{at}: {error:?}");
                let error = store.rename(&path(at), &path("elsewhere"), expect).await.unwrap_err();
                assert_eq!(error.kind, ErrorKind::ReadOnly, "{at}: {error:?}");
            }
        }
    }
    for at in ["outside/o", "outside/empty", "dir/g"] {
        let error = store.remove(&path(at), Precondition::None, Displaced::Discard).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::ReadOnly, "{at}: {error:?}");
    }
    let error = store.rename(&path("f"), &path("outside/f"), Precondition::None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ReadOnly, "{error:?}");
    assert_eq!(all(&home.path().join("out")), ["above", "back", "deep", "empty", "o"]);
    assert_eq!(fs::read_to_string(home.path().join("out/o")).unwrap(), "outside");
    // Beside links all is as ever.
    let now = store.stat(&path("f")).await.unwrap().unwrap().fingerprint();
    store.write(file("f", Precondition::Version(now)), &flow).await.unwrap();
    store.write(file("d/fresh", Precondition::Absent), &flow).await.unwrap();
    assert_eq!(text(&store, "file").await, Ok("new".into()));
}

#[tokio::test]
async fn removing_a_link_removes_the_link_alone() {
    let (home, store) = linked();
    for at in ["outside", "file", "dangling", "itself"] {
        let entry = store.stat(&path(at)).await.unwrap().unwrap();
        let trash = Displaced::MoveTo(path(".sitta/trash/1/x"));
        assert!(store.remove(&path(at), Precondition::None, trash).await.is_err(), "{at}");
        let other = sitta_tree::Fingerprint { size: 12345, ..entry.fingerprint() };
        let refused = store.remove(&path(at), Precondition::Version(other), Displaced::Discard).await;
        assert!(entry.kind != Kind::File || refused.is_err_and(|error| error.kind == ErrorKind::Changed), "{at}");
        if store.stat(&path(at)).await.unwrap().is_some() {
            store.remove(&path(at), Precondition::Version(entry.fingerprint()), Displaced::Discard).await.unwrap();
        }
        assert!(fs::symlink_metadata(home.path().join("root").join(at)).is_err(), "{at}");
    }
    assert_eq!(all(&home.path().join("out")), ["above", "back", "deep", "empty", "o"]);
    assert_eq!(fs::read_to_string(home.path().join("root/f")).unwrap(), "in");
}

/// Whoever may write makes no link to what only the server may read, and turns none round by moving it.
#[tokio::test]
async fn nobody_makes_a_link_lead_elsewhere() {
    let (home, store) = linked();
    let flow = Arc::default();
    let link = |at: &str, target: &str| Write {
        what: What::Symlink(target.as_bytes().into()),
        ..file(at, Precondition::Absent)
    };
    let dir = Write { what: What::Dir, ..file("new", Precondition::Absent) };
    let writes = vec![link("evil", "/etc"), dir, link("new/evil", "/etc/passwd")];
    let kinds: Vec<_> =
        store.write_batch(writes, &flow).await.into_iter().map(|r| r.err().map(|e| e.kind)).collect();
    assert_eq!(kinds, [Some(ErrorKind::Unsupported), None, Some(ErrorKind::Unsupported)]);
    assert_eq!(all(&home.path().join("root/new")), [] as [&str; 0]);
    symlink("../../secret", home.path().join("root/d/e/relative")).unwrap();
    let error = store.rename(&path("d/e"), &path("e"), Precondition::None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    store.rename(&path("d/e"), &path("d/e2"), Precondition::None).await.unwrap();
    assert!(!store.capabilities().traits.symlinks && !store.capabilities().rename);
    assert!(store.watch().await.unwrap().is_none(), "what lies behind links would change unheard");
}
