// Counts what operator new hands out, in programs that this is linked into.
#pragma once

#include <cstddef>

namespace p2p::testing_support {

// Bytes that this thread was given so far: what is given back is not taken off.
size_t AllocatedBytes();

template <typename Work>
size_t BytesAllocatedBy(Work work) {
  const size_t before = AllocatedBytes();
  work();
  return AllocatedBytes() - before;
}

}  // namespace p2p::testing_support
