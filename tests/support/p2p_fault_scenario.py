"""Share, get, stop in the middle, resume, complete: with a fault in one of the two daemons.

A Scenario keeps what has no faults running from one run to the next: the tracker, the other daemon.
run() does it all once, with the faults that are armed, and raises Broken where a promise is not
kept: a chunk claimed that is not there, a wrong byte, a daemon that neither answers nor has said
why it ended, a state that does not open, a transfer that does not complete.
"""
import os
import shutil
import signal
import sqlite3
import time

from p2p_call_faults import CallFaults
from p2p_content import CHUNK, make_bytes, make_tree, tree_of
from p2p_harness import LOCALHOST, POLL_INTERVAL, Daemon, Tracker, link_to
from p2p_proxy import Proxy

FILES = {"big": make_bytes(3 * CHUNK + 5), "sub/short": b"short", "empty": b"",
         "tool": (b"#!/bin/sh\n", 0o755)}
NAME = "tree"
# Lets the first chunk and a half of the big file through.
MIDDLE_BYTES = CHUNK * 3 // 2
# Seconds. A run without a fault waits for none of them.
PATIENCE = 30.0
# When nothing moved for so long, the user resumes by hand.
USER_WAITS = 0.4


class Broken(AssertionError):
    """A promise that a run did not keep."""


class Scenario:
    """`directory` is this scenario's own. Subclasses have the faults in one of the daemons."""

    def __init__(self, directory):
        self.directory = directory
        self.source = os.path.join(directory, NAME)
        make_tree(self.source, FILES)
        self.wanted = tree_of(self.source)
        self.faults = CallFaults(os.path.join(directory, "faults"))
        self.tracker = Tracker(directory).start()
        self.other = None
        self.faulty = None
        self.runs = 0
        self.proxy = None
        self.said = []  # reasons that the faulty daemon gave in this run
        self.old_log = 0  # bytes of its log before it was last started
        self.may_abort = False  # without a word, as C libraries do when there is no memory

    def close(self):
        self.faults.disarm()
        for process in (self.faulty, self.other, self.tracker):
            if process is not None:
                process.kill9()
        if self.proxy is not None:
            self.proxy.close()
        self.faults.close()

    def run(self):
        self.runs += 1
        self.said = []
        home = os.path.join(self.directory, str(self.runs))
        try:
            self.go_through(home)
            self.faulty.stop()
            self.check_state()
        except Broken:
            raise
        except AssertionError as error:
            raise Broken(str(error)) from error
        finally:
            self.faulty.kill9()
            self.proxy.close()
        shutil.rmtree(home)

    def go_through(self, home):
        raise NotImplementedError

    # --- The daemon with faults ---

    def make_faulty(self, home, trackers):
        os.makedirs(home)
        self.faulty = Daemon(home, "faulty", trackers, env=self.faults.env())

    def start_faulty(self):
        """A start may fail, with a reason; the one after it finds its state and goes on."""
        injected = -1
        while self.faults.injected != injected:
            injected = self.faults.injected
            self.old_log = len(self.faulty.log())
            self.faulty.spawn()
            if self.until(lambda: not self.faulty.running or self.answers(), "it starts or ends"):
                if self.faulty.running:
                    return
            self.explain_end()
        raise Broken(f"it does not start without a fault: {self.faulty.log()[-2000:]}")

    def answers(self):
        return os.path.exists(self.faulty.socket) and self.faulty.ctl("status").code == 0

    def explain_end(self):
        code = self.faulty.exit_code
        if self.may_abort and code == -signal.SIGABRT:
            return
        log = self.faulty.log()[self.old_log:]
        reasons = [line for line in log.splitlines() if line.startswith("p2pd: ")]
        if code is None or code < 0 or not reasons:
            raise Broken(f"it ended with {code} and said {log[-2000:]!r}")
        self.said.append(reasons[-1])

    def be_running(self):
        if not self.faulty.running:
            self.explain_end()
            self.start_faulty()

    def ask(self, *arguments):
        """p2pctl of the faulty daemon, again as long as calls meet faults. (A daemon that ends over
        one may do so a little later.)"""
        tries_without = 0
        while tries_without < 3:
            injected = self.faults.injected
            self.be_running()
            result = self.faulty.ctl("--json", *arguments)
            if result.code == 0:
                return result.last
            tries_without = 0 if self.faults.injected != injected else tries_without + 1
            if not result.err.strip():
                raise Broken(f"p2pctl {arguments} failed without a reason: {result}")
            self.said.append(result.err.strip())
        raise Broken(f"p2pctl {arguments} fails without a fault: {result}")

    def stop_in_the_middle(self):
        self.faulty.stop()
        if self.faulty.exit_code != 0:
            self.explain_end()
        self.check_state()

    # --- Both ---

    def until(self, condition, what, patience=PATIENCE):
        end = time.monotonic() + patience
        while not (result := condition()):
            if time.monotonic() > end:
                raise Broken("waited in vain until " + (what() if callable(what) else what))
            time.sleep(POLL_INTERVAL)
        return result

    def carry_through(self, daemon, transfer, states):
        """Until the transfer is in one of `states`. Where it tells a reason for being at rest, or
        nothing moves, the user resumes it."""
        patient_until = time.monotonic() + USER_WAITS
        bytes_done = -1

        def check():
            nonlocal patient_until, bytes_done
            self.be_running()
            seen = daemon.ctl("--json", "status", str(transfer))
            if seen.code != 0:
                return False
            seen = seen.last
            if seen["state"] in states:
                return True
            if seen["state"] == "error":
                if not seen["error"]:
                    raise Broken("an error without a reason")
                self.said.append(seen["error"])
            now = time.monotonic()
            if seen["bytes_done"] != bytes_done:
                bytes_done, patient_until = seen["bytes_done"], now + USER_WAITS
            if seen["state"] in ("error", "paused") or now > patient_until:
                patient_until = now + USER_WAITS
                daemon.ctl("resume", str(transfer))
            return False
        self.until(check, lambda: f"{transfer} is {states}")

    def check_state(self):
        """The catalog of the stopped daemon: whole, and right about what is there."""
        path = os.path.join(self.faulty.state_dir, "catalog.db")
        if not os.path.exists(path):
            return
        aside = [name for name in os.listdir(self.faulty.state_dir) if ".corrupt-" in name]
        if aside:
            raise Broken(f"a catalog that is well was set aside as {aside}")
        database = sqlite3.connect(path)
        try:
            if database.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise Broken("the catalog is damaged")
            rows = database.execute(
                "SELECT t.path, t.kind, t.finished, h.data FROM transfers t LEFT JOIN have h "
                "ON t.id = h.id").fetchall()
        except sqlite3.DatabaseError as error:
            raise Broken(f"the catalog cannot be read: {error}") from error
        finally:
            database.close()
        for target, kind, finished, have in rows:
            if kind == 1 and finished:
                self.check_tree(target)
            elif kind == 1 and have:
                self.check_claims(target, have)

    def check_tree(self, target):
        found = tree_of(target)
        if found != self.wanted:
            raise Broken(f"{target} is not what was shared: {sorted(found)}")

    def check_claims(self, target, have):
        """`have`: a bit for each chunk, the highest of a byte first, in the manifest's order."""
        chunk = 0
        for name in sorted(FILES):
            data = FILES[name] if isinstance(FILES[name], bytes) else FILES[name][0]
            for at in range(0, len(data), CHUNK):
                if have[chunk // 8] >> (7 - chunk % 8) & 1:
                    self.check_chunk(os.path.join(target, name), at, data[at:at + CHUNK])
                chunk += 1

    def check_chunk(self, path, at, wanted):
        if NAME not in os.path.dirname(path):
            raise Broken(f"a chunk is claimed, and not where: {path}")
        # It may have its final name already, which the catalog learns next.
        place, name = path.split("/" + NAME + "/", 1)
        for root in (NAME + ".part", NAME):
            try:
                with open(os.path.join(place, root, name), "rb") as file:
                    file.seek(at)
                    if file.read(len(wanted)) == wanted:
                        return
            except FileNotFoundError:
                pass
        raise Broken(f"a chunk is claimed and not there: {path}, at {at}")


class FaultsInGet(Scenario):
    """The downloading daemon has faults; the other one shares behind a proxy."""

    def __init__(self, directory):
        super().__init__(directory)
        self.other = Daemon(directory, "seed").start()
        self.shared = self.other.share(self.source)
        self.size = sum(len(d if isinstance(d, bytes) else d[0]) for d in FILES.values())

    def go_through(self, home):
        self.proxy = Proxy((LOCALHOST, self.other.port), budget=MIDDLE_BYTES)
        answer = self.tracker.announce(NAME, self.size, self.shared["content_id"],
                                       self.proxy.address)
        assert answer.startswith("OK"), answer
        try:
            self.make_faulty(home, [self.tracker.address])
            self.start_faulty()
            transfer = self.ask("get", NAME, "--detach")["id"]
            self.come_to_the_middle(transfer)
            self.stop_in_the_middle()
            self.start_faulty()
            self.proxy.allow()
            self.carry_through(self.faulty, transfer, ("complete",))
            injected = self.faults.injected
            self.faulty.stop()
            self.check_state()
            if injected:
                self.faults.disarm()
                self.start_faulty()
                self.carry_through(self.faulty, transfer, ("complete",))
        finally:
            self.tracker.ask(f"UNREGISTER {self.proxy.address}")
        self.check_tree(os.path.join(self.faulty.downloads, NAME))
        left = [name for name in os.listdir(self.faulty.downloads) if name != NAME]
        if left:
            raise Broken(f"{left} was left")

    def come_to_the_middle(self, transfer):
        """Some bytes are here, or the fault has ended it."""
        resumed = time.monotonic()

        def check():
            nonlocal resumed
            if not self.faulty.running:
                return True
            seen = self.faulty.ctl("--json", "status", str(transfer))
            if seen.code != 0:
                return False
            state = seen.last["state"]
            if self.proxy.is_dry or seen.last["bytes_done"] or state in ("error", "paused"):
                return True
            if time.monotonic() > resumed + USER_WAITS:
                resumed = time.monotonic()
                self.faulty.ctl("resume", str(transfer))
            return False
        self.until(check, "a part is there")


class FaultsInShare(Scenario):
    """The sharing daemon has faults; the other one fetches from it through a proxy."""

    def __init__(self, directory):
        super().__init__(directory)
        self.other = Daemon(directory, "fetcher").start()

    def go_through(self, home):
        self.proxy = Proxy((LOCALHOST, 1), budget=MIDDLE_BYTES)
        self.make_faulty(home, [self.tracker.address])
        self.start_faulty()
        shared = self.share()
        self.proxy.retarget((LOCALHOST, self.port()))
        output = os.path.join(home, "out")
        fetched = self.other.get_detached(link_to(shared, self.proxy), output)["id"]
        try:
            self.come_to_the_middle(fetched)
            self.stop_in_the_middle()
            self.start_faulty()
            self.carry_through(self.faulty, shared["id"], ("seeding",))
            self.proxy.allow()
            self.proxy.retarget((LOCALHOST, self.port()))
            self.other.must("resume", str(fetched))
            self.carry_through(self.other, fetched, ("complete",))
        finally:
            self.other.ctl("remove", str(fetched))
        self.check_tree(output)

    def share(self):
        injected = -1
        while self.faults.injected != injected:
            injected = self.faults.injected
            shared = self.ask("share", self.source)
            if shared["state"] == "seeding":
                return shared
        raise Broken(f"it does not share: {shared}")

    def be_running(self):
        if not self.faulty.running:
            super().be_running()
            self.proxy.retarget((LOCALHOST, self.port()))

    def port(self):
        return int(self.ask("status")["listen"].rpartition(":")[2])

    def come_to_the_middle(self, fetched):
        resumed = time.monotonic()

        def check():
            nonlocal resumed
            self.be_running()
            seen = self.other.transfer(fetched)
            if self.proxy.is_dry or seen["bytes_done"]:
                return True
            if time.monotonic() > resumed + USER_WAITS:
                resumed = time.monotonic()
                self.other.ctl("resume", str(fetched))
            return False
        self.until(check, "a part was fetched")
