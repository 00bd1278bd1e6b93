"""The clock of the day jumps; random numbers do not come, or late."""
import errno
import os
import time
import unittest

from p2p_call_faults import FOREVER, LIBRARY, CallFaults
from p2p_content import MIB, make_file
from p2p_harness import LOCALHOST, P2pTest, link_to, suites
from p2p_proxy import Proxy

HOUR = 3600
YEAR = 365 * 24 * HOUR


@suites()
@unittest.skipUnless(LIBRARY, "call_faults.cc is not built here (a sanitizer, or not Linux)")
class ClockTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.faults = self.closing(CallFaults(self.path("faults")))

    def after_2038(self):
        return 2**31 + 1000 - int(time.time())

    def check_jump(self, seconds):
        """Tracker, sharing and downloading daemon all see the clock jump in the middle."""
        tracker = self.tracker(env=self.faults.env())
        a = self.daemon("a", [tracker], env=self.faults.env())
        b = self.daemon("b", env=self.faults.env())
        digest = make_file(self.path("x.bin"), 12 * MIB)
        shared = a.share(self.path("x.bin"))
        tracker.wait_lists("x.bin", a.address)
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=3 * MIB))
        transfer = b.get_detached(link_to(shared, proxy))["id"]
        b.wait_bytes(transfer, MIB, "a part is here")
        self.faults.set_clock(seconds)
        proxy.allow()
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)
        # Registrations live by the other clock, and so do connections, rates and waits.
        self.assertEqual(tracker.lookup("x.bin"), [a.address])
        self.assertLess(b.status()["uptime_seconds"], HOUR)
        self.assertGreaterEqual(b.totals()["rate_down"], 0)
        # What begins after the jump works as well, the log has the new time, and all of it ends.
        again = make_file(self.path("y.bin"), MIB, seed=2)
        got = b.get(link_to(a.share(self.path("y.bin")), a))
        self.assert_same_file(got["path"], again)
        year = time.gmtime(time.time() + seconds).tm_year
        self.assertRegex(a.log(), rf"(?m)^{year}-\d\d-\d\dT.*y\.bin")
        for daemon in (a, b):
            self.assertEqual(daemon.stop(), 0, daemon.log())
            daemon.start()
        a.wait_state(shared["id"], "seeding")
        b.wait_state(transfer, "complete")

    def test_X08_an_hour_forward(self):
        self.check_jump(HOUR)

    def test_X08_an_hour_back(self):
        self.check_jump(-HOUR)

    def test_X08_ten_years_forward(self):
        self.check_jump(10 * YEAR)

    def test_X08_ten_years_back(self):
        self.check_jump(-10 * YEAR)

    def test_X08_past_the_end_of_32_bits_in_2038(self):
        self.check_jump(self.after_2038())


@suites()
@unittest.skipUnless(LIBRARY, "call_faults.cc is not built here (a sanitizer, or not Linux)")
class MachineTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.faults = self.closing(CallFaults(self.path("faults")))

    def start_that_fails(self, daemon):
        daemon.spawn()
        self.assertIn(daemon.wait(), (1, 78), daemon.log())
        reasons = [line for line in daemon.log().splitlines() if line.startswith("p2pd: ")]
        self.assertEqual(len(reasons), 1, daemon.log())
        return reasons[0]

    def test_X09_without_random_numbers_the_first_start_ends_with_a_reason(self):
        b = self.make_daemon("b", env=self.faults.env())
        self.faults.arm("getentropy", last=FOREVER, error=errno.ENOSYS)
        self.assertIn("random", self.start_that_fails(b))
        self.assertFalse(os.path.exists(os.path.join(b.state_dir, "peer_id")))
        self.faults.disarm()
        b.start()
        peer_id = b.status()["peer_id"]
        # Later starts need none for that.
        b.stop()
        self.faults.arm("getentropy", last=FOREVER, error=errno.ENOSYS)
        b.start()
        self.assertEqual(b.status()["peer_id"], peer_id)

    def test_X09_random_numbers_that_come_late_only_delay_the_first_start(self):
        b = self.make_daemon("b", env=self.faults.env())
        self.faults.arm("getentropy", last=FOREVER, delay_ms=2000)
        b.start()
        self.assertRegex(b.status()["peer_id"], "^[0-9a-f]{64}$")
        self.assertGreater(self.faults.injected, 0)

    def test_X09_without_ipv6_its_addresses_are_refused_with_a_reason_and_ipv4_works(self):
        b = self.make_daemon("b", env=self.faults.env(), listen="[::1]:0")
        # The first one is for the control socket.
        self.faults.arm("bind", nth=2, error=errno.EAFNOSUPPORT)
        self.assertRegex(self.start_that_fails(b), "this machine has no IPv6; .*--listen")
        self.faults.disarm()
        b.arguments[b.arguments.index("--listen") + 1] = LOCALHOST + ":0"
        b.start()
