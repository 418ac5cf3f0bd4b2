//! The line that shows how far it is: what is being moved, how much of it, how fast, how long still.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sitta_store::Flow;

use super::course::{Course, steps};
use super::table::keep_end;
use super::units;
use crate::output::Console;

/// The first drawing, and how often it is drawn again.
const BEGIN: Duration = Duration::from_millis(150);
const TICK: Duration = Duration::from_millis(100);

/// A rate counts as known, and so does the time left, from here on.
const SETTLED: Duration = Duration::from_secs(2);

const BAR: usize = 24;

/// Draws until dropped.
#[derive(Debug)]
pub struct Progress {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Draws how far `course` is.
    pub fn start(course: Arc<Mutex<Course>>, flow: Arc<Flow>, console: Arc<Console>) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let (mut wait, mut rate) = (BEGIN, Rate::default());
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                let width = console.width();
                let line =
                    line(&course.lock().unwrap_or_else(|p| p.into_inner()), &flow, &mut rate, &console, width);
                console.progress(&line);
                wait = TICK;
            }
            console.clear();
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Bytes a second, smoothed over some seconds.
#[derive(Debug, Default)]
pub struct Rate {
    last: Option<(Instant, u64)>,
    smooth: f64,
}

impl Rate {
    /// So many bytes have flowed by now; gives how many flow a second.
    pub fn update(&mut self, now: Instant, bytes: u64) -> f64 {
        if let Some((then, before)) = self.last {
            let passed = now.duration_since(then).as_secs_f64().max(1e-6);
            let current = bytes.saturating_sub(before) as f64 / passed;
            let weight = if self.smooth == 0.0 { 1.0 } else { 1.0 - (-passed / 3.0).exp() };
            self.smooth += (current - self.smooth) * weight;
        }
        self.last = Some((now, bytes));
        self.smooth
    }
}

fn line(course: &Course, flow: &Flow, rate: &mut Rate, console: &Console, width: usize) -> String {
    let Some(plan) = course.plan else {
        let seen = units::counted(flow.entries(), "entry", "entries");
        return format!("{}{seen}", console.style.head("Scanning"));
    };
    if course.syncing {
        return format!("{}waiting for the disk to have it all", console.style.head("Syncing"));
    }
    let since = course.sending_since.unwrap_or_else(Instant::now);
    let bytes = flow.bytes().saturating_sub(course.flowed_before).min(plan.bytes);
    let speed = rate.update(Instant::now(), bytes);
    let view = View {
        files: (course.done, steps(&plan)),
        bytes: (bytes, plan.bytes),
        speed: if since.elapsed() > Duration::from_millis(500) { speed } else { 0.0 },
        elapsed: since.elapsed(),
    };
    let mut text = view.text();
    let path = course.moving.as_ref().map(ToString::to_string).unwrap_or_default();
    let used = 11 + text.chars().count();
    if used + 15 < width && !path.is_empty() {
        text.push_str(&format!("   {}", keep_end(&path, width - used - 4)));
    }
    let text: String = text.chars().take(width.saturating_sub(12)).collect();
    let bar = text.chars().take_while(|c| matches!(c, '━' | '╸')).count();
    let (bar, rest) = text.split_at(text.char_indices().nth(bar).map_or(text.len(), |(at, _)| at));
    format!(
        "{}{}{rest}",
        console.style.head(if course.receiving { "Receiving" } else { "Sending" }),
        console.style.accent(bar)
    )
}

/// The numbers of one drawing.
#[derive(Debug)]
pub struct View {
    /// Files done, and all of them.
    pub files: (u64, u64),
    /// Bytes sent, and all of them.
    pub bytes: (u64, u64),
    /// Bytes a second; 0 if that is not known yet.
    pub speed: f64,
    /// Since the first byte.
    pub elapsed: Duration,
}

impl View {
    fn text(&self) -> String {
        self.parts().join("   ")
    }

    /// The bar with its share, then the numbers.
    pub fn parts(&self) -> Vec<String> {
        let (done, all) = if self.bytes.1 > 0 { self.bytes } else { self.files };
        let share = if all == 0 { 1.0 } else { done.min(all) as f64 / all as f64 };
        let mut parts = vec![format!("{}  {:.0} %", bar(share), (share * 100.0).floor())];
        parts.push(format!("{}/{} files", units::count(self.files.0), units::count(self.files.1)));
        if self.bytes.1 > 0 {
            parts.push(units::size_of(self.bytes.0, self.bytes.1));
        }
        if self.speed >= 1.0 && self.bytes.1 > 0 {
            parts.push(format!("{}/s", units::size(self.speed as u64)));
            let left = (self.bytes.1 - self.bytes.0) as f64 / self.speed;
            if self.elapsed >= SETTLED && (1.0..360_000.0).contains(&left) {
                let left = Duration::from_secs(left.round() as u64);
                parts.push(format!("{} left", units::duration(left).replace(".0 s", " s")));
            }
        }
        parts
    }
}

fn bar(share: f64) -> String {
    let halves = (share * (2 * BAR) as f64) as usize;
    let mut bar = "━".repeat(halves / 2);
    if halves % 2 == 1 {
        bar.push('╸');
    }
    let rest = BAR - bar.chars().count();
    bar + &"─".repeat(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_far_how_fast_and_how_long() {
        let view = View {
            files: (20, 46),
            bytes: (53_896_806, 88_290_099),
            speed: 11_744_051.2,
            elapsed: Duration::from_secs(4),
        };
        let expected = "━━━━━━━━━━━━━━╸─────────  61 %   20/46 files   51.4/84.2 MiB   11.2 MiB/s   3 s left";
        assert_eq!(view.text(), expected);
    }

    #[test]
    fn time_left_appears_only_when_it_means_something() {
        let mut view = View { files: (0, 2), bytes: (1024, 4096), speed: 1024.0, elapsed: Duration::from_secs(1) };
        assert!(!view.text().contains("left"));
        view.elapsed = Duration::from_secs(3);
        assert!(view.text().ends_with("3 s left"));
        view.speed = 0.0;
        assert!(view.text().ends_with("1.0/4.0 KiB"));
    }

    #[test]
    fn deletes_alone_are_counted_by_files() {
        let view = View { files: (1, 2), bytes: (0, 0), speed: 0.0, elapsed: Duration::ZERO };
        assert_eq!(view.text(), "━━━━━━━━━━━━────────────  50 %   1/2 files");
    }

    #[test]
    fn the_rate_is_smooth() {
        let start = Instant::now();
        let mut rate = Rate::default();
        rate.update(start, 0);
        assert_eq!(rate.update(start + Duration::from_secs(1), 1000).round(), 1000.0);
        let after_a_pause = rate.update(start + Duration::from_millis(1100), 1000);
        assert!((900.0..1000.0).contains(&after_a_pause), "{after_a_pause}");
    }
}
