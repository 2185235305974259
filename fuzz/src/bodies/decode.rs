//! Any bytes as one packet, of each version and from either end: what decodes agrees with
//! itself in every form that the crate has for it, and what does not says why.

use std::fmt::{self, Write as _};

use bytes::{Bytes, BytesMut};
use sansio_mqtt::{
    Cause, Connect, DecodeError, Decoder, EncodeError, FixedHeader, Message, OwnedPacket, Packet,
    Properties, Property, PropertyId, Publish, Sender, Version, topic::NameError,
};

const SENDERS: [Sender; 2] = [Sender::Client, Sender::Server];

/// The input is the packet.
pub fn run(frame: &[u8]) {
    for version in Version::ALL {
        for sender in SENDERS {
            match Packet::decode(frame, version, sender) {
                Ok(packet) => accepted(frame, &packet, version, sender),
                Err(error) => refused(frame, error),
            }
            agrees_with_decoder(frame, version, sender);
        }
    }
    connect_of_any_version(frame);
}

fn refused(frame: &[u8], error: DecodeError) {
    show(&error);
    show(&error.cause);
    assert!(error.reason_code().is_error(), "{error:?} is answered with a success");
    let header = FixedHeader::decode(frame).ok().flatten();
    assert_eq!(error.frame_len, header.map(|header| header.frame_len()), "{error:?}");
    let end = error.frame_len.unwrap_or(frame.len());
    assert!(error.offset <= end, "{error:?} lies beyond {end}");
    if error.cause == Cause::IncompletePacket {
        assert_eq!(error.offset, frame.len());
        assert!(error.frame_len.is_none_or(|len| len > frame.len()));
    }
    let first = frame.first().map(|first| first >> 4);
    let shown = error.packet_type.map(|found| found as u8);
    assert!(shown.is_none() || shown == first, "{error:?}");
    // 15 is a type, but no type of 3.x.
    let reserved = matches!(error.cause, Cause::ReservedPacketType(_));
    assert_eq!(shown.is_none(), reserved || matches!(first, None | Some(0)), "{error:?}");
}

fn accepted(frame: &[u8], packet: &Packet<'_>, version: Version, sender: Sender) {
    show(packet);
    assert!(packet.packet_type().is_sent_by(sender, version));
    assert!(packet.packet_type().is_in(version));
    read_lists(packet);
    let encoded = encode_each_way(packet, version);
    if encoded != frame {
        may_be_written_anew(frame, &encoded, packet, version);
        assert_eq!(Packet::decode(&encoded, version, sender), Ok(*packet));
    }
    assert_eq!(packet.for_version(version), Ok(*packet));
    for other in Version::ALL {
        for_other_version(packet, other, sender);
    }
    owned(frame, packet, version, sender);
}

/// All that encodes a packet gives the same bytes, and leaves alone what it has no room in.
fn encode_each_way(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut encoded = b"before".to_vec();
    packet.encode(version, &mut encoded).expect("what decodes encodes");
    let encoded = encoded.split_off(6);
    let checked = packet.check(version).expect("what encodes was checked");
    assert_eq!(checked.encoded_len(), encoded.len());
    assert_eq!(packet.encoded_len(version), Ok(encoded.len()));

    let mut split = Vec::new();
    let payload = packet.encode_split(version, &mut split).expect("what encodes can be split");
    let head_len = split.len();
    split.extend_from_slice(payload);
    assert_eq!(split, encoded);

    let mut room = vec![0xaa; encoded.len()];
    checked.encode(&mut &mut room[..]).expect("the buffer is just long enough");
    assert_eq!(room, encoded);
    room.fill(0xaa);
    let (needed, available) = (encoded.len(), encoded.len() - 1);
    let error = EncodeError::BufferTooSmall { needed, available };
    assert_eq!(packet.encode(version, &mut &mut room[..available]), Err(error));
    let (needed, available) = (head_len, head_len - 1);
    let error = EncodeError::BufferTooSmall { needed, available };
    assert_eq!(packet.encode_split(version, &mut &mut room[..available]), Err(error));
    assert!(room.iter().all(|byte| *byte == 0xaa), "a failed encode wrote something");
    encoded
}

/// The standard has one form for a packet, but for two liberties of 3.x.
fn may_be_written_anew(frame: &[u8], encoded: &[u8], packet: &Packet<'_>, version: Version) {
    assert!(!version.is_v5(), "{packet:?} was decoded from other bytes than it encodes to");
    let bodies = [frame, encoded].map(|frame| {
        let header = FixedHeader::decode(frame).ok().flatten().expect("a whole packet");
        (frame[0], &frame[header.header_len()..])
    });
    // A Remaining Length that is not in its shortest form. v3.1.1 2.2.3
    if bodies[0] == bodies[1] {
        return;
    }
    // A CONNECT of 3.1 whose flags announce credentials that are not there. v3.1 3.1
    let Packet::Connect(connect) = packet else { panic!("{packet:?} lost {frame:02x?}") };
    assert_eq!(version, Version::V3_1);
    assert!(connect.user_name.is_none() || connect.password.is_none());
    // The two bytes of the name's length, the name, and the level go before the flags.
    const FLAGS: usize = 2 + 6 + 1;
    let ((_, sent), (_, written)) = (bodies[0], bodies[1]);
    let lost = sent[FLAGS] ^ written[FLAGS];
    assert!(lost & !0xc0 == 0 && sent[FLAGS] & lost == lost);
    assert_eq!((&sent[..FLAGS], &sent[FLAGS + 1..]), (&written[..FLAGS], &written[FLAGS + 1..]));
}

fn for_other_version(packet: &Packet<'_>, version: Version, sender: Sender) {
    let packet = match packet.for_version(version) {
        Ok(packet) => packet,
        Err(error) => return not_in_version(error),
    };
    show(&packet);
    let mut encoded = Vec::new();
    match packet.encode(version, &mut encoded) {
        Ok(()) if packet.packet_type().is_sent_by(sender, version) => {
            assert_eq!(Packet::decode(&encoded, version, sender), Ok(packet));
            assert_eq!(packet.encoded_len(version), Ok(encoded.len()));
            assert_eq!(packet.for_version(version), Ok(packet));
        }
        Ok(()) => {}
        // Rules that only this version has, such as those for Client Identifiers.
        Err(EncodeError::Invalid(cause)) => show(&cause),
        Err(error) => panic!("{packet:?} is said to be for {version}: {error:?}"),
    }
}

fn not_in_version(error: EncodeError) {
    show(&error);
    assert!(matches!(error, EncodeError::NotInVersion(..)), "{error:?}");
}

fn owned(frame: &[u8], packet: &Packet<'_>, version: Version, sender: Sender) {
    let bytes = Bytes::copy_from_slice(frame);
    let owned = OwnedPacket::from_frame(bytes.clone(), version, sender).expect("decoded before");
    assert_eq!(owned.packet(), *packet);
    assert_eq!((owned.version(), owned.sender()), (version, sender));
    let copy = OwnedPacket::from_packet(packet, version, sender).expect("encodes");
    assert_eq!(copy.packet(), *packet);
    match packet {
        // A Topic Alias stands for the name, and only a connection knows for which.
        Packet::Publish(publish) if publish.topic.is_empty() => {
            let error = Cause::InvalidTopicName(NameError::Empty).into();
            assert_eq!(Message::from_publish(publish, version, &bytes), Err(error));
            assert_eq!(owned.message(), None);
        }
        Packet::Publish(publish) => {
            let message = owned.message().expect("a PUBLISH has a message");
            is_message_of(&message, publish);
            is_message_of(&message.compact(), publish);
            assert_eq!(message.compact(), message);
            for frame in [&bytes, &Bytes::new()] {
                assert_eq!(Message::from_publish(publish, version, frame).as_ref(), Ok(&message));
            }
        }
        _ => assert_eq!(owned.message(), None),
    }
}

/// A message has what goes from end to end, and the Subscription Identifiers.
fn is_message_of(message: &Message, publish: &Publish<'_>) {
    let list: Vec<_> = publish.properties.iter().collect();
    let of_connection = |property: &Property<'_>| {
        matches!(property.id(), PropertyId::TopicAlias | PropertyId::SubscriptionIdentifier)
    };
    let end_to_end: Vec<_> = list.into_iter().filter(|item| !of_connection(item)).collect();
    let expected = Publish {
        dup: false,
        packet_id: None,
        properties: Properties::List(&end_to_end),
        ..*publish
    };
    assert_eq!(message.to_publish(), expected);
    let identifiers = message.subscription_identifiers();
    assert!(identifiers.eq(publish.properties.subscription_identifiers()));
    show(&format_args!("{message:?}"));
}

/// A decoder of a stream that holds the bytes says what `Packet::decode` says.
fn agrees_with_decoder(bytes: &[u8], version: Version, sender: Sender) {
    let decoder = match sender {
        Sender::Client => Decoder::from_client().with_version(version),
        Sender::Server => Decoder::from_server(version),
    };
    let mut after = decoder;
    let alone = Packet::decode(bytes, version, sender);
    match after.decode(bytes) {
        Ok(Some((packet, len))) => {
            assert_eq!(Packet::decode(&bytes[..len], version, sender), Ok(packet));
            assert_eq!(alone.is_ok(), len == bytes.len());
        }
        Ok(None) => assert_eq!(alone.unwrap_err().cause, Cause::IncompletePacket),
        Err(error) => match error.frame_len {
            Some(len) if len <= bytes.len() => {
                assert_eq!(Packet::decode(&bytes[..len], version, sender), Err(error));
            }
            Some(_) => assert_eq!(alone.unwrap_err().cause, Cause::IncompletePacket),
            None => assert_eq!(alone, Err(error)),
        },
    }
    assert_eq!(after, decoder);
    let mut buffer = BytesMut::from(bytes);
    let owned = OwnedPacket::decode(&mut after, &mut buffer);
    match after.decode(bytes) {
        Ok(Some((packet, len))) => {
            let owned = owned.expect("as decoded").expect("as decoded");
            assert_eq!(owned.packet(), packet);
            assert_eq!((&owned.frame()[..], &buffer[..]), bytes.split_at(len));
        }
        Ok(None) => assert_eq!((owned, &buffer[..]), (Ok(None), bytes)),
        Err(error) => assert_eq!((owned, &buffer[..]), (Err(error), bytes)),
    }
}

fn connect_of_any_version(frame: &[u8]) {
    let first = Connect::decode_any_version(frame);
    let decode = |version| Packet::decode(frame, version, Sender::Client);
    match first {
        Ok(connect) => {
            assert_eq!(decode(connect.version), Ok(Packet::Connect(connect)));
            for other in Version::ALL.into_iter().filter(|other| *other != connect.version) {
                let error = decode(other).unwrap_err();
                assert_eq!(error.cause, Cause::VersionMismatch(connect.version), "{error:?}");
            }
        }
        Err(error) => {
            refused(frame, error);
            for version in Version::ALL {
                assert!(!matches!(decode(version), Ok(Packet::Connect(_))), "{error:?}");
            }
            // To know the version before is no help to find something else.
            if let Some(version) = error.version {
                assert_eq!(decode(version), Err(error));
            }
        }
    }
    let mut decoder = Decoder::from_client();
    let opened = decoder.decode(frame).ok().flatten().is_some_and(|(_, len)| len == frame.len());
    assert_eq!(opened, first.is_ok());
    assert!(!opened || decoder.version() == first.ok().map(|connect| connect.version));
}

/// Reads all lists of a packet, forwards, as the methods of their items do.
fn read_lists(packet: &Packet<'_>) {
    match packet {
        Packet::Connect(packet) => {
            read_properties(&packet.properties);
            packet.will.iter().for_each(|will| read_properties(&will.properties));
        }
        Packet::ConnAck(packet) => read_properties(&packet.properties),
        Packet::Publish(packet) => read_properties(&packet.properties),
        Packet::PubAck(packet) => read_properties(&packet.properties),
        Packet::PubRec(packet) => read_properties(&packet.properties),
        Packet::PubRel(packet) => read_properties(&packet.properties),
        Packet::PubComp(packet) => read_properties(&packet.properties),
        Packet::Subscribe(packet) => {
            read_properties(&packet.properties);
            assert!(packet.subscriptions.iter().all(|item| !item.topic_filter.is_empty()));
        }
        Packet::SubAck(packet) => {
            read_properties(&packet.properties);
            assert_ne!(packet.reason_codes.iter().count(), 0);
        }
        Packet::Unsubscribe(packet) => {
            read_properties(&packet.properties);
            assert!(packet.topic_filters.iter().all(|filter| !filter.is_empty()));
        }
        Packet::UnsubAck(packet) => {
            read_properties(&packet.properties);
            packet.reason_codes.iter().for_each(|code| show(&code));
        }
        Packet::PingReq | Packet::PingResp => {}
        Packet::Disconnect(packet) => read_properties(&packet.properties),
        Packet::Auth(packet) => read_properties(&packet.properties),
    }
}

fn read_properties(properties: &Properties<'_>) {
    let list: Vec<_> = properties.iter().collect();
    assert_eq!(*properties, Properties::List(&list));
    assert_eq!(properties.is_empty(), list.is_empty());
    for id in PropertyId::ALL {
        let first = list.iter().find(|property| property.id() == id);
        assert_eq!(properties.get(id).as_ref(), first);
        assert_eq!(properties.contains(id), first.is_some());
        assert_eq!(getter_has(properties, id), first.is_some(), "{id}");
    }
    list.iter().for_each(|property| show(&format_args!("{property:?}")));
}

/// Whether the method that is named as the property is finds one.
fn getter_has(properties: &Properties<'_>, id: PropertyId) -> bool {
    match id {
        PropertyId::PayloadFormatIndicator => properties.payload_format_indicator().is_some(),
        PropertyId::MessageExpiryInterval => properties.message_expiry_interval().is_some(),
        PropertyId::ContentType => properties.content_type().is_some(),
        PropertyId::ResponseTopic => properties.response_topic().is_some(),
        PropertyId::CorrelationData => properties.correlation_data().is_some(),
        PropertyId::SubscriptionIdentifier => properties.subscription_identifiers().count() > 0,
        PropertyId::SessionExpiryInterval => properties.session_expiry_interval().is_some(),
        PropertyId::AssignedClientIdentifier => properties.assigned_client_identifier().is_some(),
        PropertyId::ServerKeepAlive => properties.server_keep_alive().is_some(),
        PropertyId::AuthenticationMethod => properties.authentication_method().is_some(),
        PropertyId::AuthenticationData => properties.authentication_data().is_some(),
        PropertyId::RequestProblemInformation => properties.request_problem_information().is_some(),
        PropertyId::WillDelayInterval => properties.will_delay_interval().is_some(),
        PropertyId::RequestResponseInformation => {
            properties.request_response_information().is_some()
        }
        PropertyId::ResponseInformation => properties.response_information().is_some(),
        PropertyId::ServerReference => properties.server_reference().is_some(),
        PropertyId::ReasonString => properties.reason_string().is_some(),
        PropertyId::ReceiveMaximum => properties.receive_maximum().is_some(),
        PropertyId::TopicAliasMaximum => properties.topic_alias_maximum().is_some(),
        PropertyId::TopicAlias => properties.topic_alias().is_some(),
        PropertyId::MaximumQoS => properties.maximum_qos().is_some(),
        PropertyId::RetainAvailable => properties.retain_available().is_some(),
        PropertyId::UserProperty => properties.user_properties().count() > 0,
        PropertyId::MaximumPacketSize => properties.maximum_packet_size().is_some(),
        PropertyId::WildcardSubscriptionAvailable => {
            properties.wildcard_subscription_available().is_some()
        }
        PropertyId::SubscriptionIdentifierAvailable => {
            properties.subscription_identifier_available().is_some()
        }
        PropertyId::SharedSubscriptionAvailable => {
            properties.shared_subscription_available().is_some()
        }
    }
}

/// Writes what is shown of a thing to nowhere.
fn show(thing: &(impl fmt::Debug + fmt::Display)) {
    struct Nowhere;

    impl fmt::Write for Nowhere {
        fn write_str(&mut self, _: &str) -> fmt::Result {
            Ok(())
        }
    }

    write!(Nowhere, "{thing} {thing:?} {thing:#?}").expect("nowhere has room");
}
