use proptest::prelude::*;
use sitta_tree::ContentHash;

use super::*;

/// Bytes without any pattern.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn tree_of(bytes: &[u8], sizes: Sizes) -> ChunkTree {
    let mut builder = TreeBuilder::new(sizes);
    builder.push(bytes);
    builder.finish()
}

/// Small chunks, so that little data makes a high tree.
const SMALL: Sizes = Sizes { least: 256, average: 1024, most: 4096 };

/// What somebody tells who has the tree.
fn top(tree: &ChunkTree) -> Told {
    let (level, nodes) = tree.top();
    Told { content: tree.content(), level, groups: vec![(0, nodes.to_vec())] }
}

/// Goes down the tree of the far version. Also how many nodes had to be told.
fn walked(known: &Known<'_>, far: &ChunkTree) -> (Walk, usize) {
    let mut told = top(far).groups[0].1.len();
    let mut walk = Walk::begin(known, top(far), far.size()).unwrap();
    while let Some((level, wanted)) = walk.wanted() {
        let below = |at: &u32| {
            let (first, nodes) = far.below(level, *at as usize).unwrap();
            (first as u32, nodes.to_vec())
        };
        let groups: Vec<_> = wanted.iter().map(below).collect();
        told += groups.iter().map(|(_, nodes)| nodes.len()).sum::<usize>();
        walk.descend(known, groups).unwrap();
    }
    (walk, told)
}

fn put_together(recipe: &Recipe, new: &[u8], old: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in &recipe.pieces {
        let (from, start) = match piece.origin {
            Origin::New => (new, bytes.len()),
            Origin::Old(start) => (old, start as usize),
        };
        bytes.extend_from_slice(&from[start..start + piece.len as usize]);
    }
    bytes
}

#[test]
fn sizes_grow_with_the_file_and_bound_the_number_of_chunks() {
    let kib = |size| {
        let Sizes { least, average, most } = Sizes::of(size);
        [least >> 10, average >> 10, most >> 10]
    };
    assert_eq!((kib(0), kib(8 << 30)), ([16, 64, 256], [16, 64, 256]));
    assert_eq!(kib((8 << 30) + 1), [64, 256, 1024]);
    assert_eq!(kib(1 << 40), [2048, 8192, 32768].map(|k| k * 2));
    assert!(Sizes::of(u64::MAX).most <= 1 << 30);
}

#[test]
fn chunks_are_as_large_as_they_should_be_however_the_bytes_come() {
    let bytes = noise(1, 8 << 20);
    let sizes = Sizes::of(bytes.len() as u64);
    let tree = tree_of(&bytes, sizes);
    let (last, others) = tree.chunks().split_last().unwrap();
    assert!(others.iter().all(|c| (u64::from(sizes.least)..=u64::from(sizes.most)).contains(&c.len)));
    assert!(last.len <= u64::from(sizes.most));
    let average = bytes.len() / tree.chunks().len();
    assert!((48 << 10..112 << 10).contains(&average), "{average}");
    let mut at = 0;
    for chunk in tree.chunks() {
        let end = at + chunk.len as usize;
        assert_eq!(chunk.hash.0, *blake3::hash(&bytes[at..end]).as_bytes());
        at = end;
    }
    assert_eq!((at, tree.content().0), (bytes.len(), *blake3::hash(&bytes).as_bytes()));
    for piece in [1, 4095, 65_536, 1 << 20] {
        let mut builder = TreeBuilder::new(sizes);
        bytes.chunks(piece).for_each(|piece| builder.push(piece));
        assert!(builder.finish() == tree, "in pieces of {piece}");
    }
}

#[test]
fn a_file_of_one_byte_over_and_over_has_a_tree_too() {
    for len in [0, 1, 255, 4096, 4097, 5 << 20] {
        let bytes = vec![0; len];
        let tree = tree_of(&bytes, SMALL);
        assert_eq!(tree.chunks().iter().map(|chunk| chunk.len).sum::<u64>(), len as u64);
        let other = tree_of(&noise(2, 10_000), SMALL);
        let known = Known::new(&tree);
        let (walk, _) = walked(&known, &other);
        let recipe = Recipe::from_here(&known, &walk);
        assert_eq!(recipe.sizes(), (len as u64, len as u64));
        let (walk, _) = walked(&known, &tree);
        assert_eq!(Recipe::to_here(&known, &walk, tree.content()).sizes(), (len as u64, 0));
    }
}

/// The files of the real sizes: what travels for one byte.
#[test]
fn one_byte_costs_one_chunk_and_few_nodes() {
    let old = noise(3, 32 << 20);
    let (mut edited, mut inserted, mut shorter) = (old.clone(), old.clone(), old.clone());
    edited[17 << 20] ^= 1;
    inserted.insert(17 << 20, 7);
    shorter.remove(5 << 20);
    let tree = |bytes: &[u8]| tree_of(bytes, Sizes::of(old.len() as u64));
    let far = tree(&old);
    for new in [edited, inserted, shorter] {
        let new = tree(&new);
        let known = Known::new(&new);
        let (walk, told) = walked(&known, &far);
        assert!(told < 250, "{told} of {}", far.len());
        let (_, lacking) = Recipe::from_here(&known, &walk).sizes();
        assert!(lacking > 0 && lacking < 300 << 10, "{lacking}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (old, new) = (tree_of(&noise(4, 300_000), SMALL), tree_of(&noise(5, 300_000), SMALL));
    let known = Known::new(&new);
    let begin = |told: Told, size| Walk::begin(&known, told, size).err();
    assert_eq!(begin(top(&old), old.size()), None);
    assert!(begin(top(&old), old.size() + 1).is_some());
    let none = Told { groups: Vec::new(), ..top(&old) };
    assert!(begin(none, 0).is_some());
    let huge = Node { len: u64::MAX, hash: old.content() };
    assert!(begin(Told { groups: vec![(0, vec![huge, huge])], ..top(&old) }, 1).is_some());
    // Below a node stands something else, less, or more.
    let walk = || Walk::begin(&known, top(&old), old.size()).unwrap();
    let (level, wanted) = walk().wanted().expect("they differ");
    let groups: Vec<_> = wanted
        .iter()
        .map(|at| old.below(level, *at as usize).map(|(first, nodes)| (first as u32, nodes.to_vec())).unwrap())
        .collect();
    let (mut other, mut short, mut long) = (groups.clone(), groups.clone(), groups.clone());
    other[0].1[0].len += 1;
    short.pop();
    long.push(groups[0].clone());
    assert!(walk().descend(&known, groups).is_ok());
    for odd in [other, short, long] {
        assert!(walk().descend(&known, odd).is_err());
    }
    // A node that is known here, but told to be longer.
    let mut lying = top(&new);
    lying.groups[0].1[0].len += 1;
    let walk = Walk::begin(&known, lying, new.size() + 1).unwrap();
    assert_eq!(walk.stretches()[0].known, None);
}

#[derive(Debug, Clone)]
enum Edit {
    Change(usize, u8),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Move(usize, usize, usize),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = 0..200_000_usize;
    let edit = prop_oneof![
        (at.clone(), any::<u8>()).prop_map(|(at, byte)| Edit::Change(at, byte)),
        (at.clone(), prop::collection::vec(any::<u8>(), 1..3000)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (at.clone(), 1..3000_usize).prop_map(|(at, len)| Edit::Remove(at, len)),
        (at.clone(), 1..50_000_usize, at).prop_map(|(from, len, to)| Edit::Move(from, len, to)),
    ];
    prop::collection::vec(edit, 0..6)
}

fn edited(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for edit in edits {
        let len = bytes.len();
        match edit {
            Edit::Change(at, byte) if *at < len => bytes[*at] = *byte,
            Edit::Change(..) => {}
            Edit::Insert(at, new) => drop(bytes.splice(at.min(&len)..at.min(&len), new.iter().copied())),
            Edit::Remove(at, count) => drop(bytes.drain(at.min(&len)..&(at + count).min(len))),
            Edit::Move(from, count, to) => {
                let moved: Vec<u8> = bytes.drain(from.min(&len)..&(from + count).min(len)).collect();
                let to = *to.min(&bytes.len());
                bytes.splice(to..to, moved);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever was done to a file, each side can put the other's version together, and few edits cost little.
    #[test]
    fn both_ways_the_other_version_comes_out(seed in any::<u64>(), len in 0..200_000_usize, edits in edits()) {
        let old = noise(seed, len);
        let new = edited(old.clone(), &edits);
        let (old_tree, new_tree) = (tree_of(&old, SMALL), tree_of(&new, SMALL));
        // Up: the new version is here, the old one elsewhere.
        let known = Known::new(&new_tree);
        let (walk, _) = walked(&known, &old_tree);
        let up = Recipe::from_here(&known, &walk);
        prop_assert!(put_together(&up, &new, &old) == new);
        // Down: the old version is here.
        let known = Known::new(&old_tree);
        let (walk, _) = walked(&known, &new_tree);
        let down = Recipe::to_here(&known, &walk, new_tree.content());
        prop_assert!(put_together(&down, &new, &old) == new);
        let inserted: usize = edits.iter().map(|edit| if let Edit::Insert(_, new) = edit { new.len() } else { 0 }).sum();
        let most = (inserted + edits.len() * 8 * SMALL.most as usize) as u64;
        prop_assert!(up.sizes().1 <= most && down.sizes().1 <= most, "{:?} {:?} {edits:?}", up.sizes(), down.sizes());
    }
}

/// A file of more than 8 GiB, where chunks are larger and places do not fit into 32 bits: one chunk is replaced, some are put
/// in and some taken out, all of it behind the eighth GiB.
#[test]
fn places_behind_all_that_32_bits_can_count() {
    let least = u64::from(Sizes::of((8 << 30) + 1).least);
    let chunk = |n: u64| {
        let mut hash = [0; 32];
        blake3::Hasher::new().update(&n.to_le_bytes()).finalize_xof().fill(&mut hash);
        Node { len: least + n * 7919 % 700_000, hash: ContentHash(hash) }
    };
    let old: Vec<Node> = (0..40_000).map(chunk).collect();
    let far =
        old.iter().scan(0, |at, chunk| Some(std::mem::replace(at, *at + chunk.len))).position(|at| at > 9 << 30);
    let far = far.expect("it is that long");
    let mut new = old.clone();
    new[far] = chunk(1_000_000);
    new.splice(far + 100..far + 100, (0..3).map(|n| chunk(2_000_000 + n)));
    new.drain(far + 200..far + 205);
    let (old, new) = (ChunkTree::over(old), ChunkTree::over(new));
    assert!(old.size() > 12 << 30 && new.size() > 12 << 30);
    let lacking: u64 =
        [chunk(1_000_000), chunk(2_000_000), chunk(2_000_001), chunk(2_000_002)].map(|c| c.len).iter().sum();
    let known_old = Known::new(&old);
    let (walk, told) = walked(&known_old, &new);
    assert!(told < 4000, "{told} of {} nodes", new.len());
    let down = Recipe::to_here(&known_old, &walk, new.content());
    let known_new = Known::new(&new);
    let up = Recipe::from_here(&known_new, &walked(&known_new, &old).0);
    for recipe in [down, up] {
        assert_eq!(recipe.sizes(), (new.size(), lacking));
        let (mut at, mut bytes) = (0, Vec::new());
        for piece in &recipe.pieces {
            bytes.push((at, piece.origin, piece.len));
            at += piece.len;
        }
        // The first of them as one, up to the chunk that is another; behind what was put in, the same bytes stand elsewhere.
        let start = known_old.start(far);
        assert_eq!(bytes[..2], [(0, Origin::Old(0), start), (start, Origin::New, new.chunks()[far].len)]);
        assert!(start > 9 << 30);
        let last = bytes.last().expect("pieces");
        assert_eq!(last.1, Origin::Old(old.size() - last.2));
        assert_eq!(last.0 + last.2, new.size());
        assert_eq!(bytes.len(), 6, "{bytes:?}");
    }
}

/// Nine GiB of which nearly all is a hole: every chunk is the same one.
#[test]
fn a_hole_of_many_gib() {
    let sizes = Sizes::of(9 << 30);
    let zeros = Node { len: u64::from(sizes.most), hash: ContentHash([7; 32]) };
    let (count, other) = ((9 << 30) / u64::from(sizes.most), Node { len: 100_000, hash: ContentHash([1; 32]) });
    let old = ChunkTree::over(vec![zeros; count as usize]);
    let mut chunks = vec![zeros; count as usize];
    chunks.insert(9000, other);
    let new = ChunkTree::over(chunks);
    let (known, known_new) = (Known::new(&old), Known::new(&new));
    let down = Recipe::to_here(&known, &walked(&known, &new).0, new.content());
    let up = Recipe::from_here(&known_new, &walked(&known_new, &old).0);
    for recipe in [down, up] {
        assert_eq!(recipe.sizes(), ((9 << 30) + 100_000, 100_000));
        assert!(recipe.saves());
        let inside = |piece: &Piece| matches!(piece.origin, Origin::Old(from) if from + piece.len > old.size());
        assert!(!recipe.pieces.iter().any(inside), "no byte from behind the old version's end");
    }
}
