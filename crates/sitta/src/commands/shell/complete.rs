//! Completing what is typed: commands, their options, names of the place, names of this machine.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context as Line, Helper};

use super::words::{OWN, VERBS};

/// What a folder held so short a time ago it holds still.
const FRESH: Duration = Duration::from_secs(5);

/// A name, and whether it is a folder's.
pub type Name = (String, bool);

/// Lists a folder of the place; nothing if that cannot be done just now.
pub type List<'l> = dyn Fn(&str) -> Vec<Name> + 'l;

/// What `rustyline` asks.
pub struct Completing<'l> {
    list: Box<List<'l>>,
    seen: RefCell<HashMap<String, (Instant, Vec<Name>)>>,
}

impl<'l> Completing<'l> {
    pub fn new(list: Box<List<'l>>) -> Self {
        Self { list, seen: RefCell::default() }
    }

    fn remote(&self, folder: &str) -> Vec<Name> {
        let mut seen = self.seen.borrow_mut();
        seen.retain(|_, (at, _)| at.elapsed() < FRESH);
        seen.entry(folder.to_owned()).or_insert_with(|| (Instant::now(), (self.list)(folder))).1.clone()
    }
}

/// What a word may become, and where it begins.
fn candidates(
    line: &str,
    remote: impl Fn(&str) -> Vec<Name>,
    local: impl Fn(&str) -> Vec<Name>,
) -> (usize, Vec<Pair>) {
    let (start, typed, before) = last_word(line);
    let pair = |shown: String, text: String| Pair { display: shown, replacement: text };
    let Some(verb) = before.first() else {
        let all = VERBS.into_iter().chain(OWN).filter(|verb| verb.starts_with(&typed));
        return (start, all.map(|verb| pair(verb.to_owned(), format!("{verb} "))).collect());
    };
    if typed.starts_with('-') {
        return (start, options(verb, &typed).map(|o| pair(o.clone(), format!("{o} "))).collect());
    }
    let plain = before.iter().skip(1).filter(|word| !word.starts_with('-')).count();
    let here = matches!((verb.as_str(), plain), ("put", 0) | ("get", 1) | ("lcd", 0));
    let only_folders = matches!((verb.as_str(), plain), ("cd" | "lcd", _) | ("put", 1));
    if matches!(verb.as_str(), "log" | "help" | "pwd" | "exit" | "quit") {
        return (start, Vec::new());
    }
    let (folder, name) = match typed.rsplit_once('/') {
        Some((folder, name)) => (format!("{folder}/"), name),
        None => (String::new(), typed.as_str()),
    };
    let names = if here { local(&folder) } else { remote(&folder) };
    let fits = names.into_iter().filter(|(other, is_folder)| {
        other.starts_with(name)
            && (*is_folder || !only_folders)
            && (!other.starts_with('.') || name.starts_with('.'))
    });
    let mut pairs: Vec<Pair> = fits
        .map(|(name, is_folder)| {
            let end = if is_folder { "/" } else { " " };
            pair(format!("{name}{}", end.trim()), format!("{}{end}", escaped(&format!("{folder}{name}"))))
        })
        .collect();
    pairs.sort_by(|a, b| a.display.cmp(&b.display));
    (start, pairs)
}

fn options<'t>(verb: &str, typed: &'t str) -> impl Iterator<Item = String> + use<'t> {
    let command = crate::args::command();
    let found = command.find_subcommand(verb).filter(|_| VERBS.contains(&verb)).cloned();
    let all = found.into_iter().flat_map(|verb| {
        let names = verb.get_arguments().filter_map(|arg| arg.get_long()).map(|long| format!("--{long}"));
        names.collect::<Vec<_>>()
    });
    all.filter(move |option| option.starts_with(typed))
}

/// Where the last word begins, what it is, and the words before it.
fn last_word(line: &str) -> (usize, String, Vec<String>) {
    let (mut words, mut word, mut start, mut quote, mut open) =
        (Vec::new(), String::new(), line.len(), None, false);
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        if !open && !c.is_whitespace() {
            (open, start) = (true, at);
        }
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('\'' | '"', None) => quote = Some(c),
            ('\\', None | Some('"')) => word.extend(chars.next().map(|(_, c)| c)),
            (c, None) if c.is_whitespace() => {
                if std::mem::take(&mut open) {
                    words.push(std::mem::take(&mut word));
                }
            }
            (c, _) => word.push(c),
        }
    }
    if !open {
        start = line.len();
    }
    (start, word, words)
}

/// The name as it has to be typed.
fn escaped(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:=@%".contains(c);
    name.chars().fold(String::with_capacity(name.len()), |mut typed, c| {
        if !plain(c) {
            typed.push('\\');
        }
        typed.push(c);
        typed
    })
}

/// What a folder of this machine holds.
fn local(folder: &str) -> Vec<Name> {
    let folder = if folder.is_empty() { Path::new(".") } else { Path::new(folder) };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path().is_dir()))).collect()
}

impl Completer for Completing<'_> {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Line<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(candidates(&line[..at], |folder| self.remote(folder), local))
    }
}

impl Hinter for Completing<'_> {
    type Hint = String;
}

impl Highlighter for Completing<'_> {}
impl Validator for Completing<'_> {}
impl Helper for Completing<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(line: &str) -> Vec<String> {
        let remote = |folder: &str| match folder {
            "" => vec![("a file.txt".into(), false), ("docs".into(), true), (".hidden".into(), false)],
            "docs/" => vec![("deep".into(), true), ("draft.odt".into(), false)],
            _ => Vec::new(),
        };
        let local = |_: &str| vec![("here.txt".into(), false), ("hub".into(), true)];
        let (start, pairs) = candidates(line, remote, local);
        pairs.into_iter().map(|pair| format!("{}{}", &line[..start], pair.replacement)).collect()
    }

    #[test]
    fn commands_options_and_names_are_completed() {
        assert_eq!(complete("fi"), ["find "]);
        assert_eq!(complete("ls --rec"), ["ls --recursive "]);
        assert_eq!(complete("ls "), ["ls a\\ file.txt ", "ls docs/"]);
        assert_eq!(complete("ls ."), ["ls .hidden "]);
        assert_eq!(complete("get a\\ f"), ["get a\\ file.txt "]);
        assert_eq!(complete("get 'a f"), ["get a\\ file.txt "]);
        assert_eq!(complete("ls docs/d"), ["ls docs/deep/", "ls docs/draft.odt "]);
        assert_eq!(complete("cd docs/"), ["cd docs/deep/"]);
        assert_eq!(complete("get x h"), ["get x here.txt ", "get x hub/"]);
        assert_eq!(complete("put h"), ["put here.txt ", "put hub/"]);
        assert_eq!(complete("put here.txt d"), ["put here.txt docs/"]);
        assert_eq!(complete("lcd "), ["lcd hub/"]);
        assert_eq!(complete("log "), [""; 0]);
        assert_eq!(complete("nothing x --"), [""; 0]);
    }
}
