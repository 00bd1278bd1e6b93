"""Time of actions, processor time and anonymous memory of running processes, from /proc."""

import os
import threading
import time

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """User and system time of a process with all its threads and ended children, so far."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        # The program's name, in parentheses, may hold spaces.
        fields = stat.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


def children(pid):
    """The processes that it started and that have not ended, or not been waited for."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as ids:
        return ids.read().split()


def anonymous_mib(pid):
    """Memory that is the process's own: neither file pages nor shared memory."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        for line in status:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    return 0.0


def timed(action):
    """Seconds that it took, and its result."""
    begin = time.monotonic()
    result = action()
    return time.monotonic() - begin, result


class Meter:
    """Watches processes, by name, from `with` on. Afterwards cpu[name] (seconds) and anon[name] (peak, MiB)."""

    SAMPLE_SECONDS = 0.02

    def __init__(self, **pids):
        self._pids = pids
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self.cpu = {}
        self.anon = {name: 0.0 for name in pids}

    def __enter__(self):
        self._before = {name: cpu_seconds(pid) for name, pid in self._pids.items()}
        self._sampler.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._sampler.join()
        self._look()
        self.cpu = {name: cpu_seconds(pid) - self._before[name] for name, pid in self._pids.items()}

    def total_cpu(self):
        return sum(self.cpu.values())

    def _look(self):
        for name, pid in self._pids.items():
            self.anon[name] = max(self.anon[name], anonymous_mib(pid))

    def _sample(self):
        while not self._ended.wait(self.SAMPLE_SECONDS):
            self._look()
