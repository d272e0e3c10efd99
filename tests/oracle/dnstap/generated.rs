// Made from proto/dnstap.proto by proto/generate.

pub mod dnstap_ {
    /// The payload of a data frame.
    #[derive(Debug, Default, PartialEq, Clone)]
    pub struct Dnstap {
        /// Which server it is from.
        pub r#identity: super::super::span::Span,
        /// Which software it is from.
        pub r#version: super::super::span::Span,
        /// Whatever the server adds; there is no format.
        pub r#extra: super::super::span::Span,
        /// Which of the fields below is set.
        pub r#type: ::core::option::Option<Dnstap_::Type>,
        pub r#message: ::core::option::Option<Message>,
    }
    impl Dnstap {
        /// Return a reference to `type` as an `Option`
        #[inline]
        pub fn r#type(&self) -> ::core::option::Option<&Dnstap_::Type> {
            self.r#type.as_ref()
        }
        /// Return a reference to `message` as an `Option`
        #[inline]
        pub fn r#message(&self) -> ::core::option::Option<&Message> {
            self.r#message.as_ref()
        }
    }
    impl ::micropb::MessageDecode for Dnstap {
        fn decode<IMPL_MICROPB_READ: ::micropb::PbRead>(
            &mut self,
            decoder: &mut ::micropb::PbDecoder<IMPL_MICROPB_READ>,
            len: usize,
        ) -> Result<(), ::micropb::DecodeError<IMPL_MICROPB_READ::Error>> {
            use ::micropb::{PbBytes, PbString, PbVec, PbMap, FieldDecode};
            let before = decoder.bytes_read();
            while decoder.bytes_read() - before < len {
                let tag = decoder.decode_tag()?;
                match tag.field_num() {
                    0 => return Err(::micropb::DecodeError::ZeroField),
                    1u32 => {
                        if !self.r#identity.decode_field(tag, decoder)? {
                            return Err(::micropb::DecodeError::CustomField);
                        }
                    }
                    2u32 => {
                        if !self.r#version.decode_field(tag, decoder)? {
                            return Err(::micropb::DecodeError::CustomField);
                        }
                    }
                    3u32 => {
                        if !self.r#extra.decode_field(tag, decoder)? {
                            return Err(::micropb::DecodeError::CustomField);
                        }
                    }
                    15u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#type
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            let val = decoder
                                .decode_int32()
                                .map(|n| Dnstap_::Type(n as _))?;
                            *mut_ref = val as _;
                        };
                    }
                    14u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#message
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            decoder.decode_submessage_delimited(mut_ref)?;
                        };
                    }
                    _ => {
                        decoder.skip_wire_value(tag.wire_type())?;
                    }
                }
            }
            Ok(())
        }
    }
    /// Inner types for `Dnstap`
    pub mod Dnstap_ {
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(transparent)]
        pub struct Type(pub u32);
        impl Type {
            /// Maximum encoded size of the enum
            pub const _MAX_SIZE: usize = 5usize;
            pub const Message: Self = Self(1);
        }
        impl core::default::Default for Type {
            fn default() -> Self {
                Self(1)
            }
        }
        impl core::convert::From<u32> for Type {
            fn from(val: u32) -> Self {
                Self(val)
            }
        }
        impl core::fmt::Debug for Type {
            fn fmt(
                &self,
                formatter: &mut core::fmt::Formatter<'_>,
            ) -> core::fmt::Result {
                match *self {
                    Type::Message => formatter.write_str("Message"),
                    Self(n) => formatter.debug_tuple("_Unknown").field(&n).finish(),
                }
            }
        }
    }
    /// The effect of a policy on a message.
    #[derive(Debug, Default, PartialEq, Clone)]
    pub struct Policy {
        /// Such as "RPZ".
        pub r#type: super::super::span::Span,
        /// For RPZ the owner name of the rule in wire form.
        pub r#rule: super::super::span::Span,
        pub r#action: ::core::option::Option<Policy_::Action>,
        pub r#match: ::core::option::Option<Policy_::Match>,
        pub r#value: super::super::span::Span,
    }
    impl Policy {
        /// Return a reference to `action` as an `Option`
        #[inline]
        pub fn r#action(&self) -> ::core::option::Option<&Policy_::Action> {
            self.r#action.as_ref()
        }
        /// Return a reference to `match` as an `Option`
        #[inline]
        pub fn r#match(&self) -> ::core::option::Option<&Policy_::Match> {
            self.r#match.as_ref()
        }
    }
    impl ::micropb::MessageDecode for Policy {
        fn decode<IMPL_MICROPB_READ: ::micropb::PbRead>(
            &mut self,
            decoder: &mut ::micropb::PbDecoder<IMPL_MICROPB_READ>,
            len: usize,
        ) -> Result<(), ::micropb::DecodeError<IMPL_MICROPB_READ::Error>> {
            use ::micropb::{PbBytes, PbString, PbVec, PbMap, FieldDecode};
            let before = decoder.bytes_read();
            while decoder.bytes_read() - before < len {
                let tag = decoder.decode_tag()?;
                match tag.field_num() {
                    0 => return Err(::micropb::DecodeError::ZeroField),
                    1u32 => {
                        if !self.r#type.decode_field(tag, decoder)? {
                            return Err(::micropb::DecodeError::CustomField);
                        }
                    }
                    2u32 => {
                        if !self.r#rule.decode_field(tag, decoder)? {
                            return Err(::micropb::DecodeError::CustomField);
                        }
                    }
                    3u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#action
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            let val = decoder
                                .decode_int32()
                                .map(|n| Policy_::Action(n as _))?;
                            *mut_ref = val as _;
                        };
                    }
                    4u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#match
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            let val = decoder
                                .decode_int32()
                                .map(|n| Policy_::Match(n as _))?;
                            *mut_ref = val as _;
                        };
                    }
                    5u32 => {
                        if !self.r#value.decode_field(tag, decoder)? {
                            return Err(::micropb::DecodeError::CustomField);
                        }
                    }
                    _ => {
                        decoder.skip_wire_value(tag.wire_type())?;
                    }
                }
            }
            Ok(())
        }
    }
    /// Inner types for `Policy`
    pub mod Policy_ {
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(transparent)]
        pub struct Match(pub u32);
        impl Match {
            /// Maximum encoded size of the enum
            pub const _MAX_SIZE: usize = 5usize;
            pub const Qname: Self = Self(1);
            pub const ClientIp: Self = Self(2);
            pub const ResponseIp: Self = Self(3);
            pub const NsName: Self = Self(4);
            pub const NsIp: Self = Self(5);
        }
        impl core::default::Default for Match {
            fn default() -> Self {
                Self(1)
            }
        }
        impl core::convert::From<u32> for Match {
            fn from(val: u32) -> Self {
                Self(val)
            }
        }
        impl core::fmt::Debug for Match {
            fn fmt(
                &self,
                formatter: &mut core::fmt::Formatter<'_>,
            ) -> core::fmt::Result {
                match *self {
                    Match::Qname => formatter.write_str("Qname"),
                    Match::ClientIp => formatter.write_str("ClientIp"),
                    Match::ResponseIp => formatter.write_str("ResponseIp"),
                    Match::NsName => formatter.write_str("NsName"),
                    Match::NsIp => formatter.write_str("NsIp"),
                    Self(n) => formatter.debug_tuple("_Unknown").field(&n).finish(),
                }
            }
        }
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(transparent)]
        pub struct Action(pub u32);
        impl Action {
            /// Maximum encoded size of the enum
            pub const _MAX_SIZE: usize = 5usize;
            pub const Nxdomain: Self = Self(1);
            pub const Nodata: Self = Self(2);
            pub const Pass: Self = Self(3);
            pub const Drop: Self = Self(4);
            pub const Truncate: Self = Self(5);
            pub const LocalData: Self = Self(6);
        }
        impl core::default::Default for Action {
            fn default() -> Self {
                Self(1)
            }
        }
        impl core::convert::From<u32> for Action {
            fn from(val: u32) -> Self {
                Self(val)
            }
        }
        impl core::fmt::Debug for Action {
            fn fmt(
                &self,
                formatter: &mut core::fmt::Formatter<'_>,
            ) -> core::fmt::Result {
                match *self {
                    Action::Nxdomain => formatter.write_str("Nxdomain"),
                    Action::Nodata => formatter.write_str("Nodata"),
                    Action::Pass => formatter.write_str("Pass"),
                    Action::Drop => formatter.write_str("Drop"),
                    Action::Truncate => formatter.write_str("Truncate"),
                    Action::LocalData => formatter.write_str("LocalData"),
                    Self(n) => formatter.debug_tuple("_Unknown").field(&n).finish(),
                }
            }
        }
    }
    /// One DNS message, and how it travelled.
    #[derive(Debug, Default, PartialEq, Clone)]
    pub struct Message {
        pub r#type: ::core::option::Option<Message_::Type>,
        pub r#socket_family: ::core::option::Option<SocketFamily>,
        pub r#socket_protocol: ::core::option::Option<SocketProtocol>,
        /// Who asks and who answers: 4 bytes for INET, 16 for INET6.
        pub r#query_address: super::super::span::Span,
        pub r#response_address: super::super::span::Span,
        pub r#query_port: ::core::option::Option<u32>,
        pub r#response_port: ::core::option::Option<u32>,
        /// The query: when, since 1970 in UTC; the DNS message; the zone it is about as a name in wire form.
        pub r#query_time_sec: ::core::option::Option<u64>,
        pub r#query_time_nsec: ::core::option::Option<u32>,
        pub r#query_message: super::super::span::Span,
        pub r#query_zone: super::super::span::Span,
        /// The response: when, and the DNS message.
        pub r#response_time_sec: ::core::option::Option<u64>,
        pub r#response_time_nsec: ::core::option::Option<u32>,
        pub r#response_message: super::super::span::Span,
        pub r#policy: ::core::option::Option<Policy>,
        /// Only with DOH.
        pub r#http_protocol: ::core::option::Option<HttpProtocol>,
    }
    impl Message {
        /// Return a reference to `type` as an `Option`
        #[inline]
        pub fn r#type(&self) -> ::core::option::Option<&Message_::Type> {
            self.r#type.as_ref()
        }
        /// Return a reference to `socket_family` as an `Option`
        #[inline]
        pub fn r#socket_family(&self) -> ::core::option::Option<&SocketFamily> {
            self.r#socket_family.as_ref()
        }
        /// Return a reference to `socket_protocol` as an `Option`
        #[inline]
        pub fn r#socket_protocol(&self) -> ::core::option::Option<&SocketProtocol> {
            self.r#socket_protocol.as_ref()
        }
        /// Return a reference to `query_port` as an `Option`
        #[inline]
        pub fn r#query_port(&self) -> ::core::option::Option<&u32> {
            self.r#query_port.as_ref()
        }
        /// Return a reference to `response_port` as an `Option`
        #[inline]
        pub fn r#response_port(&self) -> ::core::option::Option<&u32> {
            self.r#response_port.as_ref()
        }
        /// Return a reference to `query_time_sec` as an `Option`
        #[inline]
        pub fn r#query_time_sec(&self) -> ::core::option::Option<&u64> {
            self.r#query_time_sec.as_ref()
        }
        /// Return a reference to `query_time_nsec` as an `Option`
        #[inline]
        pub fn r#query_time_nsec(&self) -> ::core::option::Option<&u32> {
            self.r#query_time_nsec.as_ref()
        }
        /// Return a reference to `response_time_sec` as an `Option`
        #[inline]
        pub fn r#response_time_sec(&self) -> ::core::option::Option<&u64> {
            self.r#response_time_sec.as_ref()
        }
        /// Return a reference to `response_time_nsec` as an `Option`
        #[inline]
        pub fn r#response_time_nsec(&self) -> ::core::option::Option<&u32> {
            self.r#response_time_nsec.as_ref()
        }
        /// Return a reference to `policy` as an `Option`
        #[inline]
        pub fn r#policy(&self) -> ::core::option::Option<&Policy> {
            self.r#policy.as_ref()
        }
        /// Return a reference to `http_protocol` as an `Option`
        #[inline]
        pub fn r#http_protocol(&self) -> ::core::option::Option<&HttpProtocol> {
            self.r#http_protocol.as_ref()
        }
    }
    impl ::micropb::MessageDecode for Message {
        fn decode<IMPL_MICROPB_READ: ::micropb::PbRead>(
            &mut self,
            decoder: &mut ::micropb::PbDecoder<IMPL_MICROPB_READ>,
            len: usize,
        ) -> Result<(), ::micropb::DecodeError<IMPL_MICROPB_READ::Error>> {
            use ::micropb::{PbBytes, PbString, PbVec, PbMap, FieldDecode};
            let before = decoder.bytes_read();
            while decoder.bytes_read() - before < len {
                let tag = decoder.decode_tag()?;
                match tag.field_num() {
                    0 => return Err(::micropb::DecodeError::ZeroField),
                    1u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#type
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            let val = decoder
                                .decode_int32()
                                .map(|n| Message_::Type(n as _))?;
                            *mut_ref = val as _;
                        };
                    }
                    2u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#socket_family
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            let val = decoder
                                .decode_int32()
                                .map(|n| SocketFamily(n as _))?;
                            *mut_ref = val as _;
                        };
                    }
                    3u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#socket_protocol
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            let val = decoder
                                .decode_int32()
                                .map(|n| SocketProtocol(n as _))?;
                            *mut_ref = val as _;
                        };
                    }
                    4u32 => {
                        if !self.r#query_address.decode_field(tag, decoder)? {
                            return Err(::micropb::DecodeError::CustomField);
                        }
                    }
                    5u32 => {
                        if !self.r#response_address.decode_field(tag, decoder)? {
                            return Err(::micropb::DecodeError::CustomField);
                        }
                    }
                    6u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#query_port
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            let val = decoder.decode_varint32()?;
                            *mut_ref = val as _;
                        };
                    }
                    7u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#response_port
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            let val = decoder.decode_varint32()?;
                            *mut_ref = val as _;
                        };
                    }
                    8u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#query_time_sec
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            let val = decoder.decode_varint64()?;
                            *mut_ref = val as _;
                        };
                    }
                    9u32 => {
                        if tag.wire_type() != 5u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#query_time_nsec
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            let val = decoder.decode_fixed32()?;
                            *mut_ref = val as _;
                        };
                    }
                    10u32 => {
                        if !self.r#query_message.decode_field(tag, decoder)? {
                            return Err(::micropb::DecodeError::CustomField);
                        }
                    }
                    11u32 => {
                        if !self.r#query_zone.decode_field(tag, decoder)? {
                            return Err(::micropb::DecodeError::CustomField);
                        }
                    }
                    12u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#response_time_sec
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            let val = decoder.decode_varint64()?;
                            *mut_ref = val as _;
                        };
                    }
                    13u32 => {
                        if tag.wire_type() != 5u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#response_time_nsec
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            let val = decoder.decode_fixed32()?;
                            *mut_ref = val as _;
                        };
                    }
                    14u32 => {
                        if !self.r#response_message.decode_field(tag, decoder)? {
                            return Err(::micropb::DecodeError::CustomField);
                        }
                    }
                    15u32 => {
                        if tag.wire_type() != 2u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#policy
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            decoder.decode_submessage_delimited(mut_ref)?;
                        };
                    }
                    16u32 => {
                        if tag.wire_type() != 0u8 {
                            return Err(::micropb::DecodeError::WrongWireType);
                        }
                        let mut_ref = &mut *self
                            .r#http_protocol
                            .get_or_insert_with(::core::default::Default::default);
                        {
                            let val = decoder
                                .decode_int32()
                                .map(|n| HttpProtocol(n as _))?;
                            *mut_ref = val as _;
                        };
                    }
                    _ => {
                        decoder.skip_wire_value(tag.wire_type())?;
                    }
                }
            }
            Ok(())
        }
    }
    /// Inner types for `Message`
    pub mod Message_ {
        /// Who spoke to whom. A response is one more than its query.
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(transparent)]
        pub struct Type(pub u32);
        impl Type {
            /// Maximum encoded size of the enum
            pub const _MAX_SIZE: usize = 5usize;
            pub const AuthQuery: Self = Self(1);
            pub const AuthResponse: Self = Self(2);
            pub const ResolverQuery: Self = Self(3);
            pub const ResolverResponse: Self = Self(4);
            pub const ClientQuery: Self = Self(5);
            pub const ClientResponse: Self = Self(6);
            pub const ForwarderQuery: Self = Self(7);
            pub const ForwarderResponse: Self = Self(8);
            pub const StubQuery: Self = Self(9);
            pub const StubResponse: Self = Self(10);
            pub const ToolQuery: Self = Self(11);
            pub const ToolResponse: Self = Self(12);
            pub const UpdateQuery: Self = Self(13);
            pub const UpdateResponse: Self = Self(14);
        }
        impl core::default::Default for Type {
            fn default() -> Self {
                Self(1)
            }
        }
        impl core::convert::From<u32> for Type {
            fn from(val: u32) -> Self {
                Self(val)
            }
        }
        impl core::fmt::Debug for Type {
            fn fmt(
                &self,
                formatter: &mut core::fmt::Formatter<'_>,
            ) -> core::fmt::Result {
                match *self {
                    Type::AuthQuery => formatter.write_str("AuthQuery"),
                    Type::AuthResponse => formatter.write_str("AuthResponse"),
                    Type::ResolverQuery => formatter.write_str("ResolverQuery"),
                    Type::ResolverResponse => formatter.write_str("ResolverResponse"),
                    Type::ClientQuery => formatter.write_str("ClientQuery"),
                    Type::ClientResponse => formatter.write_str("ClientResponse"),
                    Type::ForwarderQuery => formatter.write_str("ForwarderQuery"),
                    Type::ForwarderResponse => formatter.write_str("ForwarderResponse"),
                    Type::StubQuery => formatter.write_str("StubQuery"),
                    Type::StubResponse => formatter.write_str("StubResponse"),
                    Type::ToolQuery => formatter.write_str("ToolQuery"),
                    Type::ToolResponse => formatter.write_str("ToolResponse"),
                    Type::UpdateQuery => formatter.write_str("UpdateQuery"),
                    Type::UpdateResponse => formatter.write_str("UpdateResponse"),
                    Self(n) => formatter.debug_tuple("_Unknown").field(&n).finish(),
                }
            }
        }
    }
    /// The network protocol, and so the length of addresses.
    #[derive(Clone, Copy, PartialEq, Eq, Hash)]
    #[repr(transparent)]
    pub struct SocketFamily(pub u32);
    impl SocketFamily {
        /// Maximum encoded size of the enum
        pub const _MAX_SIZE: usize = 5usize;
        pub const Inet: Self = Self(1);
        pub const Inet6: Self = Self(2);
    }
    impl core::default::Default for SocketFamily {
        fn default() -> Self {
            Self(1)
        }
    }
    impl core::convert::From<u32> for SocketFamily {
        fn from(val: u32) -> Self {
            Self(val)
        }
    }
    impl core::fmt::Debug for SocketFamily {
        fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            match *self {
                SocketFamily::Inet => formatter.write_str("Inet"),
                SocketFamily::Inet6 => formatter.write_str("Inet6"),
                Self(n) => formatter.debug_tuple("_Unknown").field(&n).finish(),
            }
        }
    }
    /// The transport of the DNS message.
    #[derive(Clone, Copy, PartialEq, Eq, Hash)]
    #[repr(transparent)]
    pub struct SocketProtocol(pub u32);
    impl SocketProtocol {
        /// Maximum encoded size of the enum
        pub const _MAX_SIZE: usize = 5usize;
        pub const Udp: Self = Self(1);
        pub const Tcp: Self = Self(2);
        pub const Dot: Self = Self(3);
        pub const Doh: Self = Self(4);
        pub const DnsCryptUdp: Self = Self(5);
        pub const DnsCryptTcp: Self = Self(6);
        pub const Doq: Self = Self(7);
    }
    impl core::default::Default for SocketProtocol {
        fn default() -> Self {
            Self(1)
        }
    }
    impl core::convert::From<u32> for SocketProtocol {
        fn from(val: u32) -> Self {
            Self(val)
        }
    }
    impl core::fmt::Debug for SocketProtocol {
        fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            match *self {
                SocketProtocol::Udp => formatter.write_str("Udp"),
                SocketProtocol::Tcp => formatter.write_str("Tcp"),
                SocketProtocol::Dot => formatter.write_str("Dot"),
                SocketProtocol::Doh => formatter.write_str("Doh"),
                SocketProtocol::DnsCryptUdp => formatter.write_str("DnsCryptUdp"),
                SocketProtocol::DnsCryptTcp => formatter.write_str("DnsCryptTcp"),
                SocketProtocol::Doq => formatter.write_str("Doq"),
                Self(n) => formatter.debug_tuple("_Unknown").field(&n).finish(),
            }
        }
    }
    /// The version of HTTP below DNS over HTTPS.
    #[derive(Clone, Copy, PartialEq, Eq, Hash)]
    #[repr(transparent)]
    pub struct HttpProtocol(pub u32);
    impl HttpProtocol {
        /// Maximum encoded size of the enum
        pub const _MAX_SIZE: usize = 5usize;
        pub const Http1: Self = Self(1);
        pub const Http2: Self = Self(2);
        pub const Http3: Self = Self(3);
    }
    impl core::default::Default for HttpProtocol {
        fn default() -> Self {
            Self(1)
        }
    }
    impl core::convert::From<u32> for HttpProtocol {
        fn from(val: u32) -> Self {
            Self(val)
        }
    }
    impl core::fmt::Debug for HttpProtocol {
        fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            match *self {
                HttpProtocol::Http1 => formatter.write_str("Http1"),
                HttpProtocol::Http2 => formatter.write_str("Http2"),
                HttpProtocol::Http3 => formatter.write_str("Http3"),
                Self(n) => formatter.debug_tuple("_Unknown").field(&n).finish(),
            }
        }
    }
}
