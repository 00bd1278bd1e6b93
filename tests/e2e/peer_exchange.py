"""Peers find each other through each other: no tracker, or none any more."""
import os

from p2p_content import MIB, make_file
from p2p_harness import AT_ONCE, LOCALHOST, P2pTest, link_to, suites, wait_for
from p2p_proxy import Proxy


class PeerExchangeTest(P2pTest):
    def peers_of(self, daemon, transfer):
        """Peer ids of those it is connected with."""
        peers = daemon.must("--json", "peers", str(transfer)).objects
        return {p["peer_id"] for p in peers if p["connected"]}

    def addresses_of(self, daemon, transfer):
        return {p["address"] for p in daemon.must("--json", "peers", str(transfer)).objects}

    def wait_connected(self, daemon, transfer, others):
        wanted = {other.status()["peer_id"] for other in others}
        wait_for(lambda: wanted <= self.peers_of(daemon, transfer),
                 lambda: f"{daemon.name} is connected with {[o.name for o in others]}")

    @suites("portable", "sanitizers", "tsan")
    def test_a_newcomer_that_knows_one_peer_finds_all_when_the_tracker_is_gone(self):
        tracker = self.tracker()
        a = self.daemon("a")
        digest = make_file(self.path("x.bin"), 24 * MIB)
        shared = a.share(self.path("x.bin"))
        getters, transfers, proxies = [], {}, []
        for name in ("b", "c"):
            # A part of it, so that they stay in the swarm for as long as the test wants.
            proxy = self.closing(Proxy((LOCALHOST, a.port), budget=9 * MIB))
            proxies.append(proxy)
            getter = self.daemon(name, [tracker])
            transfers[getter] = getter.get_detached(link_to(shared, proxy))["id"]
            getters.append(getter)
        b, c = getters
        self.wait_connected(b, transfers[b], [a, c])
        tracker.kill9()
        d = self.daemon("d")
        transfers[d] = d.get_detached(link_to(shared, c))["id"]
        self.wait_connected(d, transfers[d], [b, c])
        # The seeder is behind these: what c is connected with.
        wait_for(lambda: proxies[1].address in self.addresses_of(d, transfers[d]),
                 "d has heard of the seeder")
        for proxy in proxies:
            proxy.allow()
        for daemon, transfer in transfers.items():
            daemon.wait_state(transfer, "complete")
            self.assert_same_file(os.path.join(daemon.downloads, "x.bin"), digest)

    def test_a_newcomer_hears_of_those_whom_a_complete_peer_let_go(self):
        a = self.daemon("a")
        digest = make_file(self.path("x.bin"), 4 * MIB)
        shared = a.share(self.path("x.bin"))
        b, c = self.daemon("b"), self.daemon("c")
        b.get(link_to(shared, a))
        c.get(link_to(shared, b, a))
        # All three have everything and ask nobody for anything. d knows c alone, and gets no more
        # than a part through the relay.
        d = self.daemon("d")
        hold = self.closing(Proxy((LOCALHOST, c.port), budget=MIB))
        transfer = d.get_detached(link_to(shared, hold))["id"]
        d.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(d.downloads, "x.bin"), digest)

    def test_a_download_that_runs_hears_of_a_newcomer_without_a_tracker(self):
        a = self.daemon("a")
        make_file(self.path("x.bin"), 8 * MIB)
        shared = a.share(self.path("x.bin"))
        b, c, d = self.daemon("b"), self.daemon("c"), self.daemon("d")
        transfers = {}
        for getter in (b, c):
            proxy = self.closing(Proxy((LOCALHOST, a.port), budget=2 * MIB))
            transfers[getter] = getter.get_detached(link_to(shared, proxy))["id"]
            getter.wait_bytes(transfers[getter], MIB, "it has a part")
        # Both dialled before d came; d takes connections and dials a alone.
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=2 * MIB))
        transfers[d] = d.get_detached(link_to(shared, proxy))["id"]
        for getter in (b, c, d):
            self.wait_connected(getter, transfers[getter], {a, b, c, d} - {getter})

    def test_a_download_that_loses_its_peers_looks_for_others_at_once(self):
        tracker = self.tracker()
        a = self.daemon("a")
        digest = make_file(self.path("x.bin"), 8 * MIB)
        shared = a.share(self.path("x.bin"))
        hold = self.closing(Proxy((LOCALHOST, a.port), budget=3 * MIB))
        b = self.daemon("b", [tracker])
        transfer = b.get_detached(link_to(shared, hold))["id"]
        b.wait_bytes(transfer, MIB, "a part is here")
        other = self.daemon("other", [tracker])
        other.share(self.path("x.bin"))
        tracker.wait_lists("x.bin", other.address)
        hold.close()
        # Trackers are asked every 20 s as long as all is well.
        b.wait_state(transfer, "complete", deadline=AT_ONCE)
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)
