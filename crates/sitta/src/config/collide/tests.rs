use std::path::Path;

use super::super::Config;

const STORE: &str = "[store.nas]\nurl = 'smb://me@nas/share/'\n[store.web]\nurl = 'webdavs://dav.example.org/x'\n";

/// What is said about two jobs of these verbs and places; nothing if they are right.
fn said(jobs: [(&str, &str, &str); 2]) -> Option<String> {
    let mut text = STORE.to_owned();
    for (name, (verb, to, more)) in ["one", "two"].into_iter().zip(jobs) {
        text += &format!("[job.{name}]\nverb = '{verb}'\nfrom = '/{name}'\nto = '{to}'\n{more}\n");
    }
    Config::parse(Path::new("/etc/sitta/c.toml"), &text).err().map(|failure| failure.to_string())
}

/// That they are refused, in whichever order they stand.
#[track_caller]
fn refused(one: (&str, &str, &str), two: (&str, &str, &str), says: &str) {
    for jobs in [[one, two], [two, one]] {
        let said = said(jobs).unwrap_or_else(|| panic!("{jobs:?} passed"));
        assert!(said.contains(says) && said.contains("c.toml:") && said.contains("hint: "), "{jobs:?}: {said}");
    }
}

#[track_caller]
fn right(one: (&str, &str, &str), two: (&str, &str, &str)) {
    for jobs in [[one, two], [two, one]] {
        assert_eq!(said(jobs), None, "{jobs:?}");
    }
}

const KEEP: &str = "keep = { last = 3 }";

#[test]
fn archives_of_two_jobs_may_not_have_the_same_names() {
    let names = "names its archives as";
    let to = |place: &'static str| ("archive", place, KEEP);
    refused(to("nas:db/{date}.tgz"), to("nas:db/{date}.tgz"), names);
    refused(to("nas:db/{date}.tgz"), ("archive", "nas:db/{date}.tgz", ""), names);
    let told = said([to("/b/two-{date}.tgz"), ("archive", "/b/{job}-{date}.tgz", "max_age = '1h'")]);
    assert!(told.is_some_and(|told| told.contains(names)), "{{job}} stands for the job's name");
    // A pattern of one recognises what the other one is always called.
    refused(to("/b/db-{date}.tgz"), ("archive", "/b/db-2026-01-01.tgz", ""), names);
    refused(("archive", "/b/all.zip", ""), ("archive", "/b/all.zip", ""), names);
    for other in
        ["smb://nas/share/db/{date}.tgz", "smb://you:hush@NAS:445/Share//DB/{date}.tgz", "nas:/db/{date}.tgz"]
    {
        refused(to("nas:db/{date}.tgz"), to(other), names);
    }
    refused(to("/b/{date}.tgz"), to("/b//x/../{date}.tgz"), names);
    refused(to("/etc/sitta/b/{date}.tgz"), to("./b/{date}.tgz"), names);
    refused(to("/b c/{date}.tgz"), to("file:///b%20c/{date}.tgz"), names);
    refused(to("web:a/{date}.tgz"), to("webdavs://dav.example.org:443/x/a/{date}.tgz"), names);
}

#[test]
fn archives_with_names_of_their_own_may_share_a_folder() {
    let to = |place: &'static str| ("archive", place, KEEP);
    right(to("nas:db"), to("nas:db/"));
    right(to("nas:db/{job}-{date}.tgz"), to("nas:db/{job}-{date}.tgz"));
    right(to("nas:db/{date}.tgz"), to("nas:db/{date}-{time}.tgz"));
    right(to("nas:db/{date}.tgz"), to("nas:db/{date}.zip"));
    right(to("nas:db/{date}.tgz"), to("nas:other/{date}.tgz"));
    right(to("nas:db/{date}.tgz"), to("nas:db/below/{date}.tgz"));
    right(to("/db/{date}.tgz"), to("nas:db/{date}.tgz"));
    right(to("sftp://a@h/{date}.tgz"), to("sftp://b@h/{date}.tgz"));
}

#[test]
fn mirrors_may_not_delete_archives() {
    let deletes = "would delete what";
    for (archive, mirror, rule) in [
        ("nas:db/two-{date}.tgz", "nas:db", "/two-*.tgz"),
        ("nas:db", "smb://nas/share/db/", "/*-*.tar.zst"),
        ("/b/{date}-{time}.tgz", "/b", "/*-*.tgz"),
        ("/b/{host}[1]-{date}.tgz", "/b", "/*"),
        ("nas:db/deep/{date}.tgz", "nas:", "/db"),
        ("/b/deep/er/{date}.tgz", "/b", "/deep/er"),
        ("/b/deep/er/{date}.tgz", "/", "/b/deep"),
    ] {
        let one = ("archive", archive, KEEP);
        refused(one, ("mirror", mirror, ""), deletes);
        refused(one, ("mirror", mirror, "filter = ['*.tmp']"), deletes);
        right(one, ("mirror", mirror, &format!("filter = ['{rule}']")));
    }
    // What would be right is told, and is right.
    let (one, two) = (("archive", "/b/db-{date}-{time}.tgz", ""), "mirror");
    let told = said([one, (two, "/b", "")]).expect("refused");
    let rule = told.split("filter = [\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a rule");
    assert_eq!(rule, "/db-*-*.tgz", "{told}");
    right(one, (two, "/b", &format!("filter = ['{rule}']")));
    // Only this year's would be spared.
    refused(one, (two, "/b", "filter = ['/db-2026-*']"), deletes);
    right(one, (two, "/b/below", ""));
    right(one, (two, "/c", ""));
}

#[test]
fn copies_and_syncs_leave_archives_alone() {
    for verb in ["copy", "sync"] {
        right(("archive", "/b/{date}.tgz", KEEP), (verb, "/b", ""));
        right(("archive", "/b/deep/{date}.tgz", KEEP), (verb, "/b", ""));
    }
}

#[test]
fn mirrors_may_not_delete_what_other_jobs_bring() {
    let deletes = "would delete what";
    for verb in ["copy", "mirror", "sync"] {
        refused((verb, "/b/x", ""), ("mirror", "/b", ""), deletes);
        refused((verb, "/b/x", ""), ("mirror", "/b", "filter = ['*.tmp', '/y']"), deletes);
        for rule in ["/x", "/x/", "x", "/x/*", "/x/**"] {
            right((verb, "/b/x", ""), ("mirror", "/b", &format!("filter = ['{rule}']")));
        }
    }
    refused(("sync", "/b", ""), ("mirror", "/b", ""), deletes);
    // A sync writes where it is from, too.
    refused(("sync", "/elsewhere", ""), ("mirror", "/", "filter = ['/elsewhere']"), deletes);
    right(("sync", "/b", ""), ("copy", "/b", ""));
    refused(("copy", "/b", ""), ("copy", "/b/", ""), "writes where");
    refused(("copy", "/b", ""), ("mirror", "/b/", ""), "writes where");
}
