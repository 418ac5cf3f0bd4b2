use super::*;

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("a valid path")
}

fn file(size: u64) -> Entry {
    Entry { size, id: size + 100, ..Entry::new(Kind::File) }
}

#[test]
fn finds_children_and_paths() {
    let mut tree = Tree::new();
    let (dir, link) = (Entry::new(Kind::Dir), Entry { target: (*b"to").into(), ..Entry::new(Kind::Symlink) });
    let root: [(&[u8], &Entry); 3] = [(b"z", &link), (b"a", &file(1)), (b"d", &dir)];
    tree.add_children(NodeId::ROOT, root).unwrap();
    let d = tree.find(&path("d")).unwrap();
    let inner: [(&[u8], &Entry); 1] = [(b"in", &file(7))];
    tree.add_children(d, inner).unwrap();
    let names: Vec<_> = tree.children(NodeId::ROOT).map(|id| tree.name(id).to_vec()).collect();
    assert_eq!(names, [b"a", b"d", b"z"]);
    let inner = tree.find(&path("d/in")).unwrap();
    assert_eq!((tree.size(inner), tree.path(inner)), (7, path("d/in")));
    assert_eq!(tree.path(NodeId::ROOT), RelPath::root());
    assert_eq!(tree.target(tree.find(&path("z")).unwrap()), b"to");
    assert_eq!(tree.find(&path("d/none")), None);
    assert_eq!(tree.find(&path("a/none")), None);
}

#[test]
fn a_scan_fills_a_tree_directory_by_directory() {
    let mut tree = Tree::new();
    tree.begin_children(NodeId::ROOT);
    let d = tree.push_child(NodeId::ROOT, b"d", &Entry::new(Kind::Dir)).unwrap();
    tree.push_child(NodeId::ROOT, b"e", &file(1)).unwrap();
    tree.begin_children(d);
    tree.push_child(d, b"in", &file(7)).unwrap();
    assert_eq!(tree.children(NodeId::ROOT).len(), 2);
    assert_eq!(tree.size(tree.find(&path("d/in")).unwrap()), 7);
}

#[test]
fn parts_are_grafted_with_all_they_hold() {
    let hash = ContentHash([7; 32]);
    let mut part = Tree::from_sorted([
        (path("s"), Entry::new(Kind::Dir)),
        (path("s/f"), Entry { content: Some(hash), meta: Meta { xattrs: 5, ..Meta::default() }, ..file(3) }),
        (path("t"), Entry { target: (*b"s/f").into(), ..Entry::new(Kind::Symlink) }),
    ])
    .unwrap();
    part.set_incomplete(NodeId::ROOT);
    let mut tree = Tree::from_sorted([(path("x"), Entry::new(Kind::Dir)), (path("y"), file(1))]).unwrap();
    let x = tree.find(&path("x")).unwrap();
    tree.graft(x, part).unwrap();
    let f = tree.find(&path("x/s/f")).unwrap();
    assert_eq!((tree.path(f), tree.content(f), tree.meta(f).xattrs), (path("x/s/f"), Some(hash), 5));
    assert_eq!(tree.target(tree.find(&path("x/t")).unwrap()), b"s/f");
    assert!(!tree.is_complete(x) && tree.is_complete(NodeId::ROOT));
    assert_eq!(tree.len(), 6);
}

#[test]
fn object_store_listings_imply_directories() {
    let tree = Tree::from_sorted([(path("a/b/c"), file(1)), (path("a/d"), file(2)), (path("e"), file(3))]).unwrap();
    let all: Vec<_> = tree.ids().map(|id| tree.path(id).to_string()).collect();
    assert_eq!(tree.kind(tree.find(&path("a/b")).unwrap()), Kind::Dir);
    assert_eq!(all.len(), 6, "{all:?}");
}
