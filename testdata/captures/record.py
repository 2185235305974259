#!/usr/bin/env python3
"""Records real MQTT traffic: both directions of every connection, as raw bytes.

Each scenario of scenarios.py gets a mosquitto broker of its own on 127.0.0.1 and a TCP proxy in
front of it. The clients (mosquitto's, paho, MQTT.js, a raw socket) connect to the proxy, which keeps
what it carries:

    NAME.client.bin     what the client sent, or NAME-1.client.bin, NAME-2... in order of connection
    NAME.server.bin     what the broker sent
    NAME.malformed.bin  in place of .client.bin: broken on purpose

Every stream starts with its connection and, unless malformed, ends at a packet's end: checked here.
Exits non-zero if a tool is missing or a scenario did not come out as its row says.

Needs mosquitto, mosquitto_pub, mosquitto_sub, mosquitto_rr, mosquitto_passwd, node, paho-mqtt and
the npm package mqtt (--mqttjs DIR, its node_modules folder; NODE_PATH otherwise).
"""

import argparse
import concurrent.futures
import glob
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # this folder holds test data

import readme
import scenarios
from packets import show, split
from proxy import Proxy

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = ["mosquitto", "mosquitto_pub", "mosquitto_sub", "mosquitto_rr", "mosquitto_passwd", "node"]
DYNSEC = "/usr/lib/*/mosquitto_dynamic_security.so"
PATIENCE = 20  # seconds that any one step may take
ATTEMPTS = 3  # a loaded machine may cut a stream short: such a scenario is recorded afresh


class Failed(Exception):
    """A scenario did not come out as its row says."""


class Recorder:
    """A broker, the proxy before it and the clients of one scenario."""

    def __init__(self, scenario, env):
        self.scenario = scenario
        self.env = env
        self.processes = []
        self.broker = self.proxy = None

    def __enter__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="mqtt-capture-")
        try:
            self.write_files()
            self.start_broker()
            self.proxy = Proxy(self.broker_port, self.scenario.cut)
        except BaseException:
            self.dir.cleanup()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait(PATIENCE)
        self.stop_broker()
        self.proxy.close()
        self.dir.cleanup()

    def write_files(self):
        """What the brokers' settings and the commands refer to as {dir}/..."""
        folder = pathlib.Path(self.dir.name)
        folder.chmod(0o755)  # a broker started by root becomes another user
        for name, content in scenarios.FILES.items():
            (folder / name).write_bytes(content)
        for name, password in scenarios.PASSWORDS.items():
            command = ["mosquitto_passwd", "-b", folder / "passwords", name, password]
            subprocess.run(command, check=True, timeout=PATIENCE)
        for path in folder.iterdir():
            path.chmod(0o644)

    def fill_in(self, text):
        """`text` with the places filled in that only this run knows."""
        dynsec = (glob.glob(DYNSEC) or ["mosquitto_dynamic_security.so"])[0]
        places = {"{dir}": self.dir.name, "{dynsec}": dynsec}
        if self.proxy:
            places["{proxy}"] = f"127.0.0.1:{self.port}"
        for place, value in places.items():
            text = text.replace(place, value)
        return text

    # The broker.

    def start_broker(self):
        """Starts a broker on a free port; another attempt if somebody else took that port."""
        for _ in range(5):
            with socket.create_server(("127.0.0.1", 0)) as probe:
                self.broker_port = probe.getsockname()[1]
            self.broker = self.spawn_broker(self.broker_port, self.scenario.broker)
            if self.answers(self.broker, self.broker_port):
                return
            self.stop_broker()
        raise Failed("the broker does not start")

    def spawn_broker(self, port, settings):
        config = pathlib.Path(self.dir.name, f"mosquitto-{port}.conf")
        lines = [f"listener {port} 127.0.0.1", "persistence false", *settings]
        if not any(line.startswith("allow_anonymous") for line in settings):
            lines.append("allow_anonymous true")
        config.write_text(self.fill_in("\n".join(lines) + "\n"))
        config.chmod(0o644)
        return subprocess.Popen(["mosquitto", "-c", config], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @staticmethod
    def answers(broker, port):
        deadline = time.monotonic() + PATIENCE
        while broker.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return True
            except OSError:
                time.sleep(0.02)
        return False

    def stop_broker(self):
        if self.broker and self.broker.poll() is None:
            self.broker.terminate()
            try:
                self.broker.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.broker.kill()

    # What scenarios use.

    @property
    def port(self):
        return self.proxy.port

    @property
    def connections(self):
        return self.proxy.connections

    def wait_until(self, condition, what):
        with self.proxy.changed:
            if not self.proxy.changed.wait_for(condition, PATIENCE):
                raise Failed(f"waited in vain for {what}")

    def wait(self, number, side, kind, count=1):
        """Waits until `side` of connection `number` has sent `count` packets of this kind."""
        def arrived():
            return (len(self.connections) >= number
                    and split(self.connections[number - 1].seen[side])[0].count(kind) >= count)
        self.wait_until(arrived, f"{kind} {count} from the {side} of connection {number}")

    def wait_closed(self, first=1):
        """Waits for the end of connection `first` and those after it."""
        self.wait_until(lambda: all(c.open == 0 for c in self.connections[first - 1:]),
                        f"the end of the connections from {first} on")

    def run(self, line):
        """One line of a scenario's script: see scenarios.py."""
        mode, _, rest = line.partition(" ")
        before = len(self.connections)
        if mode == "broker":
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            self.processes.append(self.spawn_broker(port, rest.split("; ")))
        elif mode == "wait":
            number, side, kind, *count = rest.split()
            self.wait(int(number), side, kind, *map(int, count))
        elif mode == "end":
            process = self.processes.pop()
            process.send_signal(signal.Signals[rest])
            process.wait(PATIENCE)
            self.wait_closed(before)
        elif mode == "&":
            self.processes.append(self.spawn(rest))
            self.wait(before + 1, "server", "SUBACK")
        else:
            process = self.spawn(rest if mode == "-" else line)
            self.processes.append(process)
            self.end(self.processes.pop(), forgiving=mode == "-")
            self.wait_closed(before + 1)

    def spawn(self, line):
        words = shlex.split(self.fill_in(line))
        if words[0] == "node":
            words[1] = str(HERE / words[1])
        else:
            words[1:1] = ["-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.Popen(words, env={**self.env, "MQTT_PORT": str(self.port)},
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE)

    def end(self, process, forgiving=False):
        try:
            _, errors = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Failed(f"did not end: {process.args}") from None
        if process.returncode and not forgiving:
            raise Failed(f"{process.args} ended with {process.returncode}: {errors.decode()}")

    def record(self):
        """Plays the scenario; returns its streams by file name."""
        if callable(self.scenario.play):
            self.scenario.play(self)
        else:
            for line in self.scenario.play:
                self.run(line)
        while self.processes:
            self.end(self.processes.pop(0))
        self.wait_closed()
        return self.streams()

    def streams(self):
        scenario, streams = self.scenario, {}
        if len(self.connections) != scenario.connections:
            raise Failed(f"{len(self.connections)} connections, not {scenario.connections}")
        for number, connection in enumerate(self.connections, 1):
            for side, stream in connection.seen.items():
                malformed = side == "client" and number in scenario.malformed
                if not stream and side == "server" and number in scenario.silent:
                    continue
                if not stream or (not malformed and split(stream)[1]):
                    raise Failed(f"{side} of connection {number} is empty or ends within a packet")
                streams[scenario.file(number, "malformed" if malformed else side)] = bytes(stream)
        return streams


def record(scenario, env, out):
    """Records one scenario into `out`. Returns what went wrong, if anything."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with Recorder(scenario, env) as recorder:
                streams = recorder.record()
            for name, stream in streams.items():
                (out / name).write_bytes(stream)
            return None
        except (Failed, OSError, subprocess.SubprocessError) as error:
            problem = f"{scenario.name}: {error}"
            print(f"attempt {attempt}: {problem}", file=sys.stderr)
    return problem


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=HERE)
    parser.add_argument("--only", default="", metavar="PREFIX", help="scenarios named so")
    parser.add_argument("--mqttjs", metavar="DIR", help="node_modules folder with the package mqtt")
    parser.add_argument("--show", action="store_true", help="print the packets recorded, then end")
    options = parser.parse_args()
    if options.show:
        return show(options.out)

    env = dict(os.environ)
    if options.mqttjs:
        env["NODE_PATH"] = os.path.abspath(options.mqttjs)
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        sys.exit(f"missing: {', '.join(missing)}")
    versions = readme.versions(env)  # ends here if a library is missing
    options.out.mkdir(parents=True, exist_ok=True)
    chosen = [s for s in scenarios.SCENARIOS if s.name.startswith(options.only)]
    if not chosen:
        sys.exit(f"no scenario starts with {options.only}")
    for scenario in chosen:
        for old in scenario.files():
            (options.out / old).unlink(missing_ok=True)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        problems = [p for p in pool.map(lambda s: record(s, env, options.out), chosen) if p]
    if options.out.resolve() == HERE:
        known = {name for scenario in scenarios.SCENARIOS for name in scenario.files()}
        for stray in [path for path in HERE.glob("*.bin") if path.name not in known]:
            stray.unlink()  # its scenario is gone
        (HERE / "README.md").write_text(readme.render(scenarios.SCENARIOS, versions))
    print(f"{len(chosen)} scenarios, {len(problems)} failed")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
