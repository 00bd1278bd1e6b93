#!/usr/bin/env python3
"""The lint tests themselves, on small trees with one fault each."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import check_calls
import check_includes
import check_length
import check_limits
import check_linux
import check_rows
import source_tree


class TreeTest(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.root = pathlib.Path(holder.name)

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


class IncludeTest(TreeTest):
    def includes(self, path, line):
        self.write(path, f"// A file.\n{line}\n")
        return [p for p in check_includes.problems(self.root) if p.startswith(f"{path}:")]

    def test_a_folder_may_know_itself_and_its_row(self):
        self.write("daemon/engine/b.cc", '#include "daemon/engine/b.h"\n#include "core/net/b.h"\n')
        self.write("daemon/main.cc", '#include "daemon/engine/b.h"\n#include "daemon/config.h"\n')
        self.write("tracker/main.cc", '#include "asio/io_context.hpp"\n#include "core/wire/b.h"\n')
        self.assertEqual(check_includes.problems(self.root), [])

    def test_a_folder_may_not_know_others(self):
        for path, line in (
            ("core/base/a.cc", '#include "core/content/a.h"'),
            ("core/net/a.cc", '#include "core/content/a.h"'),
            ("core/wire/a.cc", '#include "core/net/a.h"'),
            ("daemon/session/a.cc", '#include "daemon/store/a.h"'),
            ("daemon/swarm/a.cc", '#include "core/wire/a.h"'),
            ("daemon/engine/a.cc", '#include "core/wire/a.h"'),
            ("daemon/engine/a.cc", '#include "daemon/control/a.h"'),
            ("daemon/control/a.cc", '#include "daemon/store/a.h"'),
            ("tracker/a.cc", '#include "daemon/engine/a.h"'),
            ("ctl/a.cc", "#include <core/net/a.h>"),
            ("ctl/a.cc", '#include "tests/support/a.h"'),
            ("daemon/engine/a.cc", '#include "daemon/config.h"'),
        ):
            with self.subTest(path=path, line=line):
                found = self.includes(path, line)
                self.assertEqual(len(found), 1)
                self.assertTrue(found[0].startswith(f"{path}:2: "), found)

    def test_libraries_stay_where_they_belong(self):
        self.assertEqual(len(self.includes("daemon/engine/a.cc", "#include <grpcpp/server.h>")), 1)
        self.assertEqual(len(self.includes("ctl/a.cc", '#include "sqlite3.h"')), 1)

    def test_pure_parts_have_no_input_and_output(self):
        self.assertEqual(len(self.includes("daemon/swarm/a.h", "#include <thread>")), 1)
        self.assertEqual(len(self.includes("core/wire/a.h", "#include <sys/socket.h>")), 1)

    def test_includes_are_written_from_the_root(self):
        self.assertEqual(len(self.includes("core/net/a.cc", '#include "address.h"')), 1)

    def test_a_folder_without_a_row_is_a_problem(self):
        self.assertEqual(len(self.includes("daemon/web/a.cc", "")), 1)


class CallTest(TreeTest):
    def test_S23_a_mapping_is_found(self):
        self.write("daemon/store/a.cc", "int x;\nvoid* p = mmap(nullptr, 1, 0, 0, fd, 0);\n")
        self.assertEqual(
            check_calls.problems(self.root, "mapping"),
            ["daemon/store/a.cc:2: mmap is not used in this project"],
        )

    def test_X13_a_shell_is_found(self):
        self.write("ctl/a.cc", 'int main() { return std::system("ls"); }\n')
        self.assertEqual(len(check_calls.problems(self.root, "shell")), 1)

    def test_X08_a_wait_by_the_clock_of_the_day_is_found(self):
        self.write("daemon/a.cc", "mutex_.AwaitWithTimeout(c, d);\nn.WaitForNotificationWithTimeout(d);\n")
        self.assertEqual(len(check_calls.problems(self.root, "clock")), 2)

    def test_words_in_comments_and_texts_are_no_calls(self):
        self.write(
            "ctl/a.cc",
            "// system(x)\n/* mmap(\n) */\nconst char* t = \"popen(\";\nint n = 1'000'000;\n"
            "auto r = R\"(fork())\";\nthrow std::system_error(e);\n",
        )
        self.assertEqual(check_calls.problems(self.root, "shell"), [])
        self.assertEqual(check_calls.problems(self.root, "mapping"), [])


class LinuxTest(TreeTest):
    LINUX = "#if defined(__linux__) && !defined(P2P_PORTABLE)\n"

    def names(self, text):
        return [name for _, name in check_linux.uses(text)]

    def test_what_only_linux_has_is_found(self):
        self.assertEqual(
            self.names("#include <sys/epoll.h>\nint n = ::sendfile(a, b, c, d);\n"
                       "int fd = open(p, O_PATH);\nlist.splice(at, other); // syncfs(fd)\n"),
            ["sys/epoll.h", "sendfile", "O_PATH"])

    def test_a_linux_branch_may_use_it_and_its_else_may_not(self):
        self.assertEqual(self.names(self.LINUX + "syncfs(fd);\n#else\nstatx(fd);\n#endif\n"
                                    "sendfile(fd);\n"), ["statx", "sendfile"])
        self.assertEqual(self.names("#if defined(__linux__)\nsyncfs(fd);\n#endif\n"), ["syncfs"])
        self.assertEqual(self.names(self.LINUX.replace("&&", "||") + "syncfs(fd);\n#endif\n"),
                         ["syncfs"])

    def test_a_name_that_a_linux_branch_defines_stands_for_it(self):
        defined = self.LINUX + "#define P2P_HAS_X 1\n#endif\n"
        for use in ("#ifdef P2P_HAS_X\nsyncfs(fd);\n#endif\n",
                    "#ifndef P2P_HAS_X\n#else\nsyncfs(fd);\n#endif\n",
                    "#if defined(P2P_HAS_X) && defined(Y)\nsyncfs(fd);\n#endif\n"):
            self.assertEqual(self.names(defined + use), [], use)
            self.assertEqual(self.names(use), ["syncfs"], use)

    def test_what_asks_for_its_own_name_is_portable(self):
        self.assertEqual(self.names("#ifdef TCP_INFO\ngetsockopt(fd, TCP_INFO);\n#endif\n"), [])

    def test_the_place_is_told(self):
        self.write("core/net/a.cc", "\nint fd = accept4(a, b, c, d);\n")
        self.assertEqual(
            check_linux.problems(self.root),
            ["core/net/a.cc:2: only Linux has accept4: it needs a Linux branch, and another"])


class RowTest(TreeTest):
    def test_ids_are_found_in_names_of_all_kinds(self):
        self.write("tests/unit/a_test.cc", "TEST(A, T01_T02_Answers) {}\nTEST_F(\n  B, P03_x) {}\n")
        self.write("tests/e2e/test_a.py", "def test_C04_wrong_bytes(self): pass  # X03\n")
        self.write("tests/CMakeLists.txt", "add_test(NAME lint.S23_Never COMMAND x)\n")
        self.assertEqual(check_rows.tested_rows(self.root), {"T01", "T02", "P03", "C04", "S23"})

    def test_a_row_without_a_test_is_a_problem(self):
        self.write("docs/faults.md", "# Faults T03\n\n| # | input |\n| T01 | a |\n| T02 | T04 |\n")
        self.write("tests/unit/a_test.cc", "TEST(A, T011_Other) {}\n// T02\n")
        self.assertEqual(check_rows.promised_rows(self.root), ["T01", "T02"])
        self.assertIn("T01: no test has this id in its name", check_rows.problems(self.root))
        self.assertIn("T02: no test has this id in its name", check_rows.problems(self.root))


class LimitTest(TreeTest):
    """A tree with one message for each heading, and a table that is right."""

    HEADINGS = {
        "Between peers": "PING", "Between peers, originally": "GET_CHUNK",
        "What a tracker is asked": "FIND", "What a tracker answers": "OK", "The control API": "Share",
    }

    def setUp(self):
        super().setUp()
        self.write("core/wire/peer_messages.cc", '    {"PING", ReadAs<Ping>},\n')
        self.write("core/wire/original_messages.cc", 'if (TakeFirstWord(&rest) != "GET_CHUNK") {}\n')
        self.write("core/wire/tracker_messages.cc",
                   'if (verb == "FIND") return 0;\nif (!absl::ConsumePrefix(&line, "OK ")) return 1;\n')
        self.write("proto/control.proto", "service Control {\n  rpc Share(A) returns (B);\n}\n")
        self.write("core/base/limits.h",
                   "inline constexpr size_t kLine = 4'096;\n"
                   "inline constexpr uint64_t kMost = uint64_t{2} * kLine;  // = 1;\n"
                   "inline constexpr absl::Duration kWait = absl::Minutes(2);\n")
        self.write("daemon/a.cc", "constexpr int kAhead = limits::kMost << 1;\nconstexpr int kLine = 7;\n")
        self.write("tests/unit/a_test.cc", "TEST(A, Holds) {}\n")
        self.write("tests/e2e/a.py", "class B(P2pTest):\n    def test_c(self):\n        pass\n")

    def problems_of(self, bound="a line of 4 KiB (`kLine`)", test="`A.Holds`, `a.B.test_c`", without=None):
        text = "# Limits\n"
        for heading, message in self.HEADINGS.items():
            text += f"\n## {heading}\n\n| message | bound | tests |\n|---|---|---|\n"
            for name in [message, *(["ERROR"] if message == "OK" else [])]:
                if name != without:
                    text += f"| `{name}` | {bound} | {test} |\n"
        self.write("docs/limits.md", text)
        return check_limits.problems(self.root)

    def test_what_is_as_the_code_is_passes(self):
        self.assertEqual(self.problems_of(), [])
        self.assertEqual(self.problems_of(bound="16,384 B (`kAhead`) in 2 min (`kWait`), 8,192 lines (`kMost`)"), [])

    def test_a_message_without_a_row_is_a_problem(self):
        for message in [*self.HEADINGS.values(), "ERROR"]:
            with self.subTest(message=message):
                self.assertRegex(self.problems_of(without=message)[0], f"^{message} has no row")

    def test_a_row_of_no_message_is_a_problem(self):
        self.write("core/wire/peer_messages.cc", '    {"PONG", ReadAs<Pong>},\n')
        self.assertIn("PING is no message", self.problems_of()[0])

    def test_a_constant_that_is_not_there_or_has_another_value_is_a_problem(self):
        for bound, told in (("1 (`kNone`)", "no constant kNone"), ("4 KiB (`kMost`)", "it is 8192"),
                            ("`kLine`", "without its value"), ("3 min (`kWait`)", "it is 120")):
            with self.subTest(bound=bound):
                self.assertIn(told, self.problems_of(bound=bound)[0])

    def test_a_test_that_is_not_there_is_a_problem(self):
        for test, told in (("`A.Held`", "no test A.Held"), ("`a.B.test_d`", "no test a.B.test_d"),
                           ("none", "no test is named")):
            with self.subTest(test=test):
                self.assertIn(told, self.problems_of(test=test)[0])


class LengthTest(TreeTest):
    def test_a_file_at_the_limit_passes_and_one_line_more_fails(self):
        self.write("core/base/a.cc", "\n" * check_length.MAX_LINES)
        self.assertEqual(check_length.problems(self.root), [])
        self.write("core/base/a.cc", "\n" * (check_length.MAX_LINES + 1))
        self.assertEqual(len(check_length.problems(self.root)), 1)


class SourceTest(unittest.TestCase):
    def test_the_tree_is_where_it_is_looked_for(self):
        self.assertTrue(list(source_tree.sources(source_tree.ROOT, source_tree.PRODUCT)))


if __name__ == "__main__":
    unittest.main()
