// Shares and layouts for the store's tests.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "core/base/limits.h"
#include "core/content/layout.h"
#include "core/content/manifest.h"
#include "daemon/store/file_chunk_manager.h"
#include "daemon/store/hashing.h"
#include "gtest/gtest.h"

namespace p2p::store {

using LayoutPtr = std::shared_ptr<const content::Layout>;
constexpr uint64_t kChunk = limits::kChunkBytes;

inline LayoutPtr SingleFile(const std::string& name, uint64_t length, bool executable = false) {
  content::LayoutFile file;
  file.path = name;
  file.length = ByteCount(length);
  file.executable = executable;
  auto layout = content::Layout::Make(name, false, {file});
  EXPECT_TRUE(layout.ok()) << layout.status();
  return std::make_shared<const content::Layout>(*std::move(layout));
}

struct TestFile {
  std::string path;
  uint64_t length;
  bool executable = false;
};

inline LayoutPtr Tree(const std::string& name, const std::vector<TestFile>& tree) {
  std::vector<content::LayoutFile> files;
  for (const TestFile& each : tree) {
    content::LayoutFile file;
    file.path = each.path;
    file.length = ByteCount(each.length);
    file.executable = each.executable;
    files.push_back(std::move(file));
  }
  content::SortFiles(&files);
  auto layout = content::Layout::Make(name, true, std::move(files));
  EXPECT_TRUE(layout.ok()) << layout.status();
  return std::make_shared<const content::Layout>(*std::move(layout));
}

// Bytes that tell the chunk and the place in it.
inline std::vector<uint8_t> ChunkBytes(const content::Layout& layout, ChunkIndex chunk) {
  std::vector<uint8_t> bytes(layout.ChunkLength(chunk));
  // Eight bytes at a time: tests make many chunks.
  uint64_t state = (uint64_t{chunk.value()} + 1) * 0x9e3779b97f4a7c15u;
  for (size_t at = 0; at < bytes.size(); at += sizeof state) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    std::memcpy(&bytes[at], &state, std::min(sizeof state, bytes.size() - at));
  }
  return bytes;
}

// As a verified chunk that was fetched.
inline absl::Status WriteTestChunk(FileChunkManager* manager, ChunkIndex chunk) {
  const absl::Status status = manager->WriteChunk(chunk, ChunkBytes(manager->layout(), chunk));
  const auto ledger = manager->ledger();
  if (status.ok() && ledger != nullptr) ledger->Keep(chunk);
  return status;
}

// A download that begins at `target`; nullptr, and a failure, where that is not possible.
inline std::shared_ptr<FileChunkManager> CreatePart(const std::string& target,
                                                    const LayoutPtr& layout,
                                                    FileSystem* files = SystemFiles()) {
  auto made = FileChunkManager::CreatePart(files, target, layout, ByteCount(0));
  EXPECT_TRUE(made.ok()) << made.status();
  return made.ok() ? *made : nullptr;
}

// What a catalog has been given in an earlier life.
inline DurableChunks Claim(const LayoutPtr& layout, const ChunkSet& chunks) {
  WriteLedger ledger(layout, DurableChunks::None(layout->chunk_count()), {});
  ledger.KeepFound(chunks);
  (void)ledger.TakeUnsynced();
  ledger.EndSync();
  return ledger.Durable();
}

// The same from ChunkSet::ToBytes().
inline DurableChunks Claim(const std::string& bytes) {
  if (bytes.empty()) return {};
  ChunkSet chunks(static_cast<uint32_t>(bytes.size() * 8));
  chunks.AddBytes(ChunkIndex(0), bytes);
  return Claim(SingleFile("x", chunks.size() * kChunk), chunks);
}

// Reopens what was claimed, whatever happened to its files, as if all of it had been looked at and
// was right. A set of another size: everything.
inline absl::StatusOr<std::shared_ptr<FileChunkManager>> ReopenPart(FileSystem* files,
                                                                    const std::string& target,
                                                                    const LayoutPtr& layout,
                                                                    ChunkSet* intact) {
  if (intact->size() != layout->chunk_count()) {
    *intact = ChunkSet(layout->chunk_count());
    intact->AddAll();
  }
  PartClaim claim;
  claim.have = Claim(layout, *intact);
  auto part = FileChunkManager::ReopenPart(files, target, layout, &claim);
  *intact = claim.have.chunks();
  if (part.ok()) (*part)->ledger()->KeepFound(claim.doubtful);
  return part;
}

inline absl::Status WriteAllChunks(FileChunkManager* manager) {
  for (uint32_t i = 0; i < manager->layout().chunk_count(); ++i) {
    const absl::Status status = WriteTestChunk(manager, ChunkIndex(i));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

inline bool HoldsTestChunk(FileChunkManager* manager, ChunkIndex chunk) {
  std::vector<uint8_t> bytes(manager->layout().ChunkLength(chunk));
  return manager->ReadChunk(chunk, absl::MakeSpan(bytes)).ok() &&
         bytes == ChunkBytes(manager->layout(), chunk);
}

// What a slice shows, as sendfile would send it.
inline std::string ReadSlice(const FileSlice& slice) {
  std::string bytes(slice.length, '\0');
  const ssize_t got = ::pread(slice.fd, &bytes[0], bytes.size(), static_cast<off_t>(slice.offset));
  bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return bytes;
}

inline absl::StatusOr<HashedShare> HashNow(FileSystem* files, WorkerPool* pool,
                                           const std::string& path, const std::string& name,
                                           std::shared_ptr<WorkProgress> progress = nullptr) {
  if (!progress) progress = std::make_shared<WorkProgress>();
  absl::StatusOr<HashedShare> result = absl::UnknownError("not done");
  absl::Notification done;
  HashShare(
      files, pool, DiskId::kUnknown, path, name, std::move(progress), [](ByteCount) {},
      [&](absl::StatusOr<HashedShare> hashed) {
        result = std::move(hashed);
        done.Notify();
      });
  done.WaitForNotification();
  return result;
}

inline VerifiedChunks VerifyNow(const std::shared_ptr<FileChunkManager>& store, WorkerPool* pool,
                                const HashedShare& share, const ChunkSet& which) {
  VerifiedChunks result;
  absl::Notification done;
  VerifyChunks(store, pool, share.manifest, share.hashes, which, std::make_shared<WorkProgress>(),
               [&](VerifiedChunks verified) {
                 result = std::move(verified);
                 done.Notify();
               });
  done.WaitForNotification();
  return result;
}

inline ChunkSet AllChunks(const content::Layout& layout) {
  ChunkSet all(layout.chunk_count());
  all.AddAll();
  return all;
}

}  // namespace p2p::store
