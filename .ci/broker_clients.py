"""The broker as the clients see it that people use: mosquitto's, paho-mqtt, MQTT.js and our own."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time

from broker_world import properties
from interop import (LIMIT, READY, VERSIONS, Process, expect, messages, numbered,
                     our_client_and_mosquittos_exchange_messages_in_every_version_at_every_qos,
                     same, wait_for)


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


def a_burst_is_no_loss_to_a_client_that_reads(world):
    world.start_broker()
    lines = [str(number) for number in range(5000)]
    path = world.file(lines)
    for version in ["mqttv311", "mqttv5"]:
        for qos in (1, 2):
            topic = f"burst/{version}/{qos}"
            world.mark(topic)
            sub = world.mosquitto_sub("-V", version, "-q", qos, "-t", f"{topic}/+")
            sub.wait_ready()
            with open(path, "rb") as stdin:
                world.mosquitto_pub("-V", version, "-q", qos, "-t", f"{topic}/x", "-l", stdin=stdin).ended()
            wait_for(lambda: len(messages(sub.lines())) >= len(lines), f"{topic}: all")
            same(messages(sub.lines()), lines, topic)
            sub.kill()


def mosquitto_bridges_messages_both_ways(world):
    world.start_broker("--clients-may-publish-to-dollar-topics", "true")
    for version in ["mqttv311", "mqttv50"]:
        # Nothing else listens there: the bridge is this server's only connection but for one client.
        socket_path = world.folder / f"{version}.socket"
        config = world.folder / f"{version}.conf"
        config.write_text(f"listener 0 {socket_path}\nallow_anonymous true\nuser root\n"
                          f"connection {version}\naddress 127.0.0.1:{world.port}\n"
                          f"bridge_protocol_version {version}\nrestart_timeout 1\n"
                          f"topic out/{version}/# out 2\ntopic in/{version}/# in 2\n")
        bridge = Process(world, "mosquitto", ["mosquitto", "-v", "-c", config])
        wait_for(socket_path.exists, "mosquitto listens")
        here = world.mosquitto_sub("-q", 2, "-t", f"out/{version}/#")
        world.logged(f'.{version}" connected')
        there = Process(world, "mosquitto_sub", ["mosquitto_sub", "--unix", socket_path, "-q", 2,
                                                 "-t", f"in/{version}/#"])
        wait_for(lambda: "Sending SUBACK" in bridge.said(), "mosquitto's client is subscribed")
        for qos in range(3):
            for line in numbered(5):
                sent = f"{qos} {line}"
                Process(world, "mosquitto_pub", ["mosquitto_pub", "--unix", socket_path, "-q", qos,
                                                 "-t", f"out/{version}/x", "-m", sent]).ended()
                world.mosquitto_pub("-q", qos, "-t", f"in/{version}/x", "-m", sent).ended()
        expected = [f"{qos} {line}" for qos in range(3) for line in numbered(5)]
        for name, sub in [("out", here), ("in", there)]:
            wait_for(lambda: len(sub.lines()) >= len(expected), f"{name}, {version}: all")
            same(sub.lines(), expected, f"{name}, {version}")
        bridge.signal(signal.SIGTERM)
        bridge.ended()


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
    for version in ["mqttv5", "mqttv311"]:
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
    a_burst_is_no_loss_to_a_client_that_reads,
    mosquitto_bridges_messages_both_ways,
    a_session_ends_when_its_time_is_over,
    a_payload_of_a_mebibyte_arrives_whole,
    a_packet_that_is_too_large_ends_the_connection_with_0x95,
    a_request_has_its_response_with_all_properties_in_order,
    who_has_no_right_password_is_refused,
    who_connects_again_takes_its_session_over_from_its_other_connection,
    nobody_publishes_to_topics_of_the_broker,
    a_client_is_told_the_limits,
    what_cannot_be_is_said_plainly,
]
