//! The nightly archive, from a real web server to a real share, told by real mail: a zip is served, one member of it
//! fetched, checked, packed, uploaded, old archives cleaned. Each of the six steps fails in turn.

use std::fs;

use super::night::{Night, OLD, STEPS, Wish, skips};
use super::support::*;

#[test]
fn the_nightly_archive_arrives_and_is_told() {
    if skips("the_nightly_archive_arrives_and_is_told") {
        return;
    }
    for attach in [true, false] {
        let mut night =
            Night::with(Wish { mail: if attach { "attach_log = true\n" } else { "" }, ..Wish::default() });
        let (run, mail, told) = night.run("nightly", |_| ());
        run.expect_code(0);
        let names: Vec<_> = told["named_steps"].as_array().expect("steps").iter().map(|s| &s["step"]).collect();
        assert_eq!(names, STEPS, "in order");
        assert!(told["named_steps"].as_array().expect("steps").iter().all(|s| s["state"] == "done"), "{told}");
        assert!(mail.contains("Subject: sitta: nightly succeeded on "), "{mail}");
        for step in STEPS {
            assert!(mail.lines().any(|line| line.starts_with(step) && line.contains("done: ")), "{step}: {mail}");
        }
        assert_eq!(mail.contains("Content-Disposition: attachment"), attach, "{mail}");
        let archives = night.archives();
        assert_eq!(archives.len(), 4, "three stay, and what is not the job's: {archives:?}");
        assert!(archives.contains(&"nightly-notes.txt".to_owned()), "{archives:?}");
        assert!(!archives.iter().any(|name| name == OLD[0] || name == OLD[1]), "{archives:?}");
        let new = archives.iter().find(|name| name.ends_with(".tgz") && !OLD.contains(&name.as_str()));
        let new = night.share.folder().join("db").join(new.expect("a new archive"));
        let unpacked = night.world.path("unpacked");
        fs::create_dir(&unpacked).expect("mkdir");
        run_tool("tar", &["-xzf", new.to_str().expect("UTF-8"), "-C", unpacked.to_str().expect("UTF-8")]);
        assert_eq!(snapshot(&unpacked).len(), 1, "one member alone");
        let packed = fs::read(unpacked.join("db.sql")).expect("unpacked");
        assert!(packed == fs::read(night.world.src.join("dump/db.sql")).expect("there"));
    }
}

#[test]
fn each_step_fails_in_turn() {
    if skips("each_step_fails_in_turn") {
        return;
    }
    let mut night = Night::begin();
    let zip = fs::read(night.zip()).expect("served");

    fs::remove_file(night.zip()).expect("removed");
    night.fails("DOWNLOAD", "dump.zip", 1);

    fs::write(night.zip(), &zip[..zip.len() / 2]).expect("written");
    night.fails("EXTRACT", "zip", 1);

    let dump = night.world.src.join("dump/db.sql");
    set_mtime(&dump, 1_600_000_000, 0);
    night.serve();
    night.fails("CHECK", "old", 4);

    run_tool("touch", &[dump.to_str().expect("UTF-8")]);
    night.serve();
    let mut damaged = fs::read(night.zip()).expect("served");
    // In the middle of the member's bytes, which come first.
    damaged[150_000] ^= 0xff;
    fs::write(night.zip(), damaged).expect("written");
    night.fails("EXTRACT", "checksum", 1);

    put(&night.world.src, "large", Rng::seeded(5).bytes(24 << 20));
    night.job_fails("folder", "COMPRESS", "changed while", 1, |night| {
        std::thread::sleep(std::time::Duration::from_millis(1500));
        fs::write(night.world.src.join("large"), "cut off").expect("written");
    });

    night.serve();
    night.share.kill();
    night.fails("UPLOAD", "refused", 1);
    night.share.restart();

    // What the server's own system does not let go, so that Samba's word is not to be trusted.
    let folder = night.share.folder().join("db");
    run_tool("chattr", &["+i", folder.join(OLD[0]).to_str().expect("UTF-8")]);
    night.fails("CLEAN", "still there", 3);
    run_tool("chattr", &["-i", folder.join(OLD[0]).to_str().expect("UTF-8")]);

    let (run, mail, _) = night.run("nightly", |_| ());
    run.expect_code(0);
    assert!(mail.contains("nightly succeeded"), "{mail}");
}
