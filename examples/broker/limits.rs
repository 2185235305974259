//! What the broker supports, and its limits: the standard's names where it has some. What is not
//! said is as [`Options`] has it.

use std::time::Duration;

use clap::{ArgAction, ValueEnum};
use sansio_mqtt::QoS;
use sansio_mqtt::broker::{Options, Overflow};

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct Limits {
    /// Receive Maximum: messages at QoS 1 and 2 that a client may have unacknowledged
    #[arg(long, value_name = "COUNT", default_value_t = defaults().receive_maximum, value_parser = clap::value_parser!(u16).range(1..))]
    receive_maximum: u16,
    /// Maximum Packet Size
    #[arg(long, value_name = "BYTES", default_value_t = defaults().maximum_packet_size)]
    maximum_packet_size: u32,
    /// Maximum QoS: 0, 1 or 2
    #[arg(long, value_name = "QOS", default_value = "2", value_parser = qos)]
    maximum_qos: QoS,
    /// Retain Available
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    retain_available: bool,
    /// Wildcard Subscription Available
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    wildcard_subscription_available: bool,
    /// Subscription Identifiers Available
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    subscription_identifiers_available: bool,
    /// Shared Subscription Available
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    shared_subscription_available: bool,
    /// Topic Alias Maximum: aliases that a client may set
    #[arg(long, value_name = "COUNT", default_value_t = defaults().topic_alias_maximum)]
    topic_alias_maximum: u16,
    /// Aliases that are set towards a client that takes some
    #[arg(long, value_name = "COUNT", default_value_t = defaults().outgoing_topic_aliases)]
    outgoing_topic_aliases: u16,
    /// Server Keep Alive: the longest that a client of 5.0 may have; 0 for any
    #[arg(long, value_name = "SECONDS", default_value_t = defaults().maximum_keep_alive)]
    server_keep_alive: u16,
    /// Session Expiry Interval: the longest that a client may have
    #[arg(long, value_name = "SECONDS", default_value_t = defaults().maximum_session_expiry_interval)]
    session_expiry_interval: u32,
    /// Will Delay Interval: the longest that a client may have
    #[arg(long, value_name = "SECONDS", default_value_t = defaults().maximum_will_delay_interval)]
    will_delay_interval: u32,
    /// Whether clients may publish to topics that begin with `$`, those of the broker's statistics
    /// among them, as bridges do to say that they are there
    #[arg(long, value_name = "BOOL", default_value_t = false, action = ArgAction::Set)]
    clients_may_publish_to_dollar_topics: bool,
    /// Response Information, for clients that ask for it
    #[arg(long, value_name = "TEXT")]
    response_information: Option<String>,
    /// Connections
    #[arg(long, value_name = "COUNT", default_value_t = defaults().maximum_connections)]
    pub(super) max_connections: usize,
    /// Sessions, with a connection or without
    #[arg(long, value_name = "COUNT", default_value_t = defaults().maximum_sessions)]
    max_sessions: usize,
    /// How long a client has to be connected
    #[arg(long, value_name = "SECONDS", default_value_t = defaults().connect_timeout.as_secs())]
    connect_timeout: u64,
    /// How long a client has to take the last bytes
    #[arg(long, value_name = "SECONDS", default_value_t = defaults().close_timeout.as_secs())]
    close_timeout: u64,
    /// Bytes of a CONNECT
    #[arg(long, value_name = "BYTES", default_value_t = defaults().maximum_connect_size)]
    max_connect_size: u32,
    /// Levels of a Topic Name or Topic Filter
    #[arg(long, value_name = "COUNT", default_value_t = defaults().maximum_topic_levels)]
    max_topic_levels: usize,
    /// Bytes of a Topic Name or Topic Filter
    #[arg(long, value_name = "BYTES", default_value_t = defaults().maximum_topic_length)]
    max_topic_length: usize,
    /// Wildcards of a Topic Filter
    #[arg(long, value_name = "COUNT", default_value_t = defaults().maximum_wildcards)]
    max_wildcards: usize,
    /// Subscriptions of a session
    #[arg(long, value_name = "COUNT", default_value_t = defaults().maximum_subscriptions_per_session)]
    max_subscriptions_per_session: usize,
    /// Subscriptions
    #[arg(long, value_name = "COUNT", default_value_t = defaults().maximum_subscriptions)]
    max_subscriptions: usize,
    /// Retained messages
    #[arg(long, value_name = "COUNT", default_value_t = defaults().retained.maximum_count)]
    max_retained_messages: usize,
    /// Bytes of retained messages
    #[arg(long, value_name = "BYTES", default_value_t = defaults().retained.maximum_bytes)]
    max_retained_bytes: usize,
    /// Messages that wait for a client
    #[arg(long, value_name = "COUNT", default_value_t = defaults().maximum_queued_messages)]
    max_queued_messages: usize,
    /// Bytes of messages that wait for a client
    #[arg(long, value_name = "BYTES", default_value_t = defaults().maximum_queued_bytes)]
    max_queued_bytes: usize,
    /// What becomes of a message at QoS 1 or 2 for a client with so many
    #[arg(long, value_name = "POLICY", value_enum, default_value = "drop-newest")]
    overflow: OnOverflow,
    /// Messages on their way to a client unacknowledged
    #[arg(long, value_name = "COUNT", default_value_t = defaults().maximum_in_flight, value_parser = clap::value_parser!(u16).range(1..))]
    max_in_flight: u16,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnOverflow {
    /// The oldest that was not sent yet makes room
    DropOldest,
    /// It is dropped
    DropNewest,
    /// It is dropped, and the client disconnected
    Disconnect,
}

impl Limits {
    pub(super) fn close_timeout(&self) -> Duration {
        Duration::from_secs(self.close_timeout)
    }

    pub(super) fn options(&self, seed: u64) -> Options {
        let mut options = Options::new(seed);
        options.maximum_connections = self.max_connections;
        options.maximum_sessions = self.max_sessions;
        options.connect_timeout = Duration::from_secs(self.connect_timeout);
        options.close_timeout = self.close_timeout();
        options.maximum_connect_size = self.max_connect_size;
        options.maximum_packet_size = self.maximum_packet_size;
        options.receive_maximum = self.receive_maximum;
        options.maximum_qos = self.maximum_qos;
        options.retain_available = self.retain_available;
        options.topic_alias_maximum = self.topic_alias_maximum;
        options.outgoing_topic_aliases = self.outgoing_topic_aliases;
        options.wildcard_subscription_available = self.wildcard_subscription_available;
        options.subscription_identifiers_available = self.subscription_identifiers_available;
        options.shared_subscription_available = self.shared_subscription_available;
        options.maximum_keep_alive = self.server_keep_alive;
        options.maximum_session_expiry_interval = self.session_expiry_interval;
        options.clients_may_publish_to_dollar_topics = self.clients_may_publish_to_dollar_topics;
        options.response_information = self.response_information.clone();
        options.maximum_topic_levels = self.max_topic_levels;
        options.maximum_topic_length = self.max_topic_length;
        options.maximum_wildcards = self.max_wildcards;
        options.maximum_subscriptions_per_session = self.max_subscriptions_per_session;
        options.maximum_subscriptions = self.max_subscriptions;
        options.retained.maximum_count = self.max_retained_messages;
        options.retained.maximum_bytes = self.max_retained_bytes;
        options.maximum_queued_messages = self.max_queued_messages;
        options.maximum_queued_bytes = self.max_queued_bytes;
        options.overflow = match self.overflow {
            OnOverflow::DropOldest => Overflow::DropOldest,
            OnOverflow::DropNewest => Overflow::DropNewest,
            OnOverflow::Disconnect => Overflow::Disconnect,
        };
        options.maximum_in_flight = self.max_in_flight;
        // Outputs are taken after each read, which holds few messages. To do more of one read at a
        // time has those who get many of them take them in one piece.
        options.work_budget = 20_000;
        options.maximum_will_delay_interval = self.will_delay_interval;
        options
    }
}

fn defaults() -> Options {
    Options::new(0)
}

fn qos(text: &str) -> Result<QoS, String> {
    text.parse().ok().and_then(QoS::new).ok_or_else(|| "0, 1 or 2".into())
}
