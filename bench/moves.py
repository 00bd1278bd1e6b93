"""Moves a file or a directory from one program to another, in each of the ways that are compared."""

import contextlib
from typing import Dict, NamedTuple

import nodes
import peers
from case import check_same
from nodes import LOOPBACK
from process_meter import Meter, children, timed

ONE_MACHINE = (LOOPBACK, LOOPBACK)


class Move(NamedTuple):
    """What it took. To prepare is to hash what will be offered; some need not."""

    seconds: float
    cpu_seconds: float  # of both ends
    anon_mib: Dict[str, float]  # peak by end; empty where it was not measured
    prepare_seconds: float = 0
    prepare_cpu_seconds: float = 0

    def figures(self):
        return self._figures(self.seconds, self.cpu_seconds)

    def figures_with_prepare(self):
        return self._figures(
            self.seconds + self.prepare_seconds, self.cpu_seconds + self.prepare_cpu_seconds
        )

    def _figures(self, seconds, cpu_seconds):
        result = {"seconds": seconds, "cpu_seconds": cpu_seconds}
        if self.anon_mib:
            result["anon_mib"] = max(self.anon_mib.values())
        return result


# `hosts` are those of the seed and of the peer; `work` is an empty directory. What arrived is compared with `path`.


def by_p2pd(path, work, hosts=ONE_MACHINE, seeds=1):
    """`p2pctl share` at each seed, then `p2pctl get`, command to exit."""
    with contextlib.ExitStack() as running:
        tracker = running.enter_context(nodes.Tracker(work, hosts[0]))
        ends = {
            f"seed {number}" if number else "seed": running.enter_context(
                nodes.Daemon(work / f"seed-{number}", tracker, hosts[0])
            )
            for number in range(seeds)
        }
        sharing = list(ends.values())
        peer = running.enter_context(nodes.Daemon(work / "peer", tracker, hosts[1]))
        ends["peer"] = peer
        pids = {name: node.pid for name, node in ends.items()}
        with Meter(**pids) as before:
            prepare, shares = timed(lambda: [node.ctl("share", path) for node in sharing])
        with Meter(**pids) as meter:
            seconds, done = timed(lambda: peer.ctl("get", shares[0]["content_id"]))
        check_same(path, done["path"])
    return Move(seconds, meter.total_cpu(), meter.anon, prepare, before.total_cpu())


def by_libtorrent(path, work, hosts=ONE_MACHINE):
    torrent, target = work / "torrent", work / "downloads"
    target.mkdir()
    prepare = peers.make_torrent(path, torrent, work)
    seed_at, peer_at = (host.free_address() for host in hosts)
    seed_words = ["seed", torrent, path.parent, seed_at]
    peer_words = ["get", torrent, target, peer_at, seed_at]
    with peers.libtorrent(seed_words, work / "seed.log", hosts[0]) as seed:
        seed.wait_for("seeding")
        with peers.libtorrent(peer_words, work / "peer.log", hosts[1]) as peer:
            with Meter(seed=seed.pid, peer=peer.pid) as meter:
                got = peer.wait_for(r"get_s=(\S+)\n", peers.LONGEST_SECONDS)
        check_same(path, target / path.name)
    return Move(float(got[1]), meter.total_cpu(), meter.anon, *prepare)


def by_client(server, command, path, target, host=LOOPBACK):
    """A client that runs to its end fetches `path` into `target` from a running server."""
    with Meter(server=server.pid) as meter:
        seconds, cpu = peers.run(command, host)
        # The time of a process that the server started counts when that has ended.
        server.wait_until(lambda: not children(server.pid))
    check_same(path, target)
    return Move(seconds, cpu + meter.total_cpu(), {})


def by_curl(path, work, hosts=ONE_MACHINE):
    target = work / "copy"
    with peers.Nginx(path.parent, work, hosts[0]) as server:
        command = [peers.find("curl"), "--silent", "--show-error", "--fail", "--output", target]
        return by_client(server, [*command, f"{server.url}/{path.name}"], path, target, hosts[1])


def by_aria2(path, work):
    command = [peers.find("aria2c"), "--no-conf", "--quiet", "--file-allocation=none"]
    command += ["--split=2", "--max-connection-per-server=2", "--dir", work, "--out", "copy"]
    with peers.Nginx(path.parent, work) as server:
        return by_client(server, [*command, f"{server.url}/{path.name}"], path, work / "copy")


def by_rsync(path, work):
    """A file as a whole, a directory with all attributes."""
    target = work / "copy"
    words = ["-a", f"{path.name}/"] if path.is_dir() else ["-W", path.name]
    with peers.RsyncDaemon(path.parent, work) as server:
        command = [peers.find("rsync"), words[0], f"{server.url}/{words[1]}", target]
        return by_client(server, command, path, target)
