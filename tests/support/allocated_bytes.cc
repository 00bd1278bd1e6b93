#include "tests/support/allocated_bytes.h"

#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define P2P_HAS_MALLOC_HOOK 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define P2P_HAS_MALLOC_HOOK 1
#endif
#endif

namespace {

thread_local size_t allocated_bytes = 0;

}  // namespace

#ifdef P2P_HAS_MALLOC_HOOK

// The sanitizer has an operator new of its own, and calls this.
extern "C" void __sanitizer_malloc_hook(const volatile void*, size_t size) {
  allocated_bytes += size;
}

#else

void* operator new(size_t size) {
  allocated_bytes += size;
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

#endif

namespace p2p::testing_support {

size_t AllocatedBytes() { return allocated_bytes; }

}  // namespace p2p::testing_support
