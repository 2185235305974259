//! What this program does with its client, as the run loop sees it.

use sansio_mqtt::client::Event;
use sansio_mqtt::{Client, Instant};

use super::Result;

pub(super) trait App {
    /// Before there is a connection.
    fn on_start(&mut self, client: &mut Client, now: Instant) -> Result<()>;

    /// An event of the client, all but the end of a connection.
    fn on_event(&mut self, client: &mut Client, now: Instant, event: Event) -> Result<()>;

    /// A line of standard input, or its end.
    fn on_line(&mut self, client: &mut Client, now: Instant, line: Option<&[u8]>) -> Result<()>;

    /// There are no more events for now. `true` if the client was called.
    fn on_idle(&mut self, client: &mut Client, now: Instant) -> Result<bool>;

    /// A number to be stored in one go with the records of the calls made so far.
    fn bookmark(&self) -> u64;

    /// Whether the program is to end.
    fn is_done(&self) -> bool;

    /// What there is to say at the end.
    fn verdict(&self, client: &Client) -> Result<()>;
}
