//! What looks odd and is allowed: a test for each rule, named by what is accepted. All of it
//! encodes to the same bytes again.
//!
//! How packets are written here is explained in `support/notation.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails a test may panic")]

#[allow(dead_code, reason = "shared by several tests")]
#[path = "support/notation.rs"]
mod notation;

use notation::{ALL, CLIENT, EITHER, SERVER, V3, V3_1, V3_1_1, V5, accepted, bytes};
use sansio_mqtt::{
    ConnAck, Connect, Decoder, Packet, Properties, Property, Publish, QoS, ReasonCode,
    RetainHandling, Sender, Version,
};

/// In which versions, from whom, what.
type Row<'a> = (&'a [Version], &'a [Sender], &'a str);

/// All rows are packets, of which the check holds.
#[track_caller]
fn accepts(rows: &[Row<'_>], check: impl Fn(&Packet<'_>) -> bool) {
    for (versions, senders, text) in rows {
        for version in *versions {
            for sender in *senders {
                let frame = bytes(text);
                let packet = accepted(&frame, *version, *sender);
                assert!(check(&packet), "{version} from {sender}: {packet:?}");
            }
        }
    }
}

#[track_caller]
fn connect<'a>(packet: &Packet<'a>) -> Connect<'a> {
    match packet {
        Packet::Connect(connect) => *connect,
        packet => panic!("no CONNECT: {packet}"),
    }
}

#[track_caller]
fn publish<'a>(packet: &Packet<'a>) -> Publish<'a> {
    match packet {
        Packet::Publish(publish) => *publish,
        packet => panic!("no PUBLISH: {packet}"),
    }
}

/// v5 [MQTT-2.2.1-2], v3.1.1 [MQTT-2.3.1-5]
#[test]
fn a_payload_that_looks_like_an_identifier_at_qos_0() {
    let rows: [Row<'_>; 2] = [(V3, EITHER, "30 .. 'a' 0000"), (V5, EITHER, "30 .. 'a' {} 0000")];
    accepts(&rows, |packet| {
        (publish(packet).packet_id, publish(packet).payload) == (None, &[0, 0])
    });
}

/// v5 3.3.2.3.3: any four bytes.
#[test]
fn a_message_expiry_of_0() {
    let rows: [Row<'_>; 1] = [(V5, EITHER, "30 .. 'a' {02 00000000} 78")];
    accepts(&rows, |packet| publish(packet).properties.message_expiry_interval() == Some(0));
    let will: [Row<'_>; 1] = [(V5, CLIENT, "10 .. 'MQTT' 05 06 003c {} 'c' {02 00000000} 't' ''")];
    accepts(&will, |packet| {
        let will = connect(packet).will.unwrap();
        will.properties.message_expiry_interval() == Some(0)
    });
}

/// v5 3.1.3.6, v3.1.1 3.1.3.5: binary data.
#[test]
fn passwords_that_are_no_text() {
    accepts(
        &[
            (V3_1, CLIENT, "10 .. 'MQIsdp' 03 c2 003c 'c' 'u' 0003 ff00fe"),
            (V3_1_1, CLIENT, "10 .. 'MQTT' 04 c2 003c 'c' 'u' 0003 ff00fe"),
            (V5, CLIENT, "10 .. 'MQTT' 05 c2 003c {} 'c' 'u' 0003 ff00fe"),
        ],
        |packet| connect(packet).password == Some(&[0xff, 0x00, 0xfe]),
    );
}

/// v5 [MQTT-3.1.2-19] and 3.1.2.9, v3.1.1 [MQTT-3.1.2-22]: 3.1.1 alone forbids it.
#[test]
fn a_password_without_a_user_name_in_5() {
    let rows: [Row<'_>; 2] = [
        (V5, CLIENT, "10 .. 'MQTT' 05 42 003c {} 'c' 'p'"),
        (V3_1, CLIENT, "10 .. 'MQIsdp' 03 42 003c 'c' 'p'"),
    ];
    accepts(&rows, |packet| {
        (connect(packet).user_name, connect(packet).password) == (None, Some(b"p"))
    });
}

/// v5 [MQTT-3.1.2-17], v3.1.1 [MQTT-3.1.2-19]
#[test]
fn empty_user_names_and_passwords() {
    let rows: [Row<'_>; 2] = [
        (V3_1_1, CLIENT, "10 .. 'MQTT' 04 c2 003c 'c' '' ''"),
        (V5, CLIENT, "10 .. 'MQTT' 05 c2 003c {} 'c' '' ''"),
    ];
    accepts(&rows, |packet| {
        (connect(packet).user_name, connect(packet).password) == (Some(""), Some(b""))
    });
}

/// v5 [MQTT-3.1.2-9] and 3.1.3.4, v3.1.1 3.1.3.3
#[test]
fn an_empty_will_payload() {
    let rows: [Row<'_>; 2] = [
        (V3_1_1, CLIENT, "10 .. 'MQTT' 04 06 003c 'c' 't' ''"),
        (V5, CLIENT, "10 .. 'MQTT' 05 06 003c {} 'c' {} 't' ''"),
    ];
    accepts(&rows, |packet| connect(packet).will.unwrap().payload.is_empty());
}

/// v5 [MQTT-3.1.2-12], v3.1.1 [MQTT-3.1.2-14]
#[test]
fn a_will_at_each_qos_retained_or_not() {
    for (flags, qos, retain) in [
        ("06", QoS::AtMostOnce, false),
        ("0e", QoS::AtLeastOnce, false),
        ("16", QoS::ExactlyOnce, false),
        ("26", QoS::AtMostOnce, true),
        ("34", QoS::ExactlyOnce, true),
    ] {
        let v3_1_1 = format!("10 .. 'MQTT' 04 {flags} 003c 'c' 't' 'p'");
        let v5 = format!("10 .. 'MQTT' 05 {flags} 003c {{}} 'c' {{}} 't' 'p'");
        accepts(&[(V3_1_1, CLIENT, &v3_1_1), (V5, CLIENT, &v5)], |packet| {
            let will = connect(packet).will.unwrap();
            (will.qos, will.retain) == (qos, retain)
        });
    }
}

/// v5 3.1.3.1, v3.1.1 [MQTT-3.1.3-6]: in 3.1.1 with clean session only.
#[test]
fn an_empty_client_identifier() {
    accepts(
        &[
            (V5, CLIENT, "10 .. 'MQTT' 05 00 003c {} ''"),
            (V5, CLIENT, "10 .. 'MQTT' 05 02 003c {} ''"),
            (V3_1_1, CLIENT, "10 .. 'MQTT' 04 02 003c ''"),
        ],
        |packet| connect(packet).client_id.is_empty(),
    );
}

/// v5 3.1.2.11, v3.1.1 3.1.3.1: 3.1 has 23 characters, later versions as many as fit.
#[test]
fn long_client_identifiers() {
    let longest = "é".repeat(23);
    let v3_1 = format!("10 .. 'MQIsdp' 03 02 003c '{longest}'");
    accepts(&[(V3_1, CLIENT, &v3_1)], |packet| connect(packet).client_id == longest);
    let longest = "x".repeat(65_535);
    let v3_1_1 = format!("10 .. 'MQTT' 04 02 003c '{longest}'");
    let frame = bytes(&v3_1_1);
    let packet = Packet::decode(&frame, Version::V3_1_1, Sender::Client).unwrap();
    assert_eq!(connect(&packet).client_id, longest);
}

/// Wildcards are for topics alone: an access rule that is made of these has to mind them.
/// CVE-2017-7650
#[test]
fn client_identifiers_and_user_names_with_wildcards() {
    let rows: [Row<'_>; 2] = [
        (V3_1_1, CLIENT, "10 .. 'MQTT' 04 82 003c '#' '+'"),
        (V5, CLIENT, "10 .. 'MQTT' 05 82 003c {} '#' '+'"),
    ];
    accepts(&rows, |packet| {
        (connect(packet).client_id, connect(packet).user_name) == ("#", Some("+"))
    });
}

/// v5 3.3.4: one for each subscription that the message matched.
#[test]
fn several_subscription_identifiers_from_a_server() {
    let rows: [Row<'_>; 1] = [(V5, SERVER, "30 .. 'a' {0b 01 0b ffffff7f 0b 8001 0b 01} 78")];
    accepts(&rows, |packet| {
        let publish = publish(packet);
        let identifiers: Vec<_> = publish.properties.subscription_identifiers().collect();
        identifiers == [1, 268_435_455, 128, 1] && publish.payload == b"x"
    });
}

/// v5 [U5-3.14.2.1-1], v3.1.1 3.14
#[test]
fn disconnect_without_a_body_or_with_a_reason_only() {
    let code = |packet: &Packet<'_>| match packet {
        Packet::Disconnect(packet) if packet.properties.is_empty() => packet.reason_code.get(),
        packet => panic!("{packet}"),
    };
    accepts(&[(V3, CLIENT, "e0 00"), (V5, EITHER, "e0 00")], |packet| code(packet) == 0);
    accepts(&[(V5, EITHER, "e0 01 00"), (V5, EITHER, "e0 02 00 00")], |packet| code(packet) == 0);
    accepts(&[(V5, CLIENT, "e0 01 04")], |packet| code(packet) == 4);
    accepts(&[(V5, SERVER, "e0 01 8b")], |packet| code(packet) == 0x8b);
    // Of table 2-6, and not of table 3-10.
    accepts(&[(V5, EITHER, "e0 01 8c")], |packet| code(packet) == 0x8c);
}

/// v5 [U5-3.15.2.1-1]
#[test]
fn auth_without_a_body_or_with_a_reason_only() {
    let code = |packet: &Packet<'_>| match packet {
        Packet::Auth(packet) if packet.properties.is_empty() => packet.reason_code.get(),
        packet => panic!("{packet}"),
    };
    accepts(&[(V5, EITHER, "f0 00"), (V5, SERVER, "f0 01 00")], |packet| code(packet) == 0);
    accepts(&[(V5, EITHER, "f0 01 18")], |packet| code(packet) == 0x18);
    accepts(&[(V5, CLIENT, "f0 01 19")], |packet| code(packet) == 0x19);
}

/// v5 [U5-3.4.2.1-1], v3.1.1 3.4.2
#[test]
fn acknowledgements_with_the_identifier_only_or_with_a_reason_only() {
    let code = |packet: &Packet<'_>| match packet {
        Packet::PubAck(packet) if packet.properties.is_empty() => packet.reason_code,
        Packet::PubRec(packet) if packet.properties.is_empty() => packet.reason_code,
        Packet::PubRel(packet) if packet.properties.is_empty() => packet.reason_code,
        Packet::PubComp(packet) if packet.properties.is_empty() => packet.reason_code,
        packet => panic!("{packet}"),
    };
    for (first, error) in [("40", "87"), ("50", "99"), ("62", "92"), ("70", "92")] {
        let short = format!("{first} .. 8001");
        let success = format!("{first} .. 8001 00");
        let empty = format!("{first} .. 8001 00 {{}}");
        let rows: [Row<'_>; 3] =
            [(ALL, EITHER, &short), (V5, EITHER, &success), (V5, EITHER, &empty)];
        accepts(&rows, |packet| code(packet) == ReasonCode::SUCCESS);
        let rows = [format!("{first} .. 8001 {error}"), format!("{first} .. 8001 {error} {{}}")];
        for row in &rows {
            accepts(&[(V5, EITHER, row)], |packet| hex_of(code(packet)) == error);
        }
    }
}

fn hex_of(code: ReasonCode) -> String {
    format!("{:02x}", code.get())
}

/// v5 3.3.2.1, 3.3.2.3.4
#[test]
fn an_empty_topic_with_an_alias() {
    let rows: [Row<'_>; 2] =
        [(V5, EITHER, "30 .. '' {23 0001} 78"), (V5, EITHER, "34 .. '' 0001 {26 '' '' 23 ffff}")];
    accepts(&rows, |packet| {
        let publish = publish(packet);
        publish.topic.is_empty() && publish.properties.topic_alias().is_some()
    });
}

/// v5 [U5-2.2.2.2-2]
#[test]
fn user_properties_in_their_order_with_repeats_among_others() {
    let rows: [Row<'_>; 1] =
        [(V5, EITHER, "30 .. 'a' {26 'k' '1' 26 'b' '' 01 01 26 'k' '2' 26 'k' '1' 03 't'}")];
    accepts(&rows, |packet| {
        let properties = publish(packet).properties;
        let found: Vec<_> = properties.user_properties().collect();
        found == [("k", "1"), ("b", ""), ("k", "2"), ("k", "1")]
            && properties.content_type() == Some("t")
            && properties
                == Properties::List(&[
                    Property::UserProperty("k", "1"),
                    Property::UserProperty("b", ""),
                    Property::PayloadFormatIndicator(true),
                    Property::UserProperty("k", "2"),
                    Property::UserProperty("k", "1"),
                    Property::ContentType("t"),
                ])
    });
}

/// v5 [MQTT-1.5.4-3], v3.1.1 [MQTT-1.5.3-3]
#[test]
fn a_byte_order_mark_as_a_character_like_others() {
    let rows: [Row<'_>; 2] =
        [(V3, EITHER, "30 .. 0004 efbbbf61"), (V5, EITHER, "30 .. 0004 efbbbf61 {}")];
    accepts(&rows, |packet| publish(packet).topic == "\u{feff}a");
}

/// The standards let a receiver refuse these; this one does not.
///
/// v5 [U5-1.5.4-1], v3.1.1 1.5.3
#[test]
fn control_characters_and_non_characters() {
    for text in ["\u{1}", "\u{7f}", "\u{9f}", "\u{fdd0}", "\u{ffff}", "\u{10ffff}"] {
        let v3 = format!("30 .. 'a{text}'");
        let v5 = format!("30 .. 'a{text}' {{}}");
        accepts(&[(V3, EITHER, &v3), (V5, EITHER, &v5)], |packet| {
            publish(packet).topic.ends_with(text)
        });
    }
}

/// v5 4.7.1.1, 4.7.3, v3.1.1 4.7.1.1, 4.7.3
#[test]
fn topics_of_separators_spaces_and_dollars() {
    for topic in ["/", "//", " ", "a//b", "/a", "a/", "$", "$x/y", "$SYS", "$share/g", "ü/é"] {
        let v3 = format!("30 .. '{topic}'");
        let v5 = format!("30 .. '{topic}' {{}}");
        accepts(&[(V3, EITHER, &v3), (V5, EITHER, &v5)], |packet| publish(packet).topic == topic);
    }
}

/// v5 [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.8.2-2], v3.1.1 [MQTT-4.7.1-2] [MQTT-4.7.1-3]
#[test]
fn filters_with_wildcards_in_levels_of_their_own() {
    let subscriptions = |packet: &Packet<'_>| match packet {
        Packet::Subscribe(packet) => packet.subscriptions.iter().count(),
        packet => panic!("{packet}"),
    };
    let all = "'#' 00 '+' 01 '/#' 02 '+/a/+' 00 '+/+/#' 00 '/' 00 '$SYS/#' 00 '$share' 00";
    let v3 = format!("82 .. 0001 {all} '$share/g' 00 '$share//' 00");
    let v5 = format!("82 .. 0001 {{}} {all} '$share/g/#' 02 '$share/g//' 28 '$shared/g' 2c");
    accepts(&[(V3, CLIENT, &v3)], |packet| subscriptions(packet) == 10);
    accepts(&[(V5, CLIENT, &v5)], |packet| subscriptions(packet) == 11);
}

/// v5 3.8.3.1
#[test]
fn every_combination_of_subscription_options() {
    for options in 0..0x40u8 {
        if options & 0x03 == 0x03 || options & 0x30 == 0x30 {
            continue;
        }
        let row = format!("82 .. 0001 {{}} 'a' {options:02x}");
        accepts(&[(V5, CLIENT, &row)], |packet| {
            let Packet::Subscribe(packet) = packet else { return false };
            let subscription = packet.subscriptions.iter().next().unwrap();
            subscription.qos.get() == options & 0x03
                && subscription.no_local == (options & 0x04 != 0)
                && subscription.retain_as_published == (options & 0x08 != 0)
                && Some(subscription.retain_handling) == RetainHandling::new(options >> 4)
        });
    }
}

/// v5 [MQTT-2.2.2-1]
#[test]
fn no_properties_as_one_byte() {
    accepts(&[(V5, EITHER, "30 .. 'a' 00")], |packet| publish(packet).properties.is_empty());
    accepts(&[(V5, CLIENT, "10 .. 'MQTT' 05 02 003c 00 'c'")], |packet| {
        connect(packet).properties.is_empty()
    });
}

/// The Remaining Length of 3.x may have needless bytes; it is encoded without. v3.1.1 2.2.3
#[test]
fn a_remaining_length_in_3_x_that_is_not_in_its_shortest_form() {
    for version in V3 {
        for frame in ["c0 80 00", "c0 80 80 80 00"] {
            let packet = Packet::decode(&bytes(frame), *version, Sender::Client).map(|packet| {
                let mut out = Vec::new();
                packet.encode(*version, &mut out).unwrap();
                out
            });
            assert_eq!(packet, Ok(vec![0xc0, 0]));
        }
        let frame = bytes("30 83 00 0001 61");
        let mut decoder = notation::decoder(*version, Sender::Server);
        let (packet, len) = decoder.decode(&frame).unwrap().unwrap();
        assert_eq!((publish(&packet).topic, len), ("a", 6));
    }
}

/// 3.1 is older than its flags: user name and password may be missing at the end.
#[test]
fn a_connect_of_3_1_that_ends_before_its_user_name_or_password() {
    for (packet, user_name) in [
        ("10 .. 'MQIsdp' 03 82 003c 'c'", None),
        ("10 .. 'MQIsdp' 03 c2 003c 'c'", None),
        ("10 .. 'MQIsdp' 03 c2 003c 'c' 'u'", Some("u")),
    ] {
        let frame = bytes(packet);
        let connect = Connect::decode_any_version(&frame).unwrap();
        assert_eq!((connect.user_name, connect.password), (user_name, None));
        let mut decoder = Decoder::from_client();
        let found = decoder.decode(&frame).unwrap();
        assert_eq!(found, Some((Packet::from(connect), frame.len())));
        assert_eq!(decoder.version(), Some(Version::V3_1));
    }
}

/// In 3.1 these have a DUP flag and a QoS of 1.
#[test]
fn dup_of_pubrel_subscribe_and_unsubscribe_in_3_1() {
    let rows: [Row<'_>; 3] = [
        (V3_1, EITHER, "6a .. 0001"),
        (V3_1, CLIENT, "8a .. 0001 'a' 00"),
        (V3_1, CLIENT, "aa .. 0001 'a'"),
    ];
    accepts(&rows, |packet| match packet {
        Packet::PubRel(packet) => packet.dup,
        Packet::Subscribe(packet) => packet.dup,
        Packet::Unsubscribe(packet) => packet.dup,
        _ => false,
    });
}

/// v5 [MQTT-3.2.2-1], v3.1.1 3.2.2.2
#[test]
fn session_present_with_success() {
    let rows: [Row<'_>; 2] = [(V3_1_1, SERVER, "20 .. 01 00"), (V5, SERVER, "20 .. 01 00 {}")];
    accepts(&rows, |packet| {
        *packet == ConnAck { session_present: true, ..Default::default() }.into()
    });
}

/// v5 [U5-3.1.2.11.5-1], 3.1.2.11.2, 3.2.2.3.14
#[test]
fn zero_where_it_means_none() {
    accepts(
        &[
            (V5, CLIENT, "10 .. 'MQTT' 05 02 0000 {22 0000 11 00000000 17 00 19 00} 'c'"),
            (V5, SERVER, "20 .. 00 00 {22 0000 13 0000 24 00 25 00 28 00 29 00 2a 00}"),
            (V5, CLIENT, "10 .. 'MQTT' 05 06 0000 {} 'c' {18 00000000 01 00} 't' ''"),
            (V5, EITHER, "30 .. 'a' {03 '' 09 '' 26 '' ''}"),
            (V5, CLIENT, "10 .. 'MQTT' 05 02 0000 {15 '' 16 ''} 'c'"),
        ],
        |_| true,
    );
}
