"""Peers of the extension that lie: nothing unverified is kept, honest peers give the rest."""
import os

from p2p_content import CHUNK, MIB, make_file, sha256
from p2p_harness import LOCALHOST, P2pTest, link_to, suites, wait_for
from p2p_proxy import (BoundlessHaveSet, Proxy, WrongBytes, WrongChunkNumber, WrongHashes,
                       WrongLength, WrongManifest)

SIZE = 16 * MIB + 3


class WrongBytesTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.seeder = self.daemon("seeder")
        self.digest = make_file(self.path("x.bin"), SIZE)
        self.shared = self.seeder.share(self.path("x.bin"))
        self.getter = self.daemon("getter")

    def proxy(self, tamper=None, **options):
        return self.closing(Proxy((LOCALHOST, self.seeder.port), tamper=tamper, **options))

    def source(self, *proxies):
        return link_to(self.shared, *proxies)

    def check_liar_and_honest(self, tamper):
        liar = self.proxy(tamper)
        # Slow enough for the liar to be asked, too.
        honest = self.proxy(bytes_a_second=16 * MIB)
        got = self.getter.get(self.source(liar, honest))
        self.assertIs(got["verified"], True)
        self.assert_same_file(got["path"], self.digest)
        self.assertGreater(liar.connections, 0)
        return liar

    @suites("portable", "sanitizers", "tsan")
    def test_C04_wrong_bytes_are_not_kept_and_the_peer_is_dropped(self):
        liar = self.check_liar_and_honest(WrongBytes)
        self.assertIn("wrong bytes", self.getter.log())
        # Dropped: what it was asked for before its first chunk was checked, and not one byte later.
        self.assertLessEqual(liar.connections, 2)

    def test_C04_a_peer_that_sends_wrong_bytes_is_shown_with_the_reason(self):
        liar = self.proxy(WrongBytes)
        got = self.getter.get_detached(self.source(liar))

        def problem():
            peers = self.getter.must("--json", "peers", got["id"]).objects
            return [p for p in peers if "wrong bytes" in p["problem"]]
        shown = wait_for(problem, "the peer is shown with its problem")
        self.assertEqual(shown[0]["address"], liar.address)
        self.assertIs(shown[0]["connected"], False)
        state = self.getter.transfer(got["id"])
        self.assertEqual((state["state"], state["bytes_done"]), ("downloading", 0))
        self.assertIn("wrong bytes", state["error"])
        # Not a byte of it came under the final name, and it is not dialled again.
        self.assertEqual(os.listdir(self.getter.downloads), ["x.bin.part"])
        connections = liar.connections
        self.getter.must("verify", got["id"])
        self.assertEqual(liar.connections, connections)
        # An honest peer gives it all.
        honest = self.proxy()
        self.getter.get_detached(self.source(honest))
        self.getter.must("remove", got["id"])
        final = self.getter.get(self.source(honest))
        self.assert_same_file(final["path"], self.digest)

    def test_C04_a_wrong_chunk_costs_no_more_than_what_was_in_flight(self):
        liar = self.check_liar_and_honest(WrongBytes)
        self.assertLess(liar.bytes_down, 10 * MIB)

    def test_C11_right_bytes_under_the_wrong_number_are_not_kept(self):
        self.check_liar_and_honest(WrongChunkNumber)

    def test_C03_a_chunk_that_is_longer_than_it_may_be_ends_the_connection(self):
        self.check_liar_and_honest(WrongLength)

    def test_C14_a_manifest_that_is_not_the_one_of_the_content_id_is_refused(self):
        self.check_liar_and_honest(WrongManifest)

    def test_wrong_chunk_hashes_are_refused(self):
        self.check_liar_and_honest(WrongHashes)

    def test_a_have_set_that_goes_beyond_the_last_chunk_ends_the_connection(self):
        self.check_liar_and_honest(BoundlessHaveSet)
        self.assertIn("beyond the last chunk", self.getter.log())

    def test_C05_a_peer_that_dies_after_any_number_of_bytes_costs_only_what_was_in_flight(self):
        for k in (0, 1, 1000, CHUNK, 3 * CHUNK + 17):
            with self.subTest(k=k):
                dying = self.proxy(budget=k)
                honest = self.proxy(bytes_a_second=64 * MIB)
                out = self.path(f"got-{k}")
                got = self.getter.get_detached(self.source(dying, honest), out)
                transfer = got["id"]
                wait_for(lambda: dying.is_dry or
                         self.getter.transfer(transfer)["state"] == "complete",
                         "it gave what it gives")
                dying.cut(reset=True)
                self.getter.wait_state(transfer, "complete")
                self.assertEqual(sha256(out), self.digest)
                dying.close()
                self.getter.must("remove", transfer)

    def check_stalling(self, budget):
        stalling = self.proxy(budget=budget)
        honest = self.proxy(budget=0)
        got = self.getter.get_detached(self.source(stalling, honest))
        wait_for(lambda: stalling.is_dry, "it gave what it gives")
        honest.allow()
        self.getter.wait_state(got["id"], "complete")
        self.assert_same_file(os.path.join(self.getter.downloads, "x.bin"), self.digest)

    def test_C07_a_peer_that_stalls_before_its_hello_does_not_hold_up_the_others(self):
        self.check_stalling(10)

    def test_C07_a_peer_that_owes_the_manifest_does_not_hold_up_the_others(self):
        self.check_stalling(250)

    def test_C07_a_peer_that_owes_chunk_hashes_does_not_hold_up_the_others(self):
        self.check_stalling(1000)

    def test_C07_a_peer_that_stalls_does_not_hold_up_the_end(self):
        stalling = self.proxy(budget=2 * MIB)
        honest = self.proxy(bytes_a_second=32 * MIB)
        got = self.getter.get(self.source(stalling, honest))
        self.assert_same_file(got["path"], self.digest)
