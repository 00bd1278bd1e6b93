"""A disk of which no call comes back: at a start, while a client waits for it, and at the end."""
import os
import signal
import subprocess
import unittest

from p2p_call_faults import FOREVER, LIBRARY, PROGRAM, CallFaults
from p2p_content import MIB, make_file
from p2p_disk import mount_disk
from p2p_harness import LOCALHOST, P2pTest, link_to, program, wait_for
from p2p_proxy import Proxy

CALLS = ("open", "openat", "openat2", "pread", "pwrite", "fsync", "fdatasync", "syncfs", "stat",
         "lstat", "fstat", "fstatat", "fstatfs", "fstatvfs", "mkdir", "mkdirat", "renameat2", "flock")
# Longer than any test.
FOR_EVER_MS = 1_000_000


@unittest.skipUnless(LIBRARY, "call_faults.cc is not built here (a sanitizer, or not Linux)")
class HangingDiskTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.faults = self.closing(CallFaults(self.path("faults")))
        self.hung = mount_disk(self, self.path("hung"), 64 * MIB)
        self.tracker_ = self.tracker()
        self.d = self.daemon("d", [self.tracker_], env=self.faults.env())

    def hang(self, beneath=None):
        self.faults.arm(CALLS, last=FOREVER, delay_ms=FOR_EVER_MS, beneath=beneath or self.hung,
                        modules=(PROGRAM,))

    def wait_until_calls_hang(self, count=1):
        wait_for(lambda: self.faults.delayed >= count, f"{count} calls hang")

    def share_in_vain(self, name):
        """p2pctl share of something on the hung disk, in the background."""
        client = subprocess.Popen(
            [program("p2pctl"), "--socket", self.d.socket, "share", os.path.join(self.hung, name)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(client.communicate)
        self.addCleanup(client.kill)
        return client

    def part_of_a_download(self, output=None):
        """A transfer of which a part is here, and the rest does not come."""
        a = self.daemon("a")
        make_file(self.path("x.bin"), 12 * MIB)
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=5 * MIB))
        transfer = self.d.get_detached(link_to(a.share(self.path("x.bin")), proxy), output)["id"]
        done = self.d.wait_bytes(transfer, 4 * MIB, "a part is here")["bytes_done"]
        return transfer, done

    def check_a_clean_stop(self, transfer, done):
        self.d.send(signal.SIGTERM)
        code = self.d.wait()
        self.assertEqual(code, 0, self.d.log())
        self.assertEqual(self.tracker_.lookup("y.bin"), [])
        self.faults.disarm()
        self.d.start()
        # Nothing of it has to be found again by hashing.
        self.d.wait_transfer(transfer, lambda t: t["bytes_done"] >= done and
                             t["state"] == "downloading", "everything was committed")

    def test_V16_a_share_that_waits_for_a_disk_holds_up_no_stop(self):
        transfer, done = self.part_of_a_download()
        make_file(self.path("y.bin"), 1000, seed=2)
        self.d.share(self.path("y.bin"))
        self.tracker_.wait_lists("y.bin", self.d.address)
        make_file(self.path("hung", "z"), 1000)
        self.hang()
        client = self.share_in_vain("z")
        self.wait_until_calls_hang()
        self.check_a_clean_stop(transfer, done)
        _, err = client.communicate(timeout=60)
        # By whether the connection outlived the answer.
        self.assertIn(client.returncode, (1, 69), err)
        self.assertRegex(err, "the daemon (is stopping|has gone)")

    def test_V16_a_stop_gets_through_to_a_start_that_waits_for_its_state_directory(self):
        self.d.stop()
        self.hang(self.d.state_dir)
        self.d.spawn()
        self.wait_until_calls_hang()
        self.d.send(signal.SIGTERM)
        self.d.wait(deadline=30)
        self.assertFalse(self.d.running)
        self.faults.disarm()
        self.d.start()

    def test_V16_a_stop_gets_through_to_a_reload_that_waits_for_a_disk(self):
        transfer, done = self.part_of_a_download(self.path("elsewhere") + "/")
        make_file(self.path("y.bin"), 1000, seed=2)
        self.d.share(self.path("y.bin"))
        self.hang(self.d.downloads)
        self.d.send(signal.SIGHUP)
        self.wait_until_calls_hang()
        self.check_a_clean_stop(transfer, done)

    def test_V12_shares_and_downloads_on_a_disk_that_hangs_hold_up_nothing_elsewhere(self):
        shares = 3 * (os.cpu_count() + 1)
        for number in range(shares):
            make_file(self.path("hung", str(number)), 1000, seed=number)
            self.d.share(self.path("hung", str(number)))
        transfer, _ = self.part_of_a_download()
        self.d.stop()
        self.hang()
        self.d.start()
        self.wait_until_calls_hang(2)
        for number in range(shares):
            self.share_in_vain(str(number))
        digest = make_file(self.path("fast.bin"), 3 * MIB, seed=99)
        fast = self.d.share(self.path("fast.bin"))
        got = self.daemon("c").get(link_to(fast, self.d))
        self.assert_same_file(got["path"], digest)
        self.d.wait_state(transfer, "downloading")

    def test_E17_shares_that_wait_for_a_disk_hold_up_no_other_call(self):
        make_file(self.path("y.bin"), 1000, seed=2)
        mine = self.d.share(self.path("y.bin"))["id"]
        make_file(self.path("hung", "z"), 1000)
        self.hang()
        clients = [self.share_in_vain("z") for _ in range(20)]
        self.wait_until_calls_hang(2)
        for _ in range(3):
            self.d.must("pause", mine)
            self.d.must("resume", mine)
        self.assertTrue(all(client.poll() is None for client in clients))
        self.faults.disarm()
        for client in clients:
            client.communicate(timeout=60)
        self.d.wait_state("z", "seeding")
