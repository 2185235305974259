#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation
    )
)]

extern crate alloc;

#[cfg(feature = "arbitrary")]
pub mod arbitrary;
pub mod broker;
pub mod client;
mod decoder;
mod display;
mod encode;
mod error;
mod link;
mod list;
mod message;
mod outgoing;
mod owned_packet;
mod packet;
mod packet_id;
mod packet_type;
mod properties;
mod property;
mod property_id;
mod qos;
mod reason;
mod scan;
mod session;
mod text;
mod time;
pub mod topic;
pub mod varint;
mod version;
mod wire;

pub use client::Client;
pub use decoder::{Decoder, MAXIMUM_PACKET_SIZE};
pub use encode::Checked;
pub use error::{Cause, DecodeError, EncodeError, Feature};
pub use message::Message;
pub use outgoing::Outgoing;
pub use owned_packet::OwnedPacket;
pub use packet::{
    Auth, ConnAck, Connect, Disconnect, FixedHeader, Packet, PubAck, PubComp, PubRec, PubRel,
    Publish, ReasonCodeBlock, ReasonCodes, ReasonCodesIter, RetainHandling, SubAck, Subscribe,
    Subscription, SubscriptionBlock, Subscriptions, SubscriptionsIter, TopicFilterBlock,
    TopicFilters, TopicFiltersIter, UnsubAck, Unsubscribe, Will,
};
pub use packet_id::PacketId;
pub use packet_type::{PacketType, Sender};
pub use properties::{Properties, PropertiesIter, PropertyBlock};
pub use property::Property;
pub use property_id::{PropertyId, PropertyType};
pub use qos::{InvalidQoS, QoS};
pub use reason::ReasonCode;
pub use time::{Instant, UnixTime};
pub use topic::{TopicFilter, TopicName};
pub use version::Version;
