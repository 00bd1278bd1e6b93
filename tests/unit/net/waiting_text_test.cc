#include "core/net/waiting_text.h"

#include <array>
#include <memory>

#include "gtest/gtest.h"

namespace p2p::net {
namespace {

TEST(WaitingText, Q03_OfManyConnectionsLeavesEachOfThemLittle) {
  EXPECT_EQ(WaitingText::Limit(), limits::kMaxSendBacklogBytes);
  auto many = std::make_unique<std::array<WaitingText, 64>>();
  for (WaitingText& one : *many) one.Set(limits::kMaxSendBacklogBytes);
  EXPECT_EQ(WaitingText::Limit(), limits::kMaxSendBacklogBytes);
  WaitingText another;
  another.Set(1);
  EXPECT_EQ(WaitingText::Limit(), 16'384u);
  (*many)[0].Set(limits::kMaxSendBacklogBytes - 1);
  EXPECT_EQ(WaitingText::Limit(), limits::kMaxSendBacklogBytes);
  another.Set(2);
  EXPECT_EQ(WaitingText::Limit(), 16'384u);
  many.reset();
  EXPECT_EQ(WaitingText::Limit(), limits::kMaxSendBacklogBytes);
}

}  // namespace
}  // namespace p2p::net
