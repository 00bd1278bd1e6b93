"""Several of our own daemons at once: who gets what from whom."""
import os

from p2p_content import MIB, make_file
from p2p_harness import LOCALHOST, P2pTest, link_to, suites, wait_for
from p2p_proxy import Proxy


@suites("portable", "sanitizers", "tsan")
class SwarmTest(P2pTest):
    def test_a_third_daemon_gets_from_the_second_while_that_still_downloads(self):
        a, b, c = self.daemon("a"), self.daemon("b"), self.daemon("c")
        digest = make_file(self.path("x.bin"), 24 * MIB)
        shared = a.share(self.path("x.bin"))
        to_b = self.closing(Proxy((LOCALHOST, a.port), budget=9 * MIB))
        b_transfer = b.get_detached(link_to(shared, to_b))["id"]
        had = b.wait_bytes(b_transfer, 7 * MIB, "b has a part")
        # c knows nobody but b, and gets everything that b has while b waits for the rest.
        c_transfer = c.get_detached(link_to(shared, b))["id"]
        c.wait_bytes(c_transfer, had["bytes_done"], "c has that part")
        self.assertEqual(b.transfer(b_transfer)["state"], "downloading")
        # What b gets from now on is offered to c at once.
        to_b.allow(4 * MIB)
        more = b.wait_bytes(b_transfer, 11 * MIB, "b has more")
        c.wait_bytes(c_transfer, more["bytes_done"], "c has that, too")
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
            transfers[daemon] = daemon.get_detached(link_to(shared, proxy))["id"]
        for daemon, transfer in transfers.items():
            daemon.wait_bytes(transfer, 7 * MIB, "it has a half")
        # The seeder leaves; b and c meet through a tracker that they learn of by the link.
        tracker = self.tracker()
        a.stop()
        for daemon in (b, c):
            daemon.stop()
            daemon.arguments += ["--tracker", tracker.address]
            daemon.start()
        done = [d.transfer(t)["bytes_done"] for d, t in transfers.items()]
        for daemon, transfer in transfers.items():
            daemon.wait_bytes(transfer, max(done), "they share alike")
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
        proxies = [self.closing(Proxy((LOCALHOST, seeder.port), bytes_a_second=24 * MIB))
                   for seeder in seeders]
        for proxy in proxies:
            tracker.announce("x.bin", 24 * MIB, shared["content_id"], proxy.address)
        got = self.daemon("d", [tracker]).get("x.bin")
        self.assert_same_file(got["path"], digest)
        for proxy in proxies:
            self.assertGreater(proxy.bytes_down, 2 * MIB)

    def test_peers_learn_of_each_other_from_each_other(self):
        a, b, c = self.daemon("a"), self.daemon("b"), self.daemon("c")
        digest = make_file(self.path("x.bin"), 8 * MIB)
        shared = a.share(self.path("x.bin"))
        hold = self.closing(Proxy((LOCALHOST, a.port), budget=3 * MIB))
        b_transfer = b.get_detached(link_to(shared, hold))["id"]
        b.wait_bytes(b_transfer, MIB, "b has a part")
        # c knows a only; a knows that b is there, too.
        c_proxy = self.closing(Proxy((LOCALHOST, a.port), budget=MIB))
        c_transfer = c.get_detached(link_to(shared, c_proxy))["id"]

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
        got = a.get_detached(link_to(shared, a), out)
        seen = a.wait_transfer(got["id"], lambda t: t["state"] in ("complete", "error") or
                               t["error"], "it says what it does")
        self.assertEqual(seen["peers"], 0)
        self.assertLess(a.totals()["connections"], 5)
