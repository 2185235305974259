//! One connection: the task that reads its socket and writes to it.
//!
//! Nothing is read while the broker takes nothing, and nothing is pulled from the broker before the
//! socket has taken what was pulled before. An idle connection has no buffers.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use sansio_mqtt::Outgoing;
use sansio_mqtt::broker::{ConnectionId, Received, Transmitted};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::{task, time};

use super::hub::{Hub, Signals};

/// How many bytes are read at once.
const READ: usize = 16 * 1024;

/// How many bytes are pulled from the broker at once.
const CHUNK: usize = 64 * 1024;

/// The beginning of a packet that is smaller than this gets a buffer of its own size.
const SMALL: usize = 1024;

/// How long the client has to take the last bytes, and to close its side.
pub(super) const LINGER: Duration = Duration::from_secs(1);

struct Connection {
    hub: Hub,
    id: ConnectionId,
    signals: Rc<Signals>,
    stream: TcpStream,
    incoming: BytesMut,
    is_paused: bool,
    outgoing: Outgoing,
}

/// Lasts as long as the connection.
pub(super) async fn serve(hub: Hub, stream: TcpStream, address: SocketAddr) {
    let (id, signals) = match hub.open(address) {
        Ok(opened) => opened,
        Err(error) => return hub.log.say(format_args!("{address}: not served: {error}")),
    };
    let mut connection = Connection {
        hub,
        id,
        signals,
        stream,
        incoming: BytesMut::new(),
        is_paused: false,
        outgoing: Outgoing::new(),
    };
    let result = connection.run().await;
    if connection.signals.close.get() {
        connection.finish().await;
    } else {
        connection.hub.closed(id, result.err());
    }
}

impl Connection {
    /// Until the broker closes the connection, or the client.
    async fn run(&mut self) -> io::Result<()> {
        // Small packets are not held back in the hope of more.
        self.stream.set_nodelay(true)?;
        while !self.signals.close.get() {
            tokio::select! {
                () = self.signals.changed.notified() => {}
                ready = self.stream.writable(), if !self.outgoing.is_empty() => ready?,
                ready = self.stream.readable(), if !self.is_paused => {
                    ready?;
                    if !self.read()? {
                        return Ok(());
                    }
                    // Now it is the turn of those whom it was for.
                    task::yield_now().await;
                }
            }
            if self.signals.resume.take() {
                self.receive();
                task::yield_now().await;
            }
            self.write()?;
        }
        Ok(())
    }

    /// Reads once; `false` at the end.
    fn read(&mut self) -> io::Result<bool> {
        self.incoming.reserve(READ);
        match self.stream.try_read_buf(&mut self.incoming) {
            Ok(0) => return Ok(false),
            Ok(_) => self.receive(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.shrink(),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    fn receive(&mut self) {
        let (id, incoming) = (self.id, &mut self.incoming);
        let received = self.hub.call(|broker, now| broker.receive(now, id, incoming));
        self.is_paused = received == Received::Paused;
        self.shrink();
    }

    /// Keeps no room for bytes that may never come.
    fn shrink(&mut self) {
        if self.incoming.len() < SMALL {
            self.incoming = BytesMut::from(self.incoming.as_ref());
        }
    }

    /// Writes as much as the socket takes, large payloads from where they are.
    fn write(&mut self) -> io::Result<()> {
        loop {
            if self.outgoing.is_empty() {
                self.outgoing = Outgoing::new();
                if !self.pull() {
                    return Ok(());
                }
            }
            let mut chunks = [IoSlice::new(&[]); 16];
            let count = self.outgoing.chunks_vectored(&mut chunks);
            match self.stream.try_write_vectored(chunks.get(..count).unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.outgoing.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Pulls bytes from the broker; `false` if there are none.
    fn pull(&mut self) -> bool {
        while self.outgoing.is_empty() && self.signals.has_output.take() {
            let (id, outgoing) = (self.id, &mut self.outgoing);
            let left = self.hub.call(|broker, now| broker.transmit(now, id, CHUNK, outgoing));
            if left == Transmitted::More {
                self.signals.has_output.set(true);
            }
        }
        !self.outgoing.is_empty()
    }

    /// The broker is done with the connection: the client gets what was pulled. To close the socket
    /// with bytes of the client unread would make the system throw away what is on its way to it.
    async fn finish(self) {
        let Self { mut stream, mut outgoing, .. } = self;
        let end = async {
            stream.write_all_buf(&mut outgoing).await?;
            stream.shutdown().await?;
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
        };
        let _ = time::timeout(LINGER, end).await;
    }
}
