#include "daemon/engine/change_look.h"

#include "daemon/engine/served_files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace p2p::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Files = std::vector<FileIndex>;

constexpr absl::Time kNow = absl::UnixEpoch();

TEST(ChangeLook, V07_LooksOnlyAtWhatWasServed) {
  ServedFiles served;
  for (const uint32_t file : {5, 2, 5, 2}) served.Add(FileIndex(file));
  ChangeLook look;
  EXPECT_EQ(look.due(), absl::InfiniteFuture());
  look.Want(served.files());
  EXPECT_LE(look.due(), kNow);
  EXPECT_THAT(look.Begin(kNow), ElementsAre(FileIndex(2), FileIndex(5)));
}

TEST(ChangeLook, V07_OneIsUnderWayAndOneIsWantedAndThereIsAPauseBetween) {
  ChangeLook look;
  look.Want(Files{FileIndex(1)});
  look.Begin(kNow);
  for (int visitor = 0; visitor < 100; ++visitor) look.Want(Files{FileIndex(1), FileIndex(2)});
  EXPECT_EQ(look.due(), absl::InfiniteFuture()) << "one is under way";
  look.OnEnd();
  EXPECT_EQ(look.due(), kNow + limits::kLookInterval);
  EXPECT_THAT(look.Begin(look.due()), ElementsAre(FileIndex(1), FileIndex(2)));
  look.OnEnd();
  EXPECT_EQ(look.due(), absl::InfiniteFuture()) << "none is wanted";
}

TEST(ChangeLook, V07_TheFilesOfALookAreBounded) {
  ChangeLook look;
  Files many;
  for (uint32_t i = 0; i < limits::kMaxFilesPerLook + 3; ++i) many.push_back(FileIndex(i));
  look.Want(many);
  EXPECT_THAT(look.Begin(kNow), SizeIs(limits::kMaxFilesPerLook));
  look.OnEnd();
  EXPECT_THAT(look.Begin(kNow), SizeIs(3));
}

TEST(ServedFiles, V07_KeepsTheLatestOnes) {
  ServedFiles served;
  EXPECT_THAT(served.files(), IsEmpty());
  for (uint32_t i = 0; i <= limits::kMaxServedFiles; ++i) served.Add(FileIndex(i));
  EXPECT_THAT(served.files(), SizeIs(limits::kMaxServedFiles));
  EXPECT_EQ(served.files().front(), FileIndex(1));
  EXPECT_EQ(served.files().back(), FileIndex(limits::kMaxServedFiles));
}

}  // namespace
}  // namespace p2p::engine
