//! Packets for a person to read: one line each, payloads abbreviated, secrets hidden.

use core::fmt::{Display, Formatter, Result};

use crate::packet::{
    Auth, ConnAck, Connect, Disconnect, Packet, PubAck, PubComp, PubRec, PubRel, Publish, SubAck,
    Subscribe, Subscription, UnsubAck, Unsubscribe, Will,
};
use crate::packet_id::PacketId;
use crate::packet_type::PacketType;
use crate::properties::Properties;
use crate::qos::QoS;
use crate::reason::ReasonCode;
use crate::text::{Bytes, Secret, Text};

impl Display for Packet<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Connect(packet) => packet.fmt(f),
            Self::ConnAck(packet) => packet.fmt(f),
            Self::Publish(packet) => packet.fmt(f),
            Self::PubAck(packet) => packet.fmt(f),
            Self::PubRec(packet) => packet.fmt(f),
            Self::PubRel(packet) => packet.fmt(f),
            Self::PubComp(packet) => packet.fmt(f),
            Self::Subscribe(packet) => packet.fmt(f),
            Self::SubAck(packet) => packet.fmt(f),
            Self::Unsubscribe(packet) => packet.fmt(f),
            Self::UnsubAck(packet) => packet.fmt(f),
            Self::PingReq | Self::PingResp => self.packet_type().fmt(f),
            Self::Disconnect(packet) => packet.fmt(f),
            Self::Auth(packet) => packet.fmt(f),
        }
    }
}

/// `CONNECT 5.0 "sensor-7" clean start, keep alive 60 s, user "u", password <3 bytes hidden>`
impl Display for Connect<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "CONNECT {} {}", self.version, Text(self.client_id))?;
        if self.clean_start {
            f.write_str(" clean start")?;
        }
        write!(f, ", keep alive {} s", self.keep_alive)?;
        if let Some(user_name) = self.user_name {
            write!(f, ", user {}", Text(user_name))?;
        }
        if let Some(password) = self.password {
            write!(f, ", password {}", Secret(password))?;
        }
        if let Some(will) = &self.will {
            write!(f, ", will {will}")?;
        }
        fmt_properties(&self.properties, f)
    }
}

impl Display for Will<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} QoS {}", Text(self.topic), self.qos)?;
        if self.retain {
            f.write_str(" retain")?;
        }
        write!(f, " {}", Bytes(self.payload))?;
        fmt_properties(&self.properties, f)
    }
}

impl Display for ConnAck<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("CONNACK ")?;
        fmt_reason(self.reason_code, PacketType::ConnAck, f)?;
        if self.session_present {
            f.write_str(", session present")?;
        }
        fmt_properties(&self.properties, f)
    }
}

/// `PUBLISH "a/b" QoS 1 #7 retain "21.5"`
impl Display for Publish<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "PUBLISH {} QoS {}", Text(self.topic), self.qos)?;
        if let Some(packet_id) = self.packet_id {
            write!(f, " #{packet_id}")?;
        }
        if self.dup {
            f.write_str(" dup")?;
        }
        if self.retain {
            f.write_str(" retain")?;
        }
        write!(f, " {}", Bytes(self.payload))?;
        fmt_properties(&self.properties, f)
    }
}

/// The DUP flag where 3.1 has one beside PUBLISH.
struct Dup(bool);

impl Display for Dup {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(if self.0 { "dup " } else { "" })
    }
}

macro_rules! display_acks {
    ($($ack:ident $(dup $dup:ident)?),+) => {
        $(
            impl Display for $ack<'_> {
                fn fmt(&self, f: &mut Formatter<'_>) -> Result {
                    let packet_type = PacketType::$ack;
                    fmt_ack(packet_type, self.packet_id, self.reason_code, &self.properties, f)?;
                    $(
                        if self.$dup {
                            f.write_str(" dup")?;
                        }
                    )?
                    Ok(())
                }
            }
        )+
    };
}

display_acks!(PubAck, PubRec, PubRel dup dup, PubComp);

fn fmt_ack(
    packet_type: PacketType,
    packet_id: PacketId,
    reason_code: ReasonCode,
    properties: &Properties<'_>,
    f: &mut Formatter<'_>,
) -> Result {
    write!(f, "{packet_type} #{packet_id}")?;
    if reason_code != ReasonCode::SUCCESS {
        f.write_str(" ")?;
        fmt_reason(reason_code, packet_type, f)?;
    }
    fmt_properties(properties, f)
}

impl Display for Subscribe<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "SUBSCRIBE #{} {}", self.packet_id, Dup(self.dup))?;
        fmt_list(self.subscriptions, f)?;
        fmt_properties(&self.properties, f)
    }
}

impl Display for Subscription<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} QoS {}", Text(self.topic_filter), self.qos)?;
        if self.no_local {
            f.write_str(" no local")?;
        }
        if self.retain_as_published {
            f.write_str(" retain as published")?;
        }
        match self.retain_handling.get() {
            0 => Ok(()),
            handling => write!(f, " retain handling {handling}"),
        }
    }
}

impl Display for SubAck<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "SUBACK #{} ", self.packet_id)?;
        fmt_list(self.reason_codes.iter().map(Granted), f)?;
        fmt_properties(&self.properties, f)
    }
}

/// A Reason Code of SUBACK.
struct Granted(ReasonCode);

impl Display for Granted {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match QoS::new(self.0.get()) {
            Some(qos) => write!(f, "QoS {qos}"),
            None => self.0.fmt(f),
        }
    }
}

impl Display for Unsubscribe<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "UNSUBSCRIBE #{} {}", self.packet_id, Dup(self.dup))?;
        fmt_list(self.topic_filters.iter().map(Text), f)?;
        fmt_properties(&self.properties, f)
    }
}

impl Display for UnsubAck<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "UNSUBACK #{}", self.packet_id)?;
        if self.reason_codes.iter().next().is_some() {
            f.write_str(" ")?;
            fmt_list(self.reason_codes, f)?;
        }
        fmt_properties(&self.properties, f)
    }
}

impl Display for Disconnect<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("DISCONNECT ")?;
        fmt_reason(self.reason_code, PacketType::Disconnect, f)?;
        fmt_properties(&self.properties, f)
    }
}

impl Display for Auth<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("AUTH ")?;
        fmt_reason(self.reason_code, PacketType::Auth, f)?;
        fmt_properties(&self.properties, f)
    }
}

fn fmt_reason(code: ReasonCode, packet_type: PacketType, f: &mut Formatter<'_>) -> Result {
    write!(f, "{:#04x}", code.get())?;
    match code.name(packet_type) {
        Some(name) => write!(f, " {name}"),
        None => Ok(()),
    }
}

fn fmt_list<T: Display>(list: impl IntoIterator<Item = T>, f: &mut Formatter<'_>) -> Result {
    f.write_str("[")?;
    fmt_items(list, f)?;
    f.write_str("]")
}

fn fmt_properties(properties: &Properties<'_>, f: &mut Formatter<'_>) -> Result {
    if properties.is_empty() {
        return Ok(());
    }
    f.write_str(" {")?;
    fmt_items(properties, f)?;
    f.write_str("}")
}

/// As many items as a line takes, and how many more there are.
fn fmt_items<T: Display>(items: impl IntoIterator<Item = T>, f: &mut Formatter<'_>) -> Result {
    const SHOWN: usize = 8;
    let mut items = items.into_iter();
    for (index, item) in items.by_ref().take(SHOWN).enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        item.fmt(f)?;
    }
    match items.count() {
        0 => Ok(()),
        more => write!(f, ", … {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::RetainHandling;
    use crate::property::Property;
    use alloc::string::ToString;

    #[test]
    fn a_packet_is_one_line() {
        let id = PacketId::new(7).unwrap();
        let properties = [Property::ContentType("text/plain"), Property::UserProperty("k", "v\n")];
        let publish = Publish {
            topic: "a/b",
            payload: b"21.5",
            qos: QoS::AtLeastOnce,
            packet_id: Some(id),
            retain: true,
            properties: (&properties).into(),
            ..Default::default()
        };
        let subscriptions = [
            Subscription::new("a", QoS::AtMostOnce),
            Subscription {
                no_local: true,
                retain_handling: RetainHandling::DoNotSend,
                ..Subscription::new("b/#", QoS::ExactlyOnce)
            },
        ];
        let refused = PubAck { reason_code: ReasonCode::NOT_AUTHORIZED, ..PubAck::new(id) };
        let connect = Connect {
            client_id: "c",
            user_name: Some("u"),
            password: Some(b"secret"),
            will: Some(Will { topic: "w", payload: &[0xff], ..Default::default() }),
            ..Default::default()
        };
        let rows: [(Packet<'_>, &str); 13] = [
            (
                publish.into(),
                "PUBLISH \"a/b\" QoS 1 #7 retain \"21.5\" {Content Type=\"text/plain\", User Property=\"k\":\"v\\n\"}",
            ),
            (
                connect.into(),
                "CONNECT 5.0 \"c\" clean start, keep alive 0 s, user \"u\", password <6 bytes hidden>, will \"w\" QoS 0 0xff",
            ),
            (
                Subscribe::new(id, &subscriptions).into(),
                "SUBSCRIBE #7 [\"a\" QoS 0, \"b/#\" QoS 2 no local retain handling 2]",
            ),
            (
                SubAck::new(id, &[ReasonCode::GRANTED_QOS_2, ReasonCode::NOT_AUTHORIZED]).into(),
                "SUBACK #7 [QoS 2, 0x87 Not authorized]",
            ),
            (Unsubscribe::new(id, &["a"]).into(), "UNSUBSCRIBE #7 [\"a\"]"),
            (UnsubAck::new(id, &[]).into(), "UNSUBACK #7"),
            (ConnAck::default().into(), "CONNACK 0x00 Success"),
            (refused.into(), "PUBACK #7 0x87 Not authorized"),
            (PubRel { dup: true, ..PubRel::new(id) }.into(), "PUBREL #7 dup"),
            (
                Unsubscribe { dup: true, ..Unsubscribe::new(id, &["a"]) }.into(),
                "UNSUBSCRIBE #7 dup [\"a\"]",
            ),
            (Packet::PingReq, "PINGREQ"),
            (Disconnect::default().into(), "DISCONNECT 0x00 Normal disconnection"),
            (Auth::default().into(), "AUTH 0x00 Success"),
        ];
        for (packet, line) in rows {
            assert_eq!(packet.to_string(), line);
        }
    }

    #[test]
    fn long_lists_are_cut() {
        let filters = ["a"; 20];
        let line = Unsubscribe::new(PacketId::MIN, &filters).to_string();
        assert!(line.ends_with("\"a\", … 12 more]"), "{line}");
    }

    #[test]
    fn a_line_stays_short_whatever_a_peer_sends() {
        let long = "a".repeat(65_535);
        let properties = alloc::vec![Property::UserProperty(&long, &long); 1_000];
        let publish = Publish {
            topic: &long,
            payload: long.as_bytes(),
            properties: Properties::List(&properties),
            ..Default::default()
        };
        let line = publish.to_string();
        assert!(line.len() < 3_000 && line.ends_with(", … 992 more}"), "{}", line.len());
    }
}
