"""Real redis-servers for the tests, and what they are asked."""
import os
import socket
import subprocess

from p2p_harness import DEADLINE, LOCALHOST, Process, free_port, wait_for


def _read_reply(stream):
    """One reply; error replies are raised."""
    line = stream.readline().rstrip(b"\r\n")
    kind, rest = line[:1], line[1:]
    if kind == b"-":
        raise RuntimeError(rest.decode())
    if kind in (b"+", b":"):
        return rest.decode()
    if kind == b"$":
        size = int(rest)
        return None if size < 0 else stream.read(size + 2)[:-2].decode()
    assert kind == b"*", line
    return [_read_reply(stream) for _ in range(int(rest))]


class RedisServer(Process):
    """With its files in `directory`/`name`; `arguments` as redis-server takes them. Keeps what it has over kill9()
    and start() when it is told to (`keep`)."""

    def __init__(self, directory, name="redis", arguments=(), keep=False, port=None):
        home = os.path.join(directory, name)
        os.makedirs(home, exist_ok=True)
        self.port = port or free_port()
        command = ["redis-server", "--bind", LOCALHOST, "--dir", home, "--save", ""]
        if "--port" not in arguments:
            command += ["--port", str(self.port)]
        command += ["--appendonly", "yes", "--appendfsync", "always"] if keep else []
        super().__init__(command + list(arguments), os.path.join(directory, name + ".log"), cwd=home)

    def url(self, scheme="redis", user="", database=0):
        return f"{scheme}://{user}{LOCALHOST}:{self.port}/{database}"

    def start(self):
        self.spawn()

        def ready():
            if not self.running:
                raise AssertionError(f"redis-server ended with {self.exit_code}: {self.log()}")
            try:
                socket.create_connection((LOCALHOST, self.port), DEADLINE).close()
            except ConnectionRefusedError:
                return False
            return True
        wait_for(ready, "redis-server listens")
        return self

    def ask(self, *words):
        """What it answers to one command on a connection of its own; error replies are raised."""
        request = b"*%d\r\n" % len(words)
        for word in words:
            text = str(word).encode()
            request += b"$%d\r\n%s\r\n" % (len(text), text)
        with socket.create_connection((LOCALHOST, self.port), DEADLINE) as connection:
            connection.sendall(request)
            with connection.makefile("rb") as stream:
                return _read_reply(stream)


class RedisCluster:
    """Three masters, without replicas. `start_server(arguments, name)` starts one of them."""

    def __init__(self, start_server):
        self._start_server = start_server
        self._first_bus_port = 0
        self.nodes = []
        for number in range(3):
            node = self._start(f"node{number}")
            node.ask("CLUSTER", "ADDSLOTSRANGE", number * 5461, 16383 if number == 2 else number * 5461 + 5460)
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            self._join(node)
            self.nodes.append(node)
        for node in self.nodes:
            wait_for(lambda node=node: "cluster_state:ok" in node.ask("CLUSTER", "INFO") and
                     len(node.ask("CLUSTER", "SLOTS")) == 3, "the cluster is whole")

    def _start(self, name):
        # The port among each other is 10,000 above the other one by default, where there may be none.
        bus_port = free_port()
        if not self.nodes:
            self._first_bus_port = bus_port
        return self._start_server(("--cluster-enabled", "yes", "--cluster-node-timeout", "2000",
                                   "--cluster-port", str(bus_port)), name)

    def _join(self, node):
        if self.nodes:
            node.ask("CLUSTER", "MEET", LOCALHOST, self.nodes[0].port, self._first_bus_port)

    def add_replica(self, master):
        """A node that has what `master` has, and takes its place when it dies."""
        replica = self._start(f"replica-of-{master.port}")
        self._join(replica)
        master_id = master.ask("CLUSTER", "MYID")
        wait_for(lambda: master_id in replica.ask("CLUSTER", "NODES"), "it knows its master")
        replica.ask("CLUSTER", "REPLICATE", master_id)
        wait_for(lambda: "master_link_status:up" in replica.ask("INFO", "replication"), "it has everything")
        # Only who is known to all others is voted for.
        replica_id = replica.ask("CLUSTER", "MYID")
        for node in self.nodes:
            wait_for(lambda node=node: f"slave {master_id}" in next(
                line for line in node.ask("CLUSTER", "NODES").splitlines() if replica_id in line),
                "all know of it")
        return replica

    def keys(self):
        return [len(node.ask("KEYS", "p2p:peer:*")) for node in self.nodes]


def make_certificate(directory, name, *, authority=None, hosts="IP:127.0.0.1,DNS:localhost"):
    """PEM files <name>.crt and <name>.key, signed by `authority` (a name) or by itself; their paths."""
    certificate, key = (os.path.join(directory, name + end) for end in (".crt", ".key"))
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
               "-nodes", "-days", "2", "-subj", "/CN=" + name, "-keyout", key, "-out", certificate]
    if authority is None:
        command += ["-addext", "basicConstraints=critical,CA:TRUE"]
    else:
        command += ["-CA", os.path.join(directory, authority + ".crt"),
                    "-CAkey", os.path.join(directory, authority + ".key"),
                    "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=" + hosts]
    subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE)
    return certificate, key
