//! A peer of 3.1.1 and 5.0, which keeps packets in the form of the wire.

use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{
    PacketBuildResult, PacketBuilder, PacketData, RawPacket,
};
use mqtt_protocol_core::mqtt::packet::prelude::PropertyValueAccess as _;
use mqtt_protocol_core::mqtt::packet::{Packet, Properties, SubEntry, v3_1_1, v5_0};
use sansio_mqtt::{PropertyId, Version};

use super::debug;
use super::facts::{self, Facts};

pub fn decode(frame: &[u8], version: Version) -> Result<Facts, String> {
    let mut cursor = Cursor::new(frame);
    let raw = match PacketBuilder::new().feed(&mut cursor) {
        PacketBuildResult::Complete(raw) => raw,
        PacketBuildResult::Incomplete => return Err("incomplete".into()),
        PacketBuildResult::Error(error) => return Err(debug(error)),
    };
    let packet = if version.is_v5() { parse_v5(raw)? } else { parse_v3(raw)? };
    Ok(of(&packet))
}

/// Parses a packet by its first byte, as this peer's connection does.
macro_rules! parse {
    ($raw:expr, $module:ident; $($first:literal $name:ident),+) => {{
        let raw = $raw;
        match (raw.packet_type(), raw.flags(), raw) {
            (3, flags, RawPacket { data: PacketData::Publish(data), .. }) => {
                Ok($module::Publish::parse(flags, data).map_err(debug)?.0.into())
            }
            $((number, flags, raw) if number << 4 | flags == $first => {
                Ok(raw.parse_exact($module::$name::parse).map_err(debug)?.into())
            })+
            (number, flags, _) => Err(format!("type {number} with flags {flags}")),
        }
    }};
}

fn parse_v3(raw: RawPacket) -> Result<Packet, String> {
    parse!(
        raw, v3_1_1;
        0x10 Connect, 0x20 Connack, 0x40 Puback, 0x50 Pubrec, 0x62 Pubrel, 0x70 Pubcomp,
        0x82 Subscribe, 0x90 Suback, 0xa2 Unsubscribe, 0xb0 Unsuback, 0xc0 Pingreq, 0xd0 Pingresp,
        0xe0 Disconnect
    )
}

fn parse_v5(raw: RawPacket) -> Result<Packet, String> {
    parse!(
        raw, v5_0;
        0x10 Connect, 0x20 Connack, 0x40 Puback, 0x50 Pubrec, 0x62 Pubrel, 0x70 Pubcomp,
        0x82 Subscribe, 0x90 Suback, 0xa2 Unsubscribe, 0xb0 Unsuback, 0xc0 Pingreq, 0xd0 Pingresp,
        0xe0 Disconnect, 0xf0 Auth
    )
}

/// The fields of a CONNECT, whose types in the two versions have nothing in common but names.
macro_rules! connect {
    ($packet:expr, $clean_start:ident, $will:expr) => {{
        let packet = $packet;
        let facts = Facts::new(1)
            .number("version", packet.protocol_version())
            .number("clean start", packet.$clean_start())
            .number("keep alive", packet.keep_alive())
            .bytes("client id", packet.client_id())
            .maybe_bytes("user name", packet.user_name())
            .maybe_bytes("password", packet.password());
        match packet.will_topic() {
            Some(topic) => facts.will(
                $will
                    .number("qos", packet.will_qos() as u8)
                    .number("retain", packet.will_retain())
                    .bytes("topic", topic)
                    .bytes("payload", packet.will_payload().unwrap_or_default()),
            ),
            None => facts,
        }
    }};
}

macro_rules! publish {
    ($packet:expr) => {
        Facts::new(3)
            .number("dup", $packet.dup())
            .number("qos", $packet.qos() as u8)
            .number("retain", $packet.retain())
            .bytes("topic", $packet.topic_name())
            .maybe_number("packet id", $packet.packet_id())
            .bytes("payload", $packet.payload().as_slice())
    };
}

/// An acknowledgement of 3.1.1.
macro_rules! plain_ack {
    ($number:literal, $packet:expr) => {
        Facts::new($number).number("packet id", $packet.packet_id()).number("reason code", 0u8)
    };
}

/// An acknowledgement of 5.0, whose Reason Code and properties may be left out.
macro_rules! ack {
    ($number:literal, $packet:expr) => {
        optional(Facts::new($number), $packet.props().as_ref())
            .number("packet id", $packet.packet_id())
            .number("reason code", $packet.reason_code().map_or(0, |code| code as u8))
    };
}

fn of(packet: &Packet) -> Facts {
    match packet {
        Packet::V3_1_1Connect(packet) => connect!(packet, clean_session, Facts::default()),
        Packet::V5_0Connect(packet) => {
            let will = properties(Facts::default(), packet.will_props());
            properties(connect!(packet, clean_start, will), packet.props())
        }
        Packet::V3_1_1Connack(packet) => Facts::new(2)
            .number("session present", packet.session_present())
            .number("reason code", facts::of_return_code(packet.return_code() as u8)),
        Packet::V5_0Connack(packet) => properties(Facts::new(2), packet.props())
            .number("session present", packet.session_present())
            .number("reason code", packet.reason_code() as u8),
        Packet::V3_1_1Publish(packet) => publish!(packet),
        Packet::V5_0Publish(packet) => properties(publish!(packet), packet.props()),
        Packet::V3_1_1Puback(packet) => plain_ack!(4, packet),
        Packet::V3_1_1Pubrec(packet) => plain_ack!(5, packet),
        Packet::V3_1_1Pubrel(packet) => plain_ack!(6, packet),
        Packet::V3_1_1Pubcomp(packet) => plain_ack!(7, packet),
        Packet::V5_0Puback(packet) => ack!(4, packet),
        Packet::V5_0Pubrec(packet) => ack!(5, packet),
        Packet::V5_0Pubrel(packet) => ack!(6, packet),
        Packet::V5_0Pubcomp(packet) => ack!(7, packet),
        Packet::V3_1_1Subscribe(packet) => {
            subscriptions(Facts::new(8), packet.entries()).number("packet id", packet.packet_id())
        }
        Packet::V5_0Subscribe(packet) => {
            subscriptions(properties(Facts::new(8), packet.props()), packet.entries())
                .number("packet id", packet.packet_id())
        }
        Packet::V3_1_1Suback(packet) => Facts::new(9)
            .number("packet id", packet.packet_id())
            .numbers("reason codes", packet.return_codes().into_iter().map(|code| code as u8)),
        Packet::V5_0Suback(packet) => properties(Facts::new(9), packet.props())
            .number("packet id", packet.packet_id())
            .numbers("reason codes", packet.reason_codes().into_iter().map(|code| code as u8)),
        Packet::V3_1_1Unsubscribe(packet) => packet
            .entries()
            .iter()
            .fold(Facts::new(10).number("packet id", packet.packet_id()), |facts, filter| {
                facts.bytes("topic filter", filter.as_str())
            }),
        Packet::V5_0Unsubscribe(packet) => packet.entries().iter().fold(
            properties(Facts::new(10), packet.props()).number("packet id", packet.packet_id()),
            |facts, filter| facts.bytes("topic filter", filter.as_str()),
        ),
        Packet::V3_1_1Unsuback(packet) => Facts::new(11).number("packet id", packet.packet_id()),
        Packet::V5_0Unsuback(packet) => properties(Facts::new(11), packet.props())
            .number("packet id", packet.packet_id())
            .numbers("reason codes", packet.reason_codes().into_iter().map(|code| code as u8)),
        Packet::V3_1_1Pingreq(_) | Packet::V5_0Pingreq(_) => Facts::new(12),
        Packet::V3_1_1Pingresp(_) | Packet::V5_0Pingresp(_) => Facts::new(13),
        Packet::V3_1_1Disconnect(_) => Facts::new(14).number("reason code", 0u8),
        Packet::V5_0Disconnect(packet) => optional(Facts::new(14), packet.props().as_ref())
            .number("reason code", packet.reason_code().map_or(0, |code| code as u8)),
        Packet::V5_0Auth(packet) => optional(Facts::new(15), packet.props().as_ref())
            .number("reason code", packet.reason_code().map_or(0, |code| code as u8)),
    }
}

fn subscriptions(facts: Facts, entries: &[SubEntry]) -> Facts {
    entries.iter().fold(facts, |facts, entry| {
        let options = entry.sub_opts();
        let retain_handling = options.rh() as u8;
        let bits =
            facts::options(options.qos() as u8, options.nl(), options.rap(), retain_handling);
        facts.subscription(entry.topic_filter(), bits)
    })
}

fn optional(facts: Facts, list: Option<&Properties>) -> Facts {
    if let Some(list) = list { properties(facts, list) } else { facts }
}

fn properties(facts: Facts, list: &Properties) -> Facts {
    list.iter().fold(facts, |facts, property| {
        let id = PropertyId::new(property.id() as u8).expect("a property of the standard");
        facts
            .maybe_number(id.name(), property.as_u8())
            .maybe_number(id.name(), property.as_u16())
            .maybe_number(id.name(), property.as_u32())
            .maybe_bytes(id.name(), property.as_str())
            .maybe_bytes(id.name(), property.as_bytes())
            .pairs(property.as_key_value())
    })
}
