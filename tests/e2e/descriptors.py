"""Few descriptors make a daemon slower, and nothing fails for it; too few are told at the start."""
import os
import resource
import unittest

from p2p_content import make_bytes, make_tree, tree_of
from p2p_harness import LOCALHOST, SANITIZED, P2pTest, link_to, program, suites

FEW = 48  # an idle daemon has 30
FEWEST = 64  # with which the programs start: core/net/descriptors.cc


def with_limit(limit, arguments):
    """A command line that runs another with this hard limit of open files."""
    return ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh"] + arguments


@suites("sanitizers")
class DescriptorsTest(P2pTest):
    def daemon_with_few(self, name):
        daemon = self.daemon(name)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (FEW, FEW))
        return daemon

    @unittest.skipIf(SANITIZED, "UBSan asks with a pipe whether memory is there, and gets none")
    def test_S16_more_files_than_descriptors_are_shared_and_fetched(self):
        a, b = self.daemon_with_few("a"), self.daemon_with_few("b")
        make_tree(self.path("many"), {f"{i:03}": make_bytes(2_000, seed=i) for i in range(300)})
        shared = a.share(self.path("many"))
        b.get(link_to(shared, a))
        self.assertEqual(tree_of(os.path.join(b.downloads, "many")), tree_of(self.path("many")))
        for daemon in (a, b):
            self.assertNotIn("warning", daemon.log())

    def check_refused(self, process):
        process.spawn()
        self.assertEqual(process.wait(), 1, process.log())
        self.assertEqual(len(process.log().splitlines()), 1, process.log())
        self.assertIn("(ulimit -n, LimitNOFILE=)", process.log())
        self.assertIn(str(FEWEST), process.log())

    def test_S16_a_daemon_with_too_few_descriptors_says_so_and_does_not_start(self):
        for limit in (20, 22, 24, FEWEST - 1):
            with self.subTest(limit=limit):
                daemon = self.make_daemon(f"with-{limit}")
                daemon.arguments = with_limit(limit, daemon.arguments)
                self.check_refused(daemon)
                self.assertFalse(os.path.exists(daemon.state_dir))

    def test_S16_a_tracker_with_too_few_descriptors_says_so_and_does_not_start(self):
        command = [program("p2p-tracker"), "--listen", LOCALHOST + ":0"]
        for limit in (10, 16, FEWEST - 1):
            with self.subTest(limit=limit):
                self.check_refused(self.process(with_limit(limit, command), f"with-{limit}"))

    @unittest.skipIf(SANITIZED, "UBSan asks with a pipe whether memory is there, and gets none")
    def test_S16_with_the_fewest_descriptors_it_starts_and_serves(self):
        a, b = self.make_daemon("a"), self.make_daemon("b")
        for daemon in (a, b):
            daemon.arguments = with_limit(FEWEST, daemon.arguments)
            daemon.start()
        make_tree(self.path("some"), {f"{i:03}": make_bytes(2_000, seed=i) for i in range(100)})
        b.get(link_to(a.share(self.path("some")), a))
        self.assertEqual(tree_of(os.path.join(b.downloads, "some")), tree_of(self.path("some")))
