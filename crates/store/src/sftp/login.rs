//! Logging in: every key and password that we were given, as far as the server accepts its sort.

use std::path::Path;
use std::sync::Arc;

use russh::MethodKind;
use russh::client::{AuthResult, KeyboardInteractiveAuthResponse as Answer};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, load_secret_key};

use super::connect::Connection;
use super::known_hosts::name_of;
use crate::{Password, SshAccess};

/// Prompts that one login may bring: a server that asks on and on is not answered for ever.
const MOST_PROMPTS: usize = 10;

/// Why nobody was let in.
#[derive(Debug)]
pub(super) enum Refused {
    /// With what to tell the user.
    Auth(String),
    Lost(russh::Error),
}

impl From<russh::Error> for Refused {
    fn from(error: russh::Error) -> Self {
        Self::Lost(error)
    }
}

/// A login on its way.
struct Login<'a> {
    connection: &'a mut Connection,
    user: &'a str,
    /// What the server accepts next.
    accepted: Vec<MethodKind>,
    /// What came of each try, for the user.
    tried: Vec<String>,
}

/// Logs in with an agent's keys, then key files, then the password.
pub(super) async fn login(
    connection: &mut Connection,
    user: &str,
    password: Option<&Password>,
    ssh: &SshAccess,
) -> Result<(), Refused> {
    let mut login = Login { connection, user, accepted: Vec::new(), tried: Vec::new() };
    let first = login.connection.authenticate_none(user).await?;
    if login.noted(first) {
        return Ok(());
    }
    let first = login.methods();
    if let Some(agent) = &ssh.agent
        && login.agent(agent).await?
    {
        return Ok(());
    }
    for file in &ssh.identities {
        if login.identity(file, password).await? {
            return Ok(());
        }
    }
    if let Some(password) = password
        && login.password(password).await?
    {
        return Ok(());
    }
    let tried = match login.tried.as_slice() {
        [] => "there is no key and no password to try".to_owned(),
        tried => format!("tried: {}", tried.join(", ")),
    };
    Err(Refused::Auth(format!("the server did not let '{user}' in: it accepts {first}; {tried}")))
}

impl Login<'_> {
    /// Whether this was the last step; otherwise what the server said is noted.
    fn noted(&mut self, result: AuthResult) -> bool {
        match result {
            AuthResult::Success => true,
            AuthResult::Failure { remaining_methods, .. } => {
                self.accepted = remaining_methods.to_vec();
                false
            }
        }
    }

    fn accepts(&self, method: MethodKind) -> bool {
        self.accepted.contains(&method)
    }

    fn methods(&self) -> String {
        match self.accepted.iter().map(<&str>::from).collect::<Vec<_>>() {
            methods if methods.is_empty() => "nothing that is known here".into(),
            methods => methods.join(", "),
        }
    }

    /// Fails if the server has hung up, as it does after too many tries.
    fn still_there(&mut self) -> Result<(), Refused> {
        if !self.connection.is_closed() {
            return Ok(());
        }
        let tried = self.tried.join(", ");
        Err(Refused::Auth(format!("the server hung up after these were tried for '{}': {tried}", self.user)))
    }

    /// Notes what came of a key; whether it was the last step.
    fn tried(&mut self, what: String, result: AuthResult) -> Result<bool, Refused> {
        let partial = matches!(result, AuthResult::Failure { partial_success: true, .. });
        let done = self.noted(result);
        if !done {
            self.tried.push(if partial { format!("{what} (accepted, but not enough)") } else { what });
            self.still_there()?;
        }
        Ok(done)
    }

    async fn agent(&mut self, socket: &Path) -> Result<bool, Refused> {
        if !self.accepts(MethodKind::PublicKey) {
            return Ok(false);
        }
        let mut agent = match AgentClient::connect_uds(socket).await {
            Ok(agent) => agent,
            Err(error) => {
                self.tried.push(format!("agent {} ({error})", socket.display()));
                return Ok(false);
            }
        };
        let keys = match agent.request_identities().await {
            Ok(keys) => keys,
            Err(error) => {
                self.tried.push(format!("agent {} ({error})", socket.display()));
                return Ok(false);
            }
        };
        for key in keys {
            if !self.accepts(MethodKind::PublicKey) {
                break;
            }
            let public = key.public_key().into_owned();
            let hash = self.rsa_hash(public.algorithm().is_rsa()).await?;
            let what =
                format!("agent key {} {}", name_of(&public.algorithm()), public.fingerprint(HashAlg::Sha256));
            let result = match key {
                AgentIdentity::PublicKey { key, .. } => {
                    self.connection.authenticate_publickey_with(self.user, key, hash, &mut agent).await
                }
                AgentIdentity::Certificate { certificate, .. } => {
                    self.connection.authenticate_certificate_with(self.user, certificate, hash, &mut agent).await
                }
            };
            match result {
                Ok(result) => {
                    if self.tried(what, result)? {
                        return Ok(true);
                    }
                }
                Err(error) => {
                    self.tried.push(format!("{what} ({error})"));
                    self.still_there()?;
                }
            }
        }
        Ok(false)
    }

    async fn identity(&mut self, file: &Path, passphrase: Option<&Password>) -> Result<bool, Refused> {
        if !self.accepts(MethodKind::PublicKey) || !file.exists() {
            return Ok(false);
        }
        let key = match read_key(file, passphrase).await {
            Ok(key) => key,
            Err(why) => {
                self.tried.push(format!("{} ({why})", file.display()));
                return Ok(false);
            }
        };
        let hash = self.rsa_hash(key.algorithm().is_rsa()).await?;
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
        let result = self.connection.authenticate_publickey(self.user, key).await?;
        self.tried(file.display().to_string(), result)
    }

    /// RSA keys sign with the best hash that the server knows; SHA-1 is not one.
    async fn rsa_hash(&self, rsa: bool) -> Result<Option<HashAlg>, Refused> {
        if !rsa {
            return Ok(None);
        }
        let best = self.connection.best_supported_rsa_hash().await?;
        Ok(best.flatten().or(Some(HashAlg::Sha256)))
    }

    async fn password(&mut self, password: &Password) -> Result<bool, Refused> {
        if self.accepts(MethodKind::Password) {
            let result = self.connection.authenticate_password(self.user, password.expose()).await?;
            if self.tried("the password".into(), result)? {
                return Ok(true);
            }
        }
        if !self.accepts(MethodKind::KeyboardInteractive) {
            return Ok(false);
        }
        let mut answer = self.connection.authenticate_keyboard_interactive_start(self.user, None).await?;
        for _ in 0..MOST_PROMPTS {
            match answer {
                Answer::Success => return Ok(true),
                Answer::Failure { .. } => break,
                Answer::InfoRequest { prompts, .. } => {
                    // What is echoed is no password: it gets no answer.
                    let hidden = |echo: bool| if echo { String::new() } else { password.expose().to_owned() };
                    let answers = prompts.iter().map(|prompt| hidden(prompt.echo)).collect();
                    answer = self.connection.authenticate_keyboard_interactive_respond(answers).await?;
                }
            }
        }
        self.tried.push("the password, as the answer to the server's prompts".into());
        Ok(false)
    }
}

/// Reads a private key; on failure says why.
async fn read_key(file: &Path, passphrase: Option<&Password>) -> Result<PrivateKey, String> {
    let (file, passphrase) = (file.to_owned(), passphrase.cloned());
    // Passphrases are stretched on purpose: that takes a while.
    let read = tokio::task::spawn_blocking(move || match load_secret_key(&file, None) {
        Ok(key) => Ok(key),
        // Old formats do not tell so clearly that they are encrypted.
        Err(error) => match (&passphrase, error) {
            (None, russh::keys::Error::KeyIsEncrypted) => Err("needs its passphrase as the password".to_owned()),
            (None, error) => Err(error.to_string()),
            (Some(passphrase), error) => {
                load_secret_key(&file, Some(passphrase.expose())).map_err(|_| match error {
                    russh::keys::Error::KeyIsEncrypted => "the password is not its passphrase".to_owned(),
                    error => error.to_string(),
                })
            }
        },
    });
    read.await.unwrap_or_else(|error| Err(error.to_string()))
}
