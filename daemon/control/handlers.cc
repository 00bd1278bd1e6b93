#include "daemon/control/handlers.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/names.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/control/convert.h"

namespace p2p::control {
namespace {

// A page ends early when it grows beyond this: with room for the last item, an answer stays below
// its limit.
constexpr size_t kMaxPageBytes = limits::kMaxControlMessageBytes / 2;

absl::Status BadField(absl::string_view field, absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", problem));
}

absl::Status CheckPath(absl::string_view field, absl::string_view path) {
  if (path.empty()) return BadField(field, "must not be empty");
  if (path.front() != '/') return BadField(field, "must be absolute, beginning with '/'");
  if (absl::StrContains(path, absl::string_view("\0", 1))) {
    return BadField(field, "must not hold a NUL byte");
  }
  if (path.size() > limits::kMaxLocalPathBytes) {
    return BadField(field, absl::StrCat("is longer than ", limits::kMaxLocalPathBytes, " bytes"));
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> PageItems(int page_size) {
  if (page_size < 0) return BadField("page_size", "must not be negative");
  if (page_size == 0) return limits::kDefaultControlPageItems;
  return std::min(page_size, limits::kMaxControlPageItems);
}

// Tokens are opaque to callers: here the number of the last item given.
absl::StatusOr<uint64_t> ParseToken(absl::string_view token) {
  if (token.empty()) return 0;
  const auto value = ParseDecimal(token, std::numeric_limits<uint64_t>::max());
  if (!value) return BadField("page_token", "is not one that an answer gave");
  return *value;
}

}  // namespace

absl::StatusOr<TransferId> Handlers::Find(absl::string_view what) {
  if (what.empty()) {
    return BadField("transfer", "must not be empty: an id, a content id or a name");
  }
  if (what.size() > limits::kMaxNameBytes) return BadField("transfer", "is longer than any name");
  absl::StatusOr<TransferId> id = transfers_->Find(std::string(what));
  if (absl::IsNotFound(id.status()) && !absl::StrContains(id.status().message(), "p2pctl list")) {
    return absl::NotFoundError(
        absl::StrCat(id.status().message(), "; p2pctl list shows all transfers"));
  }
  return id;
}

absl::StatusOr<v1::Transfer> Handlers::Current(TransferId id) {
  P2P_ASSIGN_OR_RETURN(const engine::TransferInfo info, transfers_->Transfer(id));
  return ToProto(info);
}

absl::StatusOr<v1::GetDaemonResponse> Handlers::GetDaemon(const v1::GetDaemonRequest&) {
  v1::GetDaemonResponse response;
  P2P_ASSIGN_OR_RETURN(const engine::DaemonInfo info, transfers_->Daemon());
  *response.mutable_daemon() = ToProto(info);
  return response;
}

void Handlers::BeginShare(const v1::ShareRequest& request,
                          std::function<void(absl::StatusOr<TransferId>)> done) {
  const absl::Status path = CheckPath("path", request.path());
  if (!path.ok()) return done(path);
  if (!request.name().empty()) {
    const absl::Status name = CheckName(request.name());
    if (!name.ok()) return done(BadField("name", name.message()));
  }
  transfers_->Share(request.path(), request.name(), std::move(done));
}

absl::StatusOr<v1::ShareResponse> Handlers::EndShare(const absl::StatusOr<TransferId>& shared) {
  P2P_RETURN_IF_ERROR(shared.status());
  v1::ShareResponse response;
  P2P_ASSIGN_OR_RETURN(*response.mutable_transfer(), Current(*shared));
  return response;
}

absl::StatusOr<v1::DownloadResponse> Handlers::Download(const v1::DownloadRequest& request) {
  if (request.source().empty()) {
    return BadField("source", "must not be empty: a name, a content id or a magnet link");
  }
  if (!request.output().empty()) P2P_RETURN_IF_ERROR(CheckPath("output", request.output()));
  P2P_ASSIGN_OR_RETURN(const TransferId id, transfers_->Download(request.source(), request.output(),
                                                                 request.allow_unverified()));
  v1::DownloadResponse response;
  P2P_ASSIGN_OR_RETURN(*response.mutable_transfer(), Current(id));
  return response;
}

absl::StatusOr<v1::GetTransferResponse> Handlers::GetTransfer(
    const v1::GetTransferRequest& request) {
  P2P_ASSIGN_OR_RETURN(const TransferId id, Find(request.transfer()));
  v1::GetTransferResponse response;
  P2P_ASSIGN_OR_RETURN(*response.mutable_transfer(), Current(id));
  return response;
}

absl::StatusOr<v1::ListTransfersResponse> Handlers::ListTransfers(
    const v1::ListTransfersRequest& request) {
  P2P_ASSIGN_OR_RETURN(const size_t items, PageItems(request.page_size()));
  P2P_ASSIGN_OR_RETURN(const uint64_t after, ParseToken(request.page_token()));
  // One more than asked for tells whether there is a next page.
  P2P_ASSIGN_OR_RETURN(const std::vector<engine::TransferInfo> found,
                       transfers_->Transfers(TransferId(after), items + 1));
  v1::ListTransfersResponse response;
  size_t bytes = 0;
  size_t given = 0;
  for (; given < std::min(items, found.size()) && bytes < kMaxPageBytes; ++given) {
    v1::Transfer* row = response.add_transfers();
    *row = ToProto(found[given]);
    bytes += row->ByteSizeLong();
  }
  if (given < found.size()) {
    response.set_next_page_token(absl::StrCat(found[given - 1].id.value()));
  }
  return response;
}

absl::StatusOr<v1::ListPeersResponse> Handlers::ListPeers(const v1::ListPeersRequest& request) {
  P2P_ASSIGN_OR_RETURN(const size_t items, PageItems(request.page_size()));
  P2P_ASSIGN_OR_RETURN(const uint64_t first, ParseToken(request.page_token()));
  P2P_ASSIGN_OR_RETURN(const TransferId id, Find(request.transfer()));
  P2P_ASSIGN_OR_RETURN(std::vector<engine::PeerInfo> peers, transfers_->Peers(id));
  std::stable_sort(
      peers.begin(), peers.end(),
      [](const engine::PeerInfo& a, const engine::PeerInfo& b) { return a.address < b.address; });
  v1::ListPeersResponse response;
  const size_t begin = std::min<uint64_t>(first, peers.size());
  const size_t end = begin + std::min(items, peers.size() - begin);
  for (size_t i = begin; i < end; ++i) *response.add_peers() = ToProto(peers[i]);
  if (end < peers.size()) response.set_next_page_token(absl::StrCat(end));
  return response;
}

absl::StatusOr<v1::PauseResponse> Handlers::Pause(const v1::PauseRequest& request) {
  P2P_ASSIGN_OR_RETURN(const TransferId id, Find(request.transfer()));
  P2P_RETURN_IF_ERROR(transfers_->Pause(id));
  v1::PauseResponse response;
  P2P_ASSIGN_OR_RETURN(*response.mutable_transfer(), Current(id));
  return response;
}

absl::StatusOr<v1::ResumeResponse> Handlers::Resume(const v1::ResumeRequest& request) {
  P2P_ASSIGN_OR_RETURN(const TransferId id, Find(request.transfer()));
  P2P_RETURN_IF_ERROR(transfers_->Resume(id));
  v1::ResumeResponse response;
  P2P_ASSIGN_OR_RETURN(*response.mutable_transfer(), Current(id));
  return response;
}

absl::StatusOr<v1::RemoveResponse> Handlers::Remove(const v1::RemoveRequest& request) {
  P2P_ASSIGN_OR_RETURN(const TransferId id, Find(request.transfer()));
  v1::RemoveResponse response;
  P2P_ASSIGN_OR_RETURN(*response.mutable_transfer(), Current(id));
  P2P_RETURN_IF_ERROR(transfers_->Remove(id, request.with_data()));
  return response;
}

absl::StatusOr<v1::VerifyResponse> Handlers::Verify(const v1::VerifyRequest& request) {
  P2P_ASSIGN_OR_RETURN(const TransferId id, Find(request.transfer()));
  P2P_RETURN_IF_ERROR(transfers_->Verify(id));
  v1::VerifyResponse response;
  P2P_ASSIGN_OR_RETURN(*response.mutable_transfer(), Current(id));
  return response;
}

}  // namespace p2p::control
