"""The tracker may come late, go and come back."""
import os
import re
import signal
import socket

from p2p_content import MIB, make_file
from p2p_harness import LOCALHOST, P2pTest, free_port, link_to, suites, wait_for
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

    def test_what_a_tracker_accepted_is_renewed_though_it_refused_others(self):
        tracker = self.tracker("--ttl", "4", "--max-registrations-per-address", "20",
                               "--access-log")
        os.mkdir(self.path("files"))
        a = self.daemon("a", [tracker])
        a.trackers.clear()  # some are never listed
        names = [f"{number}.bin" for number in range(30)]
        for name in names:
            make_file(self.path("files", name), 1000)
            a.share(self.path("files", name))
        wait_for(lambda: "refused an announcement" in a.status()["trackers"][0]["state"],
                 "it says that the tracker refuses some")
        # Twice: what was refused is tried again in between.
        renewed = re.compile(rf"RENEW 20 {a.address} -> OK 4\n(?:.*\n)*?.*"
                             rf"ANNOUNCE .* -> ERROR 429.*\n(?:.*\n)*?.*RENEW 20 {a.address} -> OK 4")
        wait_for(lambda: renewed.search(tracker.log()), "the daemon renews what was accepted")
        self.assertEqual(sum(tracker.lookup(name) == [a.address] for name in names), 20)
        self.assertIn("refused an announcement", a.status()["trackers"][0]["state"])

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

    @suites("portable", "sanitizers", "tsan")
    def test_T23_a_tracker_that_was_killed_knows_everything_again_by_itself(self):
        tracker = self.tracker()
        a, b = self.daemon("a", [tracker]), self.daemon("b", [tracker])
        make_file(self.path("x.bin"), 1000)
        a.share(self.path("x.bin"))
        tracker.wait_lists("x.bin", a.address)
        b.get("x.bin")
        tracker.wait_lists("x.bin", a.address, b.address)
        tracker.kill9()
        a.wait_tracker(ok=False)
        tracker.start()
        tracker.wait_lists("x.bin", a.address, b.address)
        a.wait_tracker(ok=True)

    def test_T23_a_tracker_that_ended_over_hello_and_was_away_is_asked_as_what_it_is(self):
        tracker = self.tracker()
        tracker.stop()
        with socket.create_server((LOCALHOST, tracker.port)) as dying:
            b = self.daemon("b", [tracker])
            connection, _ = dying.accept()
            connection.recv(100)
            connection.close()
        got = b.get_detached("x.bin")["id"]
        b.wait_transfer(got, lambda t: "tracker" in t["error"], "it says that it waits")
        tracker.start()
        a = self.daemon("a", [tracker])
        make_file(self.path("x.bin"), 1000)
        a.share(self.path("x.bin"))
        self.assertIs(b.wait_state(got, "complete")["verified"], True)
        self.assertEqual(b.status()["trackers"][0]["state"], "ok")

    def test_T23_a_tracker_that_is_killed_24_times_in_a_swarm_costs_nobody_anything(self):
        tracker = self.tracker()
        a = self.daemon("a")
        size = 12 * MIB
        digest = make_file(self.path("x.bin"), size)
        shared = a.share(self.path("x.bin"))
        # Nobody can be done before the last time.
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=0))
        peers = [self.daemon(f"peer{number}", [tracker]) for number in range(8)]
        gets = {peer: peer.get_detached(link_to(shared, proxy))["id"] for peer in peers}
        for _ in range(24):
            proxy.allow(size // 26)
            tracker.kill9()
            tracker.start()
        self.assertNotIn("complete", [peer.transfer(get)["state"] for peer, get in gets.items()])
        proxy.allow()
        for peer, get in gets.items():
            peer.wait_state(get, "complete")
            self.assert_same_file(os.path.join(peer.downloads, "x.bin"), digest)

    def test_C13_a_download_goes_on_while_the_tracker_is_dead(self):
        tracker = self.tracker()
        a = self.daemon("a")
        b = self.daemon("b", [tracker])
        digest = make_file(self.path("x.bin"), 12 * MIB)
        shared = a.share(self.path("x.bin"))
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=3 * MIB))
        tracker.announce("x.bin", 12 * MIB, shared["content_id"], proxy.address)
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

    def test_many_registrations_are_renewed_by_one_line(self):
        tracker = self.tracker("--ttl", "8")
        proxy = self.closing(Proxy((LOCALHOST, tracker.port)))
        a = self.daemon("a", [proxy])
        names = [f"{i}.bin" for i in range(40)]
        for name in names:
            make_file(self.path(name), 1000)
            a.share(self.path(name))
        for name in names:
            tracker.wait_lists(name, a.address)
        announced = proxy.bytes_up
        self.assertGreater(announced, 40 * 100)
        two_renewals = 2 * len(f"RENEW 40 {a.address}\n")
        wait_for(lambda: proxy.bytes_up >= announced + two_renewals, "it was renewed twice")
        self.assertLess(proxy.bytes_up, announced + 40 * 100)
        for name in names:
            tracker.wait_lists(name, a.address)

    def test_a_tracker_that_hangs_holds_no_get_up_while_another_answers(self):
        one, two = self.tracker(name="one"), self.tracker(name="two")
        a, b = self.daemon("a", [one, two]), self.daemon("b", [one, two])
        make_file(self.path("x.bin"), 1000)
        a.share(self.path("x.bin"))
        two.wait_lists("x.bin", a.address)
        b.wait_tracker(ok=True)
        one.send(signal.SIGSTOP)
        self.addCleanup(one.send, signal.SIGCONT)
        # A daemon gives a tracker up that leaves a question open for 30 s.
        got = b.ctl("get", "x.bin")
        self.assertEqual(got.code, 0, got)

    def test_a_name_that_only_a_tracker_knows_that_is_just_back_is_found(self):
        one, two = self.tracker(name="one"), self.tracker(name="two")
        b = self.daemon("b", [one, two])
        make_file(self.path("y.bin"), 1000)
        b.share(self.path("y.bin"))
        one.wait_lists("y.bin", b.address)
        one.kill9()
        wait_for(lambda: not b.status()["trackers"][0]["ok"], "it knows that one is gone")
        one.start()
        a = self.daemon("a", [one])
        make_file(self.path("x.bin"), 1000)
        a.share(self.path("x.bin"))
        one.wait_lists("x.bin", a.address)
        self.assertEqual(b.get("x.bin")["state"], "complete")

    def test_a_tracker_that_nobody_can_reach_keeps_no_command_waiting(self):
        a = self.daemon("a", [f"{LOCALHOST}:{free_port()}"])
        make_file(self.path("x.bin"), 1000)
        a.must("share", self.path("x.bin"))
        a.must("status")
        a.must("stop")

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
