"""One daemon for a state directory and a socket, and only those who may reach it."""
import grp
import os
import shutil
import socket
import stat
import subprocess

from p2p_content import make_file
from p2p_harness import DEADLINE, P2pTest, program, run_ctl, suites, wait_for

NOBODY = 65_534


def become_nobody():
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


@suites("sanitizers")
class SingleInstanceTest(P2pTest):
    def start_that_fails(self, daemon, code=1):
        """What it says on stderr: one sentence, and not more."""
        daemon.spawn()
        self.assertEqual(daemon.wait(), code, daemon.log())
        lines = [line for line in daemon.log().splitlines() if line.startswith("p2pd: ")]
        self.assertEqual(len(lines), 1, daemon.log())
        return lines[0]

    def second(self, **changes):
        """A daemon with a directory of its own but for what `changes` says: option -> value."""
        other = self.make_daemon("second")
        for option, value in changes.items():
            at = other.arguments.index("--" + option.replace("_", "-"))
            other.arguments[at + 1] = value
        return other

    def test_S14_a_second_daemon_on_one_state_directory_is_refused(self):
        a = self.daemon("a")
        reason = self.start_that_fails(self.second(state_dir=a.state_dir))
        self.assertIn("in use by another p2pd", reason)
        self.assertIn(str(a.pid), reason)
        self.assertEqual(a.ctl("status").code, 0)

    def test_G02_a_second_daemon_on_one_socket_is_refused(self):
        a = self.daemon("a")
        reason = self.start_that_fails(self.second(socket=a.socket))
        self.assertIn("already running", reason)
        self.assertIn(f"kill {a.pid} ", reason)
        self.assertEqual(a.ctl("status").code, 0)

    def test_G02_a_socket_that_was_removed_is_made_anew(self):
        a = self.daemon("a")
        with socket.socket(socket.AF_UNIX) as connected:
            connected.connect(a.socket)
            a.ctl("status")  # and so the one before is served
            os.unlink(a.socket)
            self.assertIn(f"kill {a.pid} ", self.start_that_fails(self.second(socket=a.socket)))
            wait_for(lambda: a.ctl("status").code == 0, "it is reached again")
            connected.setblocking(False)
            self.assertTrue(connected.recv(100), "it is served as before")
        self.assertEqual(stat.S_IMODE(os.stat(a.socket).st_mode), 0o600)
        a.wait_for_log("was removed; it was made anew")
        a.must("stop")
        self.assertEqual(a.wait(), 0)
        self.assertFalse(os.path.exists(a.socket))

    def test_G02_what_came_into_a_removed_socket_s_place_stays(self):
        a = self.make_daemon("a")
        at = a.arguments.index("--socket")
        a.arguments[at + 1] = a.socket = self.path("dir", "s")
        a.start()
        shutil.rmtree(self.path("dir"))
        wait_for(lambda: a.ctl("status").code == 0, "it is reached again, directory and all")
        os.unlink(a.socket)
        digest = make_file(a.socket, 20)
        a.stop()
        self.assert_same_file(a.socket, digest)

    def test_G02_a_socket_that_a_killed_daemon_left_is_replaced(self):
        a = self.daemon("a")
        a.kill9()
        self.assertTrue(stat.S_ISSOCK(os.stat(a.socket).st_mode))
        self.assertEqual(a.ctl("status").code, 69)
        a.start()
        self.assertEqual(a.ctl("status").code, 0)

    def test_G02_a_socket_of_another_program_that_listens_is_refused(self):
        place = self.path("other.sock")
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(place)
            other.listen()
            self.assertIn("already running", self.start_that_fails(self.second(socket=place)))
        self.assertTrue(os.path.exists(place))

    def test_G02_a_regular_file_in_the_socket_s_place_is_refused_and_stays(self):
        place = self.path("file.sock")
        digest = make_file(place, 20)
        self.assertIn("not a socket", self.start_that_fails(self.second(socket=place)))
        self.assert_same_file(place, digest)

    def test_G02_a_symbolic_link_in_the_socket_s_place_is_refused_and_stays(self):
        place = self.path("link.sock")
        digest = make_file(self.path("target"), 20)
        os.symlink("target", place)
        self.assertIn("symbolic link", self.start_that_fails(self.second(socket=place)))
        self.assertTrue(os.path.islink(place))
        self.assert_same_file(self.path("target"), digest)

    def test_G03_a_socket_path_that_is_too_long_is_a_configuration_error(self):
        longest = self.path("s" * (107 - len(self.dir) - 1))
        self.assertEqual(len(longest), 107)
        fits = self.second(socket=longest)
        fits.socket = longest
        fits.start()
        fits.stop()
        too_long = self.second(socket=longest + "s")
        self.assertIn("107", self.start_that_fails(too_long, code=78))
        self.assertEqual(run_ctl(["--socket", longest + "s", "status"]).code, 1)

    def test_a_port_that_is_in_use_is_one_clear_sentence(self):
        a = self.daemon("a")
        reason = self.start_that_fails(self.second(listen=a.address))
        self.assertIn("in use", reason)
        self.assertIn(str(a.port), reason)

    def test_a_state_directory_that_cannot_be_made_is_one_clear_sentence(self):
        make_file(self.path("file"), 1)
        reason = self.start_that_fails(self.second(state_dir=self.path("file", "state")))
        self.assertIn("file", reason)

    def test_G01_another_user_is_refused_by_the_socket_s_mode(self):
        self.need_root()
        a = self.daemon("a")
        os.chmod(self.dir, 0o755)
        self.assertEqual(stat.S_IMODE(os.stat(a.socket).st_mode), 0o600)
        result = a.ctl("status", cwd="/", preexec_fn=become_nobody)
        self.assertEqual(result.code, 77, result)
        self.assertEqual(len(result.err.strip().splitlines()), 1)

    def test_G01_another_user_who_reaches_the_socket_is_refused_by_who_he_is(self):
        self.need_root()
        a = self.daemon("a")
        os.chmod(self.dir, 0o755)
        os.chmod(a.home, 0o755)
        os.chmod(a.socket, 0o666)
        result = a.ctl("stop", cwd="/", preexec_fn=become_nobody)
        self.assertEqual(result.code, 77, result)
        self.assertIn("not permitted", result.err)
        a.wait_for_log(f"refused user {NOBODY}")
        self.assertTrue(a.running)

    def test_G01_a_member_of_the_configured_group_gets_in(self):
        self.need_root()
        try:
            group = grp.getgrgid(NOBODY).gr_name
        except KeyError:
            self.skipTest("the group of nobody has no name here")
        os.chmod(self.dir, 0o755)
        a = self.daemon("a", arguments=["--group", group])
        os.chmod(a.home, 0o755)
        result = a.ctl("status", cwd="/", preexec_fn=become_nobody)
        self.assertEqual(result.code, 0, result)

    def test_an_ordinary_user_can_do_the_main_job(self):
        self.need_root()
        os.chmod(self.dir, 0o777)
        make_file(self.path("x.bin"), 100_000)
        script = ('set -e; cd "$1"; mkdir -m 700 mine; '
                  '"$2"/p2pd --state-dir "$1/mine/state" --socket "$1/mine/s" --listen 127.0.0.1:0 '
                  '--download-dir "$1/mine" 2>"$1/mine/log" & daemon=$!; '
                  'n=0; until "$2"/p2pctl --socket "$1/mine/s" status >/dev/null 2>&1; do '
                  'n=$((n+1)); [ $n -lt 400 ] || exit 9; sleep 0.05; done; '
                  '"$2"/p2pctl --socket "$1/mine/s" share "$1/x.bin"; '
                  '"$2"/p2pctl --socket "$1/mine/s" stop; wait $daemon')
        programs = os.path.dirname(program("p2pd"))
        done = subprocess.run(["sh", "-c", script, "sh", self.dir, programs], capture_output=True,
                              preexec_fn=become_nobody, text=True, check=False, timeout=DEADLINE,
                              env={"PATH": os.environ["PATH"], "HOME": self.dir,
                                   "TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", "")})
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("magnet:?xt=", done.stdout)

    def need_root(self):
        if os.geteuid() != 0:
            self.skipTest("only root can become another user")
        reachable = subprocess.run([program("p2pctl"), "help"], preexec_fn=become_nobody, cwd="/",
                                   capture_output=True, check=False)
        if reachable.returncode != 0:
            self.skipTest("another user cannot reach the programs here")
