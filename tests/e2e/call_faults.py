"""One libc call of a real daemon fails, anywhere on the way from share to a complete download.

Every kind of call with every error it can get: the first call of each kind, and one further that a
seed chooses; the calls of several kinds fail in one run. P2P_FAULT_SEED=N repeats a run.
bench/run.sh faults tries every call site.
"""
import errno
import itertools
import os
import random
import unittest

from p2p_call_faults import (FOREVER, KINDS, LIBRARY, PROGRAM, SQLITE, CallFaults, errors_of,
                             name_of)
from p2p_content import MIB, make_file
from p2p_fault_scenario import Broken, FaultsInGet, FaultsInShare
from p2p_harness import LOCALHOST, P2pTest, link_to, suites, wait_for
from p2p_proxy import Proxy

# Further calls are among the first so many: of most kinds a run makes no more.
FURTHEST_CALL = 40

FILES = ("open", "openat", "openat2", "close", "read", "fdopendir", "readdir", "flock", "fcntl",
         "access", "readlink", "lseek")
DATA = ("pread", "pwrite", "fsync", "fdatasync", "syncfs", "ftruncate", "fallocate", "sendfile",
        "cachestat", "sync_file_range")
NAMES = ("stat", "lstat", "fstat", "fstatat", "fstatfs", "fstatvfs", "rename", "renameat",
         "renameat2", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat", "chmod", "fchmod")
SOCKETS = ("socket", "bind", "listen", "accept", "accept4", "connect", "getsockopt", "setsockopt",
           "getsockname", "getpeername", "shutdown")
BYTES = ("recv", "recvmsg", "send", "sendmsg", "poll", "pipe", "epoll_create1", "epoll_ctl",
         "epoll_wait", "eventfd", "timerfd_create", "timerfd_settime", "getentropy")


@suites()
@unittest.skipUnless(LIBRARY, "call_faults.cc is not built here (a sanitizer, or not Linux)")
class CallFaultTest(P2pTest):
    def check(self, scenario_class, kinds):
        seed = int(os.environ.get("P2P_FAULT_SEED", random.SystemRandom().randrange(10**6)))
        print(f"P2P_FAULT_SEED={seed}")
        chosen = random.Random(seed)
        scenario = self.closing(scenario_class(self.dir))
        met = 0
        for error in sorted({e for kind in kinds for e in errors_of(kind)}, key=name_of):
            meeting = [kind for kind in kinds if error in errors_of(kind)]
            for nth in (1, chosen.randint(2, FURTHEST_CALL)):
                scenario.faults.arm(meeting, nth=nth, error=error)
                try:
                    scenario.run()
                except Broken as broken:
                    self.fail(f"call {nth} of each of {meeting} gets {name_of(error)}: {broken}\n"
                              f"{scenario.faulty.log()}")
                met += scenario.faults.injected
        self.assertGreater(met, 0, "no call met a fault")

    def test_H3_all_kinds_of_calls_are_in_one_of_these_tests(self):
        tested = FILES + DATA + NAMES + SOCKETS + BYTES
        self.assertEqual(sorted(tested), sorted(kind for kind in KINDS
                                                if kind not in ("malloc", "write")))

    def test_H3_opening_files_fails_in_a_download(self):
        self.check(FaultsInGet, FILES)

    def test_H3_reading_and_writing_files_fails_in_a_download(self):
        self.check(FaultsInGet, DATA)

    def test_H3_what_names_files_fails_in_a_download(self):
        self.check(FaultsInGet, NAMES)

    def test_H3_making_sockets_fails_in_a_download(self):
        self.check(FaultsInGet, SOCKETS)

    def test_H3_what_waits_and_moves_bytes_fails_in_a_download(self):
        self.check(FaultsInGet, BYTES)

    def test_H3_opening_files_fails_in_a_share(self):
        self.check(FaultsInShare, FILES)

    def test_H3_reading_and_writing_files_fails_in_a_share(self):
        self.check(FaultsInShare, DATA)

    def test_H3_what_names_files_fails_in_a_share(self):
        self.check(FaultsInShare, NAMES)

    def test_H3_making_sockets_fails_in_a_share(self):
        self.check(FaultsInShare, SOCKETS)

    def test_H3_what_waits_and_moves_bytes_fails_in_a_share(self):
        self.check(FaultsInShare, BYTES)


@suites()
@unittest.skipUnless(LIBRARY, "call_faults.cc is not built here (a sanitizer, or not Linux)")
class AfterAFaultTest(P2pTest):
    """What such faults once did for good."""

    def setUp(self):
        super().setUp()
        self.faults = self.closing(CallFaults(self.path("faults")))
        self.digest = make_file(self.path("x.bin"), MIB)

    def test_a_tracker_is_not_taken_for_an_original_one_over_an_error_of_our_own(self):
        tracker = self.tracker()
        a = self.daemon("a", [tracker])
        a.share(self.path("x.bin"))
        # HELLO is the first thing that it sends.
        self.faults.arm("sendmsg", error=errno.ENOBUFS, modules=(PROGRAM,))
        b = self.daemon("b", [tracker], env=self.faults.env())
        wait_for(lambda: self.faults.injected, "HELLO could not be sent")
        wait_for(lambda: tracker.lookup("x.bin") and b.ctl("get", "x.bin").code == 0, "it gets it")
        self.assertEqual(b.status()["trackers"][0]["state"], "ok")

    def test_the_control_socket_is_waited_for_again_after_a_wait_that_failed(self):
        a = self.daemon("a", env=self.faults.env())
        self.faults.arm("poll", error=errno.ENOMEM, modules=(PROGRAM,))
        a.must("status")
        self.assertEqual(self.faults.injected, 1)
        a.must("status")

    def test_a_control_connection_that_cannot_be_prepared_holds_up_no_other(self):
        a = self.daemon("a", env=self.faults.env())
        self.faults.arm("fcntl", last=FOREVER, error=errno.ENOMEM, modules=(PROGRAM,))
        refused = a.ctl("status")
        self.assertNotEqual(refused.code, 0)
        self.assertIn("busy", refused.err)
        self.faults.disarm()
        a.must("status")

    def test_R05_a_catalog_that_the_disk_would_not_read_once_is_not_set_aside(self):
        self.check_reads_of_the_catalog(errno.EIO)

    def test_R05_nor_one_whose_reading_failed_with_another_error(self):
        self.check_reads_of_the_catalog(errno.EAGAIN)

    def check_reads_of_the_catalog(self, error):
        a = self.daemon("a", env=self.faults.env())
        transfer = a.share(self.path("x.bin"))["id"]
        refused = 0
        for nth in itertools.count(1):
            a.kill9()  # so that the start reads all of it
            self.faults.arm("pread", nth=nth, error=error, modules=(SQLITE,))
            a.spawn()
            wait_for(lambda: not a.running or a.ctl("status").code == 0, "it starts or ends")
            met = self.faults.injected
            self.faults.disarm()
            if not a.running:
                refused += 1
                self.assertIn("input/output error; check the disk", a.log())
                a.start()
            self.assertNotIn("set aside", a.log())
            a.must("resume", transfer)
            a.wait_state(transfer, "seeding")
            if not met:
                break
        self.assertGreater(refused, 5, "starts that met an error")

    def fail_the_catalog(self):
        self.faults.arm(("pwrite", "fdatasync"), last=FOREVER, error=errno.EIO, modules=(SQLITE,))

    def test_a_share_that_could_not_be_saved_is_offered_once_it_can(self):
        a = self.daemon("a", env=self.faults.env())
        # The entry itself is saved; the hashes, which come next, are not.
        self.faults.arm("fdatasync", nth=2, last=FOREVER, error=errno.EIO, modules=(SQLITE,))
        failed = a.ctl("share", self.path("x.bin"))
        self.assertEqual(failed.code, 1, failed)
        self.assertIn("catalog", failed.err)
        self.faults.disarm()
        shared = a.share(self.path("x.bin"))
        got = self.daemon("b").get(link_to(shared, a))
        self.assert_same_file(got["path"], self.digest)
        a.restart()
        a.wait_state(shared["id"], "seeding")

    def check_a_place_that_was_not_saved(self, after):
        a = self.daemon("a")
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=0))
        b = self.daemon("b", env=self.faults.env())
        transfer = b.get_detached(link_to(a.share(self.path("x.bin")), proxy))["id"]
        self.fail_the_catalog()
        proxy.allow()
        failed = b.wait_state(transfer, "error")
        self.assertIn("catalog", failed["error"])
        self.assertEqual(os.listdir(b.downloads), [])
        after(b)
        self.faults.disarm()
        if not b.running:
            b.start()
        b.must("resume", transfer)
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), self.digest)

    def test_a_download_whose_place_cannot_be_saved_begins_once_it_can(self):
        self.check_a_place_that_was_not_saved(lambda b: None)

    def test_a_download_whose_place_could_not_be_saved_begins_after_a_kill(self):
        self.check_a_place_that_was_not_saved(lambda b: b.kill9())
