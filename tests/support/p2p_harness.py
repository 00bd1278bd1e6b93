"""Runs p2pd, p2pctl and p2p-tracker as real processes for tests.

Every test has a directory of its own, every program a free port: tests run side by side. Waiting is
polling the real state until a deadline. What the programs wrote to stderr is kept in files, shown
when a test fails, and searched for sanitizer reports in any case.
"""
import contextlib
import ctypes
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from p2p_content import sha256
from p2p_server import announcement

BIN_DIR = os.environ.get("P2P_BIN_DIR", "")
SANITIZED = bool(os.environ.get("P2P_SANITIZED"))
PORTABLE = bool(os.environ.get("P2P_PORTABLE"))
# Seconds. Long enough for a sanitizer build on a busy machine; a good run never waits for it.
DEADLINE = float(os.environ.get("P2P_TEST_DEADLINE", "40"))
# Seconds. Ten times what the programs do at once takes on a busy machine, and less than any period of theirs (20 s).
AT_ONCE = 15
POLL_INTERVAL = 0.02
LOCALHOST = "127.0.0.1"

_SANITIZER_REPORT = re.compile(
    r"ERROR: (Address|Leak|Memory)Sanitizer|WARNING: ThreadSanitizer|runtime error:")
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def suites(*_):
    """Decorates a test or a class of tests: which suites take it beside the release build's, which has all. list_tests.py
    reads it in the source.

    - portable: the main roads, and what has a portable branch of its own
    - sanitizers: all but what repeats a road with other numbers
    - tsan: where threads of a program meet
    """
    return lambda test: test


def program(name):
    return os.path.join(BIN_DIR, name)


def _die_with_the_test():
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def wait_for(condition, what, deadline=None, interval=POLL_INTERVAL):
    """Polls until `condition()` gives something true, and returns that."""
    end = time.monotonic() + (DEADLINE if deadline is None else deadline)
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError("waited in vain until " + (what() if callable(what) else what))
        time.sleep(interval)


_reserved_ports = []


def free_port():
    """A port that nothing listens on, that the system gives to nobody who does not ask for it, and that no other test is
    given as long as this process lives."""
    while True:
        port = random.randrange(10_000, 22_000)
        # The name goes with the process, however that ends.
        reservation = socket.socket(socket.AF_UNIX)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOCALHOST, port))
            reservation.bind(f"\0p2p-test-port-{port}")
            _reserved_ports.append(reservation)
            return port
        reservation.close()


def cpu_ticks(pid):
    """User and system time of a process, in clock ticks."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def anonymous_bytes(pid):
    """Memory of a process that no file backs: what it took for itself and has not given back. 0 in
    a sanitizer build, whose shadow and quarantine are not the program's."""
    if SANITIZED:
        return 0
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        return 1024 * int(re.search(r"^Anonymous:\s+(\d+) kB", rollup.read(), re.M).group(1))


def resident_bytes(pid):
    """Memory of a process that is not swapped out, whatever backs it; 0 in a sanitizer build."""
    if SANITIZED:
        return 0
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files(pid):
    """What the process has open, a path or a kind each. Without pipes in a sanitizer build, which
    keeps some to its symbolizer once it has looked at a report, suppressed or not."""
    links = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            links.append(os.readlink(f"/proc/{pid}/fd/{number}"))
    return [link for link in links if not (SANITIZED and link.startswith("pipe:"))]


def descriptors(pid):
    return len(open_files(pid))


class Process:
    """A program that runs until it is stopped."""

    def __init__(self, arguments, log_path, env=None, cwd=None):
        self.arguments = arguments
        self.log_path = log_path
        self._env = env
        self._cwd = cwd
        self._process = None
        self.killed = False
        self.stderr = None  # a file or descriptor of the test's instead of the log

    def spawn(self):
        self.killed = False
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                self.arguments, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log if self.stderr is None else self.stderr, env=self._env,
                cwd=self._cwd, preexec_fn=_die_with_the_test)

    @property
    def pid(self):
        return self._process.pid

    @property
    def exit_code(self):
        return None if self._process is None else self._process.poll()

    @property
    def running(self):
        return self._process is not None and self._process.poll() is None

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def send(self, number):
        self._process.send_signal(number)

    def wait(self, deadline=DEADLINE):
        """Until it has ended; its exit code. A daemon that does not end in time ends itself, with 1."""
        return self._process.wait(deadline)

    def kill9(self):
        if self.running:
            self.killed = True
            self._process.kill()
            self._process.wait()

    def stop(self, number=signal.SIGTERM, deadline=DEADLINE):
        """Ends it in good order and returns its exit code."""
        if not self.running:
            return self.exit_code
        self.send(number)
        return self.wait(deadline)

    def wait_for_log(self, text, deadline=None):
        wait_for(lambda: text in self.log(), lambda: f"{self.log_path} says {text!r}", deadline)


class Tracker(Process):
    def __init__(self, directory, name="tracker", arguments=(), env=None):
        self.port = 0
        self._extra = list(arguments)
        super().__init__([], os.path.join(directory, name + ".log"), env=env, cwd=directory)

    @property
    def address(self):
        return f"{LOCALHOST}:{self.port}"

    def start(self):
        """The first start takes a free port, later ones take the same again."""
        start_of_log = len(self.log())
        listen = f"{LOCALHOST}:{self.port}"
        self.arguments = [program("p2p-tracker"), "--listen", listen] + self._extra
        self.spawn()

        def port():
            match = re.search(r"p2p-tracker \S+ listening on \S*:(\d+)", self.log()[start_of_log:])
            if match is None and not self.running:
                raise AssertionError(f"p2p-tracker ended with {self.exit_code}: {self.log()}")
            return match and int(match.group(1))

        self.port = wait_for(port, "the tracker tells its port")
        return self

    def ask(self, line):
        """One request on a connection of its own; the line of its answer without LF."""
        return self._ask(line.encode() + b"\n")[0]

    def announce(self, *what, **kind):
        """p2p_server.announcement; the answer."""
        return self._ask(announcement(*what, **kind))[0]

    def peers_of(self, content_id):
        """Addresses of those who share that content or fetch it."""
        found, version = self._ask(f"PEERS {content_id}\n".encode(), more=1)
        return version.split()[3:] if found.startswith("FOUND 1 ") else []

    def _ask(self, text, more=0):
        with socket.create_connection((LOCALHOST, self.port), DEADLINE) as connection:
            connection.sendall(text)
            if more:
                connection.shutdown(socket.SHUT_WR)  # an answer may be shorter
            with connection.makefile("rb") as answers:
                return [answers.readline().decode().rstrip("\n") for _ in range(1 + more)]

    def lookup(self, name):
        """Addresses of those who share `name`."""
        words = self.ask("LOOKUP " + name).split()
        return words[3:] if words and words[0] == "OK" else []

    def wait_lists(self, name, *addresses):
        """Until those, and only those, share `name`."""
        seen = []

        def check():
            seen[:] = sorted(self.lookup(name))
            return seen == sorted(addresses)
        wait_for(check, lambda: f"the tracker lists {addresses} for {name}; it lists {seen}")


class CtlResult:
    def __init__(self, code, out, err):
        self.code = code
        self.out = out
        self.err = err

    @property
    def objects(self):
        return [json.loads(line) for line in self.out.splitlines() if line]

    @property
    def last(self):
        return self.objects[-1]

    def __repr__(self):
        return f"exit code {self.code}\nstdout: {self.out}\nstderr: {self.err}"


def run_ctl(arguments, cwd=None, env=None, timeout=DEADLINE * 2, preexec_fn=None):
    done = subprocess.run([program("p2pctl")] + [str(a) if not isinstance(a, bytes) else a
                                                 for a in arguments],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          cwd=cwd, env=env, timeout=timeout, check=False, preexec_fn=preexec_fn)
    return CtlResult(done.returncode, done.stdout.decode(errors="replace"),
                     done.stderr.decode(errors="replace"))


class Daemon(Process):
    """One p2pd with its own state, socket and download directory below `directory`."""

    def __init__(self, directory, name, trackers=(), arguments=(), env=None, downloads=None,
                 listen=LOCALHOST + ":0"):
        self.name = name
        self.trackers = []  # those that share() waits for
        self.home = os.path.join(directory, name)
        self.state_dir = os.path.join(self.home, "state")
        self.downloads = downloads or os.path.join(self.home, "downloads")
        self.socket = os.path.join(self.home, "p2pd.sock")
        for directory in (self.home, self.downloads):
            os.makedirs(directory, exist_ok=True)
        command = [program("p2pd"), "--state-dir", self.state_dir, "--socket", self.socket,
                   "--listen", listen, "--download-dir", self.downloads]
        for tracker in trackers:
            command += ["--tracker", tracker]
        super().__init__(command + list(arguments), os.path.join(self.home, "p2pd.log"),
                         env=env, cwd=self.home)

    def start(self):
        self.spawn()
        self.wait_until_ready()
        return self

    def wait_until_ready(self):
        def answers():
            if not self.running:
                raise AssertionError(f"p2pd {self.name} ended with {self.exit_code}: {self.log()}")
            return os.path.exists(self.socket) and self.ctl("--json", "status").code == 0
        wait_for(answers, f"p2pd {self.name} answers")

    def restart(self):
        self.stop()
        return self.start()

    @property
    def address(self):
        return self.status()["listen"]

    @property
    def port(self):
        return int(self.address.rpartition(":")[2])

    def ctl(self, *arguments, cwd=None, env=None, timeout=DEADLINE * 2, preexec_fn=None):
        return run_ctl(("--socket", self.socket) + arguments, cwd or self.home, env, timeout,
                       preexec_fn)

    def must(self, *arguments, **options):
        """ctl() that has to exit with 0."""
        result = self.ctl(*arguments, **options)
        if result.code != 0:
            raise AssertionError(f"p2pctl {arguments} failed: {result}")
        return result

    def start_ctl(self, *arguments):
        """p2pctl in the background, for what waits."""
        return subprocess.Popen([program("p2pctl"), "--socket", self.socket] + list(arguments),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, cwd=self.home, text=True,
                                preexec_fn=_die_with_the_test)

    def status(self):
        return self.must("--json", "status").last

    def totals(self):
        return self.status()["totals"]

    def transfers(self):
        return self.must("--json", "list").objects

    def transfer(self, what):
        return self.must("--json", "status", str(what)).last

    def share(self, path, name=None):
        """Returns when its trackers list it, too (or do not, for long): others may get it by its name then."""
        extra = [] if name is None else ["--name", name]
        shared = self.must("--json", "share", path, *extra).last
        for tracker in self.trackers:
            end = time.monotonic() + AT_ONCE
            while tracker.running and self.address not in tracker.lookup(shared["name"]) and time.monotonic() < end:
                time.sleep(POLL_INTERVAL)
        return shared

    def get(self, source, output=None, timeout=DEADLINE * 2, allow_unverified=False):
        extra = [] if output is None else ["-o", output]
        extra += ["--allow-unverified"] if allow_unverified else []
        return self.must("--json", "get", source, *extra, timeout=timeout).last

    def get_detached(self, source, output=None, allow_unverified=False):
        extra = [] if output is None else ["-o", output]
        extra += ["--allow-unverified"] if allow_unverified else []
        return self.must("--json", "get", source, "--detach", *extra).last

    def wait_transfer(self, what, condition, description, deadline=None):
        seen = {}

        def check():
            seen.update(self.transfer(what))
            return condition(seen) and dict(seen)
        return wait_for(check, lambda: f"{description}; it is {seen}", deadline)

    def wait_bytes(self, what, count, description):
        """Until at least `count` bytes are there."""
        return self.wait_transfer(what, lambda t: t["bytes_done"] >= count, description)

    def wait_state(self, what, *states, deadline=None):
        def check(transfer):
            if transfer["state"] == "error" and "error" not in states:
                raise AssertionError(f"{self.name}: transfer {what} failed: {transfer['error']}")
            return transfer["state"] in states
        return self.wait_transfer(what, check, f"it is {' or '.join(states)}", deadline)

    def wait_tracker(self, ok=True):
        wait_for(lambda: all(t["ok"] == ok for t in self.status()["trackers"]),
                 lambda: f"the trackers of {self.name} are {'' if ok else 'not '}reached: "
                         f"{self.status()['trackers']}")


def _scratch_directory():
    """Memory where there is room: tests then do not depend on a disk's speed."""
    try:
        if shutil.disk_usage("/dev/shm").free >= 2 << 30 and os.access("/dev/shm", os.W_OK):
            return "/dev/shm"
    except OSError:
        pass
    return None


def link_to(shared, *peers):
    """A magnet link to what was shared that names these peers and no tracker."""
    magnet = shared["magnet"].split("&tr=")[0]
    return magnet + "".join(f"&x.pe={peer.address}" for peer in peers)


class P2pTest(unittest.TestCase):
    """Gives each test its own directory, and ends what it started."""

    def setUp(self):
        if not BIN_DIR:
            self.skipTest("P2P_BIN_DIR does not name the directory of the programs")
        self.dir = tempfile.mkdtemp(prefix="p2p-", dir=_scratch_directory())
        self._processes = []
        self._failed = True
        self.addCleanup(self._clean_up)

    def _callTestMethod(self, method):
        # A clean-up cannot see whether the test failed.
        super()._callTestMethod(method)
        self._failed = not getattr(self._outcome, "success", True)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def tracker(self, *arguments, name="tracker", env=None):
        tracker = Tracker(self.dir, name, arguments, env)
        self._processes.append(tracker)
        return tracker.start()

    def make_daemon(self, name, trackers=(), **options):
        """Not started yet. `options` as for Daemon."""
        addresses = [t if isinstance(t, str) else t.address for t in trackers]
        daemon = Daemon(self.dir, name, addresses, **options)
        daemon.trackers = [t for t in trackers if isinstance(t, Tracker)]
        self._processes.append(daemon)
        return daemon

    def daemon(self, name, trackers=(), **options):
        return self.make_daemon(name, trackers, **options).start()

    def process(self, arguments, name, **options):
        process = Process(arguments, self.path(name + ".log"), **options)
        self._processes.append(process)
        return process

    def closing(self, thing):
        """`thing.close()` runs at the end of the test."""
        self.addCleanup(thing.close)
        return thing

    def assert_same_file(self, path, digest):
        self.assertTrue(os.path.exists(path), f"{path} is not there")
        self.assertEqual(sha256(path), digest, path)

    def _clean_up(self):
        crashed = []
        for process in self._processes:
            if not process.running and process.exit_code is not None and \
                    process.exit_code < 0 and not process.killed:
                crashed.append(f"{process.log_path} ended by signal {-process.exit_code}")
        for process in self._processes:
            process.kill9()
        logs = [(p.log_path, p.log()) for p in self._processes]
        crashed += [f"{path} has a sanitizer report" for path, text in logs
                    if _SANITIZER_REPORT.search(text)]
        shutil.rmtree(self.dir, ignore_errors=True)
        if crashed or self._failed:
            for path, text in logs:
                print(f"--- {os.path.relpath(path, self.dir)}\n{text[-20000:]}", file=sys.stderr)
        if crashed:
            self.fail("; ".join(crashed))
