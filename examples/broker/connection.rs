//! The task of one connection: reads its socket, and waits for it to take more where it took no
//! more. Nothing is read while the broker takes nothing. An idle connection has no buffers.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::BytesMut;
use sansio_mqtt::broker::{ConnectionId, Received};
use tokio::net::TcpStream;
use tokio::task;

use super::hub::Hub;
use super::peer::Peer;

/// How many bytes are read at once, unless more of one packet are there. They hold fewer messages
/// than may wait for a client by default: who takes what comes after each read loses nothing.
const READ: usize = 4 * 1024;

/// The beginning of a packet that is smaller than this gets a buffer of its own size.
const SMALL: usize = 1024;

struct Connection {
    hub: Hub,
    id: ConnectionId,
    peer: Rc<Peer>,
    incoming: BytesMut,
    is_paused: bool,
}

/// Lasts as long as the connection.
pub(super) async fn serve(hub: Hub, stream: TcpStream, address: SocketAddr) {
    let (id, peer) = match hub.open(stream, address) {
        Ok(opened) => opened,
        Err(error) => return hub.log.say(format_args!("{address}: not served: {error}")),
    };
    let mut connection = Connection { hub, id, peer, incoming: BytesMut::new(), is_paused: false };
    let result = connection.run().await;
    let Connection { hub, peer, .. } = connection;
    if !peer.is_closed.get() {
        hub.closed(id, result.err());
    } else if let Some(peer) = Rc::into_inner(peer) {
        peer.finish().await;
    }
}

impl Connection {
    /// Until the broker closes the connection, or the client.
    async fn run(&mut self) -> io::Result<()> {
        let peer = Rc::clone(&self.peer);
        // Small packets are not held back in the hope of more.
        peer.stream.set_nodelay(true)?;
        while !peer.is_closed.get() {
            tokio::select! {
                () = peer.changed.notified() => {}
                ready = peer.stream.writable(), if peer.is_blocked.get() => {
                    ready?;
                    self.hub.write(self.id);
                }
                ready = peer.stream.readable(), if !self.is_paused => {
                    ready?;
                    if !self.read()? {
                        return Ok(());
                    }
                    // Now it is the turn of the others.
                    task::yield_now().await;
                }
            }
            if let Some(error) = peer.error.take() {
                return Err(error);
            }
            if peer.resume.take() {
                self.receive();
                task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Reads once; `false` at the end.
    fn read(&mut self) -> io::Result<bool> {
        self.incoming.reserve(self.incoming.len().max(READ));
        match self.peer.stream.try_read_buf(&mut self.incoming) {
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
}
