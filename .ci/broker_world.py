"""Our broker, and the clients that play against it."""

import asyncio
import contextlib
import pathlib
import re
import signal

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from interop import LIMIT, Failed, Process, World, expect, wait_for

PAHO = {"mqttv31": mqtt.MQTTv31, "mqttv311": mqtt.MQTTv311, "mqttv5": mqtt.MQTTv5}


class Broker(World):
    """A world with our broker."""

    def __init__(self, examples, node_modules, folder):
        super().__init__(examples / "client", folder)
        self.examples, self.node_modules, self.broker = examples, node_modules, None

    def start_broker(self, *args):
        command = [self.examples / "broker", "--listen", "127.0.0.1:0", "--verbose", *args]
        self.broker = Process(self, "broker", command)
        line = wait_for(self.listens, "the broker listens")[0]
        self.port = int(re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)", line)[1])

    def listens(self):
        expect(self.broker.child.poll() is None, "the broker ended")
        return self.broker.lines()

    def stop_broker(self):
        self.broker.signal(signal.SIGTERM)
        self.broker.ended()

    def logged(self, text):
        wait_for(lambda: text in self.broker.said(), f"the broker says {text!r}")

    def ends(self):
        """What it says about connections that a client closed."""
        return re.findall("the transport was closed", self.broker.said())

    def statistic(self, name):
        """A number below $SYS/broker, as it is now."""
        topic = f"$SYS/broker/{name}"
        sub = self.mosquitto_sub("-t", topic, "-C", 2, "-W", LIMIT)  # the retained one is old
        sub.ended()
        return int(sub.lines()[1])

    def memory(self):
        """Of the broker, in MiB."""
        status = pathlib.Path(f"/proc/{self.broker.child.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024

    @contextlib.contextmanager
    def paho(self, version, client_id, *, user=None, clean=True, properties=None, setup=None):
        """A connected client of paho, with the lists of what it has received."""
        client = Paho(version, client_id, {} if version == "mqttv5" else {"clean_session": clean})
        if user:
            client.username_pw_set(*user)
        if setup:
            setup(client)
        start = {"clean_start": clean, "properties": properties} if version == "mqttv5" else {}
        client.connect("127.0.0.1", self.port, 60, **start)
        client.loop_start()
        try:
            wait_for(lambda: client.conn_acks, f"{client_id}: CONNACK")
            yield client
            client.disconnect()
        finally:
            client.loop_stop()


class Paho(mqtt.Client):
    def __init__(self, version, client_id, session):
        super().__init__(mqtt.CallbackAPIVersion.VERSION2, client_id, protocol=PAHO[version],
                         reconnect_on_failure=False, **session)
        self.max_inflight_messages_set(1000)
        self.conn_acks, self.received, self.granted, self.ends = [], [], [], []
        self.on_connect = lambda _, __, flags, code, more: self.conn_acks.append((flags, code, more))
        self.on_message = lambda _, __, message: self.received.append(message)
        self.on_subscribe = lambda _, __, ___, codes, ____: self.granted.append(codes)
        self.on_disconnect = lambda _, __, flags, code, ___: self.ends.append((flags, code))

    def subscribed(self, *args, **more):
        count = len(self.granted)
        self.subscribe(*args, **more)
        wait_for(lambda: len(self.granted) > count, "SUBACK")
        return self.granted[-1]

    def published(self, *args, **more):
        info = self.publish(*args, **more)
        info.wait_for_publish(LIMIT)
        expect(info.is_published(), "an acknowledgement")

    def payloads(self, count):
        """The payloads of that many messages, and that no more came."""
        wait_for(lambda: len(self.received) >= count, f"{count} messages")
        return [message.payload.decode() for message in self.received]


def properties(kind, **values):
    """The properties of a packet, named as paho names them."""
    made = Properties(getattr(PacketTypes, kind))
    for name, value in values.items():
        setattr(made, name, value)
    return made


def in_asyncio(scenario):
    """A scenario of coroutines."""

    def run(world):
        async def limited():
            async with asyncio.timeout(LIMIT):
                await scenario(world)
        try:
            asyncio.run(limited())
        except (AssertionError, OSError, EOFError, TimeoutError) as error:
            raise Failed(f"{type(error).__name__}: {error}") from error

    run.__name__ = scenario.__name__
    return run
