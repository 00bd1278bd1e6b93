#include "daemon/engine/links.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/net/descriptors.h"
#include "daemon/engine/transfer.h"
#include "spdlog/spdlog.h"

namespace p2p::engine {
namespace {

// Of the process's descriptors a quarter is for peers that are dialled; half of them is for those
// that are accepted (core/net/listener.cc), the rest for files and control.
constexpr int kDialledPart = 4;
// The code of an ERROR for want of room.
constexpr int kNoRoom = 503;
constexpr char kNotReady[] = "not ready yet: it is being looked through";

// It asks for something, or offers or brings something.
bool IsUse(const session::PeerEvent& event) {
  return !absl::holds_alternative<session::PeerHello>(event) &&
         !absl::holds_alternative<session::OpenAsked>(event) &&
         !absl::holds_alternative<session::ManifestRefused>(event) &&
         !absl::holds_alternative<session::HashesRefused>(event) &&
         !absl::holds_alternative<session::ChunkRejected>(event) &&
         !absl::holds_alternative<session::LostReceived>(event) &&
         !absl::holds_alternative<session::SessionEnded>(event);
}

}  // namespace

Links::Links(Runtime* runtime, LinkRouter* router)
    : runtime_(runtime), router_(router), unused_timer_(&runtime->engine_loop) {}

Links::~Links() = default;

session::PeerSessionOptions Links::SessionOptions(bool dialled, bool original,
                                                  std::string other) const {
  session::PeerSessionOptions options;
  options.dialled = dialled;
  options.original = original;
  options.self = runtime_->self;
  options.listen_port = runtime_->listen_port;
  options.agent = runtime_->agent;
  options.other = std::move(other);
  options.manifests = runtime_->manifests;
  return options;
}

net::ConnectionOptions Links::ConnectionOptions() const {
  net::ConnectionOptions options;
  options.congestion_control = runtime_->options.congestion_control;
  return options;
}

absl::Status Links::Listen(const net::Endpoint& at) {
  session::PeerSessionOptions for_refused =
      SessionOptions(/*dialled=*/false, /*original=*/false, "");
  for_refused.listen_port = at.port();
  auto listener = net::Listener::Listen(
      runtime_->io_loops[0].get(), at, net::ListenerOptions(), session::NoRoomText(for_refused),
      // Called on the listener's loop, one connection after the other.
      [runtime = runtime_, next = size_t{0}]() mutable {
        return runtime->io_loops[next++ % runtime->io_loops.size()].get();
      },
      [this](net::EventLoop* loop, asio::ip::tcp::socket socket, net::Admission admission) {
        auto shared_socket = std::make_shared<asio::ip::tcp::socket>(std::move(socket));
        runtime_->engine_loop.Post([this, loop, shared_socket, admission] {
          OnAccepted(loop, std::move(*shared_socket), admission);
        });
      });
  if (!listener.ok()) return listener.status();
  listener_ = *std::move(listener);
  return absl::OkStatus();
}

void Links::StopListening() {
  if (listener_ == nullptr) return;
  runtime_->io_loops[0]->RunAndWait([this] { listener_.reset(); });
}

void Links::OnAccepted(net::EventLoop* loop, asio::ip::tcp::socket socket,
                       net::Admission admission) {
  std::error_code error;
  const net::Endpoint remote = socket.remote_endpoint(error);
  if (error) return;  // gone already
  const LinkId id(next_link_id_++);
  auto link = std::make_unique<Link>();
  link->remote = net::Unmapped(remote);
  link->address = net::FormatEndpoint(remote);
  link->io = std::make_shared<PeerLink>(
      id, loop, SessionOptions(/*dialled=*/false, /*original=*/false, link->address),
      ConnectionOptions(), runtime_->pool, &runtime_->up, this);
  link->since = MonotonicNow();
  PeerLink* io = link->io.get();
  links_[id] = std::move(link);
  io->Adopt(std::move(socket), std::move(admission));
}

Link* Links::Dial(const PeerBook::Candidate& to, bool original,
                  const std::shared_ptr<Transfer>& transfer) {
  if (dialled_ >= net::DescriptorLimit() / kDialledPart) return nullptr;
  ++dialled_;
  const LinkId id(next_link_id_++);
  auto link = std::make_unique<Link>();
  link->io = std::make_shared<PeerLink>(id, runtime_->PickIoLoop(),
                                        SessionOptions(true, original, to.address),
                                        ConnectionOptions(), runtime_->pool, &runtime_->up, this);
  link->remote = to.endpoint;
  link->address = to.address;
  link->listen_address = to.address;
  link->since = MonotonicNow();
  link->dialled = true;
  link->original = original;
  link->transfer = transfer;
  Link* result = link.get();
  links_[id] = std::move(link);
  result->io->Dial(to.endpoint);
  return result;
}

Link* Links::Find(LinkId id) {
  const auto it = links_.find(id);
  return it == links_.end() ? nullptr : it->second.get();
}

void Links::Close(LinkId id, std::string reason) {
  if (Link* link = Find(id)) link->io->Close(std::move(reason));
}

void Links::ForEachOf(const Transfer* transfer, const std::function<void(Link&)>& visit) {
  for (auto& [id, link] : links_) {
    if (link->transfer.lock().get() == transfer) visit(*link);
  }
}

void Links::CloseAll(std::string reason) {
  for (auto& [id, link] : links_) link->io->Close(reason);
}

void Links::OnLinkEvents(LinkId id, std::vector<session::PeerEvent> events) {
  auto shared = std::make_shared<std::vector<session::PeerEvent>>(std::move(events));
  runtime_->engine_loop.Post([this, id, shared] {
    for (session::PeerEvent& event : *shared) {
      if (Link* link = Find(id)) OnEvent(*link, event);
    }
    if (Link* link = Find(id)) link->io->OnEventsHandled(shared->size());
  });
}

void Links::OnLinkClosed(LinkId id, std::string reason) {
  runtime_->engine_loop.Post([this, id, reason = std::move(reason)] {
    const auto it = links_.find(id);
    if (it == links_.end()) return;
    const std::unique_ptr<Link> link = std::move(it->second);
    links_.erase(it);
    if (link->dialled) --dialled_;
    spdlog::debug("peer {}: closed: {}", link->address, Printable(reason));
    if (const auto transfer = link->transfer.lock()) transfer->OnLinkClosed(*link, reason);
  });
}

void Links::OnEvent(Link& link, session::PeerEvent& event) {
  if (IsUse(event)) link.last_use = MonotonicNow();
  if (const auto* hello = absl::get_if<session::PeerHello>(&event)) return OnHello(link, *hello);
  if (const auto* open = absl::get_if<session::OpenAsked>(&event))
    return OnOpenAsked(link, open->content_id);
  if (const auto* which = absl::get_if<session::WhichAsked>(&event)) {
    link.io->Do([ids = router_->ContentsNamed(which->name)](session::PeerSession& s) {
      s.AnswerWhich(ids);
    });
    return;
  }
  if (const auto* asked = absl::get_if<session::ServeOriginalChunk>(&event))
    return OnServeOriginal(link, *asked);
  if (const auto* ended = absl::get_if<session::SessionEnded>(&event)) {
    if (ended->code == kNoRoom) link.refusal = ended->reason;
    if (ended->protocol_error) {
      runtime_->LogPeerFault(
          absl::StrCat("peer ", link.address, ": broke the protocol: ", Printable(ended->reason)));
    }
  }
  if (const auto transfer = link.transfer.lock()) transfer->OnLinkEvent(link, event);
}

void Links::OnHello(Link& link, const session::PeerHello& hello) {
  if (hello.peer_id == runtime_->self) {
    if (const auto transfer = link.transfer.lock()) transfer->OnSelfDialled(link.address);
    link.io->Close("it is this daemon itself");
    return;
  }
  link.hello = hello;
  spdlog::debug("peer {}: sees this daemon as {}", link.address, hello.you);
  if (link.dialled) runtime_->extension_peers.Add(link.address);
  if (!link.dialled && hello.listen_port != 0) {
    // Its host is what the connection came from: no peer speaks for another one.
    link.listen_address =
        net::FormatEndpoint(net::Endpoint(link.remote.address(), hello.listen_port));
  }
  if (const auto transfer = link.transfer.lock()) transfer->OnPeerHello(link);
}

void Links::OnOpenAsked(Link& link, const ContentId& content_id) {
  const std::shared_ptr<Transfer> transfer = router_->FindContent(content_id);
  if (transfer == nullptr) {
    const bool coming = router_->IsContentComing(content_id);
    link.io->Do([coming](session::PeerSession& s) {
      if (coming) return s.RefuseOpen(503, kNotReady);
      s.RefuseOpen(404, "no such content here");
    });
    return;
  }
  link.transfer = transfer;
  link.last_use = absl::InfinitePast();
  transfer->OnAccepted(link);
  to_use_.emplace_back(MonotonicNow() + limits::kUnusedOpenTimeout, link.id());
  if (to_use_.size() == 1) unused_timer_.Arm(to_use_.front().first, [this] { CloseUnused(); });
}

void Links::CloseUnused() {
  for (; !to_use_.empty() && to_use_.front().first <= MonotonicNow(); to_use_.pop_front()) {
    const Link* link = Find(to_use_.front().second);
    if (link == nullptr || !link->opened || link->last_use != absl::InfinitePast()) continue;
    link->io->Close("it opened a content and made no use of it");
  }
  if (!to_use_.empty()) unused_timer_.Arm(to_use_.front().first, [this] { CloseUnused(); });
}

void Links::OnServeOriginal(Link& link, const session::ServeOriginalChunk& asked) {
  link.original = true;
  FileIndex file;
  const std::shared_ptr<Transfer> transfer = router_->FindOriginalName(asked.name, &file);
  if (transfer == nullptr) {
    const bool coming = router_->IsOriginalNameComing(asked.name);
    link.io->Do([coming](session::PeerSession& s) {
      if (coming) return s.SendOriginalError(503, kNotReady);
      s.SendOriginalError(404, "no such file here");
    });
    return;
  }
  link.transfer = transfer;
  transfer->ServeOriginal(link, file, asked.chunk_id);
}

}  // namespace p2p::engine
