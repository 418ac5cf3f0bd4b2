//! `sitta completions` and `sitta man`.

use clap_complete::Shell;

use crate::args;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};

/// Prints a shell's completion script.
pub fn completions(context: &Context, shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "sitta", &mut script);
    print(context, &script)
}

/// Prints the manual page: the overview, then every command.
pub fn man(context: &Context) -> Outcome {
    let mut page = Vec::new();
    let mut command = args::command();
    command.build();
    let failed = |e: std::io::Error| Failure::failed("the manual page could not be made").note(e.to_string());
    clap_mangen::Man::new(command.clone()).render(&mut page).map_err(failed)?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let verb = verb.clone().display_name(format!("sitta-{}", verb.get_name()));
        clap_mangen::Man::new(verb).render(&mut page).map_err(failed)?;
    }
    print(context, &page)
}

fn print(context: &Context, text: &[u8]) -> Outcome {
    let mut out = context.out();
    out.bytes(text)?;
    out.flush()?;
    Ok(Exit::Done)
}
