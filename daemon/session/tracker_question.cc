#include "daemon/session/tracker_question.h"

#include <algorithm>
#include <utility>

#include "core/base/names.h"

namespace p2p::session {
namespace {

// What a tracker may say about how long registrations live; what lies beyond is taken as the
// nearest of these.
constexpr uint64_t kMinTtlSeconds = 1;
constexpr uint64_t kMaxTtlSeconds = 24 * 60 * 60;

absl::optional<wire::WireError> NameFault(absl::string_view name) {
  const absl::Status status = CheckName(name);
  if (status.ok()) return absl::nullopt;
  return wire::WireError{422, std::string(status.message())};
}

}  // namespace

Question Question::Announce(uint64_t token, std::vector<Announcement> announcements) {
  Question question;
  question.kind = Kind::kAnnounce;
  question.token = token;
  for (Announcement& announcement : announcements) {
    const auto fault = NameFault(announcement.name);
    if (!fault.has_value()) {
      question.announcements.push_back(std::move(announcement));
    } else {
      if (!question.refusal.has_value()) question.refusal = fault;
      question.refused.push_back(std::move(announcement));
    }
  }
  question.lines = question.announcements.size();
  return question;
}

Question Question::Renew(uint64_t token, uint64_t count) {
  Question question;
  question.kind = Kind::kRenew;
  question.token = token;
  question.renewed_count = count;
  return question;
}

Question Question::Withdraw(uint64_t token, const absl::optional<ContentId>& content_id) {
  Question question;
  question.kind = Kind::kWithdraw;
  question.token = token;
  question.content_id = content_id;
  return question;
}

Question Question::FindName(uint64_t token, absl::string_view name) {
  Question question;
  question.kind = Kind::kFindName;
  question.token = token;
  question.name = std::string(name);
  question.refusal = NameFault(name);
  return question;
}

Question Question::FindPeers(uint64_t token, const ContentId& content_id) {
  Question question;
  question.kind = Kind::kFindPeers;
  question.token = token;
  question.content_id = content_id;
  return question;
}

bool Question::NeedsNoTracker(bool original) const {
  switch (kind) {
    case Kind::kAnnounce:
      return announcements.empty();
    case Kind::kFindName:
      return refusal.has_value();
    case Kind::kRenew:
      return original;
    case Kind::kWithdraw:
    case Kind::kFindPeers:
      break;
  }
  return original && content_id.has_value();
}

TrackerEvent Question::LocalAnswer() const {
  if (kind == Kind::kAnnounce) return BatchAnswer();
  if (kind == Kind::kWithdraw) return Withdrawn{token};
  if (refusal.has_value()) return TrackerRefused{token, refusal->code, refusal->text};
  if (kind == Kind::kRenew) {
    return TrackerRefused{token, 404, "this tracker speaks only the original protocol"};
  }
  return TrackerRefused{
      token, 404, "this tracker speaks only the original protocol, which finds peers by name"};
}

std::string Question::NextLine(bool original, absl::string_view self_address) {
  const size_t line = sent++;
  switch (kind) {
    case Kind::kAnnounce: {
      const Announcement& a = announcements[line];
      return wire::FormatRegister(a.name, a.total_bytes, original ? absl::nullopt : a.content_id,
                                  a.partial, self_address);
    }
    case Kind::kRenew:
      return wire::FormatRenew(renewed_count, self_address);
    case Kind::kWithdraw:
      return content_id.has_value() ? wire::FormatWithdraw(*content_id, self_address)
                                    : wire::FormatUnregister(self_address);
    case Kind::kFindName:
      return original ? wire::FormatLookup(name) : wire::FormatFind(name);
    case Kind::kFindPeers:
      break;
  }
  return wire::FormatPeers(*content_id);
}

void Question::TakeRefusal(const wire::WireError& error) {
  if (!refusal.has_value()) refusal = error;
  if (kind == Kind::kAnnounce) refused.push_back(announcements[answered]);
}

TrackerEvent Question::BatchAnswer() const {
  if (refusal.has_value()) {
    return TrackerRefused{token, refusal->code, refusal->text, refused, ttl};
  }
  return Announced{token, ttl.value_or(limits::kRegistrationTtl)};
}

void Question::TakeTtl(uint64_t seconds) {
  const absl::Duration granted = absl::Seconds(std::clamp(seconds, kMinTtlSeconds, kMaxTtlSeconds));
  ttl = std::min(ttl.value_or(granted), granted);
}

absl::optional<TrackerEvent> Question::FoundAnswer(
    const std::vector<wire::FoundVersion>& versions,
    const absl::optional<wire::PeerAddress>& self) const {
  const bool by_name = kind == Kind::kFindName;
  if (versions.empty()) {
    return TrackerRefused{
        token, 404, by_name ? "no peer shares a file of this name" : "no peer shares this content"};
  }
  if (!by_name) {
    const wire::FoundVersion& version = versions.front();
    if (version.content_id != content_id) return absl::nullopt;
    return PeersFound{token, version.list.size, OtherPeers(version.list.peers, self)};
  }
  NameFound found;
  found.token = token;
  for (const wire::FoundVersion& version : versions) {
    std::vector<std::string> peers = OtherPeers(version.list.peers, self);
    if (version.content_id.has_value()) {
      found.versions.push_back({*version.content_id, version.list.size, std::move(peers)});
    } else if (!found.originals.has_value()) {
      // The most shared one comes first.
      found.originals = NameFound::Original{version.list.size, std::move(peers)};
    }
  }
  return found;
}

std::vector<std::string> OtherPeers(const std::vector<wire::PeerAddress>& peers,
                                    const absl::optional<wire::PeerAddress>& self) {
  std::vector<std::string> addresses;
  for (const wire::PeerAddress& peer : peers) {
    if (peer != self) addresses.push_back(peer.ToString());
  }
  return addresses;
}

}  // namespace p2p::session
