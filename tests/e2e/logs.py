"""The log: never waited for, never flooded, never more than text."""
import os
import re
import time

from p2p_content import MIB, Content, make_bytes, make_file
from p2p_evil_peers import Sayer
from p2p_evil_trackers import AddressTeller
from p2p_harness import LOCALHOST, P2pTest, wait_for
from p2p_peer import SharingPeer
from p2p_server import dial

ESCAPES = "\x1b[2J\x1b]0;title\x07\x08\u202e"
# What a log has: text in one line each.
NO_TEXT = re.compile(r"[^\n\x20-\x7e\u00a0-\u2027\u2030-\uffff]")
LINES_A_SECOND = 10


def full_pipe():
    """(read end, write end) of a pipe with no room."""
    ends = os.pipe()
    os.set_blocking(ends[1], False)
    try:
        while True:
            os.write(ends[1], b"." * 65_536)
    except BlockingIOError:
        pass
    os.set_blocking(ends[1], True)
    return ends


class LogTest(P2pTest):
    def unread(self, process):
        """Starts with a log that nobody reads."""
        ends = full_pipe()
        for end in ends:
            self.addCleanup(os.close, end)
        process.stderr = ends[1]

    def test_X12_a_daemon_whose_log_nobody_reads_works_and_stops(self):
        d = self.make_daemon("d")
        self.unread(d)
        d.start()
        path = self.path("x.bin")
        make_file(path, 10)
        for _ in range(30):
            d.must("remove", d.share(path)["id"])
        self.assertEqual(d.status()["totals"]["transfers"], 0)
        self.assertEqual(d.stop(), 0)

    def test_X12_a_tracker_whose_log_nobody_reads_answers_and_stops(self):
        tracker = self.tracker()
        tracker.stop()
        # It told its port; now it has it again, and nobody hears of it.
        tracker.arguments[2] = tracker.address
        self.unread(tracker)
        tracker.spawn()
        wait_for(self.answers(tracker), "it answers")
        for _ in range(30):
            self.assertRegex(tracker.ask("LOOKUP ../x"), "^ERROR 422 ")
        self.assertRegex(tracker.ask("LOOKUP x"), "^ERROR 404 ")
        self.assertEqual(tracker.stop(), 0)

    @staticmethod
    def answers(tracker):
        def check():
            try:
                return tracker.ask("LOOKUP x")
            except OSError:
                return False
        return check

    def test_X12_a_daemon_without_stderr_writes_its_log_nowhere_else(self):
        d = self.make_daemon("d")
        d.arguments = ["/bin/sh", "-c", 'exec "$@" >&- 2>&-', "sh"] + d.arguments
        d.start()
        for number in (1, 2):
            self.assertEqual(os.readlink(f"/proc/{d.pid}/fd/{number}"), "/dev/null")
        make_file(self.path("x.bin"), MIB)
        shared = d.share(self.path("x.bin"))
        d.restart()
        self.assertEqual(d.transfer(shared["id"])["state"], "seeding")

    def test_X12_what_others_say_is_escaped_wherever_it_is_shown(self):
        content = Content("x.bin", make_bytes(2 * MIB))
        peers = [Sayer(content, 1, f"ERROR 400 {ESCAPES}"), Sayer(content, 2, f"HAVE {ESCAPES}"),
                 Sayer(content, 3, f"{ESCAPES} 1")]
        refuser = SharingPeer(content, 4)
        refuser.on_open = lambda connection, _: refuser.say(connection, f"REFUSED 404 {ESCAPES}")
        peers.append(refuser)
        tracker = self.closing(AddressTeller(1, []))
        tracker.answer_announce = f"ERROR 400 {ESCAPES}"
        d = self.daemon("d", [tracker])
        make_file(self.path("y.bin"), 10)
        d.share(self.path("y.bin"))
        got = d.get_detached(content.magnet(*[self.closing(peer).address for peer in peers]))
        wait_for(lambda: all(p["problem"] for p in d.must("--json", "peers", got["id"]).objects),
                 "each of them has a problem")
        d.wait_for_log("refused an announcement")
        outputs = [d.log()]
        for arguments in (("status",), ("list",), ("status", got["id"]), ("peers", got["id"])):
            outputs += [d.must(*arguments).out, d.must("--json", *arguments).out]
        for text in outputs:
            self.assertIsNone(NO_TEXT.search(text), repr(text))

    @staticmethod
    def say_something_wrong(d, source):
        with dial(f"{LOCALHOST}:{d.port}", source) as connection:
            connection.sendall(b"HELLO 3 id=zz\n")
            while connection.recv(4_096):
                pass

    @staticmethod
    def wrong_lines(d):
        return [line for line in d.log().splitlines() if "broke the protocol" in line]

    def test_X12_many_faults_are_few_lines_and_none_is_forgotten(self):
        d = self.daemon("d")
        make_file(self.path("x.bin"), MIB)
        d.share(self.path("x.bin"))
        begin = time.monotonic()
        wrong = 300
        for number in range(wrong):
            self.say_something_wrong(d, f"127.0.1.{number % 100 + 1}")
        took = time.monotonic() - begin
        self.assertLessEqual(len(self.wrong_lines(d)), LINES_A_SECOND * (took + 3))

        # The next one that is told tells of those that were left out.
        def told():
            nonlocal wrong
            lines = self.wrong_lines(d)
            left_out = sum(int(n) for n in re.findall(r"and (\d+) more before", "".join(lines)))
            if len(lines) + left_out == wrong:
                return True
            wrong += 1
            self.say_something_wrong(d, LOCALHOST)
            return False
        wait_for(told, "each is told or counted", interval=0.2)
