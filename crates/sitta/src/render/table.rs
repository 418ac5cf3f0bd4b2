//! Columns that line up, by the width that a terminal shows.

use unicode_width::UnicodeWidthStr;

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows of cells; the last column is not padded.
#[derive(Debug)]
pub struct Table {
    align: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with such columns.
    pub fn new(align: &[Align]) -> Self {
        Self { align: align.to_vec(), rows: Vec::new() }
    }

    /// Adds a row with a cell for each column.
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.align.len());
        self.rows.push(cells);
    }

    /// The lines, three blanks between columns.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let widths: Vec<usize> = (0..self.align.len())
            .map(|column| self.rows.iter().map(|row| row[column].width()).max().unwrap_or(0))
            .collect();
        self.rows.iter().map(move |row| {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let gap = " ".repeat(widths[column] - cell.width());
                let last = column + 1 == row.len();
                line.push_str(if column > 0 { "   " } else { "" });
                match self.align[column] {
                    Align::Right => line.extend([gap.as_str(), cell]),
                    Align::Left if last => line.push_str(cell),
                    Align::Left => line.extend([cell.as_str(), &gap]),
                }
            }
            line.truncate(line.trim_end().len());
            line
        })
    }
}

/// Shortens `text` to `width` columns, keeping its end: of a path, that says more.
pub fn keep_end(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept: Vec<char> = Vec::new();
    let mut used = 1;
    for c in text.chars().rev() {
        used += unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
        if used > width {
            break;
        }
        kept.push(c);
    }
    if width == 0 { String::new() } else { std::iter::once('…').chain(kept.into_iter().rev()).collect() }
}

/// Shortens `text` to `width` columns, keeping its beginning.
pub fn keep_start(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
        if used > width {
            break;
        }
        kept.push(c);
    }
    if width == 0 { kept } else { kept + "…" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_by_shown_width() {
        let mut table = Table::new(&[Align::Left, Align::Right, Align::Left]);
        table.row(vec!["NAME".into(), "SIZE".into(), "WHERE".into()]);
        table.row(vec!["日本.txt".into(), "661 B".into(), "nas".into()]);
        table.row(vec!["a".into(), "45.5 KiB".into(), String::new()]);
        let lines: Vec<_> = table.lines().collect();
        let expected = ["NAME           SIZE   WHERE", "日本.txt      661 B   nas", "a          45.5 KiB"];
        assert_eq!(lines, expected);
    }

    #[test]
    fn long_paths_keep_their_end() {
        assert_eq!(keep_end("photos/IMG_1234.jpg", 40), "photos/IMG_1234.jpg");
        assert_eq!(keep_end("photos/IMG_1234.jpg", 9), "…1234.jpg");
        assert_eq!((keep_end("日本語", 3).as_str(), keep_end("abc", 0).as_str()), ("…語", ""));
    }

    #[test]
    fn long_texts_keep_their_beginning() {
        assert_eq!(
            (keep_start("mirror a → b", 12).as_str(), keep_start("mirror a", 7).as_str()),
            ("mirror a → b", "mirror…")
        );
        assert_eq!((keep_start("日本語", 4).as_str(), keep_start("abc", 0).as_str()), ("日…", ""));
    }
}
