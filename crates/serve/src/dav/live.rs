//! Properties that the server itself knows (RFC 4918, 15).

use sitta_tree::{Entry, Kind, Time};

use super::locks::Lock;
use super::xml::{DAV, Name};
use crate::api::expect::etag;
use crate::api::files::date;

/// Those that are told unasked.
pub(super) const TOLD: &[&str] = &[
    "resourcetype",
    "getcontentlength",
    "getcontenttype",
    "getlastmodified",
    "getetag",
    "supportedlock",
    "lockdiscovery",
];

/// When it was modified, in seconds since 1970, as ownCloud, Nextcloud and rclone write it; can be set.
const SECONDS: &str = "lastmodified";
/// The same as a date, as Windows writes it.
const WINDOWS: (&str, &str) = ("urn:schemas-microsoft-com:", "Win32LastModifiedTime");

/// What can be locked how.
const LOCKS: &str = "<D:lockentry><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockentry>\
     <D:lockentry><D:lockscope><D:shared/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockentry>";

/// What setting a property means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setting {
    /// It cannot be set.
    Protected,
    /// It is the time of modification: in seconds, or as a date.
    Seconds,
    Date,
    /// The server knows nothing of it.
    Dead,
}

impl Setting {
    pub fn of(name: &Name) -> Self {
        match (name.namespace.as_str(), name.local.as_str()) {
            (DAV, SECONDS) => Self::Seconds,
            name if name == WINDOWS => Self::Date,
            (DAV, "creationdate") => Self::Protected,
            (DAV, local) if TOLD.contains(&local) => Self::Protected,
            _ => Self::Dead,
        }
    }
}

/// What stands in a property of an entry, as XML; none if it has no such property.
pub(super) fn value(name: &Name, entry: &Entry, locks: &[Lock]) -> Option<String> {
    let is_file = entry.kind == Kind::File;
    // A time of 0 is one that the store does not tell.
    let mtime = Some(entry.meta.mtime).filter(|mtime| *mtime != Time::default());
    if Setting::of(name) == Setting::Date {
        return mtime.and_then(date);
    }
    if name.namespace != DAV {
        return None;
    }
    match name.local.as_str() {
        "resourcetype" => Some(if entry.kind == Kind::Dir { "<D:collection/>" } else { "" }.into()),
        "getcontentlength" => is_file.then(|| entry.size.to_string()),
        "getcontenttype" => is_file.then(|| "application/octet-stream".into()),
        "getetag" => is_file.then(|| super::xml::escaped(&etag(entry))),
        "getlastmodified" => mtime.and_then(date),
        SECONDS => mtime.map(|mtime| mtime.secs.to_string()),
        "supportedlock" => Some(LOCKS.into()),
        "lockdiscovery" => {
            let mut out = String::new();
            locks.iter().for_each(|lock| super::lock::write(&mut out, lock));
            Some(out)
        }
        _ => None,
    }
}
