//! A peer of all versions, whose packets own their bytes.

use mqtt_proto::{PollHeader as _, Protocol, QosPid, v3, v5};
use sansio_mqtt::{PropertyId, Version};

use super::facts::{self, Facts};
use super::{body, debug};

pub fn decode(frame: &[u8], version: Version) -> Result<Facts, String> {
    let body = body(frame)?;
    let mut end = 0;
    let facts = if version.is_v5() {
        let header = v5::Header::decode(frame).map_err(debug)?;
        let packet = match header.build_empty_packet() {
            Some(packet) => packet,
            None => header.decode_buffer(body, &mut end).map_err(debug)?,
        };
        of_v5(&packet)
    } else {
        let header = v3::Header::decode(frame).map_err(debug)?;
        let packet = match header.build_empty_packet() {
            Some(packet) => packet,
            None => header.decode_buffer(body, &mut end).map_err(debug)?,
        };
        // It has one type for both versions, and tells them apart only here.
        if let v3::Packet::Connect(connect) = &packet
            && connect.protocol as u8 != facts::level(version)
        {
            return Err("a CONNECT of another version".into());
        }
        of_v3(&packet)
    };
    // How much it read, it leaves to the caller to check.
    if end == body.len() { Ok(facts) } else { Err("trailing bytes".into()) }
}

fn qos_and_id(facts: Facts, qos_pid: QosPid) -> Facts {
    let (qos, id) = match qos_pid {
        QosPid::Level0 => (0u8, None),
        QosPid::Level1(pid) => (1, Some(pid.value())),
        QosPid::Level2(pid) => (2, Some(pid.value())),
    };
    facts.number("qos", qos).maybe_number("packet id", id)
}

fn of_v3(packet: &v3::Packet) -> Facts {
    use v3::{Packet, SubscribeReturnCode};
    let ack = |packet_type: u8, pid: &mqtt_proto::Pid| {
        Facts::new(packet_type).number("packet id", pid.value()).number("reason code", 0u8)
    };
    match packet {
        Packet::Connect(connect) => {
            let facts = Facts::new(1)
                .number("version", connect.protocol as u8)
                .number("clean start", connect.clean_session)
                .number("keep alive", connect.keep_alive)
                .bytes("client id", &*connect.client_id)
                .maybe_bytes("user name", connect.username.as_deref())
                .maybe_bytes("password", connect.password.as_deref());
            match &connect.last_will {
                Some(will) => facts.will(
                    Facts::default()
                        .number("qos", will.qos as u8)
                        .number("retain", will.retain)
                        .bytes("topic", &*will.topic_name as &str)
                        .bytes("payload", &will.message),
                ),
                None => facts,
            }
        }
        Packet::Connack(connack) => Facts::new(2)
            .number("session present", connack.session_present)
            .number("reason code", facts::of_return_code(connack.code as u8)),
        Packet::Publish(publish) => qos_and_id(Facts::new(3), publish.qos_pid)
            .number("dup", publish.dup)
            .number("retain", publish.retain)
            .bytes("topic", &*publish.topic_name as &str)
            .bytes("payload", &publish.payload),
        Packet::Puback(pid) => ack(4, pid),
        Packet::Pubrec(pid) => ack(5, pid),
        Packet::Pubrel(pid) => ack(6, pid),
        Packet::Pubcomp(pid) => ack(7, pid),
        Packet::Subscribe(subscribe) => subscribe.topics.iter().fold(
            Facts::new(8).number("packet id", subscribe.pid.value()),
            |facts, (filter, qos)| facts.subscription(filter, *qos as u8),
        ),
        Packet::Suback(suback) => {
            let codes = suback.topics.iter().map(|code| match code {
                SubscribeReturnCode::MaxLevel0 => 0u8,
                SubscribeReturnCode::MaxLevel1 => 1,
                SubscribeReturnCode::MaxLevel2 => 2,
                SubscribeReturnCode::Failure => 0x80,
            });
            Facts::new(9).number("packet id", suback.pid.value()).numbers("reason codes", codes)
        }
        Packet::Unsubscribe(unsubscribe) => {
            unsubscribe.topics.iter().fold(
                Facts::new(10).number("packet id", unsubscribe.pid.value()),
                |facts, filter| facts.bytes("topic filter", filter as &str),
            )
        }
        Packet::Unsuback(pid) => Facts::new(11).number("packet id", pid.value()),
        Packet::Pingreq => Facts::new(12),
        Packet::Pingresp => Facts::new(13),
        Packet::Disconnect => Facts::new(14).number("reason code", 0u8),
    }
}

/// Adds the fields of a property struct under the names of the properties.
macro_rules! properties {
    ($facts:expr, $from:expr; $($kind:ident $id:ident = $field:ident),* $(,)?) => {{
        let from = &$from;
        $facts
            .pairs(from.user_properties.iter().map(|pair| (&*pair.name, &*pair.value)))
            $(.$kind(PropertyId::$id.name(), from.$field.clone()))*
    }};
}

/// The fields that all acknowledgements have.
macro_rules! ack {
    ($number:literal, $ack:expr) => {
        properties!(Facts::new($number), $ack.properties; maybe_text ReasonString = reason_string)
            .number("packet id", $ack.pid.value())
            .number("reason code", $ack.reason_code as u8)
    };
}

impl Facts {
    fn maybe_text(self, name: &str, text: Option<impl AsRef<str>>) -> Self {
        self.maybe_bytes(name, text.as_ref().map(AsRef::as_ref).map(str::as_bytes))
    }
}

fn of_v5(packet: &v5::Packet) -> Facts {
    use v5::Packet;
    match packet {
        Packet::Connect(connect) => connect_v5(connect),
        Packet::Connack(connack) => connack_v5(connack),
        Packet::Publish(publish) => publish_v5(publish),
        Packet::Puback(ack) => ack!(4, ack),
        Packet::Pubrec(ack) => ack!(5, ack),
        Packet::Pubrel(ack) => ack!(6, ack),
        Packet::Pubcomp(ack) => ack!(7, ack),
        Packet::Subscribe(subscribe) => {
            let id = subscribe.properties.subscription_id.map(|id| id.value());
            let facts = properties!(Facts::new(8), subscribe.properties;)
                .number("packet id", subscribe.pid.value())
                .maybe_number(PropertyId::SubscriptionIdentifier.name(), id);
            subscribe.topics.iter().fold(facts, |facts, (filter, options)| {
                let bits = facts::options(
                    options.max_qos as u8,
                    options.no_local,
                    options.retain_as_published,
                    options.retain_handling as u8,
                );
                facts.subscription(filter, bits)
            })
        }
        Packet::Suback(ack) => {
            properties!(Facts::new(9), ack.properties; maybe_text ReasonString = reason_string)
                .number("packet id", ack.pid.value())
                .numbers("reason codes", ack.topics.iter().map(|code| *code as u8))
        }
        Packet::Unsubscribe(unsubscribe) => unsubscribe.topics.iter().fold(
            properties!(Facts::new(10), unsubscribe.properties;)
                .number("packet id", unsubscribe.pid.value()),
            |facts, filter| facts.bytes("topic filter", filter as &str),
        ),
        Packet::Unsuback(ack) => {
            properties!(Facts::new(11), ack.properties; maybe_text ReasonString = reason_string)
                .number("packet id", ack.pid.value())
                .numbers("reason codes", ack.topics.iter().map(|code| *code as u8))
        }
        Packet::Pingreq => Facts::new(12),
        Packet::Pingresp => Facts::new(13),
        Packet::Disconnect(disconnect) => properties!(
            Facts::new(14), disconnect.properties;
            maybe_number SessionExpiryInterval = session_expiry_interval,
            maybe_text ReasonString = reason_string,
            maybe_text ServerReference = server_reference,
        )
        .number("reason code", disconnect.reason_code as u8),
        Packet::Auth(auth) => properties!(
            Facts::new(15), auth.properties;
            maybe_text AuthenticationMethod = auth_method,
            maybe_bytes AuthenticationData = auth_data,
            maybe_text ReasonString = reason_string,
        )
        .number("reason code", auth.reason_code as u8),
    }
}

fn connect_v5(connect: &v5::Connect) -> Facts {
    debug_assert_eq!(connect.protocol, Protocol::V500);
    let facts = properties!(
        Facts::new(1), connect.properties;
        maybe_number SessionExpiryInterval = session_expiry_interval,
        maybe_number ReceiveMaximum = receive_max,
        maybe_number MaximumPacketSize = max_packet_size,
        maybe_number TopicAliasMaximum = topic_alias_max,
        maybe_number RequestResponseInformation = request_response_info,
        maybe_number RequestProblemInformation = request_problem_info,
        maybe_text AuthenticationMethod = auth_method,
        maybe_bytes AuthenticationData = auth_data,
    )
    .number("version", connect.protocol as u8)
    .number("clean start", connect.clean_start)
    .number("keep alive", connect.keep_alive)
    .bytes("client id", &*connect.client_id)
    .maybe_bytes("user name", connect.username.as_deref())
    .maybe_bytes("password", connect.password.as_deref());
    let Some(will) = &connect.last_will else { return facts };
    facts.will(
        properties!(
            Facts::default(), will.properties;
            maybe_number WillDelayInterval = delay_interval,
            maybe_number PayloadFormatIndicator = payload_is_utf8,
            maybe_number MessageExpiryInterval = message_expiry_interval,
            maybe_text ContentType = content_type,
            maybe_bytes CorrelationData = correlation_data,
        )
        .maybe_bytes(PropertyId::ResponseTopic.name(), will.properties.response_topic.as_deref())
        .number("qos", will.qos as u8)
        .number("retain", will.retain)
        .bytes("topic", &*will.topic_name as &str)
        .bytes("payload", &will.payload),
    )
}

fn connack_v5(connack: &v5::Connack) -> Facts {
    properties!(
        Facts::new(2), connack.properties;
        maybe_number SessionExpiryInterval = session_expiry_interval,
        maybe_number ReceiveMaximum = receive_max,
        maybe_number RetainAvailable = retain_available,
        maybe_number MaximumPacketSize = max_packet_size,
        maybe_text AssignedClientIdentifier = assigned_client_id,
        maybe_number TopicAliasMaximum = topic_alias_max,
        maybe_text ReasonString = reason_string,
        maybe_number WildcardSubscriptionAvailable = wildcard_subscription_available,
        maybe_number SubscriptionIdentifierAvailable = subscription_id_available,
        maybe_number SharedSubscriptionAvailable = shared_subscription_available,
        maybe_number ServerKeepAlive = server_keep_alive,
        maybe_text ResponseInformation = response_info,
        maybe_text ServerReference = server_reference,
        maybe_text AuthenticationMethod = auth_method,
        maybe_bytes AuthenticationData = auth_data,
    )
    .maybe_number(PropertyId::MaximumQoS.name(), connack.properties.max_qos.map(|qos| qos as u8))
    .number("session present", connack.session_present)
    .number("reason code", connack.reason_code as u8)
}

fn publish_v5(publish: &v5::Publish) -> Facts {
    let id = publish.properties.subscription_id.map(|id| id.value());
    let facts = properties!(
        Facts::new(3), publish.properties;
        maybe_number PayloadFormatIndicator = payload_is_utf8,
        maybe_number MessageExpiryInterval = message_expiry_interval,
        maybe_number TopicAlias = topic_alias,
        maybe_text ContentType = content_type,
        maybe_bytes CorrelationData = correlation_data,
    );
    qos_and_id(facts, publish.qos_pid)
        .maybe_bytes(PropertyId::ResponseTopic.name(), publish.properties.response_topic.as_deref())
        .maybe_number(PropertyId::SubscriptionIdentifier.name(), id)
        .number("dup", publish.dup)
        .number("retain", publish.retain)
        .bytes("topic", &*publish.topic_name as &str)
        .bytes("payload", &publish.payload)
}
