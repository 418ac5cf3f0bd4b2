//! Ad hoc.
use sitta_tree::*;
use std::time::Instant;
fn big(n: u32) -> Tree {
    let mut t = Tree::new();
    let d = Entry::new(Kind::Dir);
    let dirs: Vec<Vec<u8>> = (0..n / 1000).map(|i| format!("directory-{i:06}").into_bytes()).collect();
    t.add_children(NodeId::ROOT, dirs.iter().map(|n| (&n[..], &d))).unwrap();
    for (k, dir) in t.children(NodeId::ROOT).enumerate() {
        let files: Vec<(Vec<u8>, Entry)> = (0..1000u64)
            .map(|i| {
                (
                    format!("some-file-name-{i:05}.txt").into_bytes(),
                    Entry {
                        size: i,
                        id: k as u64 * 1000 + i + 5,
                        change: 7 + i,
                        meta: Meta { mtime: Time::new(1000 + i as i64, 5), mode: 0o644, ..Meta::default() },
                        ..Entry::new(Kind::File)
                    },
                )
            })
            .collect();
        t.add_children(dir, files.iter().map(|(n, e)| (&n[..], e))).unwrap();
    }
    t
}
#[test]
#[ignore]
fn timing() {
    let (l, r) = (big(1_000_000), big(1_000_000));
    let traits = SideTraits {
        mtime_precision: 1,
        modes: true,
        owners: true,
        xattrs: true,
        symlinks: true,
        dirs: true,
        folds_names: false,
        stable_ids: true,
    };
    let mut base = Vec::new();
    for id in l.ids().skip(1) {
        let e = l.entry(id);
        base.push((
            l.path(id),
            Agreed {
                kind: e.kind,
                meta: e.meta,
                content: None,
                target: Box::default(),
                left: e.fingerprint(),
                right: e.fingerprint(),
                conflicted: false,
            },
        ));
    }
    base.sort_by(|a, b| a.0.cmp(&b.0));
    let base = Base::from_sorted(base).unwrap();
    let empty = Base::default();
    let none = Tree::new();
    for (what, base, right, policy, fold) in [
        ("mirror", &empty, &r, Policy::Mirror, false),
        ("mirror base", &base, &r, Policy::Mirror, false),
        ("copy", &base, &r, Policy::Copy { existing: Existing::Replace }, false),
        ("sync", &base, &r, Policy::Sync(OnConflict::KeepBoth), false),
        ("mirror fold", &empty, &r, Policy::Mirror, true),
        ("mirror to empty", &empty, &none, Policy::Mirror, false),
    ] {
        let right_traits = SideTraits { folds_names: fold, ..traits };
        let inputs = Inputs {
            base,
            left: &l,
            right,
            left_traits: traits,
            right_traits,
            policy,
            checksum: false,
            hard_links: false,
        };
        let mut best = f64::MAX;
        let mut n = 0;
        for _ in 0..5 {
            let t = Instant::now();
            n = plan::plan(&inputs).actions.len();
            best = best.min(t.elapsed().as_secs_f64());
        }
        println!(
            "{what}: {:.1} ns an entry, {n} actions, {} bytes each",
            best * 1e9 / l.len() as f64,
            size_of::<Action>()
        );
    }
}
