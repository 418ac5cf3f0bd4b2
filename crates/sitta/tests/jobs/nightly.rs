//! The nightly archive, from a real web server to a real share, told by real mail: a zip is served, one member of it
//! fetched, checked, packed, uploaded, old archives cleaned. Each of the six steps fails in turn.

use std::fs;
use std::path::PathBuf;

use sitta_testbed::exim::Exim;
use sitta_testbed::nginx::Nginx;
use sitta_testbed::samba::{self, Samba};

use super::support::*;
use super::{configure, history};

const STEPS: [&str; 6] = ["DOWNLOAD", "EXTRACT", "CHECK", "COMPRESS", "UPLOAD", "CLEAN"];

/// Old archives of the job, the newest last; three are to stay.
const OLD: [&str; 4] =
    ["nightly-2026-01-01.tgz", "nightly-2026-01-02.tgz", "nightly-2026-01-03.tgz", "nightly-2026-01-04.tgz"];

struct Night {
    world: World,
    web: Nginx,
    share: Samba,
    mail: Exim,
    mails: usize,
}

impl Night {
    fn begin(more: &str) -> Self {
        let (world, web, share, mail) = (World::new(), Nginx::start(), Samba::start(), Exim::start());
        put(&world.src, "dump/db.sql", Rng::seeded(3).bytes(300_000));
        put(&world.src, "other/large", Rng::seeded(4).bytes(2 << 20));
        let folder = share.folder().join("db");
        fs::create_dir(&folder).expect("mkdir");
        run_tool("chown", &[samba::USER, folder.to_str().expect("UTF-8")]);
        for old in OLD {
            put(&folder, old, "an old archive");
        }
        put(&folder, "nightly-notes.txt", "not of the job");
        configure(
            &world,
            &format!(
                "[store.nas]\nurl = 'smb://{}@127.0.0.1:{}/{}/db'\npassword = {{ env = 'NAS_PASSWORD' }}\n\
                 [notify.ops]\nkind = 'mail'\nto = ['ops@example.org']\non = 'always'\n\
                 smtp = 'smtps://ops%40example.org@localhost:{}'\npassword = {{ env = 'MAIL_PASSWORD' }}\n{more}\
                 [job.nightly]\nverb = 'archive'\nfrom = 'http://{}/dump.zip!/dump/db.sql'\nto = 'nas:{{job}}-{{date}}.tgz'\n\
                 max_age = '24h'\nkeep = {{ last = 3 }}\nnotify = ['ops']\n\
                 [job.folder]\nverb = 'archive'\nfrom = 'SRC/large'\nto = 'nas:folder-{{date}}.tgz'\nlimit_rate = '4MiB'\n\
                 keep = {{ last = 1 }}\nnotify = ['ops']\n",
                samba::USER,
                share.port(),
                samba::SHARE,
                mail.tls_port(),
                web.files(),
            ),
        );
        let night = Self { world, web, share, mail, mails: 0 };
        night.serve();
        night
    }

    /// Packs the source anew and puts it on the web server.
    fn serve(&self) {
        self.world.sitta(&["archive", "src", "dump.zip", "-q"]).expect_code(0);
        fs::copy(self.world.path("dump.zip"), self.zip()).expect("a copy");
    }

    fn zip(&self) -> PathBuf {
        self.web.root().join("dump.zip")
    }

    fn archives(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.share.folder().join("db"))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        names
    }

    /// One run, and what happens during it; the mail that tells of it, and what the history has of it.
    fn run(&mut self, job: &str, meanwhile: impl FnOnce(&Self)) -> (Run, String, serde_json::Value) {
        let mut command = self.world.command();
        command.args(["run", job]).env("NAS_PASSWORD", samba::PASSWORD).env("MAIL_PASSWORD", Exim::USER.1);
        command.env("SSL_CERT_FILE", &self.mail.certificate().certificate);
        let child = start(&mut command);
        meanwhile(self);
        let run = finish(child);
        assert!(run.code() != 2, "{run:?}");
        self.mails += 1;
        let told = history(&self.world).swap_remove(0);
        let id = told["run"].as_str().expect("an id");
        let mails = self.mail.mails(self.mails);
        let mail = mails.into_iter().find(|mail| mail.contains(&format!("Run     {id}\n"))).expect("a mail of it");
        self.assert_no_secret(&run, &mail, &told);
        (run, mail, told)
    }

    /// No password is in what anybody gets to read.
    fn assert_no_secret(&self, run: &Run, mail: &str, told: &serde_json::Value) {
        let log = fs::read_to_string(told["log"].as_str().expect("a log")).expect("it can be read");
        let database = fs::read(self.world.path("state/sitta/jobs.db")).expect("a history");
        let all = [
            run.err(),
            run.out(),
            mail.to_owned(),
            log,
            told.to_string(),
            String::from_utf8_lossy(&database).into(),
        ];
        for text in all {
            for secret in [samba::PASSWORD, Exim::USER.1] {
                assert!(!text.contains(secret), "{secret} is in {text}");
            }
        }
    }

    /// A run in which `step` fails because of `why`, with this exit code; no archive comes or goes, but for those of
    /// `made`.
    #[track_caller]
    fn fails(&mut self, step: &str, why: &str, code: i32) {
        self.job_fails("nightly", step, why, code, |_| ());
    }

    #[track_caller]
    fn job_fails(&mut self, job: &str, step: &str, why: &str, code: i32, meanwhile: impl FnOnce(&Self)) {
        let before = self.archives();
        let (run, mail, told) = self.run(job, meanwhile);
        run.expect_code(code);
        assert_eq!(told["exit"], code, "{told}");
        let steps: Vec<_> = told["named_steps"].as_array().expect("steps").iter().collect();
        assert_eq!(steps.iter().map(|named| &named["step"]).collect::<Vec<_>>(), STEPS, "each once, in order");
        for named in steps {
            let at = STEPS.iter().position(|known| named["step"] == *known).expect("a known step");
            let failed = STEPS.iter().position(|known| *known == step).expect("a known step");
            let expected: &[&str] = match at.cmp(&failed) {
                std::cmp::Ordering::Less => &["done", "skipped"],
                std::cmp::Ordering::Equal => &["failed"],
                // That bytes are damaged is seen only when they are packed.
                std::cmp::Ordering::Greater if named["step"] == "CHECK" => &["done", "skipped"],
                std::cmp::Ordering::Greater => &["skipped"],
            };
            assert!(expected.contains(&named["state"].as_str().expect("a state")), "{step}: {told}");
        }
        let log = fs::read_to_string(told["log"].as_str().expect("a log")).expect("it can be read");
        for text in [&mail, &log] {
            let line = text.lines().find(|line| line.contains(step) && line.contains("failed: "));
            let line = line.unwrap_or_else(|| panic!("{step} is not told in {text}"));
            assert!(line.contains(why), "{why:?} is not in {line:?}");
        }
        let after = self.archives();
        if step != "CLEAN" {
            assert_eq!(after, before, "{step} failed, and yet archives came or went");
        }
    }
}

fn skips(test: &str) -> bool {
    if !is_root() {
        skipped(test, "Exim delivers and Samba serves as users of their own, which needs root");
    }
    !is_root()
}

#[test]
fn the_nightly_archive_arrives_and_is_told() {
    if skips("the_nightly_archive_arrives_and_is_told") {
        return;
    }
    for attach in [true, false] {
        let mut night = Night::begin(if attach { "attach_log = true\n" } else { "" });
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
    let mut night = Night::begin("");
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
