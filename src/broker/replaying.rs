//! Retained messages for new subscriptions. MQTT 5.0 §3.3.1.3, §3.8.4.

use crate::broker::authorizer::{Decision, Forwarded};
use crate::broker::delivery::{Delivery, Identifiers};
use crate::broker::machine::Broker;
use crate::broker::messages::Origin;
use crate::broker::session::Session;

/// So many retained messages are looked at at a time.
const REPLAYED: usize = 32;

impl Broker {
    /// Takes up retained messages that new subscriptions are still to get, as long as there is room
    /// for them, and says how many it has looked at.
    ///
    /// They wait in no queue that could overflow: it is their turn when nothing else waits.
    pub(super) fn take_replays(&mut self, number: u32) -> usize {
        let mut looked_at: usize = 0;
        while looked_at < REPLAYED && self.take_replay(number).is_some() {
            looked_at = looked_at.saturating_add(1);
        }
        looked_at
    }

    /// Takes up a retained message, or passes it over; `None` if there is none, or no room.
    fn take_replay(&mut self, number: u32) -> Option<()> {
        let Self { sessions, retained, messages, authorizer, counters, scratch, options, .. } =
            self;
        let session = sessions.get_mut(number)?.as_mut()?;
        if !session.has_replay(options) {
            return None;
        }
        let Session { queue, replays, client, .. } = session;
        let replay = replays.front_mut()?;
        let found = retained.next(self.now, &replay.filter, &replay.cursor, scratch);
        let Some((id, kept)) = found else {
            retained.leave(&mut replay.cursor);
            replays.pop_front();
            return Some(());
        };
        let size = kept.message.size();
        if queue.len() > 0 && queue.bytes().saturating_add(size) > options.maximum_queued_bytes {
            return None;
        }
        let publisher = kept.publisher.as_deref();
        let is_own = publisher.is_some_and(|one| one.client_id == client.client_id);
        let message = Forwarded { topic: kept.message.topic(), publisher };
        // What was retained later was sent as any other message.
        let mut wanted = kept.number <= replay.last && !(replay.grant.no_local && is_own);
        if wanted && authorizer.replay(client, &message) != Decision::Allow {
            counters.withheld = counters.withheld.saturating_add(1);
            wanted = false;
        }
        let mut delivery = None;
        if wanted {
            let publish = kept.message.to_publish();
            let origin = Origin {
                expires: kept.expires,
                publisher: kept.publisher.clone(),
                shared: Some(kept.message.payload_bytes()),
            };
            let identifier = replay.grant.subscription_identifier.unwrap_or_default();
            delivery = Some(Delivery {
                message: messages.insert(&publish, origin)?,
                qos: publish.qos.min(replay.grant.qos),
                // v5 [MQTT-3.3.1-8], v3.1.1 [MQTT-3.3.1-8]
                retain: true,
                is_replay: true,
                group: None,
                identifiers: Identifiers::One(identifier),
            });
        }
        retained.advance(&mut replay.cursor, id);
        if let Some(delivery) = delivery {
            let message = delivery.message;
            self.deliver(number, delivery);
            self.messages.release(message);
        }
        Some(())
    }
}
