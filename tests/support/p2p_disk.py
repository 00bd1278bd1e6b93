"""Disks of a test's own: a tmpfs that is mounted where the test wants it."""
import os
import subprocess


def mount_disk(test, place, size, mode="755"):
    """A file system of `size` bytes at `place`, a directory of the test's own that is made where it
    is missing. Unmounted when the test ends. Only root can do that: others skip the test."""
    if os.geteuid() != 0:
        test.skipTest("only root can mount a small tmpfs")
    os.makedirs(place, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode={mode}", "p2p-test",
                           place], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        test.skipTest("a tmpfs cannot be mounted here: " + done.stderr.strip())
    # Before the directory is removed: clean-ups run in the reverse order.
    test.addCleanup(subprocess.run, ["umount", "-l", place], check=False, capture_output=True)
    return place


def move_mount(place, to):
    """What is mounted at `place` is mounted at `to` instead."""
    os.makedirs(to, exist_ok=True)
    subprocess.run(["mount", "--bind", place, to], check=True)
    subprocess.run(["umount", place], check=True)


def remount(place, options):
    subprocess.run(["mount", "-o", "remount," + options, place], check=True)


def fill(place):
    """Until nothing fits any more."""
    with open(os.path.join(place, "filler"), "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"\0" * 65_536)
        except OSError:
            pass


def free(place):
    """What fill() took."""
    os.unlink(os.path.join(place, "filler"))
