"""Peers of the extension that harm whoever downloads from them, each in one way.

All claim to have everything. `payload_bytes` is what of theirs was taken for nothing; `asked` tells
that somebody relied on them.
"""
import threading

from p2p_peer import SharingPeer
from p2p_server import end_with_reset

# A flood ends by itself where nobody ends it.
MOST_FLOODED = 64 << 20
_PIECE = 65_536


class WrongBytes(SharingPeer):
    """Right sizes and proofs, one byte changed in each chunk and each range."""

    def send_payload(self, connection, payload):
        super().send_payload(connection, bytes([payload[0] ^ 0xff]) + payload[1:])


class WrongChunk(SharingPeer):
    """The right size, and true bytes of the share that belong elsewhere."""

    def chunk_payload(self, index):
        return self._like(super().chunk_payload, index)

    def leaves_payload(self, index, first, count):
        return self._like(super().leaves_payload, index, first, count)

    @staticmethod
    def _like(payload, index, *leaves):
        # A last chunk is short, and more than it asks for would break the protocol instead.
        return payload(index - 1 if index else 1, *leaves)[:len(payload(index, *leaves))]


class ProofOfAnotherLength(SharingPeer):
    """Leaves whose proof has `more` hashes than it should have."""

    def __init__(self, content, number, more):
        self._more = more
        super().__init__(content, number)

    def send_leaves(self, connection, index, first, count):
        proof = self.content.proof(index, first, count)
        proof = proof[:self._more] if self._more < 0 else proof + [bytes(32)] * self._more
        self.say_leaves(connection, index, first, count, proof,
                        self.leaves_payload(index, first, count))

    def send_chunk(self, connection, index):
        self.say(connection, f"REJECT {index} 503 leaves alone")


class HashesWithAProof(SharingPeer):
    """Chunk hashes with a proof where they need none: they are one whole run."""

    def send_hashes(self, connection):
        hashes = self.content.chunk_hashes
        self.say(connection, f"HASHES 0 0 {len(hashes)} 1 +{32 * (len(hashes) + 1)}")
        connection.sendall(b"".join(hashes) + bytes(32))


class PartOfARun(SharingPeer):
    """Fewer chunk hashes than the run has."""

    def send_hashes(self, connection):
        hashes = self.content.chunk_hashes[:-1]
        self.say(connection, f"HASHES 0 0 {len(hashes)} 0 +{32 * len(hashes)}")
        connection.sendall(b"".join(hashes))


class EndlessHeader(SharingPeer):
    """Begins the line before its first payload and never ends it."""

    def _send(self, connection):
        connection.sendall(b"CHUNK ")
        for _ in range(0, MOST_FLOODED, _PIECE):
            connection.sendall(b"1" * _PIECE)

    def send_chunk(self, connection, _):
        self._send(connection)

    def send_leaves(self, connection, *_):
        self._send(connection)


class Trickle(SharingPeer):
    """Sends its payload at one byte a second."""

    def send_payload(self, connection, payload):
        for at in range(len(payload)):
            connection.sendall(payload[at:at + 1])
            self.payload_bytes += 1
            with self._lock:
                if self._lock.wait_for(lambda: self._closed, timeout=1):
                    return


class Deaf(SharingPeer):
    """Reads nothing once it has been asked for something."""

    def _stay(self):
        with self._lock:
            self._lock.wait_for(lambda: self._closed)

    def send_chunk(self, connection, _):
        self._stay()

    def send_leaves(self, connection, *_):
        self._stay()


class ResetInTheMiddle(SharingPeer):
    """Breaks the connection in the middle of its first payload."""

    def send_payload(self, connection, payload):
        super().send_payload(connection, payload[:len(payload) // 2])
        with self._lock:
            self._reset.add(connection)
        end_with_reset(connection)
        raise EOFError


class Refuser(SharingPeer):
    """Refuses each thing that it is asked for."""

    def send_chunk(self, connection, index):
        self.say(connection, f"REJECT {index} 503 not now")

    def send_leaves(self, connection, index, first, count):
        self.say(connection, f"REJECT-LEAVES {index} {first} {count} 503 not now")


class Staller(SharingPeer):
    """Answers nothing that it is asked for, and goes on talking otherwise."""

    def send_chunk(self, connection, _):
        pass

    def send_leaves(self, connection, *_):
        pass


class Sayer(SharingPeer):
    """Says `line` (and `payload` behind it) instead of its have-set."""

    def __init__(self, content, number, line, payload=b""):
        self.line = line
        self._payload = payload
        super().__init__(content, number)

    def on_subscribe(self, connection):
        self.say(connection, self.line)
        connection.sendall(self._payload)


class Flooder(SharingPeer):
    """Says `lines` again and again behind its have-set, and nothing else."""

    def __init__(self, content, number, lines):
        self._piece = (lines * (1 + _PIECE // len(lines))).encode()
        self.may_go = threading.Event()
        self.may_go.set()
        self.flooded = 0
        self.was_ended = False  # by the other side
        super().__init__(content, number)

    def on_subscribe(self, connection):
        super().on_subscribe(connection)
        self.asked += 1
        self.may_go.wait()
        try:
            while self.flooded < MOST_FLOODED:
                connection.sendall(self._piece)
                self.flooded += len(self._piece)
        except OSError:
            self.was_ended = True
            raise


def nine_of_ten(content):
    """Nine peers, each with a way of its own."""
    return [WrongBytes(content, 0xe1), WrongChunk(content, 0xe2),
            ProofOfAnotherLength(content, 0xe3, -1), EndlessHeader(content, 0xe4),
            Trickle(content, 0xe5), Deaf(content, 0xe6), ResetInTheMiddle(content, 0xe7),
            Refuser(content, 0xe8), Staller(content, 0xe9)]
