//! The transport: a socket, and a thread that connects it and reads from it.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use bytes::Buf;
use sansio_mqtt::{Instant, Outgoing};

use super::retry::Backoff;

/// How long a connection may take to come about, and the server to take more bytes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the run loop waits for. Attempts to connect are numbered, so that what a thread says after
/// its attempt was given up does no harm.
pub(super) enum Input {
    Opened(u64, TcpStream),
    Bytes(u64, Vec<u8>),
    Closed(u64, io::Result<()>),
    /// A line of standard input, or its end.
    Line(io::Result<Option<Vec<u8>>>),
    Interrupt,
}

/// Connects to the server, as often as it takes.
pub(super) struct Dialer {
    server: (String, u16),
    inputs: SyncSender<Input>,
    /// The attempt that counts.
    pub(super) attempt: u64,
    /// When the next one is due; `None` while there is one.
    pub(super) due: Option<Instant>,
    /// Since when there is a connection.
    pub(super) since: Option<Instant>,
    backoff: Backoff,
}

impl Dialer {
    pub(super) fn new(server: (String, u16), inputs: SyncSender<Input>) -> Self {
        let due = Some(Instant::default());
        Self { server, inputs, attempt: 0, due, since: None, backoff: Backoff::new() }
    }

    /// Connects, if it is time for that. What comes of it comes as [`Input`].
    pub(super) fn dial(&mut self, now: Instant) {
        if self.due.take_if(|due| *due <= now).is_some() {
            self.attempt = self.attempt.saturating_add(1);
            let (attempt, server, inputs) =
                (self.attempt, self.server.clone(), self.inputs.clone());
            thread::spawn(move || run(attempt, &server, &inputs));
        }
    }

    /// The attempt came to nothing, or its connection ended: there will be another one. Says why
    /// and when.
    pub(super) fn again(&mut self, now: Instant, why: &str) {
        let since = self.since.take().unwrap_or(now);
        let pause = self.backoff.pause(now.duration_since(since));
        self.due = Some(now + pause);
        let (host, port) = &self.server;
        eprintln!("client: {host}:{port}: {why}; again in {} s", pause.as_secs_f32());
    }
}

/// The thread of an attempt: it ends with its connection, or with the loop that it tells.
fn run(attempt: u64, server: &(String, u16), inputs: &SyncSender<Input>) {
    let result = connect(server).and_then(|mut stream| {
        let mut buffer = vec![0; 16 * 1024];
        let _ = inputs.send(Input::Opened(attempt, stream.try_clone()?));
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(len) => {
                    let bytes = buffer.get(..len).unwrap_or_default().to_vec();
                    let _ = inputs.send(Input::Bytes(attempt, bytes));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    });
    let _ = inputs.send(Input::Closed(attempt, result));
}

fn connect((host, port): &(String, u16)) -> io::Result<TcpStream> {
    let mut result = Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
    for address in (host.as_str(), *port).to_socket_addrs()? {
        result = TcpStream::connect_timeout(&address, PATIENCE);
        if let Ok(stream) = &result {
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            break;
        }
    }
    result
}

/// Writes all there is.
pub(super) fn write(mut stream: &TcpStream, outgoing: &mut Outgoing) -> io::Result<()> {
    io::copy(&mut outgoing.reader(), &mut stream).map(drop)
}

/// Says that no more is written. To close a connection at once, with bytes of the server unread,
/// makes the system throw away what is on its way to the server.
pub(super) fn finish(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
}

/// Ends the connection, and the thread that reads from it.
pub(super) fn close(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}
