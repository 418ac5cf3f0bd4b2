//! `sitta tui`: the jobs on a screen of their own.
//!
//! `app` is what is shown and `keys` what a key does to it, both without any I/O; `view` draws it. Everything slow is done
//! elsewhere and heard of: `data` reads jobs and their history, `look` lists directories, `live` reads what a run tells.

mod app;
mod browse;
mod data;
mod headway;
mod keys;
mod live;
mod look;
mod outside;
mod pager;
mod terminal;
mod view;

use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use self::app::{App, Screen, Wish};
use self::browse::Item;
use self::data::{News, Wanted};
use self::live::Live;
use self::look::Lister;
use crate::context::{Context, variable};
use crate::exit::{Exit, Failure, Outcome};

/// So long a key is waited for before it is looked whether anything else was heard of.
const WAIT: Duration = Duration::from_millis(50);

/// So long there is for an orderly end once the terminal is gone.
const FAREWELL: Duration = Duration::from_millis(500);

/// What moves by itself is drawn so often; what only ages, as often as it is told.
const MOVING: Duration = Duration::from_millis(100);
const AGEING: Duration = Duration::from_secs(1);

/// What comes from elsewhere.
pub enum Heard {
    /// Jobs and runs were read.
    News(Box<News>),
    /// A directory was listed, or could not be.
    Listed(u64, Result<Vec<Item>, String>),
    /// The run of a job that was begun here has ended.
    Ended(String),
    /// Somebody wants this process to end.
    Signal(i32),
}

pub fn run(context: &Context) -> Outcome {
    if context.json {
        return Err(Failure::usage("the screen of `sitta tui` cannot be printed as JSON")
            .hint("`sitta jobs --json` and `sitta history --json` tell what it shows"));
    }
    let dumb = variable("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    if !context.out_is_terminal || !io::stdin().is_terminal() || dumb {
        return Err(Failure::usage("`sitta tui` needs a terminal that can be drawn on")
            .note(if dumb { "TERM says that this one cannot" } else { "its input or its output is none" })
            .hint("`sitta jobs` and `sitta history` print what it shows"));
    }
    let (send, heard) = mpsc::channel();
    listen(&send)?;
    let context = context.unasked();
    let lister = Lister::new(context.unasked(), send.clone())?;
    let (wanted, asked) = mpsc::channel();
    let (reading, news) = (context.unasked(), send.clone());
    let reader = std::thread::Builder::new().spawn(move || data::watch(reading, &asked, &news));
    reader.map_err(|error| data::failed(&error))?;
    let screen = terminal::Screen::open().map_err(|error| lost(&error))?;
    let size = screen.size().map_err(|error| lost(&error))?;
    let app = App::new(Timestamp::now(), size, context.out_style.color);
    let mut tui = Tui { context, app, screen, lister, send, wanted, told: Wanted::default(), drawn: None };
    tui.go(&heard)
}

/// Signals become messages.
fn listen(send: &Sender<Heard>) -> Outcome<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| Failure::failed("signals cannot be heard").note(error.to_string()))?;
    let send = send.clone();
    std::thread::spawn(move || signals.forever().for_each(|signal| drop(send.send(Heard::Signal(signal)))));
    std::thread::spawn(|| {
        terminal::wait_until_gone();
        // Whoever reads keys from it may do so forever now, and hear of nothing else.
        std::thread::sleep(FAREWELL);
        std::process::exit(Exit::Interrupted as i32);
    });
    Ok(())
}

fn lost(error: &io::Error) -> Failure {
    Failure::failed("the terminal cannot be used").note(error.to_string())
}

struct Tui {
    context: Context,
    app: App,
    screen: terminal::Screen,
    lister: Lister,
    send: Sender<Heard>,
    wanted: Sender<Wanted>,
    /// What the reader was told that is wanted.
    told: Wanted,
    /// When it was last drawn; none if something has changed since.
    drawn: Option<Instant>,
}

impl Tui {
    fn go(&mut self, heard: &Receiver<Heard>) -> Outcome {
        loop {
            self.draw().map_err(|error| lost(&error))?;
            if event::poll(WAIT).map_err(|error| lost(&error))? {
                let event = event::read().map_err(|error| lost(&error))?;
                self.drawn = None;
                if let Some(exit) = self.typed(&event, heard)? {
                    return Ok(exit);
                }
            }
            while let Ok(heard) = heard.try_recv() {
                self.drawn = None;
                match heard {
                    Heard::News(news) => self.app.take(*news),
                    Heard::Listed(serial, result) => self.app.listed(serial, result),
                    Heard::Ended(job) => {
                        self.app.ended(&job);
                        self.ask(true);
                    }
                    // What was begun here ends with this process.
                    Heard::Signal(_) => return Ok(Exit::Interrupted),
                }
            }
            if self.app.leaving && self.app.going_on().is_empty() {
                return Ok(Exit::Done);
            }
            self.ask(false);
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let moves = match self.app.screen() {
            Screen::Live { job, .. } => self.app.goes_on(job),
            Screen::Browse(browser) => browser.is_loading(),
            _ => false,
        };
        let pause = if moves { MOVING } else { AGEING };
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < pause) {
            return Ok(());
        }
        self.app.now = Timestamp::now();
        self.drawn = Some(Instant::now());
        self.screen.draw(&self.app)
    }

    /// Says what is wanted if that has changed, or if it is to be read at once.
    fn ask(&mut self, at_once: bool) {
        let wanted = self.app.wanted();
        if at_once || wanted != self.told {
            self.told = wanted.clone();
            // The reader is there as long as we are.
            drop(self.wanted.send(wanted));
        }
    }

    fn typed(&mut self, event: &Event, heard: &Receiver<Heard>) -> Outcome<Option<Exit>> {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                for wish in self.app.key(*key) {
                    if let Some(exit) = self.grant(wish, heard)? {
                        return Ok(Some(exit));
                    }
                }
            }
            Event::Resize(width, height) => self.app.resize((*width, *height)),
            _ => {}
        }
        Ok(None)
    }

    fn grant(&mut self, wish: Wish, heard: &Receiver<Heard>) -> Outcome<Option<Exit>> {
        match wish {
            Wish::Run(job) => match Live::begin(&self.context, &job, &self.send) {
                Ok(live) => self.app.began(job, live),
                Err(failure) => self.app.note = Some(failure.what),
            },
            Wish::Stop(job) => {
                if let Some(live) = self.app.lives.get(&job) {
                    live.stop();
                }
            }
            Wish::List(request) => self.lister.list(request),
            Wish::Add => self.outside(outside::add, heard)?,
            Wish::Edit => self.outside(outside::edit, heard)?,
            Wish::Redraw => self.screen.clear().map_err(|error| lost(&error))?,
            Wish::Quit => return Ok(Some(Exit::Done)),
        }
        Ok(None)
    }

    /// Lets another program have the terminal.
    fn outside(&mut self, what: fn(&Context) -> Outcome<()>, heard: &Receiver<Heard>) -> Outcome<()> {
        terminal::leave();
        let result = what(&self.context);
        self.screen.enter().map_err(|error| lost(&error))?;
        // It may have another size now.
        let size = self.screen.size().map_err(|error| lost(&error))?;
        self.app.resize(size);
        if let Err(failure) = result {
            self.app.note = Some(std::iter::once(failure.what).chain(failure.notes).collect::<Vec<_>>().join(": "));
        }
        // Ctrl-C was meant for the other program. All else is still heard of.
        let kept: Vec<Heard> = heard.try_iter().filter(|heard| !matches!(heard, Heard::Signal(SIGINT))).collect();
        kept.into_iter().for_each(|heard| drop(self.send.send(heard)));
        self.ask(true);
        Ok(())
    }
}
