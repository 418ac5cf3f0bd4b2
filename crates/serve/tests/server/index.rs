//! Searches with an index find exactly what reading every file would, whatever happens meanwhile.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sitta_serve::IndexEvent;
use sitta_store::look::{Choice, Place, Wanted};
use sitta_tree::{RelPath, Time};

use crate::support::indexed::{Indexed, read_all, write};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_a_moment_ago_is_found() {
    let indexed = Indexed::start(|root| write(root, "old", "nothing of note")).await;
    for n in 0..200 {
        let token = format!("token-{n}-");
        match n % 4 {
            0 => indexed.write(&format!("new/{n}/deep/file"), &token),
            // As long as before, and as old.
            1 => {
                let path = indexed.at("same");
                fs::write(&path, format!("{token:>20}")).unwrap();
                File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
            }
            2 => {
                fs::write(indexed.served.dir.path().join("aside"), &token).unwrap();
                fs::rename(indexed.served.dir.path().join("aside"), indexed.at("replaced")).unwrap();
            }
            _ => {
                let mut file = File::options().append(true).create(true).open(indexed.at("log")).unwrap();
                std::io::Write::write_all(&mut file, token.as_bytes()).unwrap();
            }
        }
        assert_eq!(indexed.contains(&token).await.len(), 1, "{token}");
    }
    fs::rename(indexed.at("new"), indexed.at("newer")).unwrap();
    assert_eq!(indexed.contains("token-100-").await, ["newer/100/deep/file"]);
    fs::remove_dir_all(indexed.at("newer")).unwrap();
    assert_eq!(indexed.contains("token-100-").await, [] as [&str; 0]);
}

/// A generator of numbers that look random (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % most
    }

    fn of<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

const WORDS: [&[u8]; 8] =
    [b"alpha", b"beta", b"alphabet", b"\xff\xfe\x00", "\u{e9}t\u{e9}".as_bytes(), b" ", b"\0\0", b"b"];

const NAMES: [&[u8]; 7] = [b"a", b"b", b"c.txt", b"\xfd\xfc", b"Sub", b"sub", "\u{c9}t\u{e9}".as_bytes()];

fn content(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..dice.below(6) {
        bytes.extend_from_slice(dice.of(&WORDS));
    }
    // Something that lies across the border of what is read at a time.
    if dice.below(8) == 0 {
        let mut large = vec![b'.'; (256 << 10) - dice.below(8)];
        large.extend_from_slice(b"alphabet");
        bytes.extend(large);
    }
    bytes
}

fn some_dir(root: &Path, dice: &mut Dice) -> PathBuf {
    let mut dir = root.to_owned();
    for _ in 0..dice.below(4) {
        dir.push(OsStr::from_bytes(dice.of(&NAMES)));
    }
    dir
}

/// Something happens in the folder; much of it fails, as what is meant is not there.
fn edit(root: &Path, dice: &mut Dice) {
    let dir = some_dir(root, dice);
    let path = dir.join(OsStr::from_bytes(dice.of(&NAMES)));
    let other = some_dir(root, dice).join(OsStr::from_bytes(dice.of(&NAMES)));
    match dice.below(12) {
        0..=3 => {
            let _ = fs::create_dir_all(&dir);
            let _ = fs::write(&path, content(dice));
        }
        4 => {
            let _ = fs::rename(&path, &other);
        }
        5 => drop(fs::remove_file(&path)),
        6 if dice.below(4) == 0 => drop(fs::remove_dir_all(&path)),
        7 => drop(symlink(&other, &path)),
        8 => drop(fs::hard_link(&path, &other)),
        9 => {
            // Other bytes, but as many and as old.
            let Ok(meta) = fs::symlink_metadata(&path) else { return };
            if meta.is_file() && meta.len() > 0 {
                let mut bytes = fs::read(&path).unwrap();
                bytes.reverse();
                fs::write(&path, bytes).unwrap();
                let modified = meta.modified().unwrap();
                File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
            }
        }
        10 => {
            // A whole tree comes at once.
            let aside = root.parent().unwrap().join("aside");
            write(&aside, "x/y", content(dice));
            write(&aside, ".sitta/z", content(dice));
            let _ = fs::create_dir_all(&dir);
            let _ = fs::rename(&aside, &path);
            let _ = fs::remove_dir_all(&aside);
        }
        _ => {
            let Ok(mut file) = File::options().append(true).open(&path) else { return };
            let _ = std::io::Write::write_all(&mut file, &content(dice));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_the_answer_is_that_of_reading_all() {
    for seed in 1..=4_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let fill = |root: &Path| {
            let mut dice = Dice(seed);
            (0..60).for_each(|_| edit(root, &mut dice));
        };
        let mut indexed = Indexed::with(fill, |options| options.memory = 4096).await;
        let root = indexed.served.shared();
        for step in 0..250 {
            (0..dice.below(3)).for_each(|_| edit(&root, &mut dice));
            let mut text: Vec<u8> = (0..1 + dice.below(2)).flat_map(|_| dice.of(&WORDS).to_vec()).collect();
            text.truncate(1 + dice.below(12));
            let dir = some_dir(&root, &mut dice);
            let real = fs::canonicalize(&dir)
                .ok()
                .filter(|real| *real == fs::canonicalize(&root).unwrap().join(dir.strip_prefix(&root).unwrap()));
            let (base, dir) = match real.filter(|dir| dir.is_dir()) {
                Some(_) => (dir.strip_prefix(&root).unwrap().to_owned(), dir),
                None => (PathBuf::new(), root.clone()),
            };
            let mut expected = BTreeSet::new();
            read_all(&root, &dir, &text, &mut expected);
            let at: String = base.as_os_str().as_bytes().iter().map(|byte| format!("%{byte:02x}")).collect();
            // `.sitta` where a listing begins is ours.
            let ours = base.join(".sitta");
            expected.retain(|path| !Path::new(OsStr::from_bytes(path)).starts_with(&ours));
            let found = indexed.search(&at, "contains", &text).await;
            let sorted: BTreeSet<_> = found.iter().cloned().collect();
            assert_eq!(sorted, expected, "seed {seed} step {step}: {:?} in {base:?}", Bytes(&text));
            let mut in_order: Vec<_> = found.iter().map(|path| RelPath::new(path).unwrap()).collect();
            in_order.sort();
            assert!(in_order.iter().map(|path| path.as_bytes()).eq(found.iter().map(|path| &**path)), "the order");
            if step % 60 == 59 {
                indexed.served.stop().await;
                (0..10).for_each(|_| edit(&root, &mut dice));
                indexed.start_again().await;
            }
            if step % 50 == 49 {
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
        }
        while let Ok(notice) = indexed.notices.try_recv() {
            assert!(matches!(notice.what, IndexEvent::Ready { .. }), "{notice:?}");
        }
    }
}

struct Bytes<'b>(&'b [u8]);

impl std::fmt::Debug for Bytes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_lets_the_server_search() {
    let fill = |root: &Path| {
        (0..300).for_each(|n| write(root, &format!("sub/{n:03}.txt"), format!("word-{n}- text")));
        write(root, "sub/other.md", "word-7- text");
        write(root, "word-7-", "word-7- text");
        fs::write(root.join(OsStr::from_bytes(b"sub/\xff.txt")), "word-7- text").unwrap();
    };
    let indexed = Indexed::start(fill).await;
    let store = indexed.served.open("sub").await;
    let place = Place { store: store.clone(), base: RelPath::root() };
    let wanted = |text: &str, since| Wanted {
        contains: Some(text.into()),
        extensions: vec![b"txt".to_vec()],
        max_size: Some(100),
        since: Some(since),
        ..Wanted::default()
    };
    let find = async |wanted: &Wanted| {
        let mut problems = Vec::new();
        let choice = Choice::new(wanted).unwrap();
        let items = place.find(&choice, true, true, &mut problems).await.unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        items
    };
    let before = store.requests();
    let found = find(&wanted("word-7-", Time::new(1, 500))).await;
    let paths: Vec<_> = found.iter().map(|item| item.path.as_bytes()).collect();
    assert_eq!(paths, [&b"007.txt"[..], b"\xff.txt"], "below the folder, and of this sort only");
    assert_eq!(store.requests() - before, 1);
    let stat = store.stat(&found[1].path).await.unwrap().unwrap();
    assert_eq!(
        (found[1].fingerprint(), found[1].kind),
        (stat.fingerprint(), stat.kind),
        "all that is told elsewhere"
    );
    assert_eq!(find(&wanted("text", Time::new(1, 0))).await.len(), 301);
    assert_eq!(find(&wanted("text", Time::new(4_000_000_000, 0))).await.len(), 0);
}
