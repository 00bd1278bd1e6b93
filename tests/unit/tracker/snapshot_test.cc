#include "tracker/snapshot.h"

#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"

namespace p2p::tracker {
namespace {

using testing_support::ReadFile;
using testing_support::TempDir;

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);
const absl::Time kWall = absl::FromUnixSeconds(1'700'000'000);
const wire::IpAddress kElsewhere = wire::IpAddress::FromV4({203, 0, 113, 1});

wire::PeerAddress At(absl::string_view text) { return *wire::PeerAddress::Parse(text); }

ContentId Id(uint8_t n) {
  ContentId id;
  id.hash.bytes.fill(n);
  return id;
}

class SnapshotTest : public ::testing::Test {
 protected:
  std::string Read() const { return ReadFile(path_); }
  void Write(const std::string& bytes) const { testing_support::WriteFile(path_, bytes); }
  // Of each kind one.
  static void Fill(Registry* registry) {
    const auto add = [registry](absl::string_view name, absl::optional<ContentId> id, bool partial,
                                absl::string_view address, absl::Time now) {
      ASSERT_EQ(registry->Register(name, ByteCount(7), id, partial, At(address), now),
                Registry::Outcome::kRegistered);
    };
    add("a name", absl::nullopt, false, "192.0.2.1:1", kStart);
    add("a name", Id(1), false, "192.0.2.1:1", kStart);
    add("a name", Id(1), true, "192.0.2.2:65535", kStart + absl::Seconds(40));
    add("other", Id(2), true, "[2001:db8::7]:9001", kStart + absl::Seconds(60));
  }

  const TempDir dir_ = TempDir::InMemory();
  const std::string path_ = dir_ / "state";
};

TEST_F(SnapshotTest, GivesEveryRegistrationBackAsItWas) {
  Registry first{RegistryOptions()};
  Fill(&first);
  EXPECT_EQ(*SaveSnapshot(path_, {kStart + absl::Seconds(60), kWall}, first), 4u);
  // A restarted machine: its monotonic clock begins anew.
  const absl::Time now = absl::UnixEpoch() + absl::Seconds(5);
  Registry second{RegistryOptions()};
  EXPECT_EQ(*LoadSnapshot(path_, {now, kWall + absl::Seconds(10)}, &second), 4u);
  EXPECT_EQ(second.Lookup("a name", kElsewhere, now)->peers.at(0), At("192.0.2.1:1"));
  EXPECT_EQ(second.Peers(Id(1), kElsewhere, now)->peers.size(), 2u);
  const auto found = second.Find("other", kElsewhere, now);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].content_id, Id(2));
  EXPECT_EQ(found[0].list.size, ByteCount(7));
  EXPECT_EQ(found[0].list.peers.at(0), At("[2001:db8::7]:9001"));
  EXPECT_FALSE(second.Lookup("other", kElsewhere, now).has_value()) << "partial, as before";
  EXPECT_EQ(access(absl::StrCat(path_, ".new").c_str(), F_OK), -1);
}

TEST_F(SnapshotTest, CountsTheTimeThatPassedWhileThereWasNoTracker) {
  Registry first{RegistryOptions()};
  Fill(&first);  // expires at kStart + 120, 120, 160 and 180 s
  ASSERT_TRUE(SaveSnapshot(path_, {kStart + absl::Seconds(100), kWall}, first).ok());
  const auto left_after = [&](int seconds) {
    Registry second{RegistryOptions()};
    return *LoadSnapshot(path_, {kStart, kWall + absl::Seconds(seconds)}, &second);
  };
  EXPECT_EQ(left_after(19), 4u);
  EXPECT_EQ(left_after(20), 2u);
  EXPECT_EQ(left_after(60), 1u);
  EXPECT_EQ(left_after(80), 0u);
  Registry second{RegistryOptions()};
  ASSERT_TRUE(LoadSnapshot(path_, {kStart, kWall - absl::Hours(9)}, &second).ok());
  second.Expire(kStart + absl::Seconds(120));
  EXPECT_EQ(second.registration_count(), 0u) << "a wall clock that was set back lengthens no life";
}

TEST_F(SnapshotTest, KeepsTheQuotaOfAHost) {
  RegistryOptions options;
  options.max_registrations_per_ip = 2;
  Registry first(options);
  for (const char* name : {"a", "b"}) {
    first.Register(name, ByteCount(1), absl::nullopt, false, At("192.0.2.1:1"), kStart);
  }
  ASSERT_TRUE(SaveSnapshot(path_, {kStart, kWall}, first).ok());
  Registry second(options);
  EXPECT_EQ(*LoadSnapshot(path_, {kStart, kWall}, &second), 2u);
  EXPECT_EQ(second.Register("c", ByteCount(1), absl::nullopt, false, At("192.0.2.1:1"), kStart),
            Registry::Outcome::kQuota);
}

TEST_F(SnapshotTest, SpreadsManyRegistrationsOverBlocks) {
  RegistryOptions options;
  options.max_registrations_per_ip = 1 << 20;
  Registry first(options);
  for (int n = 0; n < 20'000; ++n) {
    first.Register(absl::StrCat(std::string(100, 'n'), n), ByteCount(1), absl::nullopt, false,
                   At("192.0.2.1:1"), kStart);
  }
  ASSERT_EQ(*SaveSnapshot(path_, {kStart, kWall}, first), 20'000u);
  EXPECT_GT(Read().size(), 2'000'000u);
  Registry second(options);
  EXPECT_EQ(*LoadSnapshot(path_, {kStart, kWall}, &second), 20'000u);
}

TEST_F(SnapshotTest, T24_ASnapshotCutAnywhereIsNoticedAndNothingOfItUsed) {
  Registry first{RegistryOptions()};
  Fill(&first);
  ASSERT_TRUE(SaveSnapshot(path_, {kStart, kWall}, first).ok());
  const std::string whole = Read();
  for (size_t size = 0; size < whole.size(); ++size) {
    Write(whole.substr(0, size));
    Registry second{RegistryOptions()};
    const auto loaded = LoadSnapshot(path_, {kStart, kWall}, &second);
    ASSERT_TRUE(absl::IsDataLoss(loaded.status())) << size << ": " << loaded.status();
    ASSERT_EQ(second.registration_count(), 0u) << size;
  }
  Write(whole + "x");
  Registry second{RegistryOptions()};
  EXPECT_TRUE(absl::IsDataLoss(LoadSnapshot(path_, {kStart, kWall}, &second).status()));
}

TEST_F(SnapshotTest, T24_ASnapshotWithAnyBitTurnedIsNoticedAndNothingOfItUsed) {
  Registry first{RegistryOptions()};
  Fill(&first);
  ASSERT_TRUE(SaveSnapshot(path_, {kStart, kWall}, first).ok());
  const std::string whole = Read();
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ 1 << bit % 8);
    Write(damaged);
    Registry second{RegistryOptions()};
    const auto loaded = LoadSnapshot(path_, {kStart, kWall}, &second);
    ASSERT_TRUE(absl::IsDataLoss(loaded.status())) << bit << ": " << loaded.status();
    ASSERT_EQ(second.registration_count(), 0u) << bit;
  }
}

TEST_F(SnapshotTest, LeavesNothingBesideADirectoryThatIsInTheWay) {
  ASSERT_EQ(mkdir(path_.c_str(), 0700), 0);
  EXPECT_FALSE(SaveSnapshot(path_, {kStart, kWall}, Registry{RegistryOptions()}).ok());
  EXPECT_NE(access(absl::StrCat(path_, ".new").c_str(), F_OK), 0);
}

TEST_F(SnapshotTest, LeavesTheFormerOneWhereItCannotWrite) {
  Registry registry{RegistryOptions()};
  Fill(&registry);
  ASSERT_TRUE(SaveSnapshot(path_, {kStart, kWall}, registry).ok());
  const std::string former = Read();
  ASSERT_EQ(mkdir(absl::StrCat(path_, ".new").c_str(), 0700), 0);  // in the way
  const auto saved = SaveSnapshot(path_, {kStart, kWall}, registry);
  ASSERT_FALSE(saved.ok());
  EXPECT_TRUE(absl::StrContains(std::string(saved.status().message()), path_));
  EXPECT_EQ(Read(), former);
  EXPECT_TRUE(absl::IsNotFound(
      LoadSnapshot(absl::StrCat(path_, ".none"), {kStart, kWall}, &registry).status()));
  EXPECT_FALSE(LoadSnapshot(dir_.path(), {kStart, kWall}, &registry).ok());
}

}  // namespace
}  // namespace p2p::tracker
