//! An application that commits the `delivery_id` of each message together with its effect.

use std::collections::{BTreeMap, BTreeSet};

use sansio_mqtt::client::{Delivery, DeliveryId, Event, Failure, Handle};
use sansio_mqtt::{QoS, Version};

use crate::server::{Numbered, Server, number};

/// What the application has, all of it durable.
#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) version: Version,
    /// What it published, by operation.
    pub(crate) published: BTreeMap<Handle, Numbered>,
    pub(crate) subscribed: BTreeSet<Handle>,
    /// What became of it.
    pub(crate) completed: BTreeMap<Handle, Result<(), Failure>>,
    /// What the messages from the server came to, in the order of the effects.
    pub(crate) effects: Vec<Numbered>,
    /// The messages whose effects are there.
    done: BTreeMap<DeliveryId, u32>,
    /// The delivery identifiers of messages at QoS 2, which have one each.
    deliveries: BTreeMap<u32, DeliveryId>,
}

impl Application {
    pub(crate) fn new(version: Version) -> Self {
        Self {
            version,
            published: BTreeMap::new(),
            subscribed: BTreeSet::new(),
            completed: BTreeMap::new(),
            effects: Vec::new(),
            done: BTreeMap::new(),
            deliveries: BTreeMap::new(),
        }
    }

    /// Takes an event in. What is to be acknowledged now.
    pub(crate) fn on_event(&mut self, event: &Event, server: &Server) -> Option<DeliveryId> {
        match event {
            Event::Message(delivery) => self.on_message(delivery),
            Event::Published { handle, result } => {
                let (number, qos) = self.published[handle];
                if result.is_ok() && qos != QoS::AtMostOnce {
                    let arrived = server.arrived.contains(&(number, qos));
                    assert!(arrived, "{number} is acknowledged, and the server does not have it");
                }
                self.complete(*handle, result.clone().map(drop));
                None
            }
            Event::Subscribed { handle, result } => {
                assert!(self.subscribed.contains(handle));
                self.complete(*handle, result.clone().map(drop));
                None
            }
            Event::Disconnected(cause) => {
                assert_eq!(cause.reason_code(), None, "{cause}");
                None
            }
            _ => None,
        }
    }

    fn complete(&mut self, handle: Handle, result: Result<(), Failure>) {
        let before = self.completed.insert(handle, result);
        assert_eq!(before, None, "{handle:?} is complete for the second time");
    }

    fn on_message(&mut self, delivery: &Delivery) -> Option<DeliveryId> {
        let (number, qos) = (number(delivery.message.payload()), delivery.message.qos());
        let Some(delivery_id) = delivery.delivery_id else {
            self.effects.push((number, qos));
            return None;
        };
        if qos == QoS::ExactlyOnce {
            let before = *self.deliveries.entry(number).or_insert(delivery_id);
            assert_eq!(before, delivery_id, "{number} has two delivery identifiers");
        }
        match self.done.insert(delivery_id, number) {
            None => self.effects.push((number, qos)),
            Some(before) => {
                assert_eq!(before, number, "{delivery_id:?} is of two messages");
                assert!(delivery.redelivered, "{number} is offered twice by one process");
            }
        }
        Some(delivery_id)
    }

    /// The numbers that took effect at a QoS, in their order.
    pub(crate) fn effects_at(&self, qos: QoS) -> Vec<u32> {
        self.effects.iter().filter(|(_, at)| *at == qos).map(|(number, _)| *number).collect()
    }
}
