//! The view of the log: a line that says what it is about, the other side of that, and the exchanges.
//!
//! ```text
//!  Device tv                                     sorted by time
//!    120  example.com.            ...
//!  UTC      Client          Name                  Type  Status     Latency
//!  10:00:00 tv              www.example.com.      A     answered    1.2 ms
//! ```
//!
//! On a narrow screen columns go, from the least important on: the latency, the type, the client, the time.

use super::log::{LogOrder, LogRow, LogSubject};
use super::numbers::{count, latency};
use super::state::ScreenState;
use super::text::{StyledLine, TextStyle};
use super::widgets::{PanelSize, absent};

/// Rows of the other side of a subject.
pub(crate) const PAIRS: usize = 5;

/// Columns of each, with the blank after it.
const TIME: usize = 9;
const CLIENT: usize = 17;
const TYPE: usize = 7;
const STATUS: usize = 11;
const LATENCY: usize = 9;
/// Rows from which on the view has a line for the row that is chosen.
const DETAIL_FROM: usize = 8;
/// Columns of a name at least.
const NAME_LEAST: usize = 12;

/// The view.
pub(crate) fn log(state: &ScreenState, room: PanelSize) -> Vec<StyledLine> {
    let mut lines = vec![title(state, room.width)];
    let answer = match &state.log_answer {
        _ if state.is_typing() => {
            lines.extend(absent(
                "Words of a name, an address, or KEY=VALUE such as status=blocked; Enter, or Escape",
            ));
            state.log_answer.as_ref()
        }
        answer => answer.as_ref(),
    };
    let Some(answer) = answer else {
        lines.extend(absent("Asking ..."));
        return lines;
    };
    let rows = match &answer.rows {
        Ok(rows) => rows,
        Err(why) => {
            lines.push(StyledLine::new().with(TextStyle::Bad, &format!(" {why}")));
            return lines;
        }
    };
    if state.log.subject != LogSubject::All && room.height > 2 * PAIRS {
        for (name, number) in answer.pairs.iter().take(PAIRS) {
            let mut line = StyledLine::new();
            line.push_right(TextStyle::Plain, &count(*number), 8);
            line.push(TextStyle::Plain, "  ");
            line.push_within(TextStyle::Plain, name, room.width.saturating_sub(11), room.look);
            lines.push(line);
        }
    }
    let columns = LogColumns::of(room.width);
    lines.push(columns.heading(state.log_order));
    // The last line has all of the row that is chosen, which columns may cut.
    let has_detail = room.height >= DETAIL_FROM;
    let visible = room.height.saturating_sub(lines.len() + usize::from(has_detail)).max(1);
    let chosen = Some(state.row).filter(|&row| row < rows.len());
    let first = chosen.map_or(0, |row| (row + 1).saturating_sub(visible));
    for (at, row) in rows.iter().enumerate().skip(first).take(visible) {
        lines.push(columns.line(row, chosen == Some(at), room));
    }
    if rows.is_empty() {
        lines.extend(absent("nothing yet"));
    }
    if let Some(row) = chosen.and_then(|at| rows.get(at)).filter(|_| has_detail) {
        lines.push(detail(row));
    }
    lines
}

/// All of a row.
fn detail(row: &LogRow) -> StyledLine {
    let mut line = StyledLine::new();
    for text in [&row.timestamp, &row.client, &row.name, &row.rcode, &row.answer] {
        line.push(TextStyle::Dim, &format!(" {text}"));
    }
    line
}

/// The subject, the filter, and the order.
fn title(state: &ScreenState, width: usize) -> StyledLine {
    let mut line = StyledLine::new();
    match &state.log.subject {
        LogSubject::All => line.push(TextStyle::Bold, " Log"),
        LogSubject::Device(device) => line.push(TextStyle::Bold, &format!(" Device {device}")),
        LogSubject::Name(name) => line.push(TextStyle::Bold, &format!(" Name {name}")),
    }
    match (&state.typed, state.log.filter.as_str()) {
        (Some(typed), _) => {
            line.push(TextStyle::Plain, "  /");
            line.push(TextStyle::Plain, typed);
            line.push(TextStyle::Inverse, " ");
        }
        (None, "") => {}
        (None, filter) => line.push(TextStyle::Plain, &format!("  /{filter}")),
    }
    let order = format!("sorted by {} ", state.log_order.name());
    if state.typed.is_none() && line.width() + order.len() + 2 <= width {
        line.push_right(TextStyle::Dim, &order, width);
    }
    line
}

/// The columns that there is room for.
struct LogColumns {
    time: bool,
    client: bool,
    name: usize,
    rrtype: bool,
    latency: bool,
}

impl LogColumns {
    fn of(width: usize) -> Self {
        // A blank before the first one.
        let mut left = width.saturating_sub(1 + STATUS);
        let mut fits = |columns: usize| {
            let fits = left > columns + NAME_LEAST;
            left -= if fits { columns } else { 0 };
            fits
        };
        let (time, client, rrtype, latency) = (fits(TIME), fits(CLIENT), fits(TYPE), fits(LATENCY));
        LogColumns { time, client, rrtype, latency, name: left.max(1) }
    }

    fn heading(&self, order: LogOrder) -> StyledLine {
        self.fill(
            TextStyle::Bold,
            ["UTC", "Client", "Name", "Type", "Status", "Latency"],
            |column| {
                if LogOrder::ALL.get(column) == Some(&order) { TextStyle::Inverse } else { TextStyle::Bold }
            },
            |line, text, style, _| line.push(style, text),
        )
    }

    fn line(&self, row: &LogRow, is_chosen: bool, room: PanelSize) -> StyledLine {
        let style = if is_chosen { TextStyle::Inverse } else { TextStyle::Plain };
        let time = row.timestamp.get(11..19).unwrap_or(&row.timestamp);
        let took = row.latency.map_or(String::new(), latency);
        let status = match row.status.as_str() {
            "error" => row.rcode.as_str(),
            status => status,
        };
        let judged = match row.status.as_str() {
            _ if is_chosen => style,
            "answered" => TextStyle::Good,
            "error" | "unanswered" | "blocked" => TextStyle::Bad,
            _ => TextStyle::Plain,
        };
        self.fill(
            style,
            [time, row.who(), &row.name, &row.rrtype, status, &took],
            |column| if column == 4 { judged } else { style },
            |line, text, style, width| line.push_within(style, text, width, room.look),
        )
    }

    /// A line of all columns: `style` is that of one, `push` adds a text in so many columns.
    fn fill(
        &self,
        blank: TextStyle,
        texts: [&str; 6],
        style: impl Fn(usize) -> TextStyle,
        push: impl Fn(&mut StyledLine, &str, TextStyle, usize),
    ) -> StyledLine {
        let shown = [self.time, self.client, true, self.rrtype, true, self.latency];
        let widths = [TIME, CLIENT, self.name, TYPE, STATUS, LATENCY];
        let mut line = StyledLine::new().with(blank, " ");
        let mut end = 1;
        for (column, ((text, width), is_shown)) in texts.iter().zip(widths).zip(shown).enumerate() {
            if !is_shown {
                continue;
            }
            push(&mut line, text, style(column), width - 1);
            end += width;
            line.pad_as(blank, end);
        }
        line
    }
}
