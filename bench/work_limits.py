"""What a download, and whoever asks for the daemon's status, keep beside strangers that say one message without end."""

import contextlib

import nodes
from case import OURS, Case, Work, make_file
from peers import PYTHON
from process_meter import timed
from work_status import latencies_ms, summary

CHUNKS_A_MIB = 2
# The dearest for what they weigh; see docs/limits.md.
MESSAGES = (
    "OPEN", "WHICH", "GET-PEERS", "GET-HASHES", "REQUEST", "REQUEST-refused", "REQUEST-LEAVES", "GET_CHUNK-unknown",
)


def _figures(case, seed, peer, content):
    seconds, done = timed(lambda: peer.ctl("get", content))
    peer.ctl("remove", done["id"], "--with-data")
    return {"seconds": seconds, **summary(latencies_ms(seed, case.options.runs, lambda: True))}


def alone(case, work):
    with nodes.our_pair(work) as (seed, peer):
        content = seed.ctl("share", case.path)["content_id"]
        return _figures(case, seed, peer, content)


def beside(message):
    def once(case, work):
        with nodes.our_pair(work) as (seed, peer), contextlib.ExitStack() as running:
            content = seed.ctl("share", case.path)["content_id"]
            # More chunks than trees are kept of.
            large = seed.ctl("share", case.large)["content_id"]
            address = seed.ctl("status")["listen"]
            command = [PYTHON, nodes.HERE / "flood.py", address, message, large]
            command += [case.options.large_mib * CHUNKS_A_MIB, case.options.connections]
            flood = running.enter_context(nodes.Node(command, work / "flood.log"))
            flood.wait_for("flooding")
            return _figures(case, seed, peer, content)

    return once


def two_files(options, directory):
    large = directory / "file.bin"
    with open(large, "wb") as out:
        out.truncate(options.large_mib << 20)
    path = make_file(directory / "fetched.bin", options.mib << 20)
    return Case(path, options.mib << 20, options, large)


WORKS = {
    "limits": Work(
        {"mib": 64, "large-mib": 3_072, "connections": 8, "runs": 50},
        two_files,
        {OURS: alone, **{message: beside(message) for message in MESSAGES}},
    ),
}
