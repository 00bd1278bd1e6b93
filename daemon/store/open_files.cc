#include "daemon/store/open_files.h"

#include <iterator>

namespace p2p::store {
namespace {

// Beyond every FileIndex.
constexpr uint64_t kRoot = uint64_t{1} << 32;

}  // namespace

OpenFiles& OpenFiles::OfProcess() {
  // Never destroyed: managers of other static objects may outlive it.
  static OpenFiles* const files = new OpenFiles(kCapacity);
  return *files;
}

uint64_t OpenFiles::NewOwner() {
  absl::MutexLock lock(&mutex_);
  return ++last_owner_;
}

std::shared_ptr<File> OpenFiles::FindFile(uint64_t owner, FileIndex file) {
  Entry entry;
  return Touch({owner, file.value()}, &entry) ? entry.file : nullptr;
}

void OpenFiles::KeepFile(uint64_t owner, FileIndex file, std::shared_ptr<File> handle) {
  Keep({{owner, file.value()}, std::move(handle), nullptr});
}

void OpenFiles::DropFile(uint64_t owner, FileIndex file) {
  Entries closing;
  absl::MutexLock lock(&mutex_);
  const auto found = by_key_.find(Key{owner, file.value()});
  if (found != by_key_.end()) Take(found->second, &closing);
}

std::shared_ptr<Directory> OpenFiles::FindRoot(uint64_t owner) {
  Entry entry;
  return Touch({owner, kRoot}, &entry) ? entry.directory : nullptr;
}

void OpenFiles::KeepRoot(uint64_t owner, std::shared_ptr<Directory> handle) {
  Keep({{owner, kRoot}, nullptr, std::move(handle)});
}

void OpenFiles::DropOwner(uint64_t owner) {
  Entries closing;
  absl::MutexLock lock(&mutex_);
  for (auto at = entries_.begin(); at != entries_.end();) {
    const auto next = std::next(at);
    if (at->key.owner == owner) Take(at, &closing);
    at = next;
  }
}

bool OpenFiles::CloseAll() {
  Entries closing;
  absl::MutexLock lock(&mutex_);
  by_key_.clear();
  closing.swap(entries_);
  return !closing.empty();
}

void OpenFiles::Keep(Entry entry) {
  Entries closing;
  absl::MutexLock lock(&mutex_);
  const auto found = by_key_.find(entry.key);
  if (found != by_key_.end()) Take(found->second, &closing);
  while (entries_.size() >= capacity_) Take(std::prev(entries_.end()), &closing);
  entries_.push_front(std::move(entry));
  by_key_[entries_.front().key] = entries_.begin();
}

bool OpenFiles::Touch(const Key& key, Entry* copy) {
  absl::MutexLock lock(&mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return false;
  entries_.splice(entries_.begin(), entries_, found->second);
  *copy = *found->second;
  return true;
}

void OpenFiles::Take(Entries::iterator at, Entries* out) {
  by_key_.erase(at->key);
  out->splice(out->end(), entries_, at);
}

}  // namespace p2p::store
