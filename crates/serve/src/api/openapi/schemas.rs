//! What answers are made of.

use serde_json::{Map, Value, json};

/// All schemas by their names.
pub(super) fn all() -> Map<String, Value> {
    let kind = json!({"enum": ["file", "dir", "symlink", "special", "unknown"]});
    let flags = [
        "writable",
        "modes",
        "owners",
        "symlinks",
        "dirs",
        "folds_names",
        "stable_ids",
        "rename",
        "atomic_preconditions",
        "hard_links",
        "lists_meta",
        "watch",
        "chunks",
        "resumes",
        "copies",
        "xattrs",
    ];
    let mut share =
        vec![("name", text("Its name")), ("mtime_precision", number("The tick of its times, in nanoseconds"))];
    share.extend(flags.map(|flag| (flag, json!({"type": "boolean"}))));
    let about = [("name", text("sitta")), ("version", text("Of the server")), ("api", number("Of this interface"))];
    let shares = object(&[("name", text("Its name")), ("writable", json!({"type": "boolean"}))], &[]);
    let entry = [
        ("path", text("In the share")),
        ("name", text("The last part of it")),
        ("kind", kind),
        ("modified", modified()),
    ];
    let entry_more = [
        ("size", number("Of a file, in bytes")),
        ("version", text("In double quotes it is the ETag")),
        ("target", text("Where a symbolic link points")),
        ("path_bytes", bytes()),
        ("name_bytes", bytes()),
        ("target_bytes", bytes()),
    ];
    let problem = [
        ("kind", text("What sort of problem: stable, for programs")),
        ("title", text("For people")),
        ("status", number("The HTTP status")),
    ];
    let problem_more = [
        ("detail", text("In the words of the place where it happened")),
        ("path", json!({"description": "Where; a string, or an object with hex if it is not UTF-8"})),
        ("parameter", text("The parameter or header that is not understood")),
        ("value", text("What it said")),
        ("expected", text("What would be right")),
    ];
    let unseen = [("path", text("In the share")), ("kind", text("What sort")), ("message", text("For people"))];
    let hash = [
        ("path", text("In the share")),
        ("algo", json!({"enum": ["blake3", "sha256", "md5", "crc32"]})),
        ("hash", text("In hexadecimal")),
        ("size", number("In bytes")),
        ("modified", modified()),
        ("version", text("In double quotes it is the ETag")),
    ];
    let done = [
        ("at", text("When, as RFC 3339")),
        (
            "who",
            text("The user or token; empty for whoever works on the server's machine, and for who was not let in"),
        ),
        ("from", text("The address that it came from")),
        ("what", text("What was done, or was to be")),
        ("share", text("Where")),
        ("path", text("In the share")),
        ("result", text("done, or the kind of problem")),
    ];
    let upload = [
        ("id", text("What the client calls these bytes; empty for what comes in parts")),
        ("received", number("So many bytes are here")),
        ("size", number("Of so many")),
    ];
    let listing = [
        ("path", text("The directory, in the share")),
        ("entries", list("Entry")),
        ("next", json!({"type": ["string", "null"], "description": "There is more: give this as after"})),
        ("problems", list("Unseen")),
    ];
    let line = json!({
        "description": "By event: hash (a Hash), problem (an Unseen), end (files, problems). Without an end it was cut off.",
        "type": "object", "required": ["event"], "properties": {"event": {"enum": ["hash", "problem", "end"]}},
    });
    let stored = json!({"type": ["object", "null"], "description": "As sitta clients need it"});
    let all = [
        ("About", object(&about, &[])),
        ("Shares", object(&[("shares", json!({"type": "array", "items": shares}))], &[])),
        ("Audit", object(&[("records", list("AuditLine"))], &[])),
        ("AuditLine", object(&done, &[("path_bytes", bytes())])),
        ("Share", object(&share, &[("identity", text("What tells its root from another one"))])),
        ("Entry", object(&entry, &entry_more)),
        ("Listing", object(&listing, &[("path_bytes", bytes())])),
        ("Unseen", object(&unseen, &[("path_bytes", bytes())])),
        ("Hash", object(&hash, &[("path_bytes", bytes())])),
        ("HashLine", line),
        ("StoreEntry", stored),
        ("Upload", object(&upload, &[])),
        ("Problem", object(&problem, &problem_more)),
    ];
    all.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// An object with what it always has, and what it may have.
fn object(always: &[(&str, Value)], sometimes: &[(&str, Value)]) -> Value {
    let properties = always.iter().chain(sometimes).map(|(name, schema)| ((*name).to_owned(), schema.clone()));
    let required: Vec<_> = always.iter().map(|(name, _)| *name).collect();
    json!({"type": "object", "properties": properties.collect::<Map<_, _>>(), "required": required})
}

fn text(what: &str) -> Value {
    json!({"type": "string", "description": what})
}

fn number(what: &str) -> Value {
    json!({"type": "integer", "description": what})
}

fn bytes() -> Value {
    text("The same in hexadecimal, if it is not UTF-8")
}

fn modified() -> Value {
    json!({"type": ["string", "null"], "format": "date-time", "description": "When it was modified, if that is known"})
}

fn list(of: &str) -> Value {
    json!({"type": "array", "items": super::schema(of)})
}
