"""Writes README.md, the table of the recordings, from the list of scenarios."""

import re
import subprocess
import sys

VERSIONS = {"v31": "3.1", "v311": "3.1.1", "v5": "5.0"}

HEAD = """# Recorded MQTT traffic

Raw byte streams of real clients talking to a real broker, both directions. Written by `record.py`,
as is this table: edit `scenarios.py`, then run `python3 record.py --mqttjs NODE_MODULES`.
`--only PREFIX` records some afresh; `--show` prints which packets each stream holds.

- `NAME.client.bin`: all that the client sent, from the connection's start to its end.
- `NAME.server.bin`: all that the broker sent.
- `NAME.malformed.bin`: in place of `.client.bin`, a stream broken on purpose by a raw socket.
- `NAME-1`, `NAME-2`...: a scenario's connections, in order of their start.

Every stream but a malformed one ends at a packet's end. A name says the version its connections
speak. Where the broker has nothing to say there is no `.server.bin`. What it does about an error is
its own affair: it may send a reason, hang up without one, or let it pass.

Recorded with {versions}.

Commands are shown without host and port. One that starts with `&` runs on while the next starts; one
that starts with `-` is expected to fail. `{{dir}}` holds the files named in `scenarios.py`; paho's calls are
functions of `paho_client.py`. `end SIGNAL` ends the last command started with `&`. For a raw socket the
bytes sent are listed. "Cut": the proxy kept the named packet from arriving and closed the connection.

| Name | Version | What it shows | Streams | Tool, commands or calls |
|---|---|---|---|---|
"""


def versions(env):
    """The tools' versions by family; ends the program if a library is missing."""
    def output(*command):
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=20).stdout.strip()
    try:
        from paho.mqtt import __version__ as paho
    except ImportError:
        sys.exit("missing: paho-mqtt")
    mqttjs = output("node", "-p", "require('mqtt/package.json').version")
    if not mqttjs:
        sys.exit("missing: the npm package mqtt; say where with --mqttjs or NODE_PATH")
    mosquitto = re.search(r"version (\S+)", output("mosquitto_pub", "--version")).group(1)
    broker = re.search(r"version (\S+)", output("mosquitto", "-h")).group(1)
    return {"mosquitto": f"mosquitto {mosquitto}", "paho": f"paho-mqtt {paho}",
            "mqttjs": f"MQTT.js {mqttjs}", "raw": "raw socket", "broker": f"mosquitto {broker}"}


def render(scenarios, versions):
    broker = versions["broker"]
    clients = ", ".join(v for k, v in versions.items() if k not in ("raw", "broker"))
    rows = [row(scenario, versions) for scenario in scenarios]
    return HEAD.format(versions=f"the broker {broker} and the clients {clients}") + "\n".join(rows) + "\n"


def row(scenario, versions):
    family, version, _ = scenario.name.split("-", 2)
    shows = scenario.shows
    if scenario.broker:
        shows += "<br>Broker: " + ", ".join(code(line) for line in scenario.broker)
    for number, (side, kind) in scenario.cut.items():
        shows += f"<br>Cut: connection {number} at the {side}'s {kind}."
    streams = f"{scenario.connections}"
    if scenario.malformed:
        streams += f"; malformed: {', '.join(map(str, scenario.malformed))}"
    if scenario.silent:
        streams += f"; no answer: {', '.join(map(str, scenario.silent))}"
    lines = scenario.play.calls if callable(scenario.play) else scenario.play
    commands = "<br>".join(code(line) for line in lines)
    return f"| {scenario.name} | {VERSIONS[version]} | {shows} | {streams} | {versions[family]}: {commands} |"


def code(text):
    return "`" + text.replace("|", "\\|") + "`"
