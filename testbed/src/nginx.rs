//! nginx with a directory index, WebDAV, TLS and a user.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::certificate::Certificate;
use crate::{Process, free_port, need};

const DAV: &str = "/usr/lib/nginx/modules/ngx_http_dav_ext_module.so";

/// A running nginx. Its folder is `root`; the same is served by several locations, see the methods.
#[derive(Debug)]
pub struct Nginx {
    home: TempDir,
    port: u16,
    tls_port: u16,
    certificate: Certificate,
    process: Option<Process>,
}

impl Nginx {
    /// The user of [`Nginx::locked`], and the password.
    pub const USER: (&'static str, &'static str) = ("me", "the password");

    /// Starts one with an empty folder.
    ///
    /// # Panics
    /// If nginx or its WebDAV module is missing, or does not start.
    pub fn start() -> Self {
        assert!(Path::new(DAV).is_file(), "libnginx-mod-http-dav-ext is missing: run `cargo xtask test`");
        let home = tempfile::tempdir().expect("a temporary folder");
        // nginx gives up root's rights in its workers; the folder must stay reachable.
        let certificate = Certificate::make(home.path());
        for dir in ["root", "tmp"] {
            std::fs::create_dir(home.path().join(dir)).expect("a folder");
        }
        let hash =
            Command::new(need("openssl")).args(["passwd", "-apr1", Self::USER.1]).output().expect("openssl runs");
        let users = format!("{}:{}", Self::USER.0, String::from_utf8_lossy(&hash.stdout));
        std::fs::write(home.path().join("users"), users).expect("a file of users");
        let mut nginx = Self { port: free_port(), tls_port: free_port(), certificate, home, process: None };
        std::fs::write(nginx.home.path().join("nginx.conf"), nginx.config()).expect("a config");
        nginx.restart();
        nginx
    }

    /// Starts it again, on the same ports, after a [`Nginx::kill`].
    pub fn restart(&mut self) {
        let mut command = Command::new(need("nginx"));
        command.args(["-e", "stderr", "-c"]).arg(self.home.path().join("nginx.conf"));
        self.process = Some(Process::start(&mut command, self.home.path().join("log")).wait_for(self.port));
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it can be ended");
        }
    }

    /// Its process, while it runs.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// The folder that is served.
    pub fn root(&self) -> PathBuf {
        self.home.path().join("root")
    }

    /// The port of everything without TLS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate that it shows.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Where the folder is listed and read.
    pub fn files(&self) -> String {
        format!("127.0.0.1:{}/files", self.port)
    }

    /// The same by TLS.
    pub fn tls(&self) -> String {
        format!("127.0.0.1:{}/files", self.tls_port)
    }

    /// The same for [`Nginx::USER`] only.
    pub fn locked(&self) -> String {
        format!("127.0.0.1:{}/locked", self.port)
    }

    /// The same at 2 MiB a second.
    pub fn slow(&self) -> String {
        format!("127.0.0.1:{}/slow", self.port)
    }

    /// The same, but HEAD is refused, as it is for URLs that were signed for GET.
    pub fn get_only(&self) -> String {
        format!("127.0.0.1:{}/get-only", self.port)
    }

    /// Where the folder is a WebDAV collection.
    pub fn dav(&self) -> String {
        format!("127.0.0.1:{}/dav", self.port)
    }

    /// The same for [`Nginx::USER`] only.
    pub fn locked_dav(&self) -> String {
        format!("127.0.0.1:{}/locked-dav", self.port)
    }

    /// A location that sends everybody to the other port by a redirect.
    pub fn elsewhere(&self) -> String {
        format!("127.0.0.1:{}/elsewhere", self.port)
    }

    fn config(&self) -> String {
        let home = self.home.path().display();
        let root = self.root();
        let root = root.display();
        let dav = "dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS;";
        let login = format!("auth_basic here; auth_basic_user_file {home}/users;");
        let mut config = format!(
            "load_module {DAV};\nuser root;\ndaemon off;\nmaster_process off;\npid {home}/pid;\nerror_log stderr;\n\
             events {{ worker_connections 512; }}\nhttp {{\naccess_log off;\nclient_max_body_size 0;\n\
             default_type application/octet-stream;\nkeepalive_requests 100000;\n"
        );
        config += &temp_paths(self.home.path());
        let denied = "location ~ \"^/files/.*denied\" { return 403; }";
        let locations = [
            ("files", "autoindex on;"),
            ("locked", &format!("{login} autoindex on;")),
            ("slow", "autoindex on; limit_rate 2m;"),
            ("get-only", "if ($request_method = HEAD) { return 403; }"),
            ("dav", dav),
            ("locked-dav", &format!("{login} {dav}")),
        ];
        let locations: String = locations
            .iter()
            .map(|(name, rest)| format!("location /{name}/ {{ alias {root}/; {rest} }}\n"))
            .collect();
        let _ = writeln!(config, "server {{\nlisten 127.0.0.1:{};\n{denied}\n{locations}", self.port);
        let _ = writeln!(
            config,
            "location /elsewhere/ {{ rewrite ^/elsewhere/(.*)$ https://127.0.0.1:{}/files/$1 redirect; }}\n}}",
            self.tls_port
        );
        let _ = writeln!(
            config,
            "server {{\nlisten 127.0.0.1:{} ssl;\nssl_certificate {};\nssl_certificate_key {};\n{locations}}}\n}}",
            self.tls_port,
            self.certificate.certificate.display(),
            self.certificate.key.display()
        );
        config
    }
}

/// Lines of a config that keep what nginx puts aside below `home`: Debian's own folders are for root.
pub fn temp_paths(home: &Path) -> String {
    let home = home.display();
    ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].iter().fold(String::new(), |mut lines, what| {
        let _ = writeln!(lines, "{what}_temp_path {home}/tmp/{what};");
        lines
    })
}
