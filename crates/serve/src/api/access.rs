//! Who asks, and for what.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sitta_store::http::decoded;
use sitta_tree::RelPath;

use super::audited::Noted;
use super::problem::Trouble;
use crate::audit::Record;
use crate::{App, Scope, Share};

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub SocketAddr);

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The user or token; empty for whoever works on this machine without an account.
    pub name: String,
    /// It is a token: a user may be called the same.
    pub token: bool,
    pub from: IpAddr,
    pub scope: Scope,
}

impl Caller {
    /// What it did, or wanted to, for the audit.
    pub fn did(&self, what: &str, share: &str, path: &RelPath, result: &str) -> Record {
        Record {
            at: jiff::Timestamp::now(),
            who: self.name.clone(),
            from: self.from.to_string(),
            what: what.to_owned(),
            share: share.to_owned(),
            path: path.as_bytes().to_vec(),
            result: result.to_owned(),
        }
    }
}

/// What is asked for: a path in a share that the caller may look at, and change if that is asked for.
#[derive(Debug)]
pub(crate) struct Target {
    pub caller: Caller,
    pub share: Arc<Share>,
    pub path: RelPath,
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Trouble> {
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip());
        let peer = peer.ok_or_else(|| Trouble::odd("nobody knows where this comes from"))?;
        let Some(login) = parts.headers.get(AUTHORIZATION) else {
            // Whoever sits at this machine, until there are accounts; but no page of some web site in its browser.
            return match peer.to_canonical().is_loopback()
                && is_local(&parts.headers, parts)
                && app.accounts.is_empty()
            {
                true => Ok(Self { name: String::new(), token: false, from: peer, scope: Scope::ALL }),
                false => Err(Trouble::new(StatusCode::UNAUTHORIZED, "login", "who are you? A login is needed")),
            };
        };
        if let Some(wait) = app.throttle.wait(peer, Instant::now()) {
            let trouble = Trouble::new(StatusCode::TOO_MANY_REQUESTS, "login", "too many logins have failed");
            return Err(trouble.later(wait.as_secs().max(1)));
        }
        let login = login.to_str().unwrap_or_default().to_owned();
        let app = app.clone();
        let known = tokio::task::spawn_blocking(move || let_in(&app, &login).ok_or(app));
        match known.await.map_err(|_| Trouble::odd("the login could not be looked at"))? {
            Ok((name, scope, token)) => Ok(Self { name, token, from: peer, scope }),
            Err(app) => {
                app.throttle.failed(peer, Instant::now());
                app.metrics.refused.inc();
                let scope = Scope { shares: None, write: false };
                let nobody = Self { name: String::new(), token: false, from: peer, scope };
                note(parts, nobody.did("login", "", &RelPath::root(), ""));
                Err(Trouble::new(StatusCode::UNAUTHORIZED, "login", "this login is not accepted"))
            }
        }
    }
}

fn note(parts: &Parts, record: Record) {
    if let Some(noted) = parts.extensions.get::<Noted>() {
        noted.note(record);
    }
}

/// Who logs in, what that opens, and whether it is a token: `Basic` (RFC 7617) or `Bearer` (RFC 6750).
fn let_in(app: &App, login: &str) -> Option<(String, Scope, bool)> {
    let (scheme, rest) = login.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        let now = jiff::Timestamp::now().as_second();
        return app.accounts.by_token(rest.trim(), now).map(|(name, scope)| (name, scope, true));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), app.accounts.by_password(user, password)?, false))
}

/// Whether the request names this machine as its server, and comes from no other site's page.
fn is_local(headers: &HeaderMap, parts: &Parts) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).or(parts.uri.authority().map(|a| a.as_str()));
    let name = host.map(|host| match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => name,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    });
    let local = name.is_some_and(|name| {
        name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    });
    local && !headers.contains_key(ORIGIN)
}

impl FromRequestParts<Arc<App>> for Target {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Trouble> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let target = Self::find(app, caller, parts.uri.path())?;
        note(parts, target.caller.did("", &target.share.name, &target.path, ""));
        if !only_reads(&parts.method) {
            target.must_be_writable()?;
        }
        Ok(target)
    }
}

/// Whether a request of this method changes nothing at the path that it names.
fn only_reads(method: &Method) -> bool {
    matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "PROPFIND" | "COPY")
}

/// The share and the path in it that a URL's path names, as bytes: `/api/v1/shares/NAME/ROUTE/PATH` or `/dav/NAME/PATH`.
pub(crate) fn named(url: &str) -> (Vec<u8>, Vec<u8>) {
    let (rest, routed) = match url.strip_prefix("/api/v1/shares/") {
        Some(rest) => (rest, true),
        None => (url.strip_prefix("/dav/").unwrap_or_default(), false),
    };
    let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let path = if routed { rest.split_once('/').map_or("", |(_, path)| path) } else { rest };
    let mut path = decoded(path);
    if path.ends_with(b"/") {
        path.pop();
    }
    (decoded(name), path)
}

impl Target {
    /// What a URL's path names, if it is open to the caller.
    pub fn find(app: &App, caller: Caller, url: &str) -> Result<Self, Trouble> {
        let (name, path) = named(url);
        let share = std::str::from_utf8(&name).ok().and_then(|name| app.shares.get(name));
        // Of a share that it does not open, an account does not learn whether it is there.
        let share = share.filter(|share| caller.scope.opens(&share.name)).ok_or_else(|| {
            Trouble::new(StatusCode::NOT_FOUND, "no_share", "no share of this name is open to you")
        })?;
        let path = RelPath::new(path).map_err(Trouble::odd)?;
        Ok(Self { caller, share: share.clone(), path })
    }

    /// Refuses a caller who may not change anything here.
    pub fn must_be_writable(&self) -> Result<(), Trouble> {
        match self.may_write() {
            true => Ok(()),
            false => Err(Trouble::new(StatusCode::FORBIDDEN, "read_only", "this share is open for reading only")),
        }
    }

    /// Whether the caller may change something here.
    pub fn may_write(&self) -> bool {
        self.caller.scope.write && self.share.writable && self.share.store.capabilities().writable
    }
}
