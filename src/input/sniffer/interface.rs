//! Where the sniffer listens, and whose addresses are its own.

use core::net::IpAddr;
use std::io;

use super::Section;
use crate::limits::{SNIFFER_ADDRESSES, SNIFFER_INTERFACES};
use crate::sys::interfaces::{self, Subnet};
use crate::sys::packet::capture_filter::{CaptureScope, Instruction, compose};
use crate::values::{ListenAddress, Port};

/// The name that means all interfaces.
const ALL: &str = "any";

/// One interface or all, as the machine has them now.
pub struct CaptureTarget {
    /// None is all.
    name: Option<String>,
    /// Where packets begin with an Ethernet header and both ends are this machine.
    loopback: bool,
    /// `eth-ip`; none when the interface's own addresses are to be followed.
    fixed: Option<Addresses>,
    ports: Vec<u16>,
    /// Interfaces that belong to another.
    members: Members,
    promiscuous: bool,
}

type Addresses = heapless::Vec<IpAddr, SNIFFER_ADDRESSES>;
type Members = heapless::Vec<u32, SNIFFER_INTERFACES>;

/// What became of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceState {
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
    pub fn new(section: &Section) -> io::Result<Self> {
        let name = section.eth_name.as_ref().map(|name| name.as_str().to_owned()).filter(|name| name != ALL);
        let fixed: Addresses = section.eth_ip.iter().copied().map(ListenAddress::get).collect();
        let mut target = CaptureTarget {
            loopback: name.as_deref().is_some_and(interfaces::is_loopback),
            name,
            fixed: (!fixed.is_empty()).then_some(fixed),
            ports: section.dns_port.iter().copied().map(Port::get).collect(),
            members: Members::new(),
            promiscuous: section.promiscuous,
        };
        target.look_for_members()?;
        Ok(target)
    }

    /// The number of the interface to bind to; none for all.
    ///
    /// # Errors
    ///
    /// When there is none of that name.
    pub fn number(&self) -> io::Result<Option<u32>> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "there is no interface of that name");
        self.name.as_deref().map(|name| interfaces::number(name).ok_or_else(missing)).transpose()
    }

    /// How the log names it.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("all interfaces")
    }

    /// Whether it is all interfaces.
    pub fn is_all(&self) -> bool {
        self.name.is_none()
    }

    /// Whether packets between others are to be heard there, too.
    pub fn is_promiscuous(&self) -> bool {
        self.promiscuous
    }

    /// How it is now.
    pub fn state(&self) -> InterfaceState {
        let Some(name) = &self.name else { return InterfaceState::Up(None) };
        match interfaces::number(name) {
            Some(number) if interfaces::is_up(name) => InterfaceState::Up(Some(number)),
            Some(_) => InterfaceState::Down,
            None => InterfaceState::Gone,
        }
    }

    /// The addresses of this machine there. On loopback packets go to and from all that it has.
    pub fn local(&self) -> Addresses {
        match &self.fixed {
            Some(fixed) => fixed.clone(),
            None => interfaces::addresses(self.name.as_deref().filter(|_| !self.loopback)),
        }
    }

    /// The networks whose addresses are those of clients.
    pub fn subnets(&self) -> heapless::Vec<Subnet, SNIFFER_ADDRESSES> {
        interfaces::subnets(self.name.as_deref())
    }

    /// Whether it has no address to tell directions by, such as a mirror or a port of a bridge. The link-local one that
    /// every interface has does not help: nobody asks it.
    pub fn is_unnumbered(&self) -> bool {
        let is_link_local =
            |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        !self.is_all() && self.local().iter().all(is_link_local)
    }

    /// The filter for what is to be heard there.
    pub fn program(&self) -> Vec<Instruction> {
        compose(&self.ports, if self.is_all() { CaptureScope::All(&self.members) } else { CaptureScope::One })
    }

    /// Looks again which interfaces belong to another; whether that asks for another filter.
    ///
    /// # Errors
    ///
    /// When the kernel does not answer.
    pub fn look_for_members(&mut self) -> io::Result<bool> {
        if !self.is_all() {
            return Ok(false);
        }
        let now = interfaces::members()?;
        let changed = now != self.members;
        self.members = now;
        Ok(changed)
    }
}
