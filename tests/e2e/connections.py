"""How many connections daemons have to each other: one a pair, and a bounded number in all."""
import os
import signal

from p2p_content import MIB, make_file
from p2p_harness import LOCALHOST, P2pTest, link_to, wait_for
from p2p_peer import Guest, Introducer
from p2p_proxy import Proxy

MOST_ACCEPTED = 64


class ConnectionsTest(P2pTest):
    def peers(self, daemon, transfer):
        return daemon.must("--json", "peers", str(transfer)).objects

    def connections(self, daemon, transfer):
        """{peer id: number of connections}"""
        counts = {}
        for peer in self.peers(daemon, transfer):
            if peer["connected"]:
                counts[peer["peer_id"]] = counts.get(peer["peer_id"], 0) + 1
        return counts

    def test_a_swarm_is_a_full_mesh_with_one_connection_for_each_pair(self):
        tracker = self.tracker()
        a = self.daemon("a")
        digest = make_file(self.path("x.bin"), 16 * MIB)
        shared = a.share(self.path("x.bin"))
        getters, transfers, proxies = [], {}, []
        for name in "bcdef":
            proxies.append(self.closing(Proxy((LOCALHOST, a.port), budget=2 * MIB)))
            getters.append(self.daemon(name, [tracker]))
        for getter, proxy in zip(getters, proxies):
            transfers[getter] = getter.get_detached(link_to(shared, proxy))["id"]
        ids = {getter: getter.status()["peer_id"] for getter in getters}
        seeder = a.status()["peer_id"]

        def one_for_each_pair():
            for getter in getters:
                counts = self.connections(getter, transfers[getter])
                counts.pop(seeder, None)
                if counts != {ids[other]: 1 for other in getters if other is not getter}:
                    return False
            return True
        wait_for(one_for_each_pair, lambda: "each pair has one connection: " + str(
            [self.connections(getter, transfers[getter]) for getter in getters]))
        for proxy in proxies:
            proxy.allow()
        for getter in getters:
            getter.wait_state(transfers[getter], "complete")
            self.assert_same_file(os.path.join(getter.downloads, "x.bin"), digest)

    def test_two_that_dial_each_other_keep_one_connection(self):
        introducer = self.closing(Introducer())
        daemons = [self.daemon("a"), self.daemon("b")]
        ids = [daemon.status()["peer_id"] for daemon in daemons]
        addresses = [daemon.address for daemon in daemons]
        magnet = "magnet:?xt=urn:btmh:1220" + "ab" * 32 + "&x.pe=" + introducer.address
        transfers = [daemon.get_detached(magnet)["id"] for daemon in daemons]
        for peer_id in ids:
            wait_for(lambda p=peer_id: introducer.asked_by(p), "it asks for peers")
        # b hears of a and is dialled by a while it can do nothing: it will dial a.
        daemons[1].send(signal.SIGSTOP)
        introducer.tell(ids[1], addresses[0])
        introducer.tell(ids[0], addresses[1])
        wait_for(lambda: addresses[1] in {p["address"] for p in self.peers(daemons[0],
                                                                           transfers[0])},
                 lambda: f"a dials {addresses[1]}: {self.peers(daemons[0], transfers[0])}, "
                         f"{daemons[0].transfer(transfers[0])}, {introducer.asked_by(ids[0])}")
        daemons[1].send(signal.SIGCONT)

        def one_each():
            return [self.connections(d, t).get(i) for d, t, i in
                    zip(daemons, transfers, reversed(ids))] == [1, 1]
        wait_for(one_each, "there is one connection")

    def test_a_peer_with_no_room_names_others_and_is_asked_again_later(self):
        a, b = self.daemon("a"), self.daemon("b")
        digest = make_file(self.path("x.bin"), 8 * MIB)
        shared = a.share(self.path("x.bin"))
        hold = self.closing(Proxy((LOCALHOST, a.port), budget=2 * MIB))
        b_transfer = b.get_detached(link_to(shared, hold))["id"]
        b.wait_bytes(b_transfer, MIB, "b has a part")
        taken = sum(self.connections(a, shared["id"]).values())
        # From two hosts that have as many each: no other one comes before them.
        guests = []
        for n in range(taken, MOST_ACCEPTED):
            guests.append(self.closing(Guest(a.address, shared["content_id"], n + 1,
                                             LOCALHOST if n < MOST_ACCEPTED // 2 else "127.0.0.2")))
            self.assertEqual(guests[-1].answer, "OPENED 16")
            # At once: who opens and asks for nothing loses its place.
            guests[-1].say("SUBSCRIBE")
        late = self.closing(Guest(a.address, shared["content_id"], 1000, "127.0.0.2"))
        self.assertRegex(late.answer, "^REFUSED 503 ")
        late.say("GET-PEERS", "PING")
        self.assertEqual(late.peers(), [b.address])
        self.assertEqual(late.line(), "PONG")
        c = self.daemon("c")
        c_transfer = c.get_detached(link_to(shared, a))["id"]
        b_id = b.status()["peer_id"]
        wait_for(lambda: b_id in self.connections(c, c_transfer), "c is connected with b")
        problems = {p["address"]: p["problem"] for p in self.peers(c, c_transfer)}
        self.assertIn("it refused", problems[a.address])
        # There is room again, also for what c tries through the relay, and c finds that out itself.
        for guest in guests[:4]:
            guest.close()
        c.wait_state(c_transfer, "complete")
        self.assert_same_file(os.path.join(c.downloads, "x.bin"), digest)
