// What a path that is to be shared holds.
#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/names.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "core/content/manifest.h"
#include "daemon/store/file_chunk_manager.h"
#include "daemon/store/share_path.h"

namespace p2p::store {
namespace {

constexpr size_t kShownPathBytes = 1024;
constexpr uint32_t kAnyExecute = 0111;

class ShareScan {
 public:
  explicit ShareScan(std::string path) : path_(std::move(path)) {}

  // Breadth first with one open directory at a time, so that depth costs no descriptors.
  absl::Status AddTree(Directory* top) {
    P2P_RETURN_IF_ERROR(AddDirectory(top, ""));
    while (!pending_.empty()) {
      const std::string below = std::move(pending_.back());
      pending_.pop_back();
      P2P_ASSIGN_OR_RETURN(const auto directory, top->OpenDirectory(below));
      P2P_RETURN_IF_ERROR(AddDirectory(directory.get(), below));
    }
    if (!files_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        Printable(path_, kShownPathBytes), " has no files; put one in or share another path"));
  }

  // `below` is the path under the share, "" for a share that is one file.
  absl::Status AddFile(const std::string& below, std::string layout_path, const FileInfo& info) {
    if (info.identity.size > limits::kMaxFileBytes) return Refuse(below, "is larger than 1 PiB");
    if (files_.size() >= limits::kMaxFiles) {
      return Refuse(
          "", absl::StrCat("has more than ", limits::kMaxFiles, " files; pack it into an archive"));
    }
    content::LayoutFile file;
    file.path = std::move(layout_path);
    file.length = ByteCount(info.identity.size);
    file.executable = (info.mode & kAnyExecute) != 0;
    identities_[file.path] = info.identity;
    files_.push_back(std::move(file));
    return absl::OkStatus();
  }

  absl::Status CheckKind(const std::string& below, FileKind kind) const {
    if (kind == FileKind::kSymlink) {
      return Refuse(below, "is a symbolic link; share what it points to, or replace it by a copy");
    }
    if (kind == FileKind::kOther) {
      return Refuse(below, "is neither a file nor a directory; remove it or share another path");
    }
    return absl::OkStatus();
  }

  absl::StatusOr<ScannedShare> Make(const std::string& name, bool is_directory) {
    content::SortFiles(&files_);
    ScannedShare share;
    share.identities.reserve(files_.size());
    for (const content::LayoutFile& file : files_)
      share.identities.push_back(identities_[file.path]);
    auto layout = content::Layout::Make(name, is_directory, std::move(files_));
    if (!layout.ok()) return Annotate(layout.status(), Printable(path_, kShownPathBytes));
    share.layout = std::make_shared<const content::Layout>(*std::move(layout));
    return share;
  }

 private:
  absl::Status AddDirectory(Directory* directory, const std::string& below) {
    P2P_ASSIGN_OR_RETURN(const std::vector<std::string> names, directory->List());
    for (const std::string& name : names) {
      const std::string entry = below.empty() ? name : absl::StrCat(below, "/", name);
      const absl::Status legal = CheckNameComponent(name);
      if (!legal.ok())
        return Refuse(entry, absl::StrCat("cannot be shared: ", legal.message(), "; rename it"));
      auto info = directory->Info(name);
      // Removed since it was listed.
      if (absl::IsNotFound(info.status())) continue;
      P2P_RETURN_IF_ERROR(info.status());
      P2P_RETURN_IF_ERROR(CheckKind(entry, info->kind));
      if (info->kind == FileKind::kRegular) {
        P2P_RETURN_IF_ERROR(AddFile(entry, entry, *info));
      } else {
        P2P_RETURN_IF_ERROR(AddPending(entry));
      }
    }
    return absl::OkStatus();
  }

  absl::Status AddPending(const std::string& below) {
    if (std::count(below.begin(), below.end(), '/') + 1 >= limits::kMaxPathDepth) {
      return Refuse(below, absl::StrCat("is deeper than ", limits::kMaxPathDepth,
                                        " directories; pack it into an archive"));
    }
    pending_.push_back(below);
    return absl::OkStatus();
  }

  absl::Status Refuse(const std::string& below, absl::string_view reason) const {
    const std::string whole = below.empty() ? path_ : absl::StrCat(path_, "/", below);
    return absl::InvalidArgumentError(absl::StrCat(Printable(whole, kShownPathBytes), " ", reason));
  }

  const std::string path_;
  std::vector<content::LayoutFile> files_;
  std::map<std::string, FileIdentity> identities_;  // by layout path
  std::vector<std::string> pending_;
};

}  // namespace

absl::StatusOr<ScannedShare> ScanShare(FileSystem* files, const std::string& path,
                                       const std::string& name) {
  const absl::Status legal = CheckNameComponent(name);
  if (!legal.ok()) {
    return Annotate(legal,
                    absl::StrCat(Printable(path, kShownPathBytes),
                                 " cannot be shared by this name; give another with --name"));
  }
  P2P_ASSIGN_OR_RETURN(const SplitPath split, SplitUserPath(path));
  P2P_ASSIGN_OR_RETURN(const auto parent, files->OpenRoot(split.parent));
  P2P_ASSIGN_OR_RETURN(const FileInfo info, parent->Info(split.name));
  ShareScan scan(path);
  P2P_RETURN_IF_ERROR(scan.CheckKind("", info.kind));
  if (info.kind == FileKind::kRegular) {
    P2P_RETURN_IF_ERROR(scan.AddFile("", name, info));
    return scan.Make(name, /*is_directory=*/false);
  }
  P2P_ASSIGN_OR_RETURN(const auto top, parent->OpenDirectory(split.name));
  P2P_RETURN_IF_ERROR(scan.AddTree(top.get()));
  return scan.Make(name, /*is_directory=*/true);
}

}  // namespace p2p::store
