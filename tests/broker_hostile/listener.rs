//! A client that looks closely at what it is sent.

use std::collections::BTreeMap;

use sansio_mqtt::{
    Connect, Decoder, OwnedPacket, Packet, PacketId, Publish, QoS, ReasonCode, Version,
};

/// What a client of one connection knows of it.
#[derive(Debug)]
pub(crate) struct Listener {
    version: Version,
    maximum_packet_size: usize,
    receive_maximum: usize,
    topic_alias_maximum: u16,
    aliases: BTreeMap<u16, String>,
    /// Messages at QoS 1 and 2 without a last acknowledgement, and whether PUBREC was sent.
    in_flight: BTreeMap<PacketId, (QoS, bool)>,
    is_up: bool,
    is_over: bool,
}

impl Listener {
    pub(crate) fn new(connect: &Connect<'_>) -> Self {
        let properties = &connect.properties;
        let maximum = properties.maximum_packet_size().unwrap_or(u32::MAX);
        Self {
            version: connect.version,
            maximum_packet_size: maximum as usize,
            receive_maximum: properties.receive_maximum().unwrap_or(u16::MAX).into(),
            topic_alias_maximum: properties.topic_alias_maximum().unwrap_or(0),
            aliases: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            is_up: false,
            is_over: false,
        }
    }

    /// The client sends this, if it is a packet.
    pub(crate) fn says(&mut self, bytes: &[u8]) {
        let mut decoder = Decoder::from_client().with_version(self.version);
        let Ok(Some((packet, _))) = decoder.decode(bytes) else { return };
        match packet {
            Packet::PubAck(ack) => self.completes(ack.packet_id, (QoS::AtLeastOnce, false)),
            Packet::PubRec(ack) => {
                if ack.reason_code.is_error() {
                    self.completes(ack.packet_id, (QoS::ExactlyOnce, false));
                } else if let Some((QoS::ExactlyOnce, received)) =
                    self.in_flight.get_mut(&ack.packet_id)
                {
                    *received = true;
                }
            }
            Packet::PubComp(ack) => self.completes(ack.packet_id, (QoS::ExactlyOnce, true)),
            _ => {}
        }
    }

    fn completes(&mut self, packet_id: PacketId, at: (QoS, bool)) {
        if self.in_flight.get(&packet_id) == Some(&at) {
            self.in_flight.remove(&packet_id);
        }
    }

    /// The client is sent this.
    pub(crate) fn hears(&mut self, packet: &OwnedPacket) {
        let len = packet.frame().len();
        assert!(!self.is_over, "{packet} after the last packet");
        // v5 [MQTT-3.1.2-24]
        assert!(len <= self.maximum_packet_size, "{packet} of {len} bytes");
        let packet = packet.packet();
        // v5 [MQTT-3.2.0-1], v3.1.1 [MQTT-3.2.0-1]
        match packet {
            Packet::ConnAck(conn_ack) => {
                assert!(!self.is_up, "a second CONNACK");
                self.is_up = true;
                // v5 [MQTT-3.2.2-7], v3.1.1 [MQTT-3.2.2-5]
                self.is_over = conn_ack.reason_code != ReasonCode::SUCCESS;
            }
            Packet::Auth(_) => {}
            _ => assert!(self.is_up, "{packet} before CONNACK"),
        }
        match packet {
            Packet::Publish(publish) => self.on_publish(&publish),
            Packet::Disconnect(_) => {
                assert!(self.version.is_v5(), "DISCONNECT in {}", self.version);
                self.is_over = true;
            }
            _ => {}
        }
    }

    fn on_publish(&mut self, publish: &Publish<'_>) {
        // v5 [MQTT-3.1.2-26] [MQTT-3.1.2-27]
        let mut topic = publish.topic.to_string();
        if let Some(alias) = publish.properties.topic_alias() {
            assert!((1..=self.topic_alias_maximum).contains(&alias), "{publish}");
            if topic.is_empty() {
                topic = self.aliases.get(&alias).expect("an alias that is known").clone();
            } else {
                self.aliases.insert(alias, topic.clone());
            }
        }
        assert!(!topic.is_empty(), "{publish}");
        let Some(packet_id) = publish.packet_id else { return };
        // v5 [MQTT-2.2.1-4], v3.1.1 [MQTT-2.3.1-4]
        let before = self.in_flight.insert(packet_id, (publish.qos, false));
        assert_eq!(before, None, "{publish}, whose identifier is in use");
        // v5 [MQTT-3.3.4-9]
        assert!(self.in_flight.len() <= self.receive_maximum, "{publish} above the maximum");
    }
}
