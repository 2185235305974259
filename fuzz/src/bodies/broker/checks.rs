//! What holds at any time: limits, and what the reference broker knows of sessions.

use sansio_mqtt::{ConnAck, ReasonCode, Version};

use super::message::State;
use super::world::{SECOND, World};

impl World<'_> {
    pub(crate) fn check(&mut self) {
        let (options, counters) = (&self.setup.options, self.broker.counters());
        assert!(counters.connections <= options.maximum_connections);
        assert!(counters.connected <= counters.connections.min(counters.sessions));
        assert!(counters.sessions <= options.maximum_sessions);
        assert!(counters.subscriptions <= options.maximum_subscriptions);
        assert!(counters.retained_messages <= options.retained.maximum_count);
        assert!(counters.retained_bytes <= options.retained.maximum_bytes);
        assert_eq!(counters.stored_messages == 0, counters.stored_bytes == 0);
        let [mut sessions, mut connected, mut subscriptions] = [0; 3];
        for session in self.broker.sessions() {
            sessions += 1;
            connected += usize::from(session.connection.is_some());
            subscriptions += session.subscriptions;
            assert!(session.subscriptions <= options.maximum_subscriptions_per_session);
            assert!(session.queued_messages <= options.maximum_queued_messages, "{session:?}");
            let is_alone = session.queued_messages == 1;
            assert!(
                is_alone || session.queued_bytes <= options.maximum_queued_bytes,
                "{session:?}"
            );
            let same = self.broker.session(&session.client.client_id);
            assert_eq!(same.as_ref(), Some(&session));
            assert!(self.wires.contains_key(&*session.client.client_id), "{session:?}");
        }
        let counted = (counters.sessions, counters.connected, counters.subscriptions);
        assert_eq!(counted, (sessions, connected, subscriptions));
        let open = self.connections.iter().filter(|connection| !connection.gone).count();
        assert_eq!(counters.connections, open);
        self.compare();
    }

    /// What a client that keeps to the rules is told when it is accepted. v5 3.2.2
    pub(crate) fn check_conn_ack(&self, at: usize, conn_ack: &ConnAck<'_>) {
        let connection = &self.connections[at];
        let (Some(model), Some(request)) = (&self.model, &connection.request) else { return };
        let (connect, options) = (request.connect(), &self.setup.options);
        assert_eq!(conn_ack.reason_code, ReasonCode::SUCCESS);
        let present = connection.is_present && connect.version != Version::V3_1;
        assert_eq!(conn_ack.session_present, present);
        let told = &conn_ack.properties;
        if !connect.version.is_v5() {
            return assert_eq!(told.iter().count(), 0);
        }
        let session = model.sessions.iter().find(|session| session.is_up(connection.id));
        if let Some(session) = session {
            let wanted = connect.properties.session_expiry_interval().unwrap_or(0);
            assert_eq!(told.session_expiry_interval().unwrap_or(wanted), session.expiry);
            let own = u64::from(told.server_keep_alive().unwrap_or(connect.keep_alive));
            let keep_alive = session.up.as_ref().and_then(|up| up.keep_alive);
            assert_eq!(own * SECOND * 3 / 2, keep_alive.unwrap_or(0));
        }
        let assigned = request.client_id();
        let assigned = connect.client_id.is_empty().then_some(assigned);
        assert_eq!(told.assigned_client_identifier(), assigned);
        assert_eq!(told.receive_maximum().unwrap_or(u16::MAX), options.receive_maximum);
        assert_eq!(told.topic_alias_maximum().unwrap_or(0), options.topic_alias_maximum);
        let size = told.maximum_packet_size().unwrap_or(u32::MAX);
        assert!(size >= options.maximum_packet_size);
        assert_eq!((told.maximum_qos(), told.retain_available().unwrap_or(true)), (None, true));
    }

    fn compare(&self) {
        let Some(model) = &self.model else { return };
        assert_eq!(model.ended, [] as [String; 0], "the application was not told");
        assert_eq!(self.broker.counters().sessions, model.sessions.len());
        for session in &model.sessions {
            let found = self.broker.session(&session.client_id).expect("a session");
            assert_eq!(found.connection, session.up.as_ref().map(|up| up.id));
            assert_eq!(found.subscriptions, session.subscriptions.len());
            assert_eq!(found.session_expiry_interval, session.expiry);
            assert_eq!(found.expires.map(|at| at.as_micros()), session.expires);
            let is_due = |copy: &&super::message::Copy| {
                let waits = copy.state == State::Waiting && copy.replay.is_none();
                let is_sent = matches!(copy.state, State::AwaitAck(_));
                !copy.may_be_gone(self.time) && (waits || is_sent)
            };
            let due = session.queue.iter().filter(is_due).count();
            assert!(found.queued_messages >= due, "{found:?} of {session:?}");
        }
    }
}
