//! `sitta trash`: old versions, listed, brought back, and removed for good.

mod empty;
mod list;
mod restore;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use serde_json::{Value, json};
use sitta_ops::trash::{Trash, TrashRun};
use sitta_store::{Error, ErrorKind, Flow};
use sitta_tree::{Printable, RelPath};

use super::moving;
use crate::args::{TrashArgs, TrashVerb, WhichTrash};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::open::{Opened, open};
use crate::render::failure;
use crate::render::units::{local_time, utc_time};
use crate::signals::stop_on_signals;

pub fn run(context: &Context, args: TrashArgs) -> Outcome {
    match args.verb {
        TrashVerb::List(args) => list::run(context, &args),
        TrashVerb::Restore(args) => restore::run(context, &args),
        TrashVerb::Empty(args) => empty::run(context, &args),
    }
}

/// A trash, and the place that it is in.
struct Place {
    opened: Opened,
    trash: Trash,
    dir: RelPath,
    flow: Arc<Flow>,
}

impl Place {
    async fn open(context: &Context, which: &WhichTrash) -> Outcome<Self> {
        let dir = match moving::trash(&which.trash)? {
            Some(dir) => dir,
            None => return Err(Failure::usage("a trash that is off holds nothing").hint("leave out --trash")),
        };
        let opened = open(context, &which.location).await?;
        let root = opened.store.stat(&RelPath::root()).await;
        if root.map_err(|error| failure::looking(&opened.label, &error))?.is_none() {
            let missing = Error::new(ErrorKind::NotFound, &opened.store.location().into(), None, "no such folder");
            return Err(failure::looking(&opened.label, &missing));
        }
        let flow = Arc::new(Flow::default());
        stop_on_signals(&flow, &context.console).forever();
        let trash = Trash::new(opened.store.clone(), dir.clone(), flow.clone());
        Ok(Self { opened, trash, dir, flow })
    }

    /// A call that failed as a whole.
    fn failed(&self, error: &Error) -> Failure {
        match error.kind {
            ErrorKind::Cancelled => Failure::new(Exit::Interrupted, "interrupted"),
            _ => failure::looking(&self.opened.label, error),
        }
    }

    async fn runs(&self) -> Outcome<Vec<Arc<TrashRun>>> {
        self.trash.runs().await.map_err(|error| self.failed(&error))
    }

    /// The run whose id begins so.
    fn pick(&self, runs: &[Arc<TrashRun>], wanted: &str) -> Outcome<Arc<TrashRun>> {
        let like: Vec<_> = runs.iter().filter(|run| run.id.starts_with(wanted)).collect();
        match &like[..] {
            [run] => Ok((*run).clone()),
            [] => Err(Failure::failed(format!(
                "no run '{}' has left anything in the trash of {}",
                Printable(wanted.as_bytes()),
                self.opened.label
            ))
            .hint(format!("`sitta trash list {}` lists the runs", self.opened.label))),
            [first, ..] => Err(Failure::usage(format!("{} runs begin with '{wanted}'", like.len()))
                .hint(format!("write more of it, for example {}", first.id))),
        }
    }

    /// What is not in the trash, with what is and looks like it.
    fn not_there(&self, path: &RelPath, there: &[RelPath]) -> Failure {
        let failure = Failure::failed(format!("{path} is not in the trash of {}", self.opened.label));
        let nearest = nearest(path, there);
        match nearest.is_empty() {
            false => failure.hint(format!("did you mean {}?", nearest.join(" or "))),
            true => failure.hint(format!("`sitta trash list {}` lists what there is", self.opened.label)),
        }
    }
}

/// The few paths that were probably meant: spelled much alike, or of the same name elsewhere.
fn nearest(path: &RelPath, there: &[RelPath]) -> Vec<String> {
    let wanted = path.to_string().to_lowercase();
    let mut like: Vec<(bool, usize, String)> = there
        .iter()
        .filter_map(|other| {
            let shown = other.to_string();
            let far = strsim::damerau_levenshtein(&wanted, &shown.to_lowercase());
            let same_name = !path.is_root() && other.name() == path.name();
            (same_name || far <= 1 + wanted.chars().count() / 3).then_some((!same_name, far, shown))
        })
        .collect();
    like.sort();
    like.dedup();
    like.into_iter().take(3).map(|(_, _, shown)| shown).collect()
}

/// A path inside a location, as a user writes it; `.` is the location itself.
fn relative(text: &OsStr) -> Outcome<RelPath> {
    let bare = text.as_bytes();
    let bare = bare.strip_prefix(b"./").unwrap_or(bare);
    let bare = bare.strip_suffix(b"/").unwrap_or(bare);
    if matches!(bare, b"." | b"") && text != "/" && !text.is_empty() {
        return Ok(RelPath::root());
    }
    RelPath::new(bare).ok().filter(|path| !path.is_root()).ok_or_else(|| {
        Failure::usage(format!("'{}' is not a path inside LOCATION", Printable(text.as_bytes())))
            .hint("write it as `sitta trash list` does, for example photos/2024/a.jpg")
    })
}

/// What JSON tells of a run.
fn run_facts(object: &mut Value, run: &TrashRun) {
    object["run"] = (&*run.id).into();
    object["trashed"] = utc_time(run.began).into();
}

fn when(context: &Context, run: &TrashRun) -> String {
    local_time(run.began, &context.zone())
}

/// That there was nothing to do. `all`: everything in the trash was meant.
fn nothing(place: &Place, all: bool) -> String {
    match all {
        true => format!("nothing is in the trash of {}", place.opened.label),
        false => format!("nothing in the trash of {} is meant by this", place.opened.label),
    }
}

/// The last line of JSON.
fn report(place: &Place, exit: Exit, more: Value) -> Value {
    let mut object = json!({"event": "report", "verb": "trash", "outcome": exit.outcome(), "problems": []});
    if let (Some(object), Value::Object(mut more)) = (object.as_object_mut(), more) {
        object.append(&mut more);
    }
    object["requests"] = place.opened.store.requests().into();
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_inside() {
        let path = |text: &str| relative(OsStr::new(text)).map(|path| path.to_string());
        assert_eq!(path("./a/b/").unwrap(), "a/b");
        assert_eq!(path(".").unwrap(), "");
        assert_eq!(path("./").unwrap(), "");
        for text in ["", "/", "/a", "../a", "a//b", "a/../b"] {
            assert_eq!(path(text).unwrap_err().exit, Exit::Usage, "{text}");
        }
    }

    #[test]
    fn what_was_probably_meant_is_named() {
        let there: Vec<_> = ["sub/c.txt", "a.txt", "photos/2024/img.jpg"].map(|p| RelPath::new(p).unwrap()).into();
        let near = |text: &str| nearest(&RelPath::new(text).unwrap(), &there);
        assert_eq!(near("c.txt"), ["sub/c.txt", "a.txt"]);
        assert_eq!(near("photos/2023/img.jpg"), ["photos/2024/img.jpg"]);
        assert_eq!(near("nothing-like-it-at-all"), Vec::<String>::new());
    }
}
