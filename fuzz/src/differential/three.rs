//! A peer of 3.1, whose packets borrow. It takes the frame by itself and does not tell how much
//! of it it read.

use mqttrs::{Packet, Pid, Protocol, QosPid, SubscribeReturnCodes, decode_slice};
use sansio_mqtt::Version;

use super::debug;
use super::facts::{self, Facts};

pub fn decode(frame: &[u8], _: Version) -> Result<Facts, String> {
    let packet = decode_slice(frame).map_err(debug)?.ok_or("incomplete")?;
    if let Packet::Connect(connect) = &packet
        && connect.protocol != Protocol::MQIsdp
    {
        return Err("a CONNECT of another version".into());
    }
    Ok(of(&packet))
}

fn of(packet: &Packet<'_>) -> Facts {
    let ack = |packet_type: u8, pid: &Pid| {
        Facts::new(packet_type).number("packet id", pid.get()).number("reason code", 0u8)
    };
    match packet {
        Packet::Connect(connect) => {
            let facts = Facts::new(1)
                .number("version", 3u8)
                .number("clean start", connect.clean_session)
                .number("keep alive", connect.keep_alive)
                .bytes("client id", connect.client_id)
                .maybe_bytes("user name", connect.username)
                .maybe_bytes("password", connect.password);
            match &connect.last_will {
                Some(will) => facts.will(
                    Facts::default()
                        .number("qos", will.qos as u8)
                        .number("retain", will.retain)
                        .bytes("topic", will.topic)
                        .bytes("payload", will.message),
                ),
                None => facts,
            }
        }
        Packet::Connack(connack) => Facts::new(2)
            .number("session present", connack.session_present)
            .number("reason code", facts::of_return_code(connack.code as u8)),
        Packet::Publish(publish) => {
            let (qos, id) = match publish.qospid {
                QosPid::AtMostOnce => (0u8, None),
                QosPid::AtLeastOnce(pid) => (1, Some(pid.get())),
                QosPid::ExactlyOnce(pid) => (2, Some(pid.get())),
            };
            Facts::new(3)
                .number("dup", publish.dup)
                .number("qos", qos)
                .number("retain", publish.retain)
                .bytes("topic", publish.topic_name)
                .maybe_number("packet id", id)
                .bytes("payload", publish.payload)
        }
        Packet::Puback(pid) => ack(4, pid),
        Packet::Pubrec(pid) => ack(5, pid),
        Packet::Pubrel(pid) => ack(6, pid),
        Packet::Pubcomp(pid) => ack(7, pid),
        Packet::Subscribe(subscribe) => subscribe
            .topics
            .iter()
            .fold(Facts::new(8).number("packet id", subscribe.pid.get()), |facts, topic| {
                facts.subscription(&topic.topic_path, topic.qos as u8)
            }),
        Packet::Suback(suback) => {
            let codes = suback.return_codes.iter().map(|code| match code {
                SubscribeReturnCodes::Success(qos) => *qos as u8,
                SubscribeReturnCodes::Failure => 0x80,
            });
            Facts::new(9).number("packet id", suback.pid.get()).numbers("reason codes", codes)
        }
        Packet::Unsubscribe(unsubscribe) => unsubscribe
            .topics
            .iter()
            .fold(Facts::new(10).number("packet id", unsubscribe.pid.get()), |facts, filter| {
                facts.bytes("topic filter", filter)
            }),
        Packet::Unsuback(pid) => Facts::new(11).number("packet id", pid.get()),
        Packet::Pingreq => Facts::new(12),
        Packet::Pingresp => Facts::new(13),
        Packet::Disconnect => Facts::new(14).number("reason code", 0u8),
    }
}
