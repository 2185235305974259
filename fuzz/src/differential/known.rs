//! The known classes of disagreement, each narrow: by peer, and by what is wrong with the packet
//! or with the peer. `DISAGREEMENTS.md` judges them under the same names.

use sansio_mqtt::{
    Cause, DecodeError, Packet, PacketType, Properties, Property, PropertyId, ReasonCode, Sender,
    Version, topic,
};

use super::Peer::{One, Three, Two};
use super::{Dispute, Found, Peer};

/// What peers take that this crate does not, by the rule that is broken.
const LAX: [(&str, &[Peer]); 30] = [
    ("acknowledge-flags", &[Two, Three]),
    ("authentication-data-alone", &[One, Two]),
    ("authentication-method-missing", &[One]),
    ("authentication-method-missing-at-success", &[One, Two]),
    ("client-identifier", &[One, Two, Three]),
    ("connect-flags", &[One, Two, Three]),
    ("dup-at-qos-0", &[One, Two, Three]),
    ("empty-response-topic", &[One, Two]),
    ("empty-topic", &[One, Two, Three]),
    ("filter-empty", &[Two, Three]),
    ("filter-hash", &[Two, Three]),
    ("filter-plus", &[One, Two, Three]),
    ("filter-share", &[Two]),
    ("no-filter", &[Three]),
    ("no-local-shared", &[One, Two]),
    ("no-property-length", &[Two]),
    ("no-reason-code", &[One, Three]),
    ("not-minimal", &[One, Two]),
    ("null-character", &[One, Two, Three]),
    ("of-no-sender", &[One, Two]),
    ("packet-identifier-zero", &[Two]),
    ("property-zero", &[One]),
    ("session-present-refused", &[One, Two]),
    ("subscription-identifier-twice", &[Two]),
    ("subscription-options", &[Two]),
    ("topic-alias-zero", &[One]),
    ("trailing-bytes", &[Two, Three]),
    ("v3.1-connack-flags", &[One, Three]),
    ("v3.1-suback-failure", &[One, Three]),
    ("wildcard-in-topic", &[Two, Three]),
];

/// The class of a disagreement, `None` if it is new.
pub fn class(dispute: &Dispute<'_>) -> Option<&'static str> {
    match &dispute.found {
        Found::PeerRefuses(packet, reason) => refused_by_peer(dispute, packet, reason),
        Found::WeRefuse(errors) => {
            let class = refused_here(dispute, errors)?;
            let (class, peers) = LAX.iter().find(|(known, _)| *known == class)?;
            peers.contains(&dispute.peer).then_some(*class)
        }
        Found::Differ(..) => None,
    }
}

fn refused_here(dispute: &Dispute<'_>, errors: &[DecodeError]) -> Option<&'static str> {
    // Peers do not ask who sent a packet: what only the other end may send is not their fault.
    let mut others = errors.iter().filter(|error| !is_of_other_sender(dispute.version, error));
    match others.next() {
        Some(error) => rule(dispute, error),
        None => (errors.len() == 2).then_some("of-no-sender"),
    }
}

fn is_of_other_sender(version: Version, error: &DecodeError) -> bool {
    let Some(packet_type) = error.packet_type.filter(|_| version.is_v5()) else { return false };
    let senders = [Sender::Client, Sender::Server];
    match error.cause {
        Cause::PropertyFromWrongSender(_) => true,
        Cause::InvalidReasonCode(code) => {
            let code = ReasonCode::new(code);
            senders.into_iter().any(|sender| code.is_allowed_in(packet_type, sender))
        }
        _ => false,
    }
}

/// The class of a rule that this crate knows to be broken.
fn rule(dispute: &Dispute<'_>, error: &DecodeError) -> Option<&'static str> {
    let Dispute { version, frame, .. } = *dispute;
    let is = |packet_type| error.packet_type == Some(packet_type);
    Some(match error.cause {
        Cause::ReservedAcknowledgeFlags(1) if version == Version::V3_1 => "v3.1-connack-flags",
        Cause::ReservedAcknowledgeFlags(_) => "acknowledge-flags",
        Cause::AuthenticationDataWithoutMethod => "authentication-data-alone",
        Cause::MissingAuthenticationMethod if frame.get(2) == Some(&0) => {
            "authentication-method-missing-at-success"
        }
        Cause::MissingAuthenticationMethod => "authentication-method-missing",
        Cause::InvalidClientIdentifier => "client-identifier",
        Cause::ReservedConnectFlag
        | Cause::WillFlagsWithoutWill
        | Cause::InvalidWillQoS
        | Cause::PasswordWithoutUserName => "connect-flags",
        Cause::DupAtQoS0 => "dup-at-qos-0",
        Cause::InvalidResponseTopic(topic::NameError::Empty) => "empty-response-topic",
        Cause::InvalidTopicName(topic::NameError::Empty) => "empty-topic",
        Cause::InvalidTopicName(_) | Cause::InvalidResponseTopic(_) => "wildcard-in-topic",
        Cause::InvalidTopicFilter(error) => match error {
            topic::FilterError::Empty => "filter-empty",
            topic::FilterError::MultiLevelWildcard => "filter-hash",
            topic::FilterError::SingleLevelWildcard => "filter-plus",
            topic::FilterError::SharedFilter => "filter-share",
            _ => return None,
        },
        Cause::NoTopicFilter => "no-filter",
        Cause::NoLocalOnSharedSubscription => "no-local-shared",
        // The packet ends where its Property Length should be.
        Cause::FieldOverrunsPacket
            if version.is_v5() && is(PacketType::Publish) && error.offset == frame.len() =>
        {
            "no-property-length"
        }
        Cause::NoReasonCode => "no-reason-code",
        Cause::VariableByteIntegerNotMinimal if version.is_v5() => "not-minimal",
        Cause::NullCharacter => "null-character",
        Cause::PacketIdentifierZero => "packet-identifier-zero",
        Cause::InvalidPropertyValue(
            PropertyId::MaximumPacketSize
            | PropertyId::ReceiveMaximum
            | PropertyId::SubscriptionIdentifier,
        ) => "property-zero",
        Cause::SessionPresentWithError => "session-present-refused",
        Cause::DuplicateProperty(PropertyId::SubscriptionIdentifier) => {
            "subscription-identifier-twice"
        }
        Cause::ReservedSubscriptionOptions(_) if !version.is_v5() => "subscription-options",
        Cause::TopicAliasZero => "topic-alias-zero",
        Cause::TrailingBytes if !version.is_v5() => "trailing-bytes",
        Cause::InvalidReasonCode(0x80) if version == Version::V3_1 && is(PacketType::SubAck) => {
            "v3.1-suback-failure"
        }
        _ => return None,
    })
}

fn refused_by_peer(
    dispute: &Dispute<'_>,
    packet: &Packet<'_>,
    reason: &str,
) -> Option<&'static str> {
    let Dispute { peer, version, frame, .. } = *dispute;
    let v3_1 = version == Version::V3_1;
    let first = frame.first().copied().unwrap_or_default();
    match packet {
        Packet::Connect(connect) if v3_1 && matches!(peer, One | Three) => {
            // The flags stand behind the protocol name and the level.
            let name = frame.windows(6).position(|bytes| bytes == b"MQIsdp")?;
            let flags = *frame.get(name + 6 + 1)?;
            let missing = flags & 0x80 != 0 && connect.user_name.is_none()
                || flags & 0x40 != 0 && connect.password.is_none();
            missing.then_some("v3.1-credentials-missing")
        }
        Packet::PubRel(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_)
            if v3_1 && first & 0x08 != 0 && reason == "InvalidHeader" =>
        {
            Some("v3.1-dup")
        }
        Packet::Subscribe(subscribe) if !version.is_v5() && peer == One => {
            let mut filters = subscribe.subscriptions.iter().map(|item| item.topic_filter);
            filters.any(is_no_shared_filter).then_some("v3-share")
        }
        Packet::Unsubscribe(unsubscribe) if !version.is_v5() && peer == One => {
            unsubscribe.topic_filters.iter().any(is_no_shared_filter).then_some("v3-share")
        }
        Packet::Auth(_) if matches!(frame, [0xf0, 1, _]) => Some("auth-code-only"),
        Packet::Disconnect(disconnect)
            if disconnect.reason_code == ReasonCode::BAD_AUTHENTICATION_METHOD =>
        {
            Some("disconnect-8c")
        }
        Packet::Connect(connect) if peer == Two && version.is_v5() => {
            let alone = connect.password.is_some() && connect.user_name.is_none();
            alone.then_some("v5-password-alone")
        }
        Packet::Publish(publish) if peer == One => {
            if reason.starts_with("DuplicatedProperty(SubscriptionIdentifier") {
                let several = publish.properties.subscription_identifiers().count() > 1;
                return several.then_some("several-subscription-identifiers");
            }
            not_text(&publish.properties, publish.payload)
        }
        Packet::Connect(connect) if peer == One => {
            connect.will.and_then(|will| not_text(&will.properties, will.payload))
        }
        _ => None,
    }
}

/// A filter of 3.x that 5.0 would take for a Shared Subscription, and refuse.
fn is_no_shared_filter(filter: &str) -> bool {
    filter.starts_with("$share/") && topic::check_filter(filter, Version::V5).is_err()
}

/// Whether a payload is announced as text and is none.
fn not_text(properties: &Properties<'_>, payload: &[u8]) -> Option<&'static str> {
    let is_text = properties.iter().any(|item| item == Property::PayloadFormatIndicator(true));
    (is_text && std::str::from_utf8(payload).is_err()).then_some("payload-not-text")
}
