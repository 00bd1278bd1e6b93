"""What every work is made of: a case to work on, and a measurement for each peer."""

import argparse
import os
import pathlib
import subprocess
import sys
from typing import Callable, Dict, NamedTuple

OURS = "p2pd"


class Case(NamedTuple):
    """The files of one run. Nothing changes them."""

    path: pathlib.Path  # the file or directory that is shared
    bytes: int  # how much is moved in the figure `seconds`; 0 if nothing is
    options: argparse.Namespace
    large: pathlib.Path = None  # a second, larger file


class Work(NamedTuple):
    """`measures` by peer: each takes the case and an empty directory, and returns figures by name (figures.py)."""

    sizes: Dict[str, object]  # the work's own options, with their defaults
    make_case: Callable  # of the options and a directory
    measures: Dict[str, Callable]
    problem: Callable = lambda: None  # why the work cannot be done here, or None


def make_file(path, size):
    with open(path, "wb") as out:
        while size > 0:
            size -= out.write(os.urandom(min(size, 1 << 20)))
    return path


def make_tree(path, files, file_bytes):
    """`files` files in folders of a hundred."""
    for number in range(files):
        folder = path / f"{number // 100:04}"
        folder.mkdir(parents=True, exist_ok=True)
        make_file(folder / f"{number:06}.bin", file_bytes)
    return path


def one_file(options, directory):
    size = options.mib << 20
    return Case(make_file(directory / "file.bin", size), size, options)


def check_same(first, second):
    if subprocess.run(["diff", "-rq", "--", first, second]).returncode:
        sys.exit(f"{second} differs from {first}")
