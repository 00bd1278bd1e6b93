// Answers what peers ask of one transfer's content, in both protocols. Belongs to the engine loop;
// disks are touched by workers only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/types/optional.h"
#include "core/base/ids.h"
#include "core/content/chunk_tree.h"
#include "daemon/engine/content_state.h"
#include "daemon/engine/links.h"
#include "daemon/engine/runtime.h"

namespace p2p::engine {

class ServingHost {
 public:
  virtual ~ServingHost() = default;
  // A file is not what it was when it was hashed, or is gone. ResumeFile or the transfer's end
  // follows.
  virtual void OnFileSuspect(FileIndex file) = 0;
  // Addresses of peers of this content, as PeerExchange::Answer gives them.
  virtual std::vector<std::string> KnownPeers(const Link& asking) = 0;
};

class Serving : public std::enable_shared_from_this<Serving> {
 public:
  Serving(Runtime* runtime, Links* links, ContentState* content, ServingHost* host)
      : runtime_(runtime),
        links_(links),
        content_(content),
        host_(host),
        busy_timer_(&runtime->engine_loop) {}

  // False when the event is not a question.
  bool OnEvent(Link& link, const session::PeerEvent& event);
  void ServeOriginal(Link& link, FileIndex file, uint64_t chunk_id);
  // Tells `link` all that we have.
  void SendHaveSet(Link& link);

  // A suspect file was hashed again and is what it was: what waited for it goes on.
  void ResumeFile(FileIndex file);
  // It is not: what waits is refused, and whatever else is asked from now on.
  void RefuseAll();
  void Allow() { refusing_ = false; }
  bool refusing() const { return refusing_; }

 private:
  void SendManifest(Link& link, uint32_t max_hashes);
  void SendHashes(Link& link, FileIndex file, uint32_t first);
  struct Asked {
    LinkId link;
    ChunkPart part;
    bool original = false;
    int tries = 0;  // that found no descriptor or memory free
  };
  // What a worker needs beside it, where leaves are asked for.
  struct ToPrepare {
    Asked asked;
    std::vector<Hash256> proof;
    // The proof is to be made from the bytes around the leaves, with this tree, or with one that is
    // to be made from the whole chunk.
    absl::optional<content::ChunkTree> tree;
    bool tree_is_new = false;
  };
  struct Prepared {
    Asked asked;
    std::vector<Hash256> proof;
    FileSlice slice;
  };
  struct Waiting {
    FileIndex file;
    Asked asked;
  };

  // --- serving_chunks.cc
  void ServeChunk(const Asked& asked);
  void PrepareChunks();
  // Whether there are such leaves, as far as asking goes.
  bool Exists(const ChunkPart& part) const;
  // The proof of leaves, or what it can be made from; false when they can not be proven here yet.
  bool FindProof(ToPrepare* chunk) const;
  static absl::Status MakeProof(store::FileChunkManager* store, ToPrepare* chunk);
  void Prepare(Link& to, std::vector<ToPrepare> chunks);
  static absl::StatusOr<Prepared> PrepareOne(store::FileChunkManager* store, ToPrepare* chunk);
  static void Send(session::PeerSession& session, const Prepared& chunk);
  void Refuse(const Asked& asked, int code, const std::string& reason);
  void OnNotPrepared(Asked asked, const absl::Status& status);
  void TryAgainSoon(const Asked& asked);

  Runtime* const runtime_;
  Links* const links_;
  ContentState* const content_;
  ServingHost* const host_;
  std::vector<Asked> to_prepare_;  // what was asked for since the loop's last turn
  absl::flat_hash_set<FileIndex> suspect_;
  std::vector<Waiting> waiting_;
  std::vector<Asked> busy_;  // tried again when the timer fires
  net::Timer busy_timer_;
  bool refusing_ = false;
};

}  // namespace p2p::engine
