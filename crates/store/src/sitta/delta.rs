//! Only what differs travels: the trees over both versions' chunks are compared, node by node, and what the other side
//! has already is not sent again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use reqwest::header::{ETAG, IF_MATCH};
use reqwest::{Method, Url};
use sitta_tree::{Fingerprint, RelPath};

use super::batch::{BROKEN, COPY, LAST};
use super::client::Client;
use super::wire::{Text, WireChange, WireExpect, WireWhat, tag, told, untag};
use crate::chunk::{ChunkTree, Known, Origin, Piece, Recipe, Sizes, Told, TreeBuilder, WHOLE, Walk};
use crate::{ByteStream, Error, ErrorKind, Flow, Result, Source, Store};

/// Nodes that are asked for at a time, and how long their list may get in a URL.
const NODES: usize = 4096;
const LIST: usize = 6000;

/// How often, a second apart, a server is asked that is still working out its chunks.
const QUESTIONS: usize = 3600;

/// What both sides have, and which version of theirs that is.
struct Compared {
    walk: Walk,
    version: Fingerprint,
    told: sitta_tree::ContentHash,
}

/// The version that a change replaces and the source of its bytes, if a delta may pay.
fn replaces<'c>(client: &Client, change: &'c WireChange, source: &Source) -> Option<(&'c Text, Fingerprint)> {
    let WireChange::Write { path, expect: WireExpect::Version(version), .. } = change else { return None };
    let old = untag(version).filter(|version| client.chunks && version.size > WHOLE)?;
    source.size().is_some_and(|size| size > WHOLE).then_some((path, old))
}

/// What a change of this file sends, if not all its bytes: the change as it is told then, and the recipe. None: they shall
/// all be sent.
pub(super) async fn recipe_up(
    client: &Client,
    path: &RelPath,
    change: &WireChange,
    source: &Source,
    flow: &Arc<Flow>,
) -> Result<Option<(WireChange, Recipe)>> {
    let Some((_, old)) = replaces(client, change, source) else { return Ok(None) };
    let Source::Stored { store, path: at, version } = source else { return Ok(None) };
    // It is only looked into, which a limit on what flows is not about; elsewhere it costs as much as sending it.
    let Some(local) = store.behind() else { return Ok(None) };
    let bytes = match local.fetch(at, version, 0).await {
        Ok(fetched) => fetched.bytes,
        // A view of a folder may have paths of its own.
        Err(_) => return Ok(None),
    };
    let own = tree(bytes, Sizes::of(old.size), flow, || client.site.error(ErrorKind::Cancelled, path, "cancelled"));
    let (own, top) = tokio::join!(own, client.top(path));
    let (own, Some((top, now))) = (own?, top?) else { return Ok(None) };
    let known = Known::new(&own);
    let Some(compared) = client.compare(path, &old, &known, top, now).await? else {
        let what = "it is another version by now";
        return Err(client.site.error(ErrorKind::Changed, path, what));
    };
    let recipe = Recipe::from_here(&known, &compared.walk);
    if !recipe.saves() {
        return Ok(None);
    }
    let mut change = change.clone();
    if let WireChange::Write { what, .. } = &mut change {
        let (size, of, content) = (own.size(), tag(&compared.version), recipe.content.to_string());
        *what = WireWhat::Pieces { size, of, content };
    }
    Ok(Some((change, recipe)))
}

/// How a version there can be put together from an old one here; none: all of it shall be fetched.
pub(super) async fn recipe_down(
    client: &Client,
    path: &RelPath,
    version: &Fingerprint,
    old: &Source,
) -> Result<Option<Recipe>> {
    let pays = client.chunks && version.size > WHOLE && old.size().is_some_and(|size| size > WHOLE);
    if !pays {
        return Ok(None);
    }
    let never = Arc::default();
    let own = async {
        let cancelled = || client.site.error(ErrorKind::Cancelled, path, "cancelled");
        tree(old.open(0).await?.bytes, Sizes::of(version.size), &never, cancelled).await
    };
    let (own, top) = tokio::join!(own, client.top(path));
    // An old version that cannot be read is no help.
    let (Ok(own), Some((top, now))) = (own, top?) else { return Ok(None) };
    let known = Known::new(&own);
    let Some(compared) = client.compare(path, version, &known, top, now).await? else { return Ok(None) };
    let recipe = Recipe::to_here(&known, &compared.walk, compared.told);
    Ok(Some(recipe).filter(Recipe::saves))
}

/// The tree over the bytes' chunks.
async fn tree(
    mut bytes: ByteStream,
    sizes: Sizes,
    flow: &Arc<Flow>,
    cancelled: impl Fn() -> Error,
) -> Result<ChunkTree> {
    let mut builder = TreeBuilder::new(sizes);
    while let Some(piece) = bytes.next().await {
        if flow.is_cancelled() {
            return Err(cancelled());
        }
        builder.push(&piece?);
    }
    Ok(builder.finish())
}

impl Client {
    /// Where to begin with a file's tree, and of which version it is; none if the server tells no chunks of it.
    async fn top(&self, path: &RelPath) -> Result<Option<(Told, Fingerprint)>> {
        for _ in 0..QUESTIONS {
            let answer = self.site.web.send(self.ask(&Method::GET, "chunks", path), path).await?;
            if answer.status().as_u16() == 202 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            let answer = match self.granted(answer, path).await {
                Ok(answer) => answer,
                Err(error) if error.kind.is_transient() && error.kind != ErrorKind::Busy => return Err(error),
                Err(_) => return Ok(None),
            };
            let etag = answer.headers().get(ETAG).and_then(|etag| etag.to_str().ok()).unwrap_or_default();
            let version = untag(etag.trim_matches('"')).ok_or_else(|| self.odd(path, "it names no version"))?;
            return Ok(Some((self.nodes(answer, path).await?, version)));
        }
        Ok(None)
    }

    async fn nodes(&self, answer: reqwest::Response, path: &RelPath) -> Result<Told> {
        let body = self.site.web.whole(answer, path, super::client::ANSWER).await?;
        told(&body).map_err(|error| self.odd(path, error))
    }

    /// Goes down to what differs from what is known here; none if it is not that version.
    async fn compare(
        &self,
        path: &RelPath,
        wanted: &Fingerprint,
        known: &Known<'_>,
        top: Told,
        now: Fingerprint,
    ) -> Result<Option<Compared>> {
        let change = if wanted.change == 0 { now.change } else { wanted.change };
        if !now.same_version(&Fingerprint { change, ..*wanted }) {
            return Ok(None);
        }
        let odd = |what| self.odd(path, what);
        let content = top.content;
        let mut walk = Walk::begin(known, top, now.size).map_err(odd)?;
        while let Some((level, wanted)) = walk.wanted() {
            let mut groups = Vec::with_capacity(wanted.len());
            for list in lists(&wanted) {
                let mut url: Url = self
                    .site
                    .url(&RelPath::new("chunks").expect("a word of ours").join_path(&self.within(path)), false);
                url.set_query(Some(&format!("nodes={level}:{list}")));
                let request = self.site.request(&Method::GET, url).header(IF_MATCH, format!("\"{}\"", tag(&now)));
                let answer = self.site.web.send(request, path).await?;
                let answer = match self.granted(answer, path).await {
                    Err(error) if error.kind == ErrorKind::Changed => return Ok(None),
                    answer => answer?,
                };
                let told = self.nodes(answer, path).await?;
                if told.level + 1 != level || told.content != content {
                    return Err(odd("it tells of other nodes than it was asked for"));
                }
                groups.extend(told.groups);
            }
            walk.descend(known, groups).map_err(odd)?;
        }
        Ok(Some(Compared { walk, version: now, told: content }))
    }
}

/// The places as ranges, as many together as one question may have.
fn lists(places: &[u32]) -> Vec<String> {
    let mut lists = Vec::new();
    for places in places.chunks(NODES) {
        let mut list = String::new();
        for run in places.chunk_by(|one, next| one + 1 == *next) {
            if list.len() > LIST {
                lists.push(std::mem::take(&mut list));
            }
            let comma = if list.is_empty() { "" } else { "," };
            list += &match run {
                [one] => format!("{comma}{one}"),
                run => format!("{comma}{}-{}", run[0], run[run.len() - 1]),
            };
        }
        lists.push(list);
    }
    lists
}

/// What is sent of a file that is put together at the server.
enum Part {
    /// The server's own bytes.
    Copy { from: u64, len: u64 },
    /// Bytes that it lacks.
    Bytes(Bytes),
}

fn parts(recipe: &Recipe, source: &Source) -> BoxStream<'static, Result<Part>> {
    let place = |at: &mut u64, piece: &Piece| {
        let start = *at;
        *at += piece.len;
        Some((start, *piece))
    };
    let placed: Vec<(u64, Piece)> = recipe.pieces.iter().scan(0, place).collect();
    let (new, end) = (source.clone(), source.clone());
    let parts = stream::iter(placed).then(move |(at, piece)| {
        let source = new.clone();
        async move {
            Ok::<_, Error>(match piece.origin {
                Origin::Old(from) => stream::iter([Ok(Part::Copy { from, len: piece.len })]).boxed(),
                Origin::New => source.part(at..at + piece.len).await?.map_ok(Part::Bytes).boxed(),
            })
        }
    });
    // Whether they were all of the version that was looked into is known at the end.
    let checked = stream::once(async move { end.check().await }).try_filter_map(|()| async { Ok(None) });
    parts.try_flatten().chain(checked).boxed()
}

/// What went wrong with the bytes themselves, and how many were counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Sending(Arc<Mutex<(Option<Error>, u64)>>);

impl Sending {
    fn with<T>(&self, work: impl FnOnce(&mut (Option<Error>, u64)) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    pub fn failed(&self) -> Option<Error> {
        self.with(|(failed, _)| failed.clone())
    }

    pub fn counted(&self) -> u64 {
        self.with(|(_, counted)| *counted)
    }

    /// The recipe with the bytes that the server lacks, as they are sent; see `batch`.
    pub fn body(&self, recipe: &Recipe, source: &Source, flow: &Arc<Flow>, cancelled: Error) -> ByteStream {
        let state = Some((parts(recipe, source), self.clone(), flow.clone(), cancelled));
        let framed = stream::unfold(state, |state| async move {
            let (mut parts, sending, flow, cancelled) = state?;
            let next = if flow.is_cancelled() { Some(Err(cancelled.clone())) } else { parts.next().await };
            let mut frame = BytesMut::new();
            let len = match next {
                Some(Ok(Part::Copy { from, len })) => {
                    frame.put_u32(COPY);
                    frame.put_u64(from);
                    frame.put_u64(len);
                    len
                }
                Some(Ok(Part::Bytes(bytes))) => {
                    if !bytes.is_empty() {
                        frame.put_u32(u32::try_from(bytes.len()).expect("pieces are bounded"));
                        frame.put(bytes.clone());
                    }
                    bytes.len() as u64
                }
                Some(Err(error)) => {
                    sending.with(|(failed, _)| *failed = Some(error));
                    frame.put_u32(BROKEN);
                    return Some((Ok(frame.freeze()), None));
                }
                None => {
                    frame.put_u32(LAST);
                    return Some((Ok(frame.freeze()), None));
                }
            };
            flow.add_bytes(len);
            sending.with(|(_, counted)| *counted += len);
            Some((Ok(frame.freeze()), Some((parts, sending, flow, cancelled))))
        });
        framed.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_asked_for_in_ranges_and_not_too_many_at_once() {
        assert_eq!(lists(&[0]), ["0"]);
        assert_eq!(lists(&[0, 1, 2, 5, 7, 8]), ["0-2,5,7-8"]);
        let all: Vec<u32> = (0..10_000).collect();
        assert_eq!(lists(&all), ["0-4095", "4096-8191", "8192-9999"]);
        let odd: Vec<u32> = (0..4000).map(|n| n * 2).collect();
        let lists = lists(&odd);
        assert!(lists.len() > 1 && lists.iter().all(|list| list.len() < LIST + 30));
        assert_eq!(lists.iter().map(|list| list.split(',').count()).sum::<usize>(), odd.len());
    }
}
