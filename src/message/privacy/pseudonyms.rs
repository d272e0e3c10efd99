//! Other addresses in place of those of clients, made without memory of any.
//!
//! * `hash`: HMAC-SHA-256 (RFC 2104) of the 4 or 16 bytes of the address, cut to as many.
//! * `cryptopan`: Xu, Fan, Ammar and Moon, "Prefix-Preserving IP Address Anonymization", 2002. The key's first half is one of
//!   AES-128, the second half, encrypted, is the padding. IPv6 is the same over 128 bits.
//!
//! A result is not kept: a table of the last addresses would have what is to be hidden. So cryptopan costs a block of AES for each bit.

use core::fmt;
use core::net::IpAddr;
use core::ops::ControlFlow;

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit as _};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::{ClientPrivacy, KEY_BYTES, Section};
use crate::message::event::Event;
use crate::message::filter::FilterReason;
use crate::message::hashes::MessageHashes;
use crate::message::stages::Stage;
use crate::sys::files::read_whole;
use crate::values::KeyError;

/// The stage. Small, because there is room for it also while it is off.
pub struct Privacy(Box<Method>);

/// The way from an address to another one; there is one of it, so its size does not matter.
#[allow(clippy::large_enum_variant)]
enum Method {
    /// So many bits of each family stay.
    Mask { v4: u32, v6: u32 },
    /// The key, taken in.
    Hash(Hmac<Sha256>),
    /// The key's first half, and its second half encrypted.
    Cryptopan { cipher: Aes128, pad: u128 },
}

impl Privacy {
    /// The stage that the section asks for, with its key; `None` if it asks for none.
    ///
    /// # Errors
    ///
    /// The file of the key cannot be read, or is of another length.
    pub fn load(section: &Section) -> Result<Option<Self>, KeyError> {
        let method = match section.client {
            ClientPrivacy::None => return Ok(None),
            ClientPrivacy::Mask => Method::Mask { v4: section.mask_v4.get(), v6: section.mask_v6.get() },
            ClientPrivacy::Hash => Method::hash(&read_key(section)?),
            ClientPrivacy::Cryptopan => Method::cryptopan(&read_key(section)?),
        };
        Ok(Some(Privacy(Box::new(method))))
    }

    /// Hides the prefix of a client subnet option in place: its family as RFC 7871 has it, its bits, its bytes. Of another family,
    /// or longer than an address, nothing stays.
    pub fn hide_subnet(&self, family: u16, bits: u8, prefix: &mut [u8]) {
        let address_bits = if family == 1 { 32 } else { 128 };
        let mut room = [0; 16];
        let hidden = match room.get_mut(..prefix.len()) {
            Some(front) if matches!(family, 1 | 2) && prefix.len() * 8 <= address_bits => {
                front.copy_from_slice(prefix);
                let bits = u32::from(bits).min(prefix.len() as u32 * 8);
                let address = u128::from_be_bytes(room);
                self.0.hide(address, address_bits as u32, bits) & mask(bits)
            }
            _ => 0,
        };
        // Bytes of no address at all become zero, too.
        let hidden = hidden.to_be_bytes().into_iter().chain(core::iter::repeat(0));
        prefix.iter_mut().zip(hidden).for_each(|(byte, hidden)| *byte = hidden);
    }

    /// Two addresses as it hides them: the same for the same method and key.
    pub fn sample(&self) -> [u128; 2] {
        [32, 128].map(|bits| self.0.hide(mask(bits), bits, bits))
    }

    /// The address in place of another one.
    fn hide(&self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(v4) => {
                let hidden = self.0.hide(u128::from(v4.to_bits()) << 96, 32, 32);
                IpAddr::from(((hidden >> 96) as u32).to_be_bytes())
            }
            IpAddr::V6(v6) => IpAddr::from(self.0.hide(v6.to_bits(), 128, 128).to_be_bytes()),
        }
    }
}

impl Stage for Privacy {
    const REWRITES: bool = true;

    fn pass<'e>(
        &'e mut self,
        event: &mut Event<'e>,
        hashes: &mut MessageHashes<'e>,
    ) -> ControlFlow<FilterReason> {
        if hashes.is_of_client {
            event.query_rewritten = true;
            event.query.address = event.query.address.map(|address| self.hide(address));
        }
        event.client_subnets = Some(self);
        ControlFlow::Continue(())
    }
}

/// Shows no key.
impl fmt::Debug for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Privacy")
    }
}

impl Method {
    fn hash(key: &[u8; KEY_BYTES]) -> Self {
        let mut block = [0; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte = *key);
        // A block of the hash: the key, filled up with zeros as RFC 2104, 2, does it.
        Method::Hash(Hmac::new(&block.into()))
    }

    fn cryptopan(key: &[u8; KEY_BYTES]) -> Self {
        let (mut first, mut second) = ([0; 16], [0; 16]);
        first.iter_mut().zip(key).for_each(|(byte, key)| *byte = *key);
        second.iter_mut().zip(key.iter().skip(16)).for_each(|(byte, key)| *byte = *key);
        let cipher = Aes128::new(&first.into());
        let pad = encrypted(&cipher, u128::from_be_bytes(second));
        Method::Cryptopan { cipher, pad }
    }

    /// Another address: its first bit is the highest of the number, it has so many bits, and of these so many are asked for.
    fn hide(&self, address: u128, address_bits: u32, bits: u32) -> u128 {
        match self {
            Method::Mask { v4, v6 } => address & mask(if address_bits == 32 { *v4 } else { *v6 }),
            Method::Hash(keyed) => {
                let mut hmac = keyed.clone();
                let bytes = address.to_be_bytes();
                hmac.update(bytes.get(..address_bits as usize / 8).unwrap_or(&bytes));
                let mut front = [0; 16];
                front.iter_mut().zip(hmac.finalize().into_bytes()).for_each(|(byte, hash)| *byte = hash);
                u128::from_be_bytes(front) & mask(address_bits)
            }
            // Each bit is flipped or not by those before it, which are followed by the padding.
            Method::Cryptopan { cipher, pad } => (0..bits).fold(address, |hidden, bit| {
                let before = mask(bit);
                let flips = encrypted(cipher, address & before | pad & !before) >> 127;
                hidden ^ flips << (127 - bit)
            }),
        }
    }
}

/// The first bits of an address.
fn mask(bits: u32) -> u128 {
    !u128::MAX.checked_shr(bits).unwrap_or(0)
}

/// One block.
fn encrypted(cipher: &Aes128, block: u128) -> u128 {
    let mut block = block.to_be_bytes().into();
    cipher.encrypt_block(&mut block);
    u128::from_be_bytes(block.into())
}

/// The key in the file that the section names.
fn read_key(section: &Section) -> Result<[u8; KEY_BYTES], KeyError> {
    let Some(path) = &section.key_file else {
        return Err(KeyError::missing::<crate::values::FilePath>("key-file"));
    };
    let wrong = |what: String| KeyError::new("key-file", format!("{}: {what}", path.display()));
    let key = read_whole(path, KEY_BYTES as u64 + 1).map_err(|error| wrong(error.to_string()))?;
    key.try_into().map_err(|_| wrong(format!("not a key; allowed: a file of {KEY_BYTES} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::hashes::MessageHasher;
    use crate::message::kinds::{CLIENT_KINDS, MessageKinds};
    use crate::wire::dnstap::{Dnstap, Message};
    use crate::wire::iana::{Family, MessageType};

    const KEY: &[u8; KEY_BYTES] = b"32-char-str-for-AES-key-and-pad.";

    #[test]
    fn cryptopan_is_that_of_the_others() {
        let privacy = Privacy(Box::new(Method::cryptopan(KEY)));
        for (address, expected) in
            [("192.0.2.1", "192.0.125.244"), ("2001:db8::1", "27fe:8bc7:fee:1e:1e1f:f0fe:f0e1:83fd")]
        {
            assert_eq!(privacy.hide(address.parse().unwrap()).to_string(), expected);
        }
    }

    #[test]
    fn a_hash_is_the_front_of_an_hmac() {
        let privacy = Privacy(Box::new(Method::hash(KEY)));
        for (address, expected) in HASHES {
            assert_eq!(privacy.hide(address.parse().unwrap()).to_string(), expected);
        }
    }

    #[test]
    fn a_mask_keeps_its_bits() {
        for (v4, v6, address, expected) in [
            (24, 48, "192.0.2.77", "192.0.2.0"),
            (24, 48, "2001:db8:1:2::3", "2001:db8:1::"),
            (32, 128, "192.0.2.77", "192.0.2.77"),
            (32, 128, "2001:db8:1:2::3", "2001:db8:1:2::3"),
            (0, 0, "192.0.2.77", "0.0.0.0"),
            (0, 0, "2001:db8:1:2::3", "::"),
        ] {
            let privacy = Privacy(Box::new(Method::Mask { v4, v6 }));
            assert_eq!(privacy.hide(address.parse().unwrap()).to_string(), expected);
        }
    }

    #[test]
    fn a_subnet_is_hidden_as_an_address_is() {
        let hidden = |method, family, bits, prefix: &[u8]| {
            let mut prefix = prefix.to_vec();
            Privacy(Box::new(method)).hide_subnet(family, bits, &mut prefix);
            prefix
        };
        assert_eq!(hidden(Method::Mask { v4: 16, v6: 48 }, 1, 24, &[192, 0, 2]), [192, 0, 0]);
        assert_eq!(hidden(Method::Mask { v4: 24, v6: 16 }, 2, 32, &[0x20, 1, 0x0d, 0xb8]), [0x20, 1, 0, 0]);
        assert_eq!(hidden(Method::cryptopan(KEY), 1, 32, &[192, 0, 2, 1]), [192, 0, 125, 244]);
        assert_eq!(hidden(Method::cryptopan(KEY), 1, 24, &[192, 0, 2]), [192, 0, 125]);
        assert_eq!(hidden(Method::cryptopan(KEY), 1, 9, &[192, 0xff]), [192, 0x80], "bits beyond are zero");
        assert_eq!(hidden(Method::Mask { v4: 32, v6: 128 }, 3, 24, &[192, 0, 2]), [0; 3], "of no family");
        assert_eq!(hidden(Method::Mask { v4: 32, v6: 128 }, 1, 40, &[1; 5]), [0; 5], "too long");
        assert_eq!(hidden(Method::Mask { v4: 32, v6: 128 }, 2, 200, &[1; 20]), [0; 20], "too long");
        let Some((address, expected)) = HASHES.first() else { unreachable!() };
        let [IpAddr::V4(address), IpAddr::V4(expected)] =
            [address, expected].map(|text| text.parse().unwrap())
        else {
            unreachable!()
        };
        assert_eq!(hidden(Method::hash(KEY), 1, 32, &address.octets()), expected.octets());
    }

    /// Hashes, too, are those of the other address, and who asks upstream is no client.
    #[test]
    fn what_comes_after_sees_the_other_address() {
        let mut privacy = Privacy(Box::new(Method::Mask { v4: 24, v6: 48 }));
        let hasher = MessageHasher::new(true, MessageKinds::of(&CLIENT_KINDS));
        for (message_type, expected) in
            [(MessageType::CLIENT_QUERY, [192, 0, 2, 0]), (MessageType::RESOLVER_QUERY, [192, 0, 2, 77])]
        {
            let message = Message {
                message_type,
                socket_family: Some(Family::INET),
                query_address: Some(&[192, 0, 2, 77]),
                ..Message::default()
            };
            let dnstap = Dnstap { message, ..Dnstap::default() };
            let mut event = Event::from_dnstap(&dnstap);
            let mut hashes = hasher.hash(&event);
            assert_eq!(privacy.pass(&mut event, &mut hashes), ControlFlow::Continue(()));
            hasher.hash_address_again(&event, &mut hashes);
            let is_client = message_type == MessageType::CLIENT_QUERY;
            assert_eq!(event.query.address, Some(IpAddr::from(expected)));
            assert_eq!(hashes.address, Some(hasher.hash_address(IpAddr::from(expected))));
            assert_eq!(hashes.client, hashes.address.filter(|_| is_client));
            assert_eq!(hashes.sent_address, Some(IpAddr::from([192, 0, 2, 77])));
            assert_eq!(event.query_rewritten, is_client);
        }
    }

    /// By Python's `hmac`.
    const HASHES: [(&str, &str); 2] =
        [("192.0.2.1", "122.172.154.94"), ("2001:db8::1", "a833:97a4:b935:88ff:b98c:26da:71c8:8c08")];
}
