//! How an archive is to be called, as it was written behind its destination: on the command line, or in a job's `to`.

use sitta_ops::archive::Format;
use sitta_store::Location;
use sitta_tree::template::{Names, Template, TemplateError};

use crate::context::host_name;
use crate::exit::{Failure, Outcome};
use crate::open::unknown_ending;

/// How archives are named that go into a folder.
pub const USUAL_NAME: &str = "{job}-{date}-{time}.tar.zst";

/// What is asked of an archive besides its name.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// How much is done to make it small; none: what is usual for its format.
    pub level: Option<i32>,
    /// Whether older ones of its name are to go.
    pub cleans: bool,
}

/// The name that stands as a destination's last part, if it is one of an archive. `text` is the location as it was
/// written: with a slash at its end, it is a folder whatever it is called.
pub fn written(location: &Location, text: &[u8]) -> Outcome<Option<String>> {
    let (above, last) = parts(location);
    if Template::is_one(&above) {
        return Err(Failure::usage(format!("{location} has a placeholder in a folder's name"))
            .note("only the archive's own name may have {date}, {time}, {host} and {job}: that is how old archives are found")
            .hint("write for example nas:db/{date}.tgz"));
    }
    if text.ends_with(b"/") {
        return match Template::is_one(&last) {
            true => Err(Failure::usage(format!("{location}/ is a folder's name with a placeholder"))
                .hint("leave out the slash at its end, if an archive is to be called so")),
            false => Ok(None),
        };
    }
    if Format::of(&last).is_none() && Template::is_one(&last) {
        return Err(unknown_ending(&last));
    }
    Ok(Format::of(&last).is_some().then_some(last))
}

/// What stands before a location's last part, for as much of it as may be named by a template, and that part.
fn parts(location: &Location) -> (String, String) {
    let (root, path) = match location {
        Location::Local(path) => (String::new(), path.to_string_lossy().into_owned()),
        Location::Remote(remote) => (remote.host.clone(), remote.path.clone()),
        Location::Named { name, path } => (name.clone(), path.clone()),
        Location::Inside { archive, inner } => (archive.to_string(), inner.clone()),
    };
    let path = path.trim_end_matches('/');
    let (above, last) = path.rsplit_once('/').unwrap_or(("", path));
    (format!("{root}/{above}"), last.to_owned())
}

/// The template and the format that a name stands for, and the level that is meant.
pub fn checked(name: &str, job: &str, wish: Wish) -> Outcome<(Template, Format, i32)> {
    let host = host_name();
    let template = Template::parse(name, Names { host: &host, job }).map_err(|error| {
        let failure = Failure::usage(format!("the archive cannot be named '{name}'")).note(error.to_string());
        match error {
            TemplateError::Name(..) => failure.hint("name the job otherwise, with --job NAME"),
            _ => failure.hint("write for example {job}-{date}.tgz"),
        }
    })?;
    let format = Format::of(name).ok_or_else(|| unknown_ending(name))?;
    let level = level(wish.level, format)?;
    if wish.cleans && !template.has_date() {
        return Err(Failure::usage(format!("--keep cannot tell how old an archive called '{name}' is"))
            .note("its name tells no date; nothing was done")
            .hint("put {date} into the name, as in {job}-{date}.tgz"));
    }
    Ok((template, format, level))
}

fn level(level: Option<i32>, format: Format) -> Outcome<i32> {
    let level = level.unwrap_or(format.usual_level());
    let levels = format.levels();
    match levels.contains(&level) {
        true => Ok(level),
        false => Err(Failure::usage(format!("there is no level {level} for this kind of archive")).hint(format!(
            "write a number from {} to {}",
            levels.start(),
            levels.end()
        ))),
    }
}
