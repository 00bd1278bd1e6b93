"""Connections on which the same is said again and again, until they are told to end."""
import contextlib
import socket
import threading

from p2p_server import dial

_PIECE = 65_536


class Flood:
    """Says `words` (bytes) over and over to "host:port" from `source`, behind `greeting`.

    What comes back is read and counted, or not read at all (`takes=False`).
    """

    def __init__(self, address, words, greeting=b"", source="127.0.0.1", takes=True):
        self.taken = 0  # bytes
        self.said = 0
        self.was_ended = False  # by the other side
        self._over = False
        self._socket = dial(address, source, timeout=None)
        self._socket.sendall(greeting)
        piece = words * (1 + _PIECE // len(words))
        self._threads = [threading.Thread(target=self._say, args=(piece,), daemon=True)]
        if takes:
            self._threads.append(threading.Thread(target=self._take, daemon=True))
        for thread in self._threads:
            thread.start()

    def _say(self, piece):
        with contextlib.suppress(OSError):
            while not self._over:
                self._socket.sendall(piece)
                self.said += len(piece)

    def _take(self):
        buffer = bytearray(1 << 20)
        with contextlib.suppress(OSError):
            while count := self._socket.recv_into(buffer):
                self.taken += count
        self.was_ended = not self._over

    def close(self):
        self._over = True
        # Wakes the threads.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._socket.close()


class Comer:
    """Connects from `source`, says `greeting`, reads a line or two and leaves, again and again."""

    def __init__(self, address, greeting, source, refusal=b"ERROR 503"):
        self.served = 0
        self.refused = 0
        self._over = False
        self._arguments = address, greeting, source, refusal
        self._thread = threading.Thread(target=self._come, daemon=True)
        self._thread.start()

    def _come(self):
        address, greeting, source, refusal = self._arguments
        while not self._over:
            with contextlib.suppress(OSError), dial(address, source) as connection:
                connection.sendall(greeting)
                with connection.makefile("rb") as answers:
                    answers.readline()
                    if answers.readline().startswith(refusal):
                        self.refused += 1
                    else:
                        self.served += 1

    def close(self):
        self._over = True
        self._thread.join()
