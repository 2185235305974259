//! Retained messages for new subscriptions. MQTT 5.0 §3.3.1.3, §3.8.4.

use crate::broker::delivery::{Delivery, Identifiers};
use crate::broker::machine::Broker;
use crate::broker::messages::Origin;
use crate::broker::retained::Next;
use crate::broker::session::Session;

/// So many steps through the retained messages are taken at a time.
const STEPS: usize = 1024;
/// To take a message up costs as much as so many steps.
const STEPS_OF_A_MESSAGE: usize = 32;

impl Broker {
    /// Takes up retained messages that new subscriptions are still to get, as long as there is room
    /// for them; `false` if there is none.
    ///
    /// They wait in no queue that could overflow: it is their turn when nothing else waits.
    pub(super) fn take_replays(&mut self, number: u32) -> bool {
        self.queue_direct(number);
        let mut steps = STEPS;
        let mut any = false;
        while steps > 0 && self.has_replay(number) && self.take_replay(number, &mut steps).is_some()
        {
            any = true;
        }
        self.count_steps(steps);
        any
    }

    /// What was done is a part of the work of this turn.
    fn count_steps(&mut self, left: usize) {
        let work = STEPS.saturating_sub(left) / STEPS_OF_A_MESSAGE;
        self.work = self.work.saturating_add(work);
    }

    /// Takes up a retained message in the place of one that is done with.
    pub(super) fn take_one_replay(&mut self, number: u32) {
        self.queue_direct(number);
        let mut steps = STEPS;
        self.take_replay(number, &mut steps);
        self.count_steps(steps);
    }

    fn has_replay(&self, number: u32) -> bool {
        let session = self.sessions.get(number).and_then(Option::as_ref);
        session.is_some_and(|session| session.has_replay(&self.options))
    }

    /// Takes up a retained message, or passes it over; `None` if there is none, or no room.
    fn take_replay(&mut self, number: u32, steps: &mut usize) -> Option<()> {
        let Self { sessions, retained, messages, scratch, options, .. } = self;
        let session = sessions.get_mut(number)?.as_mut()?;
        let (len, bytes) = (session.queue.len(), session.queue.bytes());
        let room = |size: usize| {
            len == 0 || bytes.saturating_add(size) <= options.maximum_queued_bytes / 2
        };
        let Session { replays, client, .. } = session;
        let mut first = replays.first_entry()?;
        let replay = first.get_mut();
        let (place, kept) =
            match retained.next(self.now, &replay.filter, &replay.cursor, steps, scratch) {
                Next::Found(_, kept) if !room(kept.message.size()) => return None,
                Next::Found(place, kept) => (place, kept),
                Next::Stopped(place) => {
                    retained.advance(&mut replay.cursor, place);
                    return Some(());
                }
                Next::End => {
                    retained.leave(&mut replay.cursor);
                    first.remove();
                    return Some(());
                }
            };
        // What it costs to take it up.
        *steps = steps.saturating_sub(STEPS_OF_A_MESSAGE);
        let publisher = kept.publisher.as_deref();
        let is_own = publisher.is_some_and(|one| one.client_id == client.client_id);
        // What was retained later was sent as any other message.
        let wanted = kept.number <= replay.last && !(replay.grant.no_local && is_own);
        let mut delivery = None;
        if wanted {
            let publish = kept.message.to_publish();
            let payload = kept.message.payload_bytes();
            let publisher = kept.publisher.as_ref();
            let origin = Origin { expires: kept.expires, publisher, shared: Some(&payload) };
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
        retained.advance(&mut replay.cursor, place);
        if let Some(delivery) = delivery {
            let message = delivery.message;
            self.deliver(number, delivery);
            self.messages.release(message);
        }
        Some(())
    }
}
