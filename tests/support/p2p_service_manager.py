"""A service manager as p2pd sees one: a socket for what it tells, and a watchdog to feed. And a
way to hold up one thread of a process."""
import ctypes
import os
import socket
import time

from p2p_harness import wait_for

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.restype = ctypes.c_long
_LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_PTRACE_DETACH, _PTRACE_SEIZE, _PTRACE_INTERRUPT = 17, 0x4206, 0x4207
_WAIT_FOR_ANY_THREAD = 0x40000000  # __WALL


class ServiceManager:
    """Listens at a socket of its own in `directory`."""

    def __init__(self, directory):
        self._path = os.path.join(directory, "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self._path)
        self._socket.setblocking(False)

    def environment(self, watchdog_seconds=None):
        """What a service finds in its environment, beside all that is in ours."""
        environment = dict(os.environ, NOTIFY_SOCKET=self._path)
        if watchdog_seconds is not None:
            environment["WATCHDOG_USEC"] = str(round(watchdog_seconds * 1e6))
        return environment

    def heard(self):
        """The messages since the last call."""
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def wait_to_hear(self, message, times=1):
        """Until `message` has come that often; gives all that came."""
        messages = []

        def check():
            messages.extend(self.heard())
            return messages.count(message) >= times and messages
        return wait_for(check, lambda: f"{message} comes {times} times; there came {messages}")

    def hears_nothing(self, seconds):
        """Whether nothing comes for so long, from a moment on that is waited for."""
        def silence():
            self.heard()
            time.sleep(seconds)  # the interval that is looked at
            return self.heard() == []
        return wait_for(silence, f"nothing is told for {seconds} s")

    def close(self):
        self._socket.close()


def threads_of(pid):
    """{name: thread id}"""
    threads = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as name:
            threads[name.read().rstrip("\n")] = int(task)
    return threads


def kill_thread(pid, thread, number):
    """Sends a signal to one thread of a process."""
    tgkill = 234 if os.uname().machine == "x86_64" else 131
    if _LIBC.syscall(tgkill, pid, thread, int(number)) != 0:
        raise OSError(ctypes.get_errno(), "tgkill")


class HeldThread:
    """A thread of a child process that stands still until release(). OSError where the system does
    not allow that."""

    def __init__(self, thread):
        self._thread = thread
        self._ptrace(_PTRACE_SEIZE)
        self._ptrace(_PTRACE_INTERRUPT)
        os.waitpid(thread, _WAIT_FOR_ANY_THREAD)

    def release(self):
        if self._thread is None:
            return
        try:
            self._ptrace(_PTRACE_DETACH)
        except ProcessLookupError:  # it was killed meanwhile: only we can bury it
            os.waitpid(self._thread, _WAIT_FOR_ANY_THREAD)
        self._thread = None

    def _ptrace(self, request):
        if _LIBC.ptrace(request, self._thread, None, None) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
