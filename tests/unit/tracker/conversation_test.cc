#include "tracker/conversation.h"

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"

namespace p2p::tracker {
namespace {

using State = Conversation::State;
using Strings = std::vector<std::string>;

class ConversationTest : public ::testing::Test {
 protected:
  ConversationTest() {
    options_.on_fault = [this](const wire::IpAddress&, absl::string_view line,
                               const wire::WireError&) { faults_.push_back(std::string(line)); };
    Restart();
  }

  void Restart() {
    conversation_ = std::make_unique<Conversation>(
        &options_, &service_, *wire::PeerAddress::Parse("192.0.2.1:51324"), now_);
  }

  // The answers, each cut to "OK", "HELLO", "FOUND" or "ERROR <code>".
  Strings Say(absl::string_view bytes) {
    conversation_->OnBytes(bytes, now_);
    return Answers();
  }
  Strings Answers() {
    Strings answers;
    for (absl::string_view line :
         absl::StrSplit(conversation_->TakeOutput(), '\n', absl::SkipEmpty())) {
      const size_t words = absl::StartsWith(line, "ERROR ") ? 9 : line.find(' ');
      answers.push_back(std::string(line.substr(0, words)));
    }
    conversation_->OnSent(0, 0, now_);
    return answers;
  }
  // Lets time pass as a driver would, and says how long until the conversation timed out.
  absl::Duration UntilTimedOut(absl::Duration at_most) {
    const absl::Time began = now_;
    while (conversation_->state() == State::kOpen && now_ < began + at_most) {
      now_ = std::min(conversation_->WakeUpTime(), began + at_most);
      conversation_->OnTime(now_);
    }
    return conversation_->state() == State::kAbandoned ? now_ - began : absl::InfiniteDuration();
  }

  ConversationOptions options_;
  Service service_{RegistryOptions(), false};
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  std::unique_ptr<Conversation> conversation_;
  Strings faults_;
};

TEST_F(ConversationTest, AnswersPipelinedRequestsInOrder) {
  EXPECT_EQ(Say("REGISTER f 1 192.0.2.1:9\nLOOKUP g\r\nLOOKUP f\nUNREGISTER 192.0.2.1:9\n"),
            (Strings{"OK", "ERROR 404", "OK", "OK"}));
  EXPECT_TRUE(faults_.empty());
}

TEST_F(ConversationTest, T01_KeepsTheConnectionThroughEightBadLinesAndClosesAtTheNinth) {
  const char* bad[] = {"\n", "   \n", "\r\n", "x\n", "lookup f\n", "LOOKUP\n", "LOOKUP ..\n"};
  for (const char* line : bad) EXPECT_EQ(Say(line).size(), 1u);
  EXPECT_EQ(Say("LOOKUP f\n"), Strings{"ERROR 404"}) << "no bad line";
  EXPECT_EQ(Say("\n"), Strings{"ERROR 400"});
  EXPECT_EQ(conversation_->state(), State::kOpen);
  EXPECT_EQ(Say("\nLOOKUP f\n"), Strings{"ERROR 400"});
  EXPECT_EQ(conversation_->state(), State::kFinished);
  EXPECT_EQ(faults_.size(), 9u);
}

TEST_F(ConversationTest, T02_ClosesOverALineThatIsTooLong) {
  EXPECT_EQ(Say(absl::StrCat("LOOKUP ", std::string(4'087, 'x'), "\n")), Strings{"ERROR 422"});
  EXPECT_EQ(Say(absl::StrCat("LOOKUP ", std::string(4'088, 'x'), "\n")), Strings{"ERROR 422"});
  EXPECT_EQ(conversation_->state(), State::kOpen);
  EXPECT_EQ(Say(absl::StrCat("LOOKUP ", std::string(4'089, 'x'), "\nLOOKUP f\n")),
            Strings{"ERROR 413"});
  EXPECT_EQ(conversation_->state(), State::kFinished);
  Restart();
  EXPECT_EQ(Say(std::string(4'095, 'x')), Strings{});
  EXPECT_EQ(Say("x"), Strings{"ERROR 413"});
}

TEST_F(ConversationTest, T03_GivesTheSameAnswersHoweverTheBytesArrive) {
  const std::string text =
      "REGISTER na\xc3\xafve f 7 192.0.2.1:9\r\nLOOKUP na\xc3\xafve f\n\nHELLO 3\nFROB "
      "+5\n\nab\ncLOOKUP g\n"
      "FIND na\xc3\xafve f\nUNREGISTER 192.0.2.1:9\n";
  const Strings whole = Say(text);
  ASSERT_EQ(whole.size(), 9u);
  std::mt19937 random(3);
  for (int round = 0; round < 100; ++round) {
    Restart();
    Strings answers;
    for (size_t at = 0; at < text.size();) {
      const size_t length = round == 0 ? 1 : 1 + random() % 20;
      for (std::string& answer : Say(text.substr(at, length))) answers.push_back(answer);
      at += length;
    }
    EXPECT_EQ(answers, whole) << "round " << round;
  }
}

TEST_F(ConversationTest, T03_TheLineEndBehindAPauseMayComeInPieces) {
  Say("LOOKUP f");
  now_ += options_.line_pause;
  conversation_->OnTime(now_);
  EXPECT_EQ(Answers(), Strings{"ERROR 404"});
  EXPECT_EQ(Say("\r"), Strings{});
  EXPECT_EQ(Say("\n"), Strings{});
  EXPECT_EQ(Say("LOOKUP f\n"), Strings{"ERROR 404"});
  EXPECT_TRUE(faults_.empty());
}

TEST_F(ConversationTest, T06_NeverReflectsTheBytesOfAName) {
  conversation_->OnBytes("LOOKUP \x1b[31m\xff\n", now_);
  EXPECT_FALSE(absl::StrContains(conversation_->TakeOutput(), "\x1b"));
}

TEST_F(ConversationTest, T15_GivesASilentClientTenSeconds) {
  EXPECT_EQ(UntilTimedOut(absl::Hours(1)), absl::Seconds(10));
}

TEST_F(ConversationTest, T15_GivesAClientThatSendsAByteNowAndThenTenSecondsInAll) {
  Say("L");
  EXPECT_EQ(UntilTimedOut(absl::Seconds(9)), absl::InfiniteDuration());
  Say("O");
  EXPECT_EQ(UntilTimedOut(absl::Hours(1)), absl::Seconds(1));
}

TEST_F(ConversationTest, T15_StartsTheIdleTimeWithEachWholeLine) {
  Say("HELLO 3\n");
  EXPECT_EQ(UntilTimedOut(absl::Seconds(149)), absl::InfiniteDuration());
  Say("LOOKUP f\n");
  EXPECT_EQ(UntilTimedOut(absl::Seconds(60)), absl::InfiniteDuration());
  Say("L");  // after HELLO no pause ends a line, and a byte is no sign of life
  EXPECT_EQ(UntilTimedOut(absl::Hours(1)), absl::Seconds(90));
}

TEST_F(ConversationTest, AClientThatComesOnlyToRenewIsKeptHoweverLongTheTtlIs) {
  Say("HELLO 3\n");
  RegistryOptions options;
  options.ttl = absl::Seconds(1000);
  service_.registry().SetOptions(options);
  EXPECT_EQ(UntilTimedOut(absl::Hours(1)), absl::Seconds(1250));
  options.ttl = absl::Seconds(10);
  service_.registry().SetOptions(options);
  Restart();
  Say("HELLO 3\n");
  EXPECT_EQ(UntilTimedOut(absl::Hours(1)), absl::Seconds(120));
}

TEST_F(ConversationTest, EndsALineByAPauseBeforeHello) {
  EXPECT_EQ(Say("LOOKUP f"), Strings{});
  EXPECT_EQ(conversation_->WakeUpTime(), now_ + absl::Milliseconds(200));
  now_ += absl::Milliseconds(199);
  conversation_->OnTime(now_);
  EXPECT_EQ(Answers(), Strings{});
  now_ += absl::Milliseconds(1);
  conversation_->OnTime(now_);
  EXPECT_EQ(Answers(), Strings{"ERROR 404"});
  EXPECT_EQ(Say("\r\nLOOKUP f\n"), Strings{"ERROR 404"}) << "the late end is no empty line";
}

TEST_F(ConversationTest, T20_AnswersEverythingAfterAHalfClose) {
  EXPECT_EQ(Say("LOOKUP f\nLOOKUP g"), Strings{"ERROR 404"});
  conversation_->OnEndOfStream(now_);
  EXPECT_EQ(Answers(), Strings{"ERROR 404"});
  EXPECT_EQ(conversation_->state(), State::kFinished);
  EXPECT_EQ(conversation_->WakeUpTime(), absl::InfiniteFuture());
}

TEST_F(ConversationTest, T20_EndsWithoutAnAnswerWhereThereWasNoQuestion) {
  conversation_->OnEndOfStream(now_);
  EXPECT_EQ(Answers(), Strings{});
  EXPECT_EQ(conversation_->state(), State::kFinished);
}

TEST_F(ConversationTest, T25_ClosesOverOtherProtocolsWithOneLogLine) {
  EXPECT_EQ(Say("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Strings{"ERROR 400"});
  EXPECT_EQ(conversation_->state(), State::kFinished);
  EXPECT_EQ(faults_.size(), 1u);
  Restart();
  // A ClientHello: whoever speaks TLS can do nothing with our words.
  EXPECT_EQ(Say(absl::string_view("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11)), Strings{});
  EXPECT_EQ(conversation_->state(), State::kAbandoned);
  EXPECT_EQ(faults_.size(), 2u);
  Restart();
  // Only at the beginning.
  EXPECT_EQ(Say("LOOKUP f\n\x16\n"), (Strings{"ERROR 404", "ERROR 400"}));
}

TEST_F(ConversationTest, SaysHelloBeforeItRefusesOne) {
  for (const auto& [line, code] :
       std::vector<std::pair<const char*, const char*>>{{"HELLO 2\n", "ERROR 426"},
                                                        {"HELLO 2 later=1\n", "ERROR 426"},
                                                        {"HELLO\n", "ERROR 400"},
                                                        {"HELLO x\n", "ERROR 400"}}) {
    Restart();
    EXPECT_EQ(Say(absl::StrCat(line, "LOOKUP f\n")), (Strings{"HELLO", code})) << line;
    EXPECT_EQ(conversation_->state(), State::kFinished);
  }
  Restart();
  conversation_->OnBytes("HELLO 4 zip\n", now_);
  EXPECT_EQ(conversation_->TakeOutput(),
            "HELLO 3 agent=p2p-tracker/" P2P_VERSION " you=192.0.2.1:51324\n");
  EXPECT_EQ(Conversation::NoRoomText(),
            "HELLO 3 agent=p2p-tracker/" P2P_VERSION "\nERROR 503 too many connections\n");
}

TEST_F(ConversationTest, TakesTheNameOfAnAnnouncementAsItsPayload) {
  const std::string id(64, 'a');
  const std::string start = absl::StrCat("ANNOUNCE 5 ", id, " 192.0.2.1:9;id=", id, " soon +");
  EXPECT_EQ(Say(start + "3\na\nbLOOKUP f\n"), (Strings{"ERROR 422", "ERROR 404"})) << "no name";
  EXPECT_EQ(Say(start + "3\na bLOOKUP a b\n"), (Strings{"OK", "OK"}));
  EXPECT_EQ(Say("JOIN 5 x 192.0.2.1:9 +9\nLOOKUP f\nLOOKUP f\n"),
            (Strings{"ERROR 422", "ERROR 404"}))
      << "what is refused has its payload skipped";
  EXPECT_EQ(Say(start + "1025\n" + std::string(1'025, '\n') + "LOOKUP f\n"),
            (Strings{"ERROR 422", "ERROR 404"}));
  EXPECT_EQ(Say(absl::StrCat("ANNOUNCE f 5 ", id, " 192.0.2.1:9\nLOOKUP f\n")),
            (Strings{"ERROR 400", "ERROR 404"}))
      << "without a payload";
  EXPECT_EQ(Say(start + "1048577\n"), Strings{"ERROR 413"});
  EXPECT_EQ(conversation_->state(), State::kFinished);
}

TEST_F(ConversationTest, APauseEndsNoLineOfAClientThatHasEndedOne) {
  EXPECT_EQ(Say("LOOKUP f\nLOOKUP g"), Strings{"ERROR 404"});
  now_ += absl::Seconds(5);
  conversation_->OnTime(now_);
  EXPECT_EQ(Answers(), Strings{}) << "the rest of the name may be on its way";
  EXPECT_EQ(Say("REGISTER gh 1 192.0.2.1:9\n"), Strings{"ERROR 404"}) << "it was one line";
}

TEST_F(ConversationTest, SkipsUnknownVerbsAndTheirPayloadAfterHello) {
  EXPECT_EQ(Say("HELLO 3 a=b\n"), Strings{"HELLO"});
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Say("FROB x +12\nLOOKUP f\n\n\n\n"), Strings{"ERROR 400"});
  }
  EXPECT_EQ(Say("FROB +0\nLOOKUP f\n"), (Strings{"ERROR 400", "ERROR 404"}));
  EXPECT_EQ(Say("FROB +1048576\n"), Strings{"ERROR 400"});
  EXPECT_EQ(Say(std::string(1'048'576, '\n')), Strings{});
  EXPECT_EQ(Say("LOOKUP f\n"), Strings{"ERROR 404"});
  EXPECT_EQ(Say("FROB +1048577\n"), Strings{"ERROR 413"});
  EXPECT_EQ(conversation_->state(), State::kFinished);
}

// --- A client that does not read its answers

class SlowReaderTest : public ConversationTest {
 protected:
  SlowReaderTest() {
    std::string lookups;
    for (int i = 0; i < 5'000; ++i) lookups += "LOOKUP f\n";
    options_.max_backlog_bytes = 100'000;
    options_.steps_per_turn = 1'000'000;  // it is not about these
    Restart();
    conversation_->OnBytes(lookups, now_);
    unsent_ = conversation_->TakeOutput().size();
  }

  void Take(size_t bytes) {
    unsent_ -= bytes;
    conversation_->OnSent(bytes, unsent_, now_);
    unsent_ += conversation_->TakeOutput().size();
  }

  size_t unsent_ = 0;
};

TEST_F(SlowReaderTest, T19_IsNotReadBeyondItsBacklog) {
  EXPECT_GE(unsent_, 100'000u);
  EXPECT_LT(unsent_, 100'100u);
  EXPECT_FALSE(conversation_->WantsRead());
}

TEST_F(SlowReaderTest, T19_IsClosedAfterThirtySecondsWithoutProgress) {
  EXPECT_EQ(UntilTimedOut(absl::Hours(1)), absl::Seconds(30));
}

TEST_F(SlowReaderTest, T19_LivesAsLongAsItTakesItsShareEveryThirtySeconds) {
  for (int i = 0; i < 3; ++i) {
    Take(limits::kMinTransferBytes);
    now_ += absl::Seconds(30);
    conversation_->OnTime(now_);
    ASSERT_EQ(conversation_->state(), State::kOpen) << i;
  }
  Take(limits::kMinTransferBytes - 1);
  EXPECT_EQ(UntilTimedOut(absl::Hours(1)), absl::Seconds(30));
}

TEST_F(SlowReaderTest, Q03_IsReadLessWhileManyOthersAreSlow) {
  conversation_->LimitBacklog(10'000);
  const size_t before = unsent_;
  // Nothing is added until it has come down to that.
  while (unsent_ > 11'000) Take(1'000);
  EXPECT_LT(unsent_, before);
  EXPECT_FALSE(conversation_->WantsRead());
  size_t most = 0;
  for (int i = 0; i < 20; ++i) {
    Take(1'000);
    most = std::max(most, unsent_);
  }
  EXPECT_LT(most, 10'100u);
  // As before, when they are gone.
  conversation_->LimitBacklog(1 << 20);
  Take(1'000);
  EXPECT_GE(unsent_, 99'000u);
}

TEST_F(SlowReaderTest, T19_GetsEveryAnswerWhenItReadsAgain) {
  size_t taken = 0;
  while (unsent_ > 0) {
    const size_t bytes = std::min<size_t>(unsent_, 10'000);
    taken += bytes;
    Take(bytes);
    ASSERT_LT(unsent_, 100'100u);
  }
  EXPECT_EQ(taken, 5'000 * wire::FormatError(404, "no peer shares a file of this name").size());
  EXPECT_TRUE(conversation_->WantsRead());
}

TEST_F(SlowReaderTest, T20_GetsEveryAnswerAfterAHalfClose) {
  conversation_->OnEndOfStream(now_);
  EXPECT_EQ(conversation_->state(), State::kOpen);
  while (unsent_ > 0) Take(std::min<size_t>(unsent_, 10'000));
  EXPECT_EQ(conversation_->state(), State::kFinished);
}

TEST_F(ConversationTest, T29_WhoAsksMuchAtOnceIsAnsweredInTurns) {
  options_.steps_per_turn = 100;
  Restart();
  std::string lines;
  for (int i = 0; i < 250; ++i) lines += "LOOKUP f\n";
  EXPECT_EQ(Say(lines + "STATS\nSTATS\nSTATS\nLOOKUP f\nLOOK").size(), 100u);
  EXPECT_FALSE(conversation_->WantsRead());
  EXPECT_EQ(Answers().size(), 0u) << "sending them begins no turn";
  conversation_->OnEndOfStream(now_);
  std::vector<size_t> turns;
  Strings answers;
  while (conversation_->state() == State::kOpen) {
    ASSERT_GT(conversation_->WakeUpTime(), now_) << "others have their turn in between";
    now_ = conversation_->WakeUpTime();
    conversation_->OnTime(now_);
    answers = Answers();
    turns.push_back(answers.size());
  }
  // STATS costs 64.
  EXPECT_EQ(turns, (std::vector<size_t>{100, 50 + 1, 2, 2}));
  EXPECT_EQ(answers, (Strings{"ERROR 404", "ERROR 400"}));
  EXPECT_EQ(conversation_->state(), State::kFinished);
}

TEST_F(ConversationTest, T29_ALineWhoseEndIsNotReadYetIsNotEndedByTheTurnsBeforeIt) {
  options_.steps_per_turn = 1;
  Restart();
  EXPECT_EQ(Say("LOOKUP f\nLOOKUP f\nLOOKUP ").size(), 1u);
  now_ += absl::Seconds(1);  // others had their turns
  conversation_->OnTime(now_);
  EXPECT_EQ(Answers().size(), 1u);
  now_ += absl::Seconds(1);
  conversation_->OnTime(now_);
  EXPECT_EQ(Answers().size(), 0u);
  ASSERT_TRUE(conversation_->WantsRead());
  conversation_->OnTime(now_ + absl::Milliseconds(199));
  EXPECT_EQ(Answers().size(), 0u);
  EXPECT_EQ(Say("f\n"), Strings{"ERROR 404"});
}

}  // namespace
}  // namespace p2p::tracker
