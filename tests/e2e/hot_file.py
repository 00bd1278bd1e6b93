"""One file that everybody asks for at the same time."""
import selectors
import socket

from p2p_content import CHUNK, make_bytes
from p2p_harness import DEADLINE, LOCALHOST, P2pTest

CONNECTIONS = 200
CONNECTIONS_OF_AN_ADDRESS = 50
CHUNKS_FOR_EACH = 3
# Held by the kernel for each client: what the daemon may be ahead of a reader.
RECEIVE_BUFFER = 64 << 10


class Client:
    """Asks for one chunk again and again, on one connection."""

    def __init__(self, port, number, answer):
        self._answer = answer
        self.read = 0
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        # Every loopback address is this machine's.
        self.socket.bind((f"127.0.0.{2 + number // CONNECTIONS_OF_AN_ADDRESS}", 0))
        self.socket.settimeout(60)
        self.socket.connect((LOCALHOST, port))
        self.socket.sendall(b"GET_CHUNK x.bin 0\n" * CHUNKS_FOR_EACH)
        self.socket.setblocking(False)

    @property
    def is_done(self):
        return self.read == len(self._answer) * CHUNKS_FOR_EACH

    def take(self):
        """Reads what is there, at most one buffer; whether all of it was right."""
        got = self.socket.recv(RECEIVE_BUFFER)
        at = self.read % len(self._answer)
        self.read += len(got)
        expected = self._answer[at:at + len(got)]
        return bool(got) and got == expected + self._answer[:len(got) - len(expected)]


class HotFileTest(P2pTest):
    def test_Q09_two_hundred_that_ask_for_one_chunk_are_served_side_by_side(self):
        a = self.daemon("a")
        data = make_bytes(CHUNK)
        with open(self.path("x.bin"), "wb") as file:
            file.write(data)
        a.share(self.path("x.bin"))
        answer = b"%d\n" % CHUNK + data
        share = len(answer) * CHUNKS_FOR_EACH
        least_at_half = None
        total = 0
        with selectors.DefaultSelector() as selector:
            clients = [Client(a.port, number, answer) for number in range(CONNECTIONS)]
            for client in clients:
                self.closing(client.socket)
                selector.register(client.socket, selectors.EVENT_READ, client)
            while selector.get_map():
                ready = selector.select(timeout=DEADLINE)
                self.assertTrue(ready, f"nothing came for 60 s, {total} bytes in all")
                for key, _ in ready:
                    client = key.data
                    self.assertTrue(client.take(), "a wrong byte, or the end")
                    if client.is_done:
                        selector.unregister(client.socket)
                total = sum(client.read for client in clients)
                if least_at_half is None and total >= CONNECTIONS * share // 2:
                    least_at_half = min(client.read for client in clients)
                    # Whoever asks how it goes is answered meanwhile.
                    self.assertGreater(a.totals()["bytes_up"], 0)
        self.assertEqual(total, CONNECTIONS * share)
        # One after the other, or in groups, would leave some with nothing while half of everything
        # is sent already.
        self.assertGreater(least_at_half, share // 2 // 8)
        self.assertGreaterEqual(a.totals()["bytes_up"], CONNECTIONS * CHUNKS_FOR_EACH * CHUNK)
