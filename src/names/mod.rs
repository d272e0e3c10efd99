//! Who an address is: the devices of a network, by their names and all of their addresses.
//!
//! ```text
//!   192.168.1.5 ----+
//!   fd00::5 --------+--> device: aa:bb:cc:dd:ee:ff, "tv", first and last seen, queries, blocked
//!   fe80::1234 -----+
//! ```
//!
//! The content of files ([`files`]) and the kernel's neighbours join addresses by their MAC; an address of
//! which nothing is known is a device of its own until something is. A name of the configuration beats one of
//! a lease, which beats one of a hosts file, and a name stays when its lease ends: a device is known until
//! the place is needed.
//!
//! Both tables have a fixed size. An address that asks finds its place by hash in a row of eight. In a full
//! row the one goes that was not seen for the longest time, those without a name first, but none that was
//! seen in the last minute: a storm of strangers is counted and changes nothing.
//!
//! Nothing is ever asked of the network.

mod device;
pub(crate) mod files;
mod saved;
mod section;
pub(crate) mod sources;

use core::hash::BuildHasher;
use core::net::{IpAddr, Ipv6Addr};

use crate::limits;
use files::{Fact, Mac, NameSource};

pub(crate) use device::Device;
pub use section::Section;

/// Whether this build has it: devices are part of the history.
pub(crate) const BUILT: bool = cfg!(feature = "history");

/// The devices.
#[derive(Debug)]
pub(crate) struct Devices {
    devices: Box<[Device]>,
    addresses: Box<[Address]>,
    /// Where the search for a place for a device goes on.
    hand: usize,
    used: usize,
    /// Devices and addresses that found no place or had to go.
    evicted: u64,
    /// Whether an address came of which nothing is known.
    has_strangers: bool,
    /// Frames from which something may still be learned, until the next look at the sources.
    frames_left: u32,
    hasher: foldhash::quality::RandomState,
}

/// An address of a device.
#[derive(Clone, Copy, Debug, Default)]
struct Address {
    /// IPv4 as mapped.
    bytes: [u8; 16],
    last_seen: u32,
    /// Number of the device, plus 1; 0 if the place is free.
    device: u32,
    /// The device's next address, plus 1.
    next: u32,
    /// Whether it asked for something.
    has_asked: bool,
}

/// The number of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DeviceId(u32);

/// Addresses of a device that are told.
pub(crate) const ADDRESSES_TOLD: usize = 16;
/// Addresses for each device.
const ADDRESSES_EACH: usize = 2;
/// Addresses in a row of the table.
const ROW: usize = 8;
/// Devices that are compared to find the one that goes.
const CANDIDATES: usize = 8;
/// Frames from which something is learned between two looks at the sources: each walks the table of devices,
/// so who makes up MACs does not hold up others.
const LEARNED_A_LOOK: u32 = 64;
/// Seconds for which an address that was seen keeps its place.
const GRACE_SECONDS: u32 = 60;

impl Devices {
    /// Bytes of a table for that many devices.
    pub(crate) const fn cost(devices: usize) -> usize {
        devices * size_of::<Device>() + Self::rows(devices) * ROW * size_of::<Address>()
    }

    const fn rows(devices: usize) -> usize {
        (devices * ADDRESSES_EACH).div_ceil(ROW).next_power_of_two()
    }

    /// An empty table for that many devices.
    pub(crate) fn new(devices: usize) -> Self {
        Devices {
            devices: limits::table(devices, Device::FREE),
            addresses: limits::table(Self::rows(devices) * ROW, Address::default()),
            hand: 0,
            used: 0,
            evicted: 0,
            has_strangers: false,
            frames_left: LEARNED_A_LOOK,
            hasher: Default::default(),
        }
    }

    /// Counts a query of a client; `now` is its time in seconds since 1970.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    pub(crate) fn count_query(&mut self, client: IpAddr, now: u32) {
        let Some(id) = self.see(client, now) else { return };
        let Some(device) = self.device_mut(id) else { return };
        device.queries = device.queries.saturating_add(1);
        device.is_saved = false;
        device.last_seen = device.last_seen.max(now);
    }

    /// Has the sources asked for a client of which nothing is known, and keeps nothing of it.
    #[inline]
    pub(crate) fn note_stranger(&mut self, client: IpAddr) {
        self.has_strangers |= self.place(&bytes(client)).is_none();
    }

    /// Counts a response to a client that was blocked.
    #[inline]
    pub(crate) fn count_blocked(&mut self, client: IpAddr) {
        let Some(id) = self.find(client) else { return };
        let Some(device) = self.device_mut(id) else { return };
        device.blocked = device.blocked.saturating_add(1);
        device.is_saved = false;
    }

    /// The device of an address that asks, which gets a place if it has none.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    fn see(&mut self, client: IpAddr, now: u32) -> Option<DeviceId> {
        let bytes = bytes(client);
        let place = match self.place(&bytes) {
            Some(place) => place,
            None => self.add_stranger(bytes, now)?,
        };
        let address = self.addresses.get_mut(place)?;
        address.last_seen = now;
        if !address.has_asked {
            address.has_asked = true;
            let id = DeviceId(address.device.wrapping_sub(1));
            if let Some(device) = self.device_mut(id).filter(|device| device.first_seen == 0) {
                device.first_seen = now;
            }
            return Some(id);
        }
        Some(DeviceId(address.device.wrapping_sub(1)))
    }

    /// The device of an address.
    pub(crate) fn find(&self, address: IpAddr) -> Option<DeviceId> {
        let place = self.place(&bytes(address))?;
        self.addresses.get(place).map(|address| DeviceId(address.device.wrapping_sub(1)))
    }

    /// The name of the device of an address.
    pub(crate) fn name(&self, address: IpAddr) -> Option<&str> {
        self.device(self.find(address)?)?.name()
    }

    /// The device of that number.
    pub(crate) fn device(&self, DeviceId(id): DeviceId) -> Option<&Device> {
        self.devices.get(id as usize).filter(|device| device.is_used)
    }

    fn device_mut(&mut self, DeviceId(id): DeviceId) -> Option<&mut Device> {
        self.devices.get_mut(id as usize)
    }

    /// All devices that asked for something.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (DeviceId, &Device)> {
        let asked = |(_, device): &(DeviceId, &Device)| device.queries > 0;
        (0..).map(DeviceId).zip(&self.devices).filter(|(_, device)| device.is_used).filter(asked)
    }

    /// Begins to add up.
    pub(crate) fn clear_sums(&mut self) {
        self.devices.iter_mut().for_each(|device| device.sums = [0; 2]);
    }

    /// Adds to the sums of the device of an address.
    pub(crate) fn add_up(&mut self, address: IpAddr, numbers: [u64; 2]) {
        let Some(device) = self.find(address).and_then(|id| self.device_mut(id)) else { return };
        for (sum, number) in device.sums.iter_mut().zip(numbers) {
            *sum = sum.saturating_add(u32::try_from(number).unwrap_or(u32::MAX));
        }
    }

    /// The device with the largest sum after the last one; of two alike that of the smaller number.
    pub(crate) fn next_by_sum(&self, last: Option<(u32, DeviceId)>) -> Option<(DeviceId, &Device)> {
        let rank = |sum, id| (sum, core::cmp::Reverse(id));
        let last = last.map(|(sum, id)| rank(sum, id));
        let all = (0..).map(DeviceId).zip(&self.devices).filter(|(_, device)| device.is_used);
        all.filter(|&(id, device)| {
            device.sums[0] > 0 && last.is_none_or(|last| rank(device.sums[0], id) < last)
        })
        .max_by_key(|&(id, device)| rank(device.sums[0], id))
    }

    /// An address of a device: the latest that asked, else any.
    pub(crate) fn any_address(&self, id: DeviceId) -> Option<IpAddr> {
        let any = self.addresses_of(id).max_by_key(|(_, address)| (address.has_asked, address.last_seen));
        any.map(|(_, address)| Ipv6Addr::from(address.bytes).to_canonical())
    }

    /// The addresses of a device that asked, latest first.
    pub(crate) fn addresses(&self, id: DeviceId) -> heapless::Vec<IpAddr, ADDRESSES_TOLD> {
        let mut latest = heapless::Vec::<(u32, IpAddr), ADDRESSES_TOLD>::new();
        for (_, address) in self.addresses_of(id).filter(|(_, address)| address.has_asked) {
            if latest.is_full() && latest.last().is_some_and(|(seen, _)| *seen < address.last_seen) {
                latest.pop();
            }
            let _ = latest.push((address.last_seen, Ipv6Addr::from(address.bytes).to_canonical()));
            latest.sort_unstable_by_key(|(seen, _)| core::cmp::Reverse(*seen));
        }
        latest.into_iter().map(|(_, address)| address).collect()
    }

    fn addresses_of(&self, id: DeviceId) -> impl Iterator<Item = (usize, &Address)> {
        let mut next = self.device(id).map_or(0, |device| device.first_address);
        core::iter::from_fn(move || {
            let place = next.checked_sub(1)? as usize;
            let address = self.addresses.get(place)?;
            next = address.next;
            Some((place, address))
        })
    }

    /// Devices and addresses that found no place or had to go.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Whether an address came of which nothing is known, since this was last asked.
    pub(crate) fn take_strangers(&mut self) -> bool {
        core::mem::take(&mut self.has_strangers)
    }

    /// Learns from a frame of a neighbour that asked, if it says something new. Nearly none does.
    #[cfg_attr(for_size, optimize(speed))]
    pub(crate) fn see_frame(&mut self, address: IpAddr, mac: Mac, now: u32) {
        let Some(device) = self.find(address).and_then(|id| self.device(id)) else { return };
        if device.mac == Some(mac) || self.frames_left == 0 {
            return;
        }
        self.frames_left -= 1;
        let fact = Fact { source: NameSource::Hosts, address: Some(address), mac: Some(mac), name: None };
        self.learn(&fact, now);
    }

    /// Lets frames be learned from again.
    pub(crate) fn renew_frames(&mut self) {
        self.frames_left = LEARNED_A_LOOK;
    }

    /// Forgets the names that a source gave, which is to be asked again.
    pub(crate) fn forget_names(&mut self, source: NameSource) {
        for device in self.devices.iter_mut().filter(|device| device.source == Some(source)) {
            (device.source, device.is_saved) = (None, false);
            device.name.clear();
        }
    }

    /// Forgets all devices.
    pub(crate) fn clear(&mut self) {
        self.devices.fill(Device::FREE);
        self.addresses.fill(Address::default());
        self.used = 0;
    }

    /// Learns what a file, the kernel or the configuration says.
    pub(crate) fn learn(&mut self, fact: &Fact<'_>, now: u32) {
        let by_mac = fact.mac.and_then(|mac| self.find_mac(mac));
        let by_address = fact.address.and_then(|address| self.find(address));
        let id = match (by_mac, by_address) {
            (Some(device), Some(other)) if device != other => {
                self.move_address(fact.address, other, device);
                Some(device)
            }
            (Some(device), _) => {
                if by_address.is_none()
                    && let Some(address) = fact.address
                {
                    self.add_address(bytes(address), device, now);
                }
                Some(device)
            }
            // An address that now is another device's: the one it had stays known by its MAC.
            (None, Some(device))
                if fact.mac.is_some() && self.device(device).is_some_and(|device| device.mac.is_some()) =>
            {
                let id = self.take_device(now);
                if let Some(id) = id {
                    self.move_address(fact.address, device, id);
                }
                id
            }
            (None, Some(device)) => Some(device),
            (None, None) => self.add_known(fact, now),
        };
        let Some(device) = id.and_then(|id| self.device_mut(id)) else { return };
        if fact.mac.is_some() && fact.mac != device.mac {
            (device.mac, device.is_saved) = (fact.mac, false);
        }
        if let Some(name) = fact.name
            && device.source.is_none_or(|source| source <= fact.source)
        {
            device.set_name(name, fact.source);
        }
    }

    fn find_mac(&self, mac: Mac) -> Option<DeviceId> {
        let found = self.devices.iter().position(|device| device.is_used && device.mac == Some(mac))?;
        u32::try_from(found).ok().map(DeviceId)
    }

    /// A device that did not ask yet. What nothing can be called by has no place.
    fn add_known(&mut self, fact: &Fact<'_>, now: u32) -> Option<DeviceId> {
        fact.name?;
        let id = self.take_device(now)?;
        if let Some(address) = fact.address {
            self.add_address(bytes(address), id, now);
        }
        Some(id)
    }

    /// A place for an address of which nothing is known, and a device for it.
    #[inline(never)]
    fn add_stranger(&mut self, bytes: [u8; 16], now: u32) -> Option<usize> {
        self.has_strangers = true;
        // First the place, which a busy row refuses: then nothing else has to go for it.
        self.free_place(&bytes, now)?;
        let id = self.take_device(now)?;
        self.add_address(bytes, id, now)
    }

    /// Gives an address to a device.
    fn add_address(&mut self, bytes: [u8; 16], id: DeviceId, now: u32) -> Option<usize> {
        let place = self.free_place(&bytes, now)?;
        let first = self.device(id)?.first_address;
        let held = self.addresses.get_mut(place)?;
        *held = Address { bytes, last_seen: 0, device: id.0 + 1, next: first, has_asked: false };
        self.device_mut(id)?.first_address = place as u32 + 1;
        Some(place)
    }

    /// Where an address is.
    #[cfg_attr(for_size, optimize(speed))]
    #[inline]
    fn place(&self, bytes: &[u8; 16]) -> Option<usize> {
        let start = self.row(bytes);
        let row = self.addresses.get(start..start + ROW)?;
        row.iter().position(|held| held.device != 0 && held.bytes == *bytes).map(|at| start + at)
    }

    /// Where the row of an address begins.
    #[inline]
    fn row(&self, bytes: &[u8; 16]) -> usize {
        let rows = self.addresses.len() / ROW;
        (self.hasher.hash_one(u128::from_ne_bytes(*bytes)) as usize & (rows - 1)) * ROW
    }

    /// A free place in the row of an address, for which another one may have to go.
    fn free_place(&mut self, bytes: &[u8; 16], now: u32) -> Option<usize> {
        let start = self.row(bytes);
        let row = self.addresses.get(start..start + ROW)?;
        let worth = |address: &Address| {
            let device = self.device(DeviceId(address.device.wrapping_sub(1)));
            (device.is_some_and(|device| device.source.is_some()), address.last_seen)
        };
        let (at, held) = row
            .iter()
            .enumerate()
            .min_by_key(|(_, held)| if held.device == 0 { (false, 0) } else { worth(held) })?;
        let place = start + at;
        if held.device == 0 {
            return Some(place);
        }
        let (is_named, last_seen) = worth(held);
        self.evicted += 1;
        if is_named || now.abs_diff(last_seen) < GRACE_SECONDS {
            return None;
        }
        self.remove_address(place);
        Some(place)
    }

    /// Takes an address from its device, which goes too if nothing else is known of it.
    fn remove_address(&mut self, place: usize) {
        let Some(Address { device, .. }) = self.addresses.get(place).copied() else { return };
        let id = DeviceId(device.wrapping_sub(1));
        self.unlink(place, id);
        if let Some(address) = self.addresses.get_mut(place) {
            *address = Address::default();
        }
        let is_empty =
            |device: &Device| device.first_address == 0 && device.source.is_none() && device.mac.is_none();
        if self.device(id).is_some_and(is_empty) {
            self.free_device(id);
        }
    }

    /// Takes an address out of the list of its device.
    fn unlink(&mut self, place: usize, id: DeviceId) {
        let next = self.addresses.get(place).map_or(0, |address| address.next);
        let before =
            self.addresses_of(id).find(|(_, address)| address.next as usize == place + 1).map(|(at, _)| at);
        match before.and_then(|at| self.addresses.get_mut(at)) {
            Some(address) => address.next = next,
            None => {
                if let Some(device) = self.device_mut(id) {
                    device.first_address = next;
                }
            }
        }
    }

    /// Gives an address of a device to another one; with the last one goes what was counted, if the device
    /// has no name or MAC.
    fn move_address(&mut self, address: Option<IpAddr>, from: DeviceId, to: DeviceId) {
        let Some(place) = address.and_then(|address| self.place(&bytes(address))) else { return };
        self.unlink(place, from);
        let first = self.device(to).map_or(0, |device| device.first_address);
        if let Some(address) = self.addresses.get_mut(place) {
            (address.device, address.next) = (to.0 + 1, first);
        }
        if let Some(device) = self.device_mut(to) {
            device.first_address = place as u32 + 1;
        }
        let Some(old) = self.device(from).cloned() else { return };
        if old.first_address != 0 || old.mac.is_some() {
            return;
        }
        if let Some(device) = self.device_mut(to) {
            device.take_over(&old);
        }
        self.free_device(from);
    }

    fn free_device(&mut self, id: DeviceId) {
        if let Some(device) = self.device_mut(id) {
            *device = Device::FREE;
            self.used -= 1;
        }
    }

    /// A place for a device, for which another one may have to go: of some, the one without a name that was
    /// not seen for the longest time. `None` if all of those have names or were seen in the last minute.
    fn take_device(&mut self, now: u32) -> Option<DeviceId> {
        let length = self.devices.len();
        let is_full = self.used == length;
        let mut best: Option<(bool, u32, usize)> = None;
        for step in 0..if is_full { CANDIDATES.min(length) } else { length } {
            let at = (self.hand + step) % length;
            let device = self.devices.get(at)?;
            if !device.is_used {
                best = Some((false, 0, at));
                break;
            }
            let worth = (device.source.is_some(), device.last_seen, at);
            best = Some(best.map_or(worth, |best| best.min(worth)));
        }
        let (is_named, last_seen, at) = best?;
        self.hand = at + 1;
        let id = DeviceId(u32::try_from(at).ok()?);
        if self.device(id).is_some() {
            self.evicted += 1;
            if is_named || now.abs_diff(last_seen) < GRACE_SECONDS {
                return None;
            }
            loop {
                let first = self.device(id).map_or(0, |device| device.first_address);
                let Some(place) = (first as usize).checked_sub(1) else { break };
                self.unlink(place, id);
                if let Some(address) = self.addresses.get_mut(place) {
                    *address = Address::default();
                }
            }
            self.free_device(id);
        }
        self.used += 1;
        *self.device_mut(id)? = Device { is_used: true, ..Device::FREE };
        Some(id)
    }
}

/// An address in 16 bytes, one of IPv4 as it is mapped to IPv6 (RFC 4291, 2.5.5.2).
#[inline]
fn bytes(address: IpAddr) -> [u8; 16] {
    match address {
        // As one number, or it is put together byte by byte.
        IpAddr::V4(v4) => (0xffff_0000_0000 | u128::from(v4.to_bits())).to_be_bytes(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
