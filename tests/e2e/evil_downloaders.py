"""Whoever asks much, says little or takes nothing: others are served, and it costs little."""
import contextlib
import time

from p2p_content import CHUNK, MIB, make_bytes
from p2p_harness import P2pTest, anonymous_bytes, descriptors, link_to, wait_for
from p2p_server import dial, read_exactly

REQUESTS = 10_000
MOST_OF_ONE_HOST = 64


class EvilDownloadersTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.data = make_bytes(4 * MIB)
        for name, data in (("x.bin", self.data), ("small", b"0123456789")):
            with open(self.path(name), "wb") as out:
                out.write(data)
        self.d = self.daemon("d")
        self.shared = self.d.share(self.path("x.bin"))
        self.small = self.d.share(self.path("small"))
        self.address = self.d.address

    def check_serves(self):
        """Somebody else, from another host."""
        with dial(self.address, "127.0.0.9") as connection:
            connection.sendall(b"GET_CHUNK x.bin 7\n")
            header = f"{CHUNK}\n".encode()
            answer = read_exactly(connection, len(header) + CHUNK)
        self.assertEqual(answer, header + self.data[7 * CHUNK:])

    def test_P07_ten_thousand_requests_in_one_write_are_answered_in_order(self):
        with dial(self.address) as connection:
            lines = [b"GET_CHUNK small %d\n" % (number % 2) for number in range(REQUESTS)]
            # In pieces: it is not read while it does not read.
            expected = [b"10\n0123456789", b"ERROR 416 no such chunk\n"]
            for at in range(0, REQUESTS, 1_000):
                connection.sendall(b"".join(lines[at:at + 1_000]))
            for number in range(REQUESTS):
                wanted = expected[number % 2]
                self.assertEqual(read_exactly(connection, len(wanted)), wanted)
        self.check_serves()

    def flood(self, *lines):
        """Many requests and nothing read: what is held for them is little, others are served."""
        before = anonymous_bytes(self.d.pid)
        connections = []
        for number in range(30):
            connection = self.closing(dial(self.address, f"127.0.0.{2 + number % 3}"))
            connection.settimeout(0.2)
            connections.append(connection)
            try:
                connection.sendall("".join(lines).encode())
            except OSError:
                pass  # it is read no further
        self.check_serves()
        self.assertLess(anonymous_bytes(self.d.pid) - before, 64 * MIB)
        return connections

    def test_P08_requests_of_those_that_never_read_hold_little(self):
        before = descriptors(self.d.pid)
        for connection in self.flood(*["GET_CHUNK x.bin 0\n"] * REQUESTS):
            connection.close()
        # One file stays open to be served.
        wait_for(lambda: descriptors(self.d.pid) <= before + 2, "their descriptors are closed")

    def test_P08_extension_requests_of_those_that_never_read_hold_little(self):
        self.flood(f"HELLO 3 id={1:064x}\nOPEN {self.shared['content_id']}\n",
                   *["GET-MANIFEST 8192\nGET-HASHES 0 0\nREQUEST 0 8\nPING\n"] * 2_500)

    def test_P15_who_says_nothing_or_one_byte_a_second_is_let_go(self):
        silent, slow = dial(self.address), dial(self.address)
        begin = time.monotonic()
        with silent, slow:
            for connection in (silent, slow):
                connection.settimeout(1)
            ended = set()
            while len(ended) < 2:
                self.assertLess(time.monotonic() - begin, 40)
                for connection in {silent, slow} - ended:
                    try:
                        if connection is slow:
                            connection.sendall(b"G")
                        if not connection.recv(1_000):
                            ended.add(connection)
                    except TimeoutError:
                        pass
                    except ConnectionError:
                        ended.add(connection)
        # Neither at once.
        self.assertGreater(time.monotonic() - begin, 5)
        self.check_serves()

    def test_P16_a_host_has_so_many_connections_and_others_have_theirs(self):
        held = [self.closing(dial(self.address)) for _ in range(MOST_OF_ONE_HOST)]
        for connection in held:
            connection.sendall(b"GET_CHUNK small 0\n")
            self.assertEqual(read_exactly(connection, 13), b"10\n0123456789")
        with dial(self.address) as one_more:
            with contextlib.suppress(ConnectionResetError), one_more.makefile("rb") as told:
                self.assertRegex(told.readline(), b"^HELLO 3 ")
                self.assertRegex(told.readline(), b"^ERROR 503 ")
                self.assertEqual(told.read(), b"")
        self.check_serves()
        held[0].close()

        def is_taken():
            with dial(self.address) as again:
                try:
                    again.sendall(b"GET_CHUNK small 0\n")
                    return again.recv(1) == b"1"
                except ConnectionError:
                    return False
        wait_for(is_taken, "there is room again")
        getter = self.daemon("getter")
        self.assertEqual(len(held), MOST_OF_ONE_HOST)
        for connection in held:
            connection.close()
        getter.get(link_to(self.shared, self.d))
