//! What a broker is told when it is made: what it supports, and how much of everything there may
//! be.

use alloc::string::String;
use core::time::Duration;

use crate::broker::retained::RetainedLimits;
use crate::qos::QoS;

/// What becomes of a message for a session whose queue is full.
///
/// For one at QoS 1 or 2, messages at QoS 0 that wait for a slow reader and messages that have
/// expired make room before that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// The oldest messages that were not sent yet are dropped for it; for one at QoS 0, those at
    /// QoS 0.
    DropOldest,
    /// It is dropped.
    #[default]
    DropNewest,
    /// It is dropped, and unless it is of QoS 0 the connection is closed, in 5.0 with 0x97.
    Disconnect,
}

/// What a [`Broker`](crate::broker::Broker) supports, and its limits. A limit of 0 that would leave
/// it of no use is taken for 1.
///
/// ```
/// use sansio_mqtt::QoS;
/// use sansio_mqtt::broker::Options;
///
/// let mut options = Options::new(0x5eed);
/// options.maximum_qos = QoS::AtLeastOnce;
/// options.maximum_packet_size = 64 * 1024;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// What hashes and assigned Client Identifiers depend on. It should be random, and known to no
    /// client. The same seed and the same calls give the same outputs.
    pub seed: u64,
    /// How many connections there may be, those that are about to close among them; 16,777,215 at
    /// most. The default is 100,000.
    pub maximum_connections: usize,
    /// How many sessions there may be, connected or not: a client that needs one more is refused
    /// with 0x97. The default is 100,000.
    pub maximum_sessions: usize,
    /// How long a client has from its transport to its CONNACK, the application's answers
    /// included. The default is 10 seconds.
    pub connect_timeout: Duration,
    /// How long a client that the broker disconnects, or that has said goodbye, has to take the last
    /// bytes. The default is 5 seconds.
    pub close_timeout: Duration,
    /// The size of the largest packet before CONNACK, in bytes: what somebody unknown can make a
    /// wrapper keep. A larger one is not answered. The default is 256 KiB, in which the longest Will
    /// has room beside the longest password.
    pub maximum_connect_size: u32,
    /// How many bytes a Client Identifier, or a User Name, may have, 23 at least: a longer one is
    /// refused with 0x85, or 0x86. The default is 1,024.
    pub maximum_name_length: usize,
    /// Maximum Packet Size, in bytes: a client that sends a larger one is disconnected, in 5.0 with
    /// 0x95. The default is 2 MiB. v5 3.2.2.3.6
    pub maximum_packet_size: u32,
    /// Receive Maximum, 1 to 65,535: how many messages at QoS 1 and 2 a client may have
    /// unacknowledged: one that has more is disconnected with 0x93. 3.x does not have it: there
    /// the input waits. The default is 1,024. v5 3.2.2.3.3
    pub receive_maximum: u16,
    /// Maximum QoS: no subscription is granted more. A client that publishes above it is
    /// disconnected, in 5.0 with 0x9B; one that has such a Will is refused. The default is QoS 2.
    /// v5 3.2.2.3.4
    pub maximum_qos: QoS,
    /// Retain Available: whether messages are retained. If not, a client that wants it is
    /// disconnected, in 5.0 with 0x9A, and one that has such a Will is refused. The default is
    /// true. v5 3.2.2.3.5
    pub retain_available: bool,
    /// Topic Alias Maximum: how many aliases a client may set, 0 for none. The default is 32.
    /// v5 3.2.2.3.8
    pub topic_alias_maximum: u16,
    /// How many aliases the broker sets at most towards a client that offers some. The default is
    /// 32. v5 3.1.2.11.5
    pub outgoing_topic_aliases: u16,
    /// Wildcard Subscription Available. If not, a client of 5.0 that wants one is disconnected with
    /// 0xA2; in 3.x it is refused in the SUBACK. The default is true. v5 3.2.2.3.11
    pub wildcard_subscription_available: bool,
    /// Subscription Identifiers Available. If not, a client that gives one is disconnected with
    /// 0xA1. The default is true. v5 3.2.2.3.12
    pub subscription_identifiers_available: bool,
    /// Shared Subscription Available. If not, a client of 5.0 that wants one is disconnected with
    /// 0x9E. The default is true. v5 3.2.2.3.13
    pub shared_subscription_available: bool,
    /// The longest Keep Alive in seconds, 0 for none: a client of 5.0 that wants a longer one, or
    /// none, is told this one. The default is 0. v5 3.2.2.3.14
    pub maximum_keep_alive: u16,
    /// The longest time that a session outlives its connection, in seconds, whatever its client
    /// wants; 0xFFFFFFFF, the default, for ever. v5 3.2.2.3.2
    pub maximum_session_expiry_interval: u32,
    /// Response Information, for clients that ask for it: what to make Response Topics of, such as
    /// the first levels of one. The default is none. v5 3.2.2.3.15
    pub response_information: Option<String>,
    /// Whether clients may publish to topics that begin with `$`, which are for the server to use:
    /// not by default. A refusal is one of the [`Authorizer`](crate::broker::Authorizer)'s kind.
    /// v5 4.7.2
    pub clients_may_publish_to_dollar_topics: bool,
    /// How many levels a Topic Name or Topic Filter may have: one that has more is refused with
    /// 0x90, or 0x8F. The default is 128.
    pub maximum_topic_levels: usize,
    /// How many bytes a Topic Name or Topic Filter may have, as with its levels. The default is
    /// 4,096.
    pub maximum_topic_length: usize,
    /// How many wildcards a Topic Filter may have: one that has more is refused with 0x8F. The
    /// default is 16.
    pub maximum_wildcards: usize,
    /// How many subscriptions a session may have, shared ones among them: one more is refused with
    /// 0x97. The default is 1,000.
    pub maximum_subscriptions_per_session: usize,
    /// How many subscriptions all sessions may have together, in the same way. The default is
    /// 1,000,000.
    pub maximum_subscriptions: usize,
    /// How many retained messages there may be, and how many bytes they may hold. One that does not
    /// fit is refused with 0x97; at QoS 0 and in 3.x it is passed on, and not retained.
    pub retained: RetainedLimits,
    /// How many messages a session may hold that its client has not acknowledged or, at QoS 0, not
    /// taken. The default is 10,000: ten times what a publisher may have unacknowledged, so that a
    /// burst is no loss to a client that is slower than its publisher for a while.
    pub maximum_queued_messages: usize,
    /// How many bytes of messages a session may hold; one message that is larger is held alone.
    /// The default is 4 MiB.
    pub maximum_queued_bytes: usize,
    /// What becomes of a message that does not fit. The default is that it is dropped.
    pub overflow: Overflow,
    /// How many messages may be on their way to one client unacknowledged, if its Receive Maximum
    /// is not lower, 1 to 65,535. The default is 100.
    pub maximum_in_flight: u16,
    /// How many bytes all Wills together may hold, those of clients that are connected and those
    /// that wait for their delays: a client whose Will is too much is refused with 0x97. The
    /// default is 64 MiB.
    pub maximum_will_bytes: usize,
    /// The longest Will Delay Interval, in seconds: a client that wants a longer one is refused
    /// with 0x97. The default is 0xFFFFFFFF: any.
    pub maximum_will_delay_interval: u32,
    /// How much work one call of [`receive`](crate::broker::Broker::receive) does before outputs
    /// have to be taken: packets, and copies of messages for sessions. The default is 1,000.
    pub work_budget: usize,
}

impl Options {
    /// What a limit of 0 would make of no use is 1.
    pub(super) fn without_zeros(mut self) -> Self {
        for limit in [
            &mut self.maximum_connections,
            &mut self.maximum_sessions,
            &mut self.maximum_topic_levels,
            &mut self.maximum_topic_length,
            &mut self.maximum_subscriptions_per_session,
            &mut self.maximum_subscriptions,
            &mut self.maximum_queued_messages,
            &mut self.work_budget,
        ] {
            *limit = (*limit).max(1);
        }
        self.receive_maximum = self.receive_maximum.max(1);
        self.maximum_in_flight = self.maximum_in_flight.max(1);
        self.maximum_packet_size = self.maximum_packet_size.max(1);
        self
    }

    /// The defaults.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            maximum_connections: 100_000,
            maximum_sessions: 100_000,
            connect_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            maximum_connect_size: 256 << 10,
            maximum_name_length: 1_024,
            maximum_packet_size: 2 << 20,
            receive_maximum: 1_024,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            topic_alias_maximum: 32,
            outgoing_topic_aliases: 32,
            wildcard_subscription_available: true,
            subscription_identifiers_available: true,
            shared_subscription_available: true,
            maximum_keep_alive: 0,
            maximum_session_expiry_interval: u32::MAX,
            response_information: None,
            clients_may_publish_to_dollar_topics: false,
            maximum_topic_levels: 128,
            maximum_topic_length: 4_096,
            maximum_wildcards: 16,
            maximum_subscriptions_per_session: 1_000,
            maximum_subscriptions: 1_000_000,
            retained: RetainedLimits::default(),
            maximum_queued_messages: 10_000,
            maximum_queued_bytes: 4 << 20,
            overflow: Overflow::default(),
            maximum_in_flight: 100,
            maximum_will_bytes: 64 << 20,
            maximum_will_delay_interval: u32::MAX,
            work_budget: 1_000,
        }
    }
}
