//! Reference pages, as the program itself writes them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::tools::{build_release, must, target_dir};

pub fn run(args: &[String]) -> Result {
    let dir = match args.first() {
        Some(dir) => PathBuf::from(dir),
        None => target_dir()?.join("docs"),
    };
    fs::create_dir_all(&dir)?;
    let sitta = build_release()?;
    page(&sitta, &["man"], &dir.join("sitta.1"))?;
    for (shell, file) in [("bash", "sitta.bash"), ("zsh", "_sitta"), ("fish", "sitta.fish")] {
        page(&sitta, &["completions", shell], &dir.join(file))?;
    }
    println!("{}", dir.display());
    Ok(())
}

fn page(sitta: &Path, args: &[&str], file: &Path) -> Result {
    must(Command::new(sitta).args(args).stdout(File::create(file)?))
}
