//! Enhanced authentication: MQTT 5.0 §3.15, §4.12.

use sansio_mqtt::broker::{Acceptance, CallError, DisconnectCause, Event};
use sansio_mqtt::{
    Auth, ConnAck, Connect, Disconnect, Packet, Properties, Property, QoS, ReasonCode, Version,
};

use crate::words::{conn_ack_of, of, publish, v5, with};
use crate::world::{Answer, Peer, World, scenario};

const METHOD: &[Property<'static>] = &[Property::AuthenticationMethod("SCRAM")];
const PROOF: &[Property<'static>] =
    &[Property::AuthenticationMethod("SCRAM"), Property::AuthenticationData(b"proof")];
const CHALLENGE: &[Property<'static>] = &[Property::AuthenticationData(b"challenge")];

fn auth<'a>(reason_code: ReasonCode, properties: &'a [Property<'a>]) -> Auth<'a> {
    Auth { reason_code, properties: Properties::List(properties) }
}

/// The application's AUTH.
fn say(world: &mut World, peer: Peer, auth: &Auth<'_>) -> Result<(), CallError> {
    let connection = world.id(peer);
    world.call(|broker, now| broker.authenticate(now, connection, auth))
}

/// A client that wants to authenticate itself, of which the application knows.
fn begin(world: &mut World) -> Peer {
    world.answer = Answer::Later;
    let first = [Property::AuthenticationMethod("SCRAM"), Property::AuthenticationData(b"first")];
    let peer = world.connect(&with(v5("a"), &first));
    assert_eq!(world.sent(peer), [""; 0]);
    let request = world.request();
    let properties = request.connect().properties;
    assert_eq!(properties.authentication_method(), Some("SCRAM"));
    assert_eq!(properties.authentication_data(), Some(&b"first"[..]));
    peer
}

/// A client that is connected by enhanced authentication.
fn connected(world: &mut World) -> Peer {
    let peer = begin(world);
    world.accept(peer, &Acceptance::default());
    let _ = world.take_connack(peer);
    world.forget();
    peer
}

#[test]
fn a_challenge_and_its_answer_come_before_connack() {
    // v5 [MQTT-4.12.0-2] [MQTT-4.12.0-5] [MQTT-3.2.0-1]
    scenario(|world| {
        let peer = begin(world);
        for _ in 0..2 {
            say(world, peer, &auth(ReasonCode::CONTINUE_AUTHENTICATION, CHALLENGE)).unwrap();
            let packets = world.packets(peer);
            let Packet::Auth(found) = packets[0].packet() else { panic!("{packets:?}") };
            assert_eq!((packets.len(), found.reason_code.get()), (1, 0x18));
            assert_eq!(found.properties.authentication_method(), Some("SCRAM"));
            assert_eq!(found.properties.authentication_data(), Some(&b"challenge"[..]));
            world.forget();
            world.send(peer, auth(ReasonCode::CONTINUE_AUTHENTICATION, PROOF));
            let events = world.events();
            let [Event::Authenticate { connection, packet }] = &events[..] else {
                panic!("{events:?}")
            };
            assert_eq!(*connection, world.id(peer));
            assert_eq!(packet.packet(), auth(ReasonCode::CONTINUE_AUTHENTICATION, PROOF).into());
        }
        let mut acceptance = Acceptance::default();
        let last = [Property::AuthenticationData(b"done")];
        acceptance.properties = Properties::List(&last);
        world.accept(peer, &acceptance);
        let packet = world.take_connack(peer);
        let found = conn_ack_of(&packet);
        assert_eq!(found.reason_code, ReasonCode::SUCCESS);
        assert_eq!(found.properties.authentication_method(), Some("SCRAM"));
        assert_eq!(found.properties.authentication_data(), Some(&b"done"[..]));
        world.silent(peer);
        assert_eq!(world.told(), ["connected a"]);
    });
}

#[test]
fn a_method_that_needs_no_challenge_is_told_all_the_same() {
    // v5 [MQTT-4.12.0-5]
    scenario(|world| {
        let (_, packet) = world.join_with(&with(v5("a"), METHOD));
        let properties = conn_ack_of(&packet).properties;
        assert_eq!(properties.authentication_method(), Some("SCRAM"));
        assert_eq!(properties.authentication_data(), None);
    });
}

#[test]
fn an_unknown_method_is_refused() {
    // v5 [MQTT-4.12.0-1] [MQTT-3.1.4-2]
    for code in [ReasonCode::BAD_AUTHENTICATION_METHOD, ReasonCode::NOT_AUTHORIZED] {
        scenario(|world| {
            world.answer = Answer::Refuse(code);
            let peer = world.connect(&with(v5("a"), &[Property::AuthenticationMethod("nope")]));
            world.refused(peer, code);
        });
    }
}

#[test]
fn a_wrong_answer_is_refused() {
    // v5 [MQTT-4.12.0-4]
    scenario(|world| {
        let peer = begin(world);
        say(world, peer, &auth(ReasonCode::CONTINUE_AUTHENTICATION, CHALLENGE)).unwrap();
        world.packets(peer);
        world.send(peer, auth(ReasonCode::CONTINUE_AUTHENTICATION, PROOF));
        world.refuse(peer, &ConnAck::refuse(ReasonCode::NOT_AUTHORIZED)).unwrap();
        world.refused(peer, ReasonCode::NOT_AUTHORIZED);
        assert_eq!(world.cause(peer), DisconnectCause::Refused(ReasonCode::NOT_AUTHORIZED));
    });
    // It need not wait for it.
    scenario(|world| {
        let peer = begin(world);
        say(world, peer, &auth(ReasonCode::CONTINUE_AUTHENTICATION, CHALLENGE)).unwrap();
        world.packets(peer);
        let early = world.refuse(peer, &ConnAck::refuse(ReasonCode::NOT_AUTHORIZED));
        if early.is_ok() {
            world.refused(peer, ReasonCode::NOT_AUTHORIZED);
        } else {
            assert_eq!(early, Err(CallError::NotAwaited));
            world.silent(peer);
        }
    });
}

#[test]
fn who_changes_its_method_on_the_way_is_refused() {
    // v5 [MQTT-4.12.0-5] [U5-3.15-1] [MQTT-3.14.0-1]
    let other: &[Property<'_>] = &[Property::AuthenticationMethod("PLAIN")];
    for packet in [
        Packet::from(auth(ReasonCode::CONTINUE_AUTHENTICATION, other)),
        auth(ReasonCode::RE_AUTHENTICATE, METHOD).into(),
        // Only AUTH and DISCONNECT may come before CONNACK.
        publish("a", QoS::AtMostOnce, 0, "x").into(),
        Packet::PingReq,
    ] {
        scenario(|world| {
            let peer = begin(world);
            say(world, peer, &auth(ReasonCode::CONTINUE_AUTHENTICATION, CHALLENGE)).unwrap();
            world.packets(peer);
            world.send(peer, packet);
            world.refused(peer, ReasonCode::PROTOCOL_ERROR);
            assert!(matches!(world.cause(peer), DisconnectCause::Violation(_)));
            assert_eq!(world.broker.counters().sessions, 0);
        });
    }
    // An AUTH without a method.
    scenario(|world| {
        let peer = begin(world);
        say(world, peer, &auth(ReasonCode::CONTINUE_AUTHENTICATION, CHALLENGE)).unwrap();
        world.packets(peer);
        world.send_bytes(peer, &[0xf0, 0x01, 0x18]);
        world.refused(peer, ReasonCode::PROTOCOL_ERROR);
    });
}

#[test]
fn a_client_may_give_up() {
    // v5 4.12
    scenario(|world| {
        let peer = begin(world);
        say(world, peer, &auth(ReasonCode::CONTINUE_AUTHENTICATION, CHALLENGE)).unwrap();
        world.packets(peer);
        world.send(peer, Disconnect::default());
        assert!(world.closed(peer));
        assert_eq!(world.sent(peer), [""; 0]);
        assert_eq!(world.cause(peer), DisconnectCause::ByClient(ReasonCode::SUCCESS));
    });
}

#[test]
fn the_exchange_has_the_time_of_the_handshake() {
    // v5 [U5-3.1.4-1]
    scenario(|world| {
        let peer = begin(world);
        world.wait_secs(4);
        say(world, peer, &auth(ReasonCode::CONTINUE_AUTHENTICATION, CHALLENGE)).unwrap();
        world.wait_secs(4);
        world.send(peer, auth(ReasonCode::CONTINUE_AUTHENTICATION, PROOF));
        world.wait_millis(1_999);
        assert!(!world.closed(peer));
        world.wait_millis(1);
        assert!(world.closed(peer));
        assert_eq!(world.cause(peer), DisconnectCause::ConnectTimeout);
    });
}

#[test]
fn without_a_method_there_is_no_exchange() {
    // v5 [MQTT-4.12.0-6] [U5-3.15-1]
    for version in Version::ALL {
        scenario(|world| {
            world.answer = Answer::Later;
            let peer = world.connect(&of(version, "a"));
            let result = say(world, peer, &auth(ReasonCode::CONTINUE_AUTHENTICATION, CHALLENGE));
            assert_eq!(result, Err(CallError::NoAuthenticationMethod));
            world.silent(peer);
            world.accept(peer, &Acceptance::default());
            let packet = world.take_connack(peer);
            assert_eq!(conn_ack_of(&packet).properties.authentication_method(), None);
            let result = say(world, peer, &auth(ReasonCode::SUCCESS, CHALLENGE));
            assert_eq!(result, Err(CallError::NoAuthenticationMethod));
            world.silent(peer);
            if version.is_v5() {
                world.send(peer, auth(ReasonCode::RE_AUTHENTICATE, METHOD));
            } else {
                world.send_bytes(peer, &[0xf0, 0x00]);
            }
            world.ended(peer, ReasonCode::PROTOCOL_ERROR);
        });
    }
}

#[test]
fn a_client_authenticates_itself_again_while_it_goes_on() {
    // v5 [MQTT-4.12.0-2] [MQTT-4.12.0-5] 4.12.1
    scenario(|world| {
        let peer = connected(world);
        world.subscribe(peer, "t", QoS::AtMostOnce);
        for _ in 0..2 {
            world.send(peer, auth(ReasonCode::RE_AUTHENTICATE, PROOF));
            let told = world.told();
            assert_eq!(told.len(), 1);
            assert!(told[0].starts_with("authenticate AUTH 0x19"), "{told:?}");
            say(world, peer, &auth(ReasonCode::CONTINUE_AUTHENTICATION, CHALLENGE)).unwrap();
            let sent = world.sent(peer);
            assert!(sent[0].starts_with("AUTH 0x18"), "{sent:?}");
            // All else goes on in the meantime.
            world.publish(peer, "t", QoS::AtLeastOnce, "x");
            world.send(peer, Packet::PingReq);
            let mut sent = world.sent(peer);
            sent.sort();
            assert_eq!(sent, ["PINGRESP", "PUBLISH \"t\" QoS 0 \"x\""]);
            world.send(peer, auth(ReasonCode::CONTINUE_AUTHENTICATION, PROOF));
            assert_eq!(world.told().len(), 1);
            say(world, peer, &auth(ReasonCode::SUCCESS, &[])).unwrap();
            let packets = world.packets(peer);
            let Packet::Auth(found) = packets[0].packet() else { panic!("{packets:?}") };
            assert_eq!(found.reason_code, ReasonCode::SUCCESS);
            assert_eq!(found.properties.authentication_method(), Some("SCRAM"));
            world.silent(peer);
        }
    });
}

#[test]
fn a_re_authentication_that_fails_ends_the_connection() {
    // v5 [MQTT-4.12.1-2]
    scenario(|world| {
        let peer = connected(world);
        world.send(peer, auth(ReasonCode::RE_AUTHENTICATE, PROOF));
        let connection = world.id(peer);
        let reason_code = ReasonCode::NOT_AUTHORIZED;
        let disconnect = Disconnect { reason_code, ..Disconnect::default() };
        world.call(|broker, now| broker.disconnect(now, connection, &disconnect)).unwrap();
        world.ended(peer, ReasonCode::NOT_AUTHORIZED);
    });
}

#[test]
fn a_re_authentication_has_rules_too() {
    // v5 [U5-3.15-1] [MQTT-4.12.0-5]
    let other: &[Property<'_>] = &[Property::AuthenticationMethod("PLAIN")];
    for (begun, packet) in [
        (false, auth(ReasonCode::RE_AUTHENTICATE, other)),
        (true, auth(ReasonCode::CONTINUE_AUTHENTICATION, other)),
        // Nobody has asked for an answer.
        (false, auth(ReasonCode::CONTINUE_AUTHENTICATION, METHOD)),
        // It is under way.
        (true, auth(ReasonCode::RE_AUTHENTICATE, METHOD)),
    ] {
        scenario(|world| {
            let peer = connected(world);
            if begun {
                world.send(peer, auth(ReasonCode::RE_AUTHENTICATE, METHOD));
                say(world, peer, &auth(ReasonCode::CONTINUE_AUTHENTICATION, CHALLENGE)).unwrap();
                world.packets(peer);
            }
            world.forget();
            world.send(peer, packet);
            world.ended(peer, ReasonCode::PROTOCOL_ERROR);
            assert!(matches!(world.cause(peer), DisconnectCause::Violation(_)));
        });
    }
}

#[test]
fn the_application_says_nothing_out_of_turn() {
    // v5 4.12
    scenario(|world| {
        let peer = begin(world);
        let success = auth(ReasonCode::SUCCESS, CHALLENGE);
        let result = say(world, peer, &success);
        assert_eq!(result, Err(CallError::ReasonCodeNotAllowed(ReasonCode::SUCCESS)));
        // The method is that of the CONNECT, and the broker's to say. v5 [MQTT-4.12.0-5]
        let result = say(world, peer, &auth(ReasonCode::CONTINUE_AUTHENTICATION, METHOD));
        assert_eq!(result, Err(CallError::PropertyNotForCaller(METHOD[0].id())));
        let again = auth(ReasonCode::RE_AUTHENTICATE, CHALLENGE);
        let result = say(world, peer, &again);
        assert_eq!(result, Err(CallError::ReasonCodeNotAllowed(ReasonCode::RE_AUTHENTICATE)));
        say(world, peer, &auth(ReasonCode::CONTINUE_AUTHENTICATION, CHALLENGE)).unwrap();
        let result = say(world, peer, &auth(ReasonCode::CONTINUE_AUTHENTICATION, CHALLENGE));
        assert_eq!(result, Err(CallError::NotAwaited), "it is the client's turn");
        assert_eq!(world.packets(peer).len(), 1);
        world.send(peer, auth(ReasonCode::CONTINUE_AUTHENTICATION, PROOF));
        world.accept(peer, &Acceptance::default());
        let _ = world.take_connack(peer);
        for code in [ReasonCode::SUCCESS, ReasonCode::CONTINUE_AUTHENTICATION] {
            assert_eq!(say(world, peer, &auth(code, CHALLENGE)), Err(CallError::NotAwaited));
        }
        world.silent(peer);
    });
}

#[test]
fn an_auth_has_what_fits_of_its_words() {
    // v5 [MQTT-3.15.2-2] [MQTT-3.15.2-3]
    let reason = Property::ReasonString("because of something that takes long to tell");
    let user = Property::UserProperty("more", "and something else that takes even longer to tell");
    let list = [Property::AuthenticationData(b"challenge"), reason, user];
    let len = |list: &[Property<'_>]| {
        let mut list = list.to_vec();
        list.push(METHOD[0]);
        let packet = Packet::from(auth(ReasonCode::CONTINUE_AUTHENTICATION, &list));
        u32::try_from(packet.encoded_len(Version::V5).unwrap()).unwrap()
    };
    for (maximum, words) in [
        (len(&list), &[reason, user][..]),
        (len(&list) - 1, &[reason]),
        (len(&list[..2]), &[reason]),
        (len(&list[..2]) - 1, &[]),
    ] {
        scenario(|world| {
            world.answer = Answer::Later;
            let properties = [METHOD[0], Property::MaximumPacketSize(maximum)];
            let peer = world.connect(&with(v5("a"), &properties));
            say(world, peer, &auth(ReasonCode::CONTINUE_AUTHENTICATION, &list)).unwrap();
            let packets = world.packets(peer);
            let Packet::Auth(found) = packets[0].packet() else { panic!("{packets:?}") };
            assert!(packets[0].frame().len() <= maximum as usize);
            assert_eq!(found.properties.authentication_data(), Some(&b"challenge"[..]));
            let kept: Vec<_> =
                found.properties.iter().filter(|found| [reason, user].contains(found)).collect();
            assert_eq!(kept, words);
        });
    }
}

#[test]
fn an_auth_that_does_not_fit_without_words_either_is_the_callers_to_do_without() {
    // v5 [MQTT-3.1.2-24]
    scenario(|world| {
        world.answer = Answer::Later;
        let properties = [METHOD[0], Property::MaximumPacketSize(40)];
        let peer = world.connect(&with(v5("a"), &properties));
        let data = [b'x'; 40];
        let challenge = [Property::AuthenticationData(&data)];
        let result = say(world, peer, &auth(ReasonCode::CONTINUE_AUTHENTICATION, &challenge));
        let error = result.unwrap_err();
        assert!(matches!(error, CallError::PacketTooLarge { maximum: 40, .. }), "{error}");
        world.silent(peer);
        // Nothing has changed by it.
        say(world, peer, &auth(ReasonCode::CONTINUE_AUTHENTICATION, CHALLENGE)).unwrap();
        assert_eq!(world.packets(peer).len(), 1);
    });
}

#[test]
fn an_auth_without_a_method_is_a_protocol_error_on_a_live_connection() {
    // v5 [U5-3.15-1]
    for bytes in [&[0xf0, 0x00][..], &[0xf0, 0x01, 0x19], &[0xf0, 0x02, 0x19, 0x00]] {
        scenario(|world| {
            let peer = connected(world);
            world.send_bytes(peer, bytes);
            world.ended(peer, ReasonCode::PROTOCOL_ERROR);
        });
    }
}

#[test]
fn data_without_a_method_is_refused() {
    // v5 4.12 3.1.2.11.10
    scenario(|world| {
        let connect: Connect<'_> = with(v5("a"), CHALLENGE);
        let peer = world.open(Version::V5);
        let mut bytes = Vec::new();
        if Packet::from(connect).encode(Version::V5, &mut bytes).is_err() {
            // Authentication Data "x" and nothing else.
            bytes = b"\x10\x12\x00\x04MQTT\x05\x02\x00\x00\x04\x16\x00\x01x\x00\x01a".to_vec();
        }
        world.send_bytes(peer, &bytes);
        world.refused(peer, ReasonCode::PROTOCOL_ERROR);
    });
}
