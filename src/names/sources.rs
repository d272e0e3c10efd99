//! Where names come from: files, which are read again when they change, and the kernel's neighbours.
//!
//! Files are looked at every [`LOOK_SECONDS`]; only what changed is read, on a thread of the pool, since a
//! disk may stall. The kernel is asked when a stranger came, and every now and then in case an address moved.

use std::fs::Metadata;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::files::{Fact, Mac, NameSource, parse_mac, read_line};
use super::{Devices, Section};
use crate::sys::files::open_regular;
use crate::sys::interfaces::{self, Subnet};

/// The sources of one configuration.
#[derive(Debug)]
pub(crate) struct NameSources {
    files: Vec<WatchedFile>,
    uses_neighbours: bool,
    statics: Vec<OwnedFact>,
    /// Looks until the kernel is asked again.
    until_neighbours: u32,
}

/// A file or folder, as it was when it was read.
#[derive(Debug)]
struct WatchedFile {
    path: PathBuf,
    seen: Option<FileFingerprint>,
}

/// The stamp of a file, which changes when it does: for a folder, that of its newest file and their number.
type FileFingerprint = (SystemTime, u64, u64);

/// A fact that does not borrow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnedFact {
    source: NameSource,
    address: Option<IpAddr>,
    mac: Option<Mac>,
    name: Option<String>,
}

/// Seconds between two looks at the files.
pub(crate) const LOOK_SECONDS: u64 = 2;
/// Looks between two questions to the kernel while no stranger comes.
const NEIGHBOUR_LOOKS: u32 = 15;
/// Files of a folder that are read.
const FOLDER_FILES: usize = 64;
/// Bytes of a file, and of a line, that are read.
const FILE_BYTES: u64 = 16 << 20;
const LINE_BYTES: u64 = 1024;
/// Facts of all files together: eight for each device of the largest profile.
const FACTS_MAX: usize = 65_536;

impl NameSources {
    /// The sources that a section names.
    pub(crate) fn new(section: &Section) -> Self {
        let statics = section.r#static.iter().filter_map(|(key, name)| {
            let (address, mac) = (key.parse().ok(), parse_mac(key));
            (address.is_some() || mac.is_some()).then(|| OwnedFact {
                source: NameSource::Static,
                address,
                mac,
                name: Some(name.as_str().to_owned()),
            })
        });
        let files = section.files.iter().map(|path| WatchedFile { path: path.to_path_buf(), seen: None });
        NameSources {
            files: if section.enable { files.collect() } else { Vec::new() },
            uses_neighbours: section.uses_neighbours(),
            statics: if section.enable { statics.collect() } else { Vec::new() },
            until_neighbours: 0,
        }
    }

    /// The names of the configuration.
    pub(crate) fn statics(&self) -> &[OwnedFact] {
        &self.statics
    }

    /// The paths that changed since the last look.
    pub(crate) fn changed(&mut self) -> Vec<PathBuf> {
        let mut changed = Vec::new();
        for file in &mut self.files {
            let now = fingerprint(&file.path);
            if now.is_some() && now != file.seen {
                changed.push(file.path.clone());
            }
            file.seen = now;
        }
        changed
    }

    /// Learns what the kernel knows of its neighbours, if it is time for that.
    pub(crate) fn learn_neighbours(&mut self, devices: &mut Devices, now: u32) {
        devices.renew_frames();
        let has_strangers = devices.take_strangers();
        if !self.uses_neighbours || self.until_neighbours > 0 && !has_strangers {
            self.until_neighbours = self.until_neighbours.saturating_sub(1);
            return;
        }
        self.until_neighbours = NEIGHBOUR_LOOKS;
        let subnets = interfaces::numbered_subnets();
        // Without an answer nothing is learned; the next look asks again.
        let _ = interfaces::neighbours(|interface, address, mac| {
            // A router answers for the whole world with its own MAC.
            if !is_local(&subnets, interface, address) {
                return;
            }
            // A neighbour is a device only if it asks or has a name; else it would take a place for nothing.
            let fact = Fact { source: NameSource::Hosts, address: Some(address), mac: Some(mac), name: None };
            devices.learn(&fact, now);
        });
    }
}

/// Whether an address is inside a subnet of the interface.
fn is_local(subnets: &[(u32, Subnet)], interface: u32, address: IpAddr) -> bool {
    subnets.iter().any(|(number, subnet)| *number == interface && subnet.contains(address))
}

impl OwnedFact {
    /// The fact, borrowed.
    pub(crate) fn as_fact(&self) -> Fact<'_> {
        Fact { source: self.source, address: self.address, mac: self.mac, name: self.name.as_deref() }
    }
}

fn fingerprint(path: &Path) -> Option<FileFingerprint> {
    let of = |metadata: &Metadata| metadata.modified().ok().map(|time| (time, metadata.len()));
    let metadata = path.metadata().ok()?;
    let (time, length) = of(&metadata)?;
    if !metadata.is_dir() {
        return Some((time, length, 0));
    }
    let entries = path.read_dir().ok()?.flatten().take(FOLDER_FILES);
    let all = entries.filter_map(|entry| of(&entry.path().metadata().ok()?));
    Some(all.fold((time, 0, 0), |(newest, bytes, files), (time, length)| {
        (newest.max(time), bytes + length, files + 1)
    }))
}

/// Reads what some files and folders say; what cannot be read says nothing.
pub(crate) fn read(paths: &[PathBuf]) -> Vec<OwnedFact> {
    let mut facts = Vec::new();
    for path in paths {
        if path.is_dir() {
            let entries = path.read_dir().into_iter().flatten().flatten();
            entries.take(FOLDER_FILES).for_each(|entry| read_file(&entry.path(), &mut facts));
        } else {
            read_file(path, &mut facts);
        }
    }
    facts
}

fn read_file(path: &Path, facts: &mut Vec<OwnedFact>) {
    let Ok(file) = open_regular(path) else { return };
    let mut reader = BufReader::new(file.take(FILE_BYTES));
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LINE_BYTES).read_until(b'\n', &mut line) {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        read_line(core::str::from_utf8(&line).unwrap_or_default(), |fact| {
            if facts.len() < FACTS_MAX {
                facts.push(OwnedFact {
                    source: fact.source,
                    address: fact.address,
                    mac: fact.mac,
                    name: fact.name.map(str::to_owned),
                });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_is_in_a_subnet_of_its_own_interface() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let subnets = [(3, Subnet::new(address("192.168.1.1"), address("255.255.255.0")).unwrap())];
        assert!(is_local(&subnets, 3, address("192.168.1.77")));
        assert!(!is_local(&subnets, 4, address("192.168.1.77")));
        assert!(!is_local(&subnets, 3, address("203.0.113.1")) && !is_local(&subnets, 3, address("fe80::1")));
    }

    #[test]
    fn what_changed_is_read_again() {
        let folder = std::env::temp_dir().join(format!("dnstapd-sources-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("hosts")).unwrap();
        let leases = folder.join("leases");
        let section: Section = toml::from_str(&format!(
            "files = [{leases:?}, {:?}, \"/nowhere\"]\nstatic = {{ \"192.0.2.9\" = \"nine\" }}",
            folder.join("hosts")
        ))
        .unwrap();
        let mut sources = NameSources::new(&section);
        assert_eq!(sources.statics().len(), 1);
        std::fs::write(folder.join("hosts/odhcpd"), "192.0.2.1 one\n").unwrap();
        assert_eq!(sources.changed(), [folder.join("hosts")]);
        assert_eq!(sources.changed(), Vec::<PathBuf>::new());
        std::fs::write(&leases, "0 aa:bb:cc:dd:ee:ff 192.0.2.5 tv *\n").unwrap();
        std::fs::write(folder.join("hosts/more"), "192.0.2.2 two\n0.0.0.0 ads\n").unwrap();
        let mut names: Vec<_> = read(&sources.changed()).into_iter().filter_map(|fact| fact.name).collect();
        names.sort();
        assert_eq!(names, ["one", "tv", "two"]);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(sources.changed(), Vec::<PathBuf>::new(), "what has gone says nothing");
    }
}
