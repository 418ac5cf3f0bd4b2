//! Which hosts are trusted: files in the format of OpenSSH (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKey};
use sha1::Sha1;

/// What the files say of one host.
#[derive(Debug, Default)]
pub(super) struct Known {
    keys: Vec<Line>,
    revoked: Vec<Line>,
    files: Vec<PathBuf>,
    host: String,
    port: u16,
}

/// A key, and where it stands.
#[derive(Debug)]
struct Line {
    file: PathBuf,
    number: usize,
    key: PublicKey,
}

impl Line {
    fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.number)
    }
}

impl Known {
    /// Reads what stands there of `host`; a file that is not there says nothing.
    pub fn read(files: &[PathBuf], host: &str, port: u16) -> std::io::Result<Self> {
        let mut known = Self { files: files.to_vec(), host: host.to_ascii_lowercase(), port, ..Self::default() };
        for file in files {
            match std::fs::read(file) {
                Ok(text) => known.add(file, &String::from_utf8_lossy(&text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(std::io::Error::new(error.kind(), format!("{}: {error}", file.display())));
                }
            }
        }
        Ok(known)
    }

    fn add(&mut self, file: &Path, text: &str) {
        let name = match self.port {
            22 => self.host.clone(),
            port => format!("[{}]:{port}", self.host),
        };
        for (number, line) in text.lines().enumerate() {
            let mut fields = line.split_whitespace().peekable();
            let marker = fields.next_if(|field| field.starts_with('@'));
            let (Some(patterns), Some(_), Some(key)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            if patterns.starts_with('#') || !matches_any(&name, patterns) {
                continue;
            }
            let Ok(key) = russh::keys::parse_public_key_base64(key) else { continue };
            let line = Line { file: file.to_owned(), number: number + 1, key };
            match marker {
                None => self.keys.push(line),
                Some("@revoked") => self.revoked.push(line),
                // An authority's key proves nothing by itself: it must never pass as a host's own.
                Some(_) => {}
            }
        }
    }

    /// The types of host keys to ask for, best first: those that are known of this host before all others, so that a
    /// known key is not missed because the server has others too.
    pub fn algorithms(&self) -> Vec<Algorithm> {
        let ecdsa = |curve| Algorithm::Ecdsa { curve };
        let mut all = vec![
            Algorithm::Ed25519,
            ecdsa(EcdsaCurve::NistP256),
            ecdsa(EcdsaCurve::NistP384),
            ecdsa(EcdsaCurve::NistP521),
            Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
            Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
        ];
        all.sort_by_key(|algorithm| !self.keys.iter().any(|line| same_type(&line.key.algorithm(), algorithm)));
        all
    }

    /// Fails with what to tell the user unless the key is known to be this host's.
    pub fn check(&self, key: &PublicKey) -> Result<(), String> {
        let same = |line: &&Line| line.key.key_data() == key.key_data();
        let shown = format!("{} {}", name_of(&key.algorithm()), key.fingerprint(HashAlg::Sha256));
        if let Some(line) = self.revoked.iter().find(same) {
            return Err(format!("the server's key {shown} is revoked in {}", line.place()));
        }
        if self.keys.iter().any(|line| same(&line)) {
            return Ok(());
        }
        let same_type = |line: &&Line| same_type(&line.key.algorithm(), &key.algorithm());
        if let Some(line) = self.keys.iter().find(same_type).or(self.keys.first()) {
            return Err(format!(
                "THE SERVER'S KEY HAS CHANGED: it is {shown}, but {} holds {} {}; somebody may be listening in between. \
                 Only if the server was really given a new key, replace that line",
                line.place(),
                name_of(&line.key.algorithm()),
                line.key.fingerprint(HashAlg::Sha256),
            ));
        }
        Err(format!("the server's key {shown} is not known; {}", self.advice()))
    }

    fn advice(&self) -> String {
        let Some(file) = self.files.first() else { return "there is no file of known hosts to look in".into() };
        let port = if self.port == 22 { String::new() } else { format!("-p {} ", self.port) };
        format!(
            "once it is the one that the server's owner names: ssh-keyscan {port}{} >> {}",
            self.host,
            file.display()
        )
    }
}

fn same_type(one: &Algorithm, other: &Algorithm) -> bool {
    one == other || matches!((one, other), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}

/// The short name that people know.
pub(super) fn name_of(algorithm: &Algorithm) -> String {
    match algorithm {
        Algorithm::Ed25519 => "ED25519".into(),
        Algorithm::Ecdsa { .. } => "ECDSA".into(),
        Algorithm::Rsa { .. } => "RSA".into(),
        other => other.to_string(),
    }
}

/// Whether one of the patterns, separated by commas, matches, and none that begins with `!` does.
fn matches_any(name: &str, patterns: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',') {
        if let Some(hashed) = pattern.strip_prefix("|1|") {
            found |= matches_hash(name, hashed).unwrap_or(false);
        } else if let Some(pattern) = pattern.strip_prefix('!') {
            if matches(name.as_bytes(), pattern.to_ascii_lowercase().as_bytes()) {
                return false;
            }
        } else {
            found |= matches(name.as_bytes(), pattern.to_ascii_lowercase().as_bytes());
        }
    }
    found
}

/// `salt|HMAC-SHA1(salt, name)`, both in base 64.
fn matches_hash(name: &str, hashed: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let (salt, hash) = (BASE64.decode(salt).ok()?, BASE64.decode(hash).ok()?);
    let mac = Hmac::<Sha1>::new_from_slice(&salt).ok()?.chain_update(name.as_bytes());
    Some(mac.verify_slice(&hash).is_ok())
}

/// `*` stands for any text, `?` for one character.
fn matches(name: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut next) = (0, 0);
    // Where the last `*` stands, and up to where it has eaten.
    let mut star: Option<(usize, usize)> = None;
    while at < name.len() {
        match pattern.get(next) {
            Some(b'*') => {
                star = Some((next, at));
                next += 1;
            }
            Some(&c) if c == b'?' || c == name[at] => (at, next) = (at + 1, next + 1),
            _ => match star {
                Some((place, eaten)) => {
                    star = Some((place, eaten + 1));
                    (at, next) = (eaten + 1, place + 1);
                }
                None => return false,
            },
        }
    }
    pattern[next..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G1sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";

    fn key(line: &str) -> PublicKey {
        russh::keys::parse_public_key_base64(line.split(' ').nth(1).unwrap()).unwrap()
    }

    fn known(host: &str, port: u16, text: &str) -> Known {
        let mut known = Known { host: host.into(), port, files: vec!["/k".into()], ..Known::default() };
        known.add(Path::new("/k"), text);
        known
    }

    fn trusts(host: &str, port: u16, patterns: &str) -> bool {
        known(host, port, &format!("{patterns} {ED25519} comment\n")).check(&key(ED25519)).is_ok()
    }

    #[test]
    fn patterns() {
        assert!(trusts("h.example", 22, "h.example"));
        assert!(trusts("h.example", 22, "H.EXAMPLE"));
        assert!(trusts("h.example", 22, "other,h.example"));
        assert!(trusts("h.example", 22, "*.example"));
        assert!(trusts("h.example", 22, "h.ex?mple"));
        assert!(trusts("h", 2222, "[h]:2222"));
        assert!(trusts("::1", 22, "::1"));
        assert!(!trusts("h", 2222, "h"));
        assert!(!trusts("h", 22, "[h]:2222"));
        assert!(!trusts("h.example", 22, "*.example,!h.example"));
        assert!(!trusts("h.example", 22, "!h.example,*.example"));
        assert!(!trusts("h.example.org", 22, "*.example"));
        assert!(!trusts("h", 22, "#h"));
        assert!(!trusts("h", 22, "@cert-authority h"));
        assert!(!trusts("h", 22, "@revoked h"));
        assert!(!trusts("h", 22, "@whatever h"));
    }

    #[test]
    fn hashed_names() {
        // From ssh-keygen -H.
        let line = "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg=";
        assert!(trusts("192.168.1.61", 22, line));
        assert!(!trusts("192.168.1.62", 22, line));
        assert!(!trusts("192.168.1.61", 22, "|1|!!|x"));
    }

    #[test]
    fn says_what_is_wrong() {
        let unknown = known("h", 2222, "").check(&key(ED25519)).unwrap_err();
        assert!(unknown.contains("ssh-keyscan -p 2222 h >> /k") && unknown.contains("SHA256:"), "{unknown}");
        let changed = known("h", 22, &format!("\n# x\nh {OTHER}\n")).check(&key(ED25519)).unwrap_err();
        assert!(changed.contains("CHANGED") && changed.contains("/k:3"), "{changed}");
        let revoked = known("h", 22, &format!("h {ED25519}\n@revoked h {ED25519}\n")).check(&key(ED25519));
        assert!(revoked.unwrap_err().contains("revoked in /k:2"));
        let several = known("h", 22, &format!("h {OTHER}\nh {ED25519}\nh nonsense\nh ssh-ed25519 ???\n"));
        assert_eq!(several.check(&key(ED25519)), Ok(()));
    }

    #[test]
    fn the_best_types_are_asked_for_first() {
        assert_eq!(known("h", 22, "").algorithms()[0], Algorithm::Ed25519);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text: String) {
            known("h", 22, &text).algorithms();
        }
    }
}
