//! What both ends of a session do alike: MQTT 5.0 §4.1, §4.3, §4.4, §4.6, §4.9.

pub(crate) mod alias;
pub(crate) mod at_most_once;
pub(crate) mod entry;
mod expiry;
pub(crate) mod ids;
pub(crate) mod inbound;
pub(crate) mod keep_alive;
pub(crate) mod outbound;
pub(crate) mod peer_time;
pub(crate) mod publish;
mod resuming;
pub(crate) mod store;
