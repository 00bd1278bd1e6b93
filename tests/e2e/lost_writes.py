"""A disk that did not keep what it was given: it is neither claimed nor told, and fetched again."""
import contextlib
import errno
import os
import sqlite3
import unittest

from p2p_call_faults import FOREVER, LIBRARY, PROGRAM, CallFaults
from p2p_content import MIB, make_file
from p2p_harness import LOCALHOST, P2pTest, link_to, wait_for
from p2p_proxy import Proxy

MINUTE_MS = 60_000


@unittest.skipUnless(LIBRARY, "call_faults.cc is not built here (a sanitizer, or not Linux)")
class LostWritesTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.faults = self.closing(CallFaults(self.path("faults")))
        self.a = self.daemon("a")
        self.digest = make_file(self.path("x.bin"), 24 * MIB)
        self.shared = self.a.share(self.path("x.bin"))
        self.proxy = self.closing(Proxy((LOCALHOST, self.a.port), budget=8 * MIB))
        self.b = self.daemon("b", env=self.faults.env())

    def fail_a_sync(self, error):
        """A download whose first sync fails once the faults are disarmed: a part came before it
        began, another while it ran."""
        self.faults.arm("fdatasync", error=error, delay_ms=MINUTE_MS, beneath=self.b.downloads,
                        modules=(PROGRAM,))
        transfer = self.b.get_detached(link_to(self.shared, self.proxy))["id"]
        before = self.b.wait_bytes(transfer, 6 * MIB, "a part is here")["bytes_done"]
        wait_for(lambda: self.faults.delayed, "the sync has begun")
        self.proxy.allow(4 * MIB)
        self.b.wait_bytes(transfer, before + 2 * MIB, "more comes while it runs")
        return transfer

    def claimed(self):
        """Chunks that the catalog of the daemon, which has ended, says are here."""
        with contextlib.closing(
                sqlite3.connect(os.path.join(self.b.state_dir, "catalog.db"))) as catalog:
            rows = catalog.execute("SELECT data FROM have").fetchall()
        return sum(bin(byte).count("1") for (have,) in rows for byte in have)

    def finish(self, transfer, from_the_first_byte):
        self.proxy.allow()
        self.b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(self.b.downloads, "x.bin"), self.digest)
        if from_the_first_byte:
            self.assertGreaterEqual(self.proxy.bytes_down, 30 * MIB, "what was lost came again")

    def test_V05_S06_chunks_of_a_failed_sync_are_not_claimed_and_come_again(self):
        transfer = self.fail_a_sync(errno.EIO)
        self.faults.disarm()  # it fails
        self.b.wait_state(transfer, "error")
        self.b.must("pause", transfer)  # returns once the last commit is made
        self.assertIn("were lost", self.b.log())
        self.b.kill9()
        self.assertEqual(self.claimed(), 0)
        self.b.start()
        self.b.must("resume", transfer)
        self.finish(transfer, from_the_first_byte=False)

    def test_V05_a_disk_that_is_full_when_it_syncs_goes_on_by_itself_with_what_it_lost(self):
        transfer = self.fail_a_sync(errno.ENOSPC)
        self.faults.disarm()
        wait_for(lambda: "disk full" in self.b.log(), "it is told")
        self.finish(transfer, from_the_first_byte=True)

    def test_V05_what_a_full_disk_refuses_is_all_that_comes_again(self):
        transfer = self.b.get_detached(link_to(self.shared, self.proxy))["id"]
        self.b.wait_bytes(transfer, 6 * MIB, "a part is here")
        self.faults.arm("pwrite", last=FOREVER, error=errno.ENOSPC, beneath=self.b.downloads,
                        modules=(PROGRAM,))
        self.proxy.allow(4 * MIB)
        self.b.wait_state(transfer, "paused")
        self.assertGreaterEqual(self.b.transfer(transfer)["bytes_done"], 6 * MIB)
        self.faults.disarm()
        self.finish(transfer, from_the_first_byte=False)
        # Of the 8 MiB before 2 may have been on their way, and all of the 4.
        self.assertLess(self.proxy.bytes_down, 24 * MIB + 7 * MIB)
