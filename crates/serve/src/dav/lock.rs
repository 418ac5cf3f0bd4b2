//! Taking and giving up locks (RFC 4918, 9.10 and 9.11).

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use sitta_store::{Displaced, Precondition, Source, What, Write};
use sitta_tree::{Kind, Meta};

use super::guard::changeable;
use super::headers::{Depth, depth, text, timeout};
use super::locks::{Lock, Locks, NoLock, Token, Touched};
use super::refused::{Refused, XML};
use super::{Ask, href, look, small, xml};
use crate::api::dirs::no_directory;
use crate::api::problem::Trouble;

const LOCK_TOKEN: HeaderName = HeaderName::from_static("lock-token");

/// The longest word of a client on its user, in bytes.
const OWNER: usize = 4 << 10;

/// What is asked for.
struct Asked {
    exclusive: bool,
    owner: String,
}

impl Asked {
    fn read(bytes: &[u8]) -> Result<Self, Refused> {
        let info = xml::parse(bytes).map_err(Refused::odd)?;
        let write = info.child("locktype").and_then(|of| of.child("write"));
        let scope = info.child("lockscope");
        let has = |name: &str| scope.is_some_and(|scope| scope.child(name).is_some());
        if !info.name.is("lockinfo") || write.is_none() || has("exclusive") == has("shared") {
            return Err(Refused::odd("a lock is exclusive or shared, and one for writing"));
        }
        let mut owner = String::new();
        if let Some(element) = info.child("owner") {
            element.write_inside(&mut owner);
        }
        if owner.len() > OWNER {
            return Err(Refused::odd("what stands in owner is too long"));
        }
        Ok(Self { exclusive: has("exclusive"), owner })
    }
}

/// Takes a lock, or lets one go on.
pub(super) async fn lock(ask: Ask, body: Body) -> Result<Response, Refused> {
    let bytes = small(body).await?;
    let condition = ask.condition()?;
    let (share, path) = (ask.target.share.clone(), ask.target.path.clone());
    let holder = ask.target.caller.name.clone();
    if bytes.is_empty() {
        let tokens: Vec<Token> = condition.tokens().cloned().collect();
        if tokens.is_empty() {
            return Err(Refused::odd("to let a lock go on, name it in If; to take one, say which in XML"));
        }
        let lock = ask.app.locks.refresh(&share.name, &path, &holder, &tokens, timeout(&ask.headers));
        return match lock {
            Some(lock) => Ok(told(StatusCode::OK, &lock)),
            None => Err(Refused::Condition {
                status: StatusCode::PRECONDITION_FAILED,
                condition: "lock-token-matches-request-uri",
                about: Vec::new(),
            }),
        };
    }
    let Asked { exclusive, owner } = Asked::read(&bytes)?;
    let deep = match depth(&ask.headers)? {
        Depth::Infinity => true,
        Depth::Zero => false,
        Depth::One => return Err(Trouble::parameter("depth", b"1", "write 0 or infinity").into()),
    };
    let is_new = look(&share.store, &path).await?.is_none();
    if is_new {
        changeable(&path)?;
        let (share, path) = (share.name.clone(), path.clone());
        ask.may_change(&[Touched { share, path, comes_or_goes: true, deep: false }]).await?;
    } else {
        ask.must_hold(&condition).await?;
    }
    let until = Instant::now() + timeout(&ask.headers);
    let root = path.clone();
    let lock =
        Lock { token: Locks::token(), share: share.name.clone(), root, deep, exclusive, owner, holder, until };
    let lock = ask.app.locks.take(lock).map_err(|no| match no {
        NoLock::Held(roots) => {
            let about = roots.iter().map(|root| href(&share.name, root, Kind::File)).collect();
            Refused::locked("no-conflicting-lock", about)
        }
        NoLock::Many => Refused::new(StatusCode::INSUFFICIENT_STORAGE, "full", "too many locks are held"),
    })?;
    if is_new && let Err(refused) = make_empty(&ask).await {
        ask.app.locks.give_up(&share.name, &path, &lock.holder, &lock.token);
        return Err(refused);
    }
    let mut response = told(if is_new { StatusCode::CREATED } else { StatusCode::OK }, &lock);
    let token = format!("<{}>", lock.token.0).parse().expect("a UUID");
    response.headers_mut().insert(LOCK_TOKEN, token);
    Ok(response)
}

/// A lock where nothing stands makes an empty file (RFC 4918, 7.3).
async fn make_empty(ask: &Ask) -> Result<(), Refused> {
    let share = &ask.target.share;
    ask.app.properties.forget(&share.name, &ask.target.path).await?;
    let write = Write {
        path: ask.target.path.clone(),
        what: What::File(Source::Bytes(bytes::Bytes::new())),
        meta: Meta::default(),
        expect: Precondition::Absent,
        displaced: Displaced::Discard,
        temp: ask.app.temps.next(),
    };
    share.store.write(write, &Arc::default()).await.map_err(no_directory)?;
    Ok(())
}

fn told(status: StatusCode, lock: &Lock) -> Response {
    let mut body =
        String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:prop xmlns:D=\"DAV:\"><D:lockdiscovery>");
    write(&mut body, lock);
    body.push_str("</D:lockdiscovery></D:prop>\n");
    (status, [(CONTENT_TYPE, XML)], body).into_response()
}

/// An `activelock`.
pub(super) fn write(out: &mut String, lock: &Lock) {
    let scope = if lock.exclusive { "exclusive" } else { "shared" };
    let depth = if lock.deep { "infinity" } else { "0" };
    let left = lock.until.saturating_duration_since(Instant::now()).as_secs();
    let _ = write!(
        out,
        "<D:activelock><D:locktype><D:write/></D:locktype><D:lockscope><D:{scope}/></D:lockscope>\
         <D:depth>{depth}</D:depth>"
    );
    if !lock.owner.is_empty() {
        let _ = write!(out, "<D:owner>{}</D:owner>", lock.owner);
    }
    let _ = write!(
        out,
        "<D:timeout>Second-{left}</D:timeout><D:locktoken><D:href>{}</D:href></D:locktoken>\
         <D:lockroot><D:href>{}</D:href></D:lockroot></D:activelock>",
        lock.token.0,
        href(&lock.share, &lock.root, Kind::File)
    );
}

/// Gives up a lock.
pub(super) fn unlock(ask: &Ask) -> Result<Response, Refused> {
    let value = text(&ask.headers, &LOCK_TOKEN)?.unwrap_or_default().trim();
    let token = value.strip_prefix('<').and_then(|value| value.strip_suffix('>'));
    let token = token.ok_or_else(|| {
        Trouble::parameter(LOCK_TOKEN.as_str(), value.as_bytes(), "write the lock's token between < and >")
    })?;
    let (path, caller) = (&ask.target.path, &ask.target.caller);
    match ask.app.locks.give_up(ask.share(), path, &caller.name, &Token(token.to_owned())) {
        Some(true) => Ok(StatusCode::NO_CONTENT.into_response()),
        Some(false) => Err(Refused::new(StatusCode::FORBIDDEN, "denied", "this lock is somebody else's")),
        None => Err(Refused::Condition {
            status: StatusCode::CONFLICT,
            condition: "lock-token-matches-request-uri",
            about: Vec::new(),
        }),
    }
}
