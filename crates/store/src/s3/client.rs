//! Requests to one bucket: addressed, signed, sent, and their failures in clear words.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::{Context, SignRequest};
use reqwest::{Response, StatusCode, Url};
use sitta_tree::RelPath;

use super::xml;
use crate::web::{Web, status_kind};
use crate::wrap::Backoff;
use crate::{Error, ErrorKind, Result};

/// The longest error document that is read.
const LONGEST_ERROR: usize = 64 << 10;
/// Bodies from this size on are watched while they are sent: a slow line is no dead one.
const WATCHED: usize = 128 << 10;
/// How often what changes nothing is asked for: few times, for the caller tries again too.
const AGAIN: Backoff = Backoff { tries: 3, first: Duration::from_millis(250), longest: Duration::from_secs(5) };
/// The longest key, in bytes.
const LONGEST_KEY: usize = 1024;

/// Where the server is, and how it is addressed.
#[derive(Debug, Clone)]
pub(super) struct Server {
    /// The endpoint; none: Amazon's for the region.
    pub endpoint: Option<Url>,
    pub path_style: bool,
    pub bucket: String,
    pub region: String,
}

/// What follows from the region.
struct Place {
    /// Up to the key, without a slash at the end.
    root: String,
    region: String,
    signer: RequestSigner,
}

/// Sends requests.
pub(super) struct Client {
    web: Web,
    location: Arc<str>,
    server: Server,
    credential: Option<Credential>,
    place: Mutex<Arc<Place>>,
    context: Context,
}

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Call {
    method: Method,
    /// What errors name.
    path: RelPath,
    /// None: the bucket itself.
    key: Option<String>,
    query: String,
    headers: HeaderMap,
    body: Vec<Bytes>,
}

impl Call {
    /// A request for the object `key`, which is `path` to whoever calls.
    pub fn object(method: Method, path: &RelPath, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..Self::bucket(method, path) }
    }

    /// A request for the bucket.
    pub fn bucket(method: Method, path: &RelPath) -> Self {
        let (query, headers, body) = (String::new(), HeaderMap::new(), Vec::new());
        Self { method, path: path.clone(), key: None, query, headers, body }
    }

    /// What errors name.
    pub fn path(&self) -> &RelPath {
        &self.path
    }

    pub fn query(mut self, name: &str, value: &str) -> Self {
        if !self.query.is_empty() {
            self.query.push('&');
        }
        self.query.push_str(name);
        self.query.push('=');
        encode_into(&mut self.query, value, false);
        self
    }

    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        // What cannot be a header's value is left to the server's refusal of what is missing.
        self.headers.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
        self
    }

    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    pub fn body(mut self, pieces: Vec<Bytes>) -> Self {
        self.body = pieces;
        self
    }
}

impl Client {
    pub fn new(location: &Arc<str>, web: Web, server: Server, credential: Option<Credential>) -> Result<Self> {
        let place = Mutex::new(Arc::new(server.place(&server.region, location)?));
        Ok(Self { web, location: location.clone(), server, credential, place, context: Context::new() })
    }

    pub fn location(&self) -> &Arc<str> {
        &self.location
    }

    pub fn bucket_name(&self) -> &str {
        &self.server.bucket
    }

    pub fn web(&self) -> &Web {
        &self.web
    }

    /// Requests sent so far.
    pub fn requests(&self) -> u64 {
        self.web.requests()
    }

    pub fn error(&self, kind: ErrorKind, path: &RelPath, what: impl Into<String>) -> Error {
        Error::new(kind, &self.location, path.clone(), what.into())
    }

    /// Fails where no key like this can be.
    pub fn check_key(&self, path: &RelPath, key: &[u8]) -> Result<String> {
        let unsupported = |what: &str| self.error(ErrorKind::Unsupported, path, what);
        let key = String::from_utf8(key.to_vec()).map_err(|_| unsupported("S3 keys are UTF-8"))?;
        match key.len() {
            0..=LONGEST_KEY => Ok(key),
            _ => Err(unsupported("S3 keys have at most 1024 bytes")),
        }
    }

    /// Sends it; an answer that is no success is an error.
    pub async fn send(&self, call: Call) -> Result<Response> {
        let path = call.path.clone();
        let answer = self.send_any(call).await?;
        if answer.status().is_success() { Ok(answer) } else { Err(self.failure(answer, &path).await) }
    }

    /// As [`Client::send`], and again after a pause when it fails for the moment: for what changes nothing that others
    /// see.
    pub async fn persist(&self, call: &Call) -> Result<Response> {
        AGAIN.again(|| self.send(call.clone())).await
    }

    /// Sends it; any status is an answer. A bucket that is in another region is followed there.
    pub async fn send_any(&self, call: Call) -> Result<Response> {
        let place = self.place();
        let answer = self.send_to(&place, &call).await?;
        let redirects = matches!(answer.status().as_u16(), 301 | 307 | 400 | 403);
        let hint = answer.headers().get("x-amz-bucket-region").filter(|_| redirects);
        let Some(region) = hint.and_then(|region| region.to_str().ok()).filter(|region| *region != place.region)
        else {
            return Ok(answer);
        };
        let place = Arc::new(self.server.place(region, &self.location)?);
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = place.clone();
        self.send_to(&place, &call).await
    }

    fn place(&self) -> Arc<Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn send_to(&self, place: &Place, call: &Call) -> Result<Response> {
        let mut url = place.root.clone();
        url.push('/');
        if let Some(key) = &call.key {
            encode_into(&mut url, key, true);
        }
        if !call.query.is_empty() {
            url.push('?');
            url.push_str(&call.query);
        }
        let headers = self.signed(place, call, &url).await?;
        let request = self.web.client().request(call.method.clone(), url).headers(headers);
        let size: usize = call.body.iter().map(Bytes::len).sum();
        if size < WATCHED {
            let request = match &*call.body {
                [] => request,
                [whole] => request.body(whole.clone()),
                pieces => request.body(pieces.concat()),
            };
            return self.web.send(request, &call.path).await;
        }
        let pieces: Vec<_> = call.body.iter().flat_map(chunks).collect();
        let (body, taken) = Web::body(stream::iter(pieces).map(Ok).boxed());
        self.web.send_taken(request.body(body), &call.path, &taken).await
    }

    /// The request's headers with those that prove who sends it.
    async fn signed(&self, place: &Place, call: &Call, url: &str) -> Result<HeaderMap> {
        let size: usize = call.body.iter().map(Bytes::len).sum();
        let mut headers = call.headers.clone();
        if let Some(credential) = &self.credential {
            let failed = |what: String| self.error(ErrorKind::Other, &call.path, what);
            let request = http::Request::builder().method(call.method.clone()).uri(url).body(());
            let (mut parts, ()) = request.map_err(|e| failed(e.to_string()))?.into_parts();
            parts.headers = headers;
            let signing = place.signer.sign_request(&self.context, &mut parts, Some(credential), None);
            signing.await.map_err(|e| failed(format!("the request cannot be signed: {e}")))?;
            headers = parts.headers;
            headers.remove(header::HOST);
        }
        if matches!(call.method, Method::PUT | Method::POST) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
        }
        Ok(headers)
    }

    /// What an answer says that is no success.
    pub async fn failure(&self, answer: Response, path: &RelPath) -> Error {
        let (status, date) = (answer.status(), answer.headers().get(header::DATE).cloned());
        let body = self.web.whole(answer, path, LONGEST_ERROR).await.unwrap_or_default();
        let [code, message] = xml::texts(&body, ["Code", "Message"]);
        let Some(code) = code else {
            // One that speaks S3 says what it has not found: this one has no place for such a key.
            let kind = if status == StatusCode::NOT_FOUND { ErrorKind::Unsupported } else { kind_of(status, "") };
            return self.error(kind, path, format!("the server answers {status}"));
        };
        let what = self.in_words(&code, date.as_ref()).unwrap_or_else(|| match message.as_deref() {
            None | Some("") => code.clone(),
            Some(message) if message == code => code.clone(),
            Some(message) => format!("{} ({code})", message.trim_end_matches('.')),
        });
        self.error(kind_of(status, &code), path, what)
    }

    /// What an error document says that came with a status of success, if the answer is one.
    pub fn failure_inside(&self, body: &[u8], path: &RelPath) -> Option<Error> {
        let [code, message] = xml::texts(body, ["Code", "Message"]);
        Some(self.coded(path, &code?, &message.unwrap_or_default()))
    }

    /// A failure that came without a status of its own.
    pub fn coded(&self, path: &RelPath, code: &str, message: &str) -> Error {
        let what = self.in_words(code, None).unwrap_or_else(|| format!("{message} ({code})"));
        self.error(kind_of(StatusCode::INTERNAL_SERVER_ERROR, code), path, what)
    }

    /// The errors that somebody has to do something about.
    fn in_words(&self, code: &str, date: Option<&HeaderValue>) -> Option<String> {
        Some(match code {
            "NoSuchBucket" => format!("the bucket {} does not exist", self.server.bucket),
            "InvalidAccessKeyId" => format!("the server does not know this access key id ({code})"),
            "SignatureDoesNotMatch" => format!("the secret access key is wrong ({code})"),
            "ExpiredToken" | "TokenRefreshRequired" => format!("the session token has expired ({code})"),
            "AccessDenied" if self.credential.is_none() => "access denied: no access key was given".into(),
            "RequestTimeTooSkewed" => match date.and_then(skew) {
                Some(skew) => format!("the clocks of this machine and of the server differ by {skew} ({code})"),
                None => format!("the clocks of this machine and of the server differ ({code})"),
            },
            _ => return None,
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("location", &self.location).field("server", &self.server).finish()
    }
}

impl Server {
    fn place(&self, region: &str, location: &Arc<str>) -> Result<Place> {
        let wrong = || {
            let what = "the endpoint, the region or the bucket's name cannot be part of an address";
            Error::new(ErrorKind::Unsupported, location, None, what)
        };
        let endpoint = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => {
                let china = if region.starts_with("cn-") { ".cn" } else { "" };
                Url::parse(&format!("https://s3.{region}.amazonaws.com{china}")).map_err(|_| wrong())?
            }
        };
        let mut url = endpoint;
        if !self.path_style {
            let host = format!("{}.{}", self.bucket, url.host_str().ok_or_else(wrong)?);
            url.set_host(Some(&host)).map_err(|_| wrong())?;
        }
        let mut root = url.as_str().trim_end_matches('/').to_owned();
        if self.path_style {
            root.push('/');
            encode_into(&mut root, &self.bucket, false);
        }
        let signer = RequestSigner::new("s3", region).with_standard_session_token();
        Ok(Place { root, region: region.to_owned(), signer })
    }
}

/// What a failure is to whoever called.
fn kind_of(status: StatusCode, code: &str) -> ErrorKind {
    match code {
        "NoSuchBucket" | "NoSuchKey" | "NoSuchUpload" => ErrorKind::NotFound,
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => ErrorKind::Denied,
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "InvalidToken"
        | "TokenRefreshRequired"
        | "RequestTimeTooSkewed" => ErrorKind::Auth,
        "PreconditionFailed" | "ConditionalRequestConflict" => ErrorKind::Changed,
        "OperationAborted" => ErrorKind::Busy,
        "SlowDown" | "ServiceUnavailable" | "InternalError" | "RequestTimeout" | "ThrottlingException" => {
            ErrorKind::Unreachable
        }
        "QuotaExceeded" | "InsufficientStorage" | "XMinioStorageFull" => ErrorKind::Full,
        "EntityTooLarge"
        | "KeyTooLongError"
        | "InvalidObjectName"
        | "XMinioInvalidObjectName"
        | "InvalidURI"
        | "NotImplemented"
        | "MethodNotAllowed"
        | "InvalidBucketName" => ErrorKind::Unsupported,
        "BadDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch" => ErrorKind::Corrupt,
        _ if status == StatusCode::CONFLICT => ErrorKind::Busy,
        _ => status_kind(status),
    }
}

/// How far this machine's clock is from the server's.
fn skew(date: &HeaderValue) -> Option<String> {
    let theirs = httpdate::parse_http_date(date.to_str().ok()?).ok()?;
    let ours = SystemTime::now();
    let seconds = ours.duration_since(theirs).or_else(|_| theirs.duration_since(ours)).ok()?.as_secs();
    Some(if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds / 60) })
}

/// Percent-encodes all but what never needs it (RFC 3986, unreserved).
pub(super) fn encode_into(to: &mut String, text: &str, keep_slashes: bool) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => to.push(char::from(byte)),
            b'/' if keep_slashes => to.push('/'),
            _ => {
                to.push('%');
                to.push(char::from(DIGITS[usize::from(byte >> 4)]));
                to.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
}

/// A piece in parts that even a slow line takes soon.
fn chunks(piece: &Bytes) -> Vec<Bytes> {
    (0..piece.len()).step_by(WATCHED).map(|at| piece.slice(at..piece.len().min(at + WATCHED))).collect()
}
