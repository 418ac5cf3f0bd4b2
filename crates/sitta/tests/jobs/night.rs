//! The set-up of the nightly archive: a zip on a real web server, of which one member goes to a real share, told by real
//! mail; and what is to be seen of a run afterwards.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use sitta_testbed::exim::Exim;
use sitta_testbed::nginx::Nginx;
use sitta_testbed::proxy::Proxy;
use sitta_testbed::samba::{self, Samba};

use super::support::*;
use super::{configure, history};

pub const STEPS: [&str; 6] = ["DOWNLOAD", "EXTRACT", "CHECK", "COMPRESS", "UPLOAD", "CLEAN"];

/// Old archives of the job, the newest last; three are to stay.
pub const OLD: [&str; 4] =
    ["nightly-2026-01-01.tgz", "nightly-2026-01-02.tgz", "nightly-2026-01-03.tgz", "nightly-2026-01-04.tgz"];

/// What the share's password is if it is not the right one, and what stands in a URL.
pub const WRONG: &str = "wrong-hush";
pub const IN_URL: &str = "url-hush";

pub struct Night {
    pub world: World,
    pub web: Nginx,
    pub share: Samba,
    mail: Exim,
    mails: usize,
    /// What the variable holds that the share's password is taken from.
    pub password: &'static str,
    /// The ways to the web server and to the share, where they can be cut.
    pub ways: [Proxy; 2],
}

/// How a night is to be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish {
    /// Further keys of who is told.
    pub mail: &'static str,
    /// Further keys of the job.
    pub job: &'static str,
    /// The servers are reached by the `ways`.
    pub ways: bool,
}

impl Night {
    pub fn begin() -> Self {
        Self::with(Wish::default())
    }

    pub fn with(wish: Wish) -> Self {
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
        let ways = [Proxy::to(web.port()), Proxy::to(share.port())];
        let ports = if wish.ways { ways.each_ref().map(Proxy::port) } else { [web.port(), share.port()] };
        configure(
            &world,
            &format!(
                "[store.nas]\nurl = 'smb://{}@127.0.0.1:{}/{}/db'\npassword = {{ env = 'NAS_PASSWORD' }}\n\
                 [notify.ops]\nkind = 'mail'\nto = ['ops@example.org']\non = 'always'\n\
                 smtp = 'smtps://ops%40example.org@localhost:{}'\npassword = {{ env = 'MAIL_PASSWORD' }}\n{}\
                 [job.nightly]\nverb = 'archive'\nfrom = 'http://me:{IN_URL}@127.0.0.1:{}/files/dump.zip!/dump/db.sql'\nto = 'nas:{{job}}-{{date}}.tgz'\n\
                 max_age = '24h'\nkeep = {{ last = 3 }}\nnotify = ['ops']\n{}\
                 [job.folder]\nverb = 'archive'\nfrom = 'SRC/large'\nto = 'nas:folder-{{date}}.tgz'\nlimit_rate = '4MiB'\n\
                 keep = {{ last = 1 }}\nnotify = ['ops']\n",
                samba::USER,
                ports[1],
                samba::SHARE,
                mail.tls_port(),
                wish.mail,
                ports[0],
                wish.job,
            ),
        );
        let night = Self { world, web, share, mail, mails: 0, password: samba::PASSWORD, ways };
        night.serve();
        night
    }

    /// Packs the source anew and puts it on the web server.
    pub fn serve(&self) {
        self.world.sitta(&["archive", "src", "dump.zip", "-q"]).expect_code(0);
        fs::copy(self.world.path("dump.zip"), self.zip()).expect("a copy");
    }

    pub fn zip(&self) -> PathBuf {
        self.web.root().join("dump.zip")
    }

    /// What is in the folder of archives, but for what a run that was cut off could not remove.
    pub fn archives(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.share.folder().join("db"))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .filter(|name| !name.starts_with(".sitta-tmp-"))
            .collect();
        names.sort();
        names
    }

    /// The program with all that it takes to get in.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.world.command();
        command.args(args).env("NAS_PASSWORD", self.password).env("MAIL_PASSWORD", Exim::USER.1);
        command.env("SSL_CERT_FILE", &self.mail.certificate().certificate);
        command
    }

    /// One run, and what happens during it; the mail that tells of it, and what the history has of it.
    pub fn run(&mut self, job: &str, meanwhile: impl FnOnce(&Self)) -> (Run, String, serde_json::Value) {
        self.run_by(&["run", job], meanwhile)
    }

    /// The same, by whichever command.
    pub fn run_by(&mut self, args: &[&str], meanwhile: impl FnOnce(&Self)) -> (Run, String, serde_json::Value) {
        let child = start(&mut self.command(args));
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

    /// No password is in what anybody gets to read, nor in anything that stays.
    fn assert_no_secret(&self, run: &Run, mail: &str, told: &serde_json::Value) {
        let log = fs::read_to_string(told["log"].as_str().expect("a log")).expect("it can be read");
        for text in [run.err(), run.out(), mail.to_owned(), log, told.to_string()] {
            assert_hides(&text);
        }
        for secret in SECRETS {
            let state = self.world.state.join("sitta");
            let mut found = Command::new("grep");
            // The daemon's copy of the config is as closed as that is.
            let found = found.args(["-rl", "--exclude=daemon-config.toml", secret]).arg(state).output();
            let found = String::from_utf8_lossy(&found.expect("grep runs").stdout).into_owned();
            assert!(found.is_empty(), "{secret} is in {found}");
        }
    }

    /// A run in which `step` fails because of `why`, with this exit code; no archive comes or goes.
    #[track_caller]
    pub fn fails(&mut self, step: &str, why: &str, code: i32) {
        self.job_fails("nightly", step, why, code, |_| ());
    }

    #[track_caller]
    pub fn job_fails(&mut self, job: &str, step: &str, why: &str, code: i32, meanwhile: impl FnOnce(&Self)) {
        self.fails_by(&["run", job], step, why, code, meanwhile);
    }

    /// The same, by whichever command.
    #[track_caller]
    pub fn fails_by(&mut self, args: &[&str], step: &str, why: &str, code: i32, meanwhile: impl FnOnce(&Self)) {
        let before = self.archives();
        let (run, mail, told) = self.run_by(args, meanwhile);
        run.expect_code(code);
        assert_eq!(told["exit"], code, "{told}");
        let outcome = [(1, "failed"), (3, "partial"), (4, "held")].into_iter().find(|(known, _)| *known == code);
        assert_eq!(Some(told["outcome"].as_str()), outcome.map(|(_, outcome)| Some(outcome)), "{told}");
        assert_steps(&told, step);
        let log = fs::read_to_string(told["log"].as_str().expect("a log")).expect("it can be read");
        for text in [&mail, &log] {
            let line = text.lines().find(|line| line.contains(step) && line.contains("failed: "));
            let line = line.unwrap_or_else(|| panic!("{step} is not told in {text}"));
            assert!(line.contains(why), "{why:?} is not in {line:?}");
        }
        let subject = match code {
            3 => format!("done in part, {step} failed on "),
            4 => format!("was held back at {step} on "),
            _ => format!("failed at {step} on "),
        };
        assert!(mail.contains("Subject: sitta: ") && unfolded(&mail).contains(&subject), "{subject} in {mail}");
        if step != "CLEAN" {
            assert_eq!(self.archives(), before, "{step} failed, and yet archives came or went");
        }
    }
}

const SECRETS: [&str; 4] = [samba::PASSWORD, Exim::USER.1, WRONG, IN_URL];

/// No password is in a text.
#[track_caller]
pub fn assert_hides(text: &str) {
    SECRETS.iter().for_each(|secret| assert!(!text.contains(secret), "{secret} is in {text}"));
}

/// Each step is there once and in order: those before the one that failed went well, those after it were not taken.
#[track_caller]
fn assert_steps(told: &serde_json::Value, failed: &str) {
    let steps = told["named_steps"].as_array().expect("steps");
    assert_eq!(steps.iter().map(|named| &named["step"]).collect::<Vec<_>>(), STEPS, "each once, in order");
    let at = |step: &serde_json::Value| STEPS.iter().position(|known| step == known).expect("a known step");
    for named in steps {
        let expected: &[&str] = match at(&named["step"]).cmp(&at(&failed.into())) {
            std::cmp::Ordering::Less => &["done", "skipped"],
            std::cmp::Ordering::Equal => &["failed"],
            // That bytes are damaged, or do not come, is seen only when they are packed.
            std::cmp::Ordering::Greater if ["EXTRACT", "CHECK"].iter().any(|step| named["step"] == *step) => {
                &["done", "skipped"]
            }
            std::cmp::Ordering::Greater => &["skipped"],
        };
        assert!(expected.contains(&named["state"].as_str().expect("a state")), "{failed}: {told}");
    }
}

/// A mail's long lines as they were before they were sent.
pub fn unfolded(mail: &str) -> String {
    mail.replace("\r\n", "\n").replace("\n ", " ")
}

/// Whether a test cannot be done here; says so.
pub fn skips(test: &str) -> bool {
    if !is_root() {
        skipped(test, "Exim delivers and Samba serves as users of their own, which needs root");
    }
    !is_root()
}
