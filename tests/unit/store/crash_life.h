// A daemon's life on a CrashingFileSystem, its catalog included, made of the store's code in the
// order of the engine; and what it promised. For tests; one thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "daemon/store/catalog.h"
#include "daemon/store/file_chunk_manager.h"
#include "daemon/store/hashing.h"
#include "gtest/gtest.h"
#include "tests/support/crashing_file_system.h"
#include "tests/support/crashing_sqlite.h"
#include "tests/unit/store/store_test_support.h"

namespace p2p::store {

using testing_support::CrashingFileSystem;
using testing_support::CrashingSqlite;

constexpr char kShared[] = "/shared/tree";
constexpr char kTarget[] = "/downloads/tree";
constexpr char kSecondTarget[] = "/downloads/second";

// What the user was told, by transfer.
struct Promises {
  std::map<uint64_t, TransferRecord> records;  // as they were last saved
  std::map<uint64_t, ChunkSet> have;
  std::set<uint64_t> being_removed;
  std::set<uint64_t> removed;
  bool clean = false;
};

// What is shared; the same for all lives.
struct Content {
  HashedShare share;
  LayoutPtr layout;
};

// A daemon's life on a disk. Every step ends it when the power fails.
class Life {
 public:
  Life(CrashingFileSystem* disk, const std::string& state_dir, const Content& content,
       Promises* promises)
      : disk_(disk), sqlite_(disk), state_dir_(state_dir), content_(content), promises_(promises) {}

  absl::Status Live() {
    P2P_RETURN_IF_ERROR(Start());
    P2P_RETURN_IF_ERROR(Share());
    P2P_ASSIGN_OR_RETURN(TransferRecord first, Begin(kTarget));
    P2P_RETURN_IF_ERROR(
        GoOn(&first, ChunkSet(content_.layout->chunk_count()), /*to_the_end=*/true));
    P2P_ASSIGN_OR_RETURN(TransferRecord second, Begin(kSecondTarget));
    P2P_RETURN_IF_ERROR(
        GoOn(&second, ChunkSet(content_.layout->chunk_count()), /*to_the_end=*/false));
    P2P_RETURN_IF_ERROR(Remove(second.id));
    P2P_RETURN_IF_ERROR(Remove(first.id));
    return Stop();
  }

  // Looks at what an earlier life left, and holds it against the promises.
  void Recover() {
    std::string recovered;
    auto catalog = Catalog::Open(state_dir_, &recovered);
    if (disk_->dead()) return;
    ASSERT_TRUE(catalog.ok()) << catalog.status();
    ASSERT_EQ(recovered, "") << "a crash is no damage";
    catalog_ = *std::move(catalog);
    // A crash in BeginRun may come after its commit.
    const bool ended_well = std::exchange(promises_->clean, false);
    const auto unclean = catalog_->BeginRun();
    if (disk_->dead()) return;
    ASSERT_TRUE(unclean.ok()) << unclean.status();
    if (ended_well) {
      EXPECT_FALSE(*unclean) << "it ended in good order";
    }
    const auto loaded = catalog_->LoadTransfers();
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    std::map<uint64_t, TransferRecord> found;
    for (const TransferRecord& record : *loaded) found[record.id.value()] = record;
    for (const auto& [id, promised] : promises_->records) {
      if (promises_->being_removed.count(id) != 0) continue;
      ASSERT_EQ(found.count(id), 1u) << "transfer " << id << " is gone";
      EXPECT_EQ(found[id].kind, promised.kind);
      if (promised.finished) {
        EXPECT_TRUE(found[id].finished);
      }
      if (promised.content_id.has_value()) {
        EXPECT_EQ(found[id].content_id, promised.content_id);
      }
      if (!promised.path.empty()) {
        EXPECT_EQ(found[id].path, promised.path);
      }
    }
    for (const uint64_t id : promises_->removed) {
      EXPECT_EQ(found.count(id), 0u) << "it was removed";
      ExpectNothingAt(promises_->records[id].path);
    }
    for (auto& [id, record] : found) {
      if (testing::Test::HasFailure() || disk_->dead()) return;
      Resume(&record);
    }
    if (!disk_->dead()) {
      EXPECT_TRUE(Stop().ok() || disk_->dead());
    }
  }

 private:
  absl::Status Start() {
    std::string recovered;
    P2P_ASSIGN_OR_RETURN(catalog_, Catalog::Open(state_dir_, &recovered));
    return catalog_->BeginRun().status();
  }

  absl::Status Stop() {
    P2P_RETURN_IF_ERROR(catalog_->MarkClean());
    promises_->clean = true;
    catalog_.reset();
    return disk_->Look();
  }

  absl::Status Save(const TransferRecord& record, const TransferContent& content) {
    P2P_RETURN_IF_ERROR(catalog_->Save(record, content));
    promises_->records[record.id.value()] = record;
    return absl::OkStatus();
  }

  absl::StatusOr<TransferRecord> AddTransfer(TransferKind kind, const std::string& path) {
    TransferRecord record;
    record.kind = kind;
    record.name = "tree";
    record.path = path;
    P2P_ASSIGN_OR_RETURN(record.id, catalog_->Add(record));
    promises_->records[record.id.value()] = record;
    return record;
  }

  absl::Status Share() {
    P2P_ASSIGN_OR_RETURN(TransferRecord record, AddTransfer(TransferKind::kShare, kShared));
    return SaveShare(&record);
  }

  // Transfer::OnHashed.
  absl::Status SaveShare(TransferRecord* record) {
    record->content_id = content_.share.manifest->content_id();
    TransferContent content = ManifestToSave();
    content.identities = content_.share.identities;
    return Save(*record, content);
  }

  TransferContent ManifestToSave() const {
    TransferContent content;
    content.info = content_.share.manifest->info();
    content.chunk_hashes = content_.share.hashes->Encode();
    return content;
  }

  absl::StatusOr<TransferRecord> Begin(const std::string& target) {
    P2P_ASSIGN_OR_RETURN(TransferRecord record, AddTransfer(TransferKind::kDownload, target));
    P2P_RETURN_IF_ERROR(Place(&record));
    return record;
  }

  // Transfer::MakePlace.
  absl::Status Place(TransferRecord* record) {
    P2P_RETURN_IF_ERROR(
        FileChunkManager::CheckPlace(disk_, record->path, *content_.layout, ByteCount(0)));
    record->content_id = content_.share.manifest->content_id();
    TransferContent content = ManifestToSave();
    content.have = DurableChunks::None(content_.layout->chunk_count());
    P2P_RETURN_IF_ERROR(Save(*record, content));
    P2P_ASSIGN_OR_RETURN(
        store_, FileChunkManager::CreatePart(disk_, record->path, content_.layout, ByteCount(0)));
    return absl::OkStatus();
  }

  // HaveJournal::Commit.
  absl::Status Commit(TransferId id, const ChunkSet& have) {
    P2P_ASSIGN_OR_RETURN(const DurableChunks durable, store_->Sync());
    EXPECT_EQ(durable.chunks(), have) << "all of it was written before";
    P2P_RETURN_IF_ERROR(catalog_->SaveHave(id, durable));
    promises_->have[id.value()] = durable.chunks();
    return absl::OkStatus();
  }

  // What was lost on the way to the disk is fetched again.
  absl::Status GoOn(TransferRecord* record, ChunkSet have, bool to_the_end) {
    while (true) {
      const absl::Status status = Fetch(record, &have, to_the_end);
      const auto ledger = store_->ledger();
      if (status.ok() || disk_->dead() || ledger == nullptr) return status;
      if (absl::IsAborted(status)) {
        P2P_RETURN_IF_ERROR(LookAgain(*record, &have));
        continue;
      }
      const std::vector<ChunkIndex> lost = ledger->TakeLost();
      if (lost.empty()) return status;
      for (const ChunkIndex chunk : lost) have.Remove(chunk);
      // The transfer stops with what is left, and goes on from there.
      P2P_RETURN_IF_ERROR(Commit(record->id, have));
    }
  }

  // Transfer::OnPartChanged: what this disk forgets is another file to whoever looks at its size.
  absl::Status LookAgain(const TransferRecord& record, ChunkSet* have) {
    P2P_ASSIGN_OR_RETURN(const auto content, catalog_->LoadContent(record.id));
    PartClaim claim;
    claim.have = content.have;
    claim.files = content.part_files;
    P2P_ASSIGN_OR_RETURN(store_, Reopen(record, &claim));
    *have = RightChunks();
    store_->ledger()->KeepFound(*have);
    return absl::OkStatus();
  }

  absl::Status Fetch(TransferRecord* record, ChunkSet* wanted, bool to_the_end) {
    ChunkSet& have = *wanted;
    for (uint32_t i = 0; i < have.size(); ++i) {
      if (have.Has(ChunkIndex(i))) continue;
      if (!to_the_end && i == 1) continue;
      // As it comes from several peers: the end first.
      const std::vector<uint8_t> bytes = ChunkBytes(*content_.layout, ChunkIndex(i));
      const uint32_t half = static_cast<uint32_t>(bytes.size() / 2);
      const auto all = absl::MakeConstSpan(bytes);
      P2P_RETURN_IF_ERROR(store_->WritePart(ChunkIndex(i), half, all.subspan(half)));
      P2P_RETURN_IF_ERROR(store_->WritePart(ChunkIndex(i), 0, all.subspan(0, half)));
      EXPECT_TRUE(store_->ledger()->Keep(ChunkIndex(i)));
      have.Add(ChunkIndex(i));
      if (i != 1) P2P_RETURN_IF_ERROR(Commit(record->id, have));
    }
    return to_the_end ? Finish(record) : absl::OkStatus();
  }

  // Transfer::OnFetched, OnFinished.
  absl::Status Finish(TransferRecord* record) {
    P2P_RETURN_IF_ERROR(store_->Finish());
    return SaveFinished(record, store_->identities());
  }
  absl::Status SaveFinished(TransferRecord* record, const std::vector<FileIdentity>& identities) {
    TransferContent content;
    content.identities = identities;
    record->finished = true;
    return Save(*record, content);
  }

  // Transfer::Remove with its data.
  absl::Status Remove(TransferId id) {
    promises_->being_removed.insert(id.value());
    const TransferRecord& record = promises_->records[id.value()];
    if (record.finished) {
      P2P_ASSIGN_OR_RETURN(const auto content, catalog_->LoadContent(id));
      P2P_ASSIGN_OR_RETURN(store_, FileChunkManager::OpenWhole(disk_, record.path, content_.layout,
                                                               content.identities));
    }
    P2P_RETURN_IF_ERROR(store_->RemoveFiles());
    P2P_RETURN_IF_ERROR(catalog_->Remove(id));
    promises_->removed.insert(id.value());
    return absl::OkStatus();
  }

  // Transfer::Load, Continue.
  void Resume(TransferRecord* record) {
    const auto content = catalog_->LoadContent(record->id);
    ASSERT_TRUE(content.ok()) << content.status();
    ASSERT_FALSE(content->damaged);
    if (!content->info.empty()) {
      ASSERT_EQ(content->info, content_.share.manifest->info());
      ASSERT_EQ(content->chunk_hashes, content_.share.hashes->Encode());
    }
    if (record->kind == TransferKind::kShare) {
      EXPECT_TRUE(SaveShare(record).ok() || disk_->dead());
      return;
    }
    if (promises_->being_removed.count(record->id.value()) != 0) {
      // Asked for once more.
      promises_->records[record->id.value()] = *record;
      auto part = Reopen(*record, nullptr);
      if (record->finished || part.ok()) {
        if (part.ok()) store_ = *part;
        const absl::Status removed = Remove(record->id);
        EXPECT_TRUE(removed.ok() || disk_->dead()) << removed;
      }
      return;
    }
    if (record->finished) return ExpectWhole(*record, content->identities);
    ASSERT_EQ(content->info.empty(), content->have.empty()) << "half of what is saved at once";
    if (content->info.empty()) {
      EXPECT_TRUE(content->have.chunks().None()) << "claimed without a manifest";
      const absl::Status placed = Place(record);
      ASSERT_TRUE(placed.ok() || disk_->dead()) << placed;
      if (!disk_->dead()) Continue(record, ChunkSet(content_.layout->chunk_count()));
      return;
    }
    PartClaim claim;
    claim.have = content->have;
    claim.files = content->part_files;
    claim.have.Fit(content_.layout->chunk_count());
    ReopenPart(record, claim);
  }

  absl::StatusOr<std::shared_ptr<FileChunkManager>> Reopen(const TransferRecord& record,
                                                           PartClaim* claim) {
    PartClaim ignored;
    return FileChunkManager::ReopenPart(disk_, record.path, content_.layout,
                                        claim == nullptr ? &ignored : claim);
  }

  // Transfer::ReopenPart.
  void ReopenPart(TransferRecord* record, PartClaim claim) {
    const ChunkSet claimed = claim.have.chunks();
    ChunkSet promised = promises_->have[record->id.value()];
    promised.Remove(claimed);
    EXPECT_TRUE(promised.None()) << "a commit was lost";
    const auto part = Reopen(*record, &claim);
    if (disk_->dead()) return;
    if (part.ok()) {
      store_ = *part;
      EXPECT_EQ(claim.have.chunks(), claimed) << "claimed chunks have no room in their files";
      const bool shows_the_disk = store_->ForgetCached().ok();
      if (disk_->dead()) return;
      ChunkSet right = RightChunks();
      ChunkSet wrong = claimed;
      wrong.Remove(right);
      ASSERT_TRUE(wrong.None()) << "a chunk is claimed that is not there";
      // What is there beside is found, once it is durable; after a sync that failed nobody knows
      // it.
      if (!shows_the_disk) right = claimed;
      store_->ledger()->KeepFound(right);
      return Continue(record, right);
    }
    ASSERT_TRUE(absl::IsNotFound(part.status())) << part.status();
    const auto whole = FileChunkManager::AdoptFinished(disk_, record->path, content_.layout);
    if (disk_->dead()) return;
    if (whole.ok()) {
      store_ = *whole;
      ASSERT_TRUE(RightChunks().All()) << "it got its name before it was whole";
      EXPECT_TRUE(SaveFinished(record, store_->identities()).ok() || disk_->dead());
      return;
    }
    ASSERT_TRUE(absl::IsNotFound(whole.status())) << whole.status();
    ASSERT_TRUE(claimed.None()) << "everything is gone";
    const absl::Status placed = Place(record);
    ASSERT_TRUE(placed.ok() || disk_->dead()) << placed;
    if (!disk_->dead()) Continue(record, ChunkSet(content_.layout->chunk_count()));
  }

  void Continue(TransferRecord* record, const ChunkSet& have) {
    const absl::Status status = GoOn(record, have, /*to_the_end=*/true);
    if (disk_->dead()) return;
    ASSERT_TRUE(status.ok()) << status;
    ExpectWhole(*record, store_->identities());
  }

  void ExpectNothingAt(const std::string& path) {
    const size_t slash = path.rfind('/');
    const auto directory = disk_->OpenRoot(path.substr(0, slash));
    if (!directory.ok()) return;
    const std::string name = path.substr(slash + 1);
    EXPECT_FALSE((*directory)->Info(name).ok()) << path << " was removed";
    EXPECT_FALSE((*directory)->Info(name + ".part").ok()) << path << ".part was removed";
  }

  void ExpectWhole(const TransferRecord& record, const std::vector<FileIdentity>& identities) {
    auto whole = FileChunkManager::OpenWhole(disk_, record.path, content_.layout, identities);
    if (disk_->dead()) return;
    ASSERT_TRUE(whole.ok()) << whole.status();
    store_ = *whole;
    EXPECT_TRUE(RightChunks().All() || disk_->dead()) << "finished, and not what was shared";
  }

  ChunkSet RightChunks() {
    ChunkSet right(content_.layout->chunk_count());
    for (uint32_t i = 0; i < right.size(); ++i) {
      if (HoldsTestChunk(store_.get(), ChunkIndex(i))) right.Add(ChunkIndex(i));
    }
    return right;
  }

  CrashingFileSystem* const disk_;
  const CrashingSqlite sqlite_;
  const std::string state_dir_;
  const Content& content_;
  Promises* const promises_;
  std::unique_ptr<Catalog> catalog_;
  std::shared_ptr<FileChunkManager> store_;
};

}  // namespace p2p::store
