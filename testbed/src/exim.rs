//! Exim: a real mail server with TLS, STARTTLS and logins, that delivers everything into one folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::certificate::Certificate;
use crate::{Process, free_port, need};

/// A running mail server.
#[derive(Debug)]
pub struct Exim {
    home: TempDir,
    port: u16,
    tls_port: u16,
    certificate: Certificate,
    _process: Process,
}

impl Exim {
    /// Who may log in, and the password. Without a login nothing is taken.
    pub const USER: (&'static str, &'static str) = ("ops@example.org", "mail-hush-73");

    /// Starts one.
    ///
    /// # Panics
    /// If it is missing, or does not start.
    pub fn start() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().expect("a temporary folder");
        let certificate = Certificate::make(home.path());
        for dir in ["spool", "mail", "log"] {
            std::fs::create_dir(home.path().join(dir)).expect("a folder");
        }
        let (port, tls_port) = (free_port(), free_port());
        let file = home.path().join("exim.conf");
        std::fs::write(&file, config(home.path(), port, tls_port, &certificate)).expect("a config");
        // Exim gives up root's rights; whoever it becomes must get at its files.
        for path in [
            home.path(),
            &certificate.key,
            &home.path().join("spool"),
            &home.path().join("mail"),
            &home.path().join("log"),
        ] {
            let mode = if path.is_dir() { 0o777 } else { 0o644 };
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
        }
        let mut command = Command::new(need("exim4"));
        command
            .arg("-C")
            .arg(&file)
            .args(["-bdf", "-oX"])
            .arg(format!("<; [127.0.0.1]:{port} ; [127.0.0.1]:{tls_port}"));
        let process =
            Process::start(&mut command, home.path().join("server.log")).wait_for(port).wait_for(tls_port);
        Self { home, port, tls_port, certificate, _process: process }
    }

    /// The port for STARTTLS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port with TLS from the beginning.
    pub fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// The certificate that it shows.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The mails that were delivered, as they arrived; waits until there are so many.
    ///
    /// # Panics
    /// If they do not come.
    pub fn mails(&self, count: usize) -> Vec<String> {
        let end = std::time::Instant::now() + crate::PATIENCE;
        loop {
            let mut files: Vec<PathBuf> = std::fs::read_dir(self.home.path().join("mail/new"))
                .map(|dir| dir.flatten().map(|entry| entry.path()).collect())
                .unwrap_or_default();
            files.sort();
            if files.len() >= count {
                return files.iter().map(|file| std::fs::read_to_string(file).expect("a mail")).collect();
            }
            assert!(std::time::Instant::now() < end, "{} of {count} mails:\n{}", files.len(), self.log());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// What it has noted.
    pub fn log(&self) -> String {
        let read =
            |name: &str| std::fs::read_to_string(self.home.path().join("log").join(name)).unwrap_or_default();
        format!("{}{}{}", read("main"), read("reject"), read("panic"))
    }
}

fn config(home: &Path, port: u16, tls_port: u16, certificate: &Certificate) -> String {
    let home = home.display();
    let (user, password) = Exim::USER;
    let (certificate, key) = (certificate.certificate.display(), certificate.key.display());
    format!(
        "daemon_smtp_ports = {port} : {tls_port}\n\
         tls_on_connect_ports = {tls_port}\n\
         tls_advertise_hosts = *\n\
         tls_certificate = {certificate}\n\
         tls_privatekey = {key}\n\
         auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}\n\
         primary_hostname = localhost\n\
         qualify_domain = example.org\n\
         spool_directory = {home}/spool\n\
         log_file_path = {home}/log/%s\n\
         host_lookup =\n\
         never_users =\n\
         keep_environment =\n\
         acl_smtp_rcpt = check\n\
         acl_smtp_data = accept\n\
         begin acl\n\
         check:\n\
         \x20 deny message = that one is not here\n\
         \x20      local_parts = nobody\n\
         \x20 accept authenticated = *\n\
         \x20 deny message = log in first\n\
         begin routers\n\
         all:\n\
         \x20 driver = accept\n\
         \x20 transport = folder\n\
         begin transports\n\
         folder:\n\
         \x20 driver = appendfile\n\
         \x20 directory = {home}/mail\n\
         \x20 maildir_format\n\
         \x20 user = Debian-exim\n\
         \x20 group = Debian-exim\n\
         begin authenticators\n\
         plain:\n\
         \x20 driver = plaintext\n\
         \x20 public_name = PLAIN\n\
         \x20 server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}\n\
         \x20 server_set_id = $auth2\n"
    )
}
