"""Every command of p2pctl and every exit code."""
import os

from p2p_content import MIB, make_bytes, make_file, make_tree, tree_of
from p2p_harness import DEADLINE, LOCALHOST, P2pTest, free_port, link_to, run_ctl, suites
from p2p_proxy import Proxy

SOURCE_DIR = os.environ.get("P2P_SOURCE_DIR", "")
PROMISED = {"id", "name", "content_id", "magnet", "kind", "state", "verified", "bytes_total",
            "bytes_done", "rate_down", "rate_up", "peers", "path", "error", "placed",
            "unverified_refused"}


@suites("portable", "sanitizers")
class CommandTest(P2pTest):
    def make_pair(self):
        """A tracker, one who shares and one who gets."""
        tracker = self.tracker()
        return tracker, self.daemon("a", [tracker]), self.daemon("b", [tracker])

    @suites("portable", "sanitizers", "tsan")
    def test_a_file_is_shared_and_got_by_its_name(self):
        _, a, b = self.make_pair()
        digest = make_file(self.path("report.bin"), 3 * MIB + 17)
        shared = a.share(self.path("report.bin"))
        self.assertEqual(shared["name"], "report.bin")
        got = b.get("report.bin")
        self.assertEqual(got["state"], "complete")
        self.assertIs(got["verified"], True)
        self.assertEqual(got["content_id"], shared["content_id"])
        self.assertEqual(got["path"], os.path.join(b.downloads, "report.bin"))
        self.assert_same_file(got["path"], digest)

    def test_a_directory_is_shared_and_got_by_its_name(self):
        _, a, b = self.make_pair()
        make_tree(self.path("photos"), {"one.jpg": b"1" * 600_000, "deep/er/two.jpg": b"2"})
        a.share(self.path("photos"))
        got = b.get("photos")
        self.assertEqual(tree_of(got["path"]), tree_of(self.path("photos")))

    def test_share_offers_a_file_under_the_name_that_was_given(self):
        tracker, a, b = self.make_pair()
        digest = make_file(self.path("x.bin"), 1000)
        shared = a.share(self.path("x.bin"), name="better name.bin")
        self.assertEqual(shared["name"], "better name.bin")
        self.assertEqual(tracker.lookup("better name.bin"), [a.address])
        got = b.get("better name.bin")
        self.assertEqual(os.path.basename(got["path"]), "better name.bin")
        self.assert_same_file(got["path"], digest)

    def test_share_of_a_relative_path_starts_at_the_working_directory_of_p2pctl(self):
        a = self.daemon("a")
        make_file(self.path("x.bin"), 10)
        result = a.must("--json", "share", "./x.bin", cwd=self.dir)
        self.assertEqual(result.last["path"], self.path("x.bin"))

    def test_share_of_the_same_path_again_gives_the_same_transfer(self):
        a = self.daemon("a")
        make_file(self.path("x.bin"), MIB)
        first = a.share(self.path("x.bin"))
        self.assertEqual(a.share(self.path("x.bin"))["id"], first["id"])
        self.assertEqual(len(a.transfers()), 1)

    def test_share_of_what_does_not_exist_exits_with_1_and_names_it(self):
        a = self.daemon("a")
        result = a.ctl("share", self.path("nothing"))
        self.assertEqual(result.code, 1, result)
        self.assertIn("nothing", result.err)
        self.assertEqual(a.transfers(), [])

    def test_get_by_content_id(self):
        _, a, b = self.make_pair()
        digest = make_file(self.path("x.bin"), MIB)
        got = b.get(a.share(self.path("x.bin"))["content_id"])
        self.assert_same_file(got["path"], digest)
        self.assertEqual(got["name"], "x.bin")

    def test_get_by_magnet_link_needs_no_tracker_of_its_own(self):
        tracker = self.tracker()
        a = self.daemon("a", [tracker])
        b = self.daemon("b")
        digest = make_file(self.path("x y.bin"), MIB)
        magnet = a.share(self.path("x y.bin"))["magnet"]
        self.assertRegex(magnet, r"^magnet:\?xt=urn:btmh:1220[0-9a-f]{64}&")
        self.assertIn("&dn=x%20y.bin&xl=1048576&tr=", magnet)
        self.assertIn("tr=" + tracker.address, magnet)
        self.assert_same_file(b.get(magnet)["path"], digest)

    def test_get_by_magnet_link_with_a_peer_needs_no_tracker_at_all(self):
        a, b = self.daemon("a"), self.daemon("b")
        digest = make_file(self.path("x.bin"), MIB)
        shared = a.share(self.path("x.bin"))
        self.assert_same_file(b.get(link_to(shared, a))["path"], digest)

    def test_download_is_another_word_for_get(self):
        _, a, b = self.make_pair()
        digest = make_file(self.path("x.bin"), 100)
        a.share(self.path("x.bin"))
        b.must("download", "x.bin")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)

    def test_get_of_a_name_that_nobody_shares_exits_with_1_at_once(self):
        _, _, b = self.make_pair()
        result = b.ctl("get", "no such thing.bin")
        self.assertEqual(result.code, 1, result)
        self.assertIn("no such thing.bin", result.err)

    def test_get_of_a_bad_magnet_link_exits_with_1_and_says_why(self):
        b = self.daemon("b")
        result = b.ctl("get", "magnet:?xt=urn:btih:" + "a" * 40)
        self.assertEqual(result.code, 1, result)
        self.assertIn("v2", result.err)

    def test_get_by_name_without_a_tracker_says_what_to_do(self):
        b = self.daemon("b")
        result = b.ctl("get", "x.bin")
        self.assertEqual(result.code, 1, result)
        self.assertIn("--tracker", result.err)

    def test_two_contents_of_one_name_are_listed_and_none_is_chosen(self):
        tracker, a, b = self.make_pair()
        c = self.daemon("c", [tracker])
        os.mkdir(self.path("other"))
        make_file(self.path("x.bin"), 1000, seed=1)
        digest = make_file(self.path("other", "x.bin"), 1000, seed=2)
        one = a.share(self.path("x.bin"))["content_id"]
        two = c.share(self.path("other", "x.bin"))["content_id"]
        result = b.ctl("get", "x.bin")
        self.assertEqual(result.code, 1, result)
        self.assertIn(one, result.err)
        self.assertIn(two, result.err)
        self.assert_same_file(b.get(two)["path"], digest)

    def test_list_shows_all_transfers_with_the_promised_fields(self):
        _, a, b = self.make_pair()
        for name in ("x.bin", "y.bin"):
            make_file(self.path(name), 10)
            a.share(self.path(name))
        b.get("x.bin")
        shares = a.transfers()
        self.assertEqual([t["name"] for t in shares], ["x.bin", "y.bin"])
        for transfer in shares + b.transfers():
            self.assertLessEqual(PROMISED, set(transfer))
        self.assertEqual({t["kind"] for t in shares}, {"share"})
        self.assertEqual({t["state"] for t in shares}, {"seeding"})
        self.assertEqual(b.transfers()[0]["kind"], "download")

    def test_list_of_nothing_is_empty_in_json_and_says_so_to_people(self):
        a = self.daemon("a")
        self.assertEqual(a.must("--json", "list").out, "")
        self.assertIn("no transfers", a.must("list").out)

    def test_status_shows_the_daemon(self):
        tracker = self.tracker()
        a = self.daemon("a", [tracker])
        a.wait_tracker()
        status = a.status()
        self.assertLessEqual({"version", "peer_id", "listen", "trackers", "totals"}, set(status))
        self.assertRegex(status["peer_id"], "^[0-9a-f]{64}$")
        self.assertRegex(status["listen"], r"^127\.0\.0\.1:[1-9][0-9]*$")
        self.assertEqual([t["address"] for t in status["trackers"]], [tracker.address])
        self.assertEqual(status["trackers"][0]["state"], "ok")
        self.assertIn(status["download_device_type"],
                      ("memory", "solid state", "rotational", "network", "unknown"))
        self.assertGreaterEqual(status["worker_threads"], 2)
        self.assertIn(status["hash_threads"], (1, status["worker_threads"] - 1))
        text = a.must("status").out
        self.assertIn(f"({status['download_device_type']})", text)
        self.assertIn(status["listen"], text)
        self.assertIn(tracker.address, text)

    def test_status_shows_a_transfer_by_id_content_id_and_name(self):
        a = self.daemon("a")
        make_file(self.path("x.bin"), 1000)
        shared = a.share(self.path("x.bin"))
        for what in (shared["id"], shared["content_id"], shared["content_id"][:8], "x.bin"):
            self.assertEqual(a.transfer(what)["id"], shared["id"])
        self.assertIn(shared["magnet"], a.must("status", "x.bin").out)

    def test_status_of_an_unknown_transfer_exits_with_1(self):
        a = self.daemon("a")
        for command in ("status", "peers", "watch", "pause", "resume", "remove", "verify"):
            result = a.ctl(command, "77")
            self.assertEqual(result.code, 1, (command, result))
            self.assertIn("77", result.err, command)

    def test_peers_shows_who_serves_a_download(self):
        a, b = self.daemon("a"), self.daemon("b")
        make_file(self.path("x.bin"), 8 * MIB)
        shared = a.share(self.path("x.bin"))
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=MIB))
        got = b.get_detached(link_to(shared, proxy))
        b.wait_transfer(got["id"], lambda t: t["peers"] == 1 and t["bytes_done"] > 0, "it has one")
        peers = b.must("--json", "peers", got["id"]).objects
        self.assertTrue(peers)
        self.assertEqual({p["address"] for p in peers}, {proxy.address})
        self.assertEqual({p["original"] for p in peers}, {False})
        self.assertIn(proxy.address, b.must("peers", got["id"]).out)

    def test_watch_follows_a_download_to_its_end(self):
        a, b = self.daemon("a"), self.daemon("b")
        make_file(self.path("x.bin"), 4 * MIB)
        shared = a.share(self.path("x.bin"))
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=MIB))
        got = b.get_detached(link_to(shared, proxy))
        watch = b.start_ctl("--json", "watch", got["id"])
        first = watch.stdout.readline()
        self.assertIn('"id"', first)
        proxy.allow()
        out, err = watch.communicate(timeout=DEADLINE)
        self.assertEqual(watch.returncode, 0, err)
        self.assertIn('"state":"complete"', out.splitlines()[-1])

    @suites("portable", "sanitizers", "tsan")
    def test_watch_of_everything_shows_what_is_added_and_removed(self):
        a = self.daemon("a")
        watch = a.start_ctl("--json", "watch")
        self.addCleanup(watch.kill)
        make_file(self.path("x.bin"), 10)
        shared = a.share(self.path("x.bin"))
        while '"seeding"' not in (line := watch.stdout.readline()):
            self.assertTrue(line, "the watch ended early")
        a.must("remove", shared["id"])
        while '"removed":true' not in (line := watch.stdout.readline()):
            self.assertTrue(line, "the watch ended early")
        watch.kill()
        watch.communicate()

    @suites("portable", "sanitizers", "tsan")
    def test_a_paused_download_moves_nothing_until_it_is_resumed(self):
        a, b = self.daemon("a"), self.daemon("b")
        digest = make_file(self.path("x.bin"), 8 * MIB)
        shared = a.share(self.path("x.bin"))
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=MIB + 100_000))
        got = b.get_detached(link_to(shared, proxy))
        done = b.wait_bytes(got["id"], MIB, "1 MiB is here")
        self.assertEqual(b.must("--json", "pause", got["id"]).last["state"], "paused")
        paused = b.wait_state(got["id"], "paused")
        self.assertEqual(paused["bytes_done"], done["bytes_done"])
        proxy.allow()
        connections = proxy.connections
        self.assertEqual(b.transfer(got["id"])["state"], "paused")
        b.must("resume", got["id"])
        b.wait_state(got["id"], "complete")
        self.assertGreater(proxy.connections, connections)
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)

    def test_a_paused_share_is_not_offered_until_it_is_resumed(self):
        tracker, a, b = self.make_pair()
        make_file(self.path("x.bin"), 100)
        shared = a.share(self.path("x.bin"))
        a.must("pause", "x.bin")
        a.wait_state(shared["id"], "paused")
        tracker.wait_lists("x.bin")
        self.assertEqual(b.ctl("get", "x.bin").code, 1)
        a.must("resume", "x.bin")
        a.wait_state(shared["id"], "seeding")
        tracker.wait_lists("x.bin", a.address)
        b.get("x.bin")

    def test_remove_forgets_a_download_and_keeps_its_file(self):
        tracker, a, b = self.make_pair()
        digest = make_file(self.path("x.bin"), 100)
        a.share(self.path("x.bin"))
        got = b.get("x.bin")
        result = b.must("--json", "remove", got["id"])
        self.assertEqual(result.last["id"], got["id"])
        self.assertEqual(b.transfers(), [])
        self.assert_same_file(got["path"], digest)
        tracker.wait_lists("x.bin", a.address)

    def test_remove_with_data_deletes_a_downloaded_directory_and_nothing_else(self):
        _, a, b = self.make_pair()
        make_tree(self.path("photos"), {"one": b"1", "deep/two": b"2"})
        a.share(self.path("photos"))
        got = b.get("photos")
        make_file(os.path.join(b.downloads, "mine"), 3)
        b.must("remove", got["id"], "--with-data")
        self.assertEqual(os.listdir(b.downloads), ["mine"])

    def test_remove_with_data_never_deletes_a_shared_file(self):
        a = self.daemon("a")
        digest = make_file(self.path("x.bin"), 100)
        a.share(self.path("x.bin"))
        result = a.ctl("remove", "x.bin", "--with-data")
        self.assertEqual(result.code, 1, result)
        self.assert_same_file(self.path("x.bin"), digest)

    def test_remove_of_an_unfinished_download_leaves_no_part_behind(self):
        a, b = self.daemon("a"), self.daemon("b")
        make_file(self.path("x.bin"), 8 * MIB)
        shared = a.share(self.path("x.bin"))
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=2 * MIB))
        got = b.get_detached(link_to(shared, proxy))
        b.wait_bytes(got["id"], MIB, "1 MiB is here")
        self.assertEqual(os.listdir(b.downloads), ["x.bin.part"])
        b.must("remove", got["id"])
        self.assertEqual(os.listdir(b.downloads), [])

    def test_remove_of_a_download_that_was_paused_before_a_restart_leaves_no_part_behind(self):
        make_tree(self.path("photos"), {"one": make_bytes(4 * MIB), "deep/two": make_bytes(4 * MIB)})
        for paths, kill in ((["x.bin"], False), (["photos"], True)):
            with self.subTest(paths=paths):
                make_file(self.path("x.bin"), 8 * MIB)
                a, b = self.daemon("a-" + paths[0]), self.daemon("b-" + paths[0])
                shared = a.share(self.path(paths[0]))
                proxy = self.closing(Proxy((LOCALHOST, a.port), budget=2 * MIB))
                got = b.get_detached(link_to(shared, proxy))
                b.wait_bytes(got["id"], MIB, "1 MiB is here")
                b.must("pause", got["id"])
                self.assertEqual(os.listdir(b.downloads), [paths[0] + ".part"])
                b.kill9() if kill else b.stop()
                b.start()
                b.must("remove", got["id"])
                self.assertEqual(os.listdir(b.downloads), [])

    def test_remove_of_a_download_leaves_a_part_that_is_another_one(self):
        a, b = self.daemon("a"), self.daemon("b")
        make_file(self.path("x.bin"), 8 * MIB)
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=2 * MIB))
        got = b.get_detached(link_to(a.share(self.path("x.bin")), proxy))
        b.wait_bytes(got["id"], MIB, "1 MiB is here")
        b.must("pause", got["id"])
        b.stop()
        part = os.path.join(b.downloads, "x.bin.part")
        os.rename(part, part + ".old")
        make_file(part, 8 * MIB, seed=2)
        b.start()
        removed = b.ctl("remove", str(got["id"]))
        self.assertEqual(removed.code, 1)
        self.assertIn("x.bin.part is not the one that was written, and stays", removed.err)
        self.assertEqual(sorted(os.listdir(b.downloads)), ["x.bin.part", "x.bin.part.old"])
        self.assertEqual(b.transfers(), [])

    def test_remove_with_data_of_what_was_paused_before_a_restart_deletes_it(self):
        _, a, b = self.make_pair()
        make_tree(self.path("photos"), {"one": b"1", "deep/two": b"2"})
        a.share(self.path("photos"))
        got = b.get("photos")
        b.must("pause", got["id"])
        b.stop()
        b.start()
        b.must("remove", got["id"], "--with-data")
        self.assertEqual(os.listdir(b.downloads), [])

    def test_verify_of_a_healthy_share_succeeds(self):
        a = self.daemon("a")
        make_file(self.path("x.bin"), 2 * MIB)
        a.share(self.path("x.bin"))
        self.assertEqual(a.must("--json", "verify", "x.bin").last["state"], "seeding")

    def test_stop_ends_the_daemon(self):
        a = self.daemon("a")
        a.must("stop")
        self.assertEqual(a.wait(), 0)
        self.assertFalse(os.path.exists(a.socket))

    def test_version_works_with_and_without_a_daemon(self):
        a = self.daemon("a")
        with_daemon = a.must("--json", "version").last
        self.assertEqual(with_daemon["p2pctl"], with_daemon["p2pd"])
        a.stop()
        self.assertIsNone(a.must("--json", "version").last["p2pd"])
        self.assertIn("not running", a.must("version").out)

    def test_help_describes_every_command(self):
        text = run_ctl(["help"])
        self.assertEqual(text.code, 0)
        for command in ("share", "get", "list", "status", "peers", "watch", "pause", "resume",
                        "remove", "verify", "stop", "version", "help"):
            self.assertIn(f"\n  {command} ", text.out)
            one = run_ctl(["help", command])
            self.assertEqual(one.code, 0, command)
            self.assertIn("usage: p2pctl " + command, one.out)
        self.assertIn("--detach", run_ctl(["help", "download"]).out)

    def test_help_and_readme_name_every_place_of_the_socket_and_every_exit_code(self):
        with open(os.path.join(SOURCE_DIR, "README.md"), encoding="utf-8") as readme:
            texts = (readme.read(), run_ctl(["--help"]).out)
        for text in texts:
            for place in ("$P2P_SOCKET", "/run/p2pd/p2pd.sock", "$XDG_RUNTIME_DIR/p2pd.sock",
                          "/tmp/p2pd-UID/p2pd.sock"):
                self.assertIn(place, text)
            codes = text[text.lower().index("exit codes: 0 done"):][:300]
            for code in ("0", "1", "2", "65", "69", "77", "130"):
                self.assertRegex(codes, rf"\b{code} ")

    def test_wrong_usage_exits_with_2(self):
        for arguments in ([], ["frobnicate"], ["share"], ["get"], ["get", "a", "b"], ["pause"],
                          ["list", "x"], ["get", "a", "--frob"], ["--frob", "list"],
                          ["get", "a", "-o"], ["help", "frobnicate"], ["status", "1", "2"],
                          ["get", ""], ["--socket"]):
            result = run_ctl(arguments)
            self.assertEqual(result.code, 2, (arguments, result))
            self.assertTrue(result.err.startswith("p2pctl: "), result)
            self.assertEqual(result.out, "", arguments)

    def test_G12_every_command_exits_with_69_when_no_daemon_runs(self):
        socket = self.path("nobody.sock")
        for arguments in (["share", "/etc/hostname"], ["get", "x"], ["list"], ["status"],
                          ["status", "1"], ["peers", "1"], ["watch"], ["watch", "1"],
                          ["pause", "1"],
                          ["resume", "1"], ["remove", "1"], ["verify", "1"], ["stop"]):
            result = run_ctl(["--socket", socket] + arguments)
            self.assertEqual(result.code, 69, (arguments, result))
            self.assertIn("not running", result.err)
            self.assertEqual(len(result.err.strip().splitlines()), 1)

    def test_the_socket_comes_from_the_environment(self):
        a = self.daemon("a")
        environment = dict(os.environ, P2P_SOCKET=a.socket)
        self.assertEqual(run_ctl(["status"], env=environment).code, 0)

    def test_the_daemon_serves_a_fixed_port_that_was_asked_for(self):
        port = free_port()
        a = self.daemon("a", listen=f"{LOCALHOST}:{port}")
        self.assertEqual(a.port, port)
