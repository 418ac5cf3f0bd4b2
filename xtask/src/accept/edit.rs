//! What users do to a tree between two runs.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::walk::{Facts, Walk};
use crate::Result;
use crate::rng::Rng;

/// Edits some hundred places: changes, appends, deletes, renames of files and of directories, new modes, new files.
pub fn edit(root: &Path, tree: &Walk, round: u64) -> Result {
    let mut rng = Rng::seeded(round + 100);
    let is_file = |facts: &Facts| matches!(facts, Facts::File { .. });
    let files: Vec<&PathBuf> = tree.0.iter().filter(|(_, facts)| is_file(facts)).map(|(path, _)| path).collect();
    let dirs: Vec<&PathBuf> =
        tree.0.iter().filter(|(_, f)| matches!(f, Facts::Dir { .. })).map(|(p, _)| p).collect();
    if files.is_empty() {
        return Ok(());
    }
    for i in 0..(files.len() / 50).clamp(10, 600) {
        // What an earlier edit took away is no longer there to be edited.
        let file = root.join(files[rng.below(files.len())]);
        if !file.exists() {
            continue;
        }
        match i % 6 {
            0 => fs::write(&file, rng.bytes(5_000))?,
            1 => fs::File::options().append(true).open(&file)?.write_all(b"appended\n")?,
            2 => fs::remove_file(&file)?,
            3 => fs::rename(&file, file.with_file_name(format!("renamed-{round}-{i}")))?,
            4 => fs::set_permissions(&file, fs::Permissions::from_mode(if i % 4 == 0 { 0o640 } else { 0o600 }))?,
            _ => fs::write(file.with_file_name(format!("new-{round}-{i}")), rng.bytes(3_000))?,
        }
    }
    for i in 0..dirs.len().min(5) {
        let dir = root.join(dirs[rng.below(dirs.len())]);
        if dir.is_dir() {
            fs::rename(&dir, dir.with_file_name(format!("dir-{round}-{i}")))?;
        }
    }
    let dir = root.join(dirs.get(rng.below(dirs.len())).copied().unwrap_or(&PathBuf::new()));
    if dirs.len() > 20 && dir.is_dir() {
        fs::remove_dir_all(dir)?;
    }
    Ok(())
}
