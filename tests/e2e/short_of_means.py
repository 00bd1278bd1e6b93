"""No memory, no socket buffers, no space for the daemon's own files."""
import errno
import os
import random
import sqlite3
import subprocess
import time
import unittest

from p2p_call_faults import FOREVER, LIBRARY, PROGRAM, RUNTIME, SQLITE, CallFaults
from p2p_content import MIB, make_bytes, make_file, make_tree
from p2p_disk import fill, free, mount_disk
from p2p_fault_scenario import Broken, FaultsInGet, FaultsInShare
from p2p_harness import (LOCALHOST, PORTABLE, SANITIZED, P2pTest, cpu_ticks, link_to, program,
                         suites, wait_for)

WITH_FAULTS = unittest.skipUnless(LIBRARY,
                                  "call_faults.cc is not built here (a sanitizer, or not Linux)")
SAME_ACCEPT = "the control socket accepts with the same call there"


@suites()
@WITH_FAULTS
class MemoryTest(P2pTest):
    """What gRPC 1.51 allocates with malloc() is left out: it does not look whether it got any."""
    ROUNDS = 25

    def check(self, scenario_class):
        seed = int(os.environ.get("P2P_FAULT_SEED", random.SystemRandom().randrange(10**6)))
        print(f"P2P_FAULT_SEED={seed}")
        chosen = random.Random(seed)
        scenario = self.closing(scenario_class(self.dir))
        scenario.may_abort = True
        met, reasons = 0, set()
        for _ in range(self.ROUNDS):
            # A run makes about 18,000.
            nth = chosen.randint(1, 18_000)
            scenario.faults.arm("malloc", nth=nth, error=errno.ENOMEM,
                                modules=(PROGRAM, SQLITE, RUNTIME))
            try:
                scenario.run()
            except Broken as broken:
                self.fail(f"allocation {nth} fails: {broken}\n{scenario.faulty.log()}")
            met += scenario.faults.injected
            reasons |= set(scenario.said)
        self.assertGreater(met, 0)
        self.assertIn("p2pd: out of memory", {reason.partition(";")[0] for reason in reasons})

    def test_X10_an_allocation_fails_in_a_download(self):
        self.check(FaultsInGet)

    def test_X10_an_allocation_fails_in_a_share(self):
        self.check(FaultsInShare)


@suites()
@WITH_FAULTS
class SocketBufferTest(P2pTest):
    # Processor time in that many seconds of nothing but refusals, in clock ticks: a quarter of one
    # core. A loop that spins takes all of it.
    SECONDS = 4

    def check_no_spin(self, daemon):
        before = cpu_ticks(daemon.pid)
        time.sleep(self.SECONDS)
        spent = (cpu_ticks(daemon.pid) - before) / os.sysconf("SC_CLK_TCK")
        self.assertLess(spent, self.SECONDS / 4)

    def check(self, kinds, error, in_share):
        faults = self.closing(CallFaults(self.path("faults")))
        a = self.daemon("a", env=faults.env() if in_share else None)
        b = self.daemon("b", env=None if in_share else faults.env())
        digest = make_file(self.path("x.bin"), 4 * MIB)
        shared = a.share(self.path("x.bin"))
        faults.arm(kinds, last=FOREVER, error=error, modules=(PROGRAM,))
        transfer = b.get_detached(link_to(shared, a))["id"]
        wait_for(lambda: faults.injected > 0, "a call is refused")
        self.check_no_spin(a if in_share else b)
        self.assertEqual((a if in_share else b).ctl("status").code, 0)
        self.assertEqual(b.transfer(transfer)["bytes_done"], 0)
        faults.disarm()
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)

    def test_Q05_no_buffers_to_send_with_in_a_share(self):
        self.check(("sendmsg", "sendfile"), errno.ENOBUFS, in_share=True)

    def test_Q05_no_memory_to_send_with_in_a_share(self):
        self.check(("sendmsg", "sendfile"), errno.ENOMEM, in_share=True)

    def test_Q05_no_buffers_to_ask_with_in_a_download(self):
        self.check(("sendmsg",), errno.ENOBUFS, in_share=False)

    def test_Q05_no_memory_to_receive_with_in_a_download(self):
        self.check(("recv",), errno.ENOMEM, in_share=False)

    @unittest.skipIf(PORTABLE, SAME_ACCEPT)
    def test_Q05_no_memory_to_accept_with(self):
        self.check(("accept4",), errno.ENOMEM, in_share=True)

    @unittest.skipIf(PORTABLE, SAME_ACCEPT)
    def test_Q05_no_buffers_to_accept_with(self):
        self.check(("accept4",), errno.ENOBUFS, in_share=True)

    def test_Q05_no_buffers_for_a_socket(self):
        self.check(("socket",), errno.ENOBUFS, in_share=False)


@suites("sanitizers")
class FullStateDiskTest(P2pTest):
    """The daemon writes no configuration: its identity, its lock and its catalog are what it writes
    at its start."""

    def setUp(self):
        super().setUp()
        self.place = mount_disk(self, self.path("disk"), 8 * MIB)
        self.b = self.make_daemon("b")
        at = self.b.arguments.index("--state-dir")
        self.b.arguments[at + 1] = self.b.state_dir = os.path.join(self.place, "state")

    def start_that_fails(self):
        self.b.spawn()
        self.assertEqual(self.b.wait(), 1, self.b.log())
        reasons = [line for line in self.b.log().splitlines() if line.startswith("p2pd: ")]
        self.assertIn("the disk is full", reasons[-1])
        self.assertIn(self.b.state_dir, reasons[-1])

    def test_F05_a_first_start_on_a_full_disk_says_so_and_leaves_nothing_half_made(self):
        fill(self.place)
        self.start_that_fails()
        self.assertFalse(os.path.exists(os.path.join(self.b.state_dir, "peer_id")))
        free(self.place)
        self.b.start()
        self.assertRegex(self.b.status()["peer_id"], "^[0-9a-f]{64}$")

    def test_F05_what_is_there_stays_as_it_is_when_the_disk_is_full_at_a_later_start(self):
        self.b.start()
        peer_id = self.b.status()["peer_id"]
        make_file(self.path("x.bin"), MIB)
        shared = self.b.share(self.path("x.bin"))
        self.b.kill9()
        fill(self.place)
        self.b.spawn()
        # With what it has put by it may well start.
        wait_for(lambda: not self.b.running or self.b.ctl("status").code == 0, "it starts or ends")
        if not self.b.running:
            self.assertIn("the disk is full", self.b.log())
        self.b.kill9()
        free(self.place)
        self.b.start()
        self.assertEqual(self.b.status()["peer_id"], peer_id)
        seen = self.b.wait_state(shared["id"], "seeding")
        self.assertEqual(seen["content_id"], shared["content_id"])
        self.b.stop()
        catalog = sqlite3.connect(os.path.join(self.b.state_dir, "catalog.db"))
        self.assertEqual(catalog.execute("PRAGMA integrity_check").fetchone(), ("ok",))
        catalog.close()


@suites()
@WITH_FAULTS
class ShareTest(P2pTest):
    """What cannot be opened for want of descriptors or memory is not damaged."""
    OPENS = ("open", "openat", "openat2")

    def setUp(self):
        super().setUp()
        self.faults = self.closing(CallFaults(self.path("faults")))
        self.a = self.daemon("a", env=self.faults.env())
        make_tree(self.path("x"), {f"{i}": make_bytes(MIB, seed=i) for i in range(3)})
        self.shared = self.a.share(self.path("x"))["id"]

    def deny(self, error):
        self.faults.arm(self.OPENS, last=FOREVER, error=error, modules=(PROGRAM,),
                        beneath=self.path("x"))

    def check_it_waits(self, why):
        said = self.a.wait_transfer(self.shared, lambda t: t["error"], "it says what it lacks")
        self.assertIn(why, said["error"])
        self.assertEqual(said["state"], "checking")
        # More than one try.
        before = self.faults.injected
        wait_for(lambda: self.faults.injected > before, "it is tried again")
        self.assertEqual(self.a.transfer(self.shared)["state"], "checking")
        self.faults.disarm()
        self.a.wait_state(self.shared, "seeding")
        self.assertEqual(self.a.transfer(self.shared)["error"], "")

    def test_S16_a_share_that_finds_no_descriptor_at_a_start_is_opened_later(self):
        self.a.stop()
        self.deny(errno.EMFILE)
        self.a.start()
        self.check_it_waits("too many open files")

    def test_S16_a_share_that_finds_no_memory_at_a_start_is_opened_later(self):
        self.a.stop()
        self.deny(errno.ENOMEM)
        self.a.start()
        self.check_it_waits("out of memory")

    def test_S16_a_check_that_finds_no_descriptor_is_done_later(self):
        self.deny(errno.ENFILE)
        verify = self.a.start_ctl("verify", str(self.shared))
        self.check_it_waits("too many open files")
        said = verify.communicate()
        self.assertEqual(verify.returncode, 0, said)

    def test_S16_a_share_that_waits_for_a_descriptor_can_be_paused_and_removed(self):
        self.deny(errno.EMFILE)
        verify = self.a.start_ctl("verify", str(self.shared))
        self.a.wait_transfer(self.shared, lambda t: t["error"], "it says what it lacks")
        self.a.must("pause", str(self.shared))
        verify.communicate()
        self.a.wait_state(self.shared, "paused")
        self.faults.disarm()
        self.a.must("resume", str(self.shared))
        self.a.wait_state(self.shared, "seeding")
        self.a.must("remove", str(self.shared))
        self.assertEqual(self.a.transfers(), [])


@suites()
@unittest.skipIf(SANITIZED, "a sanitizer has terabytes of address space")
class AddressSpaceTest(P2pTest):
    """Wherever a start finds that there is too little memory, it ends with a sentence."""
    KIB = range(20_000, 420_001, 20_000)

    def with_limit(self, kib, arguments):
        """None where not even the libraries can be loaded."""
        limited = ["sh", "-c", f'ulimit -v {kib}; exec "$@"', "sh"] + arguments
        loads = subprocess.run(limited + ["--version"], check=False, capture_output=True)
        return limited if loads.returncode == 0 else None

    def check(self, process, ready):
        process.spawn()
        wait_for(lambda: not process.running or ready(), "it starts or ends")
        if process.running:
            process.kill9()
            return 0
        self.assertEqual(process.exit_code, 1, process.log())
        said = [line for line in process.log().splitlines() if line.startswith("p2p")]
        self.assertEqual(len(said), 1, process.log())
        self.assertNotIn("terminate called", process.log())
        return 1

    def test_X10_a_daemon_without_memory_for_its_start_says_so(self):
        ended = 0
        for kib in self.KIB:
            daemon = self.make_daemon(f"d{kib}")
            limited = self.with_limit(kib, daemon.arguments)
            if limited is not None:
                daemon.arguments = limited
                with self.subTest(kib=kib):
                    ended += self.check(daemon, lambda d=daemon: "control socket" in d.log())
        self.assertGreater(ended, 0)

    def test_X10_a_tracker_without_memory_for_its_start_says_so(self):
        ended = 0
        command = [program("p2p-tracker"), "--listen", LOCALHOST + ":0"]
        for kib in self.KIB:
            limited = self.with_limit(kib, command)
            if limited is not None:
                tracker = self.process(limited, f"t{kib}")
                with self.subTest(kib=kib):
                    ended += self.check(tracker, lambda t=tracker: "listening on" in t.log())
        self.assertGreater(ended, 0)
