//! The 27 properties of MQTT 5.0 §2.2.2.2 as one table: identifier, type, range, the packets
//! that have them, and those in which they may repeat.

use core::fmt;

use crate::packet_type::{PacketType, Places, Sender, place_name};

/// How the value of a property is represented, §1.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PropertyType {
    /// One byte.
    Byte,
    /// An integer of two bytes.
    TwoByteInteger,
    /// An integer of four bytes.
    FourByteInteger,
    /// An integer of one to four bytes.
    VariableByteInteger,
    /// Up to 65,535 bytes of UTF-8.
    Utf8String,
    /// Two UTF-8 strings: a name and a value.
    Utf8StringPair,
    /// Up to 65,535 bytes.
    BinaryData,
}

/// Which of the values that a type has are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    Any,
    /// 0 or 1.
    Flag,
    NonZero,
    /// Text that is a Topic Name.
    TopicName,
}

/// What the standard says of a property, as far as encoding and decoding go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// `None` where no property has the identifier.
    pub(crate) id: Option<PropertyId>,
    pub(crate) value: PropertyType,
    pub(crate) range: Range,
    pub(crate) places: Places,
    /// Where the property may be there more than once.
    pub(crate) repeats: Places,
}

impl Rule {
    const UNKNOWN: Self = Self {
        id: None,
        value: PropertyType::Byte,
        range: Range::Any,
        places: Places::NONE,
        repeats: Places::NONE,
    };

    /// The rule for an identifier; [`Rule::id`] is `None` if no property has it.
    #[inline(always)]
    pub(crate) fn of(identifier: u8) -> &'static Self {
        RULES.get(usize::from(identifier)).unwrap_or(&Self::UNKNOWN)
    }
}

macro_rules! properties {
    ($($identifier:literal $id:ident $name:literal $value:ident $range:ident
        [$($place:ident),+] [$($repeats:ident)?];)+) => {
        /// Names a property; as `u8` its identifier on the wire. §2.2.2.2
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum PropertyId {
            $(
                #[doc = concat!("`", stringify!($identifier), "` ", $name, $("; ", place_name!($place)),+)]
                $id = $identifier,
            )+
        }

        impl PropertyId {
            /// All properties, by identifier.
            pub const ALL: [Self; 27] = [$(Self::$id),+];

            /// The name of table 2-4.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$id => $name,)+
                }
            }

            const fn find_rule(identifier: u8) -> Rule {
                match identifier {
                    $($identifier => Rule {
                        id: Some(Self::$id),
                        value: PropertyType::$value,
                        range: Range::$range,
                        places: Places::NONE$(.or(Places::$place))+,
                        repeats: Places::NONE$(.or(Places::$repeats))?,
                    },)+
                    _ => Rule::UNKNOWN,
                }
            }
        }
    };
}

// Table 2-4: identifier, name, type, range, packets, and packets in which it may repeat.
properties! {
    0x01 PayloadFormatIndicator "Payload Format Indicator" Byte Flag [PUBLISH, WILL] [];
    0x02 MessageExpiryInterval "Message Expiry Interval" FourByteInteger Any [PUBLISH, WILL] [];
    0x03 ContentType "Content Type" Utf8String Any [PUBLISH, WILL] [];
    0x08 ResponseTopic "Response Topic" Utf8String TopicName [PUBLISH, WILL] [];
    0x09 CorrelationData "Correlation Data" BinaryData Any [PUBLISH, WILL] [];
    0x0b SubscriptionIdentifier "Subscription Identifier" VariableByteInteger NonZero [PUBLISH_BY_SERVER, SUBSCRIBE] [PUBLISH_BY_SERVER];
    0x11 SessionExpiryInterval "Session Expiry Interval" FourByteInteger Any [CONNECT, CONNACK, DISCONNECT_BY_CLIENT] [];
    0x12 AssignedClientIdentifier "Assigned Client Identifier" Utf8String Any [CONNACK] [];
    0x13 ServerKeepAlive "Server Keep Alive" TwoByteInteger Any [CONNACK] [];
    0x15 AuthenticationMethod "Authentication Method" Utf8String Any [CONNECT, CONNACK, AUTH] [];
    0x16 AuthenticationData "Authentication Data" BinaryData Any [CONNECT, CONNACK, AUTH] [];
    0x17 RequestProblemInformation "Request Problem Information" Byte Flag [CONNECT] [];
    0x18 WillDelayInterval "Will Delay Interval" FourByteInteger Any [WILL] [];
    0x19 RequestResponseInformation "Request Response Information" Byte Flag [CONNECT] [];
    0x1a ResponseInformation "Response Information" Utf8String Any [CONNACK] [];
    0x1c ServerReference "Server Reference" Utf8String Any [CONNACK, DISCONNECT_BY_SERVER] [];
    0x1f ReasonString "Reason String" Utf8String Any [CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH] [];
    0x21 ReceiveMaximum "Receive Maximum" TwoByteInteger NonZero [CONNECT, CONNACK] [];
    0x22 TopicAliasMaximum "Topic Alias Maximum" TwoByteInteger Any [CONNECT, CONNACK] [];
    0x23 TopicAlias "Topic Alias" TwoByteInteger NonZero [PUBLISH] [];
    0x24 MaximumQoS "Maximum QoS" Byte Flag [CONNACK] [];
    0x25 RetainAvailable "Retain Available" Byte Flag [CONNACK] [];
    0x26 UserProperty "User Property" Utf8StringPair Any [CONNECT, CONNACK, PUBLISH, WILL, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, DISCONNECT, AUTH] [EVERYWHERE];
    0x27 MaximumPacketSize "Maximum Packet Size" FourByteInteger NonZero [CONNECT, CONNACK] [];
    0x28 WildcardSubscriptionAvailable "Wildcard Subscription Available" Byte Flag [CONNACK] [];
    0x29 SubscriptionIdentifierAvailable "Subscription Identifier Available" Byte Flag [CONNACK] [];
    0x2a SharedSubscriptionAvailable "Shared Subscription Available" Byte Flag [CONNACK] [];
}

static RULES: [Rule; 0x2b] = {
    let mut rules = [Rule::UNKNOWN; 0x2b];
    let mut identifier = 0u8;
    while identifier < 0x2b {
        // Evaluated by the compiler: an index out of bounds would not build.
        #[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
        {
            rules[identifier as usize] = PropertyId::find_rule(identifier);
            identifier += 1;
        }
    }
    rules
};

impl PropertyId {
    /// The property with this identifier, or `None` if 5.0 knows none.
    #[inline]
    pub fn new(identifier: u8) -> Option<Self> {
        Rule::of(identifier).id
    }

    /// The identifier on the wire.
    #[inline]
    pub const fn get(self) -> u8 {
        self as u8
    }

    /// How its value is represented.
    pub fn value_type(self) -> PropertyType {
        self.rule().value
    }

    /// Whether `sender` may send it in a packet of this type, outside of the Will Properties.
    ///
    /// ```
    /// use sansio_mqtt::{PacketType, PropertyId, Sender};
    ///
    /// let id = PropertyId::SubscriptionIdentifier;
    /// assert!(id.is_allowed_in(PacketType::Publish, Sender::Server));
    /// assert!(!id.is_allowed_in(PacketType::Publish, Sender::Client));
    /// ```
    pub fn is_allowed_in(self, packet_type: PacketType, sender: Sender) -> bool {
        !self.rule().places.and(Places::of(packet_type, sender)).is_none()
    }

    /// Whether it is one of the Will Properties.
    pub fn is_allowed_in_will(self) -> bool {
        !self.rule().places.and(Places::WILL).is_none()
    }

    /// Whether it may be there more than once in a packet of this type, which holds for User
    /// Properties anywhere and for Subscription Identifiers in PUBLISH.
    pub fn may_repeat_in(self, packet_type: PacketType) -> bool {
        !self.rule().repeats.and(Places::both(packet_type)).is_none()
    }

    #[inline]
    pub(crate) fn rule(self) -> &'static Rule {
        Rule::of(self.get())
    }
}

impl fmt::Display for PropertyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_find_their_property_and_others_find_none() {
        for id in PropertyId::ALL {
            assert_eq!(PropertyId::new(id.get()), Some(id));
        }
        let known = (0..=255).filter(|identifier| PropertyId::new(*identifier).is_some());
        assert_eq!(known.count(), 27);
    }

    #[test]
    fn only_two_properties_repeat() {
        for id in PropertyId::ALL {
            for packet_type in PacketType::ALL {
                let expected = id == PropertyId::UserProperty
                    || id == PropertyId::SubscriptionIdentifier
                        && packet_type == PacketType::Publish;
                assert_eq!(id.may_repeat_in(packet_type), expected, "{id} in {packet_type}");
            }
        }
    }

    #[test]
    fn some_properties_have_one_sender() {
        // v5 [MQTT-3.3.4-6] [MQTT-3.14.2-2]
        let rows = [
            (PropertyId::SubscriptionIdentifier, PacketType::Publish, false, true),
            (PropertyId::SessionExpiryInterval, PacketType::Disconnect, true, false),
            (PropertyId::ServerReference, PacketType::Disconnect, false, true),
            (PropertyId::TopicAlias, PacketType::Publish, true, true),
        ];
        for (id, packet_type, client, server) in rows {
            assert_eq!(id.is_allowed_in(packet_type, Sender::Client), client, "{id}");
            assert_eq!(id.is_allowed_in(packet_type, Sender::Server), server, "{id}");
        }
    }
}
