//! A database of networks that is open: whose an address is.

use core::fmt::{self, Display};
use core::net::IpAddr;

use maxminddb::{PathElement, Reader, WithinOptions};

use super::database::{RECORDS_READ, cut};
use super::{AutonomousSystem, Section};
use crate::sys::mmap::Mapping;
use crate::values::KeyError;

/// A database in MaxMind's format, with autonomous systems.
pub(crate) struct NetworkDatabase<S: AsRef<[u8]> = Mapping> {
    reader: Reader<S>,
}

impl NetworkDatabase {
    /// Opens what the section names; `None` if it names none or is off.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not a database of autonomous systems.
    pub(crate) fn load(section: &Section) -> Result<Option<Self>, KeyError> {
        let Some(path) = section.asn_database.as_deref().filter(|_| section.enable) else { return Ok(None) };
        let fault = |why: &dyn Display| KeyError::new("asn-database", format!("{}: {why}", path.display()));
        let file = Mapping::open(path).map_err(|error| fault(&error))?;
        NetworkDatabase::parse(file).map(Some).map_err(|why| fault(&why))
    }
}

impl<S: AsRef<[u8]>> NetworkDatabase<S> {
    /// The database in some bytes.
    ///
    /// # Errors
    ///
    /// Why they are none, or none of autonomous systems.
    pub(crate) fn parse(bytes: S) -> Result<Self, String> {
        let reader = Reader::from_source(bytes).map_err(|error| format!("no MaxMind database: {error}"))?;
        let database = NetworkDatabase { reader };
        // As for places: what is broken is found out before it is in force.
        let broken = |error| format!("the database is broken: {error}");
        let mut shows = false;
        let all = WithinOptions::default().include_networks_without_data();
        for record in database.reader.networks(all).map_err(broken)?.take(RECORDS_READ) {
            let record = record.map_err(broken)?;
            shows |= record.decode_path::<u32>(NUMBER).map_err(broken)?.is_some();
            shows |= record.decode_path::<&str>(ORGANIZATION).map_err(broken)?.is_some();
        }
        match shows || database.kind().to_ascii_lowercase().contains("asn") {
            true => Ok(database),
            false => Err(format!(
                "its type is {:?}, which knows no autonomous systems; allowed: one with them, such as GeoLite2-ASN",
                database.kind()
            )),
        }
    }

    /// Whose an address is, as far as it is known. What is broken is not known.
    pub(crate) fn look_up(&self, address: IpAddr) -> AutonomousSystem<'_> {
        let address = address.to_canonical();
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return AutonomousSystem::default();
        }
        match self.reader.lookup(address) {
            Ok(found) if found.has_data() => AutonomousSystem {
                number: found.decode_path(NUMBER).ok().flatten(),
                organization: cut(found.decode_path(ORGANIZATION).ok().flatten().unwrap_or_default()),
            },
            _ => AutonomousSystem::default(),
        }
    }

    /// The name it gives itself, such as `GeoLite2-ASN`.
    pub(crate) fn kind(&self) -> &str {
        &self.reader.metadata().database_type
    }
}

impl<S: AsRef<[u8]>> fmt::Debug for NetworkDatabase<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NetworkDatabase").field(&self.kind()).finish()
    }
}

const NUMBER: &[PathElement<'static>] = &[PathElement::Key("autonomous_system_number")];
const ORGANIZATION: &[PathElement<'static>] = &[PathElement::Key("autonomous_system_organization")];

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORKS: &[u8] = include_bytes!("../../../tests/data/networks.mmdb");

    #[test]
    fn addresses_are_somebodys() {
        let database = NetworkDatabase::parse(NETWORKS).unwrap();
        let check = |address: &str, number, organization| {
            assert_eq!(database.look_up(address.parse().unwrap()), AutonomousSystem { number, organization });
        };
        check("192.0.2.10", Some(64_496), "Example Net, Inc.");
        check("::ffff:192.0.2.10", Some(64_496), "Example Net, Inc.");
        check("2001:db8::1", Some(4_200_000_000), "");
        check("203.0.113.1", None, "Nobody");
        check("9.9.9.9", None, "");
    }

    #[test]
    fn what_is_no_database_of_networks_is_refused() {
        for length in 0..NETWORKS.len() {
            assert!(NetworkDatabase::parse(&NETWORKS[..length]).is_err(), "{length}");
        }
        let places = include_bytes!("../../../tests/data/places.mmdb");
        assert!(NetworkDatabase::parse(&places[..]).unwrap_err().contains("GeoLite2-City"));
    }
}
