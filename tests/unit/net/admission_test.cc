#include "core/net/admission.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "core/base/limits.h"

namespace p2p::net {
namespace {

asio::ip::address Source(uint32_t number) { return asio::ip::address_v4(0x0a000000u + number); }

class AdmissionTest : public ::testing::Test {
 protected:
  // Room for what the test is not about.
  static ListenerOptions Roomy() {
    ListenerOptions options;
    options.max_connections = 1'000'000;
    options.max_connections_per_address = 1'000'000;
    options.max_new_connections_per_second = 1'000'000;
    return options;
  }
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
};

TEST_F(AdmissionTest, DefaultsAreTheLimitsOfTheSystem) {
  const ListenerOptions options;
  EXPECT_EQ(options.max_connections_per_address, 64);
  EXPECT_EQ(options.max_new_connections_per_second, 100);
  EXPECT_EQ(options.max_connections, limits::kMaxConnections);
}

TEST_F(AdmissionTest, P16_OneAddressGets64ConnectionsAndNoMore) {
  const auto control = AdmissionControl::Create(ListenerOptions());
  std::vector<Admission> held;
  for (int i = 0; i < 64; ++i) {
    held.push_back(control->TryAdmit(Source(1), now_));
    ASSERT_NE(held.back(), nullptr) << i;
  }
  EXPECT_EQ(control->TryAdmit(Source(1), now_), nullptr);
  EXPECT_EQ(control->refused(), 1u);
  EXPECT_NE(control->TryAdmit(Source(2), now_), nullptr);
  held.pop_back();
  held.push_back(control->TryAdmit(Source(1), now_));
  EXPECT_NE(held.back(), nullptr);
  EXPECT_EQ(control->TryAdmit(Source(1), now_), nullptr);
}

TEST_F(AdmissionTest, OneAddressGets100NewConnectionsASecond) {
  const auto control = AdmissionControl::Create(ListenerOptions());
  for (int i = 0; i < 100; ++i) EXPECT_NE(control->TryAdmit(Source(1), now_), nullptr) << i;
  EXPECT_EQ(control->TryAdmit(Source(1), now_), nullptr);
  EXPECT_NE(control->TryAdmit(Source(2), now_), nullptr);
  // One is earned back every 10 ms.
  EXPECT_EQ(control->TryAdmit(Source(1), now_ + absl::Milliseconds(9)), nullptr);
  EXPECT_NE(control->TryAdmit(Source(1), now_ + absl::Milliseconds(11)), nullptr);
  EXPECT_EQ(control->TryAdmit(Source(1), now_ + absl::Milliseconds(12)), nullptr);
  // A long rest earns no more than one second's worth.
  now_ += absl::Hours(5);
  for (int i = 0; i < 100; ++i) EXPECT_NE(control->TryAdmit(Source(1), now_), nullptr) << i;
  EXPECT_EQ(control->TryAdmit(Source(1), now_), nullptr);
}

TEST_F(AdmissionTest, BoundsTheConnectionsOfAllTogether) {
  ListenerOptions options = Roomy();
  options.max_connections = 3;
  const auto control = AdmissionControl::Create(options);
  std::vector<Admission> held;
  for (uint32_t i = 0; i < 3; ++i) held.push_back(control->TryAdmit(Source(i), now_));
  EXPECT_NE(held.back(), nullptr);
  EXPECT_EQ(control->TryAdmit(Source(9), now_), nullptr);
  held.clear();
  EXPECT_NE(control->TryAdmit(Source(9), now_), nullptr);
}

TEST_F(AdmissionTest, AMappedAddressCountsAsItsIpv4) {
  ListenerOptions options = Roomy();
  options.max_connections_per_address = 1;
  const auto control = AdmissionControl::Create(options);
  const Admission held = control->TryAdmit(Source(1), now_);
  const auto mapped = asio::ip::make_address_v6(asio::ip::v4_mapped, Source(1).to_v4());
  EXPECT_EQ(control->TryAdmit(mapped, now_), nullptr);
  EXPECT_NE(control->TryAdmit(asio::ip::address_v6::loopback(), now_), nullptr);
}

// The n-th /64 of a /48.
asio::ip::address Subnet(const char* site, uint16_t n, uint8_t host = 1) {
  auto bytes = asio::ip::make_address_v6(site).to_bytes();
  bytes[6] = static_cast<uint8_t>(n >> 8);
  bytes[7] = static_cast<uint8_t>(n);
  bytes[15] = host;
  return asio::ip::address_v6(bytes);
}

TEST_F(AdmissionTest, V17_AllAddressesOfASubnetOfIpv6AreOne) {
  const auto control = AdmissionControl::Create(ListenerOptions());
  std::vector<Admission> held;
  for (uint8_t i = 0; i < 64; ++i) {
    held.push_back(control->TryAdmit(Subnet("2001:db8::", 1, i), now_));
    ASSERT_NE(held.back(), nullptr) << int{i};
  }
  EXPECT_EQ(control->TryAdmit(Subnet("2001:db8::", 1, 64), now_), nullptr);
  held.push_back(control->TryAdmit(Subnet("2001:db8::", 2), now_));
  EXPECT_NE(held.back(), nullptr) << "another subnet";
  held.front().reset();
  EXPECT_NE(control->TryAdmit(Subnet("2001:db8::", 1, 65), now_), nullptr);
}

TEST_F(AdmissionTest, V17_A48OfIpv6HasAsMuchAs16Addresses) {
  ListenerOptions options = Roomy();
  options.max_connections_per_address = 4;
  const auto control = AdmissionControl::Create(options);
  std::vector<Admission> held;
  for (uint16_t i = 0; i < 4 * limits::kAddressesPerSite; ++i) {
    held.push_back(control->TryAdmit(Subnet("2001:db8:1::", i), now_));
    ASSERT_NE(held.back(), nullptr) << i;
  }
  EXPECT_EQ(control->TryAdmit(Subnet("2001:db8:1::", 9'999), now_), nullptr);
  EXPECT_NE(control->TryAdmit(Subnet("2001:db8:2::", 9'999), now_), nullptr) << "another /48";
  held.pop_back();
  EXPECT_NE(control->TryAdmit(Subnet("2001:db8:1::", 9'999), now_), nullptr);
}

TEST_F(AdmissionTest, V17_A48OfIpv6HasTheNewConnectionsOf16Addresses) {
  ListenerOptions options = Roomy();
  options.max_new_connections_per_second = 10;
  const auto control = AdmissionControl::Create(options);
  int admitted = 0;
  for (uint16_t i = 0; i < 1'000; ++i) {
    admitted += control->TryAdmit(Subnet("2001:db8:1::", i), now_) != nullptr;
  }
  EXPECT_EQ(admitted, 10 * limits::kAddressesPerSite);
}

TEST_F(AdmissionTest, ForgetsAddressesThatRest) {
  const auto control = AdmissionControl::Create(Roomy());
  const Admission held = control->TryAdmit(Source(0), now_);
  for (uint32_t i = 1; i <= 10'000; ++i) control->TryAdmit(Source(i), now_);
  EXPECT_EQ(control->remembered_addresses(), 10'001u);
  now_ += absl::Seconds(2);
  control->TryAdmit(Source(20'000), now_);
  EXPECT_EQ(control->remembered_addresses(), 2u);
}

TEST_F(AdmissionTest, ForgettingGivesNobodyMoreThanItsRate) {
  const auto control = AdmissionControl::Create(ListenerOptions());
  for (int i = 0; i < 100; ++i) control->TryAdmit(Source(1), now_);
  now_ += absl::Milliseconds(500);
  control->TryAdmit(Source(2), now_);
  int admitted = 0;
  for (int i = 0; i < 100; ++i) admitted += control->TryAdmit(Source(1), now_) != nullptr;
  EXPECT_EQ(admitted, 50);
}

TEST_F(AdmissionTest, EndsOnAnyThreadAndMayOutliveTheCounter) {
  auto control = AdmissionControl::Create(ListenerOptions());
  std::vector<Admission> held;
  for (int i = 0; i < 60; ++i) held.push_back(control->TryAdmit(Source(1), now_));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&held, t] {
      for (int i = t; i < 56; i += 4) held[i].reset();
    });
  }
  for (std::thread& thread : threads) thread.join();
  now_ += absl::Seconds(1);
  for (int i = 0; i < 60; ++i) {
    held.push_back(control->TryAdmit(Source(1), now_));
    EXPECT_NE(held.back(), nullptr);
  }
  EXPECT_EQ(control->TryAdmit(Source(1), now_), nullptr);
  control.reset();
  held.clear();
}

}  // namespace
}  // namespace p2p::net
