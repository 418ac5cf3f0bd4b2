//! Index pages: what nginx, Apache, Python and others show of a directory that has no page of its own.

use std::collections::HashSet;

use html5gum::{Token, Tokenizer};
use reqwest::Url;

use super::site::decoded;

/// One thing that a page lists.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Listed {
    /// Its name, decoded; whether it can be one of ours has to be seen.
    pub name: Vec<u8>,
    /// Its link ends with a slash.
    pub dir: bool,
}

/// How the titles of index pages begin, or what they hold.
const TITLES: [&str; 5] = ["index of", "directory listing", "directory:", "files within", "listing of"];

/// What the page at `url` lists; none if it does not look like an index page. Somebody's home page has links, too: to
/// take it for a directory would make everything else there seem to be missing.
///
/// Only links to what lies right below the page count. Links that sort (`?C=N`), that lead up, or to other servers do
/// not.
pub(super) fn parse(page: &[u8], url: &Url) -> Option<Vec<Listed>> {
    let mut titles = String::new();
    let mut in_title = false;
    let (mut listed, mut seen) = (Vec::new(), HashSet::new());
    for Ok(token) in Tokenizer::new(page) {
        match token {
            Token::StartTag(tag) => match &**tag.name {
                b"title" | b"h1" | b"h2" => in_title = true,
                b"a" => {
                    let href = tag.attributes.get(&b"href"[..]).map(|href| String::from_utf8_lossy(href));
                    let link = href.as_deref().and_then(|href| child(href, url));
                    listed.extend(link.filter(|link| seen.insert(link.clone())));
                }
                _ => {}
            },
            Token::EndTag(tag) if matches!(&**tag.name, b"title" | b"h1" | b"h2") => in_title = false,
            Token::String(text) if in_title && titles.len() < 4096 => {
                titles.push_str(&String::from_utf8_lossy(&text));
            }
            _ => {}
        }
    }
    is_index(&titles, url).then_some(listed)
}

/// Whether the title and headings are those of an index page: they say so, or name the directory.
fn is_index(titles: &str, url: &Url) -> bool {
    let titles = titles.trim().to_lowercase();
    let path = String::from_utf8_lossy(&decoded(url.path())).to_lowercase();
    let path = path.trim_end_matches('/');
    TITLES.iter().any(|title| titles.contains(title)) || (!path.is_empty() && titles.contains(path))
}

/// What a link on the page at `url` names, if that lies right below.
fn child(href: &str, url: &Url) -> Option<Listed> {
    let link = url.join(href.trim()).ok()?;
    if link.origin() != url.origin() || link.query().is_some() || link.fragment().is_some() {
        return None;
    }
    let (above, _) = url.path().rsplit_once('/')?;
    // Compared decoded: pages and redirects escape as they like.
    let depth = above.matches('/').count() + 1;
    let mut at = link.path().match_indices('/').map(|(at, _)| at);
    let start = at.nth(depth - 1)?;
    if decoded(link.path().get(..start)?) != decoded(above) {
        return None;
    }
    let rest = link.path().get(start + 1..)?;
    let (name, dir) = rest.strip_suffix('/').map_or((rest, false), |name| (name, true));
    (!name.is_empty() && !name.contains('/')).then(|| Listed { name: decoded(name), dir })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(page: &str, url: &str) -> Option<Vec<String>> {
        let listed = parse(page.as_bytes(), &Url::parse(url).expect("a URL"))?;
        let name =
            |one: Listed| format!("{}{}", String::from_utf8_lossy(&one.name), if one.dir { "/" } else { "" });
        Some(listed.into_iter().map(name).collect())
    }

    #[test]
    fn only_what_lies_right_below_counts() {
        let page = "<html><head><title>Index of /a b/</title></head><a href=\"../\">../</a>\
            <A HREF='plain'>x</A><a href=dir/>y</a><a href=\"/a%20b/full\">z</a><a href=\"http://h/a%20b/url\">u</a>\
            <a href=\"t&amp;%20c\">e</a><a href=\"plain\">again</a><a href=\"?C=N;O=D\">Name</a>\
            <a href=\"deep/er\">no</a><a href=\"/elsewhere\">no</a><a href=\"//evil/a%20b/x\">no</a>\
            <a href=\"https://h/a%20b/x\">no</a><a href=\"http://h:81/a%20b/x\">no</a><a href=\"javascript:alert(1)\">no</a>\
            <a href=\"mailto:x@y\">no</a><a href=\"../../etc/passwd\">no</a><a href=\"%2e%2e/\">up</a><a href=\"./\">self</a>\
            <a href=\"a%2Fb\">slash</a><a href=\"nul%00\">nul</a><a>none</a><a href>empty</a><a href=\"#top\">no</a>\
            <!-- <a href=\"comment\">no</a> --><script>'<a href=\"script\">'</script>";
        let wanted = ["plain", "dir/", "full", "url", "t& c", "a/b", "nul\0", "script"];
        let got = names(page, "http://h/a%20b/").expect("an index");
        // A tokenizer alone does not know scripts; what is not there is found missing when it is asked for.
        assert_eq!(got, wanted);
    }

    #[test]
    fn other_pages_are_no_listings() {
        let link = "<a href=\"about.html\">About</a>";
        assert_eq!(names(&format!("<title>My home page</title>{link}"), "http://h/"), None);
        assert_eq!(names(&format!("<title>My home page</title>{link}"), "http://h/me/"), None);
        assert_eq!(names("", "http://h/"), None);
        assert_eq!(names("{\"a\": 1}", "http://h/"), None);
        assert!(names("<h1>Index of /</h1>", "http://h/").is_some_and(|names| names.is_empty()));
        assert!(names(&format!("<h1>/pub/x/</h1>{link}"), "http://h/pub/x/").is_some());
        assert!(names("<title>Directory listing for /</title>", "http://h/").is_some());
    }

    #[test]
    fn nothing_makes_it_panic() {
        let url = Url::parse("http://h/a/b/").expect("a URL");
        for page in [&b"<a href=\xff\xfe>"[..], b"<title", b"<a href=\"\0\">", b"<a href='%'>", b"&#x110000;<a"] {
            let mut text = b"<title>Index of</title>".to_vec();
            text.extend_from_slice(page);
            let _ = parse(&text, &url);
        }
    }
}
