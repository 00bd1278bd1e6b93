// One disk with the catalog and the files of a daemon's life: it shares, downloads, finishes,
// removes and stops. Power fails at every change that it makes there, and the disk is left in every
// state that it may be in, or in as many as there is time for: what was promised is kept, what is
// claimed is there, and the next life goes on with it.
//
// P2P_CRASH_STATES: how many states of the disk at most after each crash.
#include "tests/support/crash_states.h"

#include <cstdio>
#include <cstdlib>
#include <random>

#include "absl/strings/numbers.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/store/catalog_test_support.h"
#include "tests/unit/store/crash_life.h"

namespace p2p::store {
namespace {

using testing_support::CrashStates;
using testing_support::Fate;
using testing_support::TempDir;

constexpr uint32_t kStatesByDefault = 16;

uint32_t MostStates() {
  const char* asked = std::getenv("P2P_CRASH_STATES");
  uint32_t most = 0;
  return asked != nullptr && absl::SimpleAtoi(asked, &most) ? most : kStatesByDefault;
}

class CrashStatesTest : public testing::Test {
 protected:
  CrashStatesTest() {
    content_.layout = Tree("tree", {{"a/large", kChunk + 700}, {"empty", 0}, {"small", 5000}});
    PutShare(&pristine_);
    WorkerPool pool(1, "hashing");
    auto hashed = HashNow(&pristine_, &pool, kShared, "tree");
    EXPECT_TRUE(hashed.ok()) << hashed.status();
    content_.share = *std::move(hashed);
  }

  // Writes what is shared, durably.
  void PutShare(CrashingFileSystem* disk) {
    const auto part = FileChunkManager::CreatePart(disk, kShared, content_.layout, ByteCount(0));
    ASSERT_TRUE(part.ok() && WriteAllChunks(part->get()).ok() && (*part)->Finish().ok());
  }

  CrashingFileSystem pristine_;
  TempDir state_ = TempDir::InMemory();
  Content content_;
  uint64_t crashes_ = 0, states_ = 0, second_states_ = 0;

  void Live(CrashingFileSystem* disk, Promises* promises) {
    (void)Life(disk, state_.path(), content_, promises).Live();
  }

  // What was promised in the end.
  Promises Recover(CrashingFileSystem* disk, Promises promises) {
    Life(disk, state_.path(), content_, &promises).Recover();
    return promises;
  }

  void CrashAgain(CrashingFileSystem* disk, const Promises& promises) {
    for (const auto& fates : CrashStates(disk->Unsynced(), MostStates() / 4)) {
      Recover(disk->AfterCrash(fates).get(), promises);
      ++second_states_;
    }
  }

  static constexpr int kCommits = 6;
  int first_ = 0;
  static std::string HaveOf(int number) {
    return std::string(9'000, static_cast<char>(number % 100)) + std::to_string(number);
  }
  // The database without its log.
  FileIdentity Database(CrashingFileSystem* disk) const {
    return (*disk->OpenRoot(state_.path()))->Info("catalog.db")->identity;
  }

  // Saves the have-sets from `first_` on; the last one that was acknowledged.
  int SaveHaves(CrashingFileSystem* disk, TransferId id) {
    const CrashingSqlite sqlite(disk);
    std::string recovered;
    const auto catalog = Catalog::Open(state_.path(), &recovered);
    int saved = first_ - 1;
    while (catalog.ok() && saved < first_ + kCommits &&
           (*catalog)->SaveHave(id, Claim(HaveOf(saved + 1))).ok())
      ++saved;
    return saved;
  }

  // A disk whose catalog will move its log within the next commits; the last have-set is the one
  // before `first_`.
  std::unique_ptr<CrashingFileSystem> DiskWithAFullLog(TransferId* id) {
    CrashingFileSystem disk;
    const CrashingSqlite sqlite(&disk);
    const auto catalog = OpenCatalog(state_.path());
    *id = *catalog->Add(SampleRecord(2));
    const FileIdentity before = Database(&disk);
    std::unique_ptr<CrashingFileSystem> last, last_but_one;
    for (first_ = 0; Database(&disk) == before; ++first_) {
      last_but_one = std::move(last);
      EXPECT_TRUE(catalog->SaveHave(*id, Claim(HaveOf(first_))).ok());
      last = disk.AfterCrash(1);
    }
    --first_;
    return last_but_one;
  }

  void Report() {
    RecordProperty("crashes", std::to_string(crashes_));
    RecordProperty("states", std::to_string(states_));
    RecordProperty("second_states", std::to_string(second_states_));
    std::printf("%llu crashes, %llu states of the disk, %llu after a second crash\n",
                static_cast<unsigned long long>(crashes_), static_cast<unsigned long long>(states_),
                static_cast<unsigned long long>(second_states_));
  }
};

TEST_F(CrashStatesTest, S09_R01_R07_R11_WhatWasPromisedIsKeptInEveryStateOfTheDisk) {
  std::mt19937 random(9);
  for (int nth = 1;; ++nth) {
    const auto disk = pristine_.AfterCrash(1);
    Promises promises;
    disk->DieAt(nth);
    Live(disk.get(), &promises);
    const auto states = CrashStates(disk->Unsynced(), MostStates());
    for (const std::vector<Fate>& fates : states) {
      Recover(disk->AfterCrash(fates).get(), promises);
      ++states_;
      ASSERT_FALSE(HasFailure()) << "crash at change " << nth << ", state " << states_;
    }
    // Once more, while it recovers.
    const auto again = disk->AfterCrash(states[random() % states.size()]);
    again->DieAt(1 + static_cast<int>(random() % 60));
    CrashAgain(again.get(), Recover(again.get(), promises));
    ASSERT_FALSE(HasFailure()) << "second crash after change " << nth;
    if (!disk->dead()) break;
    ++crashes_;
  }
  EXPECT_GT(crashes_, 100u);
  Report();
}

// What the killed one wrote is there, and nobody synced it.
TEST_F(CrashStatesTest, R08_R11_KilledFirstAndThenThePowerFails) {
  std::mt19937 random(8);
  for (int nth = 1;; ++nth) {
    const auto disk = pristine_.AfterCrash(1);
    Promises promises;
    disk->DieAt(nth);
    Live(disk.get(), &promises);
    const bool killed = disk->dead();
    disk->Restart();
    disk->DieAt(1 + static_cast<int>(random() % 80));
    CrashAgain(disk.get(), Recover(disk.get(), promises));
    ASSERT_FALSE(HasFailure()) << "killed at change " << nth;
    if (!killed) break;
    ++crashes_;
  }
  EXPECT_GT(crashes_, 100u);
  Report();
}

// Every sync fails in turn: what it was to write is gone, and nothing of it may be claimed, told or
// found in the page cache by a process that is begun before the power fails.
TEST_F(CrashStatesTest, V05_WhatAFailedSyncLostIsNotClaimed) {
  std::mt19937 random(5);
  int failed = 0;
  for (int nth = 1;; ++nth) {
    const auto whole_life = pristine_.AfterCrash(1);
    Promises promises;
    whole_life->FailSyncAt(nth, "/downloads");
    Live(whole_life.get(), &promises);
    if (!whole_life->sync_failed()) break;
    ASSERT_TRUE(promises.clean) << "it goes on after sync " << nth << " failed";
    ++failed;
    for (int i = 0; i < 12; ++i) {
      const auto disk = pristine_.AfterCrash(1);
      Promises told;
      disk->FailSyncAt(nth, "/downloads");
      disk->DieAt(1 + static_cast<int>(random() % static_cast<unsigned>(whole_life->changes())));
      Live(disk.get(), &told);
      if (i % 2 == 0) {
        disk->Restart();
        told = Recover(disk.get(), told);
      }
      CrashAgain(disk.get(), told);
      ASSERT_FALSE(HasFailure()) << "sync " << nth << " failed";
      ++crashes_;
    }
  }
  EXPECT_GE(failed, 5);
  Report();
}

// The log has grown so long that it is moved into the database and begun anew, while it goes on.
TEST_F(CrashStatesTest, R07_S10_TheCatalogsLogIsMovedIntoTheDatabase) {
  TransferId id;
  const auto full = DiskWithAFullLog(&id);
  int checkpoints = 0;
  for (int nth = 1;; ++nth) {
    const auto disk = full->AfterCrash(1);
    const FileIdentity before = Database(disk.get());
    disk->DieAt(nth);
    const int saved = SaveHaves(disk.get(), id);
    const bool died = disk->dead();
    disk->Restart();
    checkpoints += Database(disk.get()) == before ? 0 : 1;
    for (const auto& fates : CrashStates(disk->Unsynced(), MostStates() / 4)) {
      const auto after = disk->AfterCrash(fates);
      const CrashingSqlite sqlite(after.get());
      std::string recovered;
      const auto catalog = OpenCatalog(state_.path(), &recovered);
      ASSERT_NE(catalog, nullptr);
      EXPECT_EQ(recovered, "");
      const std::string have = catalog->LoadContent(id)->have.chunks().ToBytes();
      // What was being saved may be there.
      EXPECT_TRUE(have == HaveOf(saved) || (saved < first_ + kCommits && have == HaveOf(saved + 1)))
          << "not what was acknowledged";
      ++states_;
      ASSERT_FALSE(HasFailure()) << "crash at change " << nth;
    }
    if (!died) break;
    ++crashes_;
  }
  EXPECT_GT(checkpoints, 5) << "crashes after the database was written to";
  Report();
}

}  // namespace
}  // namespace p2p::store
