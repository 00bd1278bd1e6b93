"""How long `p2pctl status` takes while its daemon is busy, and while it is not."""

import concurrent.futures
import math
import statistics
import threading
import time

import nodes
from case import OURS, Work, one_file
from process_meter import timed

# Spreads the runs over several transfers.
_PAUSE_SECONDS = 0.02


def latencies_ms(daemon, runs, holds):
    """Of `runs` statuses that began and ended while holds()."""
    found = []
    while len(found) < runs:
        time.sleep(_PAUSE_SECONDS)
        held = holds()
        seconds, _ = timed(lambda: daemon.ctl("status"))
        if held and holds():
            found.append(seconds * 1e3)
    return found


def summary(latencies):
    latencies = sorted(latencies)
    return {
        "median_ms": statistics.median(latencies),
        "p90_ms": latencies[math.ceil(0.9 * len(latencies)) - 1],
        "max_ms": latencies[-1],
    }


def _fetch_until(ended, moving, peer, content):
    """One download after another; `moving` is set while one runs."""
    while not ended.is_set():
        moving.set()
        done = peer.ctl("get", content)
        moving.clear()
        peer.ctl("remove", done["id"], "--with-data")


def status_busy(case, work):
    ended, moving = threading.Event(), threading.Event()
    with nodes.our_pair(work) as (seed, peer), concurrent.futures.ThreadPoolExecutor(1) as pool:
        content = seed.ctl("share", case.path)["content_id"]
        fetching = pool.submit(_fetch_until, ended, moving, peer, content)

        def is_moving():
            if fetching.done():
                fetching.result()  # why it ended
            return moving.is_set()

        try:
            return summary(latencies_ms(peer, case.options.runs, is_moving))
        finally:
            ended.set()


def status_idle(case, work):
    with nodes.our_pair(work) as (_, peer):
        return summary(latencies_ms(peer, case.options.runs, lambda: True))


def busy_case(options, directory):
    return one_file(options, directory)._replace(bytes=0)


WORKS = {
    "status": Work(
        {"mib": 1024, "runs": 100}, busy_case, {OURS: status_busy, "idle": status_idle}
    ),
}
