//! What a world is like: the options of its broker, and how its clients behave.

use std::time::Duration;

use sansio_mqtt::QoS;
use sansio_mqtt::broker::{Options, Overflow, RetainedLimits};

use super::input::Input;

#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) options: Options,
    /// Whether all clients keep to the rules.
    pub(crate) tame: bool,
    /// Whether queues are so short that messages are dropped.
    pub(crate) lossy: bool,
    /// How many bytes a transport brings at a time: 0 for whole packets.
    pub(crate) fragment: usize,
}

impl Setup {
    pub(crate) fn new(input: &mut Input<'_>, seed: u64) -> Self {
        let flags = input.byte();
        let tame = flags & 1 == 0;
        let lossy = flags & 0x0e == 0x0e;
        let mut options = Options::new(seed);
        options.receive_maximum = input.pick(&[5, 1, 2, 100]);
        options.maximum_in_flight = input.pick(&[100, 1, 2, 3]);
        options.maximum_session_expiry_interval = input.pick(&[u32::MAX, 5, u32::MAX, 100]);
        options.maximum_keep_alive = input.pick(&[0, 20, 0, 2]);
        options.topic_alias_maximum = input.pick(&[2, 0]);
        options.outgoing_topic_aliases = input.pick(&[2, 0, 1]);
        options.work_budget = input.pick(&[1_000, 1, 2, 3]);
        options.clients_may_publish_to_dollar_topics = tame || flags & 0x10 == 0;
        if lossy {
            options.maximum_queued_messages = input.pick(&[3, 1, 2]);
            options.maximum_queued_bytes = input.pick(&[1 << 20, 300, 50]);
            options.overflow =
                input.pick(&[Overflow::DropOldest, Overflow::DropNewest, Overflow::Disconnect]);
        }
        if !tame {
            limits(&mut options, input);
        }
        Self { options, tame, lossy, fragment: input.pick(&[0, 0, 1, 7]) }
    }
}

/// Limits that clients who know no rules run into.
fn limits(options: &mut Options, input: &mut Input<'_>) {
    let flags = input.byte();
    options.maximum_connections = input.pick(&[100, 1, 3]);
    options.maximum_sessions = input.pick(&[100, 1, 2]);
    options.maximum_subscriptions_per_session = input.pick(&[100, 1, 3]);
    options.maximum_subscriptions = input.pick(&[100, 1, 5]);
    options.maximum_topic_levels = input.pick(&[128, 2]);
    options.maximum_topic_length = input.pick(&[4_096, 4]);
    options.maximum_wildcards = input.pick(&[16, 1, 0]);
    options.maximum_packet_size = input.pick(&[2 << 20, 64, 200]);
    options.maximum_connect_size = input.pick(&[64 << 10, 60]);
    options.maximum_will_delay_interval = input.pick(&[u32::MAX, 1]);
    options.maximum_qos = input.pick(&[QoS::ExactlyOnce, QoS::AtLeastOnce, QoS::AtMostOnce]);
    options.close_timeout = Duration::from_secs(input.pick(&[5, 1]));
    options.connect_timeout = Duration::from_secs(input.pick(&[10, 1]));
    options.retain_available = flags & 3 != 3;
    options.wildcard_subscription_available = flags >> 2 & 3 != 3;
    options.subscription_identifiers_available = flags >> 4 & 3 != 3;
    options.shared_subscription_available = flags >> 6 & 3 != 3;
    let mut retained = RetainedLimits::default();
    retained.maximum_count = input.pick(&[100, 1, 2]);
    retained.maximum_bytes = input.pick(&[1 << 20, 30, 100]);
    options.retained = retained;
}
