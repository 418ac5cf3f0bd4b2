//! Letting the server search, which has the files at hand and perhaps an index.

use reqwest::Method;
use serde::Deserialize;
use sitta_tree::{Kind, Problem, ProblemKind, RelPath, Time, Unknown};

use super::client::Client;
use super::wire::{unhex, untag};
use crate::Result;
use crate::look::{Found, Item, Wanted};
use crate::written::timestamp;

/// So many are told in one answer.
const PAGE: usize = 50_000;

#[derive(Debug, Deserialize)]
struct Page {
    entries: Vec<Told>,
    next: Option<String>,
    problems: Vec<ToldProblem>,
}

#[derive(Debug, Deserialize)]
struct Told {
    path: String,
    path_bytes: Option<String>,
    kind: String,
    #[serde(default)]
    size: u64,
    version: Option<String>,
    target: Option<String>,
    target_bytes: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ToldProblem {
    path: String,
    path_bytes: Option<String>,
    kind: String,
    message: String,
}

/// What is below `dir` and is wanted; none if that cannot be put into words for the server.
pub(super) async fn find(
    client: &Client,
    dir: &RelPath,
    wanted: &Wanted,
    recursive: bool,
) -> Result<Option<Found>> {
    let Some(query) = query(wanted, recursive) else { return Ok(None) };
    let (mut found, mut after) = (Found::default(), None::<String>);
    loop {
        let mut url =
            client.site.url(&RelPath::new("entries").expect("a word").join_path(&client.within(dir)), false);
        let page = after.as_ref().map_or(String::new(), |after| format!("&after={after}"));
        url.set_query(Some(&format!("{query}&limit={PAGE}{page}")));
        let answer = client.site.web.send(client.site.request(&Method::GET, url), dir).await?;
        let page: Page = client.read(answer, dir).await?;
        let below = |text: &str, bytes: Option<&str>| {
            let path = bytes.map_or_else(|| Some(text.as_bytes().to_vec()), unhex);
            let path = path.and_then(|path| RelPath::new(path).ok()).and_then(|path| client.below(&path));
            let path = path.and_then(|path| path.below(dir));
            path.ok_or_else(|| client.odd(dir, "it tells of what lies elsewhere"))
        };
        for told in &page.entries {
            let path = below(&told.path, told.path_bytes.as_deref())?;
            found.items.push(item(path, told).ok_or_else(|| client.odd(dir, "an entry that cannot be"))?);
        }
        for problem in page.problems {
            let kind = ProblemKind::ALL.into_iter().find(|kind| kind.name() == problem.kind);
            let path = below(&problem.path, problem.path_bytes.as_deref())?;
            found.problems.push(Problem::new(path, kind.unwrap_or(ProblemKind::Other), problem.message));
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(Some(found)),
        }
    }
}

fn query(wanted: &Wanted, recursive: bool) -> Option<String> {
    let mut query = format!("recursive={recursive}");
    let mut add = |name: &str, value: &[u8]| {
        query.push_str(&format!("&{name}="));
        value.iter().for_each(|byte| query.push_str(&format!("%{byte:02X}")));
    };
    wanted.globs.iter().for_each(|glob| add("glob", glob.as_bytes()));
    for extension in &wanted.extensions {
        if extension.is_empty() || extension.contains(&b',') {
            return None;
        }
        add("ext", extension);
    }
    for (name, size) in [("min_size", wanted.min_size), ("max_size", wanted.max_size)] {
        size.into_iter().for_each(|size| add(name, size.to_string().as_bytes()));
    }
    for (name, time) in [("since", wanted.since), ("until", wanted.until)] {
        if let Some(time) = time {
            add(name, timestamp(time)?.to_string().as_bytes());
        }
    }
    for (name, text) in [("contains", &wanted.contains), ("name", &wanted.name)] {
        text.iter().for_each(|text| add(name, text));
    }
    Some(query)
}

fn item(path: RelPath, told: &Told) -> Option<Item> {
    let (kind, unknown) = match &*told.kind {
        "file" => (Kind::File, None),
        "dir" => (Kind::Dir, None),
        "symlink" => (Kind::Symlink, None),
        "special" => (Kind::Unknown, Some(Unknown::Special)),
        _ => (Kind::Unknown, Some(Unknown::Unreadable)),
    };
    let version = match &told.version {
        Some(version) => untag(version)?,
        None => sitta_tree::Fingerprint::default(),
    };
    let target = match &told.target_bytes {
        Some(bytes) => unhex(bytes)?,
        None => told.target.clone().unwrap_or_default().into_bytes(),
    };
    let mtime: Time = version.mtime;
    Some(Item {
        path,
        kind,
        size: told.size,
        mtime,
        id: version.id,
        change: version.change,
        target: target.into(),
        unknown,
    })
}
