//! What a client is told when it is made.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use bytes::Bytes;

use crate::decoder::MAXIMUM_PACKET_SIZE;
use crate::error::{Cause, EncodeError, Feature};
use crate::message::Message;
use crate::packet::{Connect, Packet, Will};
use crate::packet_type::Places;
use crate::properties::Properties;
use crate::property::Property;
use crate::text;
use crate::topic::TopicName;
use crate::version::Version;

/// When the session that the server may have is to be resumed, and when there is to be a new one:
/// Clean Start, v5 3.1.2.4, which is Clean Session in 3.x, v3.1.1 3.1.2.4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum CleanStart {
    /// Every connection begins a new session.
    #[default]
    Always,
    /// The first connection begins a new session, later ones resume it.
    ///
    /// Of a client that was restored with a session, no connection begins a new one. In 3.x a
    /// session that begins so ends with its connection: the second one is the first whose session
    /// lasts.
    First,
    /// Every connection resumes the session, if there is one.
    ///
    /// In 5.0 a session that only the server knows is not gone on with, unless the options
    /// [adopt](Options::adopt_session) it: the connection is closed, and the next one begins a new
    /// session.
    Never,
}

/// Which Topic Aliases a client uses towards a server that accepts some. v5 3.3.2.3.4
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TopicAliases {
    /// None.
    None,
    /// One for each of the topics that were used last, so many at most.
    Automatic(u16),
}

/// When messages at QoS 1 and 2 are acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Acknowledgement {
    /// When the application asks for the output after the event of the message.
    #[default]
    Automatic,
    /// When the application calls [`acknowledge`](crate::client::Client::acknowledge).
    Manual,
}

/// What becomes of a message for which the queue has no room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// The call is refused.
    #[default]
    Refuse,
    /// The oldest messages that were not sent yet are dropped for it.
    DropOldest,
}

/// What becomes of messages in flight when the server has lost the session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum SessionLost {
    /// They fail: the server may have had them or not.
    #[default]
    Fail,
    /// They are published again as new messages, which may make two of one.
    Republish,
}

/// A Will. v5 3.1.2.5
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastWill {
    /// What the server publishes; in 5.0 with its properties.
    pub message: Message,
    /// Will Delay Interval, in seconds; none in 3.x. v5 3.1.3.2.2
    pub delay_interval: u32,
}

/// Enhanced authentication. v5 4.12
#[derive(Clone, PartialEq, Eq)]
pub struct Authentication {
    /// Authentication Method.
    pub method: String,
    /// Authentication Data of the CONNECT.
    pub data: Option<Bytes>,
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authentication")
            .field("method", &self.method)
            .field("data", &self.data.as_ref().map(|data| text::Secret(data)))
            .finish()
    }
}

/// What a [`Client`](crate::client::Client) is told when it is made, and may be told again between
/// connections.
///
/// ```
/// use sansio_mqtt::Version;
/// use sansio_mqtt::client::{CleanStart, Options};
///
/// let mut options = Options::new(Version::V5, "meter-7");
/// options.clean_start = CleanStart::First;
/// options.session_expiry_interval = 3_600;
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// The version of the protocol.
    pub version: Version,
    /// The Client Identifier. If it is empty the server assigns one: in 5.0 for as long as the
    /// client lives, in 3.1.1 for one connection. v5 3.1.3.1
    pub client_id: String,
    /// Whether sessions are resumed. The default is [`CleanStart::Always`].
    pub clean_start: CleanStart,
    /// Whether to go on with a session that the server has and this client knows nothing of.
    ///
    /// In 5.0 a client must close the connection then, v5 [MQTT-3.2.2-4], which is the default:
    /// it cannot know what was in flight. A program that keeps nothing from run to run, and
    /// wants what the server has kept for it, sets this. Before 5.0 a client always goes on.
    ///
    /// What such a program publishes at QoS 2 may be taken for a message of an earlier run whose
    /// exchange was broken off under the same Packet Identifier, and is lost then. Whoever cannot
    /// have that [restores](crate::client::Client::restore) the client from its records.
    pub adopt_session: bool,
    /// Keep Alive, in seconds; 0 for none. The default is 60. v5 3.1.2.10
    pub keep_alive: u16,
    /// User Name. The default is none. v5 3.1.3.5
    pub user_name: Option<String>,
    /// Password, of any bytes; in 3.1.1 only beside a User Name. The default is none. v5 3.1.3.6
    pub password: Option<Bytes>,
    /// The Will. The default is none. v5 3.1.2.5
    pub will: Option<LastWill>,
    /// Enhanced authentication, of 5.0. The default is none. v5 4.12
    pub authentication: Option<Authentication>,
    /// Session Expiry Interval, in seconds; 0xFFFFFFFF for never. Of 5.0; in 3.x a session that
    /// is not clean does not expire. The default is 0. v5 3.1.2.11.2
    pub session_expiry_interval: u32,
    /// Receive Maximum: how many messages at QoS 1 and 2 may be unacknowledged; 1 to 65,535. In
    /// 3.x, which does not have it, the input is paused before one more than the application has
    /// not acknowledged. The default is 256. v5 3.1.2.11.3
    pub receive_maximum: u16,
    /// Maximum Packet Size, in bytes; in 3.x, which cannot tell the server, the connection is
    /// closed over it all the same. The default is 16 MiB. v5 3.1.2.11.4
    pub maximum_packet_size: u32,
    /// Topic Alias Maximum: how many aliases the server may use. The default is 32. v5 3.1.2.11.5
    pub topic_alias_maximum: u16,
    /// Request Response Information: whether to ask the server what Response Topics are to be made
    /// of. The default is false. v5 3.1.2.11.6
    pub request_response_information: bool,
    /// Request Problem Information: whether the server may give reasons in words. The default is
    /// true. v5 3.1.2.11.7
    pub request_problem_information: bool,
    /// User Properties of the CONNECT, of 5.0. The default is none. v5 3.1.2.11.8
    pub user_properties: Vec<(String, String)>,

    /// Which Topic Aliases are used for what is published, if the server accepts some. The default
    /// is 32 of them. v5 3.2.2.3.8
    pub topic_aliases: TopicAliases,
    /// When received messages are acknowledged. The default is automatically.
    pub acknowledgement: Acknowledgement,
    /// How many messages are held at most that are not sent, or not fully acknowledged; requests
    /// and subscriptions without an answer count by themselves. The default is 65,535.
    pub maximum_held: usize,
    /// How many bytes these take at most, of topic, properties and payload; subscriptions, whose
    /// packets count whole, by themselves. The default is 64 MiB.
    pub maximum_held_bytes: usize,
    /// What becomes of a message beyond that. The default is that the call is refused.
    pub overflow: Overflow,
    /// How many messages at QoS 1 and 2 are in flight at most, where the server does not say, as
    /// in 3.x, or says more. The default is 65,535 in 5.0, and 20 in 3.x, where servers in use
    /// close the connection over more.
    pub maximum_in_flight: u16,
    /// What becomes of messages in flight when the server lost the session. The default is that
    /// they fail.
    pub session_lost: SessionLost,
    /// Whether to subscribe again to what was subscribed to, when the server lost the session. A
    /// client with records does for what earlier processes subscribed to, too. The default is
    /// false.
    pub resubscribe: bool,
    /// The topic that responses to [requests](crate::client::Client::request) are asked for at. The
    /// client subscribes to it with the first request. Of 5.0. The default is none. v5 4.10
    pub response_topic: Option<String>,

    /// A number that another run of the program does not have: a random one. It is part of the
    /// Correlation Data of requests, so that a late response is not taken for that of another
    /// request. The default is 0, which does for a client that is
    /// [restored](crate::client::Client::restore) from its records.
    pub seed: u64,

    /// How long the server may take to accept the connection, each answer to AUTH included. The
    /// default is 20 s.
    pub connect_timeout: Duration,
    /// How long the server may take to answer PINGREQ, SUBSCRIBE, UNSUBSCRIBE and
    /// re-authentication. The time in which it cannot be heard does not count: while the
    /// application holds up the input, and while one packet is on its way. Acknowledgements of
    /// messages may take as long as they like. The default is 20 s.
    pub response_timeout: Duration,
    /// How long a transport may take to take the last bytes, and a graceful end to come to it.
    /// The default is 5 s.
    pub close_timeout: Duration,
}

impl Options {
    /// The defaults, for this Client Identifier.
    pub fn new(version: Version, client_id: impl Into<String>) -> Self {
        Self {
            version,
            client_id: client_id.into(),
            clean_start: CleanStart::default(),
            adopt_session: false,
            keep_alive: 60,
            user_name: None,
            password: None,
            will: None,
            authentication: None,
            session_expiry_interval: 0,
            receive_maximum: 256,
            maximum_packet_size: 16 << 20,
            topic_alias_maximum: 32,
            request_response_information: false,
            request_problem_information: true,
            user_properties: Vec::new(),
            topic_aliases: TopicAliases::Automatic(32),
            acknowledgement: Acknowledgement::default(),
            maximum_held: 65_535,
            maximum_held_bytes: 64 << 20,
            overflow: Overflow::default(),
            maximum_in_flight: if version.is_v5() { u16::MAX } else { 20 },
            session_lost: SessionLost::default(),
            resubscribe: false,
            response_topic: None,
            seed: 0,
            connect_timeout: Duration::from_secs(20),
            response_timeout: Duration::from_secs(20),
            close_timeout: Duration::from_secs(5),
        }
    }

    /// Checks what can be checked before there is a connection: the CONNECT that they make.
    pub(crate) fn check(&self) -> Result<(), EncodeError> {
        if !self.version.is_v5() && self.authentication.is_some() {
            let feature = Feature::AuthenticationMethod;
            return Err(EncodeError::NotInVersion(self.version, feature));
        }
        if !self.version.is_v5() && !self.user_properties.is_empty() {
            return Err(EncodeError::NotInVersion(self.version, Feature::Properties));
        }
        // What 5.0 forbids makes no sense before it, where it is not sent.
        Properties::List(&self.connect_properties()).check(Version::V5, Places::CONNECT)?;
        if let Some(topic) = &self.response_topic {
            TopicName::new(topic).map_err(Cause::InvalidTopicName)?;
        }
        let clean_start = self.clean_start != CleanStart::Never;
        self.with_connect(&self.client_id, clean_start, |connect| {
            Packet::Connect(*connect).check(self.version).map(drop)
        })
    }

    /// Runs `with` on the CONNECT that they make.
    pub(crate) fn with_connect<T>(
        &self,
        client_id: &str,
        clean_start: bool,
        with: impl FnOnce(&Connect<'_>) -> T,
    ) -> T {
        let is_v5 = self.version.is_v5();
        let properties = self.connect_properties();
        let will_properties: Vec<Property<'_>> = self.will.as_ref().map_or(Vec::new(), |will| {
            let delay = (will.delay_interval > 0)
                .then_some(Property::WillDelayInterval(will.delay_interval));
            delay.into_iter().chain(will.message.properties().iter()).collect()
        });
        let list = |list| if is_v5 { Properties::List(list) } else { Properties::NONE };
        let will = self.will.as_ref().map(|will| Will {
            qos: will.message.qos(),
            retain: will.message.retain(),
            properties: Properties::List(&will_properties),
            topic: will.message.topic(),
            payload: will.message.payload(),
        });
        with(&Connect {
            version: self.version,
            clean_start,
            keep_alive: self.keep_alive,
            properties: list(&properties),
            client_id,
            will,
            user_name: self.user_name.as_deref(),
            password: self.password.as_deref(),
        })
    }

    /// The properties of the CONNECT, those with the standard's default left out.
    fn connect_properties(&self) -> Vec<Property<'_>> {
        let mut properties = Vec::new();
        let mut add = |wanted: bool, property| {
            if wanted {
                properties.push(property);
            }
        };
        let expiry = self.session_expiry_interval;
        add(expiry != 0, Property::SessionExpiryInterval(expiry));
        let maximum = self.receive_maximum;
        add(maximum != u16::MAX, Property::ReceiveMaximum(maximum));
        let size = self.maximum_packet_size;
        add(size < MAXIMUM_PACKET_SIZE, Property::MaximumPacketSize(size));
        let aliases = self.topic_alias_maximum;
        add(aliases != 0, Property::TopicAliasMaximum(aliases));
        add(self.request_response_information, Property::RequestResponseInformation(true));
        add(!self.request_problem_information, Property::RequestProblemInformation(false));
        for (name, value) in &self.user_properties {
            add(true, Property::UserProperty(name, value));
        }
        if let Some(authentication) = &self.authentication {
            add(true, Property::AuthenticationMethod(&authentication.method));
            if let Some(data) = &authentication.data {
                add(true, Property::AuthenticationData(data));
            }
        }
        properties
    }

    /// The seconds that a session outlives its connection.
    pub(crate) fn session_expiry(&self, clean_start: bool) -> u32 {
        match self.version {
            Version::V5 => self.session_expiry_interval,
            _ if clean_start => 0,
            _ => u32::MAX,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("version", &self.version)
            .field("client_id", &self.client_id)
            .field("clean_start", &self.clean_start)
            .field("keep_alive", &self.keep_alive)
            .field("user_name", &self.user_name)
            .field("password", &self.password.as_ref().map(|secret| text::Secret(secret)))
            .field("will", &self.will)
            .field("authentication", &self.authentication)
            .field("session_expiry_interval", &self.session_expiry_interval)
            .finish_non_exhaustive()
    }
}
