//! Places behind a network, on the loopback device: S3, SMB, SFTP, each a real server.

use std::path::{Path, PathBuf};
use std::process::Command;

use sitta_testbed::{s3, samba, sshd};

use super::cases::add;
use super::{Bench, Contender, Target, data, table};
use crate::Result;
use crate::tools::thousands;

const BUCKET: &str = "bench";

/// A server, and how each tool is told of it.
struct Place {
    /// What the tables call it.
    name: &'static str,
    /// The place in each tool's words, up to the folder.
    sitta: String,
    rclone: String,
    variables: Vec<(String, String)>,
    /// Stopped when dropped.
    _server: Box<dyn std::any::Any>,
}

impl Place {
    fn s3(bench: &Bench) -> Result<Self> {
        servers(&["rclone"])?;
        let buckets = bench.dir.join("buckets");
        std::fs::create_dir_all(&buckets)?;
        let server = s3::S3Server::rclone(&buckets);
        server.create_bucket(BUCKET);
        let endpoint = server.endpoint();
        bench.configure(&format!(
            "[store.s3]\nurl = \"s3://{BUCKET}\"\nendpoint = \"{endpoint}\"\nkey_id = \"{}\"\n\
             secret = {{ env = \"AWS_SECRET_ACCESS_KEY\" }}\n",
            s3::KEY_ID
        ))?;
        let variables = [
            ("AWS_ACCESS_KEY_ID", s3::KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", s3::SECRET),
            ("AWS_REGION", "us-east-1"),
            ("S3_ENDPOINT_URL", &endpoint),
            ("RCLONE_CONFIG_S3_TYPE", "s3"),
            ("RCLONE_CONFIG_S3_PROVIDER", "Rclone"),
            ("RCLONE_CONFIG_S3_ENDPOINT", &endpoint),
            ("RCLONE_CONFIG_S3_ACCESS_KEY_ID", s3::KEY_ID),
            ("RCLONE_CONFIG_S3_SECRET_ACCESS_KEY", s3::SECRET),
        ];
        Ok(Self::new("S3", "s3:", &format!("s3:{BUCKET}/"), &variables, server))
    }

    fn smb(bench: &Bench) -> Result<Self> {
        servers(&["smbd", "smbpasswd", "useradd"])?;
        // On the disk that is measured.
        let options = samba::Options { folder: Some(bench.dir.join("share")), ..Default::default() };
        let server = samba::Samba::with(&options);
        let (user, port) = (samba::USER, server.port().to_string());
        bench.configure(&format!(
            "[store.smb]\nurl = \"{}\"\nuser = \"{user}\"\npassword = {{ env = \"BENCH_PASSWORD\" }}\n",
            server.url()
        ))?;
        let hidden = rclone_hides(samba::PASSWORD)?;
        let variables = [
            ("BENCH_PASSWORD", samba::PASSWORD),
            ("RCLONE_CONFIG_SMB_TYPE", "smb"),
            ("RCLONE_CONFIG_SMB_HOST", "127.0.0.1"),
            ("RCLONE_CONFIG_SMB_PORT", &port),
            ("RCLONE_CONFIG_SMB_USER", user),
            ("RCLONE_CONFIG_SMB_PASS", &hidden),
        ];
        Ok(Self::new("SMB", "smb:", &format!("smb:{}/", samba::SHARE), &variables, server))
    }

    fn sftp(bench: &Bench) -> Result<Self> {
        servers(&["sshd", "ssh-keygen"])?;
        let (server, files, user) = (sshd::Sshd::start(), bench.dir.join("sftp"), sshd::this_user());
        std::fs::create_dir_all(&files)?;
        let (port, key) = (server.port().to_string(), server.identity().display().to_string());
        let (known, files) = (server.known_hosts().display().to_string(), files.display().to_string());
        bench.configure(&format!(
            "[store.sftp]\nurl = \"sftp://{user}@127.0.0.1:{port}{files}\"\nidentity = \"{key}\"\nknown_hosts = \"{known}\"\n"
        ))?;
        let variables = [
            ("RCLONE_CONFIG_SFTP_TYPE", "sftp"),
            ("RCLONE_CONFIG_SFTP_HOST", "127.0.0.1"),
            ("RCLONE_CONFIG_SFTP_PORT", &port),
            ("RCLONE_CONFIG_SFTP_USER", &user),
            ("RCLONE_CONFIG_SFTP_KEY_FILE", &key),
            ("RCLONE_CONFIG_SFTP_KNOWN_HOSTS_FILE", &known),
            // Otherwise it starts a shell on the server for each file, to ask for its hash.
            ("RCLONE_CONFIG_SFTP_SHELL_TYPE", "none"),
            ("RCLONE_CONFIG_SFTP_DISABLE_HASHCHECK", "true"),
        ];
        Ok(Self::new("SFTP", "sftp:", &format!("sftp:{files}/"), &variables, server))
    }

    fn new(
        name: &'static str,
        sitta: &str,
        rclone: &str,
        variables: &[(&str, &str)],
        server: impl std::any::Any,
    ) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { name, sitta: sitta.into(), rclone: rclone.into(), variables, _server: Box::new(server) }
    }

    fn knowing(&self, mut command: Command) -> Command {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    fn sitta<'a>(&'a self, bench: &'a Bench, build: impl Fn(&mut Command, usize) + 'a) -> Contender<'a> {
        let command = move |round| {
            let mut command = self.knowing(bench.sitta(&[]));
            build(&mut command, round);
            command
        };
        Contender { name: "sitta", target: None, command: Box::new(command) }
    }

    fn peer<'a>(
        &'a self,
        list: &mut Vec<Contender<'a>>,
        (name, program): (&'static str, &str),
        target: Option<Target>,
        build: impl Fn(&mut Command, usize) + 'a,
    ) {
        add(list, name, program, target, move |command, round| {
            command.envs(self.variables.iter().map(|(name, value)| (name, value)));
            if program_is(command, "rclone") {
                command.args(["--config", "/dev/null", "-q"]);
            }
            build(command, round);
        });
    }
}

fn program_is(command: &Command, name: &str) -> bool {
    Path::new(command.get_program()).file_name().is_some_and(|file| file == name)
}

/// Says what is missing of what starts a server.
fn servers(programs: &[&str]) -> Result {
    let missing: Vec<_> = programs.iter().filter(|name| sitta_testbed::find(name).is_none()).copied().collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!("{} missing: --install brings the servers", missing.join(", ")).into()),
    }
}

/// rclone, if it is here, wants passwords in a form of its own.
fn rclone_hides(password: &str) -> Result<String> {
    let Some(rclone) = sitta_testbed::find("rclone") else { return Ok(String::new()) };
    let output = Command::new(rclone).args(["obscure", password]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

impl Bench {
    fn configure(&self, text: &str) -> Result {
        let dir = self.dir.join("config/sitta");
        std::fs::create_dir_all(&dir)?;
        Ok(std::fs::write(dir.join("config.toml"), text)?)
    }

    /// Files of exactly 4 KiB.
    fn blocks(&self, count: usize) -> Result<(PathBuf, usize)> {
        let (dir, files) = (self.dir.join(format!("blocks-{count}")), self.size(count));
        if !dir.exists() {
            data::blocks(&dir, files, 100, 4096)?;
        }
        Ok((dir, files))
    }

    fn one_large(&self) -> Result<(PathBuf, usize)> {
        let (dir, mebibytes) = (self.dir.join("one-large"), self.size(256));
        if !dir.exists() {
            data::large(&dir.join("file"), mebibytes)?;
        }
        Ok((dir, mebibytes))
    }
}

pub fn s3(bench: &Bench) -> Result {
    let place = &Place::s3(bench)?;
    let (small, files) = &bench.blocks(800)?;
    let (large, mebibytes) = &bench.one_large()?;
    let title = format!("S3: first copy of {files} files of 4 KiB");
    first(bench, place, small, &title, [Target::Cpu(0.7), Target::Cpu(1.0)])?;
    let title = format!("S3: first copy of {mebibytes} MiB");
    first(bench, place, large, &title, [Target::Cpu(0.7), Target::Cpu(1.0)])?;
    back(bench, place, small, &format!("S3: {files} files of 4 KiB back"))?;
    same(
        bench,
        place,
        small,
        &format!("S3: no change, {} files", thousands(*files as u64)),
        Some(Target::Cpu(0.5)),
    )?;
    list(bench, place, &format!("S3: listing {files} files"))
}

pub fn smb(bench: &Bench) -> Result {
    let place = &Place::smb(bench)?;
    let (small, files) = &bench.blocks(2_000)?;
    let (large, mebibytes) = &bench.one_large()?;
    let title = format!("SMB: first copy of {} files of 4 KiB", thousands(*files as u64));
    first(bench, place, small, &title, [Target::Wall(0.5), Target::Wall(1.0)])?;
    let title = format!("SMB: first copy of {mebibytes} MiB");
    first(bench, place, large, &title, [Target::Wall(1.0), Target::Wall(1.0)])?;
    back(bench, place, small, &format!("SMB: {} files of 4 KiB back", thousands(*files as u64)))?;
    same(bench, place, small, &format!("SMB: no change, {} files", thousands(*files as u64)), None)?;
    list(bench, place, &format!("SMB: listing {} files", thousands(*files as u64)))
}

pub fn sftp(bench: &Bench) -> Result {
    let place = &Place::sftp(bench)?;
    let (small, files) = &bench.blocks(2_000)?;
    let (large, mebibytes) = &bench.one_large()?;
    let title = format!("SFTP: first copy of {} files of 4 KiB", thousands(*files as u64));
    first(bench, place, small, &title, [Target::Wall(1.0), Target::Wall(1.0)])?;
    let title = format!("SFTP: first copy of {mebibytes} MiB");
    first(bench, place, large, &title, [Target::Wall(1.0), Target::Wall(1.0)])?;
    back(bench, place, small, &format!("SFTP: {} files of 4 KiB back", thousands(*files as u64)))?;
    same(bench, place, small, &format!("SFTP: no change, {} files", thousands(*files as u64)), None)?;
    list(bench, place, &format!("SFTP: listing {} files", thousands(*files as u64)))
}

/// A first copy, each time to a new folder there. The targets are against rclone and against the place's own tool.
fn first(bench: &Bench, place: &Place, from: &Path, title: &str, targets: [Target; 2]) -> Result {
    let tag = from.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut list = vec![place.sitta(bench, move |c, round| {
        c.args(["mirror", "-q"]).arg(from).arg(format!("{}{tag}-sitta-{round}", place.sitta));
    })];
    place.peer(&mut list, ("rclone", "rclone"), Some(targets[0]), move |c, round| {
        c.arg("sync").arg(from).arg(format!("{}{tag}-rclone-{round}", place.rclone));
    });
    match place.name {
        "S3" => place.peer(&mut list, ("s5cmd", "s5cmd"), Some(targets[1]), move |c, round| {
            c.args(["--log", "error", "cp"]).arg(format!("{}/*", from.display()));
            c.arg(format!("s3://{BUCKET}/{tag}-s5cmd-{round}/"));
        }),
        "SMB" => place.peer(&mut list, ("smbclient", "smbclient"), Some(targets[1]), move |c, round| {
            let port =
                place.variables.iter().find(|(name, _)| name.ends_with("_PORT")).map_or("", |(_, port)| port);
            c.arg(format!("//127.0.0.1/{}", samba::SHARE)).args(["-p", port]);
            c.args(["-d", "0", "-U", &format!("{}%{}", samba::USER, samba::PASSWORD)]).arg("-c").arg(format!(
                "mkdir {tag}-smbclient-{round}; cd {tag}-smbclient-{round}; lcd {}; prompt off; recurse on; mput *",
                from.display()
            ));
        }),
        _ => {}
    }
    table::print(title, &bench.race(3, list)?);
    Ok(())
}

/// What the first copy has sent comes back.
fn back(bench: &Bench, place: &Place, from: &Path, title: &str) -> Result {
    let tag = from.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let to = bench.dir.join(format!("back-{}", place.name));
    std::fs::create_dir_all(&to)?;
    let to = &to;
    let mut list = vec![place.sitta(bench, move |c, round| {
        c.args(["mirror", "-q"])
            .arg(format!("{}{tag}-sitta-0", place.sitta))
            .arg(to.join(format!("sitta-{round}")));
    })];
    place.peer(&mut list, ("rclone", "rclone"), None, move |c, round| {
        c.arg("sync").arg(format!("{}{tag}-rclone-0", place.rclone)).arg(to.join(format!("rclone-{round}")));
    });
    table::print(title, &bench.race(3, list)?);
    Ok(())
}

/// Nothing to do: each on what it sent itself.
fn same(bench: &Bench, place: &Place, from: &Path, title: &str, target: Option<Target>) -> Result {
    let tag = from.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut list = vec![place.sitta(bench, move |c, _| {
        c.args(["mirror", "-q"]).arg(from).arg(format!("{}{tag}-sitta-0", place.sitta));
    })];
    place.peer(&mut list, ("rclone", "rclone"), target, move |c, _| {
        c.arg("sync").arg(from).arg(format!("{}{tag}-rclone-0", place.rclone));
    });
    if place.name == "S3" {
        place.peer(&mut list, ("s5cmd", "s5cmd"), None, move |c, _| {
            c.args(["--log", "error", "sync"]).arg(format!("{}/", from.display()));
            c.arg(format!("s3://{BUCKET}/{tag}-s5cmd-0/"));
        });
    }
    table::print(title, &bench.race(5, list)?);
    Ok(())
}

fn list(bench: &Bench, place: &Place, title: &str) -> Result {
    let tag = if place.name == "S3" { "blocks-800" } else { "blocks-2000" };
    let mut list = vec![place.sitta(bench, move |c, _| {
        c.arg("find").arg(format!("{}{tag}-sitta-0", place.sitta));
    })];
    place.peer(&mut list, ("rclone", "rclone"), None, move |c, _| {
        c.args(["lsf", "-R"]).arg(format!("{}{tag}-rclone-0", place.rclone));
    });
    if place.name == "S3" {
        place.peer(&mut list, ("s5cmd", "s5cmd"), None, move |c, _| {
            c.arg("ls").arg(format!("s3://{BUCKET}/{tag}-s5cmd-0/*"));
        });
    }
    table::print(title, &bench.race(5, list)?);
    Ok(())
}
