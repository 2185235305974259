//! Packets and faults for a program to read.

use sansio_mqtt::{
    Connect, DecodeError, Packet, PacketId, PacketType, Properties, Property, Publish, ReasonCode,
    ReasonCodes, Subscription, Will,
};
use serde_json::{Map, Value, json};

use super::parts::{Event, Part};

/// One object of a packet or a fault.
pub(super) fn part(part: &Part<'_>, secrets: bool) -> Value {
    let mut object = json!({ "offset": part.offset, "length": part.bytes.len() });
    match &part.event {
        Event::Packet(packet) => {
            object["type"] = packet.packet_type().name().into();
            object["fields"] = Fields { secrets }.of(packet);
        }
        Event::Malformed { error, .. } => object["error"] = fault(part.offset, error),
        Event::Incomplete { header } => {
            let packet_length = header.map(|header| header.frame_len());
            object["error"] = json!({ "cause": "Incomplete", "packet_length": packet_length });
        }
    }
    object
}

fn fault(offset: usize, error: &DecodeError) -> Value {
    json!({
        "cause": format!("{:?}", error.cause),
        "message": error.cause.to_string(),
        "type": error.packet_type.map(PacketType::name),
        "offset": offset + error.offset,
        "offset_in_packet": error.offset,
        "reason_code": error.reason_code().get(),
        "reason": error.reason_code().to_string(),
    })
}

/// Makes the fields of packets, under the standard's names.
struct Fields {
    secrets: bool,
}

impl Fields {
    fn of(&self, packet: &Packet<'_>) -> Value {
        match packet {
            Packet::Connect(packet) => self.connect(packet),
            Packet::ConnAck(packet) => {
                let rest = self.result(packet.reason_code, &packet.properties);
                with(json!({ "session_present": packet.session_present }), rest)
            }
            Packet::Publish(packet) => self.publish(packet),
            Packet::PubAck(packet) => {
                let rest = self.result(packet.reason_code, &packet.properties);
                with(id(packet.packet_id), rest)
            }
            Packet::PubRec(packet) => {
                let rest = self.result(packet.reason_code, &packet.properties);
                with(id(packet.packet_id), rest)
            }
            Packet::PubRel(packet) => {
                let rest = self.result(packet.reason_code, &packet.properties);
                with(with(json!({ "dup": packet.dup }), id(packet.packet_id)), rest)
            }
            Packet::PubComp(packet) => {
                let rest = self.result(packet.reason_code, &packet.properties);
                with(id(packet.packet_id), rest)
            }
            Packet::Subscribe(packet) => json!({
                "dup": packet.dup,
                "packet_id": packet.packet_id.get(),
                "properties": self.properties(&packet.properties),
                "subscriptions": packet.subscriptions.iter().map(subscription).collect::<Value>(),
            }),
            Packet::SubAck(packet) => json!({
                "packet_id": packet.packet_id.get(),
                "properties": self.properties(&packet.properties),
                "reason_codes": codes(packet.reason_codes),
            }),
            Packet::Unsubscribe(packet) => json!({
                "dup": packet.dup,
                "packet_id": packet.packet_id.get(),
                "properties": self.properties(&packet.properties),
                "topic_filters": packet.topic_filters.iter().collect::<Value>(),
            }),
            Packet::UnsubAck(packet) => json!({
                "packet_id": packet.packet_id.get(),
                "properties": self.properties(&packet.properties),
                "reason_codes": codes(packet.reason_codes),
            }),
            Packet::PingReq | Packet::PingResp => json!({}),
            Packet::Disconnect(packet) => self.result(packet.reason_code, &packet.properties),
            Packet::Auth(packet) => self.result(packet.reason_code, &packet.properties),
        }
    }

    fn connect(&self, packet: &Connect<'_>) -> Value {
        json!({
            "version": packet.version.to_string(),
            "clean_start": packet.clean_start,
            "keep_alive": packet.keep_alive,
            "properties": self.properties(&packet.properties),
            "client_id": packet.client_id,
            "will": packet.will.map(|will| self.will(&will)),
            "user_name": packet.user_name,
            "password": packet.password.map(|password| self.secret(password)),
        })
    }

    fn will(&self, will: &Will<'_>) -> Value {
        json!({
            "qos": will.qos.get(),
            "retain": will.retain,
            "properties": self.properties(&will.properties),
            "topic": will.topic,
            "payload": hex(will.payload),
        })
    }

    fn publish(&self, packet: &Publish<'_>) -> Value {
        json!({
            "dup": packet.dup,
            "qos": packet.qos.get(),
            "retain": packet.retain,
            "topic": packet.topic,
            "packet_id": packet.packet_id.map(PacketId::get),
            "properties": self.properties(&packet.properties),
            "payload": hex(packet.payload),
        })
    }

    fn result(&self, code: ReasonCode, properties: &Properties<'_>) -> Value {
        json!({ "reason_code": code.get(), "properties": self.properties(properties) })
    }

    /// A list, since the order of User Properties counts and some repeat.
    fn properties(&self, properties: &Properties<'_>) -> Value {
        let property = |property: Property<'_>| {
            let name = property.id().name().to_lowercase().replace(' ', "_");
            json!({ "name": name, "value": self.value(property) })
        };
        properties.iter().map(property).collect()
    }

    fn value(&self, property: Property<'_>) -> Value {
        match property {
            Property::PayloadFormatIndicator(flag)
            | Property::RequestProblemInformation(flag)
            | Property::RequestResponseInformation(flag)
            | Property::RetainAvailable(flag)
            | Property::WildcardSubscriptionAvailable(flag)
            | Property::SubscriptionIdentifierAvailable(flag)
            | Property::SharedSubscriptionAvailable(flag) => flag.into(),
            Property::MaximumQoS(qos) => qos.get().into(),
            Property::ServerKeepAlive(value)
            | Property::ReceiveMaximum(value)
            | Property::TopicAliasMaximum(value)
            | Property::TopicAlias(value) => value.into(),
            Property::MessageExpiryInterval(value)
            | Property::SubscriptionIdentifier(value)
            | Property::SessionExpiryInterval(value)
            | Property::WillDelayInterval(value)
            | Property::MaximumPacketSize(value) => value.into(),
            Property::ContentType(text)
            | Property::ResponseTopic(text)
            | Property::AssignedClientIdentifier(text)
            | Property::AuthenticationMethod(text)
            | Property::ResponseInformation(text)
            | Property::ServerReference(text)
            | Property::ReasonString(text) => text.into(),
            Property::CorrelationData(bytes) => hex(bytes).into(),
            Property::AuthenticationData(bytes) => self.secret(bytes),
            Property::UserProperty(name, value) => json!([name, value]),
        }
    }

    fn secret(&self, bytes: &[u8]) -> Value {
        if self.secrets { hex(bytes).into() } else { json!({ "hidden_bytes": bytes.len() }) }
    }
}

fn subscription(subscription: Subscription<'_>) -> Value {
    json!({
        "topic_filter": subscription.topic_filter,
        "qos": subscription.qos.get(),
        "no_local": subscription.no_local,
        "retain_as_published": subscription.retain_as_published,
        "retain_handling": subscription.retain_handling as u8,
    })
}

fn codes(codes: ReasonCodes<'_>) -> Value {
    codes.iter().map(ReasonCode::get).collect()
}

fn id(packet_id: PacketId) -> Value {
    json!({ "packet_id": packet_id.get() })
}

/// The fields of two objects.
fn with(first: Value, second: Value) -> Value {
    let fields = [first, second].into_iter().filter_map(|value| match value {
        Value::Object(fields) => Some(fields),
        _ => None,
    });
    fields.flatten().collect::<Map<_, _>>().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
