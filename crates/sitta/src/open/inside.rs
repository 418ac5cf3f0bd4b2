//! Where names start from that are typed in `sitta shell`: a folder at or below the place that was opened.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, PoisonError};

use sitta_store::{Downloads, Location, Store};
use sitta_tree::Printable;

use super::{Place, escape, is_web, resolve};
use crate::context::Context;
use crate::exit::{Failure, Outcome};

/// The place that was opened, and where in it the user is.
#[derive(Debug, Clone)]
pub struct Inside {
    root: Place,
    /// The names of the folders down to where the user is.
    folder: Vec<String>,
    /// What was opened so far stays so: a command costs no new connection.
    kept: Kept,
}

type Kept = Arc<Mutex<HashMap<(String, Downloads), Arc<dyn Store>>>>;

impl Inside {
    /// At the place that a text names.
    pub fn new(context: &Context, text: &OsStr) -> Outcome<Self> {
        Ok(Self { root: resolve(context, text)?, folder: Vec::new(), kept: Kept::default() })
    }

    /// The folder that is meant: one that begins with `/` starts from the place that was opened.
    pub fn folder(&self, typed: &str) -> Outcome<Vec<String>> {
        let mut folder = if typed.starts_with('/') { Vec::new() } else { self.folder.clone() };
        for name in typed.split('/') {
            match name {
                "" | "." => {}
                ".." if folder.pop().is_some() => {}
                ".." => {
                    return Err(Failure::usage(format!("'{typed}' is above {}", self.root.label))
                        .hint("leave the shell, and open a place further up"));
                }
                name => folder.push(name.to_owned()),
            }
        }
        Ok(folder)
    }

    /// Goes there.
    pub fn enter(&mut self, folder: Vec<String>) {
        self.folder = folder;
    }

    /// Where the user is, below the place that was opened.
    pub fn here(&self) -> String {
        format!("/{}", self.folder.join("/"))
    }

    /// The place that was opened, as it was written.
    pub fn root(&self) -> &str {
        &self.root.label
    }

    /// The place that a typed name names.
    pub(super) fn place(&self, text: &OsStr) -> Outcome<Place> {
        let typed = text.to_str().ok_or_else(|| {
            Failure::usage(format!("'{}' is not UTF-8", Printable(text.as_bytes())))
                .hint("leave the shell: on the command line every name can be written")
        })?;
        let mut below = self.folder(typed)?.join("/");
        if matches!(&self.root.location, Location::Remote(remote) if is_web(remote.scheme)) {
            below = escape(&below);
        }
        if typed.ends_with('/') && !below.is_empty() {
            below.push('/');
        }
        let label = Printable(typed.as_bytes()).to_string();
        Ok(Place { location: self.root.location.join(&below), label, named: self.root.named.clone() })
    }

    pub(super) fn opened(&self, location: &Location, downloads: Downloads) -> Option<Arc<dyn Store>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&(location.to_string(), downloads)).cloned()
    }

    pub(super) fn keep(&self, location: &Location, downloads: Downloads, store: &Arc<dyn Store>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert((location.to_string(), downloads), store.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(folder: &[&str]) -> Inside {
        let location = Location::Local("/base".into());
        let root = Place { location, label: "nas:docs".into(), named: None };
        Inside { root, folder: folder.iter().map(ToString::to_string).collect(), kept: Kept::default() }
    }

    fn path(folder: &[&str], typed: &str) -> String {
        at(folder).folder(typed).map_or_else(|failure| failure.what, |folder| folder.join("/"))
    }

    #[test]
    fn names_start_from_where_the_user_is() {
        assert_eq!(path(&["a"], "b"), "a/b");
        assert_eq!(path(&["a"], "/b//c/"), "b/c");
        assert_eq!(path(&["a", "b"], "../c/./d"), "a/c/d");
        assert_eq!(path(&["a"], ".."), "");
        assert_eq!(path(&["a"], "../.."), "'../..' is above nas:docs");
        assert_eq!(path(&[], "/../x"), "'/../x' is above nas:docs");
    }

    #[test]
    fn a_name_is_a_place_below_what_was_opened() {
        let place = at(&["a"]).place(OsStr::new("s3://x")).expect("a place");
        assert!(matches!(place.location, Location::Local(path) if path.as_os_str() == "/base/a/s3:/x"));
        assert_eq!(at(&["a"]).here(), "/a");
    }
}
