"""Peers of the extension that lie: nothing unverified is kept, honest peers give the rest."""
import os

from p2p_content import CHUNK, MIB, make_file, sha256
from p2p_harness import LOCALHOST, P2pTest, wait_for
from p2p_proxy import (NewIdentity, Proxy, WrongBytes, WrongChunkNumber, WrongHashes, WrongLength,
                       WrongManifest)

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
        return self.shared["magnet"] + "".join("&x.pe=" + proxy.address for proxy in proxies)

    def check_liar_and_honest(self, tamper):
        liar = self.proxy(tamper)
        # Slow enough for the liar to be asked, too.
        honest = self.proxy(bytes_a_second=16 * MIB)
        got = self.getter.get(self.source(liar, honest))
        self.assertIs(got["verified"], True)
        self.assert_same_file(got["path"], self.digest)
        self.assertGreater(liar.connections, 0)
        return liar

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

    def test_C05_a_peer_that_dies_after_any_number_of_bytes_costs_only_what_was_in_flight(self):
        for k in (0, 1, 1000, CHUNK, 3 * CHUNK + 17):
            with self.subTest(k=k):
                dying = self.proxy(NewIdentity, budget=k)
                honest = self.proxy(bytes_a_second=64 * MIB)
                out = self.path(f"got-{k}")
                got = self.getter.get_detached(self.source(dying, honest), out)
                wait_for(lambda: dying.is_dry or self.getter.transfer(got["id"])["state"] == "complete",
                         "it gave what it gives")
                dying.cut(reset=True)
                self.getter.wait_state(got["id"], "complete")
                self.assertEqual(sha256(out), self.digest)
                dying.close()
                self.getter.must("remove", got["id"])

    def check_stalling(self, budget):
        stalling = self.proxy(NewIdentity, budget=budget)
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
        stalling = self.proxy(NewIdentity, budget=2 * MIB)
        honest = self.proxy(bytes_a_second=32 * MIB)
        got = self.getter.get(self.source(stalling, honest))
        self.assert_same_file(got["path"], self.digest)


class SwarmTest(P2pTest):
    def test_a_third_daemon_gets_from_the_second_while_that_still_downloads(self):
        a, b, c = self.daemon("a"), self.daemon("b"), self.daemon("c")
        digest = make_file(self.path("x.bin"), 24 * MIB)
        shared = a.share(self.path("x.bin"))
        to_b = self.closing(Proxy((LOCALHOST, a.port), budget=9 * MIB))
        b_transfer = b.get_detached(shared["magnet"] + "&x.pe=" + to_b.address)["id"]
        had = b.wait_transfer(b_transfer, lambda t: t["bytes_done"] >= 7 * MIB, "b has a part")
        # c knows nobody but b, and gets everything that b has while b waits for the rest.
        c_transfer = c.get_detached(shared["magnet"] + "&x.pe=" + b.address)["id"]
        c.wait_transfer(c_transfer, lambda t: t["bytes_done"] >= had["bytes_done"], "c has that part")
        self.assertEqual(b.transfer(b_transfer)["state"], "downloading")
        # What b gets from now on is offered to c at once.
        to_b.allow(4 * MIB)
        more = b.wait_transfer(b_transfer, lambda t: t["bytes_done"] >= 11 * MIB, "b has more")
        c.wait_transfer(c_transfer, lambda t: t["bytes_done"] >= more["bytes_done"], "c has that, too")
        to_b.allow()
        b.wait_state(b_transfer, "complete")
        c.wait_state(c_transfer, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)
        self.assert_same_file(os.path.join(c.downloads, "x.bin"), digest)

    def test_two_who_each_have_another_half_complete_each_other(self):
        a, b, c = self.daemon("a"), self.daemon("b"), self.daemon("c")
        digest = make_file(self.path("x.bin"), 16 * MIB)
        shared = a.share(self.path("x.bin"))
        transfers = {}
        proxies = []
        for daemon in (b, c):
            proxy = self.closing(Proxy((LOCALHOST, a.port), budget=9 * MIB))
            proxies.append(proxy)
            transfers[daemon] = daemon.get_detached(shared["magnet"] + "&x.pe=" + proxy.address)["id"]
        for daemon, transfer in transfers.items():
            daemon.wait_transfer(transfer, lambda t: t["bytes_done"] >= 7 * MIB, "it has a half")
        # The seeder leaves; b and c meet through a tracker that they learn of by the link.
        tracker = self.tracker()
        a.stop()
        for daemon in (b, c):
            daemon.stop()
            daemon.arguments += ["--tracker", tracker.address]
            daemon.start()
        done = [d.transfer(t)["bytes_done"] for d, t in transfers.items()]
        for daemon, transfer in transfers.items():
            daemon.wait_transfer(transfer, lambda t: t["bytes_done"] >= max(done), "they share alike")
        a.start()
        for proxy in proxies:
            proxy.retarget((LOCALHOST, a.port))
            proxy.allow()
        for daemon, transfer in transfers.items():
            daemon.wait_state(transfer, "complete")
            self.assert_same_file(os.path.join(daemon.downloads, "x.bin"), digest)

    def test_from_three_peers_at_once(self):
        tracker = self.tracker()
        digest = make_file(self.path("x.bin"), 24 * MIB)
        a = self.daemon("a")
        shared = a.share(self.path("x.bin"))
        seeders = [a]
        for name in ("b", "c"):
            seeder = self.daemon(name)
            seeder.share(self.path("x.bin"))
            seeders.append(seeder)
        proxies = [self.closing(Proxy((LOCALHOST, s.port), bytes_a_second=24 * MIB)) for s in seeders]
        for proxy in proxies:
            tracker.ask(f"ANNOUNCE x.bin {24 * MIB} {shared['content_id']} {proxy.address}")
        got = self.daemon("d", [tracker]).get("x.bin")
        self.assert_same_file(got["path"], digest)
        for proxy in proxies:
            self.assertGreater(proxy.bytes_down, 2 * MIB)

    def test_peers_learn_of_each_other_from_each_other(self):
        a, b, c = self.daemon("a"), self.daemon("b"), self.daemon("c")
        digest = make_file(self.path("x.bin"), 8 * MIB)
        shared = a.share(self.path("x.bin"))
        hold = self.closing(Proxy((LOCALHOST, a.port), budget=3 * MIB))
        b_transfer = b.get_detached(shared["magnet"] + "&x.pe=" + hold.address)["id"]
        b.wait_transfer(b_transfer, lambda t: t["bytes_done"] >= MIB, "b has a part")
        # c knows a only; a knows that b is there, too.
        c_proxy = self.closing(Proxy((LOCALHOST, a.port), budget=MIB))
        c_transfer = c.get_detached(shared["magnet"] + "&x.pe=" + c_proxy.address)["id"]

        def c_knows_b():
            peers = c.must("--json", "peers", c_transfer).objects
            return b.address in {p["address"] for p in peers}
        wait_for(c_knows_b, "c knows b")
        hold.allow()
        c_proxy.allow()
        c.wait_state(c_transfer, "complete")
        self.assert_same_file(os.path.join(c.downloads, "x.bin"), digest)

    def test_P17_a_daemon_that_dials_itself_notices(self):
        a = self.daemon("a")
        make_file(self.path("x.bin"), MIB)
        shared = a.share(self.path("x.bin"))
        out = self.path("copy.bin")
        # Its own share under its own address, as a tracker or link may name it.
        got = a.get_detached(shared["magnet"] + "&x.pe=" + a.address, out)
        seen = a.wait_transfer(got["id"], lambda t: t["state"] in ("complete", "error") or t["error"],
                               "it says what it does")
        self.assertEqual(seen["peers"], 0)
        self.assertLess(a.totals()["connections"], 5)
