#include "tests/support/crashing_file_system.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"

namespace p2p::testing_support {

using Entries = std::map<std::string, std::shared_ptr<CrashNode>>;

// A file or a directory, as programs see it and as the disk surely has it.
struct CrashNode {
  struct DataChange {
    bool truncate = false;
    uint64_t offset = 0;  // or the new size
    std::string data;
  };
  // A name and what it is from now on (nullptr: nothing). Those of one change happen together.
  using EntryChange = std::vector<std::pair<std::string, std::shared_ptr<CrashNode>>>;

  bool is_directory = false;
  std::string root;  // the directory that was opened to reach it
  uint64_t number = 0;
  int64_t changed = 0;
  uint32_t mode = 0644;
  std::string data, durable_data;
  std::vector<DataChange> unsynced_data;
  Entries entries, durable_entries;
  std::vector<EntryChange> unsynced_entries;

  static void Apply(const DataChange& change, std::string* data) {
    if (change.truncate) return data->resize(change.offset);
    data->resize(std::max(data->size(), static_cast<size_t>(change.offset) + change.data.size()));
    data->replace(change.offset, change.data.size(), change.data);
  }
  static void Apply(const EntryChange& change, Entries* entries) {
    for (const auto& [name, node] : change) {
      if (node == nullptr) {
        entries->erase(name);
      } else {
        (*entries)[name] = node;
      }
    }
  }
  void Do(DataChange change) {
    Apply(change, &data);
    ++changed;
    unsynced_data.push_back(std::move(change));
  }
  void Do(EntryChange change) {
    Apply(change, &entries);
    ++changed;
    unsynced_entries.push_back(std::move(change));
  }
  void Sync() {
    for (const DataChange& change : unsynced_data) Apply(change, &durable_data);
    unsynced_data.clear();
    durable_entries = entries;
    unsynced_entries.clear();
  }
  // A length is not data.
  void LoseUnsynced() {
    unsynced_data.erase(std::remove_if(unsynced_data.begin(), unsynced_data.end(),
                                       [](const DataChange& change) { return !change.truncate; }),
                        unsynced_data.end());
  }
  void DropCache() {
    if (is_directory) return;
    data = durable_data;
    for (const DataChange& change : unsynced_data) Apply(change, &data);
  }
  store::FileInfo Info() const {
    store::FileInfo info;
    info.kind = is_directory ? store::FileKind::kDirectory : store::FileKind::kRegular;
    info.identity = {1, number, data.size(), changed, changed};
    info.mode = mode;
    return info;
  }
};

namespace {

using store::Directory;
using store::File;
using store::FileInfo;
using NodePtr = std::shared_ptr<CrashNode>;

// What one write of several sectors can be torn at.
constexpr size_t kSectorBytes = 512;

class CrashFile : public File {
 public:
  CrashFile(CrashingFileSystem* disk, NodePtr node) : disk_(disk), node_(std::move(node)) {}

  absl::Status ReadAt(uint64_t offset, absl::Span<uint8_t> data) override {
    P2P_RETURN_IF_ERROR(disk_->Look());
    if (offset + data.size() > node_->data.size()) return absl::OutOfRangeError("short");
    std::copy_n(node_->data.begin() + static_cast<std::ptrdiff_t>(offset), data.size(),
                data.begin());
    return absl::OkStatus();
  }
  absl::Status WriteAt(uint64_t offset, absl::Span<const uint8_t> data) override {
    P2P_RETURN_IF_ERROR(disk_->Change());
    node_->Do(CrashNode::DataChange{false, offset, std::string(data.begin(), data.end())});
    return absl::OkStatus();
  }
  absl::Status Truncate(uint64_t size) override {
    P2P_RETURN_IF_ERROR(disk_->Change());
    node_->Do(CrashNode::DataChange{true, size, ""});
    return absl::OkStatus();
  }
  absl::Status Allocate(uint64_t, uint64_t) override { return disk_->Look(); }
  absl::Status StartWriteBack() override { return absl::OkStatus(); }
  absl::Status SyncData() override {
    P2P_RETURN_IF_ERROR(disk_->Change());
    const absl::Status status = disk_->JudgeSync(node_->root);
    if (!status.ok()) node_->LoseUnsynced();
    node_->Sync();
    return status;
  }
  absl::StatusOr<FileInfo> Info() override {
    P2P_RETURN_IF_ERROR(disk_->Look());
    return node_->Info();
  }
  absl::StatusOr<uint64_t> NextData(uint64_t offset) override { return offset; }
  absl::Status ReadAhead(uint64_t, uint64_t) override { return absl::OkStatus(); }
  void DropCache() override { node_->DropCache(); }
  void AdviseSequential() override {}
  absl::Status SetExecutable() override {
    P2P_RETURN_IF_ERROR(disk_->Change());
    node_->mode |= 0111;
    return absl::OkStatus();
  }
  int descriptor() const override { return -1; }

 private:
  CrashingFileSystem* const disk_;
  const NodePtr node_;
};

class CrashDirectory : public Directory {
 public:
  CrashDirectory(CrashingFileSystem* disk, NodePtr node) : disk_(disk), node_(std::move(node)) {}

  absl::StatusOr<std::unique_ptr<File>> OpenRead(absl::string_view name) override {
    P2P_RETURN_IF_ERROR(disk_->Look());
    const NodePtr found = Find(node_, name);
    if (found == nullptr) return absl::NotFoundError(name);
    if (found->is_directory) return absl::FailedPreconditionError(name);
    return std::make_unique<CrashFile>(disk_, found);
  }
  absl::StatusOr<std::unique_ptr<File>> OpenReadWrite(absl::string_view name) override {
    return OpenRead(name);
  }
  absl::StatusOr<std::unique_ptr<File>> CreateNew(absl::string_view name) override {
    P2P_ASSIGN_OR_RETURN(const NodePtr made, Make(name, false));
    return std::make_unique<CrashFile>(disk_, made);
  }
  absl::StatusOr<std::unique_ptr<Directory>> OpenDirectory(absl::string_view name) override {
    P2P_RETURN_IF_ERROR(disk_->Look());
    const NodePtr found = Find(node_, name);
    if (found == nullptr) return absl::NotFoundError(name);
    return std::make_unique<CrashDirectory>(disk_, found);
  }
  absl::Status MakeDirectory(absl::string_view name) override {
    const absl::Status made = Make(name, true).status();
    return absl::IsAlreadyExists(made) ? absl::OkStatus() : made;
  }
  absl::Status MakeNewDirectory(absl::string_view name) override {
    return Make(name, true).status();
  }
  absl::StatusOr<FileInfo> Info(absl::string_view name) override {
    P2P_RETURN_IF_ERROR(disk_->Look());
    const NodePtr found = Find(node_, name);
    if (found == nullptr) return absl::NotFoundError(name);
    return found->Info();
  }
  absl::StatusOr<FileInfo> InfoOfSelf() override {
    P2P_RETURN_IF_ERROR(disk_->Look());
    return node_->Info();
  }
  absl::StatusOr<std::vector<std::string>> List() override {
    std::vector<std::string> names;
    for (const auto& entry : node_->entries) names.push_back(entry.first);
    return names;
  }
  absl::Status RenameNew(absl::string_view from, absl::string_view to) override {
    P2P_RETURN_IF_ERROR(disk_->Change());
    const NodePtr found = Find(node_, from);
    if (found == nullptr) return absl::NotFoundError(from);
    if (Find(node_, to) != nullptr) return absl::AlreadyExistsError(to);
    node_->Do(CrashNode::EntryChange{{std::string(from), nullptr}, {std::string(to), found}});
    return absl::OkStatus();
  }
  absl::Status Remove(absl::string_view name, bool) override {
    P2P_RETURN_IF_ERROR(disk_->Change());
    const NodePtr holder = Holder(name);
    if (holder == nullptr || holder->entries.count(Last(name)) == 0)
      return absl::NotFoundError(name);
    holder->Do(CrashNode::EntryChange{{Last(name), nullptr}});
    return absl::OkStatus();
  }
  absl::Status Sync() override {
    P2P_RETURN_IF_ERROR(disk_->Change());
    node_->Sync();
    return absl::OkStatus();
  }
  absl::Status SyncFileSystem() override {
    P2P_RETURN_IF_ERROR(disk_->Change());
    const absl::Status status = disk_->JudgeSync(node_->root);
    if (!status.ok()) disk_->LoseAll();
    disk_->SyncAll();
    return status;
  }
  absl::StatusOr<uint64_t> FreeBytes() override { return uint64_t{1} << 40; }
  absl::Status CheckWritable() override { return absl::OkStatus(); }

 private:
  static NodePtr Find(NodePtr at, absl::string_view name) {
    for (const absl::string_view component : absl::StrSplit(name, '/')) {
      const auto found = at->entries.find(std::string(component));
      if (found == at->entries.end()) return nullptr;
      at = found->second;
    }
    return at;
  }
  NodePtr Holder(absl::string_view name) const {
    const size_t slash = name.rfind('/');
    return slash == absl::string_view::npos ? node_ : Find(node_, name.substr(0, slash));
  }
  static std::string Last(absl::string_view name) {
    const size_t slash = name.rfind('/');
    return std::string(slash == absl::string_view::npos ? name : name.substr(slash + 1));
  }
  absl::StatusOr<NodePtr> Make(absl::string_view name, bool is_directory) {
    P2P_RETURN_IF_ERROR(disk_->Change());
    const NodePtr holder = Holder(name);
    if (holder == nullptr) return absl::NotFoundError(name);
    if (holder->entries.count(Last(name)) != 0) return absl::AlreadyExistsError(name);
    auto made = std::make_shared<CrashNode>();
    made->is_directory = is_directory;
    made->root = holder->root;
    made->number = disk_->NextNumber();
    holder->Do(CrashNode::EntryChange{{Last(name), made}});
    return made;
  }

  CrashingFileSystem* const disk_;
  const NodePtr node_;
};

uint32_t Sectors(const CrashNode::DataChange& change) {
  if (change.truncate) return 1;
  return static_cast<uint32_t>((change.data.size() + kSectorBytes - 1) / kSectorBytes);
}

// Every file and directory that may be there after a crash, once.
void Collect(const NodePtr& node, std::vector<NodePtr>* all) {
  if (node == nullptr || std::find(all->begin(), all->end(), node) != all->end()) return;
  all->push_back(node);
  for (const auto& entry : node->durable_entries) Collect(entry.second, all);
  for (const auto& change : node->unsynced_entries) {
    for (const auto& entry : change) Collect(entry.second, all);
  }
}

void ApplyPart(const CrashNode::DataChange& change, Fate fate, std::string* data) {
  if (fate.end_sector == 0) return;
  if (change.truncate) return CrashNode::Apply(change, data);
  const size_t from = std::min(change.data.size(), size_t{fate.from_sector} * kSectorBytes);
  const size_t end = std::min(change.data.size(), size_t{fate.end_sector} * kSectorBytes);
  CrashNode::Apply({false, change.offset + from, change.data.substr(from, end - from)}, data);
}

void LoseBelow(CrashNode* node) {
  node->LoseUnsynced();
  for (const auto& entry : node->entries) LoseBelow(entry.second.get());
}

void SyncBelow(CrashNode* node) {
  node->Sync();
  for (const auto& entry : node->entries) SyncBelow(entry.second.get());
}

}  // namespace

CrashingFileSystem::CrashingFileSystem() : root_(std::make_shared<CrashNode>()) {
  root_->is_directory = true;
}

CrashingFileSystem::~CrashingFileSystem() = default;

void CrashingFileSystem::DieAt(int nth) { countdown_ = nth; }

std::vector<uint32_t> CrashingFileSystem::Unsynced() const {
  std::vector<NodePtr> nodes;
  Collect(root_, &nodes);
  std::vector<uint32_t> sectors;
  for (const NodePtr& node : nodes) {
    for (const auto& change : node->unsynced_data) sectors.push_back(Sectors(change));
    sectors.insert(sectors.end(), node->unsynced_entries.size(), 1);
  }
  return sectors;
}

std::unique_ptr<CrashingFileSystem> CrashingFileSystem::AfterCrash(
    const std::vector<Fate>& fates) const {
  std::vector<NodePtr> nodes;
  Collect(root_, &nodes);
  std::map<NodePtr, NodePtr> survivors;
  for (const NodePtr& node : nodes) survivors[node] = std::make_shared<CrashNode>();
  auto fate = fates.begin();
  for (const NodePtr& node : nodes) {
    CrashNode& left = *survivors[node];
    left.is_directory = node->is_directory;
    left.root = node->root;
    left.number = node->number;
    left.changed = node->changed;
    left.mode = node->mode;
    left.data = node->durable_data;
    for (const auto& change : node->unsynced_data) ApplyPart(change, *fate++, &left.data);
    left.durable_data = left.data;
    Entries entries = node->durable_entries;
    for (const auto& change : node->unsynced_entries) {
      if ((fate++)->end_sector > 0) CrashNode::Apply(change, &entries);
    }
    for (const auto& [name, child] : entries) left.entries[name] = survivors[child];
    left.Sync();
  }
  auto after = std::make_unique<CrashingFileSystem>();
  after->root_ = survivors[root_];
  after->last_number_ = last_number_;
  return after;
}

std::unique_ptr<CrashingFileSystem> CrashingFileSystem::AfterCrash(uint32_t seed) const {
  std::mt19937 random(seed);
  std::vector<Fate> fates;
  for (const uint32_t sectors : Unsynced()) {
    const bool reached = seed == 1 || (seed > 1 && random() % 2 == 0);
    const bool torn = seed > 1 && sectors > 1 && random() % 2 == 0;
    fates.push_back(!reached ? kLost : torn ? Fate{0, sectors / 2} : kReached);
  }
  return AfterCrash(fates);
}

absl::StatusOr<std::unique_ptr<Directory>> CrashingFileSystem::OpenRoot(const std::string& path) {
  P2P_RETURN_IF_ERROR(Look());
  NodePtr& directory = root_->entries[path];
  if (directory == nullptr) {
    directory = std::make_shared<CrashNode>();
    directory->is_directory = true;
    directory->root = path;
    directory->number = NextNumber();
    root_->Sync();
  }
  return std::make_unique<CrashDirectory>(this, directory);
}

absl::Status CrashingFileSystem::Change() {
  ++changes_;
  if (countdown_ > 0 && --countdown_ == 0) dead_ = true;
  return Look();
}

absl::Status CrashingFileSystem::Look() const {
  return dead_ ? absl::InternalError("the process is dead") : absl::OkStatus();
}

absl::Status CrashingFileSystem::JudgeSync(const std::string& root) {
  if (root != failing_root_) return absl::OkStatus();
  if (sync_countdown_ == 0 || --sync_countdown_ > 0) return absl::OkStatus();
  sync_failed_ = true;
  return absl::DataLossError("the sync failed");
}

void CrashingFileSystem::LoseAll() { LoseBelow(root_.get()); }

void CrashingFileSystem::SyncAll() { SyncBelow(root_.get()); }

}  // namespace p2p::testing_support
