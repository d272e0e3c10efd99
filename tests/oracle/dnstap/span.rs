//! A field of bytes as a place in the frame.

use micropb::field::FieldDecode;
use micropb::{DecodeError, PbDecoder, PbRead, Tag};

/// Where the bytes of a field are, when it is there. A later one takes its place.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Span(Option<(usize, usize)>);

impl Span {
    /// The bytes in the frame.
    pub fn of<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        self.0.map(|(offset, length)| &frame[offset..offset + length])
    }
}

impl FieldDecode for Span {
    fn decode_field<R: PbRead>(
        &mut self,
        tag: Tag,
        decoder: &mut PbDecoder<R>,
    ) -> Result<bool, DecodeError<R::Error>> {
        if tag.wire_type() != 2 {
            return Err(DecodeError::WrongWireType);
        }
        let length = decoder.decode_varint32()? as usize;
        self.0 = Some((decoder.bytes_read(), length));
        decoder.skip_bytes(length)?;
        Ok(true)
    }
}
