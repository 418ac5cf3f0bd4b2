//! What stands there: odd names, links, special files, permissions, many files, large ones.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use futures::TryStreamExt;
use sitta_store::local::LocalStore;
use sitta_store::{
    Access, Displaced, ErrorKind, Password, Precondition, ScanOptions, Source, SshAccess, Store, What,
};
use sitta_testbed::sshd::{Sshd, SshdOptions, password_user};
use sitta_tree::{Kind, ProblemKind, Unknown};

use crate::support::*;

/// As a user who may do little.
async fn as_limited_user(place: &Place, folder: &str) -> Arc<dyn Store> {
    let (user, password) = password_user();
    let ssh = SshAccess { identities: vec![], ..place.access.ssh.clone() };
    let password = Some(Password::new(password));
    let access = Access { user: Some(user.into()), password, ssh, ..place.access.clone() };
    place.with(&access, place.server.port(), folder).await.expect("let in")
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_bytes() {
    let place = Place::new();
    let store = place.ready("names").await;
    let mut odd: Vec<Vec<u8>> = vec![
        b"\xff\xfe".to_vec(),
        b"\xc3\x28 latin \xe9".to_vec(),
        "e\u{301} and \u{e9}".into(),
        b"new\nline\ttab\x1b[31m".to_vec(),
        b"-rf *?[a]'\"\\$`!#".to_vec(),
        b" space ".to_vec(),
        b"...".to_vec(),
        b"C:nul.".to_vec(),
    ];
    odd.sort();
    for name in &odd {
        store.write(new(name, What::File(Source::Bytes(name.clone().into()))), &Arc::default()).await.unwrap();
        assert_eq!(get(&store, &path(name)).await.unwrap(), *name);
    }
    assert_eq!(names(&place.folder("names")), odd);
    let mut listed: Vec<_> = store.list(&path("")).await.unwrap().into_iter().map(|(n, _)| n.to_vec()).collect();
    listed.sort();
    assert_eq!(listed, odd);
    store.write(new("link", What::Symlink((*b"\xff \xe9").into())), &Arc::default()).await.unwrap();
    assert_eq!(std::fs::read_link(place.folder("names/link")).unwrap().as_os_str().as_bytes(), b"\xff \xe9");
    assert_eq!(&*store.stat(&path("link")).await.unwrap().unwrap().target, b"\xff \xe9");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_lead_nowhere() {
    let place = Place::new();
    let outside = place.folder("outside");
    std::fs::create_dir_all(outside.join("sub")).unwrap();
    std::fs::write(outside.join("secret"), "secret").unwrap();
    let store = place.ready("root").await;
    symlink("../outside", place.folder("root/out")).unwrap();
    symlink("../outside/secret", place.folder("root/file")).unwrap();
    symlink("/nowhere", place.folder("root/dangling")).unwrap();
    let tree = store.scan(&ScanOptions::default()).await.unwrap();
    assert_eq!(tree.ids().count(), 4, "the root and three links");
    for at in ["out/secret", "file", "out", "dangling"] {
        assert!(get(&store, &path(at)).await.is_err(), "{at}");
        let version = store.stat(&path("file")).await.unwrap().unwrap().fingerprint();
        assert!(store.fetch(&path(at), &version, 0).await.is_err(), "{at}");
    }
    assert!(store.stat(&path("out/secret")).await.unwrap().is_none());
    for at in ["out/new", "out/sub/new"] {
        assert!(put(&store, at, "x").await.is_err(), "{at}");
    }
    assert!(store.list(&path("out")).await.is_err());
    assert!(store.remove(&path("out/secret"), Precondition::None, Displaced::Discard).await.is_err());
    // A dangling link is something that stands there.
    let error = put(&store, "dangling", "x").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Changed);
    let link = new("dangling", What::Symlink((*b"elsewhere").into()));
    assert_eq!(store.write(link, &Arc::default()).await.unwrap_err().kind, ErrorKind::Changed);
    store.write(new("l", What::Symlink((*b"elsewhere").into())), &Arc::default()).await.unwrap();
    let moved = store.rename(&path("l"), &path("dangling"), Precondition::None).await;
    assert_eq!(moved.unwrap_err().kind, ErrorKind::Changed);
    assert_eq!(std::fs::read_link(place.folder("root/dangling")).unwrap(), std::path::Path::new("/nowhere"));
    for at in ["out", "file", "dangling"] {
        store.remove(&path(at), Precondition::None, Displaced::Discard).await.unwrap();
    }
    assert_eq!(names(&outside), [b"secret".to_vec(), b"sub".to_vec()]);
    // The root itself may be one.
    symlink("outside", place.folder("way-in")).unwrap();
    assert_eq!(get(&place.open("way-in").await.unwrap(), &path("secret")).await.unwrap(), b"secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn special_files_are_never_opened() {
    let place = Place::new();
    let store = place.ready("special").await;
    let made = std::process::Command::new("mkfifo").arg(place.folder("special/fifo")).status().unwrap();
    assert!(made.success());
    put(&store, "file", "x").await.unwrap();
    let tree = store.scan(&ScanOptions::default()).await.unwrap();
    let fifo = tree.find(&path("fifo")).expect("it is there");
    assert_eq!(tree.entry(fifo).kind, Kind::Unknown);
    assert!(tree.problems.iter().any(|problem| problem.kind == ProblemKind::Special), "{:?}", tree.problems);
    assert_eq!(store.stat(&path("fifo")).await.unwrap().unwrap().unknown, Some(Unknown::Special));
    assert_eq!(get(&store, &path("fifo")).await.unwrap_err().kind, ErrorKind::Unsupported);
    assert_eq!(get(&store, &path("file")).await.unwrap(), b"x");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_read_is_told() {
    let place = Place::new();
    let root = place.folder("closed");
    for dir in ["plain", "shut", "listed"] {
        std::fs::create_dir_all(root.join(dir)).unwrap();
        std::fs::write(root.join(dir).join("f"), "x").unwrap();
    }
    std::fs::write(root.join("own"), "x").unwrap();
    let mode = |name: &str, mode| {
        std::fs::set_permissions(root.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("own", 0o600);
    mode("shut", 0o700);
    // Its names can be read, but nothing can be learnt of what they name: OpenSSH lists nothing then.
    mode("listed", 0o744);
    let store = as_limited_user(&place, "closed").await;
    assert!(!store.capabilities().traits.owners, "only root sets owners");
    let tree = store.scan(&ScanOptions::default()).await.unwrap();
    let mut problems: Vec<_> = tree.problems.iter().map(|p| (p.path.to_string(), p.kind)).collect();
    problems.sort_by(|a, b| a.0.cmp(&b.0));
    let unreadable = |name: &str| (name.to_owned(), ProblemKind::Unreadable);
    assert_eq!(problems, [unreadable("listed"), unreadable("shut")]);
    assert_eq!(store.list(&path("listed")).await.unwrap_err().kind, ErrorKind::Denied);
    assert_eq!(get(&store, &path("own")).await.unwrap_err().kind, ErrorKind::Denied);
    assert_eq!(get(&store, &path("plain/f")).await.unwrap(), b"x");
    assert_eq!(put(&store, "plain/new", "x").await.unwrap_err().kind, ErrorKind::Denied);
    assert_eq!(names(&root.join("plain")), [b"f".to_vec()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_others_can_be_moved_where_their_folder_is_ours() {
    let place = Place::new();
    let root = place.folder("shared");
    std::fs::create_dir_all(&root).unwrap();
    std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::write(root.join("theirs"), "x").unwrap();
    let store = as_limited_user(&place, "shared").await;
    store.rename(&path("theirs"), &path("moved"), Precondition::None).await.unwrap();
    put(&store, "mine", "y").await.unwrap();
    let taken = store.rename(&path("mine"), &path("moved"), Precondition::None).await;
    assert_eq!(taken.unwrap_err().kind, ErrorKind::Changed);
    assert_eq!(names(&root), [b"mine".to_vec(), b"moved".to_vec()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_server() {
    let options = SshdOptions { subsystem: "internal-sftp -R".into(), ..SshdOptions::default() };
    let place = Place::of(Sshd::with(&options));
    let store = place.ready("ro").await;
    std::fs::write(place.folder("ro/f"), "x").unwrap();
    let refused = |kind| assert!(matches!(kind, ErrorKind::Denied | ErrorKind::ReadOnly), "{kind:?}");
    refused(put(&store, "g", "x").await.unwrap_err().kind);
    refused(store.write(new("d", What::Dir), &Arc::default()).await.unwrap_err().kind);
    refused(store.remove(&path("f"), Precondition::None, Displaced::Discard).await.unwrap_err().kind);
    refused(store.rename(&path("f"), &path("g"), Precondition::None).await.unwrap_err().kind);
    assert_eq!(get(&store, &path("f")).await.unwrap(), b"x");
    assert_eq!(names(&place.folder("ro")), [b"f".to_vec()]);
}

/// A file system that is unmounted in the end.
struct Mount(std::path::PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk() {
    let place = Place::new();
    let store = place.ready("full").await;
    let mut mount = std::process::Command::new("mount");
    let mounted = mount.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(place.folder("full")).status();
    assert!(mounted.unwrap().success(), "a small file system can be mounted: run as root");
    let _mount = Mount(place.folder("full"));
    put(&store, "small", pattern(1 << 20)).await.unwrap();
    let error = put(&store, "big", pattern(8 << 20)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Full, "{error}");
    assert_eq!(names(&place.folder("full")), [b"small".to_vec()], "what did not fit leaves no trace");
    put(&store, "another", pattern(1 << 20)).await.unwrap();
    assert_eq!(get(&store, &path("another")).await.unwrap(), pattern(1 << 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_directory() {
    let place = Place::new();
    let parse = |url: String| match sitta_store::Location::parse(&url).unwrap() {
        sitta_store::Location::Remote(remote) => remote,
        other => panic!("{other:?}"),
    };
    let home = std::process::Command::new("sh").args(["-c", "cd ~ && pwd"]).output().unwrap();
    let home = String::from_utf8(home.stdout).unwrap().trim().to_owned();
    let list = |url: String| {
        let access = place.access.clone();
        async move {
            let store = sitta_store::sftp::open(&parse(url), &access).await.unwrap();
            let mut names: Vec<_> =
                store.list(&path("")).await.unwrap().into_iter().map(|(name, _)| name).collect();
            names.sort();
            names
        }
    };
    let port = place.server.port();
    assert_eq!(
        list(format!("sftp://127.0.0.1:{port}/~")).await,
        list(format!("sftp://127.0.0.1:{port}{home}")).await
    );
    let root = list(format!("sftp://127.0.0.1:{port}/")).await;
    assert!(root.iter().any(|name| **name == *b"etc"), "the whole machine");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_files() {
    let place = Place::new();
    let store = place.ready("many").await;
    for n in 0..10_000 {
        std::fs::write(place.folder("many").join(format!("file-{n:05}")), "").unwrap();
    }
    let before = store.requests();
    assert_eq!(store.list(&path("")).await.unwrap().len(), 10_000);
    let tree = store.scan(&ScanOptions::default()).await.unwrap();
    assert_eq!(tree.ids().count(), 10_001);
    let requests = store.requests() - before;
    assert!(requests < 400, "{requests} requests");
}

/// The most memory that this process has held, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_takes_little_memory() {
    const SIZE: u64 = 300 << 20;
    let place = Place::new();
    let store = place.ready("large").await;
    let local = place.folder("local");
    std::fs::create_dir(&local).unwrap();
    let piece = pattern(1 << 20);
    let mut file = std::fs::File::create(local.join("f")).unwrap();
    for _ in 0..SIZE >> 20 {
        std::io::Write::write_all(&mut file, &piece).unwrap();
    }
    drop((file, piece));
    let source: Arc<dyn Store> = Arc::new(LocalStore::open(local).unwrap());
    let entry = source.stat(&path("f")).await.unwrap().unwrap();
    let stored = Source::Stored { store: source, path: path("f"), version: entry.fingerprint() };
    let before = peak();
    let written = store.write(new("f", What::File(stored)), &Arc::default()).await.unwrap();
    assert_eq!(written.entry.size, SIZE);
    let back = Source::Stored { store: store.clone(), path: path("f"), version: written.entry.fingerprint() };
    let mut hasher = blake3::Hasher::new();
    let mut bytes = back.open(0).await.unwrap().bytes;
    while let Some(piece) = bytes.try_next().await.unwrap() {
        hasher.update(&piece);
    }
    assert_eq!(Some(sitta_tree::ContentHash(*hasher.finalize().as_bytes())), written.content);
    let grown = peak() - before;
    assert!(grown < 120 << 20, "{grown} bytes more");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operations_cost() {
    let place = Place::new();
    let store = place.ready("cost").await;
    // The way is looked at once.
    put(&store, "warm", "x").await.unwrap();
    let count = |before: u64| store.requests() - before;
    let at = store.requests();
    let written = put(&store, "f", "content").await.unwrap();
    // open, write, fsetstat (owner only where told), fsync, close, rename; lstat for what it is.
    assert_eq!(count(at), 7, "a new file");
    let at = store.requests();
    let expect = Precondition::Version(written.entry.fingerprint());
    let over = sitta_store::Write { expect, ..new("f", What::File(Source::Bytes("another".into()))) };
    let written = store.write(over, &Arc::default()).await.unwrap();
    assert_eq!(count(at), 8, "a replaced file");
    let at = store.requests();
    let fetched = store.fetch(&path("f"), &written.entry.fingerprint(), 0).await.unwrap();
    let bytes: Vec<_> = fetched.bytes.try_collect().await.unwrap();
    assert!(fetched.pinned && bytes.concat() == b"another");
    tokio::task::yield_now().await;
    // lstat, open, read, fstat, close.
    assert_eq!(count(at), 5, "a file that is fetched");
}

/// A server that lies: what it lists, and whether it keeps to the protocol, is up to `LIES`.
const LIAR: &str = r#"
import os, struct, sys
def read(n):
    b = b''
    while len(b) < n:
        p = os.read(0, n - len(b))
        if not p: sys.exit()
        b += p
    return b
def send(b): os.write(1, struct.pack('>I', len(b)) + b)
def s(b): return struct.pack('>I', len(b)) + b
DIR = struct.pack('>II', 4, 0o40755)
FILE = struct.pack('>IQI', 5, 1, 0o100644)
listed = False
while True:
    p = read(struct.unpack('>I', read(4))[0])
    kind, rest = p[0], p[1:]
    if kind == 1: send(b'\x02' + struct.pack('>I', 3)); continue
    id, rest = rest[:4], rest[4:]
    if kind in (7, 17):
        name = rest[4:4 + struct.unpack('>I', rest[:4])[0]]
        send(b'\x69' + id + (DIR if name.endswith((b'/', b'.', b'files')) else FILE))
    elif kind == 11: listed = False; send(b'\x66' + id + s(b'h'))
    elif kind == 12 and MODE == 'names' and not listed:
        listed = True
        names = [b'.', b'..', b'', b'a/b', b'../../etc/passwd', b'nul\0', b'/abs', b'good', b'good']
        send(b'\x68' + id + struct.pack('>I', len(names)) + b''.join(s(n) + s(n) + FILE for n in names))
    elif kind == 12 and MODE == 'count': send(b'\x68' + id + struct.pack('>I', 0xffffffff))
    elif kind == 12 and MODE == 'length': os.write(1, b'\xff\xff\xff\xff')
    elif kind == 12 and MODE == 'kind': send(b'\xc8' + id)
    elif kind == 3: send(b'\x66' + id + s(b'h'))
    elif kind == 5: send(b'\x67' + id + s(b'x' * 100000))
    elif kind == 8: send(b'\x69' + id + FILE)
    elif kind == 4: send(b'\x65' + id + struct.pack('>I', 0) + s(b'') + s(b''))
    else: send(b'\x65' + id + struct.pack('>I', 1) + s(b'') + s(b''))
"#;

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_lie() {
    for mode in ["names", "count", "length", "kind"] {
        let script = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(script.path(), format!("MODE = '{mode}'\n{LIAR}")).unwrap();
        let python = sitta_testbed::need("python3");
        let subsystem = format!("{} {}", python.display(), script.path().display());
        let place = Place::of(Sshd::with(&SshdOptions { subsystem, ..SshdOptions::default() }));
        let store = place.ready("").await;
        let scanned = store.scan(&ScanOptions::default()).await;
        if mode == "names" {
            let tree = scanned.unwrap();
            let paths: Vec<_> = tree.ids().map(|id| tree.path(id).to_string()).collect();
            assert_eq!(paths, ["", "good"]);
            assert_eq!(tree.problems.len(), 6, "{:?}", tree.problems);
            // More bytes than were asked for.
            assert_eq!(
                get(&store, &path("good")).await.map(|bytes| bytes.len()).unwrap_err().kind,
                ErrorKind::Other
            );
        } else {
            let kind = scanned.unwrap_err().kind;
            assert_eq!(kind, ErrorKind::Unreachable, "{mode}");
        }
    }
}
