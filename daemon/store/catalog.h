// The catalog: transfers, their manifests, chunk hashes, identities and have-sets, in SQLite in the
// state directory. One thread (the catalog's worker) makes every call; a crash leaves the last
// commit.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "core/base/chunk_set.h"
#include "core/base/ids.h"
#include "daemon/store/durable_chunks.h"
#include "daemon/store/file_system.h"

namespace p2p::store {

enum class TransferKind { kShare, kDownload };

// All that survives a restart, of one transfer.
struct TransferRecord {
  TransferId id;
  TransferKind kind = TransferKind::kShare;
  std::string name;
  std::string path;  // absolute: the shared path or the download's target ("" if not yet known)
  absl::optional<ContentId> content_id;  // none: hashing not done, or a download by name not yet
                                         // resolved, or from original peers only
  std::string source;  // what the user asked for: a name, a content id or a magnet link
  bool paused = false;
  bool finished = false;              // a download whose file has its final name
  bool verified = true;               // false: from original peers only
  bool allow_unverified = false;      // the user said that it may come from those
  uint64_t size_bytes = 0;            // for downloads without a manifest
  std::string error;                  // "" when there is none
  std::vector<std::string> trackers;  // from a magnet link
  int64_t added_unix_seconds = 0;
};

// The big parts, loaded one transfer at a time.
struct TransferContent {
  std::string info;          // bencoded info dictionary; "" when not yet known
  std::string chunk_hashes;  // content::ChunkHashes::Encode(); "" when not yet complete
  // Of the files of whole content; of an unfinished download its
  // FileChunkManager::Place(), and PartRoot() unless an earlier version saved it.
  std::vector<FileIdentity> identities;
  DurableChunks have;  // of downloads; as loaded it may be of up to 7 chunks more
  // Of the files of an unfinished download, as they were when `have` was saved; by FileIndex.
  // Loaded only: they are saved with `have`.
  std::vector<FileIdentity> part_files;
  bool damaged = false;  // a part was not what had been saved and is left empty: get or hash
                         // it again
  // Loaded only, of an unfinished download: what stands at its path is its own. True also when
  // nothing that would tell could be read.
  bool placed = false;
};

class Catalog {
 public:
  // Opens or makes `state_dir`/catalog.db. A damaged catalog is set aside as
  // catalog.db.corrupt-<time>; what can be read of it and proves to be as it was saved is taken
  // over, each table for itself, have-sets excepted: an unfinished download is `damaged` until the
  // next one is saved. `*recovered` tells this as a sentence ("" when all was well). One
  // written by a newer version is refused.
  static absl::StatusOr<std::unique_ptr<Catalog>> Open(const std::string& state_dir,
                                                       std::string* recovered);
  ~Catalog();

  absl::StatusOr<std::vector<TransferRecord>> LoadTransfers();
  absl::StatusOr<TransferContent> LoadContent(TransferId id);

  // Every call below is one durable commit. ResourceExhausted when the disk is full: the catalog is
  // as it was before. Update, Save and Remove then use a reserve that was put by at the start, so
  // that pausing, completing and removing work.
  absl::StatusOr<TransferId> Add(
      const TransferRecord& record);                  // gives the id; ids are never reused
  absl::Status Update(const TransferRecord& record);  // NotFound when there is none of that id
  absl::Status Remove(TransferId id);                 // OK when there is none of that id
  // Writes nothing when it is there already.
  absl::Status SaveManifest(TransferId id, absl::string_view info, absl::string_view chunk_hashes);
  absl::Status SaveIdentities(TransferId id, const std::vector<FileIdentity>& identities);
  // The record, and what of its content is not empty. With `have` an unfinished download begins
  // anew: nothing is known of its files.
  absl::Status Save(const TransferRecord& record, const TransferContent& content);
  // The record, and nothing of its content any more.
  absl::Status SaveAlone(const TransferRecord& record);
  // And the files that changed with it.
  absl::Status SaveHave(TransferId id, const DurableChunks& have);

  // True when the last run did not end with MarkClean(); marks this run as running.
  absl::StatusOr<bool> BeginRun();
  absl::Status MarkClean();

 private:
  struct Impl;
  explicit Catalog(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Makes a directory and those above it, the last with `mode` (the umask applies); OK when it is
// there.
absl::Status MakeDirectories(const std::string& path, uint32_t mode);

// Holds a lock file in the state directory for the life of the process.
class StateDirLock {
 public:
  // Makes the directory (mode 0700) when it is not there. FailedPrecondition "... is in use by
  // another p2pd (process N)" when another process holds it.
  static absl::StatusOr<std::unique_ptr<StateDirLock>> Acquire(const std::string& state_dir);
  ~StateDirLock();

 private:
  explicit StateDirLock(int fd) : fd_(fd) {}
  int fd_;
};

// The daemon's identity: 32 random bytes, made at the first start, in `state_dir`/peer_id (mode
// 0600).
absl::StatusOr<PeerId> LoadOrMakePeerId(const std::string& state_dir);

}  // namespace p2p::store
