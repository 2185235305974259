//! A client made of the records that an earlier one left behind.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::client::error::{Failure, RestoreFailure};
use crate::client::event::{Delivery, DeliveryId, Event};
use crate::client::machine::Client;
use crate::client::operations::Subscribed;
use crate::client::options::SessionLost;
use crate::client::records::{
    self, DeliveryRecord, EPOCH_BITS, FlightRecord, Key, Received, SessionRecord,
};
use crate::message::Message;
use crate::packet_id::PacketId;
use crate::qos::QoS;
use crate::session::entry::{Entry, Stage};
use crate::session::inbound::Verdict;
use crate::session::store::{Reader, RestoreError, Sequence};
use crate::time::{Instant, UnixTime};

/// The records, by what they are of.
#[derive(Default)]
pub(super) struct Records {
    session: Option<Vec<u8>>,
    messages: BTreeMap<u64, (Message, Option<UnixTime>)>,
    flights: BTreeMap<u64, FlightRecord>,
    deliveries: BTreeMap<u64, DeliveryRecord>,
    released: BTreeMap<PacketId, u32>,
    subscriptions: BTreeMap<String, Subscribed>,
}

impl Records {
    /// Whether there are none, but for the session's.
    fn is_empty(&self) -> bool {
        self.messages.is_empty()
            && self.flights.is_empty()
            && self.deliveries.is_empty()
            && self.released.is_empty()
            && self.subscriptions.is_empty()
    }

    /// Sorts a record in.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        self.try_add(key, value).ok_or_else(|| RestoreError { key: key.to_vec() })
    }

    fn try_add(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match Key::decode(key)? {
            Key::Session => {
                SessionRecord::decode(value)?;
                self.session = Some(value.to_vec());
            }
            Key::Message(handle) => {
                self.messages.insert(handle, records::decode_message(value)?);
            }
            Key::Flight(handle) => {
                self.flights.insert(handle, FlightRecord::decode(value)?);
            }
            Key::Delivery(delivery) => {
                self.deliveries.insert(delivery, DeliveryRecord::decode(value)?);
            }
            Key::Released(packet_id) => {
                let mut reader = Reader(value);
                self.released.insert(packet_id, reader.u32()?);
                reader.finish()?;
            }
            Key::Subscription(filter) => {
                self.subscriptions.insert(filter.into(), records::decode_subscribed(value)?);
            }
        }
        Some(())
    }
}

impl Client {
    /// Takes the records in, and begins a new epoch of numbers.
    pub(super) fn take_records(
        &mut self,
        now: Instant,
        mut records: Records,
    ) -> Result<(), RestoreFailure> {
        let value = records.session.take().unwrap_or_default();
        let session = SessionRecord::decode(&value);
        // A number that no process has given: whatever is stored has been given before.
        let epoch = session.map_or(0, |session| session.epoch).saturating_add(1);
        self.last_number = u64::from(epoch) << EPOCH_BITS;
        if let Some(session) = session {
            let (version, client_id) = (self.options.version, &self.options.client_id);
            if session.version != version || session.client_id != client_id {
                return Err(RestoreFailure::OtherSession);
            }
            self.take_session(now, &session);
        } else if !records.is_empty() {
            // It is the first record that there is, and tells which numbers were given before.
            return Err(RestoreError { key: Key::Session.encode() }.into());
        }
        self.record_session();
        self.take_flights(&mut records)?;
        self.take_queue(&mut records);
        self.take_deliveries(&mut records);
        for (filter, subscribed) in records.subscriptions {
            self.operations.subscribed(&filter, subscribed);
        }
        self.expire_session();
        Ok(())
    }

    fn take_session(&mut self, now: Instant, session: &SessionRecord<'_>) {
        self.session.exists = session.exists;
        self.session.number = session.number;
        self.session.expiry_interval = session.expiry_interval;
        if !session.assigned_client_id.is_empty() {
            self.session.assigned_client_id = Some(session.assigned_client_id.into());
        }
        if session.exists {
            let interval = Duration::from_secs(session.expiry_interval.into());
            self.session.expires = match session.expires {
                Some(expires) => Some(self.calendar.to_instant(expires)),
                // The process ended while there was a connection, nobody knows when.
                None if session.expiry_interval == u32::MAX => None,
                None => Some(now + interval),
            };
        }
    }

    /// What was in flight, in the session that there still is.
    fn take_flights(&mut self, records: &mut Records) -> Result<(), RestoreError> {
        for (handle, flight) in core::mem::take(&mut records.flights) {
            let stored = match records.messages.contains_key(&handle) {
                true if flight.stage != Stage::AwaitPubComp => records.messages.remove(&handle),
                // The message was about to be deleted.
                true => {
                    records.messages.remove(&handle);
                    self.log.delete(Key::Message(handle).encode());
                    None
                }
                false => None,
            };
            let is_whole = stored.is_some() || flight.stage == Stage::AwaitPubComp;
            let is_current = self.session.exists && flight.session == self.session.number;
            if !is_whole || !is_current {
                self.take_lost(handle, stored, records);
                continue;
            }
            let entry = match stored {
                Some((message, expires)) => self.restored_entry(handle, message, expires),
                None => Entry::without_message(handle, flight.order),
            };
            if !self.outbound.restore(entry, flight.packet_id, flight.stage) {
                // Another one has the identifier.
                return Err(RestoreError { key: Key::Flight(handle).encode() });
            }
        }
        Ok(())
    }

    /// What was in flight in a session that is gone.
    fn take_lost(
        &mut self,
        handle: u64,
        stored: Option<(Message, Option<UnixTime>)>,
        records: &mut Records,
    ) {
        match stored {
            Some(stored) if self.options.session_lost == SessionLost::Republish => {
                self.log.delete(Key::Flight(handle).encode());
                records.messages.insert(handle, stored);
            }
            stored => {
                if stored.is_some() {
                    self.log.delete(Key::Message(handle).encode());
                }
                let after = self.log.delete(Key::Flight(handle).encode());
                self.published(after, handle, Err(Failure::SessionLost));
            }
        }
    }

    fn restored_entry(&self, handle: u64, message: Message, expires: Option<UnixTime>) -> Entry {
        let interval = message.properties().message_expiry_interval().unwrap_or_default();
        // The calendar may have been set back since: no message lives longer than it was to.
        let latest = self.now + Duration::from_secs(interval.into());
        let expires = expires.map(|expires| self.calendar.to_instant(expires).min(latest));
        Entry::new(handle, message, expires)
    }

    /// What waited.
    fn take_queue(&mut self, records: &mut Records) {
        for (handle, (message, expires)) in core::mem::take(&mut records.messages) {
            if expires.is_some_and(|expires| self.calendar.is_past(expires)) {
                let after = self.log.delete(Key::Message(handle).encode());
                self.published(after, handle, Err(Failure::Expired));
                continue;
            }
            let entry = self.restored_entry(handle, message, expires);
            self.outbound.push(entry);
        }
    }

    /// What the application has not acknowledged, and what waits for PUBREL.
    fn take_deliveries(&mut self, records: &mut Records) {
        let number = self.session.number;
        let current = |exists: bool, session: u32| exists && session == number;
        let exists = self.session.exists;
        for (packet_id, session) in core::mem::take(&mut records.released) {
            if current(exists, session) {
                self.inbound.restore_released(packet_id);
            } else {
                self.log.delete(Key::Released(packet_id).encode());
            }
        }
        // Of two under one identifier the later one has it: the server was done with the other.
        let current_deliveries =
            records.deliveries.iter().filter(|(_, record)| current(exists, record.session));
        let owners: BTreeMap<PacketId, u64> =
            current_deliveries.map(|(delivery, record)| (record.packet_id, *delivery)).collect();
        for (delivery, record) in core::mem::take(&mut records.deliveries) {
            let owner = owners.get(&record.packet_id);
            let packet_id = Some(record.packet_id).filter(|_| owner == Some(&delivery));
            self.take_delivery(delivery, packet_id, record.stage);
        }
    }

    fn take_delivery(&mut self, delivery: u64, packet_id: Option<PacketId>, stage: Received) {
        match stage {
            Received::Decided { qos, reason_code } => {
                let verdict = Verdict { reason_code, properties: Bytes::new() };
                if packet_id.is_none()
                    || !self.inbound.restore(delivery, packet_id, qos, Some(verdict))
                {
                    self.log.delete(Key::Delivery(delivery).encode());
                }
            }
            Received::Offered { dup, message } => {
                let qos = message.qos();
                if !self.inbound.restore(delivery, packet_id, qos, None) {
                    if qos == QoS::ExactlyOnce {
                        // It waits for PUBREL: the application has acknowledged it.
                        self.log.delete(Key::Delivery(delivery).encode());
                        return;
                    }
                    self.inbound.restore(delivery, None, qos, None);
                }
                let delivery_id = Some(DeliveryId(delivery));
                let delivery = Delivery { message, delivery_id, dup, redelivered: true };
                self.emit_after(Sequence::default(), Event::Message(delivery));
            }
        }
    }
}
