// How a transfer looks to a user.
#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/content/magnet.h"
#include "daemon/engine/transfer.h"

namespace p2p::engine {
namespace {

constexpr size_t kMaxShownAddressBytes = 64;

}  // namespace

TransferInfo Transfer::Info() {
  const absl::Time now = MonotonicNow();
  TransferInfo info;
  info.id = record_.id;
  info.kind =
      record_.kind == store::TransferKind::kShare ? TransferKind::kShare : TransferKind::kDownload;
  info.state = state_;
  info.name = record_.name.empty() ? record_.source : record_.name;
  info.path = record_.path;
  info.placed =
      record_.kind == store::TransferKind::kShare || placed_ || content_.whole || record_.finished;
  info.error = note_;
  info.unverified_refused = unverified_refused_;
  if (content_.layout != nullptr) {
    info.bytes_total = content_.layout->total_bytes().value();
  } else {
    info.bytes_total = hashing_total_ != 0 ? hashing_total_ : record_.size_bytes;
  }
  if (content_.id.has_value()) {
    info.content_id = content_.id->Hex();
    content::Magnet magnet;
    magnet.content_id = *content_.id;
    magnet.name = record_.name;
    magnet.total_bytes = ByteCount(info.bytes_total);
    magnet.trackers = host_->tracker_addresses();
    for (const std::string& tracker : record_.trackers) {
      if (std::count(magnet.trackers.begin(), magnet.trackers.end(), tracker) == 0) {
        magnet.trackers.push_back(tracker);
      }
    }
    info.magnet = content::FormatMagnet(magnet);
  }
  if (content_.whole || record_.finished) {
    info.bytes_done = info.bytes_total;
  } else if (progress_ != nullptr) {
    info.bytes_done = progress_->bytes_done;
  } else if (fetch_ != nullptr) {
    info.bytes_done = fetch_->bytes_have();
  } else if (stopping_ != nullptr) {
    info.bytes_done = stopping_->bytes_have();
  } else if (content_.layout != nullptr) {
    info.bytes_done = RestingBytes();
  }
  info.verified = record_.verified && content_.id.has_value() && state_ != TransferState::kError &&
                  content_.layout != nullptr;
  if (fetch_ != nullptr) {
    info.rate_down = fetch_->rate_down();
    const std::string waiting = fetch_->Waiting();
    if (info.error.empty()) {
      info.error = waiting;
    } else if (record_.finished && !waiting.empty()) {
      absl::StrAppend(&info.error, ": ", waiting);
    }
  }
  if (lookup_ != nullptr && info.error.empty()) info.error = lookup_->problem();
  std::set<std::string> peers;
  links_->ForEachOf(this, [&](Link& link) {
    info.rate_up += link.io->sent().Rate(now);
    if (link.hello.has_value()) {
      peers.insert(link.hello->peer_id.Hex());
    } else if (link.original) {
      peers.insert(link.address);
    }
  });
  info.peers = static_cast<uint32_t>(peers.size());
  return info;
}

std::vector<PeerInfo> Transfer::Peers() {
  const absl::Time now = MonotonicNow();
  std::vector<PeerInfo> all;
  std::set<std::string> connected;
  links_->ForEachOf(this, [&](Link& link) {
    PeerInfo info;
    info.address = link.address;
    info.original = link.original;
    info.dialled = link.dialled;
    info.connected = link.hello.has_value() || link.original;
    if (link.hello.has_value()) {
      info.peer_id = link.hello->peer_id.Hex();
      info.agent = link.hello->agent;
    }
    info.rate_down = link.down.Rate(now);
    info.rate_up = link.io->sent().Rate(now);
    info.bytes_down = link.down.total_bytes();
    info.bytes_up = link.io->sent().total_bytes();
    info.chunks_have = link.chunks_down;
    connected.insert(link.listen_address);
    all.push_back(std::move(info));
  });
  if (fetch_ == nullptr) return all;
  for (const auto& [address, candidate] : fetch_->peers().all()) {
    if (candidate.self || connected.count(address) > 0) continue;
    PeerInfo info;
    info.address = address;
    info.original = candidate.original;
    info.dialled = true;
    info.problem = candidate.problem;
    all.push_back(std::move(info));
  }
  for (const PeerBook::Refused& refused : fetch_->peers().refused()) {
    PeerInfo info;
    info.address = Printable(refused.address, kMaxShownAddressBytes);
    info.problem = absl::StrCat("not dialled: ", refused.reason);
    all.push_back(std::move(info));
  }
  return all;
}

}  // namespace p2p::engine
