#include "daemon/engine/pending_calls.h"

#include <string>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"

namespace p2p::engine {
namespace {

using Answer = absl::StatusOr<int>;

TEST(PendingCalls, TheFirstAnswerIsGivenAndNoOther) {
  PendingCalls calls;
  int given = 0;
  const auto reply = calls.Add<Answer>([&](const Answer& answer) { given += answer.value_or(-1); });
  EXPECT_EQ(given, 0);
  reply(7);
  reply(8);
  calls.End(absl::UnavailableError("stopping"));
  EXPECT_EQ(given, 7);
}

TEST(PendingCalls, V16_WhatIsOwedIsGivenAtTheEnd) {
  PendingCalls calls;
  std::string said;
  const auto first = calls.Add<Answer>(
      [&](const Answer& answer) { said += std::string(answer.status().message()) + ";"; });
  const auto second = calls.Add<absl::Status>(
      [&](const absl::Status& answer) { said += std::string(answer.message()) + ";"; });
  calls.End(absl::UnavailableError("stopping"));
  EXPECT_EQ(said, "stopping;stopping;");
  first(1);
  second(absl::OkStatus());
  EXPECT_EQ(said, "stopping;stopping;");
}

TEST(PendingCalls, V16_WhatComesAfterTheEndIsAnsweredAtOnce) {
  PendingCalls calls;
  EXPECT_FALSE(calls.ended());
  calls.End(absl::UnavailableError("stopping"));
  EXPECT_TRUE(calls.ended());
  Answer given = 0;
  calls.Add<Answer>([&](Answer answer) { given = std::move(answer); });
  EXPECT_EQ(given.status(), absl::UnavailableError("stopping"));
}

}  // namespace
}  // namespace p2p::engine
