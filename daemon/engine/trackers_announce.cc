// What is registered at the trackers: announced, renewed, withdrawn.
#include <algorithm>
#include <utility>

#include "core/base/clock.h"
#include "daemon/engine/trackers.h"

namespace p2p::engine {
namespace {

// What names a registration at a tracker.
std::pair<std::string, absl::optional<ContentId>> KeyOf(const session::Announcement& announcement) {
  return {announcement.name, announcement.content_id};
}

}  // namespace

void Trackers::AnnounceAll(Entry* entry) {
  entry->refused.clear();
  AnnounceTo(entry, AnnouncementsFor(*entry));
}

std::vector<session::Announcement> Trackers::AnnouncementsFor(const Entry& entry) const {
  std::vector<session::Announcement> all;
  for (const auto& [id, announcement] : announcements_) {
    if (Serves(entry, id)) all.push_back(announcement);
  }
  return all;
}

void Trackers::AnnounceRefused(Entry* entry) {
  const std::set<RegistrationKey> refused = std::exchange(entry->refused, {});
  std::vector<session::Announcement> again;
  for (const session::Announcement& announcement : AnnouncementsFor(*entry)) {
    if (refused.count(KeyOf(announcement)) > 0) again.push_back(announcement);
  }
  AnnounceTo(entry, std::move(again));
}

void Trackers::AnnounceTo(Entry* entry, std::vector<session::Announcement> announcements) {
  if (announcements.empty() || entry->link == nullptr) return;
  for (const auto& announcement : announcements) entry->refused.erase(KeyOf(announcement));
  entry->announcing = true;
  entry->link->Do([token = next_id_++, all = std::move(announcements)](session::TrackerSession& s) {
    s.Announce(token, all, MonotonicNow());
  });
}

void Trackers::Announce(TransferId transfer, session::Announcement announcement) {
  announcements_[transfer] = announcement;
  for (auto& entry : entries_) {
    if (!Serves(*entry, transfer)) continue;
    if (entry->link == nullptr) {
      Connect(entry.get(), /*now_please=*/false);  // announces everything
    } else {
      AnnounceTo(entry.get(), {announcement});
    }
  }
}

void Trackers::Withdraw(TransferId transfer) {
  const auto it = announcements_.find(transfer);
  if (it == announcements_.end()) return;
  const absl::optional<ContentId> content_id = it->second.content_id;
  announcements_.erase(it);
  if (!content_id.has_value()) return;
  for (auto& entry : entries_) {
    if (entry->link == nullptr || !Serves(*entry, transfer)) continue;
    const std::vector<session::Announcement> others = AnnouncementsFor(*entry);
    if (std::any_of(others.begin(), others.end(),
                    [&](const auto& other) { return other.content_id == content_id; })) {
      continue;  // another transfer still offers it
    }
    entry->link->Do([token = next_id_++, id = *content_id](session::TrackerSession& s) {
      s.Withdraw(token, id, MonotonicNow());
    });
  }
}

// The others of the batch may stand; what was refused is tried again with the next renewal.
void Trackers::OnSomeRefused(Entry* entry, const session::TrackerRefused& refusal) {
  for (const auto& announcement : refusal.refused) entry->refused.insert(KeyOf(announcement));
  OnAnnounced(entry, refusal.ttl.value_or(entry->ttl));
}

void Trackers::OnAnnounced(Entry* entry, absl::Duration ttl) {
  entry->announcing = false;
  // Renewals spread over time by themselves: daemons that start together do not come back together.
  entry->ttl = std::max(ttl, absl::Seconds(1));
  const absl::Duration wait = entry->ttl * std::uniform_real_distribution<>(0.25, 0.75)(random_);
  if (entry->renew_timer->due() <= MonotonicNow() + wait) return;
  entry->renew_timer->Arm(MonotonicNow() + wait, [this, entry] {
    entry->renew_timer->Disarm();
    if (AnnouncementsFor(*entry).empty()) return;
    if (entry->link == nullptr) {
      Connect(entry, /*now_please=*/true);  // announces everything
    } else {
      Renew(entry);
    }
  });
}

// On this connection everything was announced, so that one line renews all that was not refused.
void Trackers::Renew(Entry* entry) {
  Ask(
      entry,
      [count = RegistrationCount(*entry)](session::TrackerSession& s, uint64_t token) {
        s.Renew(token, count, MonotonicNow());
      },
      [this, entry](const session::TrackerEvent* event) {
        if (event == nullptr) return;
        if (absl::holds_alternative<session::TrackerRefused>(*event)) {
          AnnounceAll(entry);
        } else {
          AnnounceRefused(entry);
        }
      });
}

uint64_t Trackers::RegistrationCount(const Entry& entry) const {
  std::set<RegistrationKey> distinct;
  for (const session::Announcement& announcement : AnnouncementsFor(entry)) {
    RegistrationKey key = KeyOf(announcement);
    if (entry.refused.count(key) == 0) distinct.insert(std::move(key));
  }
  return distinct.size();
}

}  // namespace p2p::engine
