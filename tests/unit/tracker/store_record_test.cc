#include "tracker/store_record.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"

namespace p2p::tracker {
namespace {

const absl::Time kNow = absl::UnixEpoch() + absl::Hours(1);
const wire::PeerAddress kPeer = *wire::PeerAddress::Parse("192.0.2.7:9001");
const StoreClock kClock = {absl::Hours(24 * 365 * 50)};

ContentId Id() {
  ContentId id;
  id.hash.bytes.fill(0xab);
  return id;
}

RegistrationView View(absl::string_view name, const absl::optional<ContentId>& id, bool partial) {
  return {name, ByteCount(77), id, partial, kPeer, kNow + absl::Seconds(90)};
}

std::string Message(const RegistrationView& registration) {
  std::string line;
  AppendRegistered(registration, kClock, &line);
  line.pop_back();
  return line;
}

bool Apply(absl::string_view line, Registry* registry) {
  return ApplyChange(line, kClock, kNow, registry);
}

class Both : public testing::TestWithParam<RegistrationView> {};

TEST_P(Both, ARecordIsReadAsItWasWritten) {
  const RegistrationView& written = GetParam();
  const std::string field = RecordField({written.name, written.content_id, written.address});
  const std::string value = RecordValue(written, kClock);
  const auto read = ParseRecord(field, value, kPeer, kClock);
  ASSERT_TRUE(read.has_value()) << field << ": " << value;
  EXPECT_EQ(read->name, written.name);
  EXPECT_EQ(read->size, written.size);
  EXPECT_EQ(read->content_id, written.content_id);
  EXPECT_EQ(read->partial, written.partial);
  EXPECT_EQ(read->expires, written.expires);
}

TEST_P(Both, AMessageRegistersAndWithdraws) {
  const RegistrationView& written = GetParam();
  Registry registry{RegistryOptions()};
  ASSERT_TRUE(Apply(Message(written), &registry));
  const RegistrationKey key = {written.name, written.content_id, written.address};
  const auto known = registry.Get(key, kNow);
  ASSERT_TRUE(known.has_value());
  EXPECT_EQ(known->size, written.size);
  EXPECT_EQ(known->partial, written.partial);
  EXPECT_EQ(known->expires, written.expires);
  std::string gone;
  AppendGone(key, kNow, kClock, &gone);
  gone.pop_back();
  ASSERT_TRUE(Apply(gone, &registry));
  EXPECT_FALSE(registry.Get(key, kNow).has_value());
}

INSTANTIATE_TEST_SUITE_P(StoreRecord, Both,
                         testing::Values(View("f", absl::nullopt, false), View("f", Id(), false),
                                         View("f", Id(), true),
                                         View("two  words 7 partial", absl::nullopt, false),
                                         View("-", Id(), true), View("renewed", Id(), false),
                                         View("a/b c/\xc3\xa4", absl::nullopt, false)));

TEST(StoreRecord, WhatGoesAtOnceIsGoneElsewhereWhateverTheClocks) {
  for (const int ahead_us : {0, 1, 499, 500, 999}) {
    for (const int behind_us : {0, 1, 499, 500, 999}) {
      for (int came_us = 0; came_us < 1'000; came_us += 111) {
        const StoreClock here = {absl::Hours(9) + absl::Microseconds(ahead_us)};
        const StoreClock there = {absl::Hours(5) - absl::Microseconds(behind_us)};
        const absl::Time came = kNow + absl::Microseconds(came_us);
        Registry registry{RegistryOptions()};
        registry.Register("f", ByteCount(1), Id(), false, kPeer, came);
        const RegistrationKey key = {"f", Id(), kPeer};
        std::string text;
        AppendRegistered(*registry.Get(key, came), here, &text);
        AppendGone(key, came + absl::Microseconds(1), here, &text);
        AppendRegistered(*registry.Get(key, came), here, &text);
        AppendUnregistered(kPeer, came + absl::Microseconds(1), here, &text);

        Registry other{RegistryOptions()};
        const absl::Time now = came + absl::Hours(4) + absl::Milliseconds(20);
        std::vector<bool> known;
        for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
          ASSERT_TRUE(ApplyChange(line, there, now, &other));
          known.push_back(other.Get(key, now).has_value());
        }
        EXPECT_EQ(known, (std::vector<bool>{true, false, true, false}))
            << ahead_us << " " << behind_us << " " << came_us;
      }
    }
  }
}

TEST(StoreRecord, KeysHaveAnAddressThatCanBeReached) {
  EXPECT_EQ(PeerKey(kPeer), "p2p:peer:192.0.2.7:9001");
  EXPECT_EQ(GoneKey(kPeer), "p2p:gone:192.0.2.7:9001");
  EXPECT_EQ(ParseKey(kPeerKeyPrefix, PeerKey(kPeer)), kPeer);
  EXPECT_EQ(ParseKey(kGoneKeyPrefix, GoneKey(kPeer)), kPeer);
  EXPECT_FALSE(ParseKey(kPeerKeyPrefix, GoneKey(kPeer)).has_value());
  for (const char* key :
       {"", "p2p:peer:", "p2p:peer:host:1", "192.0.2.7:9001", "p2p:peer:224.0.0.1:9001",
        "p2p:peer:0.0.0.0:1", "p2p:peer:192.0.2.7:0"}) {
    EXPECT_FALSE(ParseKey(kPeerKeyPrefix, key).has_value()) << key;
  }
}

TEST(StoreRecord, RefusesWhatAClientCouldNotRegister) {
  const std::string end = absl::StrCat(kClock.ToStore(kNow + absl::Seconds(9)));
  const auto read = [&](absl::string_view field, absl::string_view value) {
    return ParseRecord(field, value, kPeer, kClock).has_value();
  };
  EXPECT_TRUE(read("- f", end + " 7"));
  for (const char* field : {"", "-", "- ", "f", "-f", "- ../f", "- /f", "- a\nb", "- \xff", "xyz f",
                            "abab f", "renewed", "unregistered"}) {
    EXPECT_FALSE(read(field, end + " 7")) << field;
  }
  const std::vector<std::string> values = {"",           end,
                                           end + " ",    end + " x",
                                           end + " -1",  end + " 2000000000000000000",
                                           "x 7",        " 7",
                                           "-1 7",       "99999999999999999999 7",
                                           "gone " + end};
  for (const std::string& value : values) {
    EXPECT_FALSE(read("- f", value)) << value;
  }
  EXPECT_EQ(ParseMoment(end, kClock), kNow + absl::Seconds(9));
  EXPECT_FALSE(ParseMoment("", kClock).has_value());
  EXPECT_FALSE(ParseMoment("gone " + end, kClock).has_value());
}

TEST(StoreRecord, MessagesRenewAndUnregister) {
  Registry registry{RegistryOptions()};
  ASSERT_TRUE(Apply(Message(View("f", Id(), false)), &registry));
  std::string line;
  AppendRenewed(kPeer, kNow + absl::Seconds(100), kClock, &line);
  ASSERT_TRUE(Apply(line.substr(0, line.size() - 1), &registry));
  EXPECT_EQ(registry.CountOf(kPeer, kNow + absl::Seconds(99)), 1u);
  line.clear();
  // What was registered after it stays.
  AppendUnregistered(kPeer, kNow - absl::Seconds(50), kClock, &line);
  ASSERT_TRUE(Apply(line.substr(0, line.size() - 1), &registry));
  EXPECT_EQ(registry.CountOf(kPeer, kNow), 1u);
  line.clear();
  AppendUnregistered(kPeer, kNow, kClock, &line);
  absl::optional<wire::PeerAddress> who;
  ASSERT_TRUE(ApplyChange(line.substr(0, line.size() - 1), kClock, kNow, &registry, &who));
  EXPECT_EQ(registry.CountOf(kPeer, kNow), 0u);
  EXPECT_EQ(who, kPeer);
}

TEST(StoreRecord, WhatIsLongPastNeitherRenewsNorRemoves) {
  // 24 days and more: in 32 bits of milliseconds they would be ahead.
  for (const absl::Duration ago :
       {absl::Hours(24 * 25), absl::Hours(24 * 40), absl::Hours(24 * 365)}) {
    Registry registry{RegistryOptions()};
    ASSERT_TRUE(Apply(Message(View("f", Id(), false)), &registry));
    std::string line;
    AppendRenewed(kPeer, kNow - ago, kClock, &line);
    ASSERT_TRUE(Apply(line.substr(0, line.size() - 1), &registry));
    EXPECT_FALSE(registry.Get({"f", Id(), kPeer}, kNow + limits::kRegistrationTtl).has_value());
    line.clear();
    AppendUnregistered(kPeer, kNow - ago, kClock, &line);
    ASSERT_TRUE(Apply(line.substr(0, line.size() - 1), &registry));
    line.clear();
    AppendGone({"f", Id(), kPeer}, kNow - ago, kClock, &line);
    ASSERT_TRUE(Apply(line.substr(0, line.size() - 1), &registry));
    EXPECT_EQ(registry.CountOf(kPeer, kNow), 1u);
  }
}

TEST(StoreRecord, NoLineThatIsSpoiltDoesHarm) {
  const std::string good = Message(View("a name", Id(), true));
  std::mt19937 random(5);
  Registry registry{RegistryOptions()};
  for (int round = 0; round < 20'000; ++round) {
    std::string line = good;
    for (int i = 0; i <= round % 3; ++i) line[random() % line.size()] = static_cast<char>(random());
    line.resize(random() % 4 == 0 ? random() % line.size() : line.size());
    (void)Apply(line, &registry);
    (void)ParseRecord(line, good, kPeer, kClock);
    (void)ParseRecord(good, line, kPeer, kClock);
  }
  registry.Visit(
      kNow,
      [](const RegistrationView& one) {
        EXPECT_LE(one.expires, kNow + limits::kRegistrationTtl);
        EXPECT_EQ(one.address.ip.WhyUnusable(), nullptr);
      },
      [] {});
}

}  // namespace
}  // namespace p2p::tracker
