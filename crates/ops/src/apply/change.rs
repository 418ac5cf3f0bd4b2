//! From an action of the plan to a change that a store can make.

use std::collections::{HashMap, HashSet};

use sitta_store::{Change, Displaced, Error, ErrorKind, Precondition, Source, What, Write, XattrsOf};
use sitta_tree::{
    Action, Entry, Expect, Fingerprint, Kind, Meta, MetaFields, NodeId, Op, Place, Plan, Problem, ProblemKind,
};
use sitta_tree::{RelPath, Side, SideTraits, Time};

use super::{Executor, Left};
use crate::preview::{removes_dir, tree};

/// An action, ready to go.
pub(super) struct Prepared {
    /// Which action of the plan.
    pub index: u32,
    pub side: Side,
    pub path: RelPath,
    /// Taken when the batch is launched.
    pub change: Option<Change>,
    /// Where the store may make its temporary.
    pub temp: Option<RelPath>,
    /// The version that stands there now.
    pub before: Option<Fingerprint>,
    /// A rename's old path and the version there.
    pub from: Option<(RelPath, Fingerprint)>,
    /// Where that version goes.
    pub trash: Option<RelPath>,
    /// The version on the other side that the path agrees with afterwards.
    pub other: Option<Fingerprint>,
    /// File bytes to send.
    pub bytes: u64,
    /// It changes metadata only: nothing of it has to be found out after a crash.
    pub keeps_content: bool,
}

/// What later actions build upon.
#[derive(Default)]
pub(super) struct References {
    /// The action that leaves something at a place of a side, for the places that others take it from.
    makers: HashMap<(Side, Place), u32>,
    /// What the actions that are referred to have left behind; none until they are done.
    results: HashMap<u32, Option<Left>>,
}

impl References {
    pub fn new(plan: &Plan) -> Self {
        let taken_from = |action: &Action| match action.op {
            Op::WriteAt { place, .. } => Some((action.side.other(), place)),
            Op::Link { of } => Some((action.side, of)),
            _ => None,
        };
        let wanted: HashSet<(Side, Place)> = plan.actions.iter().filter_map(taken_from).collect();
        let mut references = Self::default();
        for (index, action) in (0..).zip(&plan.actions) {
            if let Expect::After(earlier) = action.expect {
                references.results.insert(earlier, None);
            }
            if action.op != Op::Remove && wanted.contains(&(action.side, action.at)) {
                references.makers.insert((action.side, action.at), index);
                references.results.insert(index, None);
            }
        }
        references
    }

    /// Notes what an action has left behind, if that matters to others.
    pub fn note(&mut self, index: u32, left: Left) {
        self.results.entry(index).and_modify(|result| *result = Some(left));
    }

    /// What an action has left behind; none if it is not done.
    fn result(&self, index: u32) -> Option<Left> {
        self.results.get(&index).copied().flatten()
    }

    /// What the action that makes a place has left there; the outer none if no action does.
    fn made(&self, side: Side, place: Place) -> Option<Option<Left>> {
        self.makers.get(&(side, place)).map(|maker| self.result(*maker))
    }
}

impl Executor<'_> {
    /// Makes the change of an action, or says why it cannot be tried.
    pub(super) fn prepare(&self, index: u32, action: &Action) -> Result<Prepared, Problem> {
        let path = self.plan.path(self.inputs, action.at);
        let problem = |kind, message: &str| Problem::new(path.clone(), kind, message);
        let (own, other) = (tree(self.inputs, action.side), tree(self.inputs, action.side.other()));
        let adds =
            matches!(action.op, Op::MakeDir { .. } | Op::Write { .. } | Op::WriteAt { .. } | Op::Link { .. });
        if adds && self.full[action.side as usize] {
            return Err(problem(ProblemKind::Full, "not sent: no space left at the destination"));
        }
        let before = match action.expect {
            Expect::Absent => None,
            // What is done to one of a file's names moves the change time that all of them show.
            Expect::Seen(id) if own.is_linked(id) => Some(Fingerprint { change: 0, ..own.fingerprint(id) }),
            Expect::Seen(id) => Some(self.version(action.side, id)),
            Expect::After(index) => match self.references.result(index) {
                Some(Left::Version(version)) => version,
                _ => return Err(problem(ProblemKind::Other, "not done: what comes before it failed")),
            },
        };
        let mut item = Prepared {
            index,
            side: action.side,
            path: path.clone(),
            change: None,
            temp: None,
            before,
            from: None,
            trash: None,
            other: None,
            bytes: 0,
            keeps_content: matches!(action.op, Op::SetMeta { .. } | Op::MergeMeta { .. }),
        };
        let expect = before.map_or(Precondition::Absent, Precondition::Version);
        match action.op {
            Op::MakeDir { like } => {
                // Its own permissions may forbid filling it; they are set when it is full.
                let mut meta = other.meta(like);
                let told = self.traits(action.side.other());
                if told.modes && told.dirs {
                    meta.mode |= 0o700;
                }
                item.other = Some(other.fingerprint(like));
                self.write(&mut item, What::Dir, meta, expect);
            }
            Op::Write { from } => {
                let version = self.version(action.side.other(), from);
                let source = if action.at == place_of(action.side.other(), from) { path } else { other.path(from) };
                self.write_like(&mut item, &other.entry(from), source, version, expect);
            }
            Op::WriteAt { place, from } => {
                let made = self.references.made(action.side.other(), place);
                let Some(Some(Left::Version(Some(version)))) = made else {
                    return Err(problem(ProblemKind::Other, "not sent: the copy to be sent was not made"));
                };
                let source = self.plan.path(self.inputs, place);
                self.write_like(&mut item, &other.entry(from), source, version, expect);
            }
            Op::Link { of } => {
                if self.references.made(action.side, of).is_some_and(|made| !matches!(made, Some(Left::Version(_))))
                {
                    return Err(problem(ProblemKind::Other, "not linked: the file it shares was not written"));
                }
                let like = linked_like(action);
                item.other = like.map(|id| other.fingerprint(id));
                let meta = like.map_or_else(Meta::default, |id| other.meta(id));
                self.write(&mut item, What::Link(self.plan.path(self.inputs, of)), meta, expect);
            }
            Op::SetMeta { like } => {
                item.other = Some(other.fingerprint(like));
                let meta = self.settable(action, other.meta(like), before);
                item.change = Some(Change::SetMeta { path, meta, expect, xattrs: self.xattrs_of(action, like) });
            }
            Op::MergeMeta { left, right, of_right } => {
                let meta = merged(of_right, self.inputs.left.meta(left), self.inputs.right.meta(right));
                let from = if of_right.has(MetaFields::XATTRS) { (Side::Right, right) } else { (Side::Left, left) };
                let xattrs = (from.0 != action.side).then(|| self.xattrs_of(action, from.1)).flatten();
                item.change = Some(Change::SetMeta { path, meta, expect, xattrs });
            }
            Op::Move { from, like } => {
                item.other = like.map(|id| other.fingerprint(id));
                let (old, version) = (own.path(from), self.version(action.side, from));
                item.from = Some((old.clone(), version));
                item.change = Some(Change::Rename { from: old, to: path, expect: Precondition::Version(version) });
            }
            Op::Remove => {
                if !removes_dir(own, action) {
                    item.trash = self.trash(&path);
                }
                let displaced = item.trash.clone().map_or(Displaced::Discard, Displaced::MoveTo);
                item.change = Some(Change::Remove { path, expect, displaced });
            }
        }
        Ok(item)
    }

    /// The version that a scan saw. A time that the listing did not tell is only what was agreed on or asked for since: it
    /// is not what recognises the version.
    fn version(&self, side: Side, id: NodeId) -> Fingerprint {
        let print = tree(self.inputs, side).fingerprint(id);
        match self.run.store(side).capabilities().lists_meta {
            true => print,
            false => Fingerprint { mtime: Time::default(), ..print },
        }
    }

    fn traits(&self, side: Side) -> SideTraits {
        match side {
            Side::Left => self.inputs.left_traits,
            Side::Right => self.inputs.right_traits,
        }
    }

    /// The other side's metadata, with what that side does not keep as it is on this one.
    fn settable(&self, action: &Action, meta: Meta, before: Option<Fingerprint>) -> Meta {
        let traits = self.traits(action.side.other());
        let now = match action.expect {
            Expect::Seen(id) => tree(self.inputs, action.side).meta(id),
            _ => Meta { mode: 0o755, mtime: before.unwrap_or_default().mtime, ..Meta::default() },
        };
        let owner = if traits.owners { &meta } else { &now };
        Meta {
            mtime: if traits.mtime_precision > 0 { meta.mtime } else { now.mtime },
            mode: if traits.modes { meta.mode } else { now.mode },
            uid: owner.uid,
            gid: owner.gid,
            xattrs: meta.xattrs,
        }
    }

    /// Where the extended attributes come from, if they take part.
    fn xattrs_of(&self, action: &Action, like: NodeId) -> Option<XattrsOf> {
        let side = action.side.other();
        let kept = self.inputs.left_traits.xattrs && self.inputs.right_traits.xattrs;
        kept.then(|| XattrsOf::Entry(self.run.store(side).clone(), tree(self.inputs, side).path(like)))
    }

    /// A write of what `entry`, seen on the other side, is.
    fn write_like(
        &self,
        item: &mut Prepared,
        entry: &Entry,
        path: RelPath,
        version: Fingerprint,
        expect: Precondition,
    ) {
        let untold = version.mtime == Time::default();
        item.other = Some(if untold { Fingerprint { mtime: entry.meta.mtime, ..version } } else { version });
        let what = if entry.kind == Kind::Symlink {
            What::Symlink(entry.target.clone())
        } else {
            item.bytes = version.size;
            What::File(Source::Stored { store: self.run.store(item.side.other()).clone(), path, version })
        };
        self.write(item, what, entry.meta, expect);
    }

    fn write(&self, item: &mut Prepared, what: What, meta: Meta, expect: Precondition) {
        let temp = self.run.id.temp_name();
        let dir = item.path.parent().unwrap_or_default();
        item.temp = dir.join(temp.as_bytes()).ok();
        if item.before.is_some() {
            item.trash = self.trash(&item.path);
        }
        let displaced = item.trash.clone().map_or(Displaced::Discard, Displaced::MoveTo);
        item.change = Some(Change::Write(Write { path: item.path.clone(), what, meta, expect, displaced, temp }));
    }

    /// Where this run's trash keeps what stood at `path`.
    fn trash(&self, path: &RelPath) -> Option<RelPath> {
        let dir = self.run.options.trash.as_ref()?;
        Some(dir.join(self.run.id.as_str().as_bytes()).ok()?.join_path(path))
    }

    /// Checks what must be in place elsewhere before this action may destroy its own copy of it.
    pub(super) async fn is_kept(&self, action: &Action) -> Result<(), Problem> {
        let Some((side, place)) = action.keep else { return Ok(()) };
        let (Expect::Seen(id), own) = (action.expect, tree(self.inputs, action.side)) else { return Ok(()) };
        let kept = self.plan.path(self.inputs, place);
        let there = self.run.store(side).stat(&kept).await;
        let seen = match (side, place) {
            (Side::Left, Place::Left(id)) | (Side::Right, Place::Right(id)) => Some(id),
            _ => None,
        };
        // The version that was scanned there, or what a copy of this one looks like.
        let same = |entry: &Entry| match seen {
            Some(id) => entry.fingerprint().same_version(&self.version(side, id)),
            None => {
                let precision = self.traits(side).mtime_precision.max(self.traits(action.side).mtime_precision);
                entry.kind == own.kind(id)
                    && entry.size == own.size(id)
                    && entry.meta.mtime.same_within(own.mtime(id), precision)
            }
        };
        match there {
            Ok(Some(entry)) if same(&entry) => Ok(()),
            _ => Err(Problem::new(
                self.plan.path(self.inputs, action.at),
                ProblemKind::Other,
                format!("left as it is: what it holds is not safe at {kept} yet"),
            )),
        }
    }
}

/// The entry of the other side that a hard link follows.
pub(super) fn linked_like(action: &Action) -> Option<NodeId> {
    match (action.at, action.side) {
        (Place::Left(id), Side::Right) | (Place::Right(id), Side::Left) => Some(id),
        _ => None,
    }
}

/// The place of an entry of a side's tree.
fn place_of(side: Side, id: NodeId) -> Place {
    match side {
        Side::Left => Place::Left(id),
        Side::Right => Place::Right(id),
    }
}

/// The left side's metadata but for some fields of the right one's.
fn merged(of_right: MetaFields, left: Meta, right: Meta) -> Meta {
    let of = |field| if of_right.has(field) { &right } else { &left };
    let owner = of(MetaFields::OWNER);
    Meta {
        mtime: of(MetaFields::MTIME).mtime,
        mode: of(MetaFields::MODE).mode,
        uid: owner.uid,
        gid: owner.gid,
        xattrs: of(MetaFields::XATTRS).xattrs,
    }
}

/// What went wrong, for a person.
pub(super) fn explain(error: &Error, writing: bool) -> String {
    match (error.kind, writing) {
        (ErrorKind::Changed, false) => "changed while it was being read; will be taken up next time".to_owned(),
        (ErrorKind::NotFound, false) => "vanished before it could be read".to_owned(),
        (ErrorKind::Changed, true) => {
            "left as it is: somebody changed it at the destination since it was looked at".to_owned()
        }
        (ErrorKind::NotEmpty, true) => "not removed: it holds something that was not there before".to_owned(),
        _ => error.source.to_string(),
    }
}
