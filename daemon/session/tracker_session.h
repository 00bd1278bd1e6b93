// One conversation with a tracker, as a state machine without I/O. Speaks the extension where the
// tracker answers HELLO, the original protocol else. Owned by its driver, on its loop.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "absl/types/variant.h"
#include "core/base/ids.h"

namespace p2p::session {

// What is known of a tracker before it is connected with. One that was heard to speak the extension
// is never spoken to in the original protocol, whatever it does later.
enum class TrackerProtocol { kUnknown, kOriginal, kExtension };

struct Announcement {
  std::string name;
  ByteCount total_bytes;
  absl::optional<ContentId> content_id;
  // Not whole here yet: told to peers that know the content id, never to original clients.
  bool partial = false;
};

// Answers come in the order of the questions, each with the token of its question.
struct Announced {
  uint64_t token = 0;
  absl::Duration ttl;
};  // one for the whole batch
struct Withdrawn {
  uint64_t token = 0;
};
// The contents of a name. `originals`: peers that share the name without a content id (original
// ones), with their size; when the tracker is original, all peers of the name are here.
struct NameFound {
  uint64_t token = 0;
  struct Version {
    ContentId content_id;
    ByteCount total_bytes;
    std::vector<std::string> peers;
  };
  std::vector<Version> versions;
  struct Original {
    ByteCount total_bytes;
    std::vector<std::string> peers;
  };
  absl::optional<Original> originals;
};
struct PeersFound {
  uint64_t token = 0;
  ByteCount total_bytes;  // of the content, as the tracker says
  std::vector<std::string> peers;
};
// The tracker refused this question (its words), or knows no such name or content (404, of either
// protocol). Code 0: the conversation ended before the answer; ask again on the next connection.
// Those come right before TrackerEnded.
struct TrackerRefused {
  uint64_t token = 0;
  int code = 0;
  std::string reason;
  // Of a batch: what of it was refused, and the shortest life that was granted to the others.
  std::vector<Announcement> refused = {};
  absl::optional<absl::Duration> ttl = absl::nullopt;
};
struct TrackerEnded {
  std::string reason;
  // By what the tracker said, which is not of the protocol, or did not say when it was asked.
  bool at_fault = false;
};

using TrackerEvent =
    absl::variant<Announced, Withdrawn, NameFound, PeersFound, TrackerRefused, TrackerEnded>;

class TrackerSession {
 public:
  // `self_address` is "IP:PORT" as this connection's own side of the socket and the daemon's
  // listening port give it; it is registered, and left out of the peers found. With kOriginal
  // (an earlier session's speaks_extension() was false) there is no HELLO.
  TrackerSession(std::string self_address, absl::Time now,
                 TrackerProtocol known = TrackerProtocol::kUnknown);
  ~TrackerSession();

  void OnBytes(absl::string_view bytes, absl::Time now);
  void OnEndOfStream(absl::Time now);
  void OnTime(absl::Time now);
  std::string TakeOutput();
  std::vector<TrackerEvent> TakeEvents();
  absl::Time WakeUpTime() const;
  bool ended() const;

  // Pipelined in batches; one Announced for all of them, or TrackerRefused with the first refusal.
  void Announce(uint64_t token, std::vector<Announcement> announcements, absl::Time now);
  // Renews all that was announced for this address, which is `count` registrations: Announced, or
  // TrackerRefused when the tracker does not have them so or does not know how: announce all again.
  void Renew(uint64_t token, uint64_t count, absl::Time now);
  // The original protocol can only withdraw all of an address: there this does nothing but answer
  // Withdrawn.
  void Withdraw(uint64_t token, const ContentId& content_id, absl::Time now);
  void WithdrawAll(uint64_t token, absl::Time now);
  void FindName(uint64_t token, absl::string_view name, absl::Time now);
  void FindPeers(uint64_t token, const ContentId& content_id, absl::Time now);

  // Known once the tracker has answered or failed to answer HELLO: whether it speaks the extension,
  // of any version. Where it closes the connection instead, this is false and the session ends:
  // connect again with kOriginal.
  absl::optional<bool> speaks_extension() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace p2p::session
