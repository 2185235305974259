//! A client of 3.x whose input was paused is read again when it has taken its answers, whatever
//! else waits for it.

use bytes::{Buf, BytesMut};
use sansio_mqtt::broker::{
    Acceptance, AllowAll, Broker, ConnectionId, Event, Options, Output, Received, Transmitted,
};
use sansio_mqtt::{
    Connect, Instant, Outgoing, Packet, PacketId, Publish, QoS, Subscribe, Subscription, Version,
};

const NOW: Instant = Instant::from_micros(1_000_000);

fn bytes<'a>(packets: impl IntoIterator<Item = Packet<'a>>) -> BytesMut {
    let mut bytes = BytesMut::new();
    packets.into_iter().for_each(|packet| packet.encode(Version::V3_1_1, &mut bytes).unwrap());
    bytes
}

/// Accepts who asks, and says whether somebody is to be read again.
fn poll(broker: &mut Broker) -> bool {
    let mut resumes = false;
    loop {
        match broker.poll_output() {
            Output::Timeout(_) => return resumes,
            Output::Resume(_) => resumes = true,
            Output::Event(Event::Connect { connection, .. }) => {
                broker.accept(NOW, connection, &Acceptance::default()).unwrap();
            }
            _ => {}
        }
    }
}

fn pull(broker: &mut Broker, id: ConnectionId, limit: usize) -> (usize, Transmitted) {
    let mut out = Outgoing::new();
    let left = broker.transmit(NOW, id, limit, &mut out);
    (out.remaining(), left)
}

#[test]
fn a_paused_client_goes_on_though_a_message_waits_behind_its_acknowledgements() {
    let mut options = Options::new(1);
    options.receive_maximum = 1;
    let mut broker = Broker::new(options, Box::new(AllowAll));
    let id = broker.transport_opened(NOW).unwrap();
    let connect = Connect { version: Version::V3_1_1, client_id: "c", ..Connect::default() };
    let _ = broker.receive(NOW, id, &mut bytes([connect.into()]));
    poll(&mut broker);
    let filters = [Subscription::new("t", QoS::AtMostOnce)];
    let _ = broker.receive(NOW, id, &mut bytes([Subscribe::new(PacketId::MIN, &filters).into()]));
    poll(&mut broker);
    assert_eq!(pull(&mut broker, id, 1_000), (9, Transmitted::All));

    let message = Publish { topic: "t", payload: b"1", ..Publish::default() };
    broker.publish(NOW, &message).unwrap();
    poll(&mut broker);
    let publish = |id| Publish {
        topic: "u",
        qos: QoS::AtLeastOnce,
        packet_id: PacketId::new(id),
        ..Publish::default()
    };
    let mut two = bytes([publish(1).into(), publish(2).into()]);
    assert_eq!(broker.receive(NOW, id, &mut two), Received::Paused);
    assert!(!poll(&mut broker) && !two.is_empty());

    let mut resumes = false;
    for _ in 0..3 {
        let _ = pull(&mut broker, id, 4);
        resumes |= poll(&mut broker);
    }
    assert!(resumes, "it is paused for ever");
}
