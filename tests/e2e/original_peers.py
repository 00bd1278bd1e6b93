"""p2pd gets files from peers that know only the original protocol, in every variation."""
import os
import threading

from p2p_content import CHUNK, MIB, make_bytes
from p2p_harness import DEADLINE, P2pTest, suites, wait_for
from p2p_original import Cut, OriginalPeer, OriginalTracker

NAME = "old film.bin"


@suites()
class OriginalPeersTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.data = make_bytes(3 * MIB + 1234)
        self.chunks = (len(self.data) + CHUNK - 1) // CHUNK

    def peer(self, tracker, name=NAME, **variation):
        peer = self.closing(OriginalPeer({name: self.data}, **variation))
        peer.register_at(tracker.address)
        return peer

    def assert_gets_it(self, daemon, source=NAME):
        got = daemon.get(source, allow_unverified=True)
        self.assertEqual(got["state"], "complete")
        self.assertIs(got["verified"], False)
        self.assertEqual(got["content_id"], "")
        with open(got["path"], "rb") as file:
            self.assertEqual(file.read(), self.data)
        return got

    def check_variation(self, **variation):
        tracker = self.tracker()
        peer = self.peer(tracker, **variation)
        self.assert_gets_it(self.daemon("d", [tracker]))
        # It notes what it has sent once it is sent.
        wait_for(lambda: {chunk for _, chunk in peer.served} == set(range(self.chunks)), "all came from there")
        return peer

    @suites("portable", "sanitizers", "tsan")
    def test_from_one_that_keeps_the_connection(self):
        peer = self.check_variation()
        # A slow machine may take one for slow and ask for the last ones a second time.
        self.assertLess(len(peer.served), 2 * self.chunks)

    def test_from_one_that_closes_after_each_answer(self):
        self.check_variation(close_each=True)

    def test_from_one_that_takes_each_read_for_one_request(self):
        self.check_variation(recv_requests=True)

    def test_from_one_that_takes_one_connection_at_a_time(self):
        self.check_variation(one_at_a_time=True)

    def test_from_one_that_takes_one_connection_at_a_time_and_closes_after_each_answer(self):
        self.check_variation(one_at_a_time=True, close_each=True)

    def test_from_one_that_says_nothing_to_hello(self):
        self.check_variation(unknown="silence")

    def test_from_one_that_closes_over_hello(self):
        self.check_variation(unknown="close")

    def test_from_one_that_says_nothing_to_hello_and_takes_one_connection_at_a_time(self):
        self.check_variation(unknown="silence", one_at_a_time=True)

    def test_from_a_slow_one(self):
        self.check_variation(delay=0.2)

    @suites("sanitizers", "tsan")
    def test_from_several_in_turns(self):
        tracker = self.tracker()
        self.data = make_bytes(16 * MIB)
        peers = [self.peer(tracker, delay=0.01) for _ in range(3)]
        self.assert_gets_it(self.daemon("d", [tracker]))
        for peer in peers:
            self.assertGreaterEqual(len(peer.served), 4)
        self.assertLess(sum(len(peer.served) for peer in peers), 40)

    def test_from_several_of_which_one_is_dead(self):
        tracker = self.tracker()
        self.peer(tracker)
        self.peer(tracker).close()
        self.assert_gets_it(self.daemon("d", [tracker]))

    def test_several_chunks_are_asked_for_at_once(self):
        asked, most, lock = set(), [0], threading.Lock()
        both = threading.Event()

        def answer(_, chunk_id, data):
            with lock:
                asked.add(chunk_id)
                most[0] = max(most[0], len(asked))
            if most[0] >= 2:
                both.set()
            # The first request is held until a second one comes beside it.
            both.wait(DEADLINE)
            with lock:
                asked.discard(chunk_id)
            return b"%d\n%s" % (len(data), data)
        self.check_variation(answer=answer)
        self.assertGreaterEqual(most[0], 2)

    def test_with_an_original_tracker(self):
        tracker = self.closing(OriginalTracker())
        self.peer(tracker)
        self.assert_gets_it(self.daemon("d", [tracker.address]))

    @suites("sanitizers")
    def test_it_is_marked_unverified_wherever_it_is_shown(self):
        tracker = self.tracker()
        self.peer(tracker)
        d = self.daemon("d", [tracker])
        self.assertIn("NO, its sources speak only the original protocol", d.must("get", NAME, "--allow-unverified").out)
        self.assertIn("complete, unverified", d.must("list").out)
        self.assertIn("complete, unverified", d.must("status", NAME).out)
        d.restart()
        self.assertIs(d.transfers()[0]["verified"], False)
        self.assertEqual(d.ctl("verify", NAME).code, 1)

    def test_it_is_not_offered_to_others(self):
        tracker = self.tracker()
        peer = self.peer(tracker)
        d = self.daemon("d", [tracker])
        self.assert_gets_it(d)
        self.assertEqual(tracker.lookup(NAME), [peer.address])

    def test_an_empty_file(self):
        tracker = self.tracker()
        self.data = b""
        self.peer(tracker)
        self.assert_gets_it(self.daemon("d", [tracker]))

    def test_a_file_of_a_directory_goes_under_its_last_name(self):
        tracker = self.tracker()
        self.peer(tracker, name="share/deep/one.bin")
        got = self.assert_gets_it(self.daemon("d", [tracker]), "share/deep/one.bin")
        self.assertEqual(os.path.basename(got["path"]), "one.bin")

    @suites("sanitizers")
    def test_a_download_goes_on_with_what_it_had_after_kill_nine(self):
        tracker = self.tracker()
        self.data = make_bytes(8 * MIB)
        gate = threading.Semaphore(6)
        released = threading.Event()

        def answer(_, __, data):
            while not released.is_set() and not gate.acquire(timeout=0.1):
                pass
            return b"%d\n%s" % (len(data), data)
        peer = self.peer(tracker, answer=answer)
        d = self.daemon("d", [tracker])
        got = d.get_detached(NAME, allow_unverified=True)
        d.wait_bytes(got["id"], 6 * CHUNK, "six chunks are here")
        d.must("pause", got["id"])  # commits
        d.must("resume", got["id"])
        d.kill9()
        released.set()
        before = len(peer.served)
        d.start()
        d.wait_state(got["id"], "complete")
        with open(os.path.join(d.downloads, NAME), "rb") as file:
            self.assertEqual(file.read(), self.data)
        self.assertLessEqual(len(peer.served), before + 16 - 6 + 4)


@suites("sanitizers")
class LyingOriginalPeersTest(P2pTest):
    """A peer that breaks the protocol costs its chunk in flight; an honest one gives the rest."""

    def setUp(self):
        super().setUp()
        self.data = make_bytes(2 * MIB + 99)

    def check_liar(self, answer, some_is_true=False):
        tracker = self.tracker()
        files = {NAME: self.data}
        self.closing(OriginalPeer(files, answer=answer)).register_at(tracker.address)
        honest = self.closing(OriginalPeer(files, delay=0.05))
        honest.register_at(tracker.address)
        d = self.daemon("d", [tracker])
        got = d.get(NAME, allow_unverified=True)
        with open(got["path"], "rb") as file:
            self.assertEqual(file.read(), self.data)
        if not some_is_true:
            self.assertEqual({chunk for _, chunk in honest.served}, set(range(5)))

    def test_C01_a_header_that_is_no_number(self):
        self.check_liar(lambda _, __, data: b"many\n" + data)

    def test_C01_a_header_with_leading_zeros(self):
        self.check_liar(lambda _, __, data: b"0%d\n%s" % (len(data), data))

    def test_C01_a_header_without_an_end(self):
        self.check_liar(lambda _, __, data: b"5" * 4096)

    def test_C02_a_size_below_zero(self):
        self.check_liar(lambda _, __, data: b"-1\n" + data)

    def test_C02_a_size_larger_than_any_chunk(self):
        self.check_liar(lambda _, __, data: b"524289\n" + data + b"x")

    def test_C02_a_size_that_no_memory_holds(self):
        self.check_liar(lambda _, __, data: b"9" * 30 + b"\n" + data)

    def test_C03_a_chunk_that_is_too_short(self):
        self.check_liar(lambda _, __, data: b"%d\n%s" % (len(data) - 1, data[:-1]))

    def test_C05_the_connection_ends_before_the_first_byte(self):
        self.check_liar(lambda *_: Cut())

    def test_C05_the_connection_ends_in_the_middle_of_a_chunk(self):
        self.check_liar(lambda _, __, data: Cut(b"%d\n%s" % (len(data), data[:len(data) // 2])))

    def test_C05_the_connection_ends_one_byte_before_the_end_of_a_chunk(self):
        self.check_liar(lambda _, __, data: Cut(b"%d\n%s" % (len(data), data[:-1])))

    def test_C06_more_bytes_follow_the_chunk(self):
        self.check_liar(lambda _, __, data: b"%d\n%sand more" % (len(data), data),
                        some_is_true=True)

    def test_an_error_for_every_chunk(self):
        self.check_liar(lambda *_: b"ERROR 500 disk\n")

    def test_C10_with_liars_only_it_stays_unfinished_with_a_reason_and_does_not_spin(self):
        tracker = self.tracker()
        liar = self.closing(OriginalPeer({NAME: self.data}, answer=lambda *_: b"lies\n"))
        liar.register_at(tracker.address)
        d = self.daemon("d", [tracker])
        got = d.get_detached(NAME, allow_unverified=True)
        shown = d.wait_transfer(got["id"],
                                lambda t: liar.connections > 2 and liar.address in t["error"],
                                "it says whom it cannot use")
        self.assertEqual((shown["state"], shown["bytes_done"]), ("downloading", 0))
        # Back-off: a peer that only lies is not dialled again and again.
        self.assertLess(liar.connections, 30)
        self.assertFalse(os.path.exists(os.path.join(d.downloads, NAME)))
        wait_for(lambda: d.ctl("status").code == 0, "the daemon still answers")

