"""Faults in the libc calls of a program: the test's side of what call_faults.cc reads and writes.

    faults = CallFaults(path)
    daemon = Daemon(..., env=faults.env())
    faults.arm("pwrite", nth=3, error=errno.ENOSPC)

Which errors a call is given is said by `errors_of`: those that the system can give it.
"""
import errno
import mmap
import os
import re
import struct
import subprocess

LIBRARY = os.environ.get("P2P_CALL_FAULTS_LIBRARY", "")
SHORT = "short"  # beside errno numbers: half of what was asked for
FOREVER = 2**64 - 1

PROGRAM, SQLITE, RUNTIME, OTHERS = 0, 1, 2, 3  # RUNTIME: `new`, whoever calls it

_DEFINITIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "call_kinds.def")
with open(_DEFINITIONS, encoding="utf-8") as _definitions:
    KINDS = re.findall(r"^P2P_CALL\((\w+)\)", _definitions.read(), re.MULTILINE)

# struct Control of call_faults.cc
_ARMED, _MODULES, _KINDS, _SITE, _FIRST, _LAST = 0, 4, 8, 16, 24, 32
_ERROR, _SHORT, _DELAY, _DELAYED, _CLOCK = 40, 44, 48, 52, 56
_INJECTED, _LAST_SITE, _THEN_SITE, _THEN_ERROR, _THEN_SHORT = 64, 72, 80, 88, 92
_PREFIX, _CALLS = 104, 616
_SITES, _SITE_COUNT = 1640, 4096
_SIZE = _SITES + _SITE_COUNT * 16

# --- Which errors a call can get from the system --------------------------------------------------

_MAKES_DESCRIPTOR = {"open", "openat", "openat2", "fdopendir", "socket", "accept", "accept4",
                     "pipe", "epoll_create1", "eventfd", "timerfd_create"}
_WRITES_TO_DISK = {"open", "openat", "openat2", "pwrite", "fsync", "fdatasync", "syncfs",
                   "ftruncate", "fallocate", "rename", "renameat", "renameat2", "linkat", "unlink",
                   "unlinkat", "mkdir", "mkdirat", "chmod", "fchmod", "close"}
_READS_DISK = {"pread", "lseek", "stat", "lstat", "fstat", "fstatat", "fstatfs", "fstatvfs",
               "access", "readlink", "readdir", "fdopendir", "sendfile", "sync_file_range"}
_MAY_WAIT = {"open", "openat", "openat2", "pread", "pwrite", "fsync", "fdatasync", "ftruncate",
             "fallocate", "fstatfs", "fstatvfs", "flock", "fcntl", "accept", "accept4", "connect",
             "recv", "recvmsg", "send", "sendmsg", "sendfile", "poll", "epoll_wait", "close"}
_MAY_BE_ASKED_AGAIN = {"openat2", "pread", "pwrite", "read", "flock", "fcntl", "accept", "accept4",
                       "connect", "recv", "recvmsg", "send", "sendmsg", "sendfile"}
_NEVER_SHORT_OF_MEMORY = {"lseek", "read", "write", "close", "flock", "shutdown", "epoll_wait",
                          "getentropy", "getsockname", "getpeername", "timerfd_settime",
                          "cachestat", "listen", "syncfs"}
_SOCKET = {"socket", "accept", "accept4", "connect", "recv", "recvmsg", "send", "sendmsg",
           "setsockopt"}
_MOVES_BYTES = {"pread", "pwrite", "recv", "recvmsg", "send", "sendmsg", "sendfile"}

WHY_LEFT_OUT = """\
EMFILE: only calls that make a descriptor give it
ENOSPC, EDQUOT: only calls that can make the disk write
EIO: only calls for files
EINTR: only calls that may wait
EAGAIN: only calls for what may be busy or not ready
ENOMEM: not calls that allocate nothing
ENOBUFS: only calls for sockets
short: only calls that move bytes
write: it only wakes a loop through an eventfd, which never refuses
shutdown, timerfd_settime, getsockname, getpeername, listen: none of these errors
epoll_ctl: only where a socket is added; changing and removing never fail, and Asio does not look
  whether its own wake-up descriptors were added
cachestat, sync_file_range: any error means the same, so one is enough"""


def errors_of(kind):
    """errno numbers, and SHORT, that a call of this kind can meet."""
    if kind in ("write", "malloc", "shutdown"):
        return []
    if kind in ("cachestat", "getentropy"):
        return [errno.EIO]
    errors = []
    if kind in _WRITES_TO_DISK:
        errors += [errno.ENOSPC, errno.EDQUOT]
    if kind in _WRITES_TO_DISK | _READS_DISK:
        errors.append(errno.EIO)
    if kind in _MAY_WAIT:
        errors.append(errno.EINTR)
    if kind in _MAKES_DESCRIPTOR:
        errors.append(errno.EMFILE)
    if kind in _MAY_BE_ASKED_AGAIN:
        errors.append(errno.EAGAIN)
    if kind not in _NEVER_SHORT_OF_MEMORY:
        errors.append(errno.ENOMEM)
    if kind in _SOCKET:
        errors.append(errno.ENOBUFS)
    if kind in _MOVES_BYTES:
        errors.append(SHORT)
    return errors


def name_of(error):
    return error if error == SHORT else errno.errorcode[error]


# --- The control file -----------------------------------------------------------------------------


class CallFaults:
    """The control file at `path`, which a program with env() maps for its whole life, and the next
    one after it. Nothing happens before arm()."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.truncate(_SIZE)
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), _SIZE)
        self._generation = 0

    def close(self):
        self._map.close()

    def env(self):
        return dict(os.environ, LD_PRELOAD=LIBRARY, P2P_CALL_FAULTS=self.path)

    def arm(self, kinds=(), nth=1, error=0, last=None, delay_ms=0, beneath="", site=0,
            modules=(PROGRAM, SQLITE), then=None):
        """From now on calls are counted; the `nth` of each kind that is meant, to the `last`
        (default: only that one), fails with `error` (errno or SHORT), or is only delayed.

        Meant are calls of `kinds` (one or more) by `modules` for files `beneath` a directory ("":
        any call), at one call `site` (0: all). `then` is (site, error): once a call has failed, the
        first one of that site does, too.
        """
        self.disarm()
        kinds = [kinds] if isinstance(kinds, str) else kinds
        self._map[_INJECTED:_PREFIX] = bytes(_PREFIX - _INJECTED)
        self._map[_CALLS:_SIZE] = bytes(_SIZE - _CALLS)
        self._put("I", _MODULES, sum(1 << module for module in modules))
        self._put("Q", _KINDS, sum(1 << KINDS.index(kind) for kind in kinds))
        self._put("Q", _SITE, site)
        self._put("Q", _FIRST, nth)
        self._put("Q", _LAST, nth if last is None else last)
        self._put("i", _ERROR, 0 if error == SHORT else error)
        self._put("I", _SHORT, error == SHORT)
        self._put("I", _DELAY, delay_ms)
        then_site, then_error = then or (0, 0)
        self._put("Q", _THEN_SITE, then_site)
        self._put("i", _THEN_ERROR, 0 if then_error == SHORT else then_error)
        self._put("I", _THEN_SHORT, then_error == SHORT)
        prefix = beneath.encode()
        self._map[_PREFIX:_CALLS] = prefix + bytes(_CALLS - _PREFIX - len(prefix))
        self._generation += 1
        self._put("I", _ARMED, self._generation)

    def disarm(self):
        """No more faults; a delay that is under way ends."""
        self._put("I", _ARMED, 0)

    def set_clock(self, offset_seconds):
        """The program's clock of the day is off by so much, at once."""
        self._put("q", _CLOCK, offset_seconds)

    @property
    def injected(self):
        return self._get("Q", _INJECTED)

    @property
    def delayed(self):
        """Calls that are being held up at this moment."""
        return self._get("I", _DELAYED)

    @property
    def last_site(self):
        return self._get("Q", _LAST_SITE)

    def calls(self):
        """{kind: calls since arm()}"""
        counts = struct.unpack_from(f"<{len(KINDS)}Q", self._map, _CALLS)
        return {kind: count for kind, count in zip(KINDS, counts) if count}

    def sites(self):
        """{site: (calls, faults)} since arm(); calls of other libraries are one site for a kind."""
        found = {}
        for key, calls, faults in struct.iter_unpack("<QII", self._map[_SITES:_SIZE]):
            if key:
                found[key] = (calls, faults)
        return found

    def _put(self, form, at, value):
        struct.pack_into("<" + form, self._map, at, value)

    def _get(self, form, at):
        return struct.unpack_from("<" + form, self._map, at)[0]


def kind_of(site):
    return KINDS[(site >> 56) - 1]


def module_of(site):
    return site >> 48 & 0xff


def describe_sites(sites, program):
    """{site: "function (file:line)"} as far as the debug information of `program` says."""
    offsets = {site: (site & 0xffff_ffff_ffff) - 1 for site in sites if module_of(site) == PROGRAM}
    described = {site: "SQLite" if module_of(site) == SQLITE else "another library"
                 for site in sites if module_of(site) != PROGRAM}
    if not offsets:
        return described
    asked = "\n".join(hex(offset) for offset in offsets.values())
    try:
        done = subprocess.run(["addr2line", "-fCse", program], input=asked, capture_output=True,
                              text=True, check=True)
        lines = done.stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        lines = [""] * (2 * len(offsets))
    for at, site in enumerate(offsets):
        function = re.sub(r"\(.*", "", lines[2 * at])
        described[site] = f"{function} ({lines[2 * at + 1]})"
    return described
