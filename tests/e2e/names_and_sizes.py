"""Names that are legal and names that are not; sizes around a chunk; directories of all shapes."""
import os

from p2p_content import (CHUNK, MIB, content_id_of_file, content_id_of_tree, make_bytes, make_file,
                         make_tree, sha256, tree_of)
from p2p_harness import P2pTest, suites


@suites("sanitizers")
class NameTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.tracker_ = self.tracker()
        self.a = self.daemon("a", [self.tracker_])

    def check_name(self, name, *share_options):
        data = make_bytes(CHUNK + 1, name)
        with open(os.path.join(self.dir, name), "wb") as file:
            file.write(data)
        done = self.a.must("--json", "share", *share_options, name, cwd=self.dir)
        shared = done.last
        self.assertEqual(shared["name"], name)
        self.assertEqual(shared["content_id"], content_id_of_file(name, data))
        self.tracker_.wait_lists(name, self.a.address)
        b = self.daemon("b", [self.tracker_])
        # By name, and by the magnet link, in which the name is encoded.
        by_name = b.must("--json", "get", "--", name).last
        self.assertEqual(by_name["path"], os.path.join(b.downloads, name))
        self.assertEqual(sha256(by_name["path"]), sha256(os.path.join(self.dir, name)))
        c = self.daemon("c")
        # A leading dot is taken only from who types it.
        output = os.path.join(c.downloads, name) if name.startswith(".") else None
        self.assertEqual(c.get(shared["magnet"], output)["name"], name)

    def test_spaces(self):
        self.check_name("a name  with   spaces .txt")

    def test_other_scripts(self):
        self.check_name("\u00fcbergr\u00f6\u00dfe \u65e5\u672c\u8a9e \u0437\u0434 \U0001f600.bin")

    def test_quotes_and_shell_characters(self):
        self.check_name("it's \"quoted\" $(x) `y` & ; | * ? [z] \\ #1 %20+&=.txt")

    def test_a_leading_dash(self):
        self.check_name("-odd-name-", "--")

    def test_a_leading_dot_and_trailing_part(self):
        self.check_name(".hidden.part")

    def test_the_longest_name(self):
        self.check_name("n" * 255)

    def test_a_name_that_looks_like_a_number(self):
        self.check_name("12345")

    def test_a_line_break_is_refused_with_advice(self):
        path = self.path("two\nlines")
        make_file(path, 10)
        result = self.a.ctl("share", path)
        self.assertEqual(result.code, 1, result)
        self.assertIn("line break", result.err)
        self.assertIn("--name", result.err)
        self.assertEqual(len(result.err.strip().splitlines()), 1)
        # The advice helps.
        self.assertEqual(self.a.share(path, name="two lines")["name"], "two lines")

    def test_bytes_that_are_not_utf8_are_refused_with_advice(self):
        path = os.fsencode(self.dir) + b"/caf\xe9"
        with open(path, "wb") as file:
            file.write(b"x")
        result = self.a.ctl("share", path)
        self.assertEqual(result.code, 1, result)
        self.assertIn("UTF-8", result.err)
        shared = self.a.must("--json", "share", path, "--name", "cafe").last
        self.assertEqual(shared["name"], "cafe")

    def test_names_that_would_leave_the_share_are_refused(self):
        make_file(self.path("x"), 10)
        for name in ("../x", "/x", "a/b", "..", ".", "a\u202eb", "a\u200bb", "\ufeffa",
                     "n" * 256):
            result = self.a.ctl("share", self.path("x"), "--name", name)
            self.assertEqual(result.code, 1, (name, result))
            self.assertEqual(self.a.transfers(), [])

    def test_get_of_an_illegal_name_exits_with_1(self):
        for name in ("../x", "/etc/passwd", "a//b", "a\nb"):
            result = self.a.ctl("get", name)
            self.assertEqual(result.code, 1, (name, result))
            self.assertTrue(result.err)


@suites()
class SizeTest(P2pTest):
    def check_sizes(self, *sizes):
        tracker = self.tracker()
        a, b = self.daemon("a", [tracker]), self.daemon("b", [tracker])
        for size in sizes:
            name = f"size {size}"
            digest = make_file(self.path(name), size, seed=size)
            shared = a.share(self.path(name))
            self.assertEqual(shared["bytes_total"], size)
            self.assertEqual(shared["content_id"], content_id_of_file(name, make_bytes(size, size)))
            got = b.get(name)
            self.assertEqual((got["bytes_total"], got["bytes_done"]), (size, size))
            self.assertIs(got["verified"], True)
            self.assert_same_file(got["path"], digest)

    def test_an_empty_file(self):
        self.check_sizes(0)

    def test_one_byte(self):
        self.check_sizes(1)

    def test_around_a_leaf(self):
        self.check_sizes(16_383, 16_384, 16_385)

    def test_exactly_one_chunk_and_one_byte_less(self):
        self.check_sizes(CHUNK - 1, CHUNK)

    def test_one_chunk_and_a_byte(self):
        self.check_sizes(CHUNK + 1)

    def test_several_chunks_and_a_byte(self):
        self.check_sizes(5 * CHUNK + 1, 8 * CHUNK)

    def test_a_file_with_holes(self):
        tracker = self.tracker()
        a, b = self.daemon("a", [tracker]), self.daemon("b", [tracker])
        with open(self.path("sparse"), "wb") as file:
            file.truncate(64 * MIB)
            file.seek(40 * MIB)
            file.write(b"island")
        a.share(self.path("sparse"))
        self.assertEqual(sha256(b.get("sparse")["path"]), sha256(self.path("sparse")))


@suites("portable", "sanitizers")
class DirectoryTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.tracker_ = self.tracker()
        self.a = self.daemon("a", [self.tracker_])

    def check_tree(self, files):
        make_tree(self.path("tree"), files)
        shared = self.a.share(self.path("tree"))
        self.assertEqual(shared["content_id"], content_id_of_tree("tree", files))
        b = self.daemon("b", [self.tracker_])
        got = b.get("tree")
        self.assertEqual(got["path"], os.path.join(b.downloads, "tree"))
        self.assertEqual(tree_of(got["path"]), tree_of(self.path("tree")))
        self.assertIs(got["verified"], True)
        return b

    def test_two_thousand_small_files(self):
        b = self.check_tree({f"d{i % 20}/e{i % 3}/file {i}": b"%d" % i * (i % 90)
                             for i in range(2000)})
        self.assertEqual(os.listdir(b.downloads), ["tree"])
        # Also after a restart of both, without hashing.
        b.restart()
        self.assertEqual(b.wait_state("tree", "complete")["verified"], True)

    def test_empty_files_executables_and_files_of_several_chunks(self):
        self.check_tree({
            "empty": b"", "deep/empty": b"", "deep/empty tool": (b"", 0o755),
            "bin/tool": (make_bytes(CHUNK + 5, 1), 0o755), "big": make_bytes(5 * CHUNK, 2),
            "deep/er/est/one": b"1", "a.b": b"2", "a/c": b"3", "a-b/c": b"4"})

    def test_names_in_a_directory_may_be_anything_legal(self):
        self.check_tree({"with space/\u00fcml\u00e4ut \"quoted\"": b"1", "-dash": b"2",
                         "%41&=+": b"3",
                         "n" * 255: b"4", "\u65e5\u672c/\U0001f600": b"5"})

    def test_a_deep_directory(self):
        self.check_tree({"/".join(["d"] * 90) + "/file": b"deep"})

    def test_an_empty_directory_is_refused(self):
        os.mkdir(self.path("tree"))
        result = self.a.ctl("share", self.path("tree"))
        self.assertEqual(result.code, 1, result)
        self.assertIn("no files", result.err)

    def test_a_symbolic_link_in_a_directory_is_refused_and_named(self):
        make_tree(self.path("tree"), {"one": b"1"})
        os.symlink("one", self.path("tree", "two"))
        result = self.a.ctl("share", self.path("tree"))
        self.assertEqual(result.code, 1, result)
        self.assertIn("two", result.err)
        self.assertIn("symbolic link", result.err)
        self.assertEqual(self.a.transfers(), [])

    def test_a_symbolic_link_itself_is_refused(self):
        make_file(self.path("x"), 10)
        os.symlink("x", self.path("link"))
        result = self.a.ctl("share", self.path("link"))
        self.assertEqual(result.code, 1, result)
        self.assertIn("symbolic link", result.err)

    def test_a_fifo_in_a_directory_or_itself_is_refused_and_blocks_nothing(self):
        make_tree(self.path("tree"), {"one": b"1"})
        os.mkfifo(self.path("tree", "pipe"))
        for path in (self.path("tree"), self.path("tree", "pipe")):
            result = self.a.ctl("share", path)
            self.assertEqual(result.code, 1, result)
            self.assertIn("pipe", result.err)

    def test_a_line_break_in_a_directory_is_refused_and_named(self):
        make_tree(self.path("tree"), {"good": b"1", "bad\nname": b"2"})
        result = self.a.ctl("share", self.path("tree"))
        self.assertEqual(result.code, 1, result)
        self.assertRegex(result.err, r"bad.*name")
        self.assertIn("line break", result.err)
