// Hands bytes of files to one socket: with sendfile, or, where the connection is slow, in records
// that keep its packets short. Belongs to the connection.
//
// Linux makes what leaves at once (a "TSO packet") up to 64 KiB long wherever the least round trip
// is below half a millisecond, whatever the rate of the connection (net.ipv4.tcp_tso_rtt_log).
// Where many connections share an uplink of the local network, each of these holds all others up,
// and their shares differ by powers of two, with the lengths. The end of a record (MSG_EOR) ends
// such a packet.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "core/base/buffers.h"
#include "core/net/socket.h"

namespace p2p::net {

class FileSender {
 public:
  explicit FileSender(int fd) : fd_(fd) {}

  // So many bytes of text went to the socket by another way.
  void OnText(size_t bytes) { in_record_ += bytes; }
  // Sends from the slice; says how much. Where little may be unsent, in records, which cost a copy
  // and a call each. `scratch` is used where bytes have to be copied.
  FileSent Send(const FileSlice& slice, uint32_t not_sent_low_water_bytes,
                absl::Span<uint8_t> scratch);

 private:
  bool IsSlowAndNear() const;
  FileSent SendRecords(const FileSlice& slice, absl::Span<uint8_t> scratch);

  const int fd_;
  size_t in_record_ = 0;  // bytes since the last record ended
};

}  // namespace p2p::net
