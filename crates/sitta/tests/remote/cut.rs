//! Connections that break, servers that stand still, programs that are killed.

use std::time::Duration;

use rustix::process::Signal;

use crate::place::Place;
use crate::support::*;

/// Killed again and again while it sends: nothing half is ever seen there, and in the end all has arrived.
fn killed(place: &Place) {
    let world = place.world();
    many(&world.src, 300);
    put(&world.src, "large", Rng::seeded(5).bytes(30 << 20));
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
        if matches!(item.what, What::Dir) || name.contains(".sitta-tmp-") {
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
