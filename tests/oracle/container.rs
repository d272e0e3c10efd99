//! Files of packets, in the formats that packet captures have.

use dnstapd::capture::{Container, Next};

/// Checks that whatever comes is taken: every block has a length, a packet lies within its block, and reading in two
/// parts makes the same of it. Gives how many packets there were.
pub fn check(octets: &[u8]) -> u64 {
    let (mut container, mut from, mut packets) = (Container::default(), 0, 0);
    let mut steps = 0;
    while let Some(rest) = octets.get(from..) {
        // Only the change of format takes nothing.
        steps += 1;
        assert!(steps <= octets.len() + 2, "no progress");
        let length = match container.next(rest) {
            Err(_) | Ok(Next::Incomplete) => return packets,
            Ok(Next::Other(length) | Next::Strange(length, _)) => length,
            Ok(Next::Packet(length, captured)) => {
                assert!(captured.octets.len() < length);
                packets += 1;
                length
            }
        };
        assert!(length <= rest.len());
        from += length;
    }
    packets
}
