//! Putting it in place: whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::draft::{Kept, Section};
use crate::context::Context;
use crate::exit::{Failure, Outcome};

/// The text of the config; none if there is no such file yet.
pub fn read(file: &Path) -> Outcome<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::usage(format!("the config {} could not be read", file.display()))
            .note(error.to_string())
            .note("nothing was written")),
    }
}

/// Writes new secrets into files of their own, then the config; gives those files. If anything goes wrong, nothing is left.
pub fn write(context: &Context, before: Option<&str>, text: &str, sections: &[Section]) -> Outcome<Vec<PathBuf>> {
    let file = &context.config_file;
    if read(file)?.as_deref() != before {
        return Err(Failure::failed(format!("{} was changed meanwhile", file.display()))
            .note("nothing was written")
            .hint("`sitta init` once more asks what is to be added to it as it is now"));
    }
    let mut secrets = Vec::new();
    let written = new_secrets(context, sections, &mut secrets).and_then(|()| {
        replace(file, text).map_err(|error| {
            Failure::failed(format!("{} could not be written", file.display()))
                .note(error.to_string())
                .note("nothing was written")
        })
    });
    if written.is_err() {
        secrets.iter().for_each(|secret| drop(fs::remove_file(secret)));
    }
    written.map(|()| secrets)
}

fn new_secrets(context: &Context, sections: &[Section], made: &mut Vec<PathBuf>) -> Outcome<()> {
    for section in sections {
        let Some((_, Kept::File(name, Some(password)))) = &section.secret else { continue };
        let path = context.file_of_config(name);
        let mut write = || {
            make_parent(&path)?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            made.push(path.clone());
            writeln!(file, "{}", password.expose())?;
            file.sync_all()
        };
        let result: io::Result<()> = write();
        result.map_err(|error| {
            Failure::failed(format!("the password could not be written to {}", path.display()))
                .note(error.to_string())
                .note("nothing was written")
        })?;
    }
    Ok(())
}

fn make_parent(path: &Path) -> io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => DirBuilder::new().recursive(true).mode(0o700).create(parent),
        None => Ok(()),
    }
}

/// Replaces the file by one that is whole and safe from a power cut; whoever may read it may do so as before. A new one is
/// the user's alone.
pub fn replace(file: &Path, text: &str) -> io::Result<()> {
    // Behind a link, the file that it points to is replaced, not the link.
    let file = &fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    make_parent(file)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let new = file.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let write = || {
        let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        if let Ok(meta) = fs::metadata(file) {
            written.set_permissions(fs::Permissions::from_mode(meta.permissions().mode() & 0o7777))?;
        }
        written.write_all(text.as_bytes())?;
        written.sync_all()?;
        fs::rename(&new, file)
    };
    let result: io::Result<()> = write();
    if result.is_err() {
        let _ = fs::remove_file(&new);
        return result;
    }
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}
