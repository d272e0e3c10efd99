//! A database of any bytes.

use std::net::IpAddr;

use dnstapd::limits::PLACE_BYTES;
use dnstapd::message::geoip::LocationDatabase;

/// Checks that bytes are refused or looked up in, to an end, whatever they are.
pub fn check(bytes: &[u8]) {
    for country_iso in [false, true] {
        let Ok(database) = LocationDatabase::parse(bytes, country_iso) else { continue };
        let addresses = [
            "0.0.0.0",
            "192.0.2.10",
            "85.85.85.85",
            "170.170.170.170",
            "255.255.255.255",
            "::",
            "2001:db8::10",
            "::ffff:192.0.2.10",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ];
        for address in addresses.map(|text| text.parse::<IpAddr>().unwrap()) {
            let place = database.look_up(address);
            assert!(place.country.len() <= PLACE_BYTES && place.city.len() <= PLACE_BYTES);
            assert_eq!(place, database.look_up(address.to_canonical()));
        }
    }
}
