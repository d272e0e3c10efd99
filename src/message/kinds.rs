//! Kinds of messages: the conversations that dnstap tells apart, a query and its response together.

use crate::values::choice;
use crate::wire::iana::MessageType;

choice! {
    /// A kind by name; the discriminant is that of [`MessageType::kind`].
    MessageKind {
        /// An authoritative server and who asks it.
        Auth = "AUTH" = 0,
        /// A resolver and the authoritative servers.
        Resolver = "RESOLVER" = 1,
        /// A resolver and its clients.
        Client = "CLIENT" = 2,
        /// A forwarder and its upstream.
        Forwarder = "FORWARDER" = 3,
        /// A stub resolver and its resolver.
        Stub = "STUB" = 4,
        /// A tool and the server it asks.
        Tool = "TOOL" = 5,
        /// A server and who updates it.
        Update = "UPDATE" = 6,
    }
}

/// Some of the kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageKinds(u32);

impl MessageKinds {
    /// Those of a list.
    pub(crate) fn of(kinds: &[MessageKind]) -> Self {
        MessageKinds(kinds.iter().fold(0, |bits, &kind| bits | 1 << kind as u32))
    }

    /// Whether a message is of one of these kinds; one without a known kind is not.
    #[inline]
    pub(crate) fn contain(self, message: MessageType) -> bool {
        1u32.checked_shl(message.kind()).is_some_and(|bit| self.0 & bit != 0)
    }
}

/// The kinds whose query address is a client, unless the configuration says otherwise. In the others the
/// machine itself asks.
pub(crate) const CLIENT_KINDS: [MessageKind; 5] =
    [MessageKind::Client, MessageKind::Auth, MessageKind::Update, MessageKind::Stub, MessageKind::Tool];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_those_of_the_message_types() {
        for kind in MessageKind::ALL {
            let alone = MessageKinds::of(&[*kind]);
            for message in MessageType::ALL {
                let is_one = message.to_string().starts_with(&format!("{kind}_"));
                assert_eq!(alone.contain(message), is_one, "{kind}: {message}");
            }
            assert!(!alone.contain(MessageType(0)) && !alone.contain(MessageType(65)), "{kind}");
        }
        assert!(MessageKinds::of(&CLIENT_KINDS).contain(MessageType::CLIENT_QUERY));
        assert!(!MessageKinds::of(&CLIENT_KINDS).contain(MessageType::FORWARDER_RESPONSE));
    }
}
