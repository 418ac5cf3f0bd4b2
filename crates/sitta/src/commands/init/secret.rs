//! Where a password is kept.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::ask::{Asker, Checked, Choice, some};
use super::draft::Kept;
use crate::context::variable;
use crate::exit::Outcome;

/// How to do without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// There must be one.
    No,
    /// It is asked for at each run.
    Asked,
    /// A key of SSH will do.
    Key,
}

/// Asks where the `what` ("password") of `name` is kept, and for itself where that is new.
pub fn ask(asker: &Asker<'_>, what: &str, name: &str, without: Without) -> Outcome<Option<Kept>> {
    let file = asker.context.config_file.with_file_name("secrets").join(name);
    let file = asker.context.shorten(&file.display().to_string());
    let choice = |word: &str, text: &str| -> Choice { (word.to_owned(), text.to_owned()) };
    let mut choices = vec![
        choice("file", "in a file of its own, which only you can read"),
        choice("env", "in a variable of the environment"),
        choice("command", "a command prints it, such as pass show NAME"),
        choice("keyring", "in the desktop's keyring"),
        choice("config", "in the config itself, which only you can read then"),
    ];
    match without {
        Without::No => {}
        Without::Asked => choices.push(choice("ask", "nowhere: each run asks for it, which works by hand only")),
        Without::Key => choices.insert(0, choice("key", "none is needed: a key in ~/.ssh, or the agent")),
    }
    asker.say(format!("Where is the {what} kept?"));
    loop {
        let chosen = asker.choose("Which one", &choices, 0)?;
        return Ok(Some(match choices[chosen].0.as_str() {
            "file" => in_file(asker, what, &file)?,
            "env" => {
                let default = format!("{}_{}", upper(name), upper(what));
                let name = asker.ask("The variable's name", &default, variable_name)?;
                if variable(&name).is_none_or(|value| value.is_empty()) {
                    asker.say(format!("  {name} is not set here: what runs the job must have it"));
                }
                Kept::Env(name)
            }
            "command" => Kept::Command(asker.ask("The command", &format!("pass show {name}"), words)?),
            "keyring" => {
                let entry = asker.ask("Its entry, as service/user", &format!("sitta/{name}"), entry)?;
                if let Some((service, user)) = entry.rsplit_once('/') {
                    asker.say(format!(
                        "  `secret-tool store --label={name} service {service} username {user}` puts it there"
                    ));
                }
                Kept::Keyring(entry)
            }
            "config" if is_open(asker) => {
                let file = asker.context.shorten(&asker.context.config_file.display().to_string());
                asker.say(format!("  others can read {file}: `chmod 600 {file}` first, or choose another"));
                continue;
            }
            "config" => Kept::Config(asker.password(&capital(what))?),
            _ => return Ok(None),
        }));
    }
}

fn in_file(asker: &Asker<'_>, what: &str, default: &str) -> Outcome<Kept> {
    let context = asker.context;
    let (file, is_there) = asker.ask("Which file", default, |answer| {
        let path = context.file_of_config(&some(answer)?);
        match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => Err(format!("{answer} is a folder: name a file in it")),
            Ok(_) => Ok((answer.to_owned(), true)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok((answer.to_owned(), false)),
            Err(error) => Err(format!("{answer} cannot be read: {error}")),
        }
    })?;
    if is_there {
        asker.say(format!("  {file} is there already: its first line is the {what}"));
        return Ok(Kept::File(file, None));
    }
    Ok(Kept::File(file, Some(asker.password(&capital(what))?)))
}

/// Whether others can read the config as it is now.
fn is_open(asker: &Asker<'_>) -> bool {
    fs::metadata(&asker.context.config_file).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0)
}

fn upper(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn variable_name(answer: &str) -> Checked<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match !answer.is_empty() && answer.chars().all(plain) && !answer.starts_with(|c: char| c.is_ascii_digit()) {
        true => Ok(answer.to_owned()),
        false => Err("a variable's name is made of letters, digits and '_'".to_owned()),
    }
}

fn words(answer: &str) -> Checked<Vec<String>> {
    if answer.contains(['"', '\'', '\\', '$', '|', ';', '>', '<']) {
        return Err("no shell reads this: write a program and its arguments, or the path of a script".to_owned());
    }
    Ok(some(answer)?.split_whitespace().map(str::to_owned).collect())
}

fn entry(answer: &str) -> Checked<String> {
    match answer.rsplit_once('/') {
        Some((service, user)) if !service.is_empty() && !user.is_empty() => Ok(answer.to_owned()),
        _ => Err("an entry is written service/user".to_owned()),
    }
}
