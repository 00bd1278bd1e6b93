#include "ctl/paths.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace p2p::ctl {
namespace {

// "" when it does not exist.
std::string RealPath(const std::string& path) {
  char* const found = realpath(path.c_str(), nullptr);
  if (found == nullptr) return "";
  std::string out = found;
  std::free(found);
  return out;
}

absl::StatusOr<std::string> WorkingDirectory() {
  const std::string found = RealPath(".");
  if (!found.empty()) return found;
  return ErrnoStatus(errno, "cannot tell the working directory");
}

std::string WithoutTrailingSlashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

}  // namespace

absl::StatusOr<std::string> AbsolutePath(const std::string& path) {
  std::string absolute = path;
  if (path.empty() || path.front() != '/') {
    P2P_ASSIGN_OR_RETURN(const std::string here, WorkingDirectory());
    absolute = absl::StrCat(here == "/" ? "" : here, "/", path);
  }
  absolute = WithoutTrailingSlashes(absolute);
  const size_t slash = absolute.rfind('/');
  const std::string last = absolute.substr(slash + 1);
  if (last.empty()) return absolute;
  if (last == "." || last == "..") {
    const std::string real = RealPath(absolute);
    return real.empty() ? absolute : real;
  }
  const std::string parent = RealPath(absolute.substr(0, slash + 1));
  // A parent that does not exist is for the daemon to explain, in the words that were typed.
  if (parent.empty()) return absolute;
  return absl::StrCat(parent == "/" ? "" : parent, "/", last);
}

absl::StatusOr<std::string> AbsoluteOutputPath(const std::string& path) {
  P2P_ASSIGN_OR_RETURN(const std::string absolute, AbsolutePath(path));
  const bool into = !path.empty() && path.back() == '/' && absolute.back() != '/';
  return into ? absolute + "/" : absolute;
}

}  // namespace p2p::ctl
