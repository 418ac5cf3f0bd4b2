//! What a listing does not tell: times and modes on object stores. It is taken from what was agreed on where the version
//! is still that one, and asked for, a request each, only where it decides something.

use std::collections::HashMap;

use futures::{StreamExt, stream};
use sitta_tree::{
    Base, Entry, Kind, Meta, NodeId, Policy, Problem, ProblemKind, RelPath, Side, Tree, Unknown, fold_key,
};

use crate::transfer::{Run, Trees};

/// Fills in both trees, where their stores' listings do not tell metadata.
pub(crate) async fn fill_in(run: &Run<'_>, trees: &mut Trees) {
    for side in [Side::Left, Side::Right] {
        if run.store(side).capabilities().lists_meta {
            continue;
        }
        let (own, other) = match side {
            Side::Left => (&mut trees.left, &trees.right),
            Side::Right => (&mut trees.right, &trees.left),
        };
        let folds = run.stores.iter().any(|store| store.capabilities().traits.folds_names);
        let asked = recall(run.options.policy, side, own, other, &trees.base, folds);
        ask(run, side, own, other, asked).await;
    }
}

/// A directory's entries by name.
struct Names<'t> {
    tree: &'t Tree,
    dir: Option<NodeId>,
    /// Where a side takes several spellings for one name.
    folded: HashMap<Vec<u8>, NodeId>,
}

impl<'t> Names<'t> {
    fn of(tree: &'t Tree, dir: Option<NodeId>, folds: bool) -> Self {
        let entries = dir.filter(|_| folds).into_iter().flat_map(|dir| tree.children(dir));
        let folded = entries.map(|id| (fold_key(tree.name(id)).into_owned(), id)).collect();
        Self { tree, dir, folded }
    }

    fn find(&self, name: &[u8]) -> Option<NodeId> {
        let exact = self.dir.and_then(|dir| self.tree.child(dir, name));
        exact.or_else(|| self.folded.get(&*fold_key(name)).copied())
    }
}

/// A file whose metadata must be asked for, and its counterpart.
type Asked = (NodeId, NodeId);

/// Takes from the base what it knows, and gives the files of which it does not.
fn recall(policy: Policy, side: Side, own: &mut Tree, other: &Tree, base: &Base, folds: bool) -> Vec<Asked> {
    let mut asked = Vec::new();
    let mut dirs = vec![(NodeId::ROOT, Some(NodeId::ROOT), Some(NodeId::ROOT))];
    while let Some((dir, in_base, in_other)) = dirs.pop() {
        let (in_base, in_other) = (Names::of(base.tree(), in_base, folds), Names::of(other, in_other, folds));
        for id in own.children(dir) {
            let name = own.name(id);
            let (agreed, counterpart) = (in_base.find(name), in_other.find(name));
            match own.kind(id) {
                Kind::Dir => dirs.push((id, agreed, counterpart)),
                Kind::File => match agreed.and_then(|agreed| known(side, own, id, base, agreed)) {
                    Some(meta) => own.set_meta(id, &meta),
                    None => asked.extend(
                        counterpart
                            .filter(|c| decides(policy, own, id, other, *c))
                            .map(|counterpart| (id, counterpart)),
                    ),
                },
                Kind::Symlink | Kind::Unknown => {}
            }
        }
    }
    asked
}

/// The metadata that was agreed on, if this is still the version that it was agreed on for; the time as this store told
/// it, since the other one may tell it less precisely.
fn known(side: Side, own: &Tree, id: NodeId, base: &Base, agreed: NodeId) -> Option<Meta> {
    let version = match side {
        Side::Left => base.left(agreed),
        Side::Right => base.right(agreed),
    };
    let same = base.tree().kind(agreed) == Kind::File && own.fingerprint(id).same_version(&version);
    let meta = Meta { mtime: version.mtime, ..base.tree().meta(agreed) }.or(&base.tree().meta(agreed));
    (same && !base.is_conflicted(agreed)).then_some(meta)
}

/// Whether the file's time can change what is done: not if sizes tell already that it is another one, and nobody asks
/// which is newer.
fn decides(policy: Policy, own: &Tree, id: NodeId, other: &Tree, counterpart: NodeId) -> bool {
    let same_size = own.size(id) == other.size(counterpart);
    other.kind(counterpart) == Kind::File && (same_size || policy != Policy::Mirror)
}

async fn ask(run: &Run<'_>, side: Side, own: &mut Tree, other: &Tree, asked: Vec<Asked>) {
    let store = run.store(side);
    let capabilities = store.capabilities();
    let wanted: Vec<_> = asked.into_iter().map(|(id, like)| (id, like, own.path(id))).collect();
    let mut answers = stream::iter(wanted)
        .map(|(id, like, path): (NodeId, NodeId, RelPath)| async move {
            let told = if run.flow.is_cancelled() { None } else { Some(store.stat(&path).await) };
            (id, like, path, told)
        })
        .buffer_unordered(capabilities.concurrency.max(1));
    while let Some((id, like, path, told)) = answers.next().await {
        let unseen = match told {
            Some(Ok(Some(entry))) if entry.fingerprint().same_version(&own.fingerprint(id)) => {
                own.set_meta(id, &as_told(&entry, &other.meta(like)));
                continue;
            }
            // Nothing is decided from what was not told, and no more is done.
            None => continue,
            // Nor may its counterpart be given the metadata of what is not there any more.
            Some(Ok(_)) => (ProblemKind::Changed, "changed since it was listed".to_owned()),
            Some(Err(error)) => (error.problem_kind(false), error.source.to_string()),
        };
        own.problems.push(Problem::new(path, unseen.0, unseen.1));
        own.set_unknown(id, Unknown::Unreadable);
    }
}

/// An entry's metadata; a mode that nobody ever told (an object that another program wrote) is no difference.
fn as_told(entry: &Entry, counterpart: &Meta) -> Meta {
    Meta { mtime: entry.meta.mtime, ..entry.meta.or(counterpart) }
}
