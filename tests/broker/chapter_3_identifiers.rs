//! Client Identifiers: MQTT 5.0 §3.1.3.1.

use sansio_mqtt::{Connect, QoS, ReasonCode, Version};

use crate::words::{conn_ack_of, lasting, of, options, v5};
use crate::world::{World, scenario};

#[test]
fn client_identifiers_that_every_server_takes_are_taken() {
    // v5 [MQTT-3.1.3-5], v3.1.1 [MQTT-3.1.3-5]
    let names =
        ["0", "Z", "a", "0123456789abcdefghijklm", "nopqrstuvwxyzABCDEFGHIJ", "KLMNOPQRSTUVWXYZ"];
    for version in Version::ALL {
        scenario(|world| {
            for name in names {
                let (_, conn_ack) = world.join_with(&of(version, name));
                let properties = conn_ack_of(&conn_ack).properties;
                assert_eq!(properties.assigned_client_identifier(), None);
            }
            assert_eq!(world.broker.counters().connected, names.len());
        });
    }
}

#[test]
fn longer_client_identifiers_are_taken_from_3_1_1_on() {
    // v3.1.1 3.1.3.1: the server may allow more than 23 bytes, and other characters.
    let long = "é/#+ ".repeat(170);
    for version in [Version::V3_1_1, Version::V5] {
        scenario(|world| {
            world.join(&of(version, &long));
            assert_eq!(world.told(), [format!("connect {long}"), format!("connected {long}")]);
        });
    }
    // There is an end to it: 1,024 bytes are the default.
    for version in [Version::V3_1_1, Version::V5] {
        scenario(|world| {
            world.join(&of(version, &"a".repeat(1_024)));
            let peer = world.connect(&of(version, &"a".repeat(1_025)));
            world.refused(peer, ReasonCode::CLIENT_IDENTIFIER_NOT_VALID);
            let user_name = "u".repeat(1_025);
            let peer = world.connect(&Connect { user_name: Some(&user_name), ..of(version, "b") });
            world.refused(peer, ReasonCode::BAD_USER_NAME_OR_PASSWORD);
        });
    }
    scenario(|world| {
        let peer = world.open(Version::V3_1);
        let mut bytes = b"\x10\x26\x00\x06MQIsdp\x03\x02\x00\x00\x00\x18".to_vec();
        bytes.extend_from_slice(&[b'a'; 24]);
        world.send_bytes(peer, &bytes);
        assert_eq!(world.raw(peer), [0x20, 0x02, 0x00, 0x02]);
        world.refused(peer, ReasonCode::CLIENT_IDENTIFIER_NOT_VALID);
    });
}

#[test]
fn who_has_no_name_is_given_one_of_its_own() {
    // v5 [MQTT-3.1.3-6] [MQTT-3.1.3-7], v3.1.1 [MQTT-3.1.3-6]
    for version in [Version::V3_1_1, Version::V5] {
        scenario(|world| {
            let mut names = Vec::new();
            let mut peers = Vec::new();
            for _ in 0..3 {
                let (peer, conn_ack) = world.join_with(&of(version, ""));
                let name = world.request().client_id().to_owned();
                assert!(!name.is_empty());
                assert_eq!(world.request().connect().client_id, "");
                let assigned = conn_ack_of(&conn_ack).properties.assigned_client_identifier();
                assert_eq!(assigned, version.is_v5().then_some(&*name));
                let told = world.told();
                assert_eq!(told, [format!("connect {name}"), format!("connected {name}")]);
                names.push(name);
                peers.push(peer);
            }
            names.sort();
            names.dedup();
            assert_eq!(names.len(), 3);
            for peer in peers {
                world.silent(peer);
            }
        });
    }
}

#[test]
fn a_name_that_was_assigned_is_good_for_the_session() {
    // v5 [MQTT-3.1.3-7] [MQTT-3.2.2-16]
    for clean_start in [true, false] {
        scenario(|world| {
            let connect = Connect { clean_start, ..lasting(Version::V5, "") };
            let (peer, conn_ack) = world.join_with(&connect);
            let conn_ack = conn_ack_of(&conn_ack);
            assert!(!conn_ack.session_present);
            let name = conn_ack.properties.assigned_client_identifier().unwrap();
            world.subscribe(peer, "a", QoS::AtLeastOnce);
            world.leave(peer);
            // Somebody else without a name is not taken for it.
            let (other, conn_ack) = world.join_with(&connect);
            let conn_ack = conn_ack_of(&conn_ack);
            assert!(!conn_ack.session_present);
            assert_ne!(conn_ack.properties.assigned_client_identifier(), Some(name));
            world.publish(other, "a", QoS::AtLeastOnce, "x");
            let (peer, present) = world.resume(&lasting(Version::V5, name));
            assert!(present);
            assert_eq!(world.heard(peer), ["a x QoS 1"]);
        });
    }
}

#[test]
fn no_name_is_assigned_that_somebody_has() {
    // v5 [MQTT-3.2.2-16]
    scenario(|world| {
        let assigned = |world: &mut World| {
            let (_, conn_ack) = world.join_with(&v5(""));
            conn_ack_of(&conn_ack).properties.assigned_client_identifier().unwrap().to_owned()
        };
        // What this broker assigns, another with the same seed assigns too.
        let mut other = World::new(world.way, options());
        let names: Vec<_> = (0..3).map(|_| assigned(&mut other)).collect();
        let peers: Vec<_> = names.iter().map(|name| world.join(&v5(name))).collect();
        for _ in 0..3 {
            let name = assigned(world);
            assert!(!names.contains(&name), "{name} is somebody's");
        }
        for peer in peers {
            world.silent(peer);
        }
    });
}

#[test]
fn no_name_and_no_clean_session_is_refused_in_3_x() {
    // v3.1.1 [MQTT-3.1.3-8] [MQTT-3.2.2-5]
    let rows: [(Version, &[u8]); 3] = [
        (Version::V3_1_1, b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x00\x00\x00"),
        // 3.1 wants a name in any case.
        (Version::V3_1, b"\x10\x0e\x00\x06MQIsdp\x03\x00\x00\x00\x00\x00"),
        (Version::V3_1, b"\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x00\x00\x00"),
    ];
    for (version, bytes) in rows {
        scenario(|world| {
            let peer = world.open(version);
            world.send_bytes(peer, bytes);
            assert_eq!(world.raw(peer), [0x20, 0x02, 0x00, 0x02]);
            world.refused(peer, ReasonCode::CLIENT_IDENTIFIER_NOT_VALID);
        });
    }
}
