//! A broker over TCP, on tokio.
//!
//! ```text
//! $ cargo run -q --release --example broker &
//! listening on 127.0.0.1:1883
//! $ mosquitto_sub -t 'plant/+/temperature' -v &
//! $ mosquitto_pub -t plant/7/temperature -m 21.5
//! plant/7/temperature 21.5
//! ```
//!
//! All runs on one thread, as one [`sansio_mqtt::broker::Broker`] does: it decides in well under a
//! microsecond, and what takes time is the system's part of sending and receiving.
//!
//! `hub.rs` is what to copy for a broker of one's own: it has the machine, and does what the
//! machine asks for; with `peer.rs` and `connection.rs`, a socket and its task, and `server.rs`,
//! which accepts them, keeps the time and ends it all. `door.rs` and `users.rs` are this program's
//! idea of who may come in; who is in may do everything, but for topics that begin with `$`.
//!
//! `cargo run --example broker -- --help` tells the rest.

mod args;
#[path = "../shared/clock.rs"]
mod clock;
mod connection;
mod door;
mod hub;
mod limits;
mod log;
mod peer;
mod server;
mod statistics;
mod users;

use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, result};

use clap::Parser;
use sansio_mqtt::broker::{AllowAll, Broker};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::Notify;

use self::args::Args;
use self::clock::Clock;
use self::door::Door;
use self::hub::Hub;
use self::log::Log;
use self::server::Server;
use self::users::Users;

type Result<T> = result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("broker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    if let Some(user) = &args.hash_password {
        return Ok(writeln!(io::stdout(), "{}", users::new_line(user)?)?);
    }
    let log = Log::new(args.level(), Clock::new());
    // Nobody knows it outside of this process.
    let seed = RandomState::new().hash_one(process::id());
    let broker = Broker::new(args.limits.options(seed), Box::new(AllowAll));
    let hub = Hub::new(broker, door(args)?, log);
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build_local(LocalOptions::default())?;
    runtime.block_on(serve(args, hub))
}

async fn serve(args: &Args, hub: Hub) -> Result<()> {
    let listener = TcpListener::bind(&args.listen)
        .await
        .map_err(|error| format!("{}: {error}", args.listen))?;
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() && args.is_open() {
        hub.log.warn(format_args!("everybody who reaches {address} is let in: no --password-file"));
    }
    let interrupted = interrupts()?;
    let mut stdout = io::stdout();
    writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush())?;
    let server = Server {
        hub,
        maximum_connections: args.limits.max_connections,
        statistics: args.sys_interval(),
        patience: args.limits.close_timeout(),
    };
    server.run(listener, &interrupted).await;
    Ok(())
}

/// Who is let in, as the arguments say.
fn door(args: &Args) -> Result<Door> {
    let Some(path) = &args.password_file else { return Ok(Door::open()) };
    let users = fs::read_to_string(path)
        .map_err(Box::from)
        .and_then(|text| Users::parse(&text))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Door::with_users(users, args.allow_anonymous))
}

/// Tells of the first SIGINT or SIGTERM. The second one ends the process.
fn interrupts() -> Result<Arc<Notify>> {
    let interrupted = Arc::new(Notify::new());
    let (sender, is_second) = (Arc::clone(&interrupted), AtomicBool::new(false));
    ctrlc::set_handler(move || {
        if is_second.swap(true, Ordering::Relaxed) {
            process::exit(1);
        }
        sender.notify_one();
    })?;
    Ok(interrupted)
}
