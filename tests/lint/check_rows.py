#!/usr/bin/env python3
"""Fails when a required behaviour has no test that carries its id in its name.

check_rows.py [ROOT]
"""

import pathlib
import re
import sys

import source_tree


def _span(letter, first, last):
    return [f"{letter}{number:02}" for number in range(first, last + 1)]


# The behaviours of the fault catalogue that are promised so far.
ROWS = (
    _span("T", 1, 14)
    + _span("P", 1, 13)
    + _span("C", 1, 6)
    + _span("G", 1, 3)
    + ["G12"]
    + ["S01", "S02", "S09", "S14", "S18", "S20", "S23"]
    + ["R01", "R02", "R08"]
    + _span("F", 1, 3)
    + ["X01", "X03", "X13"]
)

TEST_NAME = re.compile(
    r"\b(?:TYPED_)?TEST(?:_[FP])?\s*\(\s*\w+\s*,\s*(\w+)"  # GoogleTest
    r"|\bdef\s+(test\w+)"  # Python
    r"|\bNAME\s+([\w.]+)",  # CMake
)
ROW_ID = re.compile(r"(?<![A-Za-z0-9])([A-Z]\d\d)(?![0-9])")


def tested_rows(root):
    """The ids in the names of all tests beneath `root`/tests."""
    found = set()
    for path in sorted((root / "tests").rglob("*")):
        if path.suffix not in (".cc", ".py") and path.name != "CMakeLists.txt":
            continue
        for match in TEST_NAME.finditer(path.read_text(encoding="utf-8")):
            name = next(group for group in match.groups() if group)
            found.update(ROW_ID.findall(name.upper()))
    return found


def problems(root):
    tested = tested_rows(root)
    return [f"{row}: no test has this id in its name" for row in ROWS if row not in tested]


if __name__ == "__main__":
    source_tree.report(
        problems(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else source_tree.ROOT),
        f"each of {len(ROWS)} rows has a test",
    )
