//! Where S3 is and who asks, as the environment and the files of Amazon's own tools have it.
//!
//! <https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html>,
//! <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use sitta_store::{Password, S3Access};

/// Fills in what `access` lacks. Key, secret and session token belong together: they are taken from one place.
pub fn complete(access: &mut S3Access, home: Option<&Path>, variable: impl Fn(&str) -> Option<String>) {
    let variable = |name| variable(name).filter(|value| !value.is_empty());
    let file = |name, default: &str| variable(name).map(PathBuf::from).or_else(|| Some(home?.join(default)));
    let profile = variable("AWS_PROFILE").unwrap_or_else(|| "default".into());
    let read = |path: Option<PathBuf>| path.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    let config = read(file("AWS_CONFIG_FILE", ".aws/config"));
    let config = section(&config, &[&profile, &format!("profile {profile}")]);
    let credentials = read(file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"));
    let credentials = section(&credentials, &[&profile]);

    let from_environment = || Credentials {
        key_id: variable("AWS_ACCESS_KEY_ID"),
        secret: variable("AWS_SECRET_ACCESS_KEY"),
        session_token: variable("AWS_SESSION_TOKEN"),
    };
    if access.key_id.is_none() {
        let found = [from_environment(), Credentials::of(&credentials), Credentials::of(&config)];
        if let Some(found) = found.into_iter().find(|found| found.key_id.is_some() && found.secret.is_some()) {
            access.key_id = found.key_id;
            access.secret = found.secret.map(Password::new);
            access.session_token = found.session_token.map(Password::new);
        }
    }
    let setting = |key: &str| config.get(key).or_else(|| credentials.get(key)).cloned();
    if access.region.is_none() {
        access.region =
            variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")).or_else(|| setting("region"));
    }
    if access.endpoint.is_none() {
        access.endpoint = variable("AWS_ENDPOINT_URL_S3")
            .or_else(|| variable("AWS_ENDPOINT_URL"))
            .or_else(|| setting("endpoint_url"));
    }
}

struct Credentials {
    key_id: Option<String>,
    secret: Option<String>,
    session_token: Option<String>,
}

impl Credentials {
    fn of(section: &HashMap<String, String>) -> Self {
        let get = |key| section.get(key).cloned();
        Self {
            key_id: get("aws_access_key_id"),
            secret: get("aws_secret_access_key"),
            session_token: get("aws_session_token"),
        }
    }
}

/// The settings of the first section with one of these names. Settings below an empty one, indented, are for single
/// services and left out.
fn section(text: &str, names: &[&str]) -> HashMap<String, String> {
    let mut settings = HashMap::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with(['#', ';']) || line.starts_with(char::is_whitespace) {
            continue;
        }
        if let Some(header) = line.trim().strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let words: Vec<&str> = header.0.split_whitespace().collect();
            inside = settings.is_empty() && names.contains(&&*words.join(" "));
        } else if let Some((key, value)) = line.split_once('=').filter(|_| inside) {
            let value = value.split_once(" #").map_or(value, |(value, _)| value);
            settings.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    settings.retain(|_, value| !value.is_empty());
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "# mine\n[default]\naws_access_key_id = AK\naws_secret_access_key=SK\n\n\
                               [work]\naws_access_key_id = WORK\naws_secret_access_key = WS\naws_session_token = WT\n";
    const CONFIG: &str = "[default]\nregion = eu-central-1 # near\ns3 =\n  max_concurrent_requests = 20\n\n\
                          [profile work]\nregion = eu-west-1\nendpoint_url = https://s3.example.org\n";

    fn completed(mut access: S3Access, variables: &[(&str, &str)]) -> S3Access {
        let home = tempfile::tempdir().expect("a folder");
        fs::create_dir(home.path().join(".aws")).expect("mkdir");
        fs::write(home.path().join(".aws/credentials"), CREDENTIALS).expect("write");
        fs::write(home.path().join(".aws/config"), CONFIG).expect("write");
        let variable =
            |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        complete(&mut access, Some(home.path()), variable);
        access
    }

    fn keys(access: &S3Access) -> [Option<&str>; 3] {
        let exposed = |password: &Option<Password>| password.clone();
        assert_eq!(exposed(&access.secret).is_some(), access.key_id.is_some());
        [
            access.key_id.as_deref(),
            access.secret.as_ref().map(Password::expose),
            access.session_token.as_ref().map(Password::expose),
        ]
    }

    #[test]
    fn the_files_of_the_default_profile() {
        let access = completed(S3Access::default(), &[]);
        assert_eq!(keys(&access), [Some("AK"), Some("SK"), None]);
        assert_eq!((access.region.as_deref(), access.endpoint), (Some("eu-central-1"), None));
    }

    #[test]
    fn another_profile() {
        let access = completed(S3Access::default(), &[("AWS_PROFILE", "work")]);
        assert_eq!(keys(&access), [Some("WORK"), Some("WS"), Some("WT")]);
        assert_eq!(access.region.as_deref(), Some("eu-west-1"));
        assert_eq!(access.endpoint.as_deref(), Some("https://s3.example.org"));
    }

    #[test]
    fn variables_come_before_files_and_what_the_config_says_before_both() {
        let variables = [
            ("AWS_ACCESS_KEY_ID", "EK"),
            ("AWS_SECRET_ACCESS_KEY", "ES"),
            ("AWS_REGION", "r"),
            ("AWS_DEFAULT_REGION", "d"),
            ("AWS_ENDPOINT_URL", "http://all"),
            ("AWS_ENDPOINT_URL_S3", "http://s3"),
        ];
        let access = completed(S3Access::default(), &variables);
        assert_eq!(keys(&access), [Some("EK"), Some("ES"), None]);
        assert_eq!((access.region.as_deref(), access.endpoint.as_deref()), (Some("r"), Some("http://s3")));
        let own = S3Access {
            key_id: Some("OWN".into()),
            secret: Some(Password::new("OS")),
            endpoint: Some("http://own".into()),
            ..S3Access::default()
        };
        let access = completed(own, &variables);
        assert_eq!(keys(&access), [Some("OWN"), Some("OS"), None]);
        assert_eq!(access.endpoint.as_deref(), Some("http://own"));
    }

    #[test]
    fn half_a_pair_of_keys_is_none() {
        let access = completed(S3Access::default(), &[("AWS_ACCESS_KEY_ID", "EK"), ("AWS_SESSION_TOKEN", "ET")]);
        assert_eq!(keys(&access), [Some("AK"), Some("SK"), None]);
    }
}
