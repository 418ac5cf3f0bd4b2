//! What it takes to get into a place: from its URL, the config, the environment, the user's own keys, and the user.

use std::fs;
use std::path::{Path, PathBuf};

use sitta_store::sitta::trust::KnownServer;
use sitta_store::{Access, Location, Password, Remote, Scheme, SshAccess, sitta};

use super::aws;
use crate::config::{self, Store, reveal};
use crate::context::{Context, user_name, variable};
use crate::exit::{Failure, Outcome};

/// The private keys that OpenSSH tries, in its order, and where it keeps known hosts.
const IDENTITIES: [&str; 3] = [".ssh/id_ed25519", ".ssh/id_ecdsa", ".ssh/id_rsa"];
const KNOWN_HOSTS: [&str; 2] = [".ssh/known_hosts", "/etc/ssh/ssh_known_hosts"];

/// What two places have in common that are got into in the same way.
pub fn key(location: &Location, named: Option<&str>) -> String {
    let remote = config::remote(location);
    let server = remote.map(|remote| Remote { path: String::new(), query: None, ..remote.clone() }.to_string());
    format!("{}|{}", named.unwrap_or_default(), server.unwrap_or_default())
}

/// All that is known without asking anybody.
pub async fn gather(context: &Context, location: &Location, named: Option<(&str, &Store)>) -> Outcome<Access> {
    let mut access = Access::default();
    if let Some(file) = &context.ca {
        access.web.ca = certificates(file, "--ca")?;
    }
    let Some(remote) = config::remote(location) else { return Ok(access) };
    if let Some((name, store)) = named {
        configured(context, &mut access, name, store).await?;
    }
    match remote.scheme {
        Scheme::Sitta => {
            access.web.known = Some(known_server(context, remote)?);
        }
        Scheme::S3 => aws::complete(&mut access.s3, context.home.as_deref(), variable),
        Scheme::Sftp => {
            ssh(context, &mut access.ssh);
            if remote.user.is_none() && access.user.is_none() {
                access.user = user_name();
            }
        }
        _ => {}
    }
    Ok(access)
}

/// What the config says.
async fn configured(context: &Context, access: &mut Access, name: &str, store: &Store) -> Outcome<()> {
    let table = format!("store.{name}");
    access.user.clone_from(&store.user);
    for (key, secret) in store.secrets() {
        let password = reveal(context, secret, key, &table).await?;
        *match key {
            "token" => &mut access.token,
            "secret" => &mut access.s3.secret,
            "session_token" => &mut access.s3.session_token,
            _ => &mut access.password,
        } = Some(password);
    }
    if let Some(file) = &store.ca {
        access.web.ca.push(b'\n');
        access.web.ca.extend(certificates(&context.file_of_config(file), &format!("'ca' of [{table}]"))?);
    }
    if let Some(timeout) = store.timeout() {
        access.web.timeout = timeout;
    }
    let files = |files: &config::OneOrMany| -> Vec<PathBuf> {
        files.all().iter().map(|file| context.file_of_config(file)).collect()
    };
    access.ssh.known_hosts = store.known_hosts.as_ref().map(files).unwrap_or_default();
    access.ssh.identities = store.identity.as_ref().map(files).unwrap_or_default();
    for (key, file) in access.ssh.identities.iter().map(|file| ("identity", file)) {
        // The user's own keys need not be there; one that was named must be.
        fs::File::open(file).map_err(|error| unreadable(&format!("'{key}' of [{table}]"), file, &error))?;
    }
    access.s3.endpoint = store.endpoint.as_ref().map(|endpoint| endpoint.0.clone());
    access.s3.region.clone_from(&store.region);
    access.s3.key_id.clone_from(&store.key_id);
    access.s3.path_style = store.path_style;
    access.s3.conditional_writes = store.conditional_writes;
    Ok(())
}

/// Where another sitta's certificate is known from.
fn known_server(context: &Context, remote: &Remote) -> Outcome<KnownServer> {
    Ok(KnownServer { file: context.state_dir()?.join("known_servers"), server: sitta::server_name(remote) })
}

/// OpenSSH's own files where the config names none, and its agent.
fn ssh(context: &Context, access: &mut SshAccess) {
    let below_home = |name: &&str| match (name.starts_with('/'), &context.home) {
        (true, _) => Some(PathBuf::from(name)),
        (false, home) => home.as_ref().map(|home| home.join(name)),
    };
    if access.known_hosts.is_empty() {
        access.known_hosts = KNOWN_HOSTS.iter().filter_map(below_home).collect();
    }
    if access.identities.is_empty() {
        access.identities = IDENTITIES.iter().filter_map(below_home).collect();
    }
    access.agent = variable("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty()).map(PathBuf::from);
}

/// A file of certificates; one without any is a mistake that would be hard to find later.
pub fn certificates(file: &Path, option: &str) -> Outcome<Vec<u8>> {
    let bytes = fs::read(file).map_err(|error| unreadable(option, file, &error))?;
    if !bytes.windows(27).any(|part| part == b"-----BEGIN CERTIFICATE-----") {
        return Err(Failure::usage(format!("{} holds no certificate in PEM form", file.display()))
            .note(format!("{option} names it"))
            .hint("such a file begins with -----BEGIN CERTIFICATE-----"));
    }
    Ok(bytes)
}

fn unreadable(option: &str, file: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("{} could not be read", file.display()))
        .note(format!("{option} names it: {error}"))
        .hint("check how it is written")
}

/// Whether to ask for a password before anything else: a server that is told a user's name wants one. SSH has other ways
/// and is tried without first.
pub fn asks_first(location: &Location, access: &Access) -> bool {
    let Some(remote) = config::remote(location) else { return false };
    let takes_one = matches!(remote.scheme, Scheme::Smb | Scheme::Webdav | Scheme::Webdavs);
    takes_one && is_without(remote, access) && (remote.user.is_some() || access.user.is_some())
}

/// Whether a password could help against a login that was refused.
pub fn asks_then(location: &Location, access: &Access) -> bool {
    config::remote(location).is_some_and(|remote| remote.scheme == Scheme::Sftp && is_without(remote, access))
}

fn is_without(remote: &Remote, access: &Access) -> bool {
    remote.password.is_none() && access.password.is_none() && access.token.is_none()
}

/// Asks for a password, without showing it.
pub fn ask(location: &Location, access: &Access) -> Outcome<Password> {
    let remote = config::remote(location).map(|remote| Remote {
        user: remote.user.clone().or_else(|| access.user.clone()),
        path: String::new(),
        query: None,
        ..remote.clone()
    });
    let server = remote.map_or_else(String::new, |remote| remote.to_string());
    let prompt = format!("Password for {}: ", server.trim_end_matches('/'));
    rpassword::prompt_password(prompt)
        .map(Password::new)
        .map_err(|error| Failure::failed("the password could not be asked for").note(error.to_string()))
}
