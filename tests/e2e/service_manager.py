"""What a service manager hears of p2pd, and what it does when p2pd breaks."""
import os
import re
import signal

from p2p_content import MIB, make_file
from p2p_harness import LOCALHOST, P2pTest, link_to, suites
from p2p_proxy import Proxy
from p2p_service_manager import HeldThread, ServiceManager, kill_thread, threads_of

WATCHDOG_SECONDS = 0.4


def unit_file():
    """{key: value} of the installed unit, as it stands in the source tree."""
    path = os.path.join(os.environ["P2P_SOURCE_DIR"], "systemd", "p2pd.service.in")
    with open(path, encoding="utf-8") as unit:
        return dict(re.findall(r"^(\w+)=(.*)$", unit.read(), re.MULTILINE))


class NotificationTest(P2pTest):
    def manager(self):
        return self.closing(ServiceManager(self.dir))

    def test_X01_it_hears_of_the_start_and_the_end(self):
        manager = self.manager()
        a = self.daemon("a", env=manager.environment())
        self.assertEqual(manager.wait_to_hear("READY=1"), ["READY=1"])
        a.send(signal.SIGHUP)
        manager.wait_to_hear("READY=1\nSTATUS=")
        self.assertEqual(a.stop(), 0)
        self.assertEqual(manager.heard(), ["STOPPING=1"])

    def test_X06_the_watchdog_is_fed_where_the_manager_asks_for_it(self):
        manager = self.manager()
        a = self.daemon("a", env=manager.environment(WATCHDOG_SECONDS))
        self.assertEqual(manager.wait_to_hear("WATCHDOG=1", times=5)[0], "READY=1")
        self.assertEqual(a.stop(), 0)
        self.assertEqual(manager.wait_to_hear("STOPPING=1")[-1], "STOPPING=1")

    def test_X06_the_watchdog_is_not_fed_while_any_loop_is_stuck(self):
        manager = self.manager()
        a = self.daemon("a", env=manager.environment(WATCHDOG_SECONDS))
        loops = {name: thread for name, thread in threads_of(a.pid).items()
                 if name == "p2pd-engine" or name.startswith("p2pd-io-")}
        self.assertGreaterEqual(len(loops), 2)
        for name, thread in loops.items():
            manager.wait_to_hear("WATCHDOG=1")
            held = self.hold(thread)
            manager.hears_nothing(2 * WATCHDOG_SECONDS)
            a.wait_for_log("does not get on")
            held.release()
            manager.wait_to_hear("WATCHDOG=1", times=2)
        # Each is told by its name, once for each time.
        told = re.findall(r"(the engine loop|I/O loop \d+) does not get on", a.log())
        self.assertEqual(set(told), {"the engine loop"} | {
            name.replace("p2pd-io-", "I/O loop ") for name in loops if name != "p2pd-engine"})

    def test_X06_a_worker_that_waits_for_its_disk_is_no_reason(self):
        manager = self.manager()
        a = self.daemon("a", env=manager.environment(WATCHDOG_SECONDS))
        worker = next(thread for name, thread in threads_of(a.pid).items()
                      if name.startswith("p2pd-work"))
        self.hold(worker)
        manager.heard()
        manager.wait_to_hear("WATCHDOG=1", times=8)

    def test_X06_a_stuck_daemon_that_is_ended_and_restarted_goes_on(self):
        a = self.daemon("a")
        digest = make_file(self.path("x.bin"), 8 * MIB)
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=3 * MIB))
        magnet = link_to(a.share(self.path("x.bin")), proxy)
        b = self.daemon("b")
        transfer = b.get_detached(magnet)["id"]
        done = b.wait_bytes(transfer, MIB, "a part is here")["bytes_done"]
        held = self.hold(threads_of(b.pid)["p2pd-engine"])
        # As systemd does when a watchdog is not fed.
        b.send(signal.SIGABRT)
        held.release()
        self.assertEqual(b.wait(), -signal.SIGABRT)
        b.start()
        b.wait_bytes(transfer, min(done, MIB), "what was stored is there again")
        proxy.allow()
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)

    def hold(self, thread):
        try:
            held = HeldThread(thread)
        except PermissionError as error:
            self.skipTest(f"no thread may be held up here: {error}")
        self.addCleanup(held.release)
        return held


@suites()
class UnitFileTest(P2pTest):
    def test_X04_X06_a_daemon_that_breaks_or_stands_still_is_restarted(self):
        unit = unit_file()
        self.assertEqual(unit["Type"], "notify")
        # Of signals and the watchdog as well, see systemd.service(5); not of wrong configuration.
        self.assertEqual(unit["Restart"], "on-failure")
        self.assertGreater(int(unit["WatchdogSec"]), 0)
        self.assertEqual(unit["RestartPreventExitStatus"].split(), ["2", "78"])


@suites("sanitizers")
class CrashTest(P2pTest):
    def test_X04_a_fault_in_any_thread_ends_the_daemon_and_a_restart_recovers(self):
        size = 20 * MIB
        threads = ["p2pd-engine", "p2pd-io-0", "p2pd-work", "p2pd-catalog"]
        a = self.daemon("a")
        digest = make_file(self.path("x.bin"), size)
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=0))
        magnet = link_to(a.share(self.path("x.bin")), proxy)
        # A sanitizer would turn the fault into a report; that the program leaves it alone, so that
        # there is a core and the manager tells of the signal, is what is looked at.
        options = {name: ":".join(filter(None, [os.environ.get(name), "handle_segv=0"]))
                   for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS")}
        b = self.daemon("b", env=dict(os.environ, **options))
        transfer = b.get_detached(magnet)["id"]
        for name in threads:
            before = b.transfer(transfer)["bytes_done"]
            proxy.allow(3 * MIB)
            b.wait_bytes(transfer, before + 1, "it goes on")
            thread = next(t for n, t in threads_of(b.pid).items() if n.startswith(name))
            kill_thread(b.pid, thread, signal.SIGSEGV)
            self.assertEqual(b.wait(), -signal.SIGSEGV, name)
            b.start()
            seen = b.wait_transfer(transfer, lambda t: t["state"] != "checking", "it was checked")
            self.assertGreaterEqual(seen["bytes_done"], before, name)
        proxy.allow()
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)
