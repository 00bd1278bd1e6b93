// Many registrations that end at once, and registrations that were kept elsewhere.
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tracker/registry.h"

namespace p2p::tracker {
namespace {

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);
const wire::IpAddress kElsewhere = wire::IpAddress::FromV4({203, 0, 113, 1});

wire::PeerAddress Host(uint32_t n) {
  const auto byte = [n](int shift) { return static_cast<uint8_t>(n >> shift); };
  return {wire::IpAddress::FromV4({10, byte(16), byte(8), byte(0)}), 9001};
}

void Register(Registry* registry, absl::string_view name, uint32_t host, absl::Time now) {
  ASSERT_EQ(
      registry->Register(name, ByteCount(1), absl::nullopt, /*partial=*/false, Host(host), now),
      Registry::Outcome::kRegistered);
}

TEST(RegistryExpiry, T22_RemovesTenThousandThatEndAtOnceInBoundedSteps) {
  Registry registry{RegistryOptions()};
  for (uint32_t n = 0; n < 10'000; ++n) Register(&registry, "popular", n, kStart);
  for (uint32_t n = 0; n < 10'000; ++n) Register(&registry, absl::StrCat("f", n), n, kStart);
  const absl::Time end = kStart + registry.options().ttl;
  Register(&registry, "popular", 20'000, end - absl::Seconds(1));
  size_t before = registry.registration_count();
  // All of "popular" is in one shard: a call takes a part of it, and none shows what is over.
  int steps = 0;
  for (bool done = false; !done; ++steps) {
    const auto found = registry.Lookup("popular", kElsewhere, end);
    if (found.has_value()) {
      for (const auto& peer : found->peers) ASSERT_EQ(peer, Host(20'000));
    }
    EXPECT_FALSE(registry.Lookup("f1", kElsewhere, end).has_value());
    done = registry.ExpireSome(end);
    const size_t after = registry.registration_count();
    ASSERT_LE(before - after, 16u * 256 + 2 * 256);
    before = after;
  }
  EXPECT_GT(steps, 5);
  EXPECT_EQ(registry.registration_count(), 1u);
  EXPECT_EQ(registry.Lookup("popular", kElsewhere, end)->peers.size(), 1u);
}

TEST(RegistryExpiry, T22_RenewsTenThousandInTheSameSecondAndKeepsThemAll) {
  Registry registry{RegistryOptions()};
  const absl::Duration ttl = registry.options().ttl;
  for (uint32_t n = 0; n < 10'000; ++n) Register(&registry, "f", n, kStart);
  for (uint32_t n = 0; n < 10'000; ++n) {
    Register(&registry, "f", n, kStart + ttl / 2 + absl::Microseconds(n * 100));
  }
  registry.Expire(kStart + ttl + ttl / 2 - absl::Milliseconds(1));
  EXPECT_EQ(registry.registration_count(), 10'000u);
  registry.Expire(kStart + ttl + ttl / 2 + absl::Seconds(1));
  EXPECT_EQ(registry.registration_count(), 0u);
}

TEST(RegistryExpiry, AShorterTtlHoldsForWhatIsRegisteredFromThenOn) {
  RegistryOptions options;
  options.ttl = absl::Seconds(100);
  Registry registry(options);
  Register(&registry, "f", 1, kStart);
  options.ttl = absl::Seconds(10);
  registry.SetOptions(options);
  Register(&registry, "f", 2, kStart + absl::Seconds(1));
  EXPECT_EQ(registry.Lookup("f", kElsewhere, kStart + absl::Seconds(10))->peers.size(), 2u);
  EXPECT_EQ(registry.Lookup("f", kElsewhere, kStart + absl::Seconds(11))->peers.size(), 1u);
  registry.Expire(kStart + absl::Seconds(12));
  EXPECT_EQ(registry.registration_count(), 1u);
  EXPECT_FALSE(registry.Lookup("f", kElsewhere, kStart + absl::Seconds(100)).has_value());
}

TEST(RegistryExpiry, GivesBackWhatItShowsWithItsRemainingTime) {
  RegistryOptions options;
  options.max_registrations_per_ip = 3;
  const HashKey key = HashKey::Random();  // the same shards, so the same bytes
  Registry first(options, key);
  ContentId id;
  id.hash.bytes[31] = 7;
  Register(&first, "f", 1, kStart);
  first.Register("g", ByteCount(9), id, /*partial=*/true, Host(1), kStart + absl::Seconds(30));
  for (uint32_t n = 0; n < 200; ++n) Register(&first, "f", n, kStart + absl::Seconds(n % 60));
  // Shown in the order of their places, not of their times.
  Registry second(options, key);
  const absl::Time now = kStart + absl::Seconds(60);
  first.Visit(
      now, [&](const RegistrationView& one) { second.Restore(one, now); }, [] {});
  EXPECT_EQ(second.registration_count(), first.registration_count());
  EXPECT_EQ(second.bytes(), first.bytes());
  for (int second_of = 60; second_of <= 180; second_of += 20) {
    const absl::Time at = kStart + absl::Seconds(second_of);
    first.Expire(at);
    second.Expire(at);
    EXPECT_EQ(second.registration_count(), first.registration_count()) << second_of;
    EXPECT_EQ(second.Peers(id, kElsewhere, at).has_value(), second_of < 150) << second_of;
  }
  EXPECT_EQ(second.bytes(), 0u);
}

TEST(RegistryExpiry, AWalkShowsWhatIsLeftThoughMuchWentBeforeItAndWhileItStoodThere) {
  RegistryOptions options;
  options.max_registrations_per_ip = 100'000;
  Registry registry(options);
  for (uint32_t n = 0; n < 40'000; ++n) {
    Register(&registry, absl::StrCat("f", n), /*host=*/n / 20'000 + 1, kStart);
  }
  std::map<std::string, int> kept;
  for (uint32_t n = 0; n < 40; ++n) {
    kept.emplace(absl::StrCat("kept", n), 0);
    Register(&registry, absl::StrCat("kept", n), /*host=*/3, kStart);
  }
  registry.Unregister(Host(2), kStart);
  const auto visit = [&kept](const RegistrationView& one) {
    const auto shown = kept.find(std::string(one.name));
    if (shown != kept.end()) ++shown->second;
  };
  Registry::Cursor cursor;
  ASSERT_TRUE(registry.VisitSome(&cursor, kStart, visit));
  registry.Unregister(Host(1), kStart);
  while (registry.VisitSome(&cursor, kStart, visit)) {
  }
  EXPECT_EQ(registry.registration_count(), kept.size());
  for (const auto& [name, times] : kept) EXPECT_EQ(times, 1) << name;
}

TEST(RegistryExpiry, EndsEachInItsTimeInWhateverOrderTheyCame) {
  Registry registry{RegistryOptions()};
  Register(&registry, "f", 1, kStart);
  for (uint32_t n = 0; n < 1'000; ++n) {
    const int seconds = 1 + static_cast<int>(n * 7 % 100);
    registry.Restore(
        {"f", ByteCount(1), absl::nullopt, false, Host(10 + n), kStart + absl::Seconds(seconds)},
        kStart);
  }
  for (int seconds = 1; seconds <= 100; ++seconds) {
    const absl::Time now = kStart + absl::Seconds(seconds);
    registry.Expire(now);
    EXPECT_EQ(registry.registration_count(), 1'001u - static_cast<size_t>(seconds) * 10);
  }
}

TEST(RegistryExpiry, OfTwoLivesOfOneRegistrationTheLongerOneCounts) {
  Registry registry{RegistryOptions()};
  const auto restore = [&registry](uint64_t size, absl::Duration life) {
    registry.Restore({"f", ByteCount(size), absl::nullopt, false, Host(1), kStart + life}, kStart);
  };
  restore(5, absl::Seconds(20));
  restore(6, absl::Seconds(10));
  const auto after = [&registry](absl::Duration life) {
    return registry.Get({"f", absl::nullopt, Host(1)}, kStart + life);
  };
  EXPECT_EQ(after(absl::Seconds(19))->size, ByteCount(5));
  restore(7, absl::Seconds(30));
  EXPECT_EQ(after(absl::Seconds(29))->size, ByteCount(7));
  registry.RenewUntil(Host(1), kStart + absl::Seconds(25), kStart);
  EXPECT_FALSE(after(absl::Seconds(30)).has_value()) << "it lives no shorter, and no longer";
  EXPECT_TRUE(after(absl::Seconds(29)).has_value());
  registry.RenewUntil(Host(1), kStart + absl::Seconds(40), kStart);
  EXPECT_TRUE(after(absl::Seconds(39)).has_value());
}

TEST(RegistryExpiry, T29_ARenewalIsOneNoteForAllThatTheAddressHas) {
  RegistryOptions options;
  options.max_registrations_per_ip = 20'000;
  Registry registry(options);
  constexpr uint64_t kMany = 10'000;
  for (uint64_t n = 0; n < kMany; ++n) Register(&registry, absl::StrCat("f", n), 1, kStart);
  Register(&registry, "f0", 2, kStart);
  const absl::Time renewed = kStart + options.ttl / 2;
  for (int i = 0; i < 100'000; ++i) ASSERT_TRUE(registry.Renew(Host(1), kMany, renewed));
  const absl::Time past = kStart + options.ttl;
  EXPECT_EQ(registry.Get({"f9", absl::nullopt, Host(1)}, past)->expires, renewed + options.ttl);
  EXPECT_EQ(registry.Lookup("f0", kElsewhere, past)->peers.size(), 1u);
  // What was to end is put off some at a time.
  EXPECT_FALSE(registry.ExpireSome(past));
  registry.Expire(past);
  EXPECT_EQ(registry.registration_count(), kMany);
  EXPECT_EQ(registry.CountOf(Host(1), past), kMany);
  registry.Expire(renewed + options.ttl - absl::Milliseconds(1));
  EXPECT_EQ(registry.registration_count(), kMany);
  EXPECT_EQ(registry.UnregisterUntil(Host(1), renewed - absl::Seconds(1), past), 0u);
  registry.Expire(renewed + options.ttl);
  EXPECT_EQ(registry.registration_count(), 0u);
  EXPECT_EQ(registry.bytes(), 0u);
}

TEST(RegistryExpiry, ARenewalLongPastMeansNothing) {
  Registry registry{RegistryOptions()};
  const absl::Duration ttl = registry.options().ttl;
  Register(&registry, "f", 1, kStart);
  ASSERT_TRUE(registry.Renew(Host(1), 1, kStart + ttl / 2));
  // Longer than until moments wrap.
  absl::Time now = kStart;
  for (; now < kStart + absl::Hours(24 * 60); now += ttl / 2) Register(&registry, "f", 1, now);
  Register(&registry, "g", 1, now);
  registry.Expire(now + ttl - absl::Milliseconds(1));
  EXPECT_EQ(registry.registration_count(), 1u) << "f has ended";
  registry.Expire(now + ttl);
  EXPECT_EQ(registry.registration_count(), 0u);
}

TEST(RegistryExpiry, TellsWhatOneAddressHasAndRemovesOneOfIt) {
  Registry registry{RegistryOptions()};
  ContentId id;
  registry.Register("f", ByteCount(1), id, /*partial=*/true, Host(1), kStart);
  Register(&registry, "f", 1, kStart);
  Register(&registry, "g", 1, kStart);
  Register(&registry, "g", 2, kStart);
  registry.RemoveUntil({"g", absl::nullopt, Host(1)}, kStart, kStart);
  registry.RemoveUntil({"g", id, Host(2)}, kStart, kStart);
  EXPECT_EQ(registry.CountOf(Host(1), kStart), 2u);
  std::map<std::string, bool> shown;
  registry.VisitAddress(Host(1), kStart, [&shown](const RegistrationView& one) {
    EXPECT_EQ(one.expires, kStart + limits::kRegistrationTtl);
    shown[absl::StrCat(one.name, one.content_id.has_value() ? "+" : "")] = one.partial;
  });
  EXPECT_EQ(shown, (std::map<std::string, bool>{{"f", false}, {"f+", true}}));
  EXPECT_FALSE(registry.Get({"g", absl::nullopt, Host(1)}, kStart).has_value());
  EXPECT_TRUE(registry.Get({"g", absl::nullopt, Host(2)}, kStart).has_value());
}

TEST(RegistryExpiry, WhatCameAfterAnUnregistrationStays) {
  Registry registry{RegistryOptions()};
  Register(&registry, "f", 1, kStart);
  Register(&registry, "g", 1, kStart);
  const absl::Time at = kStart + absl::Seconds(10);
  Register(&registry, "g", 1, at + absl::Seconds(1));
  Register(&registry, "h", 1, at + absl::Seconds(1));
  const absl::Time now = at + absl::Seconds(5);
  EXPECT_EQ(registry.UnregisterUntil(Host(1), at, now), 1u);
  registry.RemoveUntil({"g", absl::nullopt, Host(1)}, at, now);
  EXPECT_EQ(registry.CountOf(Host(1), now), 2u);
  registry.RemoveUntil({"g", absl::nullopt, Host(1)}, at + absl::Seconds(1), now);
  EXPECT_EQ(registry.CountOf(Host(1), now), 1u);
  EXPECT_EQ(registry.Unregister(Host(1), now), 1u);
}

TEST(RegistryExpiry, RestoresByTheQuotasAndLimitsOfNow) {
  RegistryOptions options;
  options.max_registrations_per_ip = 2;
  options.ttl = absl::Seconds(50);
  Registry registry(options);
  for (const char* name : {"a", "b", "c"}) {
    registry.Restore({name, ByteCount(1), absl::nullopt, false, Host(1), kStart + absl::Hours(1)},
                     kStart);
  }
  registry.Restore({"d", ByteCount(1), absl::nullopt, false, Host(2), kStart}, kStart);
  EXPECT_EQ(registry.registration_count(), 2u) << "the third of a host, and one that is over";
  EXPECT_EQ(registry.Register("e", ByteCount(1), absl::nullopt, false, Host(1), kStart),
            Registry::Outcome::kQuota);
  registry.Expire(kStart + absl::Seconds(50));
  EXPECT_EQ(registry.registration_count(), 0u) << "nothing outlives the ttl of now";
}

TEST(RegistryExpiry, OfTwoRestoredFromTheSameMomentTheWholeOneIsTheLater) {
  const auto restore = [](Registry* registry, bool partial, absl::Duration life) {
    registry->Restore({"f", ByteCount(9), absl::nullopt, partial, Host(1), kStart + life}, kStart);
  };
  const auto is_whole = [](Registry* registry) {
    return registry->Lookup("f", Host(2).ip, kStart).has_value();
  };
  constexpr absl::Duration kLife = absl::Seconds(60);
  for (const absl::Duration before : {absl::ZeroDuration(), absl::Milliseconds(999)}) {
    Registry registry{RegistryOptions()};
    restore(&registry, /*partial=*/true, kLife);
    EXPECT_FALSE(is_whole(&registry));
    restore(&registry, /*partial=*/false, kLife - before);
    EXPECT_TRUE(is_whole(&registry));
    restore(&registry, /*partial=*/true, kLife);
    EXPECT_TRUE(is_whole(&registry)) << "it is known as that already";
    EXPECT_EQ(registry.Get({"f", absl::nullopt, Host(1)}, kStart)->expires, kStart + kLife);
  }
  Registry registry{RegistryOptions()};
  restore(&registry, /*partial=*/true, kLife);
  restore(&registry, /*partial=*/false, kLife - absl::Seconds(2));
  EXPECT_FALSE(is_whole(&registry)) << "it was whole before, and is not any more";
  restore(&registry, /*partial=*/false, kLife + absl::Milliseconds(1));
  restore(&registry, /*partial=*/true, kLife + absl::Milliseconds(2));
  EXPECT_FALSE(is_whole(&registry)) << "what ends later is later";
}

}  // namespace
}  // namespace p2p::tracker
