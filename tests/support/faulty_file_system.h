// A file system that fails when it is told to, around another one. For tests; thread-safe.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/optional.h"
#include "daemon/store/file_system.h"

namespace p2p::testing_support {

enum class FileOp {
  kOpen,
  kCreate,
  kRead,
  kWrite,
  kTruncate,
  kAllocate,
  kSync,
  kWriteBack,
  kInfo,
  kMode,
  kMakeDirectory,
  kList,
  kRename,
  kRemove,
  kFreeBytes,
};

class FaultyFileSystem : public store::FileSystem {
 public:
  explicit FaultyFileSystem(store::FileSystem* real) : real_(real) {}

  // The `nth` call from now on (1 is the next), of any kind or of one, fails with this errno. A
  // write that fails has written its first half.
  void FailNth(int nth, int error);
  void FailNth(FileOp op, int nth, int error);
  // Every call of the kind fails until Heal().
  void FailEvery(FileOp op, int error);
  void Heal();
  // What FreeBytes() says instead of the truth.
  void SetFreeBytes(uint64_t bytes);

  int calls() const;
  int calls(FileOp op) const;
  // Whether a fault that was asked for has happened.
  bool failed() const;

  absl::StatusOr<std::unique_ptr<store::Directory>> OpenRoot(const std::string& path) override;

  // For the wrapped files and directories: counts the call, and the errno if it shall fail, or 0.
  int Count(FileOp op);
  absl::optional<uint64_t> free_bytes() const;

 private:
  struct Plan {
    int countdown = 0;  // 0: none
    int error = 0;
    bool every = false;
  };
  // The errno when the plan strikes now, or 0.
  static int Strike(Plan* plan);

  store::FileSystem* const real_;
  mutable absl::Mutex mutex_;
  Plan any_ ABSL_GUARDED_BY(mutex_);
  std::map<FileOp, Plan> by_op_ ABSL_GUARDED_BY(mutex_);
  std::map<FileOp, int> counts_ ABSL_GUARDED_BY(mutex_);
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
  bool failed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::optional<uint64_t> free_bytes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace p2p::testing_support
