#include "tracker/random_choice.h"

#include <algorithm>
#include <array>

namespace p2p::tracker {
namespace {

// Below this, all numbers are mixed; above, few of those drawn at random come twice.
constexpr size_t kMixed = 4 * limits::kMaxPeersPerAnswer;

}  // namespace

RandomNumberList RandomNumbers(size_t count, size_t size, absl::InsecureBitGen* random) {
  RandomNumberList drawn;
  count = std::min(count, size);
  if (size <= kMixed) {
    std::array<uint32_t, kMixed> numbers;
    for (size_t i = 0; i < size; ++i) numbers[i] = static_cast<uint32_t>(i);
    for (size_t i = 0; i < count; ++i) {
      std::swap(numbers[i], numbers[i + RandomBelow(size - i, random)]);
      drawn.push_back(numbers[i]);
    }
    return drawn;
  }
  while (drawn.size() < count) {
    const uint32_t number = RandomBelow(size, random);
    if (std::find(drawn.begin(), drawn.end(), number) == drawn.end()) drawn.push_back(number);
  }
  return drawn;
}

}  // namespace p2p::tracker
