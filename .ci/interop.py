"""What the tests of interoperability have in common: children, waiting, and saying what went wrong."""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

os.environ["PATH"] += ":/usr/sbin"
VERSIONS = ["mqttv31", "mqttv311", "mqttv5"]
LIMIT = 20  # seconds for any single thing
READY = "ready"


class Failed(Exception):
    pass


def wait_for(condition, what, seconds=LIMIT):
    """Polls until the condition holds, and returns what it returned."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.005)
    return result


def expect(condition, what):
    if not condition:
        raise Failed(what)


def same(actual, expected, what):
    if actual != expected:
        lost, more = set(expected) - set(actual), set(actual) - set(expected)
        doubled = {line for line in actual if actual.count(line) > expected.count(line)}
        raise Failed(f"{what}: {len(actual)} for {len(expected)} messages; lost {sorted(lost)[:5]}, "
                     f"unexpected {sorted(more)[:5]}, more than once {sorted(doubled)[:5]}, out of "
                     f"order {[pair for pair in zip(actual, expected) if pair[0] != pair[1]][:5]}")


class Process:
    """A child with its outputs in files."""

    def __init__(self, world, name, command, stdin=subprocess.DEVNULL, out=None):
        world.count += 1
        self.name = f"{world.count:03}-{name}"
        self.out = out or world.folder / f"{self.name}.out"
        self.err = world.folder / f"{self.name}.err"
        with open(self.out, "ab") as stdout, open(self.err, "wb") as stderr:
            self.child = subprocess.Popen(
                [str(part) for part in command], stdin=stdin, stdout=stdout, stderr=stderr)
        world.processes.append(self)

    def lines(self):
        return read_lines(self.out)

    def said(self):
        return self.err.read_text(errors="replace")

    def wait_ready(self):
        wait_for(lambda: READY in self.lines(), f"{self.name} is subscribed")

    def signal(self, number):
        self.child.send_signal(number)

    def kill(self):
        self.child.kill()
        self.child.wait(LIMIT)

    def ended(self, code=0):
        """Waits for the end, which is to have this exit code."""
        try:
            actual = self.child.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name}: did not end") from None
        expect(actual == code, f"{self.name}: exit code {actual}, not {code}")

    def feed(self, lines):
        self.child.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self.child.stdin.flush()


class World:
    """The port of a broker, a folder, and the processes of one scenario."""

    def __init__(self, client, folder):
        self.client, self.folder, self.port = client, folder, None
        self.count, self.processes = 0, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.child.poll() is None:
                process.kill()

    def run(self, program, *args, **more):
        address = ["-h", "127.0.0.1", "-p", self.port]
        return Process(self, program[-1], [*program, *address, *args], **more)

    def sub(self, *args, **more):
        return self.run([self.client, "sub"], *args, **more)

    def pub(self, *args, **more):
        return self.run([self.client, "pub"], *args, **more)

    def mosquitto_sub(self, *args, **more):
        if "mqttv5" in args:
            # mosquitto 2.0.11 sends more than its client's default, 20, which ends the connection.
            args = [*args, "-D", "connect", "receive-maximum", 10_000]
        return self.run(["mosquitto_sub"], *args, **more)

    def mosquitto_pub(self, *args, **more):
        return self.run(["mosquitto_pub"], *args, **more)

    def mark(self, topic, qos=0):
        """A retained message that tells a subscriber of `topic`/+ that it is one."""
        self.mosquitto_pub("-t", f"{topic}/ready", "-m", READY, "-r", "-q", qos).ended()

    def file(self, lines):
        path = self.folder / "lines"
        path.write_text("".join(f"{line}\n" for line in lines))
        return path


def read_lines(path):
    """The whole lines of a file."""
    if not path.exists():
        return []
    return [line.decode() for line in path.read_bytes().split(b"\n")[:-1]]


def numbered(count):
    return [f"zeile {number} größer" for number in range(count)]


def messages(lines):
    return [line for line in lines if line != READY]


def our_client_and_mosquittos_exchange_messages_in_every_version_at_every_qos(world):
    """Both ways, the two at the same time; with whichever broker the world has."""
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


def play(scenario, world):
    """Plays a scenario; `False`, with what everybody said, if it failed."""
    start = time.monotonic()
    with world:
        try:
            scenario(world)
        except Failed as failed:
            for process in world.processes[:1] + world.processes[1:][-8:]:
                said = process.said().splitlines()[-40:]
                print(f"--- {process.name} (exit code {process.child.poll()})", *said, sep="\n")
            print(f"{scenario.__name__}: FAILED: {failed}")
            return False
    print(f"{scenario.__name__}: well ({time.monotonic() - start:.1f} s)", flush=True)
    return True


def play_all(scenarios, world_of, names, seconds):
    """Plays scenarios, only those with these names if there are any; the exit code."""

    def out_of_time(*_):
        raise Failed(f"more than {seconds} s in all")

    signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(seconds)
    for scenario in scenarios:
        if not names or scenario.__name__ in names:
            with tempfile.TemporaryDirectory() as folder:
                if not play(scenario, world_of(scenario, Path(folder))):
                    return 1
    return 0
