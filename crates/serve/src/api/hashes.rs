//! Checksums: of one file, or of all below a directory while they are made.

use std::convert::Infallible;
use std::sync::Arc;
use std::thread::available_parallelism;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use serde::Serialize;
use sitta_store::ErrorKind;
use sitta_store::look::{Choice, Item, Place, Wanted};
use sitta_store::sum::Algo;
use sitta_tree::{Kind, Problem, RelPath};

use super::access::Target;
use super::problem::Trouble;
use super::query::Query;
use super::told::{ToldHash, ToldProblem};
use crate::App;

/// The parameters.
pub(super) const KNOWN: &[&str] = &["algo"];

/// So many lines go together, where they are there already.
const LINES: usize = 256;

/// A line of many.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line {
    Hash(ToldHash),
    Problem(ToldProblem),
    /// The last one; without it the list was cut off.
    End {
        files: u64,
        problems: u64,
    },
}

/// The checksum of a file, or of each file below a directory.
pub(super) async fn get(State(app): State<Arc<App>>, target: Target, uri: Uri) -> Result<Response, Trouble> {
    let query = Query::parse(uri.query(), KNOWN)?;
    let algo = query.read("algo", str::parse::<Algo>)?.unwrap_or(Algo::Blake3);
    let entry = target.share.store.stat(&target.path).await?;
    match entry {
        None if target.path.is_root() => all(app, target, algo).await,
        None => Err(Trouble::new(StatusCode::NOT_FOUND, "not_found", "nothing stands there")),
        Some(entry) if entry.kind == Kind::Dir => all(app, target, algo).await,
        Some(entry) if entry.kind == Kind::File => {
            let item = Item::new(target.path.clone(), entry);
            let hash = app.sums.of(&target.share, &target.path, &item.fingerprint(), algo).await;
            let hash = hash.map_err(|error| match error.kind {
                // Nothing that the client demanded has failed.
                ErrorKind::Changed => {
                    Trouble::new(StatusCode::CONFLICT, "changed", "it changed while it was being hashed")
                }
                _ => error.into(),
            })?;
            Ok(Json(ToldHash::new(&RelPath::root(), &item, algo, hash)).into_response())
        }
        Some(_) => Err(Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, "unsupported", "it is not a file")),
    }
}

/// A line for each file below a directory, in order, as soon as it is known.
async fn all(app: Arc<App>, target: Target, algo: Algo) -> Result<Response, Trouble> {
    let Target { share, path: base, .. } = target;
    let place = Place { store: share.store.clone(), base: base.clone() };
    let choice = Choice::new(&Wanted::default()).expect("no pattern");
    let mut problems = Vec::new();
    let mut items = place.gather(&choice, true, true, &mut problems).await?;
    items.retain(|item| item.kind == Kind::File);
    let unseen: Vec<_> = problems.iter().map(|problem| Line::Problem(ToldProblem::new(&base, problem))).collect();
    let in_flight = 2 * available_parallelism().map_or(2, usize::from);
    let mut stopped = app.stopped.clone();
    let hashed = stream::iter(items)
        .map(move |item| {
            let (app, share, base) = (app.clone(), share.clone(), base.clone());
            // On any processor, and no longer than somebody listens.
            let (task, line) = async move {
                let path = base.join_path(&item.path);
                match app.sums.of(&share, &path, &item.fingerprint(), algo).await {
                    Ok(hash) => Line::Hash(ToldHash::new(&base, &item, algo, hash)),
                    Err(error) => {
                        let kind = error.problem_kind(false);
                        let problem = Problem::new(item.path, kind, error.source.to_string());
                        Line::Problem(ToldProblem::new(&base, &problem))
                    }
                }
            }
            .remote_handle();
            tokio::spawn(task);
            line
        })
        .buffered(in_flight);
    let lines = stream::iter(unseen).chain(hashed).map(Some).chain(stream::once(async { None }));
    let lines = lines.scan((0, 0), |(files, problems), line| {
        match line {
            Some(Line::Hash(_)) => *files += 1,
            Some(_) => *problems += 1,
            None => {}
        }
        let end = Line::End { files: *files, problems: *problems };
        std::future::ready(Some(line.unwrap_or(end)))
    });
    // A server that stops cuts it off, so that the last line is missing.
    let lines = lines.take_until(async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    });
    let pieces = lines.ready_chunks(LINES).map(|lines| {
        let mut piece = Vec::new();
        for line in &lines {
            serde_json::to_writer(&mut piece, line).expect("plain data");
            piece.push(b'\n');
        }
        Ok::<_, Infallible>(Bytes::from(piece))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(pieces)).into_response())
}
