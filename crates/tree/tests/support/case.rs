//! Plans of small trees, written and read as text.
//!
//! A tree is a list of entries: `f=1` is a file with content 1, `f=1@50` one that was modified at 50, `f=1!600` one with
//! that mode, `f=1#3` one whose bytes rotted to 3, `f=1&` one of several names, `l>t` a link, `d/` a directory, `d/~` one that holds ignored entries, `d/..`
//! one of which the listing is not whole, `x?` something unknown. A content keeps its inode and time under whatever
//! name, as a renamed file does.

use sitta_tree::{
    Agreed, Base, ContentHash, Entry, Expect, Fingerprint, Inputs, Kind, Meta, MetaFields, NodeId, Op, Plan,
    Policy, RelPath, Side, SideTraits, Time, Tree, Unknown,
};

use super::fs::{TRAITS, hash_of};

pub struct Case {
    base: Vec<(RelPath, Agreed)>,
    trees: [Tree; 2],
    pub traits: [SideTraits; 2],
    pub checksum: bool,
    pub hard_links: bool,
    /// Whether the scans know hashes.
    hashed: bool,
}

/// Base, left and right as text; hashes are known.
pub fn case(base: &str, left: &str, right: &str) -> Case {
    Case::new(base, left, right, true)
}

/// The same, but no scan knows a hash.
pub fn unhashed(base: &str, left: &str, right: &str) -> Case {
    Case::new(base, left, right, false)
}

fn parse(text: &str, side: u64, hashed: bool) -> (RelPath, Entry) {
    let end = text.find(['=', '>', '?', '/']).unwrap_or(text.len());
    let end = if text.contains('=') || text.contains('>') { text.find(['=', '>']).unwrap_or(end) } else { end };
    let (name, rest) = match text.strip_suffix(['/', '~', '.', '?']) {
        Some(_) => (text.trim_end_matches(['~', '.', '?']).trim_end_matches('/'), &text[text.len()..]),
        None => text.split_at(end),
    };
    let path = RelPath::new(name).expect("a valid path");
    let mut entry = Entry::new(Kind::Dir);
    entry.meta.mode = 0o755;
    if text.ends_with('?') {
        entry = Entry::unknown(Unknown::Unreadable);
    } else if let Some(target) = rest.strip_prefix('>') {
        entry = Entry { target: target.as_bytes().into(), ..Entry::new(Kind::Symlink) };
    } else if let Some(facts) = rest.strip_prefix('=') {
        let linked = facts.ends_with('&');
        let number = |mark: char| {
            let rest = facts.split(mark).nth(1)?;
            Some(rest.split(['@', '!', '&', '#']).next().expect("a part").to_owned())
        };
        let content: u64 = facts.split(['@', '!', '&', '#']).next().expect("a part").parse().expect("a content");
        let mtime = number('@').map_or(content as i64 * 10, |text| text.parse().expect("a time"));
        let mode = number('!').map_or(0o644, |text| u32::from_str_radix(&text, 8).expect("a mode"));
        entry = Entry::new(Kind::File);
        entry.size = content % 2 + 1;
        entry.meta = Meta { mtime: Time::new(mtime, 0), mode, ..Meta::default() };
        entry.id = side * 1000 + content;
        entry.change = 1 + mtime as u64 * 1000 + u64::from(mode);
        entry.linked = linked;
        let damaged = number('#').map(|text| text.parse().expect("a content"));
        entry.content = hashed.then(|| hash_of(damaged.unwrap_or(content)));
    }
    (path, entry)
}

fn tree(text: &str, side: u64, hashed: bool) -> Tree {
    let mut entries: Vec<_> = text.split_whitespace().map(|entry| parse(entry, side, hashed)).collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let mut tree = Tree::from_sorted(entries).expect("small");
    for word in text.split_whitespace() {
        let dir = word.trim_end_matches(['~', '.']).trim_end_matches('/');
        let id = tree.find(&RelPath::new(dir).expect("valid"));
        match id {
            Some(id) if word.ends_with('~') => tree.set_holds_ignored(id),
            Some(id) if word.ends_with("/..") => tree.set_incomplete(id),
            _ => {}
        }
    }
    tree
}

impl Case {
    fn new(base: &str, left: &str, right: &str, hashed: bool) -> Self {
        let print = |text: &str, side| -> Fingerprint { parse(text, side, false).1.fingerprint() };
        let mut agreed: Vec<_> = base
            .split_whitespace()
            .map(|text| {
                let (text, conflicted) = match text.strip_prefix("conflict:") {
                    Some(text) => (text, true),
                    None => (text, false),
                };
                // `f=1|2` is what two sides differ in.
                let (l, r) = match text.split_once('|') {
                    Some((l, r)) => (l.to_owned(), format!("{}={r}", l.split('=').next().expect("a name"))),
                    None => (text.to_owned(), text.to_owned()),
                };
                let (path, entry) = parse(&l, 1, !conflicted);
                let (kind, meta, target, content) = (entry.kind, entry.meta, entry.target, entry.content);
                let (left, right) = (print(&l, 1), print(&r, 2));
                (path, Agreed { kind, meta, content, target, left, right, conflicted })
            })
            .collect();
        agreed.sort_by(|a, b| a.0.cmp(&b.0));
        Self {
            base: agreed,
            trees: [tree(left, 1, hashed), tree(right, 2, hashed)],
            traits: [TRAITS; 2],
            checksum: false,
            hard_links: false,
            hashed,
        }
    }

    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Gives the plan to `look`.
    pub fn look<T>(&self, policy: Policy, look: impl FnOnce(&Inputs<'_>, Plan) -> T) -> T {
        let base = Base::from_sorted(self.base.clone()).expect("small");
        let inputs = Inputs {
            base: &base,
            left: &self.trees[0],
            right: &self.trees[1],
            left_traits: self.traits[0],
            right_traits: self.traits[1],
            policy,
            checksum: self.checksum,
            hard_links: self.hard_links,
            remember: self.traits.iter().any(|traits| traits.mtime_precision == 0),
        };
        look(&inputs, sitta_tree::plan::plan(&inputs))
    }

    /// The actions as text, in order.
    pub fn actions(&self, policy: Policy) -> Vec<String> {
        self.look(policy, |inputs, plan| shown(inputs, &plan))
    }

    /// Whatever else a plan tells: `undecided f`, `conflict f Outcome`, `problem f kind`, `agreed f`, `gone f`.
    pub fn notes(&self, policy: Policy) -> Vec<String> {
        self.look(policy, |inputs, plan| {
            let left = |id: &NodeId| inputs.left.path(*id);
            let mut notes: Vec<_> = plan.undecided.iter().map(|(l, _)| format!("undecided {}", left(l))).collect();
            notes.extend(plan.conflicts.iter().map(|c| format!("conflict {} {:?}", c.path, c.outcome)));
            notes.extend(plan.problems.iter().map(|p| format!("problem {} {}", p.path, p.kind.name())));
            notes.extend(plan.agreed.iter().map(|(l, _)| format!("agreed {}", left(l))));
            notes.extend(plan.gone.iter().map(|b| format!("gone {}", inputs.base.tree().path(*b))));
            notes
        })
    }
}

/// One line for each action.
pub fn shown(inputs: &Inputs<'_>, plan: &Plan) -> Vec<String> {
    let side = |side| if side == Side::Left { "L" } else { "R" };
    plan.actions
        .iter()
        .map(|action| {
            let tree = if action.side == Side::Left { inputs.left } else { inputs.right };
            let at = plan.path(inputs, action.at);
            let what = match action.op {
                Op::MakeDir { .. } => format!("mkdir {at}"),
                Op::Write { .. } if action.expect == Expect::Absent => format!("write {at}"),
                Op::Write { .. } => format!("overwrite {at}"),
                Op::WriteAt { place, .. } => format!("copy {} to {at}", plan.path(inputs, place)),
                Op::Link { of } => format!("link {at} to {}", plan.path(inputs, of)),
                Op::SetMeta { .. } => format!("meta {at}"),
                Op::MergeMeta { of_right, .. } => {
                    let mode = if of_right.has(MetaFields::MODE) { "right's" } else { "left's" };
                    format!("merge {at}, {mode} mode")
                }
                Op::Move { from, .. } => format!("move {} to {at}", tree.path(from)),
                Op::Remove => format!("remove {at}"),
            };
            let keep = action.keep.map(|(on, place)| format!(", keep {} {}", side(on), plan.path(inputs, place)));
            format!("{} {what}{}", side(action.side), keep.unwrap_or_default())
        })
        .collect()
}

pub fn hash(content: u64) -> ContentHash {
    hash_of(content)
}
