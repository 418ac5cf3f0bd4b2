//! From one server to another: streamed, with nothing kept on this machine on the way.

use std::fs;
use std::path::Path;

use crate::place::Place;
use crate::support::*;

/// Both places in one config, as `one` and `two`.
fn between(from: &Place, to: &Place) {
    let world = from.world();
    many(&world.src, 60);
    put(&world.src, "large", Rng::seeded(9).bytes(12 << 20));
    from.up(&world).expect_code(0);
    let second = to.world();
    let config = |world: &World, name: &str| {
        let config = fs::read_to_string(world.path("config/sitta/config.toml")).expect("the config");
        config.replace("[store.there]", &format!("[store.{name}]"))
    };
    let both = config(&world, "one") + &config(&second, "two");
    fs::write(world.path("config/sitta/config.toml"), both).expect("written");
    let run = |verb: &str, source: &Path, destination: &Path| {
        let mut command = from.command(&world);
        command.envs(
            to.command(&second)
                .get_envs()
                .filter_map(|(name, value)| name.to_str().filter(|name| name.starts_with("THERE_")).zip(value)),
        );
        // Whoever wants a temporary file fails.
        command.env("TMPDIR", "/nonexistent");
        command.arg(verb).arg(source).arg(destination).arg("--json");
        finish(start(&mut command))
    };
    run("mirror", Path::new("one:"), Path::new("two:")).expect_code(0);
    let again = run("mirror", Path::new("one:"), Path::new("two:"));
    again.expect_code(0);
    again.expect_counts([0, 0, 0, 0]);
    run("mirror", Path::new("two:"), &world.dst).expect_code(0);
    let kept = |path: &Path| from.kept(&to.kept(&snapshot(path)));
    assert_same_snapshots(&kept(&world.src), &kept(&world.dst));
    to.assert_clean();
}

#[test]
fn s3_to_smb() {
    between(&Place::s3(), &Place::smb());
}

#[test]
fn smb_to_s3() {
    between(&Place::smb(), &Place::s3());
}

#[test]
fn sftp_to_s3() {
    between(&Place::sftp(), &Place::s3());
}

#[test]
fn smb_to_sftp() {
    between(&Place::smb(), &Place::sftp());
}
