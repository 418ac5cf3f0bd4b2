//! What PROPFIND answers (RFC 4918, section 14), read as it arrives.

use futures::stream::TryStreamExt;
use quick_xml::events::Event;
use quick_xml::name::ResolveResult;
use quick_xml::{NsReader, XmlVersion};
use sitta_tree::{Entry, Kind, Unknown};
use tokio::io::AsyncReadExt;
use tokio_util::io::StreamReader;

use crate::http::range::{http_time, tag_digest};
use crate::http::site::decoded;
use crate::{ByteStream, Error};

/// What is asked for: nothing that a server would have to work out.
pub(super) const ASK: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?><D:propfind xmlns:D=\"DAV:\"><D:prop>\
    <D:resourcetype/><D:getcontentlength/><D:getlastmodified/><D:getetag/></D:prop></D:propfind>";

/// The longest answer that is read: a million entries.
const LONGEST: u64 = 512 << 20;
/// The longest text of one element.
const LONGEST_TEXT: usize = 64 << 10;

/// One `response`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// The path that it is about, decoded, without a slash at its end.
    pub path: Vec<u8>,
    pub entry: Entry,
}

/// Why an answer is none.
#[derive(Debug)]
pub(super) enum Broken {
    /// It did not arrive.
    Lost(Error),
    /// It is not what it should be.
    Odd(String),
}

/// Where in the answer the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Href,
    /// Of a `propstat`, or of the response itself.
    Status,
    Length,
    Modified,
    Tag,
    Else,
}

/// What is known of one `response` so far.
#[derive(Debug, Default)]
struct Response {
    href: Option<String>,
    /// Its own status; not that of its properties.
    status: Option<u16>,
    found: Props,
}

/// The properties of one `propstat`, which count only if its status says so.
#[derive(Debug, Default, Clone)]
struct Props {
    typed: bool,
    dir: bool,
    size: Option<u64>,
    modified: Option<String>,
    tag: Option<String>,
}

/// Reads all of a multistatus.
pub(super) async fn read(body: ByteStream) -> Result<Vec<Told>, Broken> {
    let lost = std::sync::Arc::new(std::sync::Mutex::new(None));
    let keep = lost.clone();
    let body = body.map_err(move |error| {
        *keep.lock().unwrap_or_else(|e| e.into_inner()) = Some(error.clone());
        std::io::Error::other(error)
    });
    let limited = tokio::io::BufReader::new(StreamReader::new(body).take(LONGEST));
    let read = responses(NsReader::from_reader(limited)).await;
    let lost = lost.lock().unwrap_or_else(|e| e.into_inner()).take();
    match (read, lost) {
        (_, Some(error)) => Err(Broken::Lost(error)),
        (read, None) => read.map_err(Broken::Odd),
    }
}

async fn responses<R: tokio::io::AsyncBufRead + Unpin>(mut reader: NsReader<R>) -> Result<Vec<Told>, String> {
    let odd = |error: quick_xml::Error| format!("the server's listing is broken: {error}");
    reader.config_mut().expand_empty_elements = true;
    let mut all = Vec::new();
    let mut buffer = Vec::new();
    let mut whole = false;
    let (mut response, mut props, mut status) = (None::<Response>, None::<Props>, None::<u16>);
    let (mut at, mut text) = (At::Else, String::new());
    loop {
        buffer.clear();
        let (namespace, event) = reader.read_resolved_event_into_async(&mut buffer).await.map_err(odd)?;
        let is_dav = matches!(namespace, ResolveResult::Bound(name) if name.0 == "DAV:");
        match event {
            Event::Start(start) if is_dav => {
                text.clear();
                at = match start.local_name().as_ref() {
                    "multistatus" => At::Else,
                    "response" => {
                        response = Some(Response::default());
                        At::Else
                    }
                    "propstat" => {
                        (props, status) = (Some(Props::default()), None);
                        At::Else
                    }
                    "href" if response.as_ref().is_some_and(|r| r.href.is_none()) && props.is_none() => At::Href,
                    "status" => At::Status,
                    "getcontentlength" => At::Length,
                    "getlastmodified" => At::Modified,
                    "getetag" => At::Tag,
                    name => {
                        if let Some(props) = &mut props {
                            props.typed |= name == "resourcetype";
                            props.dir |= name == "collection";
                        }
                        At::Else
                    }
                };
            }
            Event::Start(_) => at = At::Else,
            Event::Text(piece) if at != At::Else => text.push_str(&piece.xml_content(XmlVersion::Implicit1_0)),
            Event::CData(piece) if at != At::Else => text.push_str(&piece),
            Event::GeneralRef(name) if at != At::Else => match name.resolve_char_ref() {
                Ok(Some(char)) => text.push(char),
                _ => text.push_str(quick_xml::escape::resolve_predefined_entity(&name).ok_or("an unknown entity")?),
            },
            Event::End(end) if is_dav => {
                let value = std::mem::take(&mut text);
                match (std::mem::replace(&mut at, At::Else), &mut props, &mut response) {
                    (At::Href, _, Some(response)) => response.href = Some(value),
                    (At::Status, Some(_), _) => status = http_status(&value),
                    (At::Status, None, Some(response)) => response.status = http_status(&value),
                    (At::Length, Some(props), _) => props.size = value.trim().parse().ok(),
                    (At::Modified, Some(props), _) => props.modified = Some(value),
                    (At::Tag, Some(props), _) => props.tag = Some(value),
                    _ => {}
                }
                match end.local_name().as_ref() {
                    "propstat" => {
                        let told = props.take().filter(|_| status.is_none_or(|s| (200..300).contains(&s)));
                        if let (Some(response), Some(told)) = (&mut response, told) {
                            response.found.add(told);
                        }
                    }
                    "response" => all.extend(response.take().and_then(Response::told)),
                    "multistatus" => whole = true,
                    _ => {}
                }
            }
            Event::End(_) => at = At::Else,
            Event::Eof if whole => return Ok(all),
            Event::Eof => return Err("the server's listing breaks off".into()),
            _ => {}
        }
        if text.len() > LONGEST_TEXT {
            return Err("the server's listing holds a text that is too long".into());
        }
    }
}

impl Props {
    fn add(&mut self, other: Self) {
        self.typed |= other.typed;
        self.dir |= other.dir;
        self.size = self.size.or(other.size);
        self.modified = self.modified.take().or(other.modified);
        self.tag = self.tag.take().or(other.tag);
    }
}

impl Response {
    fn told(self) -> Option<Told> {
        let (href, props) = (self.href?, self.found);
        let refused = self.status.is_some_and(|status| !(200..300).contains(&status));
        let mut entry = match (refused, props.dir, props.size) {
            (false, true, _) => Entry::new(Kind::Dir),
            (false, false, Some(size)) => Entry { size, ..Entry::new(Kind::File) },
            // It is there, and neither its kind nor its size is told.
            _ => Entry::unknown(Unknown::Unreadable),
        };
        entry.meta.mtime = props.modified.as_deref().and_then(http_time).unwrap_or_default();
        if entry.kind == Kind::File {
            entry.change = props.tag.as_deref().map_or(0, tag_digest);
        }
        Some(Told { path: path(&href), entry })
    }
}

/// The path of a reference: a URL or an absolute path. Whom the URL names does not matter: nothing of it is followed.
fn path(href: &str) -> Vec<u8> {
    let href = href.trim();
    let path = match href.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => rest.find('/').map_or("/", |at| &rest[at..]),
        _ => href,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    decoded(path.trim_end_matches('/'))
}

/// `HTTP/1.1 200 OK`
fn http_status(line: &str) -> Option<u16> {
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use sitta_tree::Time;

    async fn parse(text: &str) -> Result<Vec<Told>, String> {
        // In small pieces: nothing depends on how it arrives.
        let pieces: Vec<_> = text.as_bytes().chunks(7).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        match read(Box::pin(futures::stream::iter(pieces))).await {
            Ok(all) => Ok(all),
            Err(Broken::Odd(what)) => Err(what),
            Err(Broken::Lost(error)) => panic!("{error}"),
        }
    }

    fn wrapped(responses: &str) -> String {
        format!("<?xml version=\"1.0\"?>\n<D:multistatus xmlns:D=\"DAV:\">{responses}</D:multistatus>")
    }

    #[tokio::test]
    async fn prefixes_are_whatever_the_server_likes() {
        let text = "<x:multistatus xmlns:x='DAV:' xmlns:o='other'><x:response xmlns:lp1='DAV:'>\
            <x:href>http://h:80/a/b%20c&amp;&#100;/</x:href><x:propstat><x:prop>\
            <o:getcontentlength>7</o:getcontentlength><lp1:resourcetype><x:collection/></lp1:resourcetype>\
            <lp1:getlastmodified>Sun, 06 Nov 1994 08:49:37 GMT</lp1:getlastmodified></x:prop>\
            <x:status>HTTP/1.1 200 OK</x:status></x:propstat></x:response>\
            <response xmlns='DAV:'><href><![CDATA[/a/f]]></href><propstat><prop><getcontentlength>12</getcontentlength>\
            <resourcetype/><getetag>W/\"x\"</getetag></prop><status>HTTP/1.1 200 OK</status></propstat></response>\
            </x:multistatus>";
        let all = parse(text).await.expect("a listing");
        assert_eq!(all[0].path, b"/a/b c&d");
        assert_eq!((all[0].entry.kind, all[0].entry.meta.mtime), (Kind::Dir, Time::new(784_111_777, 0)));
        assert_eq!((&*all[1].path, all[1].entry.kind, all[1].entry.size), (&b"/a/f"[..], Kind::File, 12));
        assert_eq!(all[1].entry.change, tag_digest("\"x\""));
    }

    #[tokio::test]
    async fn what_is_not_told_is_not_made_up() {
        let no_size = "<D:response><D:href>/a</D:href><D:propstat><D:prop><D:getcontentlength>9</D:getcontentlength>\
            </D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat></D:response>";
        let refused = "<D:response><D:href>/b</D:href><D:status>HTTP/1.1 403 Forbidden</D:status></D:response>";
        let all = parse(&wrapped(&format!("{no_size}{refused}"))).await.expect("a listing");
        assert_eq!(all.len(), 2);
        for told in all {
            assert_eq!((told.entry.kind, told.entry.size), (Kind::Unknown, 0));
        }
    }

    #[tokio::test]
    async fn broken_answers_are_refused() {
        let good = wrapped("<D:response><D:href>/a</D:href></D:response>");
        assert!(parse(&good).await.is_ok());
        for cut in 1..good.len() {
            assert!(parse(&good[..cut]).await.is_err(), "cut after {cut}");
        }
        for odd in ["", "<html><body>no</body></html>", "<D:multistatus>", "\u{0}", "<a><b></a></b>"] {
            assert!(parse(odd).await.is_err(), "{odd}");
        }
        assert!(parse(&wrapped("<D:response><D:href>&evil;</D:href></D:response>")).await.is_err());
        let long = wrapped(&format!("<D:response><D:href>/{}</D:href></D:response>", "x".repeat(LONGEST_TEXT)));
        assert!(parse(&long).await.is_err());
    }
}
