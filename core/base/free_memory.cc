#include "core/base/free_memory.h"

#include <cstddef>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace p2p {
namespace {

// Less is soon used again.
[[maybe_unused]] constexpr size_t kWorthGivingBytes = 1 << 20;

}  // namespace

void KeepFreeMemoryTogether() {
#ifdef __GLIBC__
  mallopt(M_ARENA_MAX, 1);
#endif
}

void GiveFreeMemoryBack() {
#ifdef __GLIBC__
  // Other allocators do it by themselves.
  if (mallinfo2().fordblks >= kWorthGivingBytes) malloc_trim(0);
#endif
}

}  // namespace p2p
