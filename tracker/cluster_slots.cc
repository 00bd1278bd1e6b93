#include "tracker/cluster_slots.h"

#include <algorithm>

#include "absl/strings/str_split.h"

namespace p2p::tracker {
namespace {

constexpr size_t kMaxMasters = 1'000;
constexpr uint16_t kNobody = UINT16_MAX;

bool IsSame(const net::HostPort& a, const net::HostPort& b) {
  return a.host == b.host && a.port == b.port;
}

absl::Status Bad() {
  return absl::InvalidArgumentError("what it answers to CLUSTER SLOTS cannot be understood");
}

absl::StatusOr<net::HostPort> ParseNode(const RedisReply& node, const std::string& asked_host) {
  if (node.type != RedisReply::Type::kList || node.list.size() < 2) return Bad();
  const RedisReply& host = node.list[0];
  const RedisReply& port = node.list[1];
  if (port.type != RedisReply::Type::kNumber || port.number < 1 || port.number > UINT16_MAX) {
    return Bad();
  }
  const bool has_host = host.IsText() && !host.text.empty() && host.text != "?";
  return net::HostPort{has_host ? host.text : asked_host, static_cast<uint16_t>(port.number)};
}

}  // namespace

uint16_t ClusterSlot(absl::string_view key) {
  const size_t open = key.find('{');
  if (open != key.npos) {
    const size_t close = key.find('}', open + 1);
    if (close != key.npos && close > open + 1) key = key.substr(open + 1, close - open - 1);
  }
  uint16_t crc = 0;
  for (const char c : key) {
    crc = static_cast<uint16_t>(crc ^ static_cast<uint8_t>(c) << 8);
    for (int bit = 0; bit < 8; ++bit) {
      crc = static_cast<uint16_t>((crc & 0x8000) != 0 ? crc << 1 ^ 0x1021 : crc << 1);
    }
  }
  return crc % kClusterSlots;
}

absl::StatusOr<ClusterMap> ParseClusterSlots(const RedisReply& reply,
                                             const std::string& asked_host) {
  ClusterMap map;
  map.master_of_slot.fill(kNobody);
  if (reply.type != RedisReply::Type::kList) return Bad();
  for (const RedisReply& range : reply.list) {
    if (range.type != RedisReply::Type::kList || range.list.size() < 3) return Bad();
    const RedisReply& first = range.list[0];
    const RedisReply& last = range.list[1];
    if (first.type != RedisReply::Type::kNumber || last.type != RedisReply::Type::kNumber ||
        first.number < 0 || first.number > last.number || last.number >= kClusterSlots) {
      return Bad();
    }
    const auto node = ParseNode(range.list[2], asked_host);
    if (!node.ok()) return node.status();
    const auto known = std::find_if(map.masters.begin(), map.masters.end(),
                                    [&node](const auto& other) { return IsSame(other, *node); });
    const auto index = static_cast<uint16_t>(known - map.masters.begin());
    if (known == map.masters.end()) map.masters.push_back(*node);
    if (map.masters.size() > kMaxMasters) return Bad();
    std::fill(map.master_of_slot.begin() + first.number,
              map.master_of_slot.begin() + last.number + 1, index);
  }
  if (std::count(map.master_of_slot.begin(), map.master_of_slot.end(), kNobody) > 0) {
    return absl::UnavailableError("its cluster has slots that no node serves");
  }
  return map;
}

absl::StatusOr<net::HostPort> ParseAsk(absl::string_view error) {
  const std::vector<absl::string_view> words = absl::StrSplit(error, ' ');
  if (words.size() != 3 || words[0] != "ASK") return Bad();
  return net::ParseHostPort(words[2]);
}

}  // namespace p2p::tracker
