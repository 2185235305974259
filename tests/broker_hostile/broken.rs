//! Packets that break a rule by themselves. MQTT 5.0 §4.13, 3.1.1 §4.8.

use sansio_mqtt::{Packet, QoS, ReasonCode, Version};

use crate::frames::{self, Row};
use crate::world::{World, encode, in_all_versions, publish};

/// Frames that no client may send in this version once it is connected, and the Reason Code of
/// each.
fn broken(version: Version) -> Vec<Row> {
    let v5 = version.is_v5();
    let mut rows = frames::from_anybody(v5);
    rows.extend([
        ("PINGREQ with a body", vec![0xc0, 0x01, 0], 0x81),
        ("PINGREQ with flags", vec![0xc1, 0x00], 0x81),
        ("DISCONNECT with flags", vec![0xe1, 0x00], 0x81),
        ("SUBSCRIBE of identifier 0", subscribe(v5, [0, 0], b"\0\x01a\0"), 0x82),
        ("SUBSCRIBE to nothing", subscribe(v5, [0, 1], b""), 0x82),
        ("SUBSCRIBE that ends before its options", subscribe(v5, [0, 1], b"\0\x01a"), 0x81),
        ("SUBSCRIBE to an empty filter", subscribe(v5, [0, 1], b"\0\0\0"), 0x8f),
        ("SUBSCRIBE to a#", subscribe(v5, [0, 1], b"\0\x02a#\0"), 0x8f),
        ("SUBSCRIBE to #/a", subscribe(v5, [0, 1], b"\0\x03#/a\0"), 0x8f),
        ("SUBSCRIBE to a+", subscribe(v5, [0, 1], b"\0\x02a+\0"), 0x8f),
        ("SUBSCRIBE to no UTF-8", subscribe(v5, [0, 1], b"\0\x01\xc0\0"), 0x81),
        ("SUBSCRIBE at QoS 3", subscribe(v5, [0, 1], b"\0\x01a\x03"), 0x82),
        ("SUBSCRIBE with reserved bits", subscribe(v5, [0, 1], b"\0\x01a\xc0"), 0x81),
        ("UNSUBSCRIBE from nothing", unsubscribe(v5, b""), 0x82),
        ("UNSUBSCRIBE from an empty filter", unsubscribe(v5, b"\0\0"), 0x8f),
        ("UNSUBSCRIBE cut short", vec![0xa2, 0x01, 0], 0x81),
        // What only servers send. v5 2.1.2, v3.1.1 2.2.1
        ("CONNACK", vec![0x20, 0x02, 0, 0], 0x82),
        ("SUBACK", vec![0x90, 0x03, 0, 1, 0], 0x82),
        ("UNSUBACK", vec![0xb0, 0x02, 0, 1], 0x82),
        ("PINGRESP", vec![0xd0, 0x00], 0x82),
    ]);
    if version != Version::V3_1 {
        // In 3.1 these have a DUP flag.
        rows.extend([
            ("PUBREL with flags 0", vec![0x60, 0x02, 0, 1], 0x81),
            ("SUBSCRIBE with flags 0", vec![0x80, 0x06, 0, 1, 0, 1, b'a', 0], 0x81),
            ("UNSUBSCRIBE with flags 0", vec![0xa0, 0x05, 0, 1, 0, 1, b'a'], 0x81),
        ]);
    }
    rows.extend(if v5 { broken_in_v5() } else { broken_in_v3() });
    rows
}

fn broken_in_v5() -> Vec<Row> {
    vec![
        ("remaining length not minimal", vec![0xc0, 0x80, 0x00], 0x81),
        // v5 [MQTT-3.3.4-6]
        ("subscription identifier", vec![0x30, 0x06, 0, 1, b'a', 2, 0x0b, 1], 0x82),
        ("response topic with a wildcard", vec![0x30, 0x08, 0, 1, b'a', 4, 8, 0, 1, b'#'], 0x82),
        ("DISCONNECT with a code of the server", vec![0xe0, 0x01, 0x8b], 0x82),
        ("DISCONNECT with a server reference", vec![0xe0, 0x06, 0, 4, 0x1c, 0, 1, b's'], 0x82),
        ("retain handling 3", subscribe(true, [0, 1], b"\0\x01a\x30"), 0x82),
        ("no local of a group", subscribe(true, [0, 1], b"\0\x0a$share/g/t\x04"), 0x82),
        ("group without a filter", subscribe(true, [0, 1], b"\0\x08$share/g\0"), 0x8f),
        ("group with an empty filter", subscribe(true, [0, 1], b"\0\x09$share/g/\0"), 0x8f),
        ("group without a name", subscribe(true, [0, 1], b"\0\x09$share//t\0"), 0x8f),
        ("group with a wildcard", subscribe(true, [0, 1], b"\0\x0a$share/+/t\0"), 0x8f),
        ("subscription identifier 0", vec![0x82, 0x09, 0, 1, 2, 0x0b, 0, 0, 1, b'a', 0], 0x82),
        ("AUTH of the server", vec![0xf0, 0x06, 0x00, 4, 0x15, 0, 1, b'm'], 0x82),
        ("AUTH without a method", vec![0xf0, 0x02, 0x19, 0], 0x82),
        // v5 [MQTT-4.12.0-7]
        ("AUTH nobody asked for", vec![0xf0, 0x06, 0x19, 4, 0x15, 0, 1, b'm'], 0x82),
    ]
}

fn broken_in_v3() -> Vec<Row> {
    vec![("DISCONNECT with a body", vec![0xe0, 0x01, 0], 0x81)]
}

fn subscribe(v5: bool, packet_id: [u8; 2], payload: &[u8]) -> Vec<u8> {
    with_properties(0x82, v5, packet_id, payload)
}

fn unsubscribe(v5: bool, payload: &[u8]) -> Vec<u8> {
    with_properties(0xa2, v5, [0, 1], payload)
}

fn with_properties(first: u8, v5: bool, packet_id: [u8; 2], payload: &[u8]) -> Vec<u8> {
    let mut body = packet_id.to_vec();
    body.extend(v5.then_some(0));
    body.extend_from_slice(payload);
    let mut frame = vec![first, body.len() as u8];
    frame.extend(body);
    frame
}

#[test]
fn a_broken_packet_ends_the_connection_with_the_reason_and_nobody_else_notices() {
    // v5 [MQTT-4.13.1-1] [MQTT-4.13.2-1] [U5-4.13.1-2], v3.1.1 [MQTT-4.8.0-1]
    in_all_versions(|world, version| {
        let innocent = world.up(version, "innocent");
        for (what, frame, code) in broken(version) {
            println!("{what}");
            let peer = world.up(version, "c");
            world.send_bytes(peer, &frame);
            world.blamed(peer, ReasonCode::new(code));
            // Cut at every byte it is the same.
            let peer = world.up(version, "c");
            frame.iter().for_each(|byte| world.send_bytes(peer, &[*byte]));
            world.blamed(peer, ReasonCode::new(code));
            world.serves(innocent);
        }
        assert_eq!(world.broker.counters().connections, 1);
        assert_eq!(world.broker.counters().sessions, 1);
    });
}

#[test]
fn what_comes_before_a_broken_packet_is_served_and_what_comes_behind_is_not_read() {
    in_all_versions(|world, version| {
        let reader = world.up(version, "reader");
        world.subscribe(reader, "#", QoS::AtMostOnce);
        for (what, frame, code) in broken(version) {
            println!("{what}");
            let peer = world.up(version, "c");
            let mut bytes = encode(version, publish("before", QoS::AtMostOnce, 0, "x"));
            bytes.extend(frame);
            bytes.extend(encode(version, publish("behind", QoS::AtMostOnce, 0, "x")));
            world.send_bytes(peer, &bytes);
            world.blamed(peer, ReasonCode::new(code));
            assert_eq!(world.sent(reader), ["PUBLISH \"before\" QoS 0 \"x\""]);
            assert_eq!(world.not_taken(peer), 0);
        }
    });
}

#[test]
fn a_broken_packet_before_connect_ends_the_connection_without_a_byte() {
    // v5 [MQTT-3.1.0-1] [MQTT-3.14.0-1], v3.1.1 [MQTT-3.1.0-1]
    for version in Version::ALL {
        let mut world = World::default();
        for (what, frame, _) in broken(version) {
            println!("{version} {what}");
            let peer = world.open(version);
            world.send_bytes(peer, &frame);
            assert_eq!(world.raw(peer), []);
            assert!(world.is_closed(peer));
            assert!(world.cause(peer).is_some());
        }
        assert_eq!(world.broker.counters().connections, 0);
    }
}

/// CONNECTs that are refused, and the bytes of the answer.
fn broken_connects() -> Vec<(&'static str, Vec<u8>, &'static [u8])> {
    const MALFORMED: &[u8] = &[0x20, 3, 0, 0x81, 0];
    const PROTOCOL: &[u8] = &[0x20, 3, 0, 0x82, 0];
    const LEVEL_3: &[u8] = &[0x20, 2, 0, 1];
    const LEVEL_5: &[u8] = &[0x20, 3, 0, 0x84, 0];
    const ID_3: &[u8] = &[0x20, 2, 0, 2];
    let v5 = |flags, properties: &[u8], rest: &[u8]| connect(5, flags, properties, rest);
    let v4 = |flags, rest: &[u8]| connect(4, flags, b"", rest);
    vec![
        // The protocol. v5 [MQTT-3.1.2-1] [MQTT-3.1.2-2], v3.1.1 [MQTT-3.1.2-1] [MQTT-3.1.2-2]
        ("unknown name", b"\x10\x0d\0\x04HTTP\x04\x02\0\0\0\x01c".to_vec(), b""),
        ("level 0", connect(0, 2, b"", b"\0\x01c"), LEVEL_3),
        ("level 3 of MQTT", connect(3, 2, b"", b"\0\x01c"), LEVEL_3),
        ("level 6", connect(6, 2, b"", b"\0\x01c"), LEVEL_5),
        ("level 255", connect(255, 2, b"", b"\0\x01c"), LEVEL_5),
        ("level 4 of MQIsdp", b"\x10\x0f\0\x06MQIsdp\x04\x02\0\0\0\x01c".to_vec(), LEVEL_3),
        // 5.0.
        ("reserved flag", v5(3, b"\0", b"\0\x01c"), MALFORMED),
        ("Will QoS without a Will", v5(0x0a, b"\0", b"\0\x01c"), MALFORMED),
        ("Will Retain without a Will", v5(0x22, b"\0", b"\0\x01c"), MALFORMED),
        ("Will QoS 3", v5(0x1e, b"\0", b"\0\x01c\0\0\x01w\0\0"), MALFORMED),
        ("no client identifier", v5(2, b"\0", b""), MALFORMED),
        ("client identifier beyond the packet", v5(2, b"\0", b"\0\x09c"), MALFORMED),
        ("client identifier that is no UTF-8", v5(2, b"\0", b"\0\x01\xff"), MALFORMED),
        ("client identifier with a null character", v5(2, b"\0", b"\0\x01\0"), MALFORMED),
        ("bytes behind", v5(2, b"\0", b"\0\x01cx"), MALFORMED),
        ("user name that is missing", v5(0x82, b"\0", b"\0\x01c"), MALFORMED),
        ("password that is missing", v5(0x42, b"\0", b"\0\x01c"), MALFORMED),
        ("properties beyond the packet", v5(2, b"\x7f", b"\0\x01c"), MALFORMED),
        ("property length of five bytes", v5(2, b"\x80\x80\x80\x80\x01", b"\0\x01c"), MALFORMED),
        ("unknown property", v5(2, b"\x02\x7f\0", b"\0\x01c"), MALFORMED),
        ("property of another packet", v5(2, b"\x03\x23\0\x01", b"\0\x01c"), MALFORMED),
        ("receive maximum 0", v5(2, b"\x03\x21\0\0", b"\0\x01c"), PROTOCOL),
        ("receive maximum twice", v5(2, b"\x06\x21\0\x01\x21\0\x01", b"\0\x01c"), PROTOCOL),
        ("maximum packet size 0", v5(2, b"\x05\x27\0\0\0\0", b"\0\x01c"), PROTOCOL),
        ("request problem information 2", v5(2, b"\x02\x17\x02", b"\0\x01c"), PROTOCOL),
        ("authentication data without method", v5(2, b"\x04\x16\0\x01x", b"\0\x01c"), PROTOCOL),
        ("Will topic empty", v5(6, b"\0", b"\0\x01c\0\0\0\0\0"), PROTOCOL),
        ("Will topic with #", v5(6, b"\0", b"\0\x01c\0\0\x01#\0\0"), &[0x20, 3, 0, 0x90, 0]),
        ("Will delay twice", v5(6, b"\0", DELAY_TWICE), PROTOCOL),
        ("Will with an alias", v5(6, b"\0", b"\0\x01c\x03\x23\0\x01\0\x01w\0\0"), MALFORMED),
        ("Will cut short", v5(6, b"\0", b"\0\x01c\0\0\x01w\0\x09"), MALFORMED),
        // 3.1.1, which has no words for it but for the Client Identifier.
        ("3.1.1 reserved flag", v4(3, b"\0\x01c"), b""),
        ("3.1.1 Will QoS 3", v4(0x1e, b"\0\x01c\0\x01w\0\0"), b""),
        ("3.1.1 bytes behind", v4(2, b"\0\x01cx"), b""),
        ("3.1.1 password without user name", v4(0x42, b"\0\x01c\0\x01p"), b""),
        ("3.1.1 client identifier that is no UTF-8", v4(2, b"\0\x01\xff"), b""),
        // v3.1.1 [MQTT-3.1.3-8] [MQTT-3.1.3-9]
        ("3.1.1 no client identifier, not clean", v4(0, b"\0\0"), ID_3),
        ("3.1 no client identifier", b"\x10\x0e\0\x06MQIsdp\x03\x02\0\0\0\0".to_vec(), ID_3),
        ("3.1 client identifier of 24 bytes", long_mqisdp(), ID_3),
    ]
}

const DELAY_TWICE: &[u8] = b"\0\x01c\x0a\x18\0\0\0\x01\x18\0\0\0\x01\0\x01w\0\0";

/// A CONNECT for protocol `MQTT` of this level.
fn connect(level: u8, flags: u8, properties: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut body = b"\0\x04MQTT".to_vec();
    body.extend([level, flags, 0, 0]);
    body.extend_from_slice(properties);
    body.extend_from_slice(rest);
    let mut frame = vec![0x10, body.len() as u8];
    frame.extend(body);
    frame
}

fn long_mqisdp() -> Vec<u8> {
    let mut frame = b"\x10\x26\0\x06MQIsdp\x03\x02\0\0\0\x18".to_vec();
    frame.extend([b'c'; 24]);
    frame
}

#[test]
fn a_broken_connect_is_refused_as_far_as_its_version_has_words() {
    // v5 [MQTT-3.1.4-1] [MQTT-3.1.4-2] [MQTT-3.2.2-7] [MQTT-3.14.0-1],
    // v3.1.1 [MQTT-3.1.4-1] [MQTT-3.2.2-5]
    for (what, frame, answer) in broken_connects() {
        println!("{what}");
        for fragment in [frame.len(), 1] {
            let mut world = World::default();
            let peer = world.open(Version::V5);
            frame.chunks(fragment).for_each(|bytes| world.send_bytes(peer, bytes));
            assert_eq!(world.raw(peer), answer);
            assert!(world.is_closed(peer));
            assert_eq!(world.broker.counters().sessions, 0);
            assert_eq!(world.broker.counters().connections, 0);
        }
    }
}

#[test]
fn what_comes_behind_a_refused_connect_is_not_read() {
    // v5 [MQTT-3.1.4-6], v3.1.1 [MQTT-3.1.4-5]
    for (what, frame, answer) in broken_connects() {
        println!("{what}");
        let mut world = World::default();
        let reader = world.up(Version::V3_1_1, "reader");
        world.subscribe(reader, "#", QoS::AtMostOnce);
        let peer = world.open(Version::V5);
        let mut bytes = frame;
        for version in Version::ALL {
            bytes.extend(encode(version, publish("a", QoS::AtMostOnce, 0, "x")));
            bytes.extend(encode(version, Packet::PingReq));
        }
        world.send_bytes(peer, &bytes);
        assert_eq!(world.raw(peer), answer);
        assert_eq!(world.sent(reader), [""; 0]);
    }
}
