//! What no packet may say: a test for each rule, named by what is rejected, with the cause and the
//! Reason Code that a broken one has.
//!
//! How packets are written here is explained in `support/notation.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails a test may panic")]

#[allow(dead_code, reason = "shared by several tests")]
#[path = "support/notation.rs"]
mod notation;

use notation::{
    ALL, CLIENT, EITHER, MALFORMED, PROTOCOL_ERROR, Row, SERVER, V3, V3_1, V3_1_1, V5, bytes, hex,
    refused, refuses,
};
use sansio_mqtt::topic::{FilterError, NameError};
use sansio_mqtt::{Cause, Connect, Decoder, Packet, ReasonCode, Sender, Version};

/// Texts that are not well-formed UTF-8: bytes that begin nothing, bytes cut short, surrogates,
/// overlong forms, and what lies beyond U+10FFFF.
const ILL_FORMED: [&[u8]; 11] = [
    b"\xff\xfe",
    b"a\x80",
    b"\xc3\x28",
    b"a\xc3",
    b"\xe6\xb8",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xc0\x80",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xf4\x90\x80\x80",
];

/// Each packet with a string in it, which is `@` here: versions, sender, packet.
const STRINGS: [(&[Version], &[Sender], &str); 30] = [
    (V3_1, CLIENT, "10 .. 'MQIsdp' 03 02 003c @"),
    (V3_1_1, CLIENT, "10 .. 'MQTT' 04 02 003c @"),
    (V5, CLIENT, "10 .. 'MQTT' 05 02 003c {} @"),
    (V3_1_1, CLIENT, "10 .. 'MQTT' 04 06 003c 'c' @ 'payload'"),
    (V5, CLIENT, "10 .. 'MQTT' 05 06 003c {} 'c' {} @ 'payload'"),
    (V3_1_1, CLIENT, "10 .. 'MQTT' 04 82 003c 'c' @"),
    (V5, CLIENT, "10 .. 'MQTT' 05 82 003c {} 'c' @"),
    (V5, CLIENT, "10 .. 'MQTT' 05 02 003c {15 @} 'c'"),
    (V5, CLIENT, "10 .. 'MQTT' 05 06 003c {} 'c' {03 @} 't' ''"),
    (V5, CLIENT, "10 .. 'MQTT' 05 06 003c {} 'c' {08 @} 't' ''"),
    (V5, SERVER, "20 .. 00 00 {12 @}"),
    (V5, SERVER, "20 .. 00 00 {1a @}"),
    (V5, SERVER, "20 .. 00 00 {1c @}"),
    (V5, SERVER, "20 .. 00 00 {1f @}"),
    (V3, EITHER, "30 .. @"),
    (V5, EITHER, "30 .. @ {}"),
    (V5, EITHER, "30 .. 'a' {03 @}"),
    (V5, EITHER, "30 .. 'a' {08 @}"),
    (V5, EITHER, "30 .. 'a' {26 @ 'value'}"),
    (V5, EITHER, "30 .. 'a' {26 'name' @}"),
    (V5, EITHER, "40 .. 0001 00 {1f @}"),
    (V3, CLIENT, "82 .. 0001 @ 00"),
    (V5, CLIENT, "82 .. 0001 {} 'a' 00 @ 00"),
    (V5, CLIENT, "82 .. 0001 {26 @ ''} 'a' 00"),
    (V5, SERVER, "90 .. 0001 {1f @} 00"),
    (V3, CLIENT, "a2 .. 0001 'a' @"),
    (V5, CLIENT, "a2 .. 0001 {} @"),
    (V5, SERVER, "b0 .. 0001 {1f @} 00"),
    (V5, EITHER, "e0 .. 00 {1f @}"),
    (V5, EITHER, "f0 .. 18 {15 @}"),
];

/// v5 [MQTT-1.5.4-1] [MQTT-1.5.7-1] [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12] [MQTT-3.3.2-1]
/// [MQTT-3.3.2-13] [MQTT-3.3.2-19] [MQTT-3.8.3-1] [MQTT-3.10.3-1],
/// v3.1.1 [MQTT-1.5.3-1] [MQTT-3.1.3-4] [MQTT-3.1.3-10] [MQTT-3.1.3-11] [MQTT-3.3.2-1]
/// [MQTT-3.8.3-1] [MQTT-3.10.3-1]
#[test]
fn strings_that_are_not_well_formed_utf_8() {
    for (versions, senders, packet) in STRINGS {
        for text in ILL_FORMED {
            let packet = packet.replace('@', &hex(&notation::string(text)));
            refuses(MALFORMED, &[(versions, senders, &packet, Cause::IllFormedUtf8)]);
        }
    }
}

/// v5 [MQTT-1.5.4-2] [MQTT-4.7.3-2], v3.1.1 [MQTT-1.5.3-2] [MQTT-4.7.3-2]
#[test]
fn strings_with_the_null_character() {
    for (versions, senders, packet) in STRINGS {
        for text in [&b"\0"[..], b"a\0", b"\0a", b"long enough to be looked at in words\0"] {
            let packet = packet.replace('@', &hex(&notation::string(text)));
            refuses(MALFORMED, &[(versions, senders, &packet, Cause::NullCharacter)]);
        }
    }
}

/// v5 [U5-1.5.5-1], v3.1.1 2.2.3
#[test]
fn variable_byte_integers_of_more_than_four_bytes() {
    let cause = Cause::VariableByteIntegerTooLong;
    refuses(
        MALFORMED,
        &[
            (ALL, EITHER, "30 ff ff ff ff 01", cause),
            (ALL, EITHER, "30 80 80 80 80 00", cause),
            (ALL, CLIENT, "10 ff ff ff 80", cause),
            (V5, EITHER, "30 .. 'a' ff ff ff ff 01", cause),
            (V5, EITHER, "40 .. 0001 00 80 80 80 80 00", cause),
            (V5, CLIENT, "10 .. 'MQTT' 05 02 003c 80 80 80 80 01 'c'", cause),
            (V5, CLIENT, "10 .. 'MQTT' 05 06 003c {} 'c' 80 80 80 80 01 't' ''", cause),
            (V5, SERVER, "30 .. 'a' {0b ff ff ff ff 01}", cause),
            (V5, CLIENT, "82 .. 0001 {0b ff ff ff ff 7f} 'a' 00", cause),
        ],
    );
}

/// v5 [MQTT-1.5.5-1]
#[test]
fn variable_byte_integers_that_are_not_in_their_shortest_form() {
    let cause = Cause::VariableByteIntegerNotMinimal;
    refuses(
        MALFORMED,
        &[
            (V5, CLIENT, "c0 80 00", cause),
            (V5, SERVER, "d0 80 80 80 00", cause),
            (V5, EITHER, "40 82 80 00 0001", cause),
            (V5, EITHER, "30 .. 'a' 80 00", cause),
            (V5, EITHER, "30 .. 'a' 82 80 00 01 01", cause),
            (V5, CLIENT, "10 .. 'MQTT' 05 02 003c 80 00 'c'", cause),
            (V5, SERVER, "30 .. 'a' {0b 81 00}", cause),
            (V5, CLIENT, "82 .. 0001 {0b ff ff ff 00} 'a' 00", cause),
            // An identifier too is one.
            (V5, EITHER, "30 .. 'a' {81 00 01}", cause),
        ],
    );
}

/// All sixteen values for each packet. In 3.1, PUBREL, SUBSCRIBE and UNSUBSCRIBE have a DUP
/// flag.
///
/// v5 [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1] [MQTT-3.15.1-1],
/// v3.1.1 [MQTT-2.2.2-2] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1]
#[test]
fn reserved_bits_of_the_fixed_header() {
    let rows: [(u8, &[Version], &[Sender], &str); 23] = [
        (0x10, V3_1, CLIENT, "'MQIsdp' 03 02 003c 'c'"),
        (0x10, V3_1_1, CLIENT, "'MQTT' 04 02 003c 'c'"),
        (0x10, V5, CLIENT, "'MQTT' 05 02 003c {} 'c'"),
        (0x20, V3, SERVER, "00 00"),
        (0x20, V5, SERVER, "00 00 {}"),
        (0x40, ALL, EITHER, "0001"),
        (0x50, ALL, EITHER, "0001"),
        (0x62, ALL, EITHER, "0001"),
        (0x70, ALL, EITHER, "0001"),
        (0x82, V3, CLIENT, "0001 'a' 00"),
        (0x82, V5, CLIENT, "0001 {} 'a' 00"),
        (0x90, V3, SERVER, "0001 00"),
        (0x90, V5, SERVER, "0001 {} 00"),
        (0xa2, V3, CLIENT, "0001 'a'"),
        (0xa2, V5, CLIENT, "0001 {} 'a'"),
        (0xb0, V3, SERVER, "0001"),
        (0xb0, V5, SERVER, "0001 {} 00"),
        (0xc0, ALL, CLIENT, ""),
        (0xd0, ALL, SERVER, ""),
        (0xe0, V3, CLIENT, ""),
        (0xe0, V5, EITHER, ""),
        (0xf0, V5, EITHER, "18"),
        (0xf0, V5, EITHER, "18 {15 'm'}"),
    ];
    for (right, versions, senders, body) in rows {
        for (flags, version) in (0..16).flat_map(|flags| versions.iter().map(move |v| (flags, v))) {
            let first = right & 0xf0 | flags;
            let packet = format!("{first:02x} .. {body}");
            let has_dup = *version == Version::V3_1 && matches!(first, 0x6a | 0x8a | 0xaa);
            if first == right || has_dup {
                notation::accepted(&bytes(&packet), *version, senders[0]);
            } else {
                let cause = Cause::ReservedHeaderFlags(flags);
                refuses(MALFORMED, &[(&[*version], senders, &packet, cause)]);
            }
        }
    }
}

/// v5 [U5-2.1.2-1], v3.1.1 2.2.1
#[test]
fn reserved_packet_types() {
    refuses(
        MALFORMED,
        &[
            (ALL, EITHER, "00 00", Cause::ReservedPacketType(0)),
            (ALL, EITHER, "0f 02 0001", Cause::ReservedPacketType(0)),
            (V3, EITHER, "f0 00", Cause::ReservedPacketType(15)),
            (V3, EITHER, "f0 .. 18 {15 'm'}", Cause::ReservedPacketType(15)),
        ],
    );
}

/// v5 2.1.2, v3.1.1 2.2.1
#[test]
fn packets_that_the_other_end_sends() {
    let from_server = Cause::PacketFromWrongSender(Sender::Server);
    let from_client = Cause::PacketFromWrongSender(Sender::Client);
    refuses(
        PROTOCOL_ERROR,
        &[
            (V3_1_1, SERVER, "10 .. 'MQTT' 04 02 003c 'c'", from_server),
            (V5, SERVER, "10 .. 'MQTT' 05 02 003c {} 'c'", from_server),
            (V3, SERVER, "82 .. 0001 'a' 00", from_server),
            (V5, SERVER, "82 .. 0001 {} 'a' 00", from_server),
            (V3, SERVER, "a2 .. 0001 'a'", from_server),
            (V5, SERVER, "a2 .. 0001 {} 'a'", from_server),
            (ALL, SERVER, "c0 00", from_server),
            (V3, SERVER, "e0 00", from_server),
            (V3, CLIENT, "20 .. 00 00", from_client),
            (V5, CLIENT, "20 .. 00 00 {}", from_client),
            (V3, CLIENT, "90 .. 0001 00", from_client),
            (V5, CLIENT, "90 .. 0001 {} 00", from_client),
            (V3, CLIENT, "b0 .. 0001", from_client),
            (V5, CLIENT, "b0 .. 0001 {} 00", from_client),
            (ALL, CLIENT, "d0 00", from_client),
        ],
    );
}

/// v5 [MQTT-3.3.1-4], v3.1.1 [MQTT-3.3.1-4]
#[test]
fn publish_at_qos_3() {
    for first in ["36", "37", "3e", "3f"] {
        let v3 = format!("{first} .. 'a' 0001");
        let v5 = format!("{first} .. 'a' 0001 {{}}");
        let cause = Cause::InvalidQoS;
        let rows: [Row<'_>; 2] = [(V3, EITHER, &v3, cause), (V5, EITHER, &v5, cause)];
        refuses(MALFORMED, &rows);
    }
}

/// v5 [MQTT-3.3.1-2], v3.1.1 [MQTT-3.3.1-2]
#[test]
fn dup_at_qos_0() {
    let rows: [Row<'_>; 4] = [
        (V3, EITHER, "38 .. 'a'", Cause::DupAtQoS0),
        (V3, EITHER, "39 .. 'a'", Cause::DupAtQoS0),
        (V5, EITHER, "38 .. 'a' {}", Cause::DupAtQoS0),
        (V5, EITHER, "39 .. 'a' {}", Cause::DupAtQoS0),
    ];
    refuses(MALFORMED, &rows);
}

/// v5 [U5-2.2.1-1], v3.1.1 [MQTT-2.3.1-1]
#[test]
fn the_packet_identifier_0() {
    let rows: [(&[Version], &[Sender], &str); 15] = [
        (V3, EITHER, "32 .. 'a' 0000"),
        (V3, EITHER, "34 .. 'a' 0000"),
        (V5, EITHER, "32 .. 'a' 0000 {}"),
        (V5, EITHER, "34 .. 'a' 0000 {}"),
        (ALL, EITHER, "40 .. 0000"),
        (ALL, EITHER, "50 .. 0000"),
        (ALL, EITHER, "62 .. 0000"),
        (ALL, EITHER, "70 .. 0000"),
        (V3, CLIENT, "82 .. 0000 'a' 00"),
        (V5, CLIENT, "82 .. 0000 {} 'a' 00"),
        (V3, SERVER, "90 .. 0000 00"),
        (V5, SERVER, "90 .. 0000 {} 00"),
        (V3, CLIENT, "a2 .. 0000 'a'"),
        (V5, CLIENT, "a2 .. 0000 {} 'a'"),
        (ALL, SERVER, "b0 .. 0000"),
    ];
    let rows = rows.map(|(versions, senders, packet)| {
        (versions, senders, packet, Cause::PacketIdentifierZero)
    });
    refuses(PROTOCOL_ERROR, &rows);
}

/// In 5.0 a Topic Alias may stand for the name of a PUBLISH.
///
/// v5 [MQTT-4.7.3-1] [U5-3.3.2.1-1], v3.1.1 [MQTT-4.7.3-1]
#[test]
fn empty_topic_names() {
    let cause = Cause::InvalidTopicName(NameError::Empty);
    refuses(
        PROTOCOL_ERROR,
        &[
            (V3, EITHER, "30 .. ''", cause),
            (V3, EITHER, "32 .. '' 0001", cause),
            (V5, EITHER, "30 .. '' {}", cause),
            (V5, EITHER, "32 .. '' 0001 {01 01}", cause),
            (V3_1_1, CLIENT, "10 .. 'MQTT' 04 06 003c 'c' '' 'payload'", cause),
            (V5, CLIENT, "10 .. 'MQTT' 05 06 003c {} 'c' {} '' 'payload'", cause),
        ],
    );
    let cause = Cause::InvalidResponseTopic(NameError::Empty);
    refuses(PROTOCOL_ERROR, &[(V5, EITHER, "30 .. 'a' {08 ''}", cause)]);
}

/// v5 [MQTT-3.3.2-2] [MQTT-4.7.0-1], v3.1.1 [MQTT-3.3.2-2] [MQTT-4.7.1-1]
#[test]
fn topic_names_with_wildcards() {
    let cause = Cause::InvalidTopicName(NameError::Wildcard);
    for topic in ["'#'", "'+'", "'a/#'", "'a/+'", "'a+b'", "'#a'", "'a/b/c/d/e/f/g/h/+/i'"] {
        let rows: [(&[Version], &[Sender], String); 6] = [
            (V3, EITHER, format!("30 .. {topic}")),
            (V3, EITHER, format!("34 .. {topic} 0001")),
            (V5, EITHER, format!("30 .. {topic} {{}}")),
            (V5, EITHER, format!("30 .. {topic} {{23 0001}}")),
            (V3_1_1, CLIENT, format!("10 .. 'MQTT' 04 06 003c 'c' {topic} ''")),
            (V5, CLIENT, format!("10 .. 'MQTT' 05 06 003c {{}} 'c' {{}} {topic} ''")),
        ];
        for (versions, senders, packet) in rows {
            refuses(0x90, &[(versions, senders, &packet, cause)]);
        }
    }
}

/// v5 [MQTT-3.3.2-14]
#[test]
fn response_topics_with_wildcards() {
    let cause = Cause::InvalidResponseTopic(NameError::Wildcard);
    refuses(
        PROTOCOL_ERROR,
        &[
            (V5, EITHER, "30 .. 'a' {08 'r/#'}", cause),
            (V5, EITHER, "30 .. 'a' {08 '+'}", cause),
            (V5, CLIENT, "10 .. 'MQTT' 05 06 003c {} 'c' {08 'r/+'} 't' ''", cause),
        ],
    );
}

/// v5 [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1],
/// v3.1.1 [MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-4.7.3-1]
#[test]
fn topic_filters_with_misplaced_wildcards() {
    let rows = [
        ("''", FilterError::Empty),
        ("'a#'", FilterError::MultiLevelWildcard),
        ("'#a'", FilterError::MultiLevelWildcard),
        ("'#/a'", FilterError::MultiLevelWildcard),
        ("'a/#/b'", FilterError::MultiLevelWildcard),
        ("'a/##'", FilterError::MultiLevelWildcard),
        ("'a+'", FilterError::SingleLevelWildcard),
        ("'+a'", FilterError::SingleLevelWildcard),
        ("'a/+b/c'", FilterError::SingleLevelWildcard),
        ("'++'", FilterError::SingleLevelWildcard),
        ("'a/b/c/d/e/f/g/h+'", FilterError::SingleLevelWildcard),
    ];
    for (filter, error) in rows {
        refuses_filter(V3, filter, error);
        refuses_filter(V5, filter, error);
    }
}

/// v5 [MQTT-4.8.2-1] [MQTT-4.8.2-2]
#[test]
fn shared_subscriptions_without_a_share_name_or_a_filter() {
    let rows = [
        ("'$share/'", FilterError::ShareName),
        ("'$share//a'", FilterError::ShareName),
        ("'$share/+/a'", FilterError::ShareName),
        ("'$share/g#/a'", FilterError::ShareName),
        ("'$share/g'", FilterError::SharedFilter),
        ("'$share/ab'", FilterError::SharedFilter),
        ("'$share/g/'", FilterError::SharedFilter),
        ("'$share/g/a#'", FilterError::MultiLevelWildcard),
        ("'$share/g/+a'", FilterError::SingleLevelWildcard),
    ];
    for (filter, error) in rows {
        refuses_filter(V5, filter, error);
    }
}

/// In SUBSCRIBE and UNSUBSCRIBE, also behind a good one.
#[track_caller]
fn refuses_filter(versions: &[Version], filter: &str, error: FilterError) {
    let properties = if versions == V5 { "{}" } else { "" };
    let packets = [
        format!("82 .. 0001 {properties} {filter} 00"),
        format!("82 .. 0001 {properties} 'a' 00 {filter} 02"),
        format!("a2 .. 0001 {properties} {filter}"),
        format!("a2 .. 0001 {properties} 'a' {filter}"),
    ];
    for packet in &packets {
        refuses(0x8f, &[(versions, CLIENT, packet, Cause::InvalidTopicFilter(error))]);
    }
}

/// v5 [MQTT-3.8.3-4]
#[test]
fn no_local_on_a_shared_subscription() {
    let cause = Cause::NoLocalOnSharedSubscription;
    refuses(
        PROTOCOL_ERROR,
        &[
            (V5, CLIENT, "82 .. 0001 {} '$share/g/a' 04", cause),
            (V5, CLIENT, "82 .. 0001 {} 'a' 04 '$share/g/#' 2e", cause),
        ],
    );
}

/// v5 [MQTT-3.8.3-5] [U5-3.8.3.1-1] [U5-3.8.3.1-2], v3.1.1 [MQTT-3.8.3-4]
#[test]
fn subscription_options_that_do_not_exist() {
    let mut rows = Vec::new();
    for options in 0..=255u8 {
        // No Local and Retain As Published are any; 3.x has the QoS only.
        let v3 = match options {
            0..=2 => None,
            3 => Some((Cause::InvalidSubscriptionQoS, PROTOCOL_ERROR)),
            _ => Some((Cause::ReservedSubscriptionOptions(options), MALFORMED)),
        };
        let v5 = if options & 0xc0 != 0 {
            Some((Cause::ReservedSubscriptionOptions(options), MALFORMED))
        } else if options & 0x03 == 0x03 {
            Some((Cause::InvalidSubscriptionQoS, PROTOCOL_ERROR))
        } else if options & 0x30 == 0x30 {
            Some((Cause::InvalidRetainHandling, PROTOCOL_ERROR))
        } else {
            None
        };
        rows.push((V3, format!("82 .. 0001 'a' {options:02x}"), v3));
        rows.push((V5, format!("82 .. 0001 {{}} 'a' {options:02x}"), v5));
    }
    for (versions, packet, expected) in &rows {
        match expected {
            Some((cause, code)) => refuses(*code, &[(versions, CLIENT, packet, *cause)]),
            None => {
                for version in *versions {
                    notation::accepted(&bytes(packet), *version, Sender::Client);
                }
            }
        }
    }
}

/// v5 [MQTT-3.1.2-3] [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13],
/// v3.1.1 [MQTT-3.1.2-3] [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-14] [MQTT-3.1.2-15]
#[test]
fn connect_flags_that_contradict_each_other() {
    let rows = [
        ("01", Cause::ReservedConnectFlag),
        ("03", Cause::ReservedConnectFlag),
        ("c7", Cause::ReservedConnectFlag),
        ("0a", Cause::WillFlagsWithoutWill),
        ("12", Cause::WillFlagsWithoutWill),
        ("1a", Cause::WillFlagsWithoutWill),
        ("22", Cause::WillFlagsWithoutWill),
        ("3a", Cause::WillFlagsWithoutWill),
        ("1e", Cause::InvalidWillQoS),
        ("3e", Cause::InvalidWillQoS),
    ];
    for (flags, cause) in rows {
        let v3_1 = format!("10 .. 'MQIsdp' 03 {flags} 003c 'c' 't' 'p' 'u' 'p'");
        let v3_1_1 = format!("10 .. 'MQTT' 04 {flags} 003c 'c' 't' 'p' 'u' 'p'");
        let v5 = format!("10 .. 'MQTT' 05 {flags} 003c {{}} 'c' {{}} 't' 'p' 'u' 'p'");
        let rows: [Row<'_>; 3] = [
            (V3_1, CLIENT, &v3_1, cause),
            (V3_1_1, CLIENT, &v3_1_1, cause),
            (V5, CLIENT, &v5, cause),
        ];
        refuses(MALFORMED, &rows);
    }
}

/// Fields that the flags do not announce are left over, and those that they do are missed. In
/// 3.1 the user name and the password may be missing all the same.
///
/// v5 [MQTT-3.1.2-9] [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19]
/// [MQTT-3.1.3-3], v3.1.1 [MQTT-3.1.2-9] [MQTT-3.1.2-11] [MQTT-3.1.2-18] [MQTT-3.1.2-19]
/// [MQTT-3.1.2-20] [MQTT-3.1.2-21] [MQTT-3.1.3-3]
#[test]
fn connect_fields_that_are_not_what_the_flags_say() {
    use Cause::{FieldOverrunsPacket, TrailingBytes};
    refuses(
        MALFORMED,
        &[
            (V3_1_1, CLIENT, "10 .. 'MQTT' 04 02 003c", FieldOverrunsPacket),
            (V3_1_1, CLIENT, "10 .. 'MQTT' 04 06 003c 'c'", FieldOverrunsPacket),
            (V3_1_1, CLIENT, "10 .. 'MQTT' 04 06 003c 'c' 't'", FieldOverrunsPacket),
            (V3_1_1, CLIENT, "10 .. 'MQTT' 04 82 003c 'c'", FieldOverrunsPacket),
            (V3_1_1, CLIENT, "10 .. 'MQTT' 04 c2 003c 'c' 'u'", FieldOverrunsPacket),
            (V3_1_1, CLIENT, "10 .. 'MQTT' 04 02 003c 'c' 't' 'p'", TrailingBytes),
            (V3_1_1, CLIENT, "10 .. 'MQTT' 04 02 003c 'c' 'u'", TrailingBytes),
            (V3_1_1, CLIENT, "10 .. 'MQTT' 04 82 003c 'c' 'u' 'p'", TrailingBytes),
            (V3_1, CLIENT, "10 .. 'MQIsdp' 03 06 003c 'c'", FieldOverrunsPacket),
            (V3_1, CLIENT, "10 .. 'MQIsdp' 03 02 003c 'c' 'u'", TrailingBytes),
            (V5, CLIENT, "10 .. 'MQTT' 05 02 003c", FieldOverrunsPacket),
            (V5, CLIENT, "10 .. 'MQTT' 05 02 003c {}", FieldOverrunsPacket),
            (V5, CLIENT, "10 .. 'MQTT' 05 06 003c {} 'c'", FieldOverrunsPacket),
            (V5, CLIENT, "10 .. 'MQTT' 05 06 003c {} 'c' {}", FieldOverrunsPacket),
            (V5, CLIENT, "10 .. 'MQTT' 05 06 003c {} 'c' {} 't'", FieldOverrunsPacket),
            (V5, CLIENT, "10 .. 'MQTT' 05 82 003c {} 'c'", FieldOverrunsPacket),
            (V5, CLIENT, "10 .. 'MQTT' 05 42 003c {} 'c'", FieldOverrunsPacket),
            (V5, CLIENT, "10 .. 'MQTT' 05 02 003c {} 'c' 'u'", TrailingBytes),
            (V5, CLIENT, "10 .. 'MQTT' 05 82 003c {} 'c' 'u' 'p'", TrailingBytes),
        ],
    );
}

/// v3.1.1 [MQTT-3.1.2-22]
#[test]
fn a_password_without_a_user_name_in_3_1_1() {
    let packet = "10 .. 'MQTT' 04 42 003c 'c' 'p'";
    refuses(MALFORMED, &[(V3_1_1, CLIENT, packet, Cause::PasswordWithoutUserName)]);
}

/// v5 [MQTT-3.1.2-1] [MQTT-3.1.2-2], v3.1.1 [MQTT-3.1.2-1] [MQTT-3.1.2-2]
#[test]
fn protocol_names_and_levels_that_are_not_known() {
    let rows = [
        ("'MQTT' 03", Cause::UnsupportedProtocolLevel(3)),
        ("'MQTT' 00", Cause::UnsupportedProtocolLevel(0)),
        ("'MQTT' 06", Cause::UnsupportedProtocolLevel(6)),
        ("'MQTT' 84", Cause::UnsupportedProtocolLevel(0x84)),
        ("'MQIsdp' 04", Cause::UnsupportedMqisdpLevel(4)),
        ("'MQIsdp' 83", Cause::UnsupportedMqisdpLevel(0x83)),
        ("'MQTt' 04", Cause::InvalidProtocolName),
        ("'mqtt' 05", Cause::InvalidProtocolName),
        ("'MQTTT' 05", Cause::InvalidProtocolName),
        ("'MQT' 04", Cause::InvalidProtocolName),
        ("'' 04", Cause::InvalidProtocolName),
        ("'MQISDP' 03", Cause::InvalidProtocolName),
    ];
    for (name_and_level, cause) in rows {
        let packet = format!("10 .. {name_and_level} 02 003c 'c'");
        refuses(0x84, &[(ALL, CLIENT, &packet, cause)]);
        let error = Connect::decode_any_version(&bytes(&packet)).unwrap_err();
        assert_eq!(error.cause, cause, "{packet}");
        let error = Decoder::from_client().decode(&bytes(&packet)).unwrap_err();
        assert_eq!(error.cause, cause, "{packet}");
    }
}

/// v3.1.1 [MQTT-3.1.3-7]; 3.1 asks for 1 to 23 characters.
#[test]
fn client_identifiers_that_3_x_does_not_allow() {
    let cause = Cause::InvalidClientIdentifier;
    refuses(
        0x85,
        &[
            (V3_1_1, CLIENT, "10 .. 'MQTT' 04 00 003c ''", cause),
            (V3_1, CLIENT, "10 .. 'MQIsdp' 03 02 003c ''", cause),
            (V3_1, CLIENT, "10 .. 'MQIsdp' 03 02 003c '123456789012345678901234'", cause),
        ],
    );
}

/// Every value for every packet, against the tables of the standards.
///
/// v5 [MQTT-3.2.2-8] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] [MQTT-3.9.3-2]
/// [MQTT-3.11.3-2] [MQTT-3.14.2-1] [MQTT-3.15.2-1], v3.1.1 [MQTT-3.9.3-2]
#[test]
fn reason_codes_that_a_packet_does_not_allow() {
    let ack = "00 80 83 87 90 91 97 99";
    let ack_of_server = "00 10 80 83 87 90 91 97 99";
    let disconnect = "00 04 80 81 82 83 8c 90 93 94 95 96 97 98 99";
    // 0x8c: of table 2-6, and not of table 3-10.
    let disconnect_of_server = "00 80 81 82 83 87 89 8b 8c 8d 8e 8f 90 93 94 95 96 97 98 99 9a 9b \
                                9c 9d 9e 9f a0 a1 a2";
    let connack = "00 80 81 82 83 84 85 86 87 88 89 8a 8c 90 95 97 99 9a 9b 9c 9d 9f";
    let suback = "00 01 02 80 83 87 8f 91 97 9e a1 a2";
    let rows: [(&[Version], &[Sender], &str, &str); 17] = [
        (V5, SERVER, "20 .. 00 @ {}", connack),
        (V3, SERVER, "20 .. 00 @", "00 01 02 03 04 05"),
        (V5, CLIENT, "40 .. 0001 @", ack),
        (V5, SERVER, "40 .. 0001 @", ack_of_server),
        (V5, CLIENT, "50 .. 0001 @ {}", ack),
        (V5, SERVER, "50 .. 0001 @ {}", ack_of_server),
        (V5, EITHER, "62 .. 0001 @", "00 92"),
        (V5, EITHER, "70 .. 0001 @", "00 92"),
        (V3_1, SERVER, "90 .. 0001 @", "00 01 02"),
        (V3_1_1, SERVER, "90 .. 0001 @", "00 01 02 80"),
        (V5, SERVER, "90 .. 0001 {} @", suback),
        (V5, SERVER, "90 .. 0001 {} 00 @", suback),
        (V5, SERVER, "b0 .. 0001 {} @", "00 11 80 83 87 8f 91"),
        (V5, CLIENT, "e0 .. @", disconnect),
        (V5, SERVER, "e0 .. @", disconnect_of_server),
        (V5, CLIENT, "f0 .. @", "18 19"),
        (V5, SERVER, "f0 .. @", "00 18"),
    ];
    for (versions, senders, packet, allowed) in rows {
        for code in 0..=255u8 {
            let packet = packet.replace('@', &format!("{code:02x}"));
            if bytes(allowed).contains(&code) {
                for version in versions {
                    notation::accepted(&bytes(&packet), *version, senders[0]);
                }
            } else {
                let cause = Cause::InvalidReasonCode(code);
                refuses(PROTOCOL_ERROR, &[(versions, senders, &packet, cause)]);
            }
        }
    }
}

/// v5 [MQTT-3.2.2-1] [MQTT-3.2.2-6], v3.1.1 [MQTT-3.2.2-4]; 3.1 has no flags in CONNACK.
#[test]
fn session_present_with_an_error_and_other_acknowledge_flags() {
    let cause = Cause::SessionPresentWithError;
    refuses(
        PROTOCOL_ERROR,
        &[
            (V3_1_1, SERVER, "20 .. 01 01", cause),
            (V3_1_1, SERVER, "20 .. 01 05", cause),
            (V5, SERVER, "20 .. 01 80 {}", cause),
            (V5, SERVER, "20 .. 01 9f {}", cause),
        ],
    );
    let rows: [Row<'_>; 5] = [
        (V3_1, SERVER, "20 .. 01 00", Cause::ReservedAcknowledgeFlags(1)),
        (V3, SERVER, "20 .. 02 00", Cause::ReservedAcknowledgeFlags(2)),
        (V3_1_1, SERVER, "20 .. 03 00", Cause::ReservedAcknowledgeFlags(3)),
        (V5, SERVER, "20 .. 02 00 {}", Cause::ReservedAcknowledgeFlags(2)),
        (V5, SERVER, "20 .. 81 00 {}", Cause::ReservedAcknowledgeFlags(0x81)),
    ];
    refuses(MALFORMED, &rows);
}

/// v5 [MQTT-3.8.3-2] [MQTT-3.10.3-2], v3.1.1 [MQTT-3.8.3-3] [MQTT-3.10.3-2]
#[test]
fn packets_without_a_topic_filter_or_a_reason_code() {
    refuses(
        PROTOCOL_ERROR,
        &[
            (V3, CLIENT, "82 .. 0001", Cause::NoTopicFilter),
            (V5, CLIENT, "82 .. 0001 {}", Cause::NoTopicFilter),
            (V5, CLIENT, "82 .. 0001 {0b 01}", Cause::NoTopicFilter),
            (V3, CLIENT, "a2 .. 0001", Cause::NoTopicFilter),
            (V5, CLIENT, "a2 .. 0001 {}", Cause::NoTopicFilter),
            (V3, SERVER, "90 .. 0001", Cause::NoReasonCode),
            (V5, SERVER, "90 .. 0001 {}", Cause::NoReasonCode),
            (V5, SERVER, "b0 .. 0001 {}", Cause::NoReasonCode),
            (V5, SERVER, "b0 .. 0001 {1f 'r'}", Cause::NoReasonCode),
        ],
    );
}

/// v5 [U5-1.5.6-1] [MQTT-2.2.2-1]
#[test]
fn fields_that_run_over_the_end_of_their_packet_or_properties() {
    use Cause::{FieldOverrunsPacket, FieldOverrunsProperties, PropertiesOverrunPacket};
    refuses(
        MALFORMED,
        &[
            (ALL, CLIENT, "10 .. 'MQTT'", FieldOverrunsPacket),
            (ALL, CLIENT, "10 .. 00", FieldOverrunsPacket),
            (ALL, CLIENT, "10 .. 0005 4d515454", FieldOverrunsPacket),
            (V3_1_1, CLIENT, "10 .. 'MQTT' 04 02 00", FieldOverrunsPacket),
            (V5, CLIENT, "10 .. 'MQTT' 05 02 003c", FieldOverrunsPacket),
            (ALL, SERVER, "20 00", FieldOverrunsPacket),
            (ALL, SERVER, "20 01 00", FieldOverrunsPacket),
            (V5, SERVER, "20 .. 00 00", FieldOverrunsPacket),
            (ALL, EITHER, "30 00", FieldOverrunsPacket),
            (ALL, EITHER, "30 02 00 09", FieldOverrunsPacket),
            (ALL, EITHER, "30 .. 0002 61", FieldOverrunsPacket),
            (V5, EITHER, "30 .. 'a'", FieldOverrunsPacket),
            (ALL, EITHER, "32 .. 'a' 00", FieldOverrunsPacket),
            (ALL, EITHER, "40 01 00", FieldOverrunsPacket),
            (V3, CLIENT, "82 .. 0001 'a'", FieldOverrunsPacket),
            (V3, CLIENT, "82 .. 0001 'a' 00 00", FieldOverrunsPacket),
            (V5, CLIENT, "82 .. 0001", FieldOverrunsPacket),
            (V5, CLIENT, "82 .. 0001 {} 0002 61", FieldOverrunsPacket),
            (V3, CLIENT, "a2 .. 0001 0002 61", FieldOverrunsPacket),
            (V5, SERVER, "90 .. 0001", FieldOverrunsPacket),
            (V5, EITHER, "30 .. 'a' 80", FieldOverrunsPacket),
            (V5, EITHER, "30 .. 'a' 03 01 01", PropertiesOverrunPacket),
            (V5, EITHER, "40 .. 0001 00 05", PropertiesOverrunPacket),
            (V5, EITHER, "e0 .. 00 ff ff ff 7f", PropertiesOverrunPacket),
            (V5, CLIENT, "10 .. 'MQTT' 05 02 003c 7f 'c'", PropertiesOverrunPacket),
            (V5, EITHER, "30 .. 'a' {01}", FieldOverrunsProperties),
            (V5, EITHER, "30 .. 'a' {02 000000} 01", FieldOverrunsProperties),
            (V5, EITHER, "30 .. 'a' {03 0005 61} 61616161", FieldOverrunsProperties),
            (V5, EITHER, "30 .. 'a' {09 ffff} 00", FieldOverrunsProperties),
            (V5, EITHER, "30 .. 'a' {26 'n'} 0000", FieldOverrunsProperties),
            (V5, SERVER, "30 .. 'a' {0b 80} 01", FieldOverrunsProperties),
            (V5, EITHER, "40 .. 0001 00 {1f 00}", FieldOverrunsProperties),
        ],
    );
}

/// v5 [U5-2.1.4-1]
#[test]
fn bytes_left_over_after_the_last_field() {
    use Cause::{InvalidReasonCode, TrailingBytes};
    refuses(
        MALFORMED,
        &[
            (V3_1_1, CLIENT, "10 .. 'MQTT' 04 02 003c 'c' 00", TrailingBytes),
            (V5, CLIENT, "10 .. 'MQTT' 05 02 003c {} 'c' 00", TrailingBytes),
            (V3, SERVER, "20 .. 00 00 00", TrailingBytes),
            (V5, SERVER, "20 .. 00 00 {} 00", TrailingBytes),
            (V3, EITHER, "40 .. 0001 00", TrailingBytes),
            (V5, EITHER, "40 .. 0001 00 {} 00", TrailingBytes),
            (V3, EITHER, "50 .. 0001 00", TrailingBytes),
            (V5, EITHER, "62 .. 0001 00 {1f 'r'} 00", TrailingBytes),
            (V5, EITHER, "70 .. 0001 92 {} 00", TrailingBytes),
            (V3, SERVER, "b0 .. 0001 00", TrailingBytes),
            (ALL, CLIENT, "c0 .. 00", TrailingBytes),
            (ALL, SERVER, "d0 .. 00", TrailingBytes),
            (V3, CLIENT, "e0 .. 00", TrailingBytes),
            (V5, EITHER, "e0 .. 00 {} 00", TrailingBytes),
            (V5, EITHER, "f0 .. 18 {15 'm'} 00", TrailingBytes),
        ],
    );
    // What follows the last Reason Code can only be another one.
    refuses(PROTOCOL_ERROR, &[(V3_1_1, SERVER, "90 .. 0001 00 ff", InvalidReasonCode(0xff))]);
}

/// v5 [MQTT-3.1.0-1], v3.1.1 [MQTT-3.1.0-1]
#[test]
fn a_connection_that_does_not_begin_with_connect() {
    for packet in ["c0 00", "30 .. 'a'", "e0 00", "20 .. 00 00", "00 00", "f0 00"] {
        let frame = bytes(packet);
        let error = Decoder::from_client().decode(&frame).unwrap_err();
        assert_eq!(error.cause, Cause::ConnectExpected, "{packet}");
        assert_eq!(error.reason_code(), ReasonCode::PROTOCOL_ERROR);
        // The first byte and the length tell.
        assert_eq!(Decoder::from_client().decode(&frame[..2]), Err(error));
    }
}

/// v5 [U5-3.2.2.3.6-2]
#[test]
fn a_packet_larger_than_the_receiver_takes() {
    let frame = bytes("30 .. 'a' {} 6162");
    let mut decoder = Decoder::from_server(Version::V5).with_maximum_packet_size(7);
    let error = decoder.decode(&frame[..2]).unwrap_err();
    assert_eq!(error.cause, Cause::PacketTooLarge { size: 8, maximum: 7 });
    assert_eq!(error.reason_code(), ReasonCode::PACKET_TOO_LARGE);
    decoder.set_maximum_packet_size(8);
    assert!(decoder.decode(&frame).unwrap().is_some());
}

#[test]
fn bytes_that_are_not_one_packet() {
    for (frame, cause) in [
        ("", Cause::IncompletePacket),
        ("30", Cause::IncompletePacket),
        ("30 80", Cause::IncompletePacket),
        ("30 05 00", Cause::IncompletePacket),
        ("c0 00 c0 00", Cause::TrailingBytes),
    ] {
        let frame = bytes(frame);
        let error = Packet::decode(&frame, Version::V5, Sender::Client).unwrap_err();
        assert_eq!((error.cause, error.reason_code().get()), (cause, MALFORMED), "{frame:02x?}");
    }
    let connect = bytes("10 .. 'MQTT' 04 02 003c 'c'");
    let error = refused(&connect, Version::V5, Sender::Client);
    assert_eq!(error.cause, Cause::VersionMismatch(Version::V3_1_1));
    assert_eq!(error.reason_code(), ReasonCode::PROTOCOL_ERROR);
}
