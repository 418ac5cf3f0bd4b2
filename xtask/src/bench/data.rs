//! The data, the same each time.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::Result;
use crate::rng::Rng;

/// So many files with `per_dir` in a directory; sizes below `max_size`, none if that is 0.
pub fn files(root: &Path, count: usize, per_dir: usize, max_size: usize) -> Result {
    let mut rng = Rng::seeded(count as u64);
    let pool = rng.bytes(max_size.max(1) * 2);
    for i in 0..count {
        let dir = i / per_dir;
        let dir = root.join(format!("group-{:02}/folder-{dir:04}", dir / 40));
        if i % per_dir == 0 {
            fs::create_dir_all(&dir)?;
        }
        let size = rng.below(max_size + 1);
        let start = rng.below(max_size + 1);
        fs::write(dir.join(format!("file-{i:06}.dat")), &pool[start..start + size.min(pool.len() - start)])?;
    }
    Ok(())
}

/// So many files of text with `per_dir` in a directory, each sixth one of bytes that do not compress; sizes below
/// `max_size`.
pub fn texts(root: &Path, count: usize, per_dir: usize, max_size: usize) -> Result {
    let mut rng = Rng::seeded(count as u64);
    let letters = b"eeeetttaaoooinnsshhrddlluucmmwfgypbvk";
    let word =
        |rng: &mut Rng| -> Vec<u8> { (0..2 + rng.below(8)).map(|_| letters[rng.below(letters.len())]).collect() };
    let words: Vec<Vec<u8>> = (0..6_000).map(|_| word(&mut rng)).collect();
    for i in 0..count {
        let dir = root.join(format!("folder-{:04}", i / per_dir));
        if i % per_dir == 0 {
            fs::create_dir_all(&dir)?;
        }
        let size = rng.below(max_size + 1);
        let mut content = Vec::with_capacity(size + 16);
        while content.len() < size {
            if i % 6 == 0 {
                content.extend(rng.bytes(size));
            } else {
                // Some words are far more frequent than others.
                let range = words.len() >> rng.below(8);
                content.extend_from_slice(&words[rng.below(range)]);
                content.push(if rng.below(12) == 0 { b'\n' } else { b' ' });
            }
        }
        content.truncate(size);
        fs::write(dir.join(format!("file-{i:06}.txt")), content)?;
    }
    Ok(())
}

/// So many files of exactly `size` bytes with `per_dir` in a directory.
pub fn blocks(root: &Path, count: usize, per_dir: usize, size: usize) -> Result {
    let mut rng = Rng::seeded(count as u64);
    for i in 0..count {
        let dir = root.join(format!("folder-{:04}", i / per_dir));
        if i % per_dir == 0 {
            fs::create_dir_all(&dir)?;
        }
        fs::write(dir.join(format!("file-{i:06}.dat")), rng.bytes(size))?;
    }
    Ok(())
}

/// One file that does not compress.
pub fn large(path: &Path, mebibytes: usize) -> Result {
    fs::create_dir_all(path.parent().expect("a parent"))?;
    let mut rng = Rng::seeded(1);
    let mut file = File::create(path)?;
    for _ in 0..mebibytes {
        file.write_all(&rng.bytes(1 << 20))?;
    }
    file.sync_all()?;
    Ok(())
}
