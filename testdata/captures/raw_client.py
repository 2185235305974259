"""A client on a plain socket, for what no decent client sends."""

import contextlib
import socket


def number(value):
    """A Two Byte Integer."""
    return value.to_bytes(2, "big")


def data(content):
    """Binary Data, or a UTF-8 Encoded String."""
    content = content.encode() if isinstance(content, str) else content
    return number(len(content)) + content


def packet(first, *body):
    """A packet: its first byte, the Remaining Length, the rest."""
    body, length = b"".join(body), b""
    rest = len(body)
    while rest > 127:
        length += bytes([rest & 0x7F | 0x80])
        rest >>= 7
    return bytes([first]) + length + bytes([rest]) + body


def connect(version, client_id="raw", flags=0x02, keep_alive=60, properties=b"", rest=b""):
    """A CONNECT: `rest` follows the Client Identifier."""
    name = "MQIsdp" if version == 3 else "MQTT"
    head = data(name) + bytes([version, flags]) + number(keep_alive)
    if version == 5:
        head += bytes([len(properties)]) + properties
    return packet(0x10, head, data(client_id), rest)


class Raw:
    """Plays connections one after the other, each a list of steps:

    bytes are sent; a name awaits that packet from the broker; "end" ends the connection, after some
    patience with a broker that may end it first; "stop" stops the broker. Without "end" the broker is
    expected to end it.
    """

    def __init__(self, *connections):
        self.connections = connections
        self.calls = [", ".join(map(self.describe, steps)) for steps in connections]

    @staticmethod
    def describe(step):
        if isinstance(step, str):
            return step if step in ("end", "stop") else f"await {step}"
        return step.hex(" ") if len(step) <= 64 else f"{step[:32].hex(' ')}... ({len(step)} bytes)"

    def __call__(self, recorder):
        for steps in self.connections:
            self.play(recorder, len(recorder.connections) + 1, steps)

    def play(self, recorder, nth, steps):
        awaited = {}
        with socket.create_connection(("127.0.0.1", recorder.port), 20) as sock:
            for step in steps:
                if step == "stop":
                    recorder.stop_broker()
                elif step == "end":
                    self.end(recorder, nth, sock)
                elif isinstance(step, str):
                    awaited[step] = awaited.get(step, 0) + 1
                    recorder.wait(nth, "server", step, awaited[step])
                else:
                    sock.sendall(step)
            recorder.wait_until(lambda: len(recorder.connections) >= nth, f"connection {nth}")
            while self.more(sock):
                pass
        recorder.wait_closed(nth)

    @staticmethod
    def end(recorder, nth, sock):
        def ended():
            return len(recorder.connections) >= nth and recorder.connections[nth - 1].open < 2
        with recorder.proxy.changed:
            recorder.proxy.changed.wait_for(ended, 2)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)

    @staticmethod
    def more(sock):
        try:
            return sock.recv(65536)
        except ConnectionResetError:
            return b""
