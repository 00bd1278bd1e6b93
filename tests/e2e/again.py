"""What is asked for once more, of a transfer that is there already, or of a place that another one has."""
import os
import unittest

from p2p_call_faults import LIBRARY, PROGRAM, CallFaults
from p2p_content import MIB, make_bytes, make_file, make_tree
from p2p_harness import LOCALHOST, P2pTest, link_to, wait_for
from p2p_peer import Guest
from p2p_proxy import Proxy

FOREVER = 2**31 - 1
MINUTE_MS = 60_000


class AgainTest(P2pTest):
    def get_x(self, env=None):
        """b has x.bin from a, by `self.link`."""
        a, self.b = self.daemon("a"), self.daemon("b", env=env)
        self.digest = make_file(self.path("x.bin"), 3 * MIB)
        self.shared = a.share(self.path("x.bin"))
        self.link = link_to(self.shared, a)
        got = self.b.get(self.link)
        self.final = got["path"]
        return str(got["id"])

    def damage(self, path):
        with open(path, "r+b") as file:
            file.write(b"damage")

    def test_S26_what_is_complete_and_asked_for_again_is_looked_at_first(self):
        transfer = self.get_x()
        self.b.must("get", self.link)
        os.utime(self.final)
        self.b.must("get", self.link)
        self.assert_same_file(self.final, self.digest)
        self.damage(self.final)
        for what in (self.link, self.shared["content_id"]):
            again = self.b.ctl("get", what)
            self.assertEqual(again.code, 1, again)
            self.assertIn("x.bin is not what was fetched", again.err)
        self.b.must("remove", transfer)
        os.unlink(self.final)
        self.b.must("get", self.link)
        os.unlink(self.final)
        gone = self.b.ctl("get", self.link)
        self.assertEqual(gone.code, 1, gone)
        self.assertIn("if it was deleted, remove the transfer and get it again", gone.err)

    def test_S27_verify_leaves_paused_what_is_paused(self):
        tracker = self.tracker()
        a = self.daemon("a", [tracker])
        make_file(self.path("x.bin"), 3 * MIB)
        shared = a.share(self.path("x.bin"))
        a.must("pause", shared["id"])
        a.must("verify", shared["id"])
        self.assertEqual(a.transfer(shared["id"])["state"], "paused")
        guest = self.closing(Guest(a.address, shared["content_id"], 7))
        self.assertRegex(guest.answer, "^REFUSED 404 ")
        self.damage(self.path("x.bin"))
        self.assertEqual(a.ctl("verify", str(shared["id"])).code, 1)
        self.assertEqual(a.transfer(shared["id"])["state"], "error")

    def test_S28_with_data_of_what_is_shared_as_well_is_refused(self):
        transfer = self.get_x()
        for path in (self.final, self.b.downloads):
            share = self.b.share(path)
            refused = self.b.ctl("remove", transfer, "--with-data")
            self.assertEqual(refused.code, 1, refused)
            self.assertIn("is shared as well", refused.err)
            self.assert_same_file(self.final, self.digest)
            self.b.must("remove", share["id"])
        self.b.must("remove", transfer, "--with-data")
        self.assertEqual(os.listdir(self.b.downloads), [])

    def test_S25_a_second_download_for_a_place_is_refused_and_touches_nothing(self):
        b, wanted, proxies, transfers = self.daemon("b"), [], [], []
        for number, size in ((1, 8 * MIB), (2, 12 * MIB)):
            a = self.daemon(f"a{number}")
            os.mkdir(self.path(str(number)))
            wanted.append(make_file(self.path(str(number), "out"), size, seed=number))
            shared = a.share(self.path(str(number), "out"))
            proxies.append(self.closing(Proxy((LOCALHOST, a.port), budget=0)))
            transfers.append(b.get_detached(link_to(shared, proxies[-1]))["id"])
        # Manifests and hashes of both, at the same time.
        for proxy in proxies:
            proxy.allow(60_000)
        lost = wait_for(lambda: [n for n in (0, 1) if b.transfer(transfers[n])["state"] == "error"], "one is refused")
        self.assertEqual(len(lost), 1)
        loser, winner = transfers[lost[0]], transfers[1 - lost[0]]
        self.assertRegex(b.transfer(loser)["error"], f"transfer {winner} is for .*out as well|out.part is in the way")
        b.must("resume", loser)
        wait_for(lambda: b.transfer(loser)["state"] == "error", "it is refused again")
        b.restart()
        for proxy in proxies:
            proxy.allow()
        b.wait_state(winner, "complete")
        self.assert_same_file(os.path.join(b.downloads, "out"), wanted[1 - lost[0]])
        b.must("remove", loser)
        self.assertEqual(os.listdir(b.downloads), ["out"])


@unittest.skipUnless(LIBRARY, "call_faults.cc is not built here (a sanitizer, or not Linux)")
class VerifyBesideTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.faults = self.closing(CallFaults(self.path("faults")))

    def hold_up_reads(self, place):
        self.faults.arm("pread", last=FOREVER, delay_ms=MINUTE_MS, beneath=place, modules=(PROGRAM,))

    def test_S27_verify_beside_the_check_of_one_file_looks_at_all(self):
        a, b = self.daemon("a"), self.daemon("b", env=self.faults.env())
        make_tree(self.path("tree"), {"one": make_bytes(4 * MIB, seed=1), "two": make_bytes(4 * MIB, seed=2)})
        got = b.get(link_to(a.share(self.path("tree")), a))
        b.stop()
        os.utime(os.path.join(got["path"], "one"))
        self.hold_up_reads(b.downloads)
        b.start()
        wait_for(lambda: self.faults.delayed, "the one that changed is looked at")
        with open(os.path.join(got["path"], "two"), "r+b") as file:
            file.write(b"damage")
        b.must("verify", got["id"], "--detach")
        self.faults.disarm()
        b.wait_state(got["id"], "error")
        self.assertIn("two is not what was fetched", b.transfer(got["id"])["error"])

    def test_S27_verify_of_what_is_copied_looks_at_all_of_it(self):
        a, b = self.daemon("a"), self.daemon("b", env=self.faults.env())
        digest = make_file(self.path("x.bin"), 12 * MIB)
        link = link_to(a.share(self.path("x.bin")), a)
        b.get(link)
        os.mkdir(self.path("other"))
        self.hold_up_reads(b.downloads)
        copy = b.get_detached(link, self.path("other") + "/")["id"]
        wait_for(lambda: self.faults.delayed, "it is copied")
        b.must("verify", copy, "--detach")
        self.assertEqual(b.transfer(copy)["state"], "checking")
        self.faults.disarm()
        b.wait_state(copy, "complete")
        self.assert_same_file(self.path("other", "x.bin"), digest)
