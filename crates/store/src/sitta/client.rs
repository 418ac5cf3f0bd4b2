//! Questions to a server, and what its answers mean.

use futures::StreamExt;
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use sitta_tree::RelPath;

use super::quic::{Answer, Quic};
use super::wire::{Refusal, WireShare};
use crate::http::site::Site;
use crate::{Error, ErrorKind, OnServer, Result};

/// The longest refusal that is read.
const REFUSAL: usize = 1 << 20;

/// The longest answer that is read as a whole.
pub(super) const ANSWER: usize = 64 << 20;

/// One share, and where in it the store's root is.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub site: Site,
    pub base: RelPath,
    /// Downloads come this way, if it is there.
    pub quic: Option<Quic>,
    /// The server tells the chunks of its files.
    pub chunks: bool,
    /// It keeps what has arrived of a file, so that its rest can be sent.
    pub resumes: bool,
    /// It copies files by itself.
    pub copies: bool,
    /// It keeps extended attributes.
    pub xattrs: bool,
}

impl Client {
    /// Where this is on the server, if that copies by itself.
    pub fn on_server(&self) -> Option<OnServer> {
        let share = || self.site.url(&RelPath::root(), true).to_string();
        self.copies.then(|| OnServer { share: share(), base: self.base.clone() })
    }

    /// The path in the share.
    pub fn within(&self, path: &RelPath) -> RelPath {
        self.base.join_path(path)
    }

    /// The path below the store's root of a path in the share; none for what lies elsewhere.
    pub fn below(&self, path: &RelPath) -> Option<RelPath> {
        path.below(&self.base)
    }

    /// A request about `path`: `what` is what is asked of it.
    pub fn ask(&self, method: &Method, what: &str, path: &RelPath) -> RequestBuilder {
        self.asking(method, what, path, None)
    }

    /// As [`Client::ask`], with parameters.
    pub fn asking(&self, method: &Method, what: &str, path: &RelPath, query: Option<&str>) -> RequestBuilder {
        let what = RelPath::new(what).expect("a word of ours");
        let mut url = self.site.url(&what.join_path(&self.within(path)), false);
        url.set_query(query);
        self.site.request(method, url)
    }

    /// What the share is.
    pub async fn share(&self) -> Result<WireShare> {
        let root = RelPath::root();
        let mut url = self.site.url(&root, true);
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        let answer = self.site.web.send(self.site.request(&Method::GET, url), &root).await?;
        self.read(answer, &root).await
    }

    /// Asks what is answered with JSON.
    pub async fn get<T: DeserializeOwned>(&self, what: &str, path: &RelPath) -> Result<T> {
        let answer = self.site.web.send(self.ask(&Method::GET, what, path), path).await?;
        self.read(answer, path).await
    }

    /// An answer's JSON, or its refusal.
    pub async fn read<T: DeserializeOwned>(&self, answer: Response, path: &RelPath) -> Result<T> {
        let answer = self.granted(answer, path).await?;
        let body = self.site.web.whole(answer, path, ANSWER).await?;
        serde_json::from_slice(&body).map_err(|error| self.odd(path, error))
    }

    /// The answer, if it is none of refusal.
    pub async fn granted(&self, answer: Response, path: &RelPath) -> Result<Response> {
        if answer.status().is_success() {
            return Ok(answer);
        }
        let refused = self.site.refusal(&answer, path);
        if refused.kind == ErrorKind::Auth {
            return Err(refused);
        }
        let body = self.site.web.whole(answer, path, REFUSAL).await?;
        Err(self.told(&body, path).unwrap_or(refused))
    }

    /// What a download's answer is, by whichever way it comes.
    pub async fn download(&self, request: RequestBuilder, path: &RelPath) -> Result<Answer> {
        let Some(quic) = &self.quic else {
            let answer = self.site.web.send(request, path).await?;
            // Nothing is left from there on: no refusal, but no bytes either.
            if answer.status().as_u16() == 416 {
                let bytes = Box::pin(futures::stream::empty());
                return Ok(Answer { status: 416, headers: answer.headers().clone(), bytes });
            }
            let answer = self.granted(answer, path).await?;
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            return Ok(Answer { status, headers, bytes: self.site.web.bytes(answer, path) });
        };
        let mut answer = quic.send(request, path).await?;
        if matches!(answer.status, 200 | 206 | 416) {
            return Ok(answer);
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.bytes.next().await {
            body.extend_from_slice(&piece?);
            if body.len() > REFUSAL {
                break;
            }
        }
        let plain = || self.site.error(ErrorKind::Other, path, format!("the server says {}", answer.status));
        Err(self.told(&body, path).unwrap_or_else(plain))
    }

    /// The refusal that an answer's body tells.
    fn told(&self, body: &[u8], path: &RelPath) -> Option<Error> {
        serde_json::from_slice::<Refusal>(body).ok().map(|refusal| self.refused(&refusal, path))
    }

    /// A refusal of the server's as our error, about the path that was asked for.
    pub fn refused(&self, refusal: &Refusal, path: &RelPath) -> Error {
        let about = refusal.path.as_ref().and_then(|path| self.below(&path.path().ok()?));
        let path = about.or_else(|| (!path.is_root()).then(|| path.clone()));
        Error::new(refusal.error_kind(), &self.site.location, path, refusal.title.clone())
    }

    /// The server says what makes no sense.
    pub fn odd(&self, path: &RelPath, what: impl std::fmt::Display) -> Error {
        self.site.error(ErrorKind::Other, path, format!("the server's answer makes no sense: {what}"))
    }
}
