//! Zip files.

use std::fs;
use std::sync::Arc;

use sitta_store::wrap::Recorded;
use sitta_store::{ErrorKind, Flow, ScanOptions};
use sitta_tree::Kind;

use super::tools::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_zip_packs_is_what_unzip_unpacks() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, out) = (dir.path().join("tree"), dir.path().join("out"));
    plant(&tree);
    run(&tree, "zip", &["-qry", "../a.zip", "."]);
    run(&tree, "zip", &["-qry0", "../stored.zip", "."]);
    run(dir.path(), "unzip", &["-q", "a.zip", "-d", "out"]);
    let unpacked = seen(&local(&out), 1_000_000_000, false).await;
    for file in ["a.zip", "stored.zip"] {
        assert_eq!(seen(&open(dir.path(), file).await, 1_000_000_000, false).await, unpacked, "{file}");
    }
    assert_eq!(unpacked, seen(&local(&tree), 1_000_000_000, false).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_tools_and_methods() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let text = b"all work and no play ".repeat(50_000);
    fs::write(tree.join("text"), &text).unwrap();
    fs::write(tree.join("noise"), noise(300_000, 3)).unwrap();
    for method in ["Copy", "Deflate", "Deflate64", "BZip2"] {
        let file = format!("{method}.zip");
        run(&tree, "7z", &["a", "-tzip", &format!("-mm={method}"), &format!("../{file}"), "."]);
        let store = open(dir.path(), &file).await;
        assert!(get(&store, "text").await.unwrap() == text, "{method}");
        assert!(get(&store, "noise").await.unwrap() == noise(300_000, 3), "{method}");
        assert!(read(&store, &path("text"), 700_000..700_021).await.unwrap() == text[700_000..700_021], "{method}");
    }
    run(&tree, "7z", &["a", "-tzip", "-mm=LZMA", "../LZMA.zip", "."]);
    let store = open(dir.path(), "LZMA.zip").await;
    let error = get(&store, "text").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert_eq!(error.to_string(), "text: compressed by method 14, which is not supported");
    run(&tree, "zstd", &["-q", "text"]);
    let packed = fs::read(tree.join("text.zst")).unwrap();
    let bytes = Crafted::default().add(b"text", 93, &packed, &text).finish();
    fs::write(dir.path().join("zstd.zip"), bytes).unwrap();
    assert!(get(&open(dir.path(), "zstd.zip").await, "text").await.unwrap() == text);
    python(
        dir.path(),
        "import zipfile\nz=zipfile.ZipFile('py.zip','w',zipfile.ZIP_DEFLATED)\nz.writestr('d/e/f','x'*100000)\nz.close()",
    );
    run(dir.path(), "python3", &["-m", "zipfile", "-c", "py2.zip", "tree/"]);
    let store = open(dir.path(), "py.zip").await;
    assert_eq!(get(&store, "d/e/f").await.unwrap(), vec![b'x'; 100_000]);
    assert_eq!(store.stat(&path("d/e")).await.unwrap().unwrap().kind, Kind::Dir, "an implied directory");
    assert!(get(&open(dir.path(), "py2.zip").await, "tree/text").await.unwrap() == text);
    // A zip behind a program, as self-extracting ones are.
    let mut program = b"#!/bin/sh\nexit\n".repeat(100);
    program.extend(fs::read(dir.path().join("py.zip")).unwrap());
    fs::write(dir.path().join("program"), program).unwrap();
    assert_eq!(get(&open(dir.path(), "program").await, "d/e/f").await.unwrap(), vec![b'x'; 100_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_member_costs_about_its_own_size() {
    let dir = tempfile::tempdir().unwrap();
    python(
        dir.path(),
        "import zipfile,os\nz=zipfile.ZipFile('big.zip','w',zipfile.ZIP_DEFLATED,compresslevel=1)\nfor i in range(4000):\n z.writestr(f'dir{i%10}/file{i}',os.urandom(10000))\nz.writestr('wanted','w'*10+'x'*100000)\nz.close()",
    );
    let outside = Recorded::new(local(dir.path()));
    let counted = Counted::new(Arc::new(outside.clone()));
    let store = open_in(Arc::new(counted.clone()), "big.zip", "").await.unwrap();
    let content = get(&store, "wanted").await.unwrap();
    assert_eq!(content.len(), 100_010);
    assert!(outside.counts().reads <= 6, "{:?}", outside.counts());
    let all = counted.bytes();
    assert!(all < 700_000, "{all} bytes were read of 40 MB");
    let before = (outside.counts(), counted.bytes());
    let tree = scan(&store).await;
    fetch(&store, &tree, "wanted").await.unwrap();
    let after = (outside.counts(), counted.bytes());
    assert_eq!(after.0.reads - before.0.reads, 1, "the index is known");
    assert_eq!(after.0.stats - before.0.stats, 1, "only the scan looks");
    assert!(after.1 - before.1 < 1000, "about what it is compressed to");
    // In parts, it is still decoded once.
    let before = outside.counts().reads;
    for part in 0..10 {
        let piece = read(&store, &path("wanted"), part * 10_001..(part + 1) * 10_001).await.unwrap();
        assert!(piece == content[part as usize * 10_001..(part as usize + 1) * 10_001]);
    }
    assert_eq!(outside.counts().reads - before, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn zip64() {
    let dir = tempfile::tempdir().unwrap();
    python(
        dir.path(),
        "import zipfile\nz=zipfile.ZipFile('many.zip','w')\nfor i in range(70000):\n z.writestr(f'd{i%100}/{i}',str(i))\nz.close()",
    );
    let store = open(dir.path(), "many.zip").await;
    let tree = scan(&store).await;
    assert_eq!(tree.len(), 70_000 + 100 + 1);
    assert_eq!(get(&store, "d99/69999").await.unwrap(), b"69999");
    assert_eq!(store.list(&path("")).await.unwrap().len(), 100);
    assert_eq!(store.list(&path("d7")).await.unwrap().len(), 700);

    // A hole of 5 GiB, and something behind it.
    python(
        dir.path(),
        "import zipfile,struct,io\nn=5<<30\nf=open('huge.zip','wb')\nf.truncate(n+1000)\nf.seek(0)\nf.write(struct.pack('<4sHHHHHIIIHH',b'PK\\3\\4',45,0,0,0,33,0,0xffffffff,0xffffffff,4,20)+b'huge'+struct.pack('<HHQQ',1,16,n,n))\nf.seek(54+n)\nat=f.tell()\nimport zlib\nf.write(struct.pack('<4sHHHHHIIIHH',b'PK\\3\\4',45,0,0,0,33,zlib.crc32(b'found'),5,5,5,0)+b'small'+b'found')\ncd=f.tell()\nf.write(struct.pack('<4sHHHHHHIIIHHHHHII',b'PK\\1\\2',45,45,0,0,0,33,0,0xffffffff,0xffffffff,4,20,0,0,0,0,0)+b'huge'+struct.pack('<HHQQ',1,16,n,n))\nf.write(struct.pack('<4sHHHHHHIIIHHHHHII',b'PK\\1\\2',45,45,0,0,0,33,zlib.crc32(b'found'),5,5,5,12,0,0,0,0,0xffffffff)+b'small'+struct.pack('<HHQ',1,8,at))\nend=f.tell()\nf.write(struct.pack('<4sQHHIIQQQQ',b'PK\\6\\6',44,45,45,0,0,2,2,end-cd,cd))\nf.write(struct.pack('<4sIQI',b'PK\\6\\7',0,end,1))\nf.write(struct.pack('<4sHHHHIIH',b'PK\\5\\6',0,0,2,2,end-cd,0xffffffff,0))\nf.truncate()\nf.close()\nassert zipfile.ZipFile('huge.zip').read('small')==b'found'",
    );
    let store = open(dir.path(), "huge.zip").await;
    assert_eq!(get(&store, "small").await.unwrap(), b"found");
    assert_eq!(store.stat(&path("huge")).await.unwrap().unwrap().size, 5 << 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_members_are_listed_and_not_read() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("f"), "secret").unwrap();
    run(dir.path(), "zip", &["-q", "-P", "pw", "e.zip", "f"]);
    run(dir.path(), "7z", &["a", "-tzip", "-ppw", "-mem=AES256", "aes.zip", "f"]);
    for file in ["e.zip", "aes.zip"] {
        let store = open(dir.path(), file).await;
        assert_eq!(scan(&store).await.len(), 2);
        let error = get(&store, "f").await.unwrap_err();
        assert_eq!((error.kind, error.to_string()), (ErrorKind::Unsupported, "f: encrypted".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_other_systems() {
    let dir = tempfile::tempdir().unwrap();
    let mut crafted = Crafted { system: 0, ..Crafted::default() };
    for name in [&b"dos\\dir\\f"[..], b"gr\x81n", "utf-ü".as_bytes()] {
        crafted = crafted.add(name, 0, b"x", b"x");
    }
    fs::write(dir.path().join("dos.zip"), crafted.finish()).unwrap();
    let tree = scan(&open(dir.path(), "dos.zip").await).await;
    for at in ["dos/dir/f", "grün", "utf-ü"] {
        assert!(tree.find(&path(at)).is_some(), "{at}");
    }
    assert!(tree.problems.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_seen_and_nothing_is_mixed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.zip"), Crafted::default().add(b"f", 0, b"old", b"old").finish()).unwrap();
    let store = open(dir.path(), "a.zip").await;
    let before = scan(&store).await;
    fs::write(dir.path().join("b.zip"), Crafted::default().add(b"f", 0, b"new", b"new").finish()).unwrap();
    fs::rename(dir.path().join("b.zip"), dir.path().join("a.zip")).unwrap();
    let error = fetch(&store, &before, "f").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Changed, "{error}");
    assert_eq!(get(&store, "f").await.unwrap(), b"new");
    let after = scan(&store).await;
    let version = |tree: &sitta_tree::Tree| tree.fingerprint(tree.find(&path("f")).unwrap());
    assert!(!version(&before).same_version(&version(&after)));
    assert_eq!(fetch(&store, &before, "f").await.unwrap_err().kind, ErrorKind::Changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn part_of_an_archive_as_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = Crafted::default().add(b"a/b/f", 0, b"x", b"x").add(b"a/bc", 0, b"y", b"y").finish();
    fs::write(dir.path().join("a.zip"), bytes).unwrap();
    let store = open_in(local(dir.path()), "a.zip", "a/b/").await.unwrap();
    let tree = scan(&store).await;
    assert_eq!(tree.ids().map(|id| tree.path(id).to_string()).collect::<Vec<_>>(), ["", "f"]);
    assert_eq!(get(&store, "f").await.unwrap(), b"x");
    assert!(store.stat(&path("bc")).await.unwrap().is_none());
    for (inner, kind) in [("a/none", ErrorKind::NotFound), ("a/bc", ErrorKind::NotADirectory)] {
        let store = open_in(local(dir.path()), "a.zip", inner).await.unwrap();
        assert_eq!(store.scan(&ScanOptions::default()).await.unwrap_err().kind, kind);
    }
    assert_eq!(open_in(local(dir.path()), "a.zip", "../x").await.unwrap_err().kind, ErrorKind::Unsupported);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_can_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.zip"), Crafted::default().add(b"f", 0, b"x", b"x").finish()).unwrap();
    let store = open(dir.path(), "a.zip").await;
    let error = store
        .remove(&path("f"), sitta_store::Precondition::None, sitta_store::Displaced::Discard)
        .await
        .unwrap_err();
    assert_eq!((error.kind, error.to_string()), (ErrorKind::ReadOnly, "f: archives can only be read".into()));
    assert!(!store.capabilities().writable);
    let options = ScanOptions { flow: Arc::<Flow>::default(), ..ScanOptions::default() };
    options.flow.cancel();
    assert_eq!(store.scan(&options).await.unwrap_err().kind, ErrorKind::Cancelled);
    assert_eq!(get(&store, "none").await.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(get(&store, "f/x").await.unwrap_err().kind, ErrorKind::NotFound);
    let missing = open_in(local(dir.path()), "none.zip", "").await.unwrap_err();
    assert_eq!(missing.kind, ErrorKind::NotFound);
    fs::write(dir.path().join("text"), "no archive").unwrap();
    assert_eq!(open_in(local(dir.path()), "text", "").await.unwrap_err().kind, ErrorKind::Unsupported);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_takes_little_memory() {
    use futures::stream::StreamExt;
    let dir = tempfile::tempdir().unwrap();
    let size: u64 = 1 << 30;
    // All zeros: a hole between a local header and the directory.
    python(
        dir.path(),
        "import struct,zlib\nn=1<<30\nc=0\nfor i in range(1024): c=zlib.crc32(bytes(1<<20),c)\nh=struct.pack('<HHHHHIIIHH',45,0,0,0,33,c,n,n,4,0)\nf=open('gib.zip','wb')\nf.write(b'PK\\3\\4'+h+b'zero')\nf.seek(34+n)\nf.write(b'PK\\1\\2'+struct.pack('<H',45)+h+struct.pack('<HHHII',0,0,0,0,0)+b'zero')\ne=f.tell()\nf.write(struct.pack('<4sHHHHIIH',b'PK\\5\\6',0,0,1,1,e-34-n,34+n,0))\nf.close()",
    );
    let store = open(dir.path(), "gib.zip").await;
    let memory = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    };
    // A part of what is stored is read right there.
    let counted = Counted::new(local(dir.path()));
    let parts = open_in(Arc::new(counted.clone()), "gib.zip", "").await.unwrap();
    assert_eq!(read(&parts, &path("zero"), (1 << 30) - 3..u64::MAX).await.unwrap(), [0; 3]);
    assert!(counted.bytes() < 1 << 20, "{}", counted.bytes());
    let (before, mut most, mut seen) = (memory(), 0, 0);
    let mut stream = store.read(&path("zero"), 0..u64::MAX).await.unwrap();
    while let Some(piece) = stream.next().await {
        seen += piece.unwrap().len() as u64;
        if seen % (64 << 20) < (1 << 17) {
            most = most.max(memory());
        }
    }
    assert_eq!(seen, size);
    // Other tests run at the same time; none of them needs much.
    assert!(most < before + (400 << 20), "{before} {most}");
}

/// Writes zip files as nobody should.
#[derive(Default)]
pub struct Crafted {
    pub system: u8,
    pub bytes: Vec<u8>,
    pub directory: Vec<u8>,
    pub members: u16,
}

impl Crafted {
    /// Adds a member.
    pub fn add(self, name: &[u8], method: u16, packed: &[u8], content: &[u8]) -> Self {
        let offset = self.bytes.len() as u32;
        self.told(name, method, packed, content.len() as u32, crc32fast::hash(content), offset, 0)
    }

    /// Adds a member of which something else is told than there is.
    #[expect(clippy::too_many_arguments, reason = "the fields of a record")]
    pub fn told(
        mut self,
        name: &[u8],
        method: u16,
        packed: &[u8],
        size: u32,
        crc32: u32,
        offset: u32,
        attributes: u32,
    ) -> Self {
        let mut header = vec![20, 0, 0, 0];
        header.extend(method.to_le_bytes());
        header.extend([0, 0, 33, 0]);
        header.extend(crc32.to_le_bytes());
        header.extend((packed.len() as u32).to_le_bytes());
        header.extend(size.to_le_bytes());
        header.extend((name.len() as u16).to_le_bytes());
        header.extend([0, 0]);
        self.bytes.extend(*b"PK\x03\x04");
        self.bytes.extend(&header);
        self.bytes.extend(name);
        self.bytes.extend(packed);
        self.directory.extend(*b"PK\x01\x02");
        self.directory.extend([20, self.system]);
        self.directory.extend(&header);
        self.directory.extend([0; 6]);
        self.directory.extend(attributes.to_le_bytes());
        self.directory.extend(offset.to_le_bytes());
        self.directory.extend(name);
        self.members += 1;
        self
    }

    pub fn finish(mut self) -> Vec<u8> {
        let at = self.bytes.len() as u32;
        let size = self.directory.len() as u32;
        self.bytes.extend(&self.directory);
        self.bytes.extend(*b"PK\x05\x06\0\0\0\0");
        self.bytes.extend(self.members.to_le_bytes());
        self.bytes.extend(self.members.to_le_bytes());
        self.bytes.extend(size.to_le_bytes());
        self.bytes.extend(at.to_le_bytes());
        self.bytes.extend([0, 0]);
        self.bytes
    }
}
