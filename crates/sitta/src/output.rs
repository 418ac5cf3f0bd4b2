//! The two streams: data to standard output, talk to standard error.

use std::fmt;
use std::io::{self, BufWriter, Stdout, Write};
use std::sync::{Mutex, MutexGuard};

use crate::exit::{Exit, Failure, Outcome};
use crate::render::style::Style;
use crate::render::table::Table;

/// Standard output, buffered. Whoever reads it may leave at any time (`| head`): that ends the program quietly.
#[derive(Debug)]
pub struct Out {
    writer: BufWriter<Stdout>,
}

impl Out {
    /// There is one of it at a time.
    pub fn new() -> Self {
        Self { writer: BufWriter::with_capacity(64 * 1024, io::stdout()) }
    }

    /// Writes a line.
    pub fn line(&mut self, line: impl fmt::Display) -> Outcome<()> {
        writeln!(self.writer, "{line}").map_err(|e| failed(&e))
    }

    /// Writes a table, its first row as its head.
    pub fn table(&mut self, table: &Table, style: Style) -> Outcome<()> {
        for (index, line) in table.lines().enumerate() {
            match index {
                0 => self.line(style.accent(line))?,
                _ => self.line(line)?,
            }
        }
        Ok(())
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.writer.write_all(bytes).map_err(|e| failed(&e))
    }

    /// Hands over what is buffered.
    pub fn flush(&mut self) -> Outcome<()> {
        self.writer.flush().map_err(|e| failed(&e))
    }
}

fn failed(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::new(Exit::Done, ""),
        _ => Failure::failed("the output could not be written").note(error.to_string()),
    }
}

/// Standard error: lines, and below them at most one line that is redrawn.
#[derive(Debug)]
pub struct Console {
    /// How to colour it.
    pub style: Style,
    drawn: Mutex<bool>,
}

impl Console {
    /// There is one of it.
    pub fn new(style: Style) -> Self {
        Self { style, drawn: Mutex::new(false) }
    }

    /// Writes a line, above the progress line if there is one. A closed stream is no reason to stop working.
    pub fn line(&self, line: impl fmt::Display) {
        let mut drawn = self.lock();
        let clear = if std::mem::take(&mut *drawn) { "\r\x1b[K" } else { "" };
        let _ = writeln!(io::stderr().lock(), "{clear}{line}");
    }

    /// Redraws the progress line.
    pub fn progress(&self, line: &str) {
        *self.lock() = true;
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "\r{line}\x1b[K").and_then(|()| stderr.flush());
    }

    /// Writes a question; what is typed comes behind it.
    pub fn prompt(&self, question: &str) {
        self.clear();
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "{question}").and_then(|()| stderr.flush());
    }

    /// Removes the progress line.
    pub fn clear(&self) {
        if std::mem::take(&mut *self.lock()) {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }

    /// How many columns there are.
    pub fn width(&self) -> usize {
        rustix::termios::tcgetwinsize(io::stderr()).map_or(80, |size| usize::from(size.ws_col).max(20))
    }

    /// Says what could not be done.
    pub fn failure(&self, failure: &Failure) {
        let mut text = format!("{} {}", self.style.strong("error:"), failure.what);
        for note in &failure.notes {
            text.push_str(&format!("\n  {note}"));
        }
        if let Some(hint) = &failure.hint {
            text.push_str(&format!("\n{} {hint}", self.style.accent("hint:")));
        }
        self.line(text);
    }

    /// Says that something is not as it should be, though the work goes on.
    pub fn warning(&self, text: impl fmt::Display) {
        self.line(format!("{} {text}", self.style.strong("warning:")));
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.drawn.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
