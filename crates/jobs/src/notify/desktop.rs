//! Notifications on the desktop of whoever is logged in: by D-Bus (the Desktop Notifications Specification of
//! freedesktop.org), on macOS and Windows by what these have for it.

use notify_rust::Notification;

use super::{Kind, Message, Unsent};

/// So many lines of text at most: a desktop shows no more.
const LINES: usize = 6;

pub(super) async fn show(message: &Message) -> Result<(), Unsent> {
    let mut notification = Notification::new();
    notification
        .appname("sitta")
        .summary(&message.subject)
        .body(&beginning(&message.text))
        .icon(icon(message.kind));
    #[cfg(all(unix, not(target_os = "macos")))]
    if matches!(message.kind, Kind::Failure | Kind::Alarm) {
        // It stays until it was seen.
        notification.urgency(notify_rust::Urgency::Critical);
    }
    let shown = tokio::task::spawn_blocking(move || notification.show().map(drop)).await;
    let why = match shown {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    Err(Unsent::new("the desktop could not be told", why)
        .hint("a desktop is told only by programs of its session: run the daemon as a service of your user"))
}

fn icon(kind: Kind) -> &'static str {
    match kind {
        Kind::Start | Kind::Success => "dialog-information",
        Kind::Failure => "dialog-error",
        Kind::Alarm => "dialog-warning",
    }
}

/// The first lines, as plain text: what a desktop would take for markup is no markup.
fn beginning(text: &str) -> String {
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).take(LINES).collect();
    lines.join("\n").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
