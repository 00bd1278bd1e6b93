#include "core/net/file_sender.h"

#include <algorithm>

namespace p2p::net {
namespace {

// With no more than this unsent, at most 30 Mbit/s: connections are told six milliseconds of their
// rate, and at least 16 KiB.
constexpr uint32_t kSlowLowWaterBytes = 24 << 10;
// And the system says so, too: what is sent slowly because there is other work is on no slow path.
constexpr uint64_t kSlowBytesASecond = 30'000'000 / 8;
// From here on the system makes short packets itself.
constexpr absl::Duration kFar = absl::Milliseconds(3);
// With fewer a swarm is no quicker, and the processor has more to do (docs/performance.md).
constexpr size_t kPacketsPerRecord = 4;
// About what a slow connection takes at once.
constexpr size_t kReadBytes = 16 << 10;

}  // namespace

FileSent FileSender::Send(const FileSlice& slice, uint32_t not_sent_low_water_bytes,
                          absl::Span<uint8_t> scratch) {
  if (not_sent_low_water_bytes <= kSlowLowWaterBytes && IsSlowAndNear()) {
    return SendRecords(slice, scratch);
  }
  in_record_ = 0;
  return SendFromFile(fd_, slice.fd, slice.offset, slice.length, scratch);
}

bool FileSender::IsSlowAndNear() const {
  const TcpPath path = TcpPathOf(fd_);
  return path.bytes_a_second <= kSlowBytesASecond && path.least_round_trip < kFar;
}

FileSent FileSender::SendRecords(const FileSlice& slice, absl::Span<uint8_t> scratch) {
  const size_t most = std::min({size_t{slice.length}, kReadBytes, scratch.size()});
  const ssize_t got = ReadFromFile(slice.fd, slice.offset, scratch.first(most));
  if (got <= 0) return {0, static_cast<int>(-got), /*of_file=*/true};
  // The path may have come to take other packets.
  const size_t record_bytes = kPacketsPerRecord * SegmentBytes(fd_);
  FileSent done;
  while (done.bytes < static_cast<size_t>(got)) {
    // A text may have been longer than a record.
    in_record_ %= record_bytes;
    const size_t wanted =
        std::min(record_bytes - in_record_, static_cast<size_t>(got) - done.bytes);
    const Follows follows = done.bytes + wanted == slice.length   ? Follows::kNothing
                            : in_record_ + wanted == record_bytes ? Follows::kNextRecord
                                                                  : Follows::kMore;
    const iovec piece = {&scratch[done.bytes], wanted};
    const ssize_t sent = SendPieces(fd_, {&piece, 1}, follows);
    if (sent < 0) {
      done.error_number = static_cast<int>(-sent);
      break;
    }
    in_record_ += static_cast<size_t>(sent);
    done.bytes += static_cast<size_t>(sent);
  }
  return done;
}

}  // namespace p2p::net
