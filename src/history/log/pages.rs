//! Pages of records, their lists of shapes and clients, and the strings that a record refers to.

use core::hash::BuildHasher;
use core::net::IpAddr;

use super::page_list::FreeSlot;
use super::record::{self, Word};
use super::shape::ShapeKey;
use super::store::{NoPage, REFERENCE_BITS, Reference};
use super::{
    Exchange, IPV6_MARK, LIST_ENTRY_BYTES, Log, LoggedAnswer, NO_ANSWER, PackedAnswer, RecordPage,
    WORD_BYTES, get_answer, get_word,
};

impl Log {
    /// Closes the open page and opens another one.
    #[inline(never)]
    pub(super) fn open_page(&mut self) -> Result<(), NoPage> {
        let next = self.store.take_page()?;
        let end = self.close_page();
        self.open.sequence = self.open.sequence.wrapping_add(1);
        self.begin_page(next, end);
        Ok(())
    }

    /// Writes the lists of the open page to its end; returns the time of its last record.
    pub(super) fn close_page(&mut self) -> i64 {
        let Some(page) = self.pages.get(usize::from(self.open.page)) else { return 0 };
        let shapes = self.open.shapes.references(page.shapes.into());
        let clients = self.open.clients.references(page.clients.into());
        let bytes = self.store.page_mut(self.open.page);
        let start =
            self.page_bytes - (usize::from(page.shapes) + usize::from(page.clients)) * LIST_ENTRY_BYTES;
        let lists = bytes.get_mut(start..).unwrap_or_default();
        for (place, reference) in lists.as_chunks_mut().0.iter_mut().zip(shapes.chain(clients)) {
            *place = reference.to_le_bytes();
        }
        page.end
    }

    /// Begins to write to a page that is free.
    pub(super) fn begin_page(&mut self, number: u16, time: i64) {
        self.open.page = number;
        self.open.clients.clear();
        self.open.shapes.clear();
        if let Some(page) = self.pages.get_mut(usize::from(number)) {
            *page = RecordPage { start: time, end: time, least: time, most: time, ..RecordPage::default() };
        }
        let place = self.open.sequence as usize & (self.order.len() - 1);
        if let Some(order) = self.order.get_mut(place) {
            *order = number;
        }
    }

    /// Lets the oldest page go, with the strings that nobody else refers to.
    #[inline(never)]
    pub(super) fn evict(&mut self) {
        if self.oldest == self.open.sequence {
            // Its strings take all other pages.
            self.evicted += self.records;
            self.count_unsaved_open();
            self.clear();
            return;
        }
        let sequence = self.oldest;
        self.oldest = self.oldest.wrapping_add(1);
        let Some(number) = self.order_of(sequence) else { return };
        let Some(page) = self.pages.get(usize::from(number)).copied() else { return };
        self.records -= u64::from(page.records);
        self.evicted += u64::from(page.records);
        self.count_unsaved(sequence, page.words, page.records);
        let stamp = sequence as u16;
        for at in 0..page.words {
            let bytes = self.store.page(number);
            let Some(word) = get_word(bytes, self.stride, at) else { break };
            if word.shape() == record::EXTENSION {
                continue;
            }
            let answer = self.answer_reference(bytes, at, word);
            let name = self.name_reference(word);
            for reference in [name, answer].into_iter().flatten() {
                self.store.release(reference, stamp);
            }
        }
        for entry in 0..usize::from(page.shapes) + usize::from(page.clients) {
            let reference = self.list_entry(number, &page, entry);
            self.store.release(reference, stamp);
        }
        self.store.give_page(number);
        self.store.drain_sparse_pages();
    }

    /// The name of a record.
    #[inline]
    pub(super) fn name_reference(&self, word: Word) -> Option<Reference> {
        let bits = REFERENCE_BITS - u32::from(self.stride > WORD_BYTES);
        Some(word.name() & ((1 << bits) - 1)).filter(|reference| *reference != 0).map(Reference)
    }

    /// The answer of a record, if that is among the strings.
    #[inline]
    pub(super) fn answer_reference(&self, page: &[u8], at: u16, word: Word) -> Option<Reference> {
        if self.stride == WORD_BYTES || word.has_address() {
            return None;
        }
        Some(u32::from_le_bytes(get_answer(page, self.stride, at)))
            .filter(|reference| *reference != 0)
            .map(Reference)
    }

    /// An entry of the lists of a closed page.
    pub(super) fn list_entry(&self, number: u16, page: &RecordPage, entry: usize) -> Reference {
        let entries = usize::from(page.shapes) + usize::from(page.clients);
        let start = self.page_bytes - (entries - entry.min(entries)) * LIST_ENTRY_BYTES;
        let bytes = self.store.page(number).get(start..).and_then(|rest| rest.first_chunk());
        Reference(bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes)))
    }

    /// The number of a client in the open page.
    #[inline]
    pub(super) fn client_number(
        &mut self,
        client: Option<IpAddr>,
        hash: u64,
        stamp: u16,
    ) -> Result<u16, NoPage> {
        let hash = if client.is_some() { hash } else { 0 };
        let slot = match self.open.clients.find(hash) {
            Ok(number) => return Ok(number),
            Err(slot) => slot,
        };
        let mut room = [0; 16];
        let bytes = pack_address(client, &mut room);
        let reference = self.store.intern(hash, bytes, stamp)?;
        let page = self.pages.get_mut(usize::from(self.open.page)).ok_or(NoPage)?;
        let number = page.clients;
        page.clients += 1;
        self.open.clients.put(slot, hash, number, reference);
        Ok(number)
    }

    /// The number of the shape of an exchange in the open page.
    #[inline]
    pub(super) fn shape_number(&mut self, exchange: &Exchange<'_>, stamp: u16) -> Result<u8, NoPage> {
        let key = ShapeKey::of(exchange);
        let hash = key.hash(exchange.identity_hash, &self.hasher);
        match self.open.shapes.find(hash) {
            Ok(number) => Ok(number as u8),
            Err(slot) => self.add_shape(&key, exchange.identity, (hash, slot), stamp),
        }
    }

    #[cold]
    fn add_shape(
        &mut self,
        key: &ShapeKey,
        identity: &[u8],
        (hash, slot): (u64, FreeSlot),
        stamp: u16,
    ) -> Result<u8, NoPage> {
        let mut room = [0; ShapeKey::LONGEST];
        let string = key.compose(identity, &mut room);
        let reference = self.store.intern(self.hasher.hash_one(string), string, stamp)?;
        let page = self.pages.get_mut(usize::from(self.open.page)).ok_or(NoPage)?;
        let number = page.shapes;
        page.shapes += 1;
        self.open.shapes.put(slot, hash, number.into(), reference);
        Ok(number)
    }

    /// An answer as it is after a record. A name never begins with the byte that an IPv6 address has before
    /// it.
    pub(super) fn pack_answer(
        &mut self,
        answer: &LoggedAnswer<'_>,
        stamp: u16,
    ) -> Result<PackedAnswer, NoPage> {
        Ok(match answer {
            LoggedAnswer::None => NO_ANSWER,
            LoggedAnswer::Address(IpAddr::V4(address)) => PackedAnswer(true, address.octets()),
            LoggedAnswer::Address(IpAddr::V6(address)) => {
                let mut string = [IPV6_MARK; 17];
                let [_, bytes @ ..] = &mut string;
                *bytes = address.octets();
                PackedAnswer(false, self.pack_string(&string, stamp)?)
            }
            LoggedAnswer::Alias(name) => PackedAnswer(false, self.pack_string(name.wire_form(), stamp)?),
        })
    }

    pub(super) fn pack_string(&mut self, string: &[u8], stamp: u16) -> Result<[u8; 4], NoPage> {
        let hash = self.hasher.hash_one(string);
        Ok(self.store.intern(hash, string, stamp)?.0.to_le_bytes())
    }
}

/// An address as a string of the store: 4 or 16 bytes, or a single 0 for none.
#[inline]
pub(super) fn pack_address(address: Option<IpAddr>, room: &mut [u8; 16]) -> &[u8] {
    let length = match address {
        None => 1,
        Some(IpAddr::V4(v4)) => {
            let [a, b, c, d, ..] = room;
            [*a, *b, *c, *d] = v4.octets();
            4
        }
        Some(IpAddr::V6(v6)) => {
            *room = v6.octets();
            16
        }
    };
    room.get(..length).unwrap_or_default()
}
