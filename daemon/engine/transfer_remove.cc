// What goes from the disk when a transfer is removed, also one that was not opened in this run.
#include <utility>

#include "absl/strings/match.h"
#include "core/base/status.h"
#include "daemon/engine/download_target.h"
#include "daemon/engine/transfer.h"

namespace p2p::engine {
namespace {

using Priority = store::WorkerPool::Priority;

// What the catalog tells of a transfer's files.
struct AtRest {
  std::shared_ptr<const content::Layout> layout;  // nullptr: nothing was made
  // Of a .part: of its directory, and of itself.
  std::vector<store::FileIdentity> identities;
  std::vector<store::FileIdentity> part_files;
};

AtRest FindAtRest(store::Catalog& catalog, const store::TransferRecord& record) {
  AtRest found;
  absl::StatusOr<store::TransferContent> content = catalog.LoadContent(record.id);
  // No place was chosen, or none was made.
  if (!content.ok() || content->identities.empty() || absl::EndsWith(record.path, "/"))
    return found;
  if (!record.verified) {
    auto layout = OriginalLayout(record.source, record.size_bytes);
    if (layout.ok()) found.layout = std::make_shared<const content::Layout>(*std::move(layout));
  } else if (auto manifest = content::Manifest::Parse(std::move(content->info)); manifest.ok()) {
    auto kept = std::make_shared<const content::Manifest>(*std::move(manifest));
    found.layout = std::shared_ptr<const content::Layout>(kept, &kept->layout());
  }
  found.identities = std::move(content->identities);
  found.part_files = std::move(content->part_files);
  return found;
}

absl::Status RemovePart(store::FileSystem* files, const std::string& path, const AtRest& found) {
  using store::FileChunkManager;
  // Without its directory, as on a disk that is not mounted, it stays.
  P2P_RETURN_IF_ERROR(FileChunkManager::CheckSameDirectory(files, path, found.identities.front()));
  const store::FileIdentity root =
      found.identities.size() > 1 ? found.identities[1] : store::FileIdentity();
  const absl::Status status =
      FileChunkManager::RemovePartAtRest(files, path, *found.layout, root, found.part_files);
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status RemoveWhole(store::FileSystem* files, const std::string& path, AtRest found) {
  const auto whole = store::FileChunkManager::OpenWhole(files, path, std::move(found.layout),
                                                        std::move(found.identities));
  return whole.ok() ? (*whole)->RemoveFiles() : whole.status();
}

}  // namespace

void Transfer::Remove(bool with_data, std::function<void(absl::Status)> done) {
  auto forget = [runtime = runtime_, id = record_.id,
                 done = std::move(done)](absl::Status removed) mutable {
    runtime->RunOnCatalog([id](store::Catalog& catalog) { return catalog.Remove(id); },
                          [removed, done = std::move(done)](absl::Status forgotten) {
                            done(forgotten.ok() ? removed : forgotten);
                          });
  };
  auto remove = [this, keep = shared_from_this(), with_data, forget = std::move(forget)]() mutable {
    const bool unfinished = record_.kind == store::TransferKind::kDownload && !record_.finished;
    if (content_.store == nullptr && (unfinished || with_data))
      return RemoveAtRest(unfinished, std::move(forget));
    // A .part is of no use to anyone else.
    if (content_.store == nullptr || !(with_data || (unfinished && content_.store->is_part())))
      return forget(absl::OkStatus());
    runtime_->RunOnDisk(
        Priority::kUrgent, content_.store->disk(),
        [store = content_.store] { return store->RemoveFiles(); }, std::move(forget));
  };
  // What is just being made is there a moment later, and nobody's any more.
  StopWork([this, keep = shared_from_this(), remove = std::move(remove)]() mutable {
    AfterPlacing(std::move(remove));
  });
  trackers_->Release(record_.id);
}

void Transfer::RemoveAtRest(bool unfinished, std::function<void(absl::Status)> done) {
  runtime_->RunOnCatalog(
      [record = record_](store::Catalog& catalog) { return FindAtRest(catalog, record); },
      [runtime = runtime_, path = record_.path, unfinished,
       done = std::move(done)](AtRest found) mutable {
        if (found.layout == nullptr) return done(absl::OkStatus());
        runtime->RunOnDisk(
            Priority::kUrgent, runtime->DiskAt(path),
            [files = runtime->files, path, unfinished, found = std::move(found)]() mutable {
              return unfinished ? RemovePart(files, path, found)
                                : RemoveWhole(files, path, std::move(found));
            },
            std::move(done));
      });
}

}  // namespace p2p::engine
