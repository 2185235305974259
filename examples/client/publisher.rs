//! `pub`: publishes, and ends when all is acknowledged.

use std::collections::VecDeque;
use std::io::{self, BufRead};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread;

use sansio_mqtt::client::{CallError, Event};
use sansio_mqtt::{Client, Instant, Publish};

use super::Result;
use super::app::App;
use super::args::Pub;
use super::transport::Input;

/// How many lines may be on their way: more are read when some have arrived.
const ON_THEIR_WAY: usize = 1_000;

pub(super) struct Publisher {
    args: Pub,
    /// Messages that no event has completed.
    waiting: usize,
    failed: usize,
    /// Lines that the client has no room for yet.
    backlog: VecDeque<Vec<u8>>,
    /// Lines taken in, those of an earlier run included that this one goes on with.
    lines: u64,
    /// Lines that an earlier run took in.
    skip: u64,
    input_ended: bool,
    /// Who reads the lines waits for one of these before each of them.
    permits: Sender<()>,
}

impl Publisher {
    /// With the messages of an earlier run, and the number of lines that it took in.
    pub(super) fn new(
        args: Pub,
        client: &Client,
        bookmark: u64,
        inputs: SyncSender<Input>,
    ) -> Self {
        let (permits, permitted) = mpsc::channel();
        let skip = if args.resume { bookmark } else { 0 };
        if args.stdin_line {
            let _ = (0..ON_THEIR_WAY).try_for_each(|_| permits.send(()));
            thread::spawn(move || read_lines(&permitted, &inputs));
        }
        if skip > 0 {
            eprintln!("client: going on after line {skip}");
        }
        let (waiting, input_ended) = (client.held(), !args.stdin_line);
        let backlog = VecDeque::new();
        Self { args, waiting, failed: 0, backlog, lines: 0, skip, input_ended, permits }
    }

    fn publish(
        &mut self,
        client: &mut Client,
        now: Instant,
        payload: &[u8],
    ) -> std::result::Result<(), CallError> {
        let properties = self.args.properties();
        let publish = Publish {
            qos: self.args.qos,
            retain: self.args.retain,
            topic: &self.args.topic,
            properties: (&properties[..]).into(),
            payload,
            ..Publish::default()
        };
        client.publish(now, &publish)?;
        self.waiting += 1;
        Ok(())
    }

    /// Takes in the lines that there is room for. What cannot be published has failed, as it would
    /// have if that had turned out later, and keeps back no other.
    fn take_lines(&mut self, client: &mut Client, now: Instant) {
        while let Some(line) = self.backlog.pop_front() {
            let is_new = self.lines >= self.skip;
            match if is_new { self.publish(client, now, &line) } else { Ok(()) } {
                Err(CallError::QueueFull) if self.waiting > 0 => {
                    self.backlog.push_front(line);
                    break;
                }
                Err(error) => {
                    eprintln!("client: line {}: {error}", self.lines + 1);
                    self.failed += 1;
                    self.permit_line();
                }
                Ok(()) if is_new => {}
                Ok(()) => self.permit_line(),
            }
            self.lines += 1;
        }
    }

    fn permit_line(&self) {
        // All are read if nobody is there to take it.
        let _ = self.permits.send(());
    }
}

impl App for Publisher {
    fn on_start(&mut self, client: &mut Client, now: Instant) -> Result<()> {
        let Some(payload) = self.args.message.take() else { return Ok(()) };
        Ok(self.publish(client, now, payload.as_bytes())?)
    }

    fn on_event(&mut self, client: &mut Client, now: Instant, event: Event) -> Result<()> {
        let Event::Published { handle, result } = event else { return Ok(()) };
        if let Err(failure) = result {
            eprintln!("client: message {}: {failure}", handle.get());
            self.failed += 1;
        }
        self.waiting = self.waiting.saturating_sub(1);
        self.permit_line();
        self.take_lines(client, now);
        Ok(())
    }

    fn on_line(&mut self, client: &mut Client, now: Instant, line: Option<&[u8]>) -> Result<()> {
        let Some(line) = line else {
            self.input_ended = true;
            return Ok(());
        };
        self.backlog.push_back(line.into());
        self.take_lines(client, now);
        Ok(())
    }

    fn on_idle(&mut self, _: &mut Client, _: Instant) -> Result<bool> {
        Ok(false)
    }

    fn bookmark(&self) -> u64 {
        // The next run begins at the first line of its own input.
        if self.is_done() { 0 } else { self.lines.max(self.skip) }
    }

    fn is_done(&self) -> bool {
        self.input_ended && self.waiting == 0 && self.backlog.is_empty()
    }

    fn verdict(&self, client: &Client) -> Result<()> {
        match (client.held(), self.failed) {
            (0, 0) => Ok(()),
            (held, 0) if self.args.link.data.is_some() => {
                eprintln!("client: {held} messages are kept for the next run");
                Ok(())
            }
            (0, failed) => Err(format!("{failed} messages failed").into()),
            (held, failed) => {
                Err(format!("{failed} messages failed, {held} are not acknowledged").into())
            }
        }
    }
}

/// Reads lines, without their ends, one for each permit.
fn read_lines(permitted: &Receiver<()>, inputs: &SyncSender<Input>) {
    let mut lines = io::stdin().lock().split(b'\n');
    while permitted.recv().is_ok() {
        let line = lines.next().transpose();
        let is_last = !matches!(line, Ok(Some(_)));
        if inputs.send(Input::Line(line)).is_err() || is_last {
            break;
        }
    }
}
