#include "daemon/control/watch_state.h"

#include "core/base/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_transfer_service.h"

namespace p2p::control {
namespace {

using engine::TransferKind;
using engine::TransferState;
using ::testing::ElementsAre;
using testing_support::MakeTransfer;

// A picture of all of `infos`.
Picture All(const std::vector<engine::TransferInfo>& infos) {
  Picture picture;
  picture.all = true;
  for (const auto& info : infos) picture.transfers.emplace(info.id.value(), MakeEntry(info));
  return picture;
}

engine::TransferInfo Download(uint64_t id, TransferState state) {
  return MakeTransfer(id, state, TransferKind::kDownload, "file");
}

TEST(WatchState, AWatcherOfNothingLearnsThatThereIsNothing) {
  WatchState state(absl::nullopt, false);
  const auto first = state.Next(All({}));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->transfers_size(), 0);
  EXPECT_FALSE(state.Next(All({})));
}

TEST(WatchState, TellsTheWholeStateFirstAndThenOnlyWhatChanged) {
  WatchState state(absl::nullopt, false);
  auto one = Download(1, TransferState::kDownloading);
  const auto two = Download(2, TransferState::kPaused);
  EXPECT_EQ(state.Next(All({one, two}))->transfers_size(), 2);
  EXPECT_FALSE(state.Next(All({one, two})));
  one.bytes_done += 1;
  const auto change = state.Next(All({one, two}));
  ASSERT_TRUE(change);
  ASSERT_EQ(change->transfers_size(), 1);
  EXPECT_EQ(change->transfers(0).id(), 1u);
}

TEST(WatchState, TellsOnceWhatIsGone) {
  WatchState state(absl::nullopt, false);
  state.Next(All({Download(1, TransferState::kPaused), Download(2, TransferState::kPaused)}));
  const auto change = state.Next(All({Download(2, TransferState::kPaused)}));
  ASSERT_TRUE(change);
  EXPECT_THAT(change->removed_ids(), ElementsAre(1));
  EXPECT_FALSE(state.Next(All({Download(2, TransferState::kPaused)})));
}

TEST(WatchState, SplitsManyIntoMessagesOfBoundedSize) {
  std::vector<engine::TransferInfo> infos;
  const int count = 2 * limits::kDefaultControlPageItems + 1;
  for (int i = 1; i <= count; ++i) infos.push_back(Download(i, TransferState::kPaused));
  const Picture picture = All(infos);
  WatchState state(absl::nullopt, false);
  int told = 0;
  int messages = 0;
  for (bool more = true; more; ++messages) {
    const auto message = state.Next(picture);
    ASSERT_TRUE(message);
    EXPECT_LE(message->transfers_size(), limits::kDefaultControlPageItems);
    told += message->transfers_size();
    more = message->more();
  }
  EXPECT_EQ(told, count);
  EXPECT_EQ(messages, 3);
  EXPECT_FALSE(state.Next(picture));
}

TEST(WatchState, ExactlyOneFullMessageHasNoMore) {
  std::vector<engine::TransferInfo> infos;
  for (int i = 1; i <= limits::kDefaultControlPageItems; ++i) {
    infos.push_back(Download(i, TransferState::kPaused));
  }
  WatchState state(absl::nullopt, false);
  EXPECT_FALSE(state.Next(All(infos))->more());
}

TEST(WatchState, OfOneSeesOnlyThatOne) {
  WatchState state(TransferId(2), false);
  const auto first = state.Next(
      All({Download(1, TransferState::kDownloading), Download(2, TransferState::kPaused)}));
  ASSERT_TRUE(first);
  ASSERT_EQ(first->transfers_size(), 1);
  EXPECT_EQ(first->transfers(0).id(), 2u);
  EXPECT_FALSE(state.ended());
}

TEST(WatchState, OfOneIsNotMisledByAPictureOfOthers) {
  WatchState state(TransferId(2), false);
  Picture picture = All({Download(1, TransferState::kPaused)});
  picture.all = false;
  EXPECT_FALSE(state.Sees(picture));
  EXPECT_FALSE(state.Next(picture));
  EXPECT_FALSE(state.ended());
}

TEST(WatchState, EndsWithTheTransferWhenAsked) {
  for (const TransferState last :
       {TransferState::kComplete, TransferState::kError, TransferState::kSeeding}) {
    WatchState state(TransferId(1), true);
    EXPECT_TRUE(state.Next(All({Download(1, TransferState::kDownloading)})));
    EXPECT_FALSE(state.ended());
    EXPECT_TRUE(state.Next(All({Download(1, last)})));
    EXPECT_TRUE(state.ended());
    EXPECT_FALSE(state.Next(All({Download(1, TransferState::kDownloading)})));
  }
}

TEST(WatchState, GoesOnAfterTheEndOfTheTransferWhenNotAsked) {
  WatchState state(TransferId(1), false);
  EXPECT_TRUE(state.Next(All({Download(1, TransferState::kComplete)})));
  EXPECT_FALSE(state.ended());
}

TEST(WatchState, OfOneEndsWhenItIsRemoved) {
  WatchState state(TransferId(1), false);
  state.Next(All({Download(1, TransferState::kDownloading)}));
  Picture picture;
  picture.transfers.emplace(1, absl::nullopt);
  const auto last = state.Next(picture);
  ASSERT_TRUE(last);
  EXPECT_THAT(last->removed_ids(), ElementsAre(1));
  EXPECT_TRUE(state.ended());
}

TEST(Picture, IsActiveWhileFiguresMayChange) {
  EXPECT_TRUE(All({Download(1, TransferState::kDownloading)}).AnyActive());
  EXPECT_TRUE(All({Download(1, TransferState::kHashing)}).AnyActive());
  EXPECT_FALSE(All({Download(1, TransferState::kPaused)}).AnyActive());
  auto seeding = Download(1, TransferState::kSeeding);
  EXPECT_FALSE(All({seeding}).AnyActive());
  seeding.rate_up = 10;
  EXPECT_TRUE(All({seeding}).AnyActive());
}

}  // namespace
}  // namespace p2p::control
