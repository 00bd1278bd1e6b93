#include "tests/support/faulty_file_system.h"

#include <utility>

#include "core/base/status.h"

namespace p2p::testing_support {
namespace {

using store::Directory;
using store::File;
using store::FileInfo;

#define P2P_MAYBE_FAIL(op)                                                   \
  do {                                                                       \
    const int injected_ = faults_->Count(op);                                \
    if (injected_ != 0) return ErrnoStatus(injected_, "injected on a file"); \
  } while (false)

class FaultyFile : public File {
 public:
  FaultyFile(FaultyFileSystem* faults, std::unique_ptr<File> real)
      : faults_(faults), real_(std::move(real)) {}

  absl::Status ReadAt(uint64_t offset, absl::Span<uint8_t> data) override {
    P2P_MAYBE_FAIL(FileOp::kRead);
    return real_->ReadAt(offset, data);
  }
  absl::Status WriteAt(uint64_t offset, absl::Span<const uint8_t> data) override {
    const int error = faults_->Count(FileOp::kWrite);
    if (error == 0) return real_->WriteAt(offset, data);
    (void)real_->WriteAt(offset, data.first(data.size() / 2));
    return ErrnoStatus(error, "injected on a file");
  }
  absl::Status Truncate(uint64_t size) override {
    P2P_MAYBE_FAIL(FileOp::kTruncate);
    return real_->Truncate(size);
  }
  absl::Status Allocate(uint64_t offset, uint64_t length) override {
    P2P_MAYBE_FAIL(FileOp::kAllocate);
    return real_->Allocate(offset, length);
  }
  absl::Status StartWriteBack() override {
    P2P_MAYBE_FAIL(FileOp::kWriteBack);
    return real_->StartWriteBack();
  }
  absl::Status SyncData() override {
    P2P_MAYBE_FAIL(FileOp::kSync);
    return real_->SyncData();
  }
  absl::StatusOr<FileInfo> Info() override {
    P2P_MAYBE_FAIL(FileOp::kInfo);
    return real_->Info();
  }
  absl::StatusOr<uint64_t> NextData(uint64_t offset) override {
    P2P_MAYBE_FAIL(FileOp::kInfo);
    return real_->NextData(offset);
  }
  absl::Status ReadAhead(uint64_t offset, uint64_t length) override {
    P2P_MAYBE_FAIL(FileOp::kRead);
    return real_->ReadAhead(offset, length);
  }
  void DropCache() override { real_->DropCache(); }
  void AdviseSequential() override { real_->AdviseSequential(); }
  absl::Status SetExecutable() override {
    P2P_MAYBE_FAIL(FileOp::kMode);
    return real_->SetExecutable();
  }
  int descriptor() const override { return real_->descriptor(); }

 private:
  FaultyFileSystem* const faults_;
  const std::unique_ptr<File> real_;
};

class FaultyDirectory : public Directory {
 public:
  FaultyDirectory(FaultyFileSystem* faults, std::unique_ptr<Directory> real)
      : faults_(faults), real_(std::move(real)) {}

  absl::StatusOr<std::unique_ptr<File>> OpenRead(absl::string_view name) override {
    P2P_MAYBE_FAIL(FileOp::kOpen);
    return Wrap(real_->OpenRead(name));
  }
  absl::StatusOr<std::unique_ptr<File>> OpenReadWrite(absl::string_view name) override {
    P2P_MAYBE_FAIL(FileOp::kOpen);
    return Wrap(real_->OpenReadWrite(name));
  }
  absl::StatusOr<std::unique_ptr<File>> CreateNew(absl::string_view name) override {
    P2P_MAYBE_FAIL(FileOp::kCreate);
    return Wrap(real_->CreateNew(name));
  }
  absl::StatusOr<std::unique_ptr<Directory>> OpenDirectory(absl::string_view name) override {
    P2P_MAYBE_FAIL(FileOp::kOpen);
    P2P_ASSIGN_OR_RETURN(auto opened, real_->OpenDirectory(name));
    return std::make_unique<FaultyDirectory>(faults_, std::move(opened));
  }
  absl::Status MakeDirectory(absl::string_view name) override {
    P2P_MAYBE_FAIL(FileOp::kMakeDirectory);
    return real_->MakeDirectory(name);
  }
  absl::Status MakeNewDirectory(absl::string_view name) override {
    P2P_MAYBE_FAIL(FileOp::kMakeDirectory);
    return real_->MakeNewDirectory(name);
  }
  absl::StatusOr<FileInfo> Info(absl::string_view name) override {
    P2P_MAYBE_FAIL(FileOp::kInfo);
    return real_->Info(name);
  }
  absl::StatusOr<FileInfo> InfoOfSelf() override {
    P2P_MAYBE_FAIL(FileOp::kInfo);
    return real_->InfoOfSelf();
  }
  absl::StatusOr<std::vector<std::string>> List() override {
    P2P_MAYBE_FAIL(FileOp::kList);
    return real_->List();
  }
  absl::Status RenameNew(absl::string_view from, absl::string_view to) override {
    P2P_MAYBE_FAIL(FileOp::kRename);
    return real_->RenameNew(from, to);
  }
  absl::Status Remove(absl::string_view name, bool is_directory) override {
    P2P_MAYBE_FAIL(FileOp::kRemove);
    return real_->Remove(name, is_directory);
  }
  absl::Status Sync() override {
    P2P_MAYBE_FAIL(FileOp::kSync);
    return real_->Sync();
  }
  absl::Status SyncFileSystem() override {
    P2P_MAYBE_FAIL(FileOp::kSync);
    return real_->SyncFileSystem();
  }
  absl::StatusOr<uint64_t> FreeBytes() override {
    P2P_MAYBE_FAIL(FileOp::kFreeBytes);
    const auto said = faults_->free_bytes();
    return said.has_value() ? *said : real_->FreeBytes();
  }
  absl::Status CheckWritable() override { return real_->CheckWritable(); }

 private:
  absl::StatusOr<std::unique_ptr<File>> Wrap(absl::StatusOr<std::unique_ptr<File>> file) {
    P2P_RETURN_IF_ERROR(file.status());
    return std::make_unique<FaultyFile>(faults_, *std::move(file));
  }

  FaultyFileSystem* const faults_;
  const std::unique_ptr<Directory> real_;
};

}  // namespace

void FaultyFileSystem::FailNth(int nth, int error) {
  absl::MutexLock lock(&mutex_);
  any_ = {nth, error, false};
  failed_ = false;
}

void FaultyFileSystem::FailNth(FileOp op, int nth, int error) {
  absl::MutexLock lock(&mutex_);
  by_op_[op] = {nth, error, false};
  failed_ = false;
}

void FaultyFileSystem::FailEvery(FileOp op, int error) {
  absl::MutexLock lock(&mutex_);
  by_op_[op] = {0, error, true};
  failed_ = false;
}

void FaultyFileSystem::Heal() {
  absl::MutexLock lock(&mutex_);
  any_ = {};
  by_op_.clear();
}

void FaultyFileSystem::SetFreeBytes(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  free_bytes_ = bytes;
}

int FaultyFileSystem::calls() const {
  absl::MutexLock lock(&mutex_);
  return calls_;
}

int FaultyFileSystem::calls(FileOp op) const {
  absl::MutexLock lock(&mutex_);
  const auto found = counts_.find(op);
  return found == counts_.end() ? 0 : found->second;
}

bool FaultyFileSystem::failed() const {
  absl::MutexLock lock(&mutex_);
  return failed_;
}

absl::optional<uint64_t> FaultyFileSystem::free_bytes() const {
  absl::MutexLock lock(&mutex_);
  return free_bytes_;
}

int FaultyFileSystem::Strike(Plan* plan) {
  if (plan->every) return plan->error;
  if (plan->countdown == 0 || --plan->countdown > 0) return 0;
  return plan->error;
}

int FaultyFileSystem::Count(FileOp op) {
  absl::MutexLock lock(&mutex_);
  ++calls_;
  ++counts_[op];
  int error = Strike(&any_);
  const auto plan = by_op_.find(op);
  if (error == 0 && plan != by_op_.end()) error = Strike(&plan->second);
  failed_ |= error != 0;
  return error;
}

absl::StatusOr<std::unique_ptr<store::Directory>> FaultyFileSystem::OpenRoot(
    const std::string& path) {
  const int error = Count(FileOp::kOpen);
  if (error != 0) return ErrnoStatus(error, "injected on a directory");
  P2P_ASSIGN_OR_RETURN(auto opened, real_->OpenRoot(path));
  return std::make_unique<FaultyDirectory>(this, std::move(opened));
}

}  // namespace p2p::testing_support
