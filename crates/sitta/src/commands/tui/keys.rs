//! What each key does, and what is said of it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::app::{App, Screen, Wish};
use super::browse::Browser;
use super::data::Spot;
use super::live::Live;
use super::pager::Pager;

/// A key, what it does in a word or two, and its rank: where there is no room for all, the highest go first.
pub type Hint = (&'static str, &'static str, u8);

/// All keys, for the help.
const ALL: [(&str, &str); 13] = [
    ("↑ ↓ k j", "choose; PgUp PgDn Home End go further"),
    ("Enter", "open what is chosen: a job, a run, a place, a folder"),
    ("r", "run the job and watch it; one that was begun here is watched again"),
    ("s", "stop the run: what was begun is finished. Once more stops at once"),
    ("b", "look into a place: the stores of the config, and where the job reads and writes"),
    ("Backspace ←", "up to the folder above"),
    ("u", "list a folder anew"),
    ("a", "add a profile: a few questions, then a job for them is written into the config"),
    ("e", "edit the config with $VISUAL or $EDITOR; then it is checked"),
    ("Ctrl-L", "draw everything anew"),
    ("?", "this help"),
    ("q Esc", "back; from the list of jobs: quit"),
    ("Ctrl-C", "quit"),
];

/// What the keys do on this screen.
pub fn hints(app: &App) -> Vec<Hint> {
    if app.asks_to_leave {
        return vec![("s", "stop and quit", 0), ("Esc", "stay", 0)];
    }
    let running = app.job().is_some_and(|job| app.goes_on(&job.line.job));
    let run = if running { ("r", "watch", 2) } else { ("r", "run", 2) };
    let stop = running.then_some(("s", "stop", 1));
    let mut hints = match app.screen() {
        Screen::Jobs => {
            let open = (!app.jobs().is_empty()).then_some([("Enter", "open", 1), run]);
            let more = [("b", "browse", 4), ("a", "add profile", 3), ("e", "edit config", 5)];
            return open.into_iter().flatten().chain(more).chain([("?", "help", 6), ("q", "quit", 0)]).collect();
        }
        Screen::Job { .. } => {
            let mut hints = vec![("Enter", "open run", 2), run];
            hints.extend(stop);
            hints.push(("b", "browse", 4));
            hints
        }
        Screen::Run { .. } | Screen::Help(_) => vec![("↑↓", "scroll", 3)],
        Screen::Live { job, .. } if app.goes_on(job) => vec![("s", "stop", 1)],
        Screen::Live { .. } => vec![("↑↓", "scroll", 3), ("r", "run again", 2)],
        Screen::Places { .. } => vec![("Enter", "open", 1)],
        Screen::Browse(_) => vec![("Enter", "go in", 1), ("←", "up", 2), ("u", "list anew", 4)],
    };
    hints.extend([("?", "help", 6), ("q", "back", 0)]);
    hints
}

/// The text of the help.
pub fn help() -> Vec<String> {
    let lines = ALL.iter().map(|(key, what)| format!("{key:<12} {what}"));
    lines.collect()
}

impl App {
    /// A key was pressed.
    pub fn key(&mut self, key: KeyEvent) -> Vec<Wish> {
        self.note = None;
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let code = match key.code {
            KeyCode::Char('c') if control => return if self.asks_to_leave { self.leave() } else { self.quit() },
            KeyCode::Char('l') if control => return vec![Wish::Redraw],
            _ if control => return Vec::new(),
            code => code,
        };
        if self.asks_to_leave {
            return match code {
                KeyCode::Char('s' | 'y') => self.leave(),
                KeyCode::Esc | KeyCode::Char('q' | 'n') => {
                    self.asks_to_leave = false;
                    Vec::new()
                }
                _ => Vec::new(),
            };
        }
        match code {
            KeyCode::Esc | KeyCode::Char('q') => self.back(),
            KeyCode::Char('?') if matches!(self.screen(), Screen::Help(_)) => self.back(),
            KeyCode::Char('?') => {
                let mut pager = Pager::default();
                pager.set(help());
                self.push(Screen::Help(pager));
                Vec::new()
            }
            KeyCode::Enter | KeyCode::Right => self.open(),
            KeyCode::Backspace | KeyCode::Left => {
                if let Screen::Browse(browser) = self.screen_mut()
                    && !browser.go_up()
                {
                    return self.back();
                }
                Vec::new()
            }
            KeyCode::Char(letter) if !matches!(letter, 'j' | 'k') => self.letter(letter),
            code => {
                self.go(code);
                Vec::new()
            }
        }
    }

    fn letter(&mut self, letter: char) -> Vec<Wish> {
        let job = self.job().map(|job| job.line.job.clone());
        match (letter, job) {
            ('r', Some(job)) => self.run(job),
            ('s', Some(job)) if self.goes_on(&job) => vec![Wish::Stop(job)],
            ('b', _) => {
                self.places();
                Vec::new()
            }
            ('a', _) if matches!(self.screen(), Screen::Jobs) => vec![Wish::Add],
            ('e', _) if matches!(self.screen(), Screen::Jobs) => vec![Wish::Edit],
            ('u', _) => {
                let serial = self.next_serial();
                match self.screen_mut() {
                    Screen::Browse(browser) => vec![Wish::List(browser.again(serial))],
                    _ => Vec::new(),
                }
            }
            _ => Vec::new(),
        }
    }

    fn run(&mut self, job: String) -> Vec<Wish> {
        if self.leaving {
            return Vec::new();
        }
        let shown = matches!(self.screen(), Screen::Live { .. });
        match (self.goes_on(&job), shown) {
            (true, true) => Vec::new(),
            (true, false) => {
                self.push(Screen::Live { job, pager: Pager::default() });
                Vec::new()
            }
            (false, _) => {
                if shown {
                    self.screens.pop();
                }
                vec![Wish::Run(job)]
            }
        }
    }

    /// The places that may be looked into from here.
    fn places(&mut self) {
        if matches!(self.screen(), Screen::Places { .. } | Screen::Browse(_)) {
            return;
        }
        let mut spots: Vec<Spot> = Vec::new();
        let of_job = self.job().into_iter().flat_map(|job| &job.places);
        for spot in of_job.chain(self.news.iter().flat_map(|news| &news.stores)) {
            if !spots.contains(spot) {
                spots.push(spot.clone());
            }
        }
        match spots.is_empty() {
            true => {
                self.note = Some("there is no place to look into: the config names no store and no job".to_owned())
            }
            false => self.push(Screen::Places { spots, picked: 0 }),
        }
    }

    fn open(&mut self) -> Vec<Wish> {
        let serial = self.next_serial();
        let next = match self.screen_mut() {
            Screen::Jobs => self.job().map(|job| Screen::Job { name: job.line.job.clone(), picked: 0 }),
            Screen::Job { name, picked } => {
                let (job, picked) = (name.clone(), *picked);
                self.run_at(job, picked)
            }
            Screen::Places { spots, picked } => {
                let Some(spot) = spots.get(*picked).cloned() else { return Vec::new() };
                let (browser, request) = Browser::enter(spot, serial);
                self.push(Screen::Browse(Box::new(browser)));
                return vec![Wish::List(request)];
            }
            Screen::Browse(browser) => return browser.go_in(serial).map(Wish::List).into_iter().collect(),
            Screen::Run { .. } | Screen::Live { .. } | Screen::Help(_) => None,
        };
        next.into_iter().for_each(|screen| self.push(screen));
        Vec::new()
    }

    /// The screen for one of a job's runs.
    fn run_at(&self, job: String, picked: usize) -> Option<Screen> {
        let run = &self.runs(&job)?.get(picked)?.run;
        let live = self.lives.get(&job).map(Live::headway);
        let is_ours = live.is_some_and(|live| live.end.is_none() && live.run.as_ref() == Some(run));
        let (run, pager) = (run.clone(), Pager::default());
        Some(if is_ours { Screen::Live { job, pager } } else { Screen::Run { job, run, pager } })
    }

    fn back(&mut self) -> Vec<Wish> {
        if self.screens.len() == 1 {
            return self.quit();
        }
        self.screens.pop();
        self.settle();
        Vec::new()
    }

    fn quit(&mut self) -> Vec<Wish> {
        if self.going_on().is_empty() {
            return vec![Wish::Quit];
        }
        self.asks_to_leave = true;
        Vec::new()
    }

    fn leave(&mut self) -> Vec<Wish> {
        (self.asks_to_leave, self.leaving) = (false, true);
        self.going_on().into_iter().map(|job| Wish::Stop(job.to_owned())).collect()
    }

    /// Goes up and down.
    fn go(&mut self, code: KeyCode) {
        let page = self.body().1.saturating_sub(1).max(1) as isize;
        let by = match code {
            KeyCode::Up | KeyCode::Char('k') => -1,
            KeyCode::Down | KeyCode::Char('j') => 1,
            KeyCode::PageUp => -page,
            KeyCode::PageDown => page,
            KeyCode::Home => isize::MIN / 2,
            KeyCode::End => isize::MAX / 2,
            _ => return,
        };
        let jobs = self.jobs().len();
        let runs = match self.screen() {
            Screen::Job { name, .. } => self.runs(name).map_or(0, <[_]>::len),
            _ => 0,
        };
        let (picked, len) = match self.screen_mut() {
            Screen::Jobs => (&mut self.picked, jobs),
            Screen::Job { picked, .. } => (picked, runs),
            Screen::Places { spots, picked } => (picked, spots.len()),
            Screen::Browse(browser) => {
                let len = browser.len();
                (browser.picked(), len)
            }
            Screen::Run { pager, .. } | Screen::Live { pager, .. } | Screen::Help(pager) => {
                return pager.scroll(by);
            }
        };
        *picked = picked.saturating_add_signed(by).min(len.saturating_sub(1));
    }
}
