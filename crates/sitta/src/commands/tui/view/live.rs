//! A run while it goes on, and how it ended.

use std::time::Instant;

use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::Look;
use crate::commands::tui::headway::{End, Headway};
use crate::commands::tui::pager::{Pager, wrap};
use crate::render::table::keep_end;
use crate::render::units;

/// The last problems stay in sight.
const PROBLEMS: usize = 5;

/// The lines of a run.
pub fn lines(headway: &Headway, pager: &Pager, look: Look, size: (usize, usize)) -> Vec<Line<'static>> {
    match &headway.end {
        Some(end) => ended(headway, end, pager, look, size),
        None => going_on(headway, look, size, Instant::now()),
    }
}

fn ended(
    headway: &Headway,
    end: &End,
    pager: &Pager,
    look: Look,
    (_, height): (usize, usize),
) -> Vec<Line<'static>> {
    let code = match end.exit {
        Some(code) => format!("exit code {code}"),
        None => "ended by a signal".to_owned(),
    };
    let mut lines = vec![look.head("Ended", format!("{} ({code})", end.outcome)), Line::raw("")];
    let known: Vec<_> = pager.seen().map(|line| Line::raw(line.clone())).collect();
    if known.is_empty() {
        lines.extend(headway.opening.iter().map(|(word, text)| look.head(word, text.clone())));
    }
    lines.extend(known);
    lines.truncate(height);
    lines
}

fn going_on(headway: &Headway, look: Look, (width, height): (usize, usize), now: Instant) -> Vec<Line<'static>> {
    let room = width.saturating_sub(11);
    let mut lines: Vec<Line<'static>> = Vec::new();
    // Of a run over many pairs the last ones are of interest.
    let from = headway.opening.len().saturating_sub((height / 3).max(1));
    for (word, text) in headway.opening[from..].iter().chain(&headway.steps) {
        let broken = wrap(text, room).into_iter().enumerate();
        lines.extend(broken.map(|(index, text)| look.head(if index == 0 { word } else { "" }, text)));
    }
    let (word, parts, moving) = headway.now(now);
    lines.push(Line::raw(""));
    lines.extend(bar(look, word, &parts, room));
    if let Some(path) = moving {
        lines.push(Line::raw(format!("{}{}", " ".repeat(11), keep_end(path, room))));
    }
    if headway.stops > 0 {
        let text = "what was begun is finished; s once more stops at once".to_owned();
        lines.push(look.head("", text));
    }
    if headway.problem_count > 0 {
        lines.push(Line::raw(""));
        lines.push(look.head("Problems", units::count(headway.problem_count)));
        for (path, why) in headway.problems.iter().rev().take(PROBLEMS).rev() {
            lines.push(Line::raw(format!("  {path}   {why}")));
        }
    }
    lines.push(Line::raw(""));
    let left = height.saturating_sub(lines.len());
    let from = headway.done.len().saturating_sub(left);
    lines.extend(headway.done.iter().skip(from).map(|(word, text)| look.head(word, keep_end(text, room))));
    lines.truncate(height);
    lines
}

/// The bar and its numbers, in as many lines as it takes.
fn bar(look: Look, word: &str, parts: &[String], room: usize) -> Vec<Line<'static>> {
    let mut rows: Vec<String> = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        // Where there is no room for the bar, its share is told all the same.
        let whole = index > 0 || part.width() <= room;
        let part = if whole { part } else { part.trim_start_matches(['━', '╸', '─', ' ']) };
        match rows.last_mut() {
            Some(row) if row.width() + 3 + part.width() <= room => row.push_str(&format!("   {part}")),
            _ => rows.push(part.to_owned()),
        }
    }
    let mut lines = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        if index > 0 {
            lines.push(look.head("", row));
            continue;
        }
        let drawn = row.chars().take_while(|c| matches!(c, '━' | '╸')).map(char::len_utf8).sum();
        let (drawn, rest) = row.split_at(drawn);
        let mut line = look.head(word, String::new());
        line.push_span(Span::styled(drawn.to_owned(), look.accent()));
        line.push_span(Span::raw(rest.to_owned()));
        lines.push(line);
    }
    lines
}
