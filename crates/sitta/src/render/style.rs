//! One accent colour, and meaning never in colour alone.

use std::fmt::Display;

/// Whether to colour what goes to one stream.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    /// Colours are shown.
    pub color: bool,
}

impl Style {
    /// The first word of a line, and the bar.
    pub fn accent(self, text: impl Display) -> String {
        self.wrap("36", text)
    }

    /// What must not be overlooked.
    pub fn strong(self, text: impl Display) -> String {
        self.wrap("1", text)
    }

    fn wrap(self, code: &str, text: impl Display) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    /// A line's first word, padded to the column where the rest begins.
    pub fn head(self, word: &str) -> String {
        format!("{}{}", self.accent(word), " ".repeat(11usize.saturating_sub(word.len()).max(1)))
    }
}
