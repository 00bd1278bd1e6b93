"""Against programs of others: libtorrent's content ids, gRPC clients in Python."""
import os
import shutil
import subprocess
import sys

from p2p_content import CHUNK, MIB, content_id_of_tree, make_bytes, make_file, make_tree
from p2p_harness import DEADLINE, P2pTest, suites

try:
    import grpc
except ImportError:
    grpc = None
try:
    import libtorrent
except ImportError:
    libtorrent = None

SOURCE_DIR = os.environ.get("P2P_SOURCE_DIR", "")
TREE = {"one.bin": make_bytes(3 * CHUNK + 5, 1), "deep/er/two": make_bytes(CHUNK, 2),
        "deep/tool": (make_bytes(17_000, 3), 0o755), "empty": b"", "a.b": b"1", "a/c": b"2",
        "\u00fcml\u00e4ut": b"3"}


@suites("sanitizers")
class LibtorrentTest(P2pTest):
    def setUp(self):
        super().setUp()
        if libtorrent is None:
            self.skipTest("python3-libtorrent is not installed")

    def info_hash(self, path):
        files = libtorrent.file_storage()
        libtorrent.add_files(files, path)
        torrent = libtorrent.create_torrent(files, CHUNK, libtorrent.create_torrent.v2_only)
        libtorrent.set_piece_hashes(torrent, os.path.dirname(path))
        info = libtorrent.torrent_info(torrent.generate())
        return str(info.info_hashes().v2)

    def test_the_content_id_of_a_file_is_libtorrent_s_info_hash(self):
        a = self.daemon("a")
        for size in (1, 16_385, CHUNK, CHUNK + 1, 3 * MIB + 9):
            path = self.path(f"file {size}")
            make_file(path, size)
            self.assertEqual(a.share(path)["content_id"], self.info_hash(path), size)

    def test_the_content_id_of_a_directory_is_libtorrent_s_info_hash(self):
        make_tree(self.path("tree"), TREE)
        shared = self.daemon("a").share(self.path("tree"))
        self.assertEqual(shared["content_id"], self.info_hash(self.path("tree")))
        self.assertEqual(shared["content_id"], content_id_of_tree("tree", TREE))

    def test_libtorrent_reads_our_magnet_link(self):
        make_file(self.path("a name.bin"), 1000)
        shared = self.daemon("a").share(self.path("a name.bin"))
        read = libtorrent.parse_magnet_uri(shared["magnet"])
        self.assertEqual(str(read.info_hashes.v2), shared["content_id"])
        self.assertEqual(read.name, "a name.bin")


@suites("sanitizers")
class GrpcTest(P2pTest):
    def setUp(self):
        super().setUp()
        if grpc is None:
            self.skipTest("python3-grpcio is not installed")
        self.a = self.daemon("a")
        self.channel = self.closing(grpc.insecure_channel("unix:" + self.a.socket))

    def test_health_says_serving(self):
        check = self.channel.unary_unary("/grpc.health.v1.Health/Check")
        # HealthCheckResponse{status: SERVING}
        self.assertEqual(check(b"", timeout=DEADLINE), b"\x08\x01")

    def test_reflection_lists_the_service(self):
        info = self.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        # ServerReflectionRequest{list_services: "*"}
        answer = next(info(iter([b"\x3a\x01*"]), timeout=DEADLINE))
        self.assertIn(b"p2p.v1.Control", answer)

    def test_an_unknown_transfer_is_not_found(self):
        get = self.channel.unary_unary("/p2p.v1.Control/GetTransfer")
        with self.assertRaises(grpc.RpcError) as caught:
            get(b"\x0a\x0277", timeout=DEADLINE)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_G10_a_request_that_is_no_message_is_refused(self):
        get = self.channel.unary_unary("/p2p.v1.Control/GetTransfer")
        with self.assertRaises(grpc.RpcError):
            get(b"\xff\xff\xff", timeout=DEADLINE)
        self.assertEqual(self.a.ctl("status").code, 0)

    def test_G06_a_message_over_the_limit_is_refused(self):
        get = self.channel.unary_unary("/p2p.v1.Control/GetTransfer")
        with self.assertRaises(grpc.RpcError) as caught:
            get(b"\x0a\x80\x80\x80\x04" + b"x" * (8 << 20), timeout=DEADLINE)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertEqual(self.a.ctl("status").code, 0)

    def test_G09_clients_that_vanish_in_a_stream_leave_nothing_behind(self):
        watch = self.channel.unary_stream("/p2p.v1.Control/WatchTransfers")
        make_file(self.path("x.bin"), 10)
        self.a.share(self.path("x.bin"))
        for _ in range(20):
            stream = watch(b"", timeout=DEADLINE)
            next(stream)
            stream.cancel()
        self.assertEqual(self.a.ctl("status").code, 0)
        self.assertEqual(self.a.stop(), 0)


@suites()
class ExampleTest(P2pTest):
    """The script in examples/, with the stubs of the build."""

    def setUp(self):
        super().setUp()
        self.script = os.path.join(SOURCE_DIR, "examples", "share_and_get.py")
        if grpc is None or not os.path.exists(self.script):
            self.skipTest("python3-grpcio is not installed, or the sources are not here")

    def run_script(self, daemon, *arguments):
        return subprocess.run([sys.executable, self.script, *arguments], capture_output=True,
                              text=True, check=False, timeout=DEADLINE, cwd=self.dir,
                              env=dict(os.environ, P2P_SOCKET=daemon.socket,
                                       PYTHONDONTWRITEBYTECODE="1"))

    def test_it_shares_and_gets(self):
        tracker = self.tracker()
        a, b = self.daemon("a", [tracker]), self.daemon("b", [tracker])
        digest = make_file(self.path("x.bin"), 3 * MIB)
        shared = self.run_script(a, "share", "x.bin", "other.bin")
        self.assertEqual(shared.returncode, 0, shared)
        self.assertIn("magnet: magnet:?xt=urn:btmh:1220", shared.stdout)
        got = self.run_script(b, "get", "other.bin", self.path("out.bin"))
        self.assertEqual(got.returncode, 0, got)
        self.assertIn("verified: yes", got.stdout)
        self.assert_same_file(self.path("out.bin"), digest)

    def test_it_tells_why_something_was_refused(self):
        refused = self.run_script(self.daemon("a"), "share", "nothing")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("nothing", refused.stderr)

    def test_without_the_stubs_it_says_what_to_do(self):
        alone = shutil.copy(self.script, self.dir)
        done = subprocess.run([sys.executable, alone], capture_output=True, text=True, check=False,
                              env=dict(os.environ, PYTHONPATH="", PYTHONDONTWRITEBYTECODE="1"))
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("run ./make_stubs.sh for control_pb2", done.stderr)
