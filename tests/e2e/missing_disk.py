"""A disk that is not mounted, or lets nothing be written: nothing is forgotten or begun anew."""
import os
import shutil
import subprocess

from p2p_content import MIB, make_file, make_tree, sha256, tree_of
from p2p_disk import mount_disk, move_mount, remount
from p2p_harness import LOCALHOST, P2pTest, link_to, suites, wait_for
from p2p_proxy import Proxy


@suites("portable", "sanitizers")
class MissingDiskTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.place = mount_disk(self, self.path("disk"), 64 * MIB)
        self.elsewhere = self.path("elsewhere")
        self.addCleanup(subprocess.run, ["umount", "-l", self.elsewhere], check=False,
                        capture_output=True)

    def running_download(self, place, budget=5 * MIB):
        """(daemon, transfer, proxy, SHA-256) of a download that has a .part and waits for bytes."""
        a = self.daemon("a")
        digest = make_file(self.path("x.bin"), 12 * MIB)
        shared = a.share(self.path("x.bin"))
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=budget))
        b = self.daemon("b", downloads=place)
        transfer = b.get_detached(link_to(shared, proxy))["id"]
        wait_for(lambda: os.path.exists(os.path.join(place, "x.bin.part")), "its place is made")
        return b, transfer, proxy, digest

    def begun_download(self):
        """The same, with a part on the disk, and the daemon has stopped."""
        b, transfer, proxy, digest = self.running_download(self.place)
        b.wait_bytes(transfer, 3 * MIB, "a part is here")
        b.stop()
        return b, transfer, proxy, digest

    def check_it_waits_and_goes_on(self, b, transfer, proxy, digest, bring_back):
        b.start()
        seen = b.wait_state(transfer, "paused")
        self.assertIn("is its disk mounted?", seen["error"])
        self.assertIn(self.place, seen["error"])
        self.assertGreaterEqual(seen["bytes_done"], 3 * MIB)
        if os.path.isdir(self.place):
            self.assertEqual(os.listdir(self.place), [], "something was begun without the disk")
        # Who asks is told the same.
        b.must("resume", transfer)
        self.assertIn("is its disk mounted?", b.wait_state(transfer, "paused")["error"])
        before = proxy.bytes_down
        bring_back()
        proxy.allow()
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(self.place, "x.bin"), digest)
        self.assertLess(proxy.bytes_down - before, 10 * MIB, "what was there was fetched again")

    def test_S15_a_download_waits_while_its_disk_is_an_empty_mount_point(self):
        b, transfer, proxy, digest = self.begun_download()
        move_mount(self.place, self.elsewhere)
        self.check_it_waits_and_goes_on(b, transfer, proxy, digest,
                                        lambda: move_mount(self.elsewhere, self.place))

    def test_S15_a_download_waits_while_its_directory_is_missing(self):
        b, transfer, proxy, digest = self.begun_download()
        move_mount(self.place, self.elsewhere)
        # The daemon makes its own download directory; another one it does not.
        os.rmdir(self.place)
        at = b.arguments.index("--download-dir")
        b.arguments[at + 1] = self.path("other")

        def bring_back():
            os.mkdir(self.place)
            move_mount(self.elsewhere, self.place)
        self.check_it_waits_and_goes_on(b, transfer, proxy, digest, bring_back)

    def test_S15_a_download_that_was_moved_to_another_disk_goes_on_there(self):
        b, transfer, proxy, digest = self.begun_download()
        move_mount(self.place, self.elsewhere)
        shutil.copy(os.path.join(self.elsewhere, "x.bin.part"), self.place)
        b.start()
        b.wait_bytes(transfer, 3 * MIB, "it is there")
        # From now on this is its place.
        b.stop()
        os.unlink(os.path.join(self.place, "x.bin.part"))
        b.start()
        proxy.allow()
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(self.place, "x.bin"), digest)

    def test_S15_a_download_on_a_disk_that_became_read_only_keeps_what_it_has_and_goes_on(self):
        b, transfer, proxy, digest = self.begun_download()
        remount(self.place, "ro")
        b.start()
        proxy.allow()
        seen = b.wait_state(transfer, "paused")
        self.assertIn("read-only", seen["error"])
        remount(self.place, "rw")
        b.wait_bytes(transfer, 3 * MIB, "what was there is there")
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(self.place, "x.bin"), digest)

    def test_S15_a_disk_that_becomes_read_only_under_a_download_is_waited_for(self):
        # Nothing is written yet: a disk with a file that is open for writing stays writable.
        b, transfer, proxy, digest = self.running_download(self.place, budget=100_000)
        remount(self.place, "ro")
        proxy.allow()
        self.assertIn("read-only", b.wait_state(transfer, "paused")["error"])
        remount(self.place, "rw")
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(self.place, "x.bin"), digest)

    def test_S15_a_directory_that_is_removed_under_a_download_is_told(self):
        place = self.path("place")
        os.mkdir(place)
        b, transfer, proxy, _ = self.running_download(place)
        b.wait_bytes(transfer, 3 * MIB, "a part is here")
        shutil.rmtree(place)
        proxy.allow()
        seen = b.wait_state(transfer, "paused")["error"]
        self.assertIn("is its disk mounted?", seen)
        self.assertIn("get it again", seen)
        self.assertFalse(os.path.exists(place))

    def test_S15_a_part_that_is_removed_under_a_download_is_fetched_anew(self):
        b, transfer, proxy, digest = self.running_download(self.place)
        b.wait_bytes(transfer, 3 * MIB, "a part is here")
        os.unlink(os.path.join(self.place, "x.bin.part"))
        proxy.allow()
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(self.place, "x.bin"), digest)

    def test_S15_a_share_that_goes_while_it_is_asked_for_comes_back_by_itself(self):
        make_tree(self.path("tree"), {"one": b"1" * 700_000, "two": b"2"})
        wanted = tree_of(self.path("tree"))
        a, b = self.daemon("a"), self.daemon("b")
        shared = a.share(self.path("tree"))
        os.rename(self.path("tree"), self.elsewhere)
        transfer = b.get_detached(link_to(shared, a))["id"]
        seen = a.wait_state(shared["id"], "error")
        self.assertIn("is its disk mounted?", seen["error"])
        os.rename(self.elsewhere, self.path("tree"))
        wait_for(lambda: a.transfer(shared["id"])["state"] == "seeding", "it is offered again")
        b.must("resume", transfer)  # it does not wait out its pause
        got = b.wait_state(transfer, "complete")
        self.assertEqual(tree_of(got["path"]), wanted)

    def test_S15_a_share_comes_back_by_itself_with_its_disk(self):
        tracker = self.tracker()
        make_tree(os.path.join(self.place, "tree"), {"one": b"1" * 700_000, "two": b"2"})
        wanted = tree_of(os.path.join(self.place, "tree"))
        a, b = self.daemon("a", [tracker]), self.daemon("b", [tracker])
        shared = a.share(os.path.join(self.place, "tree"))
        a.stop()
        move_mount(self.place, self.elsewhere)
        a.start()
        seen = a.wait_state(shared["id"], "error")
        self.assertIn("is its disk mounted?", seen["error"])
        self.assertEqual(tracker.lookup("tree"), [])
        move_mount(self.elsewhere, self.place)
        wait_for(lambda: a.transfer(shared["id"])["state"] == "seeding", "it is offered again")
        got = b.get(shared["content_id"])
        self.assertEqual(tree_of(got["path"]), wanted)

    def test_S15_a_finished_download_comes_back_by_itself_with_its_disk(self):
        a = self.daemon("a")
        digest = make_file(self.path("x.bin"), MIB)
        b = self.daemon("b", downloads=self.place)
        got = b.get(link_to(a.share(self.path("x.bin")), a))
        b.stop()
        move_mount(self.place, self.elsewhere)
        b.start()
        b.wait_state(got["id"], "error")
        self.assertEqual(os.listdir(self.place), [])
        move_mount(self.elsewhere, self.place)
        wait_for(lambda: b.transfer(got["id"])["state"] == "complete", "it is there again")
        self.assertEqual(sha256(got["path"]), digest)
