//! Packets as one exhaustive line: every field, in the order of the standard's model.
//!
//! ```text
//! CONNECT version=5 clean_start=1 keep_alive=60 properties={} client_id="id" will={topic="t" payload=h'70' qos=1 retain=0 properties={will_delay_interval=5}} user_name="u" password=h'70'
//! CONNACK session_present=0 reason_code=0x00 properties={}
//! PUBLISH dup=0 qos=1 retain=0 topic="a/b" packet_id=0x000a properties={message_expiry_interval=10 user_property="k":"v"} payload=h'6869'
//! PUBACK packet_id=0x0001 reason_code=0x00 properties={}
//! PUBREL dup=0 packet_id=0x0001 reason_code=0x00 properties={}
//! SUBSCRIBE dup=0 packet_id=0x0001 properties={} subscriptions=["a/b" qos=1 no_local=0 retain_as_published=0 retain_handling=0, "c" qos=0 no_local=0 retain_as_published=0 retain_handling=0]
//! SUBACK packet_id=0x0001 properties={} reason_codes=[0x00 0x80]
//! UNSUBSCRIBE dup=0 packet_id=0x0001 properties={} topic_filters=["a/b" "c"]
//! UNSUBACK packet_id=0x0001 properties={} reason_codes=[0x00 0x11]
//! PINGREQ
//! PINGRESP
//! DISCONNECT reason_code=0x00 properties={}
//! AUTH reason_code=0x18 properties={authentication_method="m" authentication_data=h'01'}
//! ```
//!
//! Strings are as `{:?}` prints them, bytes hexadecimal, flags 0 and 1; properties have their
//! 5.0 names and are in wire order. What is absent is left out. The return codes of 3.x are
//! their Reason Codes. The library's own `Debug` and `Display` are for people and hide secrets.

use std::fmt::{Display, Formatter, Result};

use sansio_mqtt::{
    Connect, Packet, PacketId, Properties, Property, Publish, ReasonCode, ReasonCodes, Subscribe,
    Subscription, Unsubscribe, Version, Will,
};

/// A packet to print.
#[derive(Debug)]
pub(crate) struct Dump<'p, 'a> {
    pub(crate) packet: &'p Packet<'a>,
    /// In bytes; of a longer payload only its length and a hash are printed.
    pub(crate) longest_payload: usize,
}

impl Display for Dump<'_, '_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.packet.packet_type())?;
        match self.packet {
            Packet::Connect(packet) => self.connect(packet, f),
            Packet::ConnAck(packet) => {
                write!(f, " session_present={}", u8::from(packet.session_present))?;
                reason(packet.reason_code, &packet.properties, f)
            }
            Packet::Publish(packet) => self.publish(packet, f),
            Packet::PubAck(packet) => {
                packet_id(packet.packet_id, f)?;
                reason(packet.reason_code, &packet.properties, f)
            }
            Packet::PubRec(packet) => {
                packet_id(packet.packet_id, f)?;
                reason(packet.reason_code, &packet.properties, f)
            }
            Packet::PubRel(packet) => {
                write!(f, " dup={}", u8::from(packet.dup))?;
                packet_id(packet.packet_id, f)?;
                reason(packet.reason_code, &packet.properties, f)
            }
            Packet::PubComp(packet) => {
                packet_id(packet.packet_id, f)?;
                reason(packet.reason_code, &packet.properties, f)
            }
            Packet::Subscribe(packet) => subscribe(packet, f),
            Packet::SubAck(packet) => {
                packet_id(packet.packet_id, f)?;
                properties(&packet.properties, f)?;
                reason_codes(packet.reason_codes, f)
            }
            Packet::Unsubscribe(packet) => unsubscribe(packet, f),
            Packet::UnsubAck(packet) => {
                packet_id(packet.packet_id, f)?;
                properties(&packet.properties, f)?;
                reason_codes(packet.reason_codes, f)
            }
            Packet::PingReq | Packet::PingResp => Ok(()),
            Packet::Disconnect(packet) => reason(packet.reason_code, &packet.properties, f),
            Packet::Auth(packet) => reason(packet.reason_code, &packet.properties, f),
        }
    }
}

impl Dump<'_, '_> {
    fn connect(&self, packet: &Connect<'_>, f: &mut Formatter<'_>) -> Result {
        let version = match packet.version {
            Version::V3_1 => "3.1",
            Version::V3_1_1 => "3.1.1",
            Version::V5 => "5",
        };
        write!(f, " version={version} clean_start={}", u8::from(packet.clean_start))?;
        write!(f, " keep_alive={}", packet.keep_alive)?;
        properties(&packet.properties, f)?;
        write!(f, " client_id={:?}", packet.client_id)?;
        if let Some(will) = &packet.will {
            self.will(will, f)?;
        }
        if let Some(user_name) = packet.user_name {
            write!(f, " user_name={user_name:?}")?;
        }
        if let Some(password) = packet.password {
            write!(f, " password={}", Hex(password))?;
        }
        Ok(())
    }

    fn will(&self, will: &Will<'_>, f: &mut Formatter<'_>) -> Result {
        write!(f, " will={{topic={:?}", will.topic)?;
        self.payload(will.payload, f)?;
        write!(f, " qos={} retain={}", will.qos, u8::from(will.retain))?;
        properties(&will.properties, f)?;
        f.write_str("}")
    }

    fn publish(&self, packet: &Publish<'_>, f: &mut Formatter<'_>) -> Result {
        let (dup, retain) = (u8::from(packet.dup), u8::from(packet.retain));
        write!(f, " dup={dup} qos={} retain={retain} topic={:?}", packet.qos, packet.topic)?;
        if let Some(id) = packet.packet_id {
            packet_id(id, f)?;
        }
        properties(&packet.properties, f)?;
        self.payload(packet.payload, f)
    }

    fn payload(&self, payload: &[u8], f: &mut Formatter<'_>) -> Result {
        if payload.len() > self.longest_payload {
            write!(f, " payload=<len {} fnv1a64 {:#018x}>", payload.len(), fnv1a64(payload))
        } else {
            write!(f, " payload={}", Hex(payload))
        }
    }
}

fn subscribe(packet: &Subscribe<'_>, f: &mut Formatter<'_>) -> Result {
    write!(f, " dup={}", u8::from(packet.dup))?;
    packet_id(packet.packet_id, f)?;
    properties(&packet.properties, f)?;
    f.write_str(" subscriptions=[")?;
    for (index, subscription) in packet.subscriptions.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        options(&subscription, f)?;
    }
    f.write_str("]")
}

fn options(subscription: &Subscription<'_>, f: &mut Formatter<'_>) -> Result {
    write!(
        f,
        "{:?} qos={} no_local={} retain_as_published={} retain_handling={}",
        subscription.topic_filter,
        subscription.qos,
        u8::from(subscription.no_local),
        u8::from(subscription.retain_as_published),
        subscription.retain_handling as u8,
    )
}

fn unsubscribe(packet: &Unsubscribe<'_>, f: &mut Formatter<'_>) -> Result {
    write!(f, " dup={}", u8::from(packet.dup))?;
    packet_id(packet.packet_id, f)?;
    properties(&packet.properties, f)?;
    f.write_str(" topic_filters=[")?;
    for (index, filter) in packet.topic_filters.iter().enumerate() {
        let space = if index > 0 { " " } else { "" };
        write!(f, "{space}{filter:?}")?;
    }
    f.write_str("]")
}

fn packet_id(id: PacketId, f: &mut Formatter<'_>) -> Result {
    write!(f, " packet_id={:#06x}", id.get())
}

fn reason(code: ReasonCode, list: &Properties<'_>, f: &mut Formatter<'_>) -> Result {
    write!(f, " reason_code={:#04x}", code.get())?;
    properties(list, f)
}

fn reason_codes(codes: ReasonCodes<'_>, f: &mut Formatter<'_>) -> Result {
    f.write_str(" reason_codes=[")?;
    for (index, code) in codes.iter().enumerate() {
        let space = if index > 0 { " " } else { "" };
        write!(f, "{space}{:#04x}", code.get())?;
    }
    f.write_str("]")
}

fn properties(list: &Properties<'_>, f: &mut Formatter<'_>) -> Result {
    f.write_str(" properties={")?;
    for (index, item) in list.iter().enumerate() {
        if index > 0 {
            f.write_str(" ")?;
        }
        write!(f, "{}=", item.id().name().to_ascii_lowercase().replace(' ', "_"))?;
        value(&item, f)?;
    }
    f.write_str("}")
}

fn value(property: &Property<'_>, f: &mut Formatter<'_>) -> Result {
    match *property {
        Property::PayloadFormatIndicator(flag)
        | Property::RequestProblemInformation(flag)
        | Property::RequestResponseInformation(flag)
        | Property::RetainAvailable(flag)
        | Property::WildcardSubscriptionAvailable(flag)
        | Property::SubscriptionIdentifierAvailable(flag)
        | Property::SharedSubscriptionAvailable(flag) => write!(f, "{}", u8::from(flag)),
        Property::MaximumQoS(qos) => write!(f, "{qos}"),
        Property::ServerKeepAlive(number)
        | Property::ReceiveMaximum(number)
        | Property::TopicAliasMaximum(number)
        | Property::TopicAlias(number) => write!(f, "{number}"),
        Property::MessageExpiryInterval(number)
        | Property::SubscriptionIdentifier(number)
        | Property::SessionExpiryInterval(number)
        | Property::WillDelayInterval(number)
        | Property::MaximumPacketSize(number) => write!(f, "{number}"),
        Property::ContentType(text)
        | Property::ResponseTopic(text)
        | Property::AssignedClientIdentifier(text)
        | Property::AuthenticationMethod(text)
        | Property::ResponseInformation(text)
        | Property::ServerReference(text)
        | Property::ReasonString(text) => write!(f, "{text:?}"),
        Property::CorrelationData(bytes) | Property::AuthenticationData(bytes) => {
            write!(f, "{}", Hex(bytes))
        }
        Property::UserProperty(name, text) => write!(f, "{name:?}:{text:?}"),
    }
}

struct Hex<'a>(&'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("h'")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("'")
    }
}

/// The 64-bit hash FNV-1a.
fn fnv1a64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
