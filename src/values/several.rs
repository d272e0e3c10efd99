//! Sections that may be there several times: written as one table, `[output.file]`, or as several,
//! `[[output.file]]`.

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// One section or several of a kind.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Several<S>(Vec<S>);

impl<S> Several<S> {
    /// Each of them, with the path of its table below that of the kind: the place is part of it when there
    /// are several.
    pub(crate) fn paths(&self, kind: &str) -> impl Iterator<Item = (String, &S)> {
        let are_many = self.0.len() > 1;
        self.0.iter().enumerate().map(move |(at, section)| {
            (if are_many { format!("{kind}[{at}]") } else { kind.to_owned() }, section)
        })
    }
}

/// One, as it is by default: as every other section is when it is absent.
impl<S: Default> Default for Several<S> {
    fn default() -> Self {
        Several(vec![S::default()])
    }
}

impl<S> Deref for Several<S> {
    type Target = [S];

    fn deref(&self) -> &[S] {
        &self.0
    }
}

impl<S> DerefMut for Several<S> {
    fn deref_mut(&mut self) -> &mut [S] {
        &mut self.0
    }
}

impl<'de, S: Deserialize<'de>> Deserialize<'de> for Several<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrSeveral(PhantomData))
    }
}

/// serde's half of [`Several`].
struct OneOrSeveral<S>(PhantomData<S>);

impl<'de, S: Deserialize<'de>> Visitor<'de> for OneOrSeveral<S> {
    type Value = Several<S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table, or several in double brackets")
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Several<S>, A::Error> {
        S::deserialize(MapAccessDeserializer::new(table)).map(|section| Several(vec![section]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, tables: A) -> Result<Several<S>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(tables)).map(Several)
    }
}
