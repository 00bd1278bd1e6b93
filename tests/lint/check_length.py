#!/usr/bin/env python3
"""Fails when a source file is so long that it has more than one subject.

check_length.py [ROOT]
"""

import pathlib
import sys

import source_tree

# A file that nears this has two subjects.
MAX_LINES = 400
MAX_TEST_LINES = 800


def problems(root):
    found = []
    for folders, limit in ((source_tree.PRODUCT, MAX_LINES), (("tests", "bench"), MAX_TEST_LINES)):
        for path in source_tree.sources(root, folders):
            lines = (root / path).read_text(encoding="utf-8").count("\n")
            if lines > limit:
                found.append(f"{path}: {lines} lines, more than {limit}; divide it")
    return found


if __name__ == "__main__":
    source_tree.report(
        problems(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else source_tree.ROOT),
        "no file is too long",
    )
