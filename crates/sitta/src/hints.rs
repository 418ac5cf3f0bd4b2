//! What to do about it: the floors below say what went wrong, this one what helps.

use sitta_store::{ErrorKind, Scheme};
use sitta_tree::ProblemKind;

use crate::open::scheme;

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

/// What helps when the store at `location` failed as a whole.
pub fn store(kind: ErrorKind, location: &str) -> Option<&'static str> {
    let scheme = scheme(location);
    let has_user = location.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
    // `host/share/path`: the share itself may well be there.
    let in_share = location
        .split_once("://")
        .and_then(|(_, rest)| rest.split('/').nth(2))
        .is_some_and(|path| !path.is_empty());
    Some(match kind {
        ErrorKind::NotFound => match scheme {
            Some(Scheme::S3) => "check the bucket's name, and the endpoint and region in the config",
            Some(Scheme::Sitta) if !in_share => {
                "check the share's name: it is what `sitta serve --share NAME=…` was told"
            }
            Some(Scheme::Smb) if !in_share => {
                "check the share's name; `smbclient -L HOST` lists the shares of a server"
            }
            Some(_) => "check how it is written; `sitta ls` of the folder above shows what it holds",
            None => "check how it is written; `sitta ls` shows what a folder holds",
        },
        ErrorKind::Denied => match scheme {
            Some(Scheme::S3) => "check that the key may list the bucket and read and write its objects",
            Some(_) => "check that the user may go there, or name another one",
            None => "run as a user who may read it",
        },
        ErrorKind::NotADirectory => "name the folder that holds it",
        ErrorKind::Full => "make room there and run again",
        ErrorKind::Busy => "run again when it is free",
        ErrorKind::Auth => match scheme {
            Some(Scheme::S3) => {
                "check key_id and secret in the config, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            }
            Some(Scheme::Sftp) => {
                "give a password or a key in the config: password = { env = \"NAME\" }, identity = \"~/.ssh/KEY\"; or \
                 add the key to the agent with `ssh-add`"
            }
            Some(Scheme::Sitta) if !has_user => {
                "name the user, as in sitta://USER@host/share, and give a password or a token in the config"
            }
            Some(_) if !has_user => "name the user, as in smb://USER@host/share, and give a password in the config",
            _ => "check the user and the password in the config; `sitta config check` says where it comes from",
        },
        ErrorKind::Untrusted => match scheme {
            Some(Scheme::Sitta) => "compare the fingerprint with what `sitta serve` printed when it started",
            Some(Scheme::Sftp) => "make sure that it is the right server before you add its key to the known hosts",
            _ => "make sure that it is the right server; then trust its certificate with --ca FILE",
        },
        ErrorKind::Unreachable => "check the connection, the server's name and the port, and run again",
        ErrorKind::ReadOnly => match scheme {
            Some(_) => "write to another place",
            None => "mount it so that it can be written to",
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_not_blamed_for_what_is_missing_in_it() {
        let hint = |location| store(ErrorKind::NotFound, location).unwrap();
        assert!(hint("sitta://host:7474/docs").starts_with("check the share's name"));
        assert!(hint("smb://ann@host/docs/").starts_with("check the share's name"));
        assert!(hint("sitta://host:7474/docs/a").starts_with("check how it is written"));
        assert!(hint("smb://ann@host/docs/a/b").starts_with("check how it is written"));
    }

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
