"""A disk whose every call takes ten seconds holds up its own transfers and nothing else."""
import os
import time
import unittest

from p2p_call_faults import FOREVER, LIBRARY, CallFaults
from p2p_content import MIB, make_file
from p2p_disk import mount_disk
from p2p_harness import LOCALHOST, P2pTest, link_to, suites, wait_for
from p2p_proxy import Proxy

DISK_CALLS = ("open", "openat", "openat2", "pread", "pwrite", "fsync", "fdatasync", "syncfs",
              "sync_file_range", "ftruncate", "fallocate", "fstat", "fstatat", "fstatfs",
              "fstatvfs", "lseek", "renameat2", "unlinkat", "mkdirat", "sendfile")
CALL_SECONDS = 10


@suites()
@unittest.skipUnless(LIBRARY, "call_faults.cc is not built here (a sanitizer, or not Linux)")
class SlowDiskTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.faults = self.closing(CallFaults(self.path("faults")))
        self.slow, self.fast = mount_disk(self, self.path("slow"), 64 * MIB), self.path("fast")
        os.mkdir(self.fast)
        self.b = self.daemon("b", env=self.faults.env(), downloads=self.fast)

    def become_slow(self):
        self.faults.arm(DISK_CALLS, last=FOREVER, delay_ms=1000 * CALL_SECONDS, beneath=self.slow)

    def wait_until_it_hangs(self):
        wait_for(lambda: self.faults.delayed > 0, "a call hangs")

    def check_the_rest_lives(self, fetch_from):
        """While calls hang: p2pctl gets its answers, and files elsewhere come and go."""
        self.wait_until_it_hangs()
        times = []
        for _ in range(20):
            begin = time.monotonic()
            self.b.must("--json", "status")
            self.b.must("--json", "list")
            times.append((time.monotonic() - begin) / 2)
        self.assertGreater(self.faults.delayed, 0)
        print(f"p2pctl status while the disk hangs: median {sorted(times)[10] * 1000:.0f} ms, "
              f"longest {max(times) * 1000:.0f} ms")
        self.assertLess(max(times), CALL_SECONDS / 2)
        digest = make_file(self.path("fast", "own.bin"), 2 * MIB, seed=2)
        own = self.b.share(self.path("fast", "own.bin"))
        got = self.daemon("c").get(link_to(own, self.b))
        self.assert_same_file(got["path"], digest)
        other = make_file(self.path("other.bin"), 2 * MIB, seed=3)
        got = self.b.get(link_to(fetch_from.share(self.path("other.bin")), fetch_from))
        self.assert_same_file(got["path"], other)

    def download_until_it_is_slow(self, size):
        """The sharing daemon, the transfer and the digest of what it fetches."""
        a = self.daemon("a")
        digest = make_file(self.path("x.bin"), size)
        shared = a.share(self.path("x.bin"))
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=2 * MIB))
        transfer = self.b.get_detached(link_to(shared, proxy), self.slow + "/")["id"]
        self.b.wait_bytes(transfer, MIB, "a part is here")
        self.become_slow()
        proxy.allow()
        return a, transfer, digest

    def test_S24_a_download_to_a_slow_disk(self):
        a, transfer, digest = self.download_until_it_is_slow(12 * MIB)
        self.check_the_rest_lives(a)
        self.faults.disarm()
        self.b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(self.slow, "x.bin"), digest)

    def test_S24_a_share_on_a_slow_disk(self):
        digest = make_file(self.path("slow", "x.bin"), 12 * MIB)
        shared = self.b.share(self.path("slow", "x.bin"))
        a = self.daemon("a")
        self.become_slow()
        transfer = a.get_detached(link_to(shared, self.b))["id"]
        self.check_the_rest_lives(a)
        self.faults.disarm()
        a.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(a.downloads, "x.bin"), digest)

    def test_S24_stopping_does_not_wait_for_a_slow_disk(self):
        _, transfer, digest = self.download_until_it_is_slow(8 * MIB)
        self.wait_until_it_hangs()
        self.assertIn(self.b.stop(), (0, 1))
        self.faults.disarm()
        self.b.start()
        self.b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(self.slow, "x.bin"), digest)
