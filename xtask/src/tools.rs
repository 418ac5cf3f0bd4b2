//! The tools around us: cargo, what is on the PATH, private places to install to.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository").to_owned()
}

/// The cargo that runs us.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What it told us of our own package: the build scripts of others would take notice, and all be built again.
    let ours =
        |key: &OsString| [&b"CARGO_PKG_"[..], b"CARGO_MANIFEST_"].iter().any(|of| key.as_bytes().starts_with(of));
    for key in std::env::vars_os().map(|(key, _)| key).filter(ours) {
        command.env_remove(key);
    }
    command.current_dir(root());
    command
}

/// Runs a command that must succeed; says which one when it does not.
pub fn must(command: &mut Command) -> Result {
    let shown = format!("{command:?}");
    let status = command.status().map_err(|e| format!("{shown}: {e}"))?;
    if !status.success() {
        return Err(format!("{shown}: {status}").into());
    }
    Ok(())
}

/// Where cargo builds.
pub fn target_dir() -> Result<PathBuf> {
    let output = cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let dir = metadata["target_directory"].as_str().ok_or("cargo metadata names no target directory")?;
    Ok(dir.into())
}

/// Builds the program for real use and gives its path.
pub fn build_release() -> Result<PathBuf> {
    must(cargo().args(["build", "--release", "--package", "sitta"]))?;
    Ok(target_dir()?.join("release/sitta"))
}

/// The private Python environment, for peers and servers that come from PyPI.
pub fn venv() -> PathBuf {
    root().join(".venv")
}

/// Where peers that cargo installs go.
pub fn peers_dir() -> Result<PathBuf> {
    Ok(target_dir()?.join("peers"))
}

/// Finds a program by one of its names: installed privately, or on the PATH.
pub fn find(names: &[&str]) -> Option<PathBuf> {
    let mut places = vec![venv().join("bin")];
    places.extend(peers_dir().map(|dir| dir.join("bin")));
    places.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    // Mount and friends stand here also where the PATH leaves it out.
    places.push("/usr/sbin".into());
    let candidates = names.iter().flat_map(|name| places.iter().map(move |place| place.join(name)));
    candidates.into_iter().find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A number with thousands separators.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
