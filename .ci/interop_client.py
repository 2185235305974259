#!/usr/bin/env python3
"""The client example against mosquitto: versions, crashes, refusals, endings.

    python3 .ci/interop_client.py target/debug/examples/client [SCENARIO ...]

Prints one line a scenario. At the first failure it prints what everybody said, and exits with 1.
Needs mosquitto, mosquitto_pub, mosquitto_sub and mosquitto_passwd; every broker has a port of its
own on 127.0.0.1 and a temporary folder. Nothing waits without a limit, and nothing just sleeps.
"""

import os
import pathlib
import random
import signal
import socket
import subprocess
import sys

from interop import (LIMIT, READY, VERSIONS, Process, World, expect, messages, numbered,
                     our_client_and_mosquittos_exchange_messages_in_every_version_at_every_qos,
                     play_all, read_lines, same, wait_for)

TOTAL = 90  # seconds for all


class Mosquitto(World):
    """A world with mosquitto."""

    def __init__(self, client, folder, config=""):
        super().__init__(client, folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.config = folder / "mosquitto.conf"
        user = "root" if os.geteuid() == 0 else ""
        self.config.write_text(
            f"listener {self.port} 127.0.0.1\npersistence_location {folder}/\n"
            f"max_queued_messages 0\n{f'user {user}' if user else ''}\n"
            f"{config or 'allow_anonymous true'}\n")
        self.broker = None

    def start_broker(self):
        self.broker = Process(self, "mosquitto", ["mosquitto", "-v", "-c", self.config])

        def listens():
            expect(self.broker.child.poll() is None, "mosquitto ended")
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        wait_for(listens, "mosquitto listens")
        return self

    def stop_broker(self):
        self.broker.signal(signal.SIGTERM)
        self.broker.ended()


def count_and_formats(world):
    """-C, -v and --delivery-ids."""
    world.start_broker()
    world.mark("a", qos=1)
    for args, expected in [(["-v"], "a/ready ready"), (["--delivery-ids"], "-\tready")]:  # QoS 0
        sub = world.sub("-t", "a/+", "-C", 1, *args)
        sub.ended()
        same(sub.lines(), [expected], " ".join(args))
    sub = world.sub("-t", "a/+", "-C", 1, "-q", 1, "--delivery-ids")
    sub.ended()
    number, payload = sub.lines()[0].split("\t")
    expect(int(number) > 0 and payload == READY, "a delivery identifier and a payload")


def properties(world):
    """Content Type, User Property and Message Expiry Interval arrive."""
    world.start_broker()
    world.mark("p")
    sub = world.mosquitto_sub("-V", "5", "-t", "p/+", "-q", 2, "-F", "%p %C %P %E")
    wait_for(lambda: any(line.startswith(READY) for line in sub.lines()), "is subscribed")
    world.pub("-t", "p/x", "-q", 2, "-m", "21.5", "--content-type", "text/plain",
              "--user-property", "unit=C", "--message-expiry", 60).ended()
    wait_for(lambda: len(sub.lines()) > 1, "the message")
    same(sub.lines()[1:], ["21.5 text/plain unit:C 60"], "properties")
    refused = world.pub("-V", "311", "-t", "p/x", "-m", "21.5", "--content-type", "text/plain")
    refused.ended(1)
    expect("3.1.1" in refused.said(), "says why there are no properties in 3.1.1")


def retained(world):
    """What our client has the server retain."""
    world.start_broker()
    for version in VERSIONS:
        for qos in range(3):
            topic, payload = f"r/{version}/{qos}", f"kept {qos}"
            world.pub("-V", version, "-q", qos, "-r", "-t", topic, "-m", payload).ended()
            sub = world.mosquitto_sub("-t", topic, "-C", 1, "-W", LIMIT, "-F", "%r %p")
            sub.ended()
            same(sub.lines(), [f"1 {payload}"], topic)


def will(world):
    """A crash publishes the Will, an interrupt does not: it ends with DISCONNECT and code 0."""
    world.start_broker()
    for version in VERSIONS:
        topic = f"w/{version}"
        world.mark(topic)
        watcher = world.mosquitto_sub("-t", f"{topic}/+", "-q", 1, "-F", "%r %p")
        wait_for(lambda: f"1 {READY}" in watcher.lines(), "is subscribed")
        seen = 1
        for number, expected in [(signal.SIGKILL, "0 gone"), (signal.SIGINT, "0 end"),
                                 (signal.SIGTERM, "0 end")]:
            client = world.sub(
                "-V", version, "-t", f"{topic}/ready", "--will-topic", f"{topic}/will",
                "--will-payload", "gone", "--will-qos", 1, "--will-retain")
            client.wait_ready()
            client.signal(number)
            client.ended(-9 if number == signal.SIGKILL else 0)
            if number != signal.SIGKILL:
                # Had there been a Will it would come before this.
                world.mosquitto_pub("-t", f"{topic}/will", "-m", "end", "-q", 1).ended()
            seen += 1
            wait_for(lambda: len(watcher.lines()) >= seen, f"{topic} after {number.name}")
            same(watcher.lines()[seen - 1:], [expected], f"{topic} after {number.name}")
        kept = world.mosquitto_sub("-t", f"{topic}/will", "-C", 1, "-W", LIMIT)
        kept.ended()
        same(kept.lines(), ["gone"], f"{topic}: the Will is retained")


def interrupt_without_a_server(world):
    """Ctrl-C ends a client that waits for a server, with code 0."""
    client = world.sub("-t", "a")
    wait_for(lambda: "again in" in client.said(), "it says that it tries again")
    client.signal(signal.SIGINT)
    client.ended()


def server_comes_late(world):
    """What is published before there is a server is sent when there is one."""
    client = world.pub("-t", "late/x", "-m", "21.5", "-r", "-q", 1)
    wait_for(lambda: "again in" in client.said(), "it says that it tries again")
    world.start_broker()
    client.ended()
    sub = world.mosquitto_sub("-t", "late/x", "-C", 1, "-W", LIMIT)
    sub.ended()
    same(sub.lines(), ["21.5"], "the message")


def refused(world):
    """Who is refused is told why, and does not try again."""
    path = world.folder / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", path, "meter", "right"],
                   check=True, timeout=LIMIT, capture_output=True)
    world.config.write_text(world.config.read_text() +
                            f"allow_anonymous false\npassword_file {path}\n")
    world.start_broker()
    for version in VERSIONS:
        for command, args in [(world.pub, ["-t", "a", "-m", "x"]), (world.sub, ["-t", "a"])]:
            for credentials in [[], ["-u", "meter", "-P", "wrong"]]:
                client = command("-V", version, *args, *credentials)
                client.ended(1)
                said = client.said()
                expect("Not authorized" in said or "Bad User Name" in said, f"why: {said}")
                expect("again in" not in said, "it does not try again")
        world.pub("-V", version, "-t", "a", "-m", "x", "-q", 1, "-u", "meter", "-P", "right").ended()


def line_too_large(world):
    """A line that the server does not take fails by itself, whenever that is known."""
    world.start_broker()
    sub = world.mosquitto_sub("-t", "l/x", "-C", 4, "-W", LIMIT)
    world.mark("l")
    lines = ["first", "x" * 10_000, "-5"]
    for connected in (False, True):
        pub = world.pub("-t", "l/x", "-q", 1, "-l", stdin=subprocess.PIPE)
        if connected:
            pub.feed(lines[:1])
            wait_for(lambda: len(sub.lines()) == 3, "the first line")
        pub.feed(lines[connected:])
        pub.child.stdin.close()
        pub.ended(1)
        expect("bytes where the server accepts 5000" in pub.said(), f"why: {pub.said()}")
    sub.ended()
    same(sub.lines(), ["first", "-5"] * 2, "the other lines")
    world.pub("-t", "l/x", "-m", "-5").ended()


def broker_restarts(world):
    """The broker ends and starts again mid-stream: nothing is lost, and nothing doubled at QoS 2.

    It ends with SIGTERM: mosquitto writes its sessions then, and (with autosave_on_changes too) some
    time after the acknowledgement otherwise, so that kill -9 loses what it has acknowledged.

    It may have more in flight than any client lets it: of what is beyond its own maximum of 20, mosquitto
    2.0.11 forgets when it starts again that it has sent PUBREL, and sends PUBLISH once more.
    """
    for version in VERSIONS:
        for qos in (1, 2):
            world.start_broker()
            topic, lines = f"b/{version}/{qos}", numbered(600)
            world.mark(topic)
            common = ["-V", version, "-q", qos, "-c"]
            sub = world.sub(*common, "-i", f"s{version}{qos}", "-t", f"{topic}/+")
            sub.wait_ready()
            pub = world.pub(*common, "-i", f"p{version}{qos}", "-t", f"{topic}/x", "-l",
                            stdin=subprocess.PIPE)
            pub.feed(lines[:200])
            wait_for(lambda: len(sub.lines()) > 50, "the stream flows")
            world.stop_broker()
            pub.feed(lines[200:400])
            world.start_broker()
            pub.feed(lines[400:])
            pub.child.stdin.close()
            pub.ended()
            wait_for(lambda: set(lines) <= set(sub.lines()), f"{topic}: all arrive")
            sub.signal(signal.SIGINT)
            sub.ended()
            received = messages(sub.lines())
            same(received if qos == 2 else list(dict.fromkeys(received)), lines, topic)
            world.stop_broker()


def publisher_crashes(world):
    """kill -9 of the publisher, again and again: nothing is lost, and nothing doubled at QoS 2."""
    world.start_broker()
    for version in VERSIONS:
        for qos in (1, 2):
            topic, lines = f"c/{version}/{qos}", numbered(1500)
            path = world.file(lines)
            world.mark(topic)
            sub = world.mosquitto_sub("-V", version, "-q", 2, "-t", f"{topic}/+")
            sub.wait_ready()
            args = ["-V", version, "-q", qos, "-i", f"c{version}{qos}", "-t", f"{topic}/x", "-l",
                    "--data", world.folder / f"c-{version}-{qos}", "--continue"]
            crashes = 0
            while True:
                before = len(sub.lines())
                with open(path, "rb") as stdin:
                    pub = world.pub(*args, stdin=stdin)
                more = before + random.randint(1, 300)
                if crashes == 6:
                    break
                wait_for(lambda: len(sub.lines()) >= more or pub.child.poll() is not None,
                         "the stream flows")
                if pub.child.poll() is not None:
                    break
                pub.kill()
                crashes += 1
            pub.ended()
            expect(crashes >= 2, f"{topic}: {crashes} crashes")
            wait_for(lambda: set(lines) <= set(sub.lines()), f"{topic}: all arrive")
            received = messages(sub.lines())
            same(received if qos == 2 else list(dict.fromkeys(received)), lines, topic)
            sub.kill()


def subscriber_crashes(world):
    """kill -9 of the subscriber, again and again: each message in the file, once at QoS 2.

    What a crash of the machine may leave of a last line is appended by hand.
    """
    world.start_broker()
    for version in VERSIONS:
        for qos in (1, 2):
            topic, lines = f"d/{version}/{qos}", numbered(1500)
            world.mark(topic)
            output = world.folder / f"d-{version}-{qos}.messages"
            args = ["-V", version, "-q", qos, "-i", f"d{version}{qos}", "-t", f"{topic}/+",
                    "--data", world.folder / f"d-{version}-{qos}", "--output", output]

            def payloads():
                return [line.split("\t", 1)[1] for line in read_lines(output)]

            sub = world.sub(*args)
            wait_for(lambda: READY in payloads(), "is subscribed")
            with open(world.file(lines), "rb") as stdin:
                pub = world.mosquitto_pub("-V", version, "-q", qos, "-t", f"{topic}/x", "-l",
                                          stdin=stdin)
            for crash in range(6):
                more = min(len(payloads()) + random.randint(1, 200), len(lines))
                wait_for(lambda: len(payloads()) >= more, "the stream flows")
                sub.kill()
                with open(output, "ab") as torn:
                    torn.write(b"" if crash % 2 else b"17592186044416\tzei")
                sub = world.sub(*args)
            pub.ended()
            # Of another publisher: it comes at about the end, in no order with the others.
            world.mosquitto_pub("-q", qos, "-t", f"{topic}/x", "-m", "end").ended()
            wait_for(lambda: {*lines, "end"} <= set(payloads()), f"{topic}: all arrive")
            sub.signal(signal.SIGINT)
            sub.ended()
            received = messages(payloads())
            expect(qos == 1 or received.count("end") == 1, f"{topic}: the end once")
            received = [line for line in received if line != "end"]
            same(received if qos == 2 else list(dict.fromkeys(received)), lines, topic)


SCENARIOS = [our_client_and_mosquittos_exchange_messages_in_every_version_at_every_qos,
             count_and_formats, properties, retained, will,
             interrupt_without_a_server, server_comes_late, refused, line_too_large,
             broker_restarts, publisher_crashes, subscriber_crashes]


CONFIGURATIONS = {
    broker_restarts: "allow_anonymous true\npersistence true\nmax_inflight_messages 1000",
    line_too_large: "allow_anonymous true\nmax_packet_size 5000",
    refused: "# below",
}


def main():
    client, *names = sys.argv[1:] or ["target/debug/examples/client"]
    client = pathlib.Path(client).resolve()

    def world(scenario, folder):
        return Mosquitto(client, folder, CONFIGURATIONS.get(scenario, ""))

    sys.exit(play_all(SCENARIOS, world, names, TOTAL))


if __name__ == "__main__":
    main()
