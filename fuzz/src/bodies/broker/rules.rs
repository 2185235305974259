//! Who may do what, and which filter matches what: the slow way.

use sansio_mqtt::broker::{Authorizer, Client, Decision, Forwarded};
use sansio_mqtt::{Publish, Subscription};

/// Nobody may publish or subscribe here.
pub(crate) const FORBIDDEN: &str = "no";
/// The client that may not receive, and what.
const HELD_BACK: (&str, &str) = ("d", "a/c");

#[derive(Debug)]
pub(crate) struct Rules;

const fn decision(allowed: bool) -> Decision {
    if allowed { Decision::Allow } else { Decision::Deny }
}

pub(crate) fn may_receive(client_id: &str, topic: &str) -> bool {
    (client_id, topic) != HELD_BACK
}

impl Authorizer for Rules {
    fn publish(&mut self, _: &Client, publish: &Publish<'_>) -> Decision {
        decision(publish.topic != FORBIDDEN)
    }

    fn subscribe(&mut self, _: &Client, subscription: &Subscription<'_>) -> Decision {
        decision(subscription.topic_filter != FORBIDDEN)
    }

    fn deliver(&mut self, client: &Client, message: &Forwarded<'_>) -> Decision {
        decision(may_receive(&client.client_id, message.topic))
    }
}

/// The filter without `$share/` and ShareName.
pub(crate) fn behind_share(filter: &str) -> (&str, bool) {
    let shared = filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
    shared.map_or((filter, false), |(_, rest)| (rest, true))
}

/// v5 4.7
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    let (filter, _) = behind_share(filter);
    let filter: Vec<&str> = filter.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    // v5 [MQTT-4.7.2-1]
    if topic[0].starts_with('$') && matches!(filter[0], "+" | "#") {
        return false;
    }
    for at in 0.. {
        match (filter.get(at), topic.get(at)) {
            (Some(&"#"), _) | (None, None) => return true,
            (Some(wanted), Some(level)) if *wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
    false
}
