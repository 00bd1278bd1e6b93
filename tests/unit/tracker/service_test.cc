#include "tracker/service.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace p2p::tracker {
namespace {

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);

wire::PeerAddress At(absl::string_view text) { return *wire::PeerAddress::Parse(text); }
wire::IpAddress Ip(absl::string_view host) { return At(absl::StrCat(host, ":1")).ip; }

bool Allowed(absl::string_view address, absl::string_view source, bool trust = false) {
  const auto error = CheckPeerAddress(At(address), Ip(source), trust);
  if (!error.has_value()) return true;
  EXPECT_EQ(error->code, 403);
  return false;
}

// With a payload behind the LF, if it has one.
std::string Ask(Service* service, absl::string_view source, absl::string_view text) {
  wire::TrackerRequest request;
  const absl::string_view line = text.substr(0, text.find('\n'));
  const auto fault = wire::ParseTrackerRequest(line, &request);
  EXPECT_FALSE(fault.has_value()) << line;
  if (wire::HasPayload(line)) {
    EXPECT_FALSE(wire::TakePayload(text.substr(line.size() + 1), &request).has_value()) << text;
  }
  std::string answer;
  service->Answer(request, Ip(source), kStart, &answer);
  return answer;
}

TEST(TrackerPolicy, T13_LetsAHostRegisterOnlyItself) {
  EXPECT_TRUE(Allowed("192.0.2.1:9001", "192.0.2.1"));
  EXPECT_FALSE(Allowed("192.0.2.2:9001", "192.0.2.1"));
  EXPECT_TRUE(Allowed("[2001:db8::1]:9001", "[2001:db8::1]"));
  EXPECT_FALSE(Allowed("[2001:db8::2]:9001", "[2001:db8::1]"));
  EXPECT_FALSE(Allowed("192.0.2.1:9001", "[2001:db8::1]"));
}

TEST(TrackerPolicy, T13_RefusesAddressesWhereNoPeerCanBeWhateverIsTrusted) {
  for (bool trust : {false, true}) {
    for (const char* address : {"0.0.0.0:1", "169.254.7.7:1", "224.0.0.1:1", "255.255.255.255:1",
                                "[::]:1", "[fe80::1]:1", "[ff02::1]:1"}) {
      EXPECT_FALSE(Allowed(address, "192.0.2.1", trust)) << address;
    }
    // Even when it is the source: such a source is forged.
    EXPECT_FALSE(Allowed("169.254.7.7:1", "169.254.7.7", trust));
    EXPECT_FALSE(Allowed("127.0.0.1:1", "192.0.2.1", trust));
    EXPECT_FALSE(Allowed("[::1]:1", "192.0.2.1", trust));
  }
}

TEST(TrackerPolicy, T13_LetsLoopbackRegisterItself) {
  EXPECT_TRUE(Allowed("127.0.0.1:1", "127.0.0.1"));
  EXPECT_FALSE(Allowed("127.0.0.2:1", "127.0.0.1"));
  EXPECT_TRUE(Allowed("127.0.0.2:1", "127.0.0.1", /*trust=*/true));
  EXPECT_TRUE(Allowed("[::1]:1", "[::1]"));
}

TEST(TrackerPolicy, TrustsGivenAddressesWhenToldTo) {
  EXPECT_TRUE(Allowed("192.0.2.2:9001", "192.0.2.1", /*trust=*/true));
}

TEST(TrackerService, T14_KeepsAVictimListedWhoeverElseWantsItGone) {
  Service service(RegistryOptions(), false);
  EXPECT_EQ(Ask(&service, "192.0.2.1", "REGISTER f 1 192.0.2.1:9"), "OK 120\n");
  for (const char* line :
       {"UNREGISTER 192.0.2.1:9", "REGISTER g 1 192.0.2.1:9",
        "WITHDRAW 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff "
        "192.0.2.1:9"}) {
    EXPECT_TRUE(absl::StartsWith(Ask(&service, "192.0.2.66", line), "ERROR 403 ")) << line;
  }
  EXPECT_EQ(Ask(&service, "192.0.2.66", "UNREGISTER 192.0.2.66:9"), "OK 0\n");
  EXPECT_EQ(Ask(&service, "192.0.2.66", "LOOKUP f"), "OK 1 1 192.0.2.1:9\n");
  EXPECT_EQ(Ask(&service, "192.0.2.1", "UNREGISTER 192.0.2.1:9"), "OK 1\n");
  EXPECT_EQ(Ask(&service, "192.0.2.1", "UNREGISTER 192.0.2.1:9"), "OK 0\n");
}

TEST(TrackerService, T10_AnswersLookupsOfEmptyFiles) {
  Service service(RegistryOptions(), false);
  Ask(&service, "192.0.2.1", "REGISTER f 0 192.0.2.1:9");
  EXPECT_EQ(Ask(&service, "192.0.2.1", "LOOKUP f"), "OK 0 1 192.0.2.1:9\n");
}

TEST(TrackerService, TellsPeersNearToWhoAsksFirst) {
  const std::string id(64, 'a');
  Service service(RegistryOptions(), false);
  for (const char* host : {"192.0.2.1", "198.51.100.1"}) {
    Ask(&service, host, absl::StrCat("ANNOUNCE 5 ", id, " ", host, ":9 +1\nf"));
  }
  const std::string near_first = "5 2 192.0.2.1:9 198.51.100.1:9\n";
  const std::string other_first = "5 2 198.51.100.1:9 192.0.2.1:9\n";
  for (int round = 0; round < 20; ++round) {
    EXPECT_EQ(Ask(&service, "192.0.2.7", "LOOKUP f"), "OK " + near_first);
    EXPECT_EQ(Ask(&service, "198.51.100.7", "LOOKUP f"), "OK " + other_first);
    const std::string others = id + " " + other_first;
    EXPECT_EQ(Ask(&service, "198.51.100.7", absl::StrCat("PEERS ", id)),
              absl::StrCat("FOUND 1 +", others.size(), "\n", others));
    const std::string payload = id + " " + near_first;
    EXPECT_EQ(Ask(&service, "192.0.2.7", "FIND f"),
              absl::StrCat("FOUND 1 +", payload.size(), "\n", payload));
  }
}

TEST(TrackerService, RenewsForThePeerItselfAndSaysWhenItMustAnnounceAgain) {
  Service service(RegistryOptions(), false);
  Ask(&service, "192.0.2.1", "REGISTER a 0 192.0.2.1:9");
  Ask(&service, "192.0.2.1", absl::StrCat("JOIN 5 ", std::string(64, 'a'), " 192.0.2.1:9 +1\nb"));
  EXPECT_EQ(Ask(&service, "192.0.2.1", "RENEW 2 192.0.2.1:9"), "OK 120\n");
  EXPECT_TRUE(absl::StartsWith(Ask(&service, "192.0.2.1", "RENEW 3 192.0.2.1:9"), "ERROR 404 "));
  EXPECT_TRUE(absl::StartsWith(Ask(&service, "192.0.2.2", "RENEW 2 192.0.2.1:9"), "ERROR 403 "));
}

TEST(TrackerService, T16_SaysThatAQuotaIsUsed) {
  RegistryOptions options;
  options.max_registrations_per_ip = 2;
  Service service(options, false);
  Ask(&service, "192.0.2.1", "REGISTER a 0 192.0.2.1:9");
  EXPECT_EQ(Ask(&service, "192.0.2.1", "REGISTER b 0 192.0.2.1:9"), "OK 120\n");
  EXPECT_TRUE(
      absl::StartsWith(Ask(&service, "192.0.2.1", "REGISTER c 0 192.0.2.1:9"), "ERROR 429 "));
  options.max_bytes = 1;
  Service full(options, false);
  EXPECT_TRUE(absl::StartsWith(Ask(&full, "192.0.2.1", "REGISTER c 0 192.0.2.1:9"), "ERROR 503 "));
}

TEST(TrackerService, AnswersTheVerbsOfTheExtension) {
  const std::string id(64, 'a');
  RegistryOptions options;
  options.ttl = absl::Seconds(7);
  Service service(options, false);
  EXPECT_EQ(Ask(&service, "192.0.2.1", absl::StrCat("ANNOUNCE 5 ", id, " 192.0.2.1:9 +1\nf")),
            "OK 7\n");
  EXPECT_EQ(Ask(&service, "192.0.2.2", "REGISTER f 6 192.0.2.2:9"), "OK 7\n");
  const std::string payload = absl::StrCat(id, " 5 1 192.0.2.1:9\n- 6 1 192.0.2.2:9\n");
  EXPECT_EQ(Ask(&service, "192.0.2.1", "FIND f"),
            absl::StrCat("FOUND 2 +", payload.size(), "\n", payload));
  EXPECT_EQ(Ask(&service, "192.0.2.1", "FIND g"), "FOUND 0 +0\n");
  const std::string version = absl::StrCat(id, " 5 1 192.0.2.1:9\n");
  EXPECT_EQ(Ask(&service, "192.0.2.1", absl::StrCat("PEERS ", id)),
            absl::StrCat("FOUND 1 +", version.size(), "\n", version));
  EXPECT_EQ(Ask(&service, "192.0.2.1", absl::StrCat("WITHDRAW ", id, " 192.0.2.1:9")), "OK 1\n");
  EXPECT_EQ(Ask(&service, "192.0.2.1", absl::StrCat("PEERS ", id)), "FOUND 0 +0\n");
  EXPECT_TRUE(absl::StartsWith(Ask(&service, "192.0.2.1", "LOOKUP g"), "ERROR 404 "));
}

TEST(TrackerService, TellsFiguresToItsOwnHostOnlyUnlessTheyArePublic) {
  Service service(RegistryOptions(), false);
  service.SetFigures([] { return wire::Figures{{"names", "3"}, {"snapshot", "off"}}; });
  EXPECT_EQ(Ask(&service, "127.0.0.1", "STATS"), "OK names=3 snapshot=off\n");
  EXPECT_EQ(Ask(&service, "[::1]", "STATS"), "OK names=3 snapshot=off\n");
  EXPECT_TRUE(absl::StartsWith(Ask(&service, "192.0.2.1", "STATS"), "ERROR 403 "));
  service.SetPublicStats(true);
  EXPECT_EQ(Ask(&service, "192.0.2.1", "STATS"), "OK names=3 snapshot=off\n");
}

}  // namespace
}  // namespace p2p::tracker
