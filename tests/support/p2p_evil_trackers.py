"""Trackers that harm whoever asks them, and somebody whom they point at."""
from p2p_server import Server

MOST_SENT = 64 << 20
_PIECE = 65_536


class MillionLines(Server):
    """Answers the first line with a million lines that nobody asked for."""

    def __init__(self):
        self.was_ended = False  # by the other side
        super().__init__()

    def serve(self, connection):
        connection.recv(_PIECE)
        piece = b"OK 120\n" * 10_000
        try:
            for _ in range(100):
                connection.sendall(piece)
        except OSError:
            self.was_ended = True


class EndlessLine(Server):
    """Answers the first line with one that never ends."""

    def __init__(self):
        self.was_ended = False
        super().__init__()

    def serve(self, connection):
        connection.recv(_PIECE)
        try:
            for _ in range(0, MOST_SENT, _PIECE):
                connection.sendall(b"A" * _PIECE)
        except OSError:
            self.was_ended = True


class SilentTracker(Server):
    """Takes connections, reads what it is told, and says nothing."""

    def serve(self, connection):
        while connection.recv(_PIECE):
            pass


def found(*versions):
    """FOUND with its payload, but for the last LF."""
    payload = "".join(version + "\n" for version in versions)
    return f"FOUND {len(versions)} +{len(payload)}\n{payload}"[:-1]


class AddressTeller(Server):
    """Speaks the extension, and names the same `addresses` for whatever it is asked."""

    def __init__(self, size, addresses):
        self._size = size
        self.addresses = list(addresses)
        self.asked = 0
        self.answer_announce = "OK 120"
        self.answer_find = "FOUND 0 +0"
        self.asked_for_name = 0
        super().__init__()

    def serve(self, connection):
        with connection.makefile("rb") as lines:
            for line in lines:
                words = line.decode().split()
                if words[0] in ("ANNOUNCE", "JOIN"):
                    words.append(lines.read(int(words[-1][1:])).decode())  # the name
                connection.sendall(self._answer(words).encode() + b"\n")

    def _answer(self, words):
        if words[0] == "HELLO":
            return "HELLO 3 agent=evil/1"
        if words[0] == "PEERS":
            self.asked += 1
            return found(" ".join([words[1], str(self._size), str(len(self.addresses)),
                                   *self.addresses]))
        if words[0] == "FIND":
            self.asked_for_name += 1
            return self.answer_find
        return self.answer_announce


class Bystander(Server):
    """Has nothing to do with any of it; keeps what it is told, and says nothing."""

    def __init__(self, port=0):
        self.heard = b""
        super().__init__(port)

    def serve(self, connection):
        while piece := connection.recv(_PIECE):
            self.heard += piece
