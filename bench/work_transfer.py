"""Works that move or hash one file: transfer, share, two-seeds, start-up."""

import functools
import os
import subprocess

import moves
import nodes
import peers
from case import OURS, Work, check_same, make_file, one_file
from process_meter import Meter, timed


def moved(move, **words):
    """The measurement that moves the case's file once."""
    return lambda case, work: move(case.path, work, **words).figures()


def transfer_limit(case, work, congestion="system"):
    target = work / "copy"
    command = [nodes.BUILT / "bench_limit", case.path, target, str(os.cpu_count())]
    line = subprocess.check_output([*command, "best", congestion], text=True)
    figures = dict(word.split("=", 1) for word in line.split() if "=" in word)
    check_same(case.path, target)
    cpu = float(figures["cpu_client"]) + float(figures["cpu_server"])
    return {"seconds": float(figures["wall"]), "cpu_seconds": cpu}


def share_p2pd(case, work):
    with nodes.Daemon(work / "a") as daemon:
        with Meter(daemon=daemon.pid) as meter:
            seconds, _ = timed(lambda: daemon.ctl("share", case.path))
    return moves.Move(seconds, meter.total_cpu(), meter.anon).figures()


def share_libtorrent(case, work):
    seconds, cpu = peers.make_torrent(case.path, work / "torrent", work)
    return moves.Move(seconds, cpu, {}).figures()


# start-up: the small file is to take little more than its share of the time of one of this size.
_LARGE_MIB = 1024


def small_and_large(options, directory):
    case = one_file(options, directory)
    return case._replace(large=make_file(directory / "large.bin", _LARGE_MIB << 20))


def large_file(case, work):
    move = moves.by_p2pd(case.large, work)
    share = case.bytes / case.large.stat().st_size
    return {"seconds": move.seconds * share, "cpu_seconds": move.cpu_seconds * share}


WORKS = {
    "transfer": Work(
        {"mib": 1024},
        one_file,
        {
            OURS: moved(moves.by_p2pd),
            "libtorrent": moved(moves.by_libtorrent),
            "limit": transfer_limit,
            "limit-unpaced": functools.partial(transfer_limit, congestion="unpaced"),
            "nginx+curl": moved(moves.by_curl),
            "rsync": moved(moves.by_rsync),
            "aria2": moved(moves.by_aria2),
        },
    ),
    "share": Work({"mib": 1024}, one_file, {OURS: share_p2pd, "libtorrent": share_libtorrent}),
    "two-seeds": Work(
        {"mib": 1024},
        one_file,
        {OURS: moved(moves.by_p2pd, seeds=2), "one-seed": moved(moves.by_p2pd)},
    ),
    "start-up": Work(
        {"mib": 200}, small_and_large, {OURS: moved(moves.by_p2pd), "large-file": large_file}
    ),
}
