//! What is on the screen, and what becomes of it when something is heard of. Pure: whatever is to be done is a [`Wish`].

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::browse::{Browser, Item, Request};
use super::data::{JobNews, News, Spot, Wanted};
use super::live::Live;
use super::pager::Pager;
use crate::commands::job::history::Listed;

/// What is to be done outside of what is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Run this job.
    Run(String),
    /// Stop the run of this job.
    Stop(String),
    /// List a directory.
    List(Request),
    /// Ask for a new profile, and write it into the config.
    Add,
    /// Let the config be edited.
    Edit,
    /// Draw everything anew.
    Redraw,
    /// End.
    Quit,
}

/// One screen.
#[derive(Debug, Clone)]
pub enum Screen {
    /// All jobs.
    Jobs,
    /// A job and its runs.
    Job { name: String, picked: usize },
    /// A run that is over, or that somebody else began.
    Run { job: String, run: String, pager: Pager },
    /// A run that was begun here. The pager holds what is known of it once it is over.
    Live { job: String, pager: Pager },
    /// Places to look into.
    Places { spots: Vec<Spot>, picked: usize },
    /// A place that is looked into.
    Browse(Box<Browser>),
    /// What the keys do.
    Help(Pager),
}

/// Columns and lines below which nothing sensible can be shown.
pub const SMALLEST: (u16, u16) = (30, 8);

/// Lines that are not the screen's own: the title and a blank, a note and the keys.
pub const FRAME: u16 = 4;

/// Lines above what is known of a run that has ended: how, and a blank.
const ENDED: usize = 2;

/// All that is shown.
#[derive(Debug)]
pub struct App {
    pub now: Timestamp,
    pub size: (u16, u16),
    /// Colours are shown.
    pub color: bool,
    /// None until it was read.
    pub news: Option<News>,
    /// The first one is that of the jobs; the last one is seen.
    pub screens: Vec<Screen>,
    /// The job that is chosen.
    pub picked: usize,
    /// Runs that were begun here, by job: the last of each.
    pub lives: BTreeMap<String, Live>,
    /// It was asked whether to stop what runs, and leave.
    pub asks_to_leave: bool,
    /// It ends as soon as nothing runs any more.
    pub leaving: bool,
    /// Something to be said until the next key.
    pub note: Option<String>,
    serial: u64,
}

impl App {
    pub fn new(now: Timestamp, size: (u16, u16), color: bool) -> Self {
        Self {
            now,
            size,
            color,
            news: None,
            screens: vec![Screen::Jobs],
            picked: 0,
            lives: BTreeMap::new(),
            asks_to_leave: false,
            leaving: false,
            note: None,
            serial: 0,
        }
    }

    /// What is seen.
    pub fn screen(&self) -> &Screen {
        &self.screens[self.screens.len() - 1]
    }

    pub fn screen_mut(&mut self) -> &mut Screen {
        let last = self.screens.len() - 1;
        &mut self.screens[last]
    }

    /// Shows another screen above this one.
    pub fn push(&mut self, screen: Screen) {
        self.screens.push(screen);
        self.settle();
    }

    /// The columns and lines of a screen's own.
    pub fn body(&self) -> (usize, usize) {
        (usize::from(self.size.0), usize::from(self.size.1.saturating_sub(FRAME)))
    }

    /// All jobs, as far as they are known.
    pub fn jobs(&self) -> &[JobNews] {
        self.news.as_ref().map_or(&[], |news| &news.jobs)
    }

    /// The job that the screen is about.
    pub fn job(&self) -> Option<&JobNews> {
        let name = match self.screen() {
            Screen::Jobs => return self.jobs().get(self.picked),
            Screen::Job { name, .. } | Screen::Run { job: name, .. } | Screen::Live { job: name, .. } => name,
            Screen::Places { .. } | Screen::Browse(_) | Screen::Help(_) => return None,
        };
        self.jobs().iter().find(|job| job.line.job == *name)
    }

    /// The runs of a job, as far as they are known.
    pub fn runs(&self, job: &str) -> Option<&[Listed]> {
        let (of, runs) = self.news.as_ref()?.runs.as_ref()?;
        (*of == *job).then_some(runs)
    }

    /// Whether a run of this job that was begun here goes on.
    pub fn goes_on(&self, job: &str) -> bool {
        self.lives.get(job).is_some_and(Live::goes_on)
    }

    /// The jobs whose runs were begun here and go on.
    pub fn going_on(&self) -> Vec<&str> {
        self.lives.iter().filter(|(_, live)| live.goes_on()).map(|(job, _)| job.as_str()).collect()
    }

    /// What has to be known for this screen.
    pub fn wanted(&self) -> Wanted {
        match self.screen() {
            Screen::Job { name, .. } => Wanted { job: Some(name.clone()), run: None },
            Screen::Run { job, run, .. } => Wanted { job: Some(job.clone()), run: Some(run.clone()) },
            Screen::Live { job, .. } => {
                let headway = self.lives.get(job).map(Live::headway);
                let run = headway.filter(|headway| headway.end.is_some()).and_then(|headway| headway.run.clone());
                Wanted { job: Some(job.clone()), run }
            }
            Screen::Jobs | Screen::Places { .. } | Screen::Browse(_) | Screen::Help(_) => Wanted::default(),
        }
    }

    /// A number for a request that no other one has.
    pub fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// The screen has this size now.
    pub fn resize(&mut self, size: (u16, u16)) {
        self.size = size;
        self.settle();
    }

    /// Something was read.
    pub fn take(&mut self, news: News) {
        let before = self.jobs().get(self.picked).map(|job| job.line.job.clone());
        self.news = Some(news);
        let again = self.jobs().iter().position(|job| Some(&job.line.job) == before.as_ref());
        self.picked = again.unwrap_or(self.picked).min(self.jobs().len().saturating_sub(1));
        self.settle();
    }

    /// A directory was listed.
    pub fn listed(&mut self, serial: u64, result: Result<Vec<Item>, String>) {
        // It may stand below the help.
        for screen in &mut self.screens {
            if let Screen::Browse(browser) = screen {
                browser.listed(serial, result);
                return;
            }
        }
    }

    /// A run was begun; it is shown.
    pub fn began(&mut self, job: String, live: Live) {
        self.lives.insert(job.clone(), live);
        self.push(Screen::Live { job, pager: Pager::default() });
    }

    /// A run has ended.
    pub fn ended(&mut self, job: &str) {
        let end = self.lives.get(job).and_then(|live| live.headway().end.clone());
        let seen = matches!(self.screen(), Screen::Live { job: shown, .. } if shown == job);
        if let (Some(end), false) = (end, seen) {
            self.note = Some(format!("{job} has ended: {}", end.outcome));
        }
        if self.asks_to_leave && self.going_on().is_empty() {
            self.asks_to_leave = false;
        }
        self.settle();
    }

    /// Brings what the screens show in line with what is known, and with their size.
    pub fn settle(&mut self) {
        let (size, told) = (self.body(), self.news.as_ref().and_then(|news| news.told.clone()));
        let runs =
            self.news.as_ref().and_then(|news| news.runs.as_ref()).map(|(job, runs)| (job.clone(), runs.len()));
        let lives = &self.lives;
        for screen in &mut self.screens {
            match screen {
                Screen::Run { run, pager, .. } => {
                    pager.fit(size);
                    if let Some(told) = told.as_ref().filter(|told| told.run == *run) {
                        let head = ["", "Log"].map(str::to_owned);
                        pager.set(told.facts.iter().chain(&head).chain(&told.log).cloned().collect());
                    }
                }
                Screen::Live { job, pager } => {
                    pager.fit((size.0, size.1.saturating_sub(ENDED)));
                    let Some(headway) = lives.get(job).map(Live::headway) else { continue };
                    let Some(end) = &headway.end else { continue };
                    let facts = told.as_ref().filter(|told| Some(&told.run) == headway.run.as_ref());
                    pager.set(match facts {
                        Some(told) => told.facts.clone(),
                        None => end.error.clone(),
                    });
                }
                Screen::Help(pager) => pager.fit(size),
                Screen::Job { name, picked } => {
                    if let Some((_, len)) = runs.as_ref().filter(|(job, _)| job == name) {
                        *picked = (*picked).min(len.saturating_sub(1));
                    }
                }
                Screen::Jobs | Screen::Places { .. } | Screen::Browse(_) => {}
            }
        }
    }
}
