#!/usr/bin/env python3
"""Fails where the product calls what it must never call.

check_calls.py RULE [ROOT]        RULE: mapping (row S23), shell (row X13) or clock (row X08)
"""

import pathlib
import re
import sys

import source_tree

RULES = {
    # A file that shrinks while it is mapped kills the process: payload is read and written with calls.
    "mapping": re.compile(r"\b(mmap|mmap64|mremap)\s*\(|<sys/mman\.h>"),
    # What a peer or user wrote must never reach a shell; no child process is started at all.
    "shell": re.compile(
        r"\b(system|popen|wordexp|fork|vfork|posix_spawnp?|exec(?:l|le|lp|v|ve|vp|vpe))\s*\("
    ),
    # Abseil's waits with a time limit end by the clock of the day: core/base/timed_wait.h has others.
    "clock": re.compile(
        r"\b(AwaitWithTimeout|AwaitWithDeadline|WaitWithTimeout|WaitWithDeadline|LockWhenWithTimeout|LockWhenWithDeadline"
        r"|ReaderLockWhenWithTimeout|ReaderLockWhenWithDeadline|WaitForNotificationWithTimeout"
        r"|WaitForNotificationWithDeadline)\s*\("
    ),
}


def problems(root, rule):
    found = []
    for path in source_tree.sources(root, source_tree.PRODUCT):
        code = source_tree.code_only((root / path).read_text(encoding="utf-8"))
        for match in RULES[rule].finditer(code):
            line = code.count("\n", 0, match.start()) + 1
            found.append(f"{path}:{line}: {match.group(0).strip('( ')} is not used in this project")
    return found


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in RULES:
        sys.exit(__doc__)
    source_tree.report(
        problems(pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else source_tree.ROOT, sys.argv[1]),
        "none found",
    )
