//! From a line to what is asked for. The verbs that look, and `get`, are those of the command line, with its options.

use std::path::PathBuf;

use crate::args::{self, Asked, GlobalArgs, Verb};
use crate::exit::{Failure, Outcome};

/// What a line asks for.
#[derive(Debug)]
pub enum Command {
    /// Nothing.
    Nothing,
    /// A verb of the command line, with paths of this place.
    Verb(Box<GlobalArgs>, Box<Verb>),
    /// Bring a file or folder of this machine into a folder of this place.
    Put(GlobalArgs, PathBuf, String),
    /// Go to a folder of this place.
    Enter(String),
    /// Tell where one is.
    Here,
    /// Go to a folder of this machine.
    EnterHere(PathBuf),
    /// Tell what was done, the last so many.
    Log(usize),
    /// This text, for people.
    Text(String),
    /// What can be asked for.
    Help,
    /// The end.
    Leave,
}

/// The verbs of the command line that the shell has too.
pub const VERBS: [&str; 6] = ["cat", "du", "find", "get", "hash", "ls"];

/// The shell's own.
pub const OWN: [&str; 8] = ["cd", "exit", "help", "lcd", "log", "put", "pwd", "quit"];

/// The words of a program that went before, and what they are here.
pub const OLD: [(&str, &str); 5] = [
    ("IndexGet longlist [GLOB] [TEXT]", "ls --long --glob GLOB --contains TEXT"),
    ("IndexGet shortlist START END [GLOB] [TEXT]", "ls --long --since START --until END …"),
    ("FileHash verify FILE", "hash --long FILE"),
    ("FileHash checkall", "hash --long"),
    ("FileDownload TCP|UDP FILE [DEST]", "get --transport tcp|udp FILE [DEST]"),
];

/// So many lines of the log are told.
const LOG: usize = 20;

/// Understands a line.
pub fn understand(line: &str) -> Outcome<Command> {
    let words = shell_words::split(line).map_err(|_| {
        Failure::usage("a quote is not closed")
            .hint("write '…' or \"…\" around names with blanks, or \\ before one")
    })?;
    let words = modern(words)?;
    let Some((first, rest)) = words.split_first() else { return Ok(Command::Nothing) };
    if VERBS.contains(&first.as_str()) {
        return verb(&words);
    }
    let own = |usage: &str, most: usize| match rest.len() {
        n if n <= most && rest.iter().all(|word| !word.starts_with('-')) => Ok(()),
        _ => Err(Failure::usage(format!("'{first}' is written so: {usage}"))),
    };
    let word = |at: usize| rest.get(at).cloned();
    match first.as_str() {
        "put" => put(rest),
        "cd" => own("cd [FOLDER]", 1).map(|()| Command::Enter(word(0).unwrap_or_else(|| "/".into()))),
        "pwd" => own("pwd", 0).map(|()| Command::Here),
        "lcd" => {
            own("lcd FOLDER", 1)?;
            let folder = word(0).ok_or_else(|| Failure::usage("'lcd' is written so: lcd FOLDER"))?;
            Ok(Command::EnterHere(folder.into()))
        }
        "log" => {
            own("log [N]", 1)?;
            let n = word(0).map(|n| n.parse()).transpose();
            let n = n.map_err(|_| Failure::usage("'log' is written so: log [N], and N is a number"))?;
            Ok(Command::Log(n.unwrap_or(LOG)))
        }
        "help" | "?" => {
            own("help [COMMAND]", 1)?;
            match word(0).filter(|verb| VERBS.contains(&verb.as_str())) {
                Some(about) => verb(&[about, "--help".into()]),
                None => Ok(Command::Help),
            }
        }
        "exit" | "quit" | "bye" => own("exit", 0).map(|()| Command::Leave),
        other => Err(unknown(other)),
    }
}

fn unknown(word: &str) -> Failure {
    let failure = Failure::usage(format!("'{word}' is no command here"));
    match crate::hints::nearest(word, VERBS.into_iter().chain(OWN)) {
        Some(nearest) => failure.hint(format!("did you mean {nearest} ?")),
        None => failure.hint("`help` shows what there is"),
    }
}

fn verb(words: &[String]) -> Outcome<Command> {
    let line = std::iter::once("sitta".to_owned()).chain(words.iter().cloned());
    match args::parse(line.map(Into::into))? {
        Asked::Text(text) => Ok(Command::Text(text)),
        Asked::Verb(global, verb) => Ok(Command::Verb(Box::new(global), verb)),
    }
}

/// `put` takes the options that all commands have.
fn put(words: &[String]) -> Outcome<Command> {
    let line = ["sitta", "copy"].map(str::to_owned).into_iter().chain(words.iter().cloned());
    let usage = || Failure::usage("'put' is written so: put FILE|FOLDER [FOLDER]");
    let (mut plain, options): (Vec<String>, Vec<String>) = line.partition(|word| !word.starts_with('-'));
    match plain.len() {
        3 => plain.push(".".into()),
        4 => {}
        _ => return Err(usage()),
    }
    let asked = args::parse(plain.iter().chain(&options).map(Into::into)).map_err(|_| usage())?;
    match asked {
        Asked::Verb(global, _) => Ok(Command::Put(global, plain[2].clone().into(), plain[3].clone())),
        Asked::Text(_) => Ok(Command::Text(
            "put FILE|FOLDER [FOLDER]\n\nBrings a file, or a folder with all that is in it, \
                                            into FOLDER, or to where you are.\n"
                .into(),
        )),
    }
}

/// The words of today for those of a program that went before.
fn modern(words: Vec<String>) -> Outcome<Vec<String>> {
    let lower: Vec<String> = words.iter().take(2).map(|word| word.to_ascii_lowercase()).collect();
    let new = |start: &[&str], rest: &[String]| {
        Ok(start.iter().map(ToString::to_string).chain(rest.iter().cloned()).collect())
    };
    let narrowed = |words: &[String]| -> Vec<String> {
        let one = |word: &String| match word {
            word if word.starts_with('-') => vec![word.clone()],
            word if word.contains(['*', '?']) => vec!["--glob".into(), word.clone()],
            word => vec!["--contains".into(), word.clone()],
        };
        words.iter().flat_map(one).collect()
    };
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    match (lower.as_slice(), &words[..]) {
        (["indexget", "longlist"], [_, _, rest @ ..]) => new(&["ls", "--long"], &narrowed(rest)),
        (["indexget", "shortlist"], [_, _, since, until, rest @ ..]) => {
            new(&["ls", "--long", "--since", since, "--until", until], &narrowed(rest))
        }
        (["filehash", "verify"], [_, _, file]) => new(&["hash", "--long", file], &[]),
        (["filehash", "checkall"], [_, _]) => new(&["hash", "--long"], &[]),
        (["filedownload", by @ ("tcp" | "udp")], [_, _, rest @ ..]) if !rest.is_empty() => {
            new(&["get", "--transport", by], rest)
        }
        ([old @ ("indexget" | "filehash" | "filedownload"), ..], _) => {
            let known = OLD.iter().filter(|(usage, _)| usage.to_ascii_lowercase().starts_with(old));
            Err(Failure::usage(format!("'{}' is written so:", words[0])).notes(known.map(|(usage, _)| *usage)))
        }
        _ => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(line: &str) -> String {
        let words = line.split(' ').map(str::to_owned).collect();
        modern(words).map_or_else(|failure| failure.what, |words| words.join(" "))
    }

    #[test]
    fn the_words_of_the_program_before_still_work() {
        assert_eq!(old("IndexGet longlist"), "ls --long");
        assert_eq!(old("IndexGet longlist *.txt Programmer"), "ls --long --glob *.txt --contains Programmer");
        assert_eq!(
            old("indexget shortlist 2026-01-01 2026-02-01 *.pdf"),
            "ls --long --since 2026-01-01 --until 2026-02-01 --glob *.pdf"
        );
        assert_eq!(old("FileHash verify a"), "hash --long a");
        assert_eq!(old("FileHash checkall"), "hash --long");
        assert_eq!(old("FileDownload UDP a b"), "get --transport udp a b");
        assert_eq!(old("FileDownload a"), "'FileDownload' is written so:");
        assert_eq!(old("IndexGet shortlist 2026-01-01"), "'IndexGet' is written so:");
        assert_eq!(old("ls IndexGet"), "ls IndexGet");
    }

    fn refused(line: &str) -> Failure {
        understand(line).expect_err("wrong")
    }

    #[test]
    fn lines_are_understood_or_refused_with_what_would_be_right() {
        assert!(matches!(understand(""), Ok(Command::Nothing)));
        assert!(matches!(understand("  # a remark"), Ok(Command::Nothing)));
        assert!(matches!(understand("cd 'a b'"), Ok(Command::Enter(folder)) if folder == "a b"));
        assert!(matches!(understand("log 3"), Ok(Command::Log(3))));
        assert!(matches!(understand("help ls"), Ok(Command::Text(text)) if text.contains("--recursive")));
        assert!(matches!(understand("put a"), Ok(Command::Put(_, _, folder)) if folder == "."));
        let Ok(Command::Verb(_, verb)) = understand("ls -l docs") else { panic!("a verb") };
        assert!(matches!(*verb, Verb::Ls(args) if args.long && args.locations == ["docs"]));
        assert_eq!(refused("sl").hint.as_deref(), Some("did you mean ls ?"));
        assert_eq!(refused("mirror a b").what, "'mirror' is no command here");
        assert_eq!(refused("get 'a").what, "a quote is not closed");
        assert_eq!(refused("get").exit, crate::exit::Exit::Usage);
        assert_eq!(refused("put").exit, crate::exit::Exit::Usage);
        assert_eq!(refused("put a b c").exit, crate::exit::Exit::Usage);
        assert_eq!(refused("cd a b").exit, crate::exit::Exit::Usage);
        assert_eq!(refused("log x").exit, crate::exit::Exit::Usage);
    }
}
