//! `sub`: subscribes, and writes down what comes.

use sansio_mqtt::client::{Answer, DeliveryId, Event, Failure};
use sansio_mqtt::{Client, Instant, Properties, RetainHandling, Subscription};

use super::Result;
use super::app::App;
use super::args::Sub;
use super::output::Output;

pub(super) struct Subscriber {
    args: Sub,
    output: Output,
    subscription: State,
    /// What was written and not acknowledged.
    written: Vec<DeliveryId>,
    /// Whether something was written that is not safe yet.
    unflushed: bool,
    count: u64,
}

/// How far the subscription is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    ToBeMade,
    AwaitSubAck,
    Made,
}

impl Subscriber {
    pub(super) fn new(args: Sub, output: Output) -> Self {
        let (subscription, written) = (State::ToBeMade, Vec::new());
        Self { args, output, subscription, written, unflushed: false, count: 0 }
    }

    /// Subscribes, if the server knows nothing of it. An earlier run may have crashed before it
    /// did: so the first connection subscribes whether there is a session or not.
    fn on_connected(&mut self, client: &mut Client, now: Instant, session: bool) -> Result<()> {
        if !session && self.subscription == State::Made {
            self.subscription = State::ToBeMade;
        }
        if self.subscription != State::ToBeMade {
            return Ok(());
        }
        let is_v5 = client.options().version.is_v5();
        let subscriptions: Vec<Subscription<'_>> = (self.args.topic.iter())
            .map(|filter| Subscription {
                retain_handling: match is_v5 && session {
                    true => RetainHandling::SendAtSubscribeIfNew,
                    false => RetainHandling::SendAtSubscribe,
                },
                ..Subscription::new(filter, self.args.qos)
            })
            .collect();
        client.subscribe(now, &subscriptions, Properties::NONE)?;
        self.subscription = State::AwaitSubAck;
        Ok(())
    }

    fn on_subscribed(&mut self, result: std::result::Result<Answer, Failure>) -> Result<()> {
        let answer = match result {
            Ok(answer) => answer,
            Err(Failure::ConnectionLost) => {
                self.subscription = State::ToBeMade;
                return Ok(());
            }
            Err(failure) => return Err(format!("subscription: {failure}").into()),
        };
        self.subscription = State::Made;
        for (filter, code) in self.args.topic.iter().zip(&answer.reason_codes) {
            if code.is_error() {
                eprintln!("client: subscription to {filter}: refused with {code}");
            }
        }
        match answer.reason_codes.iter().all(|code| code.is_error()) {
            true => Err("no subscription was accepted".into()),
            false => Ok(()),
        }
    }
}

impl App for Subscriber {
    fn on_start(&mut self, _: &mut Client, _: Instant) -> Result<()> {
        Ok(())
    }

    fn on_event(&mut self, client: &mut Client, now: Instant, event: Event) -> Result<()> {
        match event {
            Event::Connected(connected) => {
                self.on_connected(client, now, connected.session_present)
            }
            Event::Subscribed { result, .. } => self.on_subscribed(result),
            // One too many waits for the next run, if there is a session to wait in.
            Event::Message(delivery) if !self.is_done() => {
                let is_new = self.output.write(&delivery)?;
                self.unflushed = true;
                self.count += u64::from(is_new);
                self.written.extend(delivery.delivery_id);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn on_line(&mut self, _: &mut Client, _: Instant, _: Option<&[u8]>) -> Result<()> {
        Ok(())
    }

    /// Acknowledges what is written, and safe.
    fn on_idle(&mut self, client: &mut Client, now: Instant) -> Result<bool> {
        if !std::mem::take(&mut self.unflushed) {
            return Ok(false);
        }
        self.output.flush()?;
        for delivery_id in self.written.drain(..) {
            client.acknowledge(now, delivery_id)?;
        }
        Ok(true)
    }

    fn bookmark(&self) -> u64 {
        0
    }

    fn is_done(&self) -> bool {
        self.args.count.is_some_and(|count| self.count >= count)
    }

    fn verdict(&self, _: &Client) -> Result<()> {
        Ok(())
    }
}
