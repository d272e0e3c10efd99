//! The filter that runs in the kernel: a classic BPF program, built for the ports that carry DNS.
//!
//! It lets pass what may be DNS: IPv4 and IPv6, UDP and TCP, from or to one of the ports, and every later
//! fragment, which has no ports. One program serves every kind of interface, for it asks for the kind first:
//!
//! ```text
//! Ethernet, loopback  | 6 to | 6 from | VLAN tags, 0 to 2 of 4 | 2 type | IP ...
//! Ethernet with PPPoE | 6 to | 6 from | VLAN tags | 2 type | 6 PPPoE | 2 protocol | IP ...
//! tun, ppp, wireguard | IP ...
//! ```
//!
//! TunnelParts are looked into, one deep: IP in IP, GRE and VXLAN. So the program has the part for IP twice,
//! for what is outside and for what is in it:
//!
//! ```text
//! IP | IP ...
//! IP | 4 GRE | 0 to 3 of 4 | IP ...
//! IP | 4 GRE | 0 to 3 of 4 | 14 Ethernet | IP ...
//! IP | 8 UDP | 8 VXLAN     | 14 Ethernet | IP ...
//! ```
//!
//! On loopback the kernel shows each packet twice, on its way out and on its way in; it passes once, on its
//! way in. On all interfaces together a packet is shown by a bridge and by its port, by a VLAN and by the
//! interface below: it passes on the upper one, where it is to whom it concerns. So tagged packets, those in
//! tunnels and the interfaces that belong to another are left out there.
//!
//! In an IPv6 packet the first [`EXTENSIONS`] extension headers are stepped over; what has more passes, and
//! so does what has an authentication header. Of the rest the packet path makes sure.
//!
//! Specified in Linux's `Documentation/networking/filter.rst`; a load beyond the packet's end drops the
//! packet.

use nix::libc::{
    self, ARPHRD_ETHER, ARPHRD_IPGRE, ARPHRD_LOOPBACK, ARPHRD_NONE, ARPHRD_PPP, ARPHRD_SIT, ARPHRD_TUNNEL,
    ARPHRD_TUNNEL6,
};

use crate::sys::bpf::{Assembler, Instruction, JumpLabel, LoadSize};

/// IPv6 extension headers that are stepped over.
pub(crate) const EXTENSIONS: usize = 3;

/// Kinds of interfaces whose packets begin with IP (`if_arp.h`; 519 is a modem's raw IP, 823 GRE over IPv6).
pub(crate) const RAW_KINDS: [u16; 8] =
    [ARPHRD_NONE, ARPHRD_PPP, ARPHRD_TUNNEL, ARPHRD_TUNNEL6, ARPHRD_SIT, ARPHRD_IPGRE, 519, 823];

/// Kinds of interfaces whose packets begin with an Ethernet header.
pub(crate) const ETHERNET_KINDS: [u16; 2] = [ARPHRD_ETHER, ARPHRD_LOOPBACK];

/// The scope of a packet socket.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CaptureScope<'a> {
    /// One interface.
    One,
    /// All interfaces but those with these numbers, which belong to another.
    All(&'a [u32]),
    /// The interfaces with these numbers.
    Some(&'a [u32]),
}

/// The program for some ports. It has some 350 instructions, eight for each port and two for each interface
/// left out; the kernel takes 4,096.
pub(crate) fn compose(ports: &[u16], scope: CaptureScope<'_>) -> Vec<Instruction> {
    let mut code = Assembler::default();
    let [ethernet, raw, ipv4, ipv6] = [(); 4].map(|()| code.label());
    let looks_into_tunnels = !matches!(scope, CaptureScope::All(_));
    match scope {
        CaptureScope::One => {}
        CaptureScope::All(without) => {
            code.load_ancillary(libc::SKF_AD_IFINDEX);
            code.return_when_one_of(without.iter().copied(), DROP);
        }
        CaptureScope::Some(numbers) => {
            let wanted = code.label();
            code.load_ancillary(libc::SKF_AD_IFINDEX);
            for &number in numbers {
                code.jump_when_equal(number, wanted);
            }
            code.finish(DROP);
            code.place(wanted);
        }
    }
    code.load_ancillary(libc::SKF_AD_HATYPE);
    for kind in RAW_KINDS {
        code.jump_when_equal(kind.into(), raw);
    }
    code.jump_when_equal(ARPHRD_ETHER.into(), ethernet);
    code.return_unless_equal(ARPHRD_LOOPBACK.into(), DROP);
    code.load_ancillary(libc::SKF_AD_PKTTYPE);
    code.return_when_one_of([libc::PACKET_OUTGOING.into()], DROP);

    code.place(ethernet);
    match scope {
        CaptureScope::All(_) => {
            code.load_ancillary(libc::SKF_AD_VLAN_TAG_PRESENT);
            code.return_unless_equal(0, DROP);
            code.load_ethertype(0);
        }
        CaptureScope::One | CaptureScope::Some(_) => {
            let untagged = code.label();
            for tags in 0..2 {
                let tagged = code.label();
                code.load_ethertype(tags);
                for vlan in [0x8100, 0x88a8, 0x9100] {
                    code.jump_when_equal(vlan, tagged);
                }
                code.jump(untagged);
                code.place(tagged);
            }
            code.load_ethertype(2);
            code.place(untagged);
        }
    }
    code.jump_when_equal(0x0800, ipv4);
    code.jump_when_equal(0x86dd, ipv6);
    if looks_into_tunnels {
        // RFC 2516, 4 and RFC 1661, 2: six bytes, then what follows.
        code.return_unless_equal(0x8864, DROP);
        code.load(LoadSize::Two, 6);
        code.remember();
        code.set(8);
        code.add_to_x();
        code.recall();
        code.jump_when_equal(0x0021, ipv4);
        code.jump_when_equal(0x0057, ipv6);
    }
    code.finish(DROP);

    code.place(raw);
    code.set_x(0);
    code.load(LoadSize::Byte, 0);
    code.and(0xf0);
    code.jump_when_equal(0x40, ipv4);
    code.jump_when_equal(0x60, ipv6);
    code.finish(DROP);

    let tunnels = looks_into_tunnels.then(|| TunnelParts::labels(&mut code));
    let transport = code.label();
    compose_ipv4(&mut code, ipv4, tunnels.as_ref(), transport);
    compose_ipv6(&mut code, ipv6, tunnels.as_ref(), transport);
    compose_ports(&mut code, ports, transport);
    let Some(tunnels) = tunnels else {
        code.finish(DROP);
        return code.resolve();
    };
    compose_vxlan(&mut code, tunnels.ethernet);
    compose_gre(&mut code, &tunnels);
    let transport = code.label();
    compose_ipv4(&mut code, tunnels.ipv4, None, transport);
    compose_ipv6(&mut code, tunnels.ipv6, None, transport);
    compose_ports(&mut code, ports, transport);
    code.finish(DROP);
    code.resolve()
}

/// Places for what is inside a tunnel; X is where it begins.
struct TunnelParts {
    gre: JumpLabel,
    ethernet: JumpLabel,
    ipv4: JumpLabel,
    ipv6: JumpLabel,
}

impl TunnelParts {
    fn labels(code: &mut Assembler) -> Self {
        let [gre, ethernet, ipv4, ipv6] = [(); 4].map(|()| code.label());
        TunnelParts { gre, ethernet, ipv4, ipv6 }
    }

    /// Goes to what A, the protocol of an IP packet, says that its payload at X is; on, when that is no
    /// tunnel.
    fn jump(&self, code: &mut Assembler) {
        for (protocol, inside) in [(IPV4_IN_IP, self.ipv4), (IPV6_IN_IP, self.ipv6), (GRE, self.gre)] {
            code.jump_far_when_equal(protocol, inside);
        }
    }
}

/// Passes what comes from one of the ports or goes to it; on, with everything else.
fn compose_ports(code: &mut Assembler, ports: &[u16], transport: JumpLabel) {
    code.place(transport);
    for at in [0, 2] {
        code.load(LoadSize::Two, at);
        code.return_when_one_of(ports.iter().map(|&port| port.into()), PASS);
    }
}

/// RFC 7348, 5: a UDP header, flags of which one is set, the number of the network. A is the destination
/// port.
fn compose_vxlan(code: &mut Assembler, ethernet: JumpLabel) {
    code.return_unless_equal(4789, DROP);
    code.load(LoadSize::Byte, 8);
    code.return_unless_equal(0x08, DROP);
    code.set(16);
    code.add_to_x();
    code.jump(ethernet);
}

/// RFC 2784, 2 and RFC 2890, 2: flags, the type of what follows, and up to three numbers as the flags say.
/// Behind it the Ethernet header that a tunnel may carry.
fn compose_gre(code: &mut Assembler, tunnels: &TunnelParts) {
    code.place(tunnels.gre);
    code.load(LoadSize::Two, 2);
    code.remember_in(1);
    code.load(LoadSize::Two, 0);
    // Other versions, and the routing of RFC 1701, are not read.
    code.return_when_set(0x4007, DROP);
    code.remember();
    code.set(4);
    code.add_to_x();
    for flag in [0x8000, 0x2000, 0x1000] {
        let [is_there, next] = [(); 2].map(|()| code.label());
        code.recall();
        code.jump_when_set(flag, is_there);
        code.jump(next);
        code.place(is_there);
        code.set(4);
        code.add_to_x();
        code.place(next);
    }
    code.recall_from(1);
    code.jump_when_equal(0x0800, tunnels.ipv4);
    code.jump_when_equal(0x86dd, tunnels.ipv6);
    code.return_unless_equal(0x6558, DROP);

    code.place(tunnels.ethernet);
    code.load(LoadSize::Two, 12);
    code.remember();
    code.set(14);
    code.add_to_x();
    code.recall();
    code.jump_when_equal(0x0800, tunnels.ipv4);
    code.jump_when_equal(0x86dd, tunnels.ipv6);
    code.finish(DROP);
}

/// RFC 791, 3.1; X is where the header begins, and at `transport` where that of UDP or TCP does. Of packets
/// with a tunnel in them, no fragments are read.
fn compose_ipv4(code: &mut Assembler, ipv4: JumpLabel, tunnels: Option<&TunnelParts>, transport: JumpLabel) {
    let known = code.label();
    code.place(ipv4);
    code.load(LoadSize::Byte, 9);
    code.jump_when_equal(UDP, known);
    code.jump_when_equal(TCP, known);
    if let Some(tunnels) = tunnels {
        code.load(LoadSize::Two, 6);
        code.return_when_set(0x3fff, DROP);
        code.load(LoadSize::Byte, 9);
        code.remember();
        step_over_ipv4(code);
        code.recall();
        tunnels.jump(code);
    }
    code.finish(DROP);
    code.place(known);
    code.load(LoadSize::Two, 6);
    code.return_when_set(0x1fff, PASS);
    step_over_ipv4(code);
    code.jump(transport);
}

/// X = where the IPv4 header at X ends: it has its length, in units of four bytes.
fn step_over_ipv4(code: &mut Assembler) {
    code.load(LoadSize::Byte, 0);
    code.and(0x0f);
    code.shift_left(2);
    code.add_to_x();
}

/// RFC 8200, 3 and 4; X is where the header begins, and at `transport` where that of UDP or TCP does.
fn compose_ipv6(code: &mut Assembler, ipv6: JumpLabel, tunnels: Option<&TunnelParts>, transport: JumpLabel) {
    let known = code.label();
    code.place(ipv6);
    code.load(LoadSize::Byte, 6);
    code.remember();
    code.set(40);
    code.add_to_x();
    code.recall();
    for _ in 0..EXTENSIONS {
        let [options, fragment, next] = [(); 3].map(|()| code.label());
        code.jump_when_equal(UDP, known);
        code.jump_when_equal(TCP, known);
        for header in [HOP_BY_HOP, ROUTING, DESTINATION] {
            code.jump_when_equal(header, options);
        }
        code.jump_when_equal(FRAGMENT, fragment);
        if let Some(tunnels) = tunnels {
            tunnels.jump(code);
        }
        code.return_unless_equal(AUTHENTICATION, DROP);
        code.finish(PASS);

        code.place(fragment);
        code.load(LoadSize::Two, 2);
        code.return_when_set(0xfff8, PASS);
        code.load(LoadSize::Byte, 0);
        code.remember();
        code.set(8);
        code.jump(next);

        code.place(options);
        code.load(LoadSize::Byte, 0);
        code.remember();
        // Its length, in units of eight bytes, without the first.
        code.load(LoadSize::Byte, 1);
        code.shift_left(3);
        code.add(8);
        code.place(next);
        code.add_to_x();
        code.recall();
    }
    code.jump_when_equal(UDP, known);
    code.jump_when_equal(TCP, known);
    if let Some(tunnels) = tunnels {
        tunnels.jump(code);
    }
    code.return_when_one_of([HOP_BY_HOP, ROUTING, DESTINATION, FRAGMENT, AUTHENTICATION], PASS);
    code.finish(DROP);
    code.place(known);
    code.jump(transport);
}

/// How many bytes of a packet pass: none.
const DROP: u32 = 0;
/// All of them: no packet is longer.
const PASS: u32 = 1 << 18;

const HOP_BY_HOP: u32 = 0;
const IPV4_IN_IP: u32 = 4;
const TCP: u32 = 6;
const UDP: u32 = 17;
const IPV6_IN_IP: u32 = 41;
const ROUTING: u32 = 43;
const FRAGMENT: u32 = 44;
const GRE: u32 = 47;
const AUTHENTICATION: u32 = 51;
const DESTINATION: u32 = 60;

#[cfg(test)]
#[path = "capture_filter_tests.rs"]
mod tests;
