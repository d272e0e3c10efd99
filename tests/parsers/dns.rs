//! DNS messages with a model of what must be read of them, against two libraries.

use crate::mutation::mutated;
use crate::oracle;
use crate::text::{labels, wire};
use dnstapd::wire::dns::Summary;
use dnstapd::wire::iana::{Class, Rcode, RrType};
use proptest::collection::vec;
use proptest::prelude::*;

/// A record without its name.
#[derive(Debug, Clone)]
struct Record {
    rr_type: u16,
    ttl: u32,
    data: Vec<u8>,
}

/// A message as a server knows it.
#[derive(Debug, Clone)]
struct Model {
    id: u16,
    flags: u16,
    questions: Vec<(Vec<Vec<u8>>, u16, u16)>,
    sections: [Vec<Record>; 3],
    /// The TTL of an OPT record among the additional ones, and how many stand before it.
    opt: Option<(u32, usize)>,
}

fn model() -> impl Strategy<Value = Model> {
    let qtype = prop_oneof![Just(1), Just(28), Just(65), Just(255), any::<u16>()];
    let qclass = prop_oneof![4 => Just(1), 1 => any::<u16>()];
    let record = (
        proptest::sample::select(vec![1u16, 5, 16, 28, 46, 65, 1234]),
        any::<u32>(),
        vec(any::<u8>(), 0..20),
    );
    let record = record.prop_map(|(rr_type, ttl, data)| Record { rr_type, ttl, data });
    let section = || vec(record.clone(), 0..3);
    (
        any::<u16>(),
        any::<u16>(),
        prop_oneof![8 => vec((labels(), qtype.clone(), qclass.clone()), 1), 1 => vec((labels(), qtype, qclass), 0..3)],
        [section(), section(), section()],
        proptest::option::of((any::<u32>(), 0..3usize)),
    )
        .prop_map(|(id, flags, questions, sections, opt)| Model { id, flags, questions, sections, opt })
}

impl Model {
    /// The message in wire form. Records are about the first question, by pointer.
    fn compose(&self) -> Vec<u8> {
        let mut sections =
            self.sections.clone().map(|records| records.iter().map(Record::compose).collect::<Vec<_>>());
        if let Some((ttl, position)) = self.opt {
            let opt = [&[0, 0, 41, 0x04, 0xd0][..], &ttl.to_be_bytes(), &[0, 0]].concat();
            let position = position.min(sections[2].len());
            sections[2].insert(position, opt);
        }
        let counts = [self.questions.len(), sections[0].len(), sections[1].len(), sections[2].len()];
        let header = [self.id, self.flags].into_iter().chain(counts.map(|count| count as u16));
        let questions = self.questions.iter().map(|(labels, qtype, qclass)| {
            [&wire(labels)[..], &[0], &qtype.to_be_bytes(), &qclass.to_be_bytes()].concat()
        });
        let mut message: Vec<u8> = header.flat_map(u16::to_be_bytes).collect();
        message.extend(questions.flatten());
        message.extend(sections.concat().concat());
        message
    }
}

impl Record {
    fn compose(&self) -> Vec<u8> {
        let length = self.data.len() as u16;
        let fixed =
            [&self.rr_type.to_be_bytes()[..], &[0, 1], &self.ttl.to_be_bytes(), &length.to_be_bytes()];
        [&[0xc0, 0x0c][..], &fixed.concat(), &self.data].concat()
    }
}

proptest! {
    #![proptest_config(crate::cases(1536))]

    #[test]
    fn messages_are_read_as_they_were_meant(model in model()) {
        let payload = model.compose();
        let summary = Summary::parse(&payload);
        prop_assert_eq!(summary.malformed, None);
        prop_assert_eq!(summary.id, Some(model.id));
        let upper = model.opt.map_or(0, |(ttl, _)| (ttl >> 24) as u16);
        prop_assert_eq!(summary.rcode, Some(Rcode(upper << 4 | model.flags & 0x0f)));
        prop_assert_eq!(summary.question.is_some(), !model.questions.is_empty());
        if let (Some(ours), Some((labels, qtype, qclass))) = (summary.question, model.questions.first()) {
            prop_assert!(ours.name.labels().eq(labels));
            prop_assert_eq!(ours.qtype, Some(RrType(*qtype)));
            prop_assert_eq!(ours.qclass, Some(Class(*qclass)));
        }
        oracle::dns::check(&payload);
    }

    #[test]
    fn cut_messages_are_malformed_and_still_read(model in model(), cut in any::<prop::sample::Index>()) {
        let whole = model.compose();
        let payload = &whole[..cut.index(whole.len())];
        let summary = Summary::parse(payload);
        prop_assert_eq!(summary.malformed.is_some(), !payload.is_empty());
        oracle::dns::check(payload);
    }

    #[test]
    fn mutated_messages_are_read_as_libraries_read_them(payload in mutated(model().prop_map(|model| model.compose()))) {
        oracle::dns::check(&payload);
    }

    #[test]
    fn any_bytes_too(payload in vec(any::<u8>(), 0..80)) {
        oracle::dns::check(&payload);
    }

    #[test]
    fn any_bytes_behind_a_header_too(bytes in vec(any::<u8>(), 0..300), counts in any::<[bool; 4]>()) {
        let header = [0, 7, 0x81, 0x80].into_iter().chain(counts.into_iter().flat_map(|count| [0, u8::from(count)]));
        oracle::dns::check(&header.chain(bytes).collect::<Vec<_>>());
    }
}
