"""The tracker beside Redis (GET and SADD) and opentracker (UDP announces), large, and with others on one Redis."""

import json
import pathlib
import re
import socket
import subprocess
import time

import process_meter
from case import OURS, Case, Work
from nodes import BUILT, LOOPBACK, BIN, Node, Tracker

LOAD = BUILT / "bench_tracker_load"
PEERS_A_NAME = 10
NAMES = 1000
DEPTH = 16
EXPIRING = 10_000
EXPIRY_SECONDS = 10


def load(port, work, **numbers):
    """The figures that the load tool prints."""
    words = [f"{name}={number}" for name, number in numbers.items()]
    done = subprocess.run([LOAD, str(port), work, *words], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


class OurTracker(Tracker):
    """With room for what the load tool does from few hosts."""

    def __init__(self, directory, *arguments):
        port = LOOPBACK.free_port()
        command = [BIN / "p2p-tracker", "--listen", f"127.0.0.1:{port}", *arguments]
        command += ["--max-new-connections-per-second", 1_000_000]
        Node.__init__(self, command, directory / "tracker.log")
        self.wait_for("listening on")
        self.port = port

    def resident_mib(self):
        return process_meter.anonymous_mib(self.pid)


def tracker(case, work):
    connections, seconds = case.options.connections, case.options.seconds
    with OurTracker(work) as ours:
        load(ours.port, "fill", names=NAMES, peers=PEERS_A_NAME)
        one = load(ours.port, "lookup", connections=connections, seconds=seconds)
        many = load(ours.port, "lookup", connections=connections, seconds=seconds, depth=DEPTH)
        register = load(ours.port, "register", connections=connections, seconds=seconds)
        mix = load(ours.port, "mix", connections=connections, seconds=seconds)
    return {
        "lookup_rate": one["rate"],
        "lookup_p99_ms": one["p99_ms"],
        "pipelined_lookup_rate": many["rate"],
        "register_rate": register["rate"],
        "mix_rate": mix["rate"],
    }


def redis_node(work):
    """A running redis-server and its port."""
    port = LOOPBACK.free_port()
    command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", work]
    server = Node(command, work / "redis.log")
    server.wait_for("Ready to accept")
    return server, port


def redis(case, work):
    server, port = redis_node(work)

    def rate(test, depth, seconds):
        # It is told a number of requests, not a time: about as many as take so long.
        requests = 50_000 * depth * seconds
        words = ["redis-benchmark", "-p", port, "-c", case.options.connections, "-n", requests]
        words += ["-t", test, "-P", depth, "-r", NAMES, "--csv"]
        done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, text=True, check=True)
        return float(re.search(r'"%s","([\d.]+)"' % test.upper(), done.stdout).group(1))

    with server:
        rate("set", DEPTH, 1)
        return {
            "lookup_rate": rate("get", 1, case.options.seconds),
            "pipelined_lookup_rate": rate("get", DEPTH, case.options.seconds),
            "register_rate": rate("sadd", 1, case.options.seconds),
        }


def opentracker(case, work):
    """An announce registers and asks at once, in one datagram each way: less work for the system than TCP."""
    port = LOOPBACK.free_port()
    command = ["opentracker", "-i", "127.0.0.1", "-P", port, "-p", port, "-d", work]
    with Node(command, work / "opentracker.log") as server:
        # It says nothing when it is ready.
        server.wait_until(lambda: f":{port:04X} " in pathlib.Path("/proc/net/udp").read_text(encoding="ascii"))
        done = load(port, "announce", connections=case.options.connections, seconds=case.options.seconds)
    return {"register_rate": done["rate"]}


def large(case, work):
    """Filled, with idle connections; and what expires at once."""
    names, idle = case.options.names, case.options.idle
    with OurTracker(work, "--ttl", 3600, "--max-memory", 4096) as ours:
        before = ours.resident_mib()
        load(ours.port, "fill", names=names, peers=PEERS_A_NAME, depth=100)
        filled = ours.resident_mib()
        lookups = load(ours.port, "lookup", names=names, seconds=case.options.seconds)
    with OurTracker(work) as ours:
        empty = ours.resident_mib()
        load_command = [LOAD, str(ours.port), "lookup", f"idle={idle}", "seconds=5"]
        with subprocess.Popen(load_command, stdout=subprocess.PIPE, text=True) as tool:
            most = 0.0
            while tool.poll() is None:
                most = max(most, ours.resident_mib())
                try:
                    tool.wait(0.1)
                except subprocess.TimeoutExpired:
                    pass
            beside_idle = json.loads(tool.stdout.read())
    with OurTracker(work, "--ttl", EXPIRY_SECONDS) as ours:
        load(ours.port, "fill", names=EXPIRING, peers=1, depth=100)
        expiry = lookups_past_expiry(ours)
    return {
        "registrations_anon_mib": filled - before,
        "lookup_p99_ms": lookups["p99_ms"],
        "beside_idle_p99_ms": beside_idle["p99_ms"],
        "idle_connection_bytes": (most - empty) * (1 << 20) / max(1, idle),
        "lookup_max_ms": expiry["max_ms"],
    }


def lookups_past_expiry(tracker):
    """For long enough that what was registered just before with a ttl of EXPIRY_SECONDS ends meanwhile."""
    return load(tracker.port, "lookup", names=EXPIRING, connections=8, seconds=EXPIRY_SECONDS + 3)


def empty_tracker(case, work):
    """Its slowest lookup is what the machine alone costs: nothing ends."""
    with OurTracker(work) as ours:
        lookups = load(ours.port, "lookup", names=case.options.names, seconds=case.options.seconds)
        calm = lookups_past_expiry(ours)
    return {"lookup_p99_ms": lookups["p99_ms"], "lookup_max_ms": calm["max_ms"]}


def ask(connection, line):
    connection.sendall(line + b"\n")
    answer = b""
    while not answer.endswith(b"\n"):
        answer += connection.recv(4096)
    return answer


def seconds_until_known(one, two, name, port):
    """From the moment at which `one` has answered a registration until `two` tells of it."""
    if not ask(one, b"REGISTER %s 7 127.0.0.1:%d" % (name, port)).startswith(b"OK"):
        raise RuntimeError("a registration was refused")
    began = time.perf_counter()
    while not ask(two, b"LOOKUP " + name).startswith(b"OK"):
        pass
    return time.perf_counter() - began


def shared(case, work):
    """Two trackers on one Redis: how soon the other one knows, one registration at a time and beside a load."""
    options = case.options
    server, port = redis_node(work)
    url = f"redis://127.0.0.1:{port}/0"
    quota = ["--max-registrations-per-address", 1_000_000]
    with server, OurTracker(work, "--store", url, *quota) as one:
        (work / "two").mkdir()
        with OurTracker(work / "two", "--store", url, *quota) as two:
            connections = [socket.create_connection(("127.0.0.1", node.port)) for node in (one, two)]
            waits = sorted(
                1000 * seconds_until_known(*connections, b"new-%d" % number, 1 + number % 60_000)
                for number in range(options.registrations)
            )
            load(one.port, "fill", names=NAMES, peers=PEERS_A_NAME)
            rates = rates_of(one, options)
            command = [LOAD, str(one.port), "register", f"seconds={options.seconds}", "connections=8"]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL) as tool:
                busy = []
                while tool.poll() is None:
                    name = b"busy-%d" % len(busy)
                    busy.append(1000 * seconds_until_known(*connections, name, 1 + len(busy) % 60_000))
            for connection in connections:
                connection.close()
    return {
        "median_ms": waits[len(waits) // 2],
        "p99_ms": waits[len(waits) * 99 // 100],
        "slowest_ms": waits[-1],
        "busy_slowest_ms": max(busy),
        **rates,
    }


def alone(case, work):
    with OurTracker(work) as one:
        load(one.port, "fill", names=NAMES, peers=PEERS_A_NAME)
        return rates_of(one, case.options)


def rates_of(node, options):
    def rate(work):
        return load(node.port, work, connections=options.connections, seconds=options.seconds)["rate"]

    return {"lookup_rate": rate("lookup"), "register_rate": rate("register")}


def no_files(options, directory):
    return Case(directory, 0, options)


WORKS = {
    "tracker": Work(
        {"connections": 64, "seconds": 4}, no_files, {OURS: tracker, "redis": redis, "opentracker": opentracker}
    ),
    "tracker-store": Work(
        {"registrations": 1000, "connections": 64, "seconds": 4}, no_files, {OURS: shared, "alone": alone}
    ),
    "large-tracker": Work(
        {"names": 1_000_000, "idle": 18_000, "seconds": 5}, no_files, {OURS: large, "empty": empty_tracker}
    ),
}
