"""Control clients that harm the daemon: it answers the others, and has its resources back."""
import threading

from p2p_content import MIB, make_file
from p2p_evil_clients import (ControlClient, aggressive_headers, connect_and_abort, padded_blocks)
from p2p_harness import P2pTest, anonymous_bytes, descriptors, suites, wait_for

CONNECTS = 20_000
STREAMS = 10_000

# With which it wakes its threads; made when it needs another one, and kept.
GRPC_DESCRIPTORS = 4


@suites("sanitizers")
class EvilClientsTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.d = self.daemon("d")
        make_file(self.path("x.bin"), MIB)
        self.d.share(self.path("x.bin"))
        self.descriptors = descriptors(self.d.pid)
        self.memory = anonymous_bytes(self.d.pid)

    def client(self, **options):
        return self.closing(ControlClient(self.d.socket, **options))

    def check_alive(self):
        self.assertEqual(self.d.status()["totals"]["transfers"], 1)

    def check_restored(self):
        """It answers, and the clients' descriptors are closed."""
        self.check_alive()
        wait_for(lambda: descriptors(self.d.pid) <= self.descriptors + GRPC_DESCRIPTORS,
                 lambda: f"{self.descriptors} descriptors; it has {descriptors(self.d.pid)}")

    def growth(self):
        return anonymous_bytes(self.d.pid) - self.memory

    def check_memory_is_back(self):
        """gRPC takes memory for what such clients send, and has to give it back after them."""
        wait_for(lambda: self.growth() < 8 * MIB, lambda: f"{self.growth()} bytes are given back",
                 deadline=60, interval=0.2)

    def test_G07_combinations_of_headers_that_aborted_grpc_abort_nothing(self):
        for name, fields in aggressive_headers().items():
            with self.subTest(headers=name):
                client = self.client()
                client.try_send(client.block(fields))
                self.check_alive()
                client.close()
        self.check_restored()

    def test_G07_headers_that_cost_much_to_parse_cost_it_no_longer_than_their_client_is_there(self):
        for name, frames in padded_blocks(MIB).items():
            with self.subTest(headers=name):
                client = self.client()
                sender = threading.Thread(target=client.try_send, args=(frames,), daemon=True)
                sender.start()
                self.check_alive()
                sender.join(60)
                client.close()
        self.check_restored()
        self.check_memory_is_back()

    def test_G08_twenty_thousand_connects_and_aborts_leave_nothing_behind(self):
        connect_and_abort(self.d.socket, CONNECTS // 2)
        connect_and_abort(self.d.socket, CONNECTS // 2, b"PRI * HTTP/2.0\r\n")
        self.check_restored()

    def test_G06_streams_without_number_are_gone_with_their_client(self):
        client = self.client()
        for _ in range(0, STREAMS, 100):
            if not client.try_send(b"".join(client.open("GetDaemon") for _ in range(100))):
                break
        self.check_alive()
        client.close()
        self.check_restored()
        self.check_memory_is_back()

    def test_G06_half_open_calls_of_many_clients_hold_up_nobody(self):
        clients = [self.client() for _ in range(100)]
        for client in clients:
            client.try_send(b"".join(client.open("Share") for _ in range(50)))
        self.check_alive()
        self.assertLess(self.growth(), 64 * MIB)
        for client in clients:
            client.close()
        self.check_restored()

    def test_G06_metadata_without_end_is_refused(self):
        client = self.client()
        client.try_send(client.block(b"".join([b"\x00\x01a\x7f\xe1\x3e" + b"v" * 8_096] * 1_000)))
        self.check_alive()
        self.assertLess(self.growth(), 64 * MIB)
        client.close()
        self.check_restored()

    def test_G09_watchers_that_never_read_hold_up_nobody_and_hold_little(self):
        watchers = [self.client(window=2**31 - 1) for _ in range(40)]
        for watcher in watchers:
            watcher.send(b"".join(watcher.open("WatchTransfers", b"") for _ in range(20)))
        path = self.path("y.bin")
        make_file(path, 10)
        for _ in range(30):
            shared = self.d.share(path)
            self.d.must("remove", shared["id"])
        self.check_alive()
        self.assertLess(self.growth(), 64 * MIB)
        for watcher in watchers:
            watcher.close()
        self.check_restored()
