//! Whom the broker lets in.

use std::sync::Arc;
use std::thread;

use sansio_mqtt::broker::{Acceptance, Broker, CallError, ConnectionId};
use sansio_mqtt::{ConnAck, Connect, Instant, ReasonCode};
use tokio::sync::Semaphore;
use tokio::task;

use super::users::{Credential, Users};

#[derive(Debug)]
pub(super) struct Door {
    /// Without them everybody is let in.
    users: Option<Users>,
    allow_anonymous: bool,
    /// One for each password that is looked at, which takes a processor and 19 MiB.
    turns: Arc<Semaphore>,
}

/// What there is to say about a CONNECT.
#[derive(Debug)]
pub(super) enum Decision {
    Accept,
    Refuse(ReasonCode),
    /// It depends on the password.
    Check(Check),
}

/// A password, and what it has to match.
#[derive(Debug)]
pub(super) struct Check {
    credential: Credential,
    password: Vec<u8>,
    turns: Arc<Semaphore>,
}

impl Door {
    /// Lets everybody in.
    pub(super) fn open() -> Self {
        Self { users: None, allow_anonymous: true, turns: Arc::new(Semaphore::new(1)) }
    }

    /// Lets these in, and those without a name if `allow_anonymous`.
    pub(super) fn with_users(users: Users, allow_anonymous: bool) -> Self {
        let turns = thread::available_parallelism().map_or(1, usize::from);
        Self { users: Some(users), allow_anonymous, turns: Arc::new(Semaphore::new(turns)) }
    }

    pub(super) fn decide(&self, connect: &Connect<'_>) -> Decision {
        if connect.properties.authentication_method().is_some() {
            return Decision::Refuse(ReasonCode::BAD_AUTHENTICATION_METHOD);
        }
        let Some(users) = &self.users else { return Decision::Accept };
        match (connect.user_name, connect.password) {
            (None, None) if self.allow_anonymous => Decision::Accept,
            (None, None) => Decision::Refuse(ReasonCode::NOT_AUTHORIZED),
            (Some(user), Some(password)) => Decision::Check(Check {
                credential: users.credential(user),
                password: password.to_vec(),
                turns: Arc::clone(&self.turns),
            }),
            _ => Decision::Refuse(ReasonCode::BAD_USER_NAME_OR_PASSWORD),
        }
    }
}

/// Answers a CONNECT.
pub(super) fn answer(
    broker: &mut Broker,
    now: Instant,
    id: ConnectionId,
    refusal: Option<ReasonCode>,
) -> Result<(), CallError> {
    match refusal {
        None => broker.accept(now, id, &Acceptance::default()),
        Some(reason_code) => broker.refuse(now, id, &ConnAck { reason_code, ..ConnAck::default() }),
    }
}

impl Check {
    /// Whether the password is right. Many wait for their turn; `is_wanted` tells then whether
    /// there is still somebody to be answered.
    pub(super) async fn passes(self, is_wanted: impl Fn() -> bool) -> bool {
        let Self { credential, password, turns } = self;
        let Ok(_turn) = turns.acquire().await else { return false };
        if !is_wanted() {
            return false;
        }
        task::spawn_blocking(move || credential.matches(&password)).await.unwrap_or(false)
    }
}
