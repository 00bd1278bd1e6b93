"""Programs that know only the original protocol, written from its description alone.

OriginalPeer serves GET_CHUNK, OriginalTracker keeps a dictionary, OriginalClient downloads. Each
stands for the program a stranger would write: some read one request for each recv(), some close
after each answer, some lie.
"""
import re
import threading
import time

from p2p_server import Server, dial, read_exactly, read_line

CHUNK = 524_288


class Cut(bytes):
    """An answer after which the connection ends."""


class OriginalPeer(Server):
    """Serves `files` ({name: bytes}) by GET_CHUNK.

    unknown:        what an unknown line gets: "error", "silence" or "close"
    close_each:     the connection ends after each answer
    recv_requests:  each recv() is one request, whatever is in it
    one_at_a_time:  the next connection is accepted when this one ended
    delay:          seconds before each answer
    answer:         answer(name, chunk_id, data) -> bytes to send, instead of header and data
    """

    def __init__(self, files, unknown="error", close_each=False, recv_requests=False,
                 one_at_a_time=False, delay=0.0, answer=None, port=0):
        self.files = files
        self._unknown = unknown
        self._close_each = close_each
        self._recv_requests = recv_requests
        self._delay = delay
        self._answer = answer
        self.served = []  # (name, chunk_id), in the order of the answers
        super().__init__(port, one_at_a_time=one_at_a_time)

    def register_at(self, tracker_address):
        for name, data in self.files.items():
            ask(tracker_address, f"REGISTER {name} {len(data)} {self.address}")

    def serve(self, connection):
        while True:
            line = connection.recv(4_096) if self._recv_requests else read_line(connection)
            if not line:
                return
            match = re.fullmatch(rb"GET_CHUNK (.+) (\d+)\r?\n?", line)
            if match is None:
                if self._unknown == "close":
                    return
                if self._unknown == "error":
                    connection.sendall(b"ERROR 400 bad request\n")
            elif not self._give(connection, match.group(1).decode(), int(match.group(2))):
                return
            if self._close_each:
                return

    def _give(self, connection, name, chunk_id):
        if self._delay:
            time.sleep(self._delay)
        data = self.files.get(name, b"")[chunk_id * CHUNK:(chunk_id + 1) * CHUNK]
        if not data:
            connection.sendall(b"ERROR 404 no such chunk\n")
            return True
        answer = b"%d\n%s" % (len(data), data)
        if self._answer is not None:
            answer = self._answer(name, chunk_id, data)
        connection.sendall(answer)
        if isinstance(answer, Cut):
            return False
        self.served.append((name, chunk_id))
        return True


class OriginalTracker(Server):
    """A dictionary behind REGISTER, LOOKUP and UNREGISTER; anything else gets ERROR."""

    def __init__(self, ttl=120, close_each=False, port=0):
        self.files = {}  # name -> (size, [address])
        self.lines = []
        self._ttl = ttl
        self._close_each = close_each
        self._files_lock = threading.Lock()
        super().__init__(port)

    def serve(self, connection):
        while line := read_line(connection):
            with self._files_lock:
                answer = self._answer(line.decode().strip())
            connection.sendall(answer.encode() + b"\n")
            if self._close_each:
                return

    def _answer(self, line):
        self.lines.append(line)
        if match := re.fullmatch(r"REGISTER (.+) (\d+) (\S+)", line):
            name, size, address = match.groups()
            addresses = self.files.setdefault(name, (int(size), []))[1]
            if address not in addresses:
                addresses.append(address)
            return f"OK {self._ttl}"
        if match := re.fullmatch(r"LOOKUP (.+)", line):
            if match.group(1) not in self.files:
                return "ERROR 404 unknown"
            size, addresses = self.files[match.group(1)]
            return " ".join(["OK", str(size), str(len(addresses))] + addresses)
        if match := re.fullmatch(r"UNREGISTER (\S+)", line):
            removed = 0
            for name, (_, addresses) in list(self.files.items()):
                if match.group(1) in addresses:
                    addresses.remove(match.group(1))
                    removed += 1
                if not addresses:
                    del self.files[name]
            return f"OK {removed}"
        return "ERROR 400 malformed"


def ask(address, line):
    """One line to a tracker or peer on a connection of its own; its answer without the LF."""
    with dial(address) as connection:
        connection.sendall(line.encode() + b"\n")
        return read_line(connection).decode().rstrip("\n")


class OriginalClient:
    """Downloads as the original does: LOOKUP, then GET_CHUNK round robin over the peers."""

    def __init__(self, tracker_address):
        self._tracker = tracker_address
        self._connections = {}

    def lookup(self, name):
        """(size, [address])"""
        words = ask(self._tracker, f"LOOKUP {name}").split()
        if words[0] != "OK":
            raise LookupError(" ".join(words))
        assert len(words) == 3 + int(words[2]), words
        return int(words[1]), words[3:]

    def get_chunk(self, address, name, chunk_id):
        """The chunk's bytes; LookupError with what an ERROR line says."""
        connection = self._connections.get(address)
        if connection is None:
            connection = self._connections[address] = dial(address)
        connection.sendall(f"GET_CHUNK {name} {chunk_id}\n".encode())
        header = read_line(connection)
        if not re.fullmatch(rb"[0-9]+\n", header):
            raise LookupError(header.decode().rstrip("\n"))
        return read_exactly(connection, int(header))

    def download(self, name, chunks_of=None):
        """`chunks_of`: name and size for GET_CHUNK where they are not those of the LOOKUP."""
        size, peers = self.lookup(name)
        if chunks_of is not None:
            name, size = chunks_of
        count = (size + CHUNK - 1) // CHUNK
        return b"".join(self.get_chunk(peers[i % len(peers)], name, i) for i in range(count))

    def close(self):
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
