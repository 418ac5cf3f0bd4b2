//! A directory of a web server, as WebDAV and HTTP share it: how its URLs are made, who asks, and where redirects may
//! lead.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderValue, LOCATION, RANGE};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use sitta_tree::RelPath;

use super::range::{Part, is_plain, span};
use crate::web::{Web, status_kind};
use crate::{Access, ByteStream, Error, ErrorKind, Password, Remote, Result, Scheme};

/// How many redirects are followed before it is a loop.
const HOPS: usize = 10;

/// A directory of a web server.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub web: Web,
    pub location: Arc<str>,
    /// The directory's URL; its path ends with `/`.
    base: Url,
    login: Option<HeaderValue>,
    query: Option<Password>,
    follow: Follow,
}

/// Which redirects are followed. The login goes to the server that was named and to no other, in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    /// To the same server: where a client writes, another server is another place.
    SameServer,
    /// To any server, but never from TLS to plain.
    Anywhere,
}

impl Site {
    /// What `remote` names. Sends nothing.
    pub fn new(remote: &Remote, access: &Access, follow: Follow) -> Result<Self> {
        let path = remote.path.trim_matches('/');
        let path = match remote.scheme {
            // As it was written.
            Scheme::Http | Scheme::Https => path.to_owned(),
            _ => path.split('/').map(|part| encoded(part.as_bytes())).collect::<Vec<_>>().join("/"),
        };
        Self::at(remote, access, follow, &path)
    }

    /// The directory at `path`, percent-encoded, of the server that `remote` names.
    pub fn at(remote: &Remote, access: &Access, follow: Follow, path: &str) -> Result<Self> {
        let location: Arc<str> = remote.to_string().into();
        let scheme = match remote.scheme {
            Scheme::Webdavs | Scheme::Https | Scheme::Sitta => "https",
            _ => "http",
        };
        let host = match remote.host.contains(':') {
            true => format!("[{}]", remote.host),
            false => remote.host.clone(),
        };
        let port = remote.port.map(|port| format!(":{port}")).unwrap_or_default();
        let base = Url::parse(&format!("{scheme}://{host}{port}/"));
        let mut base =
            base.map_err(|error| Error::new(ErrorKind::Unsupported, &location, None, error.to_string()))?;
        base.set_path(&if path.is_empty() { "/".to_owned() } else { format!("/{path}/") });
        let login = login(remote, access).map_err(|what| Error::new(ErrorKind::Auth, &location, None, what))?;
        let web = Web::new(&location, &access.web)?;
        Ok(Self { web, location, base, login, query: remote.query.clone(), follow })
    }

    /// The URL of a path; with a slash at its end if it is meant as a directory.
    pub fn url(&self, path: &RelPath, dir: bool) -> Url {
        let mut url = self.base.clone();
        if !path.is_root() {
            let parts: Vec<_> = path.parts().map(encoded).collect();
            url.set_path(&format!("{}{}{}", self.base.path(), parts.join("/"), if dir { "/" } else { "" }));
        }
        // What followed `?` was meant for the one file that was named, if one was.
        if let Some(query) = self.query.as_ref().filter(|_| path.depth() == 1 && !dir) {
            url.set_query(Some(query.expose()));
        }
        url
    }

    /// The URLs of the root and of each directory above it, the uppermost first.
    pub fn way(&self) -> Vec<Url> {
        let path = self.base.path().trim_matches('/');
        let mut at = String::from("/");
        let mut way = Vec::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            at = format!("{at}{part}/");
            let mut url = self.base.clone();
            url.set_path(&at);
            way.push(url);
        }
        way
    }

    /// A request to `url`; with the login if that is the server it belongs to.
    pub fn request(&self, method: &Method, url: Url) -> RequestBuilder {
        let login = self.login.as_ref().filter(|_| same_server(&self.base, &url));
        let request = self.web.client().request(method.clone(), url);
        match login {
            Some(login) => request.header(AUTHORIZATION, login),
            None => request,
        }
    }

    /// Sends what `more` makes of a request without a body of its own, following redirects. The URL is the one that
    /// answered. A redirect that only adds a slash is not followed if `slash` is false: it tells of a directory.
    pub async fn send(
        &self,
        method: &Method,
        mut url: Url,
        path: &RelPath,
        slash: bool,
        more: impl Fn(RequestBuilder) -> RequestBuilder + Send + Sync,
    ) -> Result<(Response, Url)> {
        for _ in 0..HOPS {
            let answer = self.web.send(more(self.request(method, url.clone())), path).await?;
            let Some(next) = redirect(&answer, &url).filter(|next| slash || !adds_slash(&url, next)) else {
                return Ok((answer, url));
            };
            let same = same_server(&self.base, &next);
            let weaker = url.scheme() == "https" && next.scheme() != "https";
            if weaker || !matches!(next.scheme(), "http" | "https") || (self.follow == Follow::SameServer && !same)
            {
                let to = format!("{}://{}", next.scheme(), next.host_str().unwrap_or_default());
                let what = format!("the server sends elsewhere, to {to}: not followed");
                return Err(Error::new(ErrorKind::Unsupported, &self.location, path.clone(), what));
            }
            url = next;
        }
        Err(Error::new(ErrorKind::Other, &self.location, path.clone(), "the server redirects in a circle"))
    }

    /// Asks for the bytes of a file from `from` to before `to`.
    pub async fn get(&self, path: &RelPath, from: u64, to: u64) -> Result<Part> {
        let range = span(from, to);
        let (answer, url) = self
            .send(&Method::GET, self.url(path, false), path, false, |request| {
                let request = request.header(ACCEPT_ENCODING, "identity");
                match &range {
                    Some(range) => request.header(RANGE, range),
                    None => request,
                }
            })
            .await?;
        if redirect(&answer, &url).is_some() {
            return Err(Error::new(ErrorKind::IsADirectory, &self.location, path.clone(), "it is a directory"));
        }
        if !answer.status().is_success() && answer.status() != StatusCode::RANGE_NOT_SATISFIABLE {
            return Err(self.refusal(&answer, path));
        }
        if !is_plain(answer.headers(), path.name()) {
            let what = "the server sends it compressed, though it was asked not to";
            return Err(self.error(ErrorKind::Unsupported, path, what));
        }
        Part::new(answer, from, to)
            .map_err(|what| Error::new(ErrorKind::Unsupported, &self.location, path.clone(), what))
    }

    /// The bytes of a part as they arrive.
    pub fn bytes(&self, part: Part, path: &RelPath) -> ByteStream {
        let (answer, skip, take) = part.cut();
        match answer {
            Some(answer) => super::range::window(self.web.bytes(answer, path), skip, take),
            None => Box::pin(futures::stream::empty()),
        }
    }

    /// What an answer that is no success says.
    pub fn refusal(&self, answer: &Response, path: &RelPath) -> Error {
        let status = answer.status();
        let what = match status.as_u16() {
            401 if self.login.is_none() => "the server asks who you are, and no user is given (401)".to_owned(),
            401 => "the server does not accept this user and password (401)".to_owned(),
            404 | 410 => format!("nothing stands there ({})", status.as_u16()),
            _ => format!("the server says {status}"),
        };
        let path = (!path.is_root()).then(|| path.clone());
        Error::new(status_kind(status), &self.location, path, what)
    }

    /// An error at `path`.
    pub fn error(&self, kind: ErrorKind, path: &RelPath, what: impl Into<String>) -> Error {
        Error::new(kind, &self.location, path.clone(), what.into())
    }
}

/// Basic (RFC 7617) or bearer (RFC 6750).
fn login(remote: &Remote, access: &Access) -> std::result::Result<Option<HeaderValue>, &'static str> {
    let password = remote.password.as_ref().or(access.password.as_ref()).map_or("", Password::expose);
    let text = match (remote.user.as_ref().or(access.user.as_ref()), &access.token) {
        (Some(user), _) if user.contains(':') => return Err("a user's name cannot hold a ':' here"),
        (Some(user), None) => format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))),
        (Some(user), Some(_)) if remote.user.is_some() => {
            format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
        }
        (_, Some(token)) => format!("Bearer {}", token.expose()),
        (None, None) => return Ok(None),
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| "the token holds what cannot be sent")?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// One part of a path, percent-encoded (RFC 3986): whatever is not unreserved.
pub fn encoded(part: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(part.len());
    for byte in part {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(*byte)),
            _ => _ = write!(text, "%{byte:02X}"),
        }
    }
    text
}

/// The bytes that a part of a URL stands for; a `%` without two digits behind it stands for itself.
pub fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match (first, digit(behind.first()), digit(behind.get(1))) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = behind.get(2..).unwrap_or_default();
            }
            _ => bytes.push(*first),
        }
    }
    bytes
}

fn redirect(answer: &Response, from: &Url) -> Option<Url> {
    matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308).then_some(())?;
    from.join(answer.headers().get(LOCATION)?.to_str().ok()?).ok()
}

/// Whether a redirect only adds a slash: what stands there is a directory.
fn adds_slash(from: &Url, to: &Url) -> bool {
    let path = to.path().strip_suffix('/').unwrap_or_default();
    !path.is_empty() && decoded(path) == decoded(from.path())
}

/// The same server, or the same by TLS where no ports are named.
fn same_server(one: &Url, other: &Url) -> bool {
    let upgraded = one.scheme() == "http"
        && other.scheme() == "https"
        && one.port().is_none()
        && other.port().is_none()
        && one.host() == other.host();
    one.origin() == other.origin() || upgraded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Location;

    fn site(text: &str) -> Site {
        let Ok(Location::Remote(remote)) = Location::parse(text) else { panic!("{text}") };
        Site::new(&remote, &Access::default(), Follow::Anywhere).expect("a site")
    }

    fn url(text: &str, path: &[u8], dir: bool) -> String {
        site(text).url(&RelPath::new(path).expect("a path"), dir).to_string()
    }

    #[test]
    fn names_are_encoded_and_come_back() {
        assert_eq!(url("http://h:81/a%20b", b"c d/100%?#&", false), "http://h:81/a%20b/c%20d/100%25%3F%23%26");
        assert_eq!(url("webdav://h/a%20b", b"%2e%2e", true), "http://h/a%20b/%252e%252e/");
        assert_eq!(url("webdavs://[::1]/", b"...", true), "https://[::1]/.../");
        assert_eq!(url("https://h", b"", true), "https://h/");
        let all: Vec<u8> = (1..=255).collect();
        assert_eq!(decoded(&encoded(&all)), all);
        assert_eq!(decoded("100%"), b"100%");
        assert_eq!(decoded("%4"), b"%4");
        assert_eq!(decoded("%zz%41"), b"%zzA");
    }

    #[test]
    fn a_query_goes_to_the_file_that_was_named() {
        assert_eq!(url("https://h/dir?sig=a%2Fb", b"f", false), "https://h/dir/f?sig=a%2Fb");
        assert_eq!(url("https://h/dir?sig=a%2Fb", b"d/f", false), "https://h/dir/d/f");
        assert_eq!(url("https://h/dir?sig=a%2Fb", b"", true), "https://h/dir/");
    }

    #[test]
    fn the_login_stays_with_its_server() {
        let site = site("http://me:secret@h/x");
        let logs_in = |url: &str| {
            let request = site.request(&Method::GET, Url::parse(url).expect("a URL")).build().expect("a request");
            request.headers().contains_key(AUTHORIZATION)
        };
        assert!(logs_in("http://h/y") && logs_in("https://h/y"));
        assert!(!logs_in("http://other/y") && !logs_in("http://h:81/y") && !logs_in("https://h:80/"));
        assert!(!format!("{site:?}").contains("secret"));
    }
}
