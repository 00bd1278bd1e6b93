#include "daemon/store/catalog_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/store/posix_io.h"

namespace p2p::store {
namespace {

constexpr mode_t kPrivateMode = 0600;
// Some commits of a record, with what they make SQLite write.
constexpr size_t kReserveBytes = 1 << 20;

std::string ReservePath(const std::string& state_dir) { return state_dir + "/catalog.reserve"; }

bool IsThere(const std::string& path) {
  struct stat status;
  return ::lstat(path.c_str(), &status) == 0;
}

}  // namespace

absl::Status CatalogError(int error_number, absl::string_view what) {
  const absl::Status status = ErrnoStatus(error_number, what);
  return absl::IsDataLoss(status) ? absl::UnavailableError(status.message()) : status;
}

absl::Status MakePrivateFile(const std::string& path) {
  const Descriptor file(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, kPrivateMode));
  return file ? absl::OkStatus()
              : CatalogError(errno, absl::StrCat("cannot open ", Printable(path)));
}

absl::StatusOr<bool> IsEmptyOrDatabase(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return CatalogError(errno, absl::StrCat("cannot open ", Printable(path)));
  // With its NUL: https://www.sqlite.org/fileformat.html, "The Database Header".
  constexpr absl::string_view kMagic("SQLite format 3\0", 16);
  uint8_t begin[kMagic.size()];
  const int error = ReadFully(::pread, file.get(), 0, absl::MakeSpan(begin));
  if (error == kEndOfFile) {
    struct stat status;
    if (::fstat(file.get(), &status) == 0) return status.st_size == 0;
    return CatalogError(errno, absl::StrCat("cannot look at ", Printable(path)));
  }
  if (error != 0) return CatalogError(error, absl::StrCat("cannot read ", Printable(path)));
  return absl::string_view(reinterpret_cast<const char*>(begin), sizeof begin) == kMagic;
}

bool HeaderForbidsWriting(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  // The file format's write version.
  constexpr off_t kAt = 18;
  constexpr uint8_t kHighestKnown = 2;
  uint8_t version = 0;
  return file && ::pread(file.get(), &version, 1, kAt) == 1 && version > kHighestKnown;
}

absl::StatusOr<std::string> SetAside(const std::string& path, int64_t unix_seconds) {
  std::string aside = absl::StrCat(path, ".corrupt-", unix_seconds);
  for (int again = 2; IsThere(aside); ++again)
    aside = absl::StrCat(path, ".corrupt-", unix_seconds, "-", again);
  for (const char* suffix : {"-wal", "-shm", ""}) {
    const std::string from = path + suffix;
    if (::rename(from.c_str(), (aside + suffix).c_str()) != 0 && errno != ENOENT) {
      return CatalogError(errno, absl::StrCat("cannot set aside the damaged ", Printable(from)));
    }
  }
  return aside;
}

void MakeReserve(const std::string& state_dir) {
  const std::string path = ReservePath(state_dir);
  if (IsThere(path)) return;
  const Descriptor file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kPrivateMode));
  if (!file) return;
  // Written, not only reserved: file systems that do not reserve have it as well.
  const std::vector<uint8_t> zeros(kReserveBytes);
  if (WriteFully(::pwrite, file.get(), 0, zeros) != 0) ::unlink(path.c_str());
}

bool ReleaseReserve(const std::string& state_dir) {
  return ::unlink(ReservePath(state_dir).c_str()) == 0;
}

}  // namespace p2p::store
