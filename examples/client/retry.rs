//! Whether, and when, to connect again.

use std::time::Duration;

use sansio_mqtt::ReasonCode;
use sansio_mqtt::client::DisconnectCause;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// A connection that lasted so long was a good one.
const STEADY: Duration = Duration::from_secs(5);

/// A pause that doubles from attempt to attempt, up to a limit.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) const fn new() -> Self {
        Self(FIRST)
    }

    /// The pause after a connection that lasted so long.
    pub(super) fn pause(&mut self, lasted: Duration) -> Duration {
        if lasted >= STEADY {
            self.0 = FIRST;
        }
        let pause = self.0;
        self.0 = pause.saturating_mul(2).min(LONGEST);
        pause
    }
}

/// Whether the next connection would end as this one did, for all that is known.
pub(super) fn is_final(cause: &DisconnectCause) -> bool {
    match cause {
        DisconnectCause::Refused { reason_code, .. }
        | DisconnectCause::ByServer { reason_code, .. } => !is_passing(*reason_code),
        DisconnectCause::Violation(_) => true,
        _ => false,
    }
}

/// Whether a server that says so may say something else later. Another client that took the
/// session over is none of these, where the server says so: the two would take it from each other
/// for ever.
fn is_passing(reason_code: ReasonCode) -> bool {
    matches!(
        reason_code,
        ReasonCode::SUCCESS
            | ReasonCode::UNSPECIFIED_ERROR
            | ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR
            | ReasonCode::SERVER_UNAVAILABLE
            | ReasonCode::SERVER_BUSY
            | ReasonCode::SERVER_SHUTTING_DOWN
            | ReasonCode::KEEP_ALIVE_TIMEOUT
            | ReasonCode::QUOTA_EXCEEDED
            | ReasonCode::MESSAGE_RATE_TOO_HIGH
            | ReasonCode::CONNECTION_RATE_EXCEEDED
            | ReasonCode::MAXIMUM_CONNECT_TIME
    )
}

/// The cause, with what the server says about it in its own words.
pub(super) fn explain(cause: &DisconnectCause) -> String {
    let reason = cause.reason_string().map(|reason| format!(": {reason}"));
    let other = cause.server_reference().map(|server| format!(" (see {server})"));
    format!("{cause}{}{}", reason.unwrap_or_default(), other.unwrap_or_default())
}
