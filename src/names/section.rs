//! Section `names`.

use core::net::IpAddr;
use std::collections::BTreeMap;

use super::{BUILT, files};
use crate::section::section;
use crate::values::{FilePath, KeyError, Text};

section! {
    /// Section `names`.
    pub struct Section {
        /// Whether devices get names.
        enable: bool = BUILT,
        /// Leases, hosts and ethers files, and folders of such; missing ones say nothing.
        files: Vec<FilePath> = FILES.map(FilePath::new).to_vec(),
        /// Whether the kernel is asked which addresses belong together.
        neighbours: bool = true,
        /// Whether records have a field `device`.
        records: bool = false,
        /// Names by address or MAC.
        r#static: BTreeMap<String, Text> = BTreeMap::new(),
    }
}

/// Where OpenWrt and Debian have what their DHCP servers know.
const FILES: [&str; 5] =
    ["/tmp/dhcp.leases", "/tmp/hosts", "/var/lib/misc/dnsmasq.leases", "/etc/hosts", "/etc/ethers"];

impl Section {
    /// The rules between the keys.
    ///
    /// # Errors
    ///
    /// A static name for something that is neither an address nor a MAC.
    pub(crate) fn check(&self) -> Result<(), KeyError> {
        let is_known = |key: &&String| key.parse::<IpAddr>().is_ok() || files::parse_mac(key).is_some();
        match self.r#static.keys().find(|key| !is_known(key)) {
            Some(key) => {
                Err(KeyError::new("static", format!("{key:?} is not a device; allowed: an address or a MAC")))
            }
            None => Ok(()),
        }
    }

    /// Whether the kernel's neighbours, and frames, say which addresses are one device's.
    pub(crate) fn uses_neighbours(&self) -> bool {
        self.enable && self.neighbours
    }
}
