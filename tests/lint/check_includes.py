#!/usr/bin/env python3
"""Fails when a folder includes what its row in ARCHITECTURE.md's table does not allow.

check_includes.py [ROOT]
"""

import pathlib
import re
import sys

import source_tree

# What each folder may include besides itself.
ROWS = {
    "core/base": [],
    "core/content": ["core/base"],
    "core/net": ["core/base"],
    "core/wire": ["core/base", "core/content"],
    "daemon/store": ["core/base", "core/content"],
    "daemon/session": ["core/base", "core/content", "core/wire"],
    "daemon/swarm": ["core/base", "core/content"],
    "daemon/engine": [
        "core/base",
        "core/content",
        "core/net",
        "daemon/store",
        "daemon/session",
        "daemon/swarm",
    ],
    "daemon/control": ["core/base", "core/content", "daemon/engine", "proto"],
    "tracker": ["core/base", "core/content", "core/wire", "core/net"],
    "ctl": ["core/base", "core/content", "proto"],
    # The composition root: main and the configuration wire all parts of the daemon.
    "daemon": [
        "core/base",
        "core/content",
        "core/wire",
        "core/net",
        "daemon/store",
        "daemon/session",
        "daemon/swarm",
        "daemon/engine",
        "daemon/control",
    ],
}

# Libraries (and system headers) with the only folders that may know them.
LIBRARIES = {
    r"(grpc|grpcpp)/.*|google/protobuf/.*": {"daemon/control", "ctl"},
    r"sqlite3\.h": {"daemon/store"},
    r"asio\.hpp|asio/.*": {"core/net", "daemon/engine", "tracker"},
    r"toml\+\+/.*": {"daemon", "tracker"},
    r"CLI/.*": {"daemon", "tracker", "ctl"},
    r"gnutls/.*": {"core/content", "daemon/engine", "tracker"},
    r"hiredis/.*": {"tracker"},
}

# Parts without I/O, clock and threads.
PURE = {"core/base", "core/content", "core/wire", "daemon/session", "daemon/swarm"}
IMPURE_HEADERS = re.compile(
    r"sys/(socket|stat|un|epoll|sendfile|mman)\.h|fcntl\.h|netdb\.h|netinet/.*"
    r"|fstream|filesystem|thread|future|chrono|absl/time/clock\.h"
)
# base has the one clock that drivers read.
CLOCK = pathlib.Path("core/base/clock.cc")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[">]', re.MULTILINE)
FOLDERS_OF_THE_TREE = {"core", "daemon", "tracker", "ctl", "proto", "tests", "bench"}


def row_of(path):
    """The row that a file, or an included path, belongs to; None outside the table."""
    parts = path.parts
    if parts[0] in ("core", "daemon") and len(parts) > 2:
        return "/".join(parts[:2])
    return parts[0] if parts[0] in ROWS or parts[0] == "proto" else None


def judge(row, path, quote, included):
    """Why `included` must not stand in `path`, or None."""
    first = included.split("/")[0]
    if first in FOLDERS_OF_THE_TREE and "/" in included:
        target = row_of(pathlib.PurePosixPath(included))
        if target is None or (target != row and target not in ROWS[row]):
            return f"{row} may not know {target or first}"
        return None
    for library, folders in LIBRARIES.items():
        if re.fullmatch(library, included):
            allowed = row in folders
            return None if allowed else f"only {', '.join(sorted(folders))} may know this library"
    if quote == '"' and "/" not in included:
        return "includes are written from the root"
    if row in PURE and path != CLOCK and IMPURE_HEADERS.fullmatch(included):
        return f"{row} has no file, socket, clock or thread"
    return None


def problems(root):
    found = []
    for path in source_tree.sources(root, source_tree.PRODUCT):
        row = row_of(path)
        if row not in ROWS:
            found.append(f"{path}: this folder has no row in the table of check_includes.py")
            continue
        text = (root / path).read_text(encoding="utf-8")
        for match in INCLUDE.finditer(text):
            why = judge(row, path, match.group(1), match.group(2))
            if why:
                line = text.count("\n", 0, match.start()) + 1
                found.append(f'{path}:{line}: includes "{match.group(2)}": {why}')
    return found


if __name__ == "__main__":
    source_tree.report(
        problems(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else source_tree.ROOT),
        "every folder includes only what its row allows",
    )
