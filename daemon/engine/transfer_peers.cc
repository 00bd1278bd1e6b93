// Whom a transfer lets in, and whom it tells of.
#include <algorithm>
#include <utility>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "daemon/engine/places.h"
#include "daemon/engine/transfer.h"

namespace p2p::engine {

bool Transfer::TakePlace(const Link& link) {
  const absl::Time now = MonotonicNow();
  std::vector<SwarmPlace> places;
  links_->ForEachOf(this, [&](Link& other) {
    if (!other.opened || other.dialled || other.surplus) return;
    places.push_back({other.id(), other.origin(), other.io->sent().Rate(now),
                      std::max(other.last_use, other.since)});
  });
  if (places.size() < limits::kMaxAcceptedLinks) return true;
  const absl::optional<LinkId> going = WhoGivesWay(places, link.origin(), now);
  if (!going.has_value()) return false;
  Link* other = links_->Find(*going);
  other->surplus = true;
  other->io->Close("its place is for another network or host, which has fewer");
  return true;
}

void Transfer::OnAccepted(Link& link) {
  if (!TakePlace(link)) {
    link.transfer.reset();
    link.io->Do([peers = KnownPeers(link)](session::PeerSession& s) {
      s.RefuseOpen(503, "it has as many connections as it may", peers);
    });
    return;
  }
  link.opened = true;
  const uint32_t count = content_.layout == nullptr ? 0 : content_.layout->chunk_count();
  link.io->Do([count, tally = content_.Tally()](session::PeerSession& s) {
    s.UseSendTally(tally);
    s.AcceptOpen(count);
  });
  if (fetch_ != nullptr) fetch_->OnAccepted(link);
}

std::vector<Contact> Transfer::Contacts() {
  std::vector<Contact> contacts;
  links_->ForEachOf(this, [&contacts](Link& link) {
    if (link.opened && link.hello.has_value() && !link.surplus) {
      contacts.push_back({link.hello->peer_id, link.listen_address, link.origin()});
    }
  });
  return contacts;
}

std::vector<std::string> Transfer::KnownPeers(const Link& asking) {
  if (!asking.hello.has_value()) return {};
  return exchange_.Answer(Contacts(),
                          {asking.hello->peer_id, asking.listen_address, asking.origin()},
                          fetch_ == nullptr ? nullptr : &fetch_->peers(), MonotonicNow());
}

}  // namespace p2p::engine
