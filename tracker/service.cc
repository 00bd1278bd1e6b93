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
  std::string* out;

  void operator()(const wire::HelloRequest&) const {}
  void operator()(const wire::RegisterRequest& request) const;
  void operator()(const wire::UnregisterRequest& request) const {
    if (Refuse(request.address)) return;
    wire::AppendOk(service->registry_.Unregister(request.address, now), out);
    // Others may know of more than was known here.
    if (service->listener_ != nullptr) service->listener_->OnUnregistered(request.address, now);
  }
  void operator()(const wire::WithdrawRequest& request) const;
  void operator()(const wire::RenewRequest& request) const;
  void operator()(const wire::LookupRequest& request) const {
    const auto found = service->registry_.Lookup(request.name, source, now);
    if (found.has_value()) return wire::AppendPeerList(*found, out);
    Error(404, "no peer shares a file of this name");
  }
  void operator()(const wire::FindRequest& request) const {
    out->append(wire::FormatFound(service->registry_.Find(request.name, source, now)));
  }
  void operator()(const wire::PeersRequest& request) const {
    const auto found = service->registry_.Peers(request.content_id, source, now);
    std::vector<wire::FoundVersion> versions;
    if (found.has_value()) versions.push_back({request.content_id, *found});
    out->append(wire::FormatFound(versions));
  }

  void operator()(const wire::StatsRequest&) const {
    if (!source.IsLoopback() && !service->public_stats_) {
      return Error(403, "STATS is answered on the tracker's own host only");
    }
    out->append(wire::FormatStats(service->figures_ ? service->figures_() : wire::Figures()));
  }

  void Error(int code, absl::string_view text) const { out->append(wire::FormatError(code, text)); }
  // True when it did.
  bool Refuse(const wire::PeerAddress& address) const {
    const auto error = CheckPeerAddress(address, source, service->trust_addresses_);
    if (error.has_value()) Error(error->code, error->text);
    return error.has_value();
  }
  void AnswerTtl() const {
    const absl::Duration ttl = service->registry_.options().ttl;
    wire::AppendOk(static_cast<uint64_t>(absl::ToInt64Seconds(ttl)), out);
  }
};

void Service::Visitor::operator()(const wire::RegisterRequest& request) const {
  if (Refuse(request.address)) return;
  const Registry::Outcome outcome = service->registry_.Register(
      request.name, request.size, request.content_id, request.partial, request.address, now);
  switch (outcome) {
    case Registry::Outcome::kRegistered:
      if (service->listener_ != nullptr) {
        service->listener_->OnChanged({request.name, request.content_id, request.address});
      }
      return AnswerTtl();
    case Registry::Outcome::kQuota:
      return Error(429,
                   "this address, or its network, has as many registrations as it may; unregister "
                   "some first");
    case Registry::Outcome::kFull:
      return Error(503, "the tracker is full; try again later or use another one");
  }
}

void Service::Visitor::operator()(const wire::WithdrawRequest& request) const {
  if (Refuse(request.address)) return;
  const size_t removed = service->registry_.Withdraw(
      request.content_id, request.address, now, [&](absl::string_view name) {
        if (service->listener_ == nullptr) return;
        service->listener_->OnChanged({name, request.content_id, request.address});
      });
  wire::AppendOk(removed, out);
}

void Service::Visitor::operator()(const wire::RenewRequest& request) const {
  if (Refuse(request.address)) return;
  if (!service->registry_.Renew(request.address, request.count, now)) {
    return Error(404, "this address has another number of registrations; announce them again");
  }
  if (service->listener_ != nullptr) {
    service->listener_->OnRenewed(request.address, now + service->registry_.options().ttl);
  }
  AnswerTtl();
}

Service::Service(const RegistryOptions& options, bool trust_addresses)
    : trust_addresses_(trust_addresses), registry_(options) {}

void Service::Answer(const wire::TrackerRequest& request, const wire::IpAddress& source,
                     absl::Time now, std::string* out) {
  absl::visit(Visitor{this, source, now, out}, request);
}

}  // namespace p2p::tracker
