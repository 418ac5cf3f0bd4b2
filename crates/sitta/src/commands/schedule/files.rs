//! What systemd, launchd, the Task Scheduler and cron are told.

use crate::args::Keeper;

/// Tells our files and lines from others.
pub const MARK: &str = "written by sitta schedule";

/// What the files have to say.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The program's own file.
    pub program: String,
    /// The config.
    pub config: String,
    /// XDG_STATE_HOME, if it is not the usual one.
    pub state_home: Option<String>,
    /// The user's own folder.
    pub home: Option<String>,
}

/// The file's text; for cron, the line.
pub fn text(keeper: Keeper, facts: &Facts) -> String {
    match keeper {
        Keeper::SystemdUser | Keeper::SystemdSystem => systemd(facts, keeper == Keeper::SystemdSystem),
        Keeper::Launchd => launchd(facts),
        Keeper::TaskScheduler => task(facts),
        Keeper::Cron => cron(facts),
    }
}

/// systemd.service(5). The daemon stops its jobs itself: only it is told to stop, and has time to.
fn systemd(facts: &Facts, system: bool) -> String {
    let (program, config) = (systemd_word(&facts.program), systemd_word(&facts.config));
    let mut environment = String::new();
    if let Some(state) = &facts.state_home {
        environment.push_str(&format!("Environment={}\n", systemd_word(&format!("XDG_STATE_HOME={state}"))));
    }
    // A service of the machine has no HOME.
    if let Some(home) = facts.home.as_ref().filter(|_| system) {
        environment.push_str(&format!("Environment={}\n", systemd_word(&format!("HOME={home}"))));
    }
    let network = if system { "Wants=network-online.target\nAfter=network-online.target\n" } else { "" };
    let target = if system { "multi-user.target" } else { "default.target" };
    format!(
        "# {MARK}\n\
         [Unit]\n\
         Description=Sitta runs jobs when they are due\n\
         {network}\
         \n\
         [Service]\n\
         ExecStart={program} daemon --config {config}\n\
         ExecReload=/bin/kill -HUP $MAINPID\n\
         {environment}\
         Restart=on-failure\n\
         RestartSec=10\n\
         KillMode=mixed\n\
         TimeoutStopSec=120\n\
         \n\
         [Install]\n\
         WantedBy={target}\n"
    )
}

/// In quotes, with what systemd would replace written twice.
fn systemd_word(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    format!("\"{text}\"")
}

/// launchd.plist(5).
fn launchd(facts: &Facts) -> String {
    let arguments: String = [facts.program.as_str(), "daemon", "--config", facts.config.as_str()]
        .iter()
        .map(|word| format!("    <string>{}</string>\n", xml(word)))
        .collect();
    let environment = facts.state_home.as_ref().map_or_else(String::new, |state| {
        format!(
            "  <key>EnvironmentVariables</key>\n  <dict>\n    <key>XDG_STATE_HOME</key>\n    <string>{}</string>\n  </dict>\n",
            xml(state)
        )
    });
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <!-- {MARK} -->\n\
         <plist version=\"1.0\">\n\
         <dict>\n\
         \x20 <key>Label</key>\n\
         \x20 <string>io.sitta.daemon</string>\n\
         \x20 <key>ProgramArguments</key>\n\
         \x20 <array>\n\
         {arguments}\
         \x20 </array>\n\
         {environment}\
         \x20 <key>RunAtLoad</key>\n\
         \x20 <true/>\n\
         \x20 <key>KeepAlive</key>\n\
         \x20 <dict>\n\
         \x20   <key>SuccessfulExit</key>\n\
         \x20   <false/>\n\
         \x20 </dict>\n\
         \x20 <key>ExitTimeOut</key>\n\
         \x20 <integer>120</integer>\n\
         \x20 <key>ProcessType</key>\n\
         \x20 <string>Background</string>\n\
         </dict>\n\
         </plist>\n"
    )
}

/// The Task Scheduler's schema 1.2: begun when the user logs on, and again if it fails.
fn task(facts: &Facts) -> String {
    let (program, config) = (xml(&facts.program), xml(&format!("daemon --config \"{}\"", facts.config)));
    format!(
        "<?xml version=\"1.0\"?>\n\
         <Task version=\"1.2\" xmlns=\"http://schemas.microsoft.com/windows/2004/02/mit/task\">\n\
         \x20 <RegistrationInfo>\n\
         \x20   <Description>Sitta runs jobs when they are due ({MARK})</Description>\n\
         \x20 </RegistrationInfo>\n\
         \x20 <Triggers>\n\
         \x20   <LogonTrigger>\n\
         \x20     <Enabled>true</Enabled>\n\
         \x20   </LogonTrigger>\n\
         \x20 </Triggers>\n\
         \x20 <Settings>\n\
         \x20   <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>\n\
         \x20   <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>\n\
         \x20   <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>\n\
         \x20   <RestartOnFailure>\n\
         \x20     <Interval>PT1M</Interval>\n\
         \x20     <Count>999</Count>\n\
         \x20   </RestartOnFailure>\n\
         \x20   <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>\n\
         \x20 </Settings>\n\
         \x20 <Actions>\n\
         \x20   <Exec>\n\
         \x20     <Command>{program}</Command>\n\
         \x20     <Arguments>{config}</Arguments>\n\
         \x20   </Exec>\n\
         \x20 </Actions>\n\
         </Task>\n"
    )
}

/// crontab(5): each minute, what is due then.
fn cron(facts: &Facts) -> String {
    let state = facts.state_home.as_ref().map(|state| format!("XDG_STATE_HOME={} ", cron_word(state)));
    let (program, config) = (cron_word(&facts.program), cron_word(&facts.config));
    format!("* * * * * {}{program} daemon --once --quiet --config {config} # {MARK}\n", state.unwrap_or_default())
}

/// As a shell takes it; to cron, `%` is the end of the line.
fn cron_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@,".contains(c);
    if text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''")).replace('%', "\\%")
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            program: "/opt/my \"tools\"/sitta".into(),
            config: "/home/a & b/100%.toml".into(),
            state_home: Some("/var/$x".into()),
            home: Some("/root".into()),
        }
    }

    #[test]
    fn odd_names_are_quoted_as_each_of_them_wants() {
        let system = text(Keeper::SystemdSystem, &facts());
        assert!(
            system
                .contains("ExecStart=\"/opt/my \\\"tools\\\"/sitta\" daemon --config \"/home/a & b/100%%.toml\"\n")
        );
        assert!(system.contains("Environment=\"XDG_STATE_HOME=/var/$$x\"\n") && system.contains("\"HOME=/root\""));
        let cron = text(Keeper::Cron, &facts());
        assert!(
            cron.contains("'/opt/my \"tools\"/sitta' daemon --once --quiet --config '/home/a & b/100\\%.toml' #")
        );
        let launchd = text(Keeper::Launchd, &facts());
        assert!(launchd.contains("<string>/home/a &amp; b/100%.toml</string>"), "{launchd}");
    }
}
