#include "daemon/engine/known_speakers.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace p2p::engine {
namespace {

TEST(KnownSpeakers, RemembersAddressesWithTheirPorts) {
  KnownSpeakers known;
  known.Add("192.0.2.1:9001");
  EXPECT_TRUE(known.Has("192.0.2.1:9001"));
  EXPECT_FALSE(known.Has("192.0.2.1:9002"));
  EXPECT_FALSE(known.Has(""));
}

TEST(KnownSpeakers, ForgetsTheOldestWhenThereAreVeryMany) {
  KnownSpeakers known;
  const auto address = [](size_t i) { return absl::StrCat("192.0.2.1:", i); };
  for (size_t i = 0; i < limits::kMaxKnownSpeakers; ++i) known.Add(address(i));
  known.Add(address(0));  // is known already
  EXPECT_TRUE(known.Has(address(0)));
  known.Add(address(limits::kMaxKnownSpeakers));
  EXPECT_FALSE(known.Has(address(0)));
  EXPECT_TRUE(known.Has(address(1)));
  EXPECT_TRUE(known.Has(address(limits::kMaxKnownSpeakers)));
}

}  // namespace
}  // namespace p2p::engine
