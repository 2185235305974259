//! How connections end, and the program with one.

use std::io;

use sansio_mqtt::Disconnect;
use sansio_mqtt::client::DisconnectCause;

use super::app::App;
use super::driver::Driver;
use super::retry;
use super::transport::{Input, LINGER};

impl<A: App> Driver<A> {
    /// The transport is gone, or never came.
    pub(super) fn lost(&mut self, result: io::Result<()>) {
        let now = self.clock.now();
        let why = result.err().map(|error| error.to_string());
        if let Some((connection, transport)) = self.link.transport.take() {
            transport.abort();
            why.into_iter().for_each(|why| eprintln!("client: {why}"));
            self.client.transport_closed(now, connection);
        } else if self.dialer.due.is_none() && !self.link.ending {
            self.dialer.again(now, why.as_deref().unwrap_or("no connection"));
        }
    }

    /// The client has no more to send: the transport closes when the last of it is written.
    pub(super) fn close(&mut self) {
        self.link.transport = None;
        if self.link.ending {
            let (now, current) = (self.clock.now(), self.dialer.attempt);
            let pause =
                |driver: &Self| LINGER.saturating_sub(driver.clock.now().duration_since(now));
            while let Ok(input) = self.inputs.recv_timeout(pause(self))
                && !matches!(input, Input::Closed(attempt, _) if attempt == current)
            {}
        }
    }

    /// The connection has ended, but for the last bytes, which say why if it was this end.
    pub(super) fn disconnected(&mut self, cause: &DisconnectCause) {
        let why = retry::explain(cause);
        if retry::is_final(cause) {
            (self.link.ending, self.link.failure) = (true, Some(why));
        } else if !self.link.ending {
            self.dialer.again(self.clock.now(), &why);
        }
    }

    /// Ends the program when all is sent and acknowledged that was called for; asked for a second
    /// time, without that.
    pub(super) fn end(&mut self) {
        let (now, disconnect) = (self.clock.now(), Disconnect::default());
        let result = match self.link.ending {
            true => self.client.disconnect_now(now, &disconnect),
            false => self.client.disconnect(now, &disconnect),
        };
        let takes_nothing = self.link.ending && self.link.outgoing.is_none();
        self.link.ending = true;
        if result.is_err() || takes_nothing {
            // The server has not accepted the connection, or there is none, or it does not read.
            self.lost(Ok(()));
        }
    }
}
