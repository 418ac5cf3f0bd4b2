//! What `--help` says around the options: an example and the exit codes; and the overview that `sitta` alone prints.

use clap::{Arg, ArgAction, Command};

/// The verbs in groups, as the overview shows them.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Move", &["copy", "mirror", "sync", "conflicts", "archive", "unpack"]),
    ("Keep", &["trash"]),
    ("Look", &["ls", "find", "hash", "du", "get", "cat", "shell", "cache"]),
    ("Automate", &["run", "jobs", "history", "daemon", "schedule", "tui"]),
    ("Serve", &["serve", "share", "user"]),
    ("Set up", &["init", "config", "completions", "man"]),
];

const TEMPLATE: &str = "{about-with-newline}\n{usage-heading} {usage}\n\n{before-help}{all-args}{after-help}\n";

/// An example for each verb, and which exit codes it has beyond 0 to 2.
const EXTRAS: [(&str, &str, &[Code]); 28] = [
    ("copy", "sitta copy ~/Pictures nas:pictures --exclude '*.tmp'", &[PARTIAL, HELD, INTERRUPTED]),
    ("mirror", "sitta mirror ~/Documents s3://backup/documents --dry-run", &[PARTIAL, HELD, INTERRUPTED]),
    ("sync", "sitta sync ~/Documents nas:documents --watch", &[PARTIAL, HELD, CONFLICTS, INTERRUPTED]),
    (
        "archive",
        "sitta archive ~/Documents nas:backup/{job}-{date}.tar.zst --keep last=7,monthly=12",
        &[PARTIAL, HELD, INTERRUPTED],
    ),
    ("unpack", "sitta unpack nas:backup/Documents-2026-11-21.tar.zst ~/restored", &[PARTIAL, HELD, INTERRUPTED]),
    (
        "conflicts",
        "sitta conflicts ~/Documents nas:documents; sitta conflicts resolve report.odt --keep left",
        &[CONFLICTS],
    ),
    (
        "trash",
        "sitta trash list nas:documents; sitta trash restore nas:documents report.odt",
        &[PARTIAL, INTERRUPTED],
    ),
    ("ls", "sitta ls --long --since 2d ~/Documents nas:documents", &[PARTIAL]),
    ("find", "sitta find ~/Pictures --ext jpg,png --min-size 10MiB", &[PARTIAL]),
    ("hash", "sitta hash ~/Documents > SUMS; sitta hash --check SUMS", &[PARTIAL]),
    ("du", "sitta du --depth 1 ~/Documents", &[PARTIAL]),
    ("get", "sitta get https://example.org/data.zip ~/Downloads", &[PARTIAL, HELD, INTERRUPTED]),
    ("cat", "sitta cat https://example.org/data.zip!/notes.txt", &[]),
    ("cache", "sitta cache show; sitta cache clear", &[]),
    ("shell", "sitta shell nas:documents; sitta shell sitta://host/docs < COMMANDS", &[PARTIAL, HELD, INTERRUPTED]),
    ("run", "sitta run nightly-db --dry-run", &[PARTIAL, HELD, CONFLICTS, INTERRUPTED]),
    ("jobs", "sitta jobs", &[]),
    ("history", "sitta history nightly-db --limit 5", &[]),
    ("daemon", "sitta daemon --metrics 127.0.0.1:9474", &[]),
    ("schedule", "sitta schedule install; sitta schedule show", &[]),
    ("tui", "sitta tui; sitta tui --config ~/other.toml", &[INTERRUPTED]),
    ("serve", "sitta serve --share docs=~/Documents --share photos=nas:photos:ro", &[]),
    ("share", "sitta share add docs ~/Documents --read-only; sitta share list", &[]),
    ("user", "sitta user add ann --password-file ann.txt; sitta user list", &[]),
    ("init", "sitta init; sitta init --config ~/other.toml", &[INTERRUPTED]),
    ("config", "sitta config check --connect", &[]),
    ("completions", "sitta completions bash > ~/.local/share/bash-completion/completions/sitta", &[]),
    ("man", "sitta man > sitta.1", &[]),
];

/// Where SRC and DST may be, and what each place cannot keep.
const PLACES: [(&str, &str); 9] = [
    ("PATH", "a folder of this machine"),
    ("NAME:path", "in a store that the config names"),
    ("s3://bucket/prefix", "keeps no owners, symbolic links and empty folders"),
    ("smb://[user@]host/share/path", "keeps no modes, owners and symbolic links"),
    ("sftp://[user@]host/path", "keeps times to the second only"),
    ("webdav[s]://[user@]host/path", "keeps no modes, owners and symbolic links; times on some servers only"),
    ("sitta://[user@]host/share/path", "a share of `sitta serve`; keeps what its own place keeps"),
    ("http[s]://host/path", "to read from: a folder with an index page"),
    ("LOCATION!/inner", "to read from: inside a zip, tar, tar.gz or tar.zst, wherever it is"),
];

type Code = (u8, &'static str);

const PARTIAL: Code = (3, "done, but some files could not be processed (named)");
const HELD: Code = (4, "held back by a guard: nothing lost; says which option lets it through");
const CONFLICTS: Code = (5, "conflicts are left for you");
const INTERRUPTED: Code = (130, "interrupted");

/// Gives every command its example and its exit codes.
pub fn decorate(mut cli: Command) -> Command {
    for (verb, example, codes) in EXTRAS {
        cli = cli.mut_subcommand(verb, |command| {
            let places: String = PLACES.iter().map(|(place, what)| format!("  {place:<30}{what}\n")).collect();
            let mut text = match verb {
                "copy" | "mirror" | "sync" | "archive" => format!("Places:\n{places}\n"),
                _ => String::new(),
            };
            text.push_str("Exit codes:\n  0    done\n  1    failed\n  2    wrong usage or config\n");
            codes.iter().for_each(|(code, meaning)| text.push_str(&format!("  {code:<4} {meaning}\n")));
            let command =
                if matches!(verb, "cache" | "config" | "conflicts" | "schedule" | "share" | "trash" | "user") {
                    command.mut_subcommands(|c| c.help_template(TEMPLATE))
                } else {
                    command
                };
            command
                .before_help(format!("Example:\n  {example}"))
                .after_help(text.trim_end().to_owned())
                .help_template(TEMPLATE)
        });
    }
    // The short form has one line an option, and nothing is left out of it.
    let help = Arg::new("help").short('h').long("help").action(ArgAction::HelpShort).help("Print this help");
    cli.disable_help_flag(true)
        .arg(help.global(true).help_heading("Everywhere").display_order(906))
        .override_help(overview())
}

/// The verbs in groups, one line each.
pub fn overview() -> String {
    use clap::CommandFactory;
    let cli = super::Cli::command();
    let mut text = String::from("Sitta keeps folders safe and in step.\n\nUsage: sitta COMMAND [OPTIONS] …\n");
    for (group, verbs) in GROUPS {
        text.push_str(&format!("\n{group}\n"));
        for verb in verbs {
            let about = cli.find_subcommand(verb).and_then(Command::get_about).map(ToString::to_string);
            text.push_str(&format!("  {verb:<13}{}\n", about.unwrap_or_default()));
        }
    }
    text.push_str(
        "\nA place is a path, s3://bucket/prefix, smb://host/share/path, sftp://host/path, webdav[s]://host/path,\n\
         sitta://host/share/path, http[s]://host/path, NAME:path in a store that the config names, or ARCHIVE!/path\n\
         inside a zip or tar.\n\
         The contents of the first folder go into the second; a trailing slash changes nothing.\n\
         `sitta COMMAND --help` shows an example, the options and the exit codes.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_is_in_one_group_and_has_an_example() {
        use clap::CommandFactory;
        let cli = super::super::Cli::command();
        let mut verbs: Vec<_> = cli.get_subcommands().map(|c| c.get_name().to_owned()).collect();
        let mut grouped: Vec<_> =
            GROUPS.iter().flat_map(|(_, verbs)| verbs.iter().map(ToString::to_string)).collect();
        let mut extras: Vec<_> = EXTRAS.iter().map(|(verb, ..)| (*verb).to_owned()).collect();
        verbs.sort();
        grouped.sort();
        extras.sort();
        assert_eq!((&verbs, &verbs), (&grouped, &extras));
    }
}
