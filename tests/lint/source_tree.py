"""The C++ sources of the tree, as the lint tests read them."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Folders with code of the product, as opposed to tests and measurements.
PRODUCT = ("core", "daemon", "tracker", "ctl")

_TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'",
    re.DOTALL,
)


def sources(root, folders):
    """Yields the path, relative to `root`, of each .cc and .h file beneath `folders`, in order."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".cc", ".h", ".cpp") and path.is_file():
                yield path.relative_to(root)


def code_only(text):
    """`text` with comments and the insides of literals blanked; lines keep their numbers."""
    return _TOKEN.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), text)


def report(problems, good):
    """Prints the problems, or `good`, and ends the program accordingly."""
    for problem in problems:
        print(problem)
    if problems:
        sys.exit(f"{len(problems)} problem(s)")
    print(good)
