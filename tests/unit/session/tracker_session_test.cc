#include "daemon/session/tracker_session.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace p2p::session {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kSelf[] = "192.0.2.1:9001";
const char kHex[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const ContentId kId = *ContentIdFromHex(kHex);

class TrackerSessionTest : public ::testing::Test {
 protected:
  void Begin(TrackerProtocol known = TrackerProtocol::kUnknown, const std::string& self = kSelf) {
    session_ = std::make_unique<TrackerSession>(self, now_, known);
    sent_ = session_->TakeOutput();
    EXPECT_EQ(sent_, known == TrackerProtocol::kOriginal ? "" : "HELLO 3\n");
  }
  // With a tracker that speaks the extension.
  void BeginExtension(const std::string& self = kSelf) {
    Begin(TrackerProtocol::kUnknown, self);
    Hear("HELLO 3 agent=p2p-tracker/0.1.0 you=192.0.2.1:51324 more=1\n");
    EXPECT_EQ(session_->speaks_extension(), true);
  }

  std::string Sent() { return session_->TakeOutput(); }
  void Hear(absl::string_view bytes) {
    session_->OnBytes(bytes, now_);
    Collect();
  }
  void Collect() {
    for (TrackerEvent& event : session_->TakeEvents()) events_.push_back(std::move(event));
  }
  void Pass(absl::Duration time) {
    const absl::Time end = now_ + time;
    while (session_->WakeUpTime() <= end) {
      now_ = std::max(now_, session_->WakeUpTime());
      session_->OnTime(now_);
    }
    now_ = end;
    Collect();
  }
  void HearTheEnd() {
    session_->OnEndOfStream(now_);
    Collect();
  }

  // The next event, which must be an `Event`.
  template <typename Event>
  Event Next() {
    if (events_.empty() || !absl::holds_alternative<Event>(events_.front())) {
      ADD_FAILURE() << "not the event expected; " << events_.size() << " are there";
      return Event();
    }
    Event event = absl::get<Event>(events_.front());
    events_.erase(events_.begin());
    return event;
  }
  void ExpectEndedOver(absl::string_view reason, bool at_fault = true) {
    EXPECT_TRUE(session_->ended());
    const TrackerEnded ended = Next<TrackerEnded>();
    EXPECT_THAT(ended.reason, HasSubstr(std::string(reason)));
    EXPECT_EQ(ended.at_fault, at_fault) << reason;
    EXPECT_THAT(events_, IsEmpty());
    EXPECT_EQ(session_->WakeUpTime(), absl::InfiniteFuture());
  }

  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  std::unique_ptr<TrackerSession> session_;
  std::string sent_;
  std::vector<TrackerEvent> events_;
};

std::vector<Announcement> Announcements(int count) {
  std::vector<Announcement> announcements;
  for (int i = 0; i < count; ++i)
    announcements.push_back({absl::StrCat("f", i), ByteCount(1), kId});
  return announcements;
}

// The answer to PEERS about the content kId.
std::string Found(absl::string_view list) {
  const std::string version = absl::StrCat(kHex, " ", list, "\n");
  return absl::StrCat("FOUND 1 +", version.size(), "\n", version);
}

// --- The extension

TEST_F(TrackerSessionTest, AsksNothingBeforeItKnowsWhatTheTrackerSpeaks) {
  Begin();
  session_->FindName(1, "f", now_);
  EXPECT_EQ(Sent(), "");
  EXPECT_EQ(session_->speaks_extension(), absl::nullopt);
  Hear("HELLO 3 agent=p2p-tracker/0.1.0\n");
  EXPECT_EQ(Sent(), "FIND f\n");
}

TEST_F(TrackerSessionTest, AnswersAnnouncementsOnceForTheWholeBatchWithTheShortestLife) {
  BeginExtension();
  session_->Announce(7, Announcements(3), now_);
  const std::string start = absl::StrCat("ANNOUNCE 1 ", kHex, " ", kSelf, " +2\nf");
  EXPECT_EQ(Sent(), absl::StrCat(start, "0", start, "1", start, "2"));
  Hear("OK 120\nOK 60\n");
  EXPECT_THAT(events_, IsEmpty());
  Hear("OK 90\n");
  const auto announced = Next<Announced>();
  EXPECT_EQ(announced.token, 7u);
  EXPECT_EQ(announced.ttl, absl::Seconds(60));
}

TEST_F(TrackerSessionTest, RefusesABatchWithItsFirstRefusalAfterAllOfItWasAnswered) {
  BeginExtension();
  session_->Announce(7, Announcements(3), now_);
  Hear("OK 120\nERROR 429 too many\nERROR 503 full\n");
  const auto refused = Next<TrackerRefused>();
  EXPECT_EQ(refused.token, 7u);
  EXPECT_EQ(refused.code, 429);
  EXPECT_EQ(refused.reason, "too many");
  EXPECT_EQ(refused.ttl, absl::Seconds(120));
  ASSERT_EQ(refused.refused.size(), 2u);
  EXPECT_EQ(refused.refused[0].name, "f1");
  EXPECT_EQ(refused.refused[1].name, "f2");
  EXPECT_FALSE(session_->ended());
}

TEST_F(TrackerSessionTest, ARefusalDoesNotHideTheLifeThatOthersOfTheBatchWereGranted) {
  BeginExtension();
  session_->Announce(7, Announcements(3), now_);
  session_->Announce(8, Announcements(1), now_);
  Hear("ERROR 429 too many\nOK 300\nOK 200\nERROR 429 too many\n");
  const auto refused = Next<TrackerRefused>();
  EXPECT_EQ(refused.ttl, absl::Seconds(200));
  ASSERT_EQ(refused.refused.size(), 1u);
  EXPECT_EQ(refused.refused[0].name, "f0");
  EXPECT_EQ(Next<TrackerRefused>().ttl, absl::nullopt);
}

TEST_F(TrackerSessionTest, RenewsEverythingWithOneLine) {
  BeginExtension();
  session_->Renew(4, 10'000, now_);
  session_->Renew(5, 3, now_);
  EXPECT_EQ(Sent(), absl::StrCat("RENEW 10000 ", kSelf, "\nRENEW 3 ", kSelf, "\n"));
  Hear("OK 90\nERROR 404 announce them again\n");
  const auto announced = Next<Announced>();
  EXPECT_EQ(announced.token, 4u);
  EXPECT_EQ(announced.ttl, absl::Seconds(90));
  const auto refused = Next<TrackerRefused>();
  EXPECT_EQ(refused.token, 5u);
  EXPECT_EQ(refused.code, 404);
}

TEST_F(TrackerSessionTest, HasAtMost64LinesUnderWay) {
  BeginExtension();
  session_->Announce(1, Announcements(200), now_);
  session_->FindName(2, "f", now_);
  int lines = 0;
  int answered = 0;
  for (std::string sent = Sent(); !sent.empty(); sent = Sent()) {
    lines += static_cast<int>(std::count(sent.begin(), sent.end(), '\n'));
    EXPECT_LE(lines - answered, 64);
    if (lines == 201) break;
    Hear("OK 120\n");
    ++answered;
  }
  EXPECT_EQ(lines, 201);
  while (answered++ < 200) Hear("OK 120\n");
  Hear("FOUND 0 +0\n");
  EXPECT_EQ(Next<Announced>().token, 1u);
  EXPECT_EQ(Next<TrackerRefused>().token, 2u);
}

TEST_F(TrackerSessionTest, TellsTheVersionsOfANameWithoutItsOwnAddress) {
  BeginExtension();
  session_->FindName(3, "f", now_);
  const std::string payload = absl::StrCat(kHex, " 10 2 192.0.2.1:9001 192.0.2.2:9001\n",
                                           "- 20 1 192.0.2.3:9001\n- 30 1 192.0.2.4:9001\n");
  const std::string answer = absl::StrCat("FOUND 3 +", payload.size(), "\n", payload);
  for (char c : answer) Hear(absl::string_view(&c, 1));
  const auto found = Next<NameFound>();
  EXPECT_EQ(found.token, 3u);
  ASSERT_EQ(found.versions.size(), 1u);
  EXPECT_EQ(found.versions[0].content_id, kId);
  EXPECT_EQ(found.versions[0].total_bytes, ByteCount(10));
  EXPECT_THAT(found.versions[0].peers, ElementsAre("192.0.2.2:9001"));
  ASSERT_TRUE(found.originals.has_value());
  EXPECT_EQ(found.originals->total_bytes, ByteCount(20)) << "the most shared one";
  EXPECT_THAT(found.originals->peers, ElementsAre("192.0.2.3:9001"));
}

TEST_F(TrackerSessionTest, AnswersEveryOtherQuestionInOrder) {
  BeginExtension();
  session_->FindPeers(1, kId, now_);
  session_->Withdraw(2, kId, now_);
  session_->WithdrawAll(3, now_);
  session_->FindName(4, "nobody has it", now_);
  session_->FindPeers(5, kId, now_);
  EXPECT_EQ(Sent(), absl::StrCat("PEERS ", kHex, "\nWITHDRAW ", kHex, " ", kSelf, "\nUNREGISTER ",
                                 kSelf, "\nFIND nobody has it\nPEERS ", kHex, "\n"));
  Hear(Found("5 1 192.0.2.7:9") + "OK 1\nOK 4\nFOUND 0 +0\nFOUND 0 +0\n");
  const auto found = Next<PeersFound>();
  EXPECT_THAT(found.peers, ElementsAre("192.0.2.7:9"));
  EXPECT_EQ(found.total_bytes, ByteCount(5));
  EXPECT_EQ(Next<Withdrawn>().token, 2u);
  EXPECT_EQ(Next<Withdrawn>().token, 3u);
  EXPECT_EQ(Next<TrackerRefused>().code, 404);
  const auto refused = Next<TrackerRefused>();
  EXPECT_EQ(refused.token, 5u);
  EXPECT_EQ(refused.code, 404);
}

TEST_F(TrackerSessionTest, AnswersAnEmptyBatchInItsTurn) {
  BeginExtension();
  session_->FindPeers(1, kId, now_);
  session_->Announce(2, {}, now_);
  Collect();
  EXPECT_THAT(events_, IsEmpty());
  Hear(Found("5 0"));
  EXPECT_EQ(Next<PeersFound>().token, 1u);
  EXPECT_EQ(Next<Announced>().token, 2u);
}

TEST_F(TrackerSessionTest, NeverSendsANameThatBreaksTheRules) {
  BeginExtension();
  session_->FindName(1, "a\nUNREGISTER 192.0.2.9:1", now_);
  session_->Announce(2, {{"x\ny", ByteCount(1), kId}}, now_);
  session_->Announce(3, {{"x\ny", ByteCount(1), kId}, {"good", ByteCount(1), kId}}, now_);
  EXPECT_EQ(Sent(), absl::StrCat("ANNOUNCE 1 ", kHex, " ", kSelf, " +4\ngood"));
  Hear("OK 120\n");
  for (uint64_t token : {1, 2, 3}) {
    const auto refused = Next<TrackerRefused>();
    EXPECT_EQ(refused.token, token);
    EXPECT_EQ(refused.code, 422);
    EXPECT_EQ(refused.refused.size(), token == 1 ? 0u : 1u);
  }
}

// --- Original trackers

TEST_F(TrackerSessionTest, SpeaksTheOriginalProtocolWhereHelloIsAnError) {
  Begin();
  session_->Announce(1, Announcements(2), now_);
  session_->FindName(2, "f", now_);
  Hear("ERROR 400 unknown verb\n");
  EXPECT_EQ(session_->speaks_extension(), false);
  EXPECT_EQ(Sent(), "REGISTER f0 1 192.0.2.1:9001\n") << "one at a time";
  Hear("OK 300\n");
  EXPECT_EQ(Sent(), "REGISTER f1 1 192.0.2.1:9001\n");
  Hear("OK 300\n");
  EXPECT_EQ(Next<Announced>().ttl, absl::Seconds(300));
  EXPECT_EQ(Sent(), "LOOKUP f\n");
  Hear("OK 9 3 192.0.2.1:9001 192.0.2.2:80 192.0.2.3:80\r\n");
  const auto found = Next<NameFound>();
  EXPECT_THAT(found.versions, IsEmpty());
  EXPECT_EQ(found.originals->total_bytes, ByteCount(9));
  EXPECT_THAT(found.originals->peers, ElementsAre("192.0.2.2:80", "192.0.2.3:80"));
}

TEST_F(TrackerSessionTest, SpeaksTheOriginalProtocolAtOnceWhenToldTo) {
  Begin(TrackerProtocol::kOriginal);
  session_->FindPeers(1, kId, now_);
  session_->Withdraw(2, kId, now_);
  session_->FindName(3, "f", now_);
  session_->FindPeers(4, kId, now_);
  session_->WithdrawAll(5, now_);
  EXPECT_EQ(Sent(), "LOOKUP f\n");
  Hear("ERROR 404 unknown file\n");
  EXPECT_EQ(Sent(), "UNREGISTER 192.0.2.1:9001\n");
  Hear("OK 0\n");
  EXPECT_EQ(Next<TrackerRefused>().token, 1u);
  EXPECT_EQ(Next<Withdrawn>().token, 2u);
  EXPECT_EQ(Next<TrackerRefused>().reason, "unknown file");
  EXPECT_EQ(Next<TrackerRefused>().token, 4u);
  EXPECT_EQ(Next<Withdrawn>().token, 5u);
}

TEST_F(TrackerSessionTest, TakesSilenceAfterHelloForAnOriginalTracker) {
  Begin();
  session_->FindName(1, "f", now_);
  Pass(limits::kHelloTimeout - absl::Nanoseconds(1));
  EXPECT_EQ(Sent(), "");
  Pass(absl::Nanoseconds(1));
  EXPECT_EQ(session_->speaks_extension(), false);
  EXPECT_EQ(Sent(), "LOOKUP f\n");
  Hear("OK 9 0\n");
  EXPECT_EQ(Next<NameFound>().originals->total_bytes, ByteCount(9));
}

TEST_F(TrackerSessionTest, SpeaksTheOriginalProtocolNoFurtherWithATrackerThatSaysHelloLate) {
  Begin();
  session_->FindName(1, "f", now_);
  Pass(limits::kHelloTimeout);
  EXPECT_EQ(Sent(), "LOOKUP f\n");
  Hear("HELLO 3 agent=slow\nOK 9 0\n");
  EXPECT_EQ(session_->speaks_extension(), true);
  EXPECT_EQ(Next<TrackerRefused>().code, 0) << "to be asked again, in the extension";
  ExpectEndedOver("late", /*at_fault=*/false);
}

TEST_F(TrackerSessionTest, NeverSpeaksTheOriginalProtocolWithATrackerThatSpokeTheExtension) {
  Begin(TrackerProtocol::kExtension);
  session_->FindName(1, "f", now_);
  Hear("ERROR 400 unknown verb\n");
  EXPECT_EQ(Sent(), "");
  EXPECT_EQ(Next<TrackerRefused>().code, 0);
  ExpectEndedOver("did not answer HELLO, which it did before");

  Begin(TrackerProtocol::kExtension);
  session_->FindName(1, "f", now_);
  Pass(limits::kHelloTimeout);
  EXPECT_EQ(Next<TrackerRefused>().code, 0);
  ExpectEndedOver("did not answer HELLO, which it did before");

  Begin(TrackerProtocol::kExtension);
  HearTheEnd();
  EXPECT_NE(session_->speaks_extension(), false);
  ExpectEndedOver("closed the connection", /*at_fault=*/false);
}

TEST_F(TrackerSessionTest, SaysThatATrackerIsOfAnEarlierVersionOrHasNoRoom) {
  Begin();
  Hear("HELLO 2 p2p-tracker/0.0.9\n");
  EXPECT_EQ(session_->speaks_extension(), true) << "so it is none for the original protocol";
  ExpectEndedOver("speaks version 2 of the protocol and must be updated");
  Begin();
  Hear("HELLO 3 agent=p2p-tracker/0.1.0\nERROR 503 too many connections\n");
  EXPECT_EQ(session_->speaks_extension(), true);
  ExpectEndedOver("too many connections", /*at_fault=*/false);
}

TEST_F(TrackerSessionTest, APauseEndsNoAnswerOfATrackerThatHasEndedOne) {
  Begin();
  session_->FindName(1, "f", now_);
  session_->FindName(2, "g", now_);
  Hear("ERROR 400 unknown verb\nOK 9");
  Pass(absl::Seconds(5));
  EXPECT_THAT(events_, IsEmpty());
  Hear("9 0\n");
  EXPECT_EQ(Next<NameFound>().originals->total_bytes, ByteCount(99));
}

TEST_F(TrackerSessionTest, NamesWhatIsOpenWhenAnOriginalTrackerClosesOverHello) {
  Begin();
  session_->FindName(1, "f", now_);
  session_->Announce(2, Announcements(1), now_);
  HearTheEnd();
  EXPECT_EQ(session_->speaks_extension(), false);
  for (uint64_t token : {1, 2}) {
    const auto refused = Next<TrackerRefused>();
    EXPECT_EQ(refused.token, token);
    EXPECT_EQ(refused.code, 0);
  }
  ExpectEndedOver("original", /*at_fault=*/false);
}

TEST_F(TrackerSessionTest, NamesWhatIsOpenWhenATrackerClosesAfterEachAnswer) {
  Begin(TrackerProtocol::kOriginal);
  session_->FindName(1, "f", now_);
  session_->FindName(2, "g", now_);
  Hear("OK 9 0");  // ended by the close
  HearTheEnd();
  EXPECT_EQ(Next<NameFound>().token, 1u);
  EXPECT_EQ(Next<TrackerRefused>().token, 2u);
  ExpectEndedOver("closed the connection", /*at_fault=*/false);
  session_->FindName(3, "h", now_);
  Collect();
  EXPECT_EQ(Next<TrackerRefused>().token, 3u) << "nothing is left without an answer";
}

TEST_F(TrackerSessionTest, TakesAPauseForTheEndOfAnOriginalAnswer) {
  Begin(TrackerProtocol::kOriginal);
  session_->FindName(1, "f", now_);
  Hear("OK 9 0");
  Pass(absl::Milliseconds(199));
  EXPECT_THAT(events_, IsEmpty());
  Pass(absl::Milliseconds(1));
  EXPECT_EQ(Next<NameFound>().token, 1u);
  Hear("\n");
  EXPECT_FALSE(session_->ended()) << "the late end is no answer";
}

// --- Bad trackers

TEST_F(TrackerSessionTest, C12_EndsOverAnswersThatAreNone) {
  for (const char* garbage :
       {"\x16\x03\x01\n", "HTTP/1.1 400 Bad Request\n", "OK\n", "OK 5 2 192.0.2.7:9\n",
        "OK 5 2147483648 192.0.2.7:9\n", "OK 5 1 192.0.2.7:9\n", "FOUND 1 +6\n- 7 0\n"}) {
    events_.clear();
    BeginExtension();
    session_->FindPeers(1, kId, now_);
    Hear(garbage);
    EXPECT_EQ(Next<TrackerRefused>().code, 0);
    ExpectEndedOver("not one of this protocol");
  }
}

TEST_F(TrackerSessionTest, C12_EndsOverAFoundThatContradictsItself) {
  for (const char* garbage :
       {"FOUND 1 +0\n", "FOUND 17 +10\n", "FOUND 1 +16641\n", "FOUND 1 +99999999999999999999\n",
        "FOUND 2 +6\n- 7 0\n", "FOUND 1 +5\n- 7 0", "FOUND 1 +6\n- 7 9\n", "FOUND 1 +6\nx 7 0\n",
        "OK 5\n"}) {
    events_.clear();
    BeginExtension();
    session_->FindName(1, "f", now_);
    Hear(garbage);
    EXPECT_EQ(Next<TrackerRefused>().code, 0) << garbage;
    ExpectEndedOver("not one of this protocol");
  }
}

TEST_F(TrackerSessionTest, C12_EndsAtTheFirstLineThatNobodyAskedFor) {
  BeginExtension();
  std::string lines;
  for (int i = 0; i < 1'000'000; ++i) lines += "OK 1\n";
  Hear(lines);
  ExpectEndedOver("not asked for");
}

TEST_F(TrackerSessionTest, C12_EndsOverAnAnswerWithoutEnd) {
  BeginExtension();
  session_->FindPeers(1, kId, now_);
  Hear(std::string(4'095, '1'));
  EXPECT_FALSE(session_->ended());
  Hear("1");
  EXPECT_EQ(Next<TrackerRefused>().token, 1u);
  ExpectEndedOver("longer than 4096 bytes");
}

TEST_F(TrackerSessionTest, C12_PassesOnWhatIsAnAddressAndNotItsOwn) {
  BeginExtension();
  session_->FindPeers(1, kId, now_);
  Hear(Found(
      "5 7 192.0.2.1:9001 192.0.2.1:9002 127.0.0.1:22 evil.example:80 192.0.2.7:0 10.0.0.1:9;id=ab "
      "10.0.0.2:9"));
  EXPECT_THAT(Next<PeersFound>().peers,
              ElementsAre("192.0.2.1:9002", "127.0.0.1:22", "10.0.0.1:9", "10.0.0.2:9"));
}

TEST_F(TrackerSessionTest, C12_KeepsAtMost64Peers) {
  for (int count : {63, 64, 65}) {
    BeginExtension();
    session_->FindPeers(1, kId, now_);
    std::string list = absl::StrCat("5 ", count);
    for (int i = 0; i < count; ++i) absl::StrAppend(&list, " 192.0.2.7:", 1 + i);
    Hear(Found(list));
    EXPECT_EQ(Next<PeersFound>().peers.size(), static_cast<size_t>(std::min(count, 64)));
  }
}

TEST_F(TrackerSessionTest, C12_BoundsTheLifeThatATrackerGrants) {
  BeginExtension();
  session_->Announce(1, Announcements(1), now_);
  session_->Announce(2, Announcements(1), now_);
  Hear("OK 0\nOK 999999999999\n");
  EXPECT_EQ(Next<Announced>().ttl, absl::Seconds(1));
  EXPECT_EQ(Next<Announced>().ttl, absl::Hours(24));
}

TEST_F(TrackerSessionTest, C13_GivesUpATrackerThatDoesNotAnswer) {
  BeginExtension();
  Pass(absl::Hours(1));
  EXPECT_FALSE(session_->ended()) << "nothing was asked";
  session_->FindPeers(1, kId, now_);
  session_->FindPeers(2, kId, now_);
  Pass(absl::Seconds(29));
  Hear(Found("5 0"));
  Next<PeersFound>();
  Hear("FOU");  // a byte now and then is no answer
  Pass(absl::Seconds(29));
  EXPECT_FALSE(session_->ended());
  Pass(absl::Seconds(1));
  EXPECT_EQ(Next<TrackerRefused>().token, 2u);
  ExpectEndedOver("did not answer for 30 s");
}

TEST_F(TrackerSessionTest, C13_ShowsATrackersWordsWithoutItsControlCharacters) {
  BeginExtension();
  session_->FindPeers(1, kId, now_);
  Hear("ERROR 503 full \x1b[2J\n");
  const auto refused = Next<TrackerRefused>();
  EXPECT_EQ(refused.code, 503);
  EXPECT_EQ(refused.reason, "full \\x1b[2J");
}

TEST_F(TrackerSessionTest, C13_EndsOverAWrongKindOfServer) {
  Begin();
  session_->FindName(1, "f", now_);
  Hear("SSH-2.0-OpenSSH_9.2\r\n");
  EXPECT_EQ(session_->speaks_extension(), absl::nullopt);
  EXPECT_EQ(Next<TrackerRefused>().token, 1u);
  ExpectEndedOver("SSH-2.0-OpenSSH_9.2");
}

}  // namespace
}  // namespace p2p::session
