// What the halves of one peer session share: the time, what to send, what to tell the driver, and
// the end. Owned by the session; on its loop.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/limits.h"
#include "core/wire/error_line.h"
#include "daemon/session/outbox.h"
#include "daemon/session/peer_session.h"

namespace p2p::session {

struct SessionCore {
  // Payload that is summed up in one ProgressMade.
  static constexpr uint64_t kProgressBytes = 64 << 10;

  PeerSessionOptions options;
  absl::Time now;  // the last time that was told
  Outbox outbox;
  std::vector<PeerEvent> events;
  bool ended = false;
  uint64_t untold_progress_bytes = 0;
  // With more text that waits to be sent, nothing more is read.
  size_t backlog_limit_bytes = limits::kMaxSendBacklogBytes;

  void Emit(PeerEvent event) {
    if (!ended) events.push_back(std::move(event));
  }

  void Progress(uint64_t bytes, bool tell_now) {
    untold_progress_bytes += bytes;
    if (untold_progress_bytes == 0 || (!tell_now && untold_progress_bytes < kProgressBytes)) return;
    Emit(ProgressMade{std::exchange(untold_progress_bytes, 0)});
  }

  // `code`: of the other side's ERROR, if that is why.
  void End(std::string reason, bool protocol_error, int code = 0) {
    Emit(SessionEnded{std::move(reason), protocol_error, code});
    ended = true;
    outbox.Finish();
  }

  // The other side broke the rules: it is told why, and that is the end.
  void Fail(int code, absl::string_view reason) {
    if (ended) return;
    outbox.Text(wire::FormatError(code, reason));
    End(std::string(reason), /*protocol_error=*/true);
  }
};

}  // namespace p2p::session
