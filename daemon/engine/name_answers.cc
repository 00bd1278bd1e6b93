#include "daemon/engine/name_answers.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/text.h"

namespace p2p::engine {
namespace {

// For the other trackers, once one knew the name. Peers that only they know are found later;
// another content of the same name must be known now, so that who answers first does not choose it.
constexpr absl::Duration kPatienceWithOthers = absl::Seconds(3);

}  // namespace

size_t NameAnswer::Version::CountPeers() const {
  size_t count = 0;
  for (const ToldPeers& told : peers) count += told.addresses.size();
  return count;
}

NameAnswers::NameAnswers(net::EventLoop* engine_loop, int asked, NameAnswer so_far,
                         std::function<void(NameAnswer)> ready)
    : timer_(engine_loop), open_(asked), answer_(std::move(so_far)), ready_(std::move(ready)) {}

void NameAnswers::OnAnswer(const std::string& tracker, const std::string& tracker_problem,
                           const Teller& teller, const session::TrackerEvent* event) {
  if (ready_ == nullptr) return;
  if (event == nullptr) {
    answer_.problem = absl::StrCat("tracker ", tracker, " is not reached: ", tracker_problem);
  } else if (const auto* found = absl::get_if<session::NameFound>(event)) {
    ++answer_.answered;
    Merge(teller, *found);
  } else if (const auto* refused = absl::get_if<session::TrackerRefused>(event)) {
    if (refused->code == 404) {
      ++answer_.answered;
    } else {
      answer_.problem =
          absl::StrCat("tracker ", tracker,
                       refused->code == 0 ? ": " : " refused: ", Printable(refused->reason));
    }
  }
  if (--open_ == 0) return Finish();
  if (answer_.known() && timer_.due() == absl::InfiniteFuture()) {
    timer_.Arm(MonotonicNow() + kPatienceWithOthers, [this] { Finish(); });
  }
}

void NameAnswers::Merge(const Teller& teller, const session::NameFound& found) {
  for (const auto& version : found.versions) {
    auto known = std::find_if(answer_.versions.begin(), answer_.versions.end(),
                              [&](const auto& v) { return v.content_id == version.content_id; });
    if (known == answer_.versions.end()) {
      answer_.versions.push_back({version.content_id, version.total_bytes, {}});
      known = std::prev(answer_.versions.end());
    }
    known->peers.push_back({teller, version.peers});
  }
  if (found.originals.has_value() && !found.originals->peers.empty()) {
    answer_.originals.push_back({found.originals->total_bytes, {teller, found.originals->peers}});
  }
}

void NameAnswers::Finish() {
  timer_.Disarm();
  std::exchange(ready_, nullptr)(std::move(answer_));
}

}  // namespace p2p::engine
