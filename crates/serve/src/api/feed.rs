//! The change feed: server-sent events (WHATWG HTML 9.2).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use sitta_store::sitta::feed::News;

use super::access::Target;
use super::problem::Trouble;
use crate::App;
use crate::feed::Mark;

/// So often it is said that there is nothing to say, so that both ends know of a lost connection.
const ALIVE: Duration = Duration::from_secs(10);

/// All that changes in a share from now on; or since the event that `Last-Event-ID` names, if that is not long ago.
pub(super) async fn listen(
    State(app): State<Arc<App>>,
    target: Target,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    // A mark that cannot be read is one of which nothing is known.
    let mark = headers.get("last-event-id").map(|id| id.to_str().ok().and_then(|id| id.parse().ok()));
    let mark = mark.map(Option::unwrap_or_default);
    let Some(listening) = target.share.hub.listen(&target.share.store, mark).await? else {
        return Err(Trouble::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "unsupported",
            "this share cannot tell of changes",
        ));
    };
    let events = stream::unfold((listening, app.stopped.clone()), |(mut listening, mut stopped)| async move {
        let told = tokio::select! {
            told = tokio::time::timeout(ALIVE, listening.next()) => told,
            _ = stopped.wait_for(|stopped| *stopped) => return None,
        };
        let said = match told {
            Err(_) => Bytes::from_static(b":\n\n"),
            Ok(told) => event(told?),
        };
        Some((said, (listening, stopped)))
    });
    let body = Body::from_stream(futures::StreamExt::map(events, Ok::<_, Infallible>));
    Ok(([(CONTENT_TYPE, "text/event-stream")], body).into_response())
}

fn event((mark, news): (Option<Mark>, News)) -> Bytes {
    let id = mark.map(|mark| format!("id: {mark}\n")).unwrap_or_default();
    format!("{id}data: {}\n\n", serde_json::to_string(&news).expect("plain data")).into()
}
