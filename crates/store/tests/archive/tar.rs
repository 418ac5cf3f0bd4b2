//! Tar files, plain and compressed.

use std::fs;
use std::sync::Arc;

use sitta_store::wrap::Recorded;
use sitta_store::{ErrorKind, ScanOptions};
use sitta_tree::{Kind, ProblemKind, Time};

use super::tools::*;

#[tokio::test(flavor = "multi_thread")]
async fn every_format_is_what_tar_unpacks() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    plant(&tree);
    for (format, tick) in [("v7", 1_000_000_000), ("ustar", 1_000_000_000), ("gnu", 1_000_000_000), ("pax", 1)] {
        let option = format!("--format={format}");
        run(dir.path(), "tar", &["-C", "tree", &option, "-cf", "a.tar", "."]);
        let expected = seen(&local(&tree), tick, true).await;
        assert_eq!(seen(&open(dir.path(), "a.tar").await, tick, true).await, expected, "{format}");
        for (compress, file) in [("-z", "a.tgz"), ("-j", "a.tbz2"), ("--zstd", "a.tzst")] {
            run(dir.path(), "tar", &["-C", "tree", &option, compress, "-cf", file, "."]);
            assert_eq!(seen(&open(dir.path(), file).await, tick, true).await, expected, "{format} {file}");
        }
    }
    run(dir.path(), "tar", &["-C", "tree", "-cJf", "a.txz", "."]);
    let error = open_in(local(dir.path()), "a.txz", "").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_names_links_and_specials() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    let long = ["d".repeat(200), "e".repeat(200), "f".repeat(200)].join("/");
    fs::create_dir_all(tree.join(&long)).unwrap();
    let file = format!("{long}/{}", "g".repeat(255));
    fs::write(tree.join(&file), "deep").unwrap();
    fs::hard_link(tree.join(&file), tree.join("another name")).unwrap();
    std::os::unix::fs::symlink("t".repeat(300), tree.join("long link")).unwrap();
    run(&tree, "mkfifo", &["fifo"]);
    for format in ["gnu", "pax"] {
        run(dir.path(), "tar", &["-C", "tree", &format!("--format={format}"), "--sort=name", "-cf", "a.tar", "."]);
        let store = open(dir.path(), "a.tar").await;
        let tree = scan(&store).await;
        assert_eq!(fetch(&store, &tree, &file).await.unwrap(), b"deep", "{format}");
        assert_eq!(fetch(&store, &tree, "another name").await.unwrap(), b"deep", "{format}");
        let link = store.stat(&path("long link")).await.unwrap().unwrap();
        assert_eq!(link.target.len(), 300);
        let [problem] = &tree.problems[..] else { panic!("{:?}", tree.problems) };
        assert_eq!((problem.path.to_string(), problem.kind), ("fifo".into(), ProblemKind::Special));
        assert_eq!(tree.kind(tree.find(&path("fifo")).unwrap()), Kind::Unknown);
        assert_eq!(get(&store, "fifo").await.unwrap_err().kind, ErrorKind::Unsupported);
        assert!(tree.is_complete(sitta_tree::NodeId::ROOT));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sparse_members_are_refused_and_those_behind_them_read() {
    let dir = tempfile::tempdir().unwrap();
    python(
        dir.path(),
        "f=open('sparse','wb')\nfor i in range(40):\n f.seek(i<<17)\n f.write(b'x'*100)\nf.truncate(40<<17)\nopen('z','w').write('behind')",
    );
    for options in [&["--format=gnu"][..], &["--format=pax"], &["--format=pax", "--sparse-version=0.1"]] {
        run(dir.path(), "tar", &[options, &["-Scf", "s.tar", "sparse", "z"]].concat());
        let store = open(dir.path(), "s.tar").await;
        let tree = scan(&store).await;
        assert!(tree.problems.is_empty(), "{:?}", tree.problems);
        assert_eq!(store.stat(&path("sparse")).await.unwrap().unwrap().size, 40 << 17);
        let error = get(&store, "sparse").await.unwrap_err();
        assert_eq!((error.kind, error.to_string()), (ErrorKind::Unsupported, "sparse: a sparse file".into()));
        assert_eq!(get(&store, "z").await.unwrap(), b"behind");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_members_are_jumped_over() {
    let dir = tempfile::tempdir().unwrap();
    python(
        dir.path(),
        "import tarfile,io\nt=tarfile.open('big.tar','w')\nfor i in range(20):\n n=tarfile.TarInfo(f'big{i}'); n.size=4<<20; t.addfile(n,io.BytesIO(bytes([i])*n.size))\nn=tarfile.TarInfo('old'); n.mtime=-5; t.addfile(n)\nt.close()",
    );
    let outside = Recorded::new(local(dir.path()));
    let counted = Counted::new(Arc::new(outside.clone()));
    let store = open_in(Arc::new(counted.clone()), "big.tar", "").await.unwrap();
    let tree = scan(&store).await;
    assert_eq!(tree.len(), 22);
    assert!(counted.bytes() < 4 << 20, "{} of 80 MiB were read to list it", counted.bytes());
    assert_eq!(tree.mtime(tree.find(&path("old")).unwrap()), Time::new(-5, 0));
    let before = (outside.counts(), counted.bytes());
    assert_eq!(fetch(&store, &tree, "big7").await.unwrap(), vec![7; 4 << 20]);
    let after = (outside.counts(), counted.bytes());
    assert_eq!((after.0.reads - before.0.reads, after.0.stats - before.0.stats), (1, 1));
    assert_eq!(after.1 - before.1, 4 << 20);
    assert_eq!(read(&store, &path("big9"), 1_000_000..1_000_003).await.unwrap(), [9; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_tar_is_decoded_twice_at_most_in_its_order() {
    let dir = tempfile::tempdir().unwrap();
    python(
        dir.path(),
        "import tarfile,io\nt=tarfile.open('a.tgz','w:gz',compresslevel=1)\nfor i in range(1200):\n n=tarfile.TarInfo(f'{i:04}'); n.size=100000; t.addfile(n,io.BytesIO(i.to_bytes(4,'big')*25000))\nt.close()",
    );
    let outside = Recorded::new(local(dir.path()));
    let store = open_in(Arc::new(outside.clone()), "a.tgz", "").await.unwrap();
    let tree = scan(&store).await;
    for i in 0..1200_u32 {
        assert!(fetch(&store, &tree, &format!("{i:04}")).await.unwrap() == i.to_be_bytes().repeat(25_000), "{i}");
    }
    // The first bytes twice, to see what it is; then all of it twice.
    assert_eq!(outside.counts().reads, 4);
    // Within what is kept, the order does not matter.
    for i in (700..1200_u32).rev() {
        assert!(fetch(&store, &tree, &format!("{i:04}")).await.unwrap() == i.to_be_bytes().repeat(25_000), "{i}");
    }
    assert_eq!(outside.counts().reads, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn joined_streams_and_archives_in_archives() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    plant(&tree);
    run(&tree, "zip", &["-qry", "../inner.zip", "."]);
    run(dir.path(), "tar", &["-cf", "plain.tar", "inner.zip"]);
    for (program, file) in [("gzip", "joined.tar.gz"), ("zstd", "joined.tar.zst"), ("bzip2", "joined.tar.bz2")] {
        let script = format!(
            "import subprocess\nd=open('plain.tar','rb').read()\nopen('{file}','wb').write(b''.join(subprocess.run(['{program}','-c'],input=d[i:i+50000],stdout=subprocess.PIPE).stdout for i in range(0,len(d),50000)))"
        );
        python(dir.path(), &script);
        let middle = open(dir.path(), file).await;
        let inner = open_in(middle, "inner.zip", "").await.unwrap();
        let expected = seen(&local(&tree), 1_000_000_000, false).await;
        assert_eq!(seen(&inner, 1_000_000_000, false).await, expected, "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_a_name_counts() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("f"), "old").unwrap();
    run(dir.path(), "tar", &["-cf", "a.tar", "f"]);
    fs::write(dir.path().join("f"), "newer").unwrap();
    run(dir.path(), "tar", &["-rf", "a.tar", "f"]);
    let store = open(dir.path(), "a.tar").await;
    let tree = scan(&store).await;
    assert_eq!(fetch(&store, &tree, "f").await.unwrap(), b"newer");
    assert!(tree.problems.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_tar_is_not_taken_for_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("zeros"), vec![0; 2 << 20]).unwrap();
    fs::write(dir.path().join("text"), "some text\n".repeat(1000)).unwrap();
    run(dir.path(), "gzip", &["-k", "zeros", "text"]);
    for file in ["zeros", "zeros.gz", "text.gz"] {
        let store = open(dir.path(), file).await;
        let error = store.scan(&ScanOptions::default()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported, "{file}: {error}");
    }
    run(dir.path(), "tar", &["-czf", "empty.tgz", "-T", "/dev/null"]);
    run(dir.path(), "tar", &["-cf", "empty.tar", "-T", "/dev/null"]);
    for file in ["empty.tgz", "empty.tar"] {
        let tree = scan(&open(dir.path(), file).await).await;
        assert!(tree.len() == 1 && tree.problems.is_empty(), "{file}: {:?}", tree.problems);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_can_be_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    python(
        dir.path(),
        "import gzip\nb=bytes(1<<20)\nimport tarfile,io\nt=tarfile.open('big.tgz','w:gz',compresslevel=1)\nfor i in range(400):\n n=tarfile.TarInfo(str(i)); n.size=1<<20; t.addfile(n,io.BytesIO(b))\nt.close()",
    );
    let store = open(dir.path(), "big.tgz").await;
    let options = ScanOptions::default();
    let flow = options.flow.clone();
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        flow.cancel();
    });
    let began = std::time::Instant::now();
    let result = store.scan(&options).await;
    assert!(result.is_err_and(|error| error.kind == ErrorKind::Cancelled), "after {:?}", began.elapsed());
}
