use std::io::{Seek, Write};

use super::*;

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder") }
    }

    fn cache(&self, limit: u64) -> Cache {
        Cache::open(self.dir.path(), limit).expect("a cache")
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.path()).expect("the folder").flatten();
        let mut names: Vec<_> = names.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
        names.retain(|name| !name.starts_with("files.db"));
        names.sort();
        names
    }
}

fn key(name: &str) -> Key {
    let version = Fingerprint { change: 1, ..Fingerprint::default() };
    Key::new("sitta://host/share", &RelPath::new(name).expect("a path"), &version)
}

fn add(cache: &Cache, name: &str, bytes: &[u8]) -> Added {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("write");
    let about = About {
        location: "sitta://host/share".into(),
        path: RelPath::new(name).expect("a path"),
        size: bytes.len() as u64,
        hash: ContentHash(*blake3::hash(bytes).as_bytes()),
    };
    cache.add(&key(name), &about, &mut file).expect("added")
}

fn read(cache: &Cache, name: &str) -> Option<Vec<u8>> {
    let (mut file, hash) = cache.find(&key(name)).expect("the table")?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).expect("read");
    assert_eq!(hash.0, *blake3::hash(&bytes).as_bytes());
    Some(bytes)
}

fn names(cache: &Cache) -> Vec<String> {
    cache.files().expect("the table").iter().map(|kept| kept.about.path.to_string()).collect()
}

#[test]
fn the_least_recently_used_file_leaves_first() {
    let bench = Bench::new();
    let cache = bench.cache(30);
    for name in ["a", "b", "c"] {
        assert_eq!(add(&cache, name, &[b'x'; 10]), Added::Kept);
    }
    assert!(read(&cache, "a").is_some(), "it is used");
    assert_eq!(add(&cache, "d", &[b'y'; 15]), Added::Kept);
    assert_eq!(names(&cache), ["d", "a"]);
    assert_eq!(bench.files().len(), 2, "the others are gone from the disk, too");
    assert_eq!(read(&cache, "d").as_deref(), Some(&[b'y'; 15][..]));
    assert_eq!(read(&cache, "b"), None);
}

#[test]
fn what_is_larger_than_the_cache_is_not_kept_and_costs_nothing_that_is() {
    let bench = Bench::new();
    let cache = bench.cache(30);
    add(&cache, "a", &[b'x'; 30]);
    assert_eq!(add(&cache, "b", &[b'x'; 31]), Added::TooLarge);
    assert_eq!((names(&cache), add(&cache, "a", &[b'x'; 30])), (vec!["a".to_owned()], Added::Known));
    assert_eq!(add(&bench.cache(0), "c", b"x"), Added::TooLarge, "a cache of nothing keeps nothing");
}

#[test]
fn a_lower_limit_holds_at_once() {
    let bench = Bench::new();
    add(&bench.cache(30), "a", &[b'x'; 10]);
    add(&bench.cache(30), "b", &[b'x'; 10]);
    assert_eq!(names(&bench.cache(10)), ["b"]);
    assert_eq!(bench.files().len(), 1);
}

#[test]
fn files_that_were_damaged_or_removed_by_hand_are_not_given() {
    let bench = Bench::new();
    let cache = bench.cache(100);
    for name in ["gone", "shorter", "link", "dir"] {
        add(&cache, name, b"bytes");
    }
    let place = |name| bench.dir.path().join(key(name).hex());
    fs::remove_file(place("gone")).expect("remove");
    fs::write(place("shorter"), b"byte").expect("write");
    fs::remove_file(place("link")).expect("remove");
    std::os::unix::fs::symlink("/etc/hostname", place("link")).expect("a link");
    fs::remove_file(place("dir")).expect("remove");
    fs::create_dir(place("dir")).expect("a folder");
    for name in ["gone", "shorter", "link", "dir"] {
        assert_eq!(read(&cache, name), None, "{name}");
    }
    assert_eq!(names(&cache), Vec::<String>::new());
}

#[test]
fn only_what_is_the_cache_s_own_is_swept_away() {
    let bench = Bench::new();
    add(&bench.cache(100), "a", b"bytes");
    let dir = bench.dir.path();
    let temp = NAMES.next().replace(&format!("-{}-", std::process::id()), "-2147483646-");
    fs::write(dir.join(&temp), b"half").expect("write");
    fs::write(dir.join("0".repeat(64)), b"nobody's").expect("write");
    fs::write(dir.join("notes.txt"), b"somebody's").expect("write");
    let cache = bench.cache(100);
    assert_eq!(bench.files(), [key("a").hex(), "notes.txt".into()]);
    assert_eq!(names(&cache), ["a"]);
}

#[test]
fn what_a_program_that_was_killed_had_begun_is_forgotten() {
    let bench = Bench::new();
    let cache = bench.cache(10);
    add(&cache, "a", &[b'x'; 10]);
    let temp = NAMES.next().replace(&format!("-{}-", std::process::id()), "-2147483646-");
    let raw = rusqlite::Connection::open(bench.dir.path().join("files.db")).expect("the table");
    raw.execute("UPDATE file SET temp = ?", [&temp]).expect("as if it were not there yet");
    assert_eq!(read(&cache, "a"), None);
    assert_eq!(add(&cache, "b", b"x"), Added::TooLarge, "as long as nobody has swept, its room is taken");
    let cache = bench.cache(10);
    assert_eq!((bench.files().len(), add(&cache, "b", b"x")), (0, Added::Kept));
}

#[test]
fn a_damaged_table_is_made_anew() {
    let bench = Bench::new();
    add(&bench.cache(100), "a", b"bytes");
    fs::write(bench.dir.path().join("files.db"), [b'?'; 8192]).expect("write");
    let cache = bench.cache(100);
    assert_eq!((names(&cache).len(), bench.files().len()), (0, 0));
    assert_eq!(add(&cache, "a", b"bytes"), Added::Kept);
}

#[test]
fn a_copy_that_is_of_another_size_is_not_kept() {
    let bench = Bench::new();
    let cache = bench.cache(100);
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(b"four").and_then(|()| file.rewind()).expect("write");
    for size in [3, 5] {
        let path = RelPath::new("a").expect("a path");
        let about = About { location: String::new(), path, size, hash: ContentHash([0; 32]) };
        cache.add(&key("a"), &about, &mut file).expect_err("another size");
    }
    assert_eq!((names(&cache).len(), bench.files().len()), (0, 0));
}

#[test]
fn several_processes_keep_to_one_limit() {
    let bench = Bench::new();
    // Each with a connection of its own, as in processes of their own.
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let bench = &bench;
            scope.spawn(move || {
                let cache = bench.cache(1000);
                for turn in 0..50 {
                    let name = format!("{}", (worker * 7 + turn * 3) % 20);
                    let bytes = vec![b'x'; 100 + name.len()];
                    match read(&cache, &name) {
                        Some(found) => assert_eq!(found, bytes),
                        None => drop(add(&cache, &name, &bytes)),
                    }
                    let all: u64 = cache.files().expect("the table").iter().map(|kept| kept.about.size).sum();
                    assert!(all <= 1000, "{all}");
                }
            });
        }
    });
    let cache = bench.cache(1000);
    let on_disk: u64 =
        bench.files().iter().map(|f| fs::metadata(bench.dir.path().join(f)).expect("it").len()).sum();
    let listed: u64 = cache.files().expect("the table").iter().map(|kept| kept.about.size).sum();
    assert_eq!(on_disk, listed);
}
