//! Taking a secret from where it is kept. What is said about a failure never holds the secret.

use std::collections::HashMap;
use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use secret_service::{EncryptionType, SecretService};
use sitta_store::Password;
use sitta_tree::Printable;

use super::Secret;
use crate::context::{Context, variable};
use crate::exit::{Failure, Outcome};

/// A keyring that is locked asks somebody to unlock it: so long it may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// So many lines of what a command complained about are shown.
const COMPLAINT: usize = 5;

/// Why a secret could not be had, and what to do about it.
type Had = Result<String, (String, String)>;

/// Takes the secret that stands under `key` in `table`.
pub async fn reveal(context: &Context, secret: &Secret, key: &str, table: &str) -> Outcome<Password> {
    let had = match secret {
        Secret::Plain(password) => return Ok(password.clone()),
        Secret::Env(name) => from_environment(name),
        Secret::File(file) => from_file(context, file),
        Secret::Command(command) => {
            let command = command.clone();
            let run = tokio::task::spawn_blocking(move || from_command(&command));
            run.await.expect("running a command does not panic")
        }
        Secret::Keyring { service, user } => match tokio::time::timeout(PATIENCE, look_up(service, user)).await {
            Ok(had) => had,
            Err(_) => Err((
                format!("the keyring did not answer within {} s", PATIENCE.as_secs()),
                "unlock it, and run again".to_owned(),
            )),
        },
    };
    match had {
        Ok(text) if text.is_empty() => {
            Err(failure(key, table).note(format!("{} has nothing in its first line", secret.place())))
        }
        Ok(text) => Ok(Password::new(text)),
        Err((why, hint)) => Err(failure(key, table).note(why).hint(hint)),
    }
}

fn failure(key: &str, table: &str) -> Failure {
    Failure::failed(format!("the {} of [{table}] could not be had", key.replace('_', " ")))
}

fn from_environment(name: &str) -> Had {
    variable(name).ok_or_else(|| {
        (format!("the environment has no {name}"), format!("set it, for example with `export {name}=…`"))
    })
}

fn from_file(context: &Context, file: &str) -> Had {
    let path = context.file_of_config(file);
    let shown = path.display();
    let bytes = fs::read(&path).map_err(|error| {
        (format!("{shown} could not be read: {error}"), format!("put it in the first line of {shown}"))
    })?;
    first_line(&bytes).map_err(|why| (format!("{shown} {why}"), format!("put it in the first line of {shown}")))
}

/// The first line, as it is but for its end.
fn first_line(bytes: &[u8]) -> Result<String, &'static str> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8(line.to_vec()).map_err(|_| "does not hold a text in UTF-8")
}

fn from_command(command: &[String]) -> Had {
    let hint = || "run it by hand, and see".to_owned();
    // A program that asks for something (a smart card's PIN, say) may do so.
    let run = Command::new(&command[0]).args(&command[1..]).stdin(Stdio::inherit()).output();
    let output = run.map_err(|error| (format!("the command {} could not be run: {error}", command[0]), hint()))?;
    if !output.status.success() {
        return Err((complaint(&command[0], &output), hint()));
    }
    first_line(&output.stdout).map_err(|why| (format!("the command {} {why}", command[0]), hint()))
}

/// What a command that failed said on standard error, without anything that it also printed as the secret.
fn complaint(program: &str, output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
    for secret in String::from_utf8_lossy(&output.stdout).lines().map(str::trim).filter(|line| !line.is_empty()) {
        text = text.replace(secret, "(hidden)");
    }
    let lines: Vec<String> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .take(COMPLAINT)
        .map(|line| Printable(line.trim_end().as_bytes()).to_string())
        .collect();
    let ended = match output.status.code() {
        Some(code) => format!("the command {program} failed with exit code {code}"),
        None => format!("the command {program} was ended by a signal"),
    };
    if lines.is_empty() { ended } else { format!("{ended}: {}", lines.join("; ")) }
}

/// Asks the desktop's keyring (the Secret Service of freedesktop.org: GNOME Keyring, KWallet, KeePassXC) for what it
/// holds under the attributes `service` and `username`, as other programs name them too.
async fn look_up(service: &str, user: &str) -> Had {
    let hint = format!("secret-tool store --label={service} service {service} username {user}");
    let refused = |error: secret_service::Error| {
        let why = match error {
            secret_service::Error::Unavailable => "no keyring can be reached from this session".to_owned(),
            secret_service::Error::Prompt => "the keyring was not unlocked".to_owned(),
            other => format!("the keyring said: {other}"),
        };
        (
            why,
            "log in to a desktop session, or take it from elsewhere: { env = \"NAME\" }, { file = \"PATH\" }"
                .into(),
        )
    };
    let keyring = SecretService::connect(EncryptionType::Dh).await;
    let keyring = keyring.map_err(|_| refused(secret_service::Error::Unavailable))?;
    let wanted = HashMap::from([("service", service), ("username", user)]);
    let found = keyring.search_items(wanted).await.map_err(refused)?;
    let item = match (found.unlocked.first(), found.locked.first()) {
        (Some(item), _) => item,
        (None, Some(item)) => {
            item.unlock().await.map_err(refused)?;
            item
        }
        (None, None) => {
            return Err((
                format!("the keyring holds nothing with service '{service}' and username '{user}'"),
                hint,
            ));
        }
    };
    let bytes = item.get_secret().await.map_err(refused)?;
    String::from_utf8(bytes).map_err(|_| ("the keyring's entry is not a text in UTF-8".to_owned(), hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_counts() {
        assert_eq!(first_line(b"hush\nsecond\n").as_deref(), Ok("hush"));
        assert_eq!(first_line(b" hush \r\n").as_deref(), Ok(" hush "));
        assert_eq!(first_line(b"").as_deref(), Ok(""));
        assert!(first_line(b"\xff\n").is_err());
    }

    #[test]
    fn commands_give_their_first_line_or_their_complaint() {
        let run = |script: &str| from_command(&["sh".into(), "-c".into(), script.into()]);
        assert_eq!(run("echo hush; echo more").as_deref(), Ok("hush"));
        let (why, _) = run("echo hush; echo 'not hush, locked' >&2; exit 3").expect_err("it fails");
        assert_eq!(why, "the command sh failed with exit code 3: not (hidden), locked");
        let (why, _) = from_command(&["/nonexistent/program".into()]).expect_err("it is not there");
        assert!(why.starts_with("the command /nonexistent/program could not be run: "), "{why}");
    }
}
