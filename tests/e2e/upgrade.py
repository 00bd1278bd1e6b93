"""A state directory that another version wrote."""
import os
import sqlite3

from p2p_content import MIB, make_file
from p2p_harness import LOCALHOST, P2pTest, link_to, suites, wait_for
from p2p_proxy import Proxy


def _set_version(state_dir, version):
    catalog = sqlite3.connect(os.path.join(state_dir, "catalog.db"))
    catalog.executescript(f"PRAGMA user_version={version};"
                          f"UPDATE meta SET value={version} WHERE key='schema'")
    catalog.close()


def _version(state_dir):
    catalog = sqlite3.connect(os.path.join(state_dir, "catalog.db"))
    (version,), = catalog.execute("PRAGMA user_version").fetchall()
    catalog.close()
    return version


def _files_of(directory):
    contents = {}
    for name in os.listdir(directory):
        with open(os.path.join(directory, name), "rb") as file:
            contents[name] = file.read()
    del contents["lock"]  # the number of the process is written there
    return contents


@suites("sanitizers")
class UpgradeTest(P2pTest):
    def test_X15_R06_a_newer_state_is_refused_unharmed_and_the_own_one_goes_on(self):
        a, b = self.daemon("a"), self.daemon("b")
        digest = make_file(self.path("x.bin"), 6 * MIB)
        make_file(self.path("mine.bin"), MIB, seed=2)
        mine = b.share(self.path("mine.bin"))
        shared = a.share(self.path("x.bin"))
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=3 * MIB))
        transfer = b.get_detached(link_to(shared, proxy))["id"]
        wait_for(lambda: proxy.is_dry, "half of it has passed")
        b.wait_bytes(transfer, MIB, "some of it is there")
        b.stop()
        done = os.stat(os.path.join(b.downloads, "x.bin.part")).st_blocks
        version = _version(b.state_dir)
        _set_version(b.state_dir, 99)
        before = _files_of(b.state_dir)
        start_of_log = len(b.log())
        b.spawn()
        code = b.wait()
        self.assertNotEqual(code, 0)
        self.assertIn("was written by a newer p2pd", b.log()[start_of_log:])
        self.assertEqual(_files_of(b.state_dir), before)
        self.assertEqual(os.stat(os.path.join(b.downloads, "x.bin.part")).st_blocks, done)
        _set_version(b.state_dir, version)
        b.start()
        self.assertEqual(b.wait_state(mine["id"], "seeding")["content_id"], mine["content_id"])
        b.wait_bytes(transfer, MIB, "what was there is there again")
        proxy.allow()
        b.wait_state(transfer, "complete")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)
