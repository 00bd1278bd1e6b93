// Answers requests out of the registry, and judges who may register what. Owned by the server;
// every call is thread-safe. Knows neither sockets nor lines.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "core/wire/error_line.h"
#include "core/wire/peer_address.h"
#include "core/wire/tracker_messages.h"
#include "tracker/change_listener.h"
#include "tracker/registry.h"

namespace p2p::tracker {

// Whether a connection from `source` may register or remove `address`: only its own host, unless
// given addresses are trusted; never one that no peer can be reached at, and loopback only for who
// comes over loopback.
absl::optional<wire::WireError> CheckPeerAddress(const wire::PeerAddress& address,
                                                 const wire::IpAddress& source,
                                                 bool trust_addresses);

class Service {
 public:
  Service(const RegistryOptions& options, bool trust_addresses);

  // For requests from now on.
  void SetTrustAddresses(bool trust) { trust_addresses_ = trust; }
  // STATS is answered with what `figures` tells, to loopback, or to everybody. Before any request.
  void SetFigures(std::function<wire::Figures()> figures) { figures_ = std::move(figures); }
  void SetPublicStats(bool is_public) { public_stats_ = is_public; }
  // Is told of what requests change. Before any request; may be null.
  void SetChangeListener(ChangeListener* listener) { listener_ = listener; }

  // Appends the whole answer: one line, and for FIND and PEERS its payload. HELLO is the
  // conversation's.
  void Answer(const wire::TrackerRequest& request, const wire::IpAddress& source, absl::Time now,
              std::string* out);
  Registry& registry() { return registry_; }
  const Registry& registry() const { return registry_; }

 private:
  struct Visitor;

  std::atomic<bool> trust_addresses_;
  std::atomic<bool> public_stats_{false};
  std::function<wire::Figures()> figures_;
  ChangeListener* listener_ = nullptr;
  Registry registry_;
};

}  // namespace p2p::tracker
