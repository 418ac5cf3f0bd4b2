//! Copying and moving (RFC 4918, 9.8 and 9.9), within a share and from one to another.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sitta_store::{Displaced, Error, Precondition, What, Write};
use sitta_tree::{Entry, Fingerprint, Kind, RelPath};

use super::guard::changeable;
use super::headers::{Depth, depth, destination, overwrite};
use super::locks::Touched;
use super::refused::Refused;
use super::whole::{self, Aside, Failed, Original, To, cannot_move};
use super::{Ask, broken, href, look, nothing};
use crate::api::access::Target;
use crate::api::dirs::no_directory;
use crate::api::expect::expected;

/// Copies something, or moves it.
pub(super) async fn transfer(ask: Ask, copy: bool) -> Result<Response, Refused> {
    let url = destination(&ask.headers, ask.host.as_ref())?;
    let replace = overwrite(&ask.headers)?;
    let to = Target::find(&ask.app, ask.target.caller.clone(), &url)?;
    to.must_be_writable()?;
    changeable(&to.path)?;
    if !copy {
        changeable(&ask.target.path)?;
    }
    let (from, same_share) = (&ask.target, ask.target.share.name == to.share.name);
    let entry = look(&from.share.store, &from.path).await?.ok_or_else(nothing)?;
    let depth = depth(&ask.headers)?;
    if entry.kind == Kind::Dir && (depth == Depth::One || (depth == Depth::Zero && !copy)) {
        return Err(Refused::odd("a directory goes with all it holds: write Depth: infinity, or leave it out"));
    }
    if same_share && (to.path.is_within(&from.path) || from.path.is_within(&to.path)) {
        return Err(Refused::new(StatusCode::FORBIDDEN, "inside", "it cannot go to, above or below itself"));
    }
    let expect = expected(&ask.headers, Some(&entry))?;
    let store = &to.share.store;
    let there = look(store, &to.path).await?;
    // Where names are folded, it may be the entry itself under another spelling.
    let itself = |there: &Entry| {
        same_share && store.capabilities().traits.folds_names && there.fingerprint() == entry.fingerprint()
    };
    let there = there.filter(|there| !itself(there));
    if there.is_some() && !replace {
        return Err(Refused::new(StatusCode::PRECONDITION_FAILED, "exists", "something stands there already"));
    }
    // Object stores have no directories of their own: whatever is put there makes them.
    let above = look(store, &to.path.parent().unwrap_or_default()).await?;
    let implied = above.is_none() && !store.capabilities().traits.dirs;
    if !implied && above.is_none_or(|above| above.kind != Kind::Dir) {
        let what = "the directory above the destination is not there";
        return Err(Refused::new(StatusCode::CONFLICT, "no_directory", what));
    }
    let touched = |target: &Target, comes_or_goes| {
        let (share, path) = (target.share.name.clone(), target.path.clone());
        Touched { share, path, comes_or_goes, deep: true }
    };
    let mut all = vec![touched(&to, there.is_none())];
    if !copy {
        all.push(touched(from, true));
    }
    ask.may_change(&all).await?;
    let deep = depth == Depth::Infinity;
    let transfer = Transfer { ask, to, entry, expect, there, copy, deep };
    // What was begun is finished or undone, even if the client goes away.
    tokio::spawn(transfer.run()).await.map_err(|_| broken())?
}

struct Transfer {
    ask: Ask,
    to: Target,
    entry: Entry,
    expect: Precondition,
    /// What stands at the destination.
    there: Option<Entry>,
    copy: bool,
    deep: bool,
}

impl Transfer {
    async fn run(self) -> Result<Response, Refused> {
        let done = self.place().await;
        let result = if matches!(&done, Ok(failed) if failed.is_empty()) { "done" } else { "failed" };
        let record = self.ask.target.caller.did("write", &self.to.share.name, &self.to.path, result);
        self.ask.app.audit.note(record).await;
        let failed = done.map_err(no_directory)?;
        self.follow().await?;
        if !failed.is_empty() {
            return Ok(whole::partly(&failed, |path| href(&self.to.share.name, path, Kind::File)));
        }
        let status = if self.there.is_some() { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
        Ok(status.into_response())
    }

    fn original(&self) -> Original<'_> {
        Original { store: &self.ask.target.share.store, path: &self.ask.target.path, entry: &self.entry }
    }

    /// Puts it where it shall be; what stood there is gone only then.
    async fn place(&self) -> Result<Failed, Error> {
        let to = To { store: &self.to.share.store, path: &self.to.path, temps: &self.ask.app.temps };
        let is_file = |entry: &Entry| entry.kind == Kind::File;
        let over_file = is_file(&self.entry) && self.there.as_ref().is_some_and(is_file);
        if over_file && self.replaces_at_once() {
            return self.replace(&to).await;
        }
        let aside = match &self.there {
            Some(there) => Some(Aside::put(&to, there).await?),
            None => None,
        };
        let placed = self.place_at(&to).await;
        if let Some(aside) = aside {
            if placed.is_ok() { aside.gone().await } else { aside.back().await }
        }
        placed
    }

    /// Whether a file can take the place of another one in one step.
    fn replaces_at_once(&self) -> bool {
        self.copy || !self.same_share() || self.to.share.store.capabilities().hard_links
    }

    fn same_share(&self) -> bool {
        self.ask.target.share.name == self.to.share.name
    }

    /// A file takes the place of another one; moved, it goes from where it was behind that.
    async fn replace(&self, to: &To<'_>) -> Result<Failed, Error> {
        let there =
            self.there.as_ref().map_or(Precondition::Absent, |there| Precondition::Version(there.fingerprint()));
        if self.copy || !self.same_share() {
            whole::copy(self.original(), to, there, true).await?;
        } else {
            let write = Write {
                path: to.path.clone(),
                what: What::Link(self.ask.target.path.clone()),
                meta: self.entry.meta,
                expect: there,
                displaced: Displaced::Discard,
                temp: to.temps.next(),
            };
            to.store.write(write, &std::sync::Arc::default()).await?;
        }
        if self.copy { Ok(Failed::new()) } else { self.leave(self.same_share()).await }
    }

    async fn place_at(&self, to: &To<'_>) -> Result<Failed, Error> {
        let from = self.original();
        if self.copy {
            return whole::copy(from, to, Precondition::Absent, self.deep).await;
        }
        if self.same_share() {
            match to.store.rename(from.path, to.path, self.expect).await {
                Ok(_) => return Ok(Failed::new()),
                Err(error) if !(self.entry.kind == Kind::Dir && cannot_move(&error)) => return Err(error),
                Err(_) => {}
            }
        }
        let mut failed = whole::copy(from, to, Precondition::Absent, true).await?;
        match failed.pop() {
            None => self.leave(false).await,
            // Not all of it arrived: all of it stays where it was.
            Some((_, error)) => {
                let _ = whole::remove(to.store, to.path, self.entry.kind, Precondition::None).await;
                Err(error)
            }
        }
    }

    /// It goes from where it was, as it is elsewhere now, if it is still what was taken there.
    async fn leave(&self, linked: bool) -> Result<Failed, Error> {
        let version = self.entry.fingerprint();
        // By a link to it a file gets another version.
        let version = if linked { Fingerprint { change: 0, ..version } } else { version };
        whole::remove(self.original().store, self.original().path, self.entry.kind, Precondition::Version(version))
            .await
    }

    /// Properties follow; locks do not (RFC 4918, 7.5).
    async fn follow(&self) -> Result<(), Refused> {
        let app = &self.ask.app;
        let path_of = |target: &Target| -> (String, RelPath) { (target.share.name.clone(), target.path.clone()) };
        let (from, to) = (path_of(&self.ask.target), path_of(&self.to));
        if !self.copy {
            app.locks.forget(&from.0, &from.1);
        }
        if self.there.as_ref().is_some_and(|there| there.kind == Kind::Dir) {
            app.locks.forget(&to.0, &to.1);
        }
        Ok(app.properties.follow((&from.0, &from.1), (&to.0, &to.1), self.copy).await?)
    }
}
