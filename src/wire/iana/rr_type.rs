//! Resource record types.

use super::numbers;

numbers! {
    /// The type of a record, or what a question asks for (RFC 1035, 3.2.2 and 3.2.3; RFC 6895).
    RrType(u16) else "TYPE";
    1 "A",
    2 "NS",
    3 "MD",
    4 "MF",
    5 "CNAME",
    6 "SOA",
    7 "MB",
    8 "MG",
    9 "MR",
    10 "NULL",
    11 "WKS",
    12 "PTR",
    13 "HINFO",
    14 "MINFO",
    15 "MX",
    16 "TXT",
    17 "RP",
    18 "AFSDB",
    19 "X25",
    20 "ISDN",
    21 "RT",
    22 "NSAP",
    23 "NSAP-PTR",
    24 "SIG",
    25 "KEY",
    26 "PX",
    27 "GPOS",
    28 "AAAA",
    29 "LOC",
    30 "NXT",
    31 "EID",
    32 "NIMLOC",
    33 "SRV",
    34 "ATMA",
    35 "NAPTR",
    36 "KX",
    37 "CERT",
    38 "A6",
    39 "DNAME",
    40 "SINK",
    41 "OPT",
    42 "APL",
    43 "DS",
    44 "SSHFP",
    45 "IPSECKEY",
    46 "RRSIG",
    47 "NSEC",
    48 "DNSKEY",
    49 "DHCID",
    50 "NSEC3",
    51 "NSEC3PARAM",
    52 "TLSA",
    53 "SMIMEA",
    55 "HIP",
    56 "NINFO",
    57 "RKEY",
    58 "TALINK",
    59 "CDS",
    60 "CDNSKEY",
    61 "OPENPGPKEY",
    62 "CSYNC",
    63 "ZONEMD",
    64 "SVCB",
    65 "HTTPS",
    66 "DSYNC",
    67 "HHIT",
    68 "BRID",
    99 "SPF",
    100 "UINFO",
    101 "UID",
    102 "GID",
    103 "UNSPEC",
    104 "NID",
    105 "L32",
    106 "L64",
    107 "LP",
    108 "EUI48",
    109 "EUI64",
    128 "NXNAME",
    249 "TKEY",
    250 "TSIG",
    251 "IXFR",
    252 "AXFR",
    253 "MAILB",
    254 "MAILA",
    255 "ANY",
    256 "URI",
    257 "CAA",
    258 "AVC",
    259 "DOA",
    260 "AMTRELAY",
    261 "RESINFO",
    262 "WALLET",
    263 "CLA",
    264 "IPN",
    32768 "TA",
    32769 "DLV",
}

impl RrType {
    /// An IPv4 address.
    pub(crate) const A: RrType = RrType(1);
    /// An alias (RFC 1035, 3.3.1).
    pub(crate) const CNAME: RrType = RrType(5);
    /// An IPv6 address (RFC 3596, 2.1).
    pub(crate) const AAAA: RrType = RrType(28);
    /// The pseudo-record of EDNS (RFC 6891).
    pub(crate) const OPT: RrType = RrType(41);

    /// The position in [`RrType::KNOWN`], which makes counters an array. Nearly every type is found at
    /// once in a table; the two above it are searched.
    #[inline]
    pub(crate) fn rank(self) -> Option<usize> {
        match RANKS.get(usize::from(self.0)) {
            Some(&NO_RANK) => None,
            Some(&rank) => Some(usize::from(rank)),
            None => Self::KNOWN.binary_search_by_key(&self.0, |(number, _)| *number).ok(),
        }
    }
}

/// No rank at all. There are fewer types than this.
const NO_RANK: u8 = u8::MAX;

/// The rank of each type below its length.
static RANKS: [u8; 265] = {
    assert!(RrType::KNOWN.len() < NO_RANK as usize);
    let mut ranks = [NO_RANK; 265];
    let mut known = RrType::KNOWN;
    let mut rank = 0;
    while let Some(((number, _), rest)) = known.split_first() {
        if let Some((_, tail)) = ranks.split_at_mut_checked(*number as usize)
            && let Some(slot) = tail.first_mut()
        {
            *slot = rank;
        }
        rank += 1;
        known = rest;
    }
    ranks
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_positions() {
        for (position, (number, _)) in RrType::KNOWN.iter().enumerate() {
            assert_eq!(RrType(*number).rank(), Some(position));
        }
        let ranked = (0..=u16::MAX).filter(|number| RrType(*number).rank().is_some());
        assert_eq!(ranked.count(), RrType::KNOWN.len());
    }

    #[test]
    fn the_constants_are_the_rows() {
        assert_eq!(RrType::A.to_string(), "A");
        assert_eq!(RrType::OPT.to_string(), "OPT");
    }
}
