//! Whether a change may happen: the `If` header holds, and no lock of somebody else stands in the way.

use axum::http::{HeaderName, StatusCode};
use sitta_tree::{Kind, RelPath};

use super::condition::{Condition, Is, List, State};
use super::headers::{local_path, text};
use super::locks::{Token, Touched};
use super::refused::Refused;
use super::{Ask, href, look};
use crate::api::access::Target;
use crate::api::dirs::{is_own, reserved};
use crate::api::expect::etag;
use crate::api::problem::Trouble;

const IF: HeaderName = HeaderName::from_static("if");

impl Ask {
    /// The `If` header; nothing of it is looked at yet.
    pub fn condition(&self) -> Result<Condition, Refused> {
        let Some(value) = text(&self.headers, &IF)? else { return Ok(Condition::default()) };
        let odd = || Trouble::parameter(IF.as_str(), value.as_bytes(), "write lists as in RFC 4918, 10.4");
        Ok(Condition::parse(value).ok_or_else(odd)?)
    }

    /// Refuses a change of these paths unless the `If` header holds and submits the tokens of all locks on them.
    pub async fn may_change(&self, touched: &[Touched]) -> Result<(), Refused> {
        let condition = self.condition()?;
        self.must_hold(&condition).await?;
        let tokens: Vec<Token> = condition.tokens().cloned().collect();
        for touched in touched {
            let blocking = self.app.locks.blocking(touched, &self.target.caller.name, &tokens);
            if !blocking.is_empty() {
                let about = blocking.iter().map(|path| href(&touched.share, path, Kind::File)).collect();
                return Err(Refused::locked("lock-token-submitted", about));
            }
        }
        Ok(())
    }

    /// Refuses a request whose `If` header does not hold.
    pub async fn must_hold(&self, condition: &Condition) -> Result<(), Refused> {
        for list in &condition.lists {
            if self.holds(list).await? {
                return Ok(());
            }
        }
        match condition.lists.is_empty() {
            true => Ok(()),
            false => Err(Refused::new(StatusCode::PRECONDITION_FAILED, "changed", "what If demands does not hold")),
        }
    }

    async fn holds(&self, list: &List) -> Result<bool, Refused> {
        // Of what is not here, nothing is known: it has no state.
        let about = match &list.about {
            None => Some((self.target.share.clone(), self.target.path.clone())),
            Some(url) => local_path(url, self.host.as_ref())
                .flatten()
                .and_then(|path| Target::find(&self.app, self.target.caller.clone(), &path).ok())
                .map(|target| (target.share, target.path)),
        };
        for State { not, is } in &list.states {
            let so = match (is, &about) {
                (_, None) => false,
                (Is::Locked(token), Some((share, path))) => {
                    self.app.locks.covering(&share.name, path).iter().any(|lock| lock.token == *token)
                }
                (Is::Version(tag), Some((share, path))) => {
                    look(&share.store, path).await?.is_some_and(|entry| etag(&entry) == *tag)
                }
            };
            if so == *not {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Refuses to change what is the share itself, or the server's own. Temporaries may be: a sitta that comes by WebDAV makes
/// its own beside what it writes.
pub(super) fn changeable(path: &RelPath) -> Result<(), Refused> {
    if path.is_root() {
        return Err(Refused::new(StatusCode::FORBIDDEN, "is_a_directory", "it is the share itself"));
    }
    if is_own(path) { Err(reserved().into()) } else { Ok(()) }
}
