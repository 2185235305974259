//! Acknowledgements, of what is received and of what was published.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::client::error::{CallError, Failure, Violation};
use crate::client::event::{Delivery, DeliveryId, Event, Handle, Published};
use crate::client::machine::{self, Ack, Client};
use crate::client::records::{DeliveryRecord, FlightRecord, Key, Received as Stored};
use crate::error::{EncodeError, Feature};
use crate::message::Message;
use crate::packet::{Packet, PubAck, PubComp, PubRec, PubRel};
use crate::packet_id::PacketId;
use crate::packet_type::{PacketType, Sender};
use crate::properties::Properties;
use crate::qos::QoS;
use crate::reason::ReasonCode;
use crate::session::entry::{Key as EntryKey, PubRecWords, Stage};
use crate::session::inbound::{Arrival, Verdict};
use crate::session::outbound::Misfit;
use crate::session::store::Sequence;
use crate::time::Instant;
use crate::version::Version;

/// What is known of a received message beside the message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrived {
    pub(super) packet_id: Option<PacketId>,
    pub(super) dup: bool,
}

impl Client {
    /// Acknowledges a message at QoS 1 or 2: the application is done with it.
    ///
    /// The server is told in the order of receipt, whatever the order of these calls.
    ///
    /// # Errors
    ///
    /// [`CallError::UnknownDelivery`] if no such message waits for it.
    pub fn acknowledge(&mut self, now: Instant, delivery_id: DeliveryId) -> Result<(), CallError> {
        self.acknowledge_with(now, delivery_id, ReasonCode::SUCCESS, Properties::NONE)
    }

    /// Acknowledges a message with a Reason Code and, in 5.0, properties: Reason String and User
    /// Properties, which are left out if they make the packet larger than the server accepts.
    /// With an error the message is refused, and the server does not send it again.
    ///
    /// # Errors
    ///
    /// [`CallError::UnknownDelivery`]; [`CallError::ReasonCodeNotAllowed`];
    /// [`CallError::Invalid`] if the properties do not go there.
    pub fn acknowledge_with(
        &mut self,
        now: Instant,
        delivery_id: DeliveryId,
        reason_code: ReasonCode,
        properties: Properties<'_>,
    ) -> Result<(), CallError> {
        self.advance(now);
        let qos = self.inbound.waiting(delivery_id.0).ok_or(CallError::UnknownDelivery)?;
        let packet_type = packet_type_for(qos);
        let success = reason_code == ReasonCode::SUCCESS && properties.is_empty();
        if !success && !self.options.version.is_v5() {
            let feature = Feature::ReasonCode(reason_code);
            let error = EncodeError::NotInVersion(self.options.version, feature);
            return Err(error.into());
        }
        if !reason_code.is_allowed_in(packet_type, Sender::Client) {
            return Err(CallError::ReasonCodeNotAllowed(reason_code));
        }
        let properties = self.ack_properties(packet_type, reason_code, &properties)?;
        self.decide(delivery_id, Verdict { reason_code, properties });
        Ok(())
    }

    /// Checks the properties of an acknowledgement, and copies those that fit.
    ///
    /// v5 [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3]
    fn ack_properties(
        &self,
        packet_type: PacketType,
        reason_code: ReasonCode,
        properties: &Properties<'_>,
    ) -> Result<Bytes, CallError> {
        if properties.is_empty() {
            return Ok(Bytes::new());
        }
        let version = self.options.version;
        let len = |properties: Properties<'_>| {
            ack(packet_type, PacketId::MIN, false, reason_code, properties).encoded_len(version)
        };
        len(*properties)?;
        let mut bytes = Vec::new();
        let mut write = |list: &[crate::property::Property<'_>]| {
            list.iter().for_each(|property| property.write(&mut bytes));
        };
        match &self.connection {
            Some(connection) => write(&connection.link.fit(properties, len)?),
            None => write(&properties.iter().collect::<Vec<_>>()),
        }
        Ok(bytes.into())
    }

    /// The application is done with a message.
    pub(super) fn decide(&mut self, delivery_id: DeliveryId, verdict: Verdict) {
        self.inbound.decide(delivery_id.0, verdict);
        self.send_acknowledgements();
        if self.log.is_durable() {
            self.record_decision(delivery_id.0);
        }
    }

    /// Stores that the application is done with a message, if the server cannot be told yet.
    fn record_decision(&mut self, delivery_id: u64) {
        let Some((packet_id, qos, reason_code)) = self.inbound.decided(delivery_id) else { return };
        let key = Key::Delivery(delivery_id).encode();
        let Some(packet_id) = packet_id else {
            self.log.delete(key);
            return;
        };
        let session = self.session.number;
        let stage = Stored::Decided { qos, reason_code };
        self.log.put(key, DeliveryRecord { session, packet_id, stage }.encode());
    }

    /// Acknowledges what can be, in the order of receipt, while there is a connection to do it on.
    pub(super) fn send_acknowledgements(&mut self) {
        if self.up().is_none() {
            return;
        }
        while let Some(next) = self.inbound.next_acknowledged() {
            let mut after = Sequence::default();
            if self.log.is_durable() {
                if let Some(packet_id) = next.packet_id
                    && next.qos == QoS::ExactlyOnce
                    && !next.verdict.reason_code.is_error()
                {
                    let value = self.session.number.to_be_bytes().to_vec();
                    self.log.put(Key::Released(packet_id).encode(), value);
                }
                after = self.log.delete(Key::Delivery(next.delivery_id).encode());
            }
            let Some(packet_id) = next.packet_id else { continue };
            self.acks.push_back(Ack {
                reason_code: next.verdict.reason_code,
                properties: next.verdict.properties,
                makes_room: next.makes_room,
                ..Ack::new(packet_type_for(next.qos), packet_id, after)
            });
        }
        self.resume_input();
    }

    /// Takes a received message in.
    pub(super) fn on_message(
        &mut self,
        message: Message,
        arrived: Arrived,
    ) -> Result<(), Violation> {
        let Some(packet_id) = arrived.packet_id else {
            self.offer(Sequence::default(), message, None, arrived.dup);
            return Ok(());
        };
        let (qos, counts) = (message.qos(), self.options.version.is_v5());
        match self.inbound.arrive(packet_id, qos, arrived.dup, counts) {
            Arrival::TooMany => return Err(Violation::ReceiveMaximumExceeded),
            Arrival::InUse => return Err(Violation::PacketIdentifierInUse(packet_id)),
            Arrival::Offered => {
                self.counters.duplicates = self.counters.duplicates.saturating_add(1);
                // The application may have acknowledged it between two connections.
                self.send_acknowledgements();
            }
            Arrival::Acknowledged => {
                self.counters.duplicates = self.counters.duplicates.saturating_add(1);
                let after = self.log.last();
                self.acks.push_back(Ack::new(PacketType::PubRec, packet_id, after));
            }
            Arrival::Replaces => {
                if self.log.is_durable() {
                    self.log.delete(Key::Released(packet_id).encode());
                }
                self.on_new_message(message, packet_id, arrived.dup);
            }
            Arrival::New => self.on_new_message(message, packet_id, arrived.dup),
        }
        Ok(())
    }

    fn on_new_message(&mut self, message: Message, packet_id: PacketId, dup: bool) {
        let delivery_id = self.next_number();
        self.inbound.offer(delivery_id, packet_id, message.qos());
        let mut after = Sequence::default();
        let mut message = message;
        if self.log.is_durable() {
            message = message.compact();
            let session = self.session.number;
            let stage = Stored::Offered { dup, message: message.clone() };
            let record = DeliveryRecord { session, packet_id, stage };
            after = self.log.put(Key::Delivery(delivery_id).encode(), record.encode());
        }
        self.offer(after, message, Some(DeliveryId(delivery_id)), dup);
    }

    /// Offers a message to the application: as the response to a request, if it is one.
    pub(super) fn offer(
        &mut self,
        after: Sequence,
        message: Message,
        delivery_id: Option<DeliveryId>,
        dup: bool,
    ) {
        let request = self.request_of(&message);
        let delivery = Delivery { message, delivery_id, dup, redelivered: false };
        let event = match request {
            Some(handle) => Event::Response { handle, result: Ok(delivery) },
            None => Event::Message(delivery),
        };
        self.emit_after(after, event);
    }

    /// The request that a message is the response to, which is complete then.
    fn request_of(&mut self, message: &Message) -> Option<Handle> {
        if self.requests.is_empty() || self.options.response_topic.as_deref()? != message.topic() {
            return None;
        }
        let handle =
            self.requests.find(self.options.seed, message.properties().correlation_data()?)?;
        self.requests.remove(handle);
        Some(Handle(handle))
    }

    pub(super) fn on_pub_rel(&mut self, packet_id: PacketId) -> Result<(), Violation> {
        if self.inbound.is_premature(packet_id) {
            let packet_type = PacketType::PubRel;
            return Err(Violation::WrongAcknowledgement { packet_type, packet_id });
        }
        let released = self.inbound.release(packet_id);
        if released.is_some() && self.log.is_durable() {
            self.log.delete(Key::Released(packet_id).encode());
        }
        // Of one that is not known too: it may have been just now, on an earlier connection, and
        // would be taken for known after a crash.
        let after = self.log.last();
        let reason_code = match released {
            // v5 [MQTT-4.3.3-11] [U5-3.6.2.1-1]
            None if self.options.version.is_v5() => ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
            _ => ReasonCode::SUCCESS,
        };
        self.acks.push_back(Ack {
            reason_code,
            makes_room: released.unwrap_or_default(),
            ..Ack::new(PacketType::PubComp, packet_id, after)
        });
        Ok(())
    }

    #[inline]
    pub(super) fn on_pub_ack(
        &mut self,
        pub_ack: &PubAck<'_>,
        frame: &[u8],
    ) -> Result<(), Violation> {
        let found = self.outbound.on_ack(pub_ack.packet_id, Stage::AwaitPubAck);
        let Some(key) = self.known(found, PacketType::PubAck, pub_ack.packet_id)? else {
            return Ok(());
        };
        self.complete(key, pub_ack.reason_code, &pub_ack.properties, frame);
        Ok(())
    }

    #[inline]
    pub(super) fn on_pub_rec(
        &mut self,
        pub_rec: &PubRec<'_>,
        frame: &[u8],
    ) -> Result<(), Violation> {
        let packet_id = pub_rec.packet_id;
        let key = match self.outbound.on_ack(packet_id, Stage::AwaitPubRec) {
            Ok(key) => key,
            // It is repeated, as servers of 3.x do: so is the PUBREL. v5 4.3.3
            Err(Misfit::Wrong)
                if self.outbound.on_ack(packet_id, Stage::AwaitPubComp).is_ok()
                    && !pub_rec.reason_code.is_error() =>
            {
                let (after, dup) = (self.log.last(), self.options.version == Version::V3_1);
                let ack = Ack::new(PacketType::PubRel, packet_id, after);
                self.acks.push_back(Ack { dup, ..ack });
                return Ok(());
            }
            misfit => {
                if self.known(misfit, PacketType::PubRec, packet_id)?.is_none() {
                    self.on_unknown_pub_rec(pub_rec);
                }
                return Ok(());
            }
        };
        if pub_rec.reason_code.is_error() {
            self.complete(key, pub_rec.reason_code, &pub_rec.properties, frame);
            return Ok(());
        }
        let order = self.next_number();
        self.outbound.received(key, order);
        if pub_rec.reason_code != ReasonCode::SUCCESS || !pub_rec.properties.is_empty() {
            self.keep_words(key, pub_rec, frame);
        }
        let mut after = Sequence::default();
        if self.log.is_durable() {
            let (session, stage) = (self.session.number, Stage::AwaitPubComp);
            let record = FlightRecord { session, packet_id, stage, order };
            self.log.put(Key::Flight(key.handle()).encode(), record.encode());
            after = self.log.delete(Key::Message(key.handle()).encode());
        }
        self.acks.push_back(Ack::new(PacketType::PubRel, packet_id, after));
        Ok(())
    }

    /// Keeps what PUBREC says, to be told when the message is complete: its properties as far as
    /// there is room for what is held.
    #[cold]
    fn keep_words(&mut self, key: EntryKey, pub_rec: &PubRec<'_>, frame: &[u8]) {
        let room = self.options.maximum_held_bytes.saturating_sub(self.outbound.bytes());
        let packet = match frame.len() <= room {
            true => machine::owned_with(&pub_rec.properties, frame, self.options.version),
            false => None,
        };
        self.outbound.keep(key, PubRecWords { reason_code: pub_rec.reason_code, packet });
    }

    /// v5 4.3.3: PUBREL says that the identifier is not known, unless PUBREC was an error.
    fn on_unknown_pub_rec(&mut self, pub_rec: &PubRec<'_>) {
        if pub_rec.reason_code.is_error() {
            return;
        }
        let reason_code = match self.options.version.is_v5() {
            true => ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
            false => ReasonCode::SUCCESS,
        };
        let after = Sequence::default();
        let ack = Ack::new(PacketType::PubRel, pub_rec.packet_id, after);
        self.acks.push_back(Ack { reason_code, ..ack });
    }

    #[inline]
    pub(super) fn on_pub_comp(
        &mut self,
        pub_comp: &PubComp<'_>,
        frame: &[u8],
    ) -> Result<(), Violation> {
        let found = self.outbound.on_ack(pub_comp.packet_id, Stage::AwaitPubComp);
        let Some(key) = self.known(found, PacketType::PubComp, pub_comp.packet_id)? else {
            return Ok(());
        };
        let words = self.outbound.get_mut(key).and_then(|entry| entry.pub_rec.take());
        if let Some(words) = words {
            self.complete_with(key, *words, pub_comp, frame);
            return Ok(());
        }
        // 0x92: the server had forgotten it, after it had it. v5 3.7.2.1
        self.complete(key, ReasonCode::SUCCESS, &pub_comp.properties, frame);
        Ok(())
    }

    /// The PUBCOMP of a message is there whose PUBREC said more than success.
    #[cold]
    fn complete_with(
        &mut self,
        key: EntryKey,
        words: PubRecWords,
        pub_comp: &PubComp<'_>,
        frame: &[u8],
    ) {
        let Some(entry) = self.outbound.remove(key) else { return };
        let after = self.forget(&entry);
        let PubRecWords { reason_code, packet } = words;
        let packet = packet
            .or_else(|| machine::owned_with(&pub_comp.properties, frame, self.options.version));
        let result = Ok(Published::Acknowledged { reason_code, packet });
        self.published(after, entry.handle, result);
        self.open_window();
    }

    /// What an acknowledgement is for; `None` if it is to be ignored.
    #[inline]
    fn known(
        &mut self,
        found: Result<EntryKey, Misfit>,
        packet_type: PacketType,
        packet_id: PacketId,
    ) -> Result<Option<EntryKey>, Violation> {
        match found {
            Ok(key) => Ok(Some(key)),
            Err(Misfit::Unknown) => {
                let unknown = &mut self.counters.unknown_acknowledgements;
                *unknown = unknown.saturating_add(1);
                Ok(None)
            }
            Err(Misfit::Wrong) => Err(Violation::WrongAcknowledgement { packet_type, packet_id }),
        }
    }

    /// The last acknowledgement of a message is there.
    #[inline]
    fn complete(
        &mut self,
        key: EntryKey,
        reason_code: ReasonCode,
        properties: &Properties<'_>,
        frame: &[u8],
    ) {
        let Some(entry) = self.outbound.remove(key) else { return };
        let after = self.forget(&entry);
        if properties.is_empty() && !reason_code.is_error() {
            self.published_well(after, entry.handle, reason_code);
            return self.open_window();
        }
        let packet = machine::owned_with(properties, frame, self.options.version);
        let result = match reason_code.is_error() {
            true => Err(Failure::Refused { reason_code, packet }),
            false => Ok(Published::Acknowledged { reason_code, packet }),
        };
        self.published(after, entry.handle, result);
        self.open_window();
    }
}

/// What acknowledges a message first.
const fn packet_type_for(qos: QoS) -> PacketType {
    match qos {
        QoS::ExactlyOnce => PacketType::PubRec,
        QoS::AtMostOnce | QoS::AtLeastOnce => PacketType::PubAck,
    }
}

/// An acknowledgement as a packet.
pub(super) fn ack<'a>(
    packet_type: PacketType,
    packet_id: PacketId,
    dup: bool,
    reason_code: ReasonCode,
    properties: Properties<'a>,
) -> Packet<'a> {
    match packet_type {
        PacketType::PubRec => PubRec { packet_id, reason_code, properties }.into(),
        PacketType::PubRel => PubRel { dup, packet_id, reason_code, properties }.into(),
        PacketType::PubComp => PubComp { packet_id, reason_code, properties }.into(),
        _ => PubAck { packet_id, reason_code, properties }.into(),
    }
}
