#!/usr/bin/env python3
"""The broker example against mosquitto's clients, paho-mqtt, MQTT.js, our own client and plain sockets.

    python3 .ci/interop_broker.py EXAMPLES [--mqttjs NODE_MODULES] [SCENARIO ...]

EXAMPLES is the folder with the built examples `broker` and `client`. Prints one line a scenario. At
the first failure it prints what everybody said, and exits with 1. Needs mosquitto_pub, mosquitto_sub,
mosquitto_rr, node with the npm package mqtt, and paho-mqtt. Every broker has a free port of its own on
127.0.0.1. Nothing waits without a limit.
"""

import argparse
import pathlib
import resource
import sys

import broker_clients
import broker_sockets
from broker_world import Broker
from interop import play_all

TOTAL = 110  # seconds for all


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

    scenarios = broker_clients.SCENARIOS + broker_sockets.SCENARIOS
    sys.exit(play_all(scenarios, world, args.scenarios, TOTAL))


if __name__ == "__main__":
    main()
