// Helpers around absl::Status: early return, and errno as a sentence with advice.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#define P2P_RETURN_IF_ERROR(expr)              \
  do {                                         \
    absl::Status p2p_status_ = (expr);         \
    if (!p2p_status_.ok()) return p2p_status_; \
  } while (false)

#define P2P_STATUS_CONCAT_INNER(a, b) a##b
#define P2P_STATUS_CONCAT(a, b) P2P_STATUS_CONCAT_INNER(a, b)
// P2P_ASSIGN_OR_RETURN(auto x, MakeX()): x, or the error goes to the caller.
#define P2P_ASSIGN_OR_RETURN(lhs, expr) \
  P2P_ASSIGN_OR_RETURN_IMPL(P2P_STATUS_CONCAT(p2p_status_or_, __LINE__), lhs, expr)
#define P2P_ASSIGN_OR_RETURN_IMPL(temp, lhs, expr) \
  auto temp = (expr);                              \
  if (!temp.ok()) return temp.status();            \
  lhs = std::move(temp).value()

namespace p2p {

// `what` and the reason of `error_number`, with advice where there is some: "cannot write /a/b: no
// space left on the device; free some space". The code tells the class: ENOSPC and EDQUOT
// ResourceExhausted, ENOENT NotFound, EEXIST AlreadyExists, EACCES/EPERM/EROFS PermissionDenied,
// EMFILE/ENFILE/EAGAIN Unavailable, EIO DataLoss, ELOOP/ENOTDIR/ENAMETOOLONG/EFBIG/EXDEV
// FailedPrecondition, the rest Internal.
absl::Status ErrnoStatus(int error_number, absl::string_view what);

// The same status with `prefix` and ": " before its message.
absl::Status Annotate(const absl::Status& status, absl::string_view prefix);

}  // namespace p2p
