//! What clients and servers say, in few words.

#![allow(dead_code, reason = "each test uses a part of it")]

use sansio_mqtt::{
    Connect, PacketId, Properties, Property, PubAck, PubComp, PubRec, PubRel, Publish, QoS, Version,
};

/// Every QoS.
pub(crate) const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// A packet identifier.
pub(crate) fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

pub(crate) fn pub_ack(value: u16) -> PubAck<'static> {
    PubAck::new(id(value))
}

pub(crate) fn pub_rec(value: u16) -> PubRec<'static> {
    PubRec::new(id(value))
}

pub(crate) fn pub_rel(value: u16) -> PubRel<'static> {
    PubRel::new(id(value))
}

pub(crate) fn pub_comp(value: u16) -> PubComp<'static> {
    PubComp::new(id(value))
}

/// A message, under this identifier unless it is of QoS 0.
pub(crate) fn publish<'a>(topic: &'a str, qos: QoS, value: u16, payload: &'a str) -> Publish<'a> {
    let packet_id = PacketId::new(value).filter(|_| qos != QoS::AtMostOnce);
    Publish { topic, qos, packet_id, payload: payload.as_bytes(), ..Publish::default() }
}

/// A CONNECT for a session that ends with its connection.
pub(crate) fn of(version: Version, client_id: &str) -> Connect<'_> {
    Connect { version, client_id, ..Connect::default() }
}

/// The session does not expire.
pub(crate) const FOR_EVER: &[Property<'static>] = &[Property::SessionExpiryInterval(u32::MAX)];

/// A CONNECT for a session that goes on from connection to connection, in any version.
pub(crate) fn lasting(version: Version, client_id: &str) -> Connect<'_> {
    let properties = Properties::List(if version.is_v5() { FOR_EVER } else { &[] });
    Connect { clean_start: false, properties, ..of(version, client_id) }
}
