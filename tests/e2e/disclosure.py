"""What must not be told: contents of files, and what stands in the environment."""
import os
import re
import signal
import socket
import stat
import subprocess

from p2p_content import MIB, make_bytes
from p2p_harness import DEADLINE, LOCALHOST, P2pTest, link_to, program, suites

# Nothing else has these bytes. Each stands where a program could take it from.
IN_A_SHARE = "canary-of-a-share-5c1d7e"
BESIDE_IT = "canary-beside-it-90ab3f"
IN_THE_ENVIRONMENT = "canary-of-the-environment-77e2d4"
IN_A_CREDENTIAL = "canary-of-a-credential-1b6a08"
CANARIES = (IN_A_SHARE, BESIDE_IT, IN_THE_ENVIRONMENT, IN_A_CREDENTIAL)


@suites("sanitizers")
class SecretTest(P2pTest):
    def assert_tells_nothing(self, data, where):
        if isinstance(data, str):
            data = data.encode()
        for canary in CANARIES:
            self.assertNotIn(canary.encode(), data, where)

    def environment(self):
        credentials = self.path("credentials")
        os.makedirs(credentials, exist_ok=True)
        with open(os.path.join(credentials, "key"), "w", encoding="ascii") as key:
            key.write(IN_A_CREDENTIAL)
        return dict(os.environ, P2P_CANARY=IN_THE_ENVIRONMENT, CREDENTIALS_DIRECTORY=credentials)

    def test_X11_contents_and_environment_are_in_no_log_answer_argument_or_state(self):
        options = {"arguments": ["--log-level", "debug"], "env": self.environment()}
        tracker = self.tracker()
        a, b = self.daemon("a", [tracker], **options), self.daemon("b", [tracker], **options)
        os.mkdir(self.path("share"))
        content = IN_A_SHARE.encode() + make_bytes(3 * MIB) + IN_A_SHARE.encode()
        with open(self.path("share", "x.bin"), "wb") as file:
            file.write(content)
        with open(self.path("beside.txt"), "w", encoding="ascii") as file:
            file.write(BESIDE_IT)
        shared = a.share(self.path("share"))
        told = [repr(b.ctl("get", link_to(shared, a)))]
        for request in (b"GET_CHUNK ../beside.txt 0\n", b"GET_CHUNK share/x.bin 99\n",
                        b"\0\xff" * 50 + b"\n", b"SHOW " + b"x" * 300 + b"\n"):
            with socket.create_connection((LOCALHOST, a.port), DEADLINE) as connection:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(65_536):
                    told.append(piece.decode(errors="replace"))
        with open(self.path("share", "x.bin"), "ab") as file:  # it is noticed, and told
            file.write(b"changed")
        for daemon in (a, b):
            daemon.send(signal.SIGUSR1)
            daemon.send(signal.SIGHUP)
            for command in (["status"], ["list"], ["peers", "share"], ["verify", "share"],
                            ["--json", "status", "share"], ["status", "nothing"],
                            ["get", IN_A_SHARE[:6] + "?"]):
                told.append(repr(daemon.ctl(*command)))
            for name in ("cmdline", "comm"):
                with open(f"/proc/{daemon.pid}/{name}", "rb") as file:
                    self.assert_tells_nothing(file.read(), name)
            daemon.kill9()
            daemon.start()
            self.assertEqual(daemon.stop(), 0)
            self.check_state(daemon)
        tracker.stop()
        for text in told + [process.log() for process in (a, b, tracker)]:
            self.assert_tells_nothing(text, text[:200])

    def check_state(self, daemon):
        """Nobody else may read it, and it has neither contents nor surroundings in it."""
        self.assertEqual(stat.S_IMODE(os.stat(daemon.state_dir).st_mode) & 0o077, 0)
        files = [os.path.join(folder, name) for folder, _, names in os.walk(daemon.state_dir)
                 for name in names]
        self.assertTrue(files)
        for path in files:
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode) & 0o077, 0, path)
            with open(path, "rb") as file:
                self.assert_tells_nothing(file.read(), path)

    def test_X11_no_option_takes_a_secret(self):
        # What stands in a command line everybody on the machine can read.
        helps = [["p2pd", "--help"], ["p2p-tracker", "--help"], ["p2pctl", "help"]]
        helps += [["p2pctl", "help", command] for command in
                  re.findall(r"^  ([a-z]+) ", self.output(["p2pctl", "help"]), re.MULTILINE)]
        self.assertGreater(len(helps), 8)
        for command in helps:
            options = re.findall(r"--[a-z-]+", self.output(command))
            self.assertTrue(options or command[0] == "p2pctl", command)
            # A file that holds one is read by its owner alone.
            for option in (o for o in options if not o.endswith("-file")):
                self.assertNotRegex(option, "pass|secret|token|key|credential", command)

    def output(self, command):
        return subprocess.run([program(command[0])] + command[1:], check=True, text=True,
                              stdout=subprocess.PIPE, timeout=DEADLINE).stdout
