//! What was typed in a shell, and downloaded: who, when, where, what, and how it ended. One line of JSON each, in
//! `commands.log` beside the state.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sitta_tree::{Printable, Time};

use crate::context::{Context, user_name};
use crate::exit::{Exit, Failure, Outcome};
use crate::render::table::{Align, Table};
use crate::render::units;

/// A log of so many bytes loses its older half.
const LARGE: u64 = 4 << 20;

/// A command.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Typed {
    pub at: Timestamp,
    pub who: String,
    /// The place, and the folder in it.
    pub place: String,
    pub command: String,
    /// The exit code.
    pub exit: u8,
    pub seconds: f64,
}

impl Typed {
    /// A command that ended now.
    pub fn new(place: &str, command: &str, exit: Exit, took: Duration) -> Self {
        Self {
            at: Timestamp::now(),
            who: user_name().unwrap_or_default(),
            place: place.to_owned(),
            command: command.to_owned(),
            exit: exit as u8,
            seconds: took.as_secs_f64(),
        }
    }
}

fn file(context: &Context) -> Outcome<PathBuf> {
    Ok(context.state_dir()?.join("commands.log"))
}

/// Writes a command down. That this failed is told, and nothing else depends on it.
pub fn note(context: &Context, typed: &Typed) {
    let written = file(context).and_then(|file| {
        append(&file, typed).map_err(|error| {
            Failure::failed(format!("{} could not be written", file.display())).note(error.to_string())
        })
    });
    if let Err(failure) = written {
        context.console.warning(failure);
    }
}

fn append(path: &PathBuf, typed: &Typed) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    file.lock()?;
    if file.metadata()?.len() > LARGE {
        halve(&mut file)?;
    }
    let mut line = serde_json::to_vec(typed)?;
    line.push(b'\n');
    file.write_all(&line)
}

/// Leaves the newer half.
fn halve(file: &mut File) -> io::Result<()> {
    let mut newer = Vec::new();
    file.seek(SeekFrom::Start(LARGE / 2))?;
    file.read_to_end(&mut newer)?;
    let begin = newer.iter().position(|byte| *byte == b'\n').map_or(newer.len(), |at| at + 1);
    file.set_len(0)?;
    file.write_all(&newer[begin..])
}

/// The last `most` commands, the oldest of them first; lines that cannot be read are passed over.
pub fn last(context: &Context, most: usize) -> Outcome<Vec<Typed>> {
    let path = file(context)?;
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let what = format!("{} could not be read", path.display());
            return Err(Failure::failed(what).note(error.to_string()));
        }
    };
    let mut all: Vec<Typed> =
        text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    all.drain(..all.len().saturating_sub(most));
    Ok(all)
}

/// Tells the last commands.
pub fn tell(context: &Context, most: usize) -> Outcome {
    let all = last(context, most)?;
    let mut out = context.out();
    if context.json {
        for typed in &all {
            let mut object = serde_json::to_value(typed).expect("plain data");
            object["event"] = "command".into();
            out.line(object)?;
        }
        out.flush()?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[Align::Left; 5]);
    table.row(["WHEN", "WHO", "RESULT", "WHERE", "COMMAND"].map(str::to_owned).to_vec());
    let zone = context.zone();
    for typed in &all {
        let result = if typed.exit == 0 { "done".to_owned() } else { format!("exit {}", typed.exit) };
        let at = units::local_time(Time::new(typed.at.as_second(), 0), &zone);
        let shown = |text: &str| Printable(text.as_bytes()).to_string();
        table.row(vec![at, shown(&typed.who), result, shown(&typed.place), shown(&typed.command)]);
    }
    for line in table.lines().take(if all.is_empty() { 0 } else { usize::MAX }) {
        out.line(line)?;
    }
    out.flush()?;
    Ok(Exit::Done)
}
