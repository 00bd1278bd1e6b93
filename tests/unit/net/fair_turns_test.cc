#include "core/net/fair_turns.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <string>
#include <utility>

#include "gtest/gtest.h"

namespace p2p::net {
namespace {

constexpr uint64_t kCrowd = 1;
constexpr uint64_t kOther = 2;

class FairTurnsTest : public testing::Test {
 protected:
  // A turn that takes so long and writes its letter down.
  void Add(uint64_t whose, char letter, int milliseconds = 1) {
    turns_.Add(whose, [=] {
      now_ += absl::Milliseconds(milliseconds);
      log_ += letter;
    });
  }
  // A connection that always wants its next turn.
  void Flood(uint64_t whose, char letter, int milliseconds) {
    turns_.Add(whose, [=] {
      now_ += absl::Milliseconds(milliseconds);
      log_ += letter;
      Flood(whose, letter, milliseconds);
    });
  }
  bool RunOne() {
    if (posted_.empty()) return false;
    const auto task = std::move(posted_.front());
    posted_.pop_front();
    task();
    return true;
  }
  std::string Run(int turns) {
    log_.clear();
    for (int i = 0; i < turns && RunOne(); ++i) {
    }
    return log_;
  }

  absl::Time now_ = absl::UnixEpoch();
  std::deque<std::function<void()>> posted_;
  std::string log_;
  FairTurns turns_{[this](std::function<void()> task) { posted_.push_back(std::move(task)); },
                   [this] { return now_; }};
};

TEST_F(FairTurnsTest, KeepsTheOrderOfOne) {
  for (const char letter : {'a', 'b', 'c'}) Add(kCrowd, letter);
  EXPECT_EQ(Run(9), "abc");
  EXPECT_TRUE(posted_.empty()) << "it waits for nothing";
}

TEST_F(FairTurnsTest, PostsOneTurnAtATimeBehindWhatElseIsReady) {
  for (const char letter : {'a', 'b'}) Add(kCrowd, letter);
  posted_.push_back([this] { log_ += '-'; });
  EXPECT_EQ(Run(9), "a-b");
}

TEST_F(FairTurnsTest, V08_ACrowdHasNoMoreOfTheTimeThanOneOther) {
  for (int i = 0; i < 8; ++i) Flood(kCrowd, 'c', 1);
  Run(100);
  Flood(kOther, 'o', 1);
  const std::string turns = Run(100);
  EXPECT_NEAR(std::count(turns.begin(), turns.end(), 'o'), 50, 1);
}

TEST_F(FairTurnsTest, V08_LongTurnsComeSeldom) {
  Flood(kCrowd, 'c', 4);
  Flood(kOther, 'o', 1);
  const std::string turns = Run(100);
  EXPECT_NEAR(std::count(turns.begin(), turns.end(), 'o'), 80, 2);
}

TEST_F(FairTurnsTest, NobodySavesTurnsUp) {
  Flood(kCrowd, 'c', 1);
  Add(kOther, 'o');
  Run(1'000);
  for (int i = 0; i < 10; ++i) Add(kOther, 'o');
  EXPECT_EQ(std::count(log_.begin(), log_.end(), 'o'), 1);
  const std::string turns = Run(10);
  EXPECT_NEAR(std::count(turns.begin(), turns.end(), 'o'), 5, 1);
}

TEST_F(FairTurnsTest, WhoPausesKeepsWhatItHadTooMuch) {
  Flood(kOther, 'o', 1);
  Add(kCrowd, 'c', 20);
  Run(2);
  Add(kCrowd, 'c', 20);
  EXPECT_EQ(Run(18).find('c'), std::string::npos);
  EXPECT_NE(Run(3).find('c'), std::string::npos);
}

TEST_F(FairTurnsTest, ForgetsThoseThatWantNothing) {
  for (uint64_t whose = 10; whose < 1'000; ++whose) Add(whose, 'x');
  Run(2'000);
  for (int i = 0; i < 5; ++i) Add(kOther, 'o');
  Run(5);
  EXPECT_LE(turns_.remembered(), 2u);
}

}  // namespace
}  // namespace p2p::net
