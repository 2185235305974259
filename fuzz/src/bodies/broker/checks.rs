//! What holds at any time: limits, and what the reference broker knows of sessions.

use super::message::State;
use super::world::World;

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
