#!/usr/bin/env python3
"""Fails when docs/limits.md does not tell of a message, or tells something that is not so.

check_limits.py [ROOT]

- Each message that the code reads, and each call of the control API, has a row under its heading, and no other has.
- A bound stands there as its value with its name, `4,096 B (`kMaxLineBytes`)`, and the code has that name with that value.
- Each row names a test, and each test that is named is there: `Suite.Name` of GoogleTest, or `module.Class.test_name`.
"""

import ast
import collections
import fractions
import pathlib
import re
import sys

import source_tree

TABLE = "docs/limits.md"
LIMITS = "core/base/limits.h"

# The messages under each heading: the file that reads them, and what finds them there.
SECTIONS = {
    "Between peers": ("core/wire/peer_messages.cc", r'\{"([A-Z-]+)", ReadAs<'),
    "Between peers, originally": ("core/wire/original_messages.cc", r'[!=]= "([A-Z_]+)"'),
    "What a tracker is asked": ("core/wire/tracker_messages.cc", r'\bverb == "([A-Z]+)"'),
    "What a tracker answers": (
        "core/wire/tracker_messages.cc", r'(?:ConsumePrefix\(&line, |\(&line\) != )"([A-Z]+)'),
    "The control API": ("proto/control.proto", r"^ *rpc (\w+)\("),
}
# An answer like others, read in a file of its own.
ALSO = {"What a tracker answers": {"ERROR"}}
ROW = re.compile(r"^\| `([\w-]+)`")
CONSTANT = re.compile(r"`(k[A-Z]\w*)`")
WITH_VALUE = re.compile(r"(\d[\d,]*) ?((?:[\w-]+ )*?)\(`(k[A-Z]\w*)`\)")
TEST = re.compile(r"`((?:\w+\.\w+\.test_\w+)|(?:[A-Z]\w*\.\w+))`")
UNITS = {
    "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
    "ms": fractions.Fraction(1, 1_000), "s": 1, "min": 60, "h": 3_600,
}

DECLARATION = re.compile(r"\bconstexpr\s+[\w:<>]+\s+(k[A-Z]\w*)\s*(?:=\s*([^;]+)|\(([^;()]+)\)|\{([^;{}]+)\});")
GOOGLE_TEST = re.compile(r"\b(?:TYPED_)?TEST(?:_[FP])?\s*\(\s*(\w+)\s*,\s*(\w+)")
# What stands around a number in C++ and does not change it, and what makes seconds of it.
_DURATIONS = {
    "absl::Milliseconds": "1/1000*", "absl::Seconds": "", "absl::Minutes": "60*", "absl::Hours": "3600*",
}
_TYPES = re.compile(r"\b(?:u?int\d+_t|size_t|static_cast<[\w:]+>)(?=[({])")


def _python(expression):
    """The C++ expression as one of Python, which knows numbers, names and brackets."""
    text = _TYPES.sub("", expression.replace("'", ""))
    for name, factor in _DURATIONS.items():
        text = text.replace(name, factor)
    text = re.sub(r"\b(\d+)[uUlL]+\b", r"\1", text)
    text = re.sub(r"\b\w+::", "", text)
    return text.replace("{", "(").replace("}", ")").strip()


_OPERATIONS = {
    ast.Add: lambda a, b: a + b, ast.Sub: lambda a, b: a - b, ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: fractions.Fraction(a) / b, ast.LShift: lambda a, b: int(a) << int(b),
}


class Constants:
    """What the product's sources declare by constexpr, evaluated where it is asked for. A name of LIMITS is that one."""

    def __init__(self, root):
        self._expressions = collections.defaultdict(set)
        of_limits = set()
        for path in source_tree.sources(root, source_tree.PRODUCT):
            text = re.sub(r"//[^\n]*", "", (root / path).read_text(encoding="utf-8"))
            for match in DECLARATION.finditer(text):
                name, *forms = match.groups()
                if str(path) == LIMITS:
                    of_limits.add(name)
                    self._expressions[name].clear()
                if str(path) == LIMITS or name not in of_limits:
                    self._expressions[name].add(" ".join(next(filter(None, forms)).split()))

    def __contains__(self, name):
        return name in self._expressions

    def values(self, name):
        """More than one where files use a name for different things; none where it is no number."""
        found = set()
        for expression in self._expressions.get(name, ()):
            try:
                found.add(self._evaluate(ast.parse(_python(expression), mode="eval").body))
            except (SyntaxError, ValueError):
                pass
        return found

    def _evaluate(self, node):
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
            return fractions.Fraction(str(node.value))
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
            return fractions.Fraction(
                _OPERATIONS[type(node.op)](self._evaluate(node.left), self._evaluate(node.right)))
        if isinstance(node, ast.Name):
            values = self.values(node.id)
            if len(values) == 1:
                return values.pop()
        raise ValueError("not a number")


def messages(root, section):
    file, pattern = SECTIONS[section]
    text = (root / file).read_text(encoding="utf-8")
    return set(re.findall(pattern, text, re.MULTILINE)) | ALSO.get(section, set())


def rows(root):
    """(line number, heading, line) of each row of a table, its head left out."""
    heading = ""
    lines = (root / TABLE).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("|") and not lines[number - 2].startswith("|"):
            continue  # the head
        elif line.startswith("|") and not line.startswith("|---"):
            yield number, heading, line


def _blocks(root):
    """(line number, text): the rows of tables, and paragraphs in one line."""
    block, begin = [], 1
    lines = (root / TABLE).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate([*lines, ""], 1):
        if block and (not line or line.startswith("|")):
            yield begin, " ".join(block)
            block = []
        if line and not block:
            begin = number
        if line:
            block.append(line)


def tests(root):
    """The names of all tests beneath `root`/tests, as the table writes them."""
    found = set()
    for path in sorted((root / "tests").rglob("*_test.cc")):
        found |= {".".join(names) for names in GOOGLE_TEST.findall(path.read_text(encoding="utf-8"))}
    for path in sorted((root / "tests/e2e").glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8"), str(path)).body:
            if isinstance(node, ast.ClassDef):
                found |= {f"{path.stem}.{node.name}.{member.name}" for member in node.body
                          if isinstance(member, ast.FunctionDef) and member.name.startswith("test_")}
    return found


def _missing_messages(root):
    told = collections.defaultdict(set)
    for number, heading, line in rows(root):
        row = ROW.match(line)
        if row is None or heading not in SECTIONS:
            continue
        if row.group(1) not in messages(root, heading):
            yield f"{TABLE}:{number}: {row.group(1)} is no message that {SECTIONS[heading][0]} reads"
        told[heading].add(row.group(1))
    for section, (file, _) in SECTIONS.items():
        known = messages(root, section)
        if not known:
            yield f"{file}: no message was found in it; {pathlib.Path(__file__).name} must learn its form"
        for message in sorted(known - told[section]):
            yield f"{message} has no row in {TABLE} under \"{section}\""


def _value(number, unit):
    words = unit.split()
    return int(number.replace(",", "")) * UNITS.get(words[0] if words else "", 1)


def _wrong_constants(root):
    constants = Constants(root)
    for number, line in _blocks(root):
        place = f"{TABLE}:{number}"
        valued = [(name, n, unit) for n, unit, name in WITH_VALUE.findall(line)]
        for name in CONSTANT.findall(line):
            if name not in constants:
                yield f"{place}: the code has no constant {name}"
        for name in set(CONSTANT.findall(line)) - {name for name, *_ in valued}:
            yield f"{place}: {name} stands without its value: 64 KiB (`{name}`)"
        for name, told, unit in valued:
            values = constants.values(name)
            if name in constants and values != {_value(told, unit)}:
                is_now = " or ".join(sorted(map(str, values))) or "no number"
                yield f"{place}: {name} is told as {told} {unit.strip()}; in the code it is {is_now}"


def _wrong_tests(root):
    there = tests(root)
    for number, _, line in rows(root):
        named = TEST.findall(line.rstrip("| ").rpartition("|")[2])
        if not named:
            yield f"{TABLE}:{number}: no test is named: {line[:40]}"
        for name in named:
            if name not in there:
                yield f"{TABLE}:{number}: there is no test {name}"


def problems(root):
    return [*_missing_messages(root), *_wrong_constants(root), *_wrong_tests(root)]


if __name__ == "__main__":
    place = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else source_tree.ROOT
    source_tree.report(problems(place), f"{len(list(rows(place)))} rows are as the code is")
