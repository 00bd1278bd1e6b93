// Brings one content here: has peers found, gets the manifest, the chunk hashes and the chunks, has
// each checked and stored, and keeps the catalog's have-set behind what is durable. Belongs to the
// engine loop.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "core/base/chunk_set.h"
#include "core/content/chunk_tree.h"
#include "daemon/engine/content_state.h"
#include "daemon/engine/have_journal.h"
#include "daemon/engine/links.h"
#include "daemon/engine/peer_search.h"
#include "daemon/engine/rate_meter.h"
#include "daemon/engine/runtime.h"
#include "daemon/engine/trackers.h"
#include "daemon/swarm/swarm.h"

namespace p2p::engine {

class FetchHost {
 public:
  virtual ~FetchHost() = default;
  // ContentState has its manifest and layout now; a place on disk is wanted (then
  // Fetch::OnPlaceFound and Fetch::OnStoreReady).
  virtual void OnManifest() = 0;
  // Every chunk hash is known and proven.
  virtual void OnHashesComplete() = 0;
  // The first chunk is here: there is something to offer.
  virtual void OnFirstChunk() = 0;
  // Every chunk is verified, written and committed.
  virtual void OnFetched() = 0;
  // The disk or the catalog refuses; fetching has stopped.
  virtual void OnStoreProblem(const absl::Status& status) = 0;
  virtual std::shared_ptr<Transfer> SelfAsTransfer() = 0;
};

struct FetchSource {
  // Original peers only: the name to ask them for. Empty: by content id.
  std::string original_name;
  std::vector<ToldPeers> peers;  // that are known from the start
};

class Fetch : public std::enable_shared_from_this<Fetch>,
              public PeerSearchHost,
              public HaveJournalHost {
 public:
  Fetch(Runtime* runtime, Links* links, Trackers* trackers, TransferId id, ContentState* content,
        FetchHost* host, FetchSource source);
  ~Fetch() override;

  void Start();
  // The verified manifest, and what is known of its chunk hashes: all, where another transfer had
  // them. Also before Start.
  void UseManifest(std::shared_ptr<const content::Manifest> manifest, content::ChunkHashes hashes);
  // The content is known and the disk has room for it: who has what of it may cost memory now.
  void OnPlaceFound();
  // There is a place for chunks, whose ledger says what is there already, checked; and what the
  // catalog says of it.
  void OnStoreReady(store::DurableChunks committed);
  // Commits what is written and ends; `done` runs when the catalog has it, or does not take it:
  // then uncommitted() tells why. Again: waits for the same.
  void Stop(std::function<void()> done);
  const absl::Status& uncommitted() const { return uncommitted_; }
  // For a user who resumes or a tracker that came back: no waits.
  void HuntNow() { search_->HuntNow(); }
  // Chunks that turned out bad on disk are fetched again.
  void OnBadHere(const ChunkSet& bad);

  void OnPeerHello(Link& link);
  void OnAccepted(Link& link);
  bool OnLinkEvent(Link& link, session::PeerEvent& event);
  void OnLinkClosed(Link& link, const std::string& reason);
  void OnSelfDialled(const std::string& address) { search_->OnSelfDialled(address); }

  uint64_t bytes_have() const;
  double rate_down() const;
  // Why nothing moves, or "".
  std::string Waiting() const;
  const PeerBook& peers() const { return search_->book(); }
  // Says what the catalog has; nullptr before there is a place for chunks.
  const HaveJournal* journal() const { return journal_.get(); }
  const ChunkSet* have() const { return swarm_ == nullptr ? nullptr : &swarm_->have(); }

 private:
  struct ArrivedChunk {
    LinkId from;
    ChunkPart part;
    absl::optional<Hash256> expected;  // of the whole chunk; none from original peers
    ByteCount file_bytes;
    std::vector<Hash256> proof;
    ChunkBuffer data;
  };
  // Leaves that were proven: what others are told to prove them.
  struct ProvenLeaves {
    Hash256 range_root;
    std::vector<Hash256> proof;
    content::ChunkTree tree;
  };
  struct StoredChunk {
    LinkId from;
    ChunkPart part;
    uint64_t losses = 0;  // of the disk, before it was written
    bool good = false;
    absl::Status stored;
    absl::optional<ProvenLeaves> leaves;
  };

  // What a peer said of its chunks before there was a swarm: bounded, as it costs memory before
  // anybody knows how much there is, or whether the disk has room for it.
  struct EarlyHaves {
    std::vector<session::PeerEvent> events;
    size_t bytes = 0;
  };

  bool by_original() const { return !source_.original_name.empty(); }
  // Wraps a callback so that it does nothing once this fetch is gone or has stopped.
  template <typename F>
  auto Guard(F f) {
    return [weak = weak_from_this(), f = std::move(f)](auto&&... args) mutable {
      const auto self = weak.lock();
      if (self != nullptr && !self->stopped_) f(std::forward<decltype(args)>(args)...);
    };
  }

  // PeerSearchHost.
  std::shared_ptr<Transfer> SelfAsTransfer() override { return host_->SelfAsTransfer(); }
  void OnDialled(Link& link) override;
  int useful_links() const override;
  ByteCount bytes_left() const override;
  // HaveJournalHost.
  void OnLostOnDisk(const std::vector<ChunkIndex>& lost) override;
  void OnJournalError(const absl::Status& status) override;

  // Peers.
  void Greet(Link& link);
  void AskForManifest();
  void OnManifestLate();
  // Whom to ask next; nullptr when there is nobody.
  Link* ChooseForManifest();
  void Join(Link& link);  // once the content is known and the link open
  void AddToSwarm(Link& link);
  void OnHave(Link& link, session::PeerEvent& event);
  void TakeEarlyHaves();
  // It did wrong: it is closed, and so are others to the address that was dialled. An accepted one
  // costs its host's other connections their use, but for those that have brought something good.
  void Ban(Link& link, const std::string& reason);
  // It alone, for too much of something. False when it was before.
  bool Dismiss(Link& link, const std::string& reason);
  // Nothing is asked of it.
  bool Avoids(const Link& link) const;
  void LeaveAlone(const Link& link);

  // Manifest and hashes.
  void OnManifestReceived(Link& link, session::ManifestReceived& received);
  void OnHashes(Link& link, FileIndex file, const content::HashRange& range);
  void TakeHashes(Link* link, FileIndex file, const content::HashRange& range);
  void AskForHashes();
  void AskForHashesLater();
  void OnHashesLate();
  void OnNoHashes(const Link& link, FileIndex file, uint32_t first);
  void MakeSwarm(ChunkSet have);

  // Chunks.
  void SchedulePump();
  void Pump();
  void Request(const swarm::RequestChunks& request);
  void Request(const swarm::RequestLeaves& request);
  void OnChunk(Link& link, session::ChunkReceived& received);
  // Whether it can be checked and stored.
  bool MayTake(ChunkIndex chunk) const;
  // Has what arrived checked and written: a large chunk at once, small ones together while the
  // workers are busy with earlier ones.
  void StoreArrived();
  static std::vector<StoredChunk> CheckAndWrite(store::FileChunkManager* store,
                                                std::vector<ArrivedChunk> chunks);
  static StoredChunk CheckAndWriteLeaves(store::FileChunkManager* store, ArrivedChunk* leaves);
  void OnStored(const std::vector<StoredChunk>& results);
  void OnChunkStored(const StoredChunk& result);
  void OnLostHere(ChunkIndex chunk);
  void FlushJournal(std::function<void()> done);
  void TellHaves();
  void TellLost();
  void CheckDone();

  Runtime* const runtime_;
  Links* const links_;
  Trackers* const trackers_;
  const TransferId id_;
  ContentState* const content_;
  FetchHost* const host_;
  const FetchSource source_;

  std::mt19937_64 random_;
  const std::shared_ptr<PeerSearch> search_;
  net::Timer pump_timer_;

  // Whom the manifest was asked of, and of how many it may be asked at a time.
  absl::flat_hash_set<LinkId> manifest_asked_;
  size_t manifest_askable_ = 1;
  absl::Time manifest_asked_at_ = absl::InfinitePast();  // the latest
  absl::Time manifest_progress_ = absl::InfinitePast();
  net::Timer manifest_timer_;
  absl::flat_hash_set<LinkId> manifest_refused_;
  bool manifest_in_check_ = false;
  std::vector<std::pair<FileIndex, content::HashRange>> early_hashes_;
  absl::flat_hash_map<LinkId, EarlyHaves> early_haves_;
  absl::flat_hash_map<std::pair<FileIndex, uint32_t>, LinkId> hashes_asked_;
  absl::flat_hash_set<LinkId> slow_with_hashes_;  // or that have none yet
  net::Timer hashes_timer_;

  absl::flat_hash_set<std::string> blamed_;  // Link::BlameName of those that did wrong
  std::unique_ptr<swarm::Swarm> swarm_;
  std::shared_ptr<HaveJournal> journal_;
  bool store_ready_ = false;
  bool pump_scheduled_ = false;
  bool told_first_chunk_ = false;
  bool stopped_ = false;
  absl::Status uncommitted_;
  std::vector<ArrivedChunk> arrived_;  // not yet handed to a worker
  uint64_t arrived_bytes_ = 0;
  int store_jobs_ = 0;
  // Jobs that have not begun when it stops write nothing more.
  const std::shared_ptr<std::atomic<bool>> writes_stopped_ =
      std::make_shared<std::atomic<bool>>(false);
  std::vector<std::function<void()>> after_stores_;  // run when the last job has ended
  std::vector<ChunkPart> fresh_;                     // verified and not yet told to others
  std::vector<ChunkIndex> lost_;  // that others may believe to be here, and are not yet told
  RateMeter down_;
};

}  // namespace p2p::engine
