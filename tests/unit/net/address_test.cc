#include "core/net/address.h"

#include <gtest/gtest.h>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "core/base/status.h"

namespace p2p::net {
namespace {

Endpoint Parsed(absl::string_view text) {
  const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(text);
  EXPECT_TRUE(endpoint.ok()) << text << ": " << endpoint.status();
  return endpoint.value_or(Endpoint());
}

TEST(Address, ReadsBackWhatItWrites) {
  for (const char* text : {"1.2.3.4:1", "0.0.0.0:65535", "255.255.255.255:80", "[::1]:9001",
                           "[2001:db8::1]:9001", "[::]:1"}) {
    EXPECT_EQ(FormatEndpoint(Parsed(text)), text);
  }
}

TEST(Address, WritesMappedAddressesAsIpv4) {
  EXPECT_EQ(FormatEndpoint(Parsed("[::ffff:1.2.3.4]:80")), "1.2.3.4:80");
  EXPECT_EQ(Parsed("[::ffff:1.2.3.4]:80"), Parsed("1.2.3.4:80"));
  const Endpoint mapped(
      asio::ip::make_address_v6(asio::ip::v4_mapped, asio::ip::address_v4::loopback()), 7);
  EXPECT_EQ(FormatEndpoint(mapped), "127.0.0.1:7");
  EXPECT_EQ(FormatHost(mapped), "127.0.0.1");
  EXPECT_EQ(FormatHost(Parsed("[2001:DB8:0::1]:9001")), "2001:db8::1");
}

TEST(Address, WritesNoZone) {
  const asio::ip::address_v6 zoned(asio::ip::make_address_v6("fe80::1").to_bytes(), 2);
  EXPECT_EQ(FormatEndpoint(Endpoint(zoned, 80)), "[fe80::1]:80");
}

TEST(Address, T13_RefusesWhatIsNoLiteralAddressWithAPort) {
  for (const char* text : {"",
                           ":",
                           ":80",
                           "1.2.3.4",
                           "22",
                           "1.2.3.4:",
                           "1.2.3.4:0",
                           "1.2.3.4:65536",
                           "1.2.3.4:00080",
                           "1.2.3.4:080",
                           "1.2.3.4:+80",
                           "1.2.3.4:-1",
                           "1.2.3.4: 80",
                           "1.2.3.4:80 ",
                           " 1.2.3.4:80",
                           "1.2.3.4:80@x",
                           "1.2.3.4:0x50",
                           "1.2.3.4:99999999999999999999",
                           "localhost:80",
                           "example.org:80",
                           "::1:80",
                           "::1",
                           "[::1]",
                           "[::1]80",
                           "[::1:80",
                           "::1]:80",
                           "[]:80",
                           "[1.2.3.4]:80",
                           "[fe80::1%eth0]:80",
                           "[fe80::1%2]:80",
                           "[::g]:80",
                           "[[::1]]:80",
                           "01.2.3.4:80",
                           "1.2.3.04:80",
                           "1.2.3:80",
                           "1.2.3.4.5:80",
                           "1.2.3.256:80",
                           "1..3.4:80",
                           "127.1:80",
                           "2130706433:80",
                           "0x7f.0.0.1:80",
                           "1.2.3.4:80:80"}) {
    const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(text);
    EXPECT_EQ(endpoint.status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_FALSE(ParseEndpoint(absl::string_view("[::1\0]:80", 9)).ok());
  EXPECT_TRUE(ParseEndpoint("1.2.3.4:65535").ok());
  EXPECT_TRUE(ParseEndpoint("1.2.3.4:1").ok());
}

TEST(Address, RefusalsSayWhatToWrite) {
  EXPECT_EQ(ParseEndpoint("1.2.3.4").status().message(),
            "\"1.2.3.4\" is no address: it has no port; write HOST:PORT");
  EXPECT_EQ(ParseEndpoint("::1:80").status().message(),
            "\"::1:80\" is no address: write an IPv6 address in brackets, [ADDRESS]:PORT");
  EXPECT_EQ(ParseEndpoint("1.2.3.4:70000").status().message(),
            "\"1.2.3.4:70000\" is no address: the port must be a number from 1 to 65535");
  EXPECT_EQ(ParseEndpoint("1.2.3.4:70000", /*allow_port_zero=*/true).status().message(),
            "\"1.2.3.4:70000\" is no address: the port must be a number from 0 to 65535");
  EXPECT_EQ(ParseEndpoint("\x1b[2J:80").status().message(),
            "\"\\x1b[2J:80\" is no address: the host must be a literal IPv4 address or an IPv6 "
            "address in brackets");
}

TEST(Address, CountsIpv6BySubnetAndIpv4ByAddressAndItsLast24Bits) {
  const auto bytes = [](const char* ip) { return BytesOf(asio::ip::make_address(ip)); };
  EXPECT_EQ(HostOf(bytes("192.0.2.1")), HostOf(bytes("::ffff:192.0.2.1")));
  EXPECT_NE(HostOf(bytes("192.0.2.1")), HostOf(bytes("192.0.2.2")));
  EXPECT_EQ(HostOf(bytes("2001:db8:1:2::1")), HostOf(bytes("2001:db8:1:2:ffff::9")));
  EXPECT_NE(HostOf(bytes("2001:db8:1:2::1")), HostOf(bytes("2001:db8:1:3::1")));
  EXPECT_EQ(NetworkOf(bytes("192.0.2.1")), NetworkOf(bytes("192.0.2.254")));
  EXPECT_NE(NetworkOf(bytes("192.0.2.1")), NetworkOf(bytes("192.0.3.1")));
  EXPECT_NE(NetworkOf(bytes("2001:db8:1:2::1")), NetworkOf(bytes("2001:db8:1:3::1")));
  EXPECT_EQ(SiteOf(bytes("192.0.2.1")), SiteOf(bytes("192.0.2.254")));
  EXPECT_EQ(SiteOf(bytes("2001:db8:1:2::1")), SiteOf(bytes("2001:db8:1:3::1")));
  EXPECT_NE(SiteOf(bytes("2001:db8:1:2::1")), SiteOf(bytes("2001:db8:2:2::1")));
}

TEST(Address, TakesPortZeroOnlyWhereOneListens) {
  EXPECT_FALSE(ParseEndpoint("127.0.0.1:0").ok());
  const absl::StatusOr<Endpoint> endpoint = ParseEndpoint("127.0.0.1:0", /*allow_port_zero=*/true);
  ASSERT_TRUE(endpoint.ok());
  EXPECT_EQ(endpoint->port(), 0);
  EXPECT_FALSE(ParseEndpoint("127.0.0.1:00", /*allow_port_zero=*/true).ok());
}

TEST(Address, T13_KnowsHowFarAnAddressReaches) {
  const struct {
    const char* text;
    AddressScope scope;
  } rows[] = {
      {"0.0.0.0:1", AddressScope::kUnspecified},
      {"0.1.2.3:1", AddressScope::kUnspecified},
      {"[::]:1", AddressScope::kUnspecified},
      {"127.0.0.1:1", AddressScope::kLoopback},
      {"127.255.0.1:1", AddressScope::kLoopback},
      {"[::1]:1", AddressScope::kLoopback},
      {"[::ffff:127.0.0.1]:1", AddressScope::kLoopback},
      {"169.254.0.1:1", AddressScope::kLinkLocal},
      {"[fe80::1]:1", AddressScope::kLinkLocal},
      {"[febf::1]:1", AddressScope::kLinkLocal},
      {"224.0.0.1:1", AddressScope::kMulticast},
      {"239.1.1.1:1", AddressScope::kMulticast},
      {"240.0.0.1:1", AddressScope::kMulticast},
      {"255.255.255.255:1", AddressScope::kMulticast},
      {"[ff02::1]:1", AddressScope::kMulticast},
      {"10.0.0.1:1", AddressScope::kPrivate},
      {"172.16.0.1:1", AddressScope::kPrivate},
      {"172.31.255.255:1", AddressScope::kPrivate},
      {"192.168.1.1:1", AddressScope::kPrivate},
      {"100.64.0.1:1", AddressScope::kPrivate},
      {"100.127.255.255:1", AddressScope::kPrivate},
      {"[fc00::1]:1", AddressScope::kPrivate},
      {"[fdff::1]:1", AddressScope::kPrivate},
      {"[fec0::1]:1", AddressScope::kPrivate},
      {"172.15.0.1:1", AddressScope::kGlobal},
      {"172.32.0.1:1", AddressScope::kGlobal},
      {"100.63.0.1:1", AddressScope::kGlobal},
      {"100.128.0.1:1", AddressScope::kGlobal},
      {"169.253.0.1:1", AddressScope::kGlobal},
      {"223.255.255.255:1", AddressScope::kGlobal},
      {"[2001:db8::1]:1", AddressScope::kGlobal},
      {"[fe00::1]:1", AddressScope::kGlobal},
  };
  for (const auto& row : rows) EXPECT_EQ(ScopeOf(Parsed(row.text)), row.scope) << row.text;
}

TEST(HostPort, TakesNamesAndLiterals) {
  const absl::StatusOr<HostPort> name = ParseHostPort("tracker.example.org:8080");
  ASSERT_TRUE(name.ok()) << name.status();
  EXPECT_EQ(name->host, "tracker.example.org");
  EXPECT_EQ(name->port, 8080);
  EXPECT_EQ(ParseHostPort("[::1]:80")->host, "::1");
  EXPECT_EQ(ParseHostPort("1.2.3.4:80")->host, "1.2.3.4");
  for (const char* text : {"localhost:1", "a_b:1", "example.org.:1", "1and1.com:1", "a.1b:1"}) {
    EXPECT_TRUE(ParseHostPort(text).ok()) << text;
  }
}

TEST(HostPort, RefusesNamesThatAreNone) {
  for (const char* text :
       {"",       "x",     ":80",      "x:",       "x:0",          "x:65536", "a b:80",
        "a/b:80", "-a:80", "a-:80",    "a..b:80",  ".a:80",        ".:80",    "::1:80",
        "[x]:80", "[]:80", "1.2.3:80", "127.1:80", "256.1.1.1:80", "x@y:80",  "a\n:80"}) {
    EXPECT_EQ(ParseHostPort(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(HostPort, X09_BoundsTheLengthOfNames) {
  const std::string label(63, 'a');
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'b');
  ASSERT_EQ(longest.size(), 253u);
  EXPECT_TRUE(ParseHostPort(longest + ":80").ok());
  EXPECT_FALSE(ParseHostPort(longest + "c:80").ok());
  EXPECT_TRUE(ParseHostPort(label + ":80").ok());
  EXPECT_FALSE(ParseHostPort(label + "a:80").ok());
}

class ResolveTest : public ::testing::Test {
 protected:
  ResolveTest() { loop_.Start(); }
  absl::StatusOr<std::vector<Endpoint>> ResolveNow(const HostPort& host_port) {
    absl::Notification done;
    absl::StatusOr<std::vector<Endpoint>> result = absl::UnknownError("no answer");
    Resolve(&loop_, host_port, [&](absl::StatusOr<std::vector<Endpoint>> endpoints) {
      EXPECT_TRUE(loop_.IsInLoop());
      result = std::move(endpoints);
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }
  EventLoop loop_{"resolve"};
};

TEST_F(ResolveTest, LiteralsAreNotLookedUp) {
  const auto v4 = ResolveNow({"1.2.3.4", 80});
  ASSERT_TRUE(v4.ok());
  ASSERT_EQ(v4->size(), 1u);
  EXPECT_EQ(FormatEndpoint(v4->front()), "1.2.3.4:80");
  const auto v6 = ResolveNow({"2001:db8::1", 81});
  ASSERT_TRUE(v6.ok());
  EXPECT_EQ(FormatEndpoint(v6->front()), "[2001:db8::1]:81");
}

TEST_F(ResolveTest, FindsTheLocalHost) {
  const auto endpoints = ResolveNow({"localhost", 8080});
  ASSERT_TRUE(endpoints.ok()) << endpoints.status();
  ASSERT_FALSE(endpoints->empty());
  for (const Endpoint& endpoint : *endpoints) {
    EXPECT_EQ(ScopeOf(endpoint), AddressScope::kLoopback);
    EXPECT_EQ(endpoint.port(), 8080);
  }
}

TEST_F(ResolveTest, X09_SaysWhichNameIsNotFound) {
  // Reserved never to exist (RFC 6761); without a name service the code differs.
  const absl::Status status = ResolveNow({"nowhere.invalid", 80}).status();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("cannot look up \"nowhere.invalid\": "), absl::string_view::npos)
      << status;
}

TEST(ResolveAndLoop, AnAnswerThatComesAfterTheLoopIsDropped) {
  auto called = std::make_shared<bool>(false);
  {
    EventLoop loop("short");
    loop.Start();
    loop.Stop();
    Resolve(&loop, {"localhost", 80}, [called](const auto&) { *called = true; });
  }
  EXPECT_FALSE(*called);
}

}  // namespace
}  // namespace p2p::net
