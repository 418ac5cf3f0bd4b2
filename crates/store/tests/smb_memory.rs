//! The memory that the SMB store takes: alone in its process, so that nothing else is counted.

#[path = "smb/support.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod support;

use std::sync::Arc;

use futures::stream::StreamExt;
use sitta_store::{Source, Store, What};
use sitta_testbed::samba::Samba;

use crate::support::{new, open, path};

/// The most memory that this process has ever held, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("told");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("told");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_in_little_memory() {
    const SIZE: usize = 300 << 20;
    let samba = Samba::start();
    let home = tempfile::tempdir().expect("a folder");
    let block: Vec<u8> = (0..1_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(home.path().join("big"), block.repeat(SIZE >> 20)).expect("written");
    let local: Arc<dyn Store> = Arc::new(sitta_store::local::LocalStore::open(home.path()).expect("opened"));
    let store = open(&samba).await;
    let version = local.stat(&path("big")).await.expect("asked").expect("there").fingerprint();
    std::fs::write("/proc/self/clear_refs", "5").expect("the peak is reset");
    let before = peak();
    let source = Source::Stored { store: local, path: path("big"), version };
    let written = store.write(new("big", What::File(source)), &Arc::default()).await.expect("written");
    assert_eq!(written.entry.size, SIZE as u64);
    let mut at = 0;
    let mut stream = store.read(&path("big"), 0..u64::MAX).await.expect("begun");
    while let Some(piece) = stream.next().await {
        for byte in piece.expect("good").chunks(4096) {
            let from = at % block.len();
            let len = byte.len().min(block.len() - from);
            assert!(byte[..len] == block[from..from + len], "at {at}");
            at += byte.len();
        }
    }
    assert_eq!(at, SIZE);
    let more = peak().saturating_sub(before);
    assert!(more < 120 << 20, "{} MiB more than before", more >> 20);
}
