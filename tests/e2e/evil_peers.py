"""Peers that harm a download, beside one honest peer: it completes, and they cost little."""
import os

from p2p_content import CHUNK, MIB, Content, make_bytes
from p2p_evil_peers import (Deaf, EndlessHeader, Flooder, HashesWithAProof, PartOfARun,
                            ProofOfAnotherLength, Refuser, ResetInTheMiddle, Sayer, Staller,
                            Trickle, WrongBytes, WrongChunk, nine_of_ten)
from p2p_harness import LOCALHOST, P2pTest, anonymous_bytes, wait_for
from p2p_peer import Guest
from p2p_proxy import Proxy

SIZE = 6 * MIB + 3
# What passes of the honest peer before it is let go: it is connected, and gives nothing yet.
GREETING = 2_000


class EvilPeersTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.content = Content("x.bin", make_bytes(SIZE))
        self.digest = self.content.write(self.path("x.bin"))
        self.seeder = self.daemon("seeder")
        self.assertEqual(self.seeder.share(self.path("x.bin"))["content_id"], self.content.id)
        self.honest = self.closing(Proxy((LOCALHOST, self.seeder.port), budget=GREETING))
        self.getter = self.daemon("getter")

    def peer(self, kind, *arguments):
        return self.closing(kind(self.content, *arguments))

    def beginner(self):
        """Has the first chunk alone, and gives it: while it is there, leaves are asked for."""
        return self.peer(Sayer, 0xb, "HAVE 0 1")

    def begin(self, *peers):
        return self.begin_without_honest(*peers, self.honest)

    def begin_without_honest(self, *peers):
        source = self.content.magnet(*[peer.address for peer in peers])
        return self.getter.get_detached(source)["id"]

    def complete(self, transfer):
        """From the honest peer, which is not taken for anything else."""
        self.honest.allow()
        self.getter.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(self.getter.downloads, "x.bin"), self.digest)
        self.assertEqual(self.told_of(self.honest), [])
        self.assertEqual(self.honest.connections, 1)

    def download_beside(self, *evil):
        transfer = self.begin(*evil)
        for peer in evil:
            wait_for(lambda p=peer: p.asked, f"a {type(peer).__name__} is asked for something")
        self.complete(transfer)

    def told_of(self, peer):
        """The lines of the log about it."""
        return [line for line in self.getter.log().splitlines() if peer.address in line]

    def check_told_once(self, peer, reason):
        lines = wait_for(lambda: self.told_of(peer), lambda: f"it is told: {self.getter.log()}")
        self.assertIn(reason, lines[0])
        self.assertEqual(len(lines), 1, lines)

    def check_liar(self, peer, *others):
        self.download_beside(peer, *others)
        self.check_told_once(peer, "dropped: it sent wrong bytes for chunk")
        self.assertEqual(peer.connections, 1)
        self.assertLessEqual(peer.payload_bytes, CHUNK)

    def test_C04_a_chunk_of_wrong_bytes_costs_that_chunk(self):
        self.check_liar(self.peer(WrongBytes, 0xe))

    def test_C04_leaves_of_wrong_bytes_cost_those_leaves(self):
        self.check_liar(self.peer(WrongBytes, 0xe), self.beginner())

    def test_C11_true_bytes_of_another_chunk_are_wrong(self):
        self.check_liar(self.peer(WrongChunk, 0xe))

    def test_C11_true_leaves_of_another_chunk_are_wrong(self):
        self.check_liar(self.peer(WrongChunk, 0xe), self.beginner())

    def test_C14_proofs_that_are_too_long_or_too_short_prove_nothing(self):
        liars = [self.peer(ProofOfAnotherLength, n, more) for n, more in enumerate((-3, -1, 1), 1)]
        self.download_beside(*liars, self.beginner())
        for liar in liars:
            self.check_told_once(liar, "dropped: it sent wrong bytes for chunk")
            self.assertLessEqual(liar.payload_bytes, CHUNK // 2)

    def check_hashes(self, kind):
        liar = self.peer(kind, 0xe)
        transfer = self.begin_without_honest(liar)
        self.check_told_once(liar, "dropped: it sent wrong chunk hashes")
        self.getter.must("remove", transfer)
        self.complete(self.begin(liar))

    def test_C14_chunk_hashes_with_a_proof_that_is_too_long_are_refused(self):
        self.check_hashes(HashesWithAProof)

    def test_C14_chunk_hashes_that_are_not_all_of_their_run_are_refused(self):
        self.check_hashes(PartOfARun)

    def test_C01_a_header_without_end_ends_the_connection(self):
        evil = self.peer(EndlessHeader, 0xe)
        self.download_beside(evil)
        self.check_told_once(evil, "broke the protocol")

    def test_C05_a_reset_in_the_middle_of_each_chunk_costs_what_was_sent(self):
        evil = self.peer(ResetInTheMiddle, 0xe)
        self.download_beside(evil)
        self.assertLessEqual(evil.payload_bytes, evil.connections * CHUNK)

    def test_C07_one_byte_a_second_holds_up_nothing(self):
        self.download_beside(self.peer(Trickle, 0xe))

    def test_C07_a_peer_that_reads_nothing_holds_up_nothing(self):
        self.download_beside(self.peer(Deaf, 0xe))

    def test_C10_peers_that_claim_all_and_refuse_or_ignore_everything_hold_up_nothing(self):
        self.download_beside(self.peer(Refuser, 0xe), self.peer(Staller, 0xf))

    def check_nine(self, *others):
        evil = [self.closing(peer) for peer in nine_of_ten(self.content)]
        self.download_beside(*evil, *others)
        for peer in evil:
            with self.subTest(kind=type(peer).__name__):
                self.assertLessEqual(peer.payload_bytes, CHUNK * peer.connections)
        for liar in evil[:3]:
            self.assertLessEqual((liar.connections, liar.payload_bytes), (1, CHUNK))
        return evil

    def test_C09_with_nine_evil_peers_of_ten_it_completes_at_one_chunk_for_each(self):
        self.check_nine()

    def test_C09_with_nine_evil_peers_of_ten_it_completes_at_one_range_of_leaves_for_each(self):
        self.check_nine(self.beginner())

    def chunks_told(self, guest, line):
        verb, *words = line.split()
        if verb == "HAVE":
            return set(range(int(words[0]), int(words[0]) + int(words[1])))
        if verb == "HAVE-BITS":
            bits = guest.payload(int(words[1]))
            return {i for i in range(self.content.chunk_count) if bits[i // 8] >> (7 - i % 8) & 1}
        return set()

    def test_C09_what_liars_gave_is_never_announced(self):
        liars = [self.peer(WrongBytes, 1), self.peer(WrongChunk, 2),
                 self.peer(ProofOfAnotherLength, 3, 1), self.peer(WrongBytes, 4)]
        # The last chunk has no proof to lie about.
        for liar in liars[:3]:
            liar.on_subscribe = lambda connection, peer=liar: peer.say(
                connection, f"HAVE 0 {self.content.chunk_count - 1}")
        transfer = self.begin(*liars)
        guest = self.closing(Guest(self.getter.address, self.content.id, 5))
        for liar in liars:
            wait_for(lambda p=liar: self.told_of(p), "it is found out")
        guest.say("SUBSCRIBE", "PING")
        # The last chunk has 3 bytes: it may come from the honest one, behind its greeting.
        last = self.content.chunk_count - 1
        while (line := guest.line()) != "PONG":
            self.assertLessEqual(self.chunks_told(guest, line), {last})
        # What came in counts until it is judged.
        self.getter.wait_transfer(transfer, lambda t: t["bytes_done"] <= 3, "nothing is believed")
        self.complete(transfer)
        # Now it is told of chunks, and each of them is right.
        told = set()
        while len(told) < self.content.chunk_count:
            told |= self.chunks_told(guest, guest.line())
        for index in sorted(told):
            guest.say(f"REQUEST {index} 1")
            chunk = self.content.chunk(index)
            while not (line := guest.line()).startswith("CHUNK"):
                pass
            self.assertEqual(line, f"CHUNK {index} +{len(chunk)}")
            self.assertEqual(guest.payload(len(chunk)), chunk)

    HUGE = [
        f"HAVE 0 {2**32 - 1}", f"HAVE {2**64} 1", f"HAVE {2**32 - 1} {2**32 - 1}",
        f"HAVE-BITS 0 +{2**32}", f"HAVE-BITS {2**31 - 8} +65536", f"LOST {2**31} {2**31}",
        f"HAVE-LEAVES {2**32} 0 1", f"HAVE-LEAVES 0 {2**32 - 1} 2", f"CHUNK 0 +{10**30}",
        f"LEAVES 0 0 16 0 +{2**64}", f"HASHES 0 0 {2**32 - 1} {2**32 - 1} +32",
        f"MANIFEST {2**40} 0 +1", f"REJECT {2**70} 503 no", f"OPENED {2**31}",
    ]

    def test_C02_C14_huge_numbers_in_any_field_end_the_connection_and_cost_nothing(self):
        evil = [self.peer(Sayer, 0x100 + i, line) for i, line in enumerate(self.HUGE)]
        before = anonymous_bytes(self.getter.pid)
        transfer = self.begin(*evil)
        for peer in evil:
            lines = wait_for(lambda p=peer: self.told_of(p), f"{peer.line!r} is told")
            self.assertIn("broke the protocol", lines[0])
        self.assertLess(anonymous_bytes(self.getter.pid) - before, 32 * MIB)
        self.complete(transfer)

    def check_flood(self, lines, is_ended):
        evil = self.peer(Flooder, 0xe, lines)
        before = anonymous_bytes(self.getter.pid)
        transfer = self.begin(evil)
        # Before the download has ended, which ends its connections, too.
        wait_for(lambda: evil.was_ended if is_ended else evil.flooded > 16 * MIB, "it floods")
        self.assertLess(anonymous_bytes(self.getter.pid) - before, 48 * MIB)
        self.complete(transfer)
        return evil

    def test_C12_a_flood_of_haves_is_ended(self):
        evil = self.check_flood("HAVE 0 12\nHAVE 1 11\nHAVE 5 1\n", is_ended=True)
        self.check_told_once(evil, "again and again")

    def test_C12_a_flood_of_leaves_is_ended(self):
        evil = self.check_flood("HAVE-LEAVES 2 0 16\nHAVE-LEAVES 3 4 4\n", is_ended=True)
        self.check_told_once(evil, "again and again")

    def test_a_flood_of_unknown_verbs_harms_nobody(self):
        self.check_flood("FUTURE 1 2 3 +4\nabcdPREFER 5\n", is_ended=False)
