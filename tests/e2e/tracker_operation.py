"""A tracker is operated: restarted with its snapshot, asked how it does, told other limits, loaded."""
import os
import re
import resource
import signal
import socket
import subprocess
import threading

from p2p_content import MIB, make_file
from p2p_disk import fill, free, mount_disk
from p2p_harness import (DEADLINE, LOCALHOST, PORTABLE, SANITIZED, P2pTest, anonymous_bytes,
                         descriptors, program, resident_bytes, suites, wait_for)

SERVICES = os.path.join(os.environ.get("P2P_SOURCE_DIR", ""), "systemd")
IDLE_CONNECTIONS = 15_000
CONNECTIONS_PER_HOST = 50
CHURN_CONNECTIONS = 3_000


def run_tracker(*arguments):
    done = subprocess.run([program("p2p-tracker"), *arguments], capture_output=True, text=True,
                          timeout=DEADLINE, check=False)
    return done.returncode, done.stdout, done.stderr


def connect_from(host, port):
    """A connection from the host-th address of 127.1.0.0/16."""
    return socket.create_connection((LOCALHOST, port), DEADLINE,
                                    (f"127.1.{host // 250}.{host % 250 + 1}", 0))


@suites("sanitizers")
class TrackerOperationTest(P2pTest):
    def figures(self, tracker):
        words = tracker.ask("STATS").split()
        self.assertEqual(words[0], "OK")
        return dict(word.split("=") for word in words[1:])

    def test_a_restarted_tracker_has_its_registrations_back_before_anybody_renews(self):
        state = self.path("state")
        tracker = self.tracker("--state", state)
        self.assertEqual(tracker.ask(f"REGISTER x.bin 7 {LOCALHOST}:9"), "OK 120")
        self.assertEqual(tracker.stop(), 0)
        tracker.start()
        self.assertEqual(tracker.lookup("x.bin"), [f"{LOCALHOST}:9"])
        self.assertEqual(self.figures(tracker)["snapshot"], "loaded")
        # kill -9 keeps what the last snapshot has.
        tracker.kill9()
        tracker.start()
        self.assertEqual(tracker.lookup("x.bin"), [f"{LOCALHOST}:9"])

    def test_T24_a_damaged_snapshot_is_kept_aside_and_its_registrations_come_with_the_renewals(self):
        state = self.path("state")
        tracker = self.tracker("--state", state, "--ttl", "4")
        a = self.daemon("a", [tracker])
        make_file(self.path("x.bin"), 1000)
        a.share(self.path("x.bin"))
        tracker.wait_lists("x.bin", a.address)
        tracker.stop()
        with open(state, "r+b") as snapshot:
            snapshot.seek(20)
            byte = snapshot.read(1)
            snapshot.seek(20)
            snapshot.write(bytes([byte[0] ^ 1]))
        tracker.start()
        self.assertIn("is damaged", tracker.log())
        self.assertTrue(os.path.exists(state + ".damaged"))
        tracker.wait_lists("x.bin", a.address)

    def test_S14_two_trackers_do_not_share_a_snapshot(self):
        state = self.path("state")
        tracker = self.tracker("--state", state)
        self.assertEqual(tracker.ask(f"REGISTER x.bin 7 {LOCALHOST}:9"), "OK 120")
        code, _, error = run_tracker("--listen", f"{LOCALHOST}:0", "--state", state)
        self.assertEqual(code, 1)
        self.assertEqual(error, f"p2p-tracker: --state {state} is in use by another p2p-tracker; "
                                "stop that one, or give each a file of its own\n")
        self.assertEqual(tracker.stop(), 0)
        # Whatever its end was, it leaves the file to the next one.
        tracker.start()
        tracker.kill9()
        tracker.start()
        self.assertEqual(tracker.lookup("x.bin"), [f"{LOCALHOST}:9"])

    def test_a_last_snapshot_that_cannot_be_written_is_told_by_sentence_and_exit_code(self):
        place = mount_disk(self, self.path("disk"), 1 << 20)
        tracker = self.tracker("--state", os.path.join(place, "state"))
        tracker.ask(f"REGISTER x.bin 7 {LOCALHOST}:9")
        self.assertEqual(tracker.stop(), 0, tracker.log())
        tracker.start()
        tracker.ask(f"REGISTER y.bin 7 {LOCALHOST}:9")
        fill(place)
        self.assertEqual(tracker.stop(), 1, tracker.log())
        self.assertRegex(tracker.log(), " error: cannot write the snapshot .*: the disk is full")
        free(place)
        tracker.start()
        self.assertEqual(tracker.lookup("x.bin"), [f"{LOCALHOST}:9"])

    def test_a_state_that_cannot_be_written_is_told_at_the_start(self):
        code, _, error = run_tracker("--state", self.path("nowhere", "state"))
        self.assertEqual(code, 2)
        self.assertIn("--state " + self.path("nowhere", "state"), error)
        code, _, error = run_tracker("--state", self.dir)
        self.assertEqual(code, 2)
        self.assertIn(f"--state {self.dir}: is no file", error)
        code, _, error = run_tracker("--state", "")
        self.assertEqual((code, error), (2, "p2p-tracker: --state: is empty; it takes a file\n"))

    def test_status_shows_how_a_tracker_does(self):
        tracker = self.tracker()
        tracker.ask(f"REGISTER x.bin 7 {LOCALHOST}:9")
        code, out, error = run_tracker("--status", tracker.address)
        self.assertEqual((code, error), (0, ""))
        shown = dict(line.split() for line in out.splitlines())
        self.assertEqual((shown["hosts"], shown["names"], shown["registrations"]), ("1", "1", "1"))
        self.assertEqual((shown["requests"], shown["snapshot"]), ("1", "off"))
        self.assertGreater(int(shown["resident_bytes"]), 0)
        for same in (str(tracker.port), f"localhost:{tracker.port}"):
            code, out, error = run_tracker("--status", same)
            self.assertEqual((code, error), (0, ""))
            self.assertIn("registrations", out)
        tracker.stop()
        code, _, error = run_tracker("--status", tracker.address)
        self.assertEqual(code, 1)
        self.assertIn(tracker.address, error)

    def test_status_says_why_a_tracker_without_room_for_this_address_may_not_answer(self):
        tracker = self.tracker("--max-connections-per-address", "1")
        with socket.create_connection((LOCALHOST, tracker.port), DEADLINE) as connection:
            connection.sendall(b"LOOKUP x\n")
            connection.recv(100)  # it is admitted
            code, _, error = run_tracker("--status", tracker.address)
        self.assertEqual(code, 1)
        self.assertIn(f"{tracker.address} has no room", error)
        self.assertIn("--max-connections-per-address", error)

    def test_the_service_has_a_configuration_with_every_key(self):
        with open(os.path.join(SERVICES, "p2p-tracker.service.in"), encoding="ascii") as unit:
            self.assertIn("--config @CMAKE_INSTALL_FULL_SYSCONFDIR@/p2p-tracker/p2p-tracker.toml",
                          unit.read())
        with open(os.path.join(SERVICES, "p2p-tracker.toml"), encoding="ascii") as example:
            text = example.read()
        code, _, error = run_tracker("--config", self.config("no_key = 1\n"))
        self.assertEqual(code, 78)
        keys = error.strip().partition("the keys are ")[2].split(", ")
        self.assertEqual(sorted(re.findall(r"^#(\w+) = ", text, re.M)), keys)
        # As it is installed, and with every key; what is unknown is read last.
        uncommented = re.sub(r"^#(\w+ = )", r"\1", text, flags=re.M)
        for lines in (text, uncommented):
            code, _, error = run_tracker("--config", self.config(lines + "zzz = 1\n"))
            self.assertEqual(code, 78)
            self.assertIn("zzz: unknown key", error)

    def config(self, text):
        path = self.path("tracker.toml")
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def test_flags_out_of_range_are_told_with_their_value(self):
        for flag, value in (("--ttl", "0"), ("--max-connections", "0"), ("--max-memory", "-3"),
                            ("--max-registrations-per-address", "0")):
            code, _, error = run_tracker(flag, value)
            self.assertEqual(code, 2, flag)
            self.assertRegex(error, f"{flag}: must be 1 to [0-9]+, not {value}")
        help_text = run_tracker("--help")[1]
        for flag in ("--state", "--status", "--access-log", "--public-stats", "--max-memory",
                     "--max-connections-per-address", "--max-new-connections-per-second"):
            self.assertIn(flag, help_text)

    def test_hup_reads_the_configuration_again_and_a_broken_one_changes_nothing(self):
        write = self.config
        config = write("max_registrations_per_address = 1\n")
        tracker = self.tracker("--config", config)
        self.assertEqual(tracker.ask(f"REGISTER a 1 {LOCALHOST}:9"), "OK 120")
        self.assertIn("ERROR 429", tracker.ask(f"REGISTER b 1 {LOCALHOST}:9"))
        write("max_registrations_per_address = 2\nttl = 60\naccess_log = true\n")
        tracker.send(signal.SIGHUP)
        tracker.wait_for_log("was read again")
        self.assertEqual(tracker.ask(f"REGISTER b 1 {LOCALHOST}:9"), "OK 60")
        tracker.wait_for_log(f"{LOCALHOST}: REGISTER b 1 {LOCALHOST}:9 -> OK 60")
        write("ttl = 0\n")
        tracker.send(signal.SIGHUP)
        tracker.wait_for_log("the configuration stays as it was: " + config + ":1: ttl: must be")
        self.assertEqual(tracker.ask(f"REGISTER b 1 {LOCALHOST}:9"), "OK 60")

    def test_memory_of_what_the_registry_lost_is_given_back_and_used_for_what_comes(self):
        if SANITIZED:
            self.skipTest("a sanitizer build has other memory")
        limit_mib, count = 32, 400_000
        tracker = self.tracker("--max-memory", str(limit_mib), "--trust-addresses", "--ttl", "3600",
                               "--max-registrations-per-address", "1000000")
        before = resident_bytes(tracker.pid)

        def ask_all(lines):
            """Pipelined; how many were answered with OK."""
            with socket.create_connection((LOCALHOST, tracker.port), DEADLINE) as connection:
                writer = threading.Thread(target=connection.sendall, args=(b"".join(lines),))
                writer.start()
                with connection.makefile("rb") as answers:
                    oks = sum(answers.readline().startswith(b"OK ") for _ in lines)
                writer.join()
                return oks

        # One network alone can not fill it.
        hosts = [b"10.9.%d.%d:9" % (i % 200, i // 200) for i in range(2_000)]

        def of_one_name():
            return [b"10.%d.%d.%d:9" % (i >> 16, i >> 8 & 255, i & 255) for i in range(count)]
        self.assertGreater(ask_all([b"REGISTER %d.bin 7 %s\n" % (i, hosts[i % len(hosts)])
                                    for i in range(count)]), 50_000)
        full = self.figures(tracker)
        self.assertGreater(int(full["registry_bytes"]), (limit_mib - 1) * MIB)
        self.assertEqual(ask_all([b"UNREGISTER %s\n" % host for host in hosts]), len(hosts))
        self.assertEqual(self.figures(tracker)["registry_bytes"], "0")
        self.assertGreater(ask_all([b"REGISTER one 7 %s\n" % peer for peer in of_one_name()]),
                           100_000)
        wait_for(lambda: resident_bytes(tracker.pid) - before < (limit_mib + 12) * MIB,
                 lambda: f"{resident_bytes(tracker.pid) - before} bytes are within the limit")
        ask_all([b"UNREGISTER %s\n" % peer for peer in of_one_name()])
        self.assertEqual(self.figures(tracker)["registrations"], "0")
        wait_for(lambda: resident_bytes(tracker.pid) - before < 8 * MIB,
                 lambda: f"{resident_bytes(tracker.pid) - before} bytes are given back")

    @suites("portable", "sanitizers", "tsan")
    def test_Q01_thousands_of_idle_connections_cost_little_and_nobody_waits(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        count = min(IDLE_CONNECTIONS, hard - 1_000)
        if SANITIZED or count < 1_000:
            self.skipTest("a sanitizer build has other memory, or there are few descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        tracker = self.tracker()
        before = anonymous_bytes(tracker.pid)
        idle = []
        for number in range(count):
            idle.append(connect_from(number // CONNECTIONS_PER_HOST, tracker.port))
            self.addCleanup(idle[-1].close)
            idle[-1].sendall(b"LOOKUP none\n")
            self.assertTrue(idle[-1].recv(100).startswith(b"ERROR 404"))
            if number % 500 == 0:
                tracker.ask("LOOKUP none")
        self.assertGreaterEqual(int(self.figures(tracker)["connections"]), count)
        self.assertLess((anonymous_bytes(tracker.pid) - before) / count, 2_048 if PORTABLE else 1_024)

    @suites("portable", "sanitizers", "tsan")
    def test_Q02_connections_that_come_and_go_leave_nothing_and_hold_up_nobody(self):
        tracker = self.tracker("--max-new-connections-per-second", "100000")

        def churn():
            for number in range(CHURN_CONNECTIONS):
                with connect_from(number % 100, tracker.port) as connection:
                    if number % 3 == 0:
                        connection.sendall(b"LOOKUP f\n")
                    if number % 3 == 1:
                        connection.sendall(b"LOOK")
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                              b"\1\0\0\0\0\0\0\0")  # ends with a reset
                if number % 100 == 0:
                    self.assertIn("ERROR 404", tracker.ask("LOOKUP f"))
        idle = descriptors(tracker.pid)
        churn()
        wait_for(lambda: descriptors(tracker.pid) <= idle, "all descriptors are closed")
        memory = anonymous_bytes(tracker.pid)
        churn()
        wait_for(lambda: descriptors(tracker.pid) <= idle, "all descriptors are closed")
        self.assertLess(anonymous_bytes(tracker.pid) - memory, CHURN_CONNECTIONS * 100)
