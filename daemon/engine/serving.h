// Answers what peers ask of one transfer's content, in both protocols. Belongs to the engine loop;
// disks are touched by workers only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "core/base/ids.h"
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
  // Addresses of peers of this content, without the asking one, at most limits::kMaxPeersPerAnswer.
  virtual std::vector<std::string> KnownPeers(const Link& asking) = 0;
};

class Serving : public std::enable_shared_from_this<Serving> {
 public:
  Serving(Runtime* runtime, Links* links, const ContentState* content, ServingHost* host)
      : runtime_(runtime), links_(links), content_(content), host_(host) {}

  // False when the event is not a question.
  bool OnEvent(Link& link, const session::PeerEvent& event);
  void ServeOriginal(Link& link, FileIndex file, uint64_t chunk_id);
  // Tells `link` all that we have.
  void SendHaveSet(Link& link);

  // A suspect file was hashed again and is what it was: what waited for it goes on.
  void ResumeFile(FileIndex file);
  // It is not: what waits is refused, and whatever else is asked from now on.
  void Refuse();
  void Allow() { refusing_ = false; }
  bool refusing() const { return refusing_; }

 private:
  void SendManifest(Link& link, uint32_t max_hashes);
  void SendHashes(Link& link, FileIndex file, uint32_t first);
  struct Asked {
    LinkId link;
    ChunkIndex chunk;
    bool original = false;
  };
  struct Waiting {
    FileIndex file;
    Asked asked;
  };

  void ServeChunk(const Asked& asked);
  void PrepareChunks();
  void Prepare(Link& to, std::vector<Asked> chunks);
  void RefuseChunk(const Asked& asked, int code, const std::string& reason);
  void OnNotPrepared(const Asked& asked, const absl::Status& status);

  Runtime* const runtime_;
  Links* const links_;
  const ContentState* const content_;
  ServingHost* const host_;
  std::vector<Asked> to_prepare_;  // what was asked for since the loop's last turn
  absl::flat_hash_set<FileIndex> suspect_;
  std::vector<Waiting> waiting_;
  bool refusing_ = false;
};

}  // namespace p2p::engine
