"""Small disks: a download that cannot fit is refused, one that no longer fits waits for space."""
import json
import os
import unittest

from p2p_content import CHUNK, MIB, make_file, make_tree, tree_of
from p2p_disk import fill, free, mount_disk, mount_ext4
from p2p_harness import LOCALHOST, PORTABLE, P2pTest, link_to, suites, wait_for
from p2p_proxy import Proxy


@suites("portable", "sanitizers")
class DiskSpaceTest(P2pTest):
    def mount_small_disk(self, size):
        """A directory with a file system of `size` bytes; only root can make one."""
        return mount_disk(self, self.path("disk"), size)

    def seeder_behind_proxy(self, path, budget):
        a = self.daemon("a")
        shared = a.share(path)
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=budget))
        return proxy, link_to(shared, proxy)

    def test_S04_a_download_larger_than_the_free_space_is_refused_before_its_first_byte(self):
        place = self.mount_small_disk(8 * MIB)
        make_file(self.path("x.bin"), 20 * MIB)
        proxy, source = self.seeder_behind_proxy(self.path("x.bin"), budget=None)
        b = self.daemon("b", downloads=place)
        result = b.ctl("get", source)
        self.assertEqual(result.code, 1, result)
        self.assertRegex(result.err, r"20(\.0)? MiB")
        self.assertIn("space", result.err)
        self.assertEqual(os.listdir(place), [])
        self.assertLess(proxy.bytes_down, MIB)

    def test_S04_downloads_that_fit_alone_but_not_together_are_refused(self):
        place = self.mount_small_disk(16 * MIB)
        make_file(self.path("x.bin"), 10 * MIB, seed=1)
        make_file(self.path("y.bin"), 10 * MIB, seed=2)
        a = self.daemon("a")
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=100_000))
        sources = [link_to(a.share(self.path(name)), proxy) for name in ("x.bin", "y.bin")]
        b = self.daemon("b", downloads=place)
        first = b.get_detached(sources[0])
        wait_for(lambda: os.path.exists(os.path.join(place, "x.bin.part")), "its place is made")
        proxy.allow()
        if b.transfer(first["id"])["state"] == "complete":
            self.skipTest("the first one was too fast")
        result = b.ctl("get", sources[1])
        self.assertEqual(result.code, 1, result)
        b.wait_state(first["id"], "complete")

    def test_S04_a_download_to_another_disk_is_not_counted(self):
        large, small = self.path("large"), self.path("small")
        mount_disk(self, large, 64 * MIB)
        mount_disk(self, small, 16 * MIB)
        make_file(self.path("x.bin"), 40 * MIB, seed=1)
        make_file(self.path("y.bin"), 10 * MIB, seed=2)
        proxy, source = self.seeder_behind_proxy(self.path("x.bin"), budget=100_000)
        b = self.daemon("b", downloads=large)
        b.get_detached(source)
        wait_for(lambda: os.path.exists(os.path.join(large, "x.bin.part")), "its place is made")
        c = self.daemon("c")
        y = link_to(c.share(self.path("y.bin")), c)
        b.must("get", y, "-o", os.path.join(small, "y.bin"))
        proxy.allow()

    @unittest.skipIf(PORTABLE, "fallocate reserves, which only Linux has")
    def test_S02_S04_what_is_reserved_for_a_download_already_is_not_asked_for_again(self):
        place = mount_ext4(self, self.path("disk"), 180 * MIB)
        digest = make_file(self.path("x.bin"), 80 * MIB, seed=1)
        make_file(self.path("y.bin"), 60 * MIB, seed=2)
        proxy, source = self.seeder_behind_proxy(self.path("x.bin"), budget=3 * MIB)
        b = self.daemon("b", downloads=place)
        transfer = b.get_detached(source)["id"]
        b.wait_bytes(transfer, MIB, "space was reserved for it")
        # 80 and 60 MiB fit; with the 64 MiB that are reserved counted twice they would not.
        c = self.daemon("c")
        y = link_to(c.share(self.path("y.bin")), c)
        other = json.loads(b.must("--json", "get", y).out.splitlines()[-1])
        b.must("remove", str(other["id"]), "--with-data")
        fill(place)
        proxy.allow()
        # Chunks come in any order: it reserved the first 64 MiB, the other 16, or both.
        seen = b.wait_state(transfer, "paused", "complete")
        if seen["state"] == "paused":
            self.assertIn("disk full", seen["error"])
            free(place)
            b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(place, "x.bin"), digest)

    def check_full_disk(self, place, proxy, b, transfer):
        proxy.allow()
        paused = b.wait_state(transfer, "paused")
        self.assertIn("disk full: ", paused["error"])
        wait_for(lambda: "more are needed" in b.transfer(transfer)["error"], "it says how much")
        self.assertIn("disk full", b.must("list").out)
        # The rest of the daemon lives on.
        make_file(self.path("other.bin"), 2 * CHUNK, seed=5)
        other = b.share(self.path("other.bin"))
        c = self.daemon("c")
        c.get(link_to(other, b))
        free(place)
        b.wait_state(transfer, "complete")

    def test_S01_S02_a_full_disk_pauses_a_file_and_space_lets_it_go_on_by_itself(self):
        place = self.mount_small_disk(24 * MIB)
        digest = make_file(self.path("x.bin"), 12 * MIB)
        proxy, source = self.seeder_behind_proxy(self.path("x.bin"), budget=100_000)
        b = self.daemon("b", downloads=place)
        transfer = b.get_detached(source)["id"]
        # Its place was made while there was space.
        wait_for(lambda: os.path.exists(os.path.join(place, "x.bin.part")), "its place is made")
        fill(place)
        self.check_full_disk(place, proxy, b, transfer)
        self.assert_same_file(os.path.join(place, "x.bin"), digest)

    def test_S01_S02_a_full_disk_pauses_a_directory_and_space_lets_it_go_on_by_itself(self):
        place = self.mount_small_disk(24 * MIB)
        make_tree(self.path("tree"), {f"{i % 3}/file {i}": bytes([i]) * 400_000 for i in range(30)})
        proxy, source = self.seeder_behind_proxy(self.path("tree"), budget=4 * MIB)
        b = self.daemon("b", downloads=place)
        transfer = b.get_detached(source)["id"]
        had = b.wait_bytes(transfer, 3 * MIB, "a part is here")
        fill(place)
        self.check_full_disk(place, proxy, b, transfer)
        self.assertEqual(tree_of(os.path.join(place, "tree")), tree_of(self.path("tree")))
        # What was there before was not fetched again, nor much of what came while it was full.
        self.assertLess(proxy.bytes_down, 2 * 12_000_000 - had["bytes_done"] + MIB)

    def test_S01_a_download_that_waits_for_space_waits_on_after_a_restart(self):
        place = self.mount_small_disk(24 * MIB)
        digest = make_file(self.path("x.bin"), 12 * MIB)
        proxy, source = self.seeder_behind_proxy(self.path("x.bin"), budget=100_000)
        b = self.daemon("b", downloads=place)
        transfer = b.get_detached(source)["id"]
        wait_for(lambda: os.path.exists(os.path.join(place, "x.bin.part")), "its place is made")
        fill(place)
        proxy.allow()
        b.wait_state(transfer, "paused")
        b.restart()
        free(place)
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(place, "x.bin"), digest)

    def test_S03_a_full_disk_under_the_state_directory_still_lets_a_download_be_removed(self):
        place = self.mount_small_disk(16 * MIB)
        make_file(self.path("x.bin"), 8 * MIB)
        proxy, source = self.seeder_behind_proxy(self.path("x.bin"), budget=100_000)
        b = self.make_daemon("b", downloads=place)
        b.arguments = [os.path.join(place, "state") if x == b.state_dir else x for x in b.arguments]
        b.start()
        transfer = b.get_detached(source)["id"]
        wait_for(lambda: os.path.exists(os.path.join(place, "x.bin.part")), "its place is made")
        fill(place)
        proxy.allow()
        b.wait_state(transfer, "paused", "error")
        b.must("remove", transfer)
        self.assertEqual(b.transfers(), [])
        self.assertFalse(os.path.exists(os.path.join(place, "x.bin.part")))
