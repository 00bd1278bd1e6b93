#!/usr/bin/env python3
"""Fails where a call, flag or header that only Linux has stands outside a Linux branch.

check_linux.py [ROOT]
check_linux.py --programs FILE...   in programs of the portable build: none of the calls is linked

A Linux branch is what `#if defined(__linux__) && !defined(P2P_PORTABLE)` encloses, or `#ifdef` of a
P2P_ name that is defined in one. What asks for its own name (`#ifdef TCP_CONGESTION`) is portable.
"""

import pathlib
import re
import subprocess
import sys

import source_tree

CALLS = (
    "accept4 cachestat copy_file_range dup3 epoll_create1? epoll_ctl epoll_p?wait eventfd fallocate"
    " fanotify_\\w+ fstatfs getrandom gettid inotify_\\w+ io_uring_\\w+ memfd_create mremap openat2"
    " pipe2 prctl readahead recvmmsg renameat2 sched_[gs]etaffinity sendfile sendmmsg setpriority"
    " signalfd splice statfs statx sync_file_range syncfs syscall tee timerfd_\\w+ vmsplice"
).split()
FLAGS = "O_PATH O_TMPFILE SOCK_CLOEXEC SOCK_NONBLOCK TCP_INFO MSG_ZEROCOPY".split()
HEADERS = r"linux/[\w./]+|sys/(?:sendfile|epoll|eventfd|signalfd|timerfd|prctl|vfs|syscall|sysmacros)\.h"

_USE = re.compile(
    # Neither a member (list.splice) nor a declaration's name.
    rf"(?<![\w.>])(?P<call>{'|'.join(CALLS)})\s*\("
    rf"|\b(?P<flag>{'|'.join(FLAGS)})\b"
    rf"|^[ \t]*#[ \t]*include[ \t]*<(?P<header>{HEADERS})>",
    re.MULTILINE,
)
_DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(if|ifdef|ifndef|elif|else|endif|define)\b[ \t]*(.*)$")
_LINUX = re.compile(r"defined\s*\(\s*__linux__\s*\)\s*&&\s*!\s*defined\s*\(\s*P2P_PORTABLE\s*\)")
# Asio waits with epoll, eventfd and timerfd on Linux and with kqueue elsewhere: that is its matter.
_LINKED_BY_OTHERS = re.compile(r"epoll_\w+|eventfd|timerfd_\w+")


def _branch(word, condition, known):
    """(is a Linux branch, its #else is one, the names it asks for) of an #if, #ifdef, #ifndef."""
    condition = condition.strip()
    if word == "ifndef":
        return False, condition in known, set()
    names = {condition} if word == "ifdef" else set(re.findall(r"(?<!!)defined\s*\(\s*(\w+)\s*\)",
                                                               condition))
    if "||" in condition:
        return False, False, set()
    return bool(_LINUX.search(condition) or names & known), False, names


def uses(text):
    """Yields (line number, name) of each use outside of a Linux branch."""
    known = set()  # macros that only a Linux branch defines
    stack = []  # of [is Linux, else is Linux, names]
    for number, line in enumerate(source_tree.code_only(text).split("\n"), 1):
        directive = _DIRECTIVE.match(line)
        is_linux = any(level[0] for level in stack)
        if directive:
            word, rest = directive.groups()
            if word in ("if", "ifdef", "ifndef"):
                stack.append(list(_branch(word, rest, known)))
                continue
            if word in ("elif", "else") and stack:
                stack[-1] = [stack[-1][1], False, set()]
            elif word == "endif" and stack:
                stack.pop()
            elif word == "define" and is_linux and rest.startswith("P2P_"):
                known.add(rest.split()[0])
        asked = set().union(*(level[2] for level in stack))
        for match in _USE.finditer(line):
            name = match.group("call") or match.group("flag") or match.group("header")
            if not is_linux and name not in asked:
                yield number, name


def problems(root):
    found = []
    for path in source_tree.sources(root, source_tree.PRODUCT):
        for line, name in uses((root / path).read_text(encoding="utf-8")):
            found.append(f"{path}:{line}: only Linux has {name}: it needs a Linux branch, and another")
    return found


def linked(program):
    """The Linux-only calls that a program takes from its shared libraries."""
    symbols = subprocess.run(["nm", "-D", "--undefined-only", program], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    calls = re.compile("|".join(CALLS))
    names = {re.sub(r"(64)?(@.*)?$", "", line.split()[-1]) for line in symbols.splitlines() if line}
    return sorted(name for name in names
                  if calls.fullmatch(name) and not _LINKED_BY_OTHERS.fullmatch(name))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--programs"]:
        source_tree.report(
            [f"{program}: calls {name}" for program in sys.argv[2:] for name in linked(program)],
            "none is called",
        )
    else:
        source_tree.report(
            problems(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else source_tree.ROOT),
            "each has its Linux branch",
        )
