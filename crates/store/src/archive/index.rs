//! What an archive holds, sorted by path: safe names only, each once, with the directories that are only implied.

use std::ops::Range;

use sitta_tree::{Entry, Fingerprint, Kind, Meta, Printable, Problem, ProblemKind, RelPath, Unknown};

use super::{Ask, tar, zip};
use crate::xattrs;
use crate::{Error, ErrorKind, Result, Xattrs};

/// More members than this are refused: each costs a few hundred bytes of memory.
pub(super) const MAX_MEMBERS: usize = 10_000_000;

/// No name is longer, in bytes; as long as the longest path of Linux.
const MAX_NAME: usize = 4096;

/// The paths of directories that are only implied may take this many bytes together: names of a thousand parts would
/// else take a thousand times their size.
const MAX_IMPLIED: usize = 256 << 20;

/// One thing in the archive.
#[derive(Debug)]
pub(super) struct Member {
    pub path: RelPath,
    pub entry: Entry,
    pub data: Data,
    /// Its extended attributes, as far as stores of ours keep them.
    pub xattrs: Xattrs,
    /// What is wrong with it, for the scan to tell.
    pub problem: Option<(ProblemKind, Box<str>)>,
}

/// Where a file's bytes are.
#[derive(Debug, Clone)]
pub(super) enum Data {
    /// It has none.
    None,
    /// They are there, but will not be given, and why.
    Refused(ErrorKind, Box<str>),
    Zip(zip::Data),
    Tar(tar::Data),
    /// Those of the member before this one that has this path.
    SameAs(RelPath),
}

/// All members, of one version of the archive.
#[derive(Debug)]
pub(super) struct Index {
    pub version: Fingerprint,
    /// The archive's own entry for its root, if it has one.
    pub root: Option<Entry>,
    /// In the order of the paths.
    pub members: Vec<Member>,
    pub problems: Vec<Problem>,
    /// Directories that may lack what the archive has under names that cannot be used.
    pub incomplete: Vec<RelPath>,
    /// Why reading is refused altogether.
    pub damaged: Option<Error>,
    pub blocks: Option<tar::Blocks>,
}

impl Index {
    pub fn find(&self, path: &RelPath) -> Option<&Member> {
        let at = self.members.binary_search_by(|member| member.path.cmp(path)).ok()?;
        Some(&self.members[at])
    }

    /// Where the members below `dir` are.
    pub fn below(&self, dir: &RelPath) -> Range<usize> {
        let start = self.members.partition_point(|member| member.path <= *dir);
        let start = if dir.is_root() { 0 } else { start };
        start..self.end_of(dir, start)
    }

    /// The first member behind all of `dir`, looking from `start` on.
    fn end_of(&self, dir: &RelPath, start: usize) -> usize {
        start + self.members[start..].partition_point(|member| member.path.is_within(dir))
    }

    /// The members right in `dir`.
    pub fn children(&self, dir: &RelPath) -> impl Iterator<Item = &Member> {
        let range = self.below(dir);
        let mut at = range.start;
        std::iter::from_fn(move || {
            let child = self.members[..range.end].get(at)?;
            at = self.end_of(&child.path, at + 1);
            Some(child)
        })
    }
}

/// Collects members in the order of the archive.
#[derive(Debug)]
pub(super) struct Builder {
    ask: Ask,
    version: Fingerprint,
    root: Option<Entry>,
    members: Vec<Member>,
    problems: Vec<Problem>,
    incomplete: Vec<RelPath>,
    pub damaged: Option<Error>,
}

impl Builder {
    pub fn new(ask: &Ask, version: Fingerprint) -> Self {
        Self {
            ask: ask.clone(),
            version,
            root: None,
            members: Vec::new(),
            problems: Vec::new(),
            incomplete: Vec::new(),
            damaged: None,
        }
    }

    /// Adds a member. A name that cannot be a path below the root is told and never used.
    pub fn add(&mut self, name: &[u8], entry: Entry, data: Data) -> Result<()> {
        if self.members.len() >= MAX_MEMBERS {
            let what = format!("more than {MAX_MEMBERS} members");
            return Err(self.ask.error(ErrorKind::Unsupported, what));
        }
        match safe_path(name) {
            Some(path) if path.is_root() && entry.kind == Kind::Dir => self.root = Some(entry),
            Some(path) if !path.is_root() => {
                self.members.push(Member { path, entry, data, xattrs: Xattrs::new(), problem: None });
            }
            _ => self.misnamed(name),
        }
        Ok(())
    }

    /// The extended attributes of the member added last.
    pub fn attributes(&mut self, xattrs: Xattrs) {
        if let Some(last) = self.members.last_mut() {
            last.entry.meta.xattrs = xattrs::digest(&xattrs);
            last.xattrs = xattrs;
        }
    }

    /// What is wrong with the member added last.
    pub fn trouble(&mut self, kind: ProblemKind, what: impl Into<Box<str>>) {
        if let Some(last) = self.members.last_mut() {
            last.problem = Some((kind, what.into()));
        }
    }

    fn misnamed(&mut self, name: &[u8]) {
        let shown = Printable(&name[..name.len().min(MAX_NAME)]);
        let what = format!("the archive has a name that cannot be used: {shown}");
        self.problems.push(Problem::new(RelPath::root(), ProblemKind::Unsupported, what));
        self.incomplete.push(RelPath::root());
    }

    /// The archive ends early, or goes on unreadably.
    pub fn cut_off(&mut self, what: impl Into<String>) {
        self.problems.push(Problem::new(RelPath::root(), ProblemKind::Corrupt, what));
        self.incomplete.push(RelPath::root());
    }

    /// Sorts it all. Of members with one path the last counts, as for everybody who unpacks in order; `twice_is_odd`
    /// if that is a problem.
    pub fn finish(mut self, twice_is_odd: bool) -> Result<Index> {
        // A stable sort: members of one path stay in the archive's order, which `order` tells.
        let mut sorted: Vec<(usize, Member)> = self.members.into_iter().enumerate().collect();
        sorted.sort_by(|a, b| a.1.path.cmp(&b.1.path));
        resolve_links(&mut sorted);
        let mut members: Vec<Member> = Vec::with_capacity(sorted.len());
        for (_, member) in sorted {
            if let Some(last) = members.last_mut()
                && last.path == member.path
            {
                if twice_is_odd && (last.entry.kind, member.entry.kind) != (Kind::Dir, Kind::Dir) {
                    let what = "the archive has this name more than once; the last one counts";
                    self.problems.push(Problem::new(member.path.clone(), ProblemKind::NameClash, what));
                }
                *last = member;
            } else {
                members.push(member);
            }
        }
        let Some(members) = with_directories(members, &mut self.problems) else {
            let what = format!("more than {MAX_IMPLIED} bytes of names of directories");
            return Err(self.ask.error(ErrorKind::Unsupported, what));
        };
        let Self { version, root, problems, incomplete, damaged, .. } = self;
        Ok(Index { version, root, members, problems, incomplete, damaged, blocks: None })
    }
}

/// Adds the directories that are only implied, and takes out what stands below something that is no directory. None if
/// that takes too much memory.
fn with_directories(members: Vec<Member>, problems: &mut Vec<Problem>) -> Option<Vec<Member>> {
    let mut all: Vec<Member> = Vec::with_capacity(members.len());
    // The directories that lead to where we are.
    let mut open: Vec<RelPath> = Vec::new();
    let mut barrier: Option<RelPath> = None;
    let mut implied = 0;
    for member in members {
        if let Some(above) = barrier.as_ref().filter(|above| member.path.is_within(above)) {
            let what = format!("the archive puts it below {above}, which is no directory");
            problems.push(Problem::new(above.clone(), ProblemKind::NameClash, what));
            continue;
        }
        while open.last().is_some_and(|dir| !member.path.is_within(dir)) {
            open.pop();
        }
        let parts: Vec<&[u8]> = member.path.parts().collect();
        for depth in open.len() + 1..parts.len() {
            let Ok(dir) = RelPath::new(parts[..depth].join(&b'/')) else { break };
            implied += dir.as_bytes().len();
            if implied > MAX_IMPLIED {
                return None;
            }
            open.push(dir.clone());
            let (entry, data) = (Entry::new(Kind::Dir), Data::None);
            all.push(Member { path: dir, entry, data, xattrs: Xattrs::new(), problem: None });
        }
        if member.entry.kind == Kind::Dir {
            open.push(member.path.clone());
        } else {
            barrier = Some(member.path.clone());
        }
        all.push(member);
    }
    Some(all)
}

/// Gives hard links the bytes of what they are links to: the last member of that path before them. Both have one id
/// then, as names of one file have.
fn resolve_links(sorted: &mut [(usize, Member)]) {
    let mut links: Vec<(usize, usize)> = Vec::new();
    for (at, (order, member)) in sorted.iter().enumerate() {
        if let Data::SameAs(_) = member.data {
            links.push((*order, at));
        }
    }
    links.sort_unstable();
    for (order, at) in links {
        let Data::SameAs(target) = sorted[at].1.data.clone() else { continue };
        let behind = sorted.partition_point(|(o, member)| (&member.path, *o) < (&target, order));
        let found = behind.checked_sub(1).filter(|at| sorted[*at].1.path == target);
        let found = found.filter(|at| matches!(sorted[*at].1.entry.kind, Kind::File | Kind::Symlink));
        let Some(found) = found.map(|at| one_more_name(&mut sorted[at].1)) else {
            let what = format!("a hard link to {target}, which the archive does not have before it");
            sorted[at].1.entry = Entry::unknown(Unknown::Unreadable);
            sorted[at].1.data = Data::None;
            sorted[at].1.problem = Some((ProblemKind::Corrupt, what.into()));
            continue;
        };
        let member = &mut sorted[at].1;
        let meta = Meta { xattrs: found.0.meta.xattrs, ..member.entry.meta };
        member.entry = Entry { meta, ..found.0 };
        (member.data, member.xattrs) = (found.1, found.2);
    }
}

/// Notes that a member has more names than one, and tells what is behind all of them.
fn one_more_name(first: &mut Member) -> (Entry, Data, Xattrs) {
    if first.entry.kind == Kind::File {
        first.entry.linked = true;
        first.entry.id = first.entry.change;
    }
    (first.entry.clone(), first.data.clone(), first.xattrs.clone())
}

/// The path that an archive's name means: `.` parts and a slash at the end left out. None for names that lead out of
/// the archive or cannot be a path: absolute, with `..`, an empty part, a NUL or a drive letter, or endlessly long.
pub(super) fn safe_path(name: &[u8]) -> Option<RelPath> {
    let trimmed = name.strip_suffix(b"/").unwrap_or(name);
    if trimmed.is_empty() || name.len() > MAX_NAME || has_drive(name) {
        return None;
    }
    let parts: Vec<&[u8]> = trimmed.split(|b| *b == b'/').filter(|part| *part != b".").collect();
    RelPath::new(parts.join(&b'/')).ok().filter(|path| parts.is_empty() || !path.is_root())
}

/// `C:/x`, `C:\x`, and `C:` alone.
fn has_drive(name: &[u8]) -> bool {
    matches!(name, [letter, b':', rest @ ..]
        if letter.is_ascii_alphabetic() && matches!(rest, [] | [b'/' | b'\\', ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_are_no_paths() {
        let odd: [&[u8]; 13] = [
            b"",
            b"/",
            b"/etc/passwd",
            b"../x",
            b"a/../b",
            b"a//b",
            b"a\0b",
            b"C:/x",
            b"c:\\x",
            b"C:",
            b"a/..",
            b"..",
            b"//server/share",
        ];
        for name in odd {
            assert_eq!(safe_path(name), None, "{}", Printable(name));
        }
        let plain: [(&[u8], &str); 7] = [
            (b"a/b", "a/b"),
            (b"./a/b/", "a/b"),
            (b"./", ""),
            (b".", ""),
            (b"a/./b", "a/b"),
            (b"...", "..."),
            (b"ab:/c", "ab:/c"),
        ];
        for (name, path) in plain {
            assert_eq!(safe_path(name), Some(RelPath::new(path).unwrap()), "{path}");
        }
        assert_eq!(safe_path(&[b'a'; MAX_NAME + 1]), None);
    }
}
