"""Clients of the control socket that speak HTTP/2 by hand (RFC 9113, RFC 7541), and badly."""
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 8, 9
END_STREAM, END_HEADERS = 1, 4
_MOST_FRAME = 16_384
_SERVICE = "/p2p.v1.Control/"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + \
        struct.pack(">I", stream) + payload


def integer(value, prefix_bits=7, first=0):
    """An HPACK integer behind the bits of `first`."""
    most = (1 << prefix_bits) - 1
    if value < most:
        return bytes([first | value])
    out = bytearray([first | most])
    value -= most
    while value >= 128:
        out.append(value % 128 | 128)
        value //= 128
    return bytes(out + bytes([value]))


def header(name, value):
    """A literal that is not indexed, with a new name."""
    name, value = name.encode(), value if isinstance(value, bytes) else value.encode()
    return b"\x00" + integer(len(name)) + name + integer(len(value)) + value


def call_headers(method, *, without=(), **instead):
    fields = {":method": "POST", ":scheme": "http", ":path": _SERVICE + method,
              ":authority": "localhost", "te": "trailers", "content-type": "application/grpc"}
    fields.update({name.replace("_", "-"): value for name, value in instead.items()})
    return b"".join(header(n, v) for n, v in fields.items() if n not in without)


def _connect(path):
    """Waits where the queue of clients is full, and later where the daemon does not read."""
    connection = socket.socket(socket.AF_UNIX)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 20, 0))
    connection.connect(path)
    return connection


class ControlClient:
    """A connection that has said the preface and SETTINGS, and reads only when told to."""

    def __init__(self, path, window=65_535):
        self._socket = _connect(path)
        self._stream = 1
        settings = struct.pack(">HI", 4, window)  # INITIAL_WINDOW_SIZE
        self.send(PREFACE + frame(SETTINGS, 0, 0, settings))
        if window > 65_535:
            self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", window - 65_535)))

    def send(self, data):
        self._socket.sendall(data)

    def try_send(self, data):
        """False when the other side has ended the connection, or does not read for long."""
        try:
            self.send(data)
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            return False
        return True

    def next_stream(self):
        stream, self._stream = self._stream, self._stream + 2
        return stream

    def open(self, method, message=None):
        """A call; without a message its client seems still to be about to send one."""
        stream = self.next_stream()
        data = frame(HEADERS, END_HEADERS, stream, call_headers(method))
        if message is not None:
            body = b"\x00" + struct.pack(">I", len(message)) + message
            data += frame(DATA, END_STREAM, stream, body)
        return data

    def block(self, fields):
        """A header block of any length, as HEADERS and CONTINUATION."""
        stream = self.next_stream()
        pieces = [fields[at:at + _MOST_FRAME] for at in range(0, len(fields), _MOST_FRAME)]
        out = b""
        for number, piece in enumerate(pieces):
            flags = END_HEADERS if number == len(pieces) - 1 else 0
            out += frame(CONTINUATION if number else HEADERS, flags, stream, piece)
        return out

    def close(self):
        self._socket.close()


def connect_and_abort(path, count, data=b""):
    """Clients that go away at once."""
    for _ in range(count):
        with _connect(path) as one:
            try:
                one.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it was quicker


def aggressive_headers():
    """{name: header block}: combinations that aborted gRPC servers (CVE-2023-1428)."""
    rest = header("padding", b"x" * 9_000)
    return {
        "te": call_headers("GetDaemon", te="x") + rest,
        "scheme": call_headers("GetDaemon", **{":scheme": "x"}) + rest,
        "grpclb": call_headers("GetDaemon") + header("grpclb_client_stats", "x") + rest,
        "encoding": call_headers("GetDaemon", grpc_encoding="x") + rest,
        "timeout": call_headers("GetDaemon", grpc_timeout="99999999999999S") + rest,
        "status": call_headers("GetDaemon") + header(":status", "x") + rest,
        "no path": call_headers("GetDaemon", without=(":path",)) + rest,
        "no method": call_headers("GetDaemon", without=(":method",)) + rest,
        "twice": call_headers("GetDaemon") * 2 + rest,
        "binary": call_headers("GetDaemon") + header("x-bin", "%%%") + rest,
        "content type": call_headers("GetDaemon", content_type="text/html") + rest,
    }


def padded_blocks(most_bytes):
    """{name: frames of one client}: HPACK that costs whoever parses it much (CVE-2023-33953)."""
    start = call_headers("GetDaemon")

    def continued(first, piece):
        out = [frame(HEADERS, 0, 1, first)]
        out += [frame(CONTINUATION, 0, 1, piece)] * (most_bytes // len(piece))
        return b"".join(out)
    return {
        "a string of 2 GiB": continued(start + b"\x00" + integer(1) + b"a" + integer(2**31),
                                       b"x" * _MOST_FRAME),
        "an integer of zeros": continued(start + b"\x00\x7f", b"\x80" * _MOST_FRAME),
        "headers without end": continued(start, header("a", "1") * 1_000),
        "large headers without end": continued(start, header("b", b"1" * 7_000) * 2),
    }
