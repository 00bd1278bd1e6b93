#include "core/net/admission.h"

#include <algorithm>

#include "core/base/limits.h"

namespace p2p::net {
namespace {

// A source that rested this long has its whole bucket again: nothing is lost by forgetting it.
constexpr absl::Duration kSweepInterval = absl::Seconds(1);

}  // namespace

ListenerOptions::ListenerOptions()
    : max_connections_per_address(limits::kMaxConnectionsPerAddress),
      max_new_connections_per_second(limits::kMaxNewConnectionsPerSecond),
      max_connections(limits::kMaxConnections) {}

std::shared_ptr<AdmissionControl> AdmissionControl::Create(const ListenerOptions& options) {
  return std::shared_ptr<AdmissionControl>(new AdmissionControl(options));
}

AdmissionControl::Counts AdmissionControl::CountsOf(const asio::ip::address& address) {
  const IpBytes ip = BytesOf(address);
  Counts counts = {{HostOf(ip), 1}};
  if (NetworkOf(ip) != SiteOf(ip)) counts.push_back({SiteOf(ip), limits::kAddressesPerSite});
  return counts;
}

void AdmissionControl::Refill(const Counted& counted, Source& source, absl::Time now) const {
  const double rate = counted.share * static_cast<double>(options_.max_new_connections_per_second);
  const double earned = rate * absl::ToDoubleSeconds(now - source.filled_at);
  source.allowed = std::min(rate, source.allowed + earned);
  source.filled_at = now;
}

void AdmissionControl::ForgetIdle(absl::Time now) {
  if (now - swept_at_ < kSweepInterval) return;
  swept_at_ = now;
  absl::erase_if(sources_, [now](const auto& entry) {
    return entry.second.connections == 0 && now - entry.second.filled_at >= kSweepInterval;
  });
}

bool AdmissionControl::MayAdmit(const Counted& counted, absl::Time now) {
  Source& source = sources_[counted.source];
  Refill(counted, source, now);
  return source.connections < counted.share * int64_t{options_.max_connections_per_address} &&
         source.allowed >= 1;
}

Admission AdmissionControl::TryAdmit(const asio::ip::address& from, absl::Time now) {
  const Counts counts = CountsOf(from);
  {
    absl::MutexLock lock(&mutex_);
    ForgetIdle(now);
    bool may = connections_ < options_.max_connections;
    for (const Counted& counted : counts) may = MayAdmit(counted, now) && may;
    if (!may) {
      ++refused_;
      return nullptr;
    }
    for (const Counted& counted : counts) {
      Source& source = sources_[counted.source];
      source.allowed -= 1;
      ++source.connections;
    }
    ++connections_;
  }
  // The pointer only has to be set; what counts is what its end does.
  return Admission(this, [self = shared_from_this(), counts](void*) { self->Release(counts); });
}

void AdmissionControl::Release(const Counts& counts) {
  absl::MutexLock lock(&mutex_);
  --connections_;
  for (const Counted& counted : counts) --sources_[counted.source].connections;
}

void AdmissionControl::SetOptions(const ListenerOptions& options) {
  absl::MutexLock lock(&mutex_);
  options_ = options;
}

uint64_t AdmissionControl::refused() const {
  absl::MutexLock lock(&mutex_);
  return refused_;
}

size_t AdmissionControl::remembered_addresses() const {
  absl::MutexLock lock(&mutex_);
  return sources_.size();
}

}  // namespace p2p::net
