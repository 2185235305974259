//! A command line client, like `mosquitto_pub` and `mosquitto_sub`, on blocking sockets.
//!
//! ```text
//! $ cargo run -q --example client -- sub -h test.mosquitto.org -t 'plant/+/temperature' -v &
//! $ cargo run -q --example client -- pub -h test.mosquitto.org -t plant/7/temperature -m 21.5
//! plant/7/temperature 21.5
//! ```
//!
//! `driver.rs` is what to copy for a client of one's own: the run loop around
//! [`sansio_mqtt::Client`]; with `transport.rs`, a socket that is connected again and again, and
//! `store.rs`, which keeps a session over crashes. `publisher.rs` and `subscriber.rs` are what this
//! program does with it all.
//!
//! `cargo run --example client -- --help` tells the rest.

mod app;
mod args;
mod calendar;
#[path = "../shared/clock.rs"]
mod clock;
mod driver;
mod ending;
mod output;
mod publisher;
mod retry;
mod store;
mod subscriber;
mod transport;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;
use std::{io, result};

use clap::Parser;
use sansio_mqtt::Client;
use sansio_mqtt::client::Options;

use self::args::{Args, Command};
use self::clock::Clock;
use self::driver::{Driver, Link};
use self::output::Output;
use self::publisher::Publisher;
use self::store::Store;
use self::subscriber::Subscriber;
use self::transport::{Dialer, Input};

type Result<T> = result::Result<T, Box<dyn Error>>;

/// How many inputs may wait for the loop; whoever has more waits himself.
const INPUTS: usize = 64;

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the output has seen enough of it.
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("client: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let (sender, inputs) = mpsc::sync_channel(INPUTS);
    let interrupts = sender.clone();
    ctrlc::set_handler(move || drop(interrupts.send(Input::Interrupt)))?;
    let clock = Clock::new();
    match command {
        Command::Pub(args) => {
            let (client, store) = open(args.options()?, args.link.data.as_deref(), clock)?;
            let dialer = Dialer::new(args.link.server(), sender.clone());
            let app = Publisher::new(args, &client, store.bookmark(), sender);
            Driver { client, store, app, clock, dialer, inputs, link: Link::default() }.run()
        }
        Command::Sub(args) => {
            let (client, store) = open(args.options()?, args.link.data.as_deref(), clock)?;
            let dialer = Dialer::new(args.link.server(), sender);
            let output = Output::open(&args, store.is_new())?;
            let app = Subscriber::new(args, output);
            Driver { client, store, app, clock, dialer, inputs, link: Link::default() }.run()
        }
    }
}

/// The client, with what an earlier run has stored if there is a folder for that.
fn open(options: Options, folder: Option<&Path>, clock: Clock) -> Result<(Client, Store)> {
    let Some(folder) = folder else { return Ok((Client::new(options)?, Store::none())) };
    let (store, records) =
        Store::open(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let client = Client::restore(options, clock.now(), calendar::unix_now(), records)?;
    Ok((client, store))
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
