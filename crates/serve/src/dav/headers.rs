//! Headers of WebDAV (RFC 4918, 10).

use std::time::Duration;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};

use crate::api::problem::Trouble;

/// The header that says how deep a request goes.
const DEPTH: HeaderName = HeaderName::from_static("depth");
const OVERWRITE: HeaderName = HeaderName::from_static("overwrite");
const DESTINATION: HeaderName = HeaderName::from_static("destination");
const TIMEOUT: HeaderName = HeaderName::from_static("timeout");

/// How long a lock holds at most, and if nothing is said. Clients refresh theirs.
const LONGEST: Duration = Duration::from_secs(3600);

/// How deep a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    Zero,
    One,
    Infinity,
}

/// The header, or what its absence means.
pub(super) fn depth(headers: &HeaderMap) -> Result<Depth, Trouble> {
    match text(headers, &DEPTH)?.map(str::trim) {
        None => Ok(Depth::Infinity),
        Some("0") => Ok(Depth::Zero),
        Some("1") => Ok(Depth::One),
        Some(deep) if deep.eq_ignore_ascii_case("infinity") => Ok(Depth::Infinity),
        Some(odd) => Err(Trouble::parameter(DEPTH.as_str(), odd.as_bytes(), "write 0, 1 or infinity")),
    }
}

/// Whether what stands at the destination may be replaced.
pub(super) fn overwrite(headers: &HeaderMap) -> Result<bool, Trouble> {
    match text(headers, &OVERWRITE)?.map(str::trim) {
        None | Some("T" | "t") => Ok(true),
        Some("F" | "f") => Ok(false),
        Some(odd) => Err(Trouble::parameter(OVERWRITE.as_str(), odd.as_bytes(), "write T or F")),
    }
}

/// The path of the URL that something is to go to.
pub(super) fn destination(headers: &HeaderMap, host: Option<&Authority>) -> Result<String, Trouble> {
    let Some(value) = text(headers, &DESTINATION)? else {
        return Err(Trouble::parameter(DESTINATION.as_str(), b"", "write the new URL"));
    };
    let path = local_path(value, host).ok_or_else(|| {
        Trouble::parameter(DESTINATION.as_str(), value.as_bytes(), "write a URL, or its path with a slash in front")
    })?;
    path.filter(|path| path.starts_with("/dav/")).ok_or_else(|| {
        Trouble::new(StatusCode::BAD_GATEWAY, "elsewhere", "the destination is not in a share of this server")
    })
}

/// The path of a URL, or nothing of one of another server; none if it is no URL.
pub(super) fn local_path(url: &str, host: Option<&Authority>) -> Option<Option<String>> {
    let uri: Uri = url.trim().parse().ok()?;
    if uri.query().is_some() || url.contains('#') || !uri.path().starts_with('/') {
        return None;
    }
    let path = uri.path().to_owned();
    let Some(named) = uri.authority() else { return uri.scheme().is_none().then_some(Some(path)) };
    let usual = match uri.scheme_str()? {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(usual);
    let same = host.is_some_and(|host| host.host().eq_ignore_ascii_case(named.host()) && port(host) == port(named));
    Some(same.then_some(path))
}

/// How long a lock is to hold.
pub(super) fn timeout(headers: &HeaderMap) -> Duration {
    let asked = headers.get(&TIMEOUT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // The first that is understood; what is longer than we like is shortened.
    let seconds = asked.split(',').find_map(|one| one.trim().strip_prefix("Second-")?.parse().ok());
    seconds.map_or(LONGEST, |seconds| Duration::from_secs(seconds).clamp(Duration::from_secs(1), LONGEST))
}

/// A header's text.
pub(super) fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Trouble> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().map_err(|_| Trouble::parameter(name.as_str(), value.as_bytes(), "write ASCII"))?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_here_elsewhere_or_none() {
        let host: Authority = "Localhost:7474".parse().unwrap();
        let here = |url: &str| local_path(url, Some(&host));
        assert_eq!(here("https://localhost:7474/dav/a%20b"), Some(Some("/dav/a%20b".into())));
        assert_eq!(here("/dav/a"), Some(Some("/dav/a".into())));
        for elsewhere in ["https://localhost/dav/a", "https://evil.example:7474/dav/a", "http://localhost/dav/a"] {
            assert_eq!(here(elsewhere), Some(None), "{elsewhere}");
        }
        for odd in
            ["", "dav/a", "ftp://localhost:7474/dav/a", "/dav/a?b", "/dav/a#b", "https://", "*", "https:///a"]
        {
            assert_eq!(here(odd), None, "{odd}");
        }
        let usual: Authority = "nas.example".parse().unwrap();
        assert_eq!(local_path("https://nas.example:443/dav/a", Some(&usual)), Some(Some("/dav/a".into())));
    }

    #[test]
    fn locks_hold_as_long_as_is_asked_and_an_hour_at_most() {
        let with = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(TIMEOUT, text.parse().unwrap());
            timeout(&headers).as_secs()
        };
        assert_eq!(with("Second-60"), 60);
        assert_eq!(with("Infinite, Second-4100000000"), 3600);
        assert_eq!(with("Infinite"), 3600);
        assert_eq!(with("Second-0"), 1);
        assert_eq!(timeout(&HeaderMap::new()).as_secs(), 3600);
    }
}
