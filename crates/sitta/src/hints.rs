//! What to do about it: the floors below say what went wrong, this one what helps.

use sitta_store::ErrorKind;
use sitta_tree::ProblemKind;

/// The name among `known` that was probably meant.
pub fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let likeness = |known: &&str| strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase());
    let best = known.into_iter().min_by_key(likeness)?;
    let far = likeness(&best);
    (far <= 1 + best.chars().count() / 3).then_some(best)
}

/// What helps against a kind of problem, where something does.
pub fn problem(kind: ProblemKind) -> Option<&'static str> {
    Some(match kind {
        ProblemKind::Unreadable => "run as a user who may read them, or leave them out with --exclude",
        ProblemKind::Unwritable => "check the permissions of the destination, and that it is not read-only",
        ProblemKind::Changed => "they changed meanwhile; run again to take them up",
        ProblemKind::Busy => "run again when they are closed",
        ProblemKind::Special => "fifos, sockets and devices are never copied; --exclude keeps them quiet",
        ProblemKind::Unsupported => {
            "the destination cannot hold them; leave them out with --exclude, or rename them"
        }
        ProblemKind::NameClash => "rename one of each two names that are the same to the destination",
        ProblemKind::Full => "make room on the destination and run again",
        ProblemKind::Unreachable => "check the connection and run again",
        ProblemKind::Corrupt => "run again; if it stays, check the disk it is on",
        ProblemKind::Other => return None,
    })
}

/// What helps when a store as a whole failed.
pub fn store(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::NotFound => "check how it is written; `sitta ls` shows what a folder holds",
        ErrorKind::Denied => "run as a user who may read it",
        ErrorKind::NotADirectory => "name the folder that holds it",
        ErrorKind::Full => "make room there and run again",
        ErrorKind::Busy => "run again when it is free",
        ErrorKind::Auth => "check the user and the password in the config; `sitta config check` looks at them",
        ErrorKind::Untrusted => {
            "make sure that it is the right server; then trust it: a certificate with --ca FILE, a host key with \
             `ssh-keyscan` into ~/.ssh/known_hosts"
        }
        ErrorKind::Unreachable => "check the connection and the name of the server, and run again",
        ErrorKind::ReadOnly => "mount it so that it can be written to",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_only_if_it_is_near() {
        let known = ["nas", "server", "usb-disk"];
        assert_eq!(nearest("nsa", known), Some("nas"));
        assert_eq!(nearest("Servr", known), Some("server"));
        assert_eq!(nearest("usbdisk", known), Some("usb-disk"));
        assert_eq!(nearest("somewhere", known), None);
        assert_eq!(nearest("x", []), None);
    }
}
