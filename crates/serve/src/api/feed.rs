//! The change feed: server-sent events (WHATWG HTML 9.2).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use sitta_store::sitta::feed::News;
use tokio::sync::broadcast::error::RecvError;

use super::access::Target;
use super::problem::Trouble;
use crate::App;

/// So often it is said that there is nothing to say, so that both ends know of a lost connection.
const ALIVE: Duration = Duration::from_secs(10);

/// All that changes in a share from now on.
pub(super) async fn listen(State(app): State<Arc<App>>, target: Target) -> Result<Response, Trouble> {
    let Some(news) = target.share.hub.listen(&target.share.store).await? else {
        return Err(Trouble::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "unsupported",
            "this share cannot tell of changes",
        ));
    };
    let events = stream::unfold((news, app.stopped.clone(), true), |(mut news, mut stopped, first)| async move {
        if first {
            return Some((event(&News::Ready), (news, stopped, false)));
        }
        let told = tokio::select! {
            told = tokio::time::timeout(ALIVE, news.recv()) => told,
            _ = stopped.wait_for(|stopped| *stopped) => return None,
        };
        let said = match told {
            Err(_) => Bytes::from_static(b":\n\n"),
            Ok(Ok(told)) => event(&told),
            Ok(Err(RecvError::Lagged(_))) => event(&News::Missed),
            Ok(Err(RecvError::Closed)) => return None,
        };
        Some((said, (news, stopped, false)))
    });
    let body = Body::from_stream(futures::StreamExt::map(events, Ok::<_, Infallible>));
    Ok(([(CONTENT_TYPE, "text/event-stream")], body).into_response())
}

fn event(news: &News) -> Bytes {
    let mut event = b"data: ".to_vec();
    serde_json::to_writer(&mut event, news).expect("plain data");
    event.extend_from_slice(b"\n\n");
    event.into()
}
