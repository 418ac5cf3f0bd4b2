//! After a run: who is told, what is written down for collectors, what is forgotten.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sitta_jobs::notify::{About, Channel, Mail, Message, Ping, Unsent, Webhook, alarm, check_url, ended, send};
use sitta_jobs::{History, Recorder, log_file, metrics};
use sitta_store::Password;
use sitta_store::web::WebOptions;

use super::states::states;
use super::{KEPT_DAYS, about, failed, host};
use crate::commands::{block_on, moving};
use crate::config::{Job, Notify, NotifyKind, reveal};
use crate::context::Context;
use crate::exit::{Failure, Outcome};
use crate::open::certificates;
use crate::render::failure;
use crate::render::units::parse_duration;

/// A monitor that is slow to take that a job begins does not keep the job waiting for longer than this.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// A run that ended, and what is known of it.
pub struct Ended<'a> {
    pub name: &'a str,
    pub job: &'a Job,
    pub about: &'a About,
    pub run: &'a str,
    pub log: &'a Path,
    /// Since when there was an alarm.
    pub alarm: Option<Timestamp>,
}

impl Ended<'_> {
    /// Puts what is to be told into the outbox.
    pub fn queue(&self, history: &History, config: &crate::config::Config) -> Outcome<()> {
        self.queue_all(history, config).map_err(|error| failed(&error))
    }

    fn queue_all(&self, history: &History, config: &crate::config::Config) -> Result<(), sitta_jobs::JobError> {
        let Some(run) = history.run(self.run)? else { return Ok(()) };
        let Some((_, ending)) = &run.end else { return Ok(()) };
        let before = history.last_ended(self.name, Some(self.run))?;
        let before = before.and_then(|run| run.end).map(|(_, ending)| ending.ended);
        let now = Timestamp::now();
        let over = ending.ended == sitta_jobs::Ended::Success
            && self.alarm.is_some()
            && history.set_alarm(self.name, None)?;
        for person in &self.job.notify {
            let Some(notify) = config.notify.get(person.get_ref()) else { continue };
            let Some(news) = notify.wish().news(before, ending.ended, over) else { continue };
            let log = notify.attach_log.then(|| self.log.to_owned());
            let message = ended(self.about, &run, news, log);
            history.queue(person.get_ref(), self.name, Some(self.run), &message, now)?;
        }
        Ok(())
    }
}

/// Tells monitors that a job begins; one that does not take it is noted in the log, and no reason to wait.
pub fn pings(context: &Context, job: &Job, message: &Message, recorder: &Recorder) {
    let Ok(config) = context.config() else { return };
    for person in &job.notify {
        let name = person.get_ref();
        let Some(notify) = config.notify.get(name).filter(|notify| notify.kind == NotifyKind::Ping) else {
            continue;
        };
        let sent = block_on(async {
            let sending = async {
                let channel = channel(context, name, notify).await?;
                send(&channel, message, &web(context, notify)?).await
            };
            Ok(tokio::time::timeout(START_PATIENCE, sending).await)
        });
        match sent {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(unsent))) => recorder.line("Unsent", &format!("[notify.{name}] start: {unsent}")),
            Ok(Err(_)) => recorder.line("Unsent", &format!("[notify.{name}] start: no answer in time")),
            Err(failure) => recorder.line("Unsent", &failure.to_string()),
        }
    }
}

/// Raises alarms, sends what waits, writes metrics, forgets what is old.
pub fn after(context: &Context, history: &History) -> Outcome<()> {
    alarms(context, history)?;
    deliver_all(context, history)?;
    write_metrics(context, history)?;
    forget(context, history)
}

/// Raises an alarm for each job that has not succeeded for too long, once.
pub fn alarms(context: &Context, history: &History) -> Outcome<()> {
    let config = context.config()?;
    let now = Timestamp::now();
    for (name, job) in &config.job {
        let Some(after) = job.alert_after.as_ref().and_then(|after| parse_duration(&after.0).ok()) else {
            continue;
        };
        let text = job.schedule.as_ref().map(|schedule| schedule.0.as_str());
        let standing = history.see(name, text, now).map_err(|error| failed(&error))?;
        let in_step = job.watch && standing.away.is_none() && super::states::running(history, name)?.is_some();
        if in_step || standing.alarm.is_some() || !standing.is_overdue(after, now) {
            continue;
        }
        if !history.set_alarm(name, Some(now)).map_err(|error| failed(&error))? {
            continue;
        }
        context
            .console
            .warning(format!("the job {name} has not succeeded for {}", sitta_jobs::words::duration(after)));
        let message = alarm(&about(config, name, job), standing.succeeded, after);
        for person in &job.notify {
            history.queue(person.get_ref(), name, None, &message, now).map_err(|error| failed(&error))?;
        }
    }
    Ok(())
}

/// Sends what is in the outbox and due; says what could not be sent, and when it is tried again.
pub fn deliver_all(context: &Context, history: &History) -> Outcome<()> {
    let config = context.config()?;
    loop {
        let delivered = block_on(async {
            let Some(message) = history.claim(Timestamp::now()).map_err(|error| failed(&error))? else {
                return Ok(false);
            };
            let name = message.notify.clone();
            let sent = match config.notify.get(&name) {
                Some(notify) => match channel(context, &name, notify).await {
                    Ok(channel) => match web(context, notify) {
                        Ok(web) => send(&channel, &message.message, &web).await,
                        Err(unsent) => Err(unsent),
                    },
                    Err(unsent) => Err(unsent),
                },
                None => Err(Unsent {
                    what: format!("there is no [notify.{name}] any more"),
                    why: "the config has changed".to_owned(),
                    hint: None,
                }),
            };
            let now = Timestamp::now();
            match sent {
                Ok(()) => history.sent(&message, now).map_err(|error| failed(&error))?,
                Err(unsent) => {
                    let again =
                        history.unsent(&message, &unsent.to_string(), now).map_err(|error| failed(&error))?;
                    say(context, &name, &unsent, again);
                }
            }
            Ok(true)
        })?;
        if !delivered {
            return Ok(());
        }
    }
}

fn say(context: &Context, name: &str, unsent: &Unsent, again: Option<Timestamp>) {
    let again = match again {
        Some(at) => format!("it is tried again after {}", super::stamp(at, &context.zone())),
        None => "it was tried often enough and is given up".to_owned(),
    };
    let mut text = format!("[notify.{name}] was not told: {}\n  {}\n  {again}", unsent.what, unsent.why);
    if let Some(hint) = unsent.hint {
        text.push_str(&format!("\n{} {hint}", context.console.style.accent("hint:")));
    }
    context.console.warning(text);
}

/// What is trusted, and how long a server may take.
fn web(context: &Context, notify: &Notify) -> Result<WebOptions, Unsent> {
    let mut web = WebOptions::default();
    let unsent = |failure: Failure| {
        let why = failure.notes.join("; ");
        Unsent { what: failure.what, why, hint: None }
    };
    if let Some(file) = &context.ca {
        web.ca = certificates(file, "--ca").map_err(unsent)?;
    }
    if let Some(file) = &notify.ca {
        web.ca.push(b'\n');
        web.ca.extend(certificates(&context.file_of_config(file), "'ca'").map_err(unsent)?);
    }
    Ok(web)
}

/// All it takes to tell somebody.
async fn channel(context: &Context, name: &str, notify: &Notify) -> Result<Channel, Unsent> {
    let table = format!("notify.{name}");
    let unsent = |failure: Failure| {
        let why = failure.notes.join("; ");
        Unsent { what: failure.what, why, hint: None }
    };
    let taken = async |key: &str, secret: &Option<crate::config::Secret>| -> Result<Option<Password>, Unsent> {
        match secret {
            Some(secret) => reveal(context, secret, key, &table).await.map(Some).map_err(unsent),
            None => Ok(None),
        }
    };
    let url = async |key: &str, secret: &Option<crate::config::Secret>| -> Result<Option<Password>, Unsent> {
        let url = taken(key, secret).await?;
        if let Some(Err(why)) = url.as_ref().map(|url| check_url(url.expose())) {
            return Err(Unsent { what: format!("the {key} of [{table}] is no URL"), why, hint: None });
        }
        Ok(url)
    };
    Ok(match notify.kind {
        NotifyKind::Mail => Channel::Mail(Mail {
            server: notify.smtp.as_ref().map(crate::config::Smtp::server).ok_or_else(|| incomplete(name))?,
            password: taken("password", &notify.password).await?,
            from: notify.from.as_ref().or(notify.to.first()).map(|from| from.0.clone()).unwrap_or_default(),
            to: notify.to.iter().map(|to| to.0.clone()).collect(),
            host: host(),
        }),
        NotifyKind::Webhook => Channel::Webhook(Webhook {
            url: url("url", &notify.url).await?.ok_or_else(|| incomplete(name))?,
            token: taken("token", &notify.token).await?,
        }),
        NotifyKind::Ping => Channel::Ping(Ping {
            url: url("url", &notify.url).await?.ok_or_else(|| incomplete(name))?,
            start: url("start", &notify.start).await?,
            failure: url("failure", &notify.failure).await?,
        }),
        NotifyKind::Desktop => Channel::Desktop,
    })
}

fn incomplete(name: &str) -> Unsent {
    Unsent { what: format!("[notify.{name}] is not complete"), why: "a key is missing".to_owned(), hint: None }
}

/// Writes the metrics into their file, if there is to be one.
fn write_metrics(context: &Context, history: &History) -> Outcome<()> {
    let Some(file) = &context.config()?.daemon.metrics_file else { return Ok(()) };
    let file = context.file_of_config(file);
    let waiting = history.waiting().map_err(|error| failed(&error))?.len();
    let text = metrics::text(&states(context, history)?, waiting);
    if let Err(error) = metrics::write(&file, &text) {
        context.console.warning(format!("the metrics {} could not be written: {error}", file.display()));
    }
    Ok(())
}

/// Forgets old runs and removes their logs.
fn forget(context: &Context, history: &History) -> Outcome<()> {
    let kept = context.config()?.daemon.keep_history.as_ref().and_then(|keep| parse_duration(&keep.0).ok());
    let kept = kept.unwrap_or(Duration::from_secs(KEPT_DAYS * 86_400));
    let kept = SignedDuration::try_from(kept).unwrap_or(SignedDuration::MAX);
    let Ok(before) = Timestamp::now().checked_sub(kept) else { return Ok(()) };
    // What the verbs remember of their runs goes with it; their times are told to the second.
    let whole = before.checked_add(SignedDuration::from_secs(1)).unwrap_or(before);
    let state = moving::state(context)?;
    let forgotten = state.forget_runs(&whole.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    forgotten.map_err(|error| failure::state(&error))?;
    let dir = context.state_dir()?;
    for (run, job) in history.forget(before).map_err(|error| failed(&error))? {
        let log = log_file(dir, &job, &run);
        let _ = std::fs::remove_file(log.with_extension("older.log"));
        let _ = std::fs::remove_file(log);
    }
    Ok(())
}
