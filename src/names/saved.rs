//! Devices as they are saved, and back.
//!
//! ```text
//! | source + 1 | name | MAC, 6, zeros if there is none | first seen | last seen | queries | blocked | addresses | 16 each |
//!      1         string                                    numbers of 7 bits a byte                     1
//! ```

use core::net::{IpAddr, Ipv6Addr};

use super::files::NameSource;
use super::{ADDRESSES_TOLD, Address, Device, DeviceId, Devices, bytes};
use crate::wire::segment::{DEVICE, Input, Output};

const SOURCES: [NameSource; 3] = [NameSource::Hosts, NameSource::Lease, NameSource::Static];

impl Devices {
    /// Writes devices from that number on that changed since they were written last, or `all`; `None` when
    /// all are written, else the number to go on with.
    pub(crate) fn write_saved(&mut self, from: usize, all: bool, out: &mut Output<'_>) -> Option<usize> {
        for number in from..self.devices.len() {
            let device = self.devices.get(number)?;
            if !device.is_used || device.is_saved && !all || device.queries == 0 && device.source.is_none() {
                continue;
            }
            if !out.has_room() {
                return Some(number);
            }
            let addresses = self.addresses(DeviceId(number as u32));
            out.byte(DEVICE);
            let source = |held: &NameSource| SOURCES.iter().position(|source| source == held);
            out.byte(device.source.as_ref().and_then(source).map_or(0, |place| place as u8 + 1));
            out.string(device.name.as_bytes());
            device.mac.unwrap_or_default().into_iter().for_each(|byte| out.byte(byte));
            for number in [device.first_seen, device.last_seen, device.queries, device.blocked] {
                out.number(u64::from(number));
            }
            out.byte(addresses.len() as u8);
            addresses.iter().flat_map(|address| bytes(*address)).for_each(|byte| out.byte(byte));
            if let Some(device) = self.devices.get_mut(number) {
                device.is_saved = true;
            }
        }
        None
    }

    /// Writes all devices again next time: the last time failed.
    pub(crate) fn forget_saved(&mut self) {
        self.devices.iter_mut().for_each(|device| device.is_saved = false);
    }

    /// Reads a device. What was saved later comes later, and counts. `None` if it is broken.
    pub(crate) fn read_saved(&mut self, input: &mut Input<'_>) -> Option<()> {
        let source = usize::from(input.byte()?).checked_sub(1);
        let name = core::str::from_utf8(input.string()?).ok()?;
        let mac = Some(input.array::<6>()?).filter(|mac| *mac != [0; 6]);
        let (first, last, queries, blocked) =
            (input.small()?, input.small()?, input.small()?, input.small()?);
        let mut addresses = heapless::Vec::<IpAddr, ADDRESSES_TOLD>::new();
        for _ in 0..input.byte()? {
            let _ = addresses.push(Ipv6Addr::from(input.array::<16>()?).to_canonical());
        }
        let known = mac.and_then(|mac| self.find_mac(mac));
        let known = known.or_else(|| addresses.iter().find_map(|address| self.find(*address)));
        // Whoever finds no place is forgotten.
        let Some(id) = known.or_else(|| self.take_device(last)) else { return Some(()) };
        for address in addresses.iter().rev() {
            if let Some(place) =
                self.place(&bytes(*address)).or_else(|| self.add_address(bytes(*address), id, last))
                && let Some(held) = self.addresses.get_mut(place)
            {
                *held = Address { has_asked: true, last_seen: last, ..*held };
            }
        }
        let device = self.device_mut(id)?;
        if let Some(source) = source.and_then(|place| SOURCES.get(place)) {
            device.set_name(name, *source);
        }
        *device = Device {
            mac: mac.or(device.mac),
            first_seen: first,
            last_seen: last,
            queries,
            blocked,
            is_saved: true,
            ..device.clone()
        };
        Some(())
    }
}
