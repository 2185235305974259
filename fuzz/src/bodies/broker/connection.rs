//! The transports of a world: bytes in either direction, and what the models make of them.

use std::collections::BTreeMap;
use std::io::IoSlice;

use bytes::{Buf, BytesMut};
use sansio_mqtt::broker::{ConnectRequest, ConnectionId, DisconnectCause, Received, Transmitted};
use sansio_mqtt::{Decoder, Outgoing, Packet, Version};

use super::wire::{Answer, Wire};
use super::world::World;

pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) incoming: BytesMut,
    outgoing: Outgoing,
    /// How many bytes of `outgoing` were looked at.
    seen: usize,
    /// Whether the broker said that there are bytes, and was not asked for all of them.
    pub(crate) announced: bool,
    pub(crate) paused: bool,
    decoder: Decoder,
    aliases: BTreeMap<u16, String>,
    /// The CONNECT, and whether it waits for an answer.
    pub(crate) request: Option<ConnectRequest>,
    pub(crate) waits: bool,
    pub(crate) wire: Option<Wire>,
    /// Since the broker said that it is connected, its Client Identifier.
    pub(crate) client_id: Option<String>,
    pub(crate) cause: Option<DisconnectCause>,
    /// Whether its session was there before it.
    pub(crate) is_present: bool,
    /// Whether the wrapper has told that the transport is gone.
    pub(crate) gone: bool,
    /// Of a client that keeps to the rules.
    pub(crate) slot: Option<usize>,
}

impl Connection {
    pub(crate) fn new(id: ConnectionId, slot: Option<usize>) -> Self {
        Self {
            id,
            incoming: BytesMut::new(),
            outgoing: Outgoing::new(),
            seen: 0,
            announced: false,
            paused: false,
            decoder: Decoder::from_client(),
            aliases: BTreeMap::new(),
            request: None,
            waits: false,
            wire: None,
            client_id: None,
            is_present: false,
            cause: None,
            gone: false,
            slot,
        }
    }

    pub(crate) const fn is_up(&self) -> bool {
        self.client_id.is_some() && self.cause.is_none()
    }
}

impl World<'_> {
    pub(crate) fn find(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|connection| connection.id == id && !connection.gone)
    }

    /// A transport is opened, if there may be another.
    pub(crate) fn open(&mut self, slot: Option<usize>) -> Option<ConnectionId> {
        let now = self.instant();
        let open = self.broker.counters().connections;
        match self.broker.transport_opened(now) {
            Err(error) => {
                let full = open >= self.setup.options.maximum_connections;
                assert!(full || self.is_shut_down, "{error:?}");
                None
            }
            Ok(id) => {
                let known = self.connections.iter().any(|connection| connection.id == id);
                assert!(!known && !self.dead.contains(&id), "{id:?} again");
                self.connections.push(Connection::new(id, slot));
                self.poll();
                Some(id)
            }
        }
    }

    /// The transport is gone, and the broker is told.
    pub(crate) fn lose(&mut self, id: ConnectionId) {
        let now = self.instant();
        let Some(connection) = self.find(id) else { return };
        connection.gone = true;
        let has_ended = connection.cause.is_some();
        self.dead.push(id);
        if let Some(model) = self.model.as_mut() {
            model.end(id, true);
        }
        self.broker.transport_closed(now, id);
        if has_ended {
            self.connections.retain(|connection| connection.id != id);
        }
        self.poll();
    }

    /// A client sends bytes.
    pub(crate) fn deliver(&mut self, id: ConnectionId, bytes: &[u8]) {
        let size = match self.setup.fragment {
            0 => bytes.len().max(1),
            size => size,
        };
        for fragment in bytes.chunks(size) {
            let Some(connection) = self.find(id) else { return };
            connection.incoming.extend_from_slice(fragment);
            if !connection.paused {
                self.receive(id);
            }
        }
    }

    pub(crate) fn receive(&mut self, id: ConnectionId) {
        let now = self.instant();
        let Some(at) = self.connections.iter().position(|c| c.id == id && !c.gone) else { return };
        let connection = &mut self.connections[at];
        let before = connection.incoming.to_vec();
        let received = self.broker.receive(now, id, &mut connection.incoming);
        connection.paused = received == Received::Paused;
        let consumed = &before[..before.len() - connection.incoming.len()];
        assert!(before.ends_with(&connection.incoming));
        self.note(received);
        let connection = &mut self.connections[at];
        let was_up = connection.is_up();
        if was_up {
            self.judge(at, consumed);
        } else if connection.cause.is_none() && connection.request.is_none() {
            // The CONNECT, of which the broker tells by an event, and no more.
            let _ = connection.decoder.decode(consumed);
        }
        self.poll();
        if let (Some(model), true) = (self.model.as_mut(), was_up && received == Received::Paused)
            && let Some(up) = model.session(id).and_then(|session| session.up.as_mut())
        {
            up.was_paused = true;
        }
    }

    /// Tells the models what the broker has taken in.
    fn judge(&mut self, at: usize, consumed: &[u8]) {
        let connection = &mut self.connections[at];
        let mut from = 0;
        while let Ok(Some((packet, len))) = connection.decoder.decode(&consumed[from..]) {
            from += len;
            let topic;
            let packet = match packet {
                Packet::Publish(mut publish) => {
                    topic = resolved(&mut connection.aliases, &publish);
                    publish.topic = &topic;
                    Packet::Publish(publish)
                }
                packet => packet,
            };
            let answer = match self.model.as_mut() {
                Some(model) => model.taken(connection.id, &packet),
                None => Answer::to(&packet),
            };
            let session = connection.client_id.as_ref().and_then(|id| self.wires.get_mut(id));
            session.into_iter().for_each(|session| session.taken(&packet));
            connection.wire.iter_mut().for_each(|wire| wire.taken(&packet, answer.clone()));
            if let Packet::Disconnect(_) = packet {
                return;
            }
        }
    }

    /// The transport asks for bytes; whether there were any.
    pub(crate) fn pull(&mut self, id: ConnectionId, limit: usize) -> bool {
        let now = self.instant();
        let Some(at) = self.connections.iter().position(|c| c.id == id && !c.gone) else {
            return false;
        };
        let Connection { outgoing, seen, announced, .. } = &mut self.connections[at];
        let transmitted = self.broker.transmit(now, id, limit, outgoing);
        if transmitted == Transmitted::All {
            *announced = false;
        } else {
            assert!(outgoing.remaining() >= limit);
        }
        let mut slices = [IoSlice::new(&[]); 256];
        let filled = outgoing.chunks_vectored(&mut slices);
        let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
        assert_eq!(bytes.len(), outgoing.remaining());
        let mut from = std::mem::replace(seen, bytes.len());
        let any = from < bytes.len();
        while from < bytes.len() {
            assert!(from < limit.max(1), "more than was asked for");
            from += self.sent(at, &bytes[from..]);
        }
        self.note(transmitted);
        self.poll();
        any
    }

    /// The transport takes bytes.
    pub(crate) fn consume(&mut self, id: ConnectionId, len: usize) {
        let Some(connection) = self.find(id) else { return };
        let taken = len.min(connection.outgoing.remaining());
        connection.outgoing.advance(taken);
        connection.seen -= taken;
    }

    /// The first packet of what the broker sends, and its length.
    fn sent(&mut self, at: usize, bytes: &[u8]) -> usize {
        let connection = &mut self.connections[at];
        let id = connection.id;
        let Some(wire) = connection.wire.as_mut() else {
            return refusal(bytes);
        };
        let decoded = Decoder::from_server(wire.version).decode(bytes);
        let (packet, len) = decoded.expect("a packet").expect("whole packets only");
        if let Some(DisconnectCause::ByClient(_)) = connection.cause {
            // What it asked for before, and what it does not hear any more.
            assert!(is_answer(&packet), "{packet} to one that has gone");
            wire.sent(&packet, len, connection.cause, None);
            self.note(packet);
            return len;
        }
        let session = connection.client_id.as_ref().and_then(|id| self.wires.get_mut(id));
        let topic = wire.sent(&packet, len, connection.cause, session);
        assert!(connection.cause.is_none() || wire.has_ended, "{packet} to one that has gone");
        if let (Packet::Publish(publish), Some(model)) = (&packet, self.model.as_mut()) {
            model.sent(id, publish, &topic, &wire.unanswered());
        }
        if let Some(slot) = connection.slot {
            self.actors[slot].hears(id, &packet);
        }
        if let Packet::ConnAck(conn_ack) = &packet {
            self.check_conn_ack(at, conn_ack);
        }
        self.note(packet);
        len
    }
}

/// The topic of a PUBLISH, and what its alias stands for from now on.
fn resolved(aliases: &mut BTreeMap<u16, String>, publish: &sansio_mqtt::Publish<'_>) -> String {
    match (publish.properties.topic_alias(), publish.topic) {
        (Some(alias), "") => aliases.get(&alias).cloned().unwrap_or_default(),
        (Some(alias), topic) => {
            aliases.insert(alias, topic.to_owned());
            topic.to_owned()
        }
        (None, topic) => topic.to_owned(),
    }
}

const fn is_answer(packet: &Packet<'_>) -> bool {
    matches!(
        packet,
        Packet::ConnAck(_)
            | Packet::PubAck(_)
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::Auth(_)
            | Packet::PingResp
    )
}

/// A client without a CONNECT that can be read may be told so, and no more.
fn refusal(bytes: &[u8]) -> usize {
    let refused =
        [Version::V5, Version::V3_1_1].into_iter().find_map(|version| match Decoder::from_server(
            version,
        )
        .decode(bytes)
        {
            Ok(Some((Packet::ConnAck(conn_ack), len))) => Some((conn_ack.reason_code, len)),
            _ => None,
        });
    let (code, len) = refused.expect("a CONNACK");
    assert!(code.is_error() && len == bytes.len());
    len
}
