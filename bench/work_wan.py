"""Goodput over a slow, long and lossy link between two network namespaces."""

import contextlib
import os
import subprocess

import moves
import nodes
import peers
from case import OURS, Work, one_file


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


def long_case(options, directory):
    return one_file(options, directory)._replace(bytes=0)


def problem():
    if os.geteuid() != 0:
        return "wan needs root, because it makes network namespaces; run it with sudo"
    if not peers.find("ip") or not os.path.exists("/dev/net/tun"):
        return "wan needs the command ip and /dev/net/tun, to make network namespaces"
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
}
