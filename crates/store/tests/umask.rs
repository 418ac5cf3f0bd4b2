//! The process's umask takes nothing from the permissions that were asked for. Alone in its program: it is everybody's.

use std::sync::Arc;

use sitta_store::local::LocalStore;
use sitta_store::{Displaced, Precondition, Source, Store, TEMP_PREFIX, What, Write};
use sitta_tree::{Meta, RelPath, Time};

#[tokio::test]
async fn permissions_are_as_asked_for_under_any_umask() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let home = tempfile::tempdir().expect("a temporary folder");
    let store = LocalStore::open(home.path()).expect("opened");
    let new = |at: &str, mode: u32, what: What| Write {
        path: RelPath::new(at).expect("a valid path"),
        what,
        meta: Meta { mode, mtime: Time::new(1_600_000_000, 0), ..Meta::default() },
        expect: Precondition::Absent,
        displaced: Displaced::Discard,
        temp: format!("{TEMP_PREFIX}{}", at.replace('/', "-")).into(),
    };
    let file = || What::File(Source::Bytes("x".into()));
    let mut writes = vec![new("first", 0o600, file()), new("d", 0o755, What::Dir)];
    for mode in [0o666, 0o644, 0o777, 0o640] {
        writes.push(new(&format!("d/{mode:o}"), mode, file()));
        writes.push(new(&format!("{mode:o}"), mode, file()));
    }
    writes.push(new("default", 0, file()));
    let wanted: Vec<_> = writes.iter().map(|write| write.meta.mode).collect();
    for (result, mode) in store.write_batch(writes, &Arc::default()).await.into_iter().zip(wanted) {
        let written = result.unwrap();
        let expected = if mode == 0 { 0o600 } else { mode };
        assert_eq!(format!("{:o}", written.entry.meta.mode), format!("{expected:o}"));
    }
}
