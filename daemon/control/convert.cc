#include "daemon/control/convert.h"

#include <cmath>

#include "absl/strings/string_view.h"
#include "core/base/names.h"
#include "core/base/text.h"

namespace p2p::control {
namespace {

constexpr size_t kMaxTextBytes = 4096;

v1::TransferState ToProto(engine::TransferState state) {
  switch (state) {
    case engine::TransferState::kHashing:
      return v1::TRANSFER_STATE_HASHING;
    case engine::TransferState::kQueued:
      return v1::TRANSFER_STATE_QUEUED;
    case engine::TransferState::kDownloading:
      return v1::TRANSFER_STATE_DOWNLOADING;
    case engine::TransferState::kSeeding:
      return v1::TRANSFER_STATE_SEEDING;
    case engine::TransferState::kPaused:
      return v1::TRANSFER_STATE_PAUSED;
    case engine::TransferState::kChecking:
      return v1::TRANSFER_STATE_CHECKING;
    case engine::TransferState::kComplete:
      return v1::TRANSFER_STATE_COMPLETE;
    case engine::TransferState::kError:
      return v1::TRANSFER_STATE_ERROR;
  }
  return v1::TRANSFER_STATE_UNSPECIFIED;
}

v1::TransferKind ToProto(engine::TransferKind kind) {
  switch (kind) {
    case engine::TransferKind::kShare:
      return v1::TRANSFER_KIND_SHARE;
    case engine::TransferKind::kDownload:
      return v1::TRANSFER_KIND_DOWNLOAD;
  }
  return v1::TRANSFER_KIND_UNSPECIFIED;
}

// A `string` field must be UTF-8, or no client could parse the message: text that quotes a path or
// a peer may not be.
std::string Utf8(const std::string& text) {
  return IsValidUtf8(text) ? text : Printable(text, kMaxTextBytes);
}

uint64_t WholeRate(double rate) {
  return std::isfinite(rate) && rate > 0 ? static_cast<uint64_t>(std::llround(rate)) : 0;
}

}  // namespace

v1::Transfer ToProto(const engine::TransferInfo& info) {
  v1::Transfer out;
  out.set_id(info.id.value());
  out.set_name(Utf8(info.name));
  out.set_content_id(info.content_id);
  out.set_magnet(info.magnet);
  out.set_kind(ToProto(info.kind));
  out.set_state(ToProto(info.state));
  out.set_verified(info.verified);
  out.set_bytes_total(info.bytes_total);
  out.set_bytes_done(info.bytes_done);
  out.set_rate_down(WholeRate(info.rate_down));
  out.set_rate_up(WholeRate(info.rate_up));
  out.set_peers(info.peers);
  out.set_path(info.path);
  out.set_error(Utf8(info.error));
  out.set_placed(info.placed);
  out.set_unverified_refused(info.unverified_refused);
  return out;
}

v1::Peer ToProto(const engine::PeerInfo& info) {
  v1::Peer out;
  out.set_address(Utf8(info.address));
  out.set_peer_id(info.peer_id);
  out.set_agent(Utf8(info.agent));
  out.set_original(info.original);
  out.set_connected(info.connected);
  out.set_dialled(info.dialled);
  out.set_rate_down(WholeRate(info.rate_down));
  out.set_rate_up(WholeRate(info.rate_up));
  out.set_bytes_down(info.bytes_down);
  out.set_bytes_up(info.bytes_up);
  out.set_chunks_have(info.chunks_have);
  out.set_problem(Utf8(info.problem));
  return out;
}

v1::Daemon ToProto(const engine::DaemonInfo& info) {
  v1::Daemon out;
  out.set_version(info.version);
  out.set_peer_id(info.peer_id);
  out.set_listen(info.listen);
  for (const engine::TrackerInfo& tracker : info.trackers) {
    v1::Tracker* row = out.add_trackers();
    row->set_address(Utf8(tracker.address));
    row->set_ok(tracker.ok);
    row->set_state(Utf8(tracker.state));
  }
  v1::Totals* totals = out.mutable_totals();
  totals->set_transfers(info.transfers);
  totals->set_connections(info.connections);
  totals->set_bytes_down(info.bytes_down);
  totals->set_bytes_up(info.bytes_up);
  totals->set_rate_down(WholeRate(info.rate_down));
  totals->set_rate_up(WholeRate(info.rate_up));
  out.set_state_dir(info.state_dir);
  out.set_download_dir(info.download_dir);
  out.set_io_threads(info.io_threads);
  out.set_worker_threads(info.worker_threads);
  out.set_hash_threads(info.hash_threads);
  out.set_download_device_type(info.download_device_type);
  out.set_hash_implementation(info.hash_implementation);
  out.set_congestion_control(Utf8(info.congestion_control));
  out.set_uptime_seconds(info.uptime_seconds);
  out.set_problem(Utf8(info.problem));
  out.set_allow_unverified(info.allow_unverified);
  return out;
}

bool HasEnded(const v1::Transfer& transfer) {
  return transfer.state() == v1::TRANSFER_STATE_COMPLETE ||
         transfer.state() == v1::TRANSFER_STATE_SEEDING ||
         transfer.state() == v1::TRANSFER_STATE_ERROR;
}

bool IsActive(const v1::Transfer& transfer) {
  if (transfer.rate_down() > 0 || transfer.rate_up() > 0) return true;
  switch (transfer.state()) {
    case v1::TRANSFER_STATE_HASHING:
    case v1::TRANSFER_STATE_QUEUED:
    case v1::TRANSFER_STATE_DOWNLOADING:
    case v1::TRANSFER_STATE_CHECKING:
      return true;
    default:
      return false;
  }
}

}  // namespace p2p::control
