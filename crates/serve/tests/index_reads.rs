//! How little a search with an index reads. It is counted for the whole process, so no other test runs in this one.

#[path = "server/support/mod.rs"]
#[expect(dead_code, reason = "the other tests' part of it")]
mod support;

use std::fs;
use std::path::Path;

use support::indexed::{Indexed, write};

/// Bytes that this process read so far, from files and connections.
fn bytes_read() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rare_word_is_found_without_reading_the_rest() {
    let text = |n: usize| format!("{n} ").repeat(20_000 + n);
    let fill = |root: &Path| (0..200).for_each(|n| write(root, &format!("d{}/f{n}", n % 7), text(n)));
    let mut indexed = Indexed::start(fill).await;
    let before = bytes_read();
    assert_eq!(indexed.contains("0 199 199").await, [] as [&str; 0]);
    assert_eq!(indexed.contains("199 199").await, ["d3/f199"]);
    assert_eq!(indexed.search("d2", "contains", b"37 37").await, [b"d2/f37"]);
    let read = bytes_read() - before;
    assert!(read < 3 << 20, "{read} bytes were read of some 16 MB");
    // So it is after another start, where nothing is read again.
    indexed.served.stop().await;
    let before = bytes_read();
    indexed.start_again().await;
    assert_eq!(indexed.ready().await, 200);
    assert_eq!(indexed.contains("199 199").await, ["d3/f199"]);
    let read = bytes_read() - before;
    assert!(read < 3 << 20, "{read} bytes were read of some 16 MB");
}
