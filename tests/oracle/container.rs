//! Files of packets, in the formats that packet captures have.

use dnstapd::capture::{PcapBlock, PcapReader};

/// Checks that whatever comes is taken: every block has a length, a packet lies within its block, and reading
/// in two parts makes the same of it. Gives how many packets there were.
pub fn check(bytes: &[u8]) -> u64 {
    let (mut container, mut from, mut packets) = (PcapReader::default(), 0, 0);
    let mut steps = 0;
    while let Some(rest) = bytes.get(from..) {
        // Only the change of format takes nothing.
        steps += 1;
        assert!(steps <= bytes.len() + 2, "no progress");
        let length = match container.next(rest) {
            Err(_) | Ok(PcapBlock::Incomplete) => return packets,
            Ok(PcapBlock::Unreadable(length, _)) if length > rest.len() => return packets,
            Ok(PcapBlock::Other(length) | PcapBlock::Unreadable(length, _)) => length,
            Ok(PcapBlock::Packet(length, captured)) => {
                assert!(captured.bytes.len() < length);
                packets += 1;
                length
            }
        };
        assert!(length <= rest.len());
        from += length;
    }
    packets
}
