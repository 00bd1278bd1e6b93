"""kill -9 at several points: what was committed stays, and transfers go on by themselves."""
import os
import random
import shutil
import tempfile
import time

from p2p_content import CHUNK, MIB, make_bytes, make_file, make_tree, tree_of
from p2p_harness import DEADLINE, LOCALHOST, Daemon, P2pTest, link_to, suites, wait_for
from p2p_proxy import Proxy

# Text lines, proofs and the like that cross the proxy beside payload, for each connection.
OVERHEAD = 64 << 10


@suites("portable", "sanitizers")
class ResumeTest(P2pTest):
    def make_source(self, size, budget, bytes_a_second=None):
        """(seeder, proxy before it that lets `budget` bytes pass, magnet link, SHA-256)"""
        a = self.daemon("a")
        digest = make_file(self.path("x.bin"), size)
        shared = a.share(self.path("x.bin"))
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget, bytes_a_second=bytes_a_second))
        return a, proxy, link_to(shared, proxy), digest

    def wait_until_held(self, daemon, transfer, proxy):
        """Until the daemon has stored all that the proxy let pass; gives its bytes_done."""
        wait_for(lambda: proxy.is_dry, "the proxy has let everything pass that it may")
        # What is on the way is less than one chunk for each connection.
        least = proxy.bytes_down - proxy.connections * (CHUNK + OVERHEAD)
        return daemon.wait_bytes(transfer, max(least, 1),
                                    f"{least} bytes are stored")["bytes_done"]

    def check_no_byte_twice(self, size, proxy, kills):
        """What crossed the proxy: the file, and for each connection cut a chunk in flight."""
        wasted = proxy.bytes_down - size
        allowed = proxy.connections * OVERHEAD + 2 * kills * CHUNK
        self.assertLess(wasted, allowed, "bytes were fetched twice")

    @suites("portable", "sanitizers", "tsan")
    def test_R08_kill_nine_of_the_downloader_loses_no_stored_chunk(self):
        size = 24 * MIB + 5
        _, proxy, magnet, digest = self.make_source(size, budget=10 * MIB)
        b = self.daemon("b")
        transfer = b.get_detached(magnet)["id"]
        done = self.wait_until_held(b, transfer, proxy)
        b.kill9()
        b.start()
        # Before one more byte may pass, everything that was there is there again.
        b.wait_bytes(transfer, done, f"{done} bytes are there again")
        proxy.allow()
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)
        self.check_no_byte_twice(size, proxy, kills=1)
        self.assertEqual(os.listdir(b.downloads), ["x.bin"])

    def test_R08_kill_nine_at_eight_random_moments_ends_with_the_right_file(self):
        size = 48 * MIB + 77
        kills = 8
        _, proxy, magnet, digest = self.make_source(size, budget=0, bytes_a_second=24 * MIB)
        b = self.daemon("b")
        transfer = b.get_detached(magnet)["id"]
        moments = random.Random(8)
        for _ in range(kills):
            # Not enough for the whole file before the last of them, however slow this machine is.
            proxy.allow(size // kills - MIB)
            done = b.transfer(transfer)["bytes_done"]
            time.sleep(moments.uniform(0, 0.12))
            b.kill9()
            b.start()
            seen = b.wait_transfer(transfer, lambda t: t["state"] != "checking", "it was checked")
            # The parts of a chunk that had begun are fetched again.
            self.assertGreaterEqual(seen["bytes_done"], done - CHUNK)
        proxy.allow()
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)
        # What was on the way in socket buffers at each kill: 24 MiB/s for the fraction of a second.
        self.assertLess(proxy.bytes_down - size, kills * 10 * MIB)

    def test_kill_nine_before_the_first_byte(self):
        size = 2 * MIB
        _, proxy, magnet, digest = self.make_source(size, budget=0)
        b = self.daemon("b")
        transfer = b.get_detached(magnet)["id"]
        wait_for(lambda: proxy.connections > 0, "it dials")
        b.kill9()
        b.start()
        self.assertEqual([t["id"] for t in b.transfers()], [transfer])
        proxy.allow()
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)

    def test_kill_nine_of_a_download_by_name_before_the_tracker_answers(self):
        tracker = self.tracker()
        a = self.daemon("a", [tracker])
        digest = make_file(self.path("x.bin"), MIB)
        a.share(self.path("x.bin"))
        address = tracker.address
        tracker.kill9()
        b = self.daemon("b", [address])
        transfer = b.get_detached("x.bin")["id"]
        b.kill9()
        b.start()
        self.assertEqual(b.transfer(transfer)["state"], "queued")
        tracker.start()
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)

    def test_kill_nine_of_a_directory_download(self):
        a, b = self.daemon("a"), self.daemon("b")
        files = {f"deep/{i % 7}/file {i}": bytes([i % 251]) * (i * 977) for i in range(200)}
        files["tool"] = (b"#!/bin/sh\n" * 60_000, 0o755)
        files["empty"] = b""
        make_tree(self.path("tree"), files)
        size = sum(len(f if isinstance(f, bytes) else f[0]) for f in files.values())
        shared = a.share(self.path("tree"))
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=size // 2))
        transfer = b.get_detached(link_to(shared, proxy))["id"]
        done = self.wait_until_held(b, transfer, proxy)
        b.kill9()
        b.start()
        b.wait_bytes(transfer, done, f"{done} bytes are there again")
        proxy.allow()
        b.wait_state(transfer, "complete")
        self.assertEqual(tree_of(os.path.join(b.downloads, "tree")), tree_of(self.path("tree")))
        self.check_no_byte_twice(size, proxy, kills=1)

    @suites("portable", "sanitizers", "tsan")
    def test_kill_nine_of_the_seeder_in_the_middle_of_a_download(self):
        tracker = self.tracker()
        a, b = self.daemon("a", [tracker]), self.daemon("b", [tracker])
        digest = make_file(self.path("x.bin"), 24 * MIB)
        shared = a.share(self.path("x.bin"))
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=5 * MIB))
        # The proxy stands at the tracker where the seeder stood.
        a.stop()
        tracker.announce("x.bin", 24 * MIB, shared["content_id"], proxy.address)
        a.arguments = [x for x in a.arguments if x not in ("--tracker", tracker.address)]
        a.start()
        proxy.retarget((LOCALHOST, a.port))
        transfer = b.get_detached("x.bin")["id"]
        self.wait_until_held(b, transfer, proxy)
        a.kill9()
        a.start()
        proxy.retarget((LOCALHOST, a.port))
        proxy.allow()
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)

    def test_a_share_comes_back_after_kill_nine_without_being_hashed_again(self):
        a = self.daemon("a")
        make_file(self.path("x.bin"), 64 * MIB)
        first = a.share(self.path("x.bin"))
        a.kill9()
        before = os.stat(self.path("x.bin")).st_atime_ns
        old_log = a.log()
        a.start()
        again = a.wait_state(first["id"], "seeding")
        self.assertEqual(again["content_id"], first["content_id"])
        new_log = a.log()[len(old_log):]
        self.assertNotIn("hashing", new_log)
        self.assertNotIn("checking", new_log)
        self.assertEqual(os.stat(self.path("x.bin")).st_atime_ns, before)

    def test_kill_nine_while_a_share_is_hashed(self):
        a = self.daemon("a")
        make_file(self.path("x.bin"), 192 * MIB)
        share = a.start_ctl("--json", "share", self.path("x.bin"))
        share.stdout.readline()
        a.kill9()
        share.communicate(timeout=DEADLINE)
        self.assertEqual(share.returncode, 69)
        a.start()
        transfer = a.transfers()[0]["id"]
        shared = a.wait_state(transfer, "seeding")
        self.assertRegex(shared["content_id"], "^[0-9a-f]{64}$")
        self.assertEqual(a.share(self.path("x.bin"))["id"], transfer)

    def test_X02_kill_nine_while_a_hashed_share_is_saved_leaves_one_that_can_be_fetched(self):
        # On a disk: it takes its time to save.
        with tempfile.TemporaryDirectory() as directory:
            for number in range(8):
                with self.subTest(number):
                    a = Daemon(directory, f"a{number}")
                    self._processes.append(a)
                    a.start()
                    digest = make_file(self.path(f"{number}.bin"), MIB, seed=number)
                    sharing = a.start_ctl("share", self.path(f"{number}.bin"))
                    a.wait_for_log("checking")
                    time.sleep(number * 0.004)
                    a.kill9()
                    sharing.communicate()
                    a.start()
                    shared = a.wait_state(1, "seeding")
                    self.assertRegex(shared["content_id"], "^[0-9a-f]{64}$")
                    b = self.daemon(f"b{number}")
                    self.assert_same_file(b.get(link_to(shared, a))["path"], digest)
                    a.stop()
                    b.stop()

    def test_R10_a_part_file_of_somebody_else_is_in_the_way_and_left_alone(self):
        a, b = self.daemon("a"), self.daemon("b")
        digest = make_file(self.path("x.bin"), 2 * MIB)
        link = link_to(a.share(self.path("x.bin")), a)
        part = os.path.join(b.downloads, "x.bin.part")
        other = make_file(part, 3 * MIB, seed=2)
        for words in (("get", link), ("resume", "1")):
            b.ctl(*words)
            seen = b.wait_state(1, "error")
            self.assertIn("x.bin.part already exists; move it away", seen["error"])
            self.assert_same_file(part, other)
        os.unlink(part)
        b.must("resume", "1")
        b.wait_state(1, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)

    def test_a_finished_download_is_offered_again_after_kill_nine(self):
        tracker = self.tracker()
        a, b = self.daemon("a", [tracker]), self.daemon("b", [tracker])
        digest = make_file(self.path("x.bin"), 3 * MIB)
        a.share(self.path("x.bin"))
        got = b.get("x.bin")
        a.stop()
        b.kill9()
        b.start()
        self.assertEqual(b.wait_state(got["id"], "complete")["verified"], True)
        # Its old address stays listed until the registration ends.
        wait_for(lambda: b.address in tracker.lookup("x.bin"), "the tracker lists it again")
        self.assert_same_file(self.daemon("c", [tracker]).get("x.bin")["path"], digest)

    def test_a_paused_download_stays_paused_after_kill_nine(self):
        _, proxy, magnet, _ = self.make_source(8 * MIB, budget=3 * MIB)
        b = self.daemon("b")
        transfer = b.get_detached(magnet)["id"]
        done = self.wait_until_held(b, transfer, proxy)
        b.must("pause", transfer)
        b.kill9()
        b.start()
        seen = b.wait_state(transfer, "paused")
        self.assertGreaterEqual(seen["bytes_done"], done)

    def test_S09_bytes_that_were_damaged_on_the_disk_are_found_and_fetched_again(self):
        size = 12 * MIB
        _, proxy, magnet, digest = self.make_source(size, budget=6 * MIB)
        b = self.daemon("b")
        transfer = b.get_detached(magnet)["id"]
        self.wait_until_held(b, transfer, proxy)
        b.kill9()
        b.start()
        b.wait_state(transfer, "downloading")
        b.wait_bytes(transfer, 2 * MIB, "it has its chunks again")
        part = os.path.join(b.downloads, "x.bin.part")
        with open(part, "r+b") as file:
            file.seek(_first_data_chunk(part) * CHUNK + 100)
            file.write(b"damage")
        # The chunks in flight first: verify takes its turn between them.
        b.must("verify", transfer)
        proxy.allow()
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)

    def test_R10_a_part_file_that_vanished_is_fetched_again_and_nothing_else_is_touched(self):
        _, proxy, magnet, digest = self.make_source(6 * MIB, budget=3 * MIB)
        b = self.daemon("b")
        transfer = b.get_detached(magnet)["id"]
        self.wait_until_held(b, transfer, proxy)
        b.kill9()
        os.unlink(os.path.join(b.downloads, "x.bin.part"))
        b.start()
        proxy.allow()
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)

    def test_R10_a_part_file_that_vanished_is_not_claimed_after_the_next_kill_either(self):
        tree = {"large": make_bytes(5 * MIB), "small": make_bytes(100_000, seed=2)}
        make_tree(self.path("tree"), tree)
        a = self.daemon("a")
        shared = a.share(self.path("tree"))
        for lost in ("", "large"):
            with self.subTest(lost or "all of it"):
                proxy = self.closing(Proxy((LOCALHOST, a.port), budget=4 * MIB))
                b = self.daemon("b" + lost)
                transfer = b.get_detached(link_to(shared, proxy))["id"]
                self.wait_until_held(b, transfer, proxy)
                b.stop()  # which commits it
                part = os.path.join(b.downloads, "tree.part", lost)
                shutil.rmtree(part) if lost == "" else os.unlink(part)
                # Nothing is claimed of the file from the moment that it is made anew.
                b.start()
                proxy.allow(MIB)
                wait_for(lambda path=part: os.path.exists(path), "it is made anew")
                b.kill9()
                b.start()
                proxy.allow()
                got = b.wait_state(transfer, "complete")
                self.assertEqual(tree_of(got["path"]), tree_of(self.path("tree")))

    def test_R11_what_was_found_after_a_kill_is_kept_over_a_clean_stop(self):
        _, proxy, magnet, digest = self.make_source(12 * MIB, budget=6 * MIB)
        b = self.daemon("b")
        transfer = b.get_detached(magnet)["id"]
        wait_for(lambda: b.transfer(transfer)["bytes_done"] > 2 * MIB, "it has some")
        b.kill9()
        proxy.hold()
        b.start()
        done = b.wait_state(transfer, "downloading")["bytes_done"]
        b.restart()
        b.wait_bytes(transfer, done, f"{done} bytes are there again")
        proxy.allow()
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)

    def test_R05_a_damaged_manifest_in_the_catalog_costs_a_check_and_no_chunk(self):
        size = 8 * MIB + 3
        _, proxy, magnet, digest = self.make_source(size, budget=5 * MIB)
        b = self.daemon("b")
        transfer = b.get_detached(magnet)["id"]
        done = self.wait_until_held(b, transfer, proxy)
        b.stop()
        catalog = os.path.join(b.state_dir, "catalog.db")
        with open(catalog, "r+b") as file:
            healthy = file.read()
            damaged = healthy.replace(b"12:piece length", b"12:piece lengtH")
            self.assertNotEqual(damaged, healthy)
            file.seek(0)
            file.write(damaged)
        b.start()
        proxy.allow()
        b.wait_bytes(transfer, done, "what was there is there again")
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)
        self.check_no_byte_twice(size, proxy, kills=1)
        b.restart()
        self.assertEqual(b.wait_state(transfer, "complete")["bytes_done"], size)

    def test_R10_a_finished_file_that_vanished_is_an_error_and_is_not_made_again(self):
        tracker = self.tracker()
        a, b = self.daemon("a", [tracker]), self.daemon("b", [tracker])
        make_file(self.path("x.bin"), MIB)
        a.share(self.path("x.bin"))
        got = b.get("x.bin")
        b.stop()
        os.unlink(got["path"])
        b.start()
        seen = b.wait_state(got["id"], "error")
        self.assertIn("x.bin", seen["error"])
        self.assertFalse(os.path.exists(got["path"]))
        tracker.wait_lists("x.bin", a.address)

    def test_a_clean_stop_and_start_loses_nothing_and_checks_nothing(self):
        size = 16 * MIB
        _, proxy, magnet, digest = self.make_source(size, budget=7 * MIB)
        b = self.daemon("b")
        transfer = b.get_detached(magnet)["id"]
        done = self.wait_until_held(b, transfer, proxy)
        b.restart()
        b.wait_bytes(transfer, done, f"{done} bytes are there again")
        proxy.allow()
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)
        self.check_no_byte_twice(size, proxy, kills=1)


def _first_data_chunk(path):
    with open(path, "rb") as file:
        return os.lseek(file.fileno(), 0, os.SEEK_DATA) // CHUNK
