//! `sitta user`: who may come in to the server.

use jiff::Timestamp;
use serde_json::json;
use sitta_serve::Scope;

use super::serve::{accounts, failure};
use crate::args::{ScopeArgs, UserAddArgs, UserArgs, UserTokenArgs, UserVerb};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::render::table::{Align, Table};
use crate::render::units::parse_duration;

pub fn run(context: &Context, args: &UserArgs) -> Outcome {
    match &args.verb {
        UserVerb::Add(args) => add(context, args),
        UserVerb::Token(args) => token(context, args),
        UserVerb::List => list(context),
        UserVerb::Remove(args) => remove(context, &args.names),
    }
}

fn scope(args: &ScopeArgs) -> Scope {
    let shares = (!args.share.is_empty()).then(|| args.share.clone());
    Scope { shares, write: !args.read_only }
}

/// What an account opens, in words.
fn words(scope: &Scope) -> String {
    let shares = scope.shares.as_ref().map_or("all shares".to_owned(), |shares| shares.join(", "));
    format!("{shares}{}", if scope.write { "" } else { "   read only" })
}

fn plain(name: &str) -> Outcome<()> {
    match name.is_empty() || name.contains([':', '\n', '\0']) {
        true => Err(Failure::usage("this cannot be a name").hint("leave out ':' and line breaks")),
        false => Ok(()),
    }
}

fn add(context: &Context, args: &UserAddArgs) -> Outcome {
    plain(&args.name)?;
    let password = match &args.password_file {
        Some(file) => {
            let text = std::fs::read_to_string(file).map_err(|error| {
                Failure::usage(format!("{} could not be read", file.display())).note(error.to_string())
            })?;
            text.lines().next().unwrap_or_default().to_owned()
        }
        None if context.can_ask => {
            let ask = |prompt: String| {
                rpassword::prompt_password(prompt)
                    .map_err(|error| Failure::failed("the password could not be asked for").note(error.to_string()))
            };
            let first = ask(format!("Password for {}: ", args.name))?;
            if first != ask("The same once more: ".to_owned())? {
                return Err(Failure::usage("the two are not the same").hint("try again"));
            }
            first
        }
        None => {
            return Err(Failure::usage("nobody can be asked for the password")
                .hint("put it into a file and name that with --password-file FILE"));
        }
    };
    if password.is_empty() {
        return Err(Failure::usage("the password is empty").hint("choose one that is hard to guess"));
    }
    let scope = scope(&args.scope);
    accounts(context)?.set_user(&args.name, &password, &scope).map_err(|error| failure(&error))?;
    context.say(format_args!("{} may log in: {}", args.name, words(&scope)));
    Ok(Exit::Done)
}

fn token(context: &Context, args: &UserTokenArgs) -> Outcome {
    plain(&args.name)?;
    let expires = match &args.expires {
        None => None,
        Some(text) => {
            let long = parse_duration(text).map_err(|error| {
                Failure::usage(format!("--expires {text}: {error}")).hint("write it as 12h or 30d")
            })?;
            Some(Timestamp::now().as_second().saturating_add(long.as_secs().try_into().unwrap_or(i64::MAX)))
        }
    };
    let scope = scope(&args.scope);
    let token = accounts(context)?.make_token(&args.name, &scope, expires).map_err(|error| failure(&error))?;
    let mut out = context.out();
    match context.json {
        true => out.line(json!({ "event": "token", "name": args.name, "token": token, "expires": expires }))?,
        false => out.line(&token)?,
    }
    out.flush()?;
    context.say(format_args!("This token is shown once. It opens {}", words(&scope)));
    Ok(Exit::Done)
}

fn list(context: &Context) -> Outcome {
    let accounts = accounts(context)?;
    let users = accounts.users().map_err(|error| failure(&error))?;
    let tokens = accounts.tokens().map_err(|error| failure(&error))?;
    let mut out = context.out();
    if context.json {
        let each = |kind: &str, name: &str, scope: &Scope, expires: Option<i64>| json!({ "event": kind, "name": name, "shares": scope.shares, "write": scope.write, "expires": expires });
        for user in &users {
            out.line(each("user", &user.name, &user.scope, None))?;
        }
        for token in &tokens {
            out.line(each("token", &token.name, &token.scope, token.expires))?;
        }
        out.flush()?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[Align::Left; 4]);
    table.row(["NAME", "KIND", "OPENS", "UNTIL"].map(str::to_owned).to_vec());
    for user in &users {
        table.row(vec![user.name.clone(), "user".into(), words(&user.scope), String::new()]);
    }
    for token in &tokens {
        let until = token.expires.and_then(|at| Timestamp::from_second(at).ok());
        let until = until.map(|at| at.to_zoned(context.zone()).strftime("%Y-%m-%d %H:%M").to_string());
        table.row(vec![token.name.clone(), "token".into(), words(&token.scope), until.unwrap_or_default()]);
    }
    for line in table.lines() {
        out.line(line)?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn remove(context: &Context, names: &[String]) -> Outcome {
    let accounts = accounts(context)?;
    for name in names {
        let user = accounts.remove_user(name).map_err(|error| failure(&error))?;
        let token = accounts.revoke_token(name).map_err(|error| failure(&error))?;
        if !user && !token {
            return Err(Failure::usage(format!("there is neither a user nor a token called '{name}'"))
                .hint("`sitta user list` shows them"));
        }
        context.say(format_args!("{name} may not log in any more"));
    }
    Ok(Exit::Done)
}
