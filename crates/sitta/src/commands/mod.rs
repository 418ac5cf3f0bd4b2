//! One file a verb: from the arguments to what they mean, and from what happened to the exit code.

mod archive;
mod cache;
mod cat;
mod config;
mod conflicts;
mod copy;
mod daemon;
mod du;
mod find;
mod general;
mod get;
mod hash;
mod init;
mod job;
mod listing;
mod ls;
mod mirror;
pub mod moving;
mod schedule;
pub mod serve;
mod share;
mod shell;
mod sync;
mod trash;
mod tui;
mod typed;
mod unpack;
mod user;

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::runtime::{Builder, Runtime};

use self::moving::Around;
use crate::args::{self, Asked, Verb};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Console, Out};
use crate::render::json;
use crate::render::style::Style;

/// The whole program, from its arguments to its exit code.
pub fn main() -> Exit {
    match args::parse(std::env::args_os()) {
        Ok(Asked::Text(text)) => print(&text),
        Ok(Asked::Verb(global, verb)) => {
            let context = Context::new(&global);
            run(&context, *verb).unwrap_or_else(|failure| tell(&context.console, &failure))
        }
        Err(failure) => tell(&Console::new(Style::default()), &failure),
    }
}

/// Says what went wrong, unless there is nothing to say.
fn tell(console: &Console, failure: &Failure) -> Exit {
    if !failure.what.is_empty() {
        console.failure(failure);
    }
    failure.exit
}

fn print(text: &str) -> Exit {
    let mut out = Out::new();
    match out.bytes(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Exit::Done,
        Err(failure) => failure.exit,
    }
}

fn run(context: &Context, verb: Verb) -> Outcome {
    let name = name(&verb);
    let result = match verb {
        // These tell JSON their failures themselves, after their events.
        Verb::Copy(args) => return copy::run(context, args, &Around::new(context, false)),
        Verb::Mirror(args) => return mirror::run(context, args, &Around::new(context, false)),
        Verb::Sync(args) => return sync::run(context, args, &Around::new(context, true)),
        Verb::Archive(args) => return archive::run(context, &args, &Around::new(context, false)),
        Verb::Unpack(args) => return unpack::run(context, args),
        Verb::Run(args) => return job::run(context, &args),
        Verb::Conflicts(args) => conflicts::run(context, args),
        Verb::Trash(args) => trash::run(context, args),
        Verb::Ls(args) => ls::run(context, &args),
        Verb::Find(args) => find::run(context, &args),
        Verb::Hash(args) => hash::run(context, &args),
        Verb::Du(args) => du::run(context, &args),
        Verb::Get(args) => match get::file(context, &args) {
            Ok(Some(exit)) => Ok(exit),
            Ok(None) => return get::folder(context, args),
            Err(failure) => Err(failure),
        },
        Verb::Cat(args) => cat::run(context, &args),
        Verb::Cache(args) => cache::run(context, &args),
        Verb::Shell(args) => shell::run(context, &args),
        Verb::Daemon(args) => daemon::run(context.reload()?, &args),
        Verb::Schedule(args) => schedule::run(context, &args),
        Verb::Serve(args) => serve::run(context, &args),
        Verb::Share(args) => share::run(context, &args),
        Verb::User(args) => user::run(context, &args),
        Verb::Jobs(args) => job::jobs(context, &args),
        Verb::History(args) => job::history(context, &args),
        Verb::Tui => tui::run(context),
        Verb::Init => init::run(context),
        Verb::Config(args) => config::run(context, args.verb),
        Verb::Completions(args) => general::completions(context, args.shell),
        Verb::Man => general::man(context),
    };
    if let Err(failure) = &result
        && context.json
        && !failure.what.is_empty()
    {
        let mut out = context.out();
        out.line(json::failure_value(name, failure))?;
        out.flush()?;
    }
    result
}

fn name(verb: &Verb) -> &'static str {
    match verb {
        Verb::Copy(_) => "copy",
        Verb::Mirror(_) => "mirror",
        Verb::Sync(_) => "sync",
        Verb::Archive(_) => "archive",
        Verb::Unpack(_) => "unpack",
        Verb::Conflicts(_) => "conflicts",
        Verb::Trash(_) => "trash",
        Verb::Ls(_) => "ls",
        Verb::Find(_) => "find",
        Verb::Hash(_) => "hash",
        Verb::Du(_) => "du",
        Verb::Get(_) => "get",
        Verb::Cat(_) => "cat",
        Verb::Cache(_) => "cache",
        Verb::Shell(_) => "shell",
        Verb::Run(_) => "run",
        Verb::Daemon(_) => "daemon",
        Verb::Schedule(_) => "schedule",
        Verb::Serve(_) => "serve",
        Verb::Share(_) => "share",
        Verb::User(_) => "user",
        Verb::Jobs(_) => "jobs",
        Verb::History(_) => "history",
        Verb::Tui => "tui",
        Verb::Init => "init",
        Verb::Config(_) => "config",
        Verb::Completions(_) => "completions",
        Verb::Man => "man",
    }
}

/// Runs asynchronous work with a few workers. They are the same ones for all commands of a shell, for connections live by
/// them; and never waited for: blocking calls that hang, on a dead network disk say, must not keep the program from ending.
fn block_on<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = match RUNTIME.get() {
        Some(runtime) => runtime,
        None => {
            let workers = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 8));
            let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build();
            let runtime =
                runtime.map_err(|e| Failure::failed("no threads could be started").note(e.to_string()))?;
            RUNTIME.get_or_init(|| runtime)
        }
    };
    if !INTERRUPTIBLE.load(Relaxed) {
        return runtime.block_on(work);
    }
    runtime.block_on(async {
        tokio::select! {
            result = work => result,
            _ = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Interrupted, "interrupted")),
        }
    })
}

/// Whether Ctrl-C ends what is waited for, and not the program.
static INTERRUPTIBLE: AtomicBool = AtomicBool::new(false);

/// Runs a command of a shell that changes nothing: Ctrl-C ends it at once, and it alone.
fn interruptible(command: impl FnOnce() -> Outcome) -> Outcome {
    INTERRUPTIBLE.store(true, Relaxed);
    let result = command();
    INTERRUPTIBLE.store(false, Relaxed);
    result
}
