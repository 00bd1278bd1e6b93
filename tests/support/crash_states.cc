#include "tests/support/crash_states.h"

#include <random>
#include <set>
#include <utility>

namespace p2p::testing_support {
namespace {

constexpr size_t kMostForAllSubsets = 10;

class States {
 public:
  States(const std::vector<uint32_t>& sectors, uint32_t most) : sectors_(sectors), most_(most) {
    const size_t count = sectors.size();
    Add(std::vector<Fate>(count, kLost));
    Add(std::vector<Fate>(count, kReached));
    for (size_t i = 0; i < count; ++i) Add(With(kReached, i, kLost));
    for (size_t i = 0; i < count; ++i) Add(With(kLost, i, kReached));
    for (size_t i = count; i-- > 0;) {
      for (const Fate tear : TearsOf(sectors[i])) {
        Add(With(kReached, i, tear));
        Add(With(kLost, i, tear));
      }
    }
    if (count <= kMostForAllSubsets) AddSubsets();
    std::mt19937 random(static_cast<uint32_t>(count));
    // Few changes have fewer states than one may ask for.
    for (uint32_t tries = 0; count > 1 && tries < most_; ++tries) AddRandom(&random);
  }

  const std::vector<std::vector<Fate>>& all() const { return states_; }

 private:
  // Of small writes every first and last part, of large ones some.
  static std::vector<Fate> TearsOf(uint32_t sectors) {
    std::vector<Fate> tears;
    const uint32_t step = sectors <= 10 ? 1 : sectors / 4;
    for (uint32_t at = 1; at < sectors; at += step) {
      tears.push_back({0, at});
      tears.push_back({at, sectors});
    }
    return tears;
  }
  std::vector<Fate> With(Fate others, size_t at, Fate fate) const {
    std::vector<Fate> fates(sectors_.size(), others);
    fates[at] = fate;
    return fates;
  }
  void AddSubsets() {
    for (uint32_t subset = 0; subset < 1u << sectors_.size(); ++subset) {
      std::vector<Fate> fates;
      for (size_t i = 0; i < sectors_.size(); ++i)
        fates.push_back((subset >> i & 1) != 0 ? kReached : kLost);
      Add(std::move(fates));
    }
  }
  void AddRandom(std::mt19937* random) {
    std::vector<Fate> fates;
    for (const uint32_t sectors : sectors_) {
      const auto draw = static_cast<uint32_t>((*random)() % 4);
      const auto from = static_cast<uint32_t>((*random)() % sectors);
      const auto more = static_cast<uint32_t>((*random)() % (sectors - from));
      fates.push_back(draw == 0 ? kLost : draw == 1 ? Fate{from, from + 1 + more} : kReached);
    }
    Add(std::move(fates));
  }
  void Add(std::vector<Fate> fates) {
    if (states_.size() < most_ && seen_.insert(fates).second) states_.push_back(std::move(fates));
  }

  const std::vector<uint32_t>& sectors_;
  const uint32_t most_;
  std::vector<std::vector<Fate>> states_;
  std::set<std::vector<Fate>> seen_;
};

}  // namespace

std::vector<std::vector<Fate>> CrashStates(const std::vector<uint32_t>& unsynced, uint32_t most) {
  return States(unsynced, most).all();
}

}  // namespace p2p::testing_support
