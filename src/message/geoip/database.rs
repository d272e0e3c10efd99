//! A database that is open.

use core::fmt::{self, Display};
use core::net::IpAddr;

use maxminddb::{LookupResult, PathElement, Reader, WithinOptions};

use super::recent::{RecentLocations, TextSpan};
use super::{Location, Section};
use crate::limits::PLACE_BYTES;
use crate::sys::mmap::Mapping;
use crate::values::KeyError;

/// A database in MaxMind's format, with cities or at least countries.
pub struct LocationDatabase<S: AsRef<[u8]> + Clone = Mapping> {
    reader: Reader<S>,
    /// The bytes that the reader reads.
    bytes: S,
    /// Where the last addresses were.
    recent: RecentLocations,
    /// Where the text for a country is in a record.
    country: &'static [PathElement<'static>],
}

impl LocationDatabase {
    /// Opens what the section names; `None` if it is off.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not a database with countries.
    pub(super) fn open(section: &Section) -> Result<Option<Self>, KeyError> {
        let Some(path) = section.city_database.as_deref().filter(|_| section.enable) else { return Ok(None) };
        let fault = |why: &dyn Display| KeyError::new("city-database", format!("{}: {why}", path.display()));
        let file = Mapping::open(path).map_err(|error| fault(&error))?;
        LocationDatabase::parse(file, section.country_iso).map(Some).map_err(|why| fault(&why))
    }
}

impl<S: AsRef<[u8]> + Clone> LocationDatabase<S> {
    /// The database in some bytes; `country_iso`: the country as its code.
    ///
    /// # Errors
    ///
    /// Why they are none, or none with countries.
    pub fn parse(bytes: S, country_iso: bool) -> Result<Self, String> {
        let reader =
            Reader::from_source(bytes.clone()).map_err(|error| format!("no MaxMind database: {error}"))?;
        let country = if country_iso { ISO } else { NAME };
        let database = LocationDatabase { reader, bytes, recent: RecentLocations::default(), country };
        if !database.has_countries()? {
            return Err(format!(
                "its type is {:?}, which knows no countries; allowed: one with cities, such as GeoLite2-City",
                database.kind()
            ));
        }
        Ok(database)
    }

    /// Where an address is, as far as it is known. What is broken is not known.
    pub fn look_up(&self, address: IpAddr) -> Location<'_> {
        let address = address.to_canonical();
        let bytes = self.bytes.as_ref();
        if let Some([country, city]) = self.recent.get(address) {
            return Location { country: country.of(bytes), city: city.of(bytes) };
        }
        let place = self.read(address);
        if let (Some(country), Some(city)) =
            (TextSpan::within(bytes, place.country), TextSpan::within(bytes, place.city))
        {
            self.recent.put(address, [country, city]);
        }
        place
    }

    fn read(&self, address: IpAddr) -> Location<'_> {
        // maxminddb would put this into words.
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return Location::default();
        }
        match self.reader.lookup(address) {
            Ok(found) if found.has_data() => {
                Location { country: text(&found, self.country), city: text(&found, CITY) }
            }
            _ => Location::default(),
        }
    }

    /// The name it gives itself, such as `GeoLite2-City`.
    pub(crate) fn kind(&self) -> &str {
        &self.reader.metadata().database_type
    }

    /// When it was made, in seconds since 1970.
    pub(crate) fn built(&self) -> u64 {
        self.reader.metadata().build_epoch
    }

    /// Whether it is what it should be: by its type, else by its first records. They are read in any case, so
    /// a file that is broken is found out before it is in force.
    fn has_countries(&self) -> Result<bool, String> {
        let kind = self.kind().to_ascii_lowercase();
        let named = ["city", "country", "enterprise"].iter().any(|word| kind.contains(word));
        let broken = |error| format!("the database is broken: {error}");
        let all = WithinOptions::default().include_networks_without_data();
        let records = self.reader.networks(all).map_err(broken)?;
        let mut shows = false;
        for record in records.take(RECORDS_READ) {
            let record = record.map_err(broken)?;
            for path in [NAME, ISO, CITY] {
                shows |= record.decode_path::<&str>(path).map_err(broken)?.is_some();
            }
        }
        Ok(named || shows)
    }
}

impl<S: AsRef<[u8]> + Clone> fmt::Debug for LocationDatabase<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocationDatabase").field(&self.kind()).finish()
    }
}

/// A text of a record; empty when there is none. A long one is cut after a whole letter.
fn text<'d, S: AsRef<[u8]>>(record: &LookupResult<'d, S>, path: &[PathElement<'_>]) -> &'d str {
    cut(record.decode_path(path).ok().flatten().unwrap_or_default())
}

/// A text without what is too long of it, cut after a whole letter.
pub(super) fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(PLACE_BYTES)).unwrap_or_default()
}

/// The English name of the country.
const NAME: &[PathElement<'static>] =
    &[PathElement::Key("country"), PathElement::Key("names"), PathElement::Key("en")];
/// The code of the country.
const ISO: &[PathElement<'static>] = &[PathElement::Key("country"), PathElement::Key("iso_code")];
/// The English name of the city.
const CITY: &[PathElement<'static>] =
    &[PathElement::Key("city"), PathElement::Key("names"), PathElement::Key("en")];

/// Networks looked at before a database is in force.
pub(super) const RECORDS_READ: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: &[u8] = include_bytes!("../../../tests/data/places.mmdb");

    #[test]
    fn addresses_have_places() {
        let (names, codes) =
            (LocationDatabase::parse(PLACES, false).unwrap(), LocationDatabase::parse(PLACES, true).unwrap());
        let check = |address: &str, country, iso, city| {
            let address = address.parse().unwrap();
            assert_eq!(names.look_up(address), Location { country, city });
            assert_eq!(codes.look_up(address), Location { country: iso, city });
        };
        check("192.0.2.10", "Switzerland", "CH", "Zürich");
        check("::ffff:192.0.2.10", "Switzerland", "CH", "Zürich");
        check("2001:db8::1", "Canada", "CA", "Montréal");
        check("198.51.100.130", "Germany", "DE", "");
        check("198.51.100.200", "", "", "Nowhere");
        check("203.0.113.130", "", "FR", "Paris");
        check("203.0.113.200", "Spain", "", "");
        check("9.9.9.9", "", "", "");
        check("2001:db9::1", "", "", "");
        // Cut, and not within a letter.
        check("203.0.113.1", &"x".repeat(127), "XX", &"y".repeat(128));
    }

    #[test]
    fn a_database_cut_short_is_refused() {
        for length in 0..PLACES.len() {
            assert!(LocationDatabase::parse(&PLACES[..length], false).is_err(), "{length}");
        }
    }

    #[test]
    fn what_knows_no_countries_is_refused() {
        let at = PLACES.windows(13).position(|window| window == b"GeoLite2-City").unwrap();
        let mut other = PLACES.to_vec();
        other[at..at + 13].copy_from_slice(b"Test-Database");
        assert!(LocationDatabase::parse(&other, false).is_ok(), "it has countries, whatever it is called");
        for word in [&b"country"[..], b"city"] {
            while let Some(at) = other.windows(word.len()).position(|window| window == word) {
                other[at] = b'x';
            }
        }
        let refused = LocationDatabase::parse(&other, false).unwrap_err();
        assert!(refused.contains("Test-Database"), "{refused}");
    }
}
