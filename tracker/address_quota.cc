#include "tracker/address_quota.h"

namespace p2p::tracker {

size_t AddressQuota::Hash::operator()(const wire::IpAddress& ip) const {
  return static_cast<size_t>(KeyedHash(
      key, absl::string_view(reinterpret_cast<const char*>(ip.bytes.data()), ip.bytes.size())));
}

AddressQuota::AddressQuota(const HashKey& key) : hash_{key} {
  for (Part& part : parts_) {
    absl::MutexLock lock(&part.mutex);
    part.counts = decltype(part.counts)(0, hash_);
  }
}

// By other bits of the hash than the table in it looks at first.
AddressQuota::Part& AddressQuota::PartOf(const wire::IpAddress& ip) {
  return parts_[uint64_t{hash_(ip)} >> 60];
}

bool AddressQuota::TryTake(const wire::IpAddress& ip, int max) {
  Part& part = PartOf(ip);
  absl::MutexLock lock(&part.mutex);
  const auto count = part.counts.try_emplace(ip, 0).first;
  if (count->second < max) {
    ++count->second;
    return true;
  }
  if (count->second == 0) part.counts.erase(count);
  return false;
}

void AddressQuota::GiveBack(const wire::IpAddress& ip) {
  Part& part = PartOf(ip);
  absl::MutexLock lock(&part.mutex);
  const auto count = part.counts.find(ip);
  if (--count->second > 0) return;
  part.counts.erase(count);
  // After many hosts have gone, their places in the table go too.
  if (part.counts.size() < part.counts.capacity() / 8) part.counts.rehash(0);
}

size_t AddressQuota::host_count() const {
  size_t hosts = 0;
  for (const Part& part : parts_) {
    absl::MutexLock lock(&part.mutex);
    hosts += part.counts.size();
  }
  return hosts;
}

}  // namespace p2p::tracker
