//! Where the sniffer listens, and whose addresses are its own.
//!
//! A socket is bound to one interface or to all. For several it is bound to all, and the kernel's filter
//! leaves out what is of others; so they share the memory for packets, and a new interface of the same name
//! is a new filter.

use core::net::IpAddr;
use std::io;

use super::Section;
use crate::limits::{SNIFFER_ADDRESSES, SNIFFER_INTERFACES};
use crate::sys::bpf::Instruction;
use crate::sys::interfaces::{self, Subnet};
use crate::sys::packet::capture_filter::{CaptureScope, compose};
use crate::values::{ListenAddress, Port};

/// The name that means all interfaces.
const ALL: &str = "any";

/// One interface, several or all, as the machine has them now.
pub(crate) struct CaptureTarget {
    /// Empty is all.
    names: Vec<String>,
    /// Where packets begin with an Ethernet header and both ends are this machine.
    loopback: bool,
    /// `eth-ip`; `None` if the interface's own addresses are to be followed.
    fixed: Option<OwnAddresses>,
    ports: Vec<u16>,
    /// Of all interfaces, those that belong to another; of several, their own numbers.
    members: MemberInterfaces,
    promiscuous: bool,
}

type OwnAddresses = heapless::Vec<IpAddr, SNIFFER_ADDRESSES>;
type MemberInterfaces = heapless::Vec<u32, SNIFFER_INTERFACES>;

/// The fate of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InterfaceState {
    /// It can be listened to: all, or the one with this number.
    Up(Option<u32>),
    /// It is there, and switched off.
    Down,
    /// There is none of that name.
    Gone,
}

impl CaptureTarget {
    /// The target that a section names.
    ///
    /// # Errors
    ///
    /// When the kernel does not tell of its interfaces.
    pub(crate) fn new(section: &Section) -> io::Result<Self> {
        let names: Vec<String> =
            section.interfaces().filter(|name| *name != ALL).map(str::to_owned).collect();
        let fixed: OwnAddresses = section.eth_ip.iter().copied().map(ListenAddress::get).collect();
        let mut target = CaptureTarget {
            loopback: names.iter().any(|name| interfaces::is_loopback(name)),
            names,
            fixed: (!fixed.is_empty()).then_some(fixed),
            ports: section.dns_port.iter().copied().map(Port::get).collect(),
            members: MemberInterfaces::new(),
            promiscuous: section.promiscuous,
        };
        target.look_for_members()?;
        Ok(target)
    }

    /// How the log names it.
    pub(crate) fn name(&self) -> String {
        if self.is_all() { "all interfaces".to_owned() } else { self.names.join(", ") }
    }

    /// Whether it is all interfaces.
    pub(crate) fn is_all(&self) -> bool {
        self.names.is_empty()
    }

    /// The numbers of those that are there and switched on.
    pub(crate) fn numbers(&self) -> MemberInterfaces {
        let up = self.names.iter().filter(|name| interfaces::is_up(name));
        up.filter_map(|name| interfaces::number(name)).take(SNIFFER_INTERFACES).collect()
    }

    /// Whether packets between others are to be heard there, too.
    pub(crate) fn is_promiscuous(&self) -> bool {
        self.promiscuous
    }

    /// How it is now.
    pub(crate) fn state(&self) -> InterfaceState {
        match (self.names.as_slice(), self.numbers().first()) {
            ([], _) => InterfaceState::Up(None),
            ([_], Some(&number)) => InterfaceState::Up(Some(number)),
            (_, Some(_)) => InterfaceState::Up(None),
            (names, None) if names.iter().any(|name| interfaces::number(name).is_some()) => {
                InterfaceState::Down
            }
            (_, None) => InterfaceState::Gone,
        }
    }

    /// The addresses of this machine there. On loopback packets go to and from all that it has.
    pub(crate) fn local(&self) -> OwnAddresses {
        match &self.fixed {
            Some(fixed) => fixed.clone(),
            None if self.is_all() || self.loopback => interfaces::addresses(None),
            None => {
                let addresses = self.names.iter().flat_map(|name| interfaces::addresses(Some(name)));
                addresses.take(SNIFFER_ADDRESSES).collect()
            }
        }
    }

    /// The networks whose addresses are those of clients.
    pub(crate) fn subnets(&self) -> heapless::Vec<Subnet, SNIFFER_ADDRESSES> {
        if self.is_all() {
            return interfaces::subnets(None);
        }
        let subnets = self.names.iter().flat_map(|name| interfaces::subnets(Some(name)));
        subnets.take(SNIFFER_ADDRESSES).collect()
    }

    /// Whether it has no address to tell directions by, such as a mirror or a port of a bridge. The
    /// link-local one that every interface has does not help: nobody asks it.
    pub(crate) fn is_unnumbered(&self) -> bool {
        let is_link_local =
            |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        !self.is_all() && self.local().iter().all(is_link_local)
    }

    /// The filter for what is to be heard there.
    pub(crate) fn program(&self) -> Vec<Instruction> {
        let scope = match self.names.as_slice() {
            [] => CaptureScope::All(&self.members),
            [_] => CaptureScope::One,
            _ => CaptureScope::Some(&self.members),
        };
        compose(&self.ports, scope)
    }

    /// Looks again which interfaces there are, and which belong to another; whether that asks for another
    /// filter.
    ///
    /// # Errors
    ///
    /// When the kernel does not answer.
    pub(crate) fn look_for_members(&mut self) -> io::Result<bool> {
        let now = match self.names.as_slice() {
            [] => interfaces::members()?,
            [_] => return Ok(false),
            _ => self.numbers(),
        };
        let changed = now != self.members;
        self.members = now;
        Ok(changed)
    }
}
