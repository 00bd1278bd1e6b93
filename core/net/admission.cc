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

AdmissionControl::Key AdmissionControl::KeyOf(const asio::ip::address& address) {
  if (address.is_v6()) return address.to_v6().to_bytes();
  return asio::ip::make_address_v6(asio::ip::v4_mapped, address.to_v4()).to_bytes();
}

void AdmissionControl::Refill(Source& source, absl::Time now) const {
  const double rate = options_.max_new_connections_per_second;
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

Admission AdmissionControl::TryAdmit(const asio::ip::address& from, absl::Time now) {
  const Key key = KeyOf(from);
  {
    absl::MutexLock lock(&mutex_);
    ForgetIdle(now);
    Source& source = sources_[key];
    Refill(source, now);
    if (connections_ >= options_.max_connections ||
        source.connections >= options_.max_connections_per_address || source.allowed < 1) {
      ++refused_;
      return nullptr;
    }
    source.allowed -= 1;
    ++source.connections;
    ++connections_;
  }
  // The pointer only has to be set; what counts is what its end does.
  return Admission(this, [self = shared_from_this(), key](void*) { self->Release(key); });
}

void AdmissionControl::Release(const Key& key) {
  absl::MutexLock lock(&mutex_);
  --connections_;
  --sources_[key].connections;
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
