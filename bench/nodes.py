"""Starts and stops the programs that are measured."""

import json
import os
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
BIN = pathlib.Path(os.environ.get("P2P_BIN", HERE.parent / "build" / "bin"))
PYTHON = "/usr/bin/python3"
START_SECONDS = 20


class Node:
    """A running program; ends with `with`."""

    def __init__(self, command, log):
        self._log = open(log, "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [str(word) for word in command], stdout=self._log, stderr=subprocess.STDOUT
        )
        self.pid = self.process.pid

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

    def wait_for(self, pattern, seconds=START_SECONDS):
        """The match of `pattern` in what the program prints."""
        deadline = time.monotonic() + seconds
        while True:
            match = re.search(pattern, self.output())
            if match:
                return match
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{self.process.args[0]} did not get ready; it printed:\n{self.output()}")
            time.sleep(0.005)


class Tracker(Node):
    def __init__(self, directory):
        super().__init__([BIN / "p2p-tracker", "--listen", "127.0.0.1:0"], directory / "tracker.log")
        self.address = self.wait_for(r"listening on (\S+)").group(1)


class Daemon(Node):
    """One of our peers, with `directory` for its state, socket and downloads."""

    def __init__(self, directory, tracker=None):
        directory.mkdir()
        self.downloads = directory / "downloads"
        self._socket = directory / "socket"
        command = [BIN / "p2pd", "--listen", "127.0.0.1:0", "--socket", self._socket]
        command += ["--state-dir", directory / "state", "--download-dir", self.downloads]
        if tracker is not None:
            command += ["--tracker", tracker.address]
        super().__init__(command, directory / "log")
        self.wait_for("listening on")

    def ctl(self, *words):
        """The last object that `p2pctl --json WORDS` prints."""
        command = [BIN / "p2pctl", "--socket", self._socket, "--json", *words]
        done = subprocess.run(
            [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        if done.returncode != 0:
            sys.exit(f"p2pctl {words[0]} failed: {done.stderr}\nthe daemon's log:\n{self.output()}")
        return json.loads(done.stdout.strip().splitlines()[-1])


def libtorrent_missing():
    """Why libtorrent cannot be measured here, or None."""
    if subprocess.run([PYTHON, "-c", "import libtorrent"], stderr=subprocess.DEVNULL).returncode:
        return "libtorrent is not installed; bench/install-peers.sh installs it"
    return None


def libtorrent(words, log):
    return Node([PYTHON, HERE / "lt_node.py", *words], log)
