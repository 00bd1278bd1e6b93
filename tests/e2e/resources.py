"""Memory and descriptors: bounded under load, given back after it."""
import os
import resource
import signal
import socket
import time
import unittest

from p2p_content import MIB, Content, make_bytes, make_file, sha256
from p2p_evil_clients import ControlClient, aggressive_headers, connect_and_abort
from p2p_evil_peers import Flooder, nine_of_ten
from p2p_harness import (DEADLINE, LOCALHOST, PORTABLE, SANITIZED, P2pTest, anonymous_bytes, descriptors,
                         link_to, open_files, resident_bytes, suites, wait_for)
from p2p_peer import Guest, Introducer
from p2p_proxy import Proxy
from p2p_server import announcement, dial

try:
    import control_pb2
    import control_pb2_grpc
    import grpc
except ImportError:
    grpc = None

# Seconds of sharing and fetching; a night where it is told so.
SOAK = float(os.environ.get("P2P_SOAK_SECONDS", "10"))
SLOW_READERS = 300
READERS_A_HOST = 60
# A tenth of a tracker without registrations is less than its tables keep.
SMALL = (4 if PORTABLE else 2) * MIB


def host(number):
    """A loopback address that is another source."""
    return f"127.0.2.{1 + number}"


def deaf_reader(address, source):
    """A connection that is never read, with the least that the kernel holds for it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
    connection.bind((source, 0))
    connection.settimeout(30)
    connection.connect((LOCALHOST, int(address.rpartition(":")[2])))
    return connection


@suites("sanitizers")
class ResourcesTest(P2pTest):
    def check_restored(self, process, memory, count, what):
        """In a minute it has what it had."""
        now = {}

        def restored():
            now.update(memory=resident_bytes(process.pid), descriptors=descriptors(process.pid))
            allowed = memory + max(memory // 10, SMALL)
            return now["memory"] <= allowed and now["descriptors"] <= count
        wait_for(restored,
                 lambda: f"{what} has {memory} bytes and {count} descriptors: {now}; it has open "
                         f"{sorted(open_files(process.pid))}",
                 deadline=60, interval=0.2)

    def fill_tracker(self, tracker):
        """With answers to FIND x of 8 versions and 64 peers each, 8 KiB."""
        for version in range(8):
            lines = [announcement("x", 1, f"{version:064x}", f"{host(version)}:{1 + port}")
                     for port in range(64)]
            with dial(tracker.address, host(version)) as connection:
                connection.sendall(b"".join(lines))
                with connection.makefile("rb") as answers:
                    for _ in lines:
                        self.assertRegex(answers.readline(), b"^OK ")

    def slow_readers(self, tracker, count):
        """Each asks for some megabytes and reads nothing."""
        readers = []
        for number in range(count):
            while True:
                reader = deaf_reader(tracker.address, host(number // READERS_A_HOST))
                try:
                    reader.sendall(b"FIND x\n" * 200)
                    break
                except ConnectionError:  # too many new ones a second
                    reader.close()
                    time.sleep(0.1)
            readers.append(self.closing(reader))
        return readers

    def test_Q03_many_slow_readers_hold_little_and_hold_up_nobody(self):
        tracker = self.tracker()
        self.fill_tracker(tracker)
        before = anonymous_bytes(tracker.pid)
        self.slow_readers(tracker, SLOW_READERS)
        self.assertRegex(tracker.ask("LOOKUP y"), "^ERROR 404 ")
        # 64 MiB of text in all, and what strings keep in reserve.
        last = 0
        while (growth := anonymous_bytes(tracker.pid) - before) > last + MIB:
            self.assertLess(growth, 180 * MIB)
            last = growth
            time.sleep(2)

    @suites("sanitizers", "tsan")
    def test_Q06_hashing_on_every_worker_holds_up_neither_peers_nor_users(self):
        seeder, getter = self.daemon("seeder"), self.daemon("getter")
        digest = make_file(self.path("x.bin"), 8 * MIB)
        shared = seeder.share(self.path("x.bin"))
        hashing = []
        for number in range(8):
            path = self.path(f"large-{number}")
            with open(path, "wb") as large:
                large.truncate(1 << 40)
            hashing.append(seeder.start_ctl("share", path))
        wait_for(lambda: seeder.totals()["transfers"] == 1 + len(hashing), "all are being hashed")
        got = getter.get(link_to(shared, seeder))
        self.assert_same_file(got["path"], digest)
        states = {t["id"]: t["state"] for t in seeder.transfers()}
        self.assertEqual(states.pop(shared["id"]), "seeding")
        self.assertEqual(list(states.values()), ["hashing"] * len(hashing))
        for transfer in states:
            seeder.must("remove", transfer)
        for sharing in hashing:
            sharing.communicate()
        self.assertEqual(seeder.totals()["transfers"], 1)

    def soak(self, daemons, tracker, cycle):
        a, b = daemons
        path = self.path("x.bin")
        digest = make_file(path, MIB + cycle % 7, seed=cycle)
        shared = a.share(path)
        tracker.wait_lists("x.bin", a.address)
        got = b.get(shared["content_id"])
        self.assert_same_file(got["path"], digest)
        b.must("remove", got["id"], "--with-data")
        a.must("remove", shared["id"])
        tracker.wait_lists("x.bin")

    def test_Q07_sharing_and_fetching_again_and_again_needs_no_more_each_time(self):
        tracker = self.tracker()
        daemons = [self.daemon("a", [tracker]), self.daemon("b", [tracker])]
        processes = [tracker, *daemons]
        for cycle in range(10):
            self.soak(daemons, tracker, cycle)
        memory = [anonymous_bytes(p.pid) for p in processes]
        counts = [descriptors(p.pid) for p in processes]
        end = time.monotonic() + SOAK
        cycles = 0
        while time.monotonic() < end:
            cycles += 1
            self.soak(daemons, tracker, cycles)
        for process, before, count in zip(processes, memory, counts):
            with self.subTest(process=process.log_path, cycles=cycles):
                wait_for(lambda p=process, c=count: descriptors(p.pid) <= c,
                         f"it has {count} descriptors again")
                # What is free is given back within 15 s.
                wait_for(lambda p=process, b=before: anonymous_bytes(p.pid) - b < 8 * MIB,
                         lambda p=process, b=before:
                         f"{anonymous_bytes(p.pid) - b} bytes are given back", deadline=60)
                self.assertNotIn(" error: ", process.log())

    def attack_downloads(self, daemon, content):
        """Downloads beside each kind of evil peer."""
        evil = nine_of_ten(content)
        evil.append(Flooder(content, 0xea, "HAVE 0 2\nHAVE 1 1\n"))
        source = content.magnet(*[peer.address for peer in evil])
        transfer = daemon.get_detached(source)["id"]
        for peer in evil:
            wait_for(lambda p=peer: p.asked, f"a {type(peer).__name__} is asked")
        daemon.must("remove", transfer)
        for peer in evil:
            peer.close()

    def attack_uploads(self, daemon, shared):
        """Guests that ask for much and read nothing, or say much."""
        guests = []
        for number in range(100):
            try:
                guest = Guest(daemon.address, shared["content_id"], number + 1, host(number // 50))
                guest.say(*["REQUEST 0 2"] * 500, *["GET-PEERS", "PING"] * 500)
                guests.append(guest)
            except OSError:
                time.sleep(0.1)  # too many new ones a second
        with dial(daemon.address) as pipelined:
            pipelined.settimeout(1)
            try:
                pipelined.sendall(b"GET_CHUNK x.bin 0\n" * 10_000)
            except OSError:
                pass
        daemon.status()
        for guest in guests:
            guest.close()

    def attack_control(self, daemon):
        connect_and_abort(daemon.socket, 1_000)
        for fields in aggressive_headers().values():
            client = ControlClient(daemon.socket)
            client.try_send(client.block(fields))
            client.close()
        client = ControlClient(daemon.socket)
        client.try_send(b"".join(client.open("GetDaemon") for _ in range(2_000)))
        daemon.status()
        client.close()

    def attack_tracker(self, tracker):
        self.fill_tracker(tracker)
        for reader in self.slow_readers(tracker, 60):
            reader.close()
        for number in range(50):
            with dial(tracker.address, host(number)) as connection:
                connection.sendall(b"REGISTER ../x 1 1.2.3.4:5\n" * 20)

    def test_Q08_after_every_attack_memory_and_descriptors_are_back(self):
        tracker = self.tracker("--ttl", "10")
        daemon = self.daemon("d", [tracker])
        content = Content("y.bin", make_bytes(MIB + 1))
        digest = make_file(self.path("x.bin"), 4 * MIB)
        shared = daemon.share(self.path("x.bin"))
        other = self.daemon("other")
        other.get(link_to(shared, daemon))

        def attack():
            self.attack_downloads(daemon, content)
            self.attack_uploads(daemon, shared)
            self.attack_control(daemon)
            self.attack_tracker(tracker)
        # Once before, so that code, threads and caches are there; what is free is given back within 15 s.
        attack()
        before = {}
        for _ in range(40):
            time.sleep(0.5)
            for process in (daemon, tracker):
                memory, _ = before.get(process, (1 << 62, 0))
                before[process] = (min(memory, resident_bytes(process.pid)), descriptors(process.pid))
        attack()
        for process, (memory, count) in before.items():
            self.check_restored(process, memory, count, process.log_path)
        other.must("remove", other.transfers()[0]["id"], "--with-data")
        self.assert_same_file(other.get(link_to(shared, daemon))["path"], digest)

    @unittest.skipIf(SANITIZED, "a sanitizer has terabytes of address space")
    def test_Q10_without_memory_nothing_that_was_told_is_lost(self):
        seeder = self.daemon("seeder")
        digest = make_file(self.path("x.bin"), 32 * MIB)
        shared = seeder.share(self.path("x.bin"))
        proxy = self.closing(Proxy((LOCALHOST, seeder.port), budget=4 * MIB))
        d = self.daemon("d")
        got = d.get_detached(link_to(shared, proxy))["id"]
        done = d.wait_bytes(got, 2 * MIB, "a part is here")["bytes_done"]
        with open(f"/proc/{d.pid}/statm", encoding="ascii") as statm:
            has = int(statm.read().split()[0]) * resource.getpagesize()
        # Less than the chunks in flight may take.
        resource.prlimit(d.pid, resource.RLIMIT_AS, (has + 2 * MIB, resource.RLIM_INFINITY))
        proxy.allow()

        def is_over():
            if not d.running:
                return True
            result = d.ctl("--json", "status", got)
            return result.code == 0 and result.last["state"] == "complete"
        wait_for(is_over, "it goes on, or ends")
        if not d.running:
            d.killed = True  # by what it was denied
            d.start()
        self.assertGreaterEqual(d.transfer(got)["bytes_done"], done)
        d.wait_state(got, "complete")
        self.assert_same_file(os.path.join(d.downloads, "x.bin"), digest)

    @suites("sanitizers", "tsan")
    @unittest.skipIf(grpc is None, "python3-grpcio is not installed")
    def test_X05_with_very_many_transfers_it_stops_in_time_and_loses_nothing(self):
        introducer = self.closing(Introducer())
        seeder = self.daemon("seeder")
        digest = make_file(self.path("x.bin"), 8 * MIB)
        shared = seeder.share(self.path("x.bin"))
        proxy = self.closing(Proxy((LOCALHOST, seeder.port), budget=5 * MIB))
        d = self.daemon("d")
        got = d.get_detached(link_to(shared, proxy))["id"]

        # One client for all of them: a process each takes most of the test's time.
        with grpc.insecure_channel(f"unix:{d.socket}") as channel:
            control = control_pb2_grpc.ControlStub(channel)
            for number in range(1_000):
                source = f"magnet:?xt=urn:btmh:1220{number:064x}&x.pe={introducer.address}"
                control.Download(control_pb2.DownloadRequest(source=source), timeout=DEADLINE)
        done = d.wait_bytes(got, 4 * MIB, "a part is here")["bytes_done"]
        d.send(signal.SIGTERM)
        code = d.wait()
        self.assertEqual(code, 0, d.log()[-2000:])
        d.start()
        self.assertEqual(d.totals()["transfers"], 1_001)
        self.assertGreaterEqual(d.transfer(got)["bytes_done"], done)
        proxy.allow()
        d.wait_state(got, "complete")
        self.assertEqual(sha256(os.path.join(d.downloads, "x.bin")), digest)
