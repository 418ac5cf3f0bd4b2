//! Apache with directory indexes of each sort, and WebDAV.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::{Process, free_port, need};

/// Where Debian keeps Apache's modules.
const MODULES: &str = "/usr/lib/apache2/modules";

/// A running Apache.
#[derive(Debug)]
pub struct Apache {
    home: TempDir,
    port: u16,
    _process: Process,
}

impl Apache {
    /// Starts one with an empty folder.
    ///
    /// # Panics
    /// If it is missing, or does not start.
    pub fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        // It runs as a user of its own if root started it.
        for dir in ["", "root", "locks"] {
            let dir = home.path().join(dir);
            std::fs::create_dir_all(&dir).expect("a folder");
            std::fs::set_permissions(&dir, Permissions::from_mode(0o777)).expect("open to all");
        }
        let config = home.path().join("httpd.conf");
        std::fs::write(&config, Self::config(&home.path().display().to_string(), port)).expect("a config");
        let mut command = Command::new(need("apache2"));
        command.arg("-DFOREGROUND").arg("-f").arg(config);
        let process = Process::start(&mut command, home.path().join("log")).wait_for(port);
        Self { home, port, _process: process }
    }

    /// The folder that is served. What is put there must be readable by everybody.
    pub fn root(&self) -> PathBuf {
        self.home.path().join("root")
    }

    /// Where the folder is listed in one of Apache's ways: `plain`, `fancy` or `table`.
    pub fn files(&self, style: &str) -> String {
        format!("127.0.0.1:{}/{style}", self.port)
    }

    /// Where the folder is a WebDAV collection.
    pub fn dav(&self) -> String {
        format!("127.0.0.1:{}/dav", self.port)
    }

    fn config(home: &str, port: u16) -> String {
        let modules = ["mpm_event", "authz_core", "mime", "dir", "alias", "autoindex", "dav", "dav_fs"];
        let modules: String =
            modules.iter().map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n")).collect();
        let root = format!("{home}/root");
        let styles = [
            ("plain", "IndexOptions None"),
            ("fancy", "IndexOptions FancyIndexing IconsAreLinks NameWidth=* DescriptionWidth=*"),
            ("table", "IndexOptions FancyIndexing HTMLTable VersionSort"),
        ];
        let styles: String = styles
            .iter()
            .map(|(name, options)| {
                format!(
                    "Alias /{name} {root}\n<Location /{name}>\nOptions +Indexes +FollowSymLinks\n{options}\n\
                     IndexIgnoreReset ON\nIndexIgnore .\n</Location>\n"
                )
            })
            .collect();
        format!(
            "ServerRoot {home}\nDefaultRuntimeDir {home}\nPidFile {home}/pid\nErrorLog {home}/log\nLogLevel warn\n\
             Listen 127.0.0.1:{port}\nServerName localhost\n{modules}User www-data\nGroup www-data\n\
             TypesConfig /dev/null\nAddEncoding x-gzip .gz\nMaxKeepAliveRequests 0\nUseCanonicalName Off\n\
             DavLockDB {home}/locks/db\nDocumentRoot {root}\n\
             <Directory {root}>\nRequire all granted\n</Directory>\n{styles}\
             Alias /dav {root}\n<Location /dav>\nDav On\n</Location>\n"
        )
    }
}
