//! The description of the interface for other programs (OpenAPI 3.1).

mod patterns;
mod schemas;
#[cfg(test)]
mod tests;

use axum::Json;
use serde_json::{Map, Value, json};

use super::{audit, chunks, edit, entries, hashes, look, upload};

/// The description.
pub(super) async fn get() -> Json<Value> {
    Json(document())
}

/// All of it. What a parameter means is said once, however many operations have it.
fn document() -> Value {
    let login = [json!({"basic": []}), json!({"bearer": []}), json!({})];
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Sitta",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Shared folders. A {path} is percent-encoded, may have several parts, and may be left out: \
                then the share itself is meant. Times are RFC 3339 in UTC, sizes bytes. A name that is not UTF-8 is \
                shown readably, with its bytes in hexadecimal beside it (path_bytes, name_bytes, target_bytes).",
        },
        "security": login,
        "paths": paths(),
        "components": {
            "schemas": schemas::all(),
            "responses": {
                "Problem": {
                    "description": "It was not done, and why (RFC 9457)",
                    "content": {"application/problem+json": {"schema": schema("Problem")}},
                },
            },
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "A user and a password"},
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token for scripts"},
            },
        },
    })
}

/// A schema by its name.
fn schema(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// One operation, put together piece by piece.
struct Operation(Value);

impl Operation {
    fn new(id: &str, summary: &str) -> Self {
        let responses = json!({"default": {"$ref": "#/components/responses/Problem"}});
        Self(json!({"operationId": id, "summary": summary, "responses": responses, "parameters": []}))
    }

    fn parameter(mut self, parameter: Value) -> Self {
        self.0["parameters"].as_array_mut().expect("a list").push(parameter);
        self
    }

    fn header(self, name: &str, what: &str) -> Self {
        let schema = match patterns::header(name) {
            Some(pattern) => json!({"type": "string", "pattern": pattern}),
            None => json!({"type": "string"}),
        };
        self.parameter(json!({"name": name, "in": "header", "description": what, "schema": schema}))
    }

    fn queries(self, known: &[&str]) -> Self {
        known.iter().fold(self, |operation, name| operation.parameter(query(name)))
    }

    /// An answer with a body of this type.
    fn gives(mut self, status: &str, what: &str, content: &str, schema: &Value) -> Self {
        self.0["responses"][status] = json!({"description": what, "content": {content: {"schema": schema}}});
        self
    }

    /// An answer without a body.
    fn ends(mut self, status: &str, what: &str) -> Self {
        self.0["responses"][status] = json!({"description": what});
        self
    }

    /// An answer without a body that says which version stands there now.
    fn leaves(mut self, status: &str, what: &str) -> Self {
        let etag = json!({"description": "Its version", "schema": {"type": "string"}});
        self.0["responses"][status] = json!({"description": what, "headers": {"ETag": etag}});
        self
    }

    fn body(mut self, what: &str) -> Self {
        let content = json!({"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}});
        self.0["requestBody"] = json!({"required": true, "description": what, "content": content});
        self
    }

    fn open(mut self) -> Self {
        self.0["security"] = json!([]);
        self
    }
}

/// A parameter behind the `?`.
fn query(name: &str) -> Value {
    let text = json!({"type": "string"});
    let like = |pattern: &str| json!({"type": "string", "pattern": pattern});
    let (what, schema) = match name {
        "recursive" => ("All below the directory, not only what it holds itself", json!({"type": "boolean"})),
        "ext" => ("Only files whose names end so: jpg,png", text),
        "glob" => (
            "Only what matches, for example IMG_*; with ! in front, what does not. May be given several times",
            json!({"type": "array", "items": {"type": "string", "minLength": 1}}),
        ),
        "since" => (
            "Only files modified then or later: RFC 3339, or so long ago: 90s, 30m, 24h, 2d, 3w",
            like(patterns::WHEN),
        ),
        "until" => ("Only files modified before then", like(patterns::WHEN)),
        "min_size" => ("Only files of at least this size: 4096, 10MiB", like(patterns::SIZE)),
        "max_size" => ("Only files of at most this size", like(patterns::SIZE)),
        "contains" => ("Only files in which exactly this text stands", text),
        "name" => ("Only what has this text in its name (not in the path before it), in capitals or not", text),
        "sort" => (
            "The order; with - in front from the other end",
            json!({"type": "string", "enum": ["name", "-name", "size", "-size", "time", "-time"], "default": "name"}),
        ),
        "limit" => ("So many entries at most", json!({"type": "integer", "minimum": 1})),
        "after" => ("The page behind the one that said this in next; with the same sort and filters", text),
        "algo" => (
            "Which checksum",
            json!({"type": "string", "enum": ["blake3", "sha256", "md5", "crc32"], "default": "blake3"}),
        ),
        "nodes" => ("The level, and which of its nodes: 2:0-15,18", text),
        "parents" => ("Make the directories above it too", json!({"type": "boolean", "default": false})),
        "xattrs" => ("Tell a digest of the extended attributes too", json!({"type": "boolean", "default": false})),
        "to" => ("The new path in the share", like(patterns::PATH)),
        _ => ("", text),
    };
    json!({"name": name, "in": "query", "description": what, "required": name == "to", "schema": schema})
}

/// The operations of each path. A `MOVE` has no place in OpenAPI 3.1 and stands as `x-move`.
fn paths() -> Map<String, Value> {
    let mut paths = Map::new();
    let mut add = |path: &str, method: &str, operation: Operation| {
        let item = paths.entry(path.to_owned()).or_insert_with(|| json!({"parameters": path_parameters(path)}));
        item[method] = operation.0;
    };
    let json = "application/json";
    let share = |what: &str| format!("/api/v1/shares/{{share}}/{what}/{{path}}");
    let about =
        Operation::new("about", "What answers here").gives("200", "Name and versions", json, &schema("About"));
    add("/api/v1", "get", about.open());
    let text = json!({"type": "string"});
    let health = Operation::new("health", "Whether the server works").gives("200", "It does", "text/plain", &text);
    add("/api/v1/health", "get", health.open());
    let audit =
        Operation::new("audit", "Who did what, the newest first, for accounts that may write to all shares");
    add("/api/v1/audit", "get", audit.queries(audit::KNOWN).gives("200", "The audit", json, &schema("Audit")));
    let metrics = Operation::new("metrics", "What a monitor is told, for accounts that all shares are open to");
    add("/api/v1/metrics", "get", metrics.gives("200", "OpenMetrics", "application/openmetrics-text", &text));
    let openapi =
        Operation::new("openapi", "This description").gives("200", "OpenAPI 3.1", json, &json!({"type": "object"}));
    add("/api/v1/openapi.json", "get", openapi.open());
    let shares =
        Operation::new("shares", "What is open to the caller").gives("200", "Shares", json, &schema("Shares"));
    add("/api/v1/shares", "get", shares);
    let one = Operation::new("share", "What a share can do").gives("200", "The share", json, &schema("Share"));
    add("/api/v1/shares/{share}", "get", one);

    let list = Operation::new("entries", "What a directory holds, narrowed and sorted").queries(entries::KNOWN);
    add(&share("entries"), "get", list.gives("200", "The entries", json, &schema("Listing")));
    let hashes = Operation::new("hashes", "The checksum of a file, or of each file below a directory")
        .queries(hashes::KNOWN)
        .gives("200", "Of a file one object; of a directory a line for each file", json, &schema("Hash"));
    add(&share("hashes"), "get", {
        let mut hashes = hashes;
        hashes.0["responses"]["200"]["content"]["application/x-ndjson"] = json!({"schema": schema("HashLine")});
        hashes
    });

    let if_match = "Only if this version stands there; * for any";
    let bytes = json!({"type": "string", "format": "binary"});
    let get = Operation::new("read", "The bytes of a file")
        .header("Range", "Only this part of it (one range)")
        .header("If-Range", "The whole file instead, unless it is this version")
        .header("If-Match", if_match)
        .header("If-None-Match", "Only if it is another version")
        .gives("200", "All of it", "application/octet-stream", &bytes)
        .gives("206", "The part", "application/octet-stream", &bytes)
        .ends("304", "It is that version")
        .ends("416", "It has no such part");
    add(&share("files"), "get", get);
    let put = Operation::new("write", "Writes a file: all of it arrives, or nothing is changed")
        .queries(upload::KNOWN)
        .header("If-Match", if_match)
        .header("If-None-Match", "* : only if nothing stands there")
        .header("Last-Modified", "When it was modified")
        .header("X-OC-Mtime", "The same in seconds since 1970")
        .header(
            "Content-Range",
            "A part of a large file, in order, each in a request of its own: bytes 0-1048575/8388608. What has arrived is \
             kept for 15 minutes. With bytes */8388608 and no body it is asked how far it is",
        )
        .body("The bytes")
        .ends("202", "There is more to come; Range says which bytes are here")
        .ends("409", "The part is not the next one; Range says which bytes are here")
        .leaves("201", "It is there now")
        .leaves("204", "It holds these bytes now");
    add(&share("files"), "put", put);
    let remove = Operation::new("remove", "Removes a file, a link or an empty directory")
        .queries(edit::REMOVE)
        .header("If-Match", if_match)
        .ends("204", "It is gone");
    add(&share("files"), "delete", remove);
    let moved = Operation::new("rename", "Renames or moves; never over something else (method MOVE)")
        .queries(edit::MOVE)
        .header("Destination", "The new path in the share, percent-encoded")
        .header("If-Match", if_match)
        .leaves("201", "It is there now");
    add(&share("files"), "x-move", moved);
    let moved = Operation::new("move", "Renames or moves; never over something else")
        .queries(edit::MOVE_TO)
        .header("If-Match", if_match)
        .leaves("201", "It is there now");
    add(&share("move"), "post", moved);
    let made = Operation::new("makeDirectory", "Makes a directory")
        .queries(edit::MAKE)
        .leaves("201", "It is there now")
        .ends("204", "With parents: it was there already");
    add(&share("dirs"), "post", made);

    // What sitta clients work with.
    let stat = Operation::new("stat", "What stands at a path; null if nothing does");
    add(&share("stat"), "get", stat.gives("200", "The entry", json, &schema("StoreEntry")));
    let list = Operation::new("list", "What a directory holds, for sitta clients");
    let pairs = json!({"type": "array", "items": {"type": "array", "description": "Name and entry"}});
    add(&share("list"), "get", list.gives("200", "Names and entries", json, &pairs));
    let tree =
        Operation::new("tree", "All below a directory, for sitta clients: a line for each entry, the last is end")
            .queries(look::TREE);
    add(&share("tree"), "get", tree.gives("200", "Lines", "application/x-ndjson", &json!({"type": "object"})));
    let chunks = Operation::new(
        "chunks",
        "Nodes of the tree of hashes over a file's chunks, for sitta clients: those to \
        begin at, or those below the ones that are named",
    )
    .queries(chunks::KNOWN)
    .header("If-Match", if_match)
    .gives("200", "The nodes, as bytes", sitta_store::sitta::wire::CHUNKS, &bytes)
    .ends("202", "They are being worked out: ask again");
    add(&share("chunks"), "get", chunks);
    let uploads =
        Operation::new("upload", "How far the caller's own upload to this path has come, if it was cut off");
    add(&share("uploads"), "get", uploads.gives("200", "The upload", json, &schema("Upload")));
    let xattrs = Operation::new("xattrs", "The extended attributes of an entry");
    let pairs = json!({"type": "array", "items": {"type": "array", "description": "Name and value"}});
    add(&share("xattrs"), "get", xattrs.gives("200", "Names and values", json, &pairs));
    let feed = Operation::new("feed", "All that changes in the share from now on, as server-sent events")
        .header("Last-Event-ID", "From there on, if that is not long ago; otherwise `missed` comes first");
    add(&share("feed"), "get", feed.gives("200", "Events", "text/event-stream", &text));
    let sync = Operation::new("sync", "Makes everything changed so far safe from a power cut");
    add(&share("sync"), "post", sync.ends("204", "It is safe"));
    let root = Operation::new("makeRoot", "Makes the share's folder and a directory in it, where they are missing");
    add(&share("root"), "post", root.ends("204", "It is there"));
    let results = json!({"type": "array", "items": {"type": "object"}});
    let changes = Operation::new("changes", "Many changes in one request, for sitta clients")
        .body("A length, a list of changes in JSON, and the bytes of files")
        .gives("200", "What became of each", json, &results);
    add("/api/v1/shares/{share}/changes", "post", changes);
    paths
}

/// The parameters that stand in a path itself.
fn path_parameters(path: &str) -> Vec<Value> {
    let what = [("share", "The share's name"), ("path", "A path in the share; its slashes may stand as they are")];
    let there = what.into_iter().filter(|(name, _)| path.contains(&format!("{{{name}}}")));
    let parameter = |(name, what): (&str, &str)| json!({"name": name, "in": "path", "required": true, "description": what, "schema": {"type": "string"}});
    there.map(parameter).collect()
}
