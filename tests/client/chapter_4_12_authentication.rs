//! Enhanced authentication and AUTH: MQTT 5.0 §4.12, §3.15.

use bytes::Bytes;
use sansio_mqtt::client::{Authentication, CallError, Options};
use sansio_mqtt::{
    Auth, ConnAck, Packet, Properties, Property, PropertyId, PubAck, QoS, ReasonCode, Version,
};

use crate::calls::disconnect;
use crate::world::{World, connect_of, of, pub_ack, publish, scenario, v5};

/// Options for the method `m`.
fn with_method() -> Options {
    let mut options = v5();
    let data = Some(Bytes::from_static(b"client first"));
    options.authentication = Some(Authentication { method: "m".into(), data });
    options
}

const METHOD: &[Property<'static>] = &[Property::AuthenticationMethod("m")];
const OTHER: &[Property<'static>] = &[Property::AuthenticationMethod("n")];
const CHALLENGE: &[Property<'static>] =
    &[Property::AuthenticationMethod("m"), Property::AuthenticationData(b"server first")];

fn auth(reason_code: ReasonCode, list: &'static [Property<'static>]) -> Auth<'static> {
    Auth { reason_code, properties: Properties::List(list) }
}

fn go_on() -> Auth<'static> {
    auth(ReasonCode::CONTINUE_AUTHENTICATION, CHALLENGE)
}

fn accepted() -> ConnAck<'static> {
    ConnAck { properties: Properties::List(METHOD), ..ConnAck::default() }
}

/// A connection that was accepted with the method.
fn up(world: &mut World, options: Options) {
    world.start(options).open().server(accepted()).forget();
}

fn answer(world: &mut World) {
    world
        .call(|client, now| client.authenticate(now, Some(b"client final"), Properties::NONE))
        .unwrap();
}

fn reauthenticate(world: &mut World) {
    world.call(|client, now| client.reauthenticate(now, Some(b"again"), Properties::NONE)).unwrap();
}

/// What the AUTH says that was sent, which is the only packet.
#[track_caller]
fn sent_auth(world: &mut World) -> (ReasonCode, Vec<Property<'static>>) {
    let sent = world.sent_packets();
    assert_eq!(sent.len(), 1, "{sent:?}");
    let Packet::Auth(auth) = sent[0].packet() else { panic!("{sent:?}") };
    let properties = auth.properties.iter().map(|property| match property {
        Property::AuthenticationMethod("m") => Property::AuthenticationMethod("m"),
        Property::AuthenticationData(b"client final") => {
            Property::AuthenticationData(b"client final")
        }
        Property::AuthenticationData(b"again") => Property::AuthenticationData(b"again"),
        other => panic!("{other:?}"),
    });
    (auth.reason_code, properties.collect())
}

#[test]
fn challenges_are_answered_under_the_same_method() {
    // v5 [MQTT-4.12.0-3] [MQTT-4.12.0-5]
    scenario(|world| {
        world.start(with_method()).open();
        let sent = world.sent_packets();
        let expected =
            [Property::AuthenticationMethod("m"), Property::AuthenticationData(b"client first")];
        let properties = connect_of(&sent[0]).properties;
        for property in expected {
            assert_eq!(properties.get(property.id()), Some(property));
        }
        for _ in 0..2 {
            world.server(go_on());
            let told = world.told();
            assert!(told[0].starts_with("authenticate: AUTH 0x18"), "{told:?}");
            answer(world);
            let (code, properties) = sent_auth(world);
            assert_eq!(code, ReasonCode::CONTINUE_AUTHENTICATION);
            let data = Property::AuthenticationData(b"client final");
            assert_eq!(properties, [Property::AuthenticationMethod("m"), data]);
        }
        world.server(accepted());
        assert_eq!(world.told(), ["connected"]);
    });
}

#[test]
fn nothing_but_auth_is_sent_before_connack() {
    // v5 [MQTT-3.1.2-30]
    scenario(|world| {
        world.start(with_method());
        world.publish("a", QoS::AtMostOnce, "1");
        world.open().forget();
        world.publish("a", QoS::AtLeastOnce, "2");
        world.subscribe("b");
        world.server(go_on());
        world.unsubscribe("b");
        world.wait_secs(15).silent();
        answer(world);
        sent_auth(world);
        world.server(accepted());
        assert_eq!(world.sent().len(), 4);
    });
}

#[test]
fn whoever_names_another_method_or_none_breaks_a_rule() {
    // v5 [MQTT-4.12.0-5] [U5-3.15-1]
    for list in [OTHER, &[]] {
        scenario(|world| {
            // Before CONNACK there is nothing to say it with.
            world.start(with_method()).open().forget();
            world.server_bytes(&bytes(auth(ReasonCode::CONTINUE_AUTHENTICATION, list)));
            assert!(world.closed);
            assert_eq!(world.sent(), [""; 0]);
            assert_eq!(world.cause().reason_code(), Some(ReasonCode::PROTOCOL_ERROR));

            world.open().forget();
            let properties = Properties::List(list);
            world.server(ConnAck { properties, ..ConnAck::default() });
            world.blamed(ReasonCode::PROTOCOL_ERROR);

            world.open().server(accepted());
            reauthenticate(world);
            world.forget();
            world.server_bytes(&bytes(auth(ReasonCode::CONTINUE_AUTHENTICATION, list)));
            world.blamed(ReasonCode::PROTOCOL_ERROR);
        });
    }
    scenario(|world| {
        up(world, with_method());
        reauthenticate(world);
        world.forget().server(auth(ReasonCode::SUCCESS, OTHER));
        world.blamed(ReasonCode::PROTOCOL_ERROR);
    });
    // A client that has named none is told of none.
    scenario(|world| {
        world.start(v5()).open().forget().server(accepted());
        world.blamed(ReasonCode::PROTOCOL_ERROR);
    });
}

/// An AUTH as bytes, without a method too, which the encoder does not make.
fn bytes(auth: Auth<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if auth.properties.is_empty() {
        return vec![0xf0, 1, auth.reason_code.get()];
    }
    Packet::Auth(auth).encode(Version::V5, &mut bytes).unwrap();
    bytes
}

#[test]
fn without_a_method_there_is_no_auth() {
    // v5 [MQTT-4.12.0-7]
    scenario(|world| {
        world.start(v5()).open().forget();
        let none = Properties::NONE;
        let error = world.refused(|client, now| client.authenticate(now, None, none));
        assert_eq!(error, CallError::NoAuthenticationMethod);
        world.server(ConnAck::default()).forget();
        let error = world.refused(|client, now| client.authenticate(now, None, none));
        assert_eq!(error, CallError::NoAuthenticationMethod);
        let error = world.refused(|client, now| client.reauthenticate(now, None, none));
        assert_eq!(error, CallError::NoAuthenticationMethod);
        world.poll().silent();
        world.server(go_on());
        world.blamed(ReasonCode::PROTOCOL_ERROR);
    });
    // Before CONNACK.
    scenario(|world| {
        world.start(v5()).open().forget().server(go_on());
        assert!(world.closed);
        assert_eq!(world.sent(), [""; 0]);
    });
    // In 3.x there is no such packet.
    for version in [Version::V3_1, Version::V3_1_1] {
        let mut options = of(version);
        options.authentication = with_method().authentication;
        assert!(sansio_mqtt::Client::new(options).is_err());
        scenario(|world| {
            world.up(of(version), &[]).server_bytes(&[0xf0, 0]);
            world.blamed(ReasonCode::MALFORMED_PACKET);
        });
    }
}

#[test]
fn re_authentication_goes_on_beside_everything_else() {
    // v5 [MQTT-4.12.1-1]
    scenario(|world| {
        up(world, with_method());
        reauthenticate(world);
        let (code, properties) = sent_auth(world);
        assert_eq!(code, ReasonCode::RE_AUTHENTICATE);
        let data = Property::AuthenticationData(b"again");
        assert_eq!(properties, [Property::AuthenticationMethod("m"), data]);
        world.publish("a", QoS::AtLeastOnce, "x");
        world.server(publish("b", QoS::AtLeastOnce, 3, "y"));
        assert_eq!(world.sent(), ["PUBLISH \"a\" QoS 1 #1 \"x\"", "PUBACK #3"]);
        world.server(go_on());
        answer(world);
        assert_eq!(sent_auth(world).0, ReasonCode::CONTINUE_AUTHENTICATION);
        world.server(pub_ack(1)).forget();
        world.server(auth(ReasonCode::SUCCESS, METHOD));
        let told = world.told();
        assert!(told[0].starts_with("authenticated: AUTH 0x00"), "{told:?}");
        // And once more.
        reauthenticate(world);
        assert_eq!(sent_auth(world).0, ReasonCode::RE_AUTHENTICATE);
    });
}

#[test]
fn a_re_authentication_that_fails_ends_the_connection() {
    // v5 [MQTT-4.12.1-2]
    scenario(|world| {
        up(world, with_method());
        reauthenticate(world);
        world.forget().server(disconnect(ReasonCode::NOT_AUTHORIZED));
        assert!(world.closed);
        assert_eq!(world.sent(), [""; 0]);
        assert_eq!(world.cause().reason_code(), Some(ReasonCode::NOT_AUTHORIZED));
    });
    // It is the client that does not believe the server.
    scenario(|world| {
        up(world, with_method());
        reauthenticate(world);
        world.server(go_on()).forget();
        let packet = disconnect(ReasonCode::UNSPECIFIED_ERROR);
        world.call(|client, now| client.disconnect_now(now, &packet)).unwrap();
        assert_eq!(world.sent(), ["DISCONNECT 0x80 Unspecified error"]);
        assert!(world.closed);
    });
}

#[test]
fn auth_out_of_turn_breaks_a_rule() {
    let success = auth(ReasonCode::SUCCESS, METHOD);
    // The server has not been asked anything.
    for packet in [go_on(), success] {
        scenario(|world| {
            up(world, with_method());
            world.server(packet);
            world.blamed(ReasonCode::PROTOCOL_ERROR);
        });
        // It is the client's turn.
        scenario(|world| {
            up(world, with_method());
            reauthenticate(world);
            world.server(go_on()).forget().server(packet);
            world.blamed(ReasonCode::PROTOCOL_ERROR);
        });
    }
    // CONNACK says so before a connection is accepted, not AUTH.
    scenario(|world| {
        world.start(with_method()).open().forget().server(success);
        assert!(world.closed);
        assert_eq!(world.sent(), [""; 0]);
        assert_eq!(world.cause().reason_code(), Some(ReasonCode::PROTOCOL_ERROR));
    });
    // Only a client begins a re-authentication.
    scenario(|world| {
        up(world, with_method());
        world.server_bytes(&[0xf0, 6, 0x19, 4, 0x15, 0, 1, b'm']);
        world.blamed(ReasonCode::PROTOCOL_ERROR);
    });
}

#[test]
fn calls_out_of_turn_are_refused() {
    let none = Properties::NONE;
    scenario(|world| {
        world.start(with_method());
        let errors = [
            world.refused(|client, now| client.authenticate(now, None, none)),
            world.refused(|client, now| client.reauthenticate(now, None, none)),
        ];
        assert_eq!(errors, [CallError::NotConnected; 2]);
        world.open().forget();
        let error = world.refused(|client, now| client.authenticate(now, None, none));
        assert_eq!(error, CallError::NotAuthenticating);
        let error = world.refused(|client, now| client.reauthenticate(now, None, none));
        assert_eq!(error, CallError::NotConnected);
        world.server(accepted());
        let error = world.refused(|client, now| client.authenticate(now, None, none));
        assert_eq!(error, CallError::NotAuthenticating);
        reauthenticate(world);
        let error = world.refused(|client, now| client.authenticate(now, None, none));
        assert_eq!(error, CallError::NotAuthenticating);
        let error = world.refused(|client, now| client.reauthenticate(now, None, none));
        assert_eq!(error, CallError::NotAuthenticating);
        world.server(go_on());
        // What is the client's own affair is not for the caller.
        for property in CHALLENGE {
            let properties = Properties::List(std::slice::from_ref(property));
            let error = world.refused(|client, now| client.authenticate(now, None, properties));
            assert_eq!(error, CallError::PropertyNotForCaller(property.id()));
        }
        answer(world);
        world.publish("a", QoS::AtLeastOnce, "x");
        world.server(auth(ReasonCode::SUCCESS, METHOD)).disconnect();
        let error = world.refused(|client, now| client.reauthenticate(now, None, none));
        assert_eq!(error, CallError::Disconnecting);
    });
}

#[test]
fn no_auth_follows_a_disconnect() {
    // v5 [MQTT-3.14.4-1]
    for by_server in [false, true] {
        scenario(|world| {
            up(world, with_method());
            reauthenticate(world);
            world.server(go_on()).forget();
            world.writable = false;
            match by_server {
                true => world.server(PubAck { ..pub_ack(9) }).server_bytes(&[0, 0]),
                false => world.disconnect_now(),
            };
            let none = Properties::NONE;
            world.refused(|client, now| client.authenticate(now, None, none));
            world.unblock();
            let sent = world.sent();
            assert_eq!(sent.len(), 1, "{sent:?}");
            assert!(sent[0].starts_with("DISCONNECT"), "{sent:?}");
        });
    }
}

#[test]
fn every_step_has_to_come_in_time() {
    scenario(|world| {
        world.start(with_method()).open().wait_secs(15);
        world.server(go_on());
        answer(world);
        world.wait_secs(15);
        assert!(!world.closed);
        world.forget().wait_secs(5);
        assert!(world.closed);
        assert_eq!(world.told(), ["disconnected: no CONNACK in time"]);
        // A re-authentication too, as long as it is the server's turn.
        world.open().server(accepted());
        reauthenticate(world);
        world.forget().wait_secs(20);
        assert!(world.closed);
        assert_eq!(world.sent(), ["DISCONNECT 0x80 Unspecified error"]);
        assert_eq!(world.told(), ["disconnected: no answer in time"]);
        world.open().server(accepted());
        reauthenticate(world);
        world.server(go_on());
        for _ in 0..10 {
            world.wait_secs(20).server(Packet::PingResp);
        }
        assert!(!world.closed, "people may take long to find their token");
    });
}

#[test]
fn words_that_make_an_auth_too_large_are_left_out() {
    // v5 [MQTT-3.15.2-2] [MQTT-3.15.2-3]
    let long = "why ".repeat(10);
    let list = [Property::ReasonString(&long), Property::UserProperty("name", &long)];
    use PropertyId::{AuthenticationMethod, ReasonString, UserProperty};
    // 2 + 1 + 1 and 4, and 43, and 49.
    for (maximum, kept) in [
        (100, &[AuthenticationMethod, ReasonString, UserProperty][..]),
        (99, &[AuthenticationMethod, ReasonString][..]),
        (51, &[AuthenticationMethod, ReasonString][..]),
        (50, &[AuthenticationMethod][..]),
        (8, &[AuthenticationMethod][..]),
    ] {
        scenario(|world| {
            let properties =
                [Property::AuthenticationMethod("m"), Property::MaximumPacketSize(maximum)];
            let properties = Properties::List(&properties);
            let connack = ConnAck { properties, ..ConnAck::default() };
            world.start(with_method()).open().server(connack).forget();
            let properties = Properties::List(&list);
            world.call(|client, now| client.reauthenticate(now, None, properties)).unwrap();
            let sent = world.sent_packets();
            let Packet::Auth(auth) = sent[0].packet() else { panic!("{sent:?}") };
            let ids: Vec<PropertyId> = auth.properties.iter().map(|one| one.id()).collect();
            assert_eq!(ids, kept, "{maximum} bytes");
        });
    }
    // What cannot be left out is refused.
    scenario(|world| {
        let properties = [Property::AuthenticationMethod("m"), Property::MaximumPacketSize(20)];
        let properties = Properties::List(&properties);
        let connack = ConnAck { properties, ..ConnAck::default() };
        world.start(with_method()).open().server(connack).forget();
        let data = Some(&[0; 10][..]);
        let error = world.refused(|client, now| client.reauthenticate(now, data, Properties::NONE));
        assert_eq!(error, CallError::PacketTooLarge { size: 21, maximum: 20 });
    });
}
