//! The transports of a world: bytes in either direction, and what the model makes of them.

use std::hash::Hash;
use std::io::IoSlice;

use bytes::{Buf, BytesMut};
use sansio_mqtt::client::{CallError, ConnectionId, Transmitted};
use sansio_mqtt::{Decoder, Outgoing, Packet, ReasonCode};

use super::world::World;

pub(crate) struct Transport {
    pub(crate) id: ConnectionId,
    incoming: BytesMut,
    outgoing: Outgoing,
    /// How many bytes of `outgoing` were looked at.
    seen: usize,
    /// Whether the client said that there are bytes, and was not asked for all of them.
    pub(crate) announced: bool,
    /// Whether the client has ended the connection.
    pub(crate) is_dead: bool,
}

impl World<'_> {
    pub(crate) fn open(&mut self) {
        let now = self.instant();
        match self.client.transport_opened(now) {
            Err(error) => {
                assert!(error == CallError::AlreadyConnected && self.transport.is_some());
            }
            Ok(id) => {
                self.stale.extend(self.transport.take().map(|transport| transport.id));
                assert!(!self.stale.contains(&id), "{id:?} again");
                self.peer.opened(self.time, &self.setup.options);
                let (incoming, outgoing) = (BytesMut::new(), Outgoing::new());
                let (seen, announced, is_dead) = (0, false, false);
                let transport = Transport { id, incoming, outgoing, seen, announced, is_dead };
                self.transport = Some(transport);
            }
        }
    }

    /// The transport is gone, and the client is told.
    pub(crate) fn lose(&mut self) {
        let now = self.instant();
        let Some(transport) = self.transport.take() else { return };
        self.client.transport_closed(now, transport.id);
        self.stale.push(transport.id);
        self.peer.ended(self.time);
        self.peer.connection = None;
    }

    /// What is said of a connection that has ended has no effect.
    pub(crate) fn close_stale(&mut self) {
        let Some(id) = self.stale.get(self.input.below(self.stale.len())).copied() else { return };
        let now = self.instant();
        let before = self.snapshot();
        self.client.transport_closed(now, id);
        let mut bytes = BytesMut::from(&b"\x20\x03\0\0\0"[..]);
        let _ = self.client.receive(now, id, &mut bytes);
        let mut outgoing = Outgoing::new();
        let all = self.client.transmit(now, id, 100, &mut outgoing);
        assert!(all == Transmitted::All && outgoing.is_empty());
        if let Some(before) = before {
            let masked = |text: &str| text.replace(char::is_numeric, "");
            assert_eq!(masked(&format!("{:?}", self.client)), masked(&before));
        }
    }

    /// The server sends bytes.
    pub(crate) fn deliver(&mut self, bytes: &[u8]) {
        let size = match self.setup.fragment {
            0 => bytes.len().max(1),
            size => size,
        };
        for fragment in bytes.chunks(size) {
            let Some(transport) = self.transport.as_mut() else { return };
            transport.incoming.extend_from_slice(fragment);
            self.receive();
        }
    }

    pub(crate) fn receive(&mut self) {
        let now = self.instant();
        let Some(transport) = self.transport.as_mut() else { return };
        let before = transport.incoming.to_vec();
        let received = self.client.receive(now, transport.id, &mut transport.incoming);
        let consumed = &before[..before.len() - transport.incoming.len()];
        assert!(before.ends_with(&transport.incoming));
        self.judge(consumed);
        self.note(received);
    }

    /// Tells the model what the client has taken in.
    fn judge(&mut self, consumed: &[u8]) {
        let mut decoder = Decoder::from_server(self.setup.options.version);
        let (mut packets, mut at) = (Vec::new(), 0);
        while let Ok(Some((packet, len))) = decoder.decode(&consumed[at..]) {
            packets.push(packet);
            at += len;
        }
        let Some(transport) = self.transport.as_mut() else { return };
        if transport.is_dead || packets.is_empty() {
            return self.sync();
        }
        let is_auth = |packet: &Packet<'_>| matches!(packet, Packet::Auth(_));
        let was_up = self.peer.is_up();
        if self.client.server().is_some() {
            packets.iter().for_each(|packet| self.peer.taken(packet));
        } else if was_up || !packets.iter().all(is_auth) {
            transport.is_dead = true;
            // How many of several were taken in is not known, nor what a bad CONNACK changed.
            let accepts = |packet: &Packet<'_>| {
                matches!(packet, Packet::ConnAck(conn_ack)
                if conn_ack.reason_code == ReasonCode::SUCCESS)
            };
            if packets.len() > 1 || at < consumed.len() || !was_up && packets.iter().any(accepts) {
                self.peer.blur();
            }
        }
        self.sync();
    }

    /// The transport asks for bytes; whether there were any.
    pub(crate) fn pull(&mut self, limit: usize) -> bool {
        let now = self.instant();
        let Some(transport) = self.transport.as_mut() else { return false };
        let Transport { id, outgoing, seen, announced, .. } = transport;
        let transmitted = self.client.transmit(now, *id, limit, outgoing);
        if transmitted == Transmitted::All {
            *announced = false;
        } else {
            assert!(outgoing.remaining() >= limit);
        }
        let mut slices = [IoSlice::new(&[]); 128];
        let filled = outgoing.chunks_vectored(&mut slices);
        let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
        assert_eq!(bytes.len(), outgoing.remaining());
        let mut at = std::mem::replace(seen, bytes.len());
        bytes[at..].hash(&mut self.transcript);
        let any = at < bytes.len();
        while at < bytes.len() {
            assert!(at < limit.max(1), "more than was asked for");
            let connection = self.peer.connection.as_mut().expect("a connection");
            let decoded = connection.decoder.decode(&bytes[at..]);
            let (packet, len) = decoded.expect("a packet").expect("whole packets only");
            self.peer.sent(&packet, len);
            at += len;
        }
        self.note(transmitted);
        self.sync();
        any
    }

    /// The transport takes bytes.
    pub(crate) fn consume(&mut self, len: usize) {
        let Some(transport) = self.transport.as_mut() else { return };
        let taken = len.min(transport.outgoing.remaining());
        transport.outgoing.advance(taken);
        transport.seen -= taken;
    }
}
