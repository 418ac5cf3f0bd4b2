//! Tables of which one row is chosen.

use ratatui::style::Modifier;
use ratatui::text::Line;
use unicode_width::UnicodeWidthStr;

use super::Look;
use crate::render::table::{Align, Table, keep_start};

/// The least that a column that gives way still shows.
const LEAST: usize = 14;

/// What stands between two columns.
const GAP: usize = 3;

/// What stands in front of each row: the one that is chosen is told by more than by its looks.
const MARK: usize = 2;

/// A table.
pub struct Grid<'g> {
    pub head: &'g [(&'g str, Align)],
    pub rows: Vec<Vec<String>>,
    /// The column that gives way when there is no room.
    pub flexible: usize,
    /// Columns that are left out when there still is none: the first one first.
    pub droppable: &'g [usize],
}

impl Grid<'_> {
    /// The lines: the head, and as many rows as there is room for, the chosen one among them.
    pub fn lines(mut self, look: Look, width: usize, height: usize, picked: usize) -> Vec<Line<'static>> {
        let columns = self.fit(width.saturating_sub(MARK));
        let mut table = Table::new(&columns.iter().map(|c| self.head[*c].1).collect::<Vec<_>>());
        table.row(columns.iter().map(|c| self.head[*c].0.to_owned()).collect());
        self.rows.iter().for_each(|row| table.row(columns.iter().map(|c| row[*c].clone()).collect()));
        let mut lines = table.lines();
        let head = lines.next().map(|head| Line::styled(format!("  {head}"), look.accent()));
        let room = height.saturating_sub(1);
        // The chosen one in the middle, as far as there is something above and below.
        let top = picked.saturating_sub(room / 2).min(self.rows.len().saturating_sub(room));
        let rows = lines.enumerate().skip(top).take(room).map(|(index, line)| match index == picked {
            true => {
                let gap = " ".repeat(width.saturating_sub(MARK + line.width()));
                Line::from(format!("› {line}{gap}")).style(Modifier::REVERSED)
            }
            false => Line::raw(format!("  {line}")),
        });
        head.into_iter().chain(rows).collect()
    }

    /// Makes it as narrow as it has to be; gives the columns that are left.
    fn fit(&mut self, width: usize) -> Vec<usize> {
        let mut columns: Vec<usize> = (0..self.head.len()).collect();
        let mut droppable = self.droppable.iter();
        loop {
            let wide = |column: &usize| {
                let cells = self.rows.iter().map(|row| row[*column].width());
                cells.max().unwrap_or(0).max(self.head[*column].0.width())
            };
            let all = columns.iter().map(wide).sum::<usize>() + GAP * columns.len().saturating_sub(1);
            if all <= width {
                return columns;
            }
            let flexible = self.flexible;
            if columns.contains(&flexible) {
                let left = (wide(&flexible) + width).saturating_sub(all);
                if left >= LEAST {
                    self.rows.iter_mut().for_each(|row| row[flexible] = keep_start(&row[flexible], left));
                    return columns;
                }
            }
            let Some(next) = droppable.next() else {
                // There is nothing left to give up: what is too long is cut.
                if columns.contains(&flexible) {
                    let left = (wide(&flexible) + width).saturating_sub(all).max(1);
                    self.rows.iter_mut().for_each(|row| row[flexible] = keep_start(&row[flexible], left));
                }
                return columns;
            };
            columns.retain(|column| column != next);
        }
    }
}
