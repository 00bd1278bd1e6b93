#include "core/net/fair_turns.h"

#include <algorithm>

namespace p2p::net {

void FairTurns::SetHad(uint64_t whose, One* one, absl::Duration had) {
  by_had_.erase({one->had, whose});
  one->had = had;
  by_had_.insert({had, whose});
}

void FairTurns::Add(uint64_t whose, std::function<void()> turn) {
  One& one = all_[whose];
  if (one.waiting.empty()) SetHad(whose, &one, std::max(one.had, least_));
  one.waiting.push_back(std::move(turn));
  if (++waiting_ == 1) post_([this] { Run(); });
}

void FairTurns::Clear() {
  by_had_.clear();
  waiting_ = 0;
  // Whatever goes with them finds nothing that is half done.
  const auto gone = std::exchange(all_, {});
}

// Who had no more than whoever is next would come back as a newcomer.
void FairTurns::ForgetIdle() {
  while (!by_had_.empty()) {
    const uint64_t whose = by_had_.begin()->second;
    if (!all_.at(whose).waiting.empty()) return;
    by_had_.erase(by_had_.begin());
    all_.erase(whose);
  }
}

void FairTurns::Run() {
  ForgetIdle();
  const uint64_t whose = by_had_.begin()->second;
  std::function<void()> turn = std::move(all_.at(whose).waiting.front());
  least_ = all_.at(whose).had;
  const absl::Time begin = now_();
  turn();
  turn = nullptr;
  One& one = all_.at(whose);
  one.waiting.pop_front();
  SetHad(whose, &one, one.had + (now_() - begin));
  if (--waiting_ > 0) post_([this] { Run(); });
}

}  // namespace p2p::net
