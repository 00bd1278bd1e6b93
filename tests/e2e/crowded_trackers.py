"""One host registers at a real tracker whatever it may: others are found as if it were not there."""
import socket

from p2p_content import MIB, make_file
from p2p_harness import DEADLINE, LOCALHOST, P2pTest
from p2p_server import announcement

HONEST = [f"127.0.0.{n}" for n in range(2, 12)]
EVIL = "127.0.0.66"
NAME = "good.iso"
CONTENT_ID = "ab" * 32


class CrowdedTrackersTest(P2pTest):
    def setUp(self):
        super().setUp()
        self.crowded = self.tracker()

    def connect(self, source):
        return socket.create_connection((LOCALHOST, self.crowded.port), DEADLINE, (source, 0))

    def tell(self, source, requests):
        """From this host; all are taken."""
        with self.connect(source) as connection:
            connection.sendall(b"".join(requests))
            with connection.makefile("rb") as answers:
                for request in requests:
                    self.assertRegex(answers.readline(), b"^OK ", request)

    def crowd(self, content_id):
        """Other names and another size of the content, and other contents and sizes of the name."""
        self.tell(EVIL, [announcement("zzz", 1, content_id, f"{EVIL}:{20000 + i}")
                         for i in range(300)])
        self.tell(EVIL, [announcement(f"z{i}", 1, content_id, f"{EVIL}:9") for i in range(100)])
        self.tell(EVIL, [f"REGISTER {NAME} 7 {EVIL}:{30000 + i}\n".encode() for i in range(300)])
        self.tell(EVIL, [announcement(NAME, 1001, f"{i % 16:064x}", f"{EVIL}:{40000 + i}")
                         for i in range(192)])

    def found(self, question="FIND " + NAME):
        """The lines of the answer."""
        with self.connect(LOCALHOST) as connection:
            connection.sendall(f"{question}\n".encode())
            with connection.makefile("rb") as answer:
                header = answer.readline()
                return answer.read(int(header.rpartition(b"+")[2])).decode().splitlines()

    def test_V03_one_host_neither_hides_nor_drowns_what_others_share(self):
        for host in HONEST:
            self.tell(host, [announcement(NAME, 1000, CONTENT_ID, f"{host}:9001")])
        self.crowd(CONTENT_ID)
        size, _, *peers = self.found("PEERS " + CONTENT_ID)[0].split()[1:]
        self.assertEqual(size, "1000")
        self.assertLessEqual({f"{host}:9001" for host in HONEST}, set(peers))
        self.assertLessEqual(sum(peer.startswith(EVIL) for peer in peers), 4)
        self.assertEqual(self.crowded.ask("LOOKUP " + NAME).split()[1], "1000")
        found = self.found()
        self.assertEqual(len(found), 16)
        self.assertTrue(found[0].startswith(CONTENT_ID), "shared furthest")

    def test_V03_the_only_peer_of_a_content_is_found_by_name_and_by_id(self):
        a, d = self.daemon("a", [self.crowded]), self.daemon("d", [self.crowded])
        digest = make_file(self.path(NAME), MIB)
        content_id = a.share(self.path(NAME))["content_id"]
        self.crowded.wait_lists(NAME, a.address)
        self.crowd(content_id)
        self.assertTrue([line for line in self.found() if line.startswith(content_id)])
        got = d.get(content_id, self.path("got"))
        self.assertEqual(got["state"], "complete")
        self.assert_same_file(self.path("got"), digest)
