"""What a slow, long and lossy link between two network namespaces lets through, and how soon it begins."""

import concurrent.futures
import contextlib
import os
import subprocess
import time

import moves
import nodes
import peers
from case import OURS, Work, one_file

CHUNK_BYTES = 512 << 10


@contextlib.contextmanager
def wide_link(options, loss, work):
    """Two hosts that reach each other over a link of `options.mbit` and `options.rtt` that loses `loss` percent."""
    name = f"bench{os.getpid()}"
    ip = peers.find("ip")
    command = [nodes.BUILT / "bench_wan", name, options.mbit, options.rtt, loss]
    with contextlib.ExitStack() as ending:
        for end in ("a", "b"):
            ending.callback(subprocess.run, [ip, "netns", "del", f"{name}-{end}"], check=False)
        ending.enter_context(nodes.Node(command, work / "wan.log")).wait_for("wan ready")
        yield tuple(
            nodes.Host(address, [ip, "netns", "exec", f"{name}-{end}"])
            for end, address in (("a", "10.78.0.1"), ("b", "10.78.0.2"))
        )


def over_losses(move):
    """The measurement that moves the case's file once for each loss."""

    def measure(case, work):
        figures = {}
        for loss in case.options.loss:
            directory = work / f"loss-{loss}"
            directory.mkdir()
            with wide_link(case.options, loss, directory) as hosts:
                seconds = move(case.path, directory, hosts).seconds
            mbit = case.path.stat().st_size * 8 / seconds / 1e6
            figures[f"{loss}%_loss_mbit"] = mbit
            figures[f"{loss}%_loss_link_share"] = mbit / case.options.mbit
        return figures

    return measure


def first_chunk(case, work):
    """From `p2pctl get NAME` to the first verified chunk, the seed and the tracker at the other end of the link. The
    daemon runs, and knows its tracker."""
    options = case.options
    with contextlib.ExitStack() as running:
        far, near = running.enter_context(wide_link(options, 0, work))
        tracker = running.enter_context(nodes.Tracker(work, far))
        seed = running.enter_context(nodes.Daemon(work / "seed", tracker, far))
        peer = running.enter_context(nodes.Daemon(work / "peer", tracker, near))
        seed.ctl("share", case.path)
        control, messages = running.enter_context(peer.control())
        time.sleep(5 * options.rtt / 1e3)  # they have greeted each other, too
        threads = running.enter_context(concurrent.futures.ThreadPoolExecutor(1))
        begin = time.monotonic()
        fetched = threads.submit(peer.ctl, "get", case.path.name)
        # Parts of it count as they come.
        while sum(t.bytes_done for t in control.ListTransfers(messages.ListTransfersRequest()).transfers) < CHUNK_BYTES:
            time.sleep(0.001)
        seconds = time.monotonic() - begin
        fetched.result()
    chunk_seconds = CHUNK_BYTES * 8 / 1e6 / options.mbit
    return {
        "first_chunk_ms": seconds * 1e3,
        "beyond_one_chunk_round_trips": (seconds - chunk_seconds) / (options.rtt / 1e3),
        "whole_seconds": time.monotonic() - begin,
    }


def long_case(options, directory):
    return one_file(options, directory)._replace(bytes=0)


def problem():
    if os.geteuid() != 0:
        return "this needs root, because it makes network namespaces; run it with sudo"
    if not peers.find("ip") or not os.path.exists("/dev/net/tun"):
        return "this needs the command ip and /dev/net/tun, to make network namespaces"
    return None


WORKS = {
    "wan": Work(
        {"mib": 200, "mbit": 200, "rtt": 60, "loss": "0,1"},
        long_case,
        {
            OURS: over_losses(moves.by_p2pd),
            "libtorrent": over_losses(moves.by_libtorrent),
            "nginx+curl": over_losses(moves.by_curl),
        },
        problem,
    ),
    "first-chunk": Work(
        {"mib": 16, "mbit": 100, "rtt": 20}, long_case, {OURS: first_chunk}, lambda: problem() or nodes.control_problem()
    ),
}
