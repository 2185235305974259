//! Accepts connections, keeps the time, and ends it all in good order.

use std::net::SocketAddr;
use std::panic;
use std::time::Duration;

use sansio_mqtt::{Disconnect, ReasonCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{self, JoinError, JoinSet};
use tokio::time;

use super::connection;
use super::hub::Hub;
use super::log::Log;
use super::peer::LINGER;
use super::statistics;

/// How long nothing is accepted after that was not possible: most often because there are too many
/// open files. For so long one connection too many waits for another to end.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Server {
    pub(super) hub: Hub,
    pub(super) maximum_connections: usize,
    /// How often to publish statistics, if ever.
    pub(super) statistics: Option<Duration>,
    /// How long a client has to take the last bytes.
    pub(super) patience: Duration,
}

impl Server {
    /// Until it is interrupted.
    pub(super) async fn run(self, listener: TcpListener, interrupted: &Notify) {
        task::spawn_local(keep_time(self.hub.clone()));
        if let Some(interval) = self.statistics {
            task::spawn_local(publish_statistics(self.hub.clone(), interval));
        }
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = interrupted.notified() => break,
                Some(ended) = connections.join_next() => check(ended),
                (stream, address) = accept(&listener, self.hub.log) => {
                    // Those among them that only linger are not known to the broker.
                    if connections.len() >= self.maximum_connections
                        && let Ok(Some(ended)) = time::timeout(PAUSE, connections.join_next()).await
                    {
                        // It had been closed, which nobody had heard of yet.
                        check(ended);
                    }
                    if connections.len() < self.maximum_connections {
                        let hub = self.hub.clone();
                        connections.spawn_local(connection::serve(hub, stream, address));
                    } else {
                        self.hub.log.say(format_args!("{address}: not served: too many connections"));
                    }
                }
            }
        }
        drop(listener);
        self.shut_down(connections).await;
    }

    /// Tells all clients, and waits until they are gone.
    async fn shut_down(self, mut connections: JoinSet<()>) {
        self.hub.log.say(format_args!("shutting down"));
        let disconnect =
            Disconnect { reason_code: ReasonCode::SERVER_SHUTTING_DOWN, ..Disconnect::default() };
        if let Err(error) = self.hub.call(|broker, now| broker.shut_down(now, &disconnect)) {
            self.hub.log.warn(format_args!("shutting down: {error}"));
        }
        let all = async {
            while let Some(ended) = connections.join_next().await {
                check(ended);
            }
        };
        if time::timeout(self.patience + 2 * LINGER, all).await.is_err() {
            self.hub.log.warn(format_args!("{} connections did not end", connections.len()));
        }
    }
}

/// A broker that panicked is in no state to go on.
fn check(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(reason) = error.try_into_panic()
    {
        panic::resume_unwind(reason);
    }
}

async fn accept(listener: &TcpListener, log: Log) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => log.warn(format_args!("a connection that cannot be accepted: {error}")),
        }
        time::sleep(PAUSE).await;
    }
}

/// Calls the broker when something is due. What is put off is looked at all the same when it would
/// have been due, which happens once in a while; what is brought forward is waited for anew.
async fn keep_time(hub: Hub) {
    loop {
        let due = async {
            match hub.deadline.get() {
                Some(at) => time::sleep(at.duration_since(hub.log.clock.now())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = hub.is_earlier.notified() => {}
            () = due => hub.call(|broker, now| broker.handle_timeout(now)),
        }
    }
}

async fn publish_statistics(hub: Hub, interval: Duration) {
    let mut ticks = time::interval(interval);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        if let Err(error) = hub.call(statistics::publish) {
            hub.log.warn(format_args!("statistics: {error}"));
        }
    }
}
