// One question of a driver to a tracker: the lines to send and what their answers add up to. Part
// of TrackerSession; a plain value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "core/base/ids.h"
#include "core/base/limits.h"
#include "core/wire/error_line.h"
#include "core/wire/peer_address.h"
#include "core/wire/tracker_messages.h"
#include "daemon/session/tracker_session.h"

namespace p2p::session {

struct Question {
  enum class Kind { kAnnounce, kRenew, kWithdraw, kFindName, kFindPeers };

  // Names that break the rules for names never reach the tracker: they become the refusal.
  static Question Announce(uint64_t token, std::vector<Announcement> announcements);
  static Question Renew(uint64_t token, uint64_t count);
  // All of the address without `content_id`.
  static Question Withdraw(uint64_t token, const absl::optional<ContentId>& content_id);
  static Question FindName(uint64_t token, absl::string_view name);
  static Question FindPeers(uint64_t token, const ContentId& content_id);

  // Whether the answer is known without asking: nothing to announce, refused already, or what the
  // original protocol can not say.
  bool NeedsNoTracker(bool original) const;
  TrackerEvent LocalAnswer() const;
  // The next line to send, and counts it as sent.
  std::string NextLine(bool original, absl::string_view self_address);
  // Whether there is one answer when all lines have theirs: announcements and their renewal.
  bool IsBatch() const { return kind == Kind::kAnnounce || kind == Kind::kRenew; }
  // The answer of the next line refuses it.
  void TakeRefusal(const wire::WireError& error);
  TrackerEvent BatchAnswer() const;
  // The answer of the next line grants an announcement so long a life.
  void TakeTtl(uint64_t seconds);
  // What FOUND answers; nullopt: it tells of another content than was asked for.
  absl::optional<TrackerEvent> FoundAnswer(const std::vector<wire::FoundVersion>& versions,
                                           const absl::optional<wire::PeerAddress>& self) const;

  Kind kind = Kind::kAnnounce;
  uint64_t token = 0;
  std::vector<Announcement> announcements;
  uint64_t renewed_count = 0;
  absl::optional<ContentId> content_id;
  std::string name;
  // An announcement is one line, all else is a single one.
  size_t lines = 1;
  size_t sent = 0;
  size_t answered = 0;
  // The shortest life that was granted to an announcement.
  absl::optional<absl::Duration> ttl;
  absl::optional<wire::WireError> refusal;  // the first
  std::vector<Announcement> refused;
};

// Others than this daemon. What a tracker says about peers is hearsay: the engine judges it.
std::vector<std::string> OtherPeers(const std::vector<wire::PeerAddress>& peers,
                                    const absl::optional<wire::PeerAddress>& self);

}  // namespace p2p::session
