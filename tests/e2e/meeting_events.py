"""What the user or a disk does at the moment at which something else is under way."""
import os
import unittest

from p2p_call_faults import LIBRARY, PROGRAM, CallFaults
from p2p_content import MIB, make_bytes, make_file, make_tree
from p2p_harness import LOCALHOST, P2pTest, link_to, wait_for
from p2p_peer import Guest
from p2p_proxy import Proxy

MINUTE_MS = 60_000


@unittest.skipUnless(LIBRARY, "call_faults.cc is not built here (a sanitizer, or not Linux)")
class MeetingEventsTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.faults = self.closing(CallFaults(self.path("faults")))
        self.digest = make_file(self.path("x.bin"), 4 * MIB)

    def hold_up(self, kind, place):
        self.faults.arm(kind, delay_ms=MINUTE_MS, beneath=place, modules=(PROGRAM,))

    def get_held_up(self, kind):
        """A download of x.bin, everything of which is here, and that waits in a call."""
        a, self.b = self.daemon("a"), self.daemon("b", env=self.faults.env())
        shared = a.share(self.path("x.bin"))
        self.hold_up(kind, self.b.downloads)
        transfer = self.b.get_detached(link_to(shared, a))["id"]
        wait_for(lambda: self.faults.delayed, "it waits")
        self.b.wait_bytes(transfer, 4 * MIB, "all of it is here")
        self.shared = shared
        return transfer

    def expect_served(self, transfer):
        self.b.wait_state(transfer, "complete")
        self.assertNotIn("is its disk mounted?", self.b.log())
        guest = self.closing(Guest(self.b.address, self.shared["content_id"], 7))
        self.assertTrue(guest.answer.startswith("OPENED"), guest.answer)
        self.assert_same_file(os.path.join(self.b.downloads, "x.bin"), self.digest)

    def test_E01_verify_while_a_download_gets_its_name(self):
        transfer = self.get_held_up("renameat2")
        self.b.must("verify", transfer, "--detach")
        self.faults.disarm()
        self.expect_served(transfer)
        self.assertIn("checking", self.b.log().rpartition("complete")[0])

    def test_E08_a_download_whose_end_is_reached_twice_is_finished_once(self):
        transfer = self.get_held_up("fdatasync")
        # Its end asks whether all is here, as the last chunk did.
        self.b.must("verify", transfer, "--detach")
        self.b.wait_state(transfer, "downloading")
        self.faults.disarm()
        self.expect_served(transfer)

    def test_E18_what_is_removed_while_it_gets_its_name_takes_no_other_one(self):
        transfer = self.get_held_up("renameat2")
        removing = self.b.start_ctl("remove", str(transfer))
        wait_for(lambda: not self.b.transfers(), "it is being removed")
        other = self.daemon("other")
        os.mkdir(self.path("others"))
        make_file(self.path("others", "x.bin"), 20 * MIB, seed=2)
        proxy = self.closing(Proxy((LOCALHOST, other.port), budget=8 * MIB))
        second = self.b.start_ctl("get", link_to(other.share(self.path("others", "x.bin")), proxy))
        second.communicate(timeout=30)
        self.assertEqual(second.returncode, 1, "the .part of the first is in the way")
        self.assertIsNone(removing.poll(), "it waits for the end of the first")
        self.faults.disarm()
        removing.communicate(timeout=30)
        self.assertEqual(removing.returncode, 0)
        # It was whole, and stays as after any removal.
        self.assertEqual(os.listdir(self.b.downloads), ["x.bin"])
        self.assert_same_file(os.path.join(self.b.downloads, "x.bin"), self.digest)

    def test_E19_of_two_trees_at_one_target_one_has_the_part(self):
        make_tree(self.path("tree"), {"one": b"1" * 1000, "two": b"2" * 1000})
        a, b = self.daemon("a"), self.daemon("b", env=self.faults.env())
        other = self.daemon("other", downloads=b.downloads)
        proxy = self.closing(Proxy((LOCALHOST, a.port)))
        source = link_to(a.share(self.path("tree")), proxy)
        self.hold_up("mkdirat", b.downloads)
        late = b.get_detached(source)["id"]
        wait_for(lambda: self.faults.delayed, "one is being made")
        # The manifest, and nothing of the files.
        proxy.hold()
        proxy.allow(500)
        early = other.get_detached(source)["id"]
        wait_for(lambda: "tree.part" in os.listdir(b.downloads), "the other one is made")
        self.faults.disarm()
        b.wait_state(late, "error")
        self.assertIn("already exists", b.transfer(late)["error"])
        proxy.allow()
        other.wait_state(early, "complete")
        self.assertEqual(os.listdir(b.downloads), ["tree"])

    def test_E05_what_is_removed_while_its_part_is_made_leaves_none(self):
        make_tree(self.path("tree"), {"one": b"1", "two": b"2"})
        a, b = self.daemon("a"), self.daemon("b", env=self.faults.env())
        source = link_to(a.share(self.path("tree")), a)
        self.hold_up("mkdirat", b.downloads)
        transfer = b.get_detached(source)["id"]
        wait_for(lambda: self.faults.delayed, "it is being made")
        removing = b.start_ctl("remove", str(transfer))
        wait_for(lambda: not b.transfers(), "it is being removed")
        self.faults.disarm()
        self.assertEqual(removing.wait(), 0)
        removing.communicate()
        self.assertEqual(os.listdir(b.downloads), [])
        b.get(source)

    def test_E04_a_second_file_that_changed_is_looked_at_after_the_first(self):
        names = ("one", "two")
        make_tree(self.path("tree"), {name: name.encode() * 1000 for name in names})
        a = self.daemon("a", env=self.faults.env())
        shared = a.share(self.path("tree"))
        guest = self.closing(Guest(a.address, shared["content_id"], 7))
        for name in names:
            os.utime(self.path("tree", name))
        self.hold_up("pread", self.path("tree", "one"))
        guest.say("REQUEST 0 1")
        wait_for(lambda: self.faults.delayed, "the first is being hashed")
        guest.say("REQUEST 1 1", "PING")
        self.assertEqual(guest.line(), "PONG")
        # Asked after that, so what is told comes after it as well.
        self.assertEqual(a.transfer(shared["id"])["state"], "checking")
        self.faults.disarm()
        got = {}
        while len(got) < 2:
            verb, *words = guest.line().split()
            if verb == "CHUNK":
                got[int(words[0])] = guest.payload(int(words[1]))
        self.assertEqual(got, {n: name.encode() * 1000 for n, name in enumerate(names)})

    def read_until(self, guest, verb):
        while True:
            line = guest.line()
            self.assertTrue(line, "it closed the connection")
            if line.split()[0] == verb:
                return
            payload = line.rpartition(" +")[2]
            if payload != line:
                guest.payload(int(payload))

    def test_E11_peers_are_told_of_a_chunk_that_turned_out_bad(self):
        a, b = self.daemon("a"), self.daemon("b")
        make_file(self.path("y.bin"), 24 * MIB)
        shared = a.share(self.path("y.bin"))
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=12 * MIB))
        transfer = b.get_detached(link_to(shared, proxy))["id"]
        b.wait_bytes(transfer, 10 * MIB, "a part is here")
        guest = self.closing(Guest(b.address, shared["content_id"], 7))
        guest.say("SUBSCRIBE", "PING")
        self.read_until(guest, "PONG")
        with open(os.path.join(b.downloads, "y.bin.part"), "r+b") as part:
            part.write(bytes(24 * MIB))
        b.must("verify", transfer)
        self.read_until(guest, "LOST")


class VerifyTest(P2pTest):
    def test_E03_verify_while_chunk_hashes_come(self):
        digest = make_file(self.path("x.bin"), 48 * MIB)
        a, b = self.daemon("a"), self.daemon("b")
        shared = a.share(self.path("x.bin"))
        # The manifest, and the first of the 3,072 bytes of hashes.
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=1000))
        transfer = str(b.get_detached(link_to(shared, proxy))["id"])
        wait_for(lambda: proxy.is_dry and b.transfer(transfer)["bytes_total"], "the hashes are on their way")
        refused = wait_for(lambda: "hashes" in (told := b.ctl("verify", transfer, "--detach")).err and told,
                           "verify says so")
        self.assertEqual(refused.code, 1)
        self.assertIn("its chunk hashes are not all here yet", refused.err)
        proxy.allow(8 * MIB)
        # What is here is looked through again and again while the rest comes.
        wait_for(lambda: b.ctl("verify", transfer, "--detach").code == 0, "the hashes are here")
        proxy.allow()
        wait_for(lambda: b.ctl("verify", transfer, "--detach") and b.transfer(transfer)["state"] == "complete",
                 "it is complete")
        b.must("verify", transfer)
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)


class WithoutHashesOfTwo:
    """Tampers: who reads takes the hashes of the second file for a message of a later version."""

    def feed(self, data):
        return data.replace(b"HASHES 1 0 ", b"FUTURE 1 0 ")


class LeavesTest(P2pTest):
    def test_leaves_of_a_chunk_whose_hash_is_still_to_come_are_refused(self):
        make_tree(self.path("tree"), {"one": make_bytes(2 * MIB, seed=1), "two": make_bytes(2 * MIB, seed=2)})
        a, b = self.daemon("a"), self.daemon("b")
        shared = a.share(self.path("tree"))
        proxy = self.closing(Proxy((LOCALHOST, a.port), tamper=WithoutHashesOfTwo))
        transfer = b.get_detached(link_to(shared, proxy))["id"]
        b.wait_bytes(transfer, 2 * MIB, "one of two files is here")
        # After a restart all hashes are asked for again: until they are all here none is saved.
        b.stop()
        proxy.close()
        b.start()
        guest = self.closing(Guest(b.address, shared["content_id"], 7, leaves=True))
        guest.say("REQUEST-LEAVES 0 0 4")
        while (line := guest.line()).split()[0] in ("SUBSCRIBE", "HAVE", "HAVE-BITS"):
            self.assertNotIn("+", line)
        self.assertRegex(line, "^REJECT-LEAVES 0 0 4 409 ")
