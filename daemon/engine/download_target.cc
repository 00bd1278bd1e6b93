#include "daemon/engine/download_target.h"

#include <algorithm>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/ids.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "core/content/magnet.h"
#include "daemon/store/catalog.h"

namespace p2p::engine {
namespace {

constexpr uint32_t kDownloadDirMode = 0755;
constexpr char kWhere[] = "the directory for the download";

absl::StatusOr<bool> IsDirectory(store::FileSystem* files, const std::string& path) {
  const size_t slash = path.rfind('/');
  absl::StatusOr<std::unique_ptr<store::Directory>> parent =
      files->OpenRoot(path.substr(0, std::max<size_t>(slash, 1)));
  if (!parent.ok()) return Annotate(parent.status(), kWhere);
  const absl::StatusOr<store::FileInfo> info = (*parent)->Info(path.substr(slash + 1));
  return info.ok() && info->kind == store::FileKind::kDirectory;
}

}  // namespace

absl::optional<std::string> AskedName(absl::string_view source) {
  if (content::LooksLikeMagnet(source) || ContentIdFromHex(source).ok()) return absl::nullopt;
  return std::string(source);
}

std::string TargetName(absl::string_view source, absl::string_view manifest_name) {
  const absl::optional<std::string> asked = AskedName(source);
  return asked.has_value() ? asked->substr(asked->rfind('/') + 1) : std::string(manifest_name);
}

absl::StatusOr<content::Layout> OriginalLayout(absl::string_view source, uint64_t size_bytes) {
  const std::string name = TargetName(source, "");
  return content::Layout::Make(name, /*is_directory=*/false,
                               {{name, ByteCount(size_bytes), false, {}, 0}});
}

absl::StatusOr<std::string> ResolveTarget(store::FileSystem* files, const std::string& wanted,
                                          absl::string_view source,
                                          absl::string_view manifest_name) {
  const bool ends_with_slash = absl::EndsWith(wanted, "/");
  if (!ends_with_slash) {
    P2P_ASSIGN_OR_RETURN(const bool is_directory, IsDirectory(files, wanted));
    if (!is_directory) return wanted;
  }
  const std::string name = TargetName(source, manifest_name);
  // Shells, sessions and ssh read such files on their own.
  if (absl::StartsWith(name, ".") && !AskedName(source).has_value()) {
    return absl::FailedPreconditionError(
        absl::StrCat("who shared it calls it \"", Printable(name),
                     "\", and a name that begins with a dot is taken only from you; say where to "
                     "save it with -o PATH, PATH being a file"));
  }
  if (!ends_with_slash) return absl::StrCat(wanted, "/", name);
  P2P_RETURN_IF_ERROR(Annotate(
      store::MakeDirectories(wanted.substr(0, wanted.size() - 1), kDownloadDirMode), kWhere));
  return absl::StrCat(wanted, name);
}

}  // namespace p2p::engine
