//! A terminal for the program to run in, and somebody who reads its screen and types.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::World;

/// Nothing that a test waits for takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// The program in a terminal of its own.
pub struct Terminal {
    master: Box<dyn MasterPty + Send>,
    keyboard: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    shown: Arc<Mutex<Shown>>,
    /// So much of what was shown has been answered.
    answered: usize,
}

struct Shown {
    screen: vt100::Parser,
    raw: Vec<u8>,
}

impl Terminal {
    /// Starts the program in a terminal of that many rows and columns.
    pub fn start(world: &World, args: &[&str], rows: u16, cols: u16) -> Self {
        Self::start_with(world, args, rows, cols, &[])
    }

    /// With these variables too.
    pub fn start_with(world: &World, args: &[&str], rows: u16, cols: u16, variables: &[(&str, &str)]) -> Self {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let plain = world.command();
        let mut command = CommandBuilder::new(plain.get_program());
        command.args(args);
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            }
        }
        variables.iter().for_each(|(name, value)| command.env(name, value));
        command.cwd(plain.get_current_dir().expect("a folder"));
        let child = pair.slave.spawn_command(command).expect("the program starts");
        drop(pair.slave);
        let shown = Arc::new(Mutex::new(Shown { screen: vt100::Parser::new(rows, cols, 0), raw: Vec::new() }));
        let mut reader = pair.master.try_clone_reader().expect("a reader");
        let drawn = shown.clone();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut piece) {
                let mut shown = drawn.lock().expect("not poisoned");
                shown.screen.process(&piece[..n]);
                shown.raw.extend_from_slice(&piece[..n]);
            }
        });
        let keyboard = pair.master.take_writer().expect("a writer");
        Self { master: pair.master, keyboard, child, shown, answered: 0 }
    }

    /// Types.
    pub fn send(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).and_then(|()| self.keyboard.flush()).expect("type");
    }

    /// Waits for this question, which was not answered yet, and answers it.
    #[track_caller]
    pub fn answer(&mut self, question: &str, answer: &str) {
        self.asked(question);
        self.send(&format!("{answer}\r"));
    }

    /// Waits until this is said, after what was answered so far.
    #[track_caller]
    pub fn asked(&mut self, text: &str) {
        let from = self.answered;
        let at = self.wait(text, |shown| {
            let rest = String::from_utf8_lossy(&shown.raw[from..]).into_owned();
            rest.find(text).map(|at| from + at + text.len())
        });
        self.answered = at;
    }

    /// Waits until the screen shows this.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        self.wait(text, |shown| shown.screen.screen().contents().contains(text).then_some(()));
    }

    /// Waits until the screen does not show this any more.
    #[track_caller]
    pub fn hides(&self, text: &str) {
        self.wait(&format!("no {text}"), |shown| (!shown.screen.screen().contents().contains(text)).then_some(()));
    }

    #[track_caller]
    fn wait<T>(&self, what: &str, mut look: impl FnMut(&Shown) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look(&self.shown.lock().expect("not poisoned")) {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "{what:?} did not come; the screen:\n{}", self.screen());
            sleep(LOOK);
        }
    }

    /// What the screen shows.
    pub fn screen(&self) -> String {
        self.shown.lock().expect("not poisoned").screen.screen().contents()
    }

    /// All that was ever sent to the screen.
    pub fn raw(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("not poisoned").raw).into_owned()
    }

    /// Whether the program has a screen of its own, as editors have.
    pub fn is_full_screen(&self) -> bool {
        self.shown.lock().expect("not poisoned").screen.screen().alternate_screen()
    }

    pub fn resize(&self, rows: u16, cols: u16) {
        self.shown.lock().expect("not poisoned").screen.screen_mut().set_size(rows, cols);
        self.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).expect("resize");
    }

    pub fn pid(&self) -> u32 {
        self.child.process_id().expect("a process")
    }

    /// Waits for the program's end; gives its exit code.
    #[track_caller]
    pub fn end(&mut self) -> u32 {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                // What it said last is still on its way.
                sleep(Duration::from_millis(100));
                return status.exit_code();
            }
            assert!(began.elapsed() < PATIENCE, "it does not end; the screen:\n{}", self.screen());
            sleep(LOOK);
        }
    }

    /// Whether the terminal echoes and waits for whole lines, as a shell expects it.
    pub fn is_cooked(&self) -> bool {
        let wanted = rustix::termios::LocalModes::ECHO | rustix::termios::LocalModes::ICANON;
        let modes = self.master.get_termios().expect("a terminal").local_flags.bits();
        modes & wanted.bits() == wanted.bits()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
