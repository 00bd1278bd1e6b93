"""Starts and stops the programs that are measured: any, and ours."""

import contextlib
import importlib.util
import itertools
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
BUILT = HERE.parent / "build" / "bin"
BIN = pathlib.Path(os.environ.get("P2P_BIN", BUILT))
START_SECONDS = 20


def control_problem():
    """Why Daemon.control() can not be used here, if it can not."""
    if not _has_module("grpc") or not _has_module("google.protobuf"):
        return "this needs python3-grpcio and python3-protobuf, to ask daemons without starting p2pctl"
    return None


def _has_module(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


class Host:
    """Where a program runs: `prefix` is the command that runs another one there."""

    def __init__(self, address, prefix=()):
        self.address = address
        self.prefix = list(prefix)
        self._ports = itertools.count(20_000)

    def free_port(self):
        if self.prefix:
            # A namespace of our own: nobody else takes ports there.
            return next(self._ports)
        with socket.socket() as probe:
            probe.bind((self.address, 0))
            return probe.getsockname()[1]

    def free_address(self):
        return f"{self.address}:{self.free_port()}"


LOOPBACK = Host("127.0.0.1")


class Node:
    """A running program; ends with `with`."""

    def __init__(self, command, log, host=LOOPBACK):
        self._command = [str(word) for word in [*host.prefix, *command]]
        self._start(log)

    def _start(self, log):
        self._log = open(log, "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            self._command, stdout=self._log, stderr=subprocess.STDOUT
        )
        self.pid = self.process.pid

    def kill_and_restart(self):
        self.process.kill()
        self.process.wait()
        self._log.close()
        self._start(self._log.name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()

    def output(self):
        return pathlib.Path(self._log.name).read_text(encoding="utf-8")

    def last_output(self):
        return "\n".join(self.output().splitlines()[-20:])

    def wait_until(self, look, seconds=START_SECONDS):
        """What `look` returns as soon as it is true."""
        deadline = time.monotonic() + seconds
        while True:
            ended = self.process.poll() is not None
            seen = look()
            if seen:
                return seen
            if ended or time.monotonic() > deadline:
                output = self.last_output()
                self.__exit__()
                sys.exit(f"{' '.join(self.process.args)} did not do what was waited for; it printed:\n{output}")
            time.sleep(0.005)

    def wait_for(self, pattern, seconds=START_SECONDS):
        """The match of `pattern` in what the program prints."""
        return self.wait_until(lambda: re.search(pattern, self.output()), seconds)


class Tracker(Node):
    def __init__(self, directory, host=LOOPBACK):
        command = [BIN / "p2p-tracker", "--listen", f"{host.address}:0"]
        super().__init__(command, directory / "tracker.log", host)
        self.address = self.wait_for(r"listening on (\S+)").group(1)


class Daemon(Node):
    """One of our peers, with `directory` for its state, socket and downloads."""

    def __init__(self, directory, tracker=None, host=LOOPBACK):
        directory.mkdir()
        self._socket = directory / "socket"
        command = [BIN / "p2pd", "--listen", f"{host.address}:0", "--socket", self._socket]
        command += ["--state-dir", directory / "state", "--download-dir", directory / "downloads"]
        if tracker is not None:
            command += ["--tracker", tracker.address]
        super().__init__(command, directory / "log", host)
        self.wait_for("listening on")

    @contextlib.contextmanager
    def control(self):
        """Its control API, in this process, once it and its tracker know each other: for what is looked at often, or
        must be said at a moment. With it, the stubs of its messages."""
        # Only where it is needed: it takes packages, and a tenth of a second.
        sys.path.insert(0, str(BUILT.parent / "python"))
        import control_pb2  # pylint: disable=import-outside-toplevel
        import control_pb2_grpc  # pylint: disable=import-outside-toplevel
        import grpc  # pylint: disable=import-outside-toplevel

        with grpc.insecure_channel(f"unix:{self._socket}") as channel:
            control = control_pb2_grpc.ControlStub(channel)
            self.wait_until(lambda: control.GetDaemon(control_pb2.GetDaemonRequest()).daemon.trackers[0].ok)
            yield control, control_pb2

    def get(self, control, messages, content_id):
        """Where the content is once it is there, by control(): what `p2pctl get` does."""
        import grpc  # pylint: disable=import-outside-toplevel

        try:
            transfer = control.Download(messages.DownloadRequest(source=content_id)).transfer
            watch = messages.WatchTransfersRequest(transfer=str(transfer.id), until_end=True)
            for news in control.WatchTransfers(watch):
                transfer = news.transfers[0] if news.transfers else transfer
        except grpc.RpcError as error:
            self._fail("a download", error.details())
        if transfer.state != messages.TRANSFER_STATE_COMPLETE:
            self._fail("a download", transfer.error)
        return os.fsdecode(transfer.path)

    def ctl(self, *words, may_fail=False):
        """The last object that `p2pctl --json WORDS` prints; none if it prints nothing, or fails and may."""
        command = [BIN / "p2pctl", "--socket", self._socket, "--json", *words]
        done = subprocess.run(
            [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        if done.returncode != 0:
            if may_fail:
                return None
            self._fail(f"p2pctl {words[0]}", done.stderr)
        lines = done.stdout.strip().splitlines()
        return json.loads(lines[-1]) if lines else None

    def _fail(self, what, why):
        sys.exit(f"{what} failed: {why}\nthe end of its log:\n{self.last_output()}")


@contextlib.contextmanager
def our_pair(work):
    """Two daemons that share a tracker."""
    with Tracker(work) as tracker:
        with Daemon(work / "seed", tracker) as seed, Daemon(work / "peer", tracker) as peer:
            yield seed, peer


def build():
    """Builds what is missing of our programs, and the programs of this folder."""
    if not all((BUILT / name).exists() for name in ("p2pd", "p2pctl", "p2p-tracker")):
        subprocess.run([HERE.parent / "build.sh"], check=True)
    command = ["cmake", "--build", HERE.parent / "build", "--target", "bench_limit", "bench_wan", "bench_tracker_load"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
