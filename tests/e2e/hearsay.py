"""What others merely say of themselves and of others: it bans nobody, shuts out nobody, and aims this daemon at nobody."""
import os
import re
import socket
import subprocess
import unittest

from p2p_call_faults import FOREVER, LIBRARY, CallFaults
from p2p_content import CHUNK, MIB, Content, make_bytes, make_file
from p2p_evil_peers import Sayer, WrongBytes
from p2p_evil_trackers import AddressTeller, Bystander
from p2p_harness import LOCALHOST, P2pTest, link_to, wait_for
from p2p_original import OriginalPeer, OriginalTracker
from p2p_peer import ExtensionPeer, Guest, Introducer, SharingPeer, calling
from p2p_proxy import Proxy

SIZE = 6 * MIB + 3
GREETING = 2_000
ELSEWHERE = "127.0.0.66"  # another host of this network
UNKNOWN = "ab" * 32


class LyingPeersTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.content = Content("x.bin", make_bytes(SIZE))
        self.digest = self.content.write(self.path("x.bin"))
        self.seeder, self.getter = self.daemon("seeder"), self.daemon("getter")
        self.seeder.share(self.path("x.bin"))
        self.seeder_id = self.seeder.status()["peer_id"]
        self.honest = self.closing(Proxy((LOCALHOST, self.seeder.port), budget=GREETING))

    def begin(self, *peers):
        return self.getter.get_detached(self.content.magnet(*[p.address for p in peers]))["id"]

    def complete(self, transfer):
        self.honest.allow()
        self.getter.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(self.getter.downloads, "x.bin"), self.digest)
        self.assertNotIn(self.honest.address, self.getter.log())

    def test_V01_a_liar_that_claims_an_honest_peers_id_is_dropped_alone(self):
        liar = self.closing(WrongBytes(self.content, 0xe))
        liar.hello = f"HELLO 3 id={self.seeder_id} port=0 leaves"
        transfer = self.begin(liar, self.honest)
        self.getter.wait_for_log("wrong bytes")
        self.complete(transfer)
        self.assertEqual((self.honest.connections, liar.connections), (1, 1))

    def test_V01_a_liar_that_dials_here_with_an_honest_peers_id_is_dropped_alone(self):
        liar = self.closing(calling(WrongBytes, self.content, 0xe))
        transfer = self.begin(self.honest)
        liar.call(self.getter.address, self.content.id, self.seeder_id)
        self.getter.wait_for_log("wrong bytes")
        self.complete(transfer)
        self.assertEqual(self.honest.connections, 1)

    def test_V01_a_liar_that_comes_back_under_new_names_costs_one_chunk(self):
        liar = self.closing(calling(WrongBytes, self.content, 0xe))
        transfer = self.begin(self.honest)
        for number in range(20):
            liar.call(self.getter.address, self.content.id, f"{number:064x}", ELSEWHERE, 9_000 + number)
        self.getter.wait_for_log("wrong bytes")
        for number in range(20, 40):
            liar.call(self.getter.address, self.content.id, f"{number:064x}", ELSEWHERE, 9_000 + number)
        self.complete(transfer)
        self.assertLessEqual(liar.payload_bytes, CHUNK)

    def test_V01_who_claims_another_peers_address_does_not_keep_it_from_being_dialled(self):
        introducer, getter_id = self.closing(Introducer()), self.getter.status()["peer_id"]
        transfer = self.begin(introducer)
        wait_for(lambda: introducer.asked_by(getter_id), "it asks for peers")
        # It says that it is the honest one, at its place, and brings nothing.
        guest = self.closing(Guest(self.getter.address, self.content.id, int(self.seeder_id, 16),
                                   port=self.honest.port))
        guest.say("GET-PEERS")
        self.assertEqual(guest.answer, "OPENED 0")
        introducer.tell(getter_id, self.honest.address)
        self.complete(transfer)

    def test_E13_a_peer_that_has_no_chunk_hashes_yet_stays(self):
        class NoHashes(Sayer):
            def send_hashes(self, connection):
                pass

            def on_get_hashes(self, connection, file, first):
                self.asked_for_hashes = True
                self.say(connection, f"NO-HASHES {file} {first} 404 not known here yet")

        early = self.closing(NoHashes(self.content, 0xe, "HAVE 0 1"))
        early.asked_for_hashes = False
        transfer = self.begin(early)
        wait_for(lambda: early.asked_for_hashes, "it is asked for chunk hashes")
        self.honest.allow()
        self.closing(calling(SharingPeer, self.content, 0xa)).call(
            self.getter.address, self.content.id, f"{10:064x}")
        self.getter.wait_state(transfer, "complete")
        self.assertEqual(early.connections, 1)


class PlacesTest(P2pTest):
    def test_V02_a_host_with_many_connections_gives_way_to_others(self):
        a, b = self.daemon("a"), self.daemon("b")
        digest = make_file(self.path("x.bin"), MIB)
        shared = a.share(self.path("x.bin"))
        for number in range(64):
            guest = self.closing(Guest(a.address, shared["content_id"], number + 1, ELSEWHERE))
            self.assertEqual(guest.answer, "OPENED 2")
            guest.say("SUBSCRIBE")
        got = b.get(link_to(shared, a))
        self.assert_same_file(got["path"], digest)

    def test_V02_a_connection_that_opens_a_content_and_makes_no_use_of_it_ends(self):
        a = self.daemon("a")
        make_file(self.path("x.bin"), MIB)
        shared = a.share(self.path("x.bin"))
        idle = self.closing(Guest(a.address, shared["content_id"], 1))
        user = self.closing(Guest(a.address, shared["content_id"], 2))
        user.say("SUBSCRIBE")
        self.assertEqual(user.line(), "HAVE 0 2")
        idle.say("PING")
        self.assertEqual(idle.line(), "PONG")
        self.assertEqual(idle.line(), "", "it is closed")
        user.say("PING")
        self.assertEqual(user.line(), "PONG")

    @unittest.skipUnless(LIBRARY, "call_faults.cc is not built here (a sanitizer, or not Linux)")
    def test_E10_a_share_that_is_being_looked_through_is_busy_and_not_unknown(self):
        faults = self.closing(CallFaults(self.path("faults")))
        os.mkdir(self.path("slow"))
        a = self.daemon("a", env=faults.env())
        make_file(self.path("slow", "x.bin"), MIB)
        shared = a.share(self.path("slow", "x.bin"))
        a.stop()
        faults.arm(("open", "openat", "openat2", "fstatat"), last=FOREVER, delay_ms=600_000,
                   beneath=self.path("slow"))
        a.start()
        wait_for(lambda: faults.delayed > 0, "it looks for the file")
        guest = self.closing(Guest(a.address, shared["content_id"], 1))
        self.assertRegex(guest.answer, "^REFUSED 503 ")
        self.assertRegex(self.closing(Guest(a.address, UNKNOWN, 2)).answer, "^REFUSED 404 ")
        with socket.create_connection((LOCALHOST, a.port), 30) as client:
            client.sendall(b"GET_CHUNK x.bin 0\n")
            self.assertRegex(client.recv(100), b"^ERROR 503 ")
        a.kill9()


class SpyTracker(AddressTeller):
    """Keeps what it is told."""

    def __init__(self):
        self.heard = ""
        super().__init__(1, [])

    def _answer(self, words):
        self.heard += " ".join(words) + "\n"
        return super()._answer(words)

    def announced(self, name):
        """How often."""
        lines = self.heard.splitlines()
        return sum(line.startswith("ANNOUNCE ") and line.endswith(" " + name) for line in lines)


class TrackersOfLinksTest(P2pTest):
    def test_V06_a_links_tracker_hears_of_its_transfer_alone_and_goes_with_it(self):
        spy, own = self.closing(SpyTracker()), self.tracker()
        d = self.daemon("d", [own])
        make_file(self.path("payroll.xlsx"), 1_000)
        other = d.share(self.path("payroll.xlsx"))
        content = Content("x.bin", make_bytes(SIZE))
        content.write(self.path("x.bin"))
        seeder = self.daemon("seeder")
        seeder.share(self.path("x.bin"))
        got = d.get(content.magnet(seeder.address) + "&tr=" + spy.address)
        # What the link brought is announced there, and to the user's own tracker.
        wait_for(lambda: spy.announced("x.bin") >= 1, "its own transfer is announced to it")
        own.wait_lists("x.bin", d.address)
        asked = d.get_detached("nowhere.bin")["id"]
        d.wait_state(asked, "error")
        d.restart()
        wait_for(lambda: spy.announced("x.bin") >= 2, "it is announced again")
        own.wait_lists("payroll.xlsx", d.address)
        for word in ("payroll", other["content_id"], "nowhere"):
            self.assertNotIn(word, spy.heard)
        addresses = {tracker["address"] for tracker in d.status()["trackers"]}
        self.assertEqual(addresses, {own.address, spy.address})
        d.must("remove", got["id"])
        wait_for(lambda: spy.open_connections == 0, "it is left")
        self.assertEqual([t["address"] for t in d.status()["trackers"]], [own.address])

    def test_V06_a_paused_transfers_tracker_is_left_and_comes_back_with_it(self):
        spy, d = self.closing(SpyTracker()), self.daemon("d")
        transfer = d.get_detached(f"magnet:?xt=urn:btmh:1220{UNKNOWN}&tr={spy.address}")["id"]
        wait_for(lambda: "PEERS" in spy.heard, "it is asked")
        d.must("pause", transfer)
        wait_for(lambda: spy.open_connections == 0, "it is left")
        spy.heard = ""
        d.must("resume", transfer)
        wait_for(lambda: "PEERS" in spy.heard, "it is asked again")

    def test_V06_a_links_tracker_answers_for_no_name(self):
        spy, own = self.closing(SpyTracker()), self.tracker()
        spy.answer_find = f"FOUND 1 +{len(UNKNOWN) + 5}\n{UNKNOWN} 10 0"
        d = self.daemon("d", [own])
        d.get_detached(f"magnet:?xt=urn:btmh:1220{1:064x}&tr={spy.address}")
        wait_for(lambda: "PEERS" in spy.heard, "it is asked for what it came with")
        result = d.ctl("get", "x.bin")
        self.assertNotEqual(result.code, 0)
        self.assertIn("no peer shares", result.err)
        self.assertNotIn("FIND", spy.heard)


class ToldAddressesTest(P2pTest):
    def refusals(self, daemon, transfer):
        peers = daemon.must("--json", "peers", transfer).objects
        return {p["address"]: p["problem"] for p in peers if "not dialled" in p["problem"]}

    def test_V11_what_a_peer_tells_is_judged_and_refusals_are_shown(self):
        introducer, d = self.closing(Introducer()), self.daemon("d")
        transfer = d.get_detached(f"magnet:?xt=urn:btmh:1220{UNKNOWN}&x.pe={introducer.address}")["id"]
        peer_id = d.status()["peer_id"]
        wait_for(lambda: introducer.asked_by(peer_id), "it asks for peers")
        introducer.tell(peer_id, "127.0.0.1:25", "224.0.0.1:9001", d.address)
        shown = wait_for(lambda: self.refusals(d, transfer), "they are shown")
        self.assertEqual(set(shown), {"127.0.0.1:25", "224.0.0.1:9001", d.address})
        self.assertIn("below 1024", shown["127.0.0.1:25"])
        self.assertIn("this daemon's own", shown[d.address])

    def far_daemon(self):
        """A daemon at an address that is not loopback, and that address."""
        here = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True)
        addresses = [a for a in here.stdout.split() if re.fullmatch(r"[\d.]+", a)]
        if not addresses:
            self.skipTest("this host has no address but loopback")
        return self.daemon("d", listen=f"{addresses[0]}:0"), addresses[0]

    def test_V11_loopback_addresses_that_a_peer_elsewhere_tells_are_not_dialled(self):
        bystander = self.closing(Bystander())
        d, here = self.far_daemon()
        transfer = d.get_detached(f"magnet:?xt=urn:btmh:1220{UNKNOWN}")["id"]
        guest = self.closing(Guest(d.address, UNKNOWN, 7, here))
        self.assertEqual(guest.answer, "OPENED 0")
        while guest.line() != "GET-PEERS":
            pass
        guest.tell_peers(bystander.address)
        shown = wait_for(lambda: self.refusals(d, transfer), "it is shown")
        self.assertIn("of this host alone", shown[bystander.address])
        self.assertEqual(bystander.connections, 0)

    def test_E12_a_name_leads_through_the_same_door(self):
        bystander = self.closing(Bystander())
        own = self.closing(AddressTeller(10, []))
        nowhere = f"0.0.0.0:{bystander.port}"  # which would be this host
        line = f"- 10 2 169.254.1.1:9001 {nowhere}"
        own.answer_find = f"FOUND 1 +{len(line) + 1}\n{line}"
        d = self.daemon("d", [own])
        transfer = d.get_detached("x.bin", allow_unverified=True)["id"]
        shown = wait_for(lambda: self.refusals(d, transfer), "they are refused")
        self.assertEqual(set(shown), {"169.254.1.1:9001", nowhere})
        self.assertEqual(bystander.connections, 0)


class Namesake(ExtensionPeer):
    """Says that it shares each name, as `content_id`."""

    content_id = UNKNOWN

    def on_which(self, connection, *_):
        self.say(connection, f"CONTENTS {self.content_id}")


class NamesTest(P2pTest):
    def check_question(self, tracker, *told):
        result = self.daemon("d", [tracker]).ctl("get", "x.bin")
        self.assertNotEqual(result.code, 0)
        self.assertIn("contents of that name", result.err)
        for text in told:
            self.assertIn(text, result.err)

    def original_tracker(self, size, *peers):
        tracker = self.closing(OriginalTracker())
        with socket.create_connection(("127.0.0.1", tracker.port), 30) as connection:
            for peer in peers:
                connection.sendall(f"REGISTER x.bin {size} {peer.address}\n".encode())
                connection.recv(100)
        return tracker

    def test_peers_that_give_different_contents_for_a_name_are_a_question(self):
        peers = [self.closing(Namesake(n)) for n in (1, 2)]
        for number, peer in enumerate(peers, 1):
            peer.content_id = f"{number:064x}"
        self.check_question(self.original_tracker(10, *peers), f"{1:064x}", f"{2:064x}")

    def test_one_peer_that_gives_a_content_id_does_not_choose_for_those_that_give_none(self):
        liar = self.closing(Namesake(1))
        honest = self.closing(OriginalPeer({"x.bin": make_bytes(1_000)}))
        self.check_question(self.original_tracker(1_000, liar, honest), UNKNOWN)

    def test_a_content_of_another_size_than_the_tracker_told_is_a_question(self):
        content = Content("x.bin", make_bytes(SIZE))
        liar = self.closing(type("Liar", (Namesake, SharingPeer), {})(content, 1))
        liar.content_id = content.id
        self.check_question(self.original_tracker(1_000, liar), content.id)

    def test_a_content_and_a_file_of_another_size_under_one_name_are_a_question(self):
        honest = self.closing(OriginalPeer({"x.bin": make_bytes(1_000)}))
        tracker = self.tracker()
        honest.register_at(tracker.address)
        other = self.daemon("other", [tracker])
        make_file(self.path("x.bin"), 2_000)
        shared = other.share(self.path("x.bin"))
        wait_for(lambda: shared["content_id"] in find(tracker, "x.bin"), "both are registered")
        self.check_question(tracker, shared["content_id"], "original protocol")


def find(tracker, name):
    with socket.create_connection((LOCALHOST, tracker.port), 30) as connection:
        connection.sendall(f"FIND {name}\n".encode())
        with connection.makefile("rb") as answer:
            count = int(answer.readline().rpartition(b"+")[2])
            return answer.read(count).decode()


if __name__ == "__main__":
    unittest.main()
