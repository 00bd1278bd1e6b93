#include "daemon/store/open_beneath.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#if defined(__linux__) && !defined(P2P_PORTABLE)
#include <linux/openat2.h>
#include <sys/syscall.h>
#define P2P_HAS_OPENAT2 1
#endif

namespace p2p::store {
namespace {

constexpr int kAlways = O_CLOEXEC | O_NOFOLLOW;

int OpenComponent(int directory, const std::string& component, int flags, mode_t mode,
                  Descriptor* out) {
  int fd;
  do {
    fd = ::openat(directory, component.c_str(), flags | kAlways, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return errno;
  *out = Descriptor(fd);
  return 0;
}

#ifdef P2P_HAS_OPENAT2
int CallOpenat2(int root, const char* name, int flags, mode_t mode) {
  struct open_how how = {};
  how.flags = static_cast<uint64_t>(flags | kAlways);
  how.mode = (flags & O_CREAT) != 0 ? mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  int fd;
  do {
    fd = static_cast<int>(::syscall(SYS_openat2, root, name, &how, sizeof how));
  } while (fd < 0 && errno == EINTR);
  return fd;
}

// Old kernels do not know the call; some sandboxes forbid it with EPERM.
bool HasOpenat2() {
  static const bool has = [] {
    const Descriptor probe(CallOpenat2(AT_FDCWD, ".", O_PATH | O_DIRECTORY, 0));
    return probe || (errno != ENOSYS && errno != EPERM);
  }();
  return has;
}
#endif

int StatComponent(int directory, const char* name, struct stat* out) {
  return ::fstatat(directory, name, out, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
}

int RenameAfterLooking(int from_directory, const char* from, int to_directory, const char* to) {
  struct stat there;
  const int error = StatComponent(to_directory, to, &there);
  if (error == 0) return EEXIST;
  if (error != ENOENT) return error;
  return ::renameat(from_directory, from, to_directory, to) == 0 ? 0 : errno;
}

}  // namespace

bool StaysBeneath(absl::string_view name) {
  if (name.find('\0') != absl::string_view::npos) return false;
  while (true) {
    const size_t slash = name.find('/');
    const absl::string_view component = name.substr(0, slash);
    if (component.empty() || component == "." || component == "..") return false;
    if (slash == absl::string_view::npos) return true;
    name.remove_prefix(slash + 1);
  }
}

int OpenBeneath(int root, absl::string_view name, int flags, mode_t mode, Descriptor* out) {
#ifdef P2P_HAS_OPENAT2
  if (HasOpenat2()) {
    if (!StaysBeneath(name)) return EXDEV;
    const int fd = CallOpenat2(root, std::string(name).c_str(), flags, mode);
    if (fd < 0) return errno;
    *out = Descriptor(fd);
    return 0;
  }
#endif
  return OpenBeneathByComponents(root, name, flags, mode, out);
}

int OpenBeneathByComponents(int root, absl::string_view name, int flags, mode_t mode,
                            Descriptor* out) {
  if (!StaysBeneath(name)) return EXDEV;
  Descriptor held;
  int directory = root;
  while (true) {
    const size_t slash = name.find('/');
    const std::string component(name.substr(0, slash));
    if (slash == absl::string_view::npos)
      return OpenComponent(directory, component, flags, mode, out);
    Descriptor next;
    const int error =
        OpenComponent(directory, component, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0, &next);
    if (error != 0) return error;
    held = std::move(next);
    directory = held.get();
    name.remove_prefix(slash + 1);
  }
}

int RenameWithoutReplacing(int from_directory, const char* from, int to_directory, const char* to) {
#if defined(P2P_HAS_OPENAT2) && defined(SYS_renameat2)
  constexpr unsigned kNoReplace = 1;  // RENAME_NOREPLACE
  if (::syscall(SYS_renameat2, from_directory, from, to_directory, to, kNoReplace) == 0) return 0;
  // EINVAL: this file system cannot do it. EPERM: a sandbox forbids the call.
  if (errno != ENOSYS && errno != EINVAL && errno != EPERM) return errno;
#endif
  return RenameByLink(from_directory, from, to_directory, to);
}

int RenameByLink(int from_directory, const char* from, int to_directory, const char* to) {
  struct stat what;
  const int error = StatComponent(from_directory, from, &what);
  if (error != 0) return error;
  if (!S_ISREG(what.st_mode)) return RenameAfterLooking(from_directory, from, to_directory, to);
  if (::linkat(from_directory, from, to_directory, to, 0) != 0) {
    const bool no_links =
        errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS || errno == EMLINK;
    if (!no_links) return errno;
    return RenameAfterLooking(from_directory, from, to_directory, to);
  }
  if (::unlinkat(from_directory, from, 0) == 0) return 0;
  const int unlink_error = errno;
  ::unlinkat(to_directory, to, 0);
  return unlink_error;
}

}  // namespace p2p::store
