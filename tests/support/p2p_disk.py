"""Disks of a test's own, mounted where the test wants them: a tmpfs, or an ext4 in a file."""
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


def mount_ext4(test, place, size, made_at=None):
    """The same with ext4, on which space can be reserved; made at a time of the clock's."""
    if os.geteuid() != 0:
        test.skipTest("only root can mount a small ext4")
    os.makedirs(place, exist_ok=True)
    image = place + ".ext4"
    with open(image, "wb") as empty:
        empty.truncate(size)
    env = dict(os.environ) if made_at is None else dict(os.environ, E2FSPROGS_FAKE_TIME=str(made_at))
    for command in (["mkfs.ext4", "-q", "-F", "-m", "0", image], ["mount", "-o", "loop", image, place]):
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
        if done.returncode != 0:
            test.skipTest("an ext4 cannot be mounted here: " + done.stderr.strip())
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


def free(place, size=None):
    """What fill() took, or `size` bytes of it."""
    filler = os.path.join(place, "filler")
    if size is None:
        os.unlink(filler)
    else:
        os.truncate(filler, os.path.getsize(filler) - size)
