// The open files and directories of every share, the longest unused closed first: descriptors are
// few, and they are the process's, so there is one of these in a process. Thread-safe.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "core/base/ids.h"
#include "daemon/store/file_system.h"

namespace p2p::store {

class OpenFiles {
 public:
  // Descriptors kept open. Those in use by others live on after they were dropped here.
  static constexpr size_t kCapacity = 64;

  static OpenFiles& OfProcess();
  explicit OpenFiles(size_t capacity) : capacity_(capacity) {}

  // A number for each user of the cache.
  uint64_t NewOwner();

  std::shared_ptr<File> FindFile(uint64_t owner, FileIndex file);  // nullptr when there is none
  void KeepFile(uint64_t owner, FileIndex file, std::shared_ptr<File> handle);
  void DropFile(uint64_t owner, FileIndex file);
  // The directory that holds the owner's share.
  std::shared_ptr<Directory> FindRoot(uint64_t owner);
  void KeepRoot(uint64_t owner, std::shared_ptr<Directory> handle);
  void DropOwner(uint64_t owner);
  // Makes room for others when descriptors ran out. False when there was nothing to close.
  bool CloseAll();

 private:
  struct Key {
    uint64_t owner;
    uint64_t file;
    friend bool operator==(const Key& a, const Key& b) {
      return a.owner == b.owner && a.file == b.file;
    }
    template <typename H>
    friend H AbslHashValue(H h, const Key& key) {
      return H::combine(std::move(h), key.owner, key.file);
    }
  };
  struct Entry {
    Key key;
    std::shared_ptr<File> file;
    std::shared_ptr<Directory> directory;
  };
  using Entries = std::list<Entry>;

  // Entries leave through a list of the caller's, to be closed without the mutex: closing can wait.
  void Keep(Entry entry);
  bool Touch(const Key& key, Entry* copy);
  void Take(Entries::iterator at, Entries* out) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t capacity_;
  absl::Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);  // the last used first
  absl::flat_hash_map<Key, Entries::iterator> by_key_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_owner_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace p2p::store
