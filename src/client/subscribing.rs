//! Subscribing and unsubscribing: the calls and their answers.

use alloc::vec::Vec;

use crate::client::error::{CallError, Failure, Violation};
use crate::client::event::{Answer, Event, Handle};
use crate::client::machine::{self, Client};
use crate::client::operations::{self, Operation, Purpose, Subscribed};
use crate::client::records::{self, Key};
use crate::packet::{
    Packet, ReasonCodes, SubAck, Subscribe, Subscription, Subscriptions, TopicFilters, UnsubAck,
    Unsubscribe,
};
use crate::packet_id::PacketId;
use crate::packet_type::PacketType;
use crate::properties::Properties;
use crate::reason::ReasonCode;
use crate::time::Instant;

impl Client {
    /// Subscribes. With `properties` for a Subscription Identifier and User Properties.
    ///
    /// It is sent as soon as there is a connection; one event,
    /// [`Subscribed`](crate::client::Event::Subscribed), brings the answer.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the subscriptions, what the server does not support, or that there
    /// is no room.
    pub fn subscribe(
        &mut self,
        now: Instant,
        subscriptions: &[Subscription<'_>],
        properties: Properties<'_>,
    ) -> Result<Handle, CallError> {
        self.advance(now);
        let subscriptions = Subscriptions::List(subscriptions);
        let subscribe =
            Subscribe { properties, subscriptions, ..Subscribe::new(PacketId::MIN, &[]) };
        self.operate(Purpose::Subscribe, &subscribe.into())
    }

    /// Unsubscribes. With `properties` for User Properties.
    ///
    /// It is sent as soon as there is a connection; one event,
    /// [`Unsubscribed`](crate::client::Event::Unsubscribed), brings the answer.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    pub fn unsubscribe(
        &mut self,
        now: Instant,
        topic_filters: &[&str],
        properties: Properties<'_>,
    ) -> Result<Handle, CallError> {
        self.advance(now);
        let topic_filters = TopicFilters::List(topic_filters);
        let unsubscribe =
            Unsubscribe { properties, topic_filters, ..Unsubscribe::new(PacketId::MIN, &[]) };
        self.operate(Purpose::Unsubscribe, &unsubscribe.into())
    }

    fn operate(&mut self, purpose: Purpose, packet: &Packet<'_>) -> Result<Handle, CallError> {
        let number = self.last_number.saturating_add(1);
        let operation = Operation::new(number, purpose, packet, self.options.version)?;
        let bytes = self.operations.bytes().saturating_add(operation.len());
        if self.operations.len() >= self.options.maximum_held
            || bytes > self.options.maximum_held_bytes
        {
            return Err(CallError::QueueFull);
        }
        if let Some(connection) = &self.connection {
            if connection.draining.is_some() {
                return Err(CallError::Disconnecting);
            }
            if connection.is_up() {
                operations::check(packet, &connection.server)?;
                let (size, maximum) = (operation.len(), connection.server.maximum_packet_size);
                if !connection.link.accepts(size) {
                    return Err(CallError::PacketTooLarge { size, maximum });
                }
            }
        }
        let handle = self.next_number();
        self.operations.push(operation);
        Ok(Handle(handle))
    }

    pub(super) fn on_sub_ack(
        &mut self,
        sub_ack: &SubAck<'_>,
        frame: &[u8],
    ) -> Result<(), Violation> {
        let purposes = [Purpose::Subscribe, Purpose::Resubscribe, Purpose::Response];
        let packet_type = PacketType::SubAck;
        let number = self.answered(packet_type, sub_ack.packet_id, &purposes)?;
        let codes = codes(&sub_ack.reason_codes);
        let operation = self.operations.waiting(number);
        let packet = operation.and_then(|operation| operation.packet(self.options.version));
        if let Some(Packet::Subscribe(subscribe)) = packet {
            let expected = subscribe.subscriptions.iter().count();
            if codes.len() != expected {
                return Err(Violation::ReasonCodeCount { expected, received: codes.len() });
            }
        }
        self.outbound.release_foreign_id(sub_ack.packet_id);
        // A message may have waited for the identifier.
        self.open_window();
        let Some(operation) = self.operations.answered(number) else { return Ok(()) };
        if self.options.resubscribe
            && operation.purpose != Purpose::Response
            && let Some(Packet::Subscribe(subscribe)) = operation.packet(self.options.version)
        {
            for (filter, subscribed) in Subscribed::of(&subscribe, &codes) {
                if self.log.is_durable() {
                    let key = Key::Subscription(filter).encode();
                    self.log.put(key, records::encode_subscribed(subscribed));
                }
                self.operations.subscribed(filter, subscribed);
            }
        }
        let handle = Handle(operation.handle);
        let packet = machine::owned_with(&sub_ack.properties, frame, self.options.version);
        let refused = codes.first().copied().filter(|code| code.is_error());
        let answer = Answer { reason_codes: codes, packet };
        match operation.purpose {
            Purpose::Response => {
                if let Some(reason_code) = refused {
                    self.responses_refused(&Failure::Refused {
                        reason_code,
                        packet: answer.packet,
                    });
                }
            }
            Purpose::Resubscribe => {
                let topic_filters = machine::topic_filters(&operation, self.options.version);
                self.emit(Event::Resubscribed { topic_filters, result: Ok(answer) });
            }
            _ => self.emit(Event::Subscribed { handle, result: Ok(answer) }),
        }
        Ok(())
    }

    pub(super) fn on_unsub_ack(
        &mut self,
        unsub_ack: &UnsubAck<'_>,
        frame: &[u8],
    ) -> Result<(), Violation> {
        let packet_type = PacketType::UnsubAck;
        let number = self.answered(packet_type, unsub_ack.packet_id, &[Purpose::Unsubscribe])?;
        let codes = codes(&unsub_ack.reason_codes);
        let operation = self.operations.waiting(number);
        let packet = operation.and_then(|operation| operation.packet(self.options.version));
        if let Some(Packet::Unsubscribe(unsubscribe)) = packet
            && self.options.version.is_v5()
        {
            let expected = unsubscribe.topic_filters.iter().count();
            if codes.len() != expected {
                return Err(Violation::ReasonCodeCount { expected, received: codes.len() });
            }
        }
        self.outbound.release_foreign_id(unsub_ack.packet_id);
        // A message may have waited for the identifier.
        self.open_window();
        let Some(operation) = self.operations.answered(number) else { return Ok(()) };
        if let Some(Packet::Unsubscribe(unsubscribe)) = operation.packet(self.options.version) {
            let filters = unsubscribe.topic_filters.iter().enumerate();
            let is_gone = |index| codes.get(index).is_none_or(|code: &ReasonCode| !code.is_error());
            for (_, filter) in filters.filter(|(index, _)| is_gone(*index)) {
                self.requests.subscribed &= self.options.response_topic.as_deref() != Some(filter);
                if self.operations.unsubscribed(filter) && self.log.is_durable() {
                    self.log.delete(Key::Subscription(filter).encode());
                }
            }
        }
        let handle = Handle(operation.handle);
        let packet = machine::owned_with(&unsub_ack.properties, frame, self.options.version);
        let result = Ok(Answer { reason_codes: codes, packet });
        self.emit(Event::Unsubscribed { handle, result });
        Ok(())
    }

    /// No response can come: the requests have failed that wait for one.
    pub(super) fn responses_refused(&mut self, failure: &Failure) {
        self.requests.subscribed = false;
        while let Some(handle) = self.requests.pop() {
            let (handle, result) = (Handle(handle), Err(failure.clone()));
            self.emit(Event::Response { handle, result });
        }
    }

    /// The number of the operation that waits for this answer.
    fn answered(
        &self,
        packet_type: PacketType,
        packet_id: PacketId,
        purposes: &[Purpose],
    ) -> Result<u32, Violation> {
        if !self.outbound.is_used(packet_id) {
            return Err(Violation::UnknownPacketIdentifier { packet_type, packet_id });
        }
        let wrong = Violation::WrongAcknowledgement { packet_type, packet_id };
        let number = self.outbound.foreign(packet_id).ok_or(wrong)?;
        let operation = self.operations.waiting(number).ok_or(wrong)?;
        if purposes.contains(&operation.purpose) { Ok(number) } else { Err(wrong) }
    }
}

fn codes(codes: &ReasonCodes<'_>) -> Vec<ReasonCode> {
    codes.iter().collect()
}
