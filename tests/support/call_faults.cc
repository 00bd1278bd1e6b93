// Preloaded into a program, fails, shortens or delays its calls of libc, as a control file says
// that a test maps, too
// ($P2P_CALL_FAULTS; p2p_call_faults.py writes and reads it). It counts the calls of each kind and
// of each call site. It can also set the program's clock of the day, which the monotonic clock does
// not follow.
//
// The hooks have names of their own and take the real ones as assembler names: libc's declarations
// differ between versions.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" void* __libc_malloc(size_t size);
extern "C" void* __libc_calloc(size_t count, size_t size);
extern "C" void* __libc_realloc(void* old, size_t size);
extern "C" void* __libc_memalign(size_t alignment, size_t size);

namespace {

enum Kind {
#define P2P_CALL(name) kKind_##name,
#include "call_kinds.def"
#undef P2P_CALL
  kKinds
};
static_assert(kKinds <= 64, "a bit each");

// Whose code calls. What a test does not name is left alone.
enum Module { kProgram = 0, kSqlite = 1, kRuntime = 2, kOther = 3 };

constexpr size_t kSites = 4096;
constexpr size_t kPrefixBytes = 512;

struct Site {
  std::atomic<uint64_t> key;  // kind, module and offset in it; 0: free
  std::atomic<uint32_t> calls;
  std::atomic<uint32_t> faults;
};

// The control file. p2p_call_faults.py knows the places of its members.
struct Control {
  std::atomic<uint32_t> armed;  // 0: everything is as it is; a delay ends when it changes
  uint32_t modules;             // a bit for each Module whose calls are meant
  uint64_t kinds;               // a bit for each Kind that is meant
  uint64_t site;                // the only call site that is meant; 0: all
  uint64_t first;               // of the calls of a kind that are meant, from this one on, from 1
  uint64_t last;                // up to this one
  int32_t error;                // errno; 0: the call is made
  uint32_t make_short;          // with half of what was asked for
  uint32_t delay_ms;
  std::atomic<uint32_t> delayed;  // calls that wait now
  int64_t clock_offset_seconds;
  std::atomic<uint64_t> injected;  // faults
  std::atomic<uint64_t> last_site;
  uint64_t then_site;  // after a fault, the first call of this site fails as well; 0: none
  int32_t then_error;
  uint32_t then_make_short;
  std::atomic<uint32_t> then_done;
  uint32_t unused;
  char prefix[kPrefixBytes];  // only calls for files beneath this directory; "": all
  std::atomic<uint64_t> calls[64];
  std::atomic<uint64_t> meant[64];
  Site sites[kSites];
};
static_assert(sizeof(Control) == 104 + kPrefixBytes + 2 * 64 * 8 + kSites * 16, "as Python has it");

struct Range {
  uintptr_t base = 0, begin = 0, end = 0;
};

Control* control = nullptr;
Range ranges[3];  // by Module, without kOther

int FindModules(dl_phdr_info* info, size_t, void*) {
  Module module = kOther;
  if (info->dlpi_name[0] == '\0' && ranges[kProgram].end == 0) module = kProgram;
  if (std::strstr(info->dlpi_name, "libsqlite3") != nullptr) module = kSqlite;
  // `new` of the program and of every library.
  if (std::strstr(info->dlpi_name, "libstdc++") != nullptr) module = kRuntime;
  if (module == kOther) return 0;
  Range& range = ranges[module];
  range.base = info->dlpi_addr;
  range.begin = ~uintptr_t{0};
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = info->dlpi_phdr[i];
    if (part.p_type != PT_LOAD) continue;
    range.begin = std::min<uintptr_t>(range.begin, info->dlpi_addr + part.p_vaddr);
    range.end = std::max<uintptr_t>(range.end, info->dlpi_addr + part.p_vaddr + part.p_memsz);
  }
  return 0;
}

__attribute__((constructor)) void Load() {
  const char* path = std::getenv("P2P_CALL_FAULTS");
  if (path == nullptr) return;
  dl_iterate_phdr(FindModules, nullptr);
  const int fd = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC));
  void* const mapped =
      fd < 0 ? MAP_FAILED
             : ::mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) {
    std::fprintf(stderr, "call_faults: cannot use %s\n", path);
    _exit(127);
  }
  ::syscall(SYS_close, fd);
  control = static_cast<Control*>(mapped);
}

Module ModuleOf(uintptr_t caller, uintptr_t* offset) {
  for (const Module module : {kProgram, kSqlite, kRuntime}) {
    const Range& range = ranges[module];
    *offset = caller - range.base;
    if (caller >= range.begin && caller < range.end) return module;
  }
  *offset = 0;
  return kOther;
}

// nullptr when the table is full.
Site* FindSite(uint64_t key) {
  for (size_t i = 0; i < kSites; ++i) {
    Site& site = control->sites[(key * 0x9e3779b97f4a7c15u + i) % kSites];
    uint64_t there = site.key.load();
    if (there == 0 && site.key.compare_exchange_strong(there, key)) there = key;
    if (there == key) return &site;
  }
  return nullptr;
}

// What a call is about: an open file, or a path beneath an open directory.
struct About {
  int fd = -1;
  const char* path = nullptr;
};

bool IsBeneathPrefix(const About& about) {
  char full[2 * kPrefixBytes] = {};
  size_t length = 0;
  if (about.fd >= 0 && (about.path == nullptr || about.path[0] != '/')) {
    char link[32];
    std::snprintf(link, sizeof link, "/proc/self/fd/%d", about.fd);
    const long got = ::syscall(SYS_readlinkat, AT_FDCWD, link, full, kPrefixBytes);
    if (got > 0) length = static_cast<size_t>(got);
  }
  if (about.path != nullptr) {
    std::snprintf(full + length, sizeof full - length, "%s%s", length > 0 ? "/" : "", about.path);
  }
  const size_t wanted = std::strlen(control->prefix);
  return std::strncmp(full, control->prefix, wanted) == 0 &&
         (full[wanted] == '/' || full[wanted] == '\0');
}

void Delay(uint32_t armed) {
  timespec start, now;
  ::syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &start);
  control->delayed.fetch_add(1);
  do {
    const timespec step = {0, 5'000'000};
    ::syscall(SYS_nanosleep, &step, nullptr);
    ::syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
  } while (control->armed == armed &&
           (now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1'000'000 <
               int64_t{control->delay_ms});
  control->delayed.fetch_sub(1);
}

enum class Fate { kReal, kShort, kFailed };

// Decides about one call, and waits where it is to be delayed. With kFailed, errno is set; else it
// is as it was.
Fate Judge(Kind kind, About about, const void* caller) {
  if (control == nullptr) return Fate::kReal;
  const uint32_t armed = control->armed;
  if (armed == 0) return Fate::kReal;
  const int saved = errno;
  control->calls[kind].fetch_add(1);
  uintptr_t offset = 0;
  const Module module = ModuleOf(reinterpret_cast<uintptr_t>(caller), &offset);
  const uint64_t key =
      uint64_t{static_cast<uint64_t>(kind) + 1} << 56 | uint64_t{module} << 48 | offset;
  Site* const site = kind == kKind_malloc ? nullptr : FindSite(key);
  if (site != nullptr) site->calls.fetch_add(1);
  const bool meant = (control->kinds >> kind & 1) != 0 && (control->modules >> module & 1) != 0 &&
                     (control->site == 0 || control->site == key) &&
                     (control->prefix[0] == '\0' || IsBeneathPrefix(about));
  errno = saved;
  const uint64_t number = meant ? control->meant[kind].fetch_add(1) + 1 : 0;
  const bool first = meant && number >= control->first && number <= control->last;
  const bool then = !first && control->then_site == key && control->injected > 0 &&
                    control->then_done.exchange(1) == 0;
  if (!first && !then) return Fate::kReal;
  control->injected.fetch_add(1);
  control->last_site = key;
  if (site != nullptr) site->faults.fetch_add(1);
  if (control->delay_ms > 0) Delay(armed);
  errno = saved;
  if ((first ? control->make_short : control->then_make_short) != 0) return Fate::kShort;
  const int error = first ? control->error : control->then_error;
  if (error == 0) return Fate::kReal;
  errno = error;
  return Fate::kFailed;
}

template <typename Function>
Function* Real(const char* name, std::atomic<void*>* known) {
  void* found = known->load();
  if (found == nullptr) {
    found = dlsym(RTLD_NEXT, name);
    known->store(found);
  }
  return reinterpret_cast<Function*>(found);
}

size_t Half(size_t size) { return size > 1 ? size / 2 : size; }

msghdr FirstHalf(const msghdr& message, iovec* piece) {
  msghdr first = message;
  if (message.msg_iovlen == 0) return first;
  *piece = message.msg_iov[0];
  piece->iov_len = Half(piece->iov_len);
  first.msg_iov = piece;
  first.msg_iovlen = 1;
  return first;
}

}  // namespace

// HOOK(type, libc's name, parameters) { ... real(...) ... }
#define HOOK(type, name, parameters)                          \
  extern "C" type P2pHook_##name parameters __asm__(#name);   \
  using P2pType_##name = type parameters;                     \
  [[maybe_unused]] static std::atomic<void*> p2p_real_##name; \
  extern "C" __attribute__((visibility("default"))) type P2pHook_##name parameters
#define REAL(name) Real<P2pType_##name>(#name, &p2p_real_##name)
#define JUDGE(kind, ...) Judge(kKind_##kind, About{__VA_ARGS__}, __builtin_return_address(0))

// A call that either fails or is made as it is.
#define PLAIN(type, name, kind, parameters, arguments, failed, ...) \
  HOOK(type, name, parameters) {                                    \
    if (JUDGE(kind, __VA_ARGS__) == Fate::kFailed) return failed;   \
    return REAL(name) arguments;                                    \
  }
// One that has a second name for large files.
#define PLAIN64(type, name, parameters, arguments, failed, ...)       \
  PLAIN(type, name, name, parameters, arguments, failed, __VA_ARGS__) \
  PLAIN(type, name##64, name, parameters, arguments, failed, __VA_ARGS__)

// --- Files
PLAIN64(int, open, (const char* path, int flags, mode_t mode), (path, flags, mode), -1, -1, path)
PLAIN64(int, openat, (int at, const char* path, int flags, mode_t mode), (at, path, flags, mode),
        -1, at, path)
PLAIN(int, fsync, fsync, (int fd), (fd), -1, fd)
PLAIN(int, fdatasync, fdatasync, (int fd), (fd), -1, fd)
PLAIN(int, syncfs, syncfs, (int fd), (fd), -1, fd)
PLAIN(int, sync_file_range, sync_file_range, (int fd, off_t offset, off_t length, unsigned flags),
      (fd, offset, length, flags), -1, fd)
PLAIN64(int, ftruncate, (int fd, off_t size), (fd, size), -1, fd)
PLAIN64(int, fallocate, (int fd, int mode, off_t offset, off_t length), (fd, mode, offset, length),
        -1, fd)
PLAIN64(off_t, lseek, (int fd, off_t offset, int whence), (fd, offset, whence), -1, fd)
PLAIN64(int, stat, (const char* path, void* out), (path, out), -1, -1, path)
PLAIN64(int, lstat, (const char* path, void* out), (path, out), -1, -1, path)
PLAIN64(int, fstat, (int fd, void* out), (fd, out), -1, fd)
PLAIN64(int, fstatat, (int at, const char* path, void* out, int flags), (at, path, out, flags), -1,
        at, path)
PLAIN64(int, fstatfs, (int fd, void* out), (fd, out), -1, fd)
PLAIN64(int, fstatvfs, (int fd, void* out), (fd, out), -1, fd)
PLAIN(int, access, access, (const char* path, int mode), (path, mode), -1, -1, path)
PLAIN(ssize_t, readlink, readlink, (const char* path, char* out, size_t size), (path, out, size),
      -1, -1, path)
PLAIN(int, rename, rename, (const char* from, const char* to), (from, to), -1, -1, from)
PLAIN(int, renameat, renameat, (int from_at, const char* from, int to_at, const char* to),
      (from_at, from, to_at, to), -1, from_at, from)
PLAIN(int, linkat, linkat, (int from_at, const char* from, int to_at, const char* to, int flags),
      (from_at, from, to_at, to, flags), -1, from_at, from)
PLAIN(int, unlink, unlink, (const char* path), (path), -1, -1, path)
PLAIN(int, unlinkat, unlinkat, (int at, const char* path, int flags), (at, path, flags), -1, at,
      path)
PLAIN(int, mkdir, mkdir, (const char* path, mode_t mode), (path, mode), -1, -1, path)
PLAIN(int, mkdirat, mkdirat, (int at, const char* path, mode_t mode), (at, path, mode), -1, at,
      path)
PLAIN(int, chmod, chmod, (const char* path, mode_t mode), (path, mode), -1, -1, path)
PLAIN(int, fchmod, fchmod, (int fd, mode_t mode), (fd, mode), -1, fd)
PLAIN(DIR*, fdopendir, fdopendir, (int fd), (fd), nullptr, fd)
PLAIN64(void*, readdir, (DIR * list), (list), nullptr, -1)
PLAIN(int, flock, flock, (int fd, int operation), (fd, operation), -1, fd)
PLAIN64(int, fcntl, (int fd, int command, void* argument), (fd, command, argument), -1, fd)

// The descriptor is gone in any case.
HOOK(int, close, (int fd)) {
  const Fate fate = JUDGE(close, fd);
  const int error = errno;
  const int result = REAL(close)(fd);
  if (fate != Fate::kFailed) return result;
  errno = error;
  return -1;
}

#define COUNTED(type, name, kind, parameters, size, arguments, fd) \
  HOOK(type, name, parameters) {                                   \
    const Fate fate = JUDGE(kind, fd);                             \
    if (fate == Fate::kFailed) return -1;                          \
    if (fate == Fate::kShort) size = Half(size);                   \
    return REAL(name) arguments;                                   \
  }
COUNTED(ssize_t, read, read, (int fd, void* data, size_t size), size, (fd, data, size), fd)
COUNTED(ssize_t, write, write, (int fd, const void* data, size_t size), size, (fd, data, size), fd)
COUNTED(ssize_t, pread, pread, (int fd, void* data, size_t size, off_t at), size,
        (fd, data, size, at), fd)
COUNTED(ssize_t, pread64, pread, (int fd, void* data, size_t size, off_t at), size,
        (fd, data, size, at), fd)
COUNTED(ssize_t, pwrite, pwrite, (int fd, const void* data, size_t size, off_t at), size,
        (fd, data, size, at), fd)
COUNTED(ssize_t, pwrite64, pwrite, (int fd, const void* data, size_t size, off_t at), size,
        (fd, data, size, at), fd)

// --- Sockets
PLAIN(int, socket, socket, (int family, int type, int protocol), (family, type, protocol), -1, -1)
PLAIN(int, bind, bind, (int fd, const void* at, socklen_t size), (fd, at, size), -1, fd)
PLAIN(int, listen, listen, (int fd, int backlog), (fd, backlog), -1, fd)
PLAIN(int, accept, accept, (int fd, void* from, socklen_t* size), (fd, from, size), -1, fd)
PLAIN(int, accept4, accept4, (int fd, void* from, socklen_t* size, int flags),
      (fd, from, size, flags), -1, fd)
PLAIN(int, getsockopt, getsockopt, (int fd, int level, int name, void* value, socklen_t* size),
      (fd, level, name, value, size), -1, fd)
PLAIN(int, setsockopt, setsockopt, (int fd, int level, int name, const void* value, socklen_t size),
      (fd, level, name, value, size), -1, fd)
PLAIN(int, getsockname, getsockname, (int fd, void* out, socklen_t* size), (fd, out, size), -1, fd)
PLAIN(int, getpeername, getpeername, (int fd, void* out, socklen_t* size), (fd, out, size), -1, fd)
PLAIN(int, shutdown, shutdown, (int fd, int how), (fd, how), -1, fd)
PLAIN(int, poll, poll, (pollfd * fds, nfds_t count, int timeout_ms), (fds, count, timeout_ms), -1,
      -1)
PLAIN(int, pipe, pipe, (int* ends), (ends), -1, -1)
PLAIN(int, epoll_create1, epoll_create1, (int flags), (flags), -1, -1)
PLAIN(int, epoll_wait, epoll_wait, (int fd, epoll_event* events, int count, int timeout_ms),
      (fd, events, count, timeout_ms), -1, fd)
PLAIN(int, eventfd, eventfd, (unsigned count, int flags), (count, flags), -1, -1)
PLAIN(int, timerfd_create, timerfd_create, (int clock, int flags), (clock, flags), -1, -1)
PLAIN(int, timerfd_settime, timerfd_settime, (int fd, int flags, const void* when, void* before),
      (fd, flags, when, before), -1, fd)
COUNTED(ssize_t, recv, recv, (int fd, void* data, size_t size, int flags), size,
        (fd, data, size, flags), fd)
COUNTED(ssize_t, send, send, (int fd, const void* data, size_t size, int flags), size,
        (fd, data, size, flags), fd)
COUNTED(ssize_t, sendfile, sendfile, (int fd, int from, off_t* at, size_t size), size,
        (fd, from, at, size), from)
COUNTED(ssize_t, sendfile64, sendfile, (int fd, int from, off_t* at, size_t size), size,
        (fd, from, at, size), from)

// Changing and removing what is there never fails. Asio does not look whether its own descriptors
// were added.
HOOK(int, epoll_ctl, (int fd, int operation, int other, epoll_event* event)) {
  int type = 0;
  socklen_t size = sizeof type;
  const bool is_socket = ::syscall(SYS_getsockopt, other, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
  if (operation == EPOLL_CTL_ADD && is_socket && JUDGE(epoll_ctl, other) == Fate::kFailed)
    return -1;
  return REAL(epoll_ctl)(fd, operation, other, event);
}

// EINTR tells that connecting goes on.
HOOK(int, connect, (int fd, const void* to, socklen_t size)) {
  const bool failed = JUDGE(connect, fd) == Fate::kFailed;
  const int error = errno;
  if (failed && error != EINTR) return -1;
  const int result = REAL(connect)(fd, to, size);
  if (!failed) return result;
  errno = error;
  return -1;
}

HOOK(ssize_t, recvmsg, (int fd, msghdr* message, int flags)) {
  const Fate fate = JUDGE(recvmsg, fd);
  if (fate == Fate::kFailed) return -1;
  if (fate == Fate::kReal) return REAL(recvmsg)(fd, message, flags);
  iovec piece;
  msghdr half = FirstHalf(*message, &piece);
  const ssize_t got = REAL(recvmsg)(fd, &half, flags);
  message->msg_namelen = half.msg_namelen;
  message->msg_controllen = half.msg_controllen;
  message->msg_flags = half.msg_flags;
  return got;
}

HOOK(ssize_t, sendmsg, (int fd, const msghdr* message, int flags)) {
  const Fate fate = JUDGE(sendmsg, fd);
  if (fate == Fate::kFailed) return -1;
  if (fate == Fate::kReal) return REAL(sendmsg)(fd, message, flags);
  iovec piece;
  const msghdr half = FirstHalf(*message, &piece);
  return REAL(sendmsg)(fd, &half, flags);
}

// --- What has no function of its own
HOOK(long, syscall, (long number, long a, long b, long c, long d, long e, long f)) {
  Fate fate = Fate::kReal;
  const auto path = reinterpret_cast<const char*>(b);
#ifdef SYS_openat2
  if (number == SYS_openat2) fate = JUDGE(openat2, static_cast<int>(a), path);
#endif
  if (number == SYS_renameat2) fate = JUDGE(renameat2, static_cast<int>(a), path);
  constexpr long kCachestat = 451;
  if (number == kCachestat) fate = JUDGE(cachestat, static_cast<int>(a));
  if (fate == Fate::kFailed) return -1;
  // A deadline by the clock of the day, which the kernel has not set.
  timespec due;
  if (number == SYS_futex && control != nullptr && control->clock_offset_seconds != 0 &&
      (b & FUTEX_CLOCK_REALTIME) != 0 && d != 0) {
    due = *reinterpret_cast<const timespec*>(d);
    due.tv_sec -= control->clock_offset_seconds;
    if (due.tv_sec < 0) due.tv_sec = 0;
    d = reinterpret_cast<long>(&due);
  }
  return REAL(syscall)(number, a, b, c, d, e, f);
}

PLAIN(int, getentropy, getentropy, (void* out, size_t size), (out, size), -1, -1)

// --- Time
HOOK(int, clock_gettime, (clockid_t clock, timespec* out)) {
  const int result = REAL(clock_gettime)(clock, out);
  if (control != nullptr && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    out->tv_sec += control->clock_offset_seconds;
  }
  return result;
}

HOOK(int, gettimeofday, (timeval * out, void* zone)) {
  const int result = REAL(gettimeofday)(out, zone);
  if (control != nullptr && out != nullptr) out->tv_sec += control->clock_offset_seconds;
  return result;
}

HOOK(time_t, time, (time_t * out)) {
  time_t now = REAL(time)(nullptr);
  if (control != nullptr) now += control->clock_offset_seconds;
  if (out != nullptr) *out = now;
  return now;
}

// --- Memory
#define MEMORY(name, parameters, call) \
  HOOK(void*, name, parameters) { return JUDGE(malloc, -1) == Fate::kFailed ? nullptr : call; }
MEMORY(malloc, (size_t size), __libc_malloc(size))
MEMORY(calloc, (size_t count, size_t size), __libc_calloc(count, size))
MEMORY(realloc, (void* old, size_t size), __libc_realloc(old, size))
MEMORY(memalign, (size_t alignment, size_t size), __libc_memalign(alignment, size))
MEMORY(aligned_alloc, (size_t alignment, size_t size), __libc_memalign(alignment, size))

HOOK(int, posix_memalign, (void** out, size_t alignment, size_t size)) {
  if (JUDGE(malloc, -1) == Fate::kFailed) return ENOMEM;
  *out = __libc_memalign(alignment, size);
  return *out == nullptr ? ENOMEM : 0;
}
