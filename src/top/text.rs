//! Lines of text in styles, and how they get onto a screen or into a pipe.
//!
//! Nothing that is printed can move the cursor or change a colour: every text passes [`StyledLine::push`],
//! which lets printable ASCII and letters through and makes `?` of everything else. Widths are in columns,
//! wide letters count two.

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextStyle {
    /// As it comes.
    Plain,
    /// The important text.
    Bold,
    /// The text that only explains.
    Dim,
    /// A bar at the top, or what is chosen.
    Inverse,
    /// A bar of a plot.
    Bar,
    /// All is well.
    Good,
    /// It is not.
    Bad,
}

/// The abilities of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TerminalStyle {
    /// Styles by ECMA-48 sequences; otherwise bare text.
    pub(crate) styles: bool,
    /// Colours, too.
    pub(crate) colours: bool,
    /// More than ASCII.
    pub(crate) unicode: bool,
}

impl TerminalStyle {
    /// The beginning of a style; its end is `ESC [ m`.
    fn start(self, style: TextStyle) -> &'static str {
        match style {
            _ if !self.styles => "",
            TextStyle::Plain => "",
            TextStyle::Bold => "\x1b[1m",
            TextStyle::Dim => "\x1b[2m",
            TextStyle::Inverse => "\x1b[7m",
            TextStyle::Bar if self.colours => "\x1b[36m",
            TextStyle::Good if self.colours => "\x1b[32m",
            TextStyle::Bad if self.colours => "\x1b[1;31m",
            TextStyle::Bar | TextStyle::Good => "",
            TextStyle::Bad => "\x1b[1m",
        }
    }
}

/// One line.
#[derive(Clone, Debug, Default)]
pub(crate) struct StyledLine {
    spans: Vec<(TextStyle, String)>,
    width: usize,
}

impl StyledLine {
    /// An empty line.
    pub(crate) fn new() -> Self {
        StyledLine::default()
    }

    /// Columns in use.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Adds a text, whoever wrote it.
    pub(crate) fn push(&mut self, style: TextStyle, text: &str) {
        let clean: String = text.chars().map(printable).collect();
        self.width += clean.chars().map(columns).sum::<usize>();
        self.spans.push((style, clean));
    }

    /// The line with a text added.
    pub(crate) fn with(mut self, style: TextStyle, text: &str) -> Self {
        self.push(style, text);
        self
    }

    /// Adds blanks up to a column.
    pub(crate) fn pad(&mut self, column: usize) {
        self.pad_as(TextStyle::Plain, column);
    }

    /// The same in a style.
    pub(crate) fn pad_as(&mut self, style: TextStyle, column: usize) {
        let blanks = column.saturating_sub(self.width);
        self.spans.push((style, " ".repeat(blanks)));
        self.width += blanks;
    }

    /// Adds blanks up to a column, and one at least.
    pub(crate) fn gap(&mut self, column: usize) {
        self.pad(column.max(self.width + 1));
    }

    /// Adds a text that ends at a column.
    pub(crate) fn push_right(&mut self, style: TextStyle, text: &str, column: usize) {
        let width: usize = text.chars().map(columns).sum();
        self.pad_as(TextStyle::Plain, column.saturating_sub(width));
        self.push(style, text);
    }

    /// Adds a text of at most that many columns, with its middle left out when it is longer.
    pub(crate) fn push_within(&mut self, style: TextStyle, text: &str, width: usize, look: TerminalStyle) {
        let letters: Vec<char> = text.chars().map(printable).collect();
        // Into a pipe everything goes whole: there it is not a matter of columns.
        if !look.styles || letters.iter().copied().map(columns).sum::<usize>() <= width {
            return self.push(style, text);
        }
        let gap = if look.unicode { "…" } else { "~" };
        let room = width.saturating_sub(1);
        let head = fitting(letters.iter().copied(), room / 2);
        let tail: String = fitting(letters.iter().rev().copied(), room - room / 2).chars().rev().collect();
        self.push(style, &head);
        self.spans.push((style, gap.to_owned()));
        self.width += 1;
        self.push(style, &tail);
    }

    /// Adds a horizontal bar for `part` of `whole`, of that many columns at most.
    pub(crate) fn push_bar(&mut self, part: f64, whole: f64, width: usize, look: TerminalStyle) {
        let filled = if whole > 0.0 { (part / whole).clamp(0.0, 1.0) * width as f64 } else { 0.0 };
        let text = if look.unicode {
            let eighths = (filled * 8.0).round() as usize;
            let rest = PARTS.get(eighths % 8).copied().unwrap_or_default();
            format!("{}{rest}", "█".repeat(eighths / 8))
        } else {
            "#".repeat(filled.round() as usize)
        };
        self.width += text.chars().count();
        self.spans.push((TextStyle::Bar, text));
    }

    /// Adds a row of columns, one for each value, as high as the value is against the highest.
    pub(crate) fn push_plot(&mut self, values: impl Iterator<Item = f64> + Clone, look: TerminalStyle) {
        let highest = values.clone().fold(0.0, f64::max);
        let steps: &[char] = if look.unicode { &HEIGHTS } else { &['_', '.', '-', '=', '#'] };
        let text: String = values
            .filter_map(|value| {
                let part = if highest > 0.0 { value / highest } else { 0.0 };
                steps.get((part * (steps.len() - 1) as f64).ceil() as usize).copied()
            })
            .collect();
        self.width += text.chars().count();
        self.spans.push((TextStyle::Bar, text));
    }

    /// Adds another line.
    pub(crate) fn append(&mut self, other: StyledLine) {
        self.width += other.width;
        self.spans.extend(other.spans);
    }

    /// Writes the line, `width` columns of it at most.
    pub(crate) fn write(&self, width: usize, look: TerminalStyle, out: &mut String) {
        let mut room = width;
        for (style, text) in &self.spans {
            let fit = fitting(text.chars(), room);
            // What is cut takes all the room that is left.
            room = if fit.len() < text.len() { 0 } else { room - fit.chars().map(columns).sum::<usize>() };
            let start = look.start(*style);
            out.push_str(start);
            if look.unicode {
                out.push_str(&fit);
            } else {
                out.extend(fit.chars().map(|letter| if letter.is_ascii() { letter } else { '?' }));
            }
            out.push_str(if start.is_empty() { "" } else { "\x1b[m" });
        }
        let blanks = out.len() - out.trim_end_matches(' ').len();
        out.truncate(out.len() - blanks);
    }
}

/// Puts two columns of lines beside each other; the left one is `width` wide.
pub(crate) fn beside(left: Vec<StyledLine>, right: Vec<StyledLine>, width: usize) -> Vec<StyledLine> {
    let rows = left.len().max(right.len());
    let (mut left, mut right) = (left.into_iter(), right.into_iter());
    (0..rows)
        .map(|_| {
            let mut line = left.next().unwrap_or_default();
            line.gap(width);
            line.append(right.next().unwrap_or_default());
            line
        })
        .collect()
}

/// A screen full of lines: from the upper left corner, without clearing it first, which would flicker.
pub(crate) fn screen(lines: &[StyledLine], (width, height): (usize, usize), look: TerminalStyle) -> String {
    let mut out = String::from("\x1b[H");
    for (row, line) in lines.iter().take(height).enumerate() {
        if row > 0 {
            out.push_str("\r\n");
        }
        line.write(width, look, &mut out);
        out.push_str("\x1b[m\x1b[K");
    }
    out.push_str("\x1b[J");
    out
}

/// The beginning of a text that takes that many columns at most.
fn fitting(letters: impl Iterator<Item = char>, width: usize) -> String {
    let mut room = width;
    letters
        .take_while(|&letter| {
            let fits = columns(letter) <= room;
            room = room.saturating_sub(columns(letter));
            fits
        })
        .collect()
}

/// The letter, or what stands for what is none.
fn printable(letter: char) -> char {
    match letter {
        ' '..='~' => letter,
        _ if letter.is_alphanumeric() => letter,
        _ => '?',
    }
}

/// Columns a letter takes: two for East Asian wide ones (Unicode's annex 11, in large blocks).
fn columns(letter: char) -> usize {
    match u32::from(letter) {
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xff00..=0xff60
        | 0x2_0000..=0x3_fffd => 2,
        _ => 1,
    }
}

/// Parts of a column, in eighths from the left.
const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// Heights of a column.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: TerminalStyle = TerminalStyle { styles: true, colours: true, unicode: true };
    const BARE: TerminalStyle = TerminalStyle { styles: false, colours: false, unicode: false };

    fn written(line: &StyledLine, width: usize, look: TerminalStyle) -> String {
        let mut out = String::new();
        line.write(width, look, &mut out);
        out
    }

    #[test]
    fn nothing_that_is_printed_steers_the_terminal() {
        let hostile: String = (0..0x3000).filter_map(char::from_u32).collect();
        for style in [TextStyle::Plain, TextStyle::Bad] {
            let line = StyledLine::new().with(TextStyle::Plain, &hostile);
            let text = written(&line, usize::MAX, BARE);
            assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            let text = written(&StyledLine::new().with(style, "\x1b[2J\u{9b}31m\r\n\u{202e}x"), 80, LOOK);
            let inner = text.trim_start_matches("\x1b[1;31m").trim_end_matches("\x1b[m");
            assert_eq!(inner, "?[2J?31m???x");
        }
    }

    #[test]
    fn lines_are_cut_at_the_edge() {
        let line = StyledLine::new().with(TextStyle::Plain, "東京x").with(TextStyle::Bold, "abc");
        assert_eq!(line.width(), 8);
        assert_eq!(written(&line, 8, BARE), "??xabc");
        assert_eq!(written(&line, 3, LOOK), "東\x1b[1m\x1b[m");
        assert_eq!(written(&line, 6, LOOK), "東京x\x1b[1ma\x1b[m");
    }

    #[test]
    fn long_names_lose_their_middle() {
        let mut line = StyledLine::new();
        line.push_within(TextStyle::Plain, "www.a-very-long-name.example.com.", 15, LOOK);
        assert_eq!((written(&line, 99, LOOK).as_str(), line.width()), ("www.a-v…le.com.", 15));
        let mut line = StyledLine::new();
        line.push_within(TextStyle::Plain, "short.", 15, LOOK);
        assert_eq!(written(&line, 99, LOOK), "short.");
    }

    #[test]
    fn bars_are_in_proportion() {
        let bar = |part, look| {
            let mut line = StyledLine::new();
            line.push_bar(part, 10.0, 10, look);
            (written(&line, 99, TerminalStyle { styles: false, ..look }), line.width())
        };
        assert_eq!(bar(10.0, LOOK), ("██████████".to_owned(), 10));
        assert_eq!(bar(2.5, LOOK), ("██▌".to_owned(), 3));
        assert_eq!(bar(5.0, BARE), ("#####".to_owned(), 5));
        assert_eq!(bar(99.0, BARE).1, 10);
    }

    #[test]
    fn columns_stand_beside_each_other() {
        let lines = |words: &[&str]| {
            words.iter().map(|word| StyledLine::new().with(TextStyle::Plain, word)).collect()
        };
        let joined = beside(lines(&["a", "b"]), lines(&["x", "y", "z"]), 3);
        let texts: Vec<String> = joined.iter().map(|line| written(line, 9, BARE)).collect();
        assert_eq!(texts, ["a  x", "b  y", "   z"]);
    }
}
