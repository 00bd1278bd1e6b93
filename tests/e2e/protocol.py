"""What docs/protocol.md promises to programs that others write, asked of the programs over real connections."""
from p2p_content import LEAF, MIB, Content, make_bytes, make_file
from p2p_harness import LOCALHOST, P2pTest, wait_for
from p2p_original import OriginalTracker
from p2p_peer import HELLO, ExtensionPeer, Guest
from p2p_server import Server, dial, read_line

MOST_OF_A_HOST = 64
CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256))


def conversation(address, text):
    """All that is answered until the connection ends."""
    with dial(address) as connection:
        try:
            connection.sendall(text)
            with connection.makefile("rb") as answers:
                return answers.read().decode()
        except ConnectionError:  # it was closed over bytes that nobody read
            return ""


class TwoFacedTracker(Server):
    """Speaks the extension on its first connection, and never again."""

    def __init__(self):
        self.lines = []  # of all connections
        super().__init__()

    def serve(self, connection):
        extends = self.connections == 1
        with connection.makefile("rb") as lines:
            for line in lines:
                words = line.decode().split()
                self.lines.append(words[0])
                if words[0] == "HELLO":
                    connection.sendall(b"HELLO 3 agent=two/1\n" if extends else b"ERROR 400 what?\n")
                elif words[0] == "ANNOUNCE":
                    lines.read(int(words[-1][1:]))
                    connection.sendall(b"OK 1\n")
                    return
                else:
                    connection.sendall(b"OK 1\n")


class NamelessPeer(ExtensionPeer):
    """Speaks the extension, shares nothing under any name, and would serve GET_CHUNK."""

    def __init__(self):
        self.chunks_asked = 0
        super().__init__(0xd)

    def on_which(self, connection, *_):
        self.say(connection, "CONTENTS")

    def on_get_chunk(self, connection, *_):
        self.chunks_asked += 1
        connection.sendall(b"5\nwrong")


class ProtocolTest(P2pTest):
    def seeder(self, size, name="x.bin"):
        content = Content(name, make_bytes(size))
        content.write(self.path(name))
        daemon = self.daemon("seeder")
        self.assertEqual(daemon.share(self.path(name))["content_id"], content.id)
        return daemon, content

    def test_who_has_a_chunk_proves_any_range_of_it(self):
        daemon, content = self.seeder(2 * MIB + 5 * LEAF + 7)
        guest = self.closing(Guest(daemon.address, content.id, 1, leaves=True))
        last = content.chunk_count - 1
        # Single ones first: nothing is kept of the chunk yet; then with what is.
        ranges = [(1, 5, 1), (1, 6, 2), (1, 31, 1), (1, 8, 4), (1, 0, 16), (1, 5, 1), (last, 5, 1), (last, 4, 2)]
        for chunk, first, count in ranges:
            guest.say(f"REQUEST-LEAVES {chunk} {first} {count}")
            payload = content.leaves(chunk, first, count)
            proof = content.proof(chunk, first, count)
            self.assertEqual(guest.line(), f"LEAVES {chunk} {first} {count} {len(proof)} "
                                           f"+{32 * len(proof) + len(payload)}")
            self.assertEqual(guest.payload(32 * len(proof)), b"".join(proof))
            self.assertEqual(guest.payload(len(payload)), payload)

    def test_ranges_that_do_not_exist_are_not_to_be_waited_for(self):
        daemon = self.daemon("seeder")
        make_file(self.path("six.bin"), 6 * LEAF)
        shared = daemon.share(self.path("six.bin"))
        guest = self.closing(Guest(daemon.address, shared["content_id"], 1, leaves=True))
        # Its tree has 8 leaves, of which 6 are there.
        for chunk, first, count in ((0, 0, 8), (0, 0, 16), (0, 6, 2), (0, 7, 1), (0, 8, 4)):
            guest.say(f"REQUEST-LEAVES {chunk} {first} {count}")
            self.assertRegex(guest.line(), f"^REJECT-LEAVES {chunk} {first} {count} 404 ")
        guest.say("REQUEST-LEAVES 0 4 4")
        self.assertRegex(guest.line(), "^LEAVES 0 4 4 1 ")
        other = self.closing(Guest(daemon.address, shared["content_id"], 2, leaves=True))
        other.say("REQUEST-LEAVES 1 0 1")
        self.assertRegex(other.line(), "^ERROR 416 ")

    def test_P16_who_finds_no_room_is_told_hello_first(self):
        daemon = self.daemon("d")
        tracker = self.tracker()
        for address, hello in ((daemon.address, "HELLO 3 id="), (tracker.address, "HELLO 3 agent=p2p-tracker/")):
            held = []
            while True:
                connection = self.closing(dial(address))
                connection.sendall(b"HELLO 3 id=" + b"1" * 64 + b"\n")
                with connection.makefile("rb") as lines:
                    first, then = lines.readline().decode(), ""
                    self.assertTrue(first.startswith(hello), first)
                    if len(held) >= MOST_OF_A_HOST:
                        then = lines.readline().decode()
                if then:
                    break
                held.append(connection)
                self.assertLessEqual(len(held), MOST_OF_A_HOST)
            self.assertRegex(then, "^ERROR 503 ")
            for connection in held:
                connection.close()

    def test_an_earlier_version_is_told_which_one_is_spoken(self):
        daemon, tracker = self.daemon("d"), self.tracker()
        for address in (daemon.address, tracker.address):
            answer = conversation(address, b"HELLO 2 id=" + b"1" * 64 + b"\nGET-PEERS\n").splitlines()
            self.assertRegex(answer[0], "^HELLO 3 ")
            self.assertRegex(answer[1], "^ERROR 426 ")
            self.assertEqual(len(answer), 2)

    def test_each_side_is_told_where_it_is_seen(self):
        daemon, tracker = self.daemon("d"), self.tracker()
        for address in (daemon.address, tracker.address):
            with dial(address) as connection:
                connection.sendall(HELLO.format(1).encode() + b"\n")
                words = read_line(connection).decode().split()
                self.assertIn("you={}:{}".format(*connection.getsockname()), words)

    def test_T25_tls_is_closed_without_a_word(self):
        daemon, tracker = self.daemon("d"), self.tracker()
        for address in (daemon.address, tracker.address):
            self.assertEqual(conversation(address, CLIENT_HELLO), "")
        wait_for(lambda: "TLS" in daemon.log() and "TLS" in tracker.log(), "it is told")

    def test_P03_half_a_number_is_none_however_long_the_rest_takes(self):
        daemon, content = self.seeder(10 * MIB)
        with dial(daemon.address) as connection:
            connection.sendall(b"GET_CHUNK x.bin 0\nGET_CHUNK x.bin 1")
            with connection.makefile("rb") as answers:
                def chunk():
                    return answers.read(int(answers.readline()))
                self.assertEqual(chunk(), content.chunk(0))
                # A pause of that sender would have ended the line: it is over when another one's has.
                with dial(daemon.address) as other:
                    other.sendall(b"GET_CHUNK x.bin 2")
                    with other.makefile("rb") as others:
                        others.readline()
                connection.sendall(b"7\n")
                self.assertEqual(chunk(), content.chunk(17))

    def test_a_tracker_that_spoke_the_extension_is_never_spoken_to_otherwise(self):
        make_file(self.path("x.bin"), 1000)
        tracker = self.closing(TwoFacedTracker())
        daemon = self.daemon("d", [tracker])
        daemon.share(self.path("x.bin"))
        wait_for(lambda: tracker.lines.count("HELLO") >= 3, "it is tried again")
        self.assertEqual(set(tracker.lines) - {"HELLO", "ANNOUNCE"}, set())
        self.assertIn("which it did before", daemon.log())

    def test_a_peer_that_spoke_the_extension_is_never_spoken_to_otherwise(self):
        tracker = self.closing(OriginalTracker())
        peer = self.closing(NamelessPeer())
        tracker.files["x.bin"] = (5, [peer.address])
        daemon = self.daemon("d", [tracker])
        result = daemon.ctl("get", "x.bin", "--allow-unverified")
        self.assertEqual(result.code, 1, result)
        self.assertIn("no peer shares", result.err)
        self.assertEqual(peer.chunks_asked, 0)
        self.assertEqual(daemon.address.split(":")[0], LOCALHOST)
