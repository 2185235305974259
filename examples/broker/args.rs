//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser};

use super::limits::Limits;
use super::log::Level;

/// Serves MQTT 3.1, 3.1.1 and 5.0 over TCP.
///
/// Prints `listening on ADDRESS` when it does, and then on standard error who comes and goes. The
/// first interrupt (Ctrl-C, or SIGTERM) disconnects everybody in good order, the second one ends
/// it at once. What it holds it holds in memory, and is gone with it.
#[derive(Debug, Parser)]
#[command(
    name = "broker",
    after_help = "\
Exit codes: 0 interrupted; 1 failed, or interrupted twice; 2 wrong usage.

Examples:
  broker
  broker --listen 127.0.0.1:0 --sys-interval 1 --verbose
  broker --hash-password meter-7 <password >>passwords
  broker --listen 0.0.0.0:1883 --password-file passwords --max-connections 10000"
)]
pub(super) struct Args {
    /// Address and port to listen on; port 0 for one that is free
    #[arg(short, long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:1883")]
    pub(super) listen: String,

    /// Let in who has a password in this file, a line `user:HASH` each; without it everybody
    #[arg(long, value_name = "FILE", help_heading = "Who is let in")]
    pub(super) password_file: Option<PathBuf>,

    /// Let in too who says no name
    #[arg(long, requires = "password_file", help_heading = "Who is let in")]
    pub(super) allow_anonymous: bool,

    /// Read a password from standard input, print the line of USER for the password file, and end
    #[arg(
        long,
        value_name = "USER",
        conflicts_with = "password_file",
        help_heading = "Who is let in"
    )]
    pub(super) hash_password: Option<String>,

    /// How often to publish statistics below $SYS/broker, in seconds; 0 for never
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    sys_interval: u32,

    /// Say only what somebody should look at
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,

    /// Say more
    #[arg(short, long, action = ArgAction::SetTrue)]
    verbose: bool,

    #[command(flatten)]
    pub(super) limits: Limits,
}

impl Args {
    pub(super) fn level(&self) -> Level {
        match (self.quiet, self.verbose) {
            (true, _) => Level::Quiet,
            (_, true) => Level::Verbose,
            _ => Level::Normal,
        }
    }

    pub(super) fn sys_interval(&self) -> Option<Duration> {
        (self.sys_interval > 0).then(|| Duration::from_secs(self.sys_interval.into()))
    }

    /// Whether everybody is let in.
    pub(super) fn is_open(&self) -> bool {
        self.password_file.is_none() || self.allow_anonymous
    }
}
