"""Kills daemons of ours at random and counts what that costs; see run.sh."""

import argparse
import os
import random
import sys
import tempfile

import nodes

os.environ["P2P_BIN_DIR"] = str(nodes.BIN)
sys.path.insert(0, str(nodes.HERE.parent / "tests" / "support"))

from p2p_kill_loop import KillLoop  # noqa: E402


def read_options():
    parser = argparse.ArgumentParser(prog="bench/run.sh kill")
    parser.add_argument("kills", metavar="N", type=int, nargs="?", default=100, help="default 100")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of an earlier run")
    parser.add_argument("--transfer", type=int, default=1, help="the first one's number; default 1")
    parser.add_argument("--at-once", type=int, default=4, help="transfers; default 4")
    parser.add_argument(
        "--dir",
        action="append",
        help="may be given several times: they take turns. Default: memory and the disk of temporary files",
    )
    return parser.parse_args()


def main():
    options = read_options()
    directories = options.dir or ["/dev/shm", tempfile.gettempdir()]
    print(f"seed {options.seed}, in {' and '.join(directories)}", flush=True)
    loop = KillLoop(options.seed, directories)
    told = 0
    try:
        for problems in loop.run(options.kills, options.transfer, options.at_once):
            print("".join(problem + "\n" for problem in problems), end="", flush=True)
            if loop.figures.rounds >= told + 100:
                told = loop.figures.rounds
                print(f"{told} kills", flush=True)
    except KeyboardInterrupt:
        print("interrupted")
    print("\n".join(loop.figures.lines()))
    return 1 if loop.figures.bad() else 0


if __name__ == "__main__":
    sys.exit(main())
