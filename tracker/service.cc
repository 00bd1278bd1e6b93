#include "tracker/service.h"

#include <vector>

#include "absl/strings/str_cat.h"

namespace p2p::tracker {

absl::optional<wire::WireError> CheckPeerAddress(const wire::PeerAddress& address,
                                                 const wire::IpAddress& source,
                                                 bool trust_addresses) {
  if (const char* why = address.ip.WhyUnusable()) {
    return wire::WireError{403,
                           absl::StrCat("peer_address ", why, "; no peer can be reached there")};
  }
  if (address.ip.IsLoopback() && !source.IsLoopback()) {
    return wire::WireError{403, "peer_address is a loopback address; give one others can reach"};
  }
  if (!trust_addresses && address.ip != source) {
    return wire::WireError{
        403,
        absl::StrCat("peer_address must be the host that you connect from, ", source.ToString())};
  }
  return absl::nullopt;
}

struct Service::Visitor {
  Service* service;
  const wire::IpAddress& source;
  absl::Time now;

  std::string operator()(const wire::HelloRequest&) const {
    return wire::FormatHelloAnswer("p2p-tracker/" P2P_VERSION);
  }
  std::string operator()(const wire::RegisterRequest& request) const;
  std::string operator()(const wire::UnregisterRequest& request) const;
  std::string operator()(const wire::WithdrawRequest& request) const;
  std::string operator()(const wire::LookupRequest& request) const;
  std::string operator()(const wire::FindRequest& request) const;
  std::string operator()(const wire::PeersRequest& request) const;

  absl::optional<std::string> Refuse(const wire::PeerAddress& address) const {
    const auto error = CheckPeerAddress(address, source, service->trust_addresses_);
    if (!error.has_value()) return absl::nullopt;
    return wire::FormatError(error->code, error->text);
  }
};

std::string Service::Visitor::operator()(const wire::RegisterRequest& request) const {
  if (auto refusal = Refuse(request.address)) return *refusal;
  Registry::Outcome outcome;
  absl::Duration ttl;
  {
    absl::MutexLock lock(&service->mutex_);
    outcome = service->registry_.Register(request.name, request.size, request.content_id,
                                          request.partial, request.address, now);
    ttl = service->registry_.options().ttl;
  }
  switch (outcome) {
    case Registry::Outcome::kRegistered:
      return wire::FormatOk(static_cast<uint64_t>(absl::ToInt64Seconds(ttl)));
    case Registry::Outcome::kQuota:
      return wire::FormatError(
          429, "this address has as many registrations as it may; unregister some first");
    case Registry::Outcome::kFull:
      break;
  }
  return wire::FormatError(503, "the tracker is full; try again later or use another one");
}

std::string Service::Visitor::operator()(const wire::UnregisterRequest& request) const {
  if (auto refusal = Refuse(request.address)) return *refusal;
  absl::MutexLock lock(&service->mutex_);
  return wire::FormatOk(service->registry_.Unregister(request.address, now));
}

std::string Service::Visitor::operator()(const wire::WithdrawRequest& request) const {
  if (auto refusal = Refuse(request.address)) return *refusal;
  absl::MutexLock lock(&service->mutex_);
  return wire::FormatOk(service->registry_.Withdraw(request.content_id, request.address, now));
}

std::string Service::Visitor::operator()(const wire::LookupRequest& request) const {
  absl::optional<wire::PeerList> found;
  {
    absl::MutexLock lock(&service->mutex_);
    found = service->registry_.Lookup(request.name, source, now);
  }
  if (!found.has_value()) return wire::FormatError(404, "no peer shares a file of this name");
  return wire::FormatPeerList(*found);
}

std::string Service::Visitor::operator()(const wire::FindRequest& request) const {
  std::vector<wire::FoundVersion> found;
  {
    absl::MutexLock lock(&service->mutex_);
    found = service->registry_.Find(request.name, source, now);
  }
  return wire::FormatFound(found);
}

std::string Service::Visitor::operator()(const wire::PeersRequest& request) const {
  absl::optional<wire::PeerList> found;
  {
    absl::MutexLock lock(&service->mutex_);
    found = service->registry_.Peers(request.content_id, source, now);
  }
  if (!found.has_value()) return wire::FormatError(404, "no peer shares this content");
  return wire::FormatPeerList(*found);
}

Service::Service(const RegistryOptions& options, bool trust_addresses)
    : trust_addresses_(trust_addresses), registry_(options) {}

std::string Service::Answer(const wire::TrackerRequest& request, const wire::IpAddress& source,
                            absl::Time now) {
  return absl::visit(Visitor{this, source, now}, request);
}

void Service::Expire(absl::Time now) {
  absl::MutexLock lock(&mutex_);
  registry_.Expire(now);
}

size_t Service::registration_count() const {
  absl::MutexLock lock(&mutex_);
  return registry_.registration_count();
}

}  // namespace p2p::tracker
