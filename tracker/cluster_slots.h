// Which node of a Redis Cluster has which keys. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/net/address.h"
#include "tracker/redis_reply.h"

namespace p2p::tracker {

inline constexpr int kClusterSlots = 16'384;

// CRC16 (XMODEM) of the key, or of what stands in its first braces (Redis Cluster specification).
uint16_t ClusterSlot(absl::string_view key);

struct ClusterMap {
  std::vector<net::HostPort> masters;
  std::array<uint16_t, kClusterSlots> master_of_slot{};  // an index of masters
};

// The answer to CLUSTER SLOTS; a node without a host of its own has `asked_host`. An error is a
// sentence, also where slots have no master.
absl::StatusOr<ClusterMap> ParseClusterSlots(const RedisReply& reply,
                                             const std::string& asked_host);

// Where "ASK <slot> <host>:<port>" sends us.
absl::StatusOr<net::HostPort> ParseAsk(absl::string_view error);

}  // namespace p2p::tracker
