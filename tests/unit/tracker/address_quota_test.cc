#include "tracker/address_quota.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "gtest/gtest.h"
#include "tracker/registry.h"

namespace p2p::tracker {
namespace {

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);
constexpr size_t kRoom = 1 << 20;

wire::IpAddress Subnet(uint32_t site, uint32_t subnet, uint32_t host = 1) {
  const std::string text = absl::StrCat("[2001:db8:", absl::Hex(site), ":", absl::Hex(subnet),
                                        "::", absl::Hex(host), "]:1");
  return wire::PeerAddress::Parse(text)->ip;
}
wire::IpAddress V4(uint8_t network, uint8_t host) {
  return wire::IpAddress::FromV4({192, 0, network, host});
}

TEST(AddressQuota, V17_AllAddressesOfASubnetOfIpv6AreOneHost) {
  AddressQuota quota(HashKey::Random());
  for (uint32_t n = 1; n <= 10; ++n) EXPECT_TRUE(quota.TryTake(Subnet(1, 1, n), 10, 1, kRoom));
  EXPECT_FALSE(quota.TryTake(Subnet(1, 1, 11), 10, 1, kRoom));
  EXPECT_TRUE(quota.TryTake(Subnet(1, 2, 1), 10, 1, kRoom));
  EXPECT_EQ(quota.host_count(), 2u);
  quota.GiveBack(Subnet(1, 1, 1), 1);
  EXPECT_TRUE(quota.TryTake(Subnet(1, 1, 11), 10, 1, kRoom));
}

TEST(AddressQuota, V17_A48OfIpv6HasAsMuchAs16Hosts) {
  AddressQuota quota(HashKey::Random());
  for (uint32_t n = 0; n < 2 * limits::kAddressesPerSite; ++n) {
    EXPECT_TRUE(quota.TryTake(Subnet(1, n), 2, 1, kRoom)) << n;
  }
  EXPECT_FALSE(quota.TryTake(Subnet(1, 9'999), 2, 1, kRoom));
  EXPECT_TRUE(quota.TryTake(Subnet(2, 9'999), 2, 1, kRoom));
  for (uint8_t n = 0; n < 100; ++n) EXPECT_TRUE(quota.TryTake(V4(1, n), 2, 1, kRoom)) << int{n};
}

TEST(AddressQuota, V17_ANetworkHasNoMoreMemoryThanItMay) {
  AddressQuota quota(HashKey::Random());
  EXPECT_TRUE(quota.TryTake(V4(1, 1), 10, 600, 1'000));
  EXPECT_FALSE(quota.TryTake(V4(1, 2), 10, 401, 1'000));
  EXPECT_TRUE(quota.TryTake(V4(1, 2), 10, 400, 1'000));
  EXPECT_TRUE(quota.TryTake(V4(2, 2), 10, 1'000, 1'000)) << "another network";
  EXPECT_FALSE(quota.TryTake(V4(3, 2), 10, 1'001, 1'000));
  quota.GiveBack(V4(1, 1), 600);
  EXPECT_TRUE(quota.TryTake(V4(1, 3), 10, 600, 1'000));
  EXPECT_EQ(quota.host_count(), 3u);
  EXPECT_TRUE(quota.TryTake(Subnet(1, 1), 10, 1'000, 1'000));
  EXPECT_FALSE(quota.TryTake(Subnet(1, 2), 10, 1, 1'000)) << "the same /48";
}

TEST(Registry, V17_OneNetworkCannotFillTheRegistry) {
  RegistryOptions options;
  options.max_bytes = 1 << 20;
  Registry registry(options);
  const auto fill = [&registry](const auto& host_of) {
    using Outcome = Registry::Outcome;
    Outcome outcome = Outcome::kRegistered;
    uint32_t n = 0;
    for (; outcome == Outcome::kRegistered; ++n) {
      outcome = registry.Register(absl::StrCat(std::string(200, 'x'), registry.bytes(), "-", n),
                                  ByteCount(1), absl::nullopt, /*partial=*/false,
                                  {host_of(n), static_cast<uint16_t>(1 + n)}, kStart);
    }
    EXPECT_EQ(outcome, Outcome::kQuota);
    return n;
  };
  const uint32_t first = fill([](uint32_t n) { return Subnet(1, n); });
  EXPECT_LT(registry.bytes(), options.max_bytes / 2 + 2'000);
  // Each that comes later has as much as the others leave.
  const uint32_t second = fill([](uint32_t n) { return V4(1, static_cast<uint8_t>(n)); });
  EXPECT_GT(second, first / 4);
  EXPECT_GT(fill([](uint32_t n) { return V4(2, static_cast<uint8_t>(n)); }), 20u);
  registry.Expire(kStart + options.ttl);
  EXPECT_EQ(registry.bytes(), 0u);
  EXPECT_EQ(registry.counts().hosts, 0u);
}

}  // namespace
}  // namespace p2p::tracker
