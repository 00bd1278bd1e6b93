#include "daemon/swarm/link.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/base/limits.h"

namespace p2p::swarm {
namespace {

// Less than a leaf at a time is a trickle, not a sign of life.
constexpr uint64_t kLifeBytes = limits::kLeafBytes;
// Assumed of a link that was never measured.
constexpr double kUnknownRate = 1 << 20;
// What a link brings in this time is kept asked for where others fetch the same: it covers the way
// there and back behind what others were sent, and little of it has become useless by its turn.
constexpr double kCrowdedSeconds = 0.3;
// More of those that have everything: they then have a choice, and send what they have sent least
// often. What others get meanwhile is withdrawn.
constexpr double kCrowdedCompleteSeconds = 1;
// What was withdrawn from a link because another has it is left to that other for so long.
constexpr absl::Duration kWithdrawnPause = absl::Seconds(2);
// A silent link is taken to slow down by e in this time.
constexpr double kFaithSeconds = 2;

}  // namespace

Link::Link(LinkId link, const LinkTraits& link_traits, uint32_t unit_count, uint32_t unit_bytes)
    : id(link),
      traits(link_traits),
      losses_left(limits::kMaxLostPerChunk * unit_count),
      tellings_left(std::max(limits::kMaxToldPerChunk * unit_count, limits::kMinMaxTold)),
      unit_bytes_(unit_bytes) {}

bool Link::MayBeAsked(uint32_t unit) const {
  return !requests.contains(unit) && !refused.contains(unit);
}

Request& Link::AddRequest(uint32_t unit, uint32_t length, absl::Time now) {
  if (requests.empty()) {
    last_life = now;
    quiet_bytes_ = 0;
    probe_sent_ = now;
    window.OnBusy(now);
  }
  bytes_asked_ += length;
  bytes_in_flight += length;
  Request& request = requests[unit];
  request.length = length;
  request.asked = now;
  request.position = bytes_asked_;
  return request;
}

void Link::EndRequest(uint32_t unit, absl::Time now) {
  const auto it = requests.find(unit);
  assert(it != requests.end());
  const uint64_t length = it->second.length;
  bytes_in_flight -= length;
  bytes_answered_ += length;
  requests.erase(it);
  if (!requests.empty()) return;
  probe_sent_ = absl::InfinitePast();
  window.OnIdle(now);
}

uint64_t Link::WindowBytes(bool crowded) const {
  if (traits.original || snubbed || !proven) return 1;
  if (!crowded) return window.bytes();
  const bool timed = window.round_trip() != absl::InfiniteDuration();
  const double seconds = (complete ? kCrowdedCompleteSeconds : kCrowdedSeconds) +
                         (timed ? 2 * absl::ToDoubleSeconds(window.round_trip()) : 0);
  const auto short_window = static_cast<uint64_t>(window.busy_rate() * seconds);
  const uint64_t least =
      complete ? limits::kMinCrowdedCompleteWindowBytes : limits::kMinCrowdedWindowBytes;
  return std::min(std::max(short_window, std::max(least, (complete ? 8 : 4) * unit_bytes_)),
                  window.bytes());
}

bool Link::HasRoom(bool crowded) const {
  if (OnProbation()) return false;
  if (requests.empty()) return true;
  return bytes_in_flight <= WindowBytes(crowded) / 4 * 3 &&
         requests.size() <= limits::kMaxRequestedChunks / 4 * 3;
}

void Link::OnProgress(ByteCount bytes, absl::Time now) {
  if (probe_sent_ != absl::InfinitePast()) {
    window.OnRoundTrip(now - probe_sent_);
    probe_sent_ = absl::InfinitePast();
  }
  meter.Add(bytes.value(), now);
  window.OnBytes(bytes.value(), now);
  partial_bytes_ += bytes.value();
  quiet_bytes_ += bytes.value();
  if (quiet_bytes_ < kLifeBytes) return;
  quiet_bytes_ = 0;
  last_life = now;
}

void Link::OnUnit(uint32_t unit, absl::Time now) {
  const Request& request = requests.find(unit)->second;
  window.OnRoundTrip(now - request.asked);
  partial_bytes_ -= std::min<uint64_t>(partial_bytes_, request.length);
  last_life = now;
  back_off_ = absl::ZeroDuration();
  back_off_until_ = absl::InfinitePast();
  EndRequest(unit, now);
}

void Link::OnRefused(uint32_t unit, absl::Time now) {
  // Refusals of one burst do not add up; one after the pause does.
  if (now >= back_off_until_) {
    back_off_ =
        std::min(std::max(2 * back_off_, limits::kRejectBackOff), limits::kMaxRejectBackOff);
    back_off_until_ = now + back_off_;
  }
  LeaveAlone(unit, now + back_off_);
}

void Link::OnWithdrawn(uint32_t unit, absl::Time now) { LeaveAlone(unit, now + kWithdrawnPause); }

void Link::LeaveAlone(uint32_t unit, absl::Time until) {
  refused[unit] = until;
  first_expiry = std::min(first_expiry, until);
}

void Link::ForgetRefusals(uint32_t first, uint64_t end) {
  if (refused.empty()) return;
  absl::erase_if(refused, [first, end](const auto& entry) {
    return entry.first >= first && entry.first < end;
  });
}

void Link::ExpireRefusals(absl::Time now) {
  if (now < first_expiry) return;
  absl::erase_if(refused, [now](const auto& entry) { return entry.second <= now; });
  first_expiry = absl::InfiniteFuture();
  for (const auto& entry : refused) first_expiry = std::min(first_expiry, entry.second);
}

absl::Time Link::SnubTime() const {
  if (requests.empty() || snubbed) return absl::InfiniteFuture();
  const absl::Duration expected =
      window.busy_rate() > 0 ? TimeFor(limits::kChunkBytes) : absl::ZeroDuration();
  return last_life +
         std::min(std::max(4 * expected, limits::kSnubTimeout), limits::kMaxSnubTimeout);
}

absl::Duration Link::TimeLeft(const Request& request, absl::Time now) const {
  const double silence = std::max(0.0, absl::ToDoubleSeconds(now - last_life));
  const double rate = AssumedRate() * std::exp(-silence / kFaithSeconds);
  const uint64_t done = bytes_answered_ + partial_bytes_;
  const uint64_t ahead = request.position > done ? request.position - done : 0;
  return absl::Seconds(ahead / rate);
}

absl::Duration Link::TimeFor(uint32_t length) const {
  const bool timed = window.round_trip() != absl::InfiniteDuration();
  return (timed ? window.round_trip() : absl::ZeroDuration()) +
         absl::Seconds(length / AssumedRate());
}

double Link::AssumedRate() const {
  return window.busy_rate() > 0 ? window.busy_rate() : kUnknownRate;
}

}  // namespace p2p::swarm
