#include "ctl/json.h"

#include "absl/strings/str_cat.h"
#include "ctl/format.h"

namespace p2p::ctl {

Json ToJson(const v1::Transfer& transfer) {
  Json json;
  json["id"] = absl::StrCat(transfer.id());
  json["name"] = transfer.name();
  json["content_id"] = transfer.content_id();
  json["magnet"] = transfer.magnet();
  json["kind"] = KindName(transfer.kind());
  json["state"] = StateName(transfer.state());
  json["verified"] = transfer.verified();
  json["bytes_total"] = transfer.bytes_total();
  json["bytes_done"] = transfer.bytes_done();
  json["rate_down"] = transfer.rate_down();
  json["rate_up"] = transfer.rate_up();
  json["peers"] = transfer.peers();
  json["path"] = transfer.path();
  json["error"] = transfer.error();
  json["placed"] = transfer.placed();
  json["unverified_refused"] = transfer.unverified_refused();
  return json;
}

Json ToJson(const v1::Peer& peer) {
  Json json;
  json["address"] = peer.address();
  json["peer_id"] = peer.peer_id();
  json["agent"] = peer.agent();
  json["original"] = peer.original();
  json["connected"] = peer.connected();
  json["dialled"] = peer.dialled();
  json["rate_down"] = peer.rate_down();
  json["rate_up"] = peer.rate_up();
  json["bytes_down"] = peer.bytes_down();
  json["bytes_up"] = peer.bytes_up();
  json["chunks_have"] = peer.chunks_have();
  json["problem"] = peer.problem();
  return json;
}

Json ToJson(const v1::Daemon& daemon) {
  Json json;
  json["version"] = daemon.version();
  json["peer_id"] = daemon.peer_id();
  json["listen"] = daemon.listen();
  Json trackers = Json::array();
  for (const v1::Tracker& tracker : daemon.trackers()) {
    Json row;
    row["address"] = tracker.address();
    row["ok"] = tracker.ok();
    row["state"] = tracker.state();
    trackers.push_back(std::move(row));
  }
  json["trackers"] = std::move(trackers);
  Json totals;
  totals["transfers"] = daemon.totals().transfers();
  totals["connections"] = daemon.totals().connections();
  totals["bytes_down"] = daemon.totals().bytes_down();
  totals["bytes_up"] = daemon.totals().bytes_up();
  totals["rate_down"] = daemon.totals().rate_down();
  totals["rate_up"] = daemon.totals().rate_up();
  json["totals"] = std::move(totals);
  json["state_dir"] = daemon.state_dir();
  json["download_dir"] = daemon.download_dir();
  json["io_threads"] = daemon.io_threads();
  json["worker_threads"] = daemon.worker_threads();
  json["hash_threads"] = daemon.hash_threads();
  json["download_device_type"] = daemon.download_device_type();
  json["hash_implementation"] = daemon.hash_implementation();
  json["congestion_control"] = daemon.congestion_control();
  json["uptime_seconds"] = daemon.uptime_seconds();
  json["problem"] = daemon.problem();
  json["allow_unverified"] = daemon.allow_unverified();
  return json;
}

std::string JsonLine(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
}

}  // namespace p2p::ctl
