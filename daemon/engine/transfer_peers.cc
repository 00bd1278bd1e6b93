// Whom a transfer lets in, and whom it tells of.
#include <utility>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "daemon/engine/transfer.h"

namespace p2p::engine {

void Transfer::OnAccepted(Link& link) {
  int accepted = 0;
  int of_this_peer = 0;
  links_->ForEachOf(this, [&](Link& other) {
    if (!other.opened || other.dialled) return;
    ++accepted;
    of_this_peer += link.hello.has_value() && other.hello.has_value() &&
                    other.hello->peer_id == link.hello->peer_id;
  });
  // One may be dead, and this one come in its place.
  const bool is_further = of_this_peer > 1;
  if (accepted >= (is_further ? limits::kMaxAcceptedLinks / 2 : limits::kMaxAcceptedLinks)) {
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
      contacts.push_back({link.hello->peer_id, link.listen_address});
    }
  });
  return contacts;
}

std::vector<std::string> Transfer::KnownPeers(const Link& asking) {
  if (!asking.hello.has_value()) return {};
  return exchange_.Answer(Contacts(), {asking.hello->peer_id, asking.listen_address},
                          fetch_ == nullptr ? nullptr : &fetch_->peers(), MonotonicNow());
}

}  // namespace p2p::engine
