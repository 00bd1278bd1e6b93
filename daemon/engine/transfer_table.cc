#include "daemon/engine/transfer_table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "spdlog/spdlog.h"

namespace p2p::engine {
namespace {

constexpr size_t kShortestIdPrefix = 8;
constexpr size_t kMaxContentsPerName = 16;

bool IsHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return absl::ascii_isxdigit(c); });
}

}  // namespace

TransferTable::TransferTable(Runtime* runtime) : runtime_(runtime) {}

TransferTable::~TransferTable() = default;

void TransferTable::Load(std::vector<store::TransferRecord> records, bool last_run_was_unclean) {
  last_run_was_unclean_ = last_run_was_unclean;
  for (store::TransferRecord& record : records) {
    const TransferId id = record.id;
    auto transfer =
        std::make_shared<Transfer>(runtime_, links_, trackers_, this, std::move(record));
    transfers_[id] = transfer;
    OnNamed(*transfer);
    if (transfer->content().id.has_value()) OnContentKnown(transfer.get());
    transfer->Load();
  }
}

void TransferTable::Add(store::TransferRecord record,
                        std::function<void(absl::StatusOr<TransferId>)> done) {
  runtime_->RunOnCatalog(
      [record](store::Catalog& catalog) { return catalog.Add(record); },
      [this, record, done = std::move(done)](absl::StatusOr<TransferId> id) mutable {
        if (!id.ok()) return done(Annotate(id.status(), "cannot save the transfer"));
        record.id = *id;
        auto transfer =
            std::make_shared<Transfer>(runtime_, links_, trackers_, this, std::move(record));
        transfers_[*id] = transfer;
        OnNamed(*transfer);
        if (transfer->content().id.has_value()) OnContentKnown(transfer.get());
        transfer->StartNew();
        runtime_->changes.Changed();
        done(id);
      });
}

std::shared_ptr<Transfer> TransferTable::Find(TransferId id) const {
  const auto it = transfers_.find(id);
  return it == transfers_.end() ? nullptr : it->second;
}

absl::StatusOr<TransferId> TransferTable::FindByText(const std::string& what) const {
  if (const auto number = ParseDecimal(what, ~uint64_t{0});
      number.has_value() && Find(TransferId(*number))) {
    return TransferId(*number);
  }
  std::vector<TransferId> found;
  for (const auto& [id, transfer] : transfers_) {
    const bool by_content =
        what.size() >= kShortestIdPrefix && IsHex(what) && transfer->content().id.has_value() &&
        absl::StartsWith(transfer->content().id->Hex(), absl::AsciiStrToLower(what));
    if (by_content || transfer->record().name == what) found.push_back(id);
  }
  if (found.size() == 1) return found[0];
  if (found.empty()) {
    return absl::NotFoundError(absl::StrCat("there is no transfer \"", Printable(what),
                                            "\"; p2pctl list shows those there are"));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "\"", Printable(what), "\" may be any of the transfers ",
      absl::StrJoin(found, ", ",
                    [](std::string* out, TransferId id) { absl::StrAppend(out, id.value()); }),
      "; give one of these numbers"));
}

void TransferTable::Remove(TransferId id, bool with_data, std::function<void(absl::Status)> done) {
  const std::shared_ptr<Transfer> transfer = Find(id);
  if (transfer == nullptr) {
    return done(absl::NotFoundError(
        absl::StrCat("there is no transfer ", id.value(), "; p2pctl list shows those there are")));
  }
  if (with_data && transfer->record().kind == store::TransferKind::kShare) {
    return done(
        absl::InvalidArgumentError("the files of a share are its owner's; remove it without "
                                   "--with-data and delete them yourself"));
  }
  if (const std::shared_ptr<Transfer> share =
          with_data ? FindShareAt(transfer->record().path) : nullptr) {
    return done(absl::FailedPreconditionError(absl::StrCat(
        Printable(transfer->record().path), " is shared as well, by transfer ",
        share->record().id.value(), "; remove it without --with-data, or that share before it")));
  }
  transfers_.erase(id);
  by_name_.Remove(id);
  runtime_->changes.Changed();
  transfer->Remove(with_data, std::move(done));
}

std::shared_ptr<Transfer> TransferTable::FindShareOf(const std::string& path) const {
  for (const auto& [id, transfer] : transfers_) {
    if (transfer->record().kind == store::TransferKind::kShare && transfer->record().path == path) {
      return transfer;
    }
  }
  return nullptr;
}

// Of what is at `path`, above it or below it.
std::shared_ptr<Transfer> TransferTable::FindShareAt(const std::string& path) const {
  const auto is_in = [](const std::string& inner, const std::string& outer) {
    return inner == outer || absl::StartsWith(inner, absl::StrCat(outer, "/"));
  };
  for (const auto& [id, transfer] : transfers_) {
    const store::TransferRecord& record = transfer->record();
    if (record.kind == store::TransferKind::kShare &&
        (is_in(path, record.path) || is_in(record.path, path)))
      return transfer;
  }
  return nullptr;
}

std::shared_ptr<Transfer> TransferTable::FindDownloadTo(const std::string& target,
                                                        TransferId except) {
  for (const auto& [id, transfer] : transfers_) {
    if (id != except && transfer->record().kind == store::TransferKind::kDownload &&
        transfer->has_place() && transfer->record().path == target)
      return transfer;
  }
  return nullptr;
}

std::shared_ptr<Transfer> TransferTable::FindSameDownload(
    const store::TransferRecord& wanted) const {
  for (const auto& [id, transfer] : transfers_) {
    const store::TransferRecord& record = transfer->record();
    if (record.kind != store::TransferKind::kDownload) continue;
    const bool same_content = wanted.content_id.has_value()
                                  ? record.content_id == wanted.content_id
                                  : !record.finished && record.source == wanted.source;
    const bool same_place = record.path == wanted.path ||
                            record.path == absl::StrCat(wanted.path, record.name) ||
                            record.path == absl::StrCat(wanted.path, "/", record.name);
    if (same_content && same_place) return transfer;
  }
  return nullptr;
}

bool TransferTable::AnyDownloadRuns() const {
  return std::any_of(transfers_.begin(), transfers_.end(),
                     [](const auto& entry) { return entry.second->IsRunningDownload(); });
}

std::shared_ptr<Transfer> TransferTable::FindContent(const ContentId& content_id) {
  const auto it = by_content_.find(content_id);
  if (it == by_content_.end()) return nullptr;
  std::shared_ptr<Transfer> best;
  for (TransferId id : it->second) {
    const std::shared_ptr<Transfer> transfer = Find(id);
    if (transfer == nullptr || !transfer->IsActive()) continue;
    // A whole one can serve everything.
    if (best == nullptr || (transfer->content().whole && !best->content().whole)) best = transfer;
  }
  return best;
}

bool TransferTable::IsContentComing(const ContentId& content_id) {
  const auto it = by_content_.find(content_id);
  if (it == by_content_.end()) return false;
  return std::any_of(it->second.begin(), it->second.end(), [this](TransferId id) {
    const std::shared_ptr<Transfer> transfer = Find(id);
    return transfer != nullptr && transfer->IsComing();
  });
}

std::vector<ContentId> TransferTable::ContentsNamed(const std::string& name) {
  std::vector<ContentId> ids;
  for (const TransferId id : by_name_.Find(name)) {
    const std::shared_ptr<Transfer> transfer = Find(id);
    if (transfer == nullptr || !transfer->IsActive() || !transfer->content().id.has_value())
      continue;
    // The content's own name: that of a transfer is what its user asked for.
    const content::Layout* layout = transfer->content().layout.get();
    if (layout == nullptr || layout->name() != name) continue;
    if (std::count(ids.begin(), ids.end(), *transfer->content().id) == 0)
      ids.push_back(*transfer->content().id);
    if (ids.size() == kMaxContentsPerName) break;
  }
  return ids;
}

std::shared_ptr<Transfer> TransferTable::FindOriginalName(const std::string& name,
                                                          FileIndex* file) {
  const std::string share = name.substr(0, name.find('/'));
  std::shared_ptr<Transfer> damaged;
  for (const TransferId id : by_name_.Find(share)) {
    const std::shared_ptr<Transfer> transfer = Find(id);
    if (transfer == nullptr) continue;
    const content::Layout* layout = transfer->content().layout.get();
    if (layout == nullptr || layout->name() != share || !transfer->record().verified) continue;
    const std::string path =
        layout->is_directory() && name.size() > share.size() ? name.substr(share.size() + 1) : name;
    const absl::optional<FileIndex> index = layout->Find(path);
    if (!index.has_value() || (layout->is_directory() && name == share)) continue;
    if (transfer->IsActive()) {
      *file = *index;
      return transfer;
    }
    if (transfer->IsDamaged()) {
      *file = *index;
      damaged = transfer;
    }
  }
  return damaged;
}

bool TransferTable::IsOriginalNameComing(const std::string& name) {
  const std::string share = name.substr(0, name.find('/'));
  const std::vector<TransferId> ids = by_name_.Find(share);
  return std::any_of(ids.begin(), ids.end(), [this](TransferId id) {
    const std::shared_ptr<Transfer> transfer = Find(id);
    return transfer != nullptr && transfer->IsComing();
  });
}

std::vector<store::FileChunkManager::Reservation> TransferTable::OtherDownloads(TransferId except) {
  std::vector<store::FileChunkManager::Reservation> others;
  for (const auto& [id, transfer] : transfers_) {
    const ByteCount left(transfer->bytes_to_write());
    if (id != except && left.value() > 0) others.push_back({transfer->content().store, left});
  }
  return others;
}

void TransferTable::OnContentKnown(Transfer* transfer) {
  std::vector<TransferId>& ids = by_content_[*transfer->content().id];
  ids.erase(
      std::remove_if(ids.begin(), ids.end(), [this](TransferId id) { return Find(id) == nullptr; }),
      ids.end());
  if (std::count(ids.begin(), ids.end(), transfer->record().id) == 0)
    ids.push_back(transfer->record().id);
}

void TransferTable::OnNamed(const Transfer& transfer) {
  if (Find(transfer.record().id) == nullptr) return;  // it is being removed
  by_name_.Add(transfer.record().name, transfer.record().id);
  const content::Layout* layout = transfer.content().layout.get();
  if (layout != nullptr) by_name_.Add(layout->name(), transfer.record().id);
}

void TransferTable::OnFinished(Transfer* finished) {
  // Getting the same thing to the same place again replaces the entry of the first time.
  std::vector<TransferId> replaced;
  for (const auto& [id, transfer] : transfers_) {
    if (transfer.get() != finished && transfer->record().kind == store::TransferKind::kDownload &&
        transfer->record().finished && transfer->record().path == finished->record().path) {
      replaced.push_back(id);
    }
  }
  for (TransferId id : replaced) Remove(id, /*with_data=*/false, [](absl::Status) {});
  if (!AnyDownloadRuns()) runtime_->pool->Trim();
}

std::shared_ptr<Transfer> TransferTable::FindSibling(const Transfer& transfer) {
  std::shared_ptr<Transfer> best;
  for (TransferId id : by_content_[*transfer.content().id]) {
    const std::shared_ptr<Transfer> other = Find(id);
    if (other == nullptr || other.get() == &transfer) continue;
    const ContentState& content = other->content();
    if (content.manifest == nullptr || !content.hashes->Complete()) continue;
    if (best == nullptr || (content.whole && !best->content().whole)) best = other;
  }
  return best;
}

}  // namespace p2p::engine
