"""Peers of the extension, written from docs/protocol.md alone.

Guest dials a peer and opens a content; Introducer accepts, and tells whom it is told to;
SharingPeer accepts, and has a content.
"""
import threading

from p2p_server import Server, dial

MANIFEST_PART = 262_144
HELLO = "HELLO 3 id={:064x} port=0"


class Guest:
    """A connection from `source` (a loopback address) that has said HELLO and OPEN."""

    def __init__(self, address, content_id, number, source="127.0.0.1", leaves=False, port=0):
        self._socket = dial(address, source)
        self._lines = self._socket.makefile("rb")
        hello = HELLO.format(number) + (" leaves" if leaves else "")
        if port:
            hello = hello.replace("port=0", f"port={port}")
        self.say(hello, f"OPEN {content_id}")
        self.hello = self.line()
        self.answer = self.line()

    def say(self, *lines):
        self._socket.sendall("".join(line + "\n" for line in lines).encode())

    def line(self):
        return self._lines.readline().decode().rstrip("\n")

    def payload(self, count):
        return self._lines.read(count)

    def peers(self):
        """The answer to GET-PEERS, which is next."""
        listed = self.payload(int(self.line().removeprefix("PEERS +")))
        return listed.decode().split()

    def tell_peers(self, *addresses):
        listed = " ".join(addresses)
        self._socket.sendall(f"PEERS +{len(listed)}\n{listed}".encode())

    def close(self):
        self._lines.close()
        self._socket.close()


class ExtensionPeer(Server):
    """Accepts connections and calls on_<verb>(connection, *words) for each line that it is told.

    Verbs without a method are skipped. Whoever dials it has nothing that needs a payload, as long
    as it does not subscribe.
    """

    def __init__(self, number):
        self.hello = HELLO.format(number) + " leaves"
        super().__init__()

    def serve(self, connection):
        with connection.makefile("rb") as lines:
            for line in lines:
                verb, *words = line.decode().split()
                method = getattr(self, "on_" + verb.lower().replace("-", "_"), None)
                if method is not None:
                    method(connection, *words)

    def say(self, connection, *lines):
        connection.sendall("".join(line + "\n" for line in lines).encode())

    def on_hello(self, connection, *_):
        self.say(connection, self.hello)

    def say_peers(self, connection, *addresses):
        listed = " ".join(addresses)
        self.say(connection, f"PEERS +{len(listed)}")
        connection.sendall(listed.encode())

    def on_ping(self, connection):
        self.say(connection, "PONG")


class Introducer(ExtensionPeer):
    """Opens every content and holds GET-PEERS back until tell() says what to answer."""

    def __init__(self):
        self._peer_ids = {}  # of each connection
        self._waiting = {}  # peer id -> connection that has asked for peers
        super().__init__(0xf)

    def asked_by(self, peer_id):
        with self._lock:
            return peer_id in self._waiting

    def tell(self, peer_id, *addresses):
        """Answers one GET-PEERS of that peer."""
        with self._lock:
            connection = self._waiting.pop(peer_id)
        self.say_peers(connection, *addresses)

    def on_hello(self, connection, *words):
        self._peer_ids[connection] = words[1].partition("=")[2]
        super().on_hello(connection)

    def on_open(self, connection, _):
        self.say(connection, "OPENED 0")

    def on_get_manifest(self, connection, _):
        self.say(connection, "NO-MANIFEST 409 not there yet")

    def on_get_peers(self, connection):
        with self._lock:
            self._waiting.setdefault(self._peer_ids[connection], connection)


class SharingPeer(ExtensionPeer):
    """Has all of `content` (p2p_content.Content) and gives what it is asked for, in order."""

    def __init__(self, content, number):
        self.content = content
        self.payload_bytes = 0  # of chunks and leaves, given away
        self.asked = 0  # chunks and ranges of leaves
        super().__init__(number)

    def on_open(self, connection, _):
        self.say(connection, f"OPENED {self.content.chunk_count}")

    def on_get_manifest(self, connection, _):
        info = self.content.info
        for at in range(0, len(info), MANIFEST_PART):
            part = info[at:at + MANIFEST_PART]
            self.say(connection, f"MANIFEST {len(info)} {at} +{len(part)}")
            connection.sendall(part)
        self.send_hashes(connection)

    def on_get_hashes(self, connection, *_):
        self.send_hashes(connection)

    def send_hashes(self, connection):
        """All of them: they are one run."""
        hashes = self.content.chunk_hashes
        self.say(connection, f"HASHES 0 0 {len(hashes)} 0 +{32 * len(hashes)}")
        connection.sendall(b"".join(hashes))

    def on_subscribe(self, connection):
        self.say(connection, f"HAVE 0 {self.content.chunk_count}")

    def on_get_peers(self, connection):
        self.say_peers(connection)

    def on_request(self, connection, first, count):
        for index in range(int(first), int(first) + int(count)):
            self.asked += 1
            self.send_chunk(connection, index)

    def on_request_leaves(self, connection, index, first, count):
        self.asked += 1
        self.send_leaves(connection, int(index), int(first), int(count))

    def send_chunk(self, connection, index):
        payload = self.chunk_payload(index)
        self.say(connection, f"CHUNK {index} +{len(payload)}")
        self.send_payload(connection, payload)

    def send_leaves(self, connection, index, first, count):
        payload = self.leaves_payload(index, first, count)
        proof = self.content.proof(index, first, count)
        self.say_leaves(connection, index, first, count, proof, payload)

    def say_leaves(self, connection, index, first, count, proof, payload):
        size = 32 * len(proof) + len(payload)
        self.say(connection, f"LEAVES {index} {first} {count} {len(proof)} +{size}")
        connection.sendall(b"".join(proof))
        self.send_payload(connection, payload)

    def chunk_payload(self, index):
        return self.content.chunk(index)

    def leaves_payload(self, index, first, count):
        return self.content.leaves(index, first, count)

    def send_payload(self, connection, payload):
        connection.sendall(payload)
        self.payload_bytes += len(payload)


def calling(kind, *arguments):
    """A peer of that kind that dials instead of being dialled; see Calling."""
    return type("Calling" + kind.__name__, (Calling, kind), {})(*arguments)


class Calling:
    """Mixed into an ExtensionPeer: call() dials a daemon, and serves on that connection."""

    def call(self, address, content_id, peer_id, source="127.0.0.1", port=0):
        connection = dial(address, source, timeout=None)
        self._watch(connection)
        self.say(connection, f"HELLO 3 id={peer_id} port={port} leaves", f"OPEN {content_id}")
        threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def on_hello(self, connection, *_):
        pass
