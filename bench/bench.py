"""Side-by-side measurements; see run.sh."""

import argparse
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import nodes
from process_meter import Meter

OURS = "p2pd"


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def check_same(first, second):
    if subprocess.run(["cmp", "--", first, second]).returncode:
        sys.exit(f"{second} differs from {first}")


def both_ends(meter, seconds):
    return {
        "seconds": seconds,
        "cpu_seconds": sum(meter.cpu.values()),
        "anon_mib": max(meter.anon.values()),
    }


# Each measurement takes the file to work on and an empty directory, and returns figures by name.


def transfer_p2pd(file, work):
    with nodes.Tracker(work) as tracker, nodes.Daemon(work / "a", tracker) as seed, nodes.Daemon(
        work / "b", tracker
    ) as peer:
        content = seed.ctl("share", file)["content_id"]
        with Meter(seed=seed.pid, peer=peer.pid) as meter:
            begin = time.monotonic()
            done = peer.ctl("get", content)
            seconds = time.monotonic() - begin
        check_same(file, done["path"])
        return both_ends(meter, seconds)


def transfer_libtorrent(file, work):
    torrent, target = work / "torrent", work / "downloads"
    target.mkdir()
    with nodes.libtorrent(["make", file, torrent], work / "make.log") as maker:
        maker.process.wait()
    seed_at, peer_at = free_address(), free_address()
    seed_words = ["seed", torrent, file.parent, seed_at]
    peer_words = ["get", torrent, target, peer_at, seed_at]
    with nodes.libtorrent(seed_words, work / "seed.log") as seed:
        seed.wait_for("seeding")
        with nodes.libtorrent(peer_words, work / "peer.log") as peer:
            with Meter(seed=seed.pid, peer=peer.pid) as meter:
                seconds = float(peer.wait_for(r"get_s=(\S+)", 600).group(1))
            check_same(file, target / file.name)
            return both_ends(meter, seconds)


def transfer_limit(file, work):
    target = work / "copy"
    line = subprocess.check_output(
        [nodes.BIN / "bench_limit", file, target, str(os.cpu_count())], text=True
    )
    figures = dict(word.split("=", 1) for word in line.split() if "=" in word)
    check_same(file, target)
    cpu = float(figures["cpu_client"]) + float(figures["cpu_server"])
    return {"seconds": float(figures["wall"]), "cpu_seconds": cpu}


def share_p2pd(file, work):
    with nodes.Daemon(work / "a") as daemon:
        with Meter(daemon=daemon.pid) as meter:
            begin = time.monotonic()
            daemon.ctl("share", file)
            seconds = time.monotonic() - begin
        return both_ends(meter, seconds)


def share_libtorrent(file, work):
    with nodes.libtorrent(["make", file, work / "torrent"], work / "make.log") as maker:
        return {"seconds": float(maker.wait_for(r"hash_s=(\S+)", 600).group(1))}


WORKS = {
    "transfer": {
        OURS: transfer_p2pd,
        "libtorrent": transfer_libtorrent,
        "limit": transfer_limit,
    },
    "share": {OURS: share_p2pd, "libtorrent": share_libtorrent},
}


def measure(works, peers, file, rounds, base):
    """Figures by peer, one dictionary a round; the peers take turns."""
    figures = {peer: [] for peer in peers}
    for number in range(1, rounds + 1):
        for peer in peers:
            work = pathlib.Path(tempfile.mkdtemp(dir=base))
            result = works[peer](file, work)
            shutil.rmtree(work)
            figures[peer].append(result)
            print(f"round {number} {peer:12} {show(result)}", flush=True)
    return figures


def show(result):
    units = {"seconds": "s", "cpu_seconds": "CPU-s", "anon_mib": "MiB anonymous"}
    return "  ".join(f"{value:8.3f} {units[name]}" for name, value in result.items())


def medians(rounds):
    return {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}


def print_summary(summary, bytes_total):
    print("\nmedians")
    ours = summary[OURS]
    for peer, result in summary.items():
        rate = bytes_total / result["seconds"] / 1e6
        print(f"  {peer:12} {show(result)}  {rate:6.0f} MB/s")
    for peer, result in summary.items():
        if peer == OURS:
            continue
        ratios = [f"time {ours['seconds'] / result['seconds']:.2f}"]
        if "cpu_seconds" in result:
            ratios.append(f"CPU {ours['cpu_seconds'] / result['cpu_seconds']:.2f}")
        print(f"{OURS} / {peer}: {', '.join(ratios)}")


def make_file(path, mib):
    with open(path, "wb") as out:
        for _ in range(mib):
            out.write(os.urandom(1 << 20))


def choose_peers(work, asked):
    """The peers to measure, ours first; says which cannot be."""
    others = asked.split(",") if asked else [peer for peer in WORKS[work] if peer != OURS]
    unknown = [peer for peer in others if peer not in WORKS[work]]
    if unknown:
        sys.exit(f"run.sh: no such peer for {work}: {', '.join(unknown)} ({', '.join(WORKS[work])})")
    problem = nodes.libtorrent_missing() if "libtorrent" in others else None
    if problem:
        print(f"run.sh: {problem}", file=sys.stderr)
        others.remove("libtorrent")
    return [OURS] + [peer for peer in others if peer != OURS]


def main():
    parser = argparse.ArgumentParser(prog="bench/run.sh")
    parser.add_argument("work", choices=WORKS)
    parser.add_argument("--vs", metavar="PEER,...", help="whom to compare with (default: all)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures of all rounds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mib", type=int, default=1024, help="size of the file (default 1024)")
    parser.add_argument("--dir", default="/dev/shm", help="where files are kept (default: memory)")
    options = parser.parse_args()
    peers = choose_peers(options.work, options.vs)
    with tempfile.TemporaryDirectory(prefix="p2p-bench-", dir=options.dir) as base:
        file = pathlib.Path(base) / "file.bin"
        make_file(file, options.mib)
        figures = measure(WORKS[options.work], peers, file, options.rounds, base)
    summary = {peer: medians(rounds) for peer, rounds in figures.items()}
    print_summary(summary, options.mib << 20)
    if options.json:
        report = {"work": options.work, "bytes": options.mib << 20, "rounds": figures, "medians": summary}
        pathlib.Path(options.json).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
