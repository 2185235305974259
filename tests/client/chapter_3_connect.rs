//! CONNECT, CONNACK and the end of a connection: MQTT 5.0 §3.1, §3.2, §3.14.

use sansio_mqtt::{ConnAck, Disconnect, Packet, QoS, ReasonCode, Version};

use crate::world::{of, pub_ack, publish, scenario, v5};

#[test]
fn nothing_is_sent_before_the_server_has_accepted_the_connection() {
    // v5 [MQTT-3.1.0-1], v3.1.1 [MQTT-3.1.0-1]
    for version in Version::ALL {
        scenario(|world| {
            world.start(of(version));
            world.publish("a", QoS::AtMostOnce, "x");
            world.open();
            let sent = world.sent();
            assert_eq!(sent.len(), 1);
            assert!(sent[0].starts_with("CONNECT "), "{sent:?}");
            world.server(ConnAck::default());
            assert_eq!(world.sent(), ["PUBLISH \"a\" QoS 0 \"x\""]);
        });
    }
}

#[test]
fn a_packet_before_connack_closes_the_connection_without_a_word() {
    for packet in
        [Packet::PingResp, publish("a", QoS::AtMostOnce, 0, "x").into(), pub_ack(1).into()]
    {
        scenario(|world| {
            world.start(v5()).open().forget();
            world.server(packet);
            assert!(world.closed);
            assert_eq!(world.sent(), [""; 0]);
            let expected =
                format!("disconnected: the server sent {} out of place", packet.packet_type());
            assert_eq!(world.told(), [expected]);
        });
    }
}

#[test]
fn disconnect_is_the_last_packet() {
    // v5 [MQTT-3.14.4-1] [MQTT-3.14.4-2], v3.1.1 [MQTT-3.14.4-1] [MQTT-3.14.4-2]
    for version in Version::ALL {
        scenario(|world| {
            world.up(of(version), &[]);
            let now = world.now;
            world.client().disconnect(now, &Disconnect::default()).unwrap();
            world.poll();
            world.publish("a", QoS::AtMostOnce, "x");
            assert_eq!(world.sent(), ["DISCONNECT 0x00 Normal disconnection"]);
            assert!(world.closed);
            assert_eq!(world.told(), ["disconnected: the application disconnected"]);
        });
    }
}

#[test]
fn a_second_connack_is_a_violation_and_wipes_nothing() {
    scenario(|world| {
        world.up(v5(), &[]);
        world.publish("a", QoS::AtLeastOnce, "x");
        world.forget();
        world.server(ConnAck::default());
        assert_eq!(world.sent(), [format!("DISCONNECT {}", ReasonCode::PROTOCOL_ERROR)]);
        assert!(world.closed);
    });
}
