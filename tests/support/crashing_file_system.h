// A file system in memory that can lose power: what was not synced may be there, or not, or in
// part. For tests; one thread.
//
// The model is the weakest that POSIX allows: a file's sync covers its data and length only, a
// directory's sync its entries only; what is not synced reaches the disk in any order, a write also
// in part (in sectors); a rename within a directory is all or nothing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/store/file_system.h"

namespace p2p::testing_support {

struct CrashNode;

// Which sectors of a change that was not synced reached the disk. A change of names or of a length
// has but one.
struct Fate {
  uint32_t from_sector = 0;
  uint32_t end_sector = 0;
  friend bool operator<(const Fate& a, const Fate& b) {
    return a.from_sector != b.from_sector ? a.from_sector < b.from_sector
                                          : a.end_sector < b.end_sector;
  }
};
constexpr Fate kLost{0, 0};
constexpr Fate kReached{0, UINT32_MAX};

class CrashingFileSystem : public store::FileSystem {
 public:
  CrashingFileSystem();
  ~CrashingFileSystem() override;

  // The `nth` change from now on (1 is the next) and everything after it fails: the process is
  // dead.
  void DieAt(int nth);
  bool dead() const { return dead_; }
  // The `nth` sync of data below this root from now on fails.
  void FailSyncAt(int nth, const std::string& root) {
    sync_countdown_ = nth;
    failing_root_ = root;
  }
  bool sync_failed() const { return sync_failed_; }
  // Another process begins on the same disk, whose power never failed.
  void Restart() {
    dead_ = false;
    countdown_ = 0;
  }

  // The number of sectors of each change that is not synced, in an order of its own: data and names
  // are no earlier and later.
  std::vector<uint32_t> Unsynced() const;
  // What the disk may hold after the power went: of each of those changes, what its fate says.
  std::unique_ptr<CrashingFileSystem> AfterCrash(const std::vector<Fate>& fates) const;
  // Seed 0: nothing that was not synced; 1: all of it; others: any part of it.
  std::unique_ptr<CrashingFileSystem> AfterCrash(uint32_t seed) const;

  // Every directory that is asked for is there, for good.
  absl::StatusOr<std::unique_ptr<store::Directory>> OpenRoot(const std::string& path) override;

  // For the files and directories: Unavailable when the process is dead; counts a change.
  absl::Status Change();
  absl::Status Look() const;
  uint64_t NextNumber() { return ++last_number_; }
  int changes() const { return changes_; }  // since it was made
  // OK, or what the sync below this root that is made now fails with.
  absl::Status JudgeSync(const std::string& root);
  void SyncAll();
  void LoseAll();

 private:
  std::shared_ptr<CrashNode> root_;
  int changes_ = 0;
  int countdown_ = 0;  // 0: does not die
  bool dead_ = false;
  int sync_countdown_ = 0;  // 0: none fails
  std::string failing_root_;
  bool sync_failed_ = false;
  uint64_t last_number_ = 0;
};

}  // namespace p2p::testing_support
