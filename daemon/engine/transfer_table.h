// All transfers of the daemon, by id, by content and by name. Belongs to the engine loop.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "daemon/engine/links.h"
#include "daemon/engine/name_index.h"
#include "daemon/engine/runtime.h"
#include "daemon/engine/trackers.h"
#include "daemon/engine/transfer.h"

namespace p2p::engine {

class TransferTable : public LinkRouter, public TransferHost {
 public:
  explicit TransferTable(Runtime* runtime);
  ~TransferTable() override;

  // What transfers work with; outlives them.
  void Use(Links* links, Trackers* trackers) {
    links_ = links;
    trackers_ = trackers;
  }

  void Load(std::vector<store::TransferRecord> records, bool last_run_was_unclean);
  // Gives it an id in the catalog and starts it.
  void Add(store::TransferRecord record, std::function<void(absl::StatusOr<TransferId>)> done);
  std::shared_ptr<Transfer> Find(TransferId id) const;
  absl::StatusOr<TransferId> FindByText(const std::string& what) const;
  void Remove(TransferId id, bool with_data, std::function<void(absl::Status)> done);

  // A share of exactly this path, if there is one.
  std::shared_ptr<Transfer> FindShareOf(const std::string& path) const;
  std::shared_ptr<Transfer> FindShareAt(const std::string& path) const;
  // A download that the same request would only repeat.
  std::shared_ptr<Transfer> FindSameDownload(const store::TransferRecord& wanted) const;

  const std::map<TransferId, std::shared_ptr<Transfer>>& all() const { return transfers_; }
  bool AnyDownloadRuns() const;

  // LinkRouter.
  std::shared_ptr<Transfer> FindContent(const ContentId& content_id) override;
  bool IsContentComing(const ContentId& content_id) override;
  std::vector<ContentId> ContentsNamed(const std::string& name) override;
  std::shared_ptr<Transfer> FindOriginalName(const std::string& name, FileIndex* file) override;
  bool IsOriginalNameComing(const std::string& name) override;

 private:
  // TransferHost.
  std::vector<store::FileChunkManager::Reservation> OtherDownloads(TransferId except) override;
  void OnContentKnown(Transfer* transfer) override;
  void OnNamed(const Transfer& transfer) override;
  std::shared_ptr<Transfer> FindDownloadTo(const std::string& target, TransferId except) override;
  void OnFinished(Transfer* transfer) override;
  std::shared_ptr<Transfer> FindSibling(const Transfer& transfer) override;
  const std::vector<std::string>& tracker_addresses() override {
    return runtime_->options.trackers;
  }
  bool last_run_was_unclean() override { return last_run_was_unclean_; }

  Runtime* const runtime_;
  Links* links_ = nullptr;
  Trackers* trackers_ = nullptr;
  bool last_run_was_unclean_ = false;
  std::map<TransferId, std::shared_ptr<Transfer>> transfers_;
  // Transfers whose content is known; may name some that are gone.
  absl::flat_hash_map<ContentId, std::vector<TransferId>> by_content_;
  NameIndex by_name_;
};

}  // namespace p2p::engine
