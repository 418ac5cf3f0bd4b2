//! Several connections to one server: encryption keeps a processor busy at each end, and a server's SFTP process does
//! one thing at a time.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::connect::Target;
use super::session::Session;
use crate::{Error, Result};

/// Connections to one server at most.
const LINES: usize = 4;
/// Requests that wait on each open connection before another one is opened.
const BUSY: usize = 8;
/// How long no further connection is tried after one was refused.
const PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Pool {
    target: Target,
    lines: Vec<Line>,
}

#[derive(Debug, Default)]
struct Line {
    session: Mutex<Option<Arc<Session>>>,
    /// Held while connecting; when that last failed, and how.
    connecting: tokio::sync::Mutex<Option<(Instant, Error)>>,
}

impl Line {
    fn alive(&self) -> Option<Arc<Session>> {
        let session = self.session.lock().unwrap_or_else(|e| e.into_inner());
        session.clone().filter(|session| session.is_alive())
    }

    /// Connects, unless somebody else just did, or just failed.
    async fn connect(&self, target: &Target) -> Result<Arc<Session>> {
        let came = Instant::now();
        let mut failed = self.connecting.lock().await;
        if let Some(session) = self.alive() {
            return Ok(session);
        }
        if let Some((_, error)) = failed.as_ref().filter(|(at, _)| *at >= came) {
            return Err(error.clone());
        }
        match target.connect().await {
            Ok(session) => {
                let session = Arc::new(session);
                *self.session.lock().unwrap_or_else(|e| e.into_inner()) = Some(session.clone());
                *failed = None;
                Ok(session)
            }
            Err(error) => {
                *failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}

impl Pool {
    pub fn new(target: Target) -> Arc<Self> {
        Arc::new(Self { target, lines: std::iter::repeat_with(Line::default).take(LINES).collect() })
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The connection with the least to do; connects if there is none.
    pub async fn session(self: &Arc<Self>) -> Result<Arc<Session>> {
        let alive = self.lines.iter().filter_map(Line::alive);
        let Some((load, session)) = alive.map(|s| (s.load(), s)).min_by_key(|(load, _)| *load) else {
            return self.lines[0].connect(&self.target).await;
        };
        if load >= BUSY {
            self.open_another();
        }
        Ok(session)
    }

    /// Opens one more connection in the background.
    fn open_another(self: &Arc<Self>) {
        let Some(at) = self.lines.iter().position(|line| line.alive().is_none()) else { return };
        match self.lines[at].connecting.try_lock() {
            Ok(failed) if failed.as_ref().is_none_or(|(at, _)| at.elapsed() > PAUSE) => {}
            // Somebody is at it, or the server does not want it.
            _ => return,
        }
        let pool = Arc::downgrade(self);
        tokio::spawn(async move {
            if let Some(pool) = pool.upgrade() {
                let _ = pool.lines[at].connect(&pool.target).await;
            }
        });
    }
}
