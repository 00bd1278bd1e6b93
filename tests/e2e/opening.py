"""The opening chunk: what a download asks of its only and far-away peer before it knows anything."""
import os
import time

from p2p_content import CHUNK, MIB, Content, make_bytes
from p2p_evil_trackers import AddressTeller
from p2p_harness import P2pTest, wait_for
from p2p_peer import Guest, SharingPeer

SIZE = 6 * MIB + 3
PARTS = 8
LEAVES = 32 // PARTS


class FarTracker(AddressTeller):
    """Takes its time for each answer, as if it were far away."""

    def _answer(self, words):
        time.sleep(0.05)
        return super()._answer(words)


class Opener(SharingPeer):
    """Grants `chunk` on every connection."""

    chunk = 5

    def __init__(self, content, number):
        self.granted = []
        super().__init__(content, number)

    def on_get_opening(self, connection, first, count):
        with self._lock:
            self.granted.append((int(first), int(count)))
            self._lock.notify_all()
        self.say(connection, f"OPENING {self.chunk}")
        self.send_opening(connection, int(first), int(count))

    def send_opening(self, connection, first, count):
        self.send_leaves(connection, self.chunk, first, count)

    def _wait_for_openings(self, count=PARTS):
        """Far away they are all asked for before the first answer is there."""
        with self._lock:
            self._lock.wait_for(lambda: self._closed or len(self.granted) >= count)

    def on_get_manifest(self, connection, max_hashes):
        # On this connection the opening is asked for behind it.
        self._wait_for_openings(PARTS - 1)
        super().on_get_manifest(connection, max_hashes)

    def on_request(self, connection, first, count):
        self._wait_for_openings()
        super().on_request(connection, first, count)

    def on_request_leaves(self, connection, index, first, count):
        self._wait_for_openings()
        super().on_request_leaves(connection, index, first, count)


class OpeningCounter(SharingPeer):
    """Grants nothing."""

    openings_asked = 0

    def on_get_opening(self, _connection, _first, _count):
        self.openings_asked += 1


class WrongOpener(Opener):
    def send_payload(self, connection, payload):
        super().send_payload(connection, bytes([payload[0] ^ 0xff]) + payload[1:])


class NoChunkOpener(Opener):
    """Grants a chunk that the content does not have."""

    chunk = 4_000

    def send_opening(self, connection, first, count):
        pass


class LastChunkOpener(Opener):
    """Grants the last one, which has three bytes, and sends as many as were asked for."""

    def __init__(self, content, number):
        self.chunk = content.chunk_count - 1
        super().__init__(content, number)

    def send_opening(self, connection, first, count):
        payload = bytes(count * 16_384)
        self.say(connection, f"LEAVES {self.chunk} {first} {count} {'0' * 192} +{len(payload)}")
        self.send_payload(connection, payload)


class SilentOpener(Opener):
    """Grants, and sends nothing of it."""

    def send_opening(self, connection, first, count):
        pass


class RefusingOpener(Opener):
    """Grants, and then has nothing of it."""

    def send_opening(self, connection, first, count):
        self.say(connection, f"REJECT-LEAVES {self.chunk} {first} {count} 409 not there yet")


class FullOpener(SilentOpener):
    """Has no room for the first connection, where GET-PEERS is asked, once it has granted on all others."""

    refused = None  # the connection

    def on_open(self, connection, _):
        pass  # answered with what follows it

    def on_get_opening(self, connection, first, count):
        if connection is self.refused:
            return
        super().on_open(connection, None)
        super().on_get_opening(connection, first, count)

    def on_get_peers(self, connection):
        if self.refused is not None:
            super().on_open(connection, None)
        else:
            self._wait_for_openings(PARTS - 1)
            self.refused = connection
            self.say(connection, "REFUSED 503 it has as many connections as it may")
        super().on_get_peers(connection)

    def on_request(self, connection, first, count):
        SharingPeer.on_request(self, connection, first, count)

    def on_request_leaves(self, connection, index, first, count):
        SharingPeer.on_request_leaves(self, connection, index, first, count)


class HashlessOpener(Opener):
    """Grants on its further connections, never sends that, and has no chunk hashes."""

    def send_hashes(self, _):
        pass

    def send_opening(self, connection, first, count):
        if first == 0:
            super().send_opening(connection, first, count)


class HoldingOpener(Opener):
    """Gives nothing behind its first chunk before it is told to."""

    released = False

    def release(self):
        with self._lock:
            self.released = True
            self._lock.notify_all()

    def _wait_for_openings(self, count=PARTS):
        super()._wait_for_openings(count)
        with self._lock:
            self._lock.wait_for(lambda: self._closed or self.released or count < PARTS)


class OpeningTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.content = Content("x.bin", make_bytes(SIZE))
        self.digest = self.content.write(self.path("x.bin"))

    def seeder(self):
        seeder = self.daemon("seeder")
        self.assertEqual(seeder.share(self.path("x.bin"))["content_id"], self.content.id)
        return seeder

    def begin(self, kind, told_size=SIZE):
        """A download from that peer alone, which a far tracker names."""
        self.peer = self.closing(kind(self.content, 0xa))
        self.tracker = self.closing(FarTracker(told_size, [self.peer.address]))
        self.getter = self.daemon(f"{kind.__name__}-{told_size}", [self.tracker])
        return self.getter.get_detached(self.content.id)["id"]

    def check_opened(self, transfer):
        self.complete(transfer)
        wanted = [(part * LEAVES, LEAVES) for part in range(PARTS)]
        self.assertEqual(sorted(self.peer.granted), wanted)
        # Of the opening, what is told here late may have been asked for, too.
        self.assertLess(self.peer.payload_bytes, SIZE + CHUNK)
        self.assertEqual(self.peer.connections, PARTS)

    def complete(self, transfer):
        self.getter.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(self.getter.downloads, "x.bin"), self.digest)

    def complete_by_honest(self, transfer):
        self.tracker.addresses.append(self.seeder().address)
        self.complete(transfer)

    def test_all_connections_together_bring_one_chunk_and_one_of_them_the_rest(self):
        self.check_opened(self.begin(Opener))

    def test_whoever_names_the_content_has_an_opening_as_well(self):
        self.peer = self.closing(Opener(self.content, 0xa))
        self.tracker = self.closing(FarTracker(SIZE, []))
        version = f"{self.content.id} {SIZE} 1 {self.peer.address}"
        self.tracker.answer_find = f"FOUND 1 +{len(version) + 1}\n{version}"
        self.getter = self.daemon("getter", [self.tracker])
        self.check_opened(self.getter.get_detached("x.bin")["id"])

    def test_of_several_trackers_the_nearest_tells_how_far_peers_are(self):
        # It is asked for a name before, so that it has answered.
        near = self.closing(AddressTeller(SIZE, []))
        self.peer = self.closing(OpeningCounter(self.content, 0xa))
        self.tracker = self.closing(FarTracker(SIZE, [self.peer.address]))
        self.getter = self.daemon("getter", [near, self.tracker])
        self.assertNotEqual(self.getter.ctl("get", "unknown").code, 0)
        self.complete(self.getter.get_detached(self.content.id)["id"])
        self.assertEqual((self.peer.connections, self.peer.openings_asked), (1, 0))

    def test_a_peer_that_knows_no_openings_is_as_good(self):
        transfer = self.begin(SharingPeer)
        self.complete(transfer)
        self.assertEqual(self.peer.payload_bytes, SIZE)

    def test_a_size_that_nobody_grants_an_opening_of_is_dialled_once(self):
        for size in (CHUNK - 1, 128 * MIB + 1):
            with self.subTest(size=size):
                transfer = self.begin(OpeningCounter, size)
                self.complete(transfer)
                self.assertEqual((self.peer.connections, self.peer.openings_asked), (1, 0))
                self.getter.stop()

    def test_further_connections_end_with_the_first_chunk(self):
        transfer = self.begin(HoldingOpener)
        wait_for(lambda: len(self.peer.granted) == PARTS, "all is granted")
        wait_for(lambda: self.peer.open_connections == 1, "the others are closed")
        self.assertEqual(self.getter.transfer(transfer)["state"], "downloading")
        self.peer.release()
        self.complete(transfer)

    def test_C14_without_hashes_nothing_is_asked_for_and_an_honest_peer_completes_it(self):
        transfer = self.begin(HashlessOpener)
        wait_for(lambda: len(self.peer.granted) >= PARTS - 1, "it grants")
        # Longer than it takes until what is late is asked of another link as well.
        time.sleep(4)
        self.assertEqual(self.peer.asked, 0)
        self.complete_by_honest(transfer)

    def test_where_there_is_no_room_for_the_first_the_others_make_way(self):
        transfer = self.begin(FullOpener)
        # Before the others are given up because nothing comes of what they granted, after 30 s.
        wait_for(lambda: self.peer.connections == PARTS + 1, "it is dialled once more", deadline=20)
        self.complete(transfer)

    def test_what_was_granted_and_never_comes_is_asked_of_others(self):
        transfer = self.begin(SilentOpener)
        wait_for(lambda: len(self.peer.granted) == PARTS, "all is granted")
        self.complete_by_honest(transfer)

    def test_what_was_granted_and_is_refused_is_asked_for_again(self):
        self.complete(self.begin(RefusingOpener))

    def test_C04_a_wrong_opening_costs_one_chunk_and_its_peer(self):
        transfer = self.begin(WrongOpener)
        wait_for(lambda: "dropped: it sent wrong bytes for chunk 5" in self.getter.log(), "it is told")
        self.complete_by_honest(transfer)
        # Where the first of it is here before all is granted, a part more is asked for.
        self.assertLessEqual(self.peer.payload_bytes, CHUNK + CHUNK // PARTS)

    def test_C11_an_opening_that_is_no_full_chunk_of_the_content_costs_its_peer(self):
        for kind in (NoChunkOpener, LastChunkOpener):
            with self.subTest(kind=kind.__name__):
                transfer = self.begin(kind)
                wait_for(lambda: self.peer.address in self.getter.log(), "it is told")
                self.complete_by_honest(transfer)
                self.getter.stop()

    def guest(self, seeder, number):
        guest = self.closing(Guest(seeder.address, self.content.id, number, leaves=True))
        self.assertEqual(guest.answer, f"OPENED {self.content.chunk_count}")
        return guest

    def check_opening(self, guest, part):
        """The chunk that is granted."""
        first = part * LEAVES
        guest.say(f"GET-OPENING {first} {LEAVES}")
        chunk = int(guest.line().removeprefix("OPENING "))
        proof = "".join(h.hex() for h in self.content.proof(chunk, first, LEAVES))
        payload = self.content.leaves(chunk, first, LEAVES)
        self.assertEqual(guest.line(), f"LEAVES {chunk} {first} {LEAVES} {proof} +{len(payload)}")
        self.assertEqual(guest.payload(len(payload)), payload)
        return chunk

    def test_a_peer_is_granted_one_chunk_on_all_its_connections_and_others_other_ones(self):
        seeder = self.seeder()
        chosen = []
        for number in range(1, 5):
            chunks = {self.check_opening(self.guest(seeder, number), part) for part in range(PARTS)}
            self.assertEqual(len(chunks), 1)
            chosen += chunks
        self.assertEqual(len(set(chosen)), 4)

    def test_there_is_none_without_leaves_nor_twice(self):
        seeder = self.seeder()
        old = self.closing(Guest(seeder.address, self.content.id, 1))
        old.say("GET-OPENING 0 4", "PING")
        self.assertEqual(old.line(), "PONG")
        guest = self.guest(seeder, 2)
        self.check_opening(guest, 0)
        guest.say("GET-OPENING 0 4")
        self.assertEqual(guest.line(), "ERROR 400 GET-OPENING comes only once")

    def test_further_connections_of_a_peer_leave_room_for_others(self):
        seeder = self.seeder()
        for _ in range(32):
            self.guest(seeder, 1)
        refused = self.closing(Guest(seeder.address, self.content.id, 1))
        self.assertEqual(refused.answer, "REFUSED 503 it has as many connections as it may")
        self.guest(seeder, 2)
