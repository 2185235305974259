//! One run of a script, with what goes wrong.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Buf, BytesMut};
use sansio_mqtt::client::{
    Acknowledgement, CleanStart, Client, ConnectionId, Event, Failure, Handle, Options, Output,
    SessionLost, Store, Transmitted,
};
use sansio_mqtt::{Instant, Outgoing, Properties, Publish, QoS, Subscription, UnixTime, Version};

use crate::application::Application;
use crate::server::{Numbered, Server, payload};

/// What happens, but for what goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    pub(crate) name: &'static str,
    /// The QoS of each message that the client publishes.
    pub(crate) publishes: &'static [u8],
    /// The QoS of each message that the server sends.
    pub(crate) receives: &'static [u8],
    /// The receive maximum of both ends.
    pub(crate) window: u16,
    pub(crate) commits: Commits,
    /// After how many steps the transport breaks by itself, three times.
    pub(crate) breaks_after: usize,
    /// The connection at which the server has lost the session.
    pub(crate) loses_session_at: Option<usize>,
    pub(crate) session_lost: SessionLost,
    pub(crate) subscribes: bool,
}

/// When records are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commits {
    /// Before anything else happens.
    AtOnce,
    /// When there are so many of them, or nothing else happens.
    Grouped(usize),
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process dies when it is handed this output.
    Crash { output: usize, kept: Kept },
    /// The transport breaks after so many bytes to the server.
    CutToServer(usize),
    /// The transport breaks after so many bytes to the client.
    CutToClient(usize),
}

/// What reached the store of the records that were handed out and not reported as committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    None,
    Half,
    All,
}

/// How much happened, in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) outputs: usize,
    pub(crate) to_server: usize,
    pub(crate) to_client: usize,
}

pub(crate) struct Simulation<'a> {
    script: &'a Script,
    faults: &'a [Fault],
    client: Option<Client>,
    connection: Option<ConnectionId>,
    now: Instant,
    store: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Records that were handed out and not committed.
    handed_out: VecDeque<Store>,
    incoming: BytesMut,
    server: Server,
    application: Application,
    to_publish: VecDeque<Numbered>,
    subscribes: bool,
    /// Whether the application may call: what the process began with is safe.
    is_ready: bool,
    breaks: usize,
    steps: usize,
    extent: Extent,
    /// Messages and operations that a crash took before they were safe.
    excused: BTreeSet<u32>,
    excused_handles: BTreeSet<Handle>,
    /// The server has lost a session on this connection, which the application does not know yet.
    unaware: bool,
    /// A session was lost, and the connection that would have said so ended before it could: the
    /// next one goes on with a session that is not the client's, which nobody can know. The run
    /// ends here.
    deceived: bool,
}

const EPOCH: u64 = 1_700_000_000;

/// Runs a script to its end, and says how much happened.
pub(crate) fn run(script: &Script, version: Version, faults: &[Fault]) -> Extent {
    let mut simulation = Simulation::new(script, version, faults);
    simulation.start();
    simulation.go();
    simulation.check();
    simulation.extent
}

fn numbered(list: &[u8], first: u32) -> VecDeque<Numbered> {
    (first..).zip(list).map(|(number, qos)| (number, QoS::new(*qos).unwrap())).collect()
}

impl<'a> Simulation<'a> {
    fn new(script: &'a Script, version: Version, faults: &'a [Fault]) -> Self {
        let queue = numbered(script.receives, 1_000);
        Self {
            script,
            faults,
            client: None,
            connection: None,
            now: Instant::from_micros(0),
            store: BTreeMap::new(),
            handed_out: VecDeque::new(),
            incoming: BytesMut::new(),
            server: Server::new(version, script.window, script.loses_session_at, queue),
            application: Application::new(version),
            to_publish: numbered(script.publishes, 1),
            subscribes: script.subscribes,
            is_ready: false,
            breaks: 0,
            steps: 0,
            extent: Extent::default(),
            excused: BTreeSet::new(),
            excused_handles: BTreeSet::new(),
            unaware: false,
            deceived: false,
        }
    }

    fn client(&mut self) -> &mut Client {
        self.client.as_mut().unwrap()
    }

    /// A process begins, with what is in the store.
    fn start(&mut self) {
        let mut options = Options::new(self.application.version, "c");
        options.clean_start = match options.version {
            Version::V5 => CleanStart::First,
            _ => CleanStart::Never,
        };
        options.session_expiry_interval = u32::from(options.version.is_v5()) * 3_600;
        options.receive_maximum = self.script.window;
        options.maximum_in_flight = self.script.window;
        options.acknowledgement = Acknowledgement::Manual;
        options.session_lost = self.script.session_lost;
        self.is_ready = false;
        let unix_now = UnixTime::from_secs(EPOCH + self.now.as_micros() / 1_000_000);
        self.client = Some(Client::restore(options, self.now, unix_now, &self.store).unwrap());
    }

    /// The process dies.
    fn crash(&mut self, kept: Kept) {
        let kept = match kept {
            Kept::None => 0,
            Kept::Half => self.handed_out.len().div_ceil(2),
            Kept::All => self.handed_out.len(),
        };
        self.apply(kept);
        self.handed_out.clear();
        self.client = None;
        self.cut();
        let is_stored = |number: u32| {
            let payload = payload(number);
            let holds = |value: &Vec<u8>| {
                value.windows(payload.len()).any(|part| part == payload.as_bytes())
            };
            self.store.values().any(holds)
        };
        for (handle, (number, _)) in &self.application.published {
            if !is_stored(*number) {
                self.excused.insert(*number);
            }
            let suffix = handle.get().to_be_bytes();
            if !self.store.keys().any(|key| key.ends_with(&suffix)) {
                self.excused_handles.insert(*handle);
            }
        }
        self.excused_handles.extend(&self.application.subscribed);
        self.start();
    }

    /// The transport breaks.
    fn cut(&mut self) {
        self.server.close();
        self.deceived |= std::mem::take(&mut self.unaware);
        let (now, connection) = (self.now, self.connection.take());
        if let (Some(client), Some(connection)) = (&mut self.client, connection) {
            client.transport_closed(now, connection);
        }
        self.incoming.clear();
    }

    fn apply(&mut self, count: usize) {
        for store in self.handed_out.drain(..count) {
            match store.value {
                Some(value) => self.store.insert(store.key.to_vec(), value.to_vec()),
                None => self.store.remove(&store.key[..]),
            };
        }
    }

    fn commit(&mut self) {
        let last = self.handed_out.back().map(|store| store.sequence);
        self.apply(self.handed_out.len());
        if let Some(sequence) = last {
            self.client().committed(sequence);
            self.is_ready = true;
        }
    }

    fn go(&mut self) {
        while !self.deceived {
            assert!(self.extent.outputs < 5_000, "it does not come to an end");
            let output = self.client().poll_output();
            if let Output::Store(store) = &output {
                self.handed_out.push_back(store.clone());
            }
            self.extent.outputs += 1;
            let dies = self.faults.iter().find_map(|fault| match fault {
                Fault::Crash { output, kept } if *output + 1 == self.extent.outputs => Some(*kept),
                _ => None,
            });
            if let Some(kept) = dies {
                self.crash(kept);
                continue;
            }
            match output {
                Output::Store(_) => {
                    let most = match self.script.commits {
                        Commits::AtOnce => 1,
                        Commits::Grouped(most) => most,
                    };
                    if self.handed_out.len() >= most {
                        self.commit();
                    }
                }
                Output::Event(event) => {
                    if let Event::Connected(_) = event {
                        self.unaware = false;
                    }
                    let acknowledged = self.application.on_event(&event, &self.server);
                    if let Some(delivery_id) = acknowledged {
                        let now = self.now;
                        self.client().acknowledge(now, delivery_id).unwrap();
                    }
                }
                Output::Transmit(_) => self.transmit(),
                Output::Resume(_) => self.receive(),
                Output::Close(connection) => {
                    assert_eq!(self.connection, Some(connection));
                    self.cut();
                }
                Output::Timeout(_) => {
                    if !self.step() {
                        return;
                    }
                }
            }
        }
    }

    /// Something else happens, if anything is left to happen.
    fn step(&mut self) -> bool {
        self.steps += 1;
        self.now = self.now + std::time::Duration::from_millis(1);
        let breaks = self.script.breaks_after > 0
            && self.breaks < 3
            && self.steps.is_multiple_of(self.script.breaks_after);
        if breaks {
            self.breaks += 1;
            self.cut();
            return true;
        }
        if self.connection.is_none() {
            let now = self.now;
            self.connection = Some(self.client().transport_opened(now).unwrap());
            self.server.open();
            return true;
        }
        if self.steps.is_multiple_of(2) && self.call() {
            return true;
        }
        if self.server.tick() {
            self.deliver();
            return true;
        }
        if self.call() {
            return true;
        }
        if !self.handed_out.is_empty() {
            self.commit();
            return true;
        }
        false
    }

    /// The application calls.
    fn call(&mut self) -> bool {
        if !self.is_ready {
            return false;
        }
        let now = self.now;
        if std::mem::take(&mut self.subscribes) {
            let filters = [Subscription::new("t", QoS::ExactlyOnce)];
            let handle = self.client().subscribe(now, &filters, Properties::NONE).unwrap();
            let is_new = self.application.subscribed.insert(handle);
            assert!(is_new, "{handle:?} is used again");
            return true;
        }
        let Some((number, qos)) = self.to_publish.pop_front() else { return false };
        let payload = payload(number);
        let payload = payload.as_bytes();
        let publish = Publish { topic: "t", qos, payload, ..Publish::default() };
        let handle = self.client().publish(now, &publish).unwrap();
        assert!(!self.application.subscribed.contains(&handle), "{handle:?} is used again");
        let before = self.application.published.insert(handle, (number, qos));
        assert_eq!(before, None, "{handle:?} is used again");
        true
    }

    fn transmit(&mut self) {
        let mut outgoing = Outgoing::new();
        while let Some(connection) = self.connection {
            let now = self.now;
            let left = self.client().transmit(now, connection, 1, &mut outgoing);
            while outgoing.has_remaining() && self.connection.is_some() {
                self.pass_on(outgoing.chunk()[0]);
                outgoing.advance(1);
            }
            if left == Transmitted::All {
                return;
            }
        }
    }

    /// A byte goes to the server.
    fn pass_on(&mut self, byte: u8) {
        if self.faults.contains(&Fault::CutToServer(self.extent.to_server)) {
            self.extent.to_server += 1;
            return self.cut();
        }
        self.extent.to_server += 1;
        let lost = self.server.sessions_lost;
        let goes_on = self.server.receive(&[byte]);
        self.unaware |= self.server.sessions_lost > lost;
        if !goes_on {
            self.cut();
        }
        let offered = |number: &u32| self.application.effects.iter().any(|(one, _)| one == number);
        let wrong: Vec<&u32> =
            self.server.acknowledged.iter().filter(|one| !offered(one)).collect();
        assert!(wrong.is_empty(), "acknowledged and not offered: {wrong:?}");
    }

    /// What the server has said goes to the client.
    fn deliver(&mut self) {
        for byte in self.server.outgoing() {
            let cut = self.faults.contains(&Fault::CutToClient(self.extent.to_client));
            self.extent.to_client += 1;
            if cut {
                self.receive();
                return self.cut();
            }
            self.incoming.extend_from_slice(&[byte]);
        }
        self.receive();
    }

    fn receive(&mut self) {
        let (now, Some(connection)) = (self.now, self.connection) else { return };
        let mut incoming = std::mem::take(&mut self.incoming);
        let _ = self.client().receive(now, connection, &mut incoming);
        self.incoming = incoming;
    }
}

impl Simulation<'_> {
    /// Whether all is as promised.
    fn check(&self) {
        if self.deceived {
            return;
        }
        assert!(self.server.is_quiet() && self.to_publish.is_empty(), "not all is done");
        assert!(self.handed_out.is_empty());
        assert_eq!(self.client.as_ref().map(Client::held), Some(0));
        self.check_published();
        self.check_received();
        self.check_store();
    }

    fn check_published(&self) {
        let loses = self.server.sessions_lost > 0;
        for (handle, (number, qos)) in &self.application.published {
            let result = self.application.completed.get(handle);
            let excused = self.excused_handles.contains(handle);
            assert!(result.is_some() || excused, "nothing completes {number}");
            if let Some(Err(failure)) = result {
                // Before a message at QoS 0 is sent, a crash forgets it.
                assert!(loses && *failure == Failure::SessionLost, "{number}: {failure}");
            }
            let arrived = self.server.arrived.iter().filter(|one| one.0 == *number).count();
            let republished = loses && self.script.session_lost == SessionLost::Republish;
            if *qos == QoS::ExactlyOnce {
                assert!(arrived <= 1 || republished, "{number} arrived {arrived} times");
            }
            let may_be_lost = self.excused.contains(number)
                || *qos == QoS::AtMostOnce && !self.faults.is_empty()
                || *qos == QoS::AtMostOnce && self.script.breaks_after > 0
                || loses && !republished;
            assert!(arrived >= 1 || may_be_lost, "{number} did not arrive");
            if self.faults.is_empty() && self.script.breaks_after == 0 {
                assert_eq!(arrived, 1, "{number}");
            }
        }
        for handle in &self.application.subscribed {
            let complete = self.application.completed.contains_key(handle);
            assert!(complete || self.excused_handles.contains(handle));
        }
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let numbers = self.server.arrived.iter().filter(|one| one.1 == qos);
            check_order(numbers.map(|one| one.0));
        }
    }

    fn check_received(&self) {
        for (number, qos) in numbered(self.script.receives, 1_000) {
            let effects = self.application.effects.iter().filter(|one| one.0 == number).count();
            let may_be_lost = self.server.lost.contains(&number) || qos == QoS::AtMostOnce;
            assert!(effects >= 1 || may_be_lost, "{number} took no effect");
            if qos != QoS::AtLeastOnce {
                assert!(effects <= 1, "{number} took effect {effects} times");
            }
            let undisturbed = self.faults.is_empty() && self.script.breaks_after == 0;
            assert!(!undisturbed || effects == 1, "{number} took effect {effects} times");
        }
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            check_order(self.application.effects_at(qos).into_iter());
        }
    }

    /// What is left is the session alone.
    fn check_store(&self) {
        let keys: Vec<&Vec<u8>> = self.store.keys().filter(|key| key.len() > 1).collect();
        assert!(keys.is_empty(), "left behind in the store: {keys:?}");
    }
}

/// Whether numbers came in their order, each the first time.
fn check_order(numbers: impl Iterator<Item = u32>) {
    let mut seen = BTreeSet::new();
    for number in numbers {
        let last = seen.last().copied().unwrap_or_default();
        assert!(seen.contains(&number) || number > last, "{number} comes after {last}");
        seen.insert(number);
    }
}
