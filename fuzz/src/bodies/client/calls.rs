//! The calls of an application, made of an input: mostly right.

use std::time::Duration;

use bytes::Bytes;
use sansio_mqtt::client::{CallError, DeliveryId, Handle};
use sansio_mqtt::{
    Disconnect, Instant, Message, Properties, Property, Publish, QoS, ReasonCode, Subscription,
    TopicName,
};

use super::input::Input;
use super::ledger::Kind;
use super::options;
use super::world::World;

const TOPICS: [&str; 5] = ["a", "b/c", "c", "", "bad/#"];
const FILTERS: [&str; 6] = ["a", "b/+", "#", "$share/g/a", "b/#/c", "c"];

impl World<'_> {
    /// One call.
    pub(crate) fn call(&mut self) {
        match self.input.below(16) {
            0..=4 => self.publish(false),
            5 => self.publish(true),
            6 => self.publish_message(),
            7 => self.subscribe(),
            8 => self.unsubscribe(),
            9..=10 => self.acknowledge(),
            11 => self.authenticate(),
            12..=13 => self.disconnect(),
            _ => self.set_options(),
        }
    }

    fn publish(&mut self, request: bool) {
        let (choice, qos) = (self.input.byte(), any_qos(&mut self.input));
        let payload = self.payload();
        let expiry = [Property::MessageExpiryInterval(self.input.below(4) as u32)];
        let user = [Property::UserProperty("k", "v")];
        let wrong = [Property::TopicAlias(1)];
        let properties = match choice >> 3 & 7 {
            0 => Properties::List(&expiry),
            1 => Properties::List(&user),
            2 => Properties::List(&wrong),
            _ => Properties::NONE,
        };
        let topic = TOPICS[usize::from(choice >> 6)];
        let (retain, topic) = (choice & 7 == 7, if choice & 7 == 6 { TOPICS[4] } else { topic });
        let publish =
            Publish { topic, qos, retain, payload: &payload, properties, ..Publish::default() };
        let timeout = Duration::from_secs(1 + u64::from(choice >> 6));
        let kind = if request { Kind::Request(qos) } else { Kind::Publish(qos) };
        self.operate(kind, |client, now| match request {
            true => client.request(now, &publish, timeout),
            false => client.publish(now, &publish),
        });
    }

    fn publish_message(&mut self) {
        let qos = any_qos(&mut self.input);
        let topic = TopicName::new(TOPICS[self.input.below(3)]).expect("a name");
        let message = Message::new(topic, Bytes::from(self.payload())).with_qos(qos);
        self.operate(Kind::Publish(qos), |client, now| {
            client.publish_message(now, message.clone())
        });
    }

    /// Different each time, sometimes long.
    fn payload(&mut self) -> Vec<u8> {
        self.published += 1;
        let mut payload = self.published.to_be_bytes().to_vec();
        payload.resize(self.input.pick(&[4, 10, 40, 1_500]), b'x');
        payload
    }

    fn subscribe(&mut self) {
        let choice = self.input.byte();
        let mut one = Subscription::new(self.input.pick(&FILTERS), any_qos(&mut self.input));
        one.no_local = choice & 1 != 0 && self.setup.options.version.is_v5();
        let two = [one, Subscription::new("z", QoS::AtLeastOnce)];
        let subscriptions = if choice & 4 != 0 { &two[..] } else { &two[..1] };
        let identifier = [Property::SubscriptionIdentifier(7)];
        let properties =
            if choice & 8 != 0 { Properties::List(&identifier) } else { Properties::NONE };
        self.operate(Kind::Subscribe, |client, now| {
            client.subscribe(now, subscriptions, properties)
        });
    }

    fn unsubscribe(&mut self) {
        let filters = [self.input.pick(&FILTERS), self.input.pick(&FILTERS)];
        let filters = &filters[..self.input.below(3)];
        self.operate(Kind::Unsubscribe, |client, now| {
            client.unsubscribe(now, filters, Properties::NONE)
        });
    }

    fn operate(
        &mut self,
        kind: Kind,
        call: impl FnOnce(&mut sansio_mqtt::Client, Instant) -> Result<Handle, CallError>,
    ) {
        let result = self.checked(call);
        if let Ok(handle) = result {
            self.ledger.returned(handle, kind);
            let limit = self.setup.options.maximum_held;
            assert!(self.client.held() <= limit, "{} of {limit} held", self.client.held());
        }
    }

    fn acknowledge(&mut self) {
        let choice = self.input.byte();
        let known = self.ledger.unacknowledged.clone();
        let index = usize::from(choice >> 4);
        let id = match known.get(index % known.len().max(1)) {
            Some(id) if choice & 3 != 0 => *id,
            _ => DeliveryId::from_stored(u64::MAX - u64::from(choice)),
        };
        let code = ReasonCode::new(if choice & 12 == 12 { 0x97 } else { 0 });
        let user = [Property::UserProperty("why", "because")];
        let properties = if choice & 15 == 14 { Properties::List(&user) } else { Properties::NONE };
        let result = self.checked(|client, now| match code.get() {
            0 if properties.is_empty() => client.acknowledge(now, id),
            _ => client.acknowledge_with(now, id, code, properties),
        });
        let is_plain = code.get() == 0 && properties.is_empty();
        if known.contains(&id) && is_plain && self.is_manual() {
            assert_eq!(result, Ok(()), "{id:?} waits for it");
        }
        if result.is_ok() {
            self.ledger.unacknowledged.retain(|known| *known != id);
            let is_up = self.peer.is_up();
            self.peer.receipts.decide(id, code, is_up);
        }
    }

    fn authenticate(&mut self) {
        let again = self.input.flag();
        let data = self.input.flag().then_some(&b"more"[..]);
        let _ = self.checked(|client, now| match again {
            true => client.reauthenticate(now, data, Properties::NONE),
            false => client.authenticate(now, data, Properties::NONE),
        });
    }

    fn disconnect(&mut self) {
        let choice = self.input.byte();
        let expiry = [Property::SessionExpiryInterval(u32::from(choice >> 4 & 1) * 50)];
        let user = [Property::UserProperty("why", "because")];
        let properties = match choice & 7 {
            0 => Properties::List(&expiry),
            1 => Properties::List(&user),
            _ => Properties::NONE,
        };
        let reason_code = ReasonCode::new(self.input.pick(&[0, 4, 0x81, 0x18]));
        let reason_code = if choice & 8 != 0 { reason_code } else { ReasonCode::SUCCESS };
        let disconnect = Disconnect { reason_code, properties };
        let result = self.checked(|client, now| match choice & 32 != 0 {
            true => client.disconnect_now(now, &disconnect),
            false => client.disconnect(now, &disconnect),
        });
        if result.is_ok() && choice & 7 == 0 {
            // When it takes effect is not seen.
            self.peer.blur();
        }
    }

    fn set_options(&mut self) {
        let mut options = self.setup.options.clone();
        options::change(&mut options, &mut self.input);
        if self.input.rarely(8) {
            options.client_id.push('x');
        }
        if self.checked(|client, _| client.set_options(options.clone())).is_ok() {
            self.setup.options = options;
        }
    }
}

fn any_qos(input: &mut Input<'_>) -> QoS {
    input.pick(&[QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::AtMostOnce])
}
