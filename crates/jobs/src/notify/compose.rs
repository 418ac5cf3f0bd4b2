//! What people and programs are told, word for word.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::{Kind, Message, News};
use crate::words::{count, counted, duration, size};
use crate::{Ended, Ending, Run};

/// So many problems are told; the log has all.
const TOLD: usize = 20;

/// What there is to know of a job besides its runs.
#[derive(Debug, Clone)]
pub struct About {
    /// Its name.
    pub job: String,
    /// `copy`, `mirror`, …
    pub verb: String,
    /// Where from, as the config says.
    pub from: String,
    /// Where to.
    pub to: String,
    /// This machine.
    pub host: String,
    /// In which zone times are told.
    pub zone: TimeZone,
}

impl About {
    fn local(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
    }

    fn json(&self, event: &str) -> serde_json::Value {
        json!({
            "event": event, "job": self.job, "verb": self.verb, "host": self.host, "from": self.from, "to": self.to,
        })
    }
}

/// `31 copied, 12 updated, 84.2 MiB in 7.5 s`, or what went wrong instead.
pub fn sum_up(ending: &Ending) -> String {
    let counts = &ending.counts;
    let parts = [
        (counts.copied, "copied"),
        (counts.updated, "updated"),
        (counts.moved, "moved"),
        (counts.deleted, "deleted"),
        (counts.unchanged, "unchanged"),
    ];
    let mut parts: Vec<_> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{} {word}", count(*n))).collect();
    if counts.conflicts > 0 {
        parts.push(counted(counts.conflicts, "conflict", "conflicts"));
    }
    if counts.problems > 0 {
        parts.push(counted(counts.problems, "problem", "problems"));
    }
    if parts.is_empty() && ending.ended == Ended::Success {
        parts.push("nothing to do".to_owned());
    }
    let what = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    let took = duration(Duration::try_from_secs_f64(ending.seconds).unwrap_or_default());
    let sent = if counts.bytes > 0 { format!("{} in ", size(counts.bytes)) } else { String::new() };
    format!("{}{what} · {sent}{took}", ending.ended.name())
}

/// `failed`, as it stands behind a job's name.
fn outcome(ending: &Ending) -> String {
    let problems = match ending.counts.problems {
        0 => String::new(),
        n => format!(": {}", counted(n, "problem", "problems")),
    };
    let at = ending.failed_step().map(|step| format!(" at {step}")).unwrap_or_default();
    let first = || ending.message.as_deref().and_then(|message| message.lines().next()).unwrap_or_default();
    match ending.ended {
        Ended::Success => "succeeded".to_owned(),
        Ended::Partial => {
            let failed = ending.failed_step().map(|step| format!(", {step} failed")).unwrap_or_default();
            format!("was done in part{failed}{problems}")
        }
        Ended::Held => format!("was held back{at}"),
        Ended::Conflicts => format!("left {}", counted(ending.counts.conflicts, "conflict", "conflicts")),
        Ended::Failed if problems.is_empty() && !first().is_empty() => format!("failed{at}: {}", first()),
        Ended::Failed => format!("failed{at}{problems}"),
        Ended::Interrupted => format!("was interrupted{at}"),
    }
}

/// A run began.
pub fn start(about: &About, run: &str) -> Message {
    let text = format!("{} began on {}", about.job, about.host);
    let mut json = about.json("start");
    json["run"] = run.into();
    Message { kind: Kind::Start, subject: text.clone(), html: html(&text), text, json, log: None }
}

/// A run ended. `log` goes along where the way can carry it.
pub fn ended(about: &About, run: &Run, news: News, log: Option<PathBuf>) -> Message {
    let Some((at, ending)) = &run.end else { return Message::default() };
    let good = ending.ended == Ended::Success;
    let what = match news {
        News::Recovered => "recovered".to_owned(),
        News::Ended => outcome(ending),
    };
    let mut rows = vec![
        ("Job", format!("{} ({})", about.job, about.verb)),
        ("From", about.from.clone()),
        ("To", about.to.clone()),
        ("Began", about.local(run.started)),
        ("Ended", about.local(*at)),
        ("Result", sum_up(ending)),
        ("Run", run.id.clone()),
    ];
    rows.retain(|(_, text)| !text.is_empty());
    let (mut text, mut html_text) = (table(&rows), html_table(&rows));
    if let Some(message) = &ending.message {
        text.push_str(&format!("\n{message}\n"));
        html_text.push_str(&format!("<p>{}</p>\n", html(message)));
    }
    if !ending.named.is_empty() {
        let rows: Vec<_> = ending.named.iter().map(|named| (named.step.as_str(), named.line())).collect();
        text.push_str(&format!("\nSteps\n{}", table(&rows)));
        html_text.push_str(&format!("<p>Steps</p>\n{}", html_table(&rows)));
    }
    if !ending.problems.is_empty() {
        text.push_str("\nProblems\n");
        html_text.push_str("<p>Problems</p>\n<ul>\n");
        for note in ending.problems.iter().take(TOLD) {
            text.push_str(&format!("  {}   {}\n", note.path, note.message));
            html_text.push_str(&format!("<li><code>{}</code> {}</li>\n", html(&note.path), html(&note.message)));
        }
        html_text.push_str("</ul>\n");
        let more = ending.counts.problems.saturating_sub(ending.problems.len().min(TOLD) as u64);
        if more > 0 {
            text.push_str(&format!("  … and {} more, in the log\n", count(more)));
            html_text.push_str(&format!("<p>… and {} more, in the log</p>\n", count(more)));
        }
    }
    let look = format!("`sitta history --run {}` on {} shows this run and where its log is", run.id, about.host);
    text.push_str(&format!("\n{look}\n"));
    html_text.push_str(&format!("<p>{}</p>\n", html(&look)));
    let mut json = about.json(if news == News::Recovered { "recovered" } else { "ended" });
    for (key, value) in [
        ("run", json!(run.id)),
        ("cause", json!(run.cause.name())),
        ("started", json!(run.started.to_string())),
        ("ended", json!(at.to_string())),
        ("outcome", json!(ending.ended.name())),
        ("exit", json!(ending.exit)),
        ("seconds", json!(ending.seconds)),
        ("counts", json!(ending.counts)),
        ("problems", json!(ending.problems)),
        ("message", json!(ending.message)),
        ("named_steps", json!(ending.named)),
    ] {
        json[key] = value;
    }
    let kind = if good { Kind::Success } else { Kind::Failure };
    Message { kind, subject: subject(about, &what), text, html: page(&html_text), json, log }
}

/// A job has not succeeded for too long.
pub fn alarm(about: &About, succeeded: Option<Timestamp>, after: Duration) -> Message {
    let last = match succeeded {
        Some(at) => format!("it last succeeded {}", about.local(at)),
        None => "it has never succeeded".to_owned(),
    };
    let what = format!("has not succeeded for {}", duration(after));
    let text = format!(
        "The job {} on {} {what}: {last}.\n\n`sitta history {}` shows its runs, `sitta jobs` when it runs next.\n",
        about.job, about.host, about.job
    );
    let mut json = about.json("alarm");
    json["succeeded"] = json!(succeeded.map(|at| at.to_string()));
    json["alert_after"] = json!(after.as_secs());
    let html_text = text.trim().split("\n\n").map(|part| format!("<p>{}</p>\n", html(part))).collect::<String>();
    Message { kind: Kind::Alarm, subject: subject(about, &what), text, html: page(&html_text), json, log: None }
}

fn subject(about: &About, what: &str) -> String {
    match what.split_once(": ") {
        Some((head, rest)) => format!("sitta: {} {head} on {}: {rest}", about.job, about.host),
        None => format!("sitta: {} {what} on {}", about.job, about.host),
    }
}

fn table(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len() + 2).max().unwrap_or_default().max(8);
    rows.iter().map(|(name, text)| format!("{name:<width$}{text}\n")).collect()
}

fn html_table(rows: &[(&str, String)]) -> String {
    let rows =
        rows.iter().map(|(name, text)| format!("<tr><th align=\"left\">{name}</th><td>{}</td></tr>\n", html(text)));
    format!("<table>\n{}</table>\n", rows.collect::<String>())
}

fn page(body: &str) -> String {
    format!("<!doctype html>\n<html><body>\n{body}</body></html>\n")
}

/// Text that a page shows as it is; lines stay lines.
fn html(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("<br>\n"),
            c => out.push(c),
        }
        out
    })
}
