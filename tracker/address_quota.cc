#include "tracker/address_quota.h"

#include "core/base/limits.h"
#include "core/net/address.h"

namespace p2p::tracker {
namespace {

// After many have gone, their places in the table go too.
template <typename Map>
void EraseFrom(Map* map, typename Map::iterator entry) {
  map->erase(entry);
  if (map->size() < map->capacity() / 8) map->rehash(0);
}

}  // namespace

size_t AddressQuota::Hash::operator()(uint64_t host_or_site) const {
  return static_cast<size_t>(KeyedHash(
      key, absl::string_view(reinterpret_cast<const char*>(&host_or_site), sizeof host_or_site)));
}

AddressQuota::AddressQuota(const HashKey& key) : hash_{key} {
  for (Part& part : parts_) {
    absl::MutexLock lock(&part.mutex);
    part.sites = decltype(part.sites)(0, hash_);
    part.hosts = decltype(part.hosts)(0, hash_);
  }
}

// By other bits of the hash than the tables in it look at first.
AddressQuota::Part& AddressQuota::PartOf(uint64_t site) {
  return parts_[uint64_t{hash_(site)} >> 60];
}

bool AddressQuota::TryTake(const wire::IpAddress& ip, int max, size_t bytes,
                           size_t max_site_bytes) {
  const uint64_t site = net::SiteOf(ip.bytes);
  Part& part = PartOf(site);
  absl::MutexLock lock(&part.mutex);
  const auto of_site = part.sites.try_emplace(site).first;
  const auto of_host = part.hosts.try_emplace(net::HostOf(ip.bytes), 0).first;
  const int64_t site_max = ip.IsV4() ? INT64_MAX : int64_t{max} * limits::kAddressesPerSite;
  if (of_host->second < max && of_site->second.registrations < site_max &&
      bytes <= max_site_bytes && of_site->second.bytes <= max_site_bytes - bytes) {
    ++of_host->second;
    ++of_site->second.registrations;
    of_site->second.bytes += bytes;
    return true;
  }
  if (of_host->second == 0) part.hosts.erase(of_host);
  if (of_site->second.registrations == 0) part.sites.erase(of_site);
  return false;
}

void AddressQuota::GiveBack(const wire::IpAddress& ip, size_t bytes) {
  const uint64_t site = net::SiteOf(ip.bytes);
  Part& part = PartOf(site);
  absl::MutexLock lock(&part.mutex);
  const auto of_host = part.hosts.find(net::HostOf(ip.bytes));
  if (--of_host->second == 0) EraseFrom(&part.hosts, of_host);
  const auto of_site = part.sites.find(site);
  of_site->second.bytes -= bytes;
  if (--of_site->second.registrations == 0) EraseFrom(&part.sites, of_site);
}

size_t AddressQuota::host_count() const {
  size_t hosts = 0;
  for (const Part& part : parts_) {
    absl::MutexLock lock(&part.mutex);
    hosts += part.hosts.size();
  }
  return hosts;
}

}  // namespace p2p::tracker
