"""Where a download goes, and what it never writes over."""
import os
import re
import shutil

from p2p_content import CHUNK, make_file, make_tree
from p2p_harness import LOCALHOST, P2pTest, link_to, suites
from p2p_proxy import Proxy


@suites("portable", "sanitizers")
class PlaceTest(P2pTest):
    def setUp(self):
        super().setUp()
        tracker = self.tracker()
        self.a = self.daemon("a", [tracker])
        self.digest = make_file(self.path("x.bin"), 3 * CHUNK + 1)
        self.shared = self.a.share(self.path("x.bin"))
        self.b = self.daemon("b", [tracker])

    def test_output_to_a_new_name(self):
        got = self.b.get("x.bin", self.path("other.bin"))
        self.assertEqual(got["path"], self.path("other.bin"))
        self.assert_same_file(self.path("other.bin"), self.digest)

    def test_output_to_a_relative_path_starts_at_the_working_directory_of_p2pctl(self):
        os.mkdir(self.path("here"))
        self.b.must("get", "x.bin", "-o", "mine.bin", cwd=self.path("here"))
        self.assert_same_file(self.path("here", "mine.bin"), self.digest)

    def test_output_into_a_directory_that_exists(self):
        os.mkdir(self.path("into"))
        self.b.get("x.bin", self.path("into"))
        self.assert_same_file(self.path("into", "x.bin"), self.digest)

    def test_output_into_a_directory_with_a_slash(self):
        os.mkdir(self.path("into"))
        self.b.get("x.bin", self.path("into") + "/")
        self.assert_same_file(self.path("into", "x.bin"), self.digest)

    def test_the_same_content_by_its_id_to_a_second_place(self):
        self.b.get(self.shared["content_id"], self.path("one.bin"))
        got = self.b.get(self.shared["content_id"], self.path("two.bin"))
        self.assertEqual(got["path"], self.path("two.bin"))
        for name in ("one.bin", "two.bin"):
            self.assert_same_file(self.path(name), self.digest)

    def test_output_below_what_does_not_exist_exits_with_1_and_says_so(self):
        result = self.b.ctl("get", "x.bin", "-o", self.path("no", "such", "place.bin"))
        self.assertEqual(result.code, 1, result)
        self.assertIn("no/such", result.err)

    def test_S18_a_different_file_at_its_place_is_an_error_and_stays_untouched(self):
        mine = make_file(self.path("mine.bin"), 3 * CHUNK + 1, seed=9)
        result = self.b.ctl("get", "x.bin", "-o", self.path("mine.bin"))
        self.assertEqual(result.code, 1, result)
        self.assertIn("already exists", result.err)
        self.assert_same_file(self.path("mine.bin"), mine)
        self.assertFalse(os.path.exists(self.path("mine.bin.part")))

    def test_S18_a_shorter_file_at_its_place_is_an_error_and_stays_untouched(self):
        mine = make_file(self.path("mine.bin"), 5)
        result = self.b.ctl("get", "x.bin", "-o", self.path("mine.bin"))
        self.assertEqual(result.code, 1, result)
        self.assertIn("already exists", result.err)
        self.assert_same_file(self.path("mine.bin"), mine)

    def test_S18_a_file_that_appears_while_it_downloads_is_never_written_over(self):
        proxy = self.closing(Proxy((LOCALHOST, self.a.port), budget=CHUNK + 30_000))
        # Without the tracker, which would lead around the proxy.
        b = self.daemon("c")
        source = link_to(self.shared, proxy)
        got = b.get_detached(source, self.path("late.bin"))
        b.wait_transfer(got["id"], lambda t: t["bytes_done"] > 0, "a part is here")
        mine = make_file(self.path("late.bin"), 77)
        proxy.allow()
        failed = b.wait_state(got["id"], "error")
        self.assertIn("late.bin", failed["error"])
        self.assert_same_file(self.path("late.bin"), mine)
        # Nothing that was fetched is lost: once the place is free, resume finishes.
        before = proxy.bytes_down
        os.unlink(self.path("late.bin"))
        b.must("resume", got["id"])
        b.wait_state(got["id"], "complete")
        self.assert_same_file(self.path("late.bin"), self.digest)
        self.assertLess(proxy.bytes_down - before, CHUNK)

    def test_an_identical_file_at_its_place_is_taken_at_once(self):
        shutil.copyfile(self.path("x.bin"), self.path("same.bin"))
        inode = os.stat(self.path("same.bin")).st_ino
        got = self.b.get("x.bin", self.path("same.bin"))
        self.assertIs(got["verified"], True)
        self.assertEqual(os.stat(self.path("same.bin")).st_ino, inode)
        self.assertLess(self.b.totals()["bytes_down"], CHUNK)

    def test_the_same_get_again_is_done_at_once(self):
        first = self.b.get("x.bin")
        down = self.b.totals()["bytes_down"]
        again = self.b.get("x.bin")
        self.assertEqual(again["path"], first["path"])
        self.assertEqual(len(self.b.transfers()), 1)
        self.assertEqual(self.b.totals()["bytes_down"], down)

    def test_S21_a_symbolic_link_at_its_place_is_not_followed(self):
        mine = make_file(self.path("precious"), 50)
        os.symlink(self.path("precious"), self.path("out.bin"))
        os.symlink(self.path("precious"), self.path("later.bin.part"))
        for name in ("out.bin", "later.bin"):
            result = self.b.ctl("get", "x.bin", "-o", self.path(name))
            self.assertEqual(result.code, 1, result)
        self.assert_same_file(self.path("precious"), mine)
        self.assertTrue(os.path.islink(self.path("out.bin")))

    def test_S20_a_manifest_cannot_name_a_place_outside(self):
        # The share's own name is all that chooses the place below the download directory.
        self.b.get(self.shared["content_id"])
        self.assertEqual(os.listdir(self.b.downloads), ["x.bin"])
        shown = self.b.ctl("get", self.shared["magnet"].replace("dn=x.bin", "dn=..%2F..%2Fescape"))
        self.assertEqual(shown.code, 1, shown)
        self.assertFalse(os.path.exists(self.path("escape")))

    def test_a_directory_onto_an_existing_directory_of_other_content_is_refused(self):
        make_tree(self.path("tree"), {"one": b"1"})
        shared = self.a.share(self.path("tree"))
        make_tree(os.path.join(self.b.downloads, "tree"), {"mine": b"mine"})
        result = self.b.ctl("get", shared["content_id"])
        self.assertEqual(result.code, 1, result)
        self.assertEqual(os.listdir(os.path.join(self.b.downloads, "tree")), ["mine"])


class NameOfTheFileTest(P2pTest):
    """V14: who names the file that is saved."""

    def setUp(self):
        super().setUp()
        self.tracker_ = self.tracker()
        self.evil = self.daemon("evil")
        self.d = self.daemon("d", [self.tracker_])

    def share_as(self, name, path=None):
        if path is None:
            path = self.path("x")
            make_file(path, CHUNK + 1)
        return self.evil.share(path, name=name)

    def assert_refused(self, source, *options):
        before = sorted(os.listdir(self.d.downloads))
        result = self.d.ctl("get", source, *options)
        self.assertEqual(result.code, 1, result)
        self.assertIn("begins with a dot", result.err)
        self.assertIn("-o PATH", result.err)
        self.assertEqual(sorted(os.listdir(self.d.downloads)), before)

    def test_V14_by_name_it_is_called_what_was_asked_for(self):
        for name in (".bash_login", "setup.exe"):
            content_id = self.share_as(name)["content_id"]
            self.tracker_.announce("report.pdf", CHUNK + 1, content_id, self.evil.address)
            got = self.d.get("report.pdf", self.path("in " + name) + "/")
            self.assertEqual(got["name"], "report.pdf")
            self.assertEqual(got["content_id"], content_id)
            self.assertEqual(os.listdir(self.path("in " + name)), ["report.pdf"])
            # What it was called by others is not told on.
            self.tracker_.wait_lists(name, self.d.address)
            self.assertEqual(self.tracker_.lookup("report.pdf"), [self.evil.address])
            self.tracker_.ask(f"WITHDRAW {content_id} {self.evil.address}")
            self.d.must("remove", got["id"])

    def test_V14_by_name_a_directory_is_called_what_was_asked_for(self):
        make_tree(self.path("tree"), {"authorized_keys": b"1"})
        content_id = self.share_as(".ssh", self.path("tree"))["content_id"]
        self.tracker_.announce("photos", 1, content_id, self.evil.address)
        self.d.get("photos")
        self.assertEqual(os.listdir(self.d.downloads), ["photos"])

    def test_V14_a_leading_dot_by_id_or_link_is_taken_only_from_the_user(self):
        shared = self.share_as(".bash_login")
        link = link_to(shared, self.evil)
        os.mkdir(self.path("home"))
        self.assert_refused(link)
        self.assert_refused(link, "-o", self.path("home"))
        self.assert_refused(link, "-o", self.path("home") + "/")
        self.assertEqual(os.listdir(self.path("home")), [])
        self.assertEqual(self.d.get(link, self.path("home", ".bash_login"))["path"],
                         self.path("home", ".bash_login"))

    def test_V14_a_directory_such_as_dot_ssh_is_taken_only_from_the_user(self):
        make_tree(self.path("tree"), {"authorized_keys": b"1"})
        link = link_to(self.share_as(".ssh", self.path("tree")), self.evil)
        self.assert_refused(link)
        self.d.get(link, self.path("keys"))
        self.assertEqual(os.listdir(self.path("keys")), ["authorized_keys"])

    def test_V14_get_says_where_it_will_be_before_it_is_there(self):
        shared = self.share_as("film.bin")
        proxy = self.closing(Proxy((LOCALHOST, self.evil.port), budget=200_000))
        get = self.d.start_ctl("get", link_to(shared, proxy))
        target = os.path.join(self.d.downloads, "film.bin")
        lines = iter(get.stdout.readline, "")
        told = next(line for line in lines if line.startswith("to: "))
        self.assertEqual(told.split(maxsplit=1)[1], target + "\n")
        self.assertFalse(os.path.exists(target))
        proxy.allow()
        rest, err = get.communicate(timeout=60)
        self.assertEqual(get.returncode, 0, err)
        self.assertNotIn("to: ", rest)
        self.assertRegex(rest, "(?m)^file: +" + re.escape(target) + "$")
