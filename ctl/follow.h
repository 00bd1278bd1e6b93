// Follows one transfer on the screen until it is where a command wants it. One thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "ctl/client.h"
#include "ctl/command_line.h"
#include "proto/control.pb.h"

namespace p2p::ctl {

// Shows progress: JSON objects, a live line on a terminal, or plain lines, about one a second and
// one for each change of the state or of what it waits for.
class ProgressPrinter {
 public:
  enum class Style { kLive, kPlain, kJson };

  static Style StyleFor(const Session& session);
  explicit ProgressPrinter(Style style) : style_(style) {}

  // The text to print for `transfer` as seen at `now`: lines with their ends; for kLive, the line
  // to show live. None: nothing is to be printed now.
  absl::optional<std::string> Next(const v1::Transfer& transfer, absl::Time now);

 private:
  // How fast bytes_done grows since the state began.
  double ReadRate(const v1::Transfer& transfer, absl::Time now);

  const Style style_;
  bool begun_ = false;
  v1::TransferState state_ = v1::TRANSFER_STATE_UNSPECIFIED;
  std::string waits_for_;
  absl::Time next_line_ = absl::InfinitePast();
  absl::Time state_since_ = absl::InfinitePast();
  uint64_t done_at_state_ = 0;
};

enum class FollowEnd { kReached, kRemoved, kInterrupted, kFailed };

struct FollowResult {
  FollowEnd end = FollowEnd::kFailed;
  v1::Transfer last;    // the newest that was seen
  absl::Status status;  // for kFailed
};

// Until `reached` says so (or the transfer is removed, Ctrl-C is pressed, or the daemon goes).
// `transfer`: as last seen. `note`: whole lines for people to print before the progress, or "".
FollowResult Follow(const Session& session, Client* client, const v1::Transfer& transfer,
                    const std::function<bool(const v1::Transfer&)>& reached,
                    const std::function<std::string(const v1::Transfer&)>& note = nullptr);

// What to do at every end but kReached: says it on stderr and returns the exit code.
int FailFollow(const FollowResult& result);

// From here on Ctrl-C only sets a flag.
void CatchInterrupts();
bool Interrupted();

}  // namespace p2p::ctl
