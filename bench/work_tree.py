"""Works with many small files: small-files and memory."""

import time

import moves
import nodes
import peers
from case import OURS, Case, Work, make_file, make_tree
from process_meter import anonymous_mib


def many_files(options, directory):
    file_bytes = options.file_kib << 10
    path = make_tree(directory / "tree", options.files, file_bytes)
    return Case(path, options.files * file_bytes, options)


def offered_and_moved(move):
    """The measurement that hashes the case's directory, where that is needed, and moves it."""
    return lambda case, work: move(case.path, work).figures_with_prepare()


# memory: how long a program is left alone before it is called idle.
_SETTLE_SECONDS = 2


def shares_and_large(options, directory):
    shares = directory / "shares"
    shares.mkdir()
    for number in range(options.shares):
        make_file(shares / f"{number:06}.bin", options.file_kib << 10)
    large = make_file(directory / "large.bin", options.mib << 20)
    return Case(shares, 0, options, large)


def _memory(idle_mib, move):
    return {
        "idle_anon_mib": idle_mib,
        "seed_anon_mib": move.anon_mib["seed"],
        "peer_anon_mib": move.anon_mib["peer"],
    }


def _idle_mib(node):
    time.sleep(_SETTLE_SECONDS)
    return anonymous_mib(node.pid)


def memory_p2pd(case, work):
    with nodes.Tracker(work) as tracker, nodes.Daemon(work / "idle", tracker) as daemon:
        for path in sorted(case.path.iterdir()):
            daemon.ctl("share", path)
        idle = _idle_mib(daemon)
    return _memory(idle, moves.by_p2pd(case.large, work))


def memory_libtorrent(case, work):
    torrents = work / "torrents"
    torrents.mkdir()
    with peers.libtorrent(["make-each", case.path, torrents], work / "make.log") as maker:
        maker.process.wait()
    words = ["seed", torrents, case.path, nodes.LOOPBACK.free_address()]
    with peers.libtorrent(words, work / "idle.log") as node:
        node.wait_for("seeding", peers.LONGEST_SECONDS)
        idle = _idle_mib(node)
    return _memory(idle, moves.by_libtorrent(case.large, work))


WORKS = {
    "small-files": Work(
        {"files": 10_000, "file-kib": 16},
        many_files,
        {
            OURS: offered_and_moved(moves.by_p2pd),
            "libtorrent": offered_and_moved(moves.by_libtorrent),
            "rsync": offered_and_moved(moves.by_rsync),
        },
    ),
    "memory": Work(
        {"shares": 1_000, "file-kib": 16, "mib": 1024},
        shares_and_large,
        {OURS: memory_p2pd, "libtorrent": memory_libtorrent},
    ),
}
