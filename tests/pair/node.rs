//! A client with its application.

use std::collections::{BTreeMap, VecDeque};

use sansio_mqtt::client::{
    Acknowledgement, CleanStart, Client, ConnectionId, DeliveryId, Event, Handle, Options,
};
use sansio_mqtt::{QoS, Version};

use crate::ledger::Ledger;
use crate::random::Random;

pub(crate) struct Node {
    pub(crate) client: Client,
    pub(crate) version: Version,
    pub(crate) filters: Vec<(String, QoS)>,
    pub(crate) subscribed: bool,
    /// Of the transport that it has.
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) numbers: BTreeMap<Handle, u32>,
    pub(crate) to_acknowledge: VecDeque<DeliveryId>,
    pub(crate) deadline: Option<u64>,
    pub(crate) reconnects_at: u64,
}

impl Node {
    pub(crate) fn new(number: usize, version: Version, late: bool, random: &mut Random) -> Self {
        let mut options = Options::new(version, format!("c{number}"));
        options.clean_start = if version.is_v5() { CleanStart::First } else { CleanStart::Never };
        options.session_expiry_interval = if version.is_v5() { u32::MAX } else { 0 };
        options.keep_alive = random.pick(&[60, 10]);
        options.receive_maximum = random.pick(&[1, 3, 20]);
        options.maximum_in_flight = random.pick(&[1, 4, 100]);
        options.acknowledgement =
            if late { Acknowledgement::Manual } else { Acknowledgement::Automatic };
        Self {
            client: Client::new(options).unwrap(),
            version,
            filters: Vec::new(),
            subscribed: false,
            connection: None,
            numbers: BTreeMap::new(),
            to_acknowledge: VecDeque::new(),
            deadline: None,
            reconnects_at: 0,
        }
    }

    /// Whether nothing is left to be done.
    pub(crate) fn is_idle(&self) -> bool {
        self.client.held() == 0 && self.to_acknowledge.is_empty() && self.connection.is_some()
    }

    pub(crate) fn hear(&mut self, own: usize, event: Event, ledger: &mut Ledger) {
        match event {
            Event::Message(delivery) => {
                let payload = delivery.message.payload();
                let number = u32::from_be_bytes(payload[..4].try_into().unwrap());
                ledger.receive(own, number, delivery.message.qos());
                self.to_acknowledge.extend(delivery.delivery_id.filter(|_| self.is_manual()));
            }
            Event::Published { handle, result } => {
                assert!(result.is_ok(), "{result:?}");
                ledger.delivered.extend(self.numbers.remove(&handle));
            }
            Event::Subscribed { result, .. } => {
                let answer = result.expect("an answer");
                assert!(answer.reason_codes.iter().all(|code| !code.is_error()));
                self.subscribed = true;
            }
            _ => {}
        }
    }

    fn is_manual(&self) -> bool {
        self.client.options().acknowledgement == Acknowledgement::Manual
    }
}
