"""The broker as plain sockets see it: very many, such as read nothing, and such as no client is."""

import asyncio
import resource
import signal
import subprocess

from broker_world import in_asyncio
from interop import LIMIT, expect, same, wait_for
from raw_clients import DISCONNECT, PUBACK, PUBLISH, Raw, connect, publish


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


async def flooded(world):
    """A client that takes nothing of the 10 MB for it, and who sent them; both last while they are kept."""
    stuck = await Raw.connected(world.port, "stuck", 5)
    await stuck.subscribed("flood")
    stuck.writer.transport.pause_reading()
    publisher = await Raw.connected(world.port, "publisher")
    for _ in range(100):
        publisher.send(publish("flood", b"x" * 100_000))
        await publisher.writer.drain()
    return stuck, publisher


@in_asyncio
async def a_client_that_takes_nothing_does_not_hold_up_the_end(world):
    world.start_broker("--close-timeout", "1")
    _clients = await flooded(world)
    started = asyncio.get_running_loop().time()
    world.broker.signal(signal.SIGINT)
    await asyncio.to_thread(world.broker.ended)
    seconds = asyncio.get_running_loop().time() - started
    expect(seconds < 5, f"{seconds} s")


@in_asyncio
async def a_second_signal_ends_it_at_once(world):
    world.start_broker("--close-timeout", "30")
    _clients = await flooded(world)
    world.broker.signal(signal.SIGINT)
    await asyncio.to_thread(world.logged, "shutting down")
    world.broker.signal(signal.SIGTERM)
    await asyncio.to_thread(world.broker.ended, 1)


SCENARIOS = [
    a_thousand_clients_at_the_same_time_each_get_their_message,
    one_publisher_reaches_five_hundred_subscribers,
    who_reads_nothing_holds_up_nobody_and_the_broker_holds_no_more_than_it_may,
    who_overflows_is_disconnected_with_0x97_if_that_is_the_policy,
    passwords_are_looked_at_while_others_go_on,
    who_is_silent_for_too_long_or_says_nothing_at_all_is_disconnected,
    one_connection_too_many_is_closed_and_there_is_room_again_later,
    too_many_open_files_are_survived,
    what_is_no_mqtt_is_refused_and_logged,
    sigterm_says_0x8b_to_everybody_and_ends_with_code_0,
    a_client_that_takes_nothing_does_not_hold_up_the_end,
    a_second_signal_ends_it_at_once,
]
