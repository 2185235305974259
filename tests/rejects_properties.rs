//! What the properties of a packet may not be: unknown, another packet's, the other sender's, there
//! twice, or of a value out of its range.
//!
//! How packets are written here is explained in `support/notation.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails a test may panic")]

#[allow(dead_code, reason = "shared by several tests")]
#[path = "support/notation.rs"]
mod notation;

use notation::{CLIENT, EITHER, MALFORMED, PROTOCOL_ERROR, SERVER, V5, bytes, refuses};
use sansio_mqtt::{Cause, Packet, PropertyId, Sender, Version};

/// Where properties are, with `@` for them: a name, the sender, a packet.
const PLACES: [(&str, Sender, &str); 20] = [
    ("CONNECT", Sender::Client, "10 .. 'MQTT' 05 02 003c {@} 'c'"),
    ("will", Sender::Client, "10 .. 'MQTT' 05 06 003c {} 'c' {@} 't' ''"),
    ("CONNACK", Sender::Server, "20 .. 00 00 {@}"),
    ("PUBLISH", Sender::Client, "30 .. 'a' {@}"),
    ("PUBLISH", Sender::Server, "30 .. 'a' {@}"),
    ("ack", Sender::Client, "40 .. 0001 00 {@}"),
    ("ack", Sender::Server, "40 .. 0001 00 {@}"),
    ("ack", Sender::Client, "50 .. 0001 00 {@}"),
    ("ack", Sender::Server, "50 .. 0001 00 {@}"),
    ("ack", Sender::Client, "62 .. 0001 00 {@}"),
    ("ack", Sender::Server, "62 .. 0001 00 {@}"),
    ("ack", Sender::Client, "70 .. 0001 00 {@}"),
    ("ack", Sender::Server, "70 .. 0001 00 {@}"),
    ("SUBSCRIBE", Sender::Client, "82 .. 0001 {@} 'a' 00"),
    ("ack", Sender::Server, "90 .. 0001 {@} 00"),
    ("UNSUBSCRIBE", Sender::Client, "a2 .. 0001 {@} 'a'"),
    ("ack", Sender::Server, "b0 .. 0001 {@} 00"),
    ("DISCONNECT", Sender::Client, "e0 .. 00 {@}"),
    ("DISCONNECT", Sender::Server, "e0 .. 00 {@}"),
    ("AUTH", Sender::Client, "f0 .. 18 {@ 15 'm'}"),
];

/// v5 table 2-4: each property with a value that it may have, and the places that have it; those
/// of one sender alone are marked `<` for the client's and `>` for the server's.
const PROPERTIES: [(PropertyId, &str, &str); 27] = [
    (PropertyId::PayloadFormatIndicator, "01 01", "PUBLISH will"),
    (PropertyId::MessageExpiryInterval, "02 00000001", "PUBLISH will"),
    (PropertyId::ContentType, "03 't'", "PUBLISH will"),
    (PropertyId::ResponseTopic, "08 'r'", "PUBLISH will"),
    (PropertyId::CorrelationData, "09 'd'", "PUBLISH will"),
    (PropertyId::SubscriptionIdentifier, "0b 01", "PUBLISH> SUBSCRIBE"),
    (PropertyId::SessionExpiryInterval, "11 00000001", "CONNECT CONNACK DISCONNECT<"),
    (PropertyId::AssignedClientIdentifier, "12 'c'", "CONNACK"),
    (PropertyId::ServerKeepAlive, "13 0001", "CONNACK"),
    (PropertyId::AuthenticationMethod, "15 'm'", "CONNECT CONNACK AUTH"),
    (PropertyId::AuthenticationData, "16 'd'", "CONNECT CONNACK AUTH"),
    (PropertyId::RequestProblemInformation, "17 01", "CONNECT"),
    (PropertyId::WillDelayInterval, "18 00000001", "will"),
    (PropertyId::RequestResponseInformation, "19 01", "CONNECT"),
    (PropertyId::ResponseInformation, "1a 'i'", "CONNACK"),
    (PropertyId::ServerReference, "1c 's'", "CONNACK DISCONNECT>"),
    (PropertyId::ReasonString, "1f 'r'", "CONNACK ack DISCONNECT AUTH"),
    (PropertyId::ReceiveMaximum, "21 0001", "CONNECT CONNACK"),
    (PropertyId::TopicAliasMaximum, "22 0001", "CONNECT CONNACK"),
    (PropertyId::TopicAlias, "23 0001", "PUBLISH"),
    (PropertyId::MaximumQoS, "24 01", "CONNACK"),
    (PropertyId::RetainAvailable, "25 01", "CONNACK"),
    (
        PropertyId::UserProperty,
        "26 'n' 'v'",
        "CONNECT CONNACK PUBLISH will ack SUBSCRIBE UNSUBSCRIBE DISCONNECT AUTH",
    ),
    (PropertyId::MaximumPacketSize, "27 00000001", "CONNECT CONNACK"),
    (PropertyId::WildcardSubscriptionAvailable, "28 01", "CONNACK"),
    (PropertyId::SubscriptionIdentifierAvailable, "29 01", "CONNACK"),
    (PropertyId::SharedSubscriptionAvailable, "2a 01", "CONNACK"),
];

/// Every property in every packet from every sender: it is allowed, or another packet's, or the
/// other sender's.
///
/// v5 [U5-2.2.2.2-1] [MQTT-3.3.4-6] [MQTT-3.14.2-2]
#[test]
fn properties_of_other_packets_and_of_the_other_sender() {
    let mut allowed = 0;
    for (id, property, places) in PROPERTIES {
        for (place, sender, packet) in PLACES {
            let packet = with_property(id, packet, property);
            let (own, other) = match sender {
                Sender::Client => (format!("{place}<"), format!("{place}>")),
                Sender::Server => (format!("{place}>"), format!("{place}<")),
            };
            let has = |found: &str| places.split(' ').any(|place| place == found);
            if has(place) || has(&own) {
                notation::accepted(&bytes(&packet), Version::V5, sender);
                allowed += 1;
            } else if has(&other) {
                let cause = Cause::PropertyFromWrongSender(id);
                refuses(PROTOCOL_ERROR, &[(V5, &[sender], &packet, cause)]);
            } else {
                let cause = Cause::PropertyNotAllowed(id);
                refuses(MALFORMED, &[(V5, &[sender], &packet, cause)]);
            }
        }
    }
    assert_eq!(allowed, 81);
}

/// The packet with the property, and with what goes with that.
fn with_property(id: PropertyId, packet: &str, property: &str) -> String {
    let is_auth = packet.starts_with("f0");
    match id {
        PropertyId::AuthenticationMethod if is_auth => packet.replace("@ 15 'm'", property),
        // No data without a method.
        PropertyId::AuthenticationData
            if packet.starts_with("10") && !packet.contains("{} 'c'") =>
        {
            packet.replace('@', &format!("{property} 15 'm'"))
        }
        _ => packet.replace('@', property),
    }
}

/// v5 [U5-2.2.2.2-1]
#[test]
fn properties_that_do_not_exist() {
    for identifier in 0..=127 {
        if PROPERTIES.iter().any(|(id, ..)| id.get() == identifier) {
            continue;
        }
        let cause = Cause::UnknownProperty(identifier.into());
        for (_, sender, packet) in PLACES {
            let packet = packet.replace('@', &format!("{identifier:02x} 01"));
            refuses(MALFORMED, &[(V5, &[sender], &packet, cause)]);
        }
    }
    let cause = Cause::UnknownProperty(128);
    refuses(MALFORMED, &[(V5, EITHER, "30 .. 'a' {80 01 01}", cause)]);
}

/// Only User Properties repeat, and the Subscription Identifiers that a server sends in PUBLISH.
///
/// v5 [U5-3.1.2.11.2-1] [U5-3.1.2.11.3-1] [U5-3.1.2.11.4-1] [U5-3.1.2.11.5-1] [U5-3.1.2.11.6-1]
/// [U5-3.1.2.11.7-1] [U5-3.1.2.11.9-1] [U5-3.1.2.11.10-1] [U5-3.1.3.2-1] [U5-3.2.2.3-1]
/// [U5-3.3.2.3-1] [U5-3.4.2.2-1] [U5-3.8.2.1.2-1] [U5-3.9.2.1-1] [U5-3.14.2.2-1] [U5-3.15.2.2-1]
#[test]
fn properties_that_are_there_twice() {
    for (id, property, _) in PROPERTIES {
        for (place, sender, packet) in PLACES {
            let once = bytes(&with_property(id, packet, property));
            if Packet::decode(&once, Version::V5, sender).is_err() {
                continue;
            }
            // The second one with another between them.
            let twice = format!("{property} 26 '' '' {property}");
            let packet = with_property(id, packet, &twice);
            let repeats = id == PropertyId::UserProperty
                || id == PropertyId::SubscriptionIdentifier && place == "PUBLISH";
            if repeats {
                notation::accepted(&bytes(&packet), Version::V5, sender);
            } else {
                let cause = Cause::DuplicateProperty(id);
                refuses(PROTOCOL_ERROR, &[(V5, &[sender], &packet, cause)]);
            }
        }
    }
}

/// v5 [U5-3.1.2.11.3-1] [U5-3.1.2.11.4-1] [U5-3.1.2.11.6-1] [U5-3.1.2.11.7-1] [U5-3.2.2.3.3-1]
/// [U5-3.2.2.3.4-1] [U5-3.2.2.3.5-1] [U5-3.2.2.3.6-1] [U5-3.2.2.3.11-2] [U5-3.3.2.3.2-1]
/// [U5-3.3.2.3.8-1] [U5-3.8.2.1.2-1]
#[test]
fn property_values_out_of_their_range() {
    let rows: [(PropertyId, &[Sender], &str); 20] = [
        (PropertyId::PayloadFormatIndicator, EITHER, "30 .. 'a' {01 02}"),
        (PropertyId::PayloadFormatIndicator, EITHER, "30 .. 'a' {01 ff}"),
        (
            PropertyId::PayloadFormatIndicator,
            CLIENT,
            "10 .. 'MQTT' 05 06 003c {} 'c' {01 02} 't' ''",
        ),
        (PropertyId::RequestProblemInformation, CLIENT, "10 .. 'MQTT' 05 02 003c {17 02} 'c'"),
        (PropertyId::RequestResponseInformation, CLIENT, "10 .. 'MQTT' 05 02 003c {19 02} 'c'"),
        (PropertyId::ReceiveMaximum, CLIENT, "10 .. 'MQTT' 05 02 003c {21 0000} 'c'"),
        (PropertyId::MaximumPacketSize, CLIENT, "10 .. 'MQTT' 05 02 003c {27 00000000} 'c'"),
        (PropertyId::ReceiveMaximum, SERVER, "20 .. 00 00 {21 0000}"),
        (PropertyId::MaximumQoS, SERVER, "20 .. 00 00 {24 02}"),
        (PropertyId::MaximumQoS, SERVER, "20 .. 00 00 {24 03}"),
        (PropertyId::RetainAvailable, SERVER, "20 .. 00 00 {25 02}"),
        (PropertyId::MaximumPacketSize, SERVER, "20 .. 00 00 {27 00000000}"),
        (PropertyId::WildcardSubscriptionAvailable, SERVER, "20 .. 00 00 {28 02}"),
        (PropertyId::SubscriptionIdentifierAvailable, SERVER, "20 .. 00 00 {29 02}"),
        (PropertyId::SharedSubscriptionAvailable, SERVER, "20 .. 00 00 {2a 02}"),
        (PropertyId::SharedSubscriptionAvailable, SERVER, "20 .. 00 00 {2a 80}"),
        (PropertyId::SubscriptionIdentifier, SERVER, "30 .. 'a' {0b 00}"),
        (PropertyId::SubscriptionIdentifier, SERVER, "30 .. 'a' {0b 01 0b 00}"),
        (PropertyId::SubscriptionIdentifier, CLIENT, "82 .. 0001 {0b 00} 'a' 00"),
        (PropertyId::SubscriptionIdentifier, CLIENT, "82 .. 0001 {26 '' '' 0b 00} 'a' 00"),
    ];
    for (id, senders, packet) in rows {
        refuses(PROTOCOL_ERROR, &[(V5, senders, packet, Cause::InvalidPropertyValue(id))]);
    }
}

/// v5 [MQTT-3.3.2-8]
#[test]
fn the_topic_alias_0() {
    refuses(0x94, &[(V5, EITHER, "30 .. 'a' {23 0000}", Cause::TopicAliasZero)]);
    refuses(0x94, &[(V5, EITHER, "30 .. '' {23 0000}", Cause::TopicAliasZero)]);
}

/// v5 [U5-3.1.2.11.10-1] [U5-3.15.2.2-1]
#[test]
fn authentication_data_without_a_method() {
    let cause = Cause::AuthenticationDataWithoutMethod;
    let connect = "10 .. 'MQTT' 05 02 003c {16 'd'} 'c'";
    refuses(PROTOCOL_ERROR, &[(V5, CLIENT, connect, cause)]);
    let cause = Cause::MissingAuthenticationMethod;
    for auth in ["f0 .. 18 {}", "f0 .. 18 {16 'd'}", "f0 .. 18 {1f 'r'}"] {
        refuses(PROTOCOL_ERROR, &[(V5, EITHER, auth, cause)]);
    }
}

/// v5 [MQTT-3.3.4-6]
#[test]
fn a_subscription_identifier_in_a_publish_from_a_client() {
    let cause = Cause::PropertyFromWrongSender(PropertyId::SubscriptionIdentifier);
    refuses(PROTOCOL_ERROR, &[(V5, CLIENT, "30 .. 'a' {0b 01}", cause)]);
    refuses(PROTOCOL_ERROR, &[(V5, CLIENT, "32 .. 'a' 0001 {0b 01 0b 02}", cause)]);
}
