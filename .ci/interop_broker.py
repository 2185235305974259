#!/usr/bin/env python3
"""The broker example against mosquitto's clients, paho-mqtt, MQTT.js, our own client and plain sockets.

    python3 .ci/interop_broker.py EXAMPLES [--mqttjs NODE_MODULES] [SCENARIO ...]

EXAMPLES is the folder with the built examples `broker` and `client`. Prints one line a scenario. At
the first failure it prints what everybody said, and exits with 1. Needs mosquitto_pub, mosquitto_sub,
mosquitto_rr, node with the npm package mqtt, and paho-mqtt. Every broker has a free port of its own on
127.0.0.1. Nothing waits without a limit.
"""

import argparse
import asyncio
import collections
import contextlib
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from interop import (LIMIT, READY, VERSIONS, Failed, Process, World, expect, messages, numbered,
                     play_all, same, wait_for)
from raw_clients import DISCONNECT, PUBACK, PUBLISH, Raw, connect, publish, subscribe

TOTAL = 110  # seconds for all
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


def our_client_and_mosquittos_exchange_messages_in_every_version_at_every_qos(world):
    world.start_broker()
    lines = numbered(200)
    path = world.file(lines)
    for version in VERSIONS:
        for qos in range(3):
            topic = f"{version}/{qos}"
            common = ["-V", version, "-q", qos]
            world.mark(f"{topic}/ours")
            world.mark(f"{topic}/theirs")
            subs = [world.sub(*common, "-t", f"{topic}/theirs/+"),
                    world.mosquitto_sub(*common, "-t", f"{topic}/ours/+")]
            for sub in subs:
                sub.wait_ready()
            with open(path, "rb") as first, open(path, "rb") as second:
                pubs = [world.pub(*common, "-t", f"{topic}/ours/x", "-l", stdin=first),
                        world.mosquitto_pub(*common, "-t", f"{topic}/theirs/x", "-l", stdin=second)]
            for process in pubs:
                process.ended()
            for process, way in zip(subs, ["received", "published"]):
                wait_for(lambda: len(process.lines()) > len(lines), f"{topic}: all are {way}")
                same(messages(process.lines()), lines, f"{topic} {way}")
            subs[0].signal(signal.SIGINT)
            subs[0].ended()
            subs[1].kill()


def every_version_hears_every_other_at_the_lower_qos(world):
    world.start_broker()
    with contextlib.ExitStack() as stack:
        clients = {version: stack.enter_context(world.paho(version, f"paho-{version}"))
                   for version in VERSIONS}
        for version, client in clients.items():
            for qos in range(3):
                client.subscribed(f"+/+/{qos}", qos)
        for version, client in clients.items():
            for sent in range(3):
                for qos in range(3):
                    client.published(f"{version}/{sent}/{qos}", "größer", qos=sent)
        expected = sorted((f"{version}/{sent}/{qos}", min(sent, qos))
                          for version in VERSIONS for sent in range(3) for qos in range(3))
        for client in clients.values():
            client.payloads(len(expected))
            same(sorted((message.topic, message.qos) for message in client.received), expected,
                 "messages, with their QoS")


def mqttjs_hears_itself_in_every_version_at_every_qos(world):
    world.start_broker()
    script = pathlib.Path(__file__).parent / "mqttjs_rounds.js"
    os.environ["NODE_PATH"] = str(world.node_modules)
    node = Process(world, "node", ["node", script, world.port])
    node.ended()
    same(node.lines(), [f"{version} {qos}" for version in (3, 4, 5) for qos in range(3)], "rounds")


def a_killed_client_has_its_will_published_and_one_that_says_goodbye_has_not(world):
    world.start_broker()
    for version in VERSIONS:
        topic = f"w/{version}"
        world.mark(topic)
        watcher = world.mosquitto_sub("-t", f"{topic}/+", "-q", 1, "-F", "%r %p")
        wait_for(lambda: f"1 {READY}" in watcher.lines(), "is subscribed")
        clients = [world.mosquitto_sub, world.sub]
        for number, (program, end) in enumerate(
                (program, end) for program in clients for end in (signal.SIGKILL, signal.SIGINT)):
            client = program(
                "-V", version, "-t", f"{topic}/ready", "--will-topic", f"{topic}/will",
                "--will-payload", f"gone {number}", "--will-qos", 1, "--will-retain")
            client.wait_ready()
            seen = len(watcher.lines())
            client.signal(end)
            expected = [f"0 gone {number}"]
            if end == signal.SIGINT:
                client.ended()
                # Had there been a Will it would come before this.
                world.mosquitto_pub("-t", f"{topic}/will", "-m", "end", "-q", 1).ended()
                # mosquitto_sub of 5.0 says with its DISCONNECT that it wants the Will.
                is_wanted = version == "mqttv5" and program == world.mosquitto_sub
                expected = [*expected[:is_wanted], "0 end"]
            wait_for(lambda: len(watcher.lines()) >= seen + len(expected), f"{topic} after {end.name}")
            same(watcher.lines()[seen:], expected, f"{topic} after {end.name}")
        kept = world.mosquitto_sub("-t", f"{topic}/will", "-C", 1, "-W", LIMIT)
        kept.ended()
        same(kept.lines(), ["gone 2"], f"{topic}: the Will is retained")


def a_will_waits_for_its_delay_and_is_dropped_when_the_client_comes_back(world):
    world.start_broker()
    watcher = world.mosquitto_sub("-t", "d/+", "-q", 1, "-v")
    world.logged("connected")

    def dies(delay):
        client = world.mosquitto_sub(
            "-V", "mqttv5", "-i", f"d{delay}", "-c", "-x", 60, "-t", "nothing", "--will-topic",
            f"d/{delay}", "--will-payload", "gone", "-D", "will", "will-delay-interval", delay)
        world.logged(f'"d{delay}" connected')
        client.kill()
        world.logged(f'"d{delay}": the transport was closed')

    dies(2)
    dies(1)
    back = world.mosquitto_sub("-V", "mqttv5", "-i", "d2", "-c", "-x", 60, "-t", "nothing")
    world.logged("session resumed")
    wait_for(watcher.lines, "the Will that was not called off")
    time.sleep(1.2)  # Until the other one would have come too.
    same(watcher.lines(), ["d/1 gone"], "Wills")
    back.kill()


def retained_messages_are_kept_replaced_and_cleared(world):
    world.start_broker()
    for version in VERSIONS:
        for qos in range(3):
            topic = f"r/{version}/{qos}"
            common = ["-V", version, "-q", qos, "-r", "-t", topic]
            for payload in ["first", "second"]:
                world.mosquitto_pub(*common, "-m", payload).ended()
            sub = world.mosquitto_sub("-V", version, "-q", 2, "-t", topic, "-C", 1, "-W", LIMIT,
                                      "-F", "%r %q %p")
            sub.ended()
            same(sub.lines(), [f"1 {qos} second"], topic)
            world.mosquitto_pub(*common, "-n").ended()
    world.mark("r")
    sub = world.mosquitto_sub("-t", "r/#", "-v")
    wait_for(sub.lines, "what is retained")
    same(sub.lines(), [f"r/ready {READY}"], "nothing else is left")


def each_message_goes_to_one_member_of_a_shared_subscription(world):
    world.start_broker()
    with contextlib.ExitStack() as stack:
        members = [stack.enter_context(world.paho("mqttv5", f"member-{number}"))
                   for number in range(3)]
        other = stack.enter_context(world.paho("mqttv5", "other"))
        for member in members:
            member.subscribed("$share/group/s/+", 1)
        other.subscribed("s/#", 1)
        lines = numbered(300)
        with open(world.file(lines), "rb") as stdin:
            world.mosquitto_pub("-q", 1, "-t", "s/x", "-l", stdin=stdin).ended()
        wait_for(lambda: sum(len(member.received) for member in members) >= 300, "all")
        same(other.payloads(300), lines, "who is no member")
        received = [member.payloads(1) for member in members]
        same(sorted(sum(received, [])), sorted(lines), "each message once")
        same([len(some) for some in received], [100] * 3, "in turn")
        for some in received:
            same(some, [line for line in lines if line in set(some)], "in order")


def what_comes_while_a_client_is_away_waits_for_it_in_order(world):
    world.start_broker()
    lines = numbered(300)
    path = world.file(lines)
    for version in VERSIONS:
        for program in [world.mosquitto_sub, world.sub]:
            name = f"{version}-{program.__name__}"  # 23 characters at most in 3.1
            for qos in (1, 2):
                args = ["-V", version, "-i", f"{name[-20:]}-{qos}", "-c", "-q", qos, "-t", f"{name}/{qos}/+"]
                if version == "mqttv5":
                    args += ["-x", 3600]
                world.mark(f"{name}/{qos}", qos)
                first = program(*args)
                first.wait_ready()
                first.signal(signal.SIGINT)
                first.child.wait(LIMIT)
                with open(path, "rb") as stdin:
                    world.pub("-V", version, "-q", qos, "-t", f"{name}/{qos}/x", "-l",
                              stdin=stdin).ended()
                second = program(*args)
                wait_for(lambda: len(messages(second.lines())) >= len(lines), f"{name} {qos}: all")
                same(messages(second.lines()), lines, f"{name} {qos}")
                second.kill()


def a_session_ends_when_its_time_is_over(world):
    world.start_broker("--session-expiry-interval", "2")
    for name, expiry in [("short", 1), ("capped", 3600)]:
        sub = world.mosquitto_sub("-V", "mqttv5", "-i", name, "-c", "-x", expiry, "-q", 1, "-t", "e")
        world.logged(f'"{name}" connected')
        sub.kill()
    world.mosquitto_pub("-t", "e", "-q", 1, "-m", "lost").ended()
    for name in ["short", "capped"]:
        world.logged(f'the session of "{name}" ended')
    with world.paho("mqttv5", "short", clean=False) as client:
        expect(not client.conn_acks[0][0].session_present, "there is no session")


@in_asyncio
async def a_thousand_clients_at_the_same_time_each_get_their_message(world):
    world.start_broker()
    count = 1000
    started = asyncio.get_running_loop().time()

    async def client(number):
        version = 4 + number % 2
        raw = await Raw.connected(world.port, f"c{number}", version)
        await raw.subscribed(f"m/{number}", number // 2 % 2)
        return raw

    clients = await asyncio.gather(*map(client, range(count)))
    publisher = await Raw.connected(world.port, "publisher")
    for number in range(count):
        publisher.send(publish(f"m/{number}", f"for {number}".encode(), 1, number + 1))

    async def acknowledged():
        return [await publisher.receive() for _ in range(count)]

    acks, *received = await asyncio.gather(acknowledged(), *(raw.message() for raw in clients))
    expect({first for first, _ in acks} == {PUBACK}, "PUBACK for each")
    same(received, [(f"m/{number}", f"for {number}".encode()) for number in range(count)], "messages")
    print(f"    {count} clients in {asyncio.get_running_loop().time() - started:.1f} s, the broker "
          f"holds {world.memory():.0f} MiB")
    for raw in [publisher, *clients]:
        raw.abort()
    await asyncio.to_thread(wait_for, lambda: len(world.ends()) > count, "all are gone")


@in_asyncio
async def one_publisher_reaches_five_hundred_subscribers(world):
    world.start_broker()
    count, payloads = 500, [f"{number}".encode() for number in range(100)]
    for qos in (0, 1):
        clients = await asyncio.gather(
            *(Raw.connected(world.port, f"f{qos}-{number}") for number in range(count)))
        await asyncio.gather(*(raw.subscribed("f/+", qos) for raw in clients))
        publisher = await Raw.connected(world.port, "publisher")

        async def receive(raw):
            return [(await raw.message())[1] for _ in payloads]

        started = asyncio.get_running_loop().time()
        for number, payload in enumerate(payloads, 1):
            publisher.send(publish("f/x", payload, qos, number))
        for received in await asyncio.gather(*map(receive, clients)):
            same(received, payloads, f"QoS {qos}")
        print(f"    QoS {qos}: {count * len(payloads)} deliveries in "
              f"{asyncio.get_running_loop().time() - started:.1f} s, most of it the clients'")
        for raw in [publisher, *clients]:
            raw.abort()


def a_payload_of_a_mebibyte_arrives_whole(world):
    world.start_broker()
    payload = bytes(range(256)) * 4096
    for version in VERSIONS:
        with world.paho(version, "reader") as reader, world.paho(version, "writer") as writer:
            reader.subscribed("big/#", 2)
            for qos in range(3):
                writer.published(f"big/{qos}", payload, qos=qos, retain=True)
                wait_for(lambda: len(reader.received) > qos, f"QoS {qos}")
                expect(reader.received[qos].payload == payload, f"QoS {qos}: the payload")
        with world.paho(version, "late") as late:
            late.subscribed("big/#", 2)
            wait_for(lambda: len(late.received) >= 3, "what is retained")
            expect(all(message.payload == payload for message in late.received), "the payloads")


def a_packet_that_is_too_large_ends_the_connection_with_0x95(world):
    world.start_broker("--maximum-packet-size", "5000")
    for version, said in [("mqttv5", "0x95"), ("mqttv311", "too large")]:
        with world.paho(version, f"large-{version}") as client:
            client.publish("a", b"x" * 5000, qos=1)
            wait_for(lambda: client.ends, "the end")
            if version == "mqttv5":
                same(client.ends[0][1].value, 0x95, "reason code")
    world.mosquitto_pub("-t", "a", "-q", 1, "-m", "x" * 4000).ended()


def a_request_has_its_response_with_all_properties_in_order(world):
    world.start_broker()
    user = [("one", "1"), ("two", "2"), ("one", "3")]
    with world.paho("mqttv5", "asks") as asks, world.paho("mqttv5", "answers") as answers:
        answers.subscribed("ask", 1, properties=None)

        def answer(client, _, message):
            more = properties("PUBLISH", CorrelationData=message.properties.CorrelationData,
                              UserProperty=message.properties.UserProperty,
                              ContentType=message.properties.ContentType, PayloadFormatIndicator=1,
                              MessageExpiryInterval=message.properties.MessageExpiryInterval)
            client.publish(message.properties.ResponseTopic, message.payload[::-1], 1, properties=more)

        answers.on_message = answer
        asks.subscribed("answer/asks", 1)
        asks.published("ask", b"abc", 1, properties=properties(
            "PUBLISH", ResponseTopic="answer/asks", CorrelationData=b"\0\xff", UserProperty=user,
            ContentType="text/plain", MessageExpiryInterval=100))
        same(asks.payloads(1), ["cba"], "the response")
        got = asks.received[0].properties
        same([got.CorrelationData, got.ContentType, got.PayloadFormatIndicator],
             [b"\0\xff", "text/plain", 1], "properties")
        same(got.UserProperty, user, "User Properties")
        expect(95 <= got.MessageExpiryInterval <= 100, f"expires in {got.MessageExpiryInterval}")
        request = world.run(["mosquitto_rr"], "-V", "5", "-t", "ask", "-e", "answer/rr", "-m", "xyz",
                            "-D", "publish", "user-property", "one", "1", "-D", "publish",
                            "correlation-data", "c", "-D", "publish", "content-type", "text/plain",
                            "-D", "publish", "message-expiry-interval", "10", "-W", LIMIT)
        request.ended()
        same(request.lines(), ["zyx"], "the response to mosquitto_rr")


@in_asyncio
async def who_reads_nothing_holds_up_nobody_and_the_broker_holds_no_more_than_it_may(world):
    world.start_broker("--max-queued-messages", "100", "--max-in-flight", "10",
                       "--max-queued-bytes", "10000000", "--overflow", "drop-oldest",
                       "--sys-interval", "1")
    payload, count = b"x" * 50_000, 1000
    slow = []
    for qos in (0, 1):
        raw = await Raw.connected(world.port, f"slow-{qos}")
        await raw.subscribed("flood", qos)
        raw.writer.transport.pause_reading()
        slow.append(raw)
    fast, publisher = [await Raw.connected(world.port, name) for name in ("fast", "publisher")]
    await fast.subscribed("flood", 1)

    async def flood():
        for number in range(1, count + 1):
            publisher.send(publish("flood", b"%06d" % number + payload, 1, number))
            await publisher.writer.drain()
            await publisher.receive()

    async def receive():
        return [(await fast.message())[1][:6] for _ in range(count)]

    _, received = await asyncio.gather(flood(), receive())
    same(received, [b"%06d" % number for number in range(1, count + 1)], "the one that reads")
    memory = world.memory()
    expect(memory < 60, f"{memory:.0f} MiB")
    dropped = await asyncio.to_thread(world.statistic, "publish/messages/dropped")
    expect(dropped > count, f"{dropped} dropped")
    # What is left for those that read again is the newest, in order.
    last = publish("flood", b"%06d" % (count + 1), 1, 1)
    for raw in slow:
        raw.writer.transport.resume_reading()
    publisher.send(last)
    for raw in slow:
        got = [0]
        while got[-1] <= count:
            got.append(int((await raw.message())[1][:6]))
        expect(got == sorted(set(got)) and len(got) < 800, f"{len(got)} messages")
        if raw is slow[1]:
            expect(got[-51:] == list(range(count - 49, count + 2)), "the newest")
    print(f"    the broker held {memory:.0f} MiB for {2 * count * len(payload) >> 20} MiB unread")


@in_asyncio
async def who_overflows_is_disconnected_with_0x97_if_that_is_the_policy(world):
    world.start_broker("--max-queued-messages", "10", "--overflow", "disconnect",
                       "--max-in-flight", "5")
    raw = await Raw.connected(world.port, "slow", 5)
    await raw.subscribed("flood", 1)
    publisher = await Raw.connected(world.port, "publisher")
    for number in range(1, 31):
        publisher.send(publish("flood", b"x", 1, number))
    packets = await raw.at_end()
    same([first & 0xF0 for first, _ in packets[:-1]], [PUBLISH] * (len(packets) - 1), "packets")
    same(packets[-1][0], DISCONNECT, "the last packet")
    same(packets[-1][1][0], 0x97, "reason code")


def who_has_no_right_password_is_refused(world):
    path = world.folder / "passwords"
    for user, password in [("meter", "right"), ("größer", "ebenfalls richtig")]:
        line = subprocess.run([world.examples / "broker", "--hash-password", user], timeout=LIMIT,
                              input=f"{password}\n", text=True, check=True, capture_output=True)
        with open(path, "a") as file:
            file.write(line.stdout)
    expect("right" not in path.read_text(), "passwords are hashed")
    expect(path.read_text().startswith("meter:$argon2id$"), "as PHC strings")
    world.start_broker("--password-file", str(path))
    cases = [(None, 5, 0x87), (("meter", "wrong"), 4, 0x86), (("nobody", "right"), 4, 0x86),
             (("meter", None), 4, 0x86), (("meter", "right"), 0, 0),
             (("größer", "ebenfalls richtig"), 0, 0)]
    for version in VERSIONS:
        for user, code, code_v5 in cases:
            with world.paho(version, "somebody", user=user) as client:
                actual, expected = client.conn_acks[0][1], code_v5 if version == "mqttv5" else code
                if version == "mqttv5":
                    actual = actual.value
                else:
                    # paho makes a Reason Code of it.
                    actual = {0: 0, 0x86: 4, 0x87: 5}[actual.value]
                same(actual, expected, f"{version} {user}")
    refused = world.pub("-t", "a", "-m", "x", "-u", "meter", "-P", "wrong")
    refused.ended(1)
    expect("Bad User Name or Password" in refused.said(), refused.said())
    world.pub("-t", "a", "-m", "x", "-q", 1, "-u", "meter", "-P", "right").ended()
    world.stop_broker()
    world.start_broker("--password-file", str(path), "--allow-anonymous")
    world.mosquitto_pub("-t", "a", "-m", "x", "-q", 1).ended()
    world.mosquitto_pub("-t", "a", "-m", "x", "-q", 1, "-u", "meter", "-P", "wrong").ended(4)


@in_asyncio
async def passwords_are_looked_at_while_others_go_on(world):
    path = world.folder / "passwords"
    line = subprocess.run([world.examples / "broker", "--hash-password", "meter"], timeout=LIMIT,
                          input="right\n", text=True, check=True, capture_output=True)
    path.write_text(line.stdout)
    world.start_broker("--password-file", str(path), "--allow-anonymous")
    echo = await Raw.connected(world.port, "echo")
    await echo.subscribed("echo")
    logins = []
    for number in range(8):
        raw = await Raw.opened(world.port)
        raw.send(connect(4, f"l{number}", flags=0xC2, rest=b"\0\x05meter\0\x05wrong"))
        logins.append(asyncio.create_task(raw.receive()))
    longest, rounds = 0, 0
    loop = asyncio.get_running_loop()
    while not all(task.done() for task in logins):
        started = loop.time()
        echo.send(publish("echo", b"x"))
        await echo.message()
        longest, rounds = max(longest, loop.time() - started), rounds + 1
    for task in logins:
        same((await task)[1], b"\0\x04", "refused")
    expect(rounds > 20, f"{rounds} rounds")
    print(f"    {rounds} rounds meanwhile, the longest {1000 * longest:.0f} ms")


def who_connects_again_takes_its_session_over_from_its_other_connection(world):
    world.start_broker()
    with world.paho("mqttv5", "twin") as first:
        with world.paho("mqttv5", "twin") as second:
            wait_for(lambda: first.ends, "the end of the first")
            same(first.ends[0][1].value, 0x8E, "reason code")
            expect(not second.ends, "the second stays")
    with world.paho("mqttv311", "twin") as first:
        with world.paho("mqttv311", "twin"):
            wait_for(lambda: first.ends, "the end of the first")
    ours = world.sub("-i", "twin", "-t", "x")
    wait_for(lambda: world.broker.said().count('"twin" connected') == 5, "ours is connected")
    with world.paho("mqttv5", "twin"):
        ours.ended(1)
    expect("Session taken over" in ours.said(), ours.said())


def nobody_publishes_to_topics_of_the_broker(world):
    world.start_broker("--sys-interval", "1")
    with world.paho("mqttv5", "villain") as villain:
        acks = []
        villain.on_publish = lambda _, __, ___, code, ____: acks.append(code.value)
        villain.published("$SYS/broker/version", "9", qos=1, retain=True)
        wait_for(lambda: acks, "the acknowledgement")
        same(acks, [0x87], "reason code")
    ours = world.pub("-t", "$SYS/broker/version", "-q", 2, "-m", "9")
    ours.ended(1)
    expect("Not authorized" in ours.said(), ours.said())
    with world.paho("mqttv311", "villain-2") as villain:
        villain.published("$SYS/broker/version", "9", qos=1, retain=True)
    with_will = world.mosquitto_sub("-t", "x", "--will-topic", "$SYS/x", "--will-payload", "x")
    with_will.ended(5)
    watcher = world.sub("-t", "$SYS/#", "-v", "-C", 34)
    watcher.ended()
    values = dict(line.removeprefix("$SYS/broker/").rsplit(" ", 1)
                  if "uptime" not in line and "version" not in line else ("", "")
                  for line in watcher.lines())
    expect("$SYS/broker/version sansio-mqtt" in watcher.lines()[0], watcher.lines()[0])
    same([values["clients/connected"], values["publish/messages/refused"]], ["1", "3"], "counters")
    everything = world.mosquitto_sub("-t", "#", "-W", "1")
    everything.ended(27)
    same(everything.lines(), [], "`#` has none of them")


def a_client_is_told_the_limits(world):
    world.start_broker(
        "--maximum-qos", "1", "--retain-available", "false", "--receive-maximum", "7",
        "--topic-alias-maximum", "3", "--server-keep-alive", "30", "--session-expiry-interval", "60",
        "--maximum-packet-size", "5000", "--wildcard-subscription-available", "false",
        "--shared-subscription-available", "false", "--subscription-identifiers-available", "false",
        "--response-information", "answers/", "--sys-interval", "1")
    asked = properties("CONNECT", RequestResponseInformation=1, SessionExpiryInterval=100)
    with world.paho("mqttv5", "", properties=asked) as client:
        told = client.conn_acks[0][2].json()
        expect(told.pop("AssignedClientIdentifier"), "an identifier")
        same(sorted(told.items()), sorted({
            "MaximumQoS": 1, "RetainAvailable": 0, "ReceiveMaximum": 7, "TopicAliasMaximum": 3,
            "ServerKeepAlive": 30, "SessionExpiryInterval": 60, "MaximumPacketSize": 5000,
            "WildcardSubscriptionAvailable": 0, "SharedSubscriptionAvailable": 0,
            "SubscriptionIdentifierAvailable": 0, "ResponseInformation": "answers/"}.items()), "told")
        same([code.value for code in client.subscribed("a", 2)], [1], "granted")
    # There are statistics all the same, for those who are there.
    world.sub("-t", "$SYS/broker/uptime", "-C", 1).ended()


@in_asyncio
async def who_is_silent_for_too_long_or_says_nothing_at_all_is_disconnected(world):
    world.start_broker("--connect-timeout", "1")
    loop = asyncio.get_running_loop()
    started = loop.time()

    async def silent(version):
        raw = await Raw.connected(world.port, f"silent-{version}", version, keep_alive=1)
        return await raw.at_end(), loop.time() - started

    async def never():
        raw = await Raw.opened(world.port)
        return await raw.at_end(), loop.time() - started

    old, new, nothing = await asyncio.gather(silent(4), silent(5), never())
    for packets, seconds in (old, new):
        expect(1.4 < seconds < 3, f"{seconds} s")
    same((old[0], [(first, body[0]) for first, body in new[0]]), ([], [(DISCONNECT, 0x8D)]), "ends")
    expect(nothing[0] == [] and 0.9 < nothing[1] < 2, f"{nothing[1]} s")


@in_asyncio
async def one_connection_too_many_is_closed_and_there_is_room_again_later(world):
    world.start_broker("--max-connections", "3")
    clients = [await Raw.connected(world.port, f"c{number}") for number in range(3)]
    same(await (await Raw.opened(world.port)).at_end(), [], "closed")
    clients.pop().abort()
    await asyncio.to_thread(world.logged, "the transport was closed")
    await asyncio.sleep(0.05)  # The task ends a moment after it has said so.
    await Raw.connected(world.port, "another")


@in_asyncio
async def too_many_open_files_are_survived(world):
    world.start_broker()
    resource.prlimit(world.broker.child.pid, resource.RLIMIT_NOFILE, (40, 40))
    clients = [await Raw.opened(world.port) for _ in range(50)]
    await asyncio.to_thread(world.logged, "Too many open files")
    for raw in clients:
        raw.abort()
    await Raw.connected(world.port, "later")
    lines = world.broker.said().count("Too many open files")
    expect(lines < 20, f"{lines} lines about it")


@in_asyncio
async def what_is_no_mqtt_is_refused_and_logged(world):
    world.start_broker()
    for bytes_, said in [(b"GET / HTTP/1.1\r\n\r\n", "the client sent"),
                         (connect(6, "future"), "the unsupported protocol level 6"),
                         (publish("a", b"x"), "the client sent")]:
        raw = await Raw.opened(world.port)
        raw.send(bytes_)
        await raw.at_end()
        await asyncio.to_thread(world.logged, said)
    raw = await Raw.connected(world.port, "breaks", 5)
    raw.send(b"\xf0\x01\x00\x36\x00")
    packets = await raw.at_end()
    same([first for first, _ in packets], [DISCONNECT], "packets")
    await asyncio.to_thread(world.logged, '"breaks": the client sent')
    # What a client calls itself does not reach the terminal as it is.
    await Raw.connected(world.port, "\x1b[2J")
    await asyncio.to_thread(world.logged, '"\\u{1b}[2J" connected')
    expect("\x1b" not in world.broker.said(), "control characters are quoted")


@in_asyncio
async def sigterm_says_0x8b_to_everybody_and_ends_with_code_0(world):
    world.start_broker()
    new, old = [await Raw.connected(world.port, f"v{version}", version) for version in (5, 4)]
    ours = world.sub("-t", "x", "-i", "ours")
    await asyncio.to_thread(world.logged, '"ours" connected')
    started = asyncio.get_running_loop().time()
    world.broker.signal(signal.SIGTERM)
    ends = await asyncio.gather(new.at_end(), old.at_end())
    same([[(first, body[0]) for first, body in packets] for packets in ends],
         [[(DISCONNECT, 0x8B)], []], "what the clients are told")
    for raw in (new, old):
        raw.writer.close()
    await asyncio.to_thread(world.broker.ended)
    seconds = asyncio.get_running_loop().time() - started
    expect(seconds < 3, f"{seconds} s")
    expect("Server shutting down" in ours.said() or "again in" in ours.said(), ours.said())


@in_asyncio
async def a_client_that_takes_nothing_does_not_hold_up_the_end(world):
    world.start_broker("--close-timeout", "1")
    stuck = await Raw.connected(world.port, "stuck", 5)
    await stuck.subscribed("flood")
    stuck.writer.transport.pause_reading()
    publisher = await Raw.connected(world.port, "publisher")
    for _ in range(100):
        publisher.send(publish("flood", b"x" * 100_000))
        await publisher.writer.drain()
    started = asyncio.get_running_loop().time()
    world.broker.signal(signal.SIGINT)
    await asyncio.to_thread(world.broker.ended)
    seconds = asyncio.get_running_loop().time() - started
    expect(seconds < 5, f"{seconds} s")


@in_asyncio
async def a_second_signal_ends_it_at_once(world):
    world.start_broker("--close-timeout", "30")
    stuck = await Raw.connected(world.port, "stuck", 5)
    await stuck.subscribed("flood")
    stuck.writer.transport.pause_reading()
    publisher = await Raw.connected(world.port, "publisher")
    for _ in range(100):
        publisher.send(publish("flood", b"x" * 100_000))
        await publisher.writer.drain()
    world.broker.signal(signal.SIGINT)
    await asyncio.to_thread(world.logged, "shutting down")
    world.broker.signal(signal.SIGTERM)
    await asyncio.to_thread(world.broker.ended, 1)


def what_cannot_be_is_said_plainly(world):
    world.start_broker()
    bad = world.folder / "bad"
    bad.write_text("# users\nmeter:secret\n")
    for args, code, said in [
            (["--listen", f"127.0.0.1:{world.port}"], 1, "Address already in use"),
            (["--listen", "127.0.0.1"], 1, "127.0.0.1: invalid socket address"),
            (["--password-file", world.folder / "none"], 1, "none: No such file or directory"),
            (["--password-file", bad], 1, 'bad: line 2: the hash of "meter"'),
            (["--hash-password", "a:b"], 1, "cannot be a user"),
            (["--maximum-qos", "3"], 2, "0, 1 or 2"),
            (["--receive-maximum", "0"], 2, "0 is not in 1..=65535")]:
        other = Process(world, "other", [world.examples / "broker", *args])
        other.ended(code)
        expect(said in other.said(), f"{args}: {other.said()}")
        expect("panicked" not in other.said(), other.said())


SCENARIOS = [
    our_client_and_mosquittos_exchange_messages_in_every_version_at_every_qos,
    every_version_hears_every_other_at_the_lower_qos,
    mqttjs_hears_itself_in_every_version_at_every_qos,
    a_killed_client_has_its_will_published_and_one_that_says_goodbye_has_not,
    a_will_waits_for_its_delay_and_is_dropped_when_the_client_comes_back,
    retained_messages_are_kept_replaced_and_cleared,
    each_message_goes_to_one_member_of_a_shared_subscription,
    what_comes_while_a_client_is_away_waits_for_it_in_order,
    a_session_ends_when_its_time_is_over,
    a_thousand_clients_at_the_same_time_each_get_their_message,
    one_publisher_reaches_five_hundred_subscribers,
    a_payload_of_a_mebibyte_arrives_whole,
    a_packet_that_is_too_large_ends_the_connection_with_0x95,
    a_request_has_its_response_with_all_properties_in_order,
    who_reads_nothing_holds_up_nobody_and_the_broker_holds_no_more_than_it_may,
    who_overflows_is_disconnected_with_0x97_if_that_is_the_policy,
    who_has_no_right_password_is_refused,
    passwords_are_looked_at_while_others_go_on,
    who_connects_again_takes_its_session_over_from_its_other_connection,
    nobody_publishes_to_topics_of_the_broker,
    a_client_is_told_the_limits,
    who_is_silent_for_too_long_or_says_nothing_at_all_is_disconnected,
    one_connection_too_many_is_closed_and_there_is_room_again_later,
    too_many_open_files_are_survived,
    what_is_no_mqtt_is_refused_and_logged,
    sigterm_says_0x8b_to_everybody_and_ends_with_code_0,
    a_client_that_takes_nothing_does_not_hold_up_the_end,
    a_second_signal_ends_it_at_once,
    what_cannot_be_is_said_plainly,
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("examples", type=pathlib.Path)
    parser.add_argument("--mqttjs", type=pathlib.Path, default="target/ci/npm/node_modules")
    parser.add_argument("scenarios", nargs="*")
    args = parser.parse_args()
    examples, node_modules = args.examples.resolve(), args.mqttjs.resolve()
    # A thousand connections have an end here too.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))

    def world(_, folder):
        return Broker(examples, node_modules, folder)

    sys.exit(play_all(SCENARIOS, world, args.scenarios, TOTAL))


if __name__ == "__main__":
    main()
