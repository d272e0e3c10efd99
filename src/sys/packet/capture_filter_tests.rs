//! The filter, run by a small machine of its own (the kernel's is in `tests/sniffer`), and shown to the
//! kernel's checker.

use super::*;

/// The kernel's facts about a packet besides its bytes.
#[derive(Clone, Copy)]
struct Known {
    kind: u16,
    outgoing: bool,
    interface: u32,
    tag_taken_off: bool,
}

const ON_ETHERNET: Known = Known { kind: ARPHRD_ETHER, outgoing: false, interface: 2, tag_taken_off: false };

/// Runs a program; whether the packet passes. Panics at an operation or a jump that is none.
fn run(program: &[Instruction], packet: &[u8], known: Known) -> bool {
    let (mut a, mut x, mut memory, mut next) = (0u32, 0u32, [0u32; 2], 0usize);
    loop {
        let Instruction { code, jt, jf, k } = program[next];
        next += 1;
        let skip = |holds: bool| usize::from(if holds { jt } else { jf });
        let fetch = |at: u32, bytes: usize| -> Option<u32> {
            let bytes = packet.get(at as usize..at as usize + bytes)?;
            Some(bytes.iter().fold(0, |value, &byte| value << 8 | u32::from(byte)))
        };
        let loaded = match code {
            0x20 => Some(match k.wrapping_sub(libc::SKF_AD_OFF as u32) as i32 {
                libc::SKF_AD_HATYPE => known.kind.into(),
                libc::SKF_AD_PKTTYPE => {
                    if known.outgoing {
                        4
                    } else {
                        0
                    }
                }
                libc::SKF_AD_IFINDEX => known.interface,
                libc::SKF_AD_VLAN_TAG_PRESENT => known.tag_taken_off.into(),
                other => panic!("ancillary {other}"),
            }),
            0x28 => fetch(k, 2),
            0x48 => fetch(x + k, 2),
            0x50 => fetch(x + k, 1),
            0x40 => panic!("a load of four bytes"),
            _ => None,
        };
        match code {
            0x20 | 0x28 | 0x48 | 0x50 => match loaded {
                Some(value) => a = value,
                None => return false,
            },
            0x00 => a = k,
            0x01 => x = k,
            0x02 => memory[k as usize] = a,
            0x60 => a = memory[k as usize],
            0x04 => a = a.wrapping_add(k),
            0x54 => a &= k,
            0x64 => a <<= k,
            0x0c => a = a.wrapping_add(x),
            0x07 => x = a,
            0x05 => next += k as usize,
            0x15 => next += skip(a == k),
            0x45 => next += skip(a & k != 0),
            0x06 => return k > 0,
            other => panic!("operation {other:#x}"),
        }
    }
}

fn check(packet: &[u8], known: Known, passes: bool) {
    assert_eq!(run(&compose(&[53, 5353], CaptureScope::One), packet, known), passes, "{packet:02x?}");
}

/// An Ethernet header with some tags, by their types.
fn ethernet(tags: &[u16], ip: &[u8]) -> Vec<u8> {
    let mut packet = vec![2; 12];
    for tag in tags {
        packet.extend(tag.to_be_bytes());
        packet.extend([0x60, 5]);
    }
    packet.extend(if ip[0] >> 4 == 4 { [0x08, 0x00] } else { [0x86, 0xdd] });
    packet.extend(ip);
    packet
}

/// UDP or TCP as far as the ports; both begin alike.
fn ports(source: u16, destination: u16) -> Vec<u8> {
    [source.to_be_bytes(), destination.to_be_bytes(), [0, 12], [0, 0]].concat()
}

/// IPv4 with that many bytes of options.
fn ipv4(protocol: u8, fragment: u16, options: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = fragment.to_be_bytes();
    let mut packet = vec![0x45 + options / 4, 0, 0, 0, 1, 2, high, low, 64, protocol, 0, 0];
    packet.extend([192, 0, 2, 1, 192, 0, 2, 2]);
    packet.extend(vec![1; options.into()]);
    packet.extend(payload);
    packet
}

/// IPv6 with extension headers: the type and the bytes of each, without that of the next.
fn ipv6(protocol: u8, extensions: &[(u8, &[u8])], payload: &[u8]) -> Vec<u8> {
    let types: Vec<u8> = extensions.iter().map(|&(kind, _)| kind).chain([protocol]).collect();
    let mut packet = vec![0x60, 0, 0, 0, 0, 8, types[0], 64];
    packet.extend([0x20; 32]);
    for (number, (_, bytes)) in extensions.iter().enumerate() {
        packet.push(types[number + 1]);
        packet.extend(*bytes);
    }
    packet.extend(payload);
    packet
}

#[test]
fn dns_passes_by_either_port() {
    for (source, destination, passes) in
        [(53, 4000, true), (4000, 53, true), (5353, 4000, true), (4000, 54, false), (53 << 8, 1, false)]
    {
        for protocol in [6, 17] {
            let payload = ports(source, destination);
            check(&ethernet(&[], &ipv4(protocol, 0, 0, &payload)), ON_ETHERNET, passes);
            check(&ethernet(&[], &ipv4(protocol, 0x4000, 40, &payload)), ON_ETHERNET, passes);
            check(&ethernet(&[], &ipv6(protocol, &[], &payload)), ON_ETHERNET, passes);
        }
        check(&ethernet(&[], &ipv4(1, 0, 0, &ports(source, destination))), ON_ETHERNET, false);
        check(&ethernet(&[], &ipv6(58, &[], &ports(source, destination))), ON_ETHERNET, false);
    }
}

#[test]
fn tags_are_stepped_over_on_one_interface_and_left_out_on_all() {
    let ip = ipv4(17, 0, 0, &ports(4000, 53));
    for tags in [&[0x8100][..], &[0x88a8, 0x8100], &[0x9100, 0x8100]] {
        check(&ethernet(tags, &ip), ON_ETHERNET, true);
        assert!(!run(&compose(&[53], CaptureScope::All(&[])), &ethernet(tags, &ip), ON_ETHERNET));
    }
    check(&ethernet(&[0x8100; 3], &ip), ON_ETHERNET, false);
    check(&ethernet(&[0x8100], &ipv4(17, 0, 0, &ports(4000, 54))), ON_ETHERNET, false);
    let taken_off = Known { tag_taken_off: true, ..ON_ETHERNET };
    check(&ethernet(&[], &ip), taken_off, true);
    assert!(!run(&compose(&[53], CaptureScope::All(&[])), &ethernet(&[], &ip), taken_off));
    assert!(run(&compose(&[53], CaptureScope::All(&[])), &ethernet(&[], &ip), ON_ETHERNET));
}

#[test]
fn every_kind_of_interface_is_read_from_where_ip_begins() {
    for ip in [ipv4(17, 0, 0, &ports(4000, 53)), ipv6(6, &[], &ports(53, 4000))] {
        for kind in RAW_KINDS {
            check(&ip, Known { kind, ..ON_ETHERNET }, true);
            check(&ethernet(&[], &ip), Known { kind, ..ON_ETHERNET }, false);
        }
        check(&ip, ON_ETHERNET, false);
        check(&ethernet(&[], &ip), Known { outgoing: true, ..ON_ETHERNET }, true);
        let loopback = Known { kind: ARPHRD_LOOPBACK, ..ON_ETHERNET };
        check(&ethernet(&[], &ip), loopback, true);
        check(&ethernet(&[], &ip), Known { outgoing: true, ..loopback }, false);
        check(&ethernet(&[], &ip), Known { kind: libc::ARPHRD_IEEE80211, ..ON_ETHERNET }, false);
    }
}

#[test]
fn interfaces_are_left_out_by_their_number() {
    let packet = ethernet(&[], &ipv4(17, 0, 0, &ports(4000, 53)));
    let program = compose(&[53], CaptureScope::All(&[7, 9]));
    for (interface, passes) in [(7, false), (8, true), (9, false)] {
        assert_eq!(run(&program, &packet, Known { interface, ..ON_ETHERNET }), passes);
    }
}

#[test]
fn later_fragments_pass_without_ports() {
    check(&ethernet(&[], &ipv4(17, 0x2000, 0, &ports(53, 4000))), ON_ETHERNET, true);
    check(&ethernet(&[], &ipv4(17, 0x2000, 0, &ports(54, 4000))), ON_ETHERNET, false);
    check(&ethernet(&[], &ipv4(17, 0x20b9, 0, &[0; 8])), ON_ETHERNET, true);
    check(&ethernet(&[], &ipv4(6, 0x00b9, 0, &[])), ON_ETHERNET, true);
    check(&ethernet(&[], &ipv4(1, 0x00b9, 0, &[0; 8])), ON_ETHERNET, false);
    let first: (u8, &[u8]) = (44, &[0, 0, 1, 0, 0, 0, 9]);
    let later: (u8, &[u8]) = (44, &[0, 0x05, 0xa8, 0, 0, 0, 9]);
    check(&ethernet(&[], &ipv6(17, &[first], &ports(53, 4000))), ON_ETHERNET, true);
    check(&ethernet(&[], &ipv6(17, &[first], &ports(54, 4000))), ON_ETHERNET, false);
    check(&ethernet(&[], &ipv6(17, &[later], &[0; 8])), ON_ETHERNET, true);
}

#[test]
fn extension_headers_are_stepped_over() {
    let short: &[u8] = &[0, 1, 4, 0, 0, 0, 0];
    let long: &[u8] = &[[1, 1, 12, 0, 0, 0, 0].as_slice(), &[0; 8]].concat();
    for headers in [&[(0, short)][..], &[(0, long), (43, short)], &[(0, short), (60, long), (60, short)]] {
        check(&ethernet(&[], &ipv6(17, headers, &ports(4000, 53))), ON_ETHERNET, true);
        check(&ethernet(&[], &ipv6(6, headers, &ports(4000, 54))), ON_ETHERNET, false);
        check(&ethernet(&[], &ipv6(58, headers, &ports(4000, 53))), ON_ETHERNET, false);
    }
    check(&ethernet(&[], &ipv6(17, &[(60, short); 4], &ports(4000, 54))), ON_ETHERNET, true);
    check(&ethernet(&[], &ipv6(17, &[(51, short)], &ports(4000, 54))), ON_ETHERNET, true);
}

/// PPPoE, IP in IP, GRE and VXLAN, on one interface; on all the tunnel's own shows it.
#[test]
fn tunnels_are_looked_into() {
    let pppoe = |protocol: [u8; 2], ip: &[u8]| {
        [&[2; 12][..], &[0x88, 0x64, 0x11, 0, 0, 1, 0, 0], &protocol, ip].concat()
    };
    for (port, passes) in [(53, true), (54, false)] {
        let inside4 = ipv4(17, 0, 4, &ports(4000, port));
        let inside6 = ipv6(6, &[(60, &[0, 1, 4, 0, 0, 0, 0])], &ports(port, 4000));
        let tunnel = ipv4(41, 0x4000, 4, &inside6);
        let gre = |flags: u16, kind: u16, numbers: usize, inside: &[u8]| {
            [&flags.to_be_bytes()[..], &kind.to_be_bytes(), &[7; 12][..4 * numbers], inside].concat()
        };
        let vxlan = |destination: u16, inside: &[u8]| {
            [&ports(4000, destination)[..], &[8, 0, 0, 0, 0, 0, 5, 0], &ethernet(&[], inside)].concat()
        };
        let packets = [
            ethernet(&[], &ipv4(4, 0, 0, &inside4)),
            ethernet(&[], &ipv6(4, &[(60, &[0, 1, 4, 0, 0, 0, 0])], &inside4)),
            ethernet(&[], &ipv6(41, &[], &inside6)),
            ethernet(&[], &ipv4(47, 0, 0, &gre(0, 0x0800, 0, &inside4))),
            ethernet(&[], &ipv4(47, 0, 8, &gre(0xb000, 0x86dd, 3, &inside6))),
            ethernet(&[0x8100], &ipv6(47, &[], &gre(0x2000, 0x6558, 1, &ethernet(&[], &inside4)))),
            ethernet(&[], &ipv4(17, 0, 0, &vxlan(4789, &inside4))),
            ethernet(&[], &ipv6(17, &[], &vxlan(4789, &inside6))),
            pppoe([0, 0x21], &inside4),
            pppoe([0, 0x57], &inside6),
            pppoe([0, 0x21], &tunnel),
            ethernet(&[], &tunnel),
            ethernet(&[0x8100], &tunnel),
        ];
        for packet in packets {
            check(&packet, ON_ETHERNET, passes);
            assert!(!run(&compose(&[53], CaptureScope::All(&[])), &packet, ON_ETHERNET));
            assert_eq!(run(&compose(&[53], CaptureScope::Some(&[2])), &packet, ON_ETHERNET), passes);
        }
        check(&pppoe([0xc0, 0x21], &inside4), ON_ETHERNET, false);
        check(&ethernet(&[], &ipv4(41, 0x2000, 0, &inside6)), ON_ETHERNET, false);
        check(&ethernet(&[], &ipv4(47, 0, 0, &gre(1, 0x0800, 0, &inside4))), ON_ETHERNET, false);
        check(&ethernet(&[], &ipv4(47, 0x2000, 0, &gre(0, 0x0800, 0, &inside4))), ON_ETHERNET, false);
        check(&ethernet(&[], &ipv4(17, 0, 0, &vxlan(4790, &inside4))), ON_ETHERNET, false);
    }
}

#[test]
fn a_packet_cut_short_is_dropped_unless_it_has_said_enough() {
    for packet in [ipv4(17, 0, 0, &ports(53, 4000)), ipv6(6, &[], &ports(53, 4000))] {
        let packet = ethernet(&[0x8100], &packet);
        for length in 0..packet.len() {
            check(&packet[..length], ON_ETHERNET, length >= packet.len() - 6);
        }
    }
}

/// The kernel's checker sees every jump and operation; any socket will do for that.
#[test]
fn the_kernel_takes_the_longest_program() {
    let ports: Vec<u16> = (1..=crate::limits::SNIFFER_PORTS as u16).map(|port| port * 1_000).collect();
    let without: Vec<u32> = (1..=crate::limits::SNIFFER_INTERFACES as u32).collect();
    let (socket, _) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let mut with: Vec<u32> = (1..=crate::limits::SNIFFER_NAMES as u32).collect();
    with[0] = 1_000;
    for scope in [CaptureScope::One, CaptureScope::All(&without), CaptureScope::Some(&with)] {
        let program = compose(&ports, scope);
        assert!(program.iter().all(|instruction| instruction.jt < u8::MAX), "a jump is too far");
        super::super::attach(&socket, &program).unwrap();
        let last = ipv6(17, &[], &self::ports(4000, ports[ports.len() - 1]));
        assert!(run(&program, &ethernet(&[], &last), Known { interface: 1_000, ..ON_ETHERNET }));
        let is_heard_elsewhere = !matches!(scope, CaptureScope::Some(_));
        let elsewhere = Known { interface: 2_000, ..ON_ETHERNET };
        assert_eq!(run(&program, &ethernet(&[], &last), elsewhere), is_heard_elsewhere);
    }
}
