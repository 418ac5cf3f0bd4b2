//! Hearing of changes: the server's stream of events (server-sent events, WHATWG HTML 9.2).

use futures::StreamExt;
use reqwest::Method;
use reqwest::header::ACCEPT;
use serde::{Deserialize, Serialize};
use sitta_tree::RelPath;

use super::client::Client;
use super::wire::Text;
use crate::watch::{Board, Look, Missed, Source, Watch};
use crate::wrap::Backoff;
use crate::{ByteStream, ErrorKind, Result};

/// What a server tells of a share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// From now on everything is told.
    Ready,
    /// Something changed there.
    Changed {
        /// Where.
        path: Text,
        /// All that lies below may have changed too.
        below: bool,
    },
    /// More changed than is told.
    Missed,
}

/// A line longer than this is none of a server's.
const LONGEST: usize = 1 << 20;

/// Hears until it is dropped, or the server is gone for longer than a moment.
pub(super) async fn watch(client: &Client) -> Result<Watch> {
    let board = Board::default();
    let mut lines = listen(client, None).await?;
    let (client, told) = (client.clone(), board.clone());
    let hearing = tokio::spawn(async move {
        loop {
            while let Some(news) = lines.next().await {
                match news {
                    News::Ready => {}
                    News::Missed => told.missed(Missed::Overflow),
                    News::Changed { path, below } => match path.path().map(|path| client.below(&path)) {
                        Ok(Some(path)) => told.changed(path, if below { Look::Below } else { Look::Entry }),
                        Ok(None) => {}
                        Err(_) => told.missed(Missed::Overflow),
                    },
                }
            }
            // What was told since is told again; or, by a server that does not know any more, that there was something.
            let last = lines.last.take();
            match Backoff::default().again(|| listen(&client, Some(last.as_deref().unwrap_or("none")))).await {
                Ok(again) => lines = Lines { last: again.last.clone().or(last), ..again },
                Err(_) => break,
            }
        }
        told.missed(Missed::Gone);
    });
    Ok(Watch::new(board, Hearing(hearing)))
}

/// Begins to listen; nothing that happens from here on goes untold, nor what happened since the event `last`.
async fn listen(client: &Client, last: Option<&str>) -> Result<Lines> {
    let root = RelPath::root();
    let mut request = client.ask(&Method::GET, "feed", &root).header(ACCEPT, "text/event-stream");
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let answer = client.site.web.send(request, &root).await?;
    let answer = client.granted(answer, &root).await?;
    let mut lines = Lines { bytes: client.site.web.bytes(answer, &root), rest: Vec::new(), last: None };
    loop {
        match lines.next().await {
            Some(News::Ready) => return Ok(lines),
            Some(_) => {}
            // As with a server that is just being stopped: the next one may be there soon.
            None => {
                let what = "it does not begin to tell of changes";
                return Err(client.site.error(ErrorKind::Unreachable, &root, what));
            }
        }
    }
}

/// Ends the hearing when it is dropped.
struct Hearing(tokio::task::JoinHandle<()>);

/// The server tells when it gets to it: nothing can be said of this moment.
impl Source for Hearing {}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Lines {
    bytes: ByteStream,
    rest: Vec<u8>,
    /// The last event's name.
    last: Option<String>,
}

impl Lines {
    /// The next thing that was told; none when there will be no more.
    async fn next(&mut self) -> Option<News> {
        loop {
            while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                if let Some(id) = line.strip_prefix(b"id:") {
                    self.last = std::str::from_utf8(id).ok().map(|id| id.trim().to_owned());
                }
                if let Some(data) = line.strip_prefix(b"data:") {
                    return serde_json::from_slice(data).ok();
                }
            }
            if self.rest.len() > LONGEST {
                return None;
            }
            // A server that has nothing to tell says so now and then.
            self.rest.extend_from_slice(&self.bytes.next().await?.ok()?);
        }
    }
}
