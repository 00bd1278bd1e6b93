"""Peers of the extension that have nothing, written from docs/protocol.md alone.

Guest dials a peer and opens a content; Introducer accepts, and tells whom it is told to.
"""
import socket
import threading

HELLO = "HELLO 2 id={:064x} port=0\n"


class Guest:
    """A connection from `source` (a loopback address) that has said HELLO and OPEN."""

    def __init__(self, address, content_id, number, source="127.0.0.1"):
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), 30, (source, 0))
        self._lines = self._socket.makefile("rb")
        self.say(HELLO.format(number).rstrip("\n"), f"OPEN {content_id}")
        self.hello = self.line()
        self.answer = self.line()

    def say(self, *lines):
        self._socket.sendall("".join(line + "\n" for line in lines).encode())

    def line(self):
        return self._lines.readline().decode().rstrip("\n")

    def close(self):
        self._lines.close()
        self._socket.close()


class Introducer:
    """Opens every content and holds GET-PEERS back until tell() says what to answer."""

    def __init__(self):
        self._lock = threading.Condition()
        self._waiting = {}  # peer id -> connection that has asked for peers
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def asked_by(self, peer_id):
        with self._lock:
            return peer_id in self._waiting

    def tell(self, peer_id, *addresses):
        """Answers one GET-PEERS of that peer."""
        with self._lock:
            connection = self._waiting.pop(peer_id)
        connection.sendall((" ".join(["PEERS", *addresses]) + "\n").encode())

    def close(self):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        peer_id = ""
        try:
            for line in connection.makefile("rb"):
                words = line.decode().split()
                if words[0] == "HELLO":
                    peer_id = words[2].partition("=")[2]
                    connection.sendall(HELLO.format(0xf).encode())
                elif words[0] == "OPEN":
                    connection.sendall(b"OPENED 0\n")
                elif words[0] == "GET-MANIFEST":
                    connection.sendall(b"NO-MANIFEST 409 not there yet\n")
                elif words[0] == "GET-PEERS":
                    with self._lock:
                        self._waiting.setdefault(peer_id, connection)
                elif words[0] == "PING":
                    connection.sendall(b"PONG\n")
        except OSError:
            pass
        connection.close()
