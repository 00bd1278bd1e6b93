"""The programs of others that ours are compared with."""

import os
import resource
import shutil
import socket
import subprocess
import sys

from nodes import HERE, LOOPBACK, Node
from process_meter import timed

LONGEST_SECONDS = 1_200
PYTHON = "/usr/bin/python3"
# Debian keeps servers where a user's shell does not look.
_PATH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
_PROGRAMS = {
    "nginx+curl": ("nginx", "curl"),
    "rsync": ("rsync",),
    "aria2": ("nginx", "aria2c"),
    "redis": ("redis-server", "redis-benchmark"),
    "opentracker": ("opentracker",),
}


def find(program):
    return shutil.which(program, path=_PATH)


def is_here(peer):
    """Whether what the peer needs is installed."""
    if peer == "libtorrent":
        probe = [PYTHON, "-c", "import libtorrent"]
        return subprocess.run(probe, stderr=subprocess.DEVNULL).returncode == 0
    return all(find(program) for program in _PROGRAMS.get(peer, ()))


def run(command, host=LOOPBACK):
    """Seconds and CPU-seconds of a program that runs to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [str(word) for word in [*host.prefix, *command]]
    seconds, done = timed(lambda: subprocess.run(words, stdout=subprocess.DEVNULL, check=False))
    if done.returncode:
        sys.exit(f"{command[0]} failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def libtorrent(words, log, host=LOOPBACK):
    return Node([PYTHON, HERE / "lt_node.py", *words], log, host)


def make_torrent(path, torrent, work):
    """Seconds and CPU-seconds that libtorrent took to hash `path`."""
    with libtorrent(["make", path, torrent], work / "make.log") as maker:
        done = maker.wait_for(r"hash_s=(\S+) cpu_s=(\S+)\n", LONGEST_SECONDS)
        maker.process.wait()
        return float(done[1]), float(done[2])


class Nginx(Node):
    """Serves `folder` with sendfile, as the user who runs this."""

    def __init__(self, folder, directory, host=LOOPBACK):
        address = host.free_address()
        config = directory / "nginx.conf"
        uses = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        config.write_text(
            "daemon off;\nmaster_process off;\nerror_log stderr notice;\n"
            f"pid {directory}/nginx.pid;\nevents {{}}\nhttp {{\n"
            "  access_log off;\n  sendfile on;\n  tcp_nopush on;\n"
            + "".join(f"  {use}_temp_path {directory}/nginx-{use};\n" for use in uses)
            + f"  server {{ listen {address}; root {folder}; }}\n}}\n",
            encoding="utf-8",
        )
        self.url = f"http://{address}"
        super().__init__([find("nginx"), "-c", config], directory / "nginx.log", host)
        # Said after it listens.
        self.wait_for("event method")


class RsyncDaemon(Node):
    """Serves `folder` as the user who runs this."""

    def __init__(self, folder, directory):
        port = LOOPBACK.free_port()
        config = directory / "rsyncd.conf"
        # Run by root it would become nobody, who may not read the folder.
        user = "uid = 0\ngid = 0\n" if os.geteuid() == 0 else ""
        config.write_text(
            f"use chroot = no\nlog file = {directory}/rsyncd.log\n{user}[files]\npath = {folder}\n",
            encoding="utf-8",
        )
        self.url = f"rsync://{LOOPBACK.address}:{port}/files"
        command = [find("rsync"), "--daemon", "--no-detach", "--config", config]
        command += ["--address", LOOPBACK.address, "--port", port]
        super().__init__(command, directory / "rsync.log")
        self.wait_until(lambda: _accepts(LOOPBACK.address, port))


def _accepts(host, port):
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0
