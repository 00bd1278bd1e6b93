#!/usr/bin/env python3
"""Fails when a behaviour that docs/faults.md promises has no test that carries its id in its name.

check_rows.py [ROOT]
"""

import pathlib
import re
import sys

import source_tree

CATALOGUE = "docs/faults.md"
ROW = re.compile(r"^\| ([A-Z]\d\d) \|", re.MULTILINE)
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
        if path.name == "lint_test.py":  # full of names of tests that are none
            continue
        for match in TEST_NAME.finditer(path.read_text(encoding="utf-8")):
            name = next(group for group in match.groups() if group)
            found.update(ROW_ID.findall(name.upper()))
    return found


def promised_rows(root):
    return ROW.findall((root / CATALOGUE).read_text(encoding="utf-8"))


def problems(root):
    tested = tested_rows(root)
    return [
        f"{row}: no test has this id in its name"
        for row in promised_rows(root)
        if row not in tested
    ]


if __name__ == "__main__":
    place = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else source_tree.ROOT
    source_tree.report(problems(place), f"{len(promised_rows(place))} rows; without a test: none")
