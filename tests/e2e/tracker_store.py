"""Trackers that share what they know through a real Redis, and what happens when that is not well."""
import contextlib
import os
import signal
import socket
import subprocess
import threading
import time

from p2p_content import MIB, make_file
from p2p_harness import DEADLINE, LOCALHOST, P2pTest, free_port, program, suites, wait_for
from p2p_redis import RedisCluster, RedisServer, make_certificate
from p2p_server import announcement

PEER = f"{LOCALHOST}:9"
CONTENT_ID = "ab" * 32


class StoreTest(P2pTest):
    def redis(self, *arguments, **options):
        server = RedisServer(self.dir, arguments=arguments, **options)
        self._processes.append(server)
        return server.start()

    def figures(self, tracker):
        return dict(word.split("=", 1) for word in tracker.ask("STATS").split()[1:])

    def wait_state(self, tracker, state):
        """Until the store is in that state; the figures then."""
        seen = {}

        def check():
            seen.update(self.figures(tracker))
            return seen["store_state"] == state and dict(seen)
        return wait_for(check, lambda: f"the store is {state}; the figures are {seen}")

    def wait_told(self, tracker):
        wait_for(lambda: self.figures(tracker)["store_changes_waiting"] == "0",
                 lambda: f"nothing waits: {self.figures(tracker)}")

    def pair(self, redis, *arguments):
        return [self.tracker("--store", redis.url(), *arguments, name=name)
                for name in ("one", "two")]

    def pipeline(self, tracker, *requests):
        """Asks all of them (text, or bytes with their end) at once on one connection; the answers."""
        with socket.create_connection((LOCALHOST, tracker.port), DEADLINE) as connection:
            connection.sendall(b"".join(r if isinstance(r, bytes) else r.encode() + b"\n"
                                        for r in requests))
            with connection.makefile("rb") as answers:
                return [answers.readline().decode().rstrip("\n") for _ in requests]

    def must_register(self, tracker, name, peer=PEER):
        self.assertRegex(tracker.ask(f"REGISTER {name} 7 {peer}"), "^OK ")


class TwoTrackersTest(StoreTest):
    def test_what_one_learns_the_other_answers(self):
        one, two = self.pair(self.redis())
        began = time.monotonic()
        self.must_register(one, "x.bin")
        two.wait_lists("x.bin", PEER)
        print(f"learned after {1000 * (time.monotonic() - began):.1f} ms at most")
        one.announce("part.bin", 9, CONTENT_ID, PEER, verb="JOIN")
        wait_for(lambda: PEER in two.peers_of(CONTENT_ID), "a partial peer is known")
        self.assertEqual(two.lookup("part.bin"), [])
        one.announce("part.bin", 9, CONTENT_ID, PEER)
        two.wait_lists("part.bin", PEER)
        self.assertEqual(one.ask(f"WITHDRAW {CONTENT_ID} {PEER}"), "OK 1")
        two.wait_lists("part.bin")
        two.wait_lists("x.bin", PEER)
        # And the other way.
        self.assertEqual(two.ask(f"UNREGISTER {PEER}"), "OK 1")
        one.wait_lists("x.bin")

    def test_a_renewal_at_one_keeps_a_peer_at_both_and_its_end_comes_at_both(self):
        one, two = self.pair(self.redis(), "--ttl", "3")
        for number in range(3):
            self.must_register(one, f"{number}.bin")
        two.wait_lists("2.bin", PEER)
        began = time.monotonic()
        while time.monotonic() < began + 5:
            self.assertEqual(one.ask(f"RENEW 3 {PEER}"), "OK 3")
            self.assertEqual(two.lookup("0.bin"), [PEER])
            time.sleep(0.2)
        one.wait_lists("0.bin")
        two.wait_lists("0.bin")

    def test_redis_forgets_a_peer_by_itself(self):
        redis = self.redis()
        one = self.tracker("--store", redis.url(), "--ttl", "2")
        self.must_register(one, "x.bin")
        self.wait_told(one)
        key = "p2p:peer:" + PEER
        self.assertEqual(list(redis.ask("HGETALL", key))[0], "- x.bin")
        self.assertLessEqual(int(redis.ask("PTTL", key)), 12_000)
        one.kill9()
        wait_for(lambda: redis.ask("EXISTS", key) == "0", "Redis has forgotten the peer")

    def test_a_tracker_that_knows_nothing_has_everything_before_it_is_asked(self):
        redis = self.redis()
        one = self.tracker("--store", redis.url(), "--max-registrations-per-address", "5000")
        with socket.create_connection((LOCALHOST, one.port), DEADLINE) as connection:
            connection.sendall(b"".join(b"REGISTER %d.bin 7 127.0.0.1:9\n" % i for i in range(3000)))
            with connection.makefile("rb") as answers:
                for _ in range(3000):
                    self.assertEqual(answers.readline(), b"OK 120\n")
        one.ask(f"RENEW 3000 {PEER}")
        self.wait_told(one)
        one.kill9()
        two = self.tracker("--store", redis.url(), "--max-registrations-per-address", "5000",
                           name="two")
        self.assertEqual(two.lookup("2999.bin"), [PEER])
        self.assertEqual(self.figures(two)["registrations"], "3000")
        self.assertEqual(two.ask(f"RENEW 3000 {PEER}"), "OK 120")

    def test_databases_of_one_redis_do_not_know_each_other(self):
        redis = self.redis()
        one = self.tracker("--store", redis.url(database=1), name="one")
        two = self.tracker("--store", redis.url(database=2), name="two")
        again = self.tracker("--store", redis.url(database=1), name="again")
        self.must_register(one, "x.bin")
        again.wait_lists("x.bin", PEER)
        self.assertEqual(two.lookup("x.bin"), [])

    def test_no_get_fails_while_one_of_two_trackers_is_killed_and_started_again_and_again(self):
        redis = self.redis()
        one, two = self.pair(redis)
        a, b = self.daemon("a", [one, two]), self.daemon("b", [one, two])
        names = [f"{number}.bin" for number in range(30)]
        digests = [make_file(self.path(name), MIB) for name in names]
        for name in names:
            a.share(self.path(name))
        for name in names:
            one.wait_lists(name, a.address)
            two.wait_lists(name, a.address)
        got = []
        getter = threading.Thread(target=lambda: got.extend(b.ctl("get", name) for name in names))
        getter.start()
        kills = 0
        while getter.is_alive():
            victim = (one, two)[kills % 2]
            victim.kill9()
            victim.start()
            kills += 1
        print(f"{kills} kills during {len(names)} downloads")
        self.assertGreater(kills, 2)
        self.assertEqual([result for result in got if result.code != 0], [])
        for name, digest in zip(names, digests):
            self.assert_same_file(os.path.join(b.downloads, name), digest)


class RedisAwayTest(StoreTest):
    def check_comes_back(self, redis, one, two):
        self.must_register(one, "before.bin")
        two.wait_lists("before.bin", PEER)
        redis.kill9()
        for tracker in (one, two):
            self.wait_state(tracker, "away")
            wait_for(lambda: "refused" in self.figures(tracker)["store_error"], "it says why")
        self.must_register(one, "one.bin")
        self.must_register(two, "two.bin", f"{LOCALHOST}:10")
        two.ask(f"UNREGISTER {LOCALHOST}:11")
        self.assertEqual(one.lookup("before.bin"), [PEER])
        self.assertEqual(two.lookup("before.bin"), [PEER])
        wait_for(lambda: self.figures(one)["store_changes_waiting"] != "0", "its change waits")
        redis.start()
        one.wait_lists("two.bin", f"{LOCALHOST}:10")
        two.wait_lists("one.bin", PEER)
        for tracker in (one, two):
            self.wait_state(tracker, "connected")
            self.wait_told(tracker)
        three = self.tracker("--store", redis.url(), name="three")
        for name, peer in (("before", PEER), ("one", PEER), ("two", f"{LOCALHOST}:10")):
            self.assertEqual(three.lookup(name + ".bin"), [peer])
        # That it ended, and that nobody is there since.
        self.assertLessEqual(one.log().count("is away"), 2, one.log())

    def test_T26_a_redis_that_comes_back_empty_is_told_everything_again(self):
        redis = self.redis()
        self.check_comes_back(redis, *self.pair(redis))

    def test_T26_a_redis_that_comes_back_with_what_it_had_learns_the_rest(self):
        redis = self.redis(keep=True)
        one, two = self.pair(redis)
        self.must_register(one, "gone.bin", f"{LOCALHOST}:11")
        two.wait_lists("gone.bin", f"{LOCALHOST}:11")
        self.check_comes_back(redis, one, two)
        # Unregistered while Redis was away, at the other one.
        for tracker in (one, two):
            tracker.wait_lists("gone.bin")

    def test_a_redis_that_forgets_a_peer_has_it_again_after_its_renewal(self):
        redis = self.redis()
        one = self.tracker("--store", redis.url())
        for number in range(3):
            self.must_register(one, f"{number}.bin")
        self.wait_told(one)
        redis.ask("FLUSHALL")
        self.assertEqual(one.ask(f"RENEW 3 {PEER}"), "OK 120")
        wait_for(lambda: redis.ask("HLEN", "p2p:peer:" + PEER) == "3", "Redis has all three again")
        two = self.tracker("--store", redis.url(), name="two")
        self.assertEqual(two.lookup("2.bin"), [PEER])

    def test_T26_a_tracker_starts_without_redis_and_joins_when_it_comes(self):
        redis = self.redis()
        redis.kill9()
        one, two = self.pair(redis)
        self.must_register(one, "x.bin")
        self.assertEqual(two.lookup("x.bin"), [])
        redis.start()
        two.wait_lists("x.bin", PEER)

    def test_T26_clients_never_wait_for_a_redis_that_hangs(self):
        redis = self.redis()
        one = self.tracker("--store", redis.url(), "--max-new-connections-per-second", "10000")
        self.must_register(one, "x.bin")
        self.wait_told(one)
        redis.send(signal.SIGSTOP)
        self.addCleanup(redis.send, signal.SIGCONT)
        slowest = 0
        for number in range(500):
            began = time.monotonic()
            self.must_register(one, f"{number}.bin")
            self.assertEqual(one.lookup(f"{number}.bin"), [PEER])
            slowest = max(slowest, time.monotonic() - began)
        print(f"slowest {1000 * slowest:.1f} ms")
        figures = self.wait_state(one, "away")
        self.assertIn("no_answer_within", figures["store_error"])
        redis.send(signal.SIGCONT)
        self.wait_state(one, "connected")
        self.wait_told(one)
        self.assertEqual(redis.ask("HLEN", "p2p:peer:" + PEER), "501")

    def test_no_such_host_is_told_and_holds_nobody_up(self):
        one = self.tracker("--store", "redis://nowhere.invalid:6379/0")
        self.must_register(one, "x.bin")
        figures = self.wait_state(one, "away")
        self.assertIn("nowhere.invalid", figures["store_error"])

    def test_a_tracker_stops_at_once_whatever_redis_does(self):
        redis = self.redis()
        one = self.tracker("--store", redis.url())
        redis.send(signal.SIGSTOP)
        self.addCleanup(redis.send, signal.SIGCONT)
        self.must_register(one, "x.bin")
        self.assertEqual(one.stop(), 0)
        redis.send(signal.SIGCONT)
        one.start()
        self.must_register(one, "last.bin")
        self.assertEqual(one.stop(), 0)
        self.assertIn("- last.bin", redis.ask("HKEYS", "p2p:peer:" + PEER), "told before the end")

    def waiting_tracker(self, *arguments):
        """A tracker that waits for its store at its start, with what it is connected to."""
        mute = self.closing(socket.create_server((LOCALHOST, 0)))
        mute.settimeout(DEADLINE)
        url = f"redis://{LOCALHOST}:{mute.getsockname()[1]}/0"
        tracker = self.process([program("p2p-tracker"), "--listen", f"{LOCALHOST}:0", "--store", url,
                                *arguments], "waiting")
        tracker.spawn()
        self.closing(mute.accept()[0])
        return tracker

    def test_a_tracker_stops_while_it_waits_for_redis_at_its_start(self):
        tracker = self.waiting_tracker()
        self.assertEqual(tracker.stop(), 0, tracker.log())
        self.assertNotIn("starting without", tracker.log(), "it gave Redis up first")

    def test_a_tracker_reads_its_configuration_again_while_it_waits_for_redis_at_its_start(self):
        config = self.path("tracker.toml")
        with open(config, "w", encoding="ascii") as out:
            out.write("ttl = 60\n")
        tracker = self.waiting_tracker("--config", config)
        tracker.send(signal.SIGHUP)
        tracker.wait_for_log("was read again")
        self.assertEqual(tracker.stop(), 0, tracker.log())
        self.assertNotIn("starting without", tracker.log(), "it gave Redis up first")


@suites("sanitizers")
class RepairTest(StoreTest):
    """What Redis or a tracker missed, and what became of it meanwhile."""
    KEY = "p2p:peer:" + PEER
    GONE_KEY = "p2p:gone:" + PEER
    OTHER_ID = "cd" * 32

    def announce(self, tracker, name, content_id):
        self.assertRegex(tracker.announce(name, 1, content_id, PEER), "^OK ")

    def test_what_was_withdrawn_hides_nothing_that_redis_lost(self):
        redis = self.redis()
        one = self.tracker("--store", redis.url())
        self.announce(one, "kept.bin", CONTENT_ID)
        self.announce(one, "gone.bin", self.OTHER_ID)
        self.wait_told(one)
        redis.ask("FLUSHALL")
        self.assertEqual(one.ask(f"WITHDRAW {self.OTHER_ID} {PEER}"), "OK 1")
        self.wait_told(one)
        self.assertEqual(one.ask(f"RENEW 1 {PEER}"), "OK 120")
        wait_for(lambda: redis.ask("HKEYS", self.KEY) == [CONTENT_ID + " kept.bin"],
                 lambda: f"Redis has it again: {redis.ask('HGETALL', self.KEY)}")

    def test_what_was_withdrawn_stays_so_after_a_rewrite_for_who_was_cut_off(self):
        redis = self.redis()
        one = self.tracker("--store", redis.url(), "--state", self.path("state"), name="one")
        two = self.tracker("--store", redis.url(), name="two")
        self.announce(two, "gone.bin", CONTENT_ID)
        self.announce(two, "kept.bin", self.OTHER_ID)
        one.wait_lists("kept.bin", PEER)
        self.assertEqual(one.stop(), 0)
        self.assertEqual(two.ask(f"WITHDRAW {CONTENT_ID} {PEER}"), "OK 1")
        self.wait_told(two)
        kept = self.OTHER_ID + " kept.bin"
        redis.ask("HDEL", self.KEY, kept)
        self.assertEqual(two.ask(f"RENEW 1 {PEER}"), "OK 120")
        wait_for(lambda: redis.ask("HKEYS", self.KEY) == [kept], "Redis has all of it again")
        one.start()
        self.wait_state(one, "connected")
        self.wait_told(one)
        self.assertEqual(one.lookup("gone.bin"), [])
        self.assertEqual(one.lookup("kept.bin"), [PEER])
        self.assertEqual(two.ask(f"RENEW 1 {PEER}"), "OK 120")
        self.assertEqual(two.lookup("gone.bin"), [])
        self.assertGreater(int(redis.ask("PTTL", self.GONE_KEY)), 0)
        self.assertLessEqual(int(redis.ask("PTTL", self.GONE_KEY)), 130_000)

    def check_newer_wins(self, request):
        """`two`, cut off, is asked that; what `one` registers then is newer."""
        redis = self.redis()
        one, two = self.pair(redis)
        self.announce(two, "x.bin", CONTENT_ID)
        one.wait_lists("x.bin", PEER)
        redis.kill9()
        for tracker in (one, two):
            self.wait_state(tracker, "away")
        self.assertEqual(two.ask(request), "OK 1")
        wait_for(lambda: self.figures(two)["store_changes_waiting"] == "1", "it waits")
        two.send(signal.SIGSTOP)
        self.addCleanup(two.send, signal.SIGCONT)
        redis.start()
        self.wait_state(one, "connected")
        return redis, one, two

    def check_back(self, redis, one, two, **names):
        two.send(signal.SIGCONT)
        self.wait_state(two, "connected")
        self.wait_told(two)
        for name, peers in names.items():
            for tracker in (one, two, self.tracker("--store", redis.url(), name="fresh")):
                tracker.wait_lists(name + ".bin", *peers)

    def test_who_unregistered_at_a_tracker_that_was_cut_off_and_came_back_elsewhere_stays(self):
        redis, one, two = self.check_newer_wins(f"UNREGISTER {PEER}")
        self.announce(one, "new.bin", self.OTHER_ID)
        self.wait_told(one)
        self.check_back(redis, one, two, new=[PEER], x=[])

    def test_what_was_withdrawn_at_a_tracker_that_was_cut_off_and_came_back_elsewhere_stays(self):
        redis, one, two = self.check_newer_wins(f"WITHDRAW {CONTENT_ID} {PEER}")
        self.announce(one, "x.bin", CONTENT_ID)
        self.wait_told(one)
        self.check_back(redis, one, two, x=[PEER])

    def test_what_was_withdrawn_at_a_tracker_that_was_cut_off_goes_everywhere(self):
        self.check_back(*self.check_newer_wins(f"WITHDRAW {CONTENT_ID} {PEER}"), x=[])

    def test_what_began_after_an_unregistration_is_told_again_to_a_redis_that_lost_it_by_that(self):
        redis = self.redis()
        one = self.tracker("--store", redis.url())
        before = int(redis.ask("TIME")[0] + "000") - 1000
        self.must_register(one, "x.bin")
        self.wait_told(one)
        # As another tracker does that has not heard of it.
        redis.ask("DEL", self.KEY)
        redis.ask("PUBLISH", "p2p:changes:0", f"id\n{before} UNREGISTER {PEER}\n"
                  f"{before + 121_000} REGISTER y.bin 7 {PEER}\n")
        wait_for(lambda: set(redis.ask("HKEYS", self.KEY)) == {"- x.bin", "- y.bin"},
                 "Redis has it again")
        self.assertEqual(one.lookup("x.bin"), [PEER])

    def test_of_a_record_and_a_note_the_newer_counts(self):
        redis = self.redis()
        now = int(redis.ask("TIME")[0] + "000")
        # Registered a minute ago: they live for two.
        redis.ask("HSET", self.KEY, "- older.bin", f"{now + 60_000} 7", "- newer.bin",
                  f"{now + 60_000} 7")
        redis.ask("HSET", self.GONE_KEY, "- older.bin", now - 30_000, "- newer.bin", now - 90_000)
        other = f"{LOCALHOST}:10"
        redis.ask("HSET", "p2p:peer:" + other, "- older.bin", f"{now + 60_000} 7", "- newer.bin",
                  f"{now + 110_000} 7")
        redis.ask("HSET", "p2p:gone:" + other, "unregistered", now - 30_000)
        one = self.tracker("--store", redis.url())
        self.assertEqual(one.lookup("older.bin"), [])
        self.assertEqual(sorted(one.lookup("newer.bin")), sorted([PEER, other]))

    def test_who_lacks_what_redis_lacks_gets_it_with_a_renewal_elsewhere(self):
        redis = self.redis()
        one = self.tracker("--store", redis.url(), name="one")
        self.must_register(one, "x.bin")
        self.wait_told(one)
        redis.ask("FLUSHALL")
        two = self.tracker("--store", redis.url(), name="two")
        self.assertEqual(two.lookup("x.bin"), [])
        self.assertEqual(one.ask(f"RENEW 1 {PEER}"), "OK 120")
        two.wait_lists("x.bin", PEER)

    def test_T28_notes_of_what_went_are_bounded(self):
        redis = self.redis()
        one = self.tracker("--store", redis.url())
        self.announce(one, "kept.bin", self.OTHER_ID)
        for turn in range(60):
            names = [announcement(f"{turn}-{i}.bin", 1, CONTENT_ID, PEER) for i in range(100)]
            answers = self.pipeline(one, *names, f"WITHDRAW {CONTENT_ID} {PEER}")
            self.assertEqual(answers[-1], "OK 100")
        self.wait_told(one)
        self.assertEqual(redis.ask("HKEYS", self.KEY), [self.OTHER_ID + " kept.bin"])
        notes = int(redis.ask("HLEN", self.GONE_KEY))
        print(f"{notes} notes")
        self.assertGreater(notes, 0)
        self.assertLessEqual(notes, 4096)

    def test_T28_registrations_that_ended_do_not_stay_in_redis(self):
        redis = self.redis()
        one = self.tracker("--store", redis.url(), "--ttl", "1")
        self.pipeline(one, *(f"REGISTER {i}.bin 7 {PEER}" for i in range(300)))
        self.wait_told(one)
        wait_for(lambda: self.figures(one)["registrations"] == "0", "they have ended")
        self.assertEqual(redis.ask("HLEN", self.KEY), "300")
        seen = {}

        def check():
            self.must_register(one, "last.bin")
            self.wait_told(one)
            seen["fields"] = redis.ask("HKEYS", self.KEY)
            return seen["fields"] == ["- last.bin"]
        wait_for(check, lambda: f"only what lives is in Redis: {len(seen['fields'])} fields")


@suites("sanitizers")
class RefusalTest(StoreTest):
    def password_file(self, text):
        path = self.path("password")
        with open(path, "w", encoding="ascii") as out:
            out.write(text + "\n")
        return path

    def test_a_password_comes_from_a_file_or_the_environment(self):
        redis = self.redis("--requirepass", "s3cret")
        tracker = self.tracker("--store", redis.url(), "--store-password-file",
                               self.password_file("s3cret"))
        self.wait_state(tracker, "connected")
        env = dict(os.environ, P2P_STORE_PASSWORD="s3cret")
        other = self.tracker("--store", redis.url(user="default@"), name="other", env=env)
        self.wait_state(other, "connected")
        self.assertNotIn("s3cret", tracker.log() + other.log() + str(self.figures(tracker)))

    def test_T27_a_wrong_or_missing_password_is_told_and_tried_again(self):
        redis = self.redis("--requirepass", "s3cret")
        path = self.password_file("wr0ng")
        tracker = self.tracker("--store", redis.url(), "--store-password-file", path)
        figures = self.wait_state(tracker, "away")
        self.assertIn("refuses_the_user_or_the_password", figures["store_error"])
        self.must_register(tracker, "x.bin")
        other = self.tracker("--store", redis.url(), name="other")
        self.assertIn("wants_a_password", self.wait_state(other, "away")["store_error"])
        self.password_file("s3cret")
        self.wait_state(tracker, "connected")
        self.assertNotIn("wr0ng", tracker.log())

    def test_T27_a_redis_without_memory_refuses_and_the_trackers_still_tell_each_other(self):
        redis = self.redis()
        one, two = self.pair(redis)
        redis.ask("CONFIG", "SET", "maxmemory", "1")
        self.must_register(one, "x.bin")
        two.wait_lists("x.bin", PEER)
        figures = self.wait_state(one, "refused")
        self.assertIn("OOM", figures["store_error"])
        self.assertNotEqual(figures["store_changes_waiting"], "0")
        redis.ask("CONFIG", "SET", "maxmemory", "0")
        self.wait_state(one, "connected")
        self.wait_told(one)
        self.assertEqual(redis.ask("HKEYS", "p2p:peer:" + PEER), ["- x.bin"])
        self.assertEqual(one.log().count("refuses what changes"), 1, one.log())

    def test_T27_a_replica_that_takes_nothing_is_told(self):
        redis = self.redis()
        one = self.tracker("--store", redis.url())
        redis.ask("REPLICAOF", LOCALHOST, free_port())
        self.must_register(one, "x.bin")
        self.assertIn("READONLY", self.wait_state(one, "refused")["store_error"])
        redis.ask("REPLICAOF", "NO", "ONE")
        self.wait_told(one)

    def test_T27_a_database_that_is_not_there_is_told(self):
        tracker = self.tracker("--store", self.redis().url(database=99))
        self.assertIn("DB_index_is_out_of_range", self.wait_state(tracker, "away")["store_error"])

    def test_T28_keys_and_messages_that_others_made_hurt_nobody(self):
        redis = self.redis()
        redis.ask("SET", "p2p:peer:" + PEER, "no hash")
        end = int(redis.ask("TIME")[0] + "000") + 60_000
        redis.ask("HSET", "p2p:peer:127.0.0.1:10", "- good.bin", f"{end} 7", "- ../bad", f"{end} 7",
                  "- no-size", f"{end}", "- no-end", "soon 7", "xyz id", f"{end} 7", "", "",
                  "- late.bin", "1000 7", "renewed", "never", "- went.bin", f"gone {end}",
                  "unregistered", str(end))
        redis.ask("HSET", "p2p:gone:127.0.0.1:10", "- good.bin", "never", "x", end, "", "",
                  "unregistered", "soon", "renewed", end)
        redis.ask("HSET", "p2p:gone:nobody", "- good.bin", end)
        redis.ask("SET", "p2p:gone:" + PEER, "no hash")
        redis.ask("HSET", "p2p:peer:224.0.0.1:10", "- multicast.bin", f"{end} 7")
        redis.ask("HSET", "p2p:peer:nobody", "- nobody.bin", f"{end} 7")
        one = self.tracker("--store", redis.url())
        self.assertEqual(one.lookup("good.bin"), ["127.0.0.1:10"])
        self.assertEqual(self.figures(one)["registrations"], "1")
        self.assertIn(" 1 registrations were read", one.log())
        # A peer whose key is taken is known to trackers all the same.
        two = self.tracker("--store", redis.url(), name="two")
        self.must_register(one, "x.bin")
        two.wait_lists("x.bin", PEER)
        for message in ("", "\n", "x", "id\n", "id\n\n\n", "id\n1 2 3\n", f"id\n{end} LOOKUP x\n",
                        f"id\n{end} REGISTER ../x 7 {PEER}\n", f"id\n{end} REGISTER m 7 224.0.0.1:9\n",
                        f"id\n{end} REGISTER told.bin 7 {PEER}\nrest without end"):
            redis.ask("PUBLISH", "p2p:changes:0", message)
        one.wait_lists("told.bin", PEER)
        self.assertEqual(self.figures(one)["store_changes_unreadable"], "6")
        self.assertEqual(self.figures(one)["registrations"], "3")
        self.wait_state(one, "connected")

    def test_T28_what_is_no_redis_is_told(self):
        answers = (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"*1000000000\r\n", b"$1000000000\r\n",
                   b"*100000\r\n" * 9, b"+PONG\r\n" * 100, b":1\r\n", os.urandom(500), b"")
        with socket.create_server((LOCALHOST, 0)) as listener:
            def serve():
                with contextlib.suppress(OSError):
                    for number in range(1000):
                        connection = listener.accept()[0]
                        connection.recv(1000)
                        connection.sendall(answers[number % len(answers)])
                        connection.close()
            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            port = listener.getsockname()[1]
            tracker = self.tracker("--store", f"redis://{LOCALHOST}:{port}/0")
            wait_for(lambda: tracker.log().count("is away") >= 4, "it was tried several times")
            self.must_register(tracker, "x.bin")
            self.assertEqual(tracker.lookup("x.bin"), [PEER])
            self.assertIn("is not Redis' protocol", tracker.log())
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()

    def test_settings_that_cannot_be_meant_are_told(self):
        def error_of(*arguments):
            done = subprocess.run([program("p2p-tracker"), "--listen", f"{LOCALHOST}:0", *arguments],
                                  capture_output=True, text=True, timeout=DEADLINE, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            return done.stderr
        self.assertIn("--store", error_of("--store", "http://x"))
        for url in (f"redis://user:s3cret@{LOCALHOST}", f"redis://:s3cret@{LOCALHOST}"):
            error = error_of("--store", url)
            self.assertIn("--store-password-file", error)
            self.assertNotIn("s3cret", error)
        self.assertIn(self.path("none"), error_of("--store", f"redis://{LOCALHOST}",
                                                  "--store-password-file", self.path("none")))
        self.assertIn(self.path("none"), error_of("--store", f"rediss://{LOCALHOST}",
                                                  "--store-ca", self.path("none")))
        self.assertIn("which is not given", error_of("--store-ca", self.path("none")))
        self.assertIn("rediss://", error_of("--store", f"redis://{LOCALHOST}",
                                            "--store-ca", self.password_file("no certificate")))
        self.assertIn("the user bob needs a password", error_of("--store", f"redis://bob@{LOCALHOST}"))


@suites("sanitizers")
class TlsTest(StoreTest):
    def tls_redis(self, **options):
        self.authority = make_certificate(self.dir, "authority")[0]
        certificate, key = make_certificate(self.dir, "server", authority="authority", **options)
        port = free_port()
        return self.redis("--port", "0", "--tls-port", str(port), "--tls-cert-file", certificate,
                          "--tls-key-file", key, "--tls-ca-cert-file", self.authority,
                          "--tls-auth-clients", "no", "--requirepass", "s3cret", port=port)

    def tls_tracker(self, redis, *arguments, name):
        env = dict(os.environ, P2P_STORE_PASSWORD="s3cret")
        return self.tracker("--store", redis.url("rediss"), *arguments, name=name, env=env)

    def test_trackers_share_over_tls_with_an_authority_that_is_given(self):
        redis = self.tls_redis()
        one, two = (self.tls_tracker(redis, "--store-ca", self.authority, name=name)
                    for name in ("one", "two"))
        self.wait_state(one, "connected")
        with socket.create_connection((LOCALHOST, one.port), DEADLINE) as connection:
            connection.sendall(b"".join(b"REGISTER %d.bin 7 127.0.0.1:9\n" % i for i in range(900)))
            with connection.makefile("rb") as answers:
                for _ in range(900):
                    self.assertEqual(answers.readline(), b"OK 120\n")
        wait_for(lambda: self.figures(two)["registrations"] == "900", "the other one has all")
        self.assertIn("rediss://", self.figures(one)["store"])

    def test_T27_a_certificate_that_nobody_vouches_for_is_refused(self):
        one = self.tls_tracker(self.tls_redis(), name="one")
        self.assertIn("certificate_is_not_trusted", self.wait_state(one, "away")["store_error"])

    def test_T27_a_certificate_for_another_host_is_refused(self):
        redis = self.tls_redis(hosts="DNS:other.example")
        one = self.tls_tracker(redis, "--store-ca", self.authority, name="one")
        self.assertIn("certificate_is_not_trusted", self.wait_state(one, "away")["store_error"])

    def test_a_redis_without_tls_is_told(self):
        one = self.tls_tracker(self.redis(), name="one")
        error = self.wait_state(one, "away")["store_error"]
        self.assertIn("no_answer_within", error)
        self.assertIn("give_redis://", error)

    def test_a_redis_with_tls_alone_is_told(self):
        one = self.tracker("--store", self.tls_redis().url(), name="one")
        self.assertIn("give_rediss://", self.wait_state(one, "away")["store_error"])


@suites()
class ClusterTest(StoreTest):
    def cluster(self):
        return RedisCluster(lambda arguments, name: self.redis(*arguments, name=name))

    def test_trackers_share_through_a_cluster_whichever_node_they_are_told(self):
        cluster = self.cluster()
        one = self.tracker("--store", cluster.nodes[0].url(), name="one")
        two = self.tracker("--store", cluster.nodes[2].url(), name="two")
        peers = [f"{LOCALHOST}:{port}" for port in range(1, 31)]
        for peer in peers:
            self.must_register(one, "x.bin", peer)
        two.wait_lists("x.bin", *peers)
        self.wait_told(one)
        keys = cluster.keys()
        self.assertEqual(sum(keys), 30)
        self.assertGreater(min(keys), 0)
        three = self.tracker("--store", cluster.nodes[1].url(), name="three")
        self.assertEqual(len(three.lookup("x.bin")), 30)
        two.ask(f"UNREGISTER {peers[0]}")
        one.wait_lists("x.bin", *peers[1:])
        three.wait_lists("x.bin", *peers[1:])

    def test_a_slot_that_moves_and_a_node_that_dies_cost_nothing(self):
        cluster = self.cluster()
        one = self.tracker("--store", cluster.nodes[0].url(), name="one")
        self.must_register(one, "x.bin")
        self.wait_told(one)
        slot = int(cluster.nodes[0].ask("CLUSTER", "KEYSLOT", "p2p:peer:" + PEER))
        source = cluster.nodes[min(slot // 5461, 2)]
        target = cluster.nodes[(min(slot // 5461, 2) + 1) % 3]
        ids = {node: node.ask("CLUSTER", "MYID") for node in cluster.nodes}
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        source.ask("MIGRATE", LOCALHOST, target.port, "p2p:peer:" + PEER, 0, 5000)
        # Asked of the former node, which says where it is.
        self.must_register(one, "while-it-moves.bin")
        self.wait_told(one)
        self.wait_state(one, "connected")
        for node in (target, source):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
        self.must_register(one, "moved.bin")
        wait_for(lambda: "- moved.bin" in target.ask("HKEYS", "p2p:peer:" + PEER), "it is there")
        self.assertEqual(set(target.ask("HKEYS", "p2p:peer:" + PEER)),
                         {"- x.bin", "- while-it-moves.bin", "- moved.bin"})
        target.kill9()
        self.must_register(one, "late.bin")
        self.wait_state(one, "away")
        self.assertEqual(one.lookup("late.bin"), [PEER])
        target.start()
        self.wait_state(one, "connected")
        self.wait_told(one)
        self.assertIn("- late.bin", target.ask("HKEYS", "p2p:peer:" + PEER))

    def test_T26_the_node_that_was_named_dies_and_its_replica_takes_its_place(self):
        cluster = self.cluster()
        named = cluster.nodes[0]
        replica = cluster.add_replica(named)
        one = self.tracker("--store", named.url(), name="one")
        two = self.tracker("--store", cluster.nodes[1].url(), name="two")
        peers = [f"{LOCALHOST}:{port}" for port in range(1, 31)]
        for peer in peers[:20]:
            self.must_register(one, "x.bin", peer)
        two.wait_lists("x.bin", *peers[:20])
        named.kill9()
        self.wait_state(one, "away")
        for peer in peers[20:]:
            self.must_register(one, "x.bin", peer)
        wait_for(lambda: "role:master" in replica.ask("INFO", "replication"), "it is the master now")
        two.wait_lists("x.bin", *peers)
        self.wait_state(one, "connected")
        self.wait_told(one)
        self.assertGreater(len(replica.ask("KEYS", "p2p:peer:*")), 0)

    def test_T26_of_several_nodes_that_are_named_one_that_lives_is_enough(self):
        cluster = self.cluster()
        dead, others = cluster.nodes[0], cluster.nodes[1:]
        cluster.add_replica(dead)
        one = self.tracker("--store", others[0].url(), name="one")
        peers = [f"{LOCALHOST}:{port}" for port in range(1, 31)]
        for peer in peers:
            self.must_register(one, "x.bin", peer)
        self.wait_told(one)
        dead.kill9()
        wait_for(lambda: all("cluster_state:ok" in node.ask("CLUSTER", "INFO") and
                             "fail" in node.ask("CLUSTER", "NODES") for node in others),
                 "the replica has taken its place")
        named = ",".join(f"{LOCALHOST}:{node.port}" for node in (dead, *others))
        late = self.tracker("--store", f"redis://{named}/0", name="late")
        late.wait_lists("x.bin", *peers)
        self.wait_state(late, "connected")

    @suites("sanitizers")
    def test_several_nodes_that_are_no_cluster_are_not_taken_for_one_store(self):
        nodes = [self.redis(name=name) for name in ("left", "right")]
        named = ",".join(f"{LOCALHOST}:{node.port}" for node in nodes)
        one = self.tracker("--store", f"redis://{named}/0")
        self.assertIn("is_not_of_a_Redis_Cluster;_name_one", self.wait_state(one, "away")["store_error"])
