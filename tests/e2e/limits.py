"""Each message is driven to its bound (docs/limits.md), and others are served meanwhile."""
import contextlib
import os
import unittest

from p2p_content import CHUNK, MIB, Content, make_bytes, make_file
from p2p_evil_clients import ControlClient
from p2p_evil_peers import Flooder, Sayer
from p2p_flood import Comer, Flood
from p2p_harness import LOCALHOST, P2pTest, anonymous_bytes, link_to, suites, wait_for
from p2p_peer import Guest
from p2p_proxy import Proxy
from p2p_server import announcement, dial

try:
    import control_pb2 as messages
    import control_pb2_grpc
    import grpc
except ImportError:
    grpc = None

HOSTS = 3
DEAF = 12
# Of all that a daemon may hold for DEAF connections: a backlog each, the answers to one line more, and what its I/O keeps.
MOST_OF_THE_DEAF = 64 * MIB
SIZE = 6 * MIB + 3
GREETING = 2_000  # bytes of the honest peer's that pass before it is let go
UNKNOWN = "ab" * 32


def host(number):
    """A loopback address that is another source."""
    return f"127.0.3.{1 + number}"


def a_leaf_of_each_chunk(count):
    return "".join(f"REQUEST-LEAVES {chunk} 0 1\n" for chunk in range(count))


@suites("sanitizers")
class AskingTest(P2pTest):
    """Strangers ask a daemon that shares."""

    CHUNKS = 8
    # All that may be asked for behind OPEN, again and again; those that are answered.
    ASKED = {
        "WHICH": "WHICH x.bin\n",
        "GET-PEERS": "GET-PEERS\n",
        "GET-MANIFEST": "GET-MANIFEST 8192\n",
        "GET-HASHES": "GET-HASHES 0 0\nGET-HASHES 0 1\n",
        "REQUEST": f"REQUEST 0 {CHUNKS}\n",
        "REQUEST-LEAVES": a_leaf_of_each_chunk(CHUNKS),
        "PING": "PING\n",
    }
    # And those that are not: they hit nothing, or mean nothing.
    UNANSWERED = {
        "CANCEL": "CANCEL 5000000 1\n",
        "CANCEL-LEAVES": "CANCEL-LEAVES 0 0 4\n",
        "PONG": "PONG\n",
        "an unknown verb": "FUTURE 1 2 3 +4\nabcd",
    }
    # Of the original protocol, without HELLO.
    ORIGINAL = {
        "GET_CHUNK": "GET_CHUNK x.bin 0\nGET_CHUNK x.bin 99\n",
        "GET_CHUNK of what is not shared": "GET_CHUNK nowhere.bin 0\n",
    }
    # What ends the connection that says it, each behind HELLO and OPEN.
    BROKEN = {
        "HELLO": "HELLO 3 id=" + "0" * 64,
        "OPEN": "OPEN " + UNKNOWN,
        "SUBSCRIBE": "SUBSCRIBE\nSUBSCRIBE",
        "ERROR": "ERROR 400 no more",
        "a long line": "WHICH " + "x" * 4_096,
        "an unknown verb": f"FUTURE +{MIB + 1}",
        "have-sets of who was not asked": "HAVE 0 1",
        "lost chunks of who was not asked": "LOST 0 1",
        "bits of who was not asked": "HAVE-BITS 0 +1",
        "leaves of who was not asked": "HAVE-LEAVES 0 0 4",
        "chunks that do not exist": f"REQUEST {CHUNKS - 1} 2",
        "leaves of a chunk that does not exist": f"REQUEST-LEAVES {CHUNKS} 0 1",
    }

    def setUp(self):
        super().setUp()
        self.digest = make_file(self.path("x.bin"), self.CHUNKS * CHUNK)
        self.d, self.getter = self.daemon("d"), self.daemon("getter")
        self.shared = self.d.share(self.path("x.bin"))
        self.link = link_to(self.shared, self.d)
        self.address = self.d.address

    def check_others(self):
        """Another peer gets all of it, and the user is answered."""
        got = self.getter.get(self.link)
        self.assert_same_file(got["path"], self.digest)
        self.getter.must("remove", got["id"], "--with-data")
        self.assertEqual(self.d.totals()["transfers"], 1)

    def greeting(self, number):
        """Who opens and makes no use of it would be let go."""
        return f"HELLO 3 id={number + 1:064x} leaves\nOPEN {self.shared['content_id']}\nSUBSCRIBE\n".encode()

    def flood(self, words, number, takes=True, original=False):
        greeting = b"" if original else self.greeting(number)
        return Flood(self.address, words.encode(), greeting, host(number % HOSTS), takes)

    def check_flood(self, words, answered=True, original=False):
        with contextlib.ExitStack() as held:
            floods = [held.enter_context(contextlib.closing(self.flood(words, n, original=original)))
                      for n in range(HOSTS)]
            for flood in floods:
                wait_for(lambda f=flood: f.taken > GREETING or not answered and f.said, "it is read, and answered")
            self.check_others()
            self.assertFalse([flood for flood in floods if flood.was_ended])

    def test_what_is_asked_again_and_again_leaves_others_their_turn(self):
        for message, words in self.ASKED.items():
            with self.subTest(message=message):
                self.check_flood(words)
        for message, words in self.UNANSWERED.items():
            with self.subTest(message=message):
                self.check_flood(words, answered=False)
        for message, words in self.ORIGINAL.items():
            with self.subTest(message=message):
                self.check_flood(words, original=True)

    def check_deaf(self, words, original=False):
        before = anonymous_bytes(self.d.pid)
        with contextlib.ExitStack() as held:
            for number in range(DEAF):
                held.enter_context(contextlib.closing(
                    self.flood(words, number, takes=False, original=original)))
            self.check_others()
            self.assertLess(anonymous_bytes(self.d.pid) - before, MOST_OF_THE_DEAF)

    def test_what_is_asked_and_never_taken_costs_a_bounded_backlog(self):
        for message, words in self.ASKED.items():
            with self.subTest(message=message):
                self.check_deaf(words)
        for message, words in self.ORIGINAL.items():
            with self.subTest(message=message):
                self.check_deaf(words, original=True)

    def test_who_connects_and_opens_again_and_again_leaves_others_their_turn(self):
        with contextlib.ExitStack() as held:
            comers = [held.enter_context(contextlib.closing(
                Comer(self.address, self.greeting(number), host(number % HOSTS)))) for number in range(4 * HOSTS)]
            wait_for(lambda: any(comer.served for comer in comers), "it opens")
            wait_for(lambda: any(comer.refused for comer in comers), "a host comes more often than it may")
            self.check_others()

    def test_what_breaks_the_rules_ends_its_own_connection(self):
        other = self.closing(Guest(self.address, self.shared["content_id"], 0xa, host(1)))
        other.say("SUBSCRIBE")
        self.assertEqual(other.line(), f"HAVE 0 {self.CHUNKS}")
        for number, (message, words) in enumerate(self.BROKEN.items()):
            with self.subTest(message=message):
                evil = self.closing(Guest(self.address, self.shared["content_id"], 0x100 + number, host(0)))
                self.assertRegex(evil.answer, "^OPENED ")
                evil.say(words)
                said = []
                while line := evil.line():
                    said.append(line)
                if message != "ERROR":
                    self.assertRegex(said[-1], "^ERROR 4")
                other.say("PING")
                self.assertEqual(other.line(), "PONG")
        self.check_others()


class TellingTest(P2pTest):
    """Peers tell a daemon that fetches."""

    CHUNKS = 13
    ENDED = {
        "LOST": "LOST 0 4\nHAVE 0 4\n",
        "HAVE-BITS": "HAVE-BITS 0 +1\n\x7f",
    }
    UNENDED = {
        "PING": "PING\n",
        "PONG": "PONG\n",
        "HAVE-BITS of nothing": "HAVE-BITS 0 +2\n\0\0",
    }
    UNASKED = {
        "OPENED": "OPENED 13", "REFUSED": "REFUSED 404 no", "CONTENTS": "CONTENTS", "MANIFEST": "MANIFEST 9 0 +1",
        "NO-MANIFEST": "NO-MANIFEST 404 no", "HASHES": "HASHES 0 0 8192 0 +262144",
        "NO-HASHES": "NO-HASHES 0 4096 404 no", "CHUNK": "CHUNK 0 +524288", "REJECT": "REJECT 0 503 no",
        "LEAVES": "LEAVES 0 0 4 3 +65632", "REJECT-LEAVES": "REJECT-LEAVES 0 0 4 503 no",
        "PEERS": "PEERS +0\nPEERS +0",
    }

    def setUp(self):
        super().setUp()
        self.content = Content("x.bin", make_bytes(SIZE))
        self.digest = self.content.write(self.path("x.bin"))
        self.seeder, self.getter = self.daemon("seeder"), self.daemon("getter")
        self.seeder.share(self.path("x.bin"))
        self.downloads = 0

    @contextlib.contextmanager
    def downloading_beside(self, *evil):
        """From an honest peer that is held until the end, and then it is complete."""
        honest = self.closing(Proxy((LOCALHOST, self.seeder.port), budget=GREETING))
        self.downloads += 1
        path = self.path(f"got-{self.downloads}")
        source = self.content.magnet(*[peer.address for peer in (*evil, honest)])
        transfer = self.getter.get_detached(source, path)["id"]
        yield
        honest.allow()
        self.getter.wait_state(transfer, "complete")
        self.assert_same_file(path, self.digest)
        self.getter.must("remove", transfer, "--with-data")

    def told_of(self, peer):
        return [line for line in self.getter.log().splitlines() if peer.address in line]

    def test_what_is_told_again_and_again_is_ended(self):
        for number, (message, words) in enumerate(self.ENDED.items()):
            with self.subTest(message=message):
                evil = self.closing(Flooder(self.content, 0xe0 + number, words))
                with self.downloading_beside(evil):
                    wait_for(lambda e=evil: e.was_ended, "it is ended")
                    told = wait_for(lambda e=evil: self.told_of(e), "it is told")
                self.assertRegex(told[0], "again and again")
                self.assertEqual(len(self.told_of(evil)), 1)

    def test_what_is_said_again_and_again_leaves_others_their_turn(self):
        for number, (message, words) in enumerate(self.UNENDED.items()):
            with self.subTest(message=message):
                evil = self.closing(Flooder(self.content, 0xe0 + number, words))
                before = anonymous_bytes(self.getter.pid)
                with self.downloading_beside(evil):
                    wait_for(lambda e=evil: e.flooded > MIB, "it floods")
                    self.assertLess(anonymous_bytes(self.getter.pid) - before, 48 * MIB)
                self.assertEqual(self.told_of(evil), [])

    def test_what_answers_nothing_ends_its_own_connection(self):
        for number, (message, words) in enumerate(self.UNASKED.items()):
            with self.subTest(message=message):
                evil = self.closing(Sayer(self.content, 0xe0 + number, words))
                with self.downloading_beside(evil):
                    told = wait_for(lambda e=evil: self.told_of(e), "it is told")
                self.assertIn("broke the protocol", told[0])


@suites("sanitizers")
class TrackerTest(P2pTest):
    """Clients ask a tracker."""

    def setUp(self):
        super().setUp()
        self.asked = self.tracker()
        self.fill()

    def fill(self):
        """With answers of 16 versions and 64 peers each; and what another client asks for."""
        for number in range(16):
            self.tell(host(number), [announcement("x", 1, f"{number:064x}", f"{host(number)}:{1 + port}")
                                     for port in range(64)])
        self.tell("127.0.0.9", [announcement("good", 7, UNKNOWN, "127.0.0.9:9001")])

    def tell(self, source, requests):
        """The answers."""
        with dial(self.asked.address, source) as connection:
            connection.sendall(b"".join(requests))
            with connection.makefile("rb") as answers:
                return [answers.readline().decode().rstrip("\n") for _ in requests]

    def check_others(self):
        self.assertEqual(self.tell("127.0.0.9", [b"LOOKUP good\n", b"REGISTER new 1 127.0.0.9:9001\n",
                                                 b"UNREGISTER 127.0.0.9:9002\n"]),
                         ["OK 7 1 127.0.0.9:9001", "OK 120", "OK 0"])
        self.assertEqual(self.asked.peers_of(UNKNOWN), ["127.0.0.9:9001"])

    def asked_by(self, source):
        """What may be asked again and again."""
        own, content = f"{source}:9", "cd" * 32
        name = announcement("y", 1, content, own).decode()
        return {
            "HELLO": "HELLO 3\n", "LOOKUP": "LOOKUP x\nLOOKUP nowhere\n", "FIND": "FIND x\n",
            "PEERS": f"PEERS {0:064x}\n", "STATS": "STATS\n", "RENEW": f"RENEW 64 {source}:1\nRENEW 1 {own}\n",
            "REGISTER": f"REGISTER y 1 {own}\n", "ANNOUNCE": name, "JOIN": name.replace("ANNOUNCE", "JOIN"),
            "WITHDRAW": f"WITHDRAW {content} {own}\n" + name, "UNREGISTER": f"UNREGISTER {own}\n" + name,
            "an unknown verb": "HELLO 3\nFUTURE 1\n",
        }

    def test_what_is_asked_again_and_again_leaves_others_their_turn(self):
        asked = [self.asked_by(host(number)) for number in range(HOSTS)]
        before = anonymous_bytes(self.asked.pid)
        for message in asked[0]:
            for takes in (True, False):
                with self.subTest(message=message, takes=takes), contextlib.ExitStack() as held:
                    floods = [held.enter_context(contextlib.closing(
                        Flood(self.asked.address, asked[number][message].encode(), source=host(number),
                              takes=takes))) for number in range(HOSTS)]
                    for flood in floods:
                        wait_for(lambda f=flood: f.taken > GREETING or not takes and f.said, "it is answered")
                    self.check_others()
                    self.assertFalse([flood for flood in floods if flood.was_ended])
        self.assertLess(anonymous_bytes(self.asked.pid) - before, MOST_OF_THE_DEAF)

    def test_a_host_registers_what_it_may_and_others_still_can(self):
        evil = "127.0.0.66"
        requests = [f"REGISTER r{n} 1 {evil}:9\n".encode() for n in range(400)]
        requests += [announcement(f"a{n}", 1, f"{n:064x}", f"{evil}:9") for n in range(300)]
        requests += [announcement(f"j{n}", 1, f"{n:064x}", f"{evil}:9", "JOIN") for n in range(300)]
        self.assertEqual(set(self.tell(evil, requests)), {"OK 120"})
        beyond = [f"REGISTER more 1 {evil}:9\n".encode(), announcement("more", 1, UNKNOWN, f"{evil}:9"),
                  announcement("more", 1, UNKNOWN, f"{evil}:9", "JOIN")]
        for answer in self.tell(evil, beyond * 100):
            self.assertRegex(answer, "^ERROR 429 ")
        self.check_others()


@suites("sanitizers")
@unittest.skipIf(grpc is None, "python3-grpcio is not installed")
class ControlTest(P2pTest):
    """Programs that may control a daemon call it without end."""

    CALLS = 2_000
    AT_ONCE = 100
    MOST_WATCHES = 1_000

    def setUp(self):
        super().setUp()
        self.d, self.getter = self.daemon("d"), self.daemon("getter")
        self.digest = make_file(self.path("x.bin"), 4 * MIB)
        self.shared = self.d.share(self.path("x.bin"))
        self.paused = self.d.get_detached(f"magnet:?xt=urn:btmh:1220{UNKNOWN}&dn=y.bin")
        self.d.must("pause", self.paused["id"])

    def stub(self, held):
        """On a connection of its own."""
        channel = grpc.insecure_channel(f"unix:{self.d.socket}", [("grpc.use_local_subchannel_pool", 1)])
        return control_pb2_grpc.ControlStub(held.enter_context(channel))

    def check_others(self):
        got = self.getter.get(link_to(self.shared, self.d))
        self.assert_same_file(got["path"], self.digest)
        self.getter.must("remove", got["id"], "--with-data")
        self.assertEqual(self.d.status()["totals"]["transfers"], 2)

    def calls(self):
        """Each with its request. What changes something changes nothing the second time, or is refused."""
        shared, paused = str(self.shared["id"]), str(self.paused["id"])
        return {
            "GetDaemon": messages.GetDaemonRequest(),
            "Share": messages.ShareRequest(path=self.path("x.bin").encode(), name="x.bin"),
            "Download": messages.DownloadRequest(source="not a link:\n"),
            "GetTransfer": messages.GetTransferRequest(transfer="x.bin"),
            "ListTransfers": messages.ListTransfersRequest(page_size=1_000),
            "ListPeers": messages.ListPeersRequest(transfer=shared, page_size=1_000),
            "Pause": messages.PauseRequest(transfer=paused),
            "Verify": messages.VerifyRequest(transfer=shared),
            "Remove": messages.RemoveRequest(transfer=shared, with_data=True),
            "Resume": messages.ResumeRequest(transfer=shared),
        }

    def test_calls_again_and_again_leave_others_their_turn(self):
        with contextlib.ExitStack() as held:
            stubs = [self.stub(held) for _ in range(4)]
            for method, request in self.calls().items():
                with self.subTest(method=method):
                    running = [getattr(stubs[number % len(stubs)], method).future(request)
                               for number in range(self.CALLS)]
                    self.check_others()
                    codes = {call.code() for call in running}
                    # Answered, or refused because of what it asks for; no call is lost.
                    self.assertLessEqual(codes, {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT,
                                                 grpc.StatusCode.RESOURCE_EXHAUSTED})

    def test_so_many_watches_and_no_more(self):
        before = anonymous_bytes(self.d.pid)
        clients = [self.closing(ControlClient(self.d.socket)) for _ in range(self.MOST_WATCHES // self.AT_ONCE)]
        for client in clients:
            client.send(b"".join(client.open("WatchTransfers", b"") for _ in range(self.AT_ONCE)))
        with contextlib.ExitStack() as held:
            stub = self.stub(held)

            def is_refused():
                try:
                    watch = stub.WatchTransfers(messages.WatchTransfersRequest())
                    next(watch)
                    watch.cancel()
                except grpc.RpcError as error:
                    return error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
                return False
            wait_for(is_refused, "no further watch is taken")
            self.check_others()
            self.assertLess(anonymous_bytes(self.d.pid) - before, MOST_OF_THE_DEAF)
            clients[0].close()
            wait_for(lambda: not is_refused(), "there is room again")

    def test_stops_that_many_ask_for_end_it_once_in_good_order(self):
        with contextlib.ExitStack() as held:
            stub = self.stub(held)
            running = [stub.Shutdown.future(messages.ShutdownRequest()) for _ in range(self.AT_ONCE)]
            self.assertEqual(self.d.wait(), 0)
            self.assertIn(grpc.StatusCode.OK, {call.code() for call in running})
        self.d.start()
        self.assertEqual(self.d.totals()["transfers"], 2)
        self.assertTrue(os.path.exists(self.path("x.bin")))
