#include "core/base/status.h"

#include <cerrno>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace p2p {
namespace {

using testing::HasSubstr;

TEST(ErrnoStatus, S08_TellsTheClassAndTheReasonWithAdvice) {
  struct Row {
    int error_number;
    absl::StatusCode code;
    const char* text;
  };
  for (const Row& row : {Row{ENOSPC, absl::StatusCode::kResourceExhausted, "free some space"},
                         Row{EDQUOT, absl::StatusCode::kResourceExhausted, "quota"},
                         Row{ENOENT, absl::StatusCode::kNotFound, "no such file"},
                         Row{EEXIST, absl::StatusCode::kAlreadyExists, "already exists"},
                         Row{EACCES, absl::StatusCode::kPermissionDenied, "permission denied"},
                         Row{EPERM, absl::StatusCode::kPermissionDenied, "not permitted"},
                         Row{EROFS, absl::StatusCode::kPermissionDenied, "read-only"},
                         Row{EMFILE, absl::StatusCode::kUnavailable, "ulimit -n"},
                         Row{ENFILE, absl::StatusCode::kUnavailable, "open files"},
                         Row{EAGAIN, absl::StatusCode::kUnavailable, "temporarily"},
                         Row{EIO, absl::StatusCode::kDataLoss, "check the disk"},
                         Row{ELOOP, absl::StatusCode::kFailedPrecondition, "symbolic link"},
                         Row{ENOTDIR, absl::StatusCode::kFailedPrecondition, "not a directory"},
                         Row{ENAMETOOLONG, absl::StatusCode::kFailedPrecondition, "too long"},
                         Row{EFBIG, absl::StatusCode::kFailedPrecondition, "larger"},
                         Row{EXDEV, absl::StatusCode::kFailedPrecondition, "leads out"},
                         Row{ESTALE, absl::StatusCode::kUnavailable, "stale"},
                         Row{EBADF, absl::StatusCode::kInternal, "file descriptor"}}) {
    const absl::Status status = ErrnoStatus(row.error_number, "cannot write /a/b");
    EXPECT_EQ(status.code(), row.code) << status;
    EXPECT_THAT(std::string(status.message()), testing::StartsWith("cannot write /a/b: "));
    EXPECT_THAT(std::string(status.message()), HasSubstr(row.text));
  }
}

TEST(Annotate, KeepsTheCodeAndPutsThePrefixFirst) {
  EXPECT_EQ(Annotate(absl::NotFoundError("gone"), "file 3"), absl::NotFoundError("file 3: gone"));
  EXPECT_TRUE(Annotate(absl::OkStatus(), "file 3").ok());
}

absl::StatusOr<int> Half(int number) {
  if (number % 2 != 0) return absl::InvalidArgumentError("odd");
  return number / 2;
}

absl::StatusOr<int> Quarter(int number) {
  P2P_ASSIGN_OR_RETURN(const int half, Half(number));
  P2P_RETURN_IF_ERROR(Half(half).status());
  return half / 2;
}

TEST(StatusMacros, ReturnAtTheFirstError) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(7).status(), absl::InvalidArgumentError("odd"));
  EXPECT_EQ(Quarter(6).status(), absl::InvalidArgumentError("odd"));
}

}  // namespace
}  // namespace p2p
