"""Processor time and anonymous memory of running processes, from /proc."""

import os
import threading

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """User and system time of a process with all its threads, so far."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        # The program's name, in parentheses, may hold spaces.
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def anonymous_mib(pid):
    """Memory that is the process's own: neither file pages nor shared memory."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        for line in status:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    return 0.0


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

    def _look(self):
        for name, pid in self._pids.items():
            self.anon[name] = max(self.anon[name], anonymous_mib(pid))

    def _sample(self):
        while not self._ended.wait(self.SAMPLE_SECONDS):
            self._look()
