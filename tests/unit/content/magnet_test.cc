#include "core/content/magnet.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace p2p::content {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kHex = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const std::string kLink = absl::StrCat("magnet:?xt=urn:btmh:1220", kHex);

std::string Refusal(absl::string_view link) {
  const absl::Status status = ParseMagnet(link).status();
  if (status.ok()) return "(accepted)";
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(Magnet, PrintsAndReadsBackEverything) {
  Magnet magnet;
  magnet.content_id = *ContentIdFromHex(kHex);
  magnet.name = "a b&c=d+e%20\xc3\xa9.txt";
  magnet.total_bytes = ByteCount(limits::kMaxFileBytes);
  magnet.trackers = {"127.0.0.1:8080", "[::1]:1", "tracker.example:65535"};
  magnet.peers = {"10.0.0.1:9001"};
  const std::string link = FormatMagnet(magnet);
  EXPECT_EQ(link, absl::StrCat(kLink,
                               "&dn=a%20b%26c%3Dd%2Be%2520%C3%A9.txt&xl=1125899906842624"
                               "&tr=127.0.0.1:8080&tr=%5B::1%5D:1&tr=tracker.example:65535"
                               "&x.pe=10.0.0.1:9001"));
  const absl::StatusOr<Magnet> parsed = ParseMagnet(link);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->content_id, magnet.content_id);
  EXPECT_EQ(parsed->name, magnet.name);
  EXPECT_EQ(parsed->total_bytes, magnet.total_bytes);
  EXPECT_EQ(parsed->trackers, magnet.trackers);
  EXPECT_EQ(parsed->peers, magnet.peers);
}

TEST(Magnet, PrintsOnlyWhatIsKnown) {
  Magnet magnet;
  magnet.content_id = *ContentIdFromHex(kHex);
  EXPECT_EQ(FormatMagnet(magnet), kLink);
  const absl::StatusOr<Magnet> parsed = ParseMagnet(kLink);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->name, "");
  EXPECT_EQ(parsed->total_bytes, ByteCount(0));
  EXPECT_THAT(parsed->trackers, IsEmpty());
}

TEST(Magnet, ReadsLinksAsOthersWriteThem) {
  const absl::StatusOr<Magnet> parsed = ParseMagnet(absl::StrCat(
      "MAGNET:?dn=two+words&XT=URN:BTMH:1220", absl::AsciiStrToUpper(kHex),
      "&xt=urn:btih:0123456789012345678901234567890123456789&so=0&&novalue&ws=http://w"
      "&tr=udp%3A%2F%2Ftracker%3A1337%2Fannounce&tr=p2p://host:1/&tr=P2P%3A%2F%2Fhost%3A2&xl=0"));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->content_id.Hex(), kHex);
  EXPECT_EQ(parsed->name, "two words");
  EXPECT_THAT(parsed->trackers, ElementsAre("host:1", "host:2"));
}

TEST(Magnet, NeedsExactlyOneContentId) {
  EXPECT_THAT(Refusal("magnet:?"), HasSubstr("no content id"));
  EXPECT_THAT(Refusal("magnet:?dn=x"), HasSubstr("no content id"));
  EXPECT_THAT(Refusal(absl::StrCat(kLink, "&xt=urn:btmh:1220", kHex)), HasSubstr("more than one"));
  EXPECT_THAT(Refusal("magnet:?xt=urn:btih:0123456789012345678901234567890123456789"),
              HasSubstr("BitTorrent v1 link"));
  EXPECT_THAT(Refusal(absl::StrCat("magnet:?xt=urn:btmh:1114", kHex)),
              HasSubstr("SHA-256 multihash"));
  for (const std::string& hex : {std::string(), kHex.substr(1), kHex + "0", "g" + kHex.substr(1)}) {
    EXPECT_THAT(Refusal(absl::StrCat("magnet:?xt=urn:btmh:1220", hex)),
                HasSubstr("64 hexadecimal digits"))
        << hex;
  }
}

TEST(Magnet, RefusesBadPercentEncoding) {
  for (absl::string_view bad : {"%", "%4", "%zz", "a%2", "%-1", "%%20"}) {
    EXPECT_THAT(Refusal(absl::StrCat(kLink, "&dn=", bad)), HasSubstr("hexadecimal digits")) << bad;
  }
}

TEST(Magnet, T05_T06_RefusesNamesThatAreNotLegal) {
  EXPECT_EQ(Refusal(kLink + "&dn="), "(accepted)") << "the same as none";
  for (absl::string_view bad :
       {"..%2Fx", "%2Fetc%2Fx", "a%2F%2Fb", ".", "..", "a%2F..%2Fb", "a%00b", "a%0Db", "a%0Ab",
        "%1B[31m", "%7F", "%E2%80%AE", "%FF", "%C0%AF", "%ED%A0%80"}) {
    EXPECT_THAT(Refusal(absl::StrCat(kLink, "&dn=", bad)), HasSubstr("(dn)")) << bad;
  }
  EXPECT_THAT(Refusal(kLink + "&dn=a&dn=b"), HasSubstr("more than one name"));
}

TEST(Magnet, T09_RefusesSizesThatAreNotDecimal) {
  EXPECT_EQ(Refusal(kLink + "&xl=1125899906842624"), "(accepted)");
  for (absl::string_view bad :
       {"-1", "%2B5", "", " ", "1e9", "0x10", "007", "1125899906842625", "9223372036854775808",
        "18446744073709551616", "1234567890123456789012345678901234567890"}) {
    EXPECT_THAT(Refusal(absl::StrCat(kLink, "&xl=", bad)), HasSubstr("(xl)")) << bad;
  }
}

TEST(Magnet, RefusesAddressesThatAreNone) {
  for (absl::string_view bad :
       {"host", ":80", "host:", "host:0", "host:65536", "host:080", "host:-1", "ho%20st:80",
        "[::1:80", "::1]:80", "[]:80", "[g::]:80", "u@host:80", "host/x:80", "host%0A:80"}) {
    EXPECT_THAT(Refusal(absl::StrCat(kLink, "&tr=", bad)), HasSubstr("(tr) is not HOST:PORT"))
        << bad;
    EXPECT_THAT(Refusal(absl::StrCat(kLink, "&x.pe=", bad)), HasSubstr("(x.pe) is not HOST:PORT"))
        << bad;
  }
}

TEST(Magnet, TakesAtMostSixteenTrackersAndIgnoresTheRest) {
  for (size_t count : {15, 16, 17, 1'000}) {
    std::string link = kLink;
    for (size_t i = 0; i < count; ++i) absl::StrAppend(&link, "&tr=h:", i + 1);
    const absl::StatusOr<Magnet> parsed = ParseMagnet(link);
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(parsed->trackers.size(), std::min(count, limits::kMaxMagnetAddresses));
    EXPECT_EQ(parsed->trackers.front(), "h:1");
  }
}

TEST(Magnet, IsToldFromOtherText) {
  EXPECT_TRUE(LooksLikeMagnet("magnet:?"));
  EXPECT_TRUE(LooksLikeMagnet("Magnet:?x"));
  for (absl::string_view other : {"", "magnet", "magnet:", "a magnet:?", "magnets:?"}) {
    EXPECT_FALSE(LooksLikeMagnet(other)) << other;
    EXPECT_FALSE(ParseMagnet(other).ok()) << other;
  }
}

}  // namespace
}  // namespace p2p::content
