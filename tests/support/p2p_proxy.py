"""A TCP relay between a peer and whoever dials it: counts, holds back, slows, cuts and tampers.

It stands for a network that misbehaves, or for a peer that lies: nothing of our own code is needed
for that. Threads; close() ends them.
"""
import re
import socket
import threading
import time

from p2p_server import Server

_PIECE = 65_536


class Proxy(Server):
    """Listens on `address`, dials `target` for each connection.

    `allow(n)` lets n more bytes pass from the target to the clients; None: all. `tamper`, where
    given, is a class whose objects have feed(bytes) -> bytes, one for each connection.
    """

    def __init__(self, target, budget=None, tamper=None, bytes_a_second=None, port=0):
        self._target = target
        self._tamper = tamper
        self._bytes_a_second = bytes_a_second
        self._budget = budget
        self.bytes_down = 0  # from the target to the clients
        self.bytes_up = 0
        super().__init__(port)

    def allow(self, count=None):
        with self._lock:
            if count is None:
                self._budget = None
            elif self._budget is not None:
                self._budget += count
            self._lock.notify_all()

    def hold(self):
        """Nothing more passes to the clients."""
        with self._lock:
            self._budget = 0

    @property
    def is_dry(self):
        with self._lock:
            return self._budget == 0

    def retarget(self, target):
        self._target = target

    def serve(self, connection):
        server = socket.create_connection(self._target, 10)
        server.settimeout(None)
        self._watch(server)
        tamper = self._tamper() if self._tamper else None
        threading.Thread(target=self._up, args=(connection, server), daemon=True).start()
        self._down(server, connection, tamper)

    def _take_budget(self, wanted):
        """How many of the bytes wanted may pass now; waits for at least one. 0: closed."""
        with self._lock:
            while self._budget == 0 and not self._closed:
                self._lock.wait()
            if self._closed:
                return 0
            if self._budget is not None:
                wanted = min(wanted, self._budget)
                self._budget -= wanted
            self.bytes_down += wanted
            return wanted

    def _down(self, server, client, tamper):
        try:
            # Only what is here takes from the budget: several connections at a time share it.
            while piece := server.recv(_PIECE):
                while piece and (count := self._take_budget(len(piece))):
                    passing, piece = piece[:count], piece[count:]
                    client.sendall(tamper.feed(passing) if tamper else passing)
                    if self._bytes_a_second:
                        time.sleep(count / self._bytes_a_second)
                if piece:
                    break
        except OSError:
            pass
        self._end(server, client)

    def _up(self, client, server):
        try:
            while piece := client.recv(_PIECE):
                self.bytes_up += len(piece)
                server.sendall(piece)
        except OSError:
            pass
        self._end(server, client)


class Tamper:
    """Follows the messages of the extension in a byte stream; subclasses change them.

    A message is a text line; where its last word is +<n>, n payload bytes follow.
    """

    _PAYLOAD = re.compile(rb" \+(\d+)$")

    def __init__(self):
        self._held = b""
        self._line = None  # whose payload is coming in
        self._left = 0
        self._at = 0

    def feed(self, data):
        self._held += data
        out = b""
        while self._held:
            if self._left > 0:
                piece = self._held[:self._left]
                self._held = self._held[len(piece):]
                out += self.payload(self._line, self._at, piece)
                self._at += len(piece)
                self._left -= len(piece)
                continue
            line, end, rest = self._held.partition(b"\n")
            if not end:
                break
            self._held = rest
            stated = self._PAYLOAD.search(line)
            self._line, self._at = line, 0
            self._left = int(stated.group(1)) if stated else 0
            out += self.line(line)
        return out

    def line(self, line):
        return line + b"\n"

    def payload(self, line, at, piece):
        """`piece` begins `at` bytes into the payload that follows `line`."""
        return piece


def _flip_first(piece):
    return bytes([piece[0] ^ 0xff]) + piece[1:] if piece else piece


class WrongBytes(Tamper):
    """Changes one byte of every chunk."""

    def payload(self, line, at, piece):
        return _flip_first(piece) if line.startswith(b"CHUNK ") and at == 0 else piece


class WrongManifest(Tamper):
    def payload(self, line, at, piece):
        return _flip_first(piece) if line.startswith(b"MANIFEST") and at == 0 else piece


class WrongHashes(Tamper):
    def payload(self, line, at, piece):
        return _flip_first(piece) if line.startswith(b"HASHES") and at == 0 else piece


class WrongChunkNumber(Tamper):
    """Answers with the right bytes under the number of another chunk."""

    def line(self, line):
        match = re.fullmatch(rb"CHUNK (\d+) (\+\d+)", line)
        if match:
            number = int(match.group(1))
            line = b"CHUNK %d %s" % (number - 1 if number else 1, match.group(2))
        return super().line(line)


class WrongLength(Tamper):
    """Says that a chunk has one byte more than it may have."""

    def line(self, line):
        match = re.fullmatch(rb"CHUNK (\d+) \+(\d+)", line)
        if match:
            line = b"CHUNK %s +%d" % (match.group(1), int(match.group(2)) + 1)
        return super().line(line)


class BoundlessHaveSet(Tamper):
    """Says that it has chunks beyond the last one."""

    def line(self, line):
        match = re.fullmatch(rb"HAVE 0 (\d+)", line)
        if match:
            line = b"HAVE 0 %d" % (int(match.group(1)) + 1)
        return super().line(line)
