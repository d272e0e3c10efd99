//! Other addresses in place of those of clients, made without memory of any.
//!
//! * `hash`: HMAC-SHA-256 (RFC 2104) of the 4 or 16 bytes of the address, cut to as many.
//! * `cryptopan`: Xu, Fan, Ammar and Moon, "Prefix-Preserving IP Address Anonymization", 2002. The key's
//!   first half is one of AES-128, the second half, encrypted, is the padding. IPv6 is the same over 128
//!   bits.
//!
//! A result is not kept: a table of the last addresses would have what is to be hidden. So cryptopan costs a
//! block of AES for each bit.

use core::fmt;
use core::net::IpAddr;
use core::ops::ControlFlow;

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit as _};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::{ClientPrivacy, KEY_BYTES, NamePrivacy, Section};
use crate::message::event::Event;
use crate::message::filter::FilterReason;
use crate::message::hashes::MessageHashes;
use crate::message::stages::Stage;
use crate::sys::files::read_whole;
use crate::values::KeyError;
use crate::wire::cursor::Composer;
use crate::wire::dns::Question;
use crate::wire::hidden_name::{self, HIDDEN_MESSAGE_BYTES};
use crate::wire::name::{NAME_MAX, Name, TEXT_MAX};
use crate::wire::registered_domain::registered_domain;

/// The stage. Small, because there is room for it also while it is off.
pub(crate) struct Privacy(Box<Parts>);

/// The parts of the stage.
struct Parts {
    /// The way of addresses; `None` if they stay.
    addresses: Option<Method>,
    /// The way of names; `None` if they stay.
    names: Option<NameMethod>,
    /// The name in place of that of the message under way.
    name: [u8; NAME_MAX],
    /// Its payload.
    payload: [u8; HIDDEN_MESSAGE_BYTES],
}

/// The way from a name to another one.
enum NameMethod {
    /// The registered domain stays.
    RegisteredDomain,
    /// The key, taken in.
    Hash(Hmac<Sha256>),
}

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
    pub(super) fn open(section: &Section) -> Result<Option<Self>, KeyError> {
        let addresses = match section.client {
            ClientPrivacy::None => None,
            ClientPrivacy::Mask => {
                Some(Method::Mask { v4: section.mask_v4.get(), v6: section.mask_v6.get() })
            }
            ClientPrivacy::Hash => Some(Method::Hash(keyed(&read_key(section)?))),
            ClientPrivacy::Cryptopan => Some(Method::cryptopan(&read_key(section)?)),
        };
        let names = match section.qname {
            NamePrivacy::None => None,
            NamePrivacy::RegisteredDomain => Some(NameMethod::RegisteredDomain),
            NamePrivacy::Hash => Some(NameMethod::Hash(keyed(&read_key(section)?))),
        };
        Ok(section.hides().then(|| Privacy::new(addresses, names)))
    }

    fn new(addresses: Option<Method>, names: Option<NameMethod>) -> Self {
        Privacy(Box::new(Parts { addresses, names, name: [0; NAME_MAX], payload: [0; HIDDEN_MESSAGE_BYTES] }))
    }

    /// Hides the prefix of a client subnet option in place: its family as RFC 7871 has it, its bits, its
    /// bytes. Of another family, or longer than an address, nothing stays.
    pub(crate) fn hide_subnet(&self, family: u16, bits: u8, prefix: &mut [u8]) {
        let Some(method) = &self.0.addresses else { return };
        let address_bits = if family == 1 { 32 } else { 128 };
        let mut room = [0; 16];
        let hidden = match room.get_mut(..prefix.len()) {
            Some(front) if matches!(family, 1 | 2) && prefix.len() * 8 <= address_bits => {
                front.copy_from_slice(prefix);
                let bits = u32::from(bits).min(prefix.len() as u32 * 8);
                let address = u128::from_be_bytes(room);
                method.hide(address, address_bits as u32, bits) & mask(bits)
            }
            _ => 0,
        };
        // Bytes of no address at all become zero, too.
        let hidden = hidden.to_be_bytes().into_iter().chain(core::iter::repeat(0));
        prefix.iter_mut().zip(hidden).for_each(|(byte, hidden)| *byte = hidden);
    }

    /// Two addresses and a name as it hides them: the same for the same method and key.
    pub(super) fn sample(&self) -> [u128; 3] {
        let address =
            |bits| self.0.addresses.as_ref().map_or(0, |method| method.hide(mask(bits), bits, bits));
        let name = match &self.0.names {
            None => 0,
            Some(NameMethod::RegisteredDomain) => 1,
            Some(NameMethod::Hash(keyed)) => front_of(keyed, b"."),
        };
        [address(32), address(128), name]
    }
}

impl Stage for Privacy {
    const REWRITES: bool = true;

    fn pass<'e>(
        &'e mut self,
        event: &mut Event<'e>,
        hashes: &mut MessageHashes<'e>,
    ) -> ControlFlow<FilterReason> {
        let Parts { addresses, names, name: name_room, payload } = &mut *self.0;
        if let Some(method) = addresses.as_ref().filter(|_| hashes.is_of_client) {
            event.query_rewritten = true;
            event.query.address = event.query.address.map(|address| method.hide_address(address));
        }
        let mut lengths = None;
        if let Some(method) = names {
            hashes.sent_name = event.dns.question.map(|question| question.name);
            let name = event.dns.question.map(|question| method.hide(&question.name, name_room));
            let shown = name.and_then(|length| Some(Name::parse(name_room.get(..length)?).ok()?.0));
            lengths = Some((name.unwrap_or_default(), hidden_name::compose(event.payload, shown, payload)));
        }
        // From here on its rooms are only read.
        let this: &'e Privacy = self;
        if let Some((name, payload)) = lengths {
            event.name_rewritten = true;
            event.payload = this.0.payload.get(..payload).unwrap_or_default();
            let name = this.0.name.get(..name).and_then(|name| Name::parse(name).ok());
            event.dns.question =
                event.dns.question.zip(name).map(|(question, (name, _))| Question { name, ..question });
        }
        event.client_subnets = Some(this).filter(|this| this.0.addresses.is_some());
        ControlFlow::Continue(())
    }

    fn hides_names(&self) -> bool {
        self.0.names.is_some()
    }
}

impl NameMethod {
    /// Writes the name in place of another one in wire form, and returns its length.
    fn hide(&self, name: &Name<'_>, out: &mut [u8; NAME_MAX]) -> usize {
        let mut composer = Composer::new(out);
        let written = match self {
            NameMethod::RegisteredDomain => composer.put(shown_part(name)),
            NameMethod::Hash(keyed) => {
                let mut text = [0; TEXT_MAX];
                let length = name.write_text(&mut text).unwrap_or_default();
                let text = text.get_mut(..length).unwrap_or_default();
                text.make_ascii_lowercase();
                let hash = front_of(keyed, text);
                let digit =
                    |at: u32| b"0123456789abcdef".get((hash >> (124 - 4 * at) & 0x0f) as usize).copied();
                let label: [u8; 32] = core::array::from_fn(|at| digit(at as u32).unwrap_or(b'0'));
                composer.put(&[32]).and_then(|()| composer.put(&label)).and_then(|()| composer.put(&[0]))
            }
        };
        let length = composer.written();
        if written.is_some() { length } else { 0 }
    }
}

/// The part of a name that may be shown: its registered domain; of a name in none its last label, of one
/// below `arpa` two.
fn shown_part<'a>(name: &Name<'a>) -> &'a [u8] {
    if let Some((domain, _)) = registered_domain(name) {
        return domain.wire_form();
    }
    let bytes = name.wire_form();
    let labels = name.labels().count();
    let is_arpa = name.last_label().eq_ignore_ascii_case(b"arpa");
    let kept = if is_arpa || labels == 2 { 2 } else { 1 };
    let hidden: usize = name.labels().take(labels.saturating_sub(kept)).map(|label| label.len() + 1).sum();
    bytes.get(hidden..).unwrap_or(bytes)
}

/// The key as a hash takes it in.
fn keyed(key: &[u8; KEY_BYTES]) -> Hmac<Sha256> {
    let mut block = [0; 64];
    block.iter_mut().zip(key).for_each(|(byte, key)| *byte = *key);
    // A block of the hash: the key, filled up with zeros as RFC 2104, 2, does it.
    Hmac::new(&block.into())
}

/// The first bytes of the keyed hash of some others.
fn front_of(keyed: &Hmac<Sha256>, bytes: &[u8]) -> u128 {
    let mut hmac = keyed.clone();
    hmac.update(bytes);
    let mut front = [0; 16];
    front.iter_mut().zip(hmac.finalize().into_bytes()).for_each(|(byte, hash)| *byte = hash);
    u128::from_be_bytes(front)
}

/// Shows no key.
impl fmt::Debug for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Privacy")
    }
}

impl Method {
    /// The address in place of another one.
    fn hide_address(&self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(v4) => {
                let hidden = self.hide(u128::from(v4.to_bits()) << 96, 32, 32);
                IpAddr::from(((hidden >> 96) as u32).to_be_bytes())
            }
            IpAddr::V6(v6) => IpAddr::from(self.hide(v6.to_bits(), 128, 128).to_be_bytes()),
        }
    }

    fn cryptopan(key: &[u8; KEY_BYTES]) -> Self {
        let (mut first, mut second) = ([0; 16], [0; 16]);
        first.iter_mut().zip(key).for_each(|(byte, key)| *byte = *key);
        second.iter_mut().zip(key.iter().skip(16)).for_each(|(byte, key)| *byte = *key);
        let cipher = Aes128::new(&first.into());
        let pad = encrypted(&cipher, u128::from_be_bytes(second));
        Method::Cryptopan { cipher, pad }
    }

    /// Another address: its first bit is the highest of the number, it has so many bits, and of these so many
    /// are asked for.
    fn hide(&self, address: u128, address_bits: u32, bits: u32) -> u128 {
        match self {
            Method::Mask { v4, v6 } => address & mask(if address_bits == 32 { *v4 } else { *v6 }),
            Method::Hash(keyed) => {
                let bytes = address.to_be_bytes();
                let bytes = bytes.get(..address_bits as usize / 8).unwrap_or(&bytes);
                front_of(keyed, bytes) & mask(address_bits)
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
    use crate::wire::compose::{FrameChanges, rewrite};
    use crate::wire::dnstap::{Dnstap, Message, Policy};
    use crate::wire::iana::{Family, MessageType};

    const KEY: &[u8; KEY_BYTES] = b"32-char-str-for-AES-key-and-pad.";

    /// One that hides addresses alone.
    fn addresses(method: Method) -> Privacy {
        Privacy::new(Some(method), None)
    }

    fn shown(privacy: &Privacy, address: &str) -> IpAddr {
        privacy.0.addresses.as_ref().unwrap().hide_address(address.parse().unwrap())
    }

    #[test]
    fn names_are_cut_or_hashed() {
        let check = |method: &NameMethod, name: &str, expected: &str| {
            let labels = name.split('.').filter(|label| !label.is_empty());
            let labels = labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
            let bytes = labels.chain([0]).collect::<Vec<u8>>();
            let mut room = [0; NAME_MAX];
            let length = method.hide(&Name::parse(&bytes).unwrap().0, &mut room);
            assert_eq!(Name::parse(&room[..length]).unwrap().0.to_string(), expected);
        };
        for (name, expected) in [
            ("www.Example.com", "Example.com."),
            ("a.b.example.co.uk", "example.co.uk."),
            ("co.uk", "co.uk."),
            ("7.2.0.192.in-addr.arpa", "in-addr.arpa."),
            ("laptop", "laptop."),
            ("", "."),
        ] {
            check(&NameMethod::RegisteredDomain, name, expected);
        }
        let hash = NameMethod::Hash(keyed(KEY));
        // By Python's `hmac`, of "www.example.com.".
        for name in ["www.example.com", "WWW.example.COM"] {
            check(&hash, name, "645d16ee0158b9284ea1414d89440d44.");
        }
    }

    /// Nothing of the name is left in what comes after, nor in a frame that is sent on.
    #[test]
    fn what_comes_after_sees_the_other_name() {
        let payload = b"\0\x07\x81\x80\0\x01\0\x01\0\0\0\0\x06secret\x07example\x03com\0\0\x01\0\x01\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x08\x06secret\0";
        let message = Message {
            message_type: MessageType::CLIENT_RESPONSE,
            query_message: Some(payload),
            response_message: Some(payload),
            query_zone: Some(b"\x06secret\0"),
            policy: Some(Policy { rule: Some(b"\x06secret\0"), value: Some(b"secret"), ..Policy::default() }),
            ..Message::default()
        };
        let dnstap = Dnstap { identity: Some(b"lb1"), message, ..Dnstap::default() };
        let hasher = MessageHasher::new(true, MessageKinds::of(&CLIENT_KINDS));
        let mut privacy = Privacy::new(None, Some(NameMethod::RegisteredDomain));
        let mut event = Event::from_dnstap(&dnstap);
        let mut hashes = hasher.hash(&event);
        let before = hashes.folded;
        assert_eq!(privacy.pass(&mut event, &mut hashes), ControlFlow::Continue(()));
        hasher.hash_name_again(&event, &mut hashes);
        assert_eq!((hashes.name.to_string(), hashes.folded == before), ("example.com.".to_owned(), false));
        assert_eq!(event.dns.question.unwrap().name.to_string(), "example.com.");
        assert!(event.is_rewritten() && !event.query_rewritten && event.client_subnets.is_none());
        let mut frame = [0; 512];
        let length = dnstap.compose(&mut frame).unwrap();
        let changes = FrameChanges { payload: Some((true, event.payload)), ..FrameChanges::default() };
        let mut out = [0; 1024];
        let changed = rewrite(&frame[..length], &changes, &mut out).unwrap();
        assert!(!String::from_utf8_lossy(&out[..changed]).contains("secret"));
        let sent = Dnstap::parse(&out[..changed]).unwrap();
        assert_eq!((sent.identity, sent.message.response_message), (Some(&b"lb1"[..]), Some(event.payload)));
        assert_eq!((sent.message.query_message, sent.message.query_zone), (None, None));
    }

    #[test]
    fn cryptopan_is_that_of_the_others() {
        let privacy = addresses(Method::cryptopan(KEY));
        for (address, expected) in
            [("192.0.2.1", "192.0.125.244"), ("2001:db8::1", "27fe:8bc7:fee:1e:1e1f:f0fe:f0e1:83fd")]
        {
            assert_eq!(shown(&privacy, address).to_string(), expected);
        }
    }

    #[test]
    fn a_hash_is_the_front_of_an_hmac() {
        let privacy = addresses(Method::Hash(keyed(KEY)));
        for (address, expected) in HASHES {
            assert_eq!(shown(&privacy, address).to_string(), expected);
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
            let privacy = addresses(Method::Mask { v4, v6 });
            assert_eq!(shown(&privacy, address).to_string(), expected);
        }
    }

    #[test]
    fn a_subnet_is_hidden_as_an_address_is() {
        let hidden = |method, family, bits, prefix: &[u8]| {
            let mut prefix = prefix.to_vec();
            addresses(method).hide_subnet(family, bits, &mut prefix);
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
        assert_eq!(hidden(Method::Hash(keyed(KEY)), 1, 32, &address.octets()), expected.octets());
    }

    /// Hashes, too, are those of the other address, and who asks upstream is no client.
    #[test]
    fn what_comes_after_sees_the_other_address() {
        let mut privacy = addresses(Method::Mask { v4: 24, v6: 48 });
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
