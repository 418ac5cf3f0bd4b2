//! Listings: pages of a thousand keys, and the tree that they tell of.

use futures::stream::StreamExt;
use http::Method;
use sitta_tree::{Entry, Kind, RelPath, Time, Tree};
use tokio::task::JoinSet;

use super::client::{Call, Client};
use super::object::{bare, version};
use super::xml::Parser;
use super::{S3Store, is_ours};
use crate::gather::Gather;
use crate::{ErrorKind, Result, ScanOptions};

/// One object of a listing.
#[derive(Debug)]
pub(super) struct Listed {
    /// As the server wrote it; see [`Page::key`].
    key: Box<str>,
    pub size: u64,
    pub change: u64,
}

impl Listed {
    pub fn entry(&self) -> Entry {
        Entry { size: self.size, change: self.change, ..Entry::new(Kind::File) }
    }
}

/// A part of a listing.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub objects: Vec<Listed>,
    /// What stands below a common prefix, where a delimiter was asked for.
    prefixes: Vec<Box<str>>,
    /// Where the next page begins.
    pub token: Option<String>,
    /// The server has percent-encoded the keys.
    encoded: bool,
}

impl Page {
    /// A key of this page as it is.
    pub fn key(&self, object: &Listed) -> Vec<u8> {
        self.decoded(&object.key)
    }

    fn decoded(&self, text: &str) -> Vec<u8> {
        if self.encoded { decode(text) } else { text.as_bytes().to_vec() }
    }
}

/// Which part of a listing.
#[derive(Debug, Clone, Default)]
pub(super) struct Which<'w> {
    pub prefix: &'w str,
    pub one_level: bool,
    pub token: Option<&'w str>,
    pub after: Option<&'w str>,
    pub most: Option<u32>,
}

impl Client {
    /// One page; asked for again if that fails for the moment.
    pub async fn page(&self, path: &RelPath, which: Which<'_>) -> Result<Page> {
        let mut call = Call::bucket(Method::GET, path);
        if let Some(token) = which.token {
            call = call.query("continuation-token", token);
        }
        if which.one_level {
            call = call.query("delimiter", "/");
        }
        call = call.query("encoding-type", "url").query("list-type", "2");
        if let Some(most) = which.most {
            call = call.query("max-keys", &most.to_string());
        }
        call = call.query("prefix", which.prefix);
        if let Some(after) = which.after {
            call = call.query("start-after", after);
        }
        let answer = self.persist(&call).await?;
        let mut bytes = self.web().bytes(answer, path);
        let (mut parser, mut reader) = (Parser::default(), PageReader::default());
        let odd = |what: String| self.error(ErrorKind::Unreachable, path, format!("a malformed listing: {what}"));
        while let Some(piece) = bytes.next().await {
            parser.feed(&piece?, &mut |name, text| reader.element(name, text)).map_err(odd)?;
        }
        parser.finish().map_err(odd)?;
        if !reader.is_listing {
            return Err(self.error(ErrorKind::Unsupported, path, "the server does not answer as S3 does"));
        }
        Ok(reader.page)
    }
}

#[derive(Default)]
struct PageReader {
    page: Page,
    truncated: bool,
    is_listing: bool,
    key: Box<str>,
    etag: Option<String>,
    modified: Time,
    size: u64,
    prefix: Option<Box<str>>,
}

impl PageReader {
    fn element(&mut self, name: &str, text: &str) {
        match name {
            "Key" => self.key = text.into(),
            "ETag" => self.etag = Some(bare(text).to_owned()).filter(|etag| !etag.is_empty()),
            "Size" => self.size = text.parse().unwrap_or_default(),
            "LastModified" => self.modified = text.parse::<jiff::Timestamp>().map(time_of).unwrap_or_default(),
            "Contents" => {
                let change = version(self.etag.take().as_deref(), self.modified, self.size);
                self.page.objects.push(Listed { key: std::mem::take(&mut self.key), size: self.size, change });
            }
            "Prefix" => self.prefix = Some(text.into()),
            "CommonPrefixes" => self.page.prefixes.extend(self.prefix.take()),
            "EncodingType" => self.page.encoded = text == "url",
            "IsTruncated" => self.truncated = text == "true",
            "NextContinuationToken" => self.page.token = Some(text.to_owned()).filter(|token| !token.is_empty()),
            "ListBucketResult" => {
                self.is_listing = true;
                if !self.truncated {
                    self.page.token = None;
                }
            }
            _ => {}
        }
    }
}

fn time_of(time: jiff::Timestamp) -> Time {
    Time::new(time.as_second(), 0)
}

/// Undoes what `encoding-type=url` asks for: like a form, so that `+` is a space.
fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    while let [first, more @ ..] = rest {
        rest = more;
        match (first, more) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, more @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push((high * 16 + low) as u8);
                    rest = more;
                }
                _ => bytes.push(b'%'),
            },
            (byte, _) => bytes.push(*byte),
        }
    }
    bytes
}

/// What a key below the root is.
enum Meant {
    /// The marker of the root itself.
    Root,
    File(RelPath),
    /// A marker: an empty object whose key ends with a slash.
    Dir(RelPath),
    /// No path: the last directory on the way that is one, and what follows.
    No(RelPath, Vec<u8>),
}

fn meant(below: &[u8], size: u64) -> Meant {
    let (name, marker) = match below.strip_suffix(b"/") {
        Some(name) if size == 0 => (name, true),
        _ => (below, false),
    };
    if below.is_empty() {
        return Meant::Root;
    }
    match RelPath::new(name) {
        Ok(path) if path.is_root() => Meant::No(path, below.to_vec()),
        Ok(path) if marker => Meant::Dir(path),
        Ok(path) => Meant::File(path),
        Err(_) => {
            let (mut dir, mut rest) = (RelPath::root(), below);
            while let Some(at) = rest.iter().position(|byte| *byte == b'/')
                && let Ok(deeper) = dir.join(&rest[..at])
            {
                (dir, rest) = (deeper, &rest[at + 1..]);
            }
            Meant::No(dir, rest.to_vec())
        }
    }
}

impl S3Store {
    pub(super) async fn scan_all(&self, options: &ScanOptions) -> Result<Tree> {
        let root = RelPath::root();
        let mut gather = Gather::new(options);
        // The next page comes while the last one is being looked at; dropping this stops it.
        let mut fetching = JoinSet::new();
        fetching.spawn(self.fetch_page(None));
        while let Some(page) = fetching.join_next().await {
            if options.flow.is_cancelled() {
                return Err(self.error(ErrorKind::Cancelled, &root, "cancelled"));
            }
            let page = page.map_err(|_| self.error(ErrorKind::Other, &root, "the listing was stopped"))??;
            if page.token.is_some() {
                fetching.spawn(self.fetch_page(page.token.clone()));
            }
            for object in &page.objects {
                self.gather_one(&mut gather, &page.key(object), object);
            }
        }
        gather.finish(Some(Entry::new(Kind::Dir)), self.client.location())
    }

    fn fetch_page(&self, token: Option<String>) -> impl Future<Output = Result<Page>> + Send + 'static {
        let (client, prefix) = (self.client.clone(), self.prefix.clone());
        async move {
            let which = Which { prefix: &prefix, token: token.as_deref(), ..Which::default() };
            let page = client.page(&RelPath::root(), which).await?;
            if page.token.is_some() && page.token == token {
                let what = "the server lists the same page again and again";
                return Err(client.error(ErrorKind::Unsupported, &RelPath::root(), what));
            }
            Ok(page)
        }
    }

    fn gather_one(&self, gather: &mut Gather<'_>, key: &[u8], object: &Listed) {
        // What is not below the prefix was not asked for.
        let Some(below) = key.strip_prefix(self.prefix.as_bytes()) else { return };
        match meant(below, object.size) {
            Meant::Root => {}
            Meant::File(path) => gather.deep(path, object.entry()),
            Meant::Dir(path) => gather.deep(path, Entry::new(Kind::Dir)),
            Meant::No(dir, name) => gather.misnamed(&dir, &name),
        }
    }

    pub(super) async fn list_dir(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>> {
        let prefix = self.below(dir)?;
        let (mut entries, mut token, mut seen) = (Vec::new(), None::<String>, dir.is_root());
        loop {
            let which = Which { prefix: &prefix, one_level: true, token: token.as_deref(), ..Which::default() };
            let page = self.client.page(dir, which).await?;
            for object in &page.objects {
                seen = true;
                let key = page.key(object);
                let name = key.strip_prefix(prefix.as_bytes()).unwrap_or_default();
                entries.extend(dir.join(name).ok().map(|_| (Box::from(name), object.entry())));
            }
            for deeper in &page.prefixes {
                seen = true;
                let deeper = page.decoded(deeper);
                let name = deeper.strip_prefix(prefix.as_bytes()).unwrap_or_default();
                let name = name.strip_suffix(b"/").unwrap_or(name);
                entries.extend(dir.join(name).ok().map(|_| (Box::from(name), Entry::new(Kind::Dir))));
            }
            if page.token.is_none() || page.token == token {
                break;
            }
            token = page.token;
        }
        if !seen {
            return Err(match self.head(dir).await? {
                Some(_) => self.error(ErrorKind::NotADirectory, dir, "it is a file"),
                None => self.error(ErrorKind::NotFound, dir, "no such directory"),
            });
        }
        entries.retain(|(name, _)| !is_ours(dir, name));
        // A file and a directory of one name: the file counts, as in a scan.
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        entries.dedup_by(|second, first| second.0 == first.0);
        Ok(entries)
    }

    /// What stands below a directory, as far as it takes to know: nothing, its marker alone, or more.
    pub(super) async fn holds(&self, dir: &RelPath) -> Result<Holds> {
        let prefix = self.below(dir)?;
        let page = self.client.page(dir, Which { prefix: &prefix, most: Some(2), ..Which::default() }).await?;
        let marker = |object: &Listed| page.key(object) == prefix.as_bytes();
        Ok(match &*page.objects {
            [] => Holds::Nothing,
            [only] if marker(only) => Holds::Marker,
            _ => Holds::More,
        })
    }

    /// Fails unless the bucket is there. Who may not list may still write.
    pub(super) async fn check_bucket(&self) -> Result<()> {
        let which = Which { prefix: &self.prefix, most: Some(1), ..Which::default() };
        self.client.page(&RelPath::root(), which).await.map(drop)
    }
}

/// See [`S3Store::holds`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Nothing,
    Marker,
    More,
}
