//! What a broker keeps of one connection.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use crate::broker::ack::Acks;
use crate::broker::event::ConnectRequest;
use crate::broker::inbound::Quota;
use crate::link::Link;
use crate::message::Message;
use crate::properties::Properties;
use crate::property::Property;
use crate::property_id::PropertyId;
use crate::qos::QoS;
use crate::time::Instant;

/// One connection: its stream, and how far it is.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) link: Link,
    pub(super) phase: Phase,
    /// The number of its session, from the CONNACK until it ends.
    pub(super) session: Option<u32>,
    pub(super) paused: Option<Pause>,
    /// In seconds; 0 for none.
    pub(super) keep_alive: u16,
    /// When the last packet came, or input that was paused went on.
    pub(super) last_received: Instant,
    pub(super) timer: Option<Instant>,
    pub(super) acks: Acks,
    pub(super) quota: Quota,
    /// Maximum QoS of what it sends.
    pub(super) maximum_qos: QoS,
    /// Whether the client wants Reason Strings and User Properties. v5 3.1.2.11.7
    pub(super) wants_problem_information: bool,
    /// The Session Expiry Interval of its CONNECT.
    pub(super) requested_expiry: u32,
    pub(super) will: Option<Box<Will>>,
    pub(super) authentication: Option<Box<Authentication>>,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Phase {
    AwaitConnect,
    /// The application's answer.
    AwaitAnswer(Box<ConnectRequest>),
    /// AUTH, before CONNACK.
    AwaitAuth(Box<ConnectRequest>),
    /// Anything.
    Up,
}

/// Why no more input is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// Until the application has answered.
    Answer,
    /// Until the outputs have been taken.
    Work,
    /// Until the client has taken what it was answered.
    Client,
}

/// The Will of a connection.
#[derive(Debug)]
pub(super) struct Will {
    /// Will Delay Interval, in seconds.
    pub(super) delay_interval: u32,
    pub(super) message: Message,
}

/// Enhanced authentication. v5 4.12
#[derive(Debug)]
pub(super) struct Authentication {
    pub(super) method: Box<str>,
    pub(super) turn: Turn,
}

/// Who has to say something in a re-authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// There is none.
    Nobody,
    /// The client.
    Client,
    /// The application.
    Application,
}

impl Connection {
    pub(super) fn new(link: Link, now: Instant) -> Self {
        Self {
            link,
            phase: Phase::AwaitConnect,
            session: None,
            paused: None,
            keep_alive: 0,
            last_received: now,
            timer: None,
            acks: Acks::default(),
            quota: Quota::default(),
            maximum_qos: QoS::ExactlyOnce,
            wants_problem_information: true,
            requested_expiry: 0,
            will: None,
            authentication: None,
        }
    }

    pub(super) const fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up) && !self.link.is_closing()
    }

    /// The properties, without those that the client may not want. v5 3.1.2.11.7
    pub(super) fn wanted<'a>(&self, properties: &Properties<'a>) -> Vec<Property<'a>> {
        let is_problem_information =
            |id| matches!(id, PropertyId::ReasonString | PropertyId::UserProperty);
        let wants = self.wants_problem_information;
        let is_wanted = |one: &Property<'_>| wants || !is_problem_information(one.id());
        properties.iter().filter(is_wanted).collect()
    }

    /// When something is due, unless something else happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let silent = self.silent_until().filter(|_| self.is_up());
        [self.link.deadline, silent].into_iter().flatten().min()
    }

    /// When the client has been silent for too long. It is not blamed for what is not read.
    /// v5 [MQTT-3.1.2-22], v3.1.1 [MQTT-3.1.2-24]
    fn silent_until(&self) -> Option<Instant> {
        match self.paused {
            Some(Pause::Answer | Pause::Work) => None,
            Some(Pause::Client) | None if self.keep_alive > 0 => {
                let millis = u64::from(self.keep_alive).saturating_mul(1500);
                Some(self.last_received + Duration::from_millis(millis))
            }
            Some(Pause::Client) | None => None,
        }
    }
}
