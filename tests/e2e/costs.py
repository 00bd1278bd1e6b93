"""What another side can make a daemon spend is bounded, and others are served meanwhile."""
import hashlib
import os
import threading

from p2p_content import (CHUNK, LEAF, MIB, Content, PaddedContent, huge_manifest, make_bytes,
                         make_file)
from p2p_evil_peers import Sayer
from p2p_harness import LOCALHOST, P2pTest, anonymous_bytes, link_to, wait_for
from p2p_peer import Guest, SharingPeer
from p2p_proxy import Proxy


class HugeContent:
    """One file of 1 PiB, of which nobody has a byte."""
    chunk_hashes = []
    chunk_count = 2**50 // CHUNK
    magnet = Content.magnet

    def __init__(self):
        self.info = huge_manifest("huge", 2**50)
        self.id = hashlib.sha256(self.info).hexdigest()


class WithoutHashes(SharingPeer):
    def send_hashes(self, connection):
        pass

    def on_get_hashes(self, connection, file, first):
        self.say(connection, f"NO-HASHES {file} {first} 409 later")


class LeavesOnly(SharingPeer):
    """Refuses the last chunk as a whole."""

    def send_chunk(self, connection, index):
        if index == self.content.chunk_count - 1:
            return self.say(connection, f"REJECT {index} 503 leaves alone")
        return super().send_chunk(connection, index)


class OwesManifest(SharingPeer):
    """States the largest manifest there is, and sends a byte of its first part."""

    def __init__(self, content, number):
        self.asked_for_manifest = False
        super().__init__(content, number)

    def on_get_manifest(self, connection, _):
        self.asked_for_manifest = True
        self.say(connection, f"MANIFEST {64 * MIB} 0 +{MIB // 4}")
        connection.sendall(b"d")


class CostsTest(P2pTest):
    def test_V04_S17_a_manifest_of_a_pebibyte_is_refused_before_anything_grows_with_it(self):
        content = HugeContent()
        peer = self.closing(WithoutHashes(content, 0xe))
        daemon = self.daemon("d")
        before = anonymous_bytes(daemon.pid)
        transfer = daemon.get_detached(content.magnet(peer.address))["id"]
        self.assertIn("not enough space", daemon.wait_state(transfer, "error")["error"])
        self.assertLess(anonymous_bytes(daemon.pid) - before, 16 * MIB)
        # Neither a restart nor a second try changes that.
        daemon.restart()
        before = anonymous_bytes(daemon.pid)
        self.assertIn("not enough space", daemon.wait_state(transfer, "error")["error"])
        daemon.must("resume", transfer)
        self.assertIn("not enough space", daemon.wait_state(transfer, "error")["error"])
        self.assertLess(anonymous_bytes(daemon.pid) - before, 16 * MIB)

    def test_V10_what_is_padded_with_something_else_is_not_had_by_its_leaves(self):
        content = PaddedContent("x.bin", make_bytes(CHUNK + 20 * LEAF))
        liar = self.closing(LeavesOnly(content, 0xe))
        beginner = self.closing(Sayer(content, 0xb, "HAVE 0 1"))
        daemon = self.daemon("d")
        source = content.magnet(liar.address, beginner.address)
        transfer = daemon.get_detached(source)["id"]
        daemon.wait_for_log("dropped: it sent wrong bytes for chunk 1")
        seen = daemon.transfer(transfer)
        self.assertEqual(seen["state"], "downloading")
        self.assertLess(seen["bytes_done"], len(content.data))

    def test_V09_peers_that_owe_the_manifest_do_not_wait_for_each_other(self):
        content = Content("x.bin", make_bytes(3 * MIB))
        digest = content.write(self.path("x.bin"))
        seeder, getter = self.daemon("seeder"), self.daemon("getter")
        seeder.share(self.path("x.bin"))
        liars = [self.closing(OwesManifest(content, n + 1)) for n in range(3)]
        honest = self.closing(Proxy((LOCALHOST, seeder.port), budget=0))
        source = content.magnet(*[peer.address for peer in (*liars, honest)])
        transfer = getter.get_detached(source)["id"]
        for liar in liars:
            wait_for(lambda l=liar: l.asked_for_manifest, "each of them is asked")
        # Whoever dials in is asked beside them, and not in their place.
        guests = [self.closing(Guest(getter.address, content.id, 0x70 + n)) for n in range(8)]
        self.assertTrue(all(guest.answer.startswith("OPENED") for guest in guests))
        honest.allow()
        getter.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(getter.downloads, "x.bin"), digest)

    def test_V08_cancels_beside_a_full_queue_leave_others_their_turn(self):
        digest = make_file(self.path("x.bin"), 64 * MIB)
        seeder, getter = self.daemon("seeder"), self.daemon("getter")
        shared = seeder.share(self.path("x.bin"))
        guests = [self.closing(Guest(seeder.address, shared["content_id"], n + 1, leaves=True))
                  for n in range(4)]
        for guest in guests:
            guest.say(*[f"REQUEST-LEAVES {n % 128} {n % 8 * 4} 4" for n in range(4_000)])
        over = threading.Event()
        floods = [threading.Thread(target=self.flood, args=(guest, over)) for guest in guests]
        for flood in floods:
            flood.start()
        got = getter.get(link_to(shared, seeder))
        over.set()
        for flood in floods:
            flood.join()
        self.assert_same_file(got["path"], digest)

    @staticmethod
    def flood(guest, over):
        while not over.is_set():
            guest.say(*["CANCEL 5000000 1"] * 1_000)
