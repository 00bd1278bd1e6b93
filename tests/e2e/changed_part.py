"""A .part that is not what the daemon left there: what was claimed of it is hashed first."""
import os
import shutil
import time

from p2p_content import MIB, make_bytes, make_file, make_tree, tree_of
from p2p_disk import mount_ext4, move_mount
from p2p_harness import LOCALHOST, P2pTest, link_to, wait_for
from p2p_original import OriginalPeer
from p2p_proxy import Proxy

SIZE = 24 * MIB


class ChangedPartTest(P2pTest):
    def begin(self, downloads=None):
        """A download of which a part is here."""
        self.a = self.daemon("a")
        self.digest = make_file(self.path("x.bin"), SIZE)
        self.proxy = self.closing(Proxy((LOCALHOST, self.a.port), budget=12 * MIB))
        self.b = self.daemon("b", downloads=downloads)
        self.transfer = self.b.get_detached(
            link_to(self.a.share(self.path("x.bin")), self.proxy))["id"]
        self.b.wait_bytes(self.transfer, 10 * MIB, "a part is here")
        self.part = os.path.join(self.b.downloads, "x.bin.part")

    def damage(self):
        """Where there is data, a word of it."""
        with open(self.part, "r+b") as part:
            part.seek(os.lseek(part.fileno(), 0, os.SEEK_DATA) + 100)
            part.write(b"damage")

    def finish(self):
        self.proxy.allow()
        self.b.wait_state(self.transfer, "complete")
        self.assert_same_file(os.path.join(self.b.downloads, "x.bin"), self.digest)

    def test_V13_a_part_that_was_changed_after_a_stop(self):
        self.begin()
        self.b.stop()
        self.damage()
        self.b.start()
        self.finish()
        self.assertIn("is not as it was left", self.b.log())

    def test_V13_a_part_that_was_changed_while_it_was_paused(self):
        self.begin()
        self.b.must("pause", self.transfer)
        self.damage()
        self.b.must("resume", self.transfer)
        self.finish()

    def test_V13_a_part_that_was_changed_after_a_kill(self):
        self.begin()
        self.b.kill9()
        self.damage()
        self.b.start()
        self.finish()

    def test_V13_a_part_that_was_replaced_by_zeros(self):
        self.begin()
        self.b.stop()
        with open(self.part + ".new", "wb") as zeros:
            zeros.write(bytes(SIZE))
        os.rename(self.part + ".new", self.part)
        self.b.start()
        self.finish()

    def test_V13_a_part_that_was_restored_from_a_backup_keeps_what_is_right(self):
        self.begin()
        self.b.must("pause", self.transfer)
        self.b.stop()
        shutil.copy2(self.part, self.path("backup"))
        self.b.start()
        os.rename(self.path("backup"), self.part)
        self.b.must("resume", self.transfer)
        self.finish()
        self.assertLess(self.proxy.bytes_down, SIZE + 8 * MIB, "what was right came again")

    def test_V13_one_that_was_only_touched_keeps_what_it_has(self):
        self.begin()
        self.b.stop()
        os.utime(self.part)
        self.b.start()
        self.finish()
        self.assertLess(self.proxy.bytes_down, SIZE + 8 * MIB, "what was right came again")

    def test_V13_one_that_nobody_touched_is_not_hashed(self):
        self.begin()
        for stop in (self.b.stop, lambda: self.b.must("pause", self.transfer)):
            stop()
            if not self.b.running:
                self.b.start()
            self.b.must("resume", self.transfer)
            self.b.wait_state(self.transfer, "downloading")
        self.assertNotIn("is not as it was left", self.b.log())
        self.finish()

    def test_V13_a_tree_of_which_one_file_was_changed(self):
        make_tree(self.path("tree"), {f"d/{n}": bytes([n]) * (3 * MIB) for n in range(8)})
        wanted = tree_of(self.path("tree"))
        a = self.daemon("a")
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=14 * MIB))
        b = self.daemon("b")
        transfer = b.get_detached(link_to(a.share(self.path("tree")), proxy))["id"]
        b.wait_bytes(transfer, 12 * MIB, "a part is here")
        b.stop()
        place = os.path.join(b.downloads, "tree.part", "d")
        with open(os.path.join(place, sorted(os.listdir(place))[0]), "r+b") as file:
            file.write(b"damage")
        b.start()
        proxy.allow()
        got = b.wait_state(transfer, "complete")
        self.assertEqual(tree_of(got["path"]), wanted)

    def expect_told(self, how):
        self.assertIn(how, self.b.log())
        self.assertIn("is not as it was left", self.b.log())

    def wait_until_committed(self):
        """Nothing more comes, and a commit is made each second."""
        wait_for(lambda: self.proxy.is_dry, "nothing more comes")
        time.sleep(2.5)

    def test_V13_a_part_that_was_replaced_while_its_daemon_runs(self):
        self.begin()
        self.wait_until_committed()
        shutil.copy2(self.part, self.part + ".new")
        os.rename(self.part + ".new", self.part)
        self.finish()
        self.expect_told("changed by someone else")
        # What came before the next commit went into the file that has no name any more.
        self.assertLess(self.proxy.bytes_down, 2 * SIZE - 8 * MIB, "what was right came again")

    def test_V13_a_part_that_was_replaced_by_other_bytes_while_its_daemon_runs(self):
        self.begin()
        self.wait_until_committed()
        make_file(self.part + ".new", SIZE, seed=2)
        os.rename(self.part + ".new", self.part)
        self.finish()
        self.expect_told("changed by someone else")

    def test_V13_a_part_that_was_changed_between_two_writes(self):
        self.begin()
        self.wait_until_committed()
        self.damage()
        self.finish()
        self.expect_told("changed by someone else")

    def test_V13_a_part_that_went_while_its_daemon_runs(self):
        self.begin()
        self.wait_until_committed()
        os.unlink(self.part)
        self.finish()

    def test_V13_a_file_of_a_tree_that_is_whole_and_changes_while_others_come(self):
        make_tree(self.path("tree"), {f"d/{n}": make_bytes(3 * MIB, seed=n) for n in range(8)})
        wanted = tree_of(self.path("tree"))
        a = self.daemon("a")
        self.proxy = self.closing(Proxy((LOCALHOST, a.port), budget=14 * MIB))
        self.b = self.daemon("b")
        transfer = self.b.get_detached(link_to(a.share(self.path("tree")), self.proxy))["id"]
        self.b.wait_bytes(transfer, 12 * MIB, "a part is here")
        self.wait_until_committed()
        whole = [path for path, found in tree_of(os.path.join(self.b.downloads, "tree.part")).items()
                 if found == wanted[path]]
        with open(os.path.join(self.b.downloads, "tree.part", whole[0]), "r+b") as file:
            file.write(b"damage")
        self.proxy.allow()
        got = self.b.wait_state(transfer, "complete")
        self.assertEqual(tree_of(got["path"]), wanted)
        self.expect_told(whole[0] + " is not as it was written")

    def test_V13_what_nobody_can_hash_comes_again_where_it_was_changed(self):
        data = make_bytes(12 * MIB + 77)
        tracker = self.tracker()
        peer = self.closing(OriginalPeer({"tool": data}, delay=.1))
        peer.register_at(tracker.address)
        b = self.daemon("b", [tracker])
        transfer = b.get_detached("tool", allow_unverified=True)["id"]
        b.wait_bytes(transfer, 5 * MIB, "a part is here")
        part = os.path.join(b.downloads, "tool.part")
        shutil.copy2(part, part + ".new")
        os.rename(part + ".new", part)
        with open(b.wait_state(transfer, "complete")["path"], "rb") as got:
            self.assertEqual(got.read(), data)

    def test_E20_remove_leaves_a_part_that_somebody_put_there(self):
        for name, budget, least in (("some", 2 * MIB, MIB), ("nothing", 0, 0)):
            with self.subTest(committed=name):
                a, b = self.daemon("a-" + name), self.daemon("b-" + name)
                make_file(self.path("x.bin"), 8 * MIB)
                proxy = self.closing(Proxy((LOCALHOST, a.port), budget=budget or 60_000))
                got = b.get_detached(link_to(a.share(self.path("x.bin")), proxy))
                part = os.path.join(b.downloads, "x.bin.part")
                wait_for(lambda: os.path.exists(part), "it is placed")
                b.wait_bytes(got["id"], least, "a part is here")
                b.must("pause", got["id"])
                b.stop()
                os.rename(part, part + ".old")
                with open(part, "wb") as file:
                    file.write(b"somebody's work")
                b.start()
                removed = b.ctl("remove", str(got["id"]))
                self.assertEqual(removed.code, 1)
                self.assertIn("x.bin.part is not the one that was written, and stays", removed.err)
                with open(part, "rb") as file:
                    self.assertEqual(file.read(), b"somebody's work")

    def test_V13_S15_another_disk_at_the_same_place_is_waited_out(self):
        place = mount_ext4(self, self.path("disk"), 96 * MIB)
        other = mount_ext4(self, self.path("other"), 96 * MIB, made_at=1_500_000_000)
        self.begin(downloads=place)
        self.b.stop()
        move_mount(place, self.path("elsewhere"))
        move_mount(other, place)
        self.b.start()
        seen = self.b.wait_state(self.transfer, "paused")
        self.assertIn("is its disk mounted?", seen["error"])
        self.assertNotIn("x.bin.part", os.listdir(place))
        self.b.stop()
        move_mount(place, other)
        move_mount(self.path("elsewhere"), place)
        self.b.start()
        self.finish()
        self.assertLess(self.proxy.bytes_down, SIZE + 8 * MIB, "what was there came again")
