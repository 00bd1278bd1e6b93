#include "tracker/registry.h"

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace p2p::tracker {
namespace {

using Outcome = Registry::Outcome;

// Virtual time; never the machine's.
const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);

wire::PeerAddress At(absl::string_view text) { return *wire::PeerAddress::Parse(text); }

// An asker who is near to nobody.
const wire::IpAddress kElsewhere = wire::IpAddress::FromV4({203, 0, 113, 1});

// The n-th of many hosts.
wire::PeerAddress Host(uint32_t n) {
  const auto byte = [n](int shift) { return static_cast<uint8_t>(n >> shift); };
  return {wire::IpAddress::FromV4({10, byte(16), byte(8), byte(0)}), 9001};
}

ContentId Id(uint8_t n) {
  ContentId id;
  id.hash.bytes[0] = n;
  return id;
}

class RegistryTest : public ::testing::Test {
 protected:
  Outcome Register(absl::string_view name, uint64_t size, const wire::PeerAddress& address,
                   absl::Time now = kStart) {
    return registry_.Register(name, ByteCount(size), absl::nullopt, /*partial=*/false, address,
                              now);
  }
  Outcome Announce(absl::string_view name, uint64_t size, const ContentId& id,
                   const wire::PeerAddress& address, absl::Time now = kStart) {
    return registry_.Register(name, ByteCount(size), id, /*partial=*/false, address, now);
  }
  std::vector<std::string> LookUp(absl::string_view name, absl::Time now = kStart,
                                  const wire::IpAddress& asker = kElsewhere) {
    std::vector<std::string> peers;
    const auto found = registry_.Lookup(name, asker, now);
    if (!found.has_value()) return peers;
    for (const auto& peer : found->peers) peers.push_back(peer.ToString());
    return peers;
  }

  Registry registry_{RegistryOptions()};
};

using Strings = std::vector<std::string>;

TEST_F(RegistryTest, T10_KnowsEmptyFiles) {
  Register("empty", 0, At("192.0.2.1:1"));
  EXPECT_EQ(registry_.Lookup("empty", kElsewhere, kStart)->size, ByteCount(0));
  EXPECT_EQ(LookUp("empty"), Strings{"192.0.2.1:1"});
}

TEST_F(RegistryTest, T11_KeepsVersionsOfOneNameApartAndAnswersWithTheMostShared) {
  Register("f", 10, At("192.0.2.1:1"));
  Register("f", 20, At("192.0.2.2:1"));
  Register("f", 10, At("192.0.2.3:1"));
  Announce("f", 10, Id(1), At("192.0.2.4:1"));
  EXPECT_EQ(registry_.Lookup("f", kElsewhere, kStart)->size, ByteCount(10));
  EXPECT_EQ(registry_.Lookup("f", kElsewhere, kStart)->peers.size(), 2u);
  const auto versions = registry_.Find("f", kElsewhere, kStart);
  ASSERT_EQ(versions.size(), 3u);
  EXPECT_FALSE(versions[0].content_id.has_value());
  EXPECT_EQ(versions[0].list.size, ByteCount(10));
  EXPECT_EQ(versions[1].content_id, Id(1));
  EXPECT_EQ(versions[2].list.size, ByteCount(20));
  registry_.Unregister(At("192.0.2.1:1"), kStart);
  registry_.Unregister(At("192.0.2.3:1"), kStart);
  EXPECT_EQ(LookUp("f"), Strings{"192.0.2.4:1"});
}

TEST_F(RegistryTest, T11_PrefersAContentIdThenTheLargestThenTheSmallestIdAmongEquals) {
  Register("f", 900, At("192.0.2.1:1"));
  Announce("f", 10, Id(3), At("192.0.2.1:1"));
  Announce("f", 20, Id(9), At("192.0.2.1:1"));
  Announce("f", 20, Id(8), At("192.0.2.1:1"));
  const auto versions = registry_.Find("f", kElsewhere, kStart);
  ASSERT_EQ(versions.size(), 4u);
  EXPECT_EQ(versions[0].content_id, Id(8));
  EXPECT_EQ(versions[1].content_id, Id(9));
  EXPECT_EQ(versions[2].content_id, Id(3));
  EXPECT_EQ(versions[3].content_id, absl::nullopt);
}

TEST_F(RegistryTest, GivesAPeerOneVersionOfANameThroughTheOriginalProtocol) {
  Register("f", 10, At("192.0.2.1:1"));
  Register("f", 20, At("192.0.2.1:1"));
  EXPECT_EQ(registry_.registration_count(), 1u);
  EXPECT_EQ(registry_.Lookup("f", kElsewhere, kStart)->size, ByteCount(20));
  Register("f", 10, At("192.0.2.1:2"));
  EXPECT_EQ(registry_.registration_count(), 2u);
}

TEST_F(RegistryTest, AnswersByContentWhateverItsName) {
  Announce("a", 10, Id(1), At("192.0.2.1:1"));
  Announce("b", 10, Id(1), At("192.0.2.2:1"));
  Announce("b", 10, Id(1), At("192.0.2.3:1"));
  Announce("b", 10, Id(1), At("192.0.2.1:1"));
  EXPECT_EQ(registry_.Peers(Id(1), kElsewhere, kStart)->peers.size(), 3u);
  EXPECT_FALSE(registry_.Peers(Id(2), kElsewhere, kStart).has_value());
}

TEST_F(RegistryTest, TellsAtMost16VersionsOfAName) {
  for (uint8_t n = 0; n < 17; ++n) Announce("f", n, Id(n), Host(n));
  EXPECT_EQ(registry_.Find("f", kElsewhere, kStart).size(), 16u);
}

TEST_F(RegistryTest, T14_RemovesOnlyWhatTheAddressItselfRegistered) {
  Register("f", 10, At("192.0.2.1:1"));
  Register("g", 10, At("192.0.2.1:1"));
  Register("f", 10, At("192.0.2.1:2"));
  EXPECT_EQ(registry_.Unregister(At("192.0.2.9:1"), kStart), 0u);
  EXPECT_EQ(registry_.Unregister(At("192.0.2.1:1"), kStart), 2u);
  EXPECT_EQ(registry_.Unregister(At("192.0.2.1:1"), kStart), 0u);
  EXPECT_EQ(LookUp("f"), Strings{"192.0.2.1:2"});
  EXPECT_TRUE(LookUp("g").empty());
}

TEST_F(RegistryTest, WithdrawsOneContentAndLeavesTheRest) {
  Announce("f", 10, Id(1), At("192.0.2.1:1"));
  Announce("g", 10, Id(1), At("192.0.2.1:1"));
  Announce("f", 10, Id(2), At("192.0.2.1:1"));
  Announce("f", 10, Id(1), At("192.0.2.1:2"));
  EXPECT_EQ(registry_.Withdraw(Id(1), At("192.0.2.1:1"), kStart), 2u);
  EXPECT_EQ(registry_.Withdraw(Id(1), At("192.0.2.1:1"), kStart), 0u);
  EXPECT_EQ(registry_.Withdraw(Id(3), At("192.0.2.7:1"), kStart), 0u);
  EXPECT_EQ(registry_.Peers(Id(1), kElsewhere, kStart)->peers.size(), 1u);
  EXPECT_EQ(registry_.registration_count(), 2u);
}

TEST_F(RegistryTest, T16_HoldsTheQuotaOfAnAddressExactlyAndSparesOthers) {
  Register("old", 1, At("192.0.2.2:1"));
  for (int n = 0; n < 1'000; ++n) {
    ASSERT_EQ(Register(absl::StrCat("f", n), 1, At("192.0.2.1:1")), Outcome::kRegistered) << n;
  }
  EXPECT_EQ(Register("f1000", 1, At("192.0.2.1:1")), Outcome::kQuota);
  EXPECT_EQ(Register("f1000", 1, At("192.0.2.1:2")), Outcome::kQuota) << "another port";
  EXPECT_EQ(Register("f7", 1, At("192.0.2.1:1")), Outcome::kRegistered) << "a renewal";
  EXPECT_EQ(Register("f7", 2, At("192.0.2.1:1")), Outcome::kRegistered) << "a replacement";
  EXPECT_EQ(Register("f1000", 1, At("192.0.2.2:1")), Outcome::kRegistered);
  EXPECT_FALSE(LookUp("old").empty());
  registry_.Unregister(At("192.0.2.1:1"), kStart);
  EXPECT_EQ(Register("f1000", 1, At("192.0.2.1:2")), Outcome::kRegistered);
}

TEST(Registry, T16_RefusesNewcomersWhenItsMemoryIsUsedAndForgetsNobody) {
  RegistryOptions options;
  options.max_bytes = 1 << 20;
  Registry registry(options);
  const auto add = [&](uint32_t n) {
    return registry.Register(absl::StrCat("name", n), ByteCount(1), absl::nullopt,
                             /*partial=*/false, Host(n << 8), kStart);
  };
  uint32_t n = 0;
  while (add(n) == Outcome::kRegistered) ++n;
  EXPECT_GT(n, 500u);
  EXPECT_EQ(add(n), Outcome::kFull);
  EXPECT_LE(registry.bytes(), options.max_bytes);
  EXPECT_EQ(add(0), Outcome::kRegistered) << "a renewal";
  EXPECT_TRUE(registry.Lookup("name0", kElsewhere, kStart).has_value());
  registry.Expire(kStart + options.ttl);
  EXPECT_EQ(registry.bytes(), 0u);
  EXPECT_EQ(registry.registration_count(), 0u);
}

TEST_F(RegistryTest, T18_SamplesAtMost64OfManyPeersAndAllOfThemInTime) {
  for (uint32_t n = 0; n < 500; ++n) Register("f", 1, Host(n));
  std::set<std::string> seen;
  for (int round = 0; round < 200; ++round) {
    const Strings peers = LookUp("f");
    ASSERT_EQ(peers.size(), 64u);
    ASSERT_EQ(std::set<std::string>(peers.begin(), peers.end()).size(), 64u) << "no peer twice";
    seen.insert(peers.begin(), peers.end());
  }
  // One peer is missed by all 200 samples with a chance of 10^-12.
  EXPECT_EQ(seen.size(), 500u);
  // The shuffling kept each registration findable.
  for (uint32_t n = 0; n < 500; ++n) EXPECT_EQ(registry_.Unregister(Host(n), kStart), 1u);
  EXPECT_TRUE(LookUp("f").empty());
}

TEST_F(RegistryTest, T18_TellsExactlyAsManyAsThereAreUpTo64) {
  for (uint32_t n = 0; n < 63; ++n) Register("f", 1, Host(n));
  EXPECT_EQ(LookUp("f").size(), 63u);
  Register("f", 1, Host(63));
  EXPECT_EQ(LookUp("f").size(), 64u);
  Register("f", 1, Host(64));
  EXPECT_EQ(LookUp("f").size(), 64u);
}

TEST_F(RegistryTest, T21_ForgetsAPeerThatDoesNotRenewAtItsTtl) {
  const absl::Duration ttl = registry_.options().ttl;
  Register("f", 1, At("192.0.2.1:1"), kStart);
  Register("f", 1, At("192.0.2.2:1"), kStart + absl::Seconds(10));
  Register("f", 1, At("192.0.2.1:1"), kStart + absl::Seconds(20));
  const absl::Time second_expires = kStart + absl::Seconds(10) + ttl;
  EXPECT_EQ(LookUp("f", second_expires - absl::Nanoseconds(1)).size(), 2u);
  EXPECT_EQ(LookUp("f", second_expires), Strings{"192.0.2.1:1"});
  EXPECT_EQ(LookUp("f", kStart + absl::Seconds(20) + ttl), Strings{});
  EXPECT_EQ(registry_.registration_count(), 0u);
  EXPECT_EQ(registry_.bytes(), 0u);
}

TEST_F(RegistryTest, RenewsAllThatAnAddressHasWhereBothCountAsMany) {
  const absl::Duration ttl = registry_.options().ttl;
  const wire::PeerAddress renewing = At("192.0.2.1:1");
  constexpr uint64_t kMany = 500;  // in every shard
  for (uint64_t i = 0; i < kMany; ++i) Announce(absl::StrCat("f", i), 1, Id(1), renewing);
  Announce("f0", 1, Id(1), At("192.0.2.2:1"));
  const absl::Time later = kStart + ttl / 2;
  EXPECT_FALSE(registry_.Renew(renewing, kMany - 1, later));
  EXPECT_FALSE(registry_.Renew(renewing, kMany + 1, later));
  EXPECT_FALSE(registry_.Renew(At("192.0.2.1:2"), kMany, later));
  EXPECT_TRUE(registry_.Renew(At("192.0.2.1:2"), 0, later));
  EXPECT_TRUE(registry_.Renew(renewing, kMany, later));
  registry_.Expire(kStart + ttl);
  EXPECT_EQ(registry_.registration_count(), kMany);
  EXPECT_EQ(LookUp("f0", kStart + ttl), Strings{"192.0.2.1:1"});
  registry_.Expire(later + ttl - absl::Milliseconds(1));
  EXPECT_EQ(registry_.registration_count(), kMany);
  EXPECT_FALSE(registry_.Renew(renewing, kMany, later + ttl)) << "it is too late";
  registry_.Expire(later + ttl);
  EXPECT_EQ(registry_.registration_count(), 0u);
}

TEST_F(RegistryTest, KeepsItsOrdersThroughAnyMixOfCalls) {
  // Against a plain model: (name, content id or 0, address) -> size.
  std::map<std::tuple<int, int, uint32_t>, uint64_t> model;
  uint32_t state = 12345;
  const auto next = [&state](uint32_t below) {
    state = state * 1664525 + 1013904223;
    return (state >> 8) % below;
  };
  const auto name_of = [](int n) { return absl::StrCat("n", n); };
  for (int step = 0; step < 20'000; ++step) {
    const int name = static_cast<int>(next(5));
    const int id = static_cast<int>(next(3));
    const uint32_t host = next(12);
    switch (next(8)) {
      case 0:
        registry_.Unregister(Host(host), kStart);
        for (auto it = model.begin(); it != model.end();) {
          it = std::get<2>(it->first) == host ? model.erase(it) : std::next(it);
        }
        break;
      case 1:
        registry_.Withdraw(Id(1), Host(host), kStart);
        for (auto it = model.begin(); it != model.end();) {
          const auto& [n, i, h] = it->first;
          it = i == 1 && h == host ? model.erase(it) : std::next(it);
        }
        break;
      default: {
        const uint64_t size = next(3);
        const auto content =
            id == 0 ? absl::nullopt : absl::make_optional(Id(static_cast<uint8_t>(id)));
        registry_.Register(name_of(name), ByteCount(size), content, /*partial=*/false, Host(host),
                           kStart);
        model[{name, id, host}] = size;
      }
    }
    ASSERT_EQ(registry_.registration_count(), model.size());
    std::map<std::pair<int, uint64_t>, size_t> versions;
    for (const auto& [key, size] : model) {
      if (std::get<0>(key) == name) ++versions[{std::get<1>(key), size}];
    }
    const auto found = registry_.Find(name_of(name), kElsewhere, kStart);
    ASSERT_EQ(found.size(), versions.size());
    for (size_t i = 0; i < found.size(); ++i) {
      const int found_id = found[i].content_id.has_value() ? found[i].content_id->hash.bytes[0] : 0;
      ASSERT_EQ(found[i].list.peers.size(), (versions[{found_id, found[i].list.size.value()}]));
      if (i == 0) continue;
      ASSERT_LE(found[i].list.peers.size(), found[i - 1].list.peers.size());
    }
  }
}

TEST_F(RegistryTest, GivesPartialPeersToPeersButNotToOriginalClients) {
  const auto join = [&](absl::string_view address, bool partial) {
    registry_.Register("f", ByteCount(9), Id(1), partial, At(address), kStart);
  };
  join("192.0.2.1:1", true);
  EXPECT_FALSE(registry_.Lookup("f", kElsewhere, kStart).has_value());
  EXPECT_EQ(registry_.Peers(Id(1), kElsewhere, kStart)->peers.size(), 1u);
  join("192.0.2.2:1", false);
  join("192.0.2.3:1", true);
  EXPECT_EQ(LookUp("f"), std::vector<std::string>{"192.0.2.2:1"});
  EXPECT_EQ(registry_.Peers(Id(1), kElsewhere, kStart)->peers.size(), 3u);
  EXPECT_EQ(registry_.Find("f", kElsewhere, kStart).at(0).list.peers.size(), 3u);
  join("192.0.2.1:1", false);
  EXPECT_EQ(registry_.Lookup("f", kElsewhere, kStart)->peers.size(), 2u);
  EXPECT_EQ(registry_.Unregister(At("192.0.2.2:1"), kStart), 1u);
  EXPECT_EQ(LookUp("f"), std::vector<std::string>{"192.0.2.1:1"});
  EXPECT_EQ(registry_.Peers(Id(1), kElsewhere, kStart)->peers.size(), 2u);
}

TEST_F(RegistryTest, TellsPeersOfTheAskersNetworkFirst) {
  for (uint32_t n = 0; n < 5; ++n) Register("f", 1, Host(n));              // 10.0.0.0/24
  for (uint32_t n = 256; n < 276; ++n) Register("f", 1, Host(n));          // 10.0.1.0/24
  for (uint32_t n = 0x20000; n < 0x20004; ++n) Register("f", 1, Host(n));  // 10.2.0.0/24
  std::set<std::string> firsts;
  for (int round = 0; round < 200; ++round) {
    const Strings peers = LookUp("f", kStart, Host(200).ip);
    ASSERT_EQ(peers.size(), 29u);
    ASSERT_EQ(std::set<std::string>(peers.begin(), peers.end()).size(), 29u);
    for (size_t i = 0; i < peers.size(); ++i) {
      ASSERT_EQ(absl::StartsWith(peers[i], "10.0.0."), i < 5) << i << ": " << peers[i];
    }
    firsts.insert(peers[0]);
  }
  EXPECT_EQ(firsts.size(), 5u) << "in random order";
}

TEST_F(RegistryTest, CountsTheFirst64BitsOfAnIpv6AddressAsItsNetwork) {
  Register("f", 1, At("192.0.2.1:1"));
  Register("f", 1, At("[2001:db8:0:1::1]:1"));
  Register("f", 1, At("[2001:db8:0:2::1]:1"));
  for (int round = 0; round < 50; ++round) {
    EXPECT_EQ(LookUp("f", kStart, At("[2001:db8:0:2:ffff::9]:1").ip)[0], "[2001:db8:0:2::1]:1");
    EXPECT_EQ(LookUp("f", kStart, At("192.0.2.99:1").ip)[0], "192.0.2.1:1");
  }
}

TEST_F(RegistryTest, GivesHalfOfAFullAnswerForBeingNearAndTheRestAtRandom) {
  constexpr uint32_t kNear = 200;
  // A far one is missing in a round with 0.9375 or less, in all of them with 1e-16.
  constexpr int kRounds = 600;
  for (uint32_t n = 0; n < kNear; ++n) Register("f", 1, Host(n));
  for (uint32_t n = 256; n < 256 + 400; ++n) Register("f", 1, Host(n));
  std::set<std::string> seen;
  for (int round = 0; round < kRounds; ++round) {
    const Strings peers = LookUp("f", kStart, Host(250).ip);
    ASSERT_EQ(peers.size(), 64u);
    ASSERT_EQ(std::set<std::string>(peers.begin(), peers.end()).size(), 64u) << "no peer twice";
    for (size_t i = 0; i < 32; ++i) ASSERT_TRUE(absl::StartsWith(peers[i], "10.0.0.")) << peers[i];
    for (size_t i = 32; i < 64; ++i)
      ASSERT_FALSE(absl::StartsWith(peers[i], "10.0.0.")) << peers[i];
    seen.insert(peers.begin(), peers.end());
  }
  EXPECT_EQ(seen.size(), 600u) << "each of them in time";
  // The shuffling kept each registration findable.
  for (uint32_t n = 0; n < kNear; ++n) EXPECT_EQ(registry_.Unregister(Host(n), kStart), 1u);
  EXPECT_EQ(LookUp("f", kStart, Host(250).ip).size(), 64u);
}

TEST_F(RegistryTest, GivesNoPartialPeerToOriginalClientsHoweverNearItIs) {
  const auto join = [&](const wire::PeerAddress& address, bool partial) {
    registry_.Register("f", ByteCount(9), Id(1), partial, address, kStart);
  };
  for (uint32_t n = 0; n < 100; ++n) join(Host(n), /*partial=*/n % 2 == 0);
  for (uint32_t n = 256; n < 300; ++n) join(Host(n), /*partial=*/false);
  const auto is_whole = [](const wire::PeerAddress& peer) {
    return peer.ip.bytes[14] == 1 || peer.ip.bytes[15] % 2 == 1;
  };
  for (int round = 0; round < 50; ++round) {
    // Mixed with samples of all, which must not spoil that of the whole ones.
    EXPECT_EQ(registry_.Peers(Id(1), Host(200).ip, kStart)->peers.size(), 64u);
    const auto found = registry_.Lookup("f", Host(200).ip, kStart);
    ASSERT_EQ(found->peers.size(), 64u);
    for (const auto& peer : found->peers) ASSERT_TRUE(is_whole(peer)) << peer;
  }
  join(Host(0), /*partial=*/false);
  EXPECT_EQ(registry_.Withdraw(Id(1), Host(0), kStart), 1u);
}

}  // namespace
}  // namespace p2p::tracker
