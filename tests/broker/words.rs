//! What clients say, and what is seen of it, in few words.

use std::fmt::Write;

use sansio_mqtt::broker::{Event, Options};
use sansio_mqtt::{
    ConnAck, Connect, OwnedPacket, Packet, Properties, Property, PubAck, PubComp, PubRec, Publish,
    QoS, Version,
};

pub(crate) use crate::packets::{
    QOS, id, lasting, of, pub_ack, pub_comp, pub_rec, pub_rel, publish,
};

/// What a client that gets this packet answers by itself.
pub(crate) fn answer(packet: &Packet<'_>) -> Option<Packet<'static>> {
    match packet {
        Packet::Publish(Publish { packet_id: Some(id), qos, .. }) => match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => Some(PubAck::new(*id).into()),
            QoS::ExactlyOnce => Some(PubRec::new(*id).into()),
        },
        Packet::PubRel(ack) => Some(PubComp::new(ack.packet_id).into()),
        _ => None,
    }
}

/// A message in a line.
pub(crate) fn message(publish: &Publish<'_>) -> String {
    let mut line = format!("{} {}", publish.topic, String::from_utf8_lossy(publish.payload));
    if publish.qos != QoS::AtMostOnce {
        let _ = write!(line, " QoS {}", publish.qos);
    }
    for (set, word) in [(publish.dup, "dup"), (publish.retain, "retain")] {
        if set {
            let _ = write!(line, " {word}");
        }
    }
    let properties: Vec<String> = publish.properties.iter().map(|one| one.to_string()).collect();
    if !properties.is_empty() {
        let _ = write!(line, " {{{}}}", properties.join(", "));
    }
    line
}

/// An event in a line.
pub(crate) fn describe(event: &Event) -> String {
    match event {
        Event::Connect { request, .. } => format!("connect {}", request.client_id()),
        Event::Connected { client_id, session_present: true, .. } => {
            format!("connected again {client_id}")
        }
        Event::Connected { client_id, .. } => format!("connected {client_id}"),
        Event::Authenticate { packet, .. } => format!("authenticate {packet}"),
        Event::Disconnected { client_id: Some(client_id), cause, .. } => {
            format!("disconnected {client_id}: {cause}")
        }
        Event::Disconnected { cause, .. } => format!("disconnected: {cause}"),
        Event::SessionEnded { client_id } => format!("session ended {client_id}"),
        other => format!("{other:?}"),
    }
}

/// A CONNECT for a session that ends with its connection, of 5.0.
pub(crate) fn v5(client_id: &str) -> Connect<'_> {
    of(Version::V5, client_id)
}

/// A CONNECT with properties.
pub(crate) fn with<'a>(connect: Connect<'a>, properties: &'a [Property<'a>]) -> Connect<'a> {
    Connect { properties: Properties::List(properties), ..connect }
}

pub(crate) fn conn_ack_of(packet: &OwnedPacket) -> ConnAck<'_> {
    match packet.packet() {
        Packet::ConnAck(conn_ack) => conn_ack,
        other => panic!("{other} is no CONNACK"),
    }
}

/// The default options.
pub(crate) fn options() -> Options {
    Options::new(0x5eed)
}

/// The default options, changed.
pub(crate) fn options_with(change: impl FnOnce(&mut Options)) -> Options {
    let mut options = options();
    change(&mut options);
    options
}
