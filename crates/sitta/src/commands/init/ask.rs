//! Questions and answers, a line each. Each answer is checked at once, and asked for again if it will not do.

use std::io::{self, BufRead};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use sitta_store::Password;

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};

/// Why an answer will not do.
pub type Checked<T> = Result<T, String>;

/// Asks on standard error, and reads answers from standard input: those of a person, or lines of a file.
pub struct Asker<'c> {
    pub context: &'c Context,
    /// Held while something is written; then a signal waits. Whether something was.
    written: Arc<Mutex<bool>>,
}

/// One of several things to choose from: the word for it, and what it is.
pub type Choice = (String, String);

impl<'c> Asker<'c> {
    /// From now on, Ctrl-C ends the program and says that nothing was written.
    pub fn new(context: &'c Context) -> Outcome<Self> {
        let written = Arc::new(Mutex::new(false));
        let mut signals = Signals::new([SIGINT, SIGTERM])
            .map_err(|error| Failure::failed("signals cannot be heard").note(error.to_string()))?;
        // A password may be asked for at that moment: the terminal is to show again what is typed.
        let terminal = tcgetattr(io::stdin()).ok();
        let (console, at_work) = (context.console.clone(), written.clone());
        std::thread::spawn(move || {
            if signals.forever().next().is_some() {
                let written = at_work.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                if let Some(terminal) = &terminal {
                    let _ = tcsetattr(io::stdin(), OptionalActions::Now, terminal);
                }
                if !*written {
                    console.line(format!("\n{}nothing was written", console.style.head("Stopped")));
                }
                std::process::exit(Exit::Interrupted as i32);
            }
        });
        Ok(Self { context, written })
    }

    /// Until this is dropped, signals wait; set it once something is written.
    pub fn writing(&self) -> MutexGuard<'_, bool> {
        self.written.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Says something.
    pub fn say(&self, line: impl std::fmt::Display) {
        self.context.console.line(line);
    }

    /// A line that says what comes now.
    pub fn head(&self, text: &str) {
        self.say("");
        self.say(self.context.console.style.strong(text));
    }

    fn line(&self, question: &str, default: &str) -> Outcome<String> {
        let default_shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
        self.context.console.prompt(&format!("{question}{default_shown}: "));
        let mut answer = String::new();
        match io::stdin().lock().read_line(&mut answer) {
            Ok(0) => {
                self.say("");
                Err(Failure::new(Exit::Interrupted, "the answers ended before all was asked")
                    .note("nothing was written")
                    .hint("run it in a terminal, or give it one answer a line"))
            }
            Ok(_) => {
                if !self.context.can_ask {
                    // Nobody typed it: the questions are still to be read one below the other.
                    self.say("");
                }
                let answer = answer.trim();
                Ok(if answer.is_empty() { default.to_owned() } else { answer.to_owned() })
            }
            Err(error) => Err(Failure::failed("an answer could not be read").note(error.to_string())),
        }
    }

    /// Asks until the answer will do. An empty one is the default.
    pub fn ask<T>(&self, question: &str, default: &str, check: impl Fn(&str) -> Checked<T>) -> Outcome<T> {
        loop {
            match check(&self.line(question, default)?) {
                Ok(value) => return Ok(value),
                Err(why) => self.say(format!("  {why}")),
            }
        }
    }

    /// Asks for one of several, by its number or its word.
    pub fn choose(&self, question: &str, choices: &[Choice], default: usize) -> Outcome<usize> {
        let width = choices.iter().map(|(word, _)| word.chars().count()).max().unwrap_or(0);
        for (index, (word, what)) in choices.iter().enumerate() {
            self.say(format!("  {:>2}  {word:width$}   {what}", index + 1).trim_end());
        }
        let default = choices.get(default).map_or("", |(word, _)| word.as_str());
        self.ask(question, default, |answer| {
            let by_number =
                answer.parse().ok().and_then(|n: usize| n.checked_sub(1)).filter(|n| *n < choices.len());
            by_number
                .or_else(|| choices.iter().position(|(word, _)| word == answer))
                .ok_or_else(|| format!("'{answer}' is none of them: write a number from 1 to {}", choices.len()))
        })
    }

    /// Yes or no.
    pub fn confirm(&self, question: &str, default: bool) -> Outcome<bool> {
        self.ask(question, if default { "yes" } else { "no" }, |answer| match answer.to_lowercase().as_str() {
            "y" | "yes" => Ok(true),
            "n" | "no" => Ok(false),
            _ => Err("write yes or no".to_owned()),
        })
    }

    /// Asks for a password; a terminal does not show it.
    pub fn password(&self, question: &str) -> Outcome<Password> {
        loop {
            let typed = match self.context.can_ask {
                true => match rpassword::prompt_password(format!("{question}: ")) {
                    Ok(typed) => typed,
                    // Ctrl-C: the signal is on its way to the thread that ends the program.
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => loop {
                        std::thread::park();
                    },
                    Err(error) => {
                        return Err(Failure::failed("the password could not be asked for").note(error.to_string()));
                    }
                },
                false => self.line(question, "")?,
            };
            if !typed.is_empty() {
                return Ok(Password::new(typed));
            }
            self.say("  an empty password is none");
        }
    }
}

/// An answer that must not be empty.
pub fn some(answer: &str) -> Checked<String> {
    if answer.is_empty() { Err("something must stand here".to_owned()) } else { Ok(answer.to_owned()) }
}
