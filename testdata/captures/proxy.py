"""A TCP proxy that keeps what it carries."""

import socket
import threading

from packets import split

PATIENCE = 20  # seconds to reach the broker


class Connection:
    """One proxied connection: what was seen of each direction, and its two sockets."""

    def __init__(self, client, broker):
        self.seen = {"client": bytearray(), "server": bytearray()}
        self.sockets = {"client": client, "server": broker}
        self.open = 2  # directions that have not ended yet

    def close(self):
        for sock in self.sockets.values():
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other side was first


class Proxy:
    """Stands before the broker on `broker_port`.

    `cut` says where to lose a packet: {number of the connection: (side, kind)}. The packet is kept,
    but not passed on, and the connection closed.
    """

    def __init__(self, broker_port, cut):
        self.broker_port, self.cut = broker_port, cut
        self.connections = []
        self.changed = threading.Condition()  # some connection started, ended or carried something
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        except OSError:
            pass  # not needed everywhere
        self.listener.close()
        for connection in self.connections:
            connection.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                broker = socket.create_connection(("127.0.0.1", self.broker_port), PATIENCE)
            except OSError:
                return
            for sock in (client, broker):
                sock.settimeout(None)  # ended by close() at the latest
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(client, broker)
            with self.changed:
                self.connections.append(connection)
                number = len(self.connections)
            for side, other in (("client", "server"), ("server", "client")):
                threading.Thread(target=self.pump, args=(number, connection, side, other),
                                 daemon=True).start()

    def pump(self, number, connection, side, other):
        """Carries one direction to its end, keeping a copy; the cut of the scenario happens here."""
        cut = self.cut.get(number, (None, None))
        seen, source, target = connection.seen[side], connection.sockets[side], connection.sockets[other]
        try:
            while chunk := source.recv(65536):
                with self.changed:
                    seen += chunk
                    self.changed.notify_all()
                if cut[0] == side and cut[1] in split(seen)[0]:
                    connection.close()  # recorded, but never delivered
                    break
                target.sendall(chunk)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            connection.close()
        with self.changed:
            connection.open -= 1
            self.changed.notify_all()
