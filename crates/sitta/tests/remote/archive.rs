//! Archives to real servers, and the nightly job that the first document asks for.

use std::fs;
use std::path::Path;
use std::process::Command;

use sitta_testbed::nginx::Nginx;
use sitta_testbed::proxy::Proxy;

use crate::place::Place;
use crate::support::*;

/// The states of the steps in a report, in order.
#[track_caller]
fn steps(run: &Run) -> Vec<(String, String)> {
    let report = run.report();
    let steps = report["steps"].as_array().expect("steps").iter();
    steps.map(|s| (s["step"].as_str().unwrap().to_owned(), s["state"].as_str().unwrap().to_owned())).collect()
}

fn archive(place: &Place, world: &World, src: &str, dst: &str, options: &[&str]) -> Run {
    let mut command = place.command(world);
    command.arg("archive").arg(src).arg(dst).arg("--json").args(options);
    finish(start(&mut command))
}

/// Packed to the server, replaced, kept, and unpacked from there.
fn there_and_back(place: &Place) {
    let world = place.world();
    many(&world.src, 100);
    put(&world.src, "large", Rng::seeded(7).bytes(25 << 20));
    let src = world.src.to_str().expect("UTF-8");
    for ending in ["tar.zst", "tgz", "zip"] {
        for _ in 0..2 {
            let run = archive(place, &world, src, &format!("there:db/{{date}}.{ending}"), &["--keep", "last=1"]);
            run.expect_code(0);
            let report = run.report();
            assert_eq!((&report["copied"], &report["deleted"]), (&101.into(), &0.into()), "{}", place.name);
            place.assert_clean();
        }
        let run = place.run(
            &world,
            "unpack",
            Path::new(&format!("there:db/{}", today(place, &world, ending))),
            &world.dst,
            &[],
        );
        run.expect_code(0);
        assert_same_snapshots(&ticked(&world.src), &ticked(&world.dst));
        fs::remove_dir_all(&world.dst).expect("there");
        fs::create_dir(&world.dst).expect("mkdir");
    }
    for (name, text) in [("2020-01-01.tgz", "old"), ("2020-01-01.tgz.x", "not ours")] {
        put(&world.dst, name, text);
    }
    place.run(&world, "copy", &world.dst, Path::new("there:db"), &[]).expect_code(0);
    let run = archive(place, &world, src, "there:db/{date}.tgz", &["--keep", "within=30d"]);
    run.expect_code(0);
    assert_eq!(run.report()["deleted"], 1);
    let listing = place.command(&world).args(["ls", "there:db"]).output().expect("it runs").stdout;
    let listing = String::from_utf8_lossy(&listing).into_owned();
    assert!(!listing.contains("2020-01-01.tgz\n") && listing.contains("2020-01-01.tgz.x"), "{listing}");
    let all = format!("{}{}", run.out(), run.err());
    assert!(!all.contains("hunter2") && !all.contains(sitta_testbed::samba::PASSWORD), "no secret is told");
}

/// A tree with times as a zip keeps them at best.
fn ticked(root: &Path) -> Snapshot {
    let mut tree = snapshot(root);
    tree.values_mut().for_each(|item| item.mtime.1 -= item.mtime.1 % 100);
    tree
}

/// The name of the archive that was made today.
fn today(place: &Place, world: &World, ending: &str) -> String {
    let listing = place.command(world).args(["ls", "there:db"]).output().expect("it runs").stdout;
    let listing = String::from_utf8_lossy(&listing).into_owned();
    listing.lines().find(|line| line.ends_with(ending)).expect("an archive").to_owned()
}

#[test]
fn there_and_back_smb() {
    there_and_back(&Place::smb());
}

#[test]
fn there_and_back_sftp() {
    there_and_back(&Place::sftp());
}

#[test]
fn there_and_back_s3() {
    there_and_back(&Place::s3());
}

#[test]
fn there_and_back_moto() {
    there_and_back(&Place::moto());
}

#[test]
fn to_webdav() {
    let (world, server) = (World::new(), Nginx::start());
    put(&world.src, "large", Rng::seeded(7).bytes(9 << 20));
    let to = format!("webdav://{}/db/{{date}}.zip", server.dav());
    let run = world.sitta(&["archive", world.src.to_str().unwrap(), &to, "--json", "--keep", "last=2"]);
    run.expect_code(0);
    assert_eq!(steps(&run)[4], ("UPLOAD".into(), "done".into()));
}

/// Makes what the web server gives: a zip with the database in it.
fn serve(world: &World, server: &Nginx, content: &[u8]) -> String {
    put(&world.path("made"), "data.sql", content);
    put(&world.path("made"), "readme.txt", "not meant");
    let _ = fs::remove_file(server.root().join("data.zip"));
    let mut zip = Command::new("zip");
    zip.arg("-q")
        .arg(server.root().join("data.zip"))
        .args(["data.sql", "readme.txt"])
        .current_dir(world.path("made"));
    assert!(zip.status().expect("zip runs").success());
    format!("http://{}/data.zip!/data.sql", server.files())
}

/// Downloads a zip from a web server, takes one file out of it, checks its age, packs it, uploads it, cleans up.
#[test]
fn the_nightly_job() {
    let (place, server) = (Place::smb(), Nginx::start());
    let world = place.world();
    let content = "insert into t values (1);\n".repeat(200_000);
    let from = serve(&world, &server, content.as_bytes());
    put(&world.dst, "2020-01-01.tgz", "old");
    place.run(&world, "copy", &world.dst, Path::new("there:db"), &[]).expect_code(0);
    let options = ["--max-age", "24h", "--keep", "within=30d"];
    let run = archive(&place, &world, &from, "there:db/{date}.tgz", &options);
    run.expect_code(0);
    let names = ["DOWNLOAD", "EXTRACT", "CHECK", "COMPRESS", "UPLOAD", "CLEAN"];
    assert_eq!(steps(&run), names.map(|name| (name.to_owned(), "done".to_owned())));
    let made = place.disk.as_ref().expect("a disk").join("db").join(today(&place, &world, "tgz"));
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(made).current_dir(&world.dst);
    assert!(tar.status().expect("tar runs").success());
    assert!(fs::read(world.dst.join("data.sql")).expect("unpacked") == content.as_bytes());
    assert!(!place.disk.as_ref().unwrap().join("db/2020-01-01.tgz").exists());

    // A person reads each of the steps by its name.
    let mut command = place.command(&world);
    command.args(["archive", &from, "there:db/{date}.tgz"]).args(options);
    let told = finish(start(&mut command)).err();
    for name in names {
        assert!(told.lines().any(|line| line.starts_with(name)), "{name} is not in {told}");
    }
}

#[test]
fn nightly_jobs_that_fail() {
    let (place, mut server) = (Place::smb(), Nginx::start());
    let world = place.world();
    let from = serve(&world, &server, &Rng::seeded(3).bytes(4 << 20));
    let to = "there:db/{date}.tgz";
    put(&world.dst, "2020-01-01.tgz", "old");
    place.run(&world, "copy", &world.dst, Path::new("there:db"), &[]).expect_code(0);
    let keep = ["--keep", "within=30d"];
    let failed = |run: &Run, code: i32, step: &str| {
        run.expect_code(code);
        let steps = steps(run);
        assert!(steps.contains(&(step.to_owned(), "failed".to_owned())), "{steps:?}");
        assert!(steps.iter().all(|(name, state)| name != "CLEAN" || state == "skipped"), "{steps:?}");
        let there: Vec<_> = fs::read_dir(place.disk.as_ref().unwrap().join("db")).expect("there").collect();
        assert_eq!(there.len(), 1, "nothing came, nothing went");
    };
    let member = from.replace("data.sql", "none.sql");
    failed(&archive(&place, &world, &member, to, &keep), 4, "EXTRACT");
    set_mtime(&world.path("made/data.sql"), 1_000_000_000, 0);
    let zip = server.root().join("data.zip");
    fs::remove_file(&zip).expect("there");
    let mut again = Command::new("zip");
    again.arg("-q").arg(&zip).arg("data.sql").current_dir(world.path("made"));
    assert!(again.status().expect("zip runs").success());
    failed(&archive(&place, &world, &from, to, &["--max-age", "24h", "--keep", "within=30d"]), 4, "CHECK");
    // Damaged in the middle of the member, then cut off.
    let whole = fs::read(&zip).expect("made");
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 0x55;
    fs::write(&zip, damaged).expect("written");
    failed(&archive(&place, &world, &from, to, &keep), 1, "EXTRACT");
    fs::write(&zip, &whole[..whole.len() / 2]).expect("written");
    failed(&archive(&place, &world, &from, to, &keep), 1, "EXTRACT");
    fs::remove_file(&zip).expect("there");
    failed(&archive(&place, &world, &from, to, &keep), 1, "DOWNLOAD");
    server.kill();
    failed(&archive(&place, &world, &from, to, &keep), 1, "DOWNLOAD");
}

/// The share is gone in the middle of the upload.
#[test]
fn the_share_is_gone_in_mid_upload() {
    let place = Place::smb();
    let world = place.world();
    put(&world.src, "large", Rng::seeded(7).bytes(40 << 20));
    put(&world.dst, "2020-01-01.tgz", "old");
    place.run(&world, "copy", &world.dst, Path::new("there:db"), &[]).expect_code(0);
    let proxy = Proxy::to(place.port);
    place.introduce(&world, proxy.port());
    let mut command = place.command(&world);
    command.arg("archive").arg(&world.src).args(["there:db/{date}.tgz", "--json", "--keep", "within=1d"]);
    let child = start(&mut command);
    while proxy.sent() < 12 << 20 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    proxy.refuse();
    proxy.cut();
    let run = finish(child);
    run.expect_code(1);
    let steps = steps(&run);
    assert!(steps.contains(&("UPLOAD".into(), "failed".into())), "{steps:?}");
    assert!(steps.contains(&("CLEAN".into(), "skipped".into())), "{steps:?}");
    let there = snapshot(place.disk.as_ref().unwrap());
    let seen: Vec<_> = there.keys().filter(|path| !String::from_utf8_lossy(path).contains(".sitta-tmp-")).collect();
    assert_eq!(seen, [&b"db"[..], b"db/2020-01-01.tgz"]);
    // The next one clears away what is left of it.
    place.introduce(&world, place.port);
    archive(&place, &world, world.src.to_str().unwrap(), "there:db/{date}.tgz", &[]).expect_code(0);
    place.assert_clean();
}

/// A connection that breaks once costs a new beginning, no archive.
#[test]
fn one_cut_is_survived() {
    let place = Place::smb();
    let world = place.world();
    put(&world.src, "large", Rng::seeded(7).bytes(20 << 20));
    let proxy = Proxy::to(place.port);
    place.introduce(&world, proxy.port());
    proxy.cut_after(6 << 20, 1);
    let run = archive(&place, &world, world.src.to_str().unwrap(), "there:a.tar.zst", &[]);
    run.expect_code(0);
    assert_eq!(proxy.cuts(), 1);
    place.run(&world, "unpack", Path::new("there:a.tar.zst"), &world.dst, &[]).expect_code(0);
    assert_same(&world.src, &world.dst);
}
