//! `sitta serve`: shares for other sittas, browsers, scripts and WebDAV clients.

mod certificate;

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

use sitta_serve::audit::{self, Record};
use sitta_serve::{
    Accounts, Certificate, CertificateFiles, IndexEvent, IndexNotice, IndexOptions, Options, ServeError, Share,
    Timeouts,
};
use sitta_store::local::{Links, LocalStore};
use sitta_store::{Flow, Store};
use sitta_tree::Printable;
use tokio::sync::mpsc;

use self::certificate::Kept;
use super::block_on;
use crate::args::ServeArgs;
use crate::config::is_share_name;
use crate::context::{Context, host_name};
use crate::exit::{Exit, Failure, Outcome};
use crate::open;
use crate::render::table::{Align, Table};
use crate::render::{failure as words, json, units};
use crate::signals;

/// The file of the server's accounts, and of what was done on it.
const ACCOUNTS: &str = "server.db";

/// Where to listen unless told otherwise: at this machine only, by both its names.
const USUAL: [&str; 2] = ["127.0.0.1:7474", "[::1]:7474"];

pub fn run(context: &Context, args: &ServeArgs) -> Outcome {
    block_on(serve(context, args))
}

/// The file of the server's accounts.
pub fn accounts(context: &Context) -> Outcome<Accounts> {
    Accounts::open(&context.state_dir()?.join(ACCOUNTS)).map_err(|error| failure(&error))
}

/// What was done on the server of this machine.
pub fn audit(context: &Context, limit: u32) -> Outcome {
    let records = audit::read(&context.state_dir()?.join(ACCOUNTS), limit).map_err(|error| failure(&error))?;
    let mut out = context.out();
    if context.json {
        for Record { at, who, from, what, share, path, result } in records.iter().rev() {
            let path = Printable(path).to_string();
            out.line(serde_json::json!({
                "event": "audit", "at": at.to_string(), "who": who, "from": from, "what": what, "share": share, "path": path,
                "result": result,
            }))?;
        }
        out.line(json::plain_report("history", &[("outcome", Exit::Done.outcome().into())]))?;
        out.flush()?;
        return Ok(Exit::Done);
    }
    if records.is_empty() {
        out.line("Nobody did anything on the server so far")?;
    }
    let mut table = Table::new(&[Align::Left; 6]);
    for Record { at, who, from, what, share, path, result } in records.iter().rev() {
        let at = at.to_zoned(context.zone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        let who = if who.is_empty() { "-" } else { who };
        let at_path = format!("{share}/{}", Printable(path));
        table.row(vec![at, who.to_owned(), from.clone(), what.clone(), result.clone(), at_path]);
    }
    for line in table.lines() {
        out.line(line)?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// What a server's error is to the user.
pub fn failure(error: &ServeError) -> Failure {
    match error {
        ServeError::Listen { address, source } => {
            let failure = Failure::failed(format!("cannot listen on {address}")).note(source.to_string());
            match source.kind() {
                std::io::ErrorKind::AddrInUse => {
                    failure.hint("another server runs there; name another port with --listen")
                }
                std::io::ErrorKind::PermissionDenied => {
                    failure.hint("ports below 1024 are for root; name another one with --listen")
                }
                _ => failure.hint("name an address of this machine with --listen"),
            }
        }
        ServeError::Certificate { file, what } => {
            Failure::usage(format!("the certificate {} cannot be used", file.display())).note(what.clone())
        }
        ServeError::Accounts { file, what } => {
            Failure::failed(format!("the accounts in {} cannot be used", file.display())).note(what.clone())
        }
    }
}

/// `NAME=LOCATION[:ro]`
fn split(text: &OsStr) -> Outcome<(String, OsString, bool)> {
    let wrong = || {
        Failure::usage(format!("'{}' is no share", text.to_string_lossy()))
            .hint("write NAME=LOCATION, for example --share docs=~/Documents or --share docs=~/Documents:ro")
    };
    let bytes = text.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
    let name = std::str::from_utf8(&bytes[..at]).ok().map(str::to_owned);
    let name = name.filter(|name| is_share_name(name)).ok_or_else(|| {
        wrong().note("a share's name is made of letters, digits, '-', '_' and '.', and does not begin with a '.'")
    })?;
    let (location, writable) = match bytes[at + 1..].strip_suffix(b":ro") {
        Some(location) => (location, false),
        None => (&bytes[at + 1..], true),
    };
    if location.is_empty() {
        return Err(wrong());
    }
    Ok((name, OsString::from_vec(location.to_vec()), writable))
}

/// What is to be shared.
struct Wanted {
    name: String,
    location: OsString,
    writable: bool,
    indexed: bool,
    links: Links,
}

/// What is to be shared: as the arguments say, else the config.
fn wanted(context: &Context, args: &ServeArgs) -> Outcome<Vec<Wanted>> {
    if !args.share.is_empty() {
        let share = |text: &OsString| {
            let (name, location, writable) = split(text)?;
            // Behind a '=', shells leave it as it is.
            let at_home = |rest| context.home.as_ref().map(|home| home.join(OsStr::from_bytes(rest)).into());
            let at_home = location.as_bytes().strip_prefix(b"~/").and_then(at_home);
            Ok(Wanted { name, location: at_home.unwrap_or(location), writable, indexed: true, links: Links::Kept })
        };
        return args.share.iter().map(share).collect();
    }
    let shares = &context.config()?.share;
    if shares.is_empty() {
        return Err(Failure::usage("there is nothing to share")
            .hint("name it with --share NAME=LOCATION, or write it down with `sitta share add NAME LOCATION`"));
    }
    let share = |(name, share): (&String, &crate::config::Share)| Wanted {
        name: name.clone(),
        location: context.place_of_config(&share.location),
        writable: !share.read_only,
        indexed: share.index,
        links: if share.follow_links { Links::Followed } else { Links::Kept },
    };
    Ok(shares.iter().map(share).collect())
}

async fn serve(context: &Context, args: &ServeArgs) -> Outcome {
    let mut shares: Vec<(Share, String)> = Vec::new();
    for Wanted { name, location, writable, indexed, links } in wanted(context, args)? {
        if shares.iter().any(|(share, _)| share.name == name) {
            return Err(
                Failure::usage(format!("two shares are called '{name}'")).hint("give each a name of its own")
            );
        }
        let opened = open::open(context, &location).await?;
        let store = match links {
            Links::Kept => opened.store,
            Links::Followed => following(opened.store.as_ref(), &opened.label)?,
        };
        // What is not there now is a mistake that would be hard to find later.
        let root = sitta_tree::RelPath::root();
        store.list(&root).await.map_err(|error| words::looking(&opened.label, &error))?;
        let writable = writable && store.capabilities().writable;
        let mut share = Share::new(name, store, writable);
        share.indexed = indexed;
        shares.push((share, opened.label));
    }
    let config = &context.config()?.serve;
    let listen = if args.listen.is_empty() { &config.listen } else { &args.listen };
    let accounts = accounts(context)?;
    let of_config = |file: &Option<String>| file.as_ref().map(|file| context.file_of_config(file));
    let (certificate, key) = match (&args.tls_certificate, &args.tls_key) {
        (Some(certificate), Some(key)) => (Some(certificate.clone()), Some(key.clone())),
        _ => (of_config(&config.certificate), of_config(&config.key)),
    };
    let certificate = match (certificate, key) {
        (Some(certificate), Some(key)) => Certificate::read(&CertificateFiles { certificate, key }),
        _ => {
            let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned(), host_name()];
            names.extend(listen.iter().map(|address| address.ip().to_string()));
            names.dedup();
            Certificate::own(&context.state_dir()?.join("server"), &names)
        }
    };
    let certificate = certificate.map_err(|error| failure(&error))?;
    let (fingerprint, mut kept) = (certificate.fingerprint(), Kept::new(certificate.clone()));
    let nobody = accounts.is_empty();
    let labels: Vec<_> =
        shares.iter().map(|(share, label)| (share.name.clone(), label.clone(), share.writable)).collect();
    let listen = addresses(listen);
    let (sender, mut notices) = mpsc::unbounded_channel();
    // Without a place for it there is none.
    let index = context.cache_dir().ok().map(|dir| IndexOptions::new(dir.join("index"), sender));
    let shares = shares.into_iter().map(|(share, _)| share).collect();
    let options = Options { listen, shares, accounts, certificate, index, timeouts: Timeouts::default() };
    raise_descriptors();
    let running = sitta_serve::start(options).await.map_err(|error| failure(&error))?;
    tell(context, &labels, running.addresses(), &fingerprint, nobody)?;
    let flow = Arc::new(Flow::default());
    signals::stop_on_signals(&flow, &context.console).forever();
    loop {
        tokio::select! {
            () = flow.cancelled() => break,
            // Whoever read the output may be gone; the server stays.
            Some(notice) = notices.recv() => drop(tell_index(context, &notice)),
            () = kept.due() => drop(kept.look(context)),
        }
    }
    running.stop().await;
    if context.json {
        let mut out = context.out();
        out.line(json::plain_report("serve", &[("outcome", Exit::Done.outcome().into())]))?;
        out.flush()?;
    }
    Ok(Exit::Done)
}

/// The same folder, with its symbolic links followed.
fn following(store: &dyn Store, label: &str) -> Outcome<Arc<dyn Store>> {
    let Some(folder) = store.as_local() else {
        return Err(Failure::usage(format!("links in {label} cannot be followed"))
            .note("it is no folder of this machine")
            .hint("leave out follow_links"));
    };
    let store = LocalStore::open_with(folder.path(), Links::Followed);
    Ok(Arc::new(store.map_err(|error| words::looking(label, &error))?))
}

/// As many connections and open files as the system allows; many allow far less unless asked.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Where to listen; of the usual addresses those that this machine has.
fn addresses(asked: &[SocketAddr]) -> Vec<SocketAddr> {
    if !asked.is_empty() {
        return asked.to_vec();
    }
    let usual = USUAL.map(|address| address.parse::<SocketAddr>().expect("an address"));
    let there = |address: &SocketAddr| std::net::UdpSocket::bind((address.ip(), 0)).is_ok();
    usual.into_iter().filter(there).collect()
}

fn tell(
    context: &Context,
    shares: &[(String, String, bool)],
    addresses: &[SocketAddr],
    fingerprint: &str,
    nobody: bool,
) -> Outcome<()> {
    if context.json {
        let shares: Vec<_> = shares
            .iter()
            .map(|(name, location, writable)| serde_json::json!({ "name": name, "location": location, "writable": writable }))
            .collect();
        let mut out = context.out();
        out.line(serde_json::json!({
            "event": "serving",
            "shares": shares,
            "addresses": addresses,
            "fingerprint": fingerprint,
        }))?;
        return out.flush();
    }
    if context.quiet {
        return Ok(());
    }
    let (console, style) = (&context.console, context.console.style);
    let widest = shares.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
    for (name, location, writable) in shares {
        let how = if *writable { "" } else { "   read only" };
        console.line(format!("{}{name:<widest$}   {location}{how}", style.head("Sharing")));
    }
    for address in addresses {
        console.line(format!("{}https://{address}   TCP and UDP", style.head("Listening")));
    }
    console.line(format!("{}{fingerprint}", style.head("Certificate")));
    if nobody {
        let others = addresses.iter().any(|address| !address.ip().is_loopback());
        console.line(match others {
            true => "No accounts: nobody can log in from elsewhere; `sitta user add NAME` makes one",
            false => "No accounts: whoever works on this machine may come in; `sitta user add NAME` ends that",
        });
    }
    Ok(())
}

/// How it goes with the index of a share.
fn tell_index(context: &Context, notice: &IndexNotice) -> Outcome<()> {
    let IndexNotice { share, what } = notice;
    if context.json {
        let mut object = serde_json::json!({ "event": "index", "share": share });
        match what {
            IndexEvent::Ready { files, unread } => {
                (object["state"], object["files"]) = ("ready".into(), (*files).into());
                object["unread"] = (*unread).into();
            }
            IndexEvent::Rebuilt { why } => {
                (object["state"], object["why"]) = ("rebuilt".into(), why.as_str().into())
            }
            IndexEvent::Off { why } => (object["state"], object["why"]) = ("off".into(), why.as_str().into()),
        }
        let mut out = context.out();
        out.line(object)?;
        return out.flush();
    }
    let (console, style) = (&context.console, context.console.style);
    match what {
        IndexEvent::Ready { files, unread } => {
            let files = units::counted(*files, "file", "files");
            // Searches read those: nothing is missed.
            let later = if *unread > 0 { format!(", {unread} not yet") } else { String::new() };
            context.say(format!("{}{share}   {files}{later}", style.head("Indexed")));
        }
        IndexEvent::Rebuilt { why } => console.warning(format!("the index of {share} is made anew: {why}")),
        IndexEvent::Off { why } => console.warning(format!("{share} is searched without an index for now: {why}")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_a_name_and_a_place() {
        let share = |text: &str| split(OsStr::new(text)).map_err(|failure| failure.what);
        assert_eq!(share("docs=/a/b"), Ok(("docs".into(), "/a/b".into(), true)));
        assert_eq!(share("docs=nas:x=y:ro"), Ok(("docs".into(), "nas:x=y".into(), false)));
        for odd in ["docs", "=x", "docs=", "docs=:ro", "a/b=x", ".=x", "a b=x"] {
            assert_eq!(share(odd), Err(format!("'{odd}' is no share")));
        }
    }
}
