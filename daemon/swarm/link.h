// What a swarm knows of one link: what the peer has, what is asked of it, how fast it is. Owned by
// the swarm.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "core/base/sparse_bitmap.h"
#include "daemon/swarm/request_window.h"
#include "daemon/swarm/swarm.h"

namespace p2p::swarm {

// A unit asked for and not yet answered.
struct Request {
  uint32_t length = 0;
  absl::Time asked;
  // Link::bytes_asked when it was asked, itself included: answers come in about the order of the
  // questions.
  uint64_t position = 0;
  // Asked for with its whole chunk.
  bool whole_chunk = false;
  // Not awaited any more: the answer may still be the unit.
  bool cancelled = false;
  // Cancelled because another link may be asked, once this one has let go of it.
  bool withdrawn = false;
};

// How often what the links of one origin have has changed. Forgotten evenly, when a link is added.
struct Changes {
  double count = 0;  // in units
  absl::Time updated = absl::InfinitePast();
};

class Link {
 public:
  Link(LinkId link, const LinkTraits& link_traits, uint32_t unit_count, uint32_t unit_bytes);

  // --- What the peer has ---
  bool Has(uint32_t unit) const { return complete || (has != nullptr && has->Has(unit)); }
  // May be asked for: not asked already, and not refused a moment ago.
  bool MayBeAsked(uint32_t unit) const;

  // --- What is asked of it ---
  Request& AddRequest(uint32_t unit, uint32_t length, absl::Time now);
  // It was answered, or does not count any more.
  void EndRequest(uint32_t unit, absl::Time now);
  // How many bytes may be asked for in all; 1 means a single unit. `crowded`: others fetch the same
  // content, so what waits here may soon be had elsewhere; then the window is short.
  uint64_t WindowBytes(bool crowded) const;
  bool OnProbation() const { return !proven && checking > 0; }
  // Whether enough of the window is free to ask again. Waiting for a quarter of it makes few large
  // requests.
  bool HasRoom(bool crowded) const;

  // --- How it does ---
  void OnProgress(ByteCount bytes, absl::Time now);
  // The unit came; ends its request.
  void OnUnit(uint32_t unit, absl::Time now);
  void OnRefused(uint32_t unit, absl::Time now);
  // It let go of what was withdrawn, which is not asked of it again at once.
  void OnWithdrawn(uint32_t unit, absl::Time now);
  // The peer has it now after all.
  void ForgetRefusals(uint32_t first, uint64_t end);
  void ExpireRefusals(absl::Time now);
  // When the link counts as snubbed unless something comes; InfiniteFuture when nothing is awaited.
  absl::Time SnubTime() const;
  // From `now` until the request is answered; InfiniteDuration when the link moves nothing.
  absl::Duration TimeLeft(const Request& request, absl::Time now) const;
  // How long `length` bytes would take if they were asked for now, with nothing else asked.
  absl::Duration TimeFor(uint32_t length) const;

  const LinkId id;
  const LinkTraits traits;
  // Nothing is asked of it and nothing that it says counts: it was told to close, or is only
  // served.
  bool dropped = false;

  // Has everything; `has` is then empty.
  bool complete = false;
  std::unique_ptr<SparseBitmap> has;
  // Of a link that is not complete: units it has that may be asked for, and that are not here yet.
  uint32_t pickable = 0;
  uint32_t useful = 0;
  // Of its origin; owned by the swarm, nullptr when it has none.
  Changes* changes = nullptr;
  // Withdrawals that are still put up with.
  uint64_t losses_left;
  // What it may still tell of what it has.
  uint64_t tellings_left;

  absl::flat_hash_map<uint32_t, Request> requests;  // by unit
  uint64_t bytes_in_flight = 0;
  // A unit of this peer was good. Until then one unit is asked of it, and no other before that one
  // is checked: a liar costs one unit.
  bool proven = false;
  // An accepted one was good before another link of its host did wrong.
  bool was_proven = false;
  // Units of this link that are being checked.
  uint32_t checking = 0;
  bool snubbed = false;
  // A sign of life, or the first request after a pause.
  absl::Time last_life = absl::InfinitePast();
  RequestWindow window;
  RateMeter meter;

  // Where the run of units that it is asked for goes on, and for how many bytes.
  uint32_t run_next = 0;
  uint64_t run_bytes_left = 0;
  // When to look again for what waits at other links and could be had of this one.
  absl::Time next_relief = absl::InfinitePast();

  // Unit -> when it may be asked for again.
  absl::flat_hash_map<uint32_t, absl::Time> refused;
  absl::Time first_expiry = absl::InfiniteFuture();

 private:
  // Bytes a second.
  double AssumedRate() const;
  void LeaveAlone(uint32_t unit, absl::Time until);

  const uint64_t unit_bytes_;
  uint64_t bytes_asked_ = 0;
  uint64_t bytes_answered_ = 0;
  // Payload since the last answer: the part of the next one that is here.
  uint64_t partial_bytes_ = 0;
  // Payload since the last sign of life.
  uint64_t quiet_bytes_ = 0;
  // A request was sent while nothing else was asked, and its first byte has not come.
  absl::Time probe_sent_ = absl::InfinitePast();
  // How long a unit refused now is left alone, and when that grows.
  absl::Duration back_off_ = absl::ZeroDuration();
  absl::Time back_off_until_ = absl::InfinitePast();
};

}  // namespace p2p::swarm
