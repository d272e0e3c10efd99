//! Frames of any fields in any order, against the decoder micropb makes of the schema.

use crate::mutation::mutated;
use crate::oracle;
use dnstapd::wire::cursor::Composer;
use proptest::collection::vec;
use proptest::prelude::*;

/// A field with the wire type its number has in the schema, or any.
#[derive(Debug, Clone)]
enum Value {
    Varint(u64),
    Bytes(Vec<u8>),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
}

/// The bytes of a varint.
fn varint(value: u64) -> Vec<u8> {
    let mut out = [0; 10];
    let mut composer = Composer::new(&mut out);
    composer.put_varint(value).unwrap();
    let length = composer.written();
    out[..length].to_vec()
}

/// The bytes of a field.
fn field(number: u32, value: &Value) -> Vec<u8> {
    let (wire_type, bytes) = match value {
        Value::Varint(value) => (0, varint(*value)),
        Value::Fixed64(bytes) => (1, bytes.to_vec()),
        Value::Bytes(bytes) => (2, [&varint(bytes.len() as u64)[..], bytes].concat()),
        Value::Fixed32(bytes) => (5, bytes.to_vec()),
    };
    [varint(u64::from(number << 3 | wire_type)), bytes].concat()
}

fn value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![0..16u64, any::<u64>(), any::<u64>().prop_map(|value| value >> 32)];
    prop_oneof![
        number.prop_map(Value::Varint),
        vec(any::<u8>(), 0..20).prop_map(Value::Bytes),
        any::<[u8; 4]>().prop_map(Value::Fixed32),
        any::<[u8; 8]>().prop_map(Value::Fixed64),
    ]
}

/// A field that newer schemas may have.
fn unknown() -> impl Strategy<Value = Vec<u8>> {
    (17..0x1fff_ffff_u32, value()).prop_map(|(number, value)| field(number, &value))
}

/// The bytes of a field of one of these numbers, with a value of its kind.
fn known(varints: &'static [u32], bytes: &'static [u32]) -> impl Strategy<Value = Vec<u8>> {
    let varint = (proptest::sample::select(varints), any::<u64>(), 0..64u32);
    let varint = varint.prop_map(|(number, value, shift)| field(number, &Value::Varint(value >> shift)));
    let bytes = (proptest::sample::select(bytes), vec(any::<u8>(), 0..20));
    prop_oneof![varint, bytes.prop_map(|(number, value)| field(number, &Value::Bytes(value)))]
}

fn policy() -> impl Strategy<Value = Vec<u8>> {
    vec(known(&[3, 4], &[1, 2, 5]), 0..5).prop_map(|fields| fields.concat())
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let time = (proptest::sample::select(&[9, 13][..]), any::<[u8; 4]>());
    let field = prop_oneof![
        12 => known(&[1, 2, 3, 6, 7, 8, 12, 16], &[4, 5, 10, 11, 14]),
        3 => time.prop_map(|(number, bytes)| field(number, &Value::Fixed32(bytes))),
        1 => policy().prop_map(|policy| field(15, &Value::Bytes(policy))),
        1 => unknown(),
    ];
    vec(field, 0..16).prop_map(|fields| [&field_one()[..], &fields.concat()].concat())
}

/// `Message.type`, which has to be there.
fn field_one() -> Vec<u8> {
    field(1, &Value::Varint(6))
}

/// A frame with most of what it needs.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let other = prop_oneof![4 => known(&[15], &[1, 2, 3]), 1 => unknown()];
    let message = message().prop_map(|message| field(14, &Value::Bytes(message)));
    let kind = Just(field(15, &Value::Varint(1)));
    let fields = vec(prop_oneof![3 => other, 2 => message, 2 => kind.clone()], 1..6);
    (fields, kind).prop_map(|(fields, kind)| [fields.concat(), kind].concat())
}

proptest! {
    #![proptest_config(crate::cases(3072))]

    #[test]
    fn frames_are_read_as_micropb_reads_them(frame in frame()) {
        oracle::dnstap::check(&frame);
    }

    #[test]
    fn mutated_frames_too(frame in mutated(frame())) {
        oracle::dnstap::check(&frame);
    }

    #[test]
    fn any_bytes_too(frame in vec(any::<u8>(), 0..100)) {
        oracle::dnstap::check(&frame);
    }

    #[test]
    fn fields_of_any_kind_too(outer in any_fields(), inner in any_fields(), policy in any_fields()) {
        let message = [field_one(), inner, field(15, &Value::Bytes(policy))].concat();
        let needed = [field(14, &Value::Bytes(message)), field(15, &Value::Varint(1))].concat();
        oracle::dnstap::check(&[outer, needed].concat());
    }
}

/// Up to two fields of any number and wire type.
fn any_fields() -> impl Strategy<Value = Vec<u8>> {
    vec((0..20u32, value()).prop_map(|(number, value)| field(number, &value)), 0..3)
        .prop_map(|fields| fields.concat())
}
