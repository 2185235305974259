//! An authorizer whose rights a scenario takes and gives.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use sansio_mqtt::broker::{Authorizer, Client, Decision, Forwarded};
use sansio_mqtt::{Publish, Subscription, Will};

/// What is asked of the authorizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Act {
    Publish,
    Subscribe,
    Will,
    Deliver,
    Replay,
}

/// Rights that a scenario takes and gives, and what was asked about them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rights(Arc<Mutex<Denied>>);

#[derive(Debug, Default)]
struct Denied {
    /// What, to whom, of which topic or filter.
    denied: BTreeSet<(Act, String, String)>,
    asked: Vec<String>,
}

impl Rights {
    pub(crate) fn deny(&self, act: Act, client_id: &str, topic: &str) {
        self.0.lock().unwrap().denied.insert((act, client_id.into(), topic.into()));
    }

    pub(crate) fn allow(&self, act: Act, client_id: &str, topic: &str) {
        self.0.lock().unwrap().denied.remove(&(act, client_id.into(), topic.into()));
    }

    /// What was asked since the last look, a line each: act, client, topic or filter, and who
    /// published it.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    fn ask(&self, act: Act, client: &Client, topic: &str, publisher: &str) -> Decision {
        let mut rights = self.0.lock().unwrap();
        let identity =
            client.identity.as_deref().map_or(String::new(), |name| format!(" as {name}"));
        rights.asked.push(format!("{act:?} {}{identity} {topic}{publisher}", client.client_id));
        if rights.denied.contains(&(act, client.client_id.to_string(), topic.into())) {
            return Decision::Deny;
        }
        Decision::Allow
    }
}

/// By whom a message was published, as it is written behind a line.
fn by(message: &Forwarded<'_>) -> String {
    message.publisher.map_or(" by application".into(), |client| format!(" by {}", client.client_id))
}

impl Authorizer for Rights {
    fn publish(&mut self, client: &Client, publish: &Publish<'_>) -> Decision {
        self.ask(Act::Publish, client, publish.topic, "")
    }

    fn subscribe(&mut self, client: &Client, subscription: &Subscription<'_>) -> Decision {
        self.ask(Act::Subscribe, client, subscription.topic_filter, "")
    }

    fn will(&mut self, client: &Client, will: &Will<'_>) -> Decision {
        self.ask(Act::Will, client, will.topic, "")
    }

    fn deliver(&mut self, client: &Client, message: &Forwarded<'_>) -> Decision {
        self.ask(Act::Deliver, client, message.topic, &by(message))
    }

    fn replay(&mut self, client: &Client, message: &Forwarded<'_>) -> Decision {
        self.ask(Act::Replay, client, message.topic, &by(message))
    }
}
