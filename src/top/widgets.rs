//! Pieces of a view: lists with bars, tables, and two of them beside each other.

use std::net::IpAddr;

use super::numbers::{count, share};
use super::text::{StyledLine, TerminalStyle, TextStyle};

/// Columns from which on two panels stand beside each other.
const TWO_PANELS: usize = 72;

/// Space for a view.
#[derive(Clone, Copy)]
pub(crate) struct PanelSize {
    /// Columns.
    pub(crate) width: usize,
    /// Rows.
    pub(crate) height: usize,
    /// The part that can be shown in it.
    pub(crate) look: TerminalStyle,
}

impl PanelSize {
    /// As wide as it says, `height` rows.
    pub(crate) fn rows(self, height: usize) -> PanelSize {
        PanelSize { height, ..self }
    }

    /// Half of it, with a gap between.
    pub(crate) fn half(self) -> PanelSize {
        PanelSize { width: (self.width - 2) / 2, ..self }
    }

    /// Whether two panels fit beside each other.
    pub(crate) fn is_wide(self) -> bool {
        self.width >= TWO_PANELS
    }
}

/// A title, and rows with a name, a bar and a number.
pub(crate) fn ranking(
    title: &str,
    rows: &[(String, u64)],
    unit: fn(u64) -> String,
    room: PanelSize,
) -> Vec<StyledLine> {
    let most = rows.iter().map(|&(_, number)| number).max().unwrap_or(0);
    list(title, rows, room, most, |line, number, width| {
        line.push_right(TextStyle::Plain, &unit(number), width)
    })
}

/// The same for rows that make up a whole: with their share of it.
pub(crate) fn proportions(title: &str, rows: &[(String, u64)], room: PanelSize) -> Vec<StyledLine> {
    let whole = rows.iter().map(|&(_, number)| number).sum();
    list(title, rows, room, whole, |line, number, width| {
        line.push_right(TextStyle::Plain, &count(number), width.saturating_sub(8));
        line.push_right(TextStyle::Dim, &share(number, whole), width);
    })
}

/// Columns of a bar at most, and at least: a shorter one says nothing.
const BAR: usize = 40;
const BAR_LEAST: usize = 4;

fn list(
    title: &str,
    rows: &[(String, u64)],
    room: PanelSize,
    whole: u64,
    number: impl Fn(&mut StyledLine, u64, usize),
) -> Vec<StyledLine> {
    // Names come first: a bar takes the columns that names and numbers leave, and goes when they are few. A
    // name that is too long even so loses its middle; an address never does, and has a line of its own then.
    let width = room.width;
    let numbers = if width >= 30 { 18 } else { 10 };
    let longest = rows.iter().map(|(text, _)| text.chars().count()).max().unwrap_or(0).max(8);
    let name = longest.min(width.saturating_sub(numbers + 2));
    let bar = width.saturating_sub(name + numbers + 3).min(BAR);
    let bar = if bar < BAR_LEAST { 0 } else { bar };
    let mut lines = vec![StyledLine::new().with(TextStyle::Plain, " ").with(TextStyle::Bold, title)];
    for (text, value) in rows {
        let mut line = StyledLine::new().with(TextStyle::Plain, " ");
        if text.len() > name && text.parse::<IpAddr>().is_ok() {
            // Without the blank before it: 39 columns are what half of a screen has for the longest one.
            lines.push(StyledLine::new().with(TextStyle::Plain, text));
        } else {
            line.push_within(TextStyle::Plain, text, name, room.look);
        }
        line.gap(name + 2);
        line.push_bar(*value as f64, whole as f64, bar, room.look);
        line.pad(name + 2 + bar);
        number(&mut line, *value, (name + 2 + bar + numbers).min(width.saturating_sub(1)));
        lines.push(line);
    }
    lines.truncate(room.height.max(1));
    if rows.is_empty() && room.height > 1 {
        lines.push(StyledLine::new().with(TextStyle::Dim, " nothing yet"));
    }
    lines
}

/// A heading, and rows of a name and values; values that find no room are left out, from the right.
pub(crate) fn table(
    title: &str,
    titles: &[&str],
    rows: Vec<(String, Vec<String>)>,
    chosen: Option<usize>,
    room: PanelSize,
) -> Vec<StyledLine> {
    const COLUMN: usize = 11;
    let name = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0)
        .clamp(10, (room.width / 3).max(10));
    let fitting = room.width.saturating_sub(name + 2) / COLUMN;
    let fill = |mut line: StyledLine, style: TextStyle, values: &mut dyn Iterator<Item = &str>| {
        line.pad_as(style, name + 1);
        for (at, value) in values.take(fitting).enumerate() {
            let wide: usize = value.chars().count();
            line.pad_as(style, name + 1 + (at + 1) * COLUMN - wide.min(COLUMN - 1));
            let style = match value {
                "up" => TextStyle::Good,
                "DOWN" => TextStyle::Bad,
                _ => style,
            };
            line.push(style, value);
        }
        line
    };
    let heading = StyledLine::new().with(TextStyle::Plain, " ").with(TextStyle::Bold, title);
    let mut lines = vec![fill(heading, TextStyle::Bold, &mut titles.iter().copied())];
    let visible = room.height.saturating_sub(3).max(1);
    // No row is chosen where everything is printed: then the table begins with the first.
    let shown = chosen.filter(|&chosen| chosen < rows.len());
    let first = shown.map_or(0, |chosen| (chosen + 1).saturating_sub(visible));
    for (at, (text, values)) in rows.iter().enumerate().skip(first).take(visible) {
        let style = if chosen == Some(at) { TextStyle::Inverse } else { TextStyle::Plain };
        let mut line = StyledLine::new().with(style, " ");
        line.push_within(style, text, name, room.look);
        lines.push(fill(line, style, &mut values.iter().map(String::as_str)));
    }
    lines
}

pub(crate) fn absent(text: &str) -> Vec<StyledLine> {
    vec![StyledLine::new().with(TextStyle::Dim, &format!(" {text}"))]
}
