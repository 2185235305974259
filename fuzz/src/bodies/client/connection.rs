//! One connection as a server sees it.

use std::collections::{BTreeMap, BTreeSet};

use sansio_mqtt::client::{Options, TopicAliases};
use sansio_mqtt::{
    Auth, ConnAck, Connect, Decoder, PacketId, PacketType, Properties, Publish, QoS, Subscribe,
    TopicFilter,
};

/// What the client was told by CONNACK.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) window: usize,
    pub(crate) packet_size: usize,
    pub(crate) aliases: u16,
    pub(crate) maximum_qos: QoS,
    pub(crate) retain: bool,
    wildcards: bool,
    shared: bool,
    identifiers: bool,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) decoder: Decoder,
    pub(crate) clean_start: Option<bool>,
    pub(crate) has_disconnected: bool,
    /// Since CONNACK, and until the client has ended the connection.
    pub(crate) is_up: bool,
    pub(crate) limits: Option<Limits>,
    aliases: BTreeMap<u16, String>,
    /// Sent on this connection and not acknowledged.
    pub(crate) window: BTreeSet<PacketId>,
    /// PUBREL was sent on this connection, and PUBCOMP not taken.
    pub(crate) released: BTreeSet<PacketId>,
    /// SUBSCRIBE and UNSUBSCRIBE, with the number of their filters.
    pub(crate) operations: BTreeMap<PacketId, (PacketType, usize)>,
    pub(crate) last_resent: Option<u64>,
    pub(crate) own: Options,
}

impl Connection {
    pub(crate) fn new(own: &Options) -> Self {
        Self {
            decoder: Decoder::from_client(),
            clean_start: None,
            has_disconnected: false,
            is_up: false,
            limits: None,
            aliases: BTreeMap::new(),
            window: BTreeSet::new(),
            released: BTreeSet::new(),
            operations: BTreeMap::new(),
            last_resent: None,
            own: own.clone(),
        }
    }

    /// Whether the client authenticates by steps.
    pub(crate) const fn has_method(&self) -> bool {
        self.own.authentication.is_some()
    }

    pub(crate) fn connect(&mut self, connect: &Connect<'_>) {
        assert!(self.clean_start.is_none(), "a second CONNECT");
        assert_eq!(connect.version, self.own.version);
        self.clean_start = Some(connect.clean_start);
    }

    pub(crate) fn auth(&self, auth: &Auth<'_>) {
        let method = self.own.authentication.as_ref().map(|own| own.method.as_str());
        assert!(method.is_some() && auth.properties.authentication_method() == method);
    }

    pub(crate) fn check_alias(&mut self, publish: &Publish<'_>, maximum: u16) {
        match (publish.properties.topic_alias(), publish.topic) {
            (None, topic) => assert_ne!(topic, ""),
            (Some(alias), "") => assert!(self.aliases.contains_key(&alias), "{alias} is not set"),
            (Some(alias), topic) => {
                assert!((1..=maximum).contains(&alias), "{alias} above {maximum}");
                self.aliases.insert(alias, topic.into());
            }
        }
    }
}

impl Limits {
    pub(crate) fn new(conn_ack: &ConnAck<'_>, own: &Options) -> Self {
        let properties = &conn_ack.properties;
        let aliases = match own.topic_aliases {
            TopicAliases::None => 0,
            TopicAliases::Automatic(most) => most,
        };
        let window = properties.receive_maximum().unwrap_or(u16::MAX).min(own.maximum_in_flight);
        Self {
            window: window.into(),
            packet_size: properties.maximum_packet_size().unwrap_or(u32::MAX) as usize,
            aliases: properties.topic_alias_maximum().unwrap_or(0).min(aliases),
            maximum_qos: properties.maximum_qos().unwrap_or(QoS::ExactlyOnce),
            retain: properties.retain_available().unwrap_or(true),
            wildcards: properties.wildcard_subscription_available().unwrap_or(true),
            shared: properties.shared_subscription_available().unwrap_or(true),
            identifiers: properties.subscription_identifier_available().unwrap_or(true),
        }
    }

    pub(crate) fn check_subscribe(self, subscribe: &Subscribe<'_>) {
        let has = |properties: &Properties<'_>| properties.subscription_identifiers().count() > 0;
        assert!(self.identifiers || !has(&subscribe.properties));
        for subscription in subscribe.subscriptions.iter() {
            let Ok(filter) = TopicFilter::new(subscription.topic_filter) else { continue };
            assert!(self.wildcards || !filter.has_wildcard(), "{filter}");
            assert!(self.shared || filter.share_name().is_none(), "{filter}");
        }
    }
}
