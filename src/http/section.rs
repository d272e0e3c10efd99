//! Section `web-api` of the configuration, and the sockets it asks for.

use core::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket, sockopt,
};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use crate::limits::{HTTP_ADDRESSES, HTTP_KERNEL_BYTES};
use crate::values::{FilePath, KeyError, ListenAddress, ListenPort, Secret, ServerTls, Text, Value};

/// Section `web-api`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Section {
    /// Whether it runs.
    pub(crate) enable: bool,
    /// Addresses to listen on.
    pub(crate) local_address: Addresses,
    /// Port to listen on; 0 = any free one.
    pub local_port: ListenPort,
    /// The value `X-API-Key` must have; empty = this method is off.
    pub api_key: Secret,
    /// File with the key, instead of `api-key`: its first line.
    pub(crate) api_key_file: Option<FilePath>,
    /// The user of Basic authentication.
    pub login: Text,
    /// Its password; empty = this method is off.
    pub password: Secret,
    /// File with the password, instead of `password`: its first line.
    pub(crate) password_file: Option<FilePath>,
    /// A key that opens `/metrics` alone; empty = there is none.
    pub(crate) scrape_key: Secret,
    /// File with that key, instead of `scrape-key`: its first line.
    pub(crate) scrape_key_file: Option<FilePath>,
    /// Names that `Host` may bear, besides addresses and local names.
    pub(crate) hosts: Vec<Text>,
    /// Encrypt.
    pub tls_support: Option<bool>,
    /// Certificate chain, PEM.
    pub(crate) tls_server_cert: Option<FilePath>,
    /// Private key, PEM.
    pub(crate) tls_server_key: Option<FilePath>,
}

impl Default for Section {
    fn default() -> Self {
        Section {
            enable: true,
            local_address: Addresses(vec![ListenAddress::LOCALHOST]),
            local_port: ListenPort::new(8080),
            api_key: Secret::new(Secret::SHIPPED),
            api_key_file: None,
            login: Text::new("admin"),
            password: Secret::new(Secret::SHIPPED),
            password_file: None,
            scrape_key: Secret::new(""),
            scrape_key_file: None,
            hosts: Vec::new(),
            tls_support: None,
            tls_server_cert: None,
            tls_server_key: None,
        }
    }
}

impl Section {
    /// Where it listens: an address beside all addresses of its family is one of them already.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let listed = || self.local_address.0.iter().map(|address| address.get());
        let covers =
            |all: IpAddr, one: IpAddr| all.is_unspecified() && all.is_ipv4() == one.is_ipv4() && all != one;
        listed()
            .filter(move |address| !listed().any(|other| covers(other, *address)))
            .map(|address| SocketAddr::new(address, self.local_port.get()))
    }

    /// Where this machine reaches it: on the loopback interface if possible. `None` if the port is any free
    /// one.
    pub fn own_address(&self) -> Option<SocketAddr> {
        let own = |address: SocketAddr| {
            let loopback: IpAddr = match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            };
            if address.ip().is_unspecified() { SocketAddr::new(loopback, address.port()) } else { address }
        };
        let mut addresses = self.addresses().map(own);
        let first = self.addresses().map(own).next();
        addresses.find(|address| address.ip().is_loopback()).or(first).filter(|address| address.port() > 0)
    }

    /// The TLS keys together.
    pub(crate) fn tls(&self) -> ServerTls<'_> {
        ServerTls {
            support: self.tls_support,
            cert: &self.tls_server_cert,
            key: &self.tls_server_key,
            client_ca: None,
        }
    }

    /// The rules between the keys of an enabled section.
    ///
    /// # Errors
    /// Those of [`ServerTls::check`].
    pub(crate) fn check(&self) -> Result<(), KeyError> {
        self.tls().check()
    }

    /// Refuses an API that anybody on the network could use; asked once the secret files are read.
    ///
    /// # Errors
    /// The address is not this machine's own, and a credential is as shipped or there is none at all.
    pub(crate) fn check_exposure(&self) -> Result<(), KeyError> {
        if self.local_address.0.iter().all(|address| address.is_loopback()) {
            return Ok(());
        }
        let open = "while the API listens beyond this machine; allowed:";
        for (key, secret) in [("api-key", &self.api_key), ("password", &self.password)] {
            if secret.is_shipped() {
                let text =
                    format!("still \"{}\" {open} another one, or \"\" to turn it off", Secret::SHIPPED);
                return Err(KeyError::new(key, text));
            }
        }
        if self.api_key.is_off() && self.password.is_off() {
            return Err(KeyError::new(
                "api-key",
                format!("off, as is `password`, {open} at least one of them set"),
            ));
        }
        Ok(())
    }
}

/// Addresses to listen on: one, or a list of at most [`HTTP_ADDRESSES`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Addresses(Vec<ListenAddress>);

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrList;

        impl<'de> Visitor<'de> for OneOrList {
            type Value = Addresses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}, or a list of them", ListenAddress::allowed())
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Addresses, E> {
                let address = ListenAddress::from_text(text);
                address
                    .map(|address| Addresses(vec![address]))
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Addresses, A::Error> {
                let mut addresses = Vec::new();
                while let Some(address) = elements.next_element()? {
                    addresses.push(address);
                }
                if addresses.is_empty() || addresses.len() > HTTP_ADDRESSES {
                    return Err(A::Error::invalid_length(addresses.len(), &"1 to 8 addresses"));
                }
                Ok(Addresses(addresses))
            }
        }

        deserializer.deserialize_any(OneOrList)
    }
}

/// The addresses and ports to listen on, in words.
pub(crate) fn address(section: &Section) -> String {
    section.addresses().map(|address| address.to_string()).collect::<Vec<_>>().join(", ")
}

/// Opens the listeners. Their connections inherit the limit of what the kernel holds for them.
///
/// An address that the machine does not have yet is bound all the same (`IP_FREEBIND`): on a router the
/// daemon starts before the interfaces have their addresses.
///
/// # Errors
///
/// Somebody else listens there, or the port is for the administrator alone.
pub fn listeners(section: &Section) -> io::Result<Vec<TcpListener>> {
    section.addresses().map(|address| listener(address, section.local_address.0.len() > 1)).collect()
}

fn listener(address: SocketAddr, is_one_of_several: bool) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket: OwnedFd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    setsockopt(&socket, sockopt::IpFreebind, &true)?;
    if address.is_ipv6() && is_one_of_several {
        // Else `::` would take the port of `0.0.0.0` beside it in the list.
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    setsockopt(&socket, sockopt::SndBuf, &HTTP_KERNEL_BYTES)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    listen(&socket, Backlog::MAXALLOWABLE)?;
    Ok(socket.into())
}
