"""The config file and the flags of p2pd."""
import os
import subprocess

from p2p_harness import DEADLINE, LOCALHOST, P2pTest, program, suites

SOURCE_DIR = os.environ.get("P2P_SOURCE_DIR", "")


@suites("sanitizers")
class ConfigurationTest(P2pTest):
    def write(self, text, name="p2pd.toml"):
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        return path

    def run_p2pd(self, *arguments):
        return subprocess.run([program("p2pd")] + list(arguments), capture_output=True, check=False,
                              timeout=DEADLINE, cwd=self.dir, env=dict(os.environ, HOME=self.dir),
                              text=True, errors="replace")

    def check_refused(self, text, *says):
        """The same one-line error and exit code 78, with --check-config and without."""
        path = self.write(text)
        for arguments in (["--check-config"], []):
            done = self.run_p2pd("--config", path, "--state-dir", self.path("s"), *arguments)
            self.assertEqual(done.returncode, 78, (text, done))
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
            for part in says:
                self.assertIn(part, done.stderr, text)
        self.assertFalse(os.path.exists(self.path("s")))

    def test_every_key_works(self):
        config = self.write(f'''
            state_dir = "{self.path("state")}"
            socket = "{self.path("sock")}"
            listen = "{LOCALHOST}:0"
            trackers = ["{LOCALHOST}:9"]
            download_dir = "{self.path("downloads")}"
            log_level = "debug"
        ''')
        a = self.make_daemon("a")
        a.arguments = [program("p2pd"), "--config", config]
        a.socket = self.path("sock")
        a.start()
        status = a.status()
        self.assertEqual(status["state_dir"], self.path("state"))
        self.assertEqual(status["download_dir"], self.path("downloads"))
        self.assertEqual([t["address"] for t in status["trackers"]], [LOCALHOST + ":9"])

    def test_flags_override_the_file(self):
        config = self.write('trackers = ["127.0.0.1:9"]\nlisten = "192.0.2.1:1"\n')
        a = self.daemon("a", ["127.0.0.1:8"], arguments=["--config", config])
        self.assertEqual([t["address"] for t in a.status()["trackers"]], ["127.0.0.1:8"])

    def test_check_config_of_a_good_file_exits_with_0_and_starts_nothing(self):
        done = self.run_p2pd("--config", self.write('listen = "127.0.0.1:0"\n'), "--state-dir",
                             self.path("s"), "--check-config")
        self.assertEqual(done.returncode, 0, done)
        self.assertFalse(os.path.exists(self.path("s")))

    def test_check_config_says_of_what_this_system_does_not_have_what_a_start_says(self):
        place = ("--state-dir", self.path("s"), "--listen", LOCALHOST + ":0", "--download-dir",
                 self.path("d"))
        socket = ("--socket", self.path("sock"))
        for arguments, code, says in (
                ((*socket, "--group", "nosuch"), 78, 'there is no group "nosuch"'),
                ((*socket, "--congestion-control", "nosuch"), 1,
                 'congestion control "nosuch" can not'),
                (("--socket", self.path("x" * 200)), 78, "the system takes")):
            check, start = (self.run_p2pd(*place, *arguments, *more)
                            for more in (["--check-config"], []))
            self.assertEqual(check.returncode, code, check)
            self.assertIn(says, check.stderr)
            self.assertEqual(check.stdout, "")
            self.assertEqual(start.returncode, code, start)
            self.assertEqual(start.stderr.splitlines()[-1], check.stderr.strip())

    def test_F01_a_file_that_is_missing_or_a_directory_exits_with_78(self):
        for path in (self.path("missing.toml"), self.dir):
            for arguments in (["--check-config"], []):
                done = self.run_p2pd("--config", path, *arguments)
                self.assertEqual(done.returncode, 78, done)
                self.assertIn(path, done.stderr)
                self.assertEqual(len(done.stderr.strip().splitlines()), 1)

    def test_F01_an_empty_file_is_good(self):
        self.assertEqual(self.run_p2pd("--config", self.write(""), "--check-config").returncode, 0)

    def test_F01_binary_and_very_large_files_exit_with_78(self):
        self.check_refused(bytes(range(256)), "p2pd.toml")
        with open(self.path("huge"), "wb") as file:
            file.truncate(1 << 30)
        done = self.run_p2pd("--config", self.path("huge"), "--check-config")
        self.assertEqual(done.returncode, 78, done)

    def test_F01_an_error_names_the_line(self):
        self.check_refused('log_level = "info"\n\nlisten = \n', "p2pd.toml:3")

    def test_F02_an_unknown_key_suggests_the_nearest(self):
        self.check_refused('tracker = ["127.0.0.1:8080"]\n', "p2pd.toml:1", '"trackers"')

    def test_F02_a_key_that_is_there_twice(self):
        self.check_refused('listen = "127.0.0.1:1"\nlisten = "127.0.0.1:2"\n', "p2pd.toml:2")

    def test_F02_a_value_of_the_wrong_type(self):
        self.check_refused('listen = 9001\n', "p2pd.toml:1", "listen")
        self.check_refused('trackers = "127.0.0.1:8080"\n', "p2pd.toml:1", "trackers")

    def test_F03_ports_out_of_range(self):
        for port in ("70000", "-1", "65536", "1e3", "NaN", "9223372036854775808"):
            self.check_refused(f'listen = "127.0.0.1:{port}"\n', "p2pd.toml:1", "listen")
        for port in ("0", "70000"):
            self.check_refused(f'trackers = ["127.0.0.1:{port}"]\n', "p2pd.toml:1")

    def test_wrong_flags_exit_with_2(self):
        for arguments in (["--frob"], ["--listen"], ["--listen", "nowhere"], ["extra"],
                          ["--listen", "127.0.0.1:70000"], ["--tracker", "x"],
                          ["--log-level", "loud"], ["--worker-threads", "-1"]):
            done = self.run_p2pd(*arguments)
            self.assertEqual(done.returncode, 2, (arguments, done))
            self.assertTrue(done.stderr, arguments)

    def test_version_and_help_exit_with_0(self):
        self.assertRegex(self.run_p2pd("--version").stdout, r"^p2pd \d+\.\d+\.\d+")
        self.assertIn("--state-dir", self.run_p2pd("--help").stdout)

    def test_the_example_that_ships_is_good(self):
        found = [os.path.join(directory, "p2pd.toml") for directory, _, names in
                 os.walk(os.path.join(SOURCE_DIR, "systemd")) if "p2pd.toml" in names]
        for directory in ("", "docs", "examples"):
            path = os.path.join(SOURCE_DIR, directory, "p2pd.toml")
            if os.path.exists(path):
                found.append(path)
        self.assertTrue(found, "no p2pd.toml ships")
        for path in found:
            done = self.run_p2pd("--config", path, "--check-config")
            self.assertEqual(done.returncode, 0, done)
