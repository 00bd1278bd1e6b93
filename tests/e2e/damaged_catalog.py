"""A catalog that lost a part of what it held, or refuses what it is told: nothing crashes, nothing
that is on disk is lost or fetched twice, and nothing is acknowledged that was not saved."""
import contextlib
import errno
import hashlib
import os
import shutil
import sqlite3
import struct
import unittest

from p2p_call_faults import FOREVER, LIBRARY, SQLITE, CallFaults
from p2p_content import CHUNK, MIB, make_file
from p2p_harness import LOCALHOST, P2pTest, link_to, suites, wait_for
from p2p_proxy import Proxy

SIZE = 24 * MIB
TABLES = ("manifests", "identities", "have", "part_files")


def row_checksum(transfer, *parts):
    """As RowChecksum() of daemon/store/catalog_encoding.cc."""
    text = struct.pack("<Q", transfer)
    for part in parts:
        text += struct.pack("<Q", len(part)) + hashlib.sha256(part).digest()
    return struct.unpack("<q", hashlib.sha256(text).digest()[:8])[0]


def catalog_of(daemon):
    return os.path.join(daemon.state_dir, "catalog.db")


def open_catalog(daemon):
    return contextlib.closing(sqlite3.connect(catalog_of(daemon)))


def zero_root_of(daemon, *tables):
    """What stands in these tables of a daemon that does not run cannot be read any more."""
    with open_catalog(daemon) as catalog:
        catalog.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = catalog.execute("PRAGMA page_size").fetchone()[0]
        roots = [catalog.execute("SELECT rootpage FROM sqlite_master WHERE name=?",
                                 (table,)).fetchone()[0] for table in tables]
    with open(catalog_of(daemon), "r+b") as file:
        for root in roots:
            file.seek((root - 1) * page)
            file.write(bytes(page))


@suites("portable", "sanitizers")
class FinishedTest(P2pTest):
    """A finished download without what tells whether it is right."""

    def setUp(self):
        super().setUp()
        self.a, self.b = self.daemon("a"), self.daemon("b")
        self.digest = make_file(self.path("x.bin"), SIZE)
        self.proxy = self.closing(Proxy((LOCALHOST, self.a.port)))
        self.got = self.b.get(link_to(self.a.share(self.path("x.bin")), self.proxy))
        self.fetched = self.proxy.bytes_down

    def change(self, *sql):
        self.b.stop()
        with open_catalog(self.b) as catalog:
            catalog.execute(*sql)
            catalog.commit()

    def flip_a_bit(self):
        self.b.stop()
        with open_catalog(self.b) as catalog:
            catalog.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            hashes = catalog.execute("SELECT chunk_hashes FROM manifests").fetchone()[0]
        with open(catalog_of(self.b), "r+b") as file:
            at = file.read().find(hashes[40:72])
            self.assertGreater(at, 0)
            file.seek(at)
            file.write(bytes([hashes[40] ^ 1]))

    def check_is_found_again(self):
        self.b.start()
        self.b.wait_state(self.got["id"], "complete")
        self.assert_same_file(self.got["path"], self.digest)
        self.assertLess(self.proxy.bytes_down - self.fetched, MIB, "only hashes are fetched")
        served = self.daemon("c").get(link_to(self.got, self.b))
        self.assert_same_file(served["path"], self.digest)
        # And the catalog has it all again.
        self.a.stop()
        self.b.restart()
        self.b.wait_state(self.got["id"], "complete")
        self.assertNotIn("lost its chunk hashes", self.b.log().split("stopping")[-1])

    def test_R03_one_wrong_bit_in_the_hashes(self):
        self.flip_a_bit()
        self.check_is_found_again()

    def test_R03_no_manifest(self):
        self.change("DELETE FROM manifests")
        self.check_is_found_again()

    def test_R03_a_manifest_without_hashes(self):
        self.b.stop()
        with open_catalog(self.b) as catalog:
            info = catalog.execute("SELECT info FROM manifests").fetchone()[0]
            catalog.execute("UPDATE manifests SET chunk_hashes=x'', checksum=?",
                            (row_checksum(int(self.got["id"]), info, b""),))
            catalog.commit()
        self.check_is_found_again()

    def check_a_table_that_cannot_be_read(self, table):
        self.b.kill9()
        zero_root_of(self.b, table)
        self.check_is_found_again()
        self.assertIn("set aside", self.b.log())

    def test_R05_no_manifest_can_be_read_after_a_kill(self):
        self.check_a_table_that_cannot_be_read("manifests")

    def test_R05_no_identity_can_be_read_after_a_kill(self):
        self.check_a_table_that_cannot_be_read("identities")

    def test_R05_no_have_set_can_be_read_after_a_kill(self):
        self.check_a_table_that_cannot_be_read("have")

    def test_R05_no_manifest_can_be_read_after_a_clean_stop(self):
        self.b.stop()
        zero_root_of(self.b, "manifests")
        self.b.start()
        self.b.wait_state(self.got["id"], "complete")
        # What is damaged takes nothing: the next start looks at all of it.
        self.b.stop()
        self.check_is_found_again()
        self.assertIn("set aside", self.b.log())

    def test_R10_it_is_told_while_nobody_has_them_and_nothing_is_touched(self):
        self.flip_a_bit()
        self.a.stop()
        self.b.start()
        seen = self.b.wait_state(self.got["id"], "queued")
        self.assertIn("lost its chunk hashes", seen["error"])
        self.assertEqual(os.listdir(self.b.downloads), ["x.bin"])
        self.b.must("pause", self.got["id"])
        self.b.restart()
        self.b.wait_state(self.got["id"], "paused")
        self.b.must("resume", self.got["id"])
        self.b.wait_state(self.got["id"], "queued")
        self.a.start()
        self.b.must("resume", self.got["id"])

    def test_R10_what_was_changed_meanwhile_is_not_claimed(self):
        self.flip_a_bit()
        with open(self.got["path"], "r+b") as file:
            file.seek(5 * MIB)
            file.write(b"somebody's own work")
        with open(self.got["path"], "rb") as file:
            changed = hashlib.sha256(file.read()).hexdigest()
        self.b.start()
        self.assertIn("not what was fetched",
                      self.b.wait_state(self.got["id"], "error")["error"])
        self.assert_same_file(self.got["path"], changed)

    def test_R10_what_is_gone_is_not_made_again(self):
        self.flip_a_bit()
        os.unlink(self.got["path"])
        self.b.start()
        self.assertIn("is gone", self.b.wait_state(self.got["id"], "error")["error"])
        self.assertEqual(os.listdir(self.b.downloads), [])


@suites("portable", "sanitizers")
class UnfinishedTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.a, self.b = self.daemon("a"), self.daemon("b")
        self.digest = make_file(self.path("x.bin"), SIZE)
        self.proxy = self.closing(Proxy((LOCALHOST, self.a.port), budget=14 * MIB))
        shared = self.a.share(self.path("x.bin"))
        self.transfer = self.b.get_detached(link_to(shared, self.proxy))["id"]
        wait_for(lambda: self.proxy.is_dry, "the proxy has let everything pass that it may")
        self.b.wait_bytes(self.transfer, 12 * MIB, "most of that is stored")
        self.b.restart()  # all of it is committed

    def check(self, *tables, meanwhile=lambda: None):
        self.b.kill9()
        zero_root_of(self.b, *tables)
        self.b.start()
        self.assertIn("set aside", self.b.log())
        meanwhile()
        self.proxy.allow()
        self.b.wait_state(self.transfer, "complete")
        self.assert_same_file(os.path.join(self.b.downloads, "x.bin"), self.digest)
        self.assertLess(self.proxy.bytes_down, SIZE + 4 * CHUNK, "what was there is had again")

    def test_R05_no_manifest_can_be_read(self):
        self.check("manifests")

    def test_R05_no_identity_can_be_read(self):
        self.check("identities")

    def test_R05_no_have_set_can_be_read(self):
        self.check("have")

    def test_R05_no_state_of_the_part_can_be_read(self):
        self.check("part_files")

    def test_R05_nothing_but_the_list_can_be_read(self):
        self.check(*TABLES)

    def test_R05_what_is_there_is_still_to_be_hashed_after_a_clean_stop(self):
        self.proxy.hold()
        self.check("manifests", "have", meanwhile=self.b.restart)


@suites()
@unittest.skipUnless(LIBRARY, "call_faults.cc is not built here (a sanitizer, or not Linux)")
class RefusalTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.faults = self.closing(CallFaults(self.path("faults")))
        self.a = self.daemon("a")
        self.digest = make_file(self.path("x.bin"), SIZE)
        self.shared = self.a.share(self.path("x.bin"))

    def refuse(self, daemon, kinds="pwrite", **options):
        self.faults.arm(kinds, error=errno.EIO, beneath=daemon.state_dir, modules=(SQLITE,),
                        **options)

    def test_S03_a_pause_that_was_not_saved_is_not_acknowledged(self):
        b = self.daemon("b", env=self.faults.env())
        proxy = self.closing(Proxy((LOCALHOST, self.a.port), budget=10 * MIB))
        transfer = b.get_detached(link_to(self.shared, proxy))["id"]
        b.wait_bytes(transfer, 8 * MIB, "some of it is here")
        self.refuse(b, last=FOREVER)
        refused = b.ctl("pause", transfer)
        self.assertEqual(refused.code, 1, refused)
        self.assertIn("it is paused, but the catalog cannot save that", refused.err)
        refused = b.ctl("pause", transfer)
        self.assertEqual(refused.code, 1, refused)
        self.faults.disarm()
        b.must("pause", transfer)
        b.kill9()
        b.start()
        b.wait_state(transfer, "paused")

    def test_S03_a_resume_that_was_not_saved_is_not_acknowledged(self):
        b = self.daemon("b", env=self.faults.env())
        mine = b.share(self.path("x.bin"))["id"]
        b.must("pause", mine)
        self.refuse(b, last=FOREVER)
        refused = b.ctl("resume", mine)
        self.assertEqual(refused.code, 1, refused)
        self.assertIn("it goes on, but the catalog cannot save that", refused.err)
        self.faults.disarm()
        b.must("resume", mine)
        b.kill9()
        b.start()
        b.wait_state(mine, "seeding")

    def test_S03_a_share_that_was_paused_and_is_not_saved_as_going_on(self):
        b = self.daemon("b", env=self.faults.env())
        mine = b.share(self.path("x.bin"))["id"]
        b.must("pause", mine)
        self.refuse(b, last=FOREVER)
        refused = b.ctl("share", self.path("x.bin"))
        self.assertEqual(refused.code, 1, refused)
        self.assertIn("catalog", refused.err)

    def check_one_refused_write(self, kind, error):
        """One write of the catalog fails while a file that is there already is compared."""
        for nth in range(1, 30):
            b = self.daemon(f"b{nth}", env=self.faults.env())
            final = os.path.join(b.downloads, "x.bin")
            shutil.copy(self.path("x.bin"), final)
            self.faults.arm(kind, nth=nth, error=error, beneath=b.state_dir, modules=(SQLITE,))
            b.ctl("get", link_to(self.shared, self.a))
            met = self.faults.injected
            self.faults.disarm()
            kept = b.transfers()
            b.stop()
            os.utime(final)  # so that it is checked
            b.start()
            for transfer in kept:
                b.must("resume", transfer["id"])
                b.wait_state(transfer["id"], "complete")
            self.assert_same_file(final, self.digest)
            b.kill9()
            if not met:
                return
        self.fail("there is no end of writes")

    def test_S03_a_full_disk_at_any_write_about_a_file_that_was_there(self):
        self.check_one_refused_write("pwrite", errno.ENOSPC)

    def test_S06_a_failed_sync_at_any_write_about_a_file_that_was_there(self):
        self.check_one_refused_write("fdatasync", errno.EIO)

    def test_S03_what_was_complete_when_it_could_not_be_saved_is_saved_later(self):
        b = self.daemon("b", env=self.faults.env())
        shutil.copy(self.path("x.bin"), b.downloads)
        # The entry itself is saved; that it is complete is not.
        self.refuse(b, "fdatasync", nth=2, last=FOREVER)
        transfer = b.get_detached(link_to(self.shared, self.a))["id"]
        seen = b.wait_state(transfer, "complete")
        self.assertIn("the catalog cannot say so yet", seen["error"])
        self.faults.disarm()
        wait_for(lambda: b.transfer(transfer)["error"] == "", "it is saved")
        self.a.stop()
        b.kill9()
        b.start()
        b.wait_state(transfer, "complete")
        self.assertNotIn("lost", b.log())
