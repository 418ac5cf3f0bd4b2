//! The terminal while it is ours, and as it was before.

use std::io::{self, Stdout};
use std::sync::Once;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::app::App;
use super::view::draw;

/// A screen of our own; the one before comes back when this is dropped.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    pub fn open() -> io::Result<Self> {
        static HOOKED: Once = Once::new();
        HOOKED.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                leave();
                before(panic);
            }));
        });
        let mut screen = Self { terminal: terminal()? };
        screen.enter()?;
        Ok(screen)
    }

    /// Takes the terminal, and begins with an empty screen.
    pub fn enter(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen)?;
        self.clear()
    }

    pub fn draw(&mut self, app: &App) -> io::Result<()> {
        self.terminal.draw(|frame| draw(frame, app)).map(drop)
    }

    /// How large it is.
    pub fn size(&self) -> io::Result<(u16, u16)> {
        self.terminal.size().map(|size| (size.width, size.height))
    }

    /// Lets everything be drawn anew.
    pub fn clear(&mut self) -> io::Result<()> {
        // One that knows of nothing that was drawn. Its own way to clear asks the terminal where the cursor is, which not
        // every terminal answers.
        self.terminal = terminal()?;
        execute!(io::stdout(), Clear(ClearType::All), Hide)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

fn terminal() -> io::Result<Terminal<CrosstermBackend<Stdout>>> {
    Terminal::new(CrosstermBackend::new(io::stdout()))
}

/// Gives the terminal back as it was.
pub fn leave() {
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

/// Returns when nobody is at the other end of the terminal any more: its window was closed, the connection lost.
pub fn wait_until_gone() {
    let input = io::stdin();
    loop {
        let mut end = [PollFd::new(&input, PollFlags::empty())];
        match poll(&mut end, None) {
            Ok(_) if end[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) => return,
            Err(Errno::INTR) | Ok(_) => {}
            Err(_) => return,
        }
    }
}
