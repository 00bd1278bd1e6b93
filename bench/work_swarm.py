"""One file from one seed to many peers over shaped links: how near the last of them comes to what the links allow."""

import concurrent.futures
import contextlib
import os
import statistics
import subprocess
import time

import nodes
import peers
from case import OURS, Work, check_same, one_file

NETLAB = nodes.HERE / "netlab"


def fluid_bound(file_bytes, count, seed_mbit, mbit):
    """Seconds that no way to bring a file from one seed to `count` peers can be faster than."""
    bits = file_bytes * 8 / 1e6
    return max(bits / seed_mbit, bits / mbit, count * bits / (seed_mbit + count * mbit))


@contextlib.contextmanager
def shaped_hosts(options):
    """The seed's host, then those of the peers."""
    environment = {**os.environ, "NETLAB_NAME": f"bench{os.getpid()}"}

    def netlab(*words):
        command = [NETLAB, *map(str, words)]
        return subprocess.run(
            command, env=environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout.strip()

    count = options.peers + 1
    prefix = ["env", f"NETLAB_NAME={environment['NETLAB_NAME']}", NETLAB, "exec"]
    with contextlib.ExitStack() as ending:
        ending.callback(netlab, "down")
        netlab("up", count, options.mbit, seed_mbit(options))
        yield [nodes.Host(netlab("ip", i), [*prefix, i]) for i in range(count)]


def seed_mbit(options):
    return options.seed_mbit or options.mbit


def finished(case, seconds):
    """The figures of a round, from the time that each peer took."""
    options = case.options
    bound = fluid_bound(case.path.stat().st_size, options.peers, seed_mbit(options), options.mbit)
    last, median = max(seconds), statistics.median(seconds)
    return {
        "last_seconds": last,
        "last_bound_ratio": last / bound,
        "median_seconds": median,
        "median_bound_ratio": median / bound,
    }


def by_p2pd(case, work):
    """`p2pctl get` at all peers together, command to exit."""
    with contextlib.ExitStack() as running:
        seed_host, *hosts = running.enter_context(shaped_hosts(case.options))
        tracker = running.enter_context(nodes.Tracker(work, seed_host))
        seed = running.enter_context(nodes.Daemon(work / "seed", tracker, seed_host))
        fetching = [
            running.enter_context(nodes.Daemon(work / f"peer-{number}", tracker, host))
            for number, host in enumerate(hosts)
        ]
        content_id = seed.ctl("share", case.path)["content_id"]
        begin = time.monotonic()

        def get(peer):
            done = peer.ctl("get", content_id)
            return time.monotonic() - begin, done["path"]

        with concurrent.futures.ThreadPoolExecutor(len(fetching)) as threads:
            ends = list(threads.map(get, fetching))
        for _, path in ends:
            check_same(case.path, path)
    return finished(case, [seconds for seconds, _ in ends])


def by_libtorrent(case, work):
    """Every peer is told the addresses of all, as there is no tracker."""
    torrent = work / "torrent"
    peers.make_torrent(case.path, torrent, work)
    with contextlib.ExitStack() as running:
        seed_host, *hosts = running.enter_context(shaped_hosts(case.options))
        seed_at = seed_host.free_address()
        addresses = [host.free_address() for host in hosts]
        seed_words = ["seed", torrent, case.path.parent, seed_at]
        seed = running.enter_context(peers.libtorrent(seed_words, work / "seed.log", seed_host))
        seed.wait_for("seeding")
        fetching = []
        for number, (host, address) in enumerate(zip(hosts, addresses)):
            target = work / f"peer-{number}"
            target.mkdir()
            words = ["get", torrent, target, address, ",".join([seed_at, *addresses])]
            peer = peers.libtorrent(words, work / f"peer-{number}.log", host)
            fetching.append((running.enter_context(peer), target))
        seconds = []
        for peer, target in fetching:
            seconds.append(float(peer.wait_for(r"get_s=(\S+)\n", peers.LONGEST_SECONDS)[1]))
            check_same(case.path, target / case.path.name)
    return finished(case, seconds)


def swarm_case(options, directory):
    return one_file(options, directory)._replace(bytes=0)


def problem():
    if os.geteuid() != 0:
        return "swarm needs root, because it makes network namespaces; run it with sudo"
    if not peers.find("ip") or not peers.find("tc"):
        return "swarm needs the commands ip and tc, to make network namespaces with shaped links"
    return None


WORKS = {
    "swarm": Work(
        {"peers": 8, "mbit": 100, "mib": 128, "seed-mbit": 0},
        swarm_case,
        {OURS: by_p2pd, "libtorrent": by_libtorrent},
        problem,
    ),
}
