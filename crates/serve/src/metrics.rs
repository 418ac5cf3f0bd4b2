//! What a monitor is told of the server, as OpenMetrics text (version 1.0.0), which Prometheus reads.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Version;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::App;

/// What [`Metrics::text`] is.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds until an answer begins, as they are sorted.
const BUCKETS: [f64; 9] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// What requests are counted by: the routes below `/api/v1` and those of a share, WebDAV, and what is none of them.
const ROUTES: [&str; 22] = [
    "about",
    "audit",
    "changes",
    "chunks",
    "dav",
    "dirs",
    "entries",
    "feed",
    "files",
    "hashes",
    "health",
    "list",
    "metrics",
    "move",
    "openapi.json",
    "root",
    "shares",
    "stat",
    "sync",
    "tree",
    "uploads",
    "xattrs",
];

/// What is none of them.
const NONE: &str = "other";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Http {
    http: &'static str,
}

/// By what a connection is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct By {
    transport: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfShare {
    share: String,
}

/// What is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    seconds: Family<Route, Histogram, fn() -> Histogram>,
    sent: Family<Http, Counter>,
    received: Family<Http, Counter>,
    pending: Gauge,
    /// Connections that are open.
    pub connections: Connections,
    indexed: Family<OfShare, Gauge>,
    /// Logins that were not accepted.
    pub refused: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("sitta_server");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Which sitta this is", version);
        let now = Timestamp::now().as_millisecond() as f64 / 1000.0;
        let started = ConstGauge::new(now);
        registry.register_with_unit(
            "start_time",
            "When the server was started, since 1970",
            Unit::Seconds,
            started,
        );
        let seconds = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        let metrics = Self {
            registry: Registry::default(),
            requests: Family::default(),
            seconds,
            sent: Family::default(),
            received: Family::default(),
            pending: Gauge::default(),
            connections: Connections::default(),
            indexed: Family::default(),
            refused: Counter::default(),
        };
        let Self { requests, seconds, sent, received, pending, connections, indexed, refused, .. } = &metrics;
        registry.register("requests", "Requests that were answered, by what they asked for", requests.clone());
        let what = "How long it took until an answer began";
        registry.register_with_unit("answer", what, Unit::Seconds, seconds.clone());
        registry.register_with_unit("sent", "Sent in answers", Unit::Bytes, sent.clone());
        registry.register_with_unit("received", "Received in requests", Unit::Bytes, received.clone());
        registry.register("requests_pending", "Requests whose answer has not ended", pending.clone());
        registry.register("connections", "Connections that are open", connections.0.clone());
        registry.register("share_indexed", "Whether searches of the share use an index now", indexed.clone());
        registry.register("logins_refused", "Logins that were not accepted", refused.clone());
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// All of it, as it is now.
    pub fn text(&self, app: &App) -> String {
        for share in app.shares.values() {
            let indexed = share.index.as_ref().is_some_and(|index| index.is_usable());
            self.indexed.get_or_create_owned(&OfShare { share: share.name.clone() }).set(indexed.into());
        }
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes all of it");
        text
    }
}

/// How many connections are open.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections(Family<By, Gauge>);

impl Connections {
    /// A connection by `tcp` or `udp`, which ends when this is let go of.
    pub fn open(&self, transport: &'static str) -> Held {
        Held::new(self.0.get_or_create_owned(&By { transport }))
    }
}

/// Something that there is one of as long as this is there.
#[derive(Debug)]
pub(crate) struct Held(Gauge);

impl Held {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Answers, and counts.
pub(crate) async fn measured(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (began, metrics) = (Instant::now(), &app.metrics);
    let (route, http) = (route(request.uri().path()), Http { http: http(request.version()) });
    let pending = Held::new(metrics.pending.clone());
    let request = request.map(|body| counted(body, metrics.received.get_or_create_owned(&http), None));
    let response = next.run(request).await;
    let status = response.status().as_u16();
    metrics.requests.get_or_create(&Answered { route, status }).inc();
    metrics.seconds.get_or_create(&Route { route }).observe(began.elapsed().as_secs_f64());
    response.map(|body| counted(body, metrics.sent.get_or_create_owned(&http), Some(pending)))
}

/// Which of [`ROUTES`] a request's path belongs to.
pub(crate) fn route(path: &str) -> &'static str {
    let name = match path.strip_prefix("/api/v1") {
        Some("" | "/") => "about",
        Some(rest) => match rest.strip_prefix("/shares/") {
            Some(rest) => rest.split('/').nth(1).filter(|name| !name.is_empty()).unwrap_or("shares"),
            None => rest.strip_prefix('/').unwrap_or(NONE),
        },
        None => path.split('/').nth(1).filter(|first| *first == "dav").unwrap_or(NONE),
    };
    ROUTES.binary_search(&name).map_or(NONE, |at| ROUTES[at])
}

fn http(version: Version) -> &'static str {
    match version {
        Version::HTTP_3 => "3",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

/// The body, whose bytes are counted as they pass; `pending` is held until it has ended.
fn counted(body: Body, bytes: Counter, pending: Option<Held>) -> Body {
    if body.is_end_stream() {
        return body;
    }
    Body::new(body.inspect_frame(move |frame: &Frame<Bytes>| {
        let _held = &pending;
        bytes.inc_by(frame.data_ref().map_or(0, |data| data.len() as u64));
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_by_their_routes() {
        for (path, name) in [
            ("/api/v1", "about"),
            ("/api/v1/health", "health"),
            ("/api/v1/shares", "shares"),
            ("/api/v1/shares/docs", "shares"),
            ("/api/v1/shares/docs/files/a/tree/b", "files"),
            ("/api/v1/shares/docs/files", "files"),
            ("/dav/docs/files/x", "dav"),
            ("/dav", "dav"),
            ("/", NONE),
            ("/api/v1x", NONE),
            ("/api/v1/shares/docs/nothing/a", NONE),
            ("/davy", NONE),
        ] {
            assert_eq!(route(path), name, "{path}");
        }
        assert!(ROUTES.is_sorted());
    }
}
