#include "daemon/engine/peer_exchange.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "core/base/limits.h"

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
  absl::flat_hash_set<std::string> seen{asker.address};
  const auto add_some_of = [&](const std::vector<Contact>& contacts) {
    const size_t before = answer.size();
    for (const Contact& contact : contacts) {
      if (contact.peer_id == asker.peer_id || contact.address.empty() ||
          IsOfNoUse(book, contact.address) || !seen.insert(contact.address).second) {
        continue;
      }
      answer.push_back(contact.address);
    }
    std::shuffle(answer.begin() + static_cast<std::ptrdiff_t>(before), answer.end(), random_);
    if (answer.size() > limits::kMaxPeersPerAnswer) answer.resize(limits::kMaxPeersPerAnswer);
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
