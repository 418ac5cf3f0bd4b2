//! The server's certificate while it runs: a renewed one is taken up, and one that ends is told of in time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sitta_serve::{Certificate, ServeError};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::context::Context;
use crate::exit::Outcome;

/// So often the files are looked at.
const EVERY: Duration = Duration::from_secs(60);

/// So long before its end it is told of.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// What there is to say of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Good,
    Ends(Timestamp),
    Ended(Timestamp),
    /// What stands in the files now cannot be used, and the one before is shown.
    Unusable(String),
}

/// The certificate, and what was said of it.
#[derive(Debug)]
pub struct Kept {
    certificate: Certificate,
    said: State,
    ticks: Interval,
}

impl Kept {
    /// Nothing was said so far.
    pub fn new(certificate: Certificate) -> Self {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { certificate, said: State::Good, ticks }
    }

    /// Waits until it is time to look at it. The first time is now.
    pub async fn due(&mut self) {
        self.ticks.tick().await;
    }

    /// Looks at the files, and tells what is new.
    pub fn look(&mut self, context: &Context) -> Outcome<()> {
        let renewed = self.certificate.renew();
        if matches!(renewed, Ok(true)) {
            self.tell_renewed(context)?;
        }
        let state = state(&renewed, self.certificate.ends(), Timestamp::now());
        if state == self.said {
            return Ok(());
        }
        self.said = state;
        self.tell(context)
    }

    fn tell_renewed(&self, context: &Context) -> Outcome<()> {
        let fingerprint = self.certificate.fingerprint();
        if context.json {
            return event(context, "renewed", "fingerprint", fingerprint.into());
        }
        context.say(format!("{}{fingerprint}   renewed", context.console.style.head("Certificate")));
        Ok(())
    }

    fn tell(&self, context: &Context) -> Outcome<()> {
        if context.json {
            return match &self.said {
                State::Good => Ok(()),
                State::Ends(at) => event(context, "ends", "at", at.to_string().into()),
                State::Ended(at) => event(context, "ended", "at", at.to_string().into()),
                State::Unusable(why) => event(context, "unusable", "why", why.as_str().into()),
            };
        }
        let file = self.certificate.file().display();
        let when = |at: &Timestamp| at.to_zoned(context.zone()).strftime("%Y-%m-%d %H:%M").to_string();
        let warning = match &self.said {
            State::Good => return Ok(()),
            State::Ends(at) => {
                format!("the certificate {file} ends on {}; a new one in its place is taken up by itself", when(at))
            }
            State::Ended(at) => format!(
                "the certificate {file} ended on {}: clients refuse it; a new one in its place is taken up by itself",
                when(at)
            ),
            State::Unusable(why) => format!("{why}; the one before is shown to clients"),
        };
        context.console.warning(warning);
        Ok(())
    }
}

fn state(renewed: &Result<bool, ServeError>, ends: Option<Timestamp>, now: Timestamp) -> State {
    if let Err(error) = renewed {
        return State::Unusable(error.to_string());
    }
    match ends {
        Some(at) if at <= now => State::Ended(at),
        Some(at) if at.duration_since(now) <= SOON => State::Ends(at),
        _ => State::Good,
    }
}

fn event(context: &Context, state: &str, key: &str, value: Value) -> Outcome<()> {
    let mut object = json!({ "event": "certificate", "state": state });
    object[key] = value;
    let mut out = context.out();
    out.line(object)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_of_in_time() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let at = |days: i64| Some(now + SignedDuration::from_hours(24 * days));
        assert_eq!(state(&Ok(false), at(15), now), State::Good);
        assert_eq!(state(&Ok(false), at(14), now), State::Ends(at(14).unwrap()));
        assert_eq!(state(&Ok(true), at(0), now), State::Ended(now));
        assert_eq!(state(&Ok(false), None, now), State::Good);
        let odd = ServeError::Certificate { file: "c.pem".into(), what: "it holds none".into() };
        assert_eq!(state(&Err(odd), at(15), now), State::Unusable("the certificate c.pem: it holds none".into()));
    }
}
