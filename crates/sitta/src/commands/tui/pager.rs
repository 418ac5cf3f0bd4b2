//! A text that is longer than the screen.

use unicode_width::UnicodeWidthChar;

/// Lines, broken to the width of the screen, and how far one has scrolled.
#[derive(Debug, Clone, Default)]
pub struct Pager {
    text: Vec<String>,
    lines: Vec<String>,
    size: (usize, usize),
    top: usize,
}

impl Pager {
    /// Shows this text from now on; whoever was at its end stays at its end.
    pub fn set(&mut self, text: Vec<String>) {
        if self.text == text {
            return;
        }
        let at_end = !self.text.is_empty() && self.top == self.last() && self.top > 0;
        self.text = text;
        self.lay_out();
        if at_end {
            self.top = self.last();
        }
    }

    /// On a screen with so many columns and lines.
    pub fn fit(&mut self, size: (usize, usize)) {
        if self.size != size {
            self.size = size;
            self.lay_out();
        }
    }

    /// Scrolls down by so many lines, or up.
    pub fn scroll(&mut self, lines: isize) {
        self.top = self.top.saturating_add_signed(lines).min(self.last());
    }

    /// What is seen.
    pub fn seen(&self) -> impl Iterator<Item = &String> {
        self.lines.iter().skip(self.top).take(self.size.1)
    }

    /// `12-40/99`, if not all is seen.
    pub fn place(&self) -> Option<String> {
        let (first, last) = (self.top + 1, (self.top + self.size.1).min(self.lines.len()));
        (self.lines.len() > self.size.1).then(|| format!("{first}-{last}/{}", self.lines.len()))
    }

    fn last(&self) -> usize {
        self.lines.len().saturating_sub(self.size.1)
    }

    fn lay_out(&mut self) {
        self.lines = self.text.iter().flat_map(|line| wrap(line, self.size.0)).collect();
        self.top = self.top.min(self.last());
    }
}

/// Breaks a line at blanks, or within a word that is longer than a line.
pub fn wrap(line: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let (mut current, mut used, mut blank) = (String::new(), 0, None);
    for c in line.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide > width {
            let rest = match blank {
                Some(at) if c != ' ' => current.split_off(at),
                _ => String::new(),
            };
            lines.push(std::mem::replace(&mut current, rest.trim_start().to_owned()));
            (used, blank) = (current.chars().map(|c| c.width().unwrap_or(0)).sum(), None);
            if c == ' ' {
                continue;
            }
        }
        if c == ' ' && !current.trim().is_empty() {
            blank = Some(current.len());
        }
        current.push(c);
        used += wide;
    }
    lines.push(current);
    lines.iter_mut().for_each(|line| line.truncate(line.trim_end().len()));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_at_blanks_by_the_width_that_is_shown() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
        assert_eq!((wrap("", 9), wrap("x", 0)), (vec![String::new()], vec!["x".to_owned()]));
    }

    #[test]
    fn whoever_is_at_the_end_stays_there_while_it_grows() {
        let text = |n: usize| (0..n).map(|n| n.to_string()).collect::<Vec<_>>();
        let mut pager = Pager::default();
        pager.fit((10, 3));
        pager.set(text(5));
        assert_eq!((pager.seen().count(), pager.place().as_deref()), (3, Some("1-3/5")));
        pager.scroll(100);
        assert_eq!(pager.place().as_deref(), Some("3-5/5"));
        pager.set(text(9));
        assert_eq!(pager.place().as_deref(), Some("7-9/9"));
        pager.scroll(-100);
        pager.set(text(10));
        assert_eq!(pager.place().as_deref(), Some("1-3/10"));
        pager.fit((10, 20));
        assert_eq!(pager.place(), None);
    }
}
