//! Many changes at once; many removals in few requests.

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderName, Method, header};
use sitta_tree::{Entry, RelPath};

use super::client::Call;
use super::list::Which;
use super::object::Sum;
use super::{S3Store, xml};
use crate::{Change, Displaced, Error, ErrorKind, Flow, Precondition, Result, Written, together};

/// From so many removals in a row on, they go in one request.
const TOGETHER: usize = 8;
/// The most removals in one request.
const MOST: usize = 1000;
/// A page of a listing that tells of fewer objects than this is no cheaper than a HEAD for each.
const WORTHWHILE: usize = 4;
const LONGEST_ANSWER: usize = 4 << 20;

type Results = Vec<Result<Option<Written>>>;

/// A removal whose version is told by a listing.
struct Removal {
    path: RelPath,
    expect: Precondition,
    key: String,
}

fn is_plain_removal(change: &Change) -> bool {
    matches!(change, Change::Remove { displaced: Displaced::Discard, path, .. } if !path.is_root())
}

impl S3Store {
    pub(super) async fn apply_all(&self, changes: Vec<Change>, flow: &Arc<Flow>) -> Results {
        let mut results = Vec::with_capacity(changes.len());
        let mut others = Vec::new();
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let mut run = Vec::new();
            while let Some(change) = changes.next_if(|change| is_plain_removal(change) && run.len() < MOST) {
                run.push(change);
            }
            if run.len() < TOGETHER {
                others.extend(run);
                others.extend(changes.next_if(|change| !is_plain_removal(change)));
            } else {
                results.extend(together::apply(self, std::mem::take(&mut others), flow, &self.lanes).await);
                results.extend(self.remove_many(run, flow).await);
            }
        }
        results.extend(together::apply(self, others, flow, &self.lanes).await);
        results
    }

    /// Removes objects in one request, once a listing has told which versions stand there. Whatever that does not
    /// settle (a directory, say, or nothing there) goes the usual way afterwards.
    async fn remove_many(&self, run: Vec<Change>, flow: &Arc<Flow>) -> Results {
        if flow.is_cancelled() {
            return together::apply(self, run, flow, &self.lanes).await;
        }
        let mut wanted: Vec<Removal> = run.iter().filter_map(|change| self.removal(change)).collect();
        wanted.sort_by(|a, b| a.key.cmp(&b.key));
        wanted.dedup_by(|a, b| a.key == b.key);
        let mut settled = match self.versions(&wanted).await {
            Ok(found) => self.delete_found(&wanted, &found).await,
            // The usual way tells why.
            Err(_) => HashMap::new(),
        };
        let mut results = Vec::with_capacity(run.len());
        let mut rest = Vec::new();
        for (at, change) in run.into_iter().enumerate() {
            match &change {
                Change::Remove { path, .. } if settled.contains_key(path) => {
                    results.push(settled.remove(path).unwrap_or(Ok(())).map(|()| None));
                }
                _ => {
                    results.push(Ok(None));
                    rest.push((at, change));
                }
            }
        }
        let (places, rest): (Vec<_>, Vec<_>) = rest.into_iter().unzip();
        for (at, result) in places.into_iter().zip(together::apply(self, rest, flow, &self.lanes).await) {
            results[at] = result;
        }
        results
    }

    /// What can be settled by a listing and one request. XML has no way to write some keys.
    fn removal(&self, change: &Change) -> Option<Removal> {
        let Change::Remove { path, expect, .. } = change else { return None };
        let key = self.key(path).ok().filter(|key| xml::escape(key).is_some())?;
        // A listing tells no times: what is known only by its time needs a closer look.
        let told = !matches!(expect, Precondition::Version(version) if version.change == 0);
        told.then(|| Removal { path: path.clone(), expect: *expect, key })
    }

    /// What stands at the keys, as far as listings tell it cheaply.
    async fn versions(&self, wanted: &[Removal]) -> Result<HashMap<String, Entry>> {
        let mut found = HashMap::new();
        let mut left = wanted;
        while let Some(first) = left.first() {
            let after = right_before(&first.key);
            let which = Which { prefix: &self.prefix, after: after.as_deref(), ..Which::default() };
            let page = self.client.page(&first.path, which).await?;
            let (before, mut last) = (found.len(), None);
            for object in &page.objects {
                let Ok(key) = String::from_utf8(page.key(object)) else { continue };
                if left.binary_search_by(|removal| removal.key.as_str().cmp(&key)).is_ok() {
                    found.insert(key.clone(), object.entry());
                }
                last = Some(key);
            }
            let Some(last) = last.filter(|_| page.token.is_some()) else { break };
            let covered = left.partition_point(|removal| removal.key <= last);
            left = &left[covered..];
            // A server that does not begin where it was asked to, or objects too far apart.
            if covered == 0 || found.len() - before < WORTHWHILE {
                break;
            }
        }
        Ok(found)
    }

    /// Deletes what stands there in the expected version; tells of those that this settles.
    async fn delete_found(
        &self,
        wanted: &[Removal],
        found: &HashMap<String, Entry>,
    ) -> HashMap<RelPath, Result<()>> {
        let mut settled = HashMap::new();
        let mut going = Vec::new();
        for removal in wanted {
            match found.get(&removal.key) {
                None => {}
                Some(entry) if removal.expect.admits(Some(entry)) => going.push(removal),
                Some(_) => {
                    let changed = self.error(ErrorKind::Changed, &removal.path, "it is not what was expected");
                    settled.insert(removal.path.clone(), Err(changed));
                }
            }
        }
        if !going.is_empty() {
            settled.extend(self.delete_objects(&going).await);
        }
        settled
    }

    async fn delete_objects(&self, going: &[&Removal]) -> Vec<(RelPath, Result<()>)> {
        let mut body = String::from("<Delete><Quiet>true</Quiet>");
        for removal in going {
            self.ahead.removed(&removal.path);
            body.push_str("<Object><Key>");
            body.push_str(&xml::escape(&removal.key).unwrap_or_default());
            body.push_str("</Key></Object>");
        }
        body.push_str("</Delete>");
        let all = |result: Result<()>| {
            let named = |path: &RelPath, error: Error| Error { path: Some(path.clone()), ..error };
            let one = |removal: &&Removal| {
                (removal.path.clone(), result.clone().map_err(|error| named(&removal.path, error)))
            };
            going.iter().map(one).collect()
        };
        let root = RelPath::root();
        let sum = Sum::of([body.as_bytes()]);
        let call = Call::bucket(Method::POST, &root)
            .query("delete", "")
            .header(header::CONTENT_TYPE, "application/xml")
            .header(HeaderName::from_static("content-md5"), &sum.base64())
            .body(vec![body.into()]);
        let answer = match self.client.send(call).await {
            Ok(answer) => answer,
            // A server that does not know the request: one by one.
            Err(error) if error.kind == ErrorKind::Unsupported => return Vec::new(),
            Err(error) => return all(Err(error)),
        };
        match self.client.web().whole(answer, &root, LONGEST_ANSWER).await {
            Ok(answer) => self.read_deletions(going, &answer),
            Err(error) => all(Err(error)),
        }
    }

    /// The answer names what could not be deleted.
    fn read_deletions(&self, going: &[&Removal], answer: &[u8]) -> Vec<(RelPath, Result<()>)> {
        let mut failed: HashMap<String, (String, String)> = HashMap::new();
        let (mut key, mut code, mut message) = (String::new(), String::new(), String::new());
        let mut parser = xml::Parser::default();
        let parsed = parser.feed(answer, &mut |name, text| match name {
            "Key" => key = text.to_owned(),
            "Code" => code = text.to_owned(),
            "Message" => message = text.to_owned(),
            "Error" => {
                failed.insert(std::mem::take(&mut key), (std::mem::take(&mut code), std::mem::take(&mut message)));
            }
            _ => {}
        });
        let one = |removal: &&Removal| {
            let result = match (&parsed, failed.get(&removal.key)) {
                (Ok(()), None) => Ok(()),
                (Ok(()), Some((code, message))) => Err(self.client.coded(&removal.path, code, message)),
                (Err(what), _) => Err(self.error(ErrorKind::Unreachable, &removal.path, what.clone())),
            };
            (removal.path.clone(), result)
        };
        going.iter().map(one).collect()
    }
}

/// A key that comes before this one with nothing in between; none: there is none.
fn right_before(key: &str) -> Option<String> {
    let last = key.chars().next_back()?;
    let lower = (0..u32::from(last)).rev().find_map(char::from_u32)?;
    let mut before = key[..key.len() - last.len_utf8()].to_owned();
    before.push(lower);
    before.push(char::MAX);
    Some(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lies_right_before() {
        for key in ["a", "a/b", "\u{e000}", "x\u{1}", "z\u{10ffff}"] {
            let before = right_before(key).expect("there is one");
            assert!(*before < *key, "{key:?}");
        }
        assert!(right_before("ab").unwrap().as_str() > "aa\u{e9}zzz");
        assert_eq!(right_before(""), None);
    }
}
