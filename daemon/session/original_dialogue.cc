#include "daemon/session/original_dialogue.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/names.h"

namespace p2p::session {

using wire::peer::OriginalAnswerReader;
using wire::peer::OriginalRequest;
using wire::peer::RequestRefusal;

void OriginalServer::OnLine(absl::string_view line) {
  auto parsed = wire::peer::ParseOriginalRequest(line);
  if (auto* refusal = absl::get_if<RequestRefusal>(&parsed)) {
    const bool malformed = refusal->error.code == 400;
    if (malformed) ++bad_lines_;
    Refuse(std::move(refusal->error), refusal->foreign || bad_lines_ > limits::kMaxBadLines);
  } else {
    has_had_request_ = true;
    queue_.emplace_back(absl::get<OriginalRequest>(std::move(parsed)));
  }
  ServeNext();
}

void OriginalServer::OnTooLongLine() {
  Refuse({413, absl::StrCat("line longer than ", limits::kMaxLineBytes, " bytes")}, /*last=*/true);
  ServeNext();
}

void OriginalServer::OnEndOfStream() {
  ended_by_other_side_ = true;
  ServeNext();
}

void OriginalServer::Refuse(wire::WireError error, bool last) {
  queue_.emplace_back(Refusal{std::move(error), last});
  if (last) closing_ = true;
}

void OriginalServer::ServeNext() {
  while (!queue_.empty() && !core_->ended) {
    if (const auto* refusal = absl::get_if<Refusal>(&queue_.front())) {
      if (refusal->last) return core_->Fail(refusal->error.code, refusal->error.text);
      core_->outbox.Text(wire::FormatError(refusal->error.code, refusal->error.text));
      queue_.pop_front();
      continue;
    }
    window_.OnSentUpTo(core_->outbox.sent_bytes(), core_->now);
    if (front_is_asked_ || !window_.HasRoom()) return;
    const auto& request = absl::get<OriginalRequest>(queue_.front());
    front_is_asked_ = true;
    window_.OnAsked();
    core_->Emit(ServeOriginalChunk{request.name, request.chunk_id});
    return;
  }
  if (ended_by_other_side_) core_->End("the other side is done", /*protocol_error=*/false);
}

void OriginalServer::SendChunk(FileSlice slice) {
  if (!front_is_asked_ || core_->ended) return;
  const uint32_t length = slice.length;
  core_->outbox.Text(wire::peer::FormatChunkHeader(length));
  core_->outbox.File(std::move(slice));
  window_.OnPrepared(length, core_->outbox.put_bytes(), core_->now);
  front_is_asked_ = false;
  queue_.pop_front();
  ServeNext();
}

void OriginalServer::SendError(int code, absl::string_view reason) {
  if (!front_is_asked_ || core_->ended) return;
  core_->outbox.Text(wire::FormatError(code, reason));
  window_.OnRefused();
  front_is_asked_ = false;
  queue_.pop_front();
  if (code == 500) return core_->End(std::string(reason), /*protocol_error=*/false);
  ServeNext();
}

void OriginalClient::Request(absl::string_view name, ChunkIndex chunk, uint32_t length) {
  if (asked_) return core_->Emit(ChunkRejected{chunk, 429, "another chunk is asked for already"});
  const absl::Status legal = CheckName(name);
  if (!legal.ok()) return core_->Emit(ChunkRejected{chunk, 422, std::string(legal.message())});
  asked_ = true;
  chunk_ = chunk;
  length_ = length;
  core_->outbox.Text(wire::peer::FormatOriginalRequest(name, chunk));
}

void OriginalClient::OnBytes(absl::string_view* input) {
  const bool protocol_error = true;
  if (!asked_) return core_->End("bytes that were not asked for", protocol_error);
  const OriginalAnswerReader::Result result = reader_.Next(input);
  if (const auto* malformed = absl::get_if<OriginalAnswerReader::Malformed>(&result)) {
    core_->End(malformed->what, protocol_error);
  } else if (const auto* error = absl::get_if<wire::WireError>(&result)) {
    asked_ = false;
    core_->Emit(ChunkRejected{chunk_, error->code, error->text});
  } else if (const auto* size = absl::get_if<OriginalAnswerReader::Size>(&result)) {
    if (size->bytes == length_) return receiver_->Begin(chunk_, length_);
    core_->End(absl::StrCat("a chunk of ", size->bytes, " bytes instead of ", length_),
               protocol_error);
  }
}

}  // namespace p2p::session
