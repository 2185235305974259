//! What cannot be encoded: what decoding refuses, for the same cause, and what no field can hold.

use sansio_mqtt::topic::{FilterError, NameError};
use sansio_mqtt::{
    Auth, Cause, ConnAck, Connect, Disconnect, EncodeError, Packet, PacketId, Properties, Property,
    PropertyId, PubAck, Publish, QoS, ReasonCode, SubAck, Subscribe, Subscription, UnsubAck,
    Unsubscribe, Version, Will,
};

/// What decoding refuses, encoding does, for the same cause, and leaves the buffer alone.
#[test]
fn encoding_refuses_what_decoding_does() {
    let id = PacketId::MIN;
    let topic = Publish { topic: "a", ..Default::default() };
    let client = Connect { client_id: "c", ..Default::default() };
    let will = |topic| Some(Will { topic, ..Default::default() });
    let filter = [Subscription::new("a#", QoS::AtMostOnce)];
    let shared =
        [Subscription { no_local: true, ..Subscription::new("$share/g/a", QoS::AtMostOnce) }];
    let rows: [(Packet<'_>, Cause); 22] = [
        (Publish { topic: "", ..topic }.into(), Cause::InvalidTopicName(NameError::Empty)),
        (Publish { topic: "a/+", ..topic }.into(), Cause::InvalidTopicName(NameError::Wildcard)),
        (Publish { topic: "a\0", ..topic }.into(), Cause::NullCharacter),
        (Publish { dup: true, ..topic }.into(), Cause::DupAtQoS0),
        (publish(&[Property::TopicAlias(0)]), Cause::TopicAliasZero),
        (
            publish(&[Property::SubscriptionIdentifier(0)]),
            Cause::InvalidPropertyValue(PropertyId::SubscriptionIdentifier),
        ),
        (
            publish(&[Property::SubscriptionIdentifier(0x1000_0000)]),
            Cause::InvalidPropertyValue(PropertyId::SubscriptionIdentifier),
        ),
        (
            publish(&[Property::ResponseTopic("r/#")]),
            Cause::InvalidResponseTopic(NameError::Wildcard),
        ),
        (
            publish(&[Property::TopicAlias(1), Property::TopicAlias(1)]),
            Cause::DuplicateProperty(PropertyId::TopicAlias),
        ),
        (
            publish(&[Property::ReasonString("r")]),
            Cause::PropertyNotAllowed(PropertyId::ReasonString),
        ),
        (publish(&[Property::UserProperty("\0", "")]), Cause::NullCharacter),
        (
            Connect { will: will("w/#"), ..client }.into(),
            Cause::InvalidTopicName(NameError::Wildcard),
        ),
        (Connect { user_name: Some("\0"), ..client }.into(), Cause::NullCharacter),
        (
            Connect {
                properties: Properties::List(&[Property::AuthenticationData(b"d")]),
                ..client
            }
            .into(),
            Cause::AuthenticationDataWithoutMethod,
        ),
        (
            ConnAck {
                properties: Properties::List(&[Property::MaximumQoS(QoS::ExactlyOnce)]),
                ..Default::default()
            }
            .into(),
            Cause::InvalidPropertyValue(PropertyId::MaximumQoS),
        ),
        (
            PubAck { reason_code: ReasonCode::GRANTED_QOS_1, ..PubAck::new(id) }.into(),
            Cause::InvalidReasonCode(1),
        ),
        (
            Subscribe::new(id, &filter).into(),
            Cause::InvalidTopicFilter(FilterError::MultiLevelWildcard),
        ),
        (Subscribe::new(id, &shared).into(), Cause::NoLocalOnSharedSubscription),
        (Subscribe::new(id, &[]).into(), Cause::NoTopicFilter),
        (Unsubscribe::new(id, &[]).into(), Cause::NoTopicFilter),
        (SubAck::new(id, &[]).into(), Cause::NoReasonCode),
        (UnsubAck::new(id, &[ReasonCode::GRANTED_QOS_1]).into(), Cause::InvalidReasonCode(1)),
    ];
    for (packet, cause) in rows {
        let mut out = b"before".to_vec();
        let error = packet.encode(Version::V5, &mut out);
        assert_eq!(error, Err(EncodeError::Invalid(cause)), "{packet}");
        assert_eq!(out, b"before");
    }
    let disconnect = Disconnect { reason_code: ReasonCode::BANNED, ..Default::default() };
    let error = Packet::from(disconnect).encoded_len(Version::V5);
    assert_eq!(error, Err(EncodeError::Invalid(Cause::InvalidReasonCode(0x8a))));
    let auth = Auth {
        reason_code: ReasonCode::CONTINUE_AUTHENTICATION,
        properties: Properties::List(&[Property::ReasonString("r")]),
    };
    let error = Packet::from(auth).encoded_len(Version::V5);
    assert_eq!(error, Err(EncodeError::Invalid(Cause::MissingAuthenticationMethod)));
}

fn publish<'a>(properties: &'a [Property<'a>]) -> Packet<'a> {
    Publish { topic: "a", properties: properties.into(), ..Default::default() }.into()
}
