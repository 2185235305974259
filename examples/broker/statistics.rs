//! What the broker tells of itself, below `$SYS/broker`, under the names that mosquitto uses.

use sansio_mqtt::broker::{Broker, CallError};
use sansio_mqtt::{Instant, Publish};

/// Publishes all of them, to be retained.
pub(super) fn publish(broker: &mut Broker, now: Instant) -> Result<(), CallError> {
    let counters = broker.counters();
    let uptime = now.duration_since(Instant::default()).as_secs();
    let version = format!("sansio-mqtt {}", env!("CARGO_PKG_VERSION"));
    put(broker, now, "version", &version)?;
    put(broker, now, "uptime", &format!("{uptime} seconds"))?;
    let disconnected = counters.sessions.saturating_sub(counters.connected);
    let dropped = counters.dropped.saturating_add(counters.dropped_at_most_once);
    let numbers = [
        ("clients/total", counters.sessions as u64),
        ("clients/connected", counters.connected as u64),
        ("clients/disconnected", disconnected as u64),
        ("connections/socket/count", counters.connections as u64),
        ("subscriptions/count", counters.subscriptions as u64),
        ("retained messages/count", counters.retained_messages as u64),
        ("store/messages/count", counters.stored_messages as u64),
        ("store/messages/bytes", counters.stored_bytes as u64),
        ("publish/messages/received", counters.publishes_received),
        ("publish/messages/sent", counters.publishes_sent),
        ("publish/messages/dropped", dropped),
        ("publish/messages/expired", counters.expired),
        ("publish/messages/refused", counters.refused),
        ("bytes/received", counters.bytes_received),
        ("bytes/sent", counters.bytes_sent),
    ];
    numbers.iter().try_for_each(|(name, number)| put(broker, now, name, &number.to_string()))
}

fn put(broker: &mut Broker, now: Instant, name: &str, value: &str) -> Result<(), CallError> {
    let (topic, retain) = (format!("$SYS/broker/{name}"), broker.options().retain_available);
    let publish =
        Publish { topic: &topic, payload: value.as_bytes(), retain, ..Publish::default() };
    broker.publish(now, &publish).map(drop)
}
