#include "daemon/engine/peer_exchange.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "core/base/limits.h"
#include "daemon/engine/fair_share.h"

namespace p2p::engine {
namespace {

constexpr absl::Duration kRememberFor = absl::Hours(1);

bool IsOfNoUse(const PeerBook* book, const std::string& address) {
  if (book == nullptr) return false;
  const auto known = book->all().find(address);
  return known != book->all().end() &&
         (known->second.banned || known->second.self || known->second.unreachable);
}

}  // namespace

std::vector<std::string> PeerExchange::Answer(const std::vector<Contact>& connected,
                                              const Contact& asker, const PeerBook* book,
                                              absl::Time now) {
  if (now >= forget_) remembered_.clear();
  std::vector<std::string> answer;
  FairShare share;
  absl::flat_hash_set<std::string> seen{asker.address};
  const auto add_some_of = [&](const std::vector<Contact>& contacts) {
    std::vector<Contact> may_be_told;
    for (const Contact& contact : contacts) {
      if (contact.peer_id == asker.peer_id || contact.address.empty() ||
          IsOfNoUse(book, contact.address) || !seen.insert(contact.address).second) {
        continue;
      }
      may_be_told.push_back(contact);
    }
    std::shuffle(may_be_told.begin(), may_be_told.end(), random_);
    std::vector<Origin> origins;
    for (const Contact& contact : may_be_told) origins.push_back(contact.origin);
    for (size_t i : share.Next(origins, limits::kMaxPeersPerAnswer - answer.size())) {
      answer.push_back(may_be_told[i].address);
    }
  };
  add_some_of(connected);
  add_some_of(remembered_);
  return answer;
}

void PeerExchange::Remember(std::vector<Contact> connected, absl::Time now) {
  remembered_ = std::move(connected);
  forget_ = now + kRememberFor;
}

}  // namespace p2p::engine
