// One transfer: a share or a download, from its first call to its removal. Decides which step comes
// next and shows how it stands; the steps themselves are Fetch, Serving, NameLookup and jobs of the
// store. Belongs to the engine loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "core/content/magnet.h"
#include "daemon/engine/change_look.h"
#include "daemon/engine/content_state.h"
#include "daemon/engine/engine.h"
#include "daemon/engine/fetch.h"
#include "daemon/engine/links.h"
#include "daemon/engine/name_lookup.h"
#include "daemon/engine/peer_exchange.h"
#include "daemon/engine/runtime.h"
#include "daemon/engine/serving.h"
#include "daemon/engine/trackers.h"
#include "daemon/store/catalog.h"
#include "daemon/store/hashing.h"

namespace p2p::engine {

// What a transfer must know of the others.
class TransferHost {
 public:
  virtual ~TransferHost() = default;
  // The downloads that will still write something.
  virtual std::vector<store::FileChunkManager::Reservation> OtherDownloads(TransferId except) = 0;
  // The content id of `transfer` became known or changed.
  virtual void OnContentKnown(Transfer* transfer) = 0;
  // It may go by its record's name and its content's from now on.
  virtual void OnNamed(const Transfer& transfer) = 0;
  // Another download whose .part is made to get the name `target`; nullptr when there is none.
  virtual std::shared_ptr<Transfer> FindDownloadTo(const std::string& target,
                                                   TransferId except) = 0;
  // A download has its final name.
  virtual void OnFinished(Transfer* transfer) = 0;
  // Another transfer of the same content whose manifest and chunk hashes are all known here, best
  // one that is whole; nullptr when there is none.
  virtual std::shared_ptr<Transfer> FindSibling(const Transfer& transfer) = 0;
  virtual const std::vector<std::string>& tracker_addresses() = 0;
  virtual bool last_run_was_unclean() = 0;
};

class Transfer : public std::enable_shared_from_this<Transfer>,
                 public FetchHost,
                 public ServingHost {
 public:
  Transfer(Runtime* runtime, Links* links, Trackers* trackers, TransferHost* host,
           store::TransferRecord record);
  ~Transfer() override;

  // Once, after construction: a new one, or one that the catalog had.
  void StartNew();
  void Load();

  // `committed` runs with OK when a restart would find it so, with all that was fetched until then;
  // else it is told what could not be saved.
  void Pause(std::function<void(absl::Status)> committed);
  void Resume(std::function<void(absl::Status)> committed);
  absl::Status Verify();
  // The user said so, of a download that was asked for before.
  void AllowUnverified();
  // Ends all work and commits; `done` runs when the catalog has everything.
  void Stop(std::function<void()> done);
  // Stop and forget: removes what belongs to an unfinished download, and the data if wanted.
  void Remove(bool with_data, std::function<void(absl::Status)> done);

  const store::TransferRecord& record() const { return record_; }
  // A .part is there, or is made, that will get the name record().path.
  bool has_place() const { return placed_ && !record_.finished; }
  const ContentState& content() const { return content_; }
  TransferInfo Info();
  std::vector<PeerInfo> Peers();
  uint64_t bytes_to_write() const;
  // Takes part in the swarm of its content: may be opened by peers.
  bool IsActive() const;
  // It will once it was looked through.
  bool IsComing() const;
  // Its files are not what they were: requests are answered with that.
  bool IsDamaged() const { return serving_->refusing(); }
  const std::vector<store::FileIdentity>& identities() const { return identities_; }
  bool IsRunningDownload() const { return fetch_ != nullptr || lookup_ != nullptr; }

  // From Links.
  void OnPeerHello(Link& link);
  void OnAccepted(Link& link);
  void OnLinkEvent(Link& link, session::PeerEvent& event);
  void OnLinkClosed(Link& link, const std::string& reason);
  void OnSelfDialled(const std::string& address);
  void ServeOriginal(Link& link, FileIndex file, uint64_t chunk_id);

 private:
  struct Loaded;
  struct Place;
  struct Reopened;

  // Wraps a callback so that it does nothing once the work that it belongs to was stopped.
  template <typename F>
  auto Guard(F f) {
    return [weak = weak_from_this(), epoch = epoch_, f = std::move(f)](auto&&... args) mutable {
      const auto self = weak.lock();
      if (self != nullptr && self->epoch_ == epoch) f(std::forward<decltype(args)>(args)...);
    };
  }

  void GoOn();  // what Resume does
  void LoadContent();
  // Picks the next step from what is known.
  void Continue();
  void SetState(TransferState state, std::string note = "");
  void Fail(const absl::Status& status);
  // With all that a finished download has, until the catalog has that. `then` runs when it was
  // tried.
  void SaveRecord(std::function<void()> then = [] {});
  void OnRecordSaved(const absl::Status& saved);
  // Of what is saved by the way: an error is in the log.
  std::function<void(absl::Status)> LogUnsaved(std::string what) const;
  uint64_t RestingBytes() const;  // what resting_have_ adds up to
  // `done` runs when the last fetch, if there was one, has committed what it wrote.
  void StopWork(std::function<void()> done);
  // Removes the files of one that is not open.
  void RemoveAtRest(bool unfinished, std::function<void(absl::Status)> done);
  // Runs `done` when no worker is making, opening or naming the .part, which content_ then has.
  void AfterPlacing(std::function<void()> done);
  void EndPlacing(std::shared_ptr<store::FileChunkManager> store);
  void AfterStopping(std::function<void()> done);
  void TakeCommitted(const HaveJournal& journal);
  // Runs `done` when the catalog has every change of the record that was asked of it until now, or
  // refused one.
  void AfterCatalog(std::function<void(absl::Status)> done);

  // Shares and finished downloads (transfer_whole.cc).
  void HashShare();
  void OnHashed(store::HashedShare hashed);
  void OpenWhole();
  // Of a finished download whose manifest or hashes the catalog lost.
  void FetchWhatTells();
  void OnWhatTells();
  void CheckFiles(std::vector<FileIndex> files);
  void CheckChunksOf(std::vector<FileIndex> files);
  // For want of descriptors or memory: that tells nothing about the files.
  void TryAgainSoon(const absl::Status& why, std::function<void()> what);
  void CheckAll();
  void CheckSuspects();
  // At the files that are wanted, as soon as that may be.
  void LookForChanges();
  void Gone();
  void LookForFiles();
  void OnChecked(std::vector<FileIndex> files, store::VerifiedChunks result);
  void Offer();
  void GoneOrDamaged(const std::string& what);
  void Damaged(const std::string& what);
  void RunCheck(ChunkSet which, std::function<void(store::VerifiedChunks)> done);

  // Downloads (transfer_download.cc).
  void LookUpName();
  void OnNameFound(NameLookup::Result result);
  void RefuseUnverified();
  void StartFetch(std::vector<ToldPeers> peers);
  void StartOriginalFetch(uint64_t size_bytes, std::vector<ToldPeers> peers);
  void MakePlace();
  void OnPlaceFound(Place place);
  void SavePlace();
  void SaveHashes();
  void CreatePart();
  void OnPartCreated(const absl::Status& created);
  void CompareExisting();
  void CopyFrom(const Transfer& sibling);
  void ReopenPart();
  void OnPartReopened(Reopened result);
  // Somebody else did something to it.
  void OnPartChanged(const absl::Status& how);
  // Leaves `have` of what the catalog says is there.
  void CommitLess(store::DurableChunks have, std::function<void()> then);
  void AdoptReopened();
  void CheckFound(ChunkSet uncertain);
  void RememberPlace();
  void UseStore();
  void VerifyPart();
  void OnFinished(std::vector<store::FileIdentity> identities);
  void WaitForDisk(const absl::Status& status);
  void LookForSpace(std::string reason, bool may_go_on);
  // `hint`: what helps.
  void WaitForPlace(const absl::Status& status, absl::string_view hint);
  void WaitForMount(const absl::Status& status);
  void LookForPlace();
  void Announce(bool partial);

  // FetchHost.
  void OnManifest() override;
  void OnHashesComplete() override;
  void OnFirstChunk() override;
  void OnFetched() override;
  void OnStoreProblem(const absl::Status& status) override;
  std::shared_ptr<Transfer> SelfAsTransfer() override { return shared_from_this(); }
  // ServingHost.
  void OnFileSuspect(FileIndex file) override;
  std::vector<std::string> KnownPeers(const Link& asking) override;

  // Whether there is a place for an accepted link, of those that others give up included.
  bool TakePlace(const Link& link);
  std::vector<Contact> Contacts();

  Runtime* const runtime_;
  Links* const links_;
  Trackers* const trackers_;
  TransferHost* const host_;
  store::TransferRecord record_;
  ContentState content_;
  // What the catalog says is there of an unfinished download, while no Fetch runs, and of its
  // files.
  store::DurableChunks resting_have_;
  std::vector<store::FileIdentity> part_files_;
  std::vector<store::FileIdentity> identities_;  // as TransferContent has them

  TransferState state_ = TransferState::kQueued;
  std::string note_;
  bool unverified_refused_ = false;  // the error is that it can only be had unverified
  int epoch_ = 0;
  absl::Status record_saved_;    // how the last SaveRecord() went
  bool finish_unsaved_ = false;  // the catalog does not say yet that it is finished
  absl::Status uncommitted_;     // why the last chunks of stopping_ could not be committed
  uint64_t hashing_total_ = 0;
  std::shared_ptr<store::WorkProgress> progress_;  // of hashing or checking
  std::shared_ptr<NameLookup> lookup_;
  std::shared_ptr<Fetch> fetch_;
  std::shared_ptr<Fetch> stopping_;  // the last one, while it commits what it wrote
  std::shared_ptr<Serving> serving_;
  PeerExchange exchange_;
  // What the catalog held of it was damaged, or the last run was cut off: there may be more than
  // was committed.
  bool may_have_more_ = false;
  bool cut_off_ = false;  // the last run
  bool loaded_ = false;   // what the catalog holds of its content
  // What trackers told of the name whose content id is the word of peers.
  absl::optional<ByteCount> named_bytes_;
  // The .part at record_.path is ours, or will be in a moment: the catalog says so before it is
  // made.
  bool placed_ = false;
  // The catalog lost its manifest: it is opened once the hashes are here that tell what it holds.
  bool part_waits_for_hashes_ = false;
  bool exists_at_target_ = false;  // something stands where the download should go: compare it
  bool placing_ = false;           // a worker makes, opens or names the .part
  std::vector<std::function<void()>> after_placing_;
  bool finishing_ = false;  // everything is fetched, and it gets its final name
  // `verify`: everything is looked at, or will be when what runs has ended, which may look at less.
  enum class Verification { kNone, kRuns, kWanted };
  Verification verification_ = Verification::kNone;
  int part_changes_ = 0;                     // that were found at its end
  absl::flat_hash_set<FileIndex> suspects_;  // to be checked when the check that runs has ended
  net::Timer disk_timer_;
  ChangeLook look_;
  net::Timer look_timer_;
  net::Timer save_timer_;
};

}  // namespace p2p::engine
