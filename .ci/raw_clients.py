"""MQTT clients on plain sockets in asyncio: many at once, and such as read nothing."""

import asyncio
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parent.parent / "testdata" / "captures"))

from raw_client import connect, data, number, packet  # noqa: E402

CONNACK, PUBLISH, PUBACK, SUBACK, DISCONNECT = 0x20, 0x30, 0x40, 0x90, 0xE0


def publish(topic, payload, qos=0, packet_id=0, version=4, retain=False):
    identifier = number(packet_id) if qos else b""
    properties = b"\0" if version == 5 else b""
    return packet(PUBLISH | qos << 1 | retain, data(topic), identifier, properties, payload)


def subscribe(topic, qos=0, version=4):
    properties = b"\0" if version == 5 else b""
    return packet(0x82, number(1), properties, data(topic), bytes([qos]))


class Raw:
    """A client that sends what it is told, and hands out packets."""

    def __init__(self, reader, writer, version):
        self.reader, self.writer, self.version = reader, writer, version

    @classmethod
    async def connected(cls, port, client_id, version=4, **more):
        raw = await cls.opened(port, version)
        raw.send(connect(version, client_id, **more))
        first, body = await raw.receive()
        assert (first, body[1]) == (CONNACK, 0), f"CONNACK: {first:#x} {body.hex(' ')}"
        return raw

    @classmethod
    async def opened(cls, port, version=4):
        # The limit is what asyncio reads ahead.
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=16 * 1024), version)

    def send(self, data):
        self.writer.write(data)

    async def receive(self):
        """The first byte of the next packet, and what comes behind its length."""
        first, length, shift = (await self.reader.readexactly(1))[0], 0, 0
        while True:
            byte = (await self.reader.readexactly(1))[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return first, await self.reader.readexactly(length)

    async def subscribed(self, topic, qos=0):
        self.send(subscribe(topic, qos, self.version))
        first, body = await self.receive()
        assert (first, body[-1]) == (SUBACK, qos), f"SUBACK: {first:#x} {body.hex(' ')}"

    async def message(self):
        """The topic and payload of the next message, acknowledged if that is called for."""
        first, body = await self.receive()
        assert first & 0xF0 == PUBLISH, f"not PUBLISH: {first:#x} {body.hex(' ')}"
        end = 2 + int.from_bytes(body[:2], "big")
        topic, rest = body[2:end].decode(), body[end:]
        if first & 0x06:
            assert first & 0x06 == 0x02, "for QoS 0 and 1"
            self.send(packet(PUBACK, rest[:2]))
            rest = rest[2:]
        if self.version == 5:
            rest = rest[1 + rest[0]:]
        return topic, rest

    async def at_end(self):
        """What comes until the broker closes the connection."""
        packets = []
        try:
            while True:
                packets.append(await self.receive())
        except (asyncio.IncompleteReadError, ConnectionError):
            return packets

    def abort(self):
        self.writer.transport.abort()
