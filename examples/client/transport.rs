//! The transport: a socket, a thread that connects it and reads from it, and one that writes.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use bytes::Buf;
use sansio_mqtt::{Instant, Outgoing};

use super::retry::Backoff;

/// How long a connection may take to come about, and the server to take more bytes.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the server has to take the last bytes, and to close its side.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// What the run loop waits for. Attempts to connect are numbered, so that what a thread says after
/// its attempt was given up does no harm.
pub(super) enum Input {
    Opened(u64, Transport),
    Bytes(u64, Vec<u8>),
    /// All is written: the buffer comes back.
    Written(u64, Outgoing),
    Closed(u64, io::Result<()>),
    /// A line of standard input, or its end.
    Line(io::Result<Option<Vec<u8>>>),
    Interrupt,
}

/// A connection, with the way to the thread that writes. Dropped, it is closed once all is written.
pub(super) struct Transport {
    stream: TcpStream,
    writer: SyncSender<Outgoing>,
}

impl Transport {
    /// Has this written. There is one buffer, so that nobody waits here.
    pub(super) fn write(&self, outgoing: Outgoing) {
        let _ = self.writer.send(outgoing);
    }

    /// Ends the connection at once.
    pub(super) fn abort(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
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
        let (writer, outgoings) = mpsc::sync_channel(1);
        let (output, to_loop) = (stream.try_clone()?, inputs.clone());
        thread::spawn(move || write_all(attempt, output, &outgoings, &to_loop));
        let transport = Transport { stream: stream.try_clone()?, writer };
        let _ = inputs.send(Input::Opened(attempt, transport));
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

/// The thread that writes, so that the loop never waits for the server. It ends with its
/// connection: when the loop has dropped it, all that is left is written. To close one at once,
/// with bytes of the server unread, makes the system throw away what is on its way to the server.
fn write_all(
    attempt: u64,
    mut stream: TcpStream,
    outgoings: &Receiver<Outgoing>,
    inputs: &SyncSender<Input>,
) {
    for mut outgoing in outgoings {
        if let Err(error) = write(&mut stream, &mut outgoing) {
            let _ = inputs.send(Input::Closed(attempt, Err(error)));
            break;
        }
        let _ = inputs.send(Input::Written(attempt, outgoing));
    }
    let _ = stream.shutdown(Shutdown::Write);
    thread::sleep(LINGER);
    let _ = stream.shutdown(Shutdown::Both);
}

/// Writes all there is, large payloads from where they are.
fn write(stream: &mut TcpStream, outgoing: &mut Outgoing) -> io::Result<()> {
    while outgoing.has_remaining() {
        let mut chunks = [IoSlice::new(&[]); 16];
        let count = outgoing.chunks_vectored(&mut chunks);
        match stream.write_vectored(chunks.get(..count).unwrap_or_default()) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => outgoing.advance(written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the server takes no bytes"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
