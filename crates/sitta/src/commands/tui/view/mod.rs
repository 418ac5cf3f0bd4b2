//! Draws what the state says.

mod grid;
mod live;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use self::grid::Grid;
use super::app::{App, FRAME, SMALLEST, Screen};
use super::browse::{Browser, Seen};
use super::data::JobNews;
use super::keys::{Hint, hints};
use super::pager::wrap;
use crate::commands::job::history::COLUMNS;
use crate::render::table::{Align, keep_end, keep_start};
use crate::render::units;

/// A listing that takes longer than this is said to be on its way.
const SOON: std::time::Duration = std::time::Duration::from_millis(150);

/// How things look: one accent colour, and nothing that is told by colour alone.
#[derive(Debug, Clone, Copy)]
struct Look {
    color: bool,
}

impl Look {
    fn accent(self) -> Style {
        if self.color { Style::new().fg(Color::Cyan) } else { Style::new() }
    }

    fn strong() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// A line's first word, padded to the column where the rest begins.
    fn head(self, word: &str, rest: String) -> Line<'static> {
        let gap = " ".repeat(11usize.saturating_sub(word.width()).max(1));
        Line::from(vec![Span::styled(word.to_owned(), self.accent()), Span::raw(gap + &rest)])
    }
}

/// Draws all of it.
pub fn draw(frame: &mut Frame<'_>, app: &App) {
    let area = frame.area();
    let (width, height) = SMALLEST;
    if area.width < width || area.height < height {
        let text = format!("too small: {width} × {height} at least");
        let lines = wrap(&text, usize::from(area.width));
        return put(frame, area, lines.into_iter().map(Line::from).collect());
    }
    let look = Look { color: app.color };
    let row = |y: u16, height: u16| Rect::new(area.x, area.y + y, area.width, height);
    put(frame, row(0, 1), vec![title(app, look)]);
    put(frame, row(2, area.height - FRAME), body(app, look));
    put(frame, row(area.height - 2, 1), vec![note(app)]);
    put(frame, row(area.height - 1, 1), vec![keys(&hints(app), usize::from(area.width), look)]);
}

fn put(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'static>>) {
    for (line, y) in lines.into_iter().zip(area.y..area.bottom()) {
        frame.render_widget(line, Rect::new(area.x, y, area.width, 1));
    }
}

/// `Sitta   docs   mirror ~/Documents → nas:docs`, and on the right who runs the jobs.
fn title(app: &App, look: Look) -> Line<'static> {
    let what = match app.screen() {
        Screen::Jobs => "jobs".to_owned(),
        Screen::Job { name, .. } => match app.job() {
            Some(job) => format!("{name}   {}", job.line.what),
            None => format!("{name}   (not in the config)"),
        },
        Screen::Run { job, run, pager } => {
            format!("{job}   run {run}{}", pager.place().map(|place| format!("   {place}")).unwrap_or_default())
        }
        Screen::Live { job, pager } => {
            let what = app.job().map(|job| job.line.what.clone()).unwrap_or_default();
            let place = pager.place().filter(|_| !app.goes_on(job)).map(|place| format!("   {place}"));
            format!("{job}   {what}{}", place.unwrap_or_default())
        }
        Screen::Places { .. } => "places".to_owned(),
        Screen::Browse(browser) => browser.title(),
        Screen::Help(_) => "help".to_owned(),
    };
    let right = match (app.screen(), &app.news) {
        (Screen::Jobs, Some(news)) => match news.daemon {
            Some(pid) => format!("daemon: process {pid}"),
            None => "no daemon".to_owned(),
        },
        _ => String::new(),
    };
    let width = usize::from(app.size.0);
    let room = width.saturating_sub(8 + if right.is_empty() { 0 } else { right.width() + 2 });
    // Of a place the end says more; of all else the beginning.
    let what = match app.screen() {
        Screen::Browse(_) => keep_end(&what, room),
        _ => keep_start(&what, room),
    };
    let gap = " ".repeat(width.saturating_sub(8 + what.width() + right.width()));
    Line::from(vec![
        Span::styled("Sitta", look.accent().add_modifier(Modifier::BOLD)),
        Span::raw("   "),
        Span::styled(what, Look::strong()),
        Span::raw(gap + &right),
    ])
}

fn note(app: &App) -> Line<'static> {
    let text = if app.asks_to_leave {
        format!("{} is running: stop it and quit?", app.going_on().join(", "))
    } else if app.leaving {
        format!("Stopping {}: what was begun is finished; Ctrl-C, then s, stops at once", app.going_on().join(", "))
    } else {
        app.note.clone().unwrap_or_default()
    };
    Line::styled(keep_start(&text, usize::from(app.size.0)), Look::strong())
}

/// All that there is room for, the least important left out first.
fn keys(hints: &[Hint], width: usize, look: Look) -> Line<'static> {
    let mut shown: Vec<&Hint> = hints.iter().collect();
    let wide = |shown: &[&Hint]| shown.iter().map(|(key, what, _)| key.width() + what.width() + 1).sum::<usize>();
    while wide(&shown) + 3 * shown.len().saturating_sub(1) > width {
        let Some(worst) = shown.iter().map(|(.., rank)| *rank).max().filter(|rank| *rank > 0) else { break };
        shown.retain(|(.., rank)| *rank != worst);
    }
    let mut spans = Vec::new();
    for (index, (key, what, _)) in shown.into_iter().enumerate() {
        let gap = if index > 0 { "   " } else { "" };
        spans.extend([Span::raw(gap), Span::styled(*key, look.accent().add_modifier(Modifier::BOLD))]);
        spans.push(Span::raw(format!(" {what}")));
    }
    Line::from(spans)
}

fn body(app: &App, look: Look) -> Vec<Line<'static>> {
    let (width, height) = app.body();
    match app.screen() {
        Screen::Jobs => jobs(app, look, width, height),
        Screen::Job { name, picked } => runs(app, name, *picked, look),
        Screen::Run { pager, .. } | Screen::Help(pager) => {
            pager.seen().map(|line| Line::raw(line.clone())).collect()
        }
        Screen::Live { job, pager } => match app.lives.get(job) {
            Some(live) => live::lines(&live.headway(), pager, look, (width, height)),
            None => Vec::new(),
        },
        Screen::Places { spots, picked } => {
            let rows = spots.iter().map(|spot| vec![spot.label.clone()]).collect();
            Grid { head: &[("PLACE", Align::Left)], rows, flexible: 0, droppable: &[] }
                .lines(look, width, height, *picked)
        }
        Screen::Browse(browser) => entries(browser, look, width, height),
    }
}

fn jobs(app: &App, look: Look, width: usize, height: usize) -> Vec<Line<'static>> {
    let Some(news) = &app.news else { return vec![Line::raw("Reading …")] };
    let mut lines: Vec<Line<'static>> = Vec::new();
    if let Some(trouble) = &news.trouble {
        let text = trouble.lines().flat_map(|line| wrap(&super::headway::safe(line), width.saturating_sub(7)));
        for (index, text) in text.enumerate().take(height / 2) {
            let head = if index == 0 { "error: " } else { "       " };
            lines.push(Line::from(vec![Span::styled(head, Look::strong()), Span::raw(text)]));
        }
        let more = match (news.config_is_wrong, news.jobs.is_empty()) {
            (false, _) => "",
            (true, true) => "e edits it",
            (true, false) => "e edits it; these are the jobs as they were before",
        };
        lines.extend([Line::raw(format!("       {more}")), Line::raw("")]);
    }
    if news.jobs.is_empty() {
        if news.trouble.is_none() {
            let text = format!("There are no jobs in {}; each is a table [job.NAME].", news.file);
            lines.extend(wrap(&text, width).into_iter().map(Line::from));
            lines.push(Line::raw(""));
            let text = "Press a to add a profile: a few questions, then a job for them is written there.";
            lines.extend(wrap(text, width).into_iter().map(Line::from));
        }
        return lines;
    }
    let hint = "hint: no daemon is running, so nothing runs by itself: `sitta schedule install`";
    let hint = if news.wait && news.daemon.is_none() { wrap(hint, width) } else { Vec::new() };
    let head = [
        ("JOB", Align::Left),
        ("WHAT", Align::Left),
        ("LAST", Align::Left),
        ("WHEN", Align::Left),
        ("PROBLEMS", Align::Right),
        ("NEXT", Align::Left),
    ];
    let rows = news.jobs.iter().map(|job| cells(job, app.now)).collect();
    let room = height.saturating_sub(lines.len() + if hint.is_empty() { 0 } else { hint.len() + 1 });
    let grid = Grid { head: &head, rows, flexible: 1, droppable: &[1, 4, 3, 5] };
    lines.extend(grid.lines(look, width, room, app.picked));
    if !hint.is_empty() {
        lines.push(Line::raw(""));
        lines.extend(hint.into_iter().map(Line::from));
    }
    lines
}

fn cells(job: &JobNews, now: Timestamp) -> Vec<String> {
    let line = &job.line;
    let when = job.at.map(|at| when(at, now, line.running.is_some())).unwrap_or_default();
    let problems = if job.problems > 0 { units::count(job.problems) } else { String::new() };
    vec![line.job.clone(), line.what.clone(), line.last.clone(), when, problems, line.next.clone()]
}

/// `5 min ago`, or `for 5 min` of what goes on.
fn when(at: Timestamp, now: Timestamp, goes_on: bool) -> String {
    let seconds = now.duration_since(at).as_secs();
    let long = match seconds {
        ..60 if goes_on => return format!("for {} s", seconds.max(0)),
        ..60 => return "just now".to_owned(),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    };
    if goes_on { format!("for {long}") } else { format!("{long} ago") }
}

fn runs(app: &App, name: &str, picked: usize, look: Look) -> Vec<Line<'static>> {
    let (width, height) = app.body();
    let mut lines = Vec::new();
    if let Some(job) = app.job() {
        let running = match &job.line.running {
            Some(run) if app.goes_on(name) => format!("process {}, begun here; r watches it", run.pid),
            Some(run) => format!("process {}, begun elsewhere; Enter shows its log", run.pid),
            None => String::new(),
        };
        let last = match job.line.when.as_str() {
            "" => job.line.last.clone(),
            when => format!("{}   {when}", job.line.last),
        };
        lines.push(look.head("Last", last));
        lines.push(look.head("Next", job.line.next.clone()));
        if !running.is_empty() {
            lines.push(look.head("Running", running));
        }
        lines.push(Line::raw(""));
    }
    match app.runs(name) {
        None => lines.push(Line::raw("Reading …")),
        Some([]) => lines.push(Line::raw("It has not run so far; r runs it")),
        Some(runs) => {
            // All are of the same job.
            let without = |cells: &[String]| {
                cells.iter().enumerate().filter(|(n, _)| *n != 1).map(|(_, c)| c.clone()).collect()
            };
            let head: Vec<_> = COLUMNS.into_iter().filter(|(head, _)| *head != "JOB").collect();
            let rows = runs.iter().map(|run| without(&run.cells)).collect();
            let room = height.saturating_sub(lines.len());
            let grid = Grid { head: &head, rows, flexible: 6, droppable: &[6, 5, 4, 2, 3] };
            lines.extend(grid.lines(look, width, room, picked));
        }
    }
    lines
}

fn entries(browser: &Browser, look: Look, width: usize, height: usize) -> Vec<Line<'static>> {
    let (seen, picked) = browser.seen();
    match seen {
        Seen::Loading(since) if since.elapsed() < SOON => Vec::new(),
        Seen::Loading(_) => vec![Line::raw("loading …")],
        Seen::Failed(why) => {
            let lines = why.lines().flat_map(|line| wrap(&super::headway::safe(line), width));
            lines.map(Line::from).collect()
        }
        Seen::Items(items) if items.is_empty() => vec![Line::raw("It holds nothing")],
        Seen::Items(items) => {
            let head = [("NAME", Align::Left), ("SIZE", Align::Right), ("MODIFIED", Align::Left)];
            let rows = items.iter().map(|i| vec![i.shown.clone(), i.size.clone(), i.time.clone()]).collect();
            Grid { head: &head, rows, flexible: 0, droppable: &[2] }.lines(look, width, height, picked)
        }
    }
}
