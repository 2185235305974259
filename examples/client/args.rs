//! The command line, named as in `mosquitto_pub` and `mosquitto_sub`.

use std::path::PathBuf;
use std::process;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use sansio_mqtt::client::{Acknowledgement, CleanStart, LastWill, Options, SessionLost};
use sansio_mqtt::{Message, Property, QoS, TopicName, Version};

use super::Result;
use super::calendar;

/// Publishes messages to an MQTT server, or subscribes to them.
///
/// Connects again and again, until it is interrupted or the server refuses it for good. The first
/// interrupt (Ctrl-C) ends the connection in good order, the second one at once.
#[derive(Debug, Parser)]
#[command(
    name = "client",
    disable_help_flag = true,
    disable_help_subcommand = true,
    after_help = "\
Exit codes: 0 done, or interrupted; 1 refused, or failed; 2 wrong usage.

Examples:
  client sub -t 'plant/#' -v
  client pub -t plant/7 -m 21.5 -q 1 --content-type text/plain
  client sub -t 'plant/#' -q 2 -i archive --data session --output messages
  client pub -t plant/7 -q 2 -i meter-7 --data session -l --continue <readings"
)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,

    /// Print help
    #[arg(long, global = true, action = ArgAction::Help)]
    help: Option<bool>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Publish, and end when all is acknowledged
    Pub(Pub),
    /// Subscribe, and print the payloads of messages, one a line
    Sub(Sub),
}

#[derive(Debug, clap::Args)]
pub(super) struct Pub {
    #[command(flatten)]
    pub(super) link: Link,

    /// Topic to publish to
    #[arg(short, long)]
    pub(super) topic: String,

    /// Publish this
    #[arg(
        short,
        long,
        value_name = "PAYLOAD",
        required_unless_present = "stdin_line",
        allow_hyphen_values = true
    )]
    pub(super) message: Option<String>,

    /// Publish each line of standard input
    #[arg(short = 'l', long)]
    pub(super) stdin_line: bool,

    /// With --data: skip the lines that an earlier run took in which was interrupted or crashed,
    /// and had the same input. Each line is published once then, at QoS 2
    #[arg(long = "continue", requires = "stdin_line", requires = "data")]
    pub(super) resume: bool,

    /// Quality of Service: 0, 1 or 2
    #[arg(short, long, default_value = "0", value_parser = qos)]
    pub(super) qos: QoS,

    /// Have the server retain the message
    #[arg(short, long)]
    pub(super) retain: bool,

    /// Content Type of the messages [5.0]
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,

    /// Message Expiry Interval of the messages [5.0]
    #[arg(long, value_name = "SECONDS")]
    message_expiry: Option<u32>,

    /// A User Property of the messages; repeatable [5.0]
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    user_property: Vec<(String, String)>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Sub {
    #[command(flatten)]
    pub(super) link: Link,

    /// Topic filter to subscribe to; repeatable
    #[arg(short, long, value_name = "FILTER", required = true)]
    pub(super) topic: Vec<String>,

    /// Maximum Quality of Service: 0, 1 or 2
    #[arg(short, long, default_value = "0", value_parser = qos)]
    pub(super) qos: QoS,

    /// End after so many messages
    #[arg(short = 'C', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,

    /// Print the topic before the payload
    #[arg(short, long)]
    pub(super) verbose: bool,

    /// Print the delivery identifier and a tab before each message; `-` at QoS 0
    #[arg(long)]
    pub(super) delivery_ids: bool,

    /// With --data: append messages to FILE in place of printing them, `delivery identifier, tab,
    /// payload` a line, with `\n` for a new line in a payload and `\\` for a backslash. At QoS 2
    /// each message is there once, whatever crashes. FILE and DIR belong together
    #[arg(long, value_name = "FILE", requires = "data")]
    pub(super) output: Option<PathBuf>,
}

/// What both need for the connection.
#[derive(Debug, clap::Args)]
pub(super) struct Link {
    /// Host to connect to
    #[arg(short, long, default_value = "localhost")]
    host: String,

    /// Port to connect to
    #[arg(short, long, default_value_t = 1883)]
    port: u16,

    /// Version of the protocol: mqttv5 (5), mqttv311 (311) or mqttv31 (31)
    #[arg(
        short = 'V',
        long,
        value_name = "VERSION",
        default_value = "mqttv5",
        hide_possible_values = true
    )]
    protocol_version: Level,

    /// Client Identifier; without it the server, or this program, makes one up
    #[arg(short, long)]
    id: Option<String>,

    /// Keep Alive, in seconds; 0 for none
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60)]
    keepalive: u16,

    /// User Name
    #[arg(short, long)]
    username: Option<String>,

    /// Password
    #[arg(
        short = 'P',
        long,
        value_name = "PASSWORD",
        requires = "username",
        allow_hyphen_values = true
    )]
    pw: Option<String>,

    /// Keep the session when the connection ends, and resume the one that there is
    #[arg(short = 'c', long, requires = "id")]
    no_clean: bool,

    /// Session Expiry Interval: how long the server keeps a session without a connection; for ever
    /// if there is -c or --data [5.0]
    #[arg(short = 'x', long, value_name = "SECONDS")]
    session_expiry_interval: Option<u32>,

    /// Keep the session in this folder too, so that it survives a crash of the client; as -c
    #[arg(long, value_name = "DIR", requires = "id")]
    pub(super) data: Option<PathBuf>,

    /// Topic of the Will
    #[arg(long, value_name = "TOPIC")]
    will_topic: Option<String>,

    /// Payload of the Will
    #[arg(
        long,
        value_name = "PAYLOAD",
        allow_hyphen_values = true,
        default_value = "",
        hide_default_value = true,
        requires = "will_topic"
    )]
    will_payload: String,

    /// Quality of Service of the Will
    #[arg(long, value_name = "QOS", default_value = "0", value_parser = qos, requires = "will_topic")]
    will_qos: QoS,

    /// Have the server retain the Will
    #[arg(long, requires = "will_topic")]
    will_retain: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    #[value(name = "mqttv31", aliases = ["31", "3.1"])]
    V3_1,
    #[value(name = "mqttv311", aliases = ["311", "3.1.1"])]
    V3_1_1,
    #[value(name = "mqttv5", aliases = ["5", "5.0"])]
    V5,
}

impl Pub {
    pub(super) fn options(&self) -> Result<Options> {
        let mut options = self.link.options()?;
        // mosquitto closes the connection of a client of 3.x that has more at QoS 2 in flight, and
        // has no way to say so before.
        options.maximum_in_flight = 20;
        // Lines are read no faster than they go out: memory is bounded by that.
        options.maximum_held_bytes = usize::MAX;
        // At QoS 1 two of one are fine, and none is not; at QoS 2 the failure is reported.
        if self.qos == QoS::AtLeastOnce {
            options.session_lost = SessionLost::Republish;
        }
        Ok(options)
    }

    /// The properties of the messages.
    pub(super) fn properties(&self) -> Vec<Property<'_>> {
        let content_type = self.content_type.as_deref().map(Property::ContentType);
        let expiry = self.message_expiry.map(Property::MessageExpiryInterval);
        let user =
            self.user_property.iter().map(|(name, value)| Property::UserProperty(name, value));
        content_type.into_iter().chain(expiry).chain(user).collect()
    }
}

impl Sub {
    pub(super) fn options(&self) -> Result<Options> {
        let mut options = self.link.options()?;
        // When they are printed, or safe in a file.
        options.acknowledgement = Acknowledgement::Manual;
        // mosquitto 2.0 sends all that it has queued when it resumes a session, which is an end
        // of the connection to a client that said less.
        if options.version.is_v5() {
            options.receive_maximum = u16::MAX;
        }
        Ok(options)
    }
}

impl Link {
    pub(super) fn server(&self) -> (String, u16) {
        (self.host.clone(), self.port)
    }

    fn options(&self) -> Result<Options> {
        let version = match self.protocol_version {
            Level::V3_1 => Version::V3_1,
            Level::V3_1_1 => Version::V3_1_1,
            Level::V5 => Version::V5,
        };
        if !version.is_v5() && self.session_expiry_interval.is_some() {
            return Err("--session-expiry-interval is of version 5".into());
        }
        let id = match &self.id {
            Some(id) => id.clone(),
            // Only servers of later versions make one up.
            None if version == Version::V3_1 => {
                // 23 characters at most. v3.1 3.1
                format!("client-{:x}-{:x}", process::id(), calendar::unix_now().as_secs())
            }
            None => String::new(),
        };
        let mut options = Options::new(version, id);
        let keeps = self.no_clean || self.data.is_some();
        options.clean_start = match &self.data {
            // Before 5.0 a session that begins anew ends with its connection.
            Some(_) if version.is_v5() => CleanStart::First,
            _ if keeps => CleanStart::Never,
            _ => CleanStart::Always,
        };
        options.adopt_session = self.no_clean && self.data.is_none();
        let expiry = if keeps { u32::MAX } else { 0 };
        options.session_expiry_interval = self.session_expiry_interval.unwrap_or(expiry);
        options.keep_alive = self.keepalive;
        options.user_name = self.username.clone();
        options.password = self.pw.as_ref().map(|pw| pw.clone().into_bytes().into());
        options.will = self.will()?;
        Ok(options)
    }

    fn will(&self) -> Result<Option<LastWill>> {
        let Some(topic) = &self.will_topic else { return Ok(None) };
        let topic = TopicName::new(topic).map_err(|error| format!("topic of the Will: {error}"))?;
        let message = Message::new(topic, self.will_payload.clone().into_bytes())
            .with_qos(self.will_qos)
            .with_retain(self.will_retain);
        Ok(Some(LastWill { message, delay_interval: 0 }))
    }
}

fn qos(text: &str) -> std::result::Result<QoS, String> {
    text.parse().ok().and_then(QoS::new).ok_or_else(|| "0, 1 or 2".into())
}

fn pair(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a name, `=` and a value")?;
    Ok((name.into(), value.into()))
}
