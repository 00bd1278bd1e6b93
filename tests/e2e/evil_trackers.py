"""Trackers that harm a download: it completes through an honest tracker beside them."""

from p2p_content import MIB, make_file
from p2p_evil_trackers import (AddressTeller, Bystander, EndlessLine, MillionLines, SilentTracker)
from p2p_harness import P2pTest, anonymous_bytes, wait_for

SIZE = 2 * MIB
# Nobody is to be found at these.
NO_PLACES = ["0.0.0.0:9001", "224.0.0.1:9001", "255.255.255.255:9001", "169.254.169.254:8080",
             "[fe80::1]:9001", "[::]:9001", "[ff02::1]:9001", "evil.example:9001", "127.0.0.1:0",
             "127.0.0.1:65536", "127.0.0.1:9001x", "1.2.3.4.5:9001"]


class EvilTrackersTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.honest = self.tracker()
        self.seeder = self.daemon("seeder", [self.honest])
        self.digest = make_file(self.path("x.bin"), SIZE)
        self.shared = self.seeder.share(self.path("x.bin"))
        self.magnet = self.shared["magnet"].split("&tr=")[0]
        self.honest.wait_lists("x.bin", self.seeder.address)

    def get_beside(self, *evil):
        getter = self.daemon("getter", [*evil, self.honest])
        got = getter.get(self.magnet)
        self.assert_same_file(got["path"], self.digest)
        return getter

    def check_flood(self, kind, reason):
        evil = self.closing(kind())
        getter = self.get_beside(evil)
        wait_for(lambda: evil.was_ended, "the flood is ended")
        wait_for(lambda: evil.address in getter.log(), "it is told")
        told = [line for line in getter.log().splitlines() if evil.address in line]
        self.assertIn(reason, told[0])
        self.assertEqual(len(told), 1, told)
        self.assertLess(anonymous_bytes(getter.pid), 100 * MIB)

    def test_C12_a_tracker_that_answers_with_a_million_lines_is_left(self):
        self.check_flood(MillionLines, "not one of this protocol")

    def test_C12_a_tracker_that_answers_with_an_endless_line_is_left(self):
        self.check_flood(EndlessLine, "longer than")

    def test_C12_garbage_for_an_answer_is_told_once_and_shown_until_there_is_a_good_one(self):
        evil = self.closing(AddressTeller(SIZE, []))
        evil.answer_find = "FOUND 1 +6\n\x1b[2J$x\nOK 0"
        getter = self.daemon("getter", [evil])
        make_file(self.path("y.bin"), 10)
        getter.share(self.path("y.bin"))

        def state():
            return getter.status()["trackers"][0]["state"]
        wait_for(lambda: state() == "ok", "it answers announcements")

        def ask(name):
            asked = evil.asked_for_name
            getter.get_detached(name)
            wait_for(lambda: evil.asked_for_name > asked, "it is asked")
        for name in ("1.bin", "2.bin", "3.bin"):
            ask(name)
            wait_for(lambda: "not one of this protocol" in state(), "its fault is shown")
        evil.answer_find = "FOUND 1 +1\nxOK 5\n"
        ask("4.bin")
        wait_for(lambda: state().endswith(": x"), "its other fault is shown")
        evil.answer_find = "FOUND 0 +0"
        ask("5.bin")
        wait_for(lambda: state() == "ok", "it answers well")
        getter.stop()
        told = [line for line in getter.log().splitlines() if f"tracker {evil.address}" in line]
        self.assertEqual(len(told), 2, told)
        for line in told:
            self.assertIn(" warning: ", line)
            self.assertIn("not one of this protocol", line)
        self.assertIn(r"\x1b[2J$x", told[0])

    def test_C13_a_tracker_that_takes_connections_and_never_answers_holds_up_nothing(self):
        evil = self.closing(SilentTracker())
        self.get_beside(evil)
        self.assertGreater(evil.connections, 0)

    def test_C13_a_download_by_name_does_not_wait_for_a_silent_tracker_for_ever(self):
        evil = self.closing(SilentTracker())
        getter = self.daemon("getter", [evil, self.honest])
        got = getter.get_detached("x.bin")
        getter.wait_state(got["id"], "complete")
        # It is not given up yet: that would have ended its connection.
        self.assertEqual((evil.connections, evil.open_connections), (1, 1))

    def test_C12_addresses_that_are_no_places_are_never_dialled(self):
        evil = self.closing(AddressTeller(SIZE, NO_PLACES * 5))
        getter = self.daemon("getter", [evil])
        evil.addresses.append(getter.address)
        got = getter.get_detached(self.magnet)
        wait_for(lambda: evil.asked >= 2, "it is asked again")
        evil.addresses.append(self.seeder.address)
        getter.wait_state(got["id"], "complete")
        peers = {p["address"] for p in getter.must("--json", "peers", got["id"]).objects
                 if "not dialled" not in p["problem"]}
        self.assertLessEqual(peers, {self.seeder.address})

    def privileged_bystander(self):
        for port in range(1_000, 1_024):
            try:
                return Bystander(port)
            except PermissionError:
                self.skipTest("may not listen on a privileged port")
            except OSError:  # somebody else's
                continue
        return self.skipTest("no privileged port is free")

    def test_C12_privileged_ports_are_dialled_for_the_user_and_his_trackers_alone(self):
        bystander = self.closing(self.privileged_bystander())
        evil = self.closing(AddressTeller(SIZE, [bystander.address]))
        getter = self.daemon("getter")
        got = getter.get_detached(self.magnet + "&tr=" + evil.address)
        wait_for(lambda: evil.asked >= 2, "it is asked again")
        self.assertEqual(bystander.connections, 0)
        getter.must("remove", got["id"])
        got = getter.get_detached(self.magnet + "&x.pe=" + bystander.address)
        wait_for(lambda: bystander.connections, "the user's own is dialled")
        getter.must("remove", got["id"])
        seen = bystander.connections
        self.daemon("other", [evil]).get_detached(self.magnet)
        wait_for(lambda: bystander.connections > seen, "and what his own tracker names")

    def test_C12_bystanders_are_told_a_greeting_and_left_alone(self):
        bystander = self.closing(Bystander())
        ports = [bystander] + [self.closing(Bystander()) for _ in range(63)]
        evil = self.closing(AddressTeller(SIZE, [b.address for b in ports]))
        getter = self.daemon("getter", [evil])
        got = getter.get_detached(self.magnet)
        wait_for(lambda: sum(b.connections for b in ports) >= 24, "some are dialled")
        # As many as a download has peers, and no more at a time.
        self.assertLessEqual(sum(b.open_connections for b in ports), 32)
        self.assertEqual(getter.transfer(got["id"])["bytes_done"], 0)
        for b in ports:
            for line in b.heard.decode().splitlines():
                self.assertIn(line.split()[0],
                              ("HELLO", "OPEN", "GET-PEERS", "GET-MANIFEST", "SUBSCRIBE"))
            self.assertLessEqual(len(b.heard), 1_000 * max(1, b.connections))
