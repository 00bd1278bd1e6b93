"""What every server of the tests is made of: accepts on loopback, and ends what it accepted."""
import socket
import struct
import threading


def read_line(connection):
    """One byte after the other, as simple clients do. b"" at the end of the stream."""
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            return line
        line += byte
    return line


def read_exactly(connection, count):
    data = bytearray()
    while len(data) < count:
        piece = connection.recv(min(65_536, count - len(data)))
        if not piece:
            raise EOFError(f"the stream ended after {len(data)} of {count} bytes")
        data += piece
    return bytes(data)


def dial(address, source="127.0.0.1", timeout=30):
    """A connection to "host:port" from `source`, another loopback address where wanted."""
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout, (source, 0))


def announcement(name, size, content_id, address, verb="ANNOUNCE"):
    """What a tracker of the extension is told, with its payload."""
    name = name.encode()
    return f"{verb} {size} {content_id} {address} +{len(name)}\n".encode() + name


def end_with_reset(connection):
    """What was not sent is thrown away, and the other side is told that the connection broke."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Server:
    """Accepts on a free port; serve(connection) runs in a thread each, or one after the other."""

    def __init__(self, port=0, one_at_a_time=False):
        self._one_at_a_time = one_at_a_time
        self._lock = threading.Condition()
        self._open = set()
        self._reset = set()  # those of _open that end with a reset
        self._closed = False
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def serve(self, connection):
        """Ends the connection when it returns, or by OSError or EOFError."""
        raise NotImplementedError

    @property
    def open_connections(self):
        with self._lock:
            return len(self._open)

    def cut(self, reset=False):
        """Ends all connections at once, with a reset if wanted; new ones are taken."""
        with self._lock:
            ends = list(self._open)
            if reset:
                self._reset |= set(ends)
        for end in ends:
            try:
                if reset:
                    end_with_reset(end)
                # Wakes the thread that reads it, which closes it.
                end.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        with self._lock:
            self._closed = True
            self._lock.notify_all()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self.cut()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._watch(connection)
            if self._one_at_a_time:
                self._run(connection)
            else:
                threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        try:
            self.serve(connection)
        except (OSError, EOFError):
            pass
        self._end(connection)

    def _watch(self, connection):
        """cut() ends it, too."""
        with self._lock:
            self._open.add(connection)

    def _end(self, *ends):
        with self._lock:
            gone = [end for end in ends if end in self._open]
            self._open -= set(gone)
            resets = [end for end in gone if end in self._reset]
            self._reset -= set(gone)
        for end in gone:
            try:
                if end not in resets:
                    end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()
