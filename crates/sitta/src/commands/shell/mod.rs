//! `sitta shell`: a prompt at a place.

mod complete;
mod words;

use std::ffi::OsString;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Editor};
use signal_hook::consts::SIGINT;
use sitta_tree::{Existing, Kind, Policy, RelPath};

use self::complete::{Completing, Name};
use self::words::{Command, OLD, understand};
use super::typed::{self, Typed};
use super::{block_on, cat, du, find, get, hash, interruptible, ls, moving};
use crate::args::{MovingArgs, OneWayArgs, RuleArg, RuleArgs, ShellArgs, Verb};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::open::{self, Inside};
use crate::render::failure;

/// So many lines can be gone back to.
const HISTORY: usize = 1000;

/// How long a completion may take.
const SOON: Duration = Duration::from_secs(3);

pub fn run(context: &Context, args: &ShellArgs) -> Outcome {
    let inside = Inside::new(context, &args.location)?;
    let mut shell = Shell { context: context.within(inside), leave: false };
    // A place that cannot be opened is told before the first prompt.
    shell.enter("/")?;
    match context.can_ask {
        true => shell.talk(),
        false => shell.read(),
    }
}

struct Shell {
    context: Context,
    leave: bool,
}

impl Shell {
    fn at(&self) -> &Inside {
        self.context.inside.as_ref().expect("a shell is inside of a place")
    }

    /// Lines of a file or a pipe, up to the first command that fails.
    fn read(&mut self) -> Outcome {
        for line in io::stdin().lock().lines() {
            let line = line.map_err(|e| Failure::failed("the commands could not be read").note(e.to_string()))?;
            let exit = self.line(&line)?;
            if exit != Exit::Done || self.leave {
                return Ok(exit);
            }
        }
        Ok(Exit::Done)
    }

    /// Somebody sits there.
    fn talk(&mut self) -> Outcome {
        let failed = |error: ReadlineError| Failure::failed("the terminal cannot be used").note(error.to_string());
        let mut editor: Editor<Completing<'static>, DefaultHistory> = Editor::new().map_err(failed)?;
        editor.set_completion_type(CompletionType::List);
        editor.set_auto_add_history(true);
        editor.set_max_history_size(HISTORY).map_err(failed)?;
        for typed in typed::last(&self.context, HISTORY)? {
            let _ = editor.add_history_entry(&typed.command);
        }
        // Ctrl-C ends a command, not the shell.
        let _ = signal_hook::flag::register(SIGINT, Arc::new(AtomicBool::new(false)));
        self.context.say(format_args!("{}: `help` shows what you can do here", self.at().root()));
        loop {
            let context = self.context.silent();
            editor.set_helper(Some(Completing::new(Box::new(move |folder| names(&context, folder)))));
            let prompt = format!("{}{}> ", self.at().root(), self.below());
            match editor.readline(&prompt) {
                Ok(line) => drop(self.line(&line).map_err(|failure| self.context.console.failure(&failure))),
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(Exit::Done),
                Err(error) => return Err(failed(error)),
            }
            if self.leave {
                return Ok(Exit::Done);
            }
        }
    }

    /// Where in the place, behind its name in the prompt.
    fn below(&self) -> String {
        match self.at().here() {
            here if here == "/" => String::new(),
            here if self.at().root().ends_with([':', '/']) => here[1..].to_owned(),
            here => here,
        }
    }

    /// Does what a line asks for, and writes it down.
    fn line(&mut self, line: &str) -> Outcome {
        let (started, place) = (Instant::now(), format!("{}{}", self.at().root(), self.below()));
        let result = match understand(line) {
            Ok(Command::Nothing) => return Ok(Exit::Done),
            Ok(command) => self.carry_out(command),
            Err(failure) => Err(failure),
        };
        let exit = result.as_ref().map_or_else(|failure| failure.exit, |exit| *exit);
        typed::note(&self.context, &Typed::new(&place, line.trim(), exit, started.elapsed()));
        match result {
            // Whoever read what was printed has left; that ends a command, and says nothing.
            Err(failure) if failure.what.is_empty() => Ok(failure.exit),
            result => result,
        }
    }

    fn carry_out(&mut self, command: Command) -> Outcome {
        match command {
            Command::Nothing => {}
            Command::Verb(global, verb) => return verb_of(&self.context.asked(&global), *verb),
            Command::Put(global, from, to) => return put(&self.context.asked(&global), &from, to),
            Command::Enter(folder) => self.enter(&folder)?,
            Command::Here => {
                let here = self.at().here();
                self.print(format_args!("{here}\n"))?;
            }
            Command::EnterHere(folder) => std::env::set_current_dir(&folder).map_err(|error| {
                Failure::failed(format!("{} cannot be gone to", folder.display())).note(error.to_string())
            })?,
            Command::Log(n) => return typed::tell(&self.context, n),
            Command::Text(text) => self.print(format_args!("{text}"))?,
            Command::Help => self.print(format_args!("{}", help()))?,
            Command::Leave => self.leave = true,
        }
        Ok(Exit::Done)
    }

    fn enter(&mut self, folder: &str) -> Outcome<()> {
        let names = self.at().folder(folder)?;
        is_folder(&self.context, &OsString::from(folder))?;
        if let Some(inside) = &mut self.context.inside {
            inside.enter(names);
        }
        Ok(())
    }

    fn print(&self, text: std::fmt::Arguments<'_>) -> Outcome<()> {
        let mut out = self.context.out();
        out.bytes(text.to_string().as_bytes())?;
        out.flush()
    }
}

/// Ctrl-C ends those that look at once; `get` finishes what was begun.
fn verb_of(context: &Context, verb: Verb) -> Outcome {
    match verb {
        Verb::Ls(args) => interruptible(|| ls::run(context, &args)),
        Verb::Find(args) => interruptible(|| find::run(context, &args)),
        Verb::Hash(args) => interruptible(|| hash::run(context, &args)),
        Verb::Du(args) => interruptible(|| du::run(context, &args)),
        Verb::Cat(args) => interruptible(|| cat::run(context, &args)),
        Verb::Get(args) => match get::file(context, &args)? {
            Some(exit) => Ok(exit),
            None => get::folder(context, args),
        },
        _ => Err(Failure::usage("this is no command here").hint("`help` shows what there is")),
    }
}

fn is_folder(context: &Context, folder: &OsString) -> Outcome<()> {
    block_on(async {
        let opened = open::open(context, folder).await?;
        let root = opened.store.stat(&RelPath::root()).await;
        match root.map_err(|error| failure::looking(&opened.label, &error))? {
            Some(entry) if entry.kind == Kind::Dir => Ok(()),
            _ => Err(Failure::failed(format!("{} is no folder", opened.label)).hint("`ls` shows what is there")),
        }
    })
}

/// What a folder of the place holds; nothing if it does not say so soon.
fn names(context: &Context, folder: &str) -> Vec<Name> {
    let folder = OsString::from(if folder.is_empty() { "." } else { folder });
    let listed = block_on(async {
        let listing = async {
            let opened = open::open(context, &folder).await?;
            let listed = opened.store.list(&RelPath::root()).await;
            listed.map_err(|error| failure::looking(&opened.label, &error))
        };
        tokio::time::timeout(SOON, listing).await.unwrap_or_else(|_| Ok(Vec::new()))
    });
    let name = |(name, entry): (Box<[u8]>, sitta_tree::Entry)| {
        Some((String::from_utf8(name.into()).ok()?, entry.kind == Kind::Dir))
    };
    listed.unwrap_or_default().into_iter().filter_map(name).collect()
}

/// Brings a file, or a folder as a whole, into a folder of the place.
fn put(context: &Context, from: &Path, to: String) -> Outcome {
    let unreadable =
        |error: io::Error| Failure::failed(format!("{} could not be read", from.display())).note(error.to_string());
    let from = from.canonicalize().map_err(unreadable)?;
    let name = from.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let name = name.ok_or_else(|| Failure::usage(format!("{} has no name that can be kept", from.display())))?;
    let (folder, destination, rules) = match from.metadata().map_err(unreadable)?.is_dir() {
        true => (from, format!("{}/{name}", to.trim_end_matches('/')), Vec::new()),
        false => {
            let only = [RuleArg::Exclude("*".into()), RuleArg::Include(format!("/{}", literal(&name)))];
            (from.parent().map(PathBuf::from).unwrap_or_default(), to, only.into())
        }
    };
    let moving = MovingArgs { rules: RuleArgs(rules), ..MovingArgs::default() };
    let source = open::here(context, &folder);
    let way = OneWayArgs { source, destination: destination.into(), moving, hard_links: false };
    let around = moving::Around::new(context, false);
    moving::run(context, way, "copy", Policy::Copy { existing: Existing::Replace }, &around)
}

/// A pattern that matches this name only.
fn literal(name: &str) -> String {
    name.chars().fold(String::new(), |mut pattern, c| {
        if "\\*?[]{}!#".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
        pattern
    })
}

fn help() -> String {
    let mut text = String::from(
        "ls [PATH…]           list; -l with sizes and times, -R all below, --contains TEXT, --since 2d\n\
         find [PATH…]         the paths of everything below that fits: --ext, --glob, --min-size …\n\
         hash [PATH…]         checksums; -l with sizes and times\n\
         du [PATH…]           sizes of folders\n\
         cat FILE…            print files\n\
         get PATH [DEST]      download a file, or what is in a folder; --transport tcp|udp\n\
         put PATH [FOLDER]    upload a file or a folder\n\
         cd FOLDER, pwd       go there; where you are\n\
         lcd FOLDER           go to a folder of this machine\n\
         log [N]              what was done, here and in earlier shells\n\
         help [COMMAND]       this, or all options of a command\n\
         exit                 or Ctrl-D\n\
         \n\
         The words of the old client:\n",
    );
    for (old, new) in OLD {
        text.push_str(&format!("{old:<44}{new}\n"));
    }
    text
}
