//! What a server says of itself, and what that tells of what it keeps.

use reqwest::header::{ALLOW, HeaderMap, SERVER};

use crate::http::range::text;

/// What is known of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Server {
    /// It keeps the times it is given: `X-OC-Mtime` with an upload, and the property `DAV:lastmodified`.
    pub keeps_times: bool,
    /// Moving without overwriting is one step of its own, under a lock.
    pub atomic: bool,
    /// It holds names that begin with a dot, and leaves them out of listings.
    pub hides_dots: bool,
}

/// What nginx's module for PROPFIND says that it allows, whatever it is configured to.
const NGINX_DAV_EXT: &str = "GET,HEAD,PUT,DELETE,MKCOL,COPY,MOVE,PROPFIND,OPTIONS,LOCK,UNLOCK";

impl Server {
    /// Plain WebDAV has no way to set times. ownCloud and Nextcloud have one of their own, which rclone took over.
    ///
    /// Of moves that must not overwrite, Apache and nginx look first and move then, so that two of them at a time may
    /// both succeed (seen with Apache); Go's library, which rclone builds on, locks both paths.
    pub fn of(headers: &HeaderMap, path: &str) -> Self {
        let server = text(headers, &SERVER).unwrap_or_default().to_ascii_lowercase();
        let says = headers.get_all("dav").iter().filter_map(|value| value.to_str().ok());
        let mut says = says.map(str::to_ascii_lowercase);
        let rclone = server.starts_with("rclone/");
        let sitta = server.starts_with("sitta/");
        let cloud = says.any(|says| ["nextcloud", "owncloud", "oc-", "nc-"].iter().any(|name| says.contains(name)))
            || path.contains("/remote.php/");
        let hides_dots = server.starts_with("nginx") && text(headers, &ALLOW) == Some(NGINX_DAV_EXT);
        Self { keeps_times: rclone || sitta || cloud, atomic: rclone, hides_dots }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    #[test]
    fn who_keeps_times() {
        let of = |all: &[(&'static str, &'static str)], path| {
            let all =
                all.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            Server::of(&HeaderMap::from_iter(all), path)
        };
        assert!(of(&[("server", "rclone/v1.75.2"), ("dav", "1, 2")], "/").keeps_times);
        assert!(
            of(&[("server", "nginx"), ("dav", "1, 3, extended-mkcol, nextcloud-checksum-update")], "/").keeps_times
        );
        assert!(of(&[("server", "Apache"), ("dav", "1, 3")], "/remote.php/dav/files/me/").keeps_times);
        assert_eq!(of(&[("server", "Apache/2.4"), ("dav", "1,2")], "/"), Server::default());
        assert_eq!(of(&[("server", "nginx/1.22"), ("dav", "1,2")], "/"), Server::default());
        assert!(of(&[("server", "nginx/1.22"), ("dav", "1"), ("allow", NGINX_DAV_EXT)], "/").hides_dots);
    }
}
