//! The run loop around a client: between it, the transport, the store and the application.
//! `ending.rs` has how that ends.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use bytes::BytesMut;
use sansio_mqtt::client::{ConnectionId, Event, Output, Transmitted};
use sansio_mqtt::{Client, Instant, Outgoing};

use super::Result;
use super::app::App;
use super::clock::Clock;
use super::store::Store;
use super::transport::{Dialer, Input, Transport};

/// How many bytes are pulled from the client at once.
const CHUNK: usize = 16 * 1024;

pub(super) struct Driver<A> {
    pub(super) client: Client,
    pub(super) store: Store,
    pub(super) app: A,
    pub(super) clock: Clock,
    pub(super) dialer: Dialer,
    pub(super) inputs: Receiver<Input>,
    pub(super) link: Link,
}

/// The connection, and what is on its way.
#[derive(Default)]
pub(super) struct Link {
    pub(super) transport: Option<(ConnectionId, Transport)>,
    incoming: BytesMut,
    /// `None` while it is being written.
    pub(super) outgoing: Option<Outgoing>,
    /// Whether the client has more bytes than were pulled.
    is_ready: bool,
    /// Whether the program ends with the connection.
    pub(super) ending: bool,
    /// Why it does, if there is no other way.
    pub(super) failure: Option<String>,
}

impl<A: App> Driver<A> {
    pub(super) fn run(mut self) -> Result<()> {
        self.app.on_start(&mut self.client, self.clock.now())?;
        loop {
            match self.client.poll_output() {
                Output::Store(record) => self.store.put(record),
                Output::Event(Event::Disconnected(cause)) => self.disconnected(&cause),
                Output::Event(event) => {
                    self.app.on_event(&mut self.client, self.clock.now(), event)?;
                }
                Output::Transmit(_) => {
                    self.link.is_ready = true;
                    self.transmit();
                }
                Output::Resume(_) => self.receive(),
                Output::Close(_) => self.close(),
                Output::Timeout(_) if self.settle()? => {}
                Output::Timeout(_) if self.link.ending && self.link.transport.is_none() => break,
                Output::Timeout(deadline) => self.wait(deadline)?,
            }
        }
        match self.link.failure {
            Some(why) => Err(why.into()),
            None => self.app.verdict(&self.client),
        }
    }

    /// Does one of the things that have time until the client has no more outputs; `false` if
    /// there is none. Records are committed here: many in one go, and what waits for them next.
    fn settle(&mut self) -> Result<bool> {
        if self.store.has_news(self.app.bookmark()) {
            let sequence = self.store.commit(self.app.bookmark())?;
            sequence.into_iter().for_each(|sequence| self.client.committed(sequence));
        } else if self.app.on_idle(&mut self.client, self.clock.now())? {
            return Ok(true);
        } else if self.app.is_done() && !self.link.ending {
            self.end();
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Waits until something comes in or is due. By now the application has acknowledged all it
    /// has, so that the client has not paused its input: there is nothing that may not come.
    fn wait(&mut self, deadline: Option<Instant>) -> Result<()> {
        let now = self.clock.now();
        if !self.link.ending {
            self.dialer.dial(now);
        }
        let deadline = deadline.into_iter().chain(self.dialer.due).min();
        let pause = deadline.map_or(Duration::MAX, |deadline| deadline.duration_since(now));
        let mut input = self.inputs.recv_timeout(pause).ok();
        while let Some(next) = input {
            // More lines go with the first, so that one commit does for all.
            let more = matches!(next, Input::Line(_));
            self.on_input(next)?;
            input = if more { self.inputs.try_recv().ok() } else { None };
        }
        self.client.handle_timeout(self.clock.now());
        Ok(())
    }

    fn on_input(&mut self, input: Input) -> Result<()> {
        let (now, current) = (self.clock.now(), self.dialer.attempt);
        match input {
            Input::Opened(attempt, transport) if attempt == current && !self.link.ending => {
                self.dialer.since = Some(now);
                self.link = Link {
                    transport: Some((self.client.transport_opened(now)?, transport)),
                    outgoing: Some(Outgoing::new()),
                    ..Link::default()
                };
            }
            Input::Written(attempt, outgoing) if attempt == current => {
                self.link.outgoing = Some(outgoing);
                self.transmit();
            }
            Input::Bytes(attempt, bytes) if attempt == current => {
                self.link.incoming.extend_from_slice(&bytes);
                self.receive();
            }
            Input::Closed(attempt, result) if attempt == current => self.lost(result),
            Input::Line(line) if !self.link.ending => {
                self.app.on_line(&mut self.client, now, line?.as_deref())?;
            }
            Input::Interrupt => self.end(),
            _ => {}
        }
        Ok(())
    }

    fn receive(&mut self) {
        let Some((connection, _)) = &self.link.transport else { return };
        let _ = self.client.receive(self.clock.now(), *connection, &mut self.link.incoming);
    }

    /// Pulls what the writer has time for.
    fn transmit(&mut self) {
        let Link { transport: Some((connection, transport)), outgoing, is_ready, .. } =
            &mut self.link
        else {
            return;
        };
        let Some(mut bytes) = outgoing.take_if(|_| *is_ready) else { return };
        let left = self.client.transmit(self.clock.now(), *connection, CHUNK, &mut bytes);
        *is_ready = left == Transmitted::More;
        transport.write(bytes);
    }
}
