//! Faults that other MQTT software had, each with its test.
//!
//! Numbers are public identifiers; what a message broker suffered is here as far as a codec can
//! suffer it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails a test may panic")]

#[allow(dead_code, reason = "shared by several tests")]
#[path = "support/notation.rs"]
mod notation;

use std::fmt::Write;

use bytes::BytesMut;
use notation::{ALL, CLIENT, EITHER, SERVER, V3_1_1, V5, accepted, bytes, refused, refuses};
use sansio_mqtt::topic::{FilterError, NameError, check_filter};
use sansio_mqtt::{
    Cause, ConnAck, Connect, Decoder, Disconnect, EncodeError, OwnedPacket, Packet, PacketId,
    Properties, Property, PropertyId, Publish, QoS, ReasonCode, Sender, Subscribe, Subscription,
    TopicFilter, TopicName, Unsubscribe, Version, Will, varint,
};

/// Packets of each kind, whole and short.
const WHOLE: [(&[Version], &[Sender], &str); 17] = [
    (V3_1_1, CLIENT, "10 .. 'MQTT' 04 c6 003c 'c' 't' 'p' 'u' 'p'"),
    (
        V5,
        CLIENT,
        "10 .. 'MQTT' 05 c6 003c {11 0000003c 26 'k' 'v'} 'c' {18 00000001} 't' 'p' 'u' 'p'",
    ),
    (V3_1_1, SERVER, "20 .. 01 00"),
    (V5, SERVER, "20 .. 00 00 {12 'c' 24 01}"),
    (V3_1_1, EITHER, "32 .. 'a/b' 0001"),
    (V5, EITHER, "32 .. 'a/b' 0001 {02 0000000a 09 'd'}"),
    (V3_1_1, EITHER, "40 .. 0001"),
    (V5, EITHER, "50 .. 0001 80 {1f 'r'}"),
    (V3_1_1, CLIENT, "82 .. 0001 'a' 00"),
    (V5, CLIENT, "82 .. 0001 {0b 8001} 'a/+' 00"),
    (V3_1_1, SERVER, "90 .. 0001 00"),
    (V5, SERVER, "90 .. 0001 {1f 'r'} 80"),
    (V3_1_1, CLIENT, "a2 .. 0001 'a'"),
    (V5, CLIENT, "a2 .. 0001 {26 'k' 'v'} 'a'"),
    (V5, SERVER, "b0 .. 0001 {} 11"),
    (V5, EITHER, "e0 .. 80 {1f 'r'}"),
    (V5, EITHER, "f0 .. 18 {15 'm' 16 'd'}"),
];

// Codecs.

#[test]
fn a_topic_longer_than_its_packet_does_not_underflow() {
    refuses(0x81, &[(ALL, EITHER, "30 02 00 09", Cause::FieldOverrunsPacket)]);
}

#[test]
fn several_subscription_identifiers_do_not_end_in_the_payload() {
    let frame = bytes("30 0b 00 01 61 06 0b 01 0b 02 0b 03 78");
    let packet = accepted(&frame, Version::V5, Sender::Server);
    let Packet::Publish(publish) = packet else { panic!("{packet}") };
    let identifiers: Vec<_> = publish.properties.subscription_identifiers().collect();
    assert_eq!(
        (publish.topic, &identifiers[..], publish.payload),
        ("a", &[1, 2, 3][..], &b"x"[..])
    );
}

/// v5 [U5-2.1.4-1]
#[test]
fn a_complete_frame_never_needs_more_bytes() {
    // A CONNACK of 3.1.1 read as one of 5.0; a DISCONNECT of 5.0 read as one of 3.1.1.
    refuses(0x82, &[(V5, SERVER, "20 02 00 01", Cause::InvalidReasonCode(1))]);
    refuses(0x81, &[(V5, SERVER, "20 02 00 00", Cause::FieldOverrunsPacket)]);
    refuses(0x81, &[(V3_1_1, CLIENT, "e0 01 00", Cause::TrailingBytes)]);
    let frame = bytes("e0 01 00");
    let packet = accepted(&frame, Version::V5, Sender::Client);
    assert_eq!(packet, Disconnect::default().into());
    // Another packet behind it does not help, and is not swallowed.
    for (versions, senders, text) in WHOLE {
        for frame in cut_short(text) {
            let len = frame.len();
            let followed = [&frame[..], &frame[..]].concat();
            for sender in senders {
                match notation::decoder(versions[0], *sender).decode(&followed) {
                    Ok(Some((_, used))) => assert_eq!(used, len, "{frame:02x?}"),
                    Ok(None) => panic!("more bytes needed for {frame:02x?}"),
                    Err(error) => assert_eq!(error.frame_len, Some(len), "{frame:02x?}"),
                }
            }
        }
    }
}

/// The bodies of a packet cut short at each byte, each with the length that is left.
fn cut_short(text: &str) -> impl Iterator<Item = Vec<u8>> {
    let frame = bytes(text);
    let body = frame.len() - 2;
    assert_eq!(usize::from(frame[1]), body, "a short packet: {text}");
    (0..body).map(move |left| {
        let mut cut = frame[..2 + left].to_vec();
        cut[1] = u8::try_from(left).unwrap();
        cut
    })
}

/// v5 [U5-2.2.1-1], v3.1.1 [MQTT-2.3.1-1]
#[test]
fn bodies_cut_short_and_the_identifier_0_do_not_panic() {
    for (versions, senders, text) in WHOLE {
        for frame in cut_short(text) {
            for sender in senders {
                // Some are packets: a PUBACK without its properties.
                match Packet::decode(&frame, versions[0], *sender) {
                    Ok(packet) => assert_eq!(packet.encoded_len(versions[0]), Ok(frame.len())),
                    Err(error) => assert!(error.offset <= frame.len(), "{frame:02x?}: {error}"),
                }
            }
        }
    }
    for frame in ["32 .. 'a' 0000", "40 .. 0000", "62 .. 0000", "90 .. 0000 00"] {
        let error = refused(&bytes(frame), Version::V3_1_1, Sender::Server);
        assert_eq!(error.cause, Cause::PacketIdentifierZero);
    }
}

/// v5 [MQTT-4.7.3-3], v3.1.1 [MQTT-4.7.3-3]
#[test]
fn fields_longer_than_65_535_bytes_are_not_written() {
    let long = "a".repeat(65_536);
    let longest = "a".repeat(65_535);
    for (text, fits) in [(longest.as_str(), true), (long.as_str(), false)] {
        let connect = Connect { client_id: "c", ..Default::default() };
        let will = |will| Some(Will { topic: "t", ..will });
        let payload = will(Will { payload: text.as_bytes(), ..Default::default() });
        let name = [Property::UserProperty(text, "")];
        let value = [Property::UserProperty("", text)];
        let data = [Property::CorrelationData(text.as_bytes())];
        let content = [Property::ContentType(text)];
        let publish = Publish { topic: "t", ..Default::default() };
        let filters = [Subscription::new(text, QoS::AtMostOnce)];
        let texts = [text];
        let packets: [Packet<'_>; 12] = [
            Connect { client_id: text, ..connect }.into(),
            Connect { user_name: Some(text), ..connect }.into(),
            Connect { password: Some(text.as_bytes()), ..connect }.into(),
            Connect { will: Some(Will { topic: text, ..Default::default() }), ..connect }.into(),
            Connect { will: payload, ..connect }.into(),
            Publish { topic: text, ..publish }.into(),
            Publish { properties: (&name).into(), ..publish }.into(),
            Publish { properties: (&value).into(), ..publish }.into(),
            Publish { properties: (&data).into(), ..publish }.into(),
            Publish { properties: (&content).into(), ..publish }.into(),
            Subscribe::new(PacketId::MIN, &filters).into(),
            Unsubscribe::new(PacketId::MIN, &texts).into(),
        ];
        for packet in packets {
            let mut out = Vec::new();
            let encoded = packet.encode(Version::V5, &mut out);
            let expected = if fits { Ok(()) } else { Err(EncodeError::FieldTooLong) };
            assert_eq!(encoded, expected, "{}", packet.packet_type());
            assert_eq!(out.is_empty(), !fits);
        }
    }
}

/// The flags of CONNECT stand at their place in the packet, wherever that is in the buffer.
#[test]
fn connect_leaves_alone_what_the_buffer_holds() {
    let will = Will { topic: "t", qos: QoS::ExactlyOnce, retain: true, ..Default::default() };
    for version in Version::ALL {
        let connect = Connect {
            version,
            client_id: "c",
            will: Some(will),
            user_name: Some("u"),
            password: Some(b"p"),
            ..Default::default()
        };
        let packet = Packet::from(connect);
        let mut alone = Vec::new();
        packet.encode(version, &mut alone).unwrap();
        for before in [1, 9, 10, 11, 300] {
            let before = vec![0; before];
            let mut vec = before.clone();
            packet.encode(version, &mut vec).unwrap();
            assert_eq!(vec, [&before[..], &alone[..]].concat());
            let mut bytes_mut = BytesMut::from(&before[..]);
            packet.encode(version, &mut bytes_mut).unwrap();
            assert_eq!(bytes_mut, vec);
        }
    }
}

#[test]
fn remaining_lengths_from_128_and_identifiers_from_0x8000_are_read_right() {
    for len in [126, 127, 128, 129, 255, 256, 16_383, 16_384, 2_097_151, 2_097_152] {
        for id in [0x7fff, 0x8000, 0x8001, 0xff00, 0xffff] {
            // 3 bytes of topic and 2 of identifier.
            let payload = vec![b'x'; len - 5];
            let publish = Publish {
                topic: "t",
                qos: QoS::AtLeastOnce,
                packet_id: PacketId::new(id),
                payload: &payload,
                ..Default::default()
            };
            let mut frame = Vec::new();
            Packet::from(publish).encode(Version::V3_1_1, &mut frame).unwrap();
            let decoded = Packet::decode(&frame, Version::V3_1_1, Sender::Client);
            assert_eq!(decoded, Ok(publish.into()), "{len} {id}");
            assert_eq!(frame.len(), 1 + varint::encoded_len(u32::try_from(len).unwrap()) + len);
        }
    }
}

/// v5 [MQTT-1.5.4-2] [MQTT-3.3.2-2] [MQTT-3.3.1-2] [MQTT-1.5.5-1] [MQTT-3.8.3-4]
#[test]
fn what_was_accepted_elsewhere_is_refused() {
    refuses(0x81, &[(V3_1_1, EITHER, "30 .. 0003 610062", Cause::NullCharacter)]);
    let wildcard = Cause::InvalidTopicName(NameError::Wildcard);
    refuses(0x90, &[(V3_1_1, EITHER, "30 .. 'a/#'", wildcard)]);
    refuses(0x81, &[(V3_1_1, EITHER, "38 .. 'a'", Cause::DupAtQoS0)]);
    refuses(0x81, &[(V5, CLIENT, "c0 80 00", Cause::VariableByteIntegerNotMinimal)]);
    let no_local = Cause::NoLocalOnSharedSubscription;
    refuses(0x82, &[(V5, CLIENT, "82 .. 0001 {} '$share/g/a' 04", no_local)]);
}

#[test]
fn what_was_refused_elsewhere_is_accepted() {
    for (text, version) in [
        ("30 .. 'a' {02 00000000}", Version::V5),
        ("10 .. 'MQTT' 04 c2 003c 'c' 'u' 0002 ff00", Version::V3_1_1),
        ("10 .. 'MQTT' 05 42 003c {} 'c' 'p'", Version::V5),
        ("e0 00", Version::V5),
    ] {
        accepted(&bytes(text), version, Sender::Client);
    }
}

/// v5 [U5-2.2.2.2-2]
#[test]
fn user_properties_keep_their_order() {
    let names = ["z", "a", "m", "a", "", "z"];
    let list = names.map(|name| Property::UserProperty(name, "v"));
    let connack = ConnAck { properties: (&list).into(), ..Default::default() };
    let mut frame = Vec::new();
    Packet::from(connack).encode(Version::V5, &mut frame).unwrap();
    let packet = accepted(&frame, Version::V5, Sender::Server);
    let Packet::ConnAck(decoded) = packet else { panic!("{packet}") };
    let found: Vec<_> = decoded.properties.user_properties().map(|(name, _)| name).collect();
    assert_eq!(found, names);
}

#[test]
fn a_slice_one_byte_too_short_is_an_error_and_stays_as_it_was() {
    for (versions, senders, text) in WHOLE {
        let frame = bytes(text);
        let packet = Packet::decode(&frame, versions[0], senders[0]).unwrap();
        let mut room = vec![0xa5; frame.len() - 1];
        let error = packet.encode(versions[0], &mut room.as_mut_slice());
        let (needed, available) = (frame.len(), frame.len() - 1);
        assert_eq!(error, Err(EncodeError::BufferTooSmall { needed, available }), "{packet}");
        assert!(room.iter().all(|byte| *byte == 0xa5));
        let mut exact = vec![0; frame.len()];
        packet.encode(versions[0], &mut exact.as_mut_slice()).unwrap();
        assert_eq!(exact, frame);
    }
}

// Brokers.

/// CVE-2017-7651, CVE-2023-0809; what is allocated is counted in `allocations.rs`.
#[test]
fn a_header_that_claims_256_mib_reserves_no_memory() {
    let mut received = BytesMut::from(&[0x10, 0xff, 0xff, 0xff, 0x7f][..]);
    let capacity = received.capacity();
    let mut decoder = Decoder::from_client();
    assert_eq!(decoder.decode(&received), Ok(None));
    assert_eq!(OwnedPacket::decode(&mut decoder, &mut received), Ok(None));
    assert_eq!((received.len(), received.capacity()), (5, capacity));
    let mut decoder = Decoder::from_client().with_maximum_packet_size(65_536);
    let error = decoder.decode(&received).unwrap_err();
    assert_eq!(error.reason_code(), ReasonCode::PACKET_TOO_LARGE);
}

/// CVE-2021-33175, CVE-2021-33176: what was received is nowhere but in the caller's buffer.
#[test]
fn a_decoder_holds_no_bytes() {
    assert!(size_of::<Decoder>() <= 8);
    let before = Decoder::from_server(Version::V5);
    let mut decoder = before;
    for _ in 0..1_000 {
        assert_eq!(decoder.decode(&[0x30, 0xff, 0xff, 0xff]), Ok(None));
    }
    assert_eq!(decoder, before);
}

/// CVE-2017-7653: strict subscribers disconnected on ill-formed UTF-8 that was passed on.
#[test]
fn ill_formed_text_is_not_passed_on() {
    for text in ["0003 eda080", "0002 c080", "0001 ff"] {
        let publish = format!("30 .. {text}");
        refuses(0x81, &[(V3_1_1, CLIENT, &publish, Cause::IllFormedUtf8)]);
        let publish = format!("30 .. 'a' {{03 {text}}}");
        refuses(0x81, &[(V5, CLIENT, &publish, Cause::IllFormedUtf8)]);
    }
    // The payload is not looked at, whatever is said of it.
    accepted(&bytes("30 .. 'a' {01 01} ff"), Version::V5, Sender::Client);
}

/// CVE-2018-12543
#[test]
fn a_topic_that_begins_with_a_dollar_and_is_not_sys_is_a_topic() {
    for topic in ["$", "$/", "$a", "$SY", "$SYSx", "$share"] {
        let name = TopicName::new(topic).unwrap();
        assert!(TopicFilter::new(topic).unwrap().matches(name), "{topic}");
        assert!(!TopicFilter::new("#").unwrap().matches(name), "{topic}");
        assert!(!TopicFilter::new("+/#").unwrap().matches(name), "{topic}");
        accepted(&bytes(&format!("30 .. '{topic}'")), Version::V3_1_1, Sender::Client);
    }
}

/// CVE-2019-11779: a filter of about 65,400 `/` overflowed the stack.
#[test]
fn a_filter_of_65_000_levels_is_decoded_checked_matched_and_shown_on_a_small_stack() {
    let work = || {
        for (filter, topic) in [
            ("/".repeat(65_400), "/".repeat(65_400)),
            ("+/".repeat(32_700), "a/".repeat(32_700)),
            (format!("{}#", "+/".repeat(32_700)), "a/".repeat(32_767)),
        ] {
            let list = [Subscription::new(&filter, QoS::AtMostOnce)];
            let mut frame = Vec::new();
            let packet = Packet::from(Subscribe::new(PacketId::MIN, &list));
            packet.encode(Version::V5, &mut frame).unwrap();
            let decoded = Packet::decode(&frame, Version::V5, Sender::Client).unwrap();
            assert_eq!(decoded, packet);
            let mut shown = String::new();
            write!(shown, "{decoded} {decoded:?}").unwrap();
            assert_eq!(check_filter(&filter, Version::V5), Ok(()));
            let filter = TopicFilter::new(&filter).unwrap();
            assert!(filter.matches(TopicName::new(&topic).unwrap()));
            assert!(!filter.matches(TopicName::new("a").unwrap()));
        }
    };
    let thread = std::thread::Builder::new().stack_size(64 * 1024).spawn(work);
    thread.unwrap().join().unwrap();
}

/// CVE-2021-28166
#[test]
fn a_connack_from_a_client_is_refused() {
    let cause = Cause::PacketFromWrongSender(Sender::Client);
    refuses(0x82, &[(V3_1_1, CLIENT, "20 .. 00 00", cause), (V5, CLIENT, "20 .. 00 00 {}", cause)]);
    let error = Decoder::from_client().decode(&bytes("20 .. 00 00")).unwrap_err();
    assert_eq!(error.cause, Cause::ConnectExpected);
}

/// CVE-2021-34431, CVE-2023-3592: nothing that was read of a CONNECT is kept when it is refused.
#[test]
fn a_connect_with_invalid_will_properties_is_refused() {
    let connect = |properties| format!("10 .. 'MQTT' 05 06 003c {{}} 'c' {{{properties}}} 't' 'p'");
    let rows = [
        ("18 00000001 18 00000001", 0x82, Cause::DuplicateProperty(PropertyId::WillDelayInterval)),
        ("23 0001", 0x81, Cause::PropertyNotAllowed(PropertyId::TopicAlias)),
        ("01 02", 0x82, Cause::InvalidPropertyValue(PropertyId::PayloadFormatIndicator)),
        ("26 'k' 'v' 03", 0x81, Cause::FieldOverrunsProperties),
    ];
    for (properties, code, cause) in rows {
        let connect = connect(properties);
        refuses(code, &[(V5, CLIENT, &connect, cause)]);
        let before = Decoder::from_client();
        let mut decoder = before;
        assert_eq!(decoder.decode(&bytes(&connect)).unwrap_err().cause, cause);
        assert_eq!(decoder, before);
    }
}

/// CVE-2021-34432; v5 [U5-3.3.2.1-1], v3.1.1 [MQTT-4.7.3-1]
#[test]
fn a_publish_with_a_topic_of_length_0_is_refused() {
    let cause = Cause::InvalidTopicName(NameError::Empty);
    refuses(0x82, &[(V3_1_1, EITHER, "30 .. ''", cause), (V5, EITHER, "30 .. '' {} 78", cause)]);
}

/// CVE-2021-41039: thousands of User Properties took quadratic time. That one pass reads them is
/// to be seen where they are checked; here, that they need no memory, is in `allocations.rs`.
#[test]
fn thousands_of_user_properties_are_read_one_after_another() {
    for count in [1_000, 8_000] {
        let list = vec![Property::UserProperty("name", "value"); count];
        let connect = Connect { properties: Properties::List(&list), ..Default::default() };
        let mut frame = Vec::new();
        Packet::from(connect).encode(Version::V5, &mut frame).unwrap();
        let packet = Packet::decode(&frame, Version::V5, Sender::Client).unwrap();
        let Packet::Connect(decoded) = packet else { panic!("{packet}") };
        assert_eq!(decoded.properties.user_properties().count(), count);
        assert_eq!(decoded, connect);
        // Asking for another property does not read them.
        assert!(!decoded.properties.contains(PropertyId::ReceiveMaximum));
        // Each step of the iterator reads on from where the last one ended.
        let mut rest = decoded.properties.iter();
        assert_eq!(rest.by_ref().take(count / 2).count(), count / 2);
        assert_eq!(rest.count(), count - count / 2);
    }
}

/// CVE-2024-8376: one was taken for the other when they were mixed.
#[test]
fn a_filter_and_the_same_filter_in_a_share_are_two() {
    let list = ["$share/g/t", "t", "$share/h/t"];
    let mut frame = Vec::new();
    let packet = Packet::from(Unsubscribe::new(PacketId::MIN, &list));
    packet.encode(Version::V5, &mut frame).unwrap();
    let decoded = accepted(&frame, Version::V5, Sender::Client);
    let Packet::Unsubscribe(decoded) = decoded else { panic!("{decoded}") };
    let filters = decoded.topic_filters.iter().map(|filter| TopicFilter::new(filter).unwrap());
    let filters: Vec<_> = filters.collect();
    assert!(filters[0] != filters[1] && filters[0] != filters[2]);
    let shares = filters.iter().map(|filter| (filter.share_name(), filter.filter()));
    assert_eq!(shares.collect::<Vec<_>>(), [(Some("g"), "t"), (None, "t"), (Some("h"), "t")]);
}

/// v5 [MQTT-3.8.4-6]
#[test]
fn a_suback_without_reason_codes_is_refused() {
    let cause = Cause::NoReasonCode;
    refuses(0x82, &[(V3_1_1, SERVER, "90 02 0001", cause), (V5, SERVER, "90 .. 0001 {}", cause)]);
}

/// CVE-2023-29995, CVE-2023-29996
#[test]
fn a_string_past_its_packet_and_an_empty_subscribe_are_refused() {
    let overrun = Cause::FieldOverrunsPacket;
    refuses(
        0x81,
        &[
            (V3_1_1, CLIENT, "82 .. 0001 ffff 61", overrun),
            (V5, CLIENT, "82 .. 0001 {} ffff 61", overrun),
            (V3_1_1, CLIENT, "10 .. 'MQTT' 04 02 003c ffff", overrun),
            (V3_1_1, CLIENT, "82 00", overrun),
        ],
    );
    refuses(0x82, &[(V3_1_1, CLIENT, "82 02 0001", Cause::NoTopicFilter)]);
}

/// CVE-2025-68699; v5 [MQTT-4.8.2-2]
#[test]
fn a_share_without_a_filter_is_refused() {
    let cause = Cause::InvalidTopicFilter(FilterError::SharedFilter);
    refuses(0x8f, &[(V5, CLIENT, "82 .. 0001 {} '$share/ab' 00", cause)]);
    refuses(0x8f, &[(V5, CLIENT, "a2 .. 0001 {} '$share/ab'", cause)]);
}

/// CVE-2026-21888; v5 [U5-1.5.5-1]
#[test]
fn a_property_length_of_five_bytes_is_refused() {
    let cause = Cause::VariableByteIntegerTooLong;
    refuses(0x81, &[(V5, CLIENT, "10 .. 'MQTT' 05 02 003c 80 80 80 80 00 'c'", cause)]);
    refuses(0x81, &[(V5, EITHER, "30 .. 'a' ff ff ff ff 7f", cause)]);
}

/// CVE-2026-25627: a message of the layer below ended before the packet that it announced.
#[test]
fn a_frame_shorter_than_the_packet_it_announces_is_incomplete() {
    let frame = bytes("30 64 0001 61 78");
    assert_eq!(Decoder::from_server(Version::V3_1_1).decode(&frame), Ok(None));
    let error = Packet::decode(&frame, Version::V3_1_1, Sender::Server).unwrap_err();
    assert_eq!((error.cause, error.frame_len), (Cause::IncompletePacket, Some(102)));
    let owned = OwnedPacket::from_frame(frame.into(), Version::V3_1_1, Sender::Server);
    assert_eq!(owned, Err(error));
}

/// A topic was sliced at its first byte.
#[test]
fn a_first_character_of_several_bytes_does_not_panic() {
    for topic in ["ü", "温/度", "🌡", "\u{80}", "é/$", "\u{10ffff}"] {
        let frame = bytes(&format!("30 .. '{topic}'"));
        let packet = accepted(&frame, Version::V3_1_1, Sender::Client);
        assert!(packet.to_string().starts_with("PUBLISH"));
        let name = TopicName::new(topic).unwrap();
        for filter in ["#", "+/#", topic] {
            assert!(TopicFilter::new(filter).unwrap().matches(name), "{filter} {topic}");
        }
        assert!(TopicFilter::new(&format!("$share/{topic}")).is_err() || topic.contains('/'));
        accepted(&bytes(&format!("82 .. 0001 {{}} '{topic}' 00")), Version::V5, Sender::Client);
    }
}

/// Properties that another packet may have crashed strict subscribers they were forwarded to.
#[test]
fn properties_are_checked_again_when_they_are_sent_in_another_packet() {
    let frame = bytes("10 .. 'MQTT' 05 06 003c {} 'c' {18 00000001 03 't'} 't' 'p'");
    let connect = Connect::decode_any_version(&frame).unwrap();
    let will = connect.will.unwrap();
    let forward = Publish { topic: will.topic, properties: will.properties, ..Default::default() };
    let mut out = b"before".to_vec();
    let cause = Cause::PropertyNotAllowed(PropertyId::WillDelayInterval);
    let error = Packet::from(forward).encode(Version::V5, &mut out);
    assert_eq!((error, &out[..]), (Err(EncodeError::Invalid(cause)), &b"before"[..]));

    // What a server sends, a client may not.
    let frame = bytes("30 .. 'a' {0b 01}");
    let packet = accepted(&frame, Version::V5, Sender::Server);
    let error = OwnedPacket::from_packet(&packet, Version::V5, Sender::Client).unwrap_err();
    let cause = Cause::PropertyFromWrongSender(PropertyId::SubscriptionIdentifier);
    assert_eq!(error, EncodeError::Invalid(cause));
}
