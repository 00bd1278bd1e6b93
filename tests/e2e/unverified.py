"""What cannot be verified is had only when the user says so, and nobody makes it so by speaking less."""
import os
import signal

from p2p_content import MIB, make_bytes, make_file
from p2p_harness import P2pTest, wait_for
from p2p_original import OriginalPeer, OriginalTracker, ask

NAME = "tool.sh"
UNVERIFIED = 3  # p2pctl's exit code


class UnverifiedTest(P2pTest):
    """D01: only peers of the original protocol have it."""

    def setUp(self):
        super().setUp()
        self.data = make_bytes(MIB + 77)
        self.tracker_ = self.tracker()
        self.peer = self.closing(OriginalPeer({NAME: self.data}))
        self.peer.register_at(self.tracker_.address)

    def assert_refused(self, daemon, result):
        self.assertEqual(result.code, UNVERIFIED, result)
        self.assertIn("--allow-unverified", result.err)
        self.assertEqual(len(result.err.strip().splitlines()), 1)
        self.assertEqual(os.listdir(daemon.downloads), [])
        self.assertEqual(self.peer.served, [])

    def assert_got(self, daemon):
        with open(os.path.join(daemon.downloads, NAME), "rb") as file:
            self.assertEqual(file.read(), self.data)

    def test_D01_it_is_refused_with_a_sentence_and_an_exit_code_of_its_own(self):
        d = self.daemon("d", [self.tracker_])
        self.assert_refused(d, d.ctl("get", NAME))
        result = d.ctl("--json", "get", NAME)
        self.assert_refused(d, result)
        self.assertEqual((result.last["state"], result.last["unverified_refused"]), ("error", True))
        self.assert_refused(d, d.ctl("watch", NAME))
        # What was asked for stays the same transfer.
        self.assertEqual(len(d.transfers()), 1)

    def test_D01_it_is_had_when_the_user_allows_it(self):
        d = self.daemon("d", [self.tracker_])
        self.assertEqual(d.ctl("get", NAME).code, UNVERIFIED)
        got = d.must("--json", "get", NAME, "--allow-unverified").last
        self.assertIs(got["verified"], False)
        self.assertEqual(len(d.transfers()), 1)
        self.assert_got(d)

    def test_D01_it_is_had_when_the_configuration_allows_it_and_as_long_as_it_does(self):
        path = self.path("p2pd.toml")

        def write(text):
            with open(path, "w", encoding="utf-8") as config:
                config.write(text)
        write("allow_unverified = true\n")
        d = self.daemon("d", [self.tracker_], arguments=["--config", path])
        d.must("get", NAME)
        self.assert_got(d)
        self.assertIs(d.status()["allow_unverified"], True)
        write("")
        d.send(signal.SIGHUP)
        wait_for(lambda: d.status()["allow_unverified"] is False, "it has read it again")
        self.assertEqual(d.ctl("get", NAME, "-o", self.path("other")).code, UNVERIFIED)
        self.assertFalse(os.path.exists(self.path("other")))

    def test_D01_the_word_of_the_user_outlives_a_restart(self):
        lonely = self.tracker(name="lonely")
        d = self.daemon("d", [lonely])
        lonely.kill9()  # the lookup goes on until it is back
        got = d.get_detached(NAME, allow_unverified=True)
        d.wait_transfer(got["id"], lambda t: "tracker" in t["error"], "it says that it waits")
        d.kill9()
        lonely.start()
        self.peer.register_at(lonely.address)
        d.start()
        d.wait_state(got["id"], "complete")
        self.assert_got(d)

    def test_D01_who_joins_a_download_that_another_allowed_is_told(self):
        gate = []
        held = self.closing(OriginalPeer({"held": self.data}, answer=lambda *_: wait_for(
            lambda: gate, "the test is done") and b""))
        held.register_at(self.tracker_.address)
        d = self.daemon("d", [self.tracker_])
        got = d.get_detached("held", allow_unverified=True)
        d.wait_state(got["id"], "downloading")
        result = d.ctl("get", "held")
        self.assertEqual(result.code, 1, result)
        self.assertIn(f"transfer {got['id']} gets it unverified", result.err)
        gate.append(True)

    def test_D01_what_is_there_unverified_is_no_success_for_who_did_not_allow_it(self):
        d = self.daemon("d", [self.tracker_])
        d.must("get", NAME, "--allow-unverified")
        result = d.ctl("get", NAME)
        self.assertEqual(result.code, UNVERIFIED, result)

    def test_D01_a_peer_with_hashes_is_preferred_whatever_is_allowed(self):
        a = self.daemon("a", [self.tracker_])
        make_file(self.path(NAME), MIB + 77, seed=5)
        shared = a.share(self.path(NAME))
        wait_for(lambda: a.address in self.tracker_.peers_of(shared["content_id"]), "the tracker knows it")
        d = self.daemon("d", [self.tracker_])
        got = d.get(NAME, allow_unverified=True)
        self.assertEqual((got["verified"], got["content_id"]), (True, shared["content_id"]))
        self.assertEqual(self.peer.served, [])


class DowngradeTest(P2pTest):
    """D02: who spoke the extension is not believed when it speaks only the original protocol later."""

    def setUp(self):
        super().setUp()
        self.lie = make_bytes(MIB, "lie")

    def test_D02_a_tracker(self):
        tracker = self.tracker()
        a = self.daemon("a", [tracker])
        d = self.daemon("d", [tracker])
        # It has answered a question, in the extension.
        self.assertEqual(d.ctl("get", "nothing").code, 1)
        tracker.stop()
        fake = OriginalTracker(port=tracker.port)
        liar = self.closing(OriginalPeer({NAME: self.lie}))
        liar.register_at(fake.address)
        got = d.get_detached(NAME, allow_unverified=True)
        d.wait_transfer(got["id"], lambda t: "did not answer HELLO, which it did before" in t["error"],
                        "it says whom it does not believe")
        self.assertEqual([line for line in fake.lines if line.startswith("LOOKUP")], [])
        self.assertEqual(liar.connections, 0)
        fake.close()
        tracker.start()
        digest = make_file(self.path(NAME), 2 * MIB, seed=5)
        a.share(self.path(NAME))
        self.assertIs(d.wait_state(got["id"], "complete")["verified"], True)
        self.assert_same_file(os.path.join(d.downloads, NAME), digest)

    def make_speaker(self, tracker):
        """A daemon that has fetched something of a peer that is gone, and that peer's port."""
        a = self.daemon("a", [tracker])
        make_file(self.path("x.bin"), 1000)
        a.share(self.path("x.bin"))
        d = self.daemon("d", [tracker])
        d.get("x.bin")
        port = a.port
        a.stop()
        return d, port

    def test_D02_a_peer_that_is_asked_what_it_has(self):
        tracker = self.tracker()
        d, port = self.make_speaker(tracker)
        liar = self.closing(OriginalPeer({NAME: self.lie}, port=port))
        liar.register_at(tracker.address)
        result = d.ctl("get", NAME, "--allow-unverified")
        self.assertEqual(result.code, 1, result)
        self.assertIn("spoke the extension before", result.err)
        self.assertEqual(liar.served, [])

    def test_D02_a_peer_beside_an_honest_original_one(self):
        tracker = self.tracker()
        d, port = self.make_speaker(tracker)
        data = make_bytes(MIB)
        liar = self.closing(OriginalPeer({NAME: self.lie}, port=port))
        honest = self.closing(OriginalPeer({NAME: data}))
        for peer in (liar, honest):
            peer.register_at(tracker.address)
        got = d.get(NAME, allow_unverified=True)
        with open(got["path"], "rb") as file:
            self.assertEqual(file.read(), data)
        self.assertEqual(liar.served, [])

    def test_D02_a_peer_that_another_one_is_added_to_later(self):
        tracker = self.tracker()
        d, port = self.make_speaker(tracker)
        data = make_bytes(MIB)
        gate = []

        def answer(_, __, chunk):
            wait_for(lambda: gate, "the liar is known to the download")
            return b"%d\n%s" % (len(chunk), chunk)
        honest = self.closing(OriginalPeer({NAME: data}, answer=answer))
        honest.register_at(tracker.address)
        got = d.get_detached(NAME, allow_unverified=True)
        d.wait_state(got["id"], "downloading")
        liar = self.closing(OriginalPeer({NAME: self.lie}, port=port))
        ask(tracker.address, f"REGISTER {NAME} {len(data)} {liar.address}")
        wait_for(lambda: [p for p in d.must("--json", "peers", got["id"]).objects
                          if p["address"] == liar.address and "speaks the extension" in p["problem"]],
                 "the liar is shown with the reason")
        gate.append(True)
        d.wait_state(got["id"], "complete")
        self.assertEqual((liar.served, liar.connections), ([], 0))
