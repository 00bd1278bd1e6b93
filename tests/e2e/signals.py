"""Signals, and how the programs end."""
import os
import signal
import socket
import time

from p2p_content import CHUNK, MIB, make_file
from p2p_harness import DEADLINE, LOCALHOST, P2pTest, cpu_ticks, link_to, suites, wait_for
from p2p_proxy import Proxy


class ShutdownTest(P2pTest):
    def check_end(self, number):
        tracker = self.tracker()
        a = self.daemon("a", [tracker])
        b = self.daemon("b", [tracker])
        digest = make_file(self.path("x.bin"), 12 * MIB)
        shared = a.share(self.path("x.bin"))
        make_file(self.path("y.bin"), 1000, seed=2)
        b.share(self.path("y.bin"))
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=5 * MIB + 30_000))
        # By its own link only: the tracker would lead around the proxy.
        c = self.daemon("c")
        transfer = c.get_detached(link_to(shared, proxy))["id"]
        done = c.wait_bytes(transfer, 4 * MIB, "a part is here")
        address = b.address
        tracker.wait_lists("y.bin", address)
        for daemon in (b, c):
            daemon.send(number)
        for daemon in (b, c):
            code = daemon.wait()
            self.assertEqual(code, 0, daemon.log())
            self.assertFalse(os.path.exists(daemon.socket))
        # The tracker was told before the end.
        self.assertEqual(tracker.lookup("y.bin"), [])
        c.start()
        c.wait_transfer(transfer, lambda t: t["bytes_done"] >= done["bytes_done"] and
                        t["state"] == "downloading", "everything was committed")
        proxy.allow()
        c.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(c.downloads, "x.bin"), digest)
        self.assertLess(proxy.bytes_down, 12 * MIB + 5 * CHUNK)

    @suites("portable", "sanitizers", "tsan")
    def test_X01_sigterm_ends_in_good_order(self):
        self.check_end(signal.SIGTERM)

    def test_X01_sigint_ends_in_good_order(self):
        self.check_end(signal.SIGINT)

    def test_X01_a_second_signal_ends_at_once(self):
        # A tracker that takes connections and never answers holds up the good order.
        with socket.create_server((LOCALHOST, 0)) as mute:
            a = self.daemon("a", [f"{LOCALHOST}:{mute.getsockname()[1]}"])
            make_file(self.path("x.bin"), 1000)
            a.share(self.path("x.bin"))
            a.send(signal.SIGTERM)
            a.wait_for_log("stopping")
            a.send(signal.SIGTERM)
            code = a.wait()
            # ThreadSanitizer runs a handler at the thread's next call that it knows, here the end of the good order.
            self.assertIn(code, (0, 1))
        # Nothing is lost by it.
        a.start()
        a.wait_state("x.bin", "seeding")

    def test_a_tracker_that_never_answers_does_not_hold_up_the_end(self):
        with socket.create_server((LOCALHOST, 0)) as mute:
            a = self.daemon("a", [f"{LOCALHOST}:{mute.getsockname()[1]}"])
            make_file(self.path("x.bin"), 1000)
            a.share(self.path("x.bin"))
            a.send(signal.SIGTERM)
            code = a.wait()
            self.assertEqual(code, 0, a.log())

    def test_a_seeder_that_stops_while_it_serves_ends_in_good_order(self):
        a = self.daemon("a")
        make_file(self.path("x.bin"), 8 * MIB)
        shared = a.share(self.path("x.bin"))
        # What its connections cause when they close meets the end of its parts at another point
        # each time.
        for number in range(6):
            proxy = self.closing(Proxy((LOCALHOST, a.port), budget=3 * MIB))
            b = self.daemon(f"b{number}")
            transfer = b.get_detached(link_to(shared, proxy))["id"]
            b.wait_bytes(transfer, MIB, "a part is here")
            self.assertEqual(a.stop(), 0, a.log())
            a.start()

    def test_sigterm_while_a_share_is_hashed(self):
        a = self.daemon("a")
        make_file(self.path("x.bin"), 192 * MIB)
        share = a.start_ctl("--json", "share", self.path("x.bin"))
        share.stdout.readline()
        a.send(signal.SIGTERM)
        code = a.wait()
        share.communicate(timeout=DEADLINE)
        self.assertEqual(code, 0, a.log())
        a.start()
        a.wait_state("x.bin", "seeding")

    def test_X01_a_storm_of_signals_does_no_harm(self):
        a = self.daemon("a")
        digest = make_file(self.path("x.bin"), 8 * MIB)
        shared = a.share(self.path("x.bin"))
        b = self.daemon("b")
        get = b.start_ctl("get", link_to(shared, a))
        for _ in range(20_000):
            for daemon in (a, b):
                os.kill(daemon.pid, signal.SIGUSR1)
                os.kill(daemon.pid, signal.SIGHUP)
        _, err = get.communicate(timeout=DEADLINE)
        self.assertEqual(get.returncode, 0, err)
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)
        for daemon in (a, b):
            self.assertEqual(daemon.stop(), 0)

    def test_X01_the_tracker_ends_on_sigterm_and_sigint_and_ignores_sigusr1(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            tracker = self.tracker(name=f"tracker-{int(number)}")
            tracker.send(signal.SIGUSR1)
            tracker.send(signal.SIGPIPE)
            tracker.ask("REGISTER x 1 127.0.0.1:5000")
            tracker.send(number)
            code = tracker.wait()
            self.assertEqual(code, 0, tracker.log())

    def test_X03_sigpipe_does_no_harm(self):
        a = self.daemon("a")
        for _ in range(10):
            a.send(signal.SIGPIPE)
        self.assertEqual(a.ctl("status").code, 0)

    def test_stop_while_p2pctl_watches_ends_the_watch_with_69(self):
        a = self.daemon("a")
        make_file(self.path("x.bin"), 10)
        a.share(self.path("x.bin"))
        watch = a.start_ctl("--json", "watch")
        watch.stdout.readline()
        a.send(signal.SIGTERM)
        code = a.wait()
        self.assertEqual(code, 0)
        _, err = watch.communicate(timeout=DEADLINE)
        self.assertEqual(watch.returncode, 69, err)

    def test_an_idle_daemon_uses_no_cpu(self):
        tracker = self.tracker()
        a = self.daemon("a", [tracker])
        b = self.daemon("b", [tracker])
        make_file(self.path("x.bin"), 4 * MIB)
        a.share(self.path("x.bin"))
        b.get("x.bin")

        def is_idle():
            before = [cpu_ticks(p.pid) for p in (a, b, tracker)]
            time.sleep(2)  # the interval that is measured
            return all(cpu_ticks(p.pid) - x < 2 for p, x in zip((a, b, tracker), before))
        wait_for(is_idle, "nothing uses CPU for 2 s", deadline=20)
