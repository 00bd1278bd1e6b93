#include "tracker/keyed_hash.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tracker/registry.h"

namespace p2p::tracker {
namespace {

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);
constexpr HashKey kKnownKey = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

// Names whose hash under kKnownKey has the same first four and last eleven bits: in a registry with
// that key they are in one shard and in one bucket.
std::vector<std::string> CollidingNames(size_t count) {
  std::vector<std::string> names;
  for (uint64_t n = 0; names.size() < count; ++n) {
    std::string name = absl::StrCat("f", n);
    if ((KeyedHash(kKnownKey, name) & 0xf0000000000007ff) == 0) names.push_back(std::move(name));
  }
  return names;
}

// The longest chain after a flood of these names.
size_t LongestChain(const std::vector<std::string>& names, const HashKey& key) {
  RegistryOptions options;
  options.max_registrations_per_ip = static_cast<int>(names.size());
  Registry registry(options, key);
  for (const std::string& name : names) {
    EXPECT_EQ(registry.Register(name, ByteCount(1), absl::nullopt, /*partial=*/false,
                                *wire::PeerAddress::Parse("192.0.2.1:1"), kStart),
              Registry::Outcome::kRegistered);
  }
  return registry.longest_chain();
}

TEST(KeyedHash, IsSipHash24) {
  // The vectors of the reference implementation: the message is 00 01 02 ...
  std::string message;
  EXPECT_EQ(KeyedHash(kKnownKey, message), 0x726fdb47dd0e0e31);
  message.push_back(0);
  EXPECT_EQ(KeyedHash(kKnownKey, message), 0x74f839c593dc67fd);
  while (message.size() < 15) message.push_back(static_cast<char>(message.size()));
  EXPECT_EQ(KeyedHash(kKnownKey, message), 0xa129ca6149be45e5);
}

TEST(KeyedHash, T17_NamesThatCollideUnderOneKeyDoNotUnderAnother) {
  const std::vector<std::string> names = CollidingNames(500);
  EXPECT_EQ(LongestChain(names, kKnownKey), names.size())
      << "the flood works where the key is known";
  // By chance 500 names in 31 or more buckets of each of 16 shards: more than 20 in one of them
  // have a chance below 10^-12.
  for (int registry = 0; registry < 10; ++registry) {
    EXPECT_LE(LongestChain(names, HashKey::Random()), 20u);
  }
}

}  // namespace
}  // namespace p2p::tracker
