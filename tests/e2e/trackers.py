"""The tracker may come late, go and come back."""
import os
import signal

from p2p_content import MIB, make_file
from p2p_harness import LOCALHOST, P2pTest, free_port, wait_for
from p2p_original import ask
from p2p_proxy import Proxy


class TrackerLossTest(P2pTest):
    def test_a_daemon_that_starts_before_the_tracker_registers_when_it_comes(self):
        tracker = self.tracker()
        tracker.kill9()
        a = self.daemon("a", [tracker])
        make_file(self.path("x.bin"), 1000)
        a.share(self.path("x.bin"))
        a.wait_tracker(ok=False)
        self.assertIn("not reached", a.status()["trackers"][0]["state"])
        tracker.start()
        tracker.wait_lists("x.bin", a.address)
        a.wait_tracker(ok=True)

    def test_a_get_waits_for_a_tracker_that_comes_late(self):
        tracker = self.tracker()
        tracker.kill9()
        a, b = self.daemon("a", [tracker]), self.daemon("b", [tracker])
        digest = make_file(self.path("x.bin"), MIB)
        a.share(self.path("x.bin"))
        got = b.get_detached("x.bin")
        waiting = b.wait_transfer(got["id"], lambda t: t["error"] != "", "it says why it waits")
        self.assertEqual(waiting["state"], "queued")
        self.assertIn("tracker", waiting["error"])
        tracker.start()
        tracker.wait_lists("x.bin", a.address)
        b.wait_state(got["id"], "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)

    def test_T23_a_tracker_that_was_killed_knows_everything_again_by_itself(self):
        tracker = self.tracker()
        a, b = self.daemon("a", [tracker]), self.daemon("b", [tracker])
        make_file(self.path("x.bin"), 1000)
        a.share(self.path("x.bin"))
        b.get("x.bin")
        tracker.wait_lists("x.bin", a.address, b.address)
        tracker.kill9()
        a.wait_tracker(ok=False)
        tracker.start()
        tracker.wait_lists("x.bin", a.address, b.address)
        a.wait_tracker(ok=True)

    def test_C13_a_download_goes_on_while_the_tracker_is_dead(self):
        tracker = self.tracker()
        a = self.daemon("a")
        b = self.daemon("b", [tracker])
        digest = make_file(self.path("x.bin"), 12 * MIB)
        shared = a.share(self.path("x.bin"))
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=3 * MIB))
        ask(tracker.address, f"ANNOUNCE x.bin {12 * MIB} {shared['content_id']} {proxy.address}")
        got = b.get_detached("x.bin")
        b.wait_bytes(got["id"], MIB, "a part is here")
        tracker.kill9()
        b.wait_tracker(ok=False)
        proxy.allow()
        b.wait_state(got["id"], "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)

    def test_a_peer_that_comes_later_is_found_by_a_download_that_runs(self):
        tracker = self.tracker()
        a, b = self.daemon("a"), self.daemon("b", [tracker])
        digest = make_file(self.path("x.bin"), MIB)
        shared = a.share(self.path("x.bin"))
        got = b.get_detached(shared["content_id"])
        waiting = b.wait_transfer(got["id"], lambda t: t["error"] != "", "it says why it waits")
        self.assertIn("no peer", waiting["error"])
        a.stop()
        a.arguments += ["--tracker", tracker.address]
        a.start()
        b.wait_state(got["id"], "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)

    def test_two_trackers_are_both_told_and_either_is_enough(self):
        one, two = self.tracker(name="one"), self.tracker(name="two")
        a = self.daemon("a", [one, two])
        make_file(self.path("x.bin"), 1000)
        a.share(self.path("x.bin"))
        one.wait_lists("x.bin", a.address)
        two.wait_lists("x.bin", a.address)
        one.kill9()
        self.assertEqual(self.daemon("b", [one, two]).get("x.bin")["state"], "complete")

    def test_a_tracker_that_nobody_can_reach_keeps_no_command_waiting(self):
        a = self.daemon("a", [f"{LOCALHOST}:{free_port()}"])
        make_file(self.path("x.bin"), 1000)
        a.must("share", self.path("x.bin"), timeout=20)
        a.must("status", timeout=20)
        a.must("stop", timeout=20)

    def test_sighup_reads_the_trackers_from_the_config_again(self):
        one, two = self.tracker(name="one"), self.tracker(name="two")
        config = self.path("p2pd.toml")
        with open(config, "w", encoding="ascii") as file:
            file.write(f'trackers = ["{one.address}"]\n')
        a = self.daemon("a", arguments=["--config", config])
        make_file(self.path("x.bin"), 1000)
        a.share(self.path("x.bin"))
        one.wait_lists("x.bin", a.address)
        with open(config, "w", encoding="ascii") as file:
            file.write(f'trackers = ["{two.address}"]\n')
        a.send(signal.SIGHUP)
        two.wait_lists("x.bin", a.address)
        one.wait_lists("x.bin")
        self.assertEqual([t["address"] for t in a.status()["trackers"]], [two.address])

    def test_F04_sighup_with_a_broken_config_changes_nothing(self):
        tracker = self.tracker()
        config = self.path("p2pd.toml")
        with open(config, "w", encoding="ascii") as file:
            file.write(f'trackers = ["{tracker.address}"]\n')
        a = self.daemon("a", arguments=["--config", config])
        with open(config, "w", encoding="ascii") as file:
            file.write('trackers = "none\n')
        a.send(signal.SIGHUP)
        wait_for(lambda: "stays as it was" in a.log(), "the log says so")
        self.assertIn("p2pd.toml:1", a.log())
        self.assertEqual([t["address"] for t in a.status()["trackers"]], [tracker.address])
