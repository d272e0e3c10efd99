//! Makes Rust from `proto/dnstap.proto`: `cargo run --manifest-path proto/generate/Cargo.toml`
//!
//! Two files, both checked in:
//!
//! * `src/wire/generated.rs`: the composer. It borrows what it writes.
//! * `tests/oracle/dnstap/generated.rs`: the decoder that the walker of `src/wire/dnstap.rs` is compared with. Its
//!   fields of bytes are spans of the frame, so it copies nothing either.

use micropb_gen::{
    Config, EncodeDecode, Generator,
    config::{CustomField, OptionalRepr},
};
use prost::Message;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};
use std::path::{Path, PathBuf};

fn main() {
    for (name, text) in generate() {
        let path = root().join(name);
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        println!("{name}");
    }
}

/// The generated files: name and text.
fn generate() -> [(&'static str, String); 2] {
    let proto = root().join("proto");
    let mut files = protox::compile([proto.join("dnstap.proto")], [&proto]).expect("the schema compiles");
    files.file.iter_mut().flat_map(|file| &mut file.message_type).for_each(strings_to_bytes);
    [("src/wire/generated.rs", composer(&files)), ("tests/oracle/dnstap/generated.rs", decoder(&files))]
}

/// The schema has one string, `Policy.type`. On the wire it is the same as bytes, and as bytes it may be any
/// bytes: those of a stranger are not always UTF-8.
fn strings_to_bytes(message: &mut DescriptorProto) {
    for field in &mut message.field {
        if field.r#type() == Type::String {
            field.set_type(Type::Bytes);
        }
    }
}

fn composer(files: &FileDescriptorSet) -> String {
    let mut generator = generator(EncodeDecode::EncodeOnly);
    generator.configure(".", Config::new().bytes_type("&'a [u8]"));
    compile(generator, files)
}

fn decoder(files: &FileDescriptorSet) -> String {
    let mut generator = generator(EncodeDecode::DecodeOnly);
    let bytes = files.file.iter().flat_map(|file| &file.message_type).flat_map(|message| {
        let fields = message.field.iter().filter(|field| field.r#type() == Type::Bytes);
        fields.map(|field| format!(".dnstap.{}.{}", message.name(), field.name()))
    });
    for path in bytes {
        generator
            .configure(&path, Config::new().custom_field(CustomField::from_type("super::super::span::Span")));
    }
    compile(generator, files)
}

/// What both have in common: optional fields are `Option`s, enumerators are numbers that may have no name.
fn generator(direction: EncodeDecode) -> Generator {
    let mut generator = Generator::new();
    generator.encode_decode(direction).calculate_max_size(false).format(true);
    let fields = Config::new().optional_repr(OptionalRepr::Option).no_accessors(true).enum_unsigned(true);
    generator.configure(".", fields);
    generator
}

fn compile(generator: Generator, files: &FileDescriptorSet) -> String {
    let folder = std::env::temp_dir().join(format!("generate-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (descriptors, rust) = (folder.join("dnstap.fds"), folder.join("dnstap.rs"));
    std::fs::write(&descriptors, files.encode_to_vec()).expect("written");
    generator.compile_fdset_file(&descriptors, &rust).expect("the schema is understood");
    let text = std::fs::read_to_string(&rust).expect("generated");
    std::fs::remove_dir_all(&folder).expect("removed");
    format!("// Made from proto/dnstap.proto by proto/generate.\n\n{text}")
}

/// The top of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_checked_in_is_what_is_generated() {
        for (name, text) in super::generate() {
            let checked_in = std::fs::read_to_string(super::root().join(name)).unwrap();
            assert!(checked_in == text, "{name} is out of date: run the generator");
        }
    }
}
