//! One end of a transport, and the client that holds it.

use std::collections::BTreeSet;

use bytes::BytesMut;
use sansio_mqtt::broker::ConnectionId;
use sansio_mqtt::{
    Connect, Decoder, Instant, OwnedPacket, Packet, PacketId, PubAck, PubComp, Publish, Version,
};

use crate::words::answer;

/// One end of a transport.
pub(crate) struct Transport {
    pub(crate) connection: ConnectionId,
    pub(crate) version: Version,
    decoder: Decoder,
    /// What the client has written and the wrapper has not read.
    pub(crate) unread: BytesMut,
    /// What the wrapper has read and the broker has not taken.
    pub(crate) incoming: BytesMut,
    /// Whether the broker reads nothing now.
    pub(crate) paused: bool,
    /// Whether the transport takes bytes.
    pub(crate) writable: bool,
    /// Whether the wrapper knows of bytes that it has not pulled.
    pub(crate) announced: bool,
    /// Whether the client acknowledges what it is sent.
    pub(crate) acknowledges: bool,
    /// Bytes of a packet that is not whole.
    to_client: BytesMut,
    /// All bytes that were sent since the last look.
    pub(crate) raw: Vec<u8>,
    pub(crate) sent: Vec<OwnedPacket>,
    /// When the broker closed the transport.
    pub(crate) closed: Option<Instant>,
    /// Whether the client has closed it, or it broke.
    pub(crate) lost: bool,
    /// Of the next packet that needs one.
    pub(crate) next_id: u16,
    /// What the client says it takes.
    maximum_packet_size: usize,
    receive_maximum: usize,
    /// Messages that were sent over this transport and are not acknowledged.
    in_flight: BTreeSet<PacketId>,
    /// Whether a CONNACK was sent.
    is_answered: bool,
    /// Whether a DISCONNECT was sent, or a CONNACK that refuses.
    is_over: bool,
}

impl Transport {
    /// One that takes bytes, of a client that has said nothing yet.
    pub(crate) fn new(connection: ConnectionId, version: Version, acknowledges: bool) -> Self {
        Self {
            connection,
            version,
            decoder: Decoder::from_server(version),
            unread: BytesMut::new(),
            incoming: BytesMut::new(),
            paused: false,
            writable: true,
            announced: false,
            acknowledges,
            to_client: BytesMut::new(),
            raw: Vec::new(),
            sent: Vec::new(),
            closed: None,
            lost: false,
            next_id: 1,
            maximum_packet_size: usize::MAX,
            receive_maximum: usize::from(u16::MAX),
            in_flight: BTreeSet::new(),
            is_answered: false,
            is_over: false,
        }
    }

    /// What the client sends: it says what it takes, and ends some exchanges.
    pub(crate) fn says(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Connect(Connect { properties, .. }) => {
                let size = properties.maximum_packet_size();
                self.maximum_packet_size = size.map_or(usize::MAX, |size| size as usize);
                self.receive_maximum = properties.receive_maximum().unwrap_or(u16::MAX).into();
            }
            Packet::PubAck(PubAck { packet_id, .. })
            | Packet::PubComp(PubComp { packet_id, .. }) => {
                self.in_flight.remove(packet_id);
            }
            Packet::PubRec(ack) if ack.reason_code.is_error() => {
                self.in_flight.remove(&ack.packet_id);
            }
            _ => {}
        }
    }

    /// Identifiers are unique among what is in flight, of which there is no more than the client
    /// takes, and no packet is larger than it accepts.
    ///
    /// v5 [MQTT-2.2.1-4] [MQTT-3.3.4-9] [MQTT-4.4.0-1] [MQTT-3.1.2-24], v3.1.1 [MQTT-2.3.1-4]
    fn check_limits(&mut self, packet: &OwnedPacket) {
        let size = packet.frame().len();
        assert!(size <= self.maximum_packet_size, "{size} bytes of {packet}");
        let Packet::Publish(Publish { packet_id: Some(id), .. }) = packet.packet() else { return };
        assert!(self.in_flight.insert(id), "{packet} while {id} is in flight");
        let count = self.in_flight.len();
        assert!(count <= self.receive_maximum, "{count} messages in flight");
    }

    /// CONNACK comes once and before all but AUTH, and nothing comes behind DISCONNECT.
    ///
    /// v5 [MQTT-3.2.0-1] [MQTT-3.2.0-2] [MQTT-3.14.0-1] [MQTT-3.14.4-1], v3.1.1 [MQTT-3.2.0-1]
    fn check_order(&mut self, packet: &OwnedPacket) {
        assert!(!self.is_over, "{packet} behind the last packet");
        match packet.packet() {
            Packet::ConnAck(conn_ack) => {
                assert!(!self.is_answered, "a second CONNACK");
                self.is_answered = true;
                self.is_over = conn_ack.reason_code.is_error();
            }
            Packet::Auth(_) => {}
            other => {
                assert!(self.is_answered, "{packet} before CONNACK");
                self.is_over = matches!(other, Packet::Disconnect(_));
            }
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.closed.is_none() && !self.lost
    }

    /// Takes bytes that the broker has sent.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.to_client.extend_from_slice(bytes);
        self.raw.extend_from_slice(bytes);
    }

    /// Looks at what was sent, which is whole packets, and answers as far as the client does so by
    /// itself.
    pub(crate) fn look(&mut self) {
        while let Some(packet) =
            OwnedPacket::decode(&mut self.decoder, &mut self.to_client).unwrap()
        {
            self.check_order(&packet);
            self.check_limits(&packet);
            if self.acknowledges
                && let Some(answer) = answer(&packet.packet())
            {
                self.says(&answer);
                answer.encode(self.version, &mut self.unread).unwrap();
            }
            self.sent.push(packet);
        }
        assert!(self.to_client.is_empty(), "whole packets only");
    }
}
