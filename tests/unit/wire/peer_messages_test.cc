#include "core/wire/peer_messages.h"

#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace p2p::wire::peer {
namespace {

using ::testing::HasSubstr;

const std::string kId(64, 'a');

// One line of every kind, as it is formatted.
const std::vector<std::string>& EveryLine() {
  static const auto* const lines = new std::vector<std::string>{
      "HELLO 3 id=" + kId + " port=9001 agent=p2pd/0.1.0",
      "HELLO 3 id=" + kId + " port=0",
      "HELLO 3 id=" + kId + " port=9001 leaves agent=p2pd/0.1.0",
      "HELLO 3 id=" + kId + " port=1 leaves you=192.0.2.7:51324 agent=p2pd/0.1.0",
      "HELLO 3 id=" + kId + " port=1 you=[2001:db8::7]:9",
      "OPEN " + kId,
      "OPENED 0",
      "OPENED 2147483648",
      "REFUSED 404 no such content",
      "WHICH my holiday film.mp4",
      "CONTENTS",
      "CONTENTS " + kId + " " + kId,
      "GET-MANIFEST 8192",
      "MANIFEST 67108864 0 +262144",
      "MANIFEST 67108864 67108863 +1",
      "NO-MANIFEST 409 not there yet",
      "GET-HASHES 3 8192",
      "HASHES 3 8192 8192 31 +263136",
      "NO-HASHES 3 8192 404 unknown",
      "SUBSCRIBE",
      "HAVE 0 2147483648",
      "LOST 2147483647 1",
      "HAVE-BITS 524288 +65536",
      "REQUEST 7 4096",
      "CANCEL 7 2147483641",
      "CHUNK 7 +524288",
      "REJECT 7 429 too many",
      "HAVE-LEAVES 7 0 32",
      "HAVE-LEAVES 2147483647 31 1",
      "HAVE-LEAVES 7 3 5",
      "REQUEST-LEAVES 7 16 16",
      "REQUEST-LEAVES 7 31 1",
      "CANCEL-LEAVES 7 4 4",
      "LEAVES 7 8 4 3 +65632",
      "LEAVES 7 0 1 5 +161",
      "LEAVES 7 0 4 0 +65536",
      "REJECT-LEAVES 7 8 4 409 not there yet",
      "GET-PEERS",
      "PEERS +0",
      "PEERS +16384",
      "PING",
      "PONG",
      "ERROR 400 what was wrong",
  };
  return *lines;
}

std::string FormatAgain(const Unknown&) { return ""; }
template <typename T>
std::string FormatAgain(const T& message) {
  return Format(message);
}

std::string Reformat(absl::string_view line) {
  const absl::StatusOr<Message> message = Parse(line);
  EXPECT_TRUE(message.ok()) << line << ": " << message.status();
  if (!message.ok()) return "";
  return absl::visit([](const auto& m) { return FormatAgain(m); }, *message);
}

TEST(PeerLines, AreReadBackAsTheyWereFormatted) {
  for (const std::string& line : EveryLine()) EXPECT_EQ(Reformat(line), line + "\n");
}

TEST(PeerLines, IgnoreWordsOfLaterVersions) {
  EXPECT_EQ(Reformat("HELLO 3 zstd id=" + kId + " color=red port=1"),
            "HELLO 3 id=" + kId + " port=1\n");
  EXPECT_EQ(Reformat("OPEN " + kId + " read-only"), "OPEN " + kId + "\n");
  EXPECT_EQ(Reformat("REQUEST 1 2 urgent"), "REQUEST 1 2\n");
  EXPECT_EQ(Reformat("CHUNK 1 zstd +5"), "CHUNK 1 +5\n");
  EXPECT_EQ(Reformat("LEAVES 1 4 2 0 zstd +5"), "LEAVES 1 4 2 0 +5\n");
  EXPECT_EQ(Reformat("PEERS more +5"), "PEERS +5\n");
  EXPECT_EQ(Reformat("HELLO 4 id=" + kId + " you=quic:192.0.2.7:9 port=1"),
            "HELLO 4 id=" + kId + " port=1\n");
  EXPECT_EQ(Reformat("HAVE-LEAVES 1 4 2 now"), "HAVE-LEAVES 1 4 2\n");
  EXPECT_EQ(Reformat("PING 17"), "PING\n");
}

TEST(PeerLines, OfAnEarlierVersionAreToldByItsNumberWhateverElseItSaid) {
  for (const char* line : {"HELLO 2", "HELLO 0 id=x", "HELLO 1 port=99999", "HELLO 2 id=ab zip"}) {
    const absl::StatusOr<Message> message = Parse(line);
    ASSERT_TRUE(message.ok()) << line;
    EXPECT_LT(absl::get<Hello>(*message).version, kProtocolVersion) << line;
  }
}

TEST(PeerLines, OfUnknownVerbsTellTheirPayload) {
  for (const auto& [line, bytes] :
       std::vector<std::pair<std::string, uint32_t>>{{"PRIORITY 7 high", 0},
                                                     {"FUTURE", 0},
                                                     {"FUTURE +0", 0},
                                                     {"FUTURE a b +1048576", 1 << 20},
                                                     {"FUTURE +x", 0},
                                                     {"FUTURE +", 0},
                                                     {"FUTURE +5 end", 0}}) {
    const absl::StatusOr<Message> message = Parse(line);
    ASSERT_TRUE(message.ok()) << line;
    EXPECT_EQ(absl::get<Unknown>(*message).payload_bytes, bytes) << line;
  }
  for (const char* line : {"FUTURE +1048577", "FUTURE +99999999999999999999999"}) {
    EXPECT_FALSE(Parse(line).ok()) << line;
  }
}

TEST(PeerLines, T25_MustBeginWithAVerb) {
  for (const char* line :
       {"", " ", "ping", "\x16\x03\x01", "5", "-X", "GET_", "Error", "ÄPFEL", "PI\x01NG"}) {
    EXPECT_EQ(Parse(line).ok(), absl::string_view(line) == "GET_") << line;
  }
  EXPECT_TRUE(Parse(std::string(32, 'X')).ok());
  EXPECT_FALSE(Parse(std::string(33, 'X')).ok());
}

TEST(PeerLines, C02_HoldTheirLimitsExactly) {
  const std::string ids17 = [] {
    std::string ids = "CONTENTS";
    for (int i = 0; i < 17; ++i) ids += " " + kId;
    return ids;
  }();
  for (const std::string& line : {std::string("CHUNK 0 +0"),
                                  std::string("CHUNK 0 +524289"),
                                  std::string("CHUNK 2147483648 +1"),
                                  std::string("MANIFEST 5 0 +0"),
                                  std::string("MANIFEST 5 1 +5"),
                                  std::string("MANIFEST 5 5 +1"),
                                  std::string("MANIFEST 5 6 +1"),
                                  std::string("MANIFEST 67108864 0 +262145"),
                                  std::string("MANIFEST 67108865 0 +1"),
                                  std::string("MANIFEST +5"),
                                  std::string("HAVE-BITS 0 +0"),
                                  std::string("HAVE-BITS 0 +65537"),
                                  std::string("HAVE-BITS 7 +1"),
                                  std::string("HASHES 0 0 0 0 +0"),
                                  std::string("HASHES 0 0 8193 0 +262176"),
                                  std::string("HASHES 0 0 1 32 +1056"),
                                  std::string("HASHES 0 0 2 0 +63"),
                                  std::string("HASHES 1000000 0 1 0 +32"),
                                  std::string("REQUEST 0 0"),
                                  std::string("REQUEST 0 4097"),
                                  std::string("REQUEST 2147483647 2"),
                                  std::string("HAVE 1 2147483648"),
                                  std::string("HAVE 0 0"),
                                  std::string("OPENED 2147483649"),
                                  std::string("REJECT 0 99 x"),
                                  std::string("REJECT 0 1000 x"),
                                  std::string("HELLO 3 id=" + kId + " port=65536"),
                                  std::string("HELLO 2147483648 id=" + kId),
                                  std::string("GET-MANIFEST 2147483648"),
                                  std::string("PEERS +16385"),
                                  std::string("PEERS"),
                                  std::string("PEERS 1.2.3.4:5"),
                                  std::string("HELLO 3 port=1"),
                                  ids17}) {
    EXPECT_FALSE(Parse(line).ok()) << line;
  }
}

TEST(PeerLines, C02_TakeOnlyPlainDecimalNumbers) {
  for (const char* number : {"-1", "+1", "01", "", "1e3", "0x1", "1a", "4294967296",
                             "18446744073709551616", "1000000000000000000000000000000", "١"}) {
    EXPECT_FALSE(Parse(absl::StrCat("REQUEST ", number, " 1")).ok()) << number;
    EXPECT_FALSE(Parse(absl::StrCat("CHUNK 0 +", number)).ok()) << number;
  }
}

TEST(PeerLines, P06_AskForLegalNamesOnly) {
  for (const char* name : {"", "../x", "/etc/passwd", "a//b",
                           "a\x01"
                           "b",
                           "\xff"}) {
    const absl::StatusOr<Message> message = Parse(absl::StrCat("WHICH ", name));
    ASSERT_FALSE(message.ok()) << name;
    EXPECT_THAT(std::string(message.status().message()), HasSubstr("WHICH: name "));
  }
}

TEST(PeerLines, T07_NeverRepeatRawBytes) {
  const absl::StatusOr<Message> message = Parse("REJECT 1 404 \x1b[31m\x80 red");
  EXPECT_EQ(absl::get<Reject>(*message).reason, "\\x1b[31m\\x80 red");
  EXPECT_EQ(Format(Reject{ChunkIndex(1), 500, "a\nCHUNK 1 +5"}), "REJECT 1 500 a\\x0aCHUNK 1 +5\n");
  EXPECT_LE(Format(Refused{404, std::string(100'000, '\n')}).size(), 300u);
}

TEST(PeerLines, T03_AnyMutationIsParsedOrRefusedAndNeverMisread) {
  std::mt19937 random(11);
  for (int round = 0; round < 20'000; ++round) {
    std::string line = EveryLine()[random() % EveryLine().size()];
    for (int i = random() % 4; i >= 0; --i) {
      const size_t at = random() % line.size();
      switch (random() % 4) {
        case 0:
          line[at] = static_cast<char>(random());
          break;
        case 1:
          line.erase(at, 1 + random() % 5);
          break;
        case 2:
          line.insert(at, 1, "0123456789 +-"[random() % 13]);
          break;
        case 3:
          line += line;
          break;
      }
      if (line.empty()) line = " ";
    }
    const absl::StatusOr<Message> message = Parse(line);
    if (!message.ok()) {
      // Fit to be sent: nothing of the line is in it.
      EXPECT_LT(message.status().message().size(), 120u);
      continue;
    }
    // What was understood means the same when it is said again.
    const std::string again = absl::visit([](const auto& m) { return FormatAgain(m); }, *message);
    if (again.empty()) continue;
    EXPECT_EQ(Reformat(absl::StripSuffix(again, "\n")), again) << line;
  }
}

TEST(PeerLines, AgreeOnLeavesByAWordOfItsOwn) {
  const auto leaves = [](const std::string& words) {
    const absl::StatusOr<Message> message = Parse("HELLO 3 " + words);
    EXPECT_TRUE(message.ok()) << words;
    return absl::get<Hello>(*message).leaves;
  };
  EXPECT_TRUE(leaves("leaves id=" + kId));
  EXPECT_TRUE(leaves("id=" + kId + " port=1 agent=leaf leaves"));
  EXPECT_FALSE(leaves("id=" + kId + " agent=leaves"));
  EXPECT_FALSE(leaves("id=" + kId + " leaves=1 Leaves leavesx"));
}

TEST(PeerLines, C02_NameLeavesThatAChunkMayHave) {
  for (const char* part : {"0 0", "0 33", "31 2", "32 1", "1 32", "0 4294967296", "0 -1", "0"}) {
    EXPECT_FALSE(Parse(absl::StrCat("HAVE-LEAVES 1 ", part)).ok()) << part;
  }
  EXPECT_FALSE(Parse("HAVE-LEAVES 2147483648 0 1").ok());
}

// What is asked for and answered is what one proof can prove.
TEST(PeerLines, C02_AskForAlignedPowersOfTwoOfLeaves) {
  for (uint32_t first = 0; first <= 33; ++first) {
    for (uint32_t count = 0; count <= 33; ++count) {
      bool legal = false;
      for (uint32_t power : {1, 2, 4, 8, 16}) {
        legal = legal || (count == power && first % power == 0 && first + count <= 32);
      }
      const std::string part = absl::StrCat(" 5 ", first, " ", count);
      for (const std::string& line : {"REQUEST-LEAVES" + part, "CANCEL-LEAVES" + part,
                                      "LEAVES" + part + " 0 +1", "REJECT-LEAVES" + part + " 409"}) {
        EXPECT_EQ(Parse(line).ok(), legal) << line;
      }
    }
  }
}

TEST(PeerLines, C02_BringNoMoreThanTheLeavesHold) {
  for (uint32_t count : {1, 2, 4, 8, 16}) {
    const std::string start = absl::StrCat("LEAVES 5 16 ", count, " 0 +");
    EXPECT_TRUE(Parse(absl::StrCat(start, count * limits::kLeafBytes)).ok());
    EXPECT_FALSE(Parse(absl::StrCat(start, count * limits::kLeafBytes + 1)).ok());
    EXPECT_FALSE(Parse(start + "0").ok());
  }
}

TEST(PeerLines, C02_ProveLeavesByAtMostFiveWholeHashes) {
  for (uint32_t hashes = 0; hashes <= 6; ++hashes) {
    const std::string start = absl::StrCat("LEAVES 5 0 4 ", hashes, " +");
    EXPECT_EQ(Parse(absl::StrCat(start, 32 * hashes + 65'536)).ok(), hashes <= 5);
    EXPECT_EQ(Parse(absl::StrCat(start, 32 * hashes + 1)).ok(), hashes <= 5);
    EXPECT_FALSE(Parse(absl::StrCat(start, 32 * hashes)).ok()) << "no leaves at all";
    EXPECT_FALSE(Parse(absl::StrCat(start, 32 * hashes + 65'537)).ok());
  }
  EXPECT_FALSE(Parse("LEAVES 5 0 4 - +65536").ok());
  EXPECT_FALSE(Parse("LEAVES 5 0 4 +65536").ok()) << "no number of hashes";
  EXPECT_FALSE(Parse("LEAVES 5 0 4 0").ok()) << "no payload at all";
}

}  // namespace
}  // namespace p2p::wire::peer
