"""Kills real daemons with SIGKILL at random moments of real transfers, and counts what that costs.

A transfer is one content, its seeders behind proxies that slow them down, and one downloader. What
is drawn at random is drawn from the seed and the transfer's number alone: the same shapes and
moments come again, as far as the machine keeps time.
"""
import concurrent.futures
import dataclasses
import itertools
import os
import random
import shutil
import sqlite3
import tempfile
import time

from p2p_content import CHUNK, MIB, make_tree
from p2p_harness import LOCALHOST, Daemon, link_to
from p2p_proxy import Proxy

# Seconds of data that a crash may cost: how often a download's have-set is committed.
SYNC_WINDOW = 1.0
# The share of transfers in which nothing is killed: what they cost beside is no kill's fault.
_UNHARMED = 0.1
_UNKNOWN = None


@dataclasses.dataclass
class KillFigures:
    """What `rounds` kills did. Everything from `lost_chunks` on is to be 0."""

    downloaders: int = 0  # killed, those that had just begun excepted
    seeders: int = 0
    starting: int = 0  # killed while they started, which is while they recovered from the last kill
    finished: int = 0  # kills of downloaders that had finished when they died
    transfers: int = 0
    unharmed: int = 0  # transfers in which nothing was killed
    claimed_chunks: int = 0  # that the catalog claimed at all deaths, each compared with the source
    found_chunks: int = 0  # that were whole on the disk beside those, and had again
    payload_bytes: int = 0  # of all transfers, once
    twice_bytes: int = 0  # more than that crossed the proxies, in transfers with kills
    twice_unharmed_bytes: int = 0  # the same in those without
    worst_twice_bytes: int = 0  # between two recoveries
    worst_twice_windows: float = 0.0  # the same in sync windows of its transfer
    worst_begun_bytes: int = 0  # of chunks that were begun: told by p2pctl, not had after the kill

    # Claimed by the catalog or whole on the disk (so is all that p2pctl told of, but what was begun)
    # before the kill, not had after it.
    lost_chunks: int = 0
    wrong_chunks: int = 0  # claimed by the catalog, and other bytes than the source's
    wrong_contents: int = 0  # with their final name, and not as they were shared
    failed_restarts: int = 0
    incomplete: int = 0  # transfers

    @property
    def rounds(self):
        return self.downloaders + self.seeders + self.starting

    def add(self, other):
        for field in dataclasses.fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            most = field.name.startswith("worst_")
            setattr(self, field.name, max(mine, theirs) if most else mine + theirs)

    def bad(self):
        """Those that are to be 0 and are not."""
        names = [field.name for field in dataclasses.fields(self)]
        return {name: getattr(self, name) for name in names[names.index("lost_chunks"):]
                if getattr(self, name)}

    def lines(self):
        figures = {"kills": self.rounds, **dataclasses.asdict(self)}
        return [f"{name.replace('_', ' '):22} {value:.2f}" if isinstance(value, float)
                else f"{name.replace('_', ' '):22} {value:,}" for name, value in figures.items()]


class KillTransfer:
    """The transfer `number` of a run, in `directory`, with at most `most_kills`."""

    def __init__(self, directory, seed, number, most_kills):
        self.figures = KillFigures()
        self.problems = []
        self._random = random.Random(f"{seed}/{number}")
        self._name = f"seed {seed} transfer {number}"
        self._directory = directory
        self._most_kills = most_kills
        self._processes = []
        self._proxies = []
        self._twice = 0  # bytes, until the last recovery
        self._seconds_to_start = 0.05

        draw = self._random
        self._rate = draw.choice((4, 8, 16)) * MIB
        self._files = self._draw_files()
        self._size = sum(map(len, self._files.values()))
        self._seeder_count = draw.choice((1, 1, 2, 4))
        self._kills = 0 if draw.random() < _UNHARMED else draw.randint(1, 7)

    def _draw_files(self):
        """Contents by path, in the order of the manifest; a single file has the path ""."""
        draw = self._random
        if draw.random() < 0.7:
            return {"": draw.randbytes(draw.randrange(MIB, 12 * MIB))}
        return {f"{i % 3}/{i:03}": draw.randbytes(draw.choice((0, 7, 20_000, CHUNK, 3 * CHUNK + 1)))
                for i in sorted(range(draw.randint(3, 30)), key=lambda i: (i % 3, i))} | \
               {"9/last": draw.randbytes(2 * MIB)}

    def run(self):
        """The figures; what went wrong stands in `problems`, in words."""
        try:
            self._run()
        except AssertionError as error:
            self.figures.incomplete += 1
            self._problem(f"did not complete: {error}")
            for process in self._processes:
                self.problems.append(f"--- {process.name}\n{process.log()[-4000:]}")
        finally:
            for proxy in self._proxies:
                proxy.close()
            for process in self._processes:
                process.kill9()
        return self.figures

    def _problem(self, what):
        self.problems.append(f"{self._name}: {what}")

    def _run(self):
        source = os.path.join(self._directory, "content")
        make_tree(source, {os.path.join("content", path) if path else "content": data
                           for path, data in self._files.items()})
        self._source = os.path.join(source, "content")
        seeders = [self._start_seeder(i) for i in range(self._seeder_count)]
        self._proxies = [Proxy((LOCALHOST, seeder.port),
                               bytes_a_second=self._rate / self._seeder_count)
                         for seeder in seeders]
        magnet = link_to(seeders[0].transfer(1), *self._proxies)

        self._peer = self._make("peer")
        self._start(self._peer)
        self._id = self._peer.get_detached(magnet)["id"]
        while self.figures.rounds < min(self._kills, self._most_kills):
            if self._random.random() < 0.7:
                self._kill_downloader()
            else:
                which = self._random.randrange(self._seeder_count)
                self._sleep_in_transfer()
                self._kill_seeder(seeders[which], self._proxies[which])
        seen = self._peer.wait_state(self._id, "complete")
        self._check_final(seen["path"])
        self._count_end()

    def _make(self, name):
        daemon = Daemon(self._directory, name)
        self._processes.append(daemon)
        return daemon

    def _start(self, daemon):
        """Also kills it while it starts, now and then; returns when it answers."""
        while self._kills > self.figures.rounds and self._most_kills > self.figures.rounds \
                and daemon.killed and self._random.random() < 0.3:
            daemon.spawn()
            time.sleep(self._random.uniform(0, 1.5 * self._seconds_to_start))
            daemon.kill9()
            self.figures.starting += 1
            if daemon.name == "peer":
                self._check_disk()
        began = time.monotonic()
        try:
            daemon.start()
        except AssertionError:
            self.figures.failed_restarts += daemon.killed
            raise
        self._seconds_to_start = time.monotonic() - began

    def _start_seeder(self, number):
        seeder = self._make(f"seeder-{number}")
        self._start(seeder)
        sharing = seeder.start_ctl("--json", "share", self._source)
        sharing.stdout.readline()  # it is accepted
        if self._kills > self.figures.rounds and self._random.random() < 0.2:
            time.sleep(self._random.uniform(0, 0.03))
            self._kill(seeder, "seeders")
            self._start(seeder)
        sharing.communicate()
        seeder.wait_state(1, "seeding")
        return seeder

    def _kill(self, daemon, figure):
        daemon.kill9()
        setattr(self.figures, figure, getattr(self.figures, figure) + 1)

    def _kill_seeder(self, seeder, proxy):
        self._kill(seeder, "seeders")
        self._start(seeder)
        proxy.retarget((LOCALHOST, seeder.port))
        seeder.wait_state(1, "seeding")

    def _kill_downloader(self):
        moment = self._random.random()
        if moment < 0.3:
            self._sleep_until_end()
        elif moment < 0.5 and self.figures.downloaders == 0:
            # While it learns what it is to fetch and finds a place for it.
            time.sleep(self._random.uniform(0, 0.04))
        else:
            self._sleep_in_transfer()
        told = self._peer.transfer(self._id)["bytes_done"]
        self._kill(self._peer, "downloaders")
        # So that what is had after the kill is told from what is fetched again. Now and then it is
        # not: a real network does not wait either.
        held = self._random.random() < 0.8
        if held:
            for proxy in self._proxies:
                proxy.hold()
        whole = self._check_disk()
        self._start(self._peer)
        if whole is not _UNKNOWN:
            seen = self._peer.wait_transfer(
                self._id, lambda t: t["state"] in ("downloading", "complete"), "it has recovered")
            self._check_recovered(seen["bytes_done"], told, whole)
            if held:
                self._count_twice(seen["bytes_done"])
        for proxy in self._proxies:
            proxy.allow()

    def _sleep_in_transfer(self):
        """Until any moment of what is left of it, the end excepted."""
        done = self._peer.transfer(self._id)["bytes_done"]
        time.sleep(self._random.uniform(0, (self._size - done) / self._rate))

    def _sleep_until_end(self):
        """Until a moment about the last chunk, the final name and the catalog's word on it."""
        self._peer.wait_bytes(self._id, max(1, self._size - 3 * CHUNK), "it nears its end")
        time.sleep(self._random.uniform(0, 0.02 + 3 * CHUNK / self._rate))

    def _check_recovered(self, left, told, whole):
        # Each seeder may have begun one chunk.
        lost = max(told - self._seeder_count * CHUNK, whole) - left
        if lost > 0:
            self.figures.lost_chunks += -(-lost // CHUNK)
            self._problem(f"p2pctl told of {told} bytes, {whole} were there in whole chunks, {left}"
                          f" are left: {self._peer.log()[-1500:]}")
        self.figures.worst_begun_bytes = max(self.figures.worst_begun_bytes, told - left)

    def _check_disk(self):
        """Compares what the dead downloader's catalog claims with the source. The bytes in whole
        chunks on its disk; _UNKNOWN while its catalog has not got the manifest."""
        finished, have, has_hashes = self._read_catalog()
        final = os.path.join(self._peer.downloads, "content")
        if finished:
            self.figures.finished += 1
        if finished or os.path.exists(final):
            # Its final name is given to what is complete, before or after the catalog says so.
            self._check_final(final)
            return self._size
        if not has_hashes:
            return _UNKNOWN
        whole, chunk = 0, 0
        for path, data in self._files.items():
            for at in range(0, len(data), CHUNK):
                claimed = chunk // 8 < len(have) and have[chunk // 8] & 0x80 >> chunk % 8
                wanted = data[at:at + CHUNK]
                if self._read_part(final + ".part", path, at) == wanted:
                    whole += len(wanted)
                    self.figures.found_chunks += not claimed
                elif claimed:
                    self.figures.wrong_chunks += 1
                    self._problem(f"chunk {chunk} is claimed and is not there")
                self.figures.claimed_chunks += bool(claimed)
                chunk += 1
        return whole

    @staticmethod
    def _read_part(part, path, offset):
        try:
            with open(os.path.join(part, path) if path else part, "rb") as file:
                file.seek(offset)
                return file.read(CHUNK)
        except FileNotFoundError:
            return b""

    def _read_catalog(self):
        """Whether it is finished, its have-set, and whether the chunk hashes are there. Of a copy:
        to look at it is to recover it."""
        with tempfile.TemporaryDirectory(dir=self._directory) as copy:
            for name in ("catalog.db", "catalog.db-wal"):
                original = os.path.join(self._peer.state_dir, name)
                if os.path.exists(original):
                    shutil.copy(original, copy)
            catalog = sqlite3.connect(os.path.join(copy, "catalog.db"))
            try:
                row = catalog.execute(
                    "SELECT finished, have.data, length(chunk_hashes) FROM transfers"
                    " LEFT JOIN have USING(id) LEFT JOIN manifests USING(id)").fetchone()
            finally:
                catalog.close()
        if row is None:
            self.figures.lost_chunks += 1
            self._problem("the transfer is gone from the catalog")
            return False, b"", False
        return bool(row[0]), row[1] or b"", bool(row[2])

    def _check_final(self, final):
        for path, data in self._files.items():
            try:
                with open(os.path.join(final, path) if path else final, "rb") as file:
                    right = file.read() == data
            except OSError:
                right = False
            if not right:
                self.figures.wrong_contents += 1
                self._problem(f"{final} has its name and is not what was shared")
                return

    def _count_twice(self, bytes_done):
        twice = sum(proxy.bytes_down for proxy in self._proxies) - bytes_done
        more = twice - self._twice
        self._twice = twice
        self.figures.worst_twice_bytes = max(self.figures.worst_twice_bytes, more)
        self.figures.worst_twice_windows = max(self.figures.worst_twice_windows,
                                               more / self._rate / SYNC_WINDOW)

    def _count_end(self):
        self.figures.transfers += 1
        self.figures.payload_bytes += self._size
        unharmed = self.figures.rounds == 0
        self.figures.unharmed += unharmed
        twice = sum(proxy.bytes_down for proxy in self._proxies) - self._size
        if unharmed:
            self.figures.twice_unharmed_bytes += twice
        else:
            self.figures.twice_bytes += twice


class KillLoop:
    """Transfers, so many at once, until there were `rounds` kills. `directories` take turns."""

    def __init__(self, seed, directories):
        self._seed = seed
        self._directories = directories
        self.figures = KillFigures()

    def run(self, rounds, first=1, at_once=1):
        """Yields the problems of each transfer, a list of sentences. With several at once there may
        be some more kills."""
        numbers = itertools.count(first)
        running = set()
        with concurrent.futures.ThreadPoolExecutor(at_once) as threads:
            while running or self.figures.rounds < rounds:
                left = rounds - self.figures.rounds
                while left > 0 and len(running) < at_once:
                    running.add(threads.submit(self._transfer, next(numbers), left))
                ended, running = concurrent.futures.wait(
                    running, return_when=concurrent.futures.FIRST_COMPLETED)
                for transfer in ended:
                    figures, problems = transfer.result()
                    self.figures.add(figures)
                    yield problems

    def _transfer(self, number, most_kills):
        base = self._directories[number % len(self._directories)]
        with tempfile.TemporaryDirectory(prefix="p2p-kill-", dir=base) as directory:
            transfer = KillTransfer(directory, self._seed, number, most_kills)
            return transfer.run(), transfer.problems
