"""What a running daemon shows to the outside: sockets, descriptors, files."""
import os
import socket
import stat

from p2p_content import make_file
from p2p_harness import LOCALHOST, P2pTest, link_to, open_files, suites


@suites("portable", "sanitizers")
class ExposureTest(P2pTest):
    def sockets_of(self, pid):
        return {link[8:-1] for link in open_files(pid) if link.startswith("socket:[")}

    def listening_tcp(self, pid):
        mine, ports = self.sockets_of(pid), []
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            if not os.path.exists(table):
                continue
            with open(table, encoding="ascii") as rows:
                for row in list(rows)[1:]:
                    fields = row.split()
                    if fields[3] == "0A" and fields[9] in mine:
                        ports.append(int(fields[1].rpartition(":")[2], 16))
        return ports

    def listening_unix(self, pid):
        mine, paths = self.sockets_of(pid), []
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as rows:
            for row in list(rows)[1:]:
                fields = row.split()
                if fields[6] in mine and int(fields[3], 16) & 0x10000:
                    paths.append(fields[7] if len(fields) > 7 else "")
        return paths

    def test_G05_it_listens_on_one_tcp_port_for_peers_and_one_socket_for_control(self):
        tracker = self.tracker()
        a = self.daemon("a", [tracker])
        self.assertEqual(self.listening_tcp(a.pid), [a.port])
        self.assertEqual(self.listening_unix(a.pid), [a.socket])
        self.assertEqual(self.listening_tcp(tracker.pid), [tracker.port])

    def test_X07_no_descriptor_would_be_inherited_by_another_program(self):
        tracker = self.tracker()
        a, b = self.daemon("a", [tracker]), self.daemon("b", [tracker])
        make_file(self.path("x.bin"), 1000)
        a.share(self.path("x.bin"))
        b.get("x.bin")
        for process in (a, b, tracker):
            for fd in os.listdir(f"/proc/{process.pid}/fd"):
                if int(fd) < 3:
                    continue
                try:
                    with open(f"/proc/{process.pid}/fdinfo/{fd}", encoding="ascii") as info:
                        flags = next(l for l in info if l.startswith("flags:")).split()[1]
                    target = os.readlink(f"/proc/{process.pid}/fd/{fd}")
                except FileNotFoundError:
                    continue
                self.assertTrue(int(flags, 8) & 0o2000000, (process.arguments[0], fd, target))

    def test_state_and_socket_are_for_the_owner_only(self):
        a = self.daemon("a")
        self.assertEqual(stat.S_IMODE(os.stat(a.socket).st_mode), 0o600)
        for directory, _, names in os.walk(a.state_dir):
            self.assertEqual(stat.S_IMODE(os.stat(directory).st_mode) & 0o077, 0, directory)
            for name in names:
                mode = stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode)
                self.assertEqual(mode & 0o077, 0, name)

    def test_the_peer_id_lives_as_long_as_the_state_directory(self):
        a = self.daemon("a")
        first = a.status()["peer_id"]
        a.restart()
        self.assertEqual(a.status()["peer_id"], first)
        self.assertNotEqual(self.daemon("b").status()["peer_id"], first)

    def test_a_magnet_without_a_tracker_names_none(self):
        a = self.daemon("a")
        make_file(self.path("x.bin"), 1)
        self.assertNotIn("tr=", a.share(self.path("x.bin"))["magnet"])

    def test_strangers_who_connect_and_say_nothing_do_not_keep_others_out(self):
        a, b = self.daemon("a"), self.daemon("b")
        make_file(self.path("x.bin"), 1_000_000)
        shared = a.share(self.path("x.bin"))
        # Below the limit for one address.
        silent = [socket.create_connection((LOCALHOST, a.port), 10) for _ in range(40)]
        for connection in silent:
            self.addCleanup(connection.close)
        self.assertEqual(b.get(link_to(shared, a))["state"], "complete")
