//! What a world is like: the options of its client, and how its wrapper behaves.

use std::time::Duration;

use bytes::Bytes;
use sansio_mqtt::client::{
    Acknowledgement, Authentication, CleanStart, LastWill, Options, Overflow, SessionLost,
    TopicAliases,
};
use sansio_mqtt::{Message, QoS, TopicName, Version};

use super::input::Input;

#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) options: Options,
    pub(crate) durable: bool,
    /// How often the whole state is compared around a call that is refused.
    pub(crate) snapshots: u32,
    /// Whether outputs are done after each step, and records committed.
    pub(crate) eager: bool,
    /// How many bytes the transport brings at a time: 0 for whole packets.
    pub(crate) fragment: usize,
}

pub(crate) const RESPONSE_TOPIC: &str = "r/c";
pub(crate) const METHOD: &str = "m";

impl Setup {
    pub(crate) fn new(input: &mut Input<'_>) -> Self {
        let version = input.pick(&[Version::V5, Version::V3_1_1, Version::V5, Version::V3_1]);
        let flags = input.byte();
        let name = if flags & 0x70 == 0x70 && version != Version::V3_1 { "" } else { "c" };
        let mut options = Options::new(version, name);
        options.clean_start =
            input.pick(&[CleanStart::First, CleanStart::Always, CleanStart::Never]);
        limits(&mut options, input);
        change(&mut options, input);
        if version.is_v5() && input.rarely(4) {
            let data = Some(Bytes::from_static(b"d")).filter(|_| flags & 8 != 0);
            options.authentication = Some(Authentication { method: METHOD.into(), data });
        }
        Self {
            options,
            durable: flags & 1 != 0,
            snapshots: if flags & 6 == 6 { 40 } else { 0 },
            eager: flags & 0x80 == 0,
            fragment: input.pick(&[0, 0, 1, 7]),
        }
    }
}

fn limits(options: &mut Options, input: &mut Input<'_>) {
    options.receive_maximum = 1 + input.below(5) as u16;
    options.maximum_held = 1 + input.below(20);
    options.maximum_held_bytes = input.pick(&[1 << 20, 100, 4_000]);
    options.maximum_in_flight = input.pick(&[65_535, 1, 2, 3]);
    options.maximum_packet_size = input.pick(&[1 << 20, 64, 4_000]);
    options.topic_alias_maximum = input.pick(&[2, 0, 1]);
    options.topic_aliases =
        input.pick(&[TopicAliases::Automatic(2), TopicAliases::None, TopicAliases::Automatic(1)]);
}

/// What may change between connections.
pub(crate) fn change(options: &mut Options, input: &mut Input<'_>) {
    let [first, second] = [input.byte(), input.byte()];
    options.acknowledgement =
        if first & 1 != 0 { Acknowledgement::Manual } else { Acknowledgement::Automatic };
    options.overflow = if first & 2 != 0 { Overflow::DropOldest } else { Overflow::Refuse };
    options.session_lost = if first & 4 != 0 { SessionLost::Republish } else { SessionLost::Fail };
    options.resubscribe = first & 8 != 0;
    options.adopt_session = first & 16 != 0;
    options.request_problem_information = first & 32 == 0;
    let topic = Some(RESPONSE_TOPIC.to_owned());
    options.response_topic = topic.filter(|_| first & 64 == 0);
    options.will = (first & 128 != 0).then(|| LastWill {
        message: Message::new(TopicName::new("w").expect("a name"), Bytes::from_static(b"gone"))
            .with_qos(QoS::AtLeastOnce),
        delay_interval: 0,
    });
    options.session_expiry_interval = [100, 0, 5, u32::MAX][usize::from(second & 3)];
    options.keep_alive = [10, 0, 1, 60][usize::from(second >> 2 & 3)];
    options.response_timeout = Duration::from_secs([20, 1][usize::from(second >> 4 & 1)]);
    options.close_timeout = Duration::from_secs([5, 1][usize::from(second >> 5 & 1)]);
}
