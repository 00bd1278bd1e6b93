"""Side-by-side measurements; see run.sh."""

import argparse
import json
import pathlib
import re
import shutil
import signal
import sys
import tempfile

import figures
import nodes
import peers
import work_limits
import work_status
import work_swarm
import work_tracker
import work_transfer
import work_tree
import work_wan
from case import OURS

# A directory whose files lie in memory.
MEMORY = "/dev/shm"

WORKS = {
    **work_transfer.WORKS,
    **work_tree.WORKS,
    **work_wan.WORKS,
    **work_swarm.WORKS,
    **work_status.WORKS,
    **work_limits.WORKS,
    **work_tracker.WORKS,
}


def warm_memory(size):
    """Takes as much memory as a measurement will, and gives it back: a host may have taken what its virtual machine
    did not use, and whoever is measured first after a pause would wait for its return."""
    with tempfile.TemporaryFile(dir=MEMORY) as out:
        block = bytes(1 << 20)
        for _ in range(size >> 20):
            out.write(block)


def measure(measures, case, rounds, base):
    """Figures by peer, one dictionary a round; the peers take turns."""
    results = {peer: [] for peer in measures}
    width = max(map(len, measures))
    for number in range(1, rounds + 1):
        for peer, once in measures.items():
            work = pathlib.Path(tempfile.mkdtemp(dir=base))
            warm_memory(2 * case.bytes)
            result = once(case, work)
            shutil.rmtree(work)
            results[peer].append(result)
            print(f"round {number} {peer:{width}} {figures.show(result)}", flush=True)
    return results


def choose_peers(name, asked):
    """The measurements to take, ours first; says which cannot be."""
    measures = WORKS[name].measures
    others = asked.split(",") if asked else [peer for peer in measures if peer != OURS]
    unknown = [peer for peer in others if peer not in measures]
    if unknown:
        sys.exit(f"run.sh: no such peer for {name}: {', '.join(unknown)} ({', '.join(measures)})")
    missing = [peer for peer in others if not peers.is_here(peer)]
    if missing:
        names = ", ".join(missing)
        print(
            f"run.sh: left out, as not installed: {names}; bench/install-peers.sh installs them",
            file=sys.stderr,
        )
    return {peer: measures[peer] for peer in [OURS, *others] if peer not in missing}


def positive(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 1 or more")
    return int(text)


def percentages(text):
    words = text.split(",")
    if not all(re.fullmatch(r"\d{1,2}(\.\d+)?", word) for word in words):
        raise argparse.ArgumentTypeError(f"{text!r} is not one or more percentages like 0,0.5,1")
    return words


def none_or_more(text):
    return 0 if text == "0" else positive(text)


def kind_of(default):
    if isinstance(default, str):
        return percentages
    return none_or_more if default == 0 else positive


def folder(text):
    if not pathlib.Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"there is no directory {text}")
    return text


def read_options():
    parser = argparse.ArgumentParser(prog="bench/run.sh", usage="%(prog)s WORK [OPTIONS]")
    works = parser.add_subparsers(dest="work", metavar="WORK", required=True)
    for name, work in WORKS.items():
        one = works.add_parser(name, prog=f"bench/run.sh {name}")
        one.add_argument("--vs", metavar="PEER,...", help=f"of {', '.join(work.measures)} (all)")
        file = argparse.FileType("w", encoding="utf-8")
        one.add_argument("--json", metavar="FILE", type=file, help="also write all figures there")
        one.add_argument("--rounds", type=positive, default=5, help="default 5")
        one.add_argument("--dir", type=folder, default=MEMORY, help="default: memory")
        words = " ".join(size.upper() for size in work.sizes)
        one.add_argument("in_order", metavar=words, nargs="*", help="the same as the options of these names")
        for size, default in work.sizes.items():
            one.add_argument(f"--{size}", type=kind_of(default), default=default, help=f"default {default}")
    options = parser.parse_args()
    sizes = WORKS[options.work].sizes
    if len(options.in_order) > len(sizes):
        parser.error(f"{options.work} takes at most {len(sizes)} sizes: {' '.join(sizes)}")
    for (size, default), text in zip(sizes.items(), options.in_order):
        try:
            setattr(options, size.replace("-", "_"), kind_of(default)(text))
        except argparse.ArgumentTypeError as error:
            parser.error(f"{size}: {error}")
    return options


def main():
    options = read_options()
    work = WORKS[options.work]
    problem = work.problem()
    if problem:
        sys.exit(f"run.sh: {problem}")
    measures = choose_peers(options.work, options.vs)
    nodes.build()
    with tempfile.TemporaryDirectory(prefix="p2p-bench-", dir=options.dir) as base:
        case = work.make_case(options, pathlib.Path(base))
        rounds = measure(measures, case, options.rounds, base)
    summary = {peer: figures.medians(results) for peer, results in rounds.items()}
    figures.print_summary(summary, case.bytes)
    if options.json:
        report = {"work": options.work, "bytes": case.bytes, "rounds": rounds, "medians": summary}
        with options.json as out:
            out.write(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    # What runs is stopped, and what was made removed, however this ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
