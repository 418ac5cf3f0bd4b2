use super::*;

fn shown(text: &str) -> String {
    Location::parse(text).unwrap().to_string()
}

fn local(text: &str) -> bool {
    matches!(Location::parse(text), Ok(Location::Local(_)))
}

fn remote(text: &str) -> Remote {
    match Location::parse(text).unwrap() {
        Location::Remote(remote) => remote,
        other => panic!("{other:?}"),
    }
}

#[test]
fn paths_are_paths() {
    for text in ["a", "./a:b", "/a:b/c", "dir/x:y", "C:\\x", "c:x", ":x", "wow!/x", "..", "a b: c"] {
        assert!(local(text), "{text}");
    }
    assert_eq!(Location::parse("file:///a%20b/c").unwrap(), Location::Local("/a b/c".into()));
    assert_eq!(Location::parse("file://localhost/a").unwrap(), Location::Local("/a".into()));
    assert_eq!(Location::parse("file://nas/a"), Err(LocationError::FileHost));
    assert!(matches!(Location::parse(OsStr::from_bytes(b"a\xff")), Ok(Location::Local(_))));
    assert_eq!(Location::parse(""), Err(LocationError::Empty));
}

#[test]
fn named_stores_have_names_of_two_letters_or_more() {
    let named = |name: &str, path: &str| Location::Named { name: name.into(), path: path.into() };
    assert_eq!(Location::parse("nas:db/x").unwrap(), named("nas", "db/x"));
    assert_eq!(Location::parse("nas:").unwrap(), named("nas", ""));
    assert_eq!(named("nas", "db").join("/x/"), named("nas", "db/x"));
}

#[test]
fn servers() {
    let smb = remote("SMB://me:p%40ss@nas.local:4450/share/a%20b");
    assert_eq!((smb.scheme, smb.user.as_deref(), smb.port), (Scheme::Smb, Some("me"), Some(4450)));
    assert_eq!((smb.password.as_ref().map(Password::expose), &*smb.path), (Some("p@ss"), "share/a b"));
    let s3 = remote("s3://bucket/a%20b//c");
    assert_eq!((&*s3.host, &*s3.path), ("bucket", "a%20b//c"));
    let v6 = remote("sftp://[::1]:22/x");
    assert_eq!((&*v6.host, v6.port, v6.to_string()), ("::1", Some(22), "sftp://[::1]:22/x".into()));
    assert_eq!(Location::parse("s3:///x"), Err(LocationError::Missing("s3", "a bucket: s3://bucket/prefix")));
    assert!(matches!(Location::parse("smb://host"), Err(LocationError::Missing("smb", _))));
    assert_eq!(Location::parse("ftp://h/x"), Err(LocationError::Scheme("ftp".into())));
    assert_eq!(Location::parse("sftp://h:99999/x"), Err(LocationError::Port));
    assert_eq!(Location::parse("sftp://h/%zz"), Err(LocationError::Escape));
}

#[test]
fn archives_are_looked_into() {
    let Location::Inside { archive, inner } = Location::parse("https://h/data.zip!/data.sql").unwrap() else {
        panic!("not inside");
    };
    assert_eq!((archive.to_string(), &*inner), ("https://h/data.zip".into(), "data.sql"));
    assert_eq!(shown("a.tar!/b.zip!/c"), "a.tar!/b.zip!/c");
}

#[test]
fn nothing_secret_is_shown() {
    for text in ["sftp://me:secret@h/x", "https://h/x?X-Signature=secret", "webdavs://me:secret@h/a.zip!/b"] {
        let location = Location::parse(text).unwrap();
        let text = format!("{location} {location:?}");
        assert!(!text.contains("secret"), "{text}");
    }
}
