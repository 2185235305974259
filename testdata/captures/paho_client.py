"""The scenarios that paho-mqtt plays. Each waits for packets on the wire before it goes on."""

import contextlib
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions


class Paho:
    """A call of one of the functions below."""

    def __init__(self, function, **arguments):
        self.function, self.arguments = function, arguments
        listed = ", ".join(f"{k}={v!r}" for k, v in arguments.items())
        self.calls = [f"{function.__name__}({listed})"]

    def __call__(self, recorder):
        self.function(recorder, **self.arguments)


def properties(kind, **values):
    """The properties of a packet, named as paho names them."""
    made = Properties(getattr(PacketTypes, kind))
    for name, value in values.items():
        for each in value if isinstance(value, list) else [value]:
            setattr(made, name, each)  # paho appends where a property may be repeated
    return made


@contextlib.contextmanager
def client(recorder, version, client_id, *, clean=True, setup=None, connect=None, leave=True,
           keepalive=60, reconnects=False):
    """A connected client, disconnected in the end unless `leave` is False. Yields it and the number
    of its connection."""
    session = {} if version == 5 else {"clean_session": clean}
    paho = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id, protocol=version,
                       reconnect_on_failure=reconnects, **session)
    start = {"clean_start": clean, "properties": connect} if version == 5 else {}
    if setup:
        setup(paho)
    nth = len(recorder.connections) + 1
    paho.connect("127.0.0.1", recorder.port, keepalive, **start)
    paho.loop_start()
    try:
        recorder.wait(nth, "server", "CONNACK")
        if leave:
            await_connected(paho)
        yield paho, nth
        if leave:
            paho.disconnect()
            recorder.wait_closed(nth)
    finally:
        paho.loop_stop()


def await_connected(paho):
    """The CONNACK has passed the proxy; paho has yet to read it."""
    for _ in range(1000):
        if paho.is_connected():
            return
        time.sleep(0.01)


def subscribe(recorder, paho, nth, *arguments, count=1, **named):
    paho.subscribe(*arguments, **named)
    recorder.wait(nth, "server", "SUBACK", count)


def settle(recorder, nth, qos, received, sent=None):
    """Waits until so many messages of this QoS have been received, and sent, by a connection."""
    recorder.wait(nth, "server", "PUBLISH", received)
    if qos:
        kind = {1: "PUBACK", 2: "PUBCOMP"}[qos]
        recorder.wait(nth, "client", kind, received)
        recorder.wait(nth, "server", kind, received if sent is None else sent)


# Any version.

def loopback(recorder, version, qos):
    with client(recorder, version, "loop") as (paho, nth):
        subscribe(recorder, paho, nth, "loop/+", qos)
        for count, payload in enumerate(("first", "second"), 1):
            paho.publish("loop/" + payload, payload, qos)
            settle(recorder, nth, qos, count)


def unsubscribe(recorder, version):
    with client(recorder, version, "unsubscriber") as (paho, nth):
        subscribe(recorder, paho, nth, [("a", 0), ("b/+", 1), ("c/#", 2)] if version < 5 else
                  [("a", SubscribeOptions(0)), ("b/+", SubscribeOptions(1)), ("c/#", SubscribeOptions(2))])
        paho.unsubscribe(["a", "b/+", "never"])
        recorder.wait(nth, "server", "UNSUBACK")
        paho.unsubscribe("c/#")
        recorder.wait(nth, "server", "UNSUBACK", 2)


def ping(recorder, version):
    with client(recorder, version, "pinger", keepalive=1) as (_, nth):
        recorder.wait(nth, "server", "PINGRESP", 2)


def will(recorder, version, qos, retain):
    more = dict(WillDelayInterval=0, MessageExpiryInterval=30, ContentType="text/plain",
                ResponseTopic="will/answer", CorrelationData=b"\x00\x01\xff", PayloadFormatIndicator=1,
                UserProperty=[("b", "2"), ("a", "1"), ("a", "1")])

    def setup(paho):
        paho.will_set("will/paho", "gone", qos, retain, properties("WILLMESSAGE", **more) if version == 5 else None)

    with client(recorder, version, "watcher") as (watcher, first):
        subscribe(recorder, watcher, first, "will/#", 2)
        with client(recorder, version, "mortal", setup=setup, leave=False) as (_, nth):
            recorder.connections[nth - 1].close()
        recorder.wait(first, "server", "PUBLISH")
        if qos:
            recorder.wait(first, "client", {1: "PUBACK", 2: "PUBCOMP"}[qos])
        if retain:
            with client(recorder, version, "late") as (late, third):
                subscribe(recorder, late, third, "will/#", 2)
                settle(recorder, third, qos, 1, sent=0)


def retained(recorder, version):
    with client(recorder, version, "retainer") as (paho, nth):
        paho.publish("kept/a", "old", 1, True)
        paho.publish("kept/b", "other", 1, True)
        paho.publish("kept/a", "new", 1, True)
        recorder.wait(nth, "server", "PUBACK", 3)
        subscribe(recorder, paho, nth, "kept/#", 1)
        settle(recorder, nth, 1, 2, sent=3)
        paho.publish("kept/a", b"", 1, True)
        settle(recorder, nth, 1, 3, sent=4)


def payloads(recorder, version):
    with client(recorder, version, "payloads") as (paho, nth):
        subscribe(recorder, paho, nth, "#", 1)
        for count, (topic, payload) in enumerate([
                ("empty", b""), ("binary", bytes(range(256))), ("Käse/奶酪/🧀", "naïve 🧀"),
                ("/", "slash"), ("a//b", "level"), ("with space", "x")], 1):
            paho.publish(topic, payload, 1)
            settle(recorder, nth, 1, count)


def boundaries(recorder, version, remaining_length):
    """Messages whose PUBLISH, at QoS 0 and in both directions, has these Remaining Lengths."""
    head = 2 + len("b") + (version == 5)
    with client(recorder, version, "boundaries") as (paho, nth):
        subscribe(recorder, paho, nth, "b", 0)
        for count, length in enumerate(remaining_length, 1):
            paho.publish("b", b"b" * (length - head), 0)
            recorder.wait(nth, "server", "PUBLISH", count)


def large(recorder, version):
    with client(recorder, version, "large") as (paho, nth):
        subscribe(recorder, paho, nth, "large", 1)
        paho.publish("large", b"0123456789abcdef" * 12800, 1)
        settle(recorder, nth, 1, 1)


def resume(recorder, version, qos):
    """A session outlives its connection; messages queue up for it meanwhile."""
    lasting = properties("CONNECT", SessionExpiryInterval=3600) if version == 5 else None
    with client(recorder, version, "sleeper", clean=False, connect=lasting) as (paho, nth):
        subscribe(recorder, paho, nth, "queue", qos)
    with client(recorder, version, "feeder") as (paho, nth):
        for _ in range(3):
            paho.publish("queue", "waiting", qos)
        recorder.wait(nth, "server", {1: "PUBACK", 2: "PUBCOMP"}[qos], 3)
    with client(recorder, version, "sleeper", clean=False, connect=lasting) as (paho, nth):
        settle(recorder, nth, qos, 3, sent=0)


def interrupted(recorder, version, qos, then):
    """A loopback whose connection is cut by the recorder; the client comes back to its session.
    `then`: what must have happened, as (side, packet) pairs, on the second connection."""
    lasting = properties("CONNECT", SessionExpiryInterval=3600) if version == 5 else None

    with client(recorder, version, "comeback", clean=False, connect=lasting,
                setup=lambda paho: paho.reconnect_delay_set(1, 1), reconnects=True) as (paho, nth):
        subscribe(recorder, paho, nth, "cut", qos)
        paho.publish("cut", "again", qos)
        recorder.wait(nth + 1, "server", "CONNACK")
        for side, kind in then:
            recorder.wait(nth + 1, side, kind)


def takeover(recorder, version):
    with client(recorder, version, "same", leave=False) as (_, nth):
        with client(recorder, version, "same"):
            recorder.wait_until(lambda: recorder.connections[nth - 1].open == 0, "the first's end")


def credentials(recorder, version, user, password):
    def setup(paho):
        paho.username_pw_set(user, password)
    accepted = password is not None and password.startswith("sesame")
    with client(recorder, version, "visitor", setup=setup, leave=accepted):
        pass


def denied(recorder, version, topic, topic_filter=None):
    """Publishes and subscribes without permission."""
    with client(recorder, version, "intruder") as (paho, nth):
        for qos in (0, 1, 2):
            paho.publish(topic, "let me in", qos)
        recorder.wait(nth, "server", "PUBACK")
        # In 5.0 a refused QoS 2 message ends with its PUBREC.
        recorder.wait(nth, "server", "PUBREC" if version == 5 else "PUBCOMP")
        if topic_filter:
            subscribe(recorder, paho, nth, topic_filter, 1)


# MQTT 5.0 only.

def publish_properties(recorder, qos):
    every = properties("PUBLISH", PayloadFormatIndicator=1, MessageExpiryInterval=60, ContentType="text/plain",
                       ResponseTopic="answers/to/me", CorrelationData=bytes(range(32)),
                       UserProperty=[("z", "last"), ("a", "first"), ("z", "last"), ("", ""), ("ключ", "значение")])
    with client(recorder, 5, "properties") as (paho, nth):
        subscribe(recorder, paho, nth, "p", options=SubscribeOptions(qos),
                  properties=properties("SUBSCRIBE", SubscriptionIdentifier=268435455, UserProperty=[("why", "test")]))
        paho.publish("p", "all", qos, properties=every)
        settle(recorder, nth, qos, 1)
        paho.unsubscribe("p", properties=properties("UNSUBSCRIBE", UserProperty=[("so", "long")]))
        recorder.wait(nth, "server", "UNSUBACK")


def connect_properties(recorder):
    every = properties("CONNECT", SessionExpiryInterval=120, ReceiveMaximum=5, MaximumPacketSize=10000,
                       TopicAliasMaximum=7, RequestResponseInformation=1, RequestProblemInformation=0,
                       UserProperty=[("one", "1"), ("two", "2"), ("one", "1")])
    with client(recorder, 5, "properties", connect=every):
        pass


def assigned_id(recorder):
    with client(recorder, 5, ""):
        pass


def subscription_identifiers(recorder):
    """Identifiers at the lengths of a Variable Byte Integer; one message matches several."""
    with client(recorder, 5, "identifiers") as (paho, nth):
        filters = {"s/#": 1, "s/+": 127, "s/a": 128, "+/a": 16383, "+/+": 16384, "#": 2097152}
        for count, (topic_filter, identifier) in enumerate(filters.items(), 1):
            subscribe(recorder, paho, nth, topic_filter, count=count, options=SubscribeOptions(1),
                      properties=properties("SUBSCRIBE", SubscriptionIdentifier=identifier))
        paho.publish("s/a", "to all", 1)
        recorder.wait(nth, "server", "PUBACK")
        paho.publish("other", "to one", 1)
        recorder.wait(nth, "server", "PUBACK", 2)
        recorder.wait(nth, "server", "PUBLISH", 2)


def subscribe_options(recorder):
    """No Local, Retain As Published and the three Retain Handlings."""
    with client(recorder, 5, "options") as (paho, nth):
        paho.publish("o/kept", "kept", 1, True)
        recorder.wait(nth, "server", "PUBACK")
        subscribe(recorder, paho, nth, [
            ("o/kept", SubscribeOptions(1, noLocal=True, retainAsPublished=True, retainHandling=0)),
            ("o/+", SubscribeOptions(2, retainAsPublished=True, retainHandling=2)),
            ("o/none", SubscribeOptions(0, noLocal=True, retainHandling=2))])
        settle(recorder, nth, 1, 1, sent=1)
        subscribe(recorder, paho, nth, "o/kept", count=2,
                  options=SubscribeOptions(1, retainAsPublished=True, retainHandling=1))
        paho.publish("o/as", "published", 1, True)
        settle(recorder, nth, 1, 2)


def topic_alias(recorder):
    with client(recorder, 5, "alias") as (paho, nth):
        subscribe(recorder, paho, nth, "long/topic/#", 1)
        for count, (topic, alias) in enumerate([
                ("long/topic/one", 1), ("", 1), ("long/topic/two", 10), ("", 10), ("long/topic/new", 1),
                ("", 1)], 1):
            paho.publish(topic, f"alias {alias}", 1, properties=properties("PUBLISH", TopicAlias=alias))
            settle(recorder, nth, 1, count)


def disconnect_reason(recorder, code, **values):
    with client(recorder, 5, "leaver", connect=properties("CONNECT", SessionExpiryInterval=60), leave=False) as (paho, nth):
        paho.disconnect(ReasonCode(PacketTypes.DISCONNECT, identifier=code), properties("DISCONNECT", **values))
        recorder.wait_closed(nth)


def receive_maximum(recorder, qos):
    """Five messages for a client that takes one at a time."""
    with client(recorder, 5, "slow", connect=properties("CONNECT", ReceiveMaximum=1)) as (slow, first):
        subscribe(recorder, slow, first, "burst", qos)
        with client(recorder, 5, "fast") as (fast, nth):
            for count in range(5):
                fast.publish("burst", f"{count}", qos)
            recorder.wait(nth, "server", {1: "PUBACK", 2: "PUBCOMP"}[qos], 5)
        settle(recorder, first, qos, 5, sent=0)


def maximum_packet_size(recorder):
    """The broker leaves out what is too large for the client."""
    with client(recorder, 5, "small", connect=properties("CONNECT", MaximumPacketSize=64)) as (paho, nth):
        subscribe(recorder, paho, nth, "size", 1)
        paho.publish("size", "fits", 1)
        settle(recorder, nth, 1, 1)
        with client(recorder, 5, "big") as (big, second):
            big.publish("size", "x" * 100, 1)
            recorder.wait(second, "server", "PUBACK")
        paho.publish("size", "fits too", 1)
        settle(recorder, nth, 1, 2)
