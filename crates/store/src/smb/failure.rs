//! What a server's refusals and a lost connection mean to the caller.

use smb2::Error as Smb;
use smb2::error::SignatureFailure;
use smb2::types::Command;
use smb2::types::status::NtStatus;

use crate::ErrorKind;

/// Statuses that smb2 has no names for ([MS-ERREF] 2.3.1).
const QUOTA_EXCEEDED: NtStatus = NtStatus(0xc000_0044);
const OBJECT_PATH_INVALID: NtStatus = NtStatus(0xc000_0039);
const OBJECT_PATH_SYNTAX_BAD: NtStatus = NtStatus(0xc000_003b);
const LOCK_NOT_GRANTED: NtStatus = NtStatus(0xc000_0055);
const NO_SUCH_USER: NtStatus = NtStatus(0xc000_0064);
const WRONG_PASSWORD: NtStatus = NtStatus(0xc000_006a);
const MEDIA_WRITE_PROTECTED: NtStatus = NtStatus(0xc000_00a2);
const IO_TIMEOUT: NtStatus = NtStatus(0xc000_00b5);
const NAME_TOO_LONG: NtStatus = NtStatus(0xc000_0106);
const TOO_MANY_OPENED_FILES: NtStatus = NtStatus(0xc000_011f);
const OPLOCK_NOT_GRANTED: NtStatus = NtStatus(0xc000_00e2);
const LOGON_TYPE_NOT_GRANTED: NtStatus = NtStatus(0xc000_015b);

/// Whether the connection is of no use any more.
pub(super) fn ends_connection(error: &Smb) -> bool {
    use smb2::ErrorKind::{ConnectionLost, Io, SessionExpired, SignatureInvalid, TimedOut};
    matches!(error.kind(), ConnectionLost | Io | SessionExpired | SignatureInvalid | TimedOut)
}

/// What it was, and how to say it.
pub(super) fn told(error: &Smb) -> (ErrorKind, String) {
    match error {
        Smb::Protocol { status, command } => {
            let (kind, what) = refusal(*status, *command);
            (kind, if what.is_empty() { format!("the server says {status}") } else { format!("{what} ({status})") })
        }
        Smb::ConnectFailed { attempts, .. } => {
            let refused =
                |a: &smb2::transport::ConnectAttempt| a.error_kind == Some(std::io::ErrorKind::ConnectionRefused);
            let what = match attempts.iter().any(refused) {
                true => "connection refused".into(),
                false => attempts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            };
            (ErrorKind::Unreachable, what)
        }
        Smb::Auth { message } => (ErrorKind::Auth, message.clone()),
        Smb::GuestSessionRefused { anonymous, .. } => {
            let offered = if *anonymous { "nobody" } else { "a guest" };
            (
                ErrorKind::Auth,
                format!("the server does not know this user and password: it offers to serve {offered}"),
            )
        }
        // A server that has forgotten the session answers without a signature.
        Smb::SignatureInvalid { reason: SignatureFailure::Mismatch, .. } => {
            (ErrorKind::Untrusted, error.to_string())
        }
        Smb::SignatureInvalid { .. } | Smb::SessionExpired => {
            (ErrorKind::Unreachable, "the session has ended".into())
        }
        Smb::Disconnected | Smb::SendFailed { .. } | Smb::HandleInvalidated { .. } => {
            (ErrorKind::Unreachable, "the connection was lost".into())
        }
        Smb::Timeout | Smb::SendTimeout { .. } | Smb::ServerUnresponsive { .. } | Smb::CreditStarvation { .. } => {
            (ErrorKind::Unreachable, "the server does not answer".into())
        }
        Smb::Io(cause) => (ErrorKind::Unreachable, cause.to_string()),
        Smb::DfsReferralRequired { .. } => (ErrorKind::Unsupported, BEHIND_DFS.into()),
        Smb::ShareRedirected { .. } => (ErrorKind::Unsupported, error.to_string()),
        _ => (ErrorKind::Other, error.to_string()),
    }
}

const BEHIND_DFS: &str = "it lies behind a DFS link, on another server: open it there";

fn refusal(status: NtStatus, command: Command) -> (ErrorKind, &'static str) {
    use ErrorKind as Kind;
    match status {
        NtStatus::BAD_NETWORK_NAME | NtStatus::BAD_NETWORK_PATH => (Kind::NotFound, "no such share"),
        NtStatus::LOGON_FAILURE | NO_SUCH_USER | WRONG_PASSWORD => (Kind::Auth, "wrong user or password"),
        NtStatus::ACCOUNT_DISABLED | NtStatus::ACCOUNT_EXPIRED | NtStatus::ACCOUNT_LOCKED_OUT => {
            (Kind::Auth, "the account is disabled or locked")
        }
        NtStatus::PASSWORD_EXPIRED | NtStatus::PASSWORD_MUST_CHANGE => (Kind::Auth, "the password has expired"),
        NtStatus::ACCOUNT_RESTRICTION
        | NtStatus::INVALID_LOGON_HOURS
        | NtStatus::INVALID_WORKSTATION
        | LOGON_TYPE_NOT_GRANTED => (Kind::Auth, "the account may not log in so"),
        NtStatus::ACCESS_DENIED if command == Command::SessionSetup => {
            (Kind::Denied, "the server refuses the session: it may demand encryption or signing of another kind")
        }
        NtStatus::ACCESS_DENIED if command == Command::TreeConnect => (Kind::Denied, "no access to this share"),
        NtStatus::ACCESS_DENIED => (Kind::Denied, "access denied"),
        NtStatus::CANNOT_DELETE => (Kind::Denied, "it is marked read-only"),
        MEDIA_WRITE_PROTECTED => (Kind::ReadOnly, "it is write-protected"),
        NtStatus::OBJECT_NAME_NOT_FOUND | NtStatus::NO_SUCH_FILE => (Kind::NotFound, "nothing stands there"),
        NtStatus::OBJECT_PATH_NOT_FOUND => (Kind::NotFound, "no such directory"),
        NtStatus::OBJECT_NAME_COLLISION => (Kind::Changed, "something stands there already"),
        NtStatus::FILE_IS_A_DIRECTORY => (Kind::IsADirectory, "it is a directory"),
        NtStatus::NOT_A_DIRECTORY => (Kind::NotADirectory, "it is no directory"),
        NtStatus::STOPPED_ON_SYMLINK => (Kind::NotADirectory, "a symbolic link stands there or on the way"),
        NtStatus::DIRECTORY_NOT_EMPTY => (Kind::NotEmpty, "the directory is not empty"),
        NtStatus::DISK_FULL => (Kind::Full, "no space left on the server"),
        QUOTA_EXCEEDED => (Kind::Full, "the quota on the server is used up"),
        NtStatus::SHARING_VIOLATION | NtStatus::FILE_LOCK_CONFLICT | LOCK_NOT_GRANTED | OPLOCK_NOT_GRANTED => {
            (Kind::Busy, "somebody else has it open")
        }
        NtStatus::DELETE_PENDING => (Kind::Busy, "it was deleted while somebody has it open"),
        // A server cannot wait in the midst of several calls: for a client that may cache the file, most often.
        NtStatus::INTERNAL_ERROR => (Kind::Busy, "the server could not do it at once"),
        NtStatus::OBJECT_NAME_INVALID | OBJECT_PATH_INVALID | OBJECT_PATH_SYNTAX_BAD => {
            (Kind::Unsupported, "the server does not take this name")
        }
        NAME_TOO_LONG => (Kind::Unsupported, "the name is too long for the server"),
        NtStatus::FILE_SYSTEM_LIMITATION => (Kind::Unsupported, "it is too large for the server's file system"),
        NtStatus::NOT_SUPPORTED | NtStatus::INVALID_DEVICE_REQUEST | NtStatus::NOT_IMPLEMENTED => {
            (Kind::Unsupported, "the server cannot do this")
        }
        NtStatus::PATH_NOT_COVERED => (Kind::Unsupported, BEHIND_DFS),
        NtStatus::NETWORK_NAME_DELETED | NtStatus::USER_SESSION_DELETED | NtStatus::NETWORK_SESSION_EXPIRED => {
            (Kind::Unreachable, "the session has ended")
        }
        NtStatus::INSUFFICIENT_RESOURCES
        | NtStatus::INSUFF_SERVER_RESOURCES
        | NtStatus::REQUEST_NOT_ACCEPTED
        | TOO_MANY_OPENED_FILES
        | IO_TIMEOUT => (Kind::Unreachable, "the server has too much to do"),
        _ => (Kind::Other, ""),
    }
}
