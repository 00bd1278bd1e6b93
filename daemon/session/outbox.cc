#include "daemon/session/outbox.h"

#include <algorithm>
#include <utility>

namespace p2p::session {
namespace {

// Of a shared text so much stands in the connection at a time.
constexpr size_t kPieceBytes = 256 << 10;

}  // namespace

size_t Outbox::TextBytes(const Output& output) {
  if (const auto* text = absl::get_if<std::string>(&output)) return text->size();
  if (const auto* urgent = absl::get_if<UrgentText>(&output)) return urgent->text.size();
  if (const auto* chunk = absl::get_if<ChunkToSend>(&output)) return chunk->header.size();
  return 0;
}

size_t Outbox::Bytes(const Output& output) {
  if (const auto* file = absl::get_if<FileSlice>(&output)) return file->length;
  if (const auto* chunk = absl::get_if<ChunkToSend>(&output)) {
    return chunk->header.size() + chunk->slice.length;
  }
  return TextBytes(output);
}

void Outbox::Put(Output output) {
  put_bytes_ += Bytes(output);
  kept_text_bytes_ += TextBytes(output);
  Output* const last = items_.empty() ? nullptr : absl::get_if<Output>(&items_.back());
  if (last != nullptr && last->index() == output.index()) {
    if (auto* text = absl::get_if<std::string>(last)) {
      *text += absl::get<std::string>(output);
      return;
    }
    if (auto* urgent = absl::get_if<UrgentText>(last)) {
      urgent->text += absl::get<UrgentText>(output).text;
      return;
    }
  }
  items_.emplace_back(std::move(output));
}

void Outbox::Text(std::string text) { Put(std::move(text)); }

void Outbox::Urgent(std::string text) { Put(UrgentText{std::move(text)}); }

void Outbox::File(FileSlice slice) { Put(std::move(slice)); }

void Outbox::Chunk(std::string header, FileSlice slice) {
  Put(ChunkToSend{std::move(header), std::move(slice)});
}

void Outbox::SharedText(std::shared_ptr<const std::string> text) {
  put_bytes_ += text->size();
  kept_text_bytes_ += text->size();
  items_.emplace_back(Shared{std::move(text)});
}

std::vector<Output> Outbox::Take() {
  std::vector<Output> taken;
  while (!items_.empty()) {
    Item& item = items_.front();
    if (auto* shared = absl::get_if<Shared>(&item)) {
      TakeShared(shared, &taken);
      if (shared->offset < shared->text->size()) break;
    } else {
      auto& output = absl::get<Output>(item);
      taken_bytes_ += Bytes(output);
      kept_text_bytes_ -= TextBytes(output);
      unsent_text_bytes_ += TextBytes(output);
      taken.push_back(std::move(output));
    }
    items_.pop_front();
  }
  return taken;
}

void Outbox::TakeShared(Shared* shared, std::vector<Output>* taken) {
  if (unsent_text_bytes_ >= kPieceBytes) return;
  const size_t size =
      std::min(kPieceBytes - unsent_text_bytes_, shared->text->size() - shared->offset);
  taken->emplace_back(shared->text->substr(shared->offset, size));
  shared->offset += size;
  taken_bytes_ += size;
  kept_text_bytes_ -= size;
  unsent_text_bytes_ += size;
}

void Outbox::OnSent(size_t sent, size_t unsent_text_bytes, size_t unsent_bytes) {
  unsent_text_bytes_ = unsent_text_bytes;
  const uint64_t left = std::max<uint64_t>(
      sent_bytes_ + sent, taken_bytes_ - std::min<uint64_t>(taken_bytes_, unsent_bytes));
  sent_bytes_ = std::min(left, taken_bytes_);
}

void Outbox::Finish() {
  const auto shared = std::find_if(items_.begin(), items_.end(), [](const Item& item) {
    return absl::holds_alternative<Shared>(item);
  });
  if (shared == items_.end()) return;
  items_.erase(shared, items_.end());
  kept_text_bytes_ = 0;
  put_bytes_ = taken_bytes_;
  for (const Item& item : items_) {
    kept_text_bytes_ += TextBytes(absl::get<Output>(item));
    put_bytes_ += Bytes(absl::get<Output>(item));
  }
}

}  // namespace p2p::session
