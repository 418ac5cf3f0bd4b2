use super::{Stage, golden};

/// Both sides are looked at at once: who is first is chance.
fn in_order(said: &str) -> String {
    let mut lines: Vec<&str> = said.lines().collect();
    let looks: Vec<usize> = (0..lines.len()).filter(|i| lines[*i].contains(r#""event":"scanned""#)).collect();
    if let [a, b] = looks[..]
        && lines[a].contains(r#""side":"to""#)
    {
        lines.swap(a, b);
    }
    lines.join("\n") + "\n"
}

#[test]
fn a_run_is_one_object_a_line() {
    let stage = Stage::new();
    stage.write("src/a.txt", "alpha", 1);
    let mut said = in_order(&stage.run("mirror src dst --json"));
    said += &in_order(&stage.run("mirror src dst --json"));
    stage.write("src/b.txt", "beta", 1);
    stage.remove("src/a.txt");
    said += &in_order(&stage.run("mirror src dst --json --dry-run"));
    golden("json_mirror", &said);
}

#[test]
fn what_is_not_begun_is_reported_too() {
    let stage = Stage::with_source();
    let mut said = in_order(&stage.run("mirror nowhere dst --json"));
    said += &stage.run("mirror src nas:dst --json");
    said += &stage.run("ls nowhere --json");
    golden("json_failures", &said);
}

#[test]
fn every_line_is_json() {
    let stage = Stage::with_source();
    for line in ["mirror src dst --json", "ls src --json", "find src --json", "du src --json", "hash src --json"] {
        let said = stage.run(line);
        let objects = said.lines().skip(1).take_while(|line| !line.starts_with("---"));
        let objects: Vec<serde_json::Value> =
            objects.map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let last = objects.last().expect("a line");
        assert_eq!((&last["event"], &last["outcome"]), (&"report".into(), &"success".into()), "{line}");
        assert!(last["problems"].is_array() && objects.iter().all(|object| object["event"].is_string()));
    }
}
