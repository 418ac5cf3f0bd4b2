//! Servers, and what the program has to know to get in.

use std::any::Any;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sitta_testbed::{s3, samba, sshd};

use crate::support::*;

/// What a kind of place keeps of an entry.
#[derive(Debug, Clone, Copy)]
pub struct Keeps {
    pub modes: bool,
    pub owners: bool,
    pub links: bool,
    /// Empty directories, and the times of all of them.
    pub dirs: bool,
    /// Ticks of its clock in nanoseconds; 0: it keeps no times.
    pub tick: u64,
}

/// A server, known to the program as the store `there`.
pub struct Place {
    pub name: &'static str,
    pub keeps: Keeps,
    config: String,
    variables: Vec<(&'static str, String)>,
    /// Where its files are on this machine.
    pub disk: Option<PathBuf>,
    pub port: u16,
    server: Box<dyn Any>,
    _home: tempfile::TempDir,
}

impl Place {
    pub fn s3() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let server = s3::S3Server::rclone(home.path());
        server.create_bucket("bucket");
        Self::object_store("S3 of rclone", home, server)
    }

    pub fn moto() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let server = s3::S3Server::moto();
        server.create_bucket("bucket");
        let place = Self::object_store("S3 of moto", home, server);
        Self { disk: None, ..place }
    }

    fn object_store(name: &'static str, home: tempfile::TempDir, server: s3::S3Server) -> Self {
        let (port, disk) = (server.port(), home.path().join("bucket"));
        let config = format!(
            "[store.there]\nurl = \"s3://bucket/top\"\nendpoint = \"http://127.0.0.1:{port}\"\n\
             key_id = \"{}\"\nsecret = {{ env = \"THERE_SECRET\" }}\n",
            s3::KEY_ID
        );
        let keeps = Keeps { modes: true, owners: false, links: false, dirs: false, tick: 1 };
        let variables = vec![("THERE_SECRET", s3::SECRET.to_owned())];
        Self {
            name,
            keeps,
            config,
            variables,
            disk: Some(disk.join("top")),
            port,
            server: Box::new(server),
            _home: home,
        }
    }

    pub fn smb() -> Self {
        let (home, server) = (tempfile::tempdir().expect("a folder"), samba::Samba::start());
        let (port, disk) = (server.port(), server.folder().join("top"));
        let config = format!(
            "[store.there]\nurl = \"smb://{}@127.0.0.1:{port}/{}/top\"\npassword = {{ env = \"THERE_PASSWORD\" }}\n",
            samba::USER,
            samba::SHARE
        );
        let keeps = Keeps { modes: false, owners: false, links: false, dirs: true, tick: 100 };
        let variables = vec![("THERE_PASSWORD", samba::PASSWORD.to_owned())];
        Self {
            name: "SMB",
            keeps,
            config,
            variables,
            disk: Some(disk),
            port,
            server: Box::new(server),
            _home: home,
        }
    }

    pub fn sftp() -> Self {
        let (home, server) = (tempfile::tempdir().expect("a folder"), sshd::Sshd::start());
        let (port, disk) = (server.port(), server.files().join("top"));
        let config = format!(
            "[store.there]\nurl = \"sftp://root@127.0.0.1:{port}{}\"\nidentity = \"{}\"\nknown_hosts = \"{}\"\n",
            disk.display(),
            server.identity().display(),
            server.known_hosts().display()
        );
        let keeps = Keeps { modes: true, owners: true, links: true, dirs: true, tick: 1_000_000_000 };
        Self {
            name: "SFTP",
            keeps,
            config,
            variables: Vec::new(),
            disk: Some(disk),
            port,
            server: Box::new(server),
            _home: home,
        }
    }

    /// A world whose program knows this place.
    pub fn world(&self) -> World {
        let world = World::new();
        self.introduce(&world, self.port);
        world
    }

    /// Tells the world's program of this place, at another port than its own (a proxy's).
    pub fn introduce(&self, world: &World, port: u16) {
        let dir = world.path("config/sitta");
        fs::create_dir_all(&dir).expect("mkdir");
        let mut config = self.config.replace(&format!(":{}", self.port), &format!(":{port}"));
        if let Some(server) = self.server.downcast_ref::<sshd::Sshd>() {
            let known = |path: PathBuf| path.display().to_string();
            config = config.replace(&known(server.known_hosts()), &known(server.known_at(port)));
        }
        fs::write(dir.join("config.toml"), config).expect("the config");
    }

    /// The program with the secrets in its environment.
    pub fn command(&self, world: &World) -> Command {
        let mut command = world.command();
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// `sitta VERB FROM TO --json`.
    pub fn run(&self, world: &World, verb: &str, from: &Path, to: &Path, options: &[&str]) -> Run {
        let mut command = self.command(world);
        command.arg(verb).arg(from).arg(to).arg("--json").args(options);
        finish(start(&mut command))
    }

    /// Mirrors the world's source there.
    pub fn up(&self, world: &World) -> Run {
        self.run(world, "mirror", &world.src, Path::new("there:"), &[])
    }

    /// Mirrors what is there to the world's destination.
    pub fn down(&self, world: &World) -> Run {
        self.run(world, "mirror", Path::new("there:"), &world.dst, &[])
    }

    /// What is left of a tree that went through this place.
    pub fn kept(&self, tree: &Snapshot) -> Snapshot {
        let mut kept = tree.clone();
        let full: BTreeSet<Vec<u8>> = kept
            .iter()
            .filter(|(_, item)| !matches!(item.what, What::Dir))
            .flat_map(|(path, _)| {
                let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
                slashes.map(|(at, _)| path[..at].to_vec()).collect::<Vec<_>>()
            })
            .collect();
        kept.retain(|path, item| match item.what {
            What::Dir => self.keeps.dirs || full.contains(path),
            What::Link(_) => self.keeps.links,
            _ => true,
        });
        for item in kept.values_mut() {
            let is_dir = matches!(item.what, What::Dir);
            if !self.keeps.modes || (is_dir && !self.keeps.dirs) {
                item.mode = 0;
            }
            if !self.keeps.owners {
                item.owner = (0, 0);
            }
            item.mtime = match self.keeps.tick {
                0 => (0, 0),
                _ if is_dir && !self.keeps.dirs => (0, 0),
                tick => rounded(item.mtime, tick),
            };
        }
        kept
    }

    /// Demands that both folders hold the same, as far as this place keeps it.
    #[track_caller]
    pub fn assert_same(&self, left: &Path, right: &Path) {
        assert_same_snapshots(&self.kept(&snapshot(left)), &self.kept(&snapshot(right)));
    }

    /// Demands that no temporary of ours is left there.
    #[track_caller]
    pub fn assert_clean(&self) {
        if let Some(disk) = &self.disk {
            assert_no_temporaries(disk);
        }
    }
}

fn rounded((secs, nanos): (i64, u64), tick: u64) -> (i64, u64) {
    if tick >= 1_000_000_000 { (secs, 0) } else { (secs, nanos - nanos % tick) }
}

/// A tree of what this place can hold.
pub fn fill(world: &World, place: &Place) {
    assorted(&world.src);
    many(&world.src.join("many"), 120);
    put(&world.src, "names/with space & ampersand", "1");
    put(&world.src, "names/per%20cent%", "2");
    put(&world.src, "names/question?hash#plus+", "3");
    put(&world.src, "names/\u{e4}\u{2603}\u{1f426}", "4");
    put(&world.src, "large", Rng::seeded(3).bytes(20 << 20));
    if !place.keeps.links {
        for name in ["to-text", "to-dir", "dangling"] {
            fs::remove_file(world.src.join(name)).expect("a link");
        }
    }
}
