"""Several p2pctl that do things to the same file at the same time."""
import concurrent.futures
import os
import random
import re
import threading

from p2p_content import MIB, make_file
from p2p_harness import DEADLINE, LOCALHOST, P2pTest, link_to
from p2p_proxy import Proxy


def at_once(*calls):
    """Runs the calls in threads that begin together; their results, in order."""
    start = threading.Barrier(len(calls))

    def run(call):
        start.wait()
        return call()
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


class ControlRaceTest(P2pTest):
    def assert_gone(self, result):
        """A call that came second: it failed, and said of what."""
        self.assertEqual(result.code, 1, result)
        self.assertIn("there is no transfer", result.err)

    def test_G11_one_file_shared_by_many_at_once_is_one_share(self):
        a = self.daemon("a")
        make_file(self.path("x.bin"), 4 * MIB)
        results = at_once(*[lambda: a.ctl("--json", "share", self.path("x.bin"))] * 8)
        for result in results:
            self.assertEqual(result.code, 0, result)
        self.assertEqual(len({result.last["id"] for result in results}), 1)
        self.assertEqual([t["state"] for t in a.transfers()], ["seeding"])

    def test_G11_one_source_got_by_many_at_once_is_one_download(self):
        a, b = self.daemon("a"), self.daemon("b")
        digest = make_file(self.path("x.bin"), 4 * MIB)
        magnet = link_to(a.share(self.path("x.bin")), a)
        results = at_once(*[lambda: b.ctl("--json", "get", magnet)] * 6)
        for result in results:
            self.assertEqual(result.code, 0, result)
        self.assertEqual(len(b.transfers()), 1)
        self.assertEqual(os.listdir(b.downloads), ["x.bin"])
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)

    def test_G11_what_is_removed_by_many_at_once_is_removed_by_one(self):
        a = self.daemon("a")
        make_file(self.path("x.bin"), MIB)
        shared = a.share(self.path("x.bin"))
        results = at_once(*[lambda: a.ctl("remove", shared["id"])] * 6)
        self.assertEqual(sorted(result.code for result in results), [0] + [1] * 5)
        for result in results:
            if result.code != 0:
                self.assert_gone(result)
        self.assertEqual(a.transfers(), [])

    def test_G11_sharing_and_removing_at_once_ends_as_in_some_order(self):
        tracker = self.tracker()
        a = self.daemon("a", [tracker])
        b = self.daemon("b", [tracker])
        digest = make_file(self.path("x.bin"), MIB + 3)
        added, removed = set(), []

        def share():
            result = a.ctl("--json", "share", self.path("x.bin"))
            if result.code == 0:
                added.add(result.last["id"])
                return
            # Removed before it was hashed, or before it could be shown.
            gone = re.search(r"transfer (\d+) \(x\.bin\) was removed by someone else"
                             r"|there is no transfer (\d+)", result.err)
            self.assertTrue(gone, result)
            added.add(gone.group(1) or gone.group(2))

        def remove():
            result = a.ctl("--json", "remove", "x.bin")
            if result.code == 0:
                removed.append(result.last["id"])
            else:
                self.assert_gone(result)
        order = random.Random(11)
        for _ in range(6):
            calls = [share] * 3 + [remove] * 3
            order.shuffle(calls)
            at_once(*calls)
            # A share is removed once, and only what was added; what is left is what was not removed.
            self.assertEqual(len(removed), len(set(removed)), removed)
            left = {t["id"] for t in a.transfers()}
            self.assertEqual(left, added - set(removed))
            self.assertLessEqual(len(left), 1)
        a.share(self.path("x.bin"))
        a.restart()
        self.assertEqual(len(a.transfers()), 1)
        a.wait_state("x.bin", "seeding")
        tracker.wait_lists("x.bin", a.address)
        b.get("x.bin")
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)

    def test_G11_removing_while_it_downloads_leaves_nothing_behind(self):
        a, b = self.daemon("a"), self.daemon("b")
        digest = make_file(self.path("x.bin"), 8 * MIB)
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=0))
        magnet = link_to(a.share(self.path("x.bin")), proxy)
        for _ in range(4):
            transfer = b.get_detached(magnet)["id"]
            proxy.allow(MIB)
            b.wait_bytes(transfer, 1, "a part is here")
            get = b.start_ctl("--json", "get", magnet)
            self.assertIn(f'"id":"{transfer}"', get.stdout.readline())
            results = at_once(*[lambda: b.ctl("remove", transfer)] * 2,
                              lambda: b.ctl("pause", transfer),
                              lambda: b.ctl("resume", transfer),
                              lambda: b.ctl("status", transfer))
            self.assertEqual(sorted(result.code for result in results[:2]), [0, 1])
            for result in results:
                if result.code != 0:
                    self.assert_gone(result)
            # Whoever waits for it hears of its end.
            self.assertIn("removed by someone else", get.communicate(timeout=DEADLINE)[1])
            self.assertEqual(get.returncode, 1)
            self.assertEqual(b.transfers(), [])
            self.assertEqual(os.listdir(b.downloads), [])
        proxy.allow()
        b.get(magnet)
        self.assert_same_file(os.path.join(b.downloads, "x.bin"), digest)
