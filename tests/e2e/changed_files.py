"""Shared files that change: it is noticed before a wrong byte leaves."""
import os
import shutil

from p2p_content import CHUNK, MIB, make_bytes, make_file, make_tree
from p2p_harness import DEADLINE, LOCALHOST, P2pTest, link_to, suites
from p2p_original import OriginalClient
from p2p_proxy import Proxy

# More than the sockets between the two daemons hold.
SIZE = 32 * MIB


def right_chunks(path):
    """How many chunks of the file are what was shared."""
    data = make_bytes(SIZE)
    with open(path, "rb") as file:
        return sum(file.read(CHUNK) == data[at:at + CHUNK] for at in range(0, SIZE, CHUNK))


@suites("portable", "sanitizers")
class ChangedFileTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.tracker_ = self.tracker()
        self.a = self.daemon("a", [self.tracker_])
        self.file = self.path("x.bin")
        self.digest = make_file(self.file, SIZE)
        self.shared = self.a.share(self.file)
        self.tracker_.wait_lists("x.bin", self.a.address)

    def get_with(self, change):
        """Changes the file in the middle of a download; gives (getter, transfer)."""
        b = self.daemon("b")
        proxy = self.closing(Proxy((LOCALHOST, self.a.port), budget=2 * MIB))
        transfer = b.get_detached(link_to(self.shared, proxy))["id"]
        b.wait_bytes(transfer, MIB, "a part is here")
        change()
        proxy.allow()
        return b, transfer

    def check_withdrawn(self, change, original_code="410"):
        b, transfer = self.get_with(change)
        # What is in the socket's buffers left before the change.
        failed = self.a.wait_state(self.shared["id"], "error")
        self.assertIn("x.bin", failed["error"])
        self.assertIs(failed["verified"], False)
        self.tracker_.wait_lists("x.bin")
        seen = b.wait_transfer(transfer, lambda t: t["peers"] == 0, "it was let go")
        self.assertEqual(seen["state"], "downloading")
        self.assertLess(seen["bytes_done"], SIZE)
        # Every byte that was kept is the right one, also of those that were still on their way.
        b.must("verify", transfer)
        kept = b.transfer(transfer)["bytes_done"]
        self.assertGreaterEqual(kept, seen["bytes_done"])
        self.assertLessEqual(kept, CHUNK * right_chunks(os.path.join(b.downloads, "x.bin.part")))
        client = self.closing(OriginalClient(self.tracker_.address))
        with self.assertRaisesRegex(LookupError, f"^ERROR {original_code} "):
            client.get_chunk(self.a.address, "x.bin", 0)

    def change_in_place(self):
        with open(self.file, "r+b") as file:
            for at in range(0, SIZE, CHUNK):
                file.seek(at + 5)
                file.write(b"changed")

    @suites("portable", "sanitizers", "tsan")
    def test_P12_changed_in_place(self):
        self.check_withdrawn(self.change_in_place)

    def test_P11_shortened(self):
        self.check_withdrawn(lambda: os.truncate(self.file, 100))

    @suites()
    def test_P11_grown(self):
        def grow():
            with open(self.file, "ab") as file:
                file.write(b"more")
        self.check_withdrawn(grow)

    def test_P11_deleted(self):
        self.check_withdrawn(lambda: os.unlink(self.file))

    def test_P13_replaced_by_a_symbolic_link(self):
        def replace():
            os.rename(self.file, self.path("real.bin"))
            os.symlink(self.path("real.bin"), self.file)
        self.check_withdrawn(replace)

    def test_P13_replaced_by_a_fifo(self):
        def replace():
            os.unlink(self.file)
            os.mkfifo(self.file)
        self.check_withdrawn(replace)

    @suites()
    def test_P13_replaced_by_a_directory(self):
        def replace():
            os.unlink(self.file)
            os.mkdir(self.file)
        self.check_withdrawn(replace)

    def test_P12_touched_only_it_is_hashed_again_and_goes_on(self):
        b, transfer = self.get_with(lambda: os.utime(self.file))
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), self.digest)
        self.a.wait_state(self.shared["id"], "seeding")
        self.tracker_.wait_lists("x.bin", self.a.address)

    def test_P12_replaced_by_a_copy_with_the_same_bytes_goes_on(self):
        def replace():
            shutil.copyfile(self.file, self.path("copy"))
            os.replace(self.path("copy"), self.file)
        b, transfer = self.get_with(replace)
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), self.digest)

    def test_a_file_that_is_put_back_is_offered_again_by_resume(self):
        def replace():
            os.rename(self.file, self.path("away.bin"))
            make_file(self.file, SIZE, seed=99)
        b, transfer = self.get_with(replace)
        self.a.wait_state(self.shared["id"], "error")
        os.rename(self.path("away.bin"), self.file)
        self.a.must("resume", self.shared["id"])
        self.a.wait_state(self.shared["id"], "seeding")
        self.tracker_.wait_lists("x.bin", self.a.address)
        b.must("resume", transfer)
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), self.digest)

    def test_a_changed_file_shared_again_is_a_new_content(self):
        self.change_in_place()
        again = self.a.share(self.file)
        self.assertNotEqual(again["content_id"], self.shared["content_id"])
        self.assertEqual(len(self.a.transfers()), 1)
        self.tracker_.wait_lists("x.bin", self.a.address)
        got = self.daemon("b", [self.tracker_]).get("x.bin")
        self.assertEqual(got["content_id"], again["content_id"])

    def test_P12_a_change_while_the_daemon_was_stopped_is_noticed_at_the_start(self):
        self.a.stop()
        self.change_in_place()
        self.a.start()
        self.assertIn("x.bin", self.a.wait_state(self.shared["id"], "error")["error"])
        self.assertEqual(self.tracker_.lookup("x.bin"), [])

    def test_P11_a_share_that_was_moved_while_the_daemon_was_stopped_is_an_error(self):
        self.a.stop()
        os.rename(self.file, self.path("elsewhere.bin"))
        self.a.start()
        self.assertIn("x.bin", self.a.wait_state(self.shared["id"], "error")["error"])
        os.rename(self.path("elsewhere.bin"), self.file)
        self.a.must("resume", self.shared["id"])
        self.a.wait_state(self.shared["id"], "seeding")

    def test_verify_of_a_changed_share_exits_with_1(self):
        self.change_in_place()
        result = self.a.ctl("verify", "x.bin")
        self.assertEqual(result.code, 1, result)
        self.assertIn("x.bin", result.err)

    def test_P11_one_changed_file_of_a_directory_withdraws_the_share_and_names_the_file(self):
        files = {"good.bin": make_bytes(MIB, 3), "bad.bin": make_bytes(MIB, 4)}
        make_tree(self.path("tree"), files)
        shared = self.a.share(self.path("tree"))
        with open(self.path("tree", "bad.bin"), "r+b") as file:
            file.write(b"changed")
        b = self.daemon("b", [self.tracker_])
        b.get_detached("tree")
        failed = self.a.wait_state(shared["id"], "error")
        self.assertIn("bad.bin", failed["error"])
        self.assertNotIn("good.bin", failed["error"])

    def test_S12_a_download_that_its_user_edits_is_noticed_and_never_written_over(self):
        b = self.daemon("b", [self.tracker_])
        got = b.get("x.bin")
        self.tracker_.wait_lists("x.bin", self.a.address, b.address)
        with open(got["path"], "r+b") as file:
            file.write(b"my own notes")
        client = self.closing(OriginalClient(self.tracker_.address))
        with self.assertRaisesRegex(LookupError, "^ERROR 410 "):
            client.get_chunk(b.address, "x.bin", 0)
        b.wait_state(got["id"], "error")
        self.tracker_.wait_lists("x.bin", self.a.address)
        with open(got["path"], "rb") as file:
            self.assertEqual(file.read(12), b"my own notes")

    def test_a_file_that_changes_while_it_is_hashed_is_refused(self):
        make_file(self.path("busy.bin"), 64 * MIB, seed=7)
        share = self.a.start_ctl("share", self.path("busy.bin"))
        with open(self.path("busy.bin"), "r+b", buffering=0) as file:
            while share.poll() is None:
                file.seek(-1, os.SEEK_END)
                file.write(b"!")
        _, err = share.communicate(timeout=DEADLINE)
        self.assertEqual(share.returncode, 1, err)
        self.assertIn("busy.bin changed while it was being hashed", err)
        # At rest it can be shared.
        self.assertEqual(self.a.share(self.path("busy.bin"))["state"], "seeding")

    def change_while_stopped(self):
        """Other bytes, while size and time of change are as they were."""
        self.a.stop()
        before = os.stat(self.file)
        with open(self.file, "r+b") as file:
            file.seek(5 * CHUNK)
            file.write(b"not what was shared")
        os.utime(self.file, ns=(before.st_atime_ns, before.st_mtime_ns))
        after = os.stat(self.file)
        self.assertEqual((after.st_size, after.st_mtime_ns), (before.st_size, before.st_mtime_ns))

    def test_S13_a_restored_share_whose_file_changed_meanwhile_is_not_trusted(self):
        self.change_while_stopped()
        self.a.start()
        failed = self.a.wait_state(self.shared["id"], "error")
        self.assertIn("x.bin", failed["error"])
        self.assertEqual(self.tracker_.lookup("x.bin"), [])
        b = self.daemon("b")
        transfer = b.get_detached(link_to(self.shared, self.a))["id"]
        b.wait_transfer(transfer, lambda t: t["error"], "it is told that nobody has it")
        self.assertEqual(self.a.totals()["bytes_up"], 0)

    def test_S13_a_restored_share_whose_file_was_only_touched_is_hashed_before_it_is_offered(self):
        self.a.stop()
        os.utime(self.file)
        self.a.start()
        self.a.wait_state(self.shared["id"], "seeding")
        self.assertIn("checking what changed: x.bin", self.a.log())
        got = self.daemon("b").get(link_to(self.shared, self.a))
        self.assert_same_file(got["path"], self.digest)

    def test_S13_there_is_no_way_to_share_without_hashing(self):
        options = self.a.must("share", "--help").out
        for word in ("trust", "hash", "verif", "check"):
            self.assertNotRegex(options, rf"--\S*{word}")
