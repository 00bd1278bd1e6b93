#include "core/base/status.h"

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace p2p {
namespace {

struct ErrnoText {
  int error_number;
  absl::StatusCode code;
  const char* text;
};

constexpr ErrnoText kErrnoTexts[] = {
    {ENOSPC, absl::StatusCode::kResourceExhausted, "the disk is full; free some space"},
    {EDQUOT, absl::StatusCode::kResourceExhausted, "the disk quota is used up; free some space"},
    {EFBIG, absl::StatusCode::kFailedPrecondition,
     "the file is larger than this file system or the process limit allows"},
    {ENOENT, absl::StatusCode::kNotFound, "no such file or directory"},
    {EEXIST, absl::StatusCode::kAlreadyExists, "it already exists"},
    {ENOTEMPTY, absl::StatusCode::kAlreadyExists, "it already exists"},
    {EACCES, absl::StatusCode::kPermissionDenied, "permission denied"},
    {EPERM, absl::StatusCode::kPermissionDenied, "operation not permitted"},
    {EROFS, absl::StatusCode::kPermissionDenied, "the file system is read-only"},
    {EMFILE, absl::StatusCode::kUnavailable,
     "too many open files; raise the descriptor limit (ulimit -n, LimitNOFILE=)"},
    {ENFILE, absl::StatusCode::kUnavailable, "the system has too many open files"},
    {EAGAIN, absl::StatusCode::kUnavailable, "temporarily not possible"},
    {ENOMEM, absl::StatusCode::kUnavailable, "out of memory"},
    {EIO, absl::StatusCode::kDataLoss, "input/output error; check the disk"},
    {ESTALE, absl::StatusCode::kUnavailable, "stale file handle; is the network disk still there?"},
    {ELOOP, absl::StatusCode::kFailedPrecondition, "a symbolic link is in the way"},
    {ENOTDIR, absl::StatusCode::kFailedPrecondition, "a part of the path is not a directory"},
    {EISDIR, absl::StatusCode::kFailedPrecondition, "it is a directory"},
    {ENAMETOOLONG, absl::StatusCode::kFailedPrecondition, "the name is too long"},
    {EXDEV, absl::StatusCode::kFailedPrecondition, "the path leads out of its directory"},
};

}  // namespace

absl::Status ErrnoStatus(int error_number, absl::string_view what) {
  for (const ErrnoText& row : kErrnoTexts) {
    if (row.error_number == error_number) {
      return absl::Status(row.code, absl::StrCat(what, ": ", row.text));
    }
  }
  char buffer[128];
  return absl::InternalError(
      absl::StrCat(what, ": ", strerror_r(error_number, buffer, sizeof buffer)));
}

absl::Status Annotate(const absl::Status& status, absl::string_view prefix) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(prefix, ": ", status.message()));
}

}  // namespace p2p
