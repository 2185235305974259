//! One connection, as its task and the hub share it: a socket, and what is on its way to it.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Buf;
use sansio_mqtt::broker::{Broker, ConnectionId, Transmitted};
use sansio_mqtt::{Instant, Outgoing};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time;

/// How many bytes are pulled from the broker at once.
const CHUNK: usize = 64 * 1024;

/// How long the client has to take the last bytes, and to close its side.
pub(super) const LINGER: Duration = Duration::from_secs(1);

pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) stream: TcpStream,
    /// What the socket did not take; without buffers if it took all.
    outgoing: Cell<Outgoing>,
    /// The socket takes no more: the task waits until it does.
    pub(super) is_blocked: Cell<bool>,
    /// The broker has more bytes.
    pub(super) has_output: Cell<bool>,
    /// The broker takes received bytes again.
    pub(super) resume: Cell<bool>,
    /// The broker has no more to say, and does not know the connection any more.
    pub(super) is_closed: Cell<bool>,
    /// What became of the socket.
    pub(super) error: Cell<Option<io::Error>>,
    /// Wakes the task up for one of these.
    pub(super) changed: Notify,
}

impl Peer {
    pub(super) fn new(address: SocketAddr, stream: TcpStream) -> Self {
        Self {
            address,
            stream,
            outgoing: Cell::default(),
            is_blocked: Cell::new(false),
            has_output: Cell::new(false),
            resume: Cell::new(false),
            is_closed: Cell::new(false),
            error: Cell::new(None),
            changed: Notify::new(),
        }
    }

    /// Writes as much as there is and the socket takes.
    pub(super) fn write(&self, broker: &mut Broker, now: Instant, id: ConnectionId) {
        let mut outgoing = self.outgoing.take();
        let result = self.try_write(broker, now, id, &mut outgoing);
        self.is_blocked.set(result.is_ok() && !outgoing.is_empty());
        if !outgoing.is_empty() {
            self.outgoing.set(outgoing);
            self.error.set(result.err());
            self.changed.notify_one();
        }
    }

    /// Pulls bytes only when the socket has taken those before; large payloads go out from where
    /// they are.
    fn try_write(
        &self,
        broker: &mut Broker,
        now: Instant,
        id: ConnectionId,
        outgoing: &mut Outgoing,
    ) -> io::Result<()> {
        loop {
            while outgoing.is_empty() {
                if !self.has_output.get() {
                    return Ok(());
                }
                let left = broker.transmit(now, id, CHUNK, outgoing);
                self.has_output.set(left == Transmitted::More);
            }
            let mut chunks = [IoSlice::new(&[]); 16];
            let count = outgoing.chunks_vectored(&mut chunks);
            match self.stream.try_write_vectored(chunks.get(..count).unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => outgoing.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// The broker is done with the connection: the client gets what was pulled. To close the socket
    /// with bytes of the client unread would make the system throw away what is on its way to it.
    pub(super) async fn finish(self) {
        let Self { mut stream, outgoing, .. } = self;
        let end = async {
            stream.write_all_buf(&mut outgoing.take()).await?;
            stream.shutdown().await?;
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
        };
        let _ = time::timeout(LINGER, end).await;
    }
}
