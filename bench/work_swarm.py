"""One file from one seed to many peers over shaped links: how near the last of them comes to what the links allow."""

import concurrent.futures
import contextlib
import os
import statistics
import subprocess
import sys
import threading
import time

import nodes
import peers
from case import OURS, Work, check_same, one_file

NETLAB = nodes.HERE / "netlab"


def fluid_bound(megabits, seed_mbit, mbit, peer_mbits):
    """Seconds that no way to bring `megabits` from one seed to all peers can be faster than; `mbit`: what each takes."""
    swarm_mbit = seed_mbit + sum(peer_mbits)
    return max(megabits / seed_mbit, megabits / mbit, len(peer_mbits) * megabits / swarm_mbit)


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
        slow = [options.slow_peers, options.slow_mbit] if options.slow_peers else []
        netlab("up", count, options.mbit, seed_mbit(options), *slow)
        yield [nodes.Host(netlab("ip", i), [*prefix, i]) for i in range(count)]


def seed_mbit(options):
    return options.seed_mbit or options.mbit


def finished(case, seconds, killed=frozenset()):
    """The figures of a round, from the time that each peer took; `killed`: the numbers of those that were."""
    options = case.options
    megabits = case.path.stat().st_size * 8 / 1e6
    fast = options.peers - options.slow_peers
    uploads = [options.mbit] * fast + [options.slow_mbit] * options.slow_peers

    def figures_of(name, value, peer_mbits):
        bound = fluid_bound(megabits, seed_mbit(options), options.mbit, peer_mbits)
        return {f"{name}_seconds": value, f"{name}_bound_ratio": value / bound}

    figures = figures_of("last", max(seconds), uploads)
    figures.update(figures_of("median", statistics.median(seconds), uploads))
    if options.slow_peers:
        # Of a swarm that they would be by themselves.
        figures.update(figures_of("last_fast", max(seconds[:fast]), uploads[:fast]))
    if killed:
        survivors = [value for number, value in enumerate(seconds) if number not in killed]
        figures.update(figures_of("last_survivor", max(survivors), uploads))
    return figures


@contextlib.contextmanager
def killing(daemons, every_seconds):
    """Kills the daemons in turn, one every so many seconds (0: none), and starts each again at once. Gives the numbers
    of those that were killed; one is always left."""
    ended = threading.Event()
    killed = set()

    def kill():
        for number in range(len(daemons) - 1):
            if ended.wait(every_seconds):
                return
            killed.add(number)
            daemons[number].kill_and_restart()

    thread = threading.Thread(target=kill)
    if every_seconds:
        thread.start()
    try:
        yield killed
    finally:
        ended.set()
        if every_seconds:
            thread.join()


def get_in_spite_of_kills(daemon, content_id):
    """Where the content is at the end of a `p2pctl get`, said again whenever the daemon was killed."""
    deadline = time.monotonic() + peers.LONGEST_SECONDS
    while time.monotonic() < deadline:
        done = daemon.ctl("get", content_id, may_fail=True)
        if done:
            return done["path"]
        time.sleep(0.02)
    return daemon.ctl("get", content_id)["path"]


def by_p2pd(case, work):
    """All peers are told together to get it, by the control API: from there until the last one has it. That many
    p2pctl started at once would come in turn, as the processors are few, and libtorrent's programs run already."""
    kill_seconds = case.options.kill_seconds
    with contextlib.ExitStack() as running:
        seed_host, *hosts = running.enter_context(shaped_hosts(case.options))
        tracker = running.enter_context(nodes.Tracker(work, seed_host))
        seed = running.enter_context(nodes.Daemon(work / "seed", tracker, seed_host))
        fetching = [
            running.enter_context(nodes.Daemon(work / f"peer-{number}", tracker, host))
            for number, host in enumerate(hosts)
        ]
        content_id = seed.ctl("share", case.path)["content_id"]
        controls = [running.enter_context(daemon.control()) for daemon in fetching]
        threads = running.enter_context(concurrent.futures.ThreadPoolExecutor(len(fetching)))
        begin = time.monotonic()

        def get_timed(daemon, control):
            path = get_in_spite_of_kills(daemon, content_id) if kill_seconds else daemon.get(*control, content_id)
            return time.monotonic() - begin, path

        with killing(fetching, kill_seconds) as killed:
            ends = list(threads.map(get_timed, fetching, controls))
        for _, path in ends:
            check_same(case.path, path)
    return finished(case, [seconds for seconds, _ in ends], killed)


def by_libtorrent(case, work):
    """Every peer is told the addresses of all, as there is no tracker."""
    if case.options.kill_seconds:
        sys.exit("run.sh: libtorrent is not killed and restarted here; take --vs p2pd")
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
    if options.slow_peers >= options.peers:
        sys.exit("run.sh: --slow-peers leaves none of the --peers fast")
    return one_file(options, directory)._replace(bytes=0)


def problem():
    if os.geteuid() != 0:
        return "swarm needs root, because it makes network namespaces; run it with sudo"
    if not peers.find("ip") or not peers.find("tc"):
        return "swarm needs the commands ip and tc, to make network namespaces with shaped links"
    return nodes.control_problem()


WORKS = {
    "swarm": Work(
        {
            "peers": 8,
            "mbit": 100,
            "mib": 128,
            "seed-mbit": 0,
            "slow-peers": 0,
            "slow-mbit": 10,
            "kill-seconds": 0,
        },
        swarm_case,
        {OURS: by_p2pd, "libtorrent": by_libtorrent},
        problem,
    ),
}
