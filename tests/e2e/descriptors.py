"""Few descriptors make a daemon slower, and nothing fails for it."""
import os
import resource
import unittest

from p2p_content import make_bytes, make_tree, tree_of
from p2p_harness import SANITIZED, P2pTest, link_to

FEW = 48  # an idle daemon has 30


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
