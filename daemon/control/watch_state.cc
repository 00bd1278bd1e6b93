#include "daemon/control/watch_state.h"

#include <functional>
#include <utility>

#include "core/base/limits.h"
#include "daemon/control/convert.h"

namespace p2p::control {

bool Picture::AnyActive() const {
  for (const auto& [id, entry] : transfers) {
    if (entry && IsActive(entry->transfer)) return true;
  }
  return false;
}

Picture::Entry MakeEntry(const engine::TransferInfo& info) {
  Picture::Entry entry;
  entry.transfer = ToProto(info);
  entry.fingerprint = std::hash<std::string>()(entry.transfer.SerializeAsString());
  return entry;
}

bool WatchState::Sees(const Picture& picture) const {
  return picture.all || (only_ && picture.transfers.count(only_->value()) != 0);
}

absl::optional<v1::WatchTransfersResponse> WatchState::Next(const Picture& picture) {
  if (ended_ || !Sees(picture)) return absl::nullopt;
  return only_ ? NextOfOne(picture) : NextOfAll(picture);
}

absl::optional<v1::WatchTransfersResponse> WatchState::NextOfOne(const Picture& picture) {
  const uint64_t id = only_->value();
  const auto found = picture.transfers.find(id);
  v1::WatchTransfersResponse message;
  if (found == picture.transfers.end() || !found->second) {
    // A removed transfer never comes back under its id: there is nothing left to watch, asked for
    // or not.
    message.add_removed_ids(id);
    ended_ = true;
    return message;
  }
  const Picture::Entry& entry = *found->second;
  const auto [told, is_new] = told_.emplace(id, entry.fingerprint);
  if (!is_new && told->second == entry.fingerprint) return absl::nullopt;
  told->second = entry.fingerprint;
  *message.add_transfers() = entry.transfer;
  ended_ = until_end_ && HasEnded(entry.transfer);
  return message;
}

absl::optional<v1::WatchTransfersResponse> WatchState::NextOfAll(const Picture& picture) {
  v1::WatchTransfersResponse message;
  int items = 0;
  for (const auto& [id, entry] : picture.transfers) {
    if (!entry) continue;
    const auto told = told_.find(id);
    if (told != told_.end() && told->second == entry->fingerprint) continue;
    if (items++ == limits::kDefaultControlPageItems) {
      message.set_more(true);
      return message;
    }
    told_[id] = entry->fingerprint;
    *message.add_transfers() = entry->transfer;
  }
  for (auto it = told_.begin(); it != told_.end();) {
    if (picture.transfers.count(it->first) != 0) {
      ++it;
      continue;
    }
    message.add_removed_ids(it->first);
    it = told_.erase(it);
  }
  const bool first = !std::exchange(begun_, true);
  if (!first && message.transfers().empty() && message.removed_ids().empty()) return absl::nullopt;
  return message;
}

}  // namespace p2p::control
