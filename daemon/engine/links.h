// All connections to peers: dialled, accepted, and which transfer each of them serves. Belongs to
// the engine loop.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/optional.h"
#include "core/base/ids.h"
#include "core/base/limits.h"
#include "core/net/listener.h"
#include "daemon/engine/origin.h"
#include "daemon/engine/peer_book.h"
#include "daemon/engine/peer_link.h"
#include "daemon/engine/rate_meter.h"
#include "daemon/engine/runtime.h"
#include "daemon/engine/served_files.h"

namespace p2p::engine {

class Transfer;

// One connection as the engine sees it.
struct Link {
  std::shared_ptr<PeerLink> io;
  std::string address;   // where it was dialled, or where it came from
  net::Endpoint remote;  // the same
  // Where the peer takes connections: where it was dialled, or what it said itself of an accepted
  // one. "": unknown, or nowhere.
  std::string listen_address;
  bool dialled = false;
  absl::Time since;  // it was dialled or accepted
  // It last asked for or offered something; InfinitePast: not yet.
  absl::Time last_use = absl::InfinitePast();
  bool original = false;  // speaks the original protocol
  absl::optional<session::PeerHello> hello;
  std::weak_ptr<Transfer> transfer;
  bool opened = false;              // both sides agreed on the content
  std::string refusal;              // the other side has no room, and this is what it said
  bool banned = false;              // it did wrong, and is being closed
  bool surplus = false;             // is being closed: there is another one to the same peer
  bool subscribed = false;          // wants our have-set
  bool asked_subscription = false;  // we want its

  uint64_t chunks_down = 0;
  RateMeter down;
  ServedFiles served;

  LinkId id() const { return io->id(); }
  Origin origin() const { return Origin::Of(remote); }
  // What a fault on this link is held against, beside the link: the address that was dialled, or
  // the host that an accepted one came from. Never an id, which anybody may claim, nor a port that
  // an accepted one states.
  std::string BlameName() const { return dialled ? address : net::FormatHost(remote); }
};

// What happens on links before they belong to a transfer, and which transfer that then is.
class LinkRouter {
 public:
  virtual ~LinkRouter() = default;
  // The transfer that has this content and takes part in its swarm; nullptr when there is none.
  virtual std::shared_ptr<Transfer> FindContent(const ContentId& content_id) = 0;
  // Where FindContent finds none: a transfer has this content, and is not ready to serve it yet.
  virtual bool IsContentComing(const ContentId& content_id) = 0;
  // The contents shared under a name, at most 16.
  virtual std::vector<ContentId> ContentsNamed(const std::string& name) = 0;
  // The transfer whose file answers to this name in the original protocol, and that file.
  virtual std::shared_ptr<Transfer> FindOriginalName(const std::string& name, FileIndex* file) = 0;
  // Where FindOriginalName finds none: as IsContentComing.
  virtual bool IsOriginalNameComing(const std::string& name) = 0;
};

class Links : public PeerLinkObserver {
 public:
  Links(Runtime* runtime, LinkRouter* router);
  ~Links() override;

  // Listens on `at`; the reason when that is not possible.
  absl::Status Listen(const net::Endpoint& at);
  const net::Endpoint& listen_endpoint() const { return listener_->local(); }
  void StopListening();

  // nullptr when as many peers are dialled, by all transfers, as the process has descriptors for.
  Link* Dial(const PeerBook::Candidate& to, bool original,
             const std::shared_ptr<Transfer>& transfer);
  Link* Find(LinkId id);
  void Close(LinkId id, std::string reason);
  // Those of one transfer.
  void ForEachOf(const Transfer* transfer, const std::function<void(Link&)>& visit);
  void CloseAll(std::string reason);
  size_t size() const { return links_.size(); }

 private:
  void OnLinkEvents(LinkId link, std::vector<session::PeerEvent> events) override;
  void OnLinkClosed(LinkId link, std::string reason) override;

  void OnAccepted(net::EventLoop* loop, asio::ip::tcp::socket socket, net::Admission admission);
  void OnEvent(Link& link, session::PeerEvent& event);
  void OnHello(Link& link, const session::PeerHello& hello);
  void OnOpenAsked(Link& link, const ContentId& content_id);
  // Those that opened a content and made no use of it.
  void CloseUnused();
  void OnServeOriginal(Link& link, const session::ServeOriginalChunk& asked);
  // `other`: where the other side is seen.
  session::PeerSessionOptions SessionOptions(bool dialled, bool original, std::string other) const;
  net::ConnectionOptions ConnectionOptions() const;

  Runtime* const runtime_;
  LinkRouter* const router_;
  std::unique_ptr<net::Listener> listener_;
  // Pointers are stable: transfers hold them during a call.
  absl::flat_hash_map<LinkId, std::unique_ptr<Link>> links_;
  int dialled_ = 0;  // of these
  // Those that opened a content, until limits::kUnusedOpenTimeout, in the order of the times when
  // that is over.
  std::deque<std::pair<absl::Time, LinkId>> to_use_;
  net::Timer unused_timer_;
  uint64_t next_link_id_ = 1;
};

}  // namespace p2p::engine
