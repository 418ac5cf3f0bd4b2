//! kill -9 at any moment costs time, never data.

mod support;

use std::time::Duration;

use support::*;

/// Mirrors again and again, killed at random moments, until it was killed `kills` times and then finished.
fn play(story: &mut Story, kills: usize, options: &[&str]) {
    let trash = options.contains(&"--trash");
    let (mut killed, mut finished) = (0, 0);
    let mut longest = 20_000.0;
    while killed < kills {
        let mut child = start(&mut story.world.verb("mirror", options));
        // The pipes must not fill up and hold the run back.
        let out = child.stdout.take();
        let reader = std::thread::spawn(move || out.map(|mut out| std::io::copy(&mut out, &mut std::io::sink())));
        std::thread::sleep(Duration::from_micros(story.rng.below(longest as usize) as u64));
        let before_kill = child.try_wait().expect("wait");
        signal(child.id(), rustix::process::Signal::KILL);
        let run = finish(child);
        reader.join().expect("reader").expect("a pipe").expect("read");
        story.check(trash);
        if before_kill.is_none() && run.status.code().is_none() {
            killed += 1;
            longest *= 1.02;
        } else {
            run.expect_code(0);
            assert_eq!(story.seen, story.source, "a finished run leaves the destination as the source");
            finished += 1;
            longest *= 0.8;
            story.edit(10);
        }
    }
    story.world.mirror_well(options);
    story.check(trash);
    assert_eq!(story.seen, story.source);
    story.world.nothing_to_do(options);
    eprintln!("killed {killed} times; {finished} runs came through");
}

#[test]
fn two_hundred_kills_in_one_mirror() {
    play(&mut Story::new(1500), 220, &["--max-delete", "100%"]);
}

#[test]
fn kills_with_the_trash_on() {
    play(&mut Story::new(600), 80, &["--max-delete", "100%", "--trash", ".sitta/trash"]);
}

#[test]
fn kills_in_the_first_copy_leave_no_parts() {
    let mut story = Story::new(300);
    for i in 0..6 {
        story.write(format!("large/{i}"));
        story.next += 1;
        let blob = Blob::new(story.next, 12_000_000);
        put(&story.world.src, format!("huge/{i}"), blob.bytes());
        story.source.insert(format!("huge/{i}"), blob);
    }
    let mut wait = 1_000;
    loop {
        let mut child = start(&mut story.world.verb("mirror", &["-q"]));
        std::thread::sleep(Duration::from_micros(wait));
        let done = child.try_wait().expect("wait").is_some();
        signal(child.id(), rustix::process::Signal::KILL);
        let run = finish(child);
        story.check(false);
        if done {
            run.expect_code(0);
            break;
        }
        wait += 1_000 + story.rng.below(2_000) as u64;
    }
    story.world.mirror_well(&[]);
}
