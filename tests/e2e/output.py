"""What p2pctl prints: JSON for scripts, plain lines for pipes, one live line on a terminal."""
import json
import os
import pty
import re
import select
import subprocess

from p2p_content import MIB, make_file
from p2p_harness import DEADLINE, LOCALHOST, P2pTest, link_to, program, suites
from p2p_proxy import Proxy

PROMISED = {"id": str, "name": str, "content_id": str, "magnet": str, "kind": str, "state": str,
            "verified": bool, "bytes_total": int, "bytes_done": int, "rate_down": int,
            "rate_up": int, "peers": int, "path": str, "error": str, "placed": bool,
            "unverified_refused": bool}


@suites("sanitizers")
class OutputTest(P2pTest):
    def make_held_download(self):
        """(who can get 4 MiB, the link to them, the proxy that holds them back)"""
        a, b = self.daemon("a"), self.daemon("b")
        make_file(self.path("x.bin"), 4 * MIB)
        shared = a.share(self.path("x.bin"))
        proxy = self.closing(Proxy((LOCALHOST, a.port), budget=2 * MIB))
        return b, link_to(shared, proxy), proxy

    def run_on_terminal(self, arguments, meanwhile):
        """What p2pctl shows on an 80-column terminal, and its exit code."""
        master, slave = pty.openpty()
        process = subprocess.Popen([program("p2pctl")] + arguments, stdin=slave, stdout=slave,
                                   stderr=slave, close_fds=True)
        os.close(slave)
        self.addCleanup(process.kill)
        shown = b""
        while True:
            readable, _, _ = select.select([master], [], [], 60)
            self.assertTrue(readable, f"nothing more on the terminal after {shown!r}")
            try:
                piece = os.read(master, 65_536)
            except OSError:  # EIO: the other end is closed
                piece = b""
            if not piece:
                break
            shown += piece
            meanwhile(shown)
        os.close(master)
        return shown.decode(), process.wait(DEADLINE)

    def test_share_with_json_prints_progress_objects_and_ends_with_the_final_one(self):
        a = self.daemon("a")
        make_file(self.path("x.bin"), 2 * MIB)
        objects = a.must("--json", "share", self.path("x.bin")).objects
        for shown in objects:
            self.assertEqual({k: type(v) for k, v in shown.items() if k in PROMISED}, PROMISED)
        last = objects[-1]
        self.assertEqual((last["kind"], last["state"]), ("share", "seeding"))
        self.assertIs(last["verified"], True)
        self.assertEqual((last["bytes_total"], last["bytes_done"]), (2 * MIB, 2 * MIB))
        self.assertEqual((last["path"], last["error"]), (self.path("x.bin"), ""))
        self.assertRegex(last["content_id"], "^[0-9a-f]{64}$")
        self.assertIn(last["content_id"], last["magnet"])

    def test_get_with_json_prints_progress_objects_and_ends_with_the_final_one(self):
        b, source, proxy = self.make_held_download()
        get = b.start_ctl("--json", "get", source)
        lines = [get.stdout.readline()]
        while json.loads(lines[-1])["bytes_done"] < MIB:
            lines.append(get.stdout.readline())
        proxy.allow()
        rest, err = get.communicate(timeout=DEADLINE)
        self.assertEqual(get.returncode, 0, err)
        objects = [json.loads(line) for line in lines + rest.splitlines()]
        for shown in objects:
            self.assertEqual({k: type(v) for k, v in shown.items() if k in PROMISED}, PROMISED)
        done = [shown["bytes_done"] for shown in objects]
        self.assertEqual(done, sorted(done))
        self.assertIn("downloading", {shown["state"] for shown in objects})
        self.assertEqual(objects[-1]["state"], "complete")
        self.assertEqual(objects[-1]["bytes_done"], 4 * MIB)

    def test_get_with_detach_prints_the_transfer_and_returns_at_once(self):
        b, source, proxy = self.make_held_download()
        got = b.must("--json", "get", source, "--detach").last
        self.assertIn(got["state"], ("queued", "downloading"))
        text = b.must("get", source, "--detach").out
        self.assertIn(got["id"], text)
        self.assertEqual(len(b.transfers()), 1)
        proxy.allow()
        b.wait_state(got["id"], "complete")

    def test_share_prints_name_content_id_and_magnet_on_plain_lines(self):
        a = self.daemon("a")
        make_file(self.path("x.bin"), 10)
        out = a.must("share", self.path("x.bin")).out
        self.assertRegex(out, r"(?m)^name: +x\.bin$")
        self.assertRegex(out, r"(?m)^content id: +[0-9a-f]{64}$")
        self.assertRegex(out, r"(?m)^magnet: +magnet:\?xt=urn:btmh:1220[0-9a-f]{64}&dn=x\.bin&")
        self.assertNotRegex(out, "[\r\x1b]")

    def test_get_prints_plain_lines_where_there_is_no_terminal(self):
        b, source, proxy = self.make_held_download()
        proxy.allow()
        out = b.must("get", source).out
        self.assertNotRegex(out, "[\r\x1b]")
        self.assertRegex(out, r"(?m)^file: +" + re.escape(os.path.join(b.downloads, "x.bin")) + "$")
        self.assertRegex(out, r"(?m)^verified: +yes")

    def test_get_shows_one_live_line_on_a_terminal(self):
        b, source, proxy = self.make_held_download()

        def go_on_once_it_shows_a_half(shown):
            if re.search(rb"(2[5-9]|[345][0-9])\.[0-9]%", shown):
                proxy.allow()
        shown, code = self.run_on_terminal(["--socket", b.socket, "get", source],
                                           go_on_once_it_shows_a_half)
        self.assertEqual(code, 0, shown)
        live, _, summary = shown.rpartition("\r\x1b[K")
        self.assertGreater(live.count("\r\x1b[K"), 1)
        # Until the summary, one line is written over and over: none is ended, but for the one that
        # says where the file will be.
        target = os.path.join(b.downloads, "x.bin")
        self.assertRegex(live, r"\r\x1b\[Kto: +" + re.escape(target) + "\r\n")
        live = re.sub(r"\r\x1b\[Kto: [^\n]*\n", "", live)
        self.assertNotIn("\n", live)
        self.assertIn("1 peer", live)
        self.assertIn("4.0 MiB", live)
        for line in live.split("\r\x1b[K"):
            self.assertLess(len(line), 80)
        self.assertRegex(summary, "verified: +yes")

    def test_share_shows_one_live_line_on_a_terminal(self):
        a = self.daemon("a")
        make_file(self.path("x.bin"), MIB)
        shown, code = self.run_on_terminal(["--socket", a.socket, "share", self.path("x.bin")],
                                           lambda _: None)
        self.assertEqual(code, 0, shown)
        live, _, summary = shown.rpartition("\r\x1b[K")
        self.assertNotIn("\n", live)
        self.assertIn("magnet:?xt=", summary)

    def test_names_with_terminal_escapes_in_them_do_not_reach_a_terminal(self):
        # Legal on disk, but no legal name of a share; the refusal shows it escaped.
        a = self.daemon("a")
        path = self.path("evil\x1b[2Jname")
        make_file(path, 10)
        result = a.ctl("share", path)
        self.assertEqual(result.code, 1)
        self.assertNotIn("\x1b", result.err + result.out)
        self.assertIn("--name", result.err)

    def test_ctrl_c_ends_only_p2pctl_and_exits_with_130(self):
        b, source, proxy = self.make_held_download()
        get = b.start_ctl("--json", "get", source)
        get.stdout.readline()
        get.send_signal(2)
        _, err = get.communicate(timeout=DEADLINE)
        self.assertEqual(get.returncode, 130, err)
        self.assertIn("goes on in the daemon", err)
        proxy.allow()
        b.wait_state("x.bin", "complete")

    def test_output_that_cannot_be_written_exits_with_1(self):
        a = self.daemon("a")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([program("p2pctl"), "--socket", a.socket, "status"], stdout=full,
                                  stderr=subprocess.PIPE, check=False, timeout=DEADLINE)
        self.assertEqual(done.returncode, 1, done.stderr)
