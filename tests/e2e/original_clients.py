"""Programs that know only the original protocol, against p2pd and p2p-tracker."""
import re
import socket
import struct
import subprocess

from p2p_content import CHUNK, MIB, make_bytes, make_file, make_tree, sha256
from p2p_harness import DEADLINE, LOCALHOST, P2pTest, free_port, link_to, program, suites, wait_for
from p2p_original import (OriginalClient, OriginalPeer, OriginalTracker, ask, read_exactly,
                          read_line)
from p2p_proxy import Proxy


@suites("portable", "sanitizers")
class OriginalClientTest(P2pTest):
    def share(self, data, name="film.bin", tracker=None):
        tracker = tracker or self.tracker()
        d = self.daemon("d", [tracker])
        with open(self.path(name), "wb") as file:
            file.write(data)
        d.share(self.path(name))
        return tracker, d

    def client(self, tracker):
        return self.closing(OriginalClient(tracker.address))

    def connect(self, daemon):
        connection = socket.create_connection((LOCALHOST, daemon.port), DEADLINE)
        self.addCleanup(connection.close)
        return connection

    def test_it_downloads_from_p2pd(self):
        data = make_bytes(3 * MIB + 1)
        tracker, d = self.share(data)
        tracker.wait_lists("film.bin", d.address)
        client = self.client(tracker)
        self.assertEqual(client.lookup("film.bin"), (len(data), [d.address]))
        self.assertEqual(client.download("film.bin"), data)

    def test_it_downloads_round_robin_from_two_daemons(self):
        data = make_bytes(3 * MIB + 1)
        tracker, d = self.share(data)
        other = self.daemon("other", [tracker])
        other.get("film.bin")
        tracker.wait_lists("film.bin", d.address, other.address)
        before = other.totals()["bytes_up"]
        self.assertEqual(self.client(tracker).download("film.bin"), data)
        self.assertGreater(other.totals()["bytes_up"], before)

    def test_it_downloads_from_p2pd_and_an_original_peer_in_turns(self):
        data = make_bytes(2 * MIB)
        tracker, d = self.share(data)
        peer = self.closing(OriginalPeer({"film.bin": data}))
        tracker.wait_lists("film.bin", d.address)
        peer.register_at(tracker.address)
        self.assertEqual(self.client(tracker).download("film.bin"), data)

    def test_it_finds_p2pd_at_an_original_tracker(self):
        data = make_bytes(MIB + 5)
        tracker = self.closing(OriginalTracker())
        _, d = self.share(data, tracker=tracker.address)
        d.wait_tracker()
        wait_for(lambda: "film.bin" in tracker.files, "it is registered")
        self.assertEqual(self.closing(OriginalClient(tracker.address)).download("film.bin"), data)

    def test_it_gets_a_name_with_spaces_and_other_scripts(self):
        data = make_bytes(CHUNK + 1)
        name = "mein \u00fcberlanger  \u540d\u524d 7"
        tracker, d = self.share(data, name)
        tracker.wait_lists(name, d.address)
        self.assertEqual(self.client(tracker).download(name), data)

    def test_it_gets_the_files_of_a_shared_directory(self):
        tracker = self.tracker()
        d = self.daemon("d", [tracker])
        files = {"one.bin": make_bytes(CHUNK + 7), "deep/two words.bin": make_bytes(9), "e": b""}
        make_tree(self.path("photos"), files)
        d.share(self.path("photos"))
        tracker.wait_lists("photos", d.address)
        client = self.client(tracker)
        for name, data in files.items():
            got = client.download("photos", chunks_of=("photos/" + name, len(data)))
            self.assertEqual(got, data, name)
        # The tracker is told of the share, not of each file.
        self.assertEqual(tracker.ask("LOOKUP photos/one.bin").split()[:2], ["ERROR", "404"])

    def test_it_may_pipeline_requests(self):
        data = make_bytes(4 * MIB)
        _, d = self.share(data)
        connection = self.connect(d)
        connection.sendall(b"".join(b"GET_CHUNK film.bin %d\n" % i for i in range(8)))
        for i in range(8):
            self.assertEqual(read_line(connection), b"524288\n")
            self.assertEqual(read_exactly(connection, CHUNK), data[i * CHUNK:(i + 1) * CHUNK])

    def test_P07_a_thousand_pipelined_requests_are_all_answered(self):
        data = make_bytes(1000)
        _, d = self.share(data)
        connection = self.connect(d)
        connection.sendall(b"GET_CHUNK film.bin 0\n" * 1000)
        for _ in range(1000):
            self.assertEqual(read_line(connection), b"1000\n")
            self.assertEqual(read_exactly(connection, 1000), data)

    def test_a_line_may_end_with_cr_lf_or_with_a_pause_or_with_the_half_closed_connection(self):
        data = make_bytes(1000)
        _, d = self.share(data)
        connection = self.connect(d)
        # A pause ends a line as long as none was ended otherwise.
        connection.sendall(b"GET_CHUNK film.bin 0")
        self.assertEqual(read_line(connection) + read_exactly(connection, 1000), b"1000\n" + data)
        connection.sendall(b"GET_CHUNK film.bin 0\r\n")
        self.assertEqual(read_line(connection) + read_exactly(connection, 1000), b"1000\n" + data)
        connection.sendall(b"GET_CHUNK film.bin 0")
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(read_line(connection) + read_exactly(connection, 1000), b"1000\n" + data)
        self.assertEqual(connection.recv(1), b"")

    def test_P01_P03_P06_errors_of_a_peer_keep_the_connection(self):
        data = make_bytes(CHUNK + 1)
        _, d = self.share(data)
        connection = self.connect(d)
        for request, code in (("GET_CHUNK nothing.bin 0", 404),
                              ("GET_CHUNK film.bin 2", 416),
                              ("GET_CHUNK film.bin 2147483648", 416),
                              ("GET_CHUNK film.bin 18446744073709551616", 416),
                              ("GET_CHUNK film.bin -1", 416),
                              ("GET_CHUNK film.bin 1a", 416),
                              ("GET_CHUNK ../film.bin 0", 422)):
            connection.sendall(request.encode() + b"\n")
            answer = read_line(connection).decode()
            self.assertTrue(answer.startswith(f"ERROR {code} "), (request, answer))
        connection.sendall(b"GET_CHUNK film.bin 1\n")
        self.assertEqual(read_line(connection) + read_exactly(connection, 1), b"1\n" + data[-1:])

    def test_P05_sizes_around_a_chunk(self):
        tracker = self.tracker()
        d = self.daemon("d", [tracker])
        client = self.client(tracker)
        for size in (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK):
            name = f"size {size}"
            make_file(self.path(name), size)
            d.share(self.path(name))
            tracker.wait_lists(name, d.address)
            self.assertEqual(client.download(name), make_bytes(size), name)
        with self.assertRaisesRegex(LookupError, "^ERROR 416 "):
            client.get_chunk(d.address, "size 0", 0)

    def test_P10_files_on_the_disk_that_are_not_shared_are_unknown(self):
        _, d = self.share(b"x")
        connection = self.connect(d)
        for name in ("p2pd.log", "tracker.log", "d/state/peer_id", "film.bin.part"):
            connection.sendall(b"GET_CHUNK %s 0\n" % name.encode())
            self.assertRegex(read_line(connection), b"^ERROR 404 ")
        connection.sendall(b"GET_CHUNK /etc/passwd 0\n")
        self.assertRegex(read_line(connection), b"^ERROR 4[02][24] ")

    def test_P02_a_chunk_that_is_not_here_yet_gets_409(self):
        a, b = self.daemon("a"), self.daemon("b")
        make_file(self.path("x.bin"), 8 * MIB)
        shared = a.share(self.path("x.bin"))
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=MIB))
        got = b.get_detached(link_to(shared, proxy))
        b.wait_transfer(got["id"], lambda t: 0 < t["bytes_done"], "a part is here")
        connection = self.connect(b)
        codes = set()
        for chunk in range(16):
            connection.sendall(b"GET_CHUNK x.bin %d\n" % chunk)
            header = read_line(connection)
            if header == b"524288\n":
                codes.add("chunk")
                data = read_exactly(connection, CHUNK)
                self.assertEqual(data, make_bytes(8 * MIB)[chunk * CHUNK:(chunk + 1) * CHUNK])
            else:
                codes.add(header.split()[1].decode())
        self.assertEqual(codes, {"chunk", "409"})

    def test_X03_clients_that_reset_in_the_middle_of_a_chunk_do_no_harm(self):
        data = make_bytes(8 * MIB)
        tracker, d = self.share(data)
        for _ in range(10):
            connection = self.connect(d)
            connection.sendall(b"".join(b"GET_CHUNK film.bin %d\n" % i for i in range(16)))
            connection.recv(1000)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        tracker.wait_lists("film.bin", d.address)
        self.assertEqual(self.client(tracker).download("film.bin"), data)
        self.assertTrue(d.running)

    def test_binary_garbage_gets_an_error_and_does_no_harm(self):
        tracker, d = self.share(b"some data")
        for garbage in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 5000, b"A" * 100_000):
            for port in (d.port, tracker.port):
                with socket.create_connection((LOCALHOST, port), DEADLINE) as connection:
                    try:
                        connection.sendall(garbage)
                        connection.shutdown(socket.SHUT_WR)
                        answer = read_line(connection)
                    except ConnectionError:
                        continue  # closed before everything was sent: fine
                    self.assertRegex(answer, rb"^ERROR 4[0-9][0-9] ", garbage[:20])
        tracker.wait_lists("film.bin", d.address)
        self.assertEqual(self.client(tracker).download("film.bin"), b"some data")


@suites("sanitizers")
class OriginalTrackerLinesTest(P2pTest):
    """An original program against p2p-tracker."""

    def test_register_lookup_and_unregister(self):
        tracker = self.tracker("--ttl", "77")
        self.assertEqual(tracker.ask("REGISTER a b.bin 1000 127.0.0.1:5000"), "OK 77")
        self.assertEqual(tracker.ask("REGISTER a b.bin 1000 127.0.0.1:5001"), "OK 77")
        answer = tracker.ask("LOOKUP a b.bin").split()
        self.assertEqual(answer[:3], ["OK", "1000", "2"])
        self.assertEqual(sorted(answer[3:]), ["127.0.0.1:5000", "127.0.0.1:5001"])
        self.assertEqual(tracker.ask("UNREGISTER 127.0.0.1:5000"), "OK 1")
        self.assertEqual(tracker.ask("LOOKUP a b.bin"), "OK 1000 1 127.0.0.1:5001")
        self.assertRegex(tracker.ask("LOOKUP nothing"), "^ERROR 404 ")

    def test_T13_addresses_of_others_are_refused(self):
        tracker = self.tracker()
        for address, code in (("192.0.2.1:9001", "403"), ("0.0.0.0:9001", "40[03]|422"),
                              ("127.0.0.1:0", "40[03]|422"), ("localhost:9001", "40[03]|422"),
                              ("127.0.0.1:80@x", "40[03]|422"), ("127.0.0.1:65536", "40[03]|422")):
            self.assertRegex(tracker.ask(f"REGISTER x 1 {address}"), f"^ERROR ({code}) ", address)
        self.assertRegex(tracker.ask("LOOKUP x"), "^ERROR 404 ")

    def test_T14_unregister_of_someone_else_and_twice(self):
        tracker = self.tracker()
        tracker.ask("REGISTER x 1 127.0.0.1:5000")
        self.assertRegex(tracker.ask("UNREGISTER 192.0.2.1:5000"), "^ERROR 403 ")
        self.assertEqual(tracker.ask("UNREGISTER 127.0.0.1:5001"), "OK 0")
        self.assertEqual(tracker.lookup("x"), ["127.0.0.1:5000"])
        self.assertEqual(tracker.ask("UNREGISTER 127.0.0.1:5000"), "OK 1")
        self.assertEqual(tracker.ask("UNREGISTER 127.0.0.1:5000"), "OK 0")

    def test_trusted_addresses_are_taken_with_the_flag(self):
        tracker = self.tracker("--trust-addresses")
        self.assertRegex(tracker.ask("REGISTER x 1 192.0.2.1:9001"), "^OK ")
        self.assertEqual(tracker.lookup("x"), ["192.0.2.1:9001"])

    def test_T20_requests_before_a_half_close_get_their_answers(self):
        tracker = self.tracker()
        with socket.create_connection((LOCALHOST, tracker.port), DEADLINE) as connection:
            connection.sendall(b"REGISTER x 5 127.0.0.1:5000\nLOOKUP x\nLOOKUP y")
            connection.shutdown(socket.SHUT_WR)
            answers = connection.makefile("rb").read().decode().splitlines()
        self.assertEqual(answers[:2], ["OK 120", "OK 5 1 127.0.0.1:5000"])
        self.assertRegex(answers[2], "^ERROR 404 ")

    def test_T21_a_registration_that_is_not_renewed_ends_with_its_ttl(self):
        tracker = self.tracker("--ttl", "1")
        self.assertEqual(tracker.ask("REGISTER x 5 127.0.0.1:5000"), "OK 1")
        tracker.wait_lists("x")

    def test_p2pd_renews_its_registration_before_it_ends(self):
        tracker = self.tracker("--ttl", "4")
        proxy = self.closing(Proxy((LOCALHOST, tracker.port)))
        d = self.daemon("d", [proxy])
        make_file(self.path("x"), 5)
        d.share(self.path("x"))
        tracker.wait_lists("x", d.address)
        for renewal in range(3):
            said = proxy.bytes_up

            def renewed():
                self.assertEqual(tracker.lookup("x"), [d.address], f"before renewal {renewal}")
                return proxy.bytes_up > said  # pylint: disable=cell-var-from-loop
            wait_for(renewed, "it is renewed")

    def test_the_port_may_be_the_only_argument(self):
        port = free_port()
        process = self.process([program("p2p-tracker"), str(port)], "by-port")
        process.spawn()
        process.wait_for_log(f":{port}")
        self.assertEqual(ask(f"127.0.0.1:{port}", "REGISTER x 1 127.0.0.1:5000"), "OK 120")
        taken = subprocess.run([program("p2p-tracker"), str(port)], capture_output=True, text=True,
                               check=False, timeout=DEADLINE)
        self.assertEqual(taken.returncode, 1)
        self.assertIn("in use", taken.stderr)

    def test_wrong_flags_exit_with_2(self):
        for arguments in (["--frob"], ["65536"], ["x"], ["--listen", "nowhere"], ["--ttl", "0"]):
            done = subprocess.run([program("p2p-tracker")] + arguments, capture_output=True,
                                  text=True, check=False, timeout=DEADLINE)
            self.assertEqual(done.returncode, 2, (arguments, done))
            self.assertTrue(done.stderr, arguments)


@suites("sanitizers")
class OriginalTrackerTest(P2pTest):
    """Our daemons on both sides of a tracker that knows only the original protocol."""

    def check(self, tracker):
        a, b = self.daemon("a", [tracker.address]), self.daemon("b", [tracker.address])
        digest = make_file(self.path("x y.bin"), 2 * MIB)
        shared = a.share(self.path("x y.bin"))
        wait_for(lambda: tracker.files.get("x y.bin", (0, []))[1], "it is registered")
        got = b.get("x y.bin")
        # The peers tell the content id by WHICH.
        self.assertEqual(got["content_id"], shared["content_id"])
        self.assertIs(got["verified"], True)
        self.assertEqual(sha256(got["path"]), digest)
        a.stop()
        wait_for(lambda: a.log() and tracker.files.get("x y.bin", (0, []))[1] == [b.address],
                 "only the second one is listed")

    def test_a_file_got_by_name_is_verified(self):
        self.check(self.closing(OriginalTracker()))

    def test_a_tracker_that_closes_after_each_answer(self):
        self.check(self.closing(OriginalTracker(close_each=True)))

    def test_status_says_which_protocol_the_tracker_speaks(self):
        tracker = self.closing(OriginalTracker())
        a = self.daemon("a", [tracker.address])
        make_file(self.path("x"), 5)
        a.share(self.path("x"))
        wait_for(lambda: re.search("original", a.status()["trackers"][0]["state"]),
                 lambda: f"it says so: {a.status()['trackers']}")
