//! How the records of an output look: the format, and in it the usual fields, fields of one's own choice, or
//! a template.
//!
//! ```text
//! fields = ["timestamp", "qname", "answers"]       text, JSON, YAML, CSV: these, in this order
//! template = "{timestamp} {query-ip} {qname}"      text: names of fields in braces; {{ and }} are braces
//! ```
//!
//! Outputs whose encodings are equal share the work: the record is made once.

use crate::limits::{LONG_RECORD_BYTES, RECORD_BYTES};
use crate::values::{Format, Invalid, KeyError, Value};

use super::fields::Field;

/// How records look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Encoding {
    /// The format.
    pub(crate) format: Format,
    /// The content.
    pub(crate) layout: Layout,
    /// Bytes of a record at most; lists are cut there.
    pub(crate) longest: usize,
}

/// The content of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layout {
    /// That which the format has by itself.
    Usual,
    /// These fields, in this order.
    Fields(ChosenFields),
    /// A text with fields in it.
    Template(Template),
}

/// Fields of one's own choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChosenFields {
    /// All of them.
    pub(crate) fields: Box<[Field]>,
    /// How many, from the first on, are those that the format has by itself: these are quicker written as a
    /// whole.
    #[cfg(feature = "records")]
    pub(super) usual: usize,
}

impl ChosenFields {
    fn new(#[cfg_attr(not(feature = "records"), expect(unused))] format: Format, fields: &[Field]) -> Self {
        #[cfg(feature = "records")]
        let usual: &[Field] = if format == Format::Text { &USUAL_TEXT_FIELDS } else { &USUAL_FIELDS };
        ChosenFields {
            fields: fields.into(),
            #[cfg(feature = "records")]
            usual: fields.iter().zip(usual).take_while(|(chosen, usual)| chosen == usual).count(),
        }
    }
}

impl From<Format> for Encoding {
    fn from(format: Format) -> Self {
        Encoding { format, layout: Layout::Usual, longest: RECORD_BYTES }
    }
}

impl Encoding {
    /// The encoding that a section asks for.
    pub(crate) fn new(format: Format, fields: Option<&[Field]>, template: Option<&Template>) -> Self {
        let layout = match (fields, template) {
            (Some(fields), _) => Layout::Fields(ChosenFields::new(format, fields)),
            (None, Some(template)) => Layout::Template(template.clone()),
            (None, None) => return format.into(),
        };
        Encoding { format, layout, longest: RECORD_BYTES }
    }

    /// The same, for an output that takes long records.
    pub(crate) fn with_long_records(self) -> Self {
        let is_short =
            self.layout == Layout::Usual && matches!(self.format, Format::Text | Format::Json | Format::Yaml);
        Encoding { longest: if is_short { RECORD_BYTES } else { LONG_RECORD_BYTES }, ..self }
    }

    /// Whether it shows how an exchange ended.
    pub(crate) fn asks_for_status(&self) -> bool {
        self.fields().any(|field| field == Field::Status)
    }

    /// Whether it shows the device of who asked.
    pub(crate) fn asks_for_device(&self) -> bool {
        self.fields().any(|field| field == Field::Device)
    }

    /// Whether there are records of responses alone.
    pub(crate) fn is_of_responses(&self) -> bool {
        self.format == Format::Zeek
    }

    /// Whether it begins with time and identity, as text does by itself.
    pub(crate) fn is_usual_text(&self) -> bool {
        self.format == Format::Text && self.layout == Layout::Usual
    }

    fn fields(&self) -> impl Iterator<Item = Field> {
        let (fields, pieces): (&[Field], &[Piece]) = match &self.layout {
            Layout::Usual => (&[], &[]),
            Layout::Fields(chosen) => (&chosen.fields, &[]),
            Layout::Template(template) => (&[], &template.pieces),
        };
        fields.iter().copied().chain(pieces.iter().filter_map(|piece| piece.field))
    }
}

/// The rules between the keys `format`, `fields` and `template`.
///
/// # Errors
///
/// The first that is broken.
pub(crate) fn check(
    format: Option<Format>,
    fields: Option<&[Field]>,
    template: Option<&Template>,
) -> Result<(), KeyError> {
    let takes_fields = !matches!(format, None | Some(Format::Ecs | Format::Zeek));
    if let Some(fields) = fields {
        if !takes_fields {
            return Err(KeyError::new(
                "fields",
                "this format has fields of its own; allowed with `text`, `json`, `yaml`, `csv`",
            ));
        }
        if fields.is_empty() {
            return Err(KeyError::new("fields", "empty; allowed: at least one of them"));
        }
        if let Some((_, twice)) = fields
            .iter()
            .enumerate()
            .find(|(at, field)| fields.iter().take(*at).any(|before| before == *field))
        {
            let text = format!("`{twice}` is there twice; allowed: each of them once");
            return Err(KeyError::new("fields", text));
        }
    }
    match template {
        Some(_) if format != Some(Format::Text) => {
            Err(KeyError::new("template", "this format has none; allowed with `text`"))
        }
        Some(_) if fields.is_some() => {
            Err(KeyError::new("template", "given beside `fields`; allowed: one of the two"))
        }
        _ => Ok(()),
    }
}

/// The message for a format or a choice of fields in a build without them.
pub(crate) fn missing_feature(
    format: Option<Format>,
    fields: Option<&[Field]>,
    template: Option<&Template>,
) -> Option<KeyError> {
    const WHY: &str = "needs the cargo feature `records`, which this build is without; allowed: ";
    if cfg!(feature = "records") {
        return None;
    }
    let fault = |key, word: &str, allowed: &str| Some(KeyError::new(key, format!("{word}{WHY}{allowed}")));
    match format {
        Some(format @ (Format::Csv | Format::Ecs | Format::Zeek)) => {
            fault("format", &format!("`{format}` "), "`text`, `json`, `yaml`")
        }
        _ if fields.is_some() => fault("fields", "", "none"),
        _ if template.is_some() => fault("template", "", "none"),
        _ => None,
    }
}

/// A line of one's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Its parts, in their order.
    pub(crate) pieces: Box<[Piece]>,
}

/// Some text, and the field behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The text.
    pub(crate) text: Box<str>,
    /// The field; `None` at the end.
    pub(crate) field: Option<Field>,
}

impl Value for Template {
    fn allowed() -> String {
        format!("text with fields in braces, `{{{{` and `}}}}` for braces: {}", Field::allowed())
    }

    fn from_text(text: &str) -> Result<Self, Invalid> {
        let because = |why: String| Invalid::Because(why);
        let (mut pieces, mut before, mut rest) = (Vec::new(), String::new(), text);
        if text.chars().any(char::is_control) {
            return Err(because("a control character in it".to_owned()));
        }
        while let Some(at) = rest.find(['{', '}']) {
            let (head, tail) = rest.split_at(at);
            before.push_str(head);
            if let Some(behind) = tail.strip_prefix("{{").or_else(|| tail.strip_prefix("}}")) {
                before.push_str(tail.get(..1).unwrap_or_default());
                rest = behind;
                continue;
            }
            let Some((name, behind)) = tail.strip_prefix('{').and_then(|tail| tail.split_once('}')) else {
                return Err(because(format!("a brace without its other half at `{tail}`")));
            };
            let field = Field::from_text(name).map_err(|_| because(format!("`{{{name}}}` is no field")))?;
            pieces.push(Piece { text: core::mem::take(&mut before).into(), field: Some(field) });
            rest = behind;
        }
        before.push_str(rest);
        if pieces.is_empty() {
            return Err(because("no field in it".to_owned()));
        }
        if before.len() + pieces.iter().map(|piece| piece.text.len()).sum::<usize>() > TEMPLATE_TEXT_MAX {
            return Err(because(format!("more than {TEMPLATE_TEXT_MAX} octets of text")));
        }
        pieces.push(Piece { text: before.into(), field: None });
        Ok(Template { pieces: pieces.into() })
    }
}

crate::values::deserialize!(Template);

/// Bytes of text in a template at most.
const TEMPLATE_TEXT_MAX: usize = 1 << 10;

/// The fields of JSON, which CSV has as well; the last two with GeoIP on.
#[cfg(any(feature = "records", test))]
pub(crate) const USUAL_FIELDS: [Field; 19] = [
    Field::Identity,
    Field::Qname,
    Field::Rrtype,
    Field::QueryIp,
    Field::Message,
    Field::Family,
    Field::Protocol,
    Field::QueryPort,
    Field::ResponseIp,
    Field::ResponsePort,
    Field::Type,
    Field::Length,
    Field::Timestamp,
    Field::Rcode,
    Field::Id,
    Field::Flags,
    Field::Latency,
    Field::Country,
    Field::City,
];

/// The fields of text, likewise.
#[cfg(feature = "records")]
pub(crate) const USUAL_TEXT_FIELDS: [Field; 14] = [
    Field::Timestamp,
    Field::Identity,
    Field::Message,
    Field::Rcode,
    Field::QueryIp,
    Field::QueryPort,
    Field::Family,
    Field::Protocol,
    Field::Length,
    Field::Qname,
    Field::Rrtype,
    Field::Latency,
    Field::Country,
    Field::City,
];
