//! Connections that break, servers that stand still, programs that are killed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use rustix::process::Signal;
use sitta_testbed::proxy::Proxy;

use crate::place::Place;
use crate::support::*;

/// Directories get whole seconds, long ago: no server's clock is near them by chance.
fn settle_times(root: &std::path::Path) {
    for (n, (path, item)) in snapshot(root).iter().enumerate() {
        if matches!(item.what, What::Dir) {
            set_mtime(&root.join(OsStr::from_bytes(path)), 1_500_000_000 + n as i64, 0);
        }
    }
}

/// Killed again and again while it sends: nothing half is ever seen there, and in the end all has arrived.
fn killed(place: &Place) {
    let world = place.world();
    many(&world.src, 300);
    put(&world.src, "large", Rng::seeded(5).bytes(30 << 20));
    settle_times(&world.src);
    let mut rng = Rng::seeded(11);
    for round in 0..8 {
        let mut command = place.command(&world);
        command.arg("mirror").arg(&world.src).arg("there:").arg("-q");
        let mut child = start(&mut command);
        std::thread::sleep(Duration::from_millis(20 + rng.below(250) as u64));
        let ended = child.try_wait().expect("known").is_some();
        if !ended {
            signal(child.id(), Signal::KILL);
        }
        finish(child);
        if let Some(disk) = place.disk.as_ref().filter(|disk| disk.exists()) {
            assert_whole(&world.src, disk, round);
        }
        if ended {
            break;
        }
    }
    let run = place.up(&world);
    run.expect_code(0);
    place.assert_clean();
    place.down(&world).expect_code(0);
    place.assert_same(&world.src, &world.dst);
}

/// Every file that is seen there is whole.
#[track_caller]
fn assert_whole(source: &std::path::Path, disk: &std::path::Path, round: usize) {
    let source = snapshot(source);
    for (path, item) in snapshot(disk) {
        let name = String::from_utf8_lossy(&path).into_owned();
        // rclone's server has temporaries of its own.
        if matches!(item.what, What::Dir)
            || [".sitta-tmp-", ".rclone_temp_put_"].iter().any(|own| name.contains(own))
        {
            continue;
        }
        let sent = source.get(&path).unwrap_or_else(|| panic!("round {round}: {name} was never sent"));
        assert!(sent.what == item.what, "round {round}: {name} is not whole");
    }
}

#[test]
fn killed_smb() {
    killed(&Place::smb());
}

#[test]
fn killed_sftp() {
    killed(&Place::sftp());
}

#[test]
fn killed_s3() {
    killed(&Place::s3());
}

const CUTS: u64 = 10;

/// The connection is cut in the middle of a file, ten times on the way there and ten times back: one run each, nobody
/// has to do anything, and all arrives. Where there is only one connection, all that is in flight ends with it each time.
fn cut_ten_times(place: &Place) {
    let world = place.world();
    let proxy = Proxy::to(place.port);
    place.introduce(&world, proxy.port());
    many(&world.src, 60);
    let mut rng = Rng::seeded(23);
    for i in 0..16 {
        put(&world.src, format!("d{}/some {i}", i % 3), rng.bytes(4 << 20));
    }
    put(&world.src, "large", rng.bytes(40 << 20));
    settle_times(&world.src);
    for way in [Place::up, Place::down] {
        let before = proxy.cuts();
        // No connection ends between two files: each has moved more than one by then, and no whole number of them.
        proxy.cut_after(5 << 20, CUTS);
        let run = way(place, &world);
        run.expect_code(0);
        assert_eq!(run.problems(), Vec::<String>::new());
        assert_eq!(proxy.cuts() - before, CUTS, "{}", place.name);
        proxy.pass();
    }
    place.assert_clean();
    place.assert_same(&world.src, &world.dst);
    if let Some(disk) = &place.disk {
        place.assert_same(&world.src, disk);
    }
    place.up(&world).expect_counts([0, 0, 0, 0]);
}

#[test]
fn cut_ten_times_smb() {
    cut_ten_times(&Place::smb());
}

#[test]
fn cut_ten_times_sftp() {
    cut_ten_times(&Place::sftp());
}

#[test]
fn cut_ten_times_s3() {
    cut_ten_times(&Place::s3());
}
