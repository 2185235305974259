"""What is recorded: the list of scenarios.

A scenario's play is a list of lines, or a callable (paho_client.py, raw_client.py). A line is a
command that runs to its end, or

    & COMMAND               a command that runs on, until the scenario's end; goes on at its SUBACK
    - COMMAND               a command that is expected to fail
    end SIGNAL              ends what was last started with & or broker
    wait N SIDE KIND COUNT  until that side of connection N has sent COUNT packets of this kind
    broker SETTINGS         another broker

with {dir} for the folder of FILES.
"""

import dataclasses
import json
import shlex

import paho_client as paho
from paho_client import Paho
from raw_client import Raw, connect, data, number, packet

FILES = {
    "binary": bytes(range(256)),
    "acl": b"topic readwrite open/#\ntopic read readonly/#\n",
    "dynsec.json": json.dumps({"defaultACLAccess": {
        "publishClientSend": False, "publishClientReceive": True,
        "subscribe": False, "unsubscribe": False}}).encode(),
    "passwords": b"",
}
PASSWORDS = {"alice": "sesame", "zoë": "sesame, öffne dich"}
LOGIN = ("allow_anonymous false", "password_file {dir}/passwords")
ACL = ("acl_file {dir}/acl",)
DYNSEC = ("plugin {dynsec}", "plugin_opt_config_file {dir}/dynsec.json")
LEVEL = {"v31": 3, "v311": 4, "v5": 5}
ALL = list(LEVEL)


@dataclasses.dataclass
class Scenario:
    name: str  # FAMILY-VERSION-WHAT
    shows: str
    connections: int
    play: object
    broker: tuple = ()  # settings
    cut: dict = dataclasses.field(default_factory=dict)  # connection: (side, packet) that gets lost
    malformed: tuple = ()  # connections whose client breaks the rules of the wire
    silent: tuple = ()  # connections that the broker ends without a word

    def file(self, number, side):
        nth = f"-{number}" if self.connections > 1 else ""
        return f"{self.name}{nth}.{side}.bin"

    def files(self):
        """Every name that a recording of this may have."""
        sides = ("client", "server", "malformed")
        return [self.file(n, side) for n in range(1, self.connections + 1) for side in sides]


SCENARIOS = []


def add(*arguments, **named):
    SCENARIOS.append(Scenario(*arguments, **named))


# mosquitto_pub, mosquitto_sub, mosquitto_rr.

MORTAL_V5 = ("-x 60 -D will will-delay-interval 1 -D will message-expiry-interval 30"
             " -D will content-type text/plain -D will response-topic will/answer -D will correlation-data corr"
             " -D will payload-format-indicator 1 -D will user-property b 2 -D will user-property a 1"
             " -D will user-property a 1")
EVERY_PUBLISH = ("-D publish payload-format-indicator 1 -D publish message-expiry-interval 60"
                 " -D publish content-type text/plain -D publish response-topic answers"
                 " -D publish correlation-data 0123 -D publish user-property z last"
                 " -D publish user-property a first -D publish user-property z last")
EVERY_CONNECT = ("-x 120 -D connect receive-maximum 7 -D connect maximum-packet-size 5000"
                 " -D connect topic-alias-maximum 3 -D connect request-problem-information 0"
                 " -D connect request-response-information 1 -D connect user-property b 2"
                 " -D connect user-property a 1 -D connect user-property b 2")

for v in ALL:
    pub, sub = (f"mosquitto_{tool} -V mqtt{'v5' if v == 'v5' else v}" for tool in ("pub", "sub"))
    name = f"mosquitto-{v}-"
    for qos in (0, 1, 2):
        add(f"{name}qos{qos}", f"QoS {qos}: three messages through the broker.", 2, [
            f"& {sub} -i sub -t qos/# -q {qos} -C 3", f"{pub} -i pub -t qos/{qos} -q {qos} -m hello --repeat 3"])
        retain = " --will-retain" * (qos == 2)
        late = [f"{sub} -i late -t wills/# -q 2 -C 1"] * (qos == 2)
        add(f"{name}will-qos{qos}", f"A Will at QoS {qos}{', retained' * bool(late)}: 1 watches, 2 dies"
            + ", 3 comes later." * bool(late) + "." * (not late), 2 + len(late), [
            f"& {sub} -i watcher -t wills/# -q 2 -C 1",
            f"& {sub} -i mortal -t x --will-topic wills/mortal --will-payload gone --will-qos {qos}{retain}"
            + (" " + MORTAL_V5) * (v == "v5"), "end SIGKILL", *late])
    add(f"{name}unsubscribe", "SUBSCRIBE to two filters, UNSUBSCRIBE from one.", 1,
        [f"- {sub} -i sub -t a/+ -t b/# -q 1 -U a/+ -W 1"])
    add(f"{name}ping", "PINGREQ after a Keep Alive of 5 s.", 1, [f"- {sub} -i sub -t ping -k 5 -W 7"])
    add(f"{name}retained", "Three retained messages, delivered to 4, one removed.", 5, [
        *(f"{pub} -i pub -t kept/{n} -q {n} -r -m kept" for n in (0, 1, 2)),
        f"{sub} -i sub -t kept/# -q 2 -C 3", f"{pub} -i pub -t kept/1 -r -n"])
    add(f"{name}overlap", "Overlapping subscriptions of one client.", 2, [
        f"& {sub} -i sub -t over/# -t over/+ -t +/lap -q 1 -C {3 if v == 'v5' else 1}",
        f"{pub} -i pub -t over/lap -q 2 -m once"])
    add(f"{name}payloads", "Empty, binary and non-ASCII payloads; a non-ASCII topic.", 4, [
        f"& {sub} -i sub -t données/# -q 1 -C 3", f"{pub} -i pub -t données/空 -q 1 -n",
        f"{pub} -i pub -t données/binary -q 1 -f {{dir}}/binary", f"{pub} -i pub -t données/🦟 -m 'zzz… 🦟'"])
    add(f"{name}no-client-id", "What the client sends without -i.", 1, [f"{sub} -t x -E"])
    add(f"{name}session", "A session outlives its connection: 1 subscribes, 3 gets what 2 queued.", 3, [
        f"{sub} -c -i sub -t queue -q 2 -E", f"{pub} -i pub -t queue -q 2 -m queued --repeat 3",
        f"{sub} -c -i sub -t queue -q 2 -C 3"])
    add(f"{name}redelivery-qos1", "The subscriber's PUBACK is lost: 3 is its second connection, DUP.", 3, [
        f"& {sub} -c -i sub -t again -q 1 -C 2", f"{pub} -i pub -t again -q 1 -m again"], cut={1: ("client", "PUBACK")})
    if v != "v5":  # libmosquitto 2.0.11 takes the repeated PUBLISH for a protocol error in 5.0
        add(f"{name}redelivery-qos2", "The subscriber's PUBREC is lost: 3 is its second connection, DUP.", 3, [
            f"& {sub} -c -i sub -t again -q 2 -C 1", f"{pub} -i pub -t again -q 2 -m again"], cut={1: ("client", "PUBREC")})
    add(f"{name}login", "User name and password, accepted; a non-ASCII pair.", 2, [
        f"{pub} -i pub -u alice -P sesame -t login -q 1 -m in",
        f"{pub} -i pub -u zoë -P 'sesame, öffne dich' -t login -q 1 -m in"], broker=LOGIN)
    add(f"{name}login-refused", "Wrong password; user name alone; neither.", 3, [
        f"- {pub} -i pub -u alice -P mellon -t login -m in", f"- {pub} -i pub -u alice -t login -m in",
        f"- {pub} -i pub -t login -m in"], broker=LOGIN)
    add(f"{name}publish-denied", "Publishing without permission, QoS 0, 1 and 2.", 3,
        [f"{pub} -i pub -t closed -q {n} -m hello" for n in (0, 1, 2)], broker=ACL)
    add(f"{name}subscribe-denied", "Subscribing without permission."
        + " 3.1 has no code for it: the broker grants what it will not give." * (v == "v31"), 1,
        [f"- {sub} -i sub -t closed -t open -q 1 -W 1"], broker=DYNSEC)
    add(f"{name}bridge", "mosquitto as a bridge to another broker, and a message through it.", 2, [
        "broker connection bridge; address {proxy}; local_clientid here; remote_clientid bridge; topic # both 1; try_private false;"
        f" bridge_protocol_version mqtt{v.replace('v5', 'v50')}",
        "wait 1 server SUBACK", f"{pub} -i pub -t through -q 1 -m bridged", "wait 1 server PUBLISH", "end SIGTERM"])
for v in ("v31", "v311"):
    add(f"mosquitto-{v}-bridge-private", "The bridge sets the highest bit of the Protocol Level.", 1, [
        "broker connection bridge; address {proxy}; local_clientid here; remote_clientid bridge; topic # both 1; try_private true;"
        f" bridge_protocol_version mqtt{v}", "wait 1 server SUBACK", "end SIGTERM"], malformed=(1,))

pub, sub = "mosquitto_pub -V mqttv5", "mosquitto_sub -V mqttv5"
for qos in (0, 1, 2):
    add(f"mosquitto-v5-publish-properties-qos{qos}", "Every PUBLISH property, user properties repeated.", 2, [
        f"& {sub} -i sub -t p -q {qos} -C 1", f"{pub} -i pub -t p -q {qos} -m all {EVERY_PUBLISH}"])
add("mosquitto-v5-connect-properties", "Every CONNECT property but authentication's.", 1,
    [f"{pub} -i pub -t t -q 1 -m x {EVERY_CONNECT}"])
add("mosquitto-v5-subscription-identifier", "Identifier and user properties in (UN)SUBSCRIBE.", 2, [
    f"& {sub} -i sub -t id/# -t id/a -U never -q 1 -C 2 -D subscribe subscription-identifier 300"
    " -D subscribe user-property a 1 -D subscribe user-property a 1 -D unsubscribe user-property b 2",
    f"{pub} -i pub -t id/a -q 1 -m x"])
add("mosquitto-v5-retain-as-published", "Retain As Published.", 2, [
    f"& {sub} -i sub -t rap -q 1 -C 1 --retain-as-published", f"{pub} -i pub -t rap -q 1 -r -m x"])
add("mosquitto-v5-topic-alias", "A Topic Alias from the client, four messages.", 2, [
    f"& {sub} -i sub -t al/ias -C 4", f"{pub} -i pub -t al/ias -m x --repeat 4 -D publish topic-alias 2"])
add("mosquitto-v5-topic-alias-server", "A subscriber that would take aliases.", 2, [
    f"& {sub} -i sub -t al/ias -C 4 -D connect topic-alias-maximum 10", f"{pub} -i pub -t al/ias -m x --repeat 4"])
add("mosquitto-v5-shared", "A shared subscription of 1 and 2; 3 publishes.", 3, [
    f"& {sub} -i one -t $share/g/work -q 1 -C 2", f"& {sub} -i two -t $share/g/work -q 1 -C 2",
    f"{pub} -i pub -t work -q 1 -m job --repeat 4"])
add("mosquitto-v311-shared", "Shared subscriptions before they were standard; 3 publishes.", 3, [
    "& mosquitto_sub -V mqttv311 -i one -t $share/g/work -q 1 -C 2",
    "& mosquitto_sub -V mqttv311 -i two -t $share/g/work -q 1 -C 2",
    "mosquitto_pub -V mqttv311 -i pub -t work -q 1 -m job --repeat 4"])
add("mosquitto-v5-disconnect-properties", "DISCONNECT with properties.", 1, [
    f"{pub} -i pub -t t -m x -x 60 -D disconnect session-expiry-interval 30 -D disconnect user-property a 1"])
add("mosquitto-v5-request-response", "2 requests by mosquitto_rr, 1 sees it, 3 answers.", 3, [
    f"& {sub} -i server -t ask -q 1 -C 1",
    "& mosquitto_rr -V mqttv5 -i asker -t ask -e answer -q 1 -m question -D publish correlation-data 42",
    f"{pub} -i pub -t answer -q 1 -m 42 -D publish correlation-data 42"])
add("mosquitto-v5-receive-maximum", "Ten QoS 2 messages to a broker with Receive Maximum 2.", 2, [
    f"& {sub} -i sub -t burst -q 2 -C 10", f"{pub} -i pub -t burst -q 2 -m x --repeat 10"],
    broker=("max_inflight_messages 2",))
add("mosquitto-v5-message-too-large", "A message above the broker's message_size_limit.", 1,
    [f"- {pub} -i pub -t t -q 1 -m {'x' * 120}"], broker=("message_size_limit 100",))
add("mosquitto-v5-server-limits", "A CONNACK with Maximum QoS, Retain Available, Server Keep Alive and others.", 1,
    [f"{pub} -i pub -t t -q 1 -m x"], broker=(
        "max_qos 1", "retain_available false", "max_keepalive 30", "max_packet_size 1000",
        "max_topic_alias 3", "max_inflight_messages 5"))

# paho.

for v, level in LEVEL.items():
    name, at = f"paho-{v}-", {"version": level}
    for qos in (0, 1, 2):
        add(f"{name}qos{qos}", f"QoS {qos}: a client hears itself, two messages.", 1, Paho(paho.loopback, **at, qos=qos))
        add(f"{name}will-qos{qos}", f"A Will at QoS {qos}: 1 watches, 2 dies{', 3 comes later' * (qos == 1)}.",
            3 if qos == 1 else 2, Paho(paho.will, **at, qos=qos, retain=qos == 1))
    add(f"{name}unsubscribe", "Three filters at once; UNSUBSCRIBE, from a filter never subscribed to as well.", 1,
        Paho(paho.unsubscribe, **at))
    add(f"{name}ping", "PINGREQ after a Keep Alive of 1 s, twice.", 1, Paho(paho.ping, **at))
    add(f"{name}retained", "Retained messages stored, delivered and removed.", 1, Paho(paho.retained, **at))
    add(f"{name}payloads", "Empty, binary and non-ASCII payloads; odd and non-ASCII topics.", 1, Paho(paho.payloads, **at))
    for qos in (1, 2):
        add(f"{name}session-qos{qos}", "A session outlives its connection: 1 subscribes, 3 gets what 2 queued.", 3,
            Paho(paho.resume, **at, qos=qos))
    for what, cut, qos, then in [
            ("publish-qos1", ("server", "PUBACK"), 1, [("client", "PUBLISH"), ("server", "PUBACK")]),
            ("publish-qos2", ("server", "PUBREC"), 2, [("client", "PUBLISH"), ("server", "PUBCOMP"), ("client", "PUBCOMP")]),
            ("pubrel", ("server", "PUBCOMP"), 2, [("client", "PUBREL"), ("server", "PUBCOMP"), ("client", "PUBCOMP")]),
            ("receive-qos1", ("client", "PUBACK"), 1, [("server", "PUBLISH"), ("client", "PUBACK")]),
            ("receive-qos2", ("client", "PUBREC"), 2, [("server", "PUBLISH"), ("client", "PUBCOMP")]),
            ("receive-pubrel", ("client", "PUBCOMP"), 2, [("server", "PUBREL"), ("client", "PUBCOMP")])]:
        add(f"{name}cut-{what}", "An exchange taken up again by the second connection.", 2,
            Paho(paho.interrupted, **at, qos=qos, then=then), cut={1: cut})
    add(f"{name}takeover", "A second connection with the first one's Client Identifier.", 2, Paho(paho.takeover, **at))
    add(f"{name}login", "User name and password, accepted.", 1,
        Paho(paho.credentials, **at, user="alice", password="sesame"), broker=LOGIN)
    add(f"{name}login-refused", "Wrong password.", 1,
        Paho(paho.credentials, **at, user="alice", password="mellon"), broker=LOGIN)
    add(f"{name}login-user-only", "User name without password, refused.", 1,
        Paho(paho.credentials, **at, user="alice", password=None), broker=LOGIN)
    add(f"{name}publish-denied", "Publishing without permission, QoS 0, 1 and 2.", 1,
        Paho(paho.denied, **at, topic="readonly/a"), broker=ACL)
    add(f"{name}subscribe-denied", "Publishing and subscribing without permission.", 1,
        Paho(paho.denied, **at, topic="closed", topic_filter="closed/#"), broker=DYNSEC)
for v in ("v311", "v5"):
    for lengths in ([127, 128], [16383, 16384]):
        add(f"paho-{v}-length-{lengths[0]}", f"PUBLISH of Remaining Length {lengths[0]} and {lengths[1]}, both directions.",
            1, Paho(paho.boundaries, version=LEVEL[v], remaining_length=lengths))
add("paho-v5-large", "A payload of 200 KiB, both directions.", 1, Paho(paho.large, version=5))
for qos in (0, 1, 2):
    add(f"paho-v5-publish-properties-qos{qos}", "Every PUBLISH property, user properties repeated; those of (UN)SUBSCRIBE.",
        1, Paho(paho.publish_properties, qos=qos))
add("paho-v5-connect-properties", "Every CONNECT property but authentication's.", 1, Paho(paho.connect_properties))
add("paho-v5-assigned-id", "An empty Client Identifier; the broker assigns one.", 1, Paho(paho.assigned_id))
add("paho-v5-subscription-identifiers", "Six identifiers, 1 to 4 bytes each; messages that match several.", 1,
    Paho(paho.subscription_identifiers))
add("paho-v5-subscribe-options", "No Local, Retain As Published, Retain Handling 0, 1 and 2.", 1, Paho(paho.subscribe_options))
add("paho-v5-topic-alias", "Topic Aliases from the client: set, used, set anew.", 1, Paho(paho.topic_alias))
for what, code, values in [
        ("normal-properties", 0x00, {"SessionExpiryInterval": 0, "UserProperty": [("a", "1"), ("a", "1")]}),
        ("with-will", 0x04, {}), ("unspecified", 0x80, {"ReasonString": "no reason"}),
        ("administrative", 0x98, {"ReasonString": "maintenance", "UserProperty": [("b", "2"), ("a", "1")]})]:
    add(f"paho-v5-disconnect-{what}", f"DISCONNECT from the client with reason 0x{code:02x}.", 1,
        Paho(paho.disconnect_reason, code=code, **values))
for qos in (1, 2):
    add(f"paho-v5-receive-maximum-qos{qos}", "1 takes one message at a time (Receive Maximum 1), 2 sends five.", 2,
        Paho(paho.receive_maximum, qos=qos))
add("paho-v5-maximum-packet-size", "The broker drops what is too large for 1.", 2, Paho(paho.maximum_packet_size))

# MQTT.js.


def js(v, *steps, ack=None, **options):
    """The command for one MQTT.js client: see mqttjs.js."""
    if v == "v31":
        options["protocolId"] = "MQIsdp"
    script = {"options": {"protocolVersion": LEVEL[v], **options}, "steps": [*steps]}
    if ack is not None:
        script["ack"] = ack
    return "node mqttjs.js " + shlex.quote(json.dumps(script, ensure_ascii=False))


END = ["end"]
for v in ALL:
    name = f"mqttjs-{v}-"
    lasting = {"clean": False, **({"properties": {"sessionExpiryInterval": 3600}} if v == "v5" else {})}
    for qos in (0, 1, 2):
        q = {"qos": qos}
        add(f"{name}qos{qos}", f"QoS {qos}: a client hears itself, three messages at once.", 1, [
            js(v, ["subscribe", "loop/+", q], ["together", [["publish", f"loop/{n}", f"{n}", q] for n in range(3)]],
               ["receive", 3], END, clientId="loop")])
        will = {"topic": "will/js", "payload": "gone", "qos": qos, "retain": qos == 1}
        if v == "v5":
            will["properties"] = {
                "willDelayInterval": 0, "payloadFormatIndicator": True, "messageExpiryInterval": 30,
                "contentType": "text/plain", "responseTopic": "will/answer", "correlationData": {"hex": "0001ff"},
                "userProperties": {"a": ["1", "1"], "b": "2"}}
        late = [js(v, ["subscribe", "will/#", {"qos": 2}], ["receive", 1], END, clientId="late")] * (qos == 1)
        add(f"{name}will-qos{qos}", f"A Will at QoS {qos}: 1 watches, 2 dies{', 3 comes later' * len(late)}.",
            2 + len(late), [
            "& " + js(v, ["subscribe", "will/#", {"qos": 2}], ["receive", 1], END, clientId="watcher"),
            "& " + js(v, ["subscribe", "x"], ["receive", 1], clientId="mortal", will=will), "end SIGKILL", *late])
    add(f"{name}unsubscribe", "Three filters at once; UNSUBSCRIBE, from a filter never subscribed to as well.", 1, [
        js(v, ["subscribe", {"a": {"qos": 0}, "b/+": {"qos": 1}, "c/#": {"qos": 2}}],
           ["unsubscribe", ["a", "b/+", "never"]], ["unsubscribe", "c/#"], END, clientId="unsubscriber")])
    add(f"{name}ping", "PINGREQ after a Keep Alive of 1 s, twice.", 1, [
        js(v, ["wait", "packetreceive"], ["wait", "packetreceive"], END, clientId="pinger", keepalive=1)])
    add(f"{name}retained", "Retained messages stored, delivered and removed.", 1, [
        js(v, ["publish", "kept/a", "a", {"qos": 1, "retain": True}], ["publish", "kept/b", "b", {"qos": 2, "retain": True}],
           ["subscribe", "kept/#", {"qos": 2}], ["receive", 2], ["publish", "kept/a", "", {"retain": True}],
           ["receive", 3], END, clientId="retainer")])
    add(f"{name}payloads", "Empty, binary and non-ASCII payloads; a non-ASCII topic; 20 KiB.", 1, [
        js(v, ["subscribe", "#", {"qos": 1}], ["publish", "empty", "", {"qos": 1}],
           ["publish", "binary", {"hex": "00ff80c0fe7f"}, {"qos": 1}], ["publish", "Käse/奶酪/🧀", "naïve 🧀", {"qos": 1}],
           ["publish", "filled", {"fill": ["ab", 20480]}, {"qos": 1}], ["receive", 4], END, clientId="payloads")])
    add(f"{name}default-options", "What MQTT.js sends of itself.", 1, [js(v, END)])
    add(f"{name}session", "A session outlives its connection: 1 subscribes, 3 gets what 2 queued.", 3, [
        js(v, ["subscribe", "queue", {"qos": 2}], END, clientId="sleeper", **lasting),
        js(v, ["publish", "queue", "one", {"qos": 1}], ["publish", "queue", "two", {"qos": 2}], END, clientId="feeder"),
        js(v, ["receive", 2], END, clientId="sleeper", **lasting)])
    for what, cut, qos, count in [("publish-qos1", ("server", "PUBACK"), 1, 1), ("publish-qos2", ("server", "PUBREC"), 2, 1),
                                  ("pubrel", ("server", "PUBCOMP"), 2, 1), ("receive-qos1", ("client", "PUBACK"), 1, 2)]:
        add(f"{name}cut-{what}", "An exchange taken up again by the second connection.", 2, [
            js(v, ["subscribe", "cut", {"qos": qos}], ["publish", "cut", "again", {"qos": qos}], ["receive", count], END,
               clientId="comeback", reconnectPeriod=200, resubscribe=False, **lasting)], cut={1: cut})
    add(f"{name}login", "User name and password, accepted.", 1,
        [js(v, END, clientId="visitor", username="alice", password="sesame")], broker=LOGIN)
    add(f"{name}login-refused", "Wrong password.", 1,
        ["- " + js(v, END, clientId="visitor", username="alice", password="mellon")], broker=LOGIN)
    add(f"{name}publish-denied", "Publishing at QoS 1 without permission.", 1,
        ["- " + js(v, ["publish", "closed", "x", {"qos": 1}], END, clientId="intruder")], broker=ACL)
    add(f"{name}subscribe-denied", "Subscribing without permission.", 1,
        ["- " + js(v, ["subscribe", "closed", {"qos": 1}], END, clientId="intruder")], broker=DYNSEC)
EVERY_JS = {"payloadFormatIndicator": True, "messageExpiryInterval": 60, "contentType": "text/plain",
            "responseTopic": "answers/to/me", "correlationData": {"hex": "000102ff"},
            "userProperties": {"z": ["last", "last"], "a": "first", "": ""}}
add("mqttjs-v5-publish-properties", "Every PUBLISH property; those of (UN)SUBSCRIBE.", 1, [
    js("v5", ["subscribe", "p", {"qos": 2, "properties": {"subscriptionIdentifier": 129, "userProperties": {"why": "test"}}}],
       ["publish", "p", "all", {"qos": 2, "properties": EVERY_JS}], ["receive", 1],
       ["unsubscribe", "p", {"properties": {"userProperties": {"so": "long"}}}], END, clientId="properties")])
add("mqttjs-v5-connect-properties", "Every CONNECT property but authentication's.", 1, [
    js("v5", END, clientId="properties", properties={
        "sessionExpiryInterval": 120, "receiveMaximum": 5, "maximumPacketSize": 10000, "topicAliasMaximum": 7,
        "requestResponseInformation": True, "requestProblemInformation": False,
        "userProperties": {"b": ["2", "2"], "a": "1"}})])
add("mqttjs-v5-subscribe-options", "No Local, Retain As Published, Retain Handling 0, 1 and 2.", 1, [
    js("v5", ["publish", "o/kept", "kept", {"qos": 1, "retain": True}],
       ["subscribe", {"o/kept": {"qos": 1, "nl": True, "rap": True, "rh": 0}, "o/+": {"qos": 2, "rap": True, "rh": 1},
                      "none": {"qos": 0, "nl": True, "rh": 2}}],
       ["receive", 2], ["publish", "o/as", "published", {"qos": 1, "retain": True}], ["receive", 3], END, clientId="options")])
add("mqttjs-v5-topic-alias", "Topic Aliases assigned by MQTT.js, five messages on two topics.", 1, [
    js("v5", ["subscribe", "long/topic/#", {"qos": 1}],
       *(["publish", f"long/topic/{n % 2}", f"{n}", {"qos": 1}] for n in range(5)), ["receive", 5], END,
       clientId="alias", autoAssignTopicAlias=True, properties={"topicAliasMaximum": 10})])
add("mqttjs-v5-shared", "A shared subscription of 1 and 2; 3 publishes.", 3, [
    *("& " + js("v5", ["subscribe", "$share/g/work", {"qos": 1}], ["receive", 2], END, clientId=who) for who in ("one", "two")),
    js("v5", *(["publish", "work", "job", {"qos": 1}] for _ in range(4)), END, clientId="boss")])
for what, code, values in [("normal-properties", 0, {"sessionExpiryInterval": 0, "userProperties": {"a": ["1", "1"]}}),
                           ("with-will", 4, {}), ("administrative", 152, {"reasonString": "maintenance"})]:
    add(f"mqttjs-v5-disconnect-{what}", f"DISCONNECT from the client with reason 0x{code:02x}.", 1, [
        js("v5", ["end", {"reasonCode": code, "properties": values}], clientId="leaver",
           properties={"sessionExpiryInterval": 60})])
for qos, kind in ((1, "PUBACK"), (2, "PUBREC")):
    add(f"mqttjs-v5-refusing-qos{qos}", f"The client answers a message with a {kind} of reason 0x83.", 1, [
        js("v5", ["subscribe", "unwanted", {"qos": qos}], ["publish", "unwanted", "x", {"qos": qos}], ["receive", 1], END,
           ack=0x83, clientId="refuser")])
add("mqttjs-v5-receive-maximum", "1 takes one message at a time (Receive Maximum 1), 2 sends four.", 2, [
    "& " + js("v5", ["subscribe", "burst", {"qos": 2}], ["receive", 4], END, clientId="slow", properties={"receiveMaximum": 1}),
    js("v5", ["together", [["publish", "burst", f"{n}", {"qos": 2}] for n in range(4)]], END, clientId="fast")])

# A raw socket: what decent clients do not send.

for v, level in LEVEL.items():
    hello, none = connect(level), b"\x00" * (level == 5)
    name = f"raw-{v}-"

    def publish(topic, payload=b"", packet_id=None, flags=0, properties=none):
        return packet(0x30 | flags, data(topic), number(packet_id) if packet_id is not None else b"", properties, payload)

    def subscribe(*filters, properties=none, packet_id=1, flags=2):
        return packet(0x80 | flags, number(packet_id), properties, *(data(f) + bytes([options]) for f, options in filters))

    def broken(what, shows, *packets):
        """A packet that no encoder should make. Mostly the broker ends the connection over it."""
        add(name + what, shows, 1, Raw([hello, "CONNACK", *packets, "end"]), malformed=(1,))

    add(name + "empty-id", "An empty Client Identifier without Clean Session, or Clean Start.", 1, Raw(
        [connect(level, "", 0x00), "CONNACK", *["end"] * (v == "v5")]))
    add(name + "dup", "1 leaves messages of QoS 1 and 2 unanswered; 2 gets them again.", 2, Raw(
        [connect(level, "forgetful", 0x00, properties=b"\x11\x00\x00\x0e\x10" * (level == 5)), "CONNACK",
         subscribe(("d", 2)), "SUBACK", publish("d", b"1", 10, 2), "PUBLISH", publish("d", b"2", 11, 4), "PUBREC",
         packet(0x62, number(11)), "PUBCOMP", "PUBLISH", "end"],
        [connect(level, "forgetful", 0x00), "CONNACK", "PUBLISH", "PUBLISH", packet(0x40, number(1)),
         packet(0x50, number(2)), "PUBREL", packet(0x70, number(2)), packet(0xE0)]))
    add(name + "second-connect", "CONNECT twice: sound packets, against the protocol.", 1, Raw([hello, "CONNACK", hello]))
    add(name + "keep-alive-over", "A Keep Alive of 1 s, not kept.", 1, Raw([connect(level, keep_alive=1), "CONNACK"]))
    add(name + "stray-acks", "PUBACK, PUBREC, PUBREL and PUBCOMP for nothing.", 1, Raw(
        [hello, "CONNACK", packet(0x62, number(3)), "PUBCOMP", packet(0x40, number(1)), packet(0x50, number(2)),
         packet(0x70, number(4)), packet(0xC0), "PINGRESP", packet(0xE0)]))
    add(name + "broker-stops", "The broker is shut down.", 1, Raw([hello, "CONNACK", "stop"]))
    broken("publish-qos3", "PUBLISH with both QoS bits.", publish("t", b"x", 1, 6))
    broken("publish-wildcard", "A Topic Name with a wildcard.", publish("a/#", b"x"))
    broken("publish-id-zero", "A Packet Identifier of 0.", publish("t", b"x", 0, 2))
    broken("publish-nul", "U+0000 in a Topic Name.", publish("a\0b", b"x"))
    broken("publish-not-utf8", "A Topic Name that is not UTF-8.", publish(b"a\xc3\x28", b"x"))
    broken("publish-short", "A Topic Name longer than its packet.", b"\x30\x03\x00\x09a")
    broken("subscribe-flags", "SUBSCRIBE with reserved flags 0.", subscribe(("t", 0), flags=0))
    broken("subscribe-empty", "SUBSCRIBE without a filter.", subscribe())
    broken("subscribe-qos3", "SUBSCRIBE with QoS 3.", subscribe(("t", 3)))
    broken("subscribe-filter", "A Topic Filter with # in the middle.", subscribe(("a/#/b", 0)))
    broken("unsubscribe-empty", "UNSUBSCRIBE without a filter.", packet(0xA2, number(1), none))
    broken("pubrel-flags", "PUBREL with reserved flags 0.", packet(0x60, number(1)))
    broken("length-five-bytes", "A Remaining Length of five bytes.", b"\x30\x80\x80\x80\x80\x01")
    broken("reserved-type", "Packet type 0.", packet(0x00))
    broken("connack-from-client", "A CONNACK from the client.", packet(0x20, b"\x00\x00", none))
    add(name + "will-qos3", "CONNECT with Will QoS 3.", 1, Raw(
        [connect(level, flags=0x1E, rest=none + data("w") + data("x"))]), malformed=(1,), silent=(1,))
    add(name + "connect-reserved-flag", "CONNECT with the reserved flag.", 1, Raw(
        [connect(level, flags=0x03), "end"]), malformed=(1,), silent=(1,))
    add(name + "first-not-connect", "PINGREQ before CONNECT.", 1, Raw([packet(0xC0)]), malformed=(1,), silent=(1,))

add("raw-v311-bad-level", "Protocol Level 9.", 1, Raw([packet(0x10, data("MQTT"), b"\x09\x02\x00\x3c", data("raw"))]),
    malformed=(1,), silent=())
add("raw-v311-bad-name", "Protocol Name MQTX.", 1, Raw([packet(0x10, data("MQTX"), b"\x04\x02\x00\x3c", data("raw"))]),
    malformed=(1,), silent=(1,))
add("raw-v311-password-only", "CONNECT with a password and no user name.", 1, Raw(
    [connect(4, flags=0x42, rest=data("sesame"))]), malformed=(1,), silent=(1,))

hello = connect(5)
add("raw-v5-password-only", "CONNECT with a password and no user name, which 5.0 permits.", 1,
    Raw([connect(5, flags=0x42, rest=data("sesame"))]), broker=LOGIN)
add("raw-v5-ack-forms", "PUBACK, PUBREC, PUBREL and PUBCOMP in their three lengths; DISCONNECT spelt out.", 1, Raw(
    [hello, "CONNACK", subscribe(("f", 1)), "SUBACK",
     *(step for n in (1, 2, 3) for step in (publish("f", b"x", n, 2), "PUBLISH", packet(0x40, number(n), b"\x00" * (n - 1)))),
     subscribe(("f", 2), packet_id=9), "SUBACK",
     *(step for n in (4, 5, 6) for step in (
         publish("f", b"y", n, 4), "PUBREC", packet(0x62, number(n), b"\x00" * (n - 4)), "PUBCOMP", "PUBLISH",
         packet(0x50, number(n), b"\x00" * (n - 4)), "PUBREL", packet(0x70, number(n), b"\x00" * (n - 4)))),
     packet(0xE0, b"\x00\x00")]))
for what, shows, settings, steps in [
        ("packet-too-large", "A PUBLISH above the broker's Maximum Packet Size.", ("max_packet_size 100",),
         [publish("t", b"x" * 200, 1, 2)]),
        ("receive-maximum-exceeded", "More QoS 2 messages than the broker's Receive Maximum.", ("max_inflight_messages 2",),
         [publish("t", b"x", n, 4) for n in (1, 2, 3)]),
        ("alias-too-large", "A Topic Alias above the broker's maximum.", (), [publish("t", b"x", properties=b"\x03\x23\x00\x63")]),
        ("alias-unknown", "A Topic Alias never set.", (), [publish("", b"x", properties=b"\x03\x23\x00\x01")]),
        ("retain-unavailable", "RETAIN where the broker has none.", ("retain_available false",), [publish("t", b"x", flags=1)]),
        ("qos-unavailable", "QoS 2 above the broker's Maximum QoS.", ("max_qos 1",), [publish("t", b"x", 1, 4)]),
        ("expiry-from-zero", "DISCONNECT that makes a session of none.", (), [packet(0xE0, b"\x00\x05\x11\x00\x00\x00\x09")]),
        ("auth-unasked", "AUTH without an Authentication Method.", (), [packet(0xF0, b"\x18\x00")])]:
    add(f"raw-v5-{what}", shows + " Sound packets, against the protocol.", 1, Raw([hello, "CONNACK", *steps, "end"]), broker=settings)
add("raw-v5-auth-method", "CONNECT with an Authentication Method that the broker lacks.", 1, Raw(
    [connect(5, properties=b"\x15" + data("SCRAM"))]))
add("raw-v5-will-qos-unavailable", "A Will above the broker's Maximum QoS.", 1, Raw(
    [connect(5, flags=0x16, rest=b"\x00" + data("w") + data("x"))]), broker=("max_qos 1",))
add("raw-v5-will-retain-unavailable", "A retained Will where the broker retains none.", 1, Raw(
    [connect(5, flags=0x26, rest=b"\x00" + data("w") + data("x"))]), broker=("retain_available false",))
for what, shows, step in [
        ("alias-zero", "Topic Alias 0.", publish("t", b"x", properties=b"\x03\x23\x00\x00")),
        ("topic-empty", "An empty Topic Name without alias.", publish("", b"x")),
        ("property-twice", "Content Type twice.", publish("t", b"x", properties=b"\x08" + (b"\x03" + data("a")) * 2)),
        ("property-unknown", "A property that does not exist.", publish("t", b"x", properties=b"\x02\x7f\x00")),
        ("property-misplaced", "A property of another packet.", publish("t", b"x", properties=b"\x05\x11\x00\x00\x00\x01")),
        ("property-short", "A Property Length beyond the packet.", publish("t", properties=b"\x20\x01")),
        ("format-indicator-two", "Payload Format Indicator 2.", publish("t", b"x", properties=b"\x02\x01\x02")),
        ("subscription-id-zero", "Subscription Identifier 0.", subscribe(("t", 0), properties=b"\x02\x0b\x00")),
        ("subscription-id-in-publish", "A Subscription Identifier in a client's PUBLISH.",
         publish("t", b"x", properties=b"\x02\x0b\x01")),
        ("subscribe-reserved-bits", "Reserved bits in the Subscription Options.", subscribe(("t", 0xC0))),
        ("retain-handling-three", "Retain Handling 3.", subscribe(("t", 0x30))),
        ("shared-no-local", "No Local on a shared subscription.", subscribe(("$share/g/t", 0x04))),
        ("disconnect-trailing", "Bytes behind DISCONNECT's properties.", packet(0xE0, b"\x00\x00\x00"))]:
    add(f"raw-v5-{what}", shows, 1, Raw([hello, "CONNACK", step, "end"]), malformed=(1,))
