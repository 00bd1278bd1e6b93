#include "daemon/session/outbox.h"

#include <algorithm>
#include <utility>

#include "core/base/limits.h"

namespace p2p::session {
namespace {

// Of a shared text at most so much stands in the connection at a time, and goes in one part.
constexpr size_t kPieceBytes = 256 << 10;
constexpr size_t kPartBytes = 64 << 10;
static_assert(kPartBytes <= limits::kMaxManifestPartBytes);

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

void Outbox::Put(Output output, bool overtakes_parts) {
  put_bytes_ += Bytes(output);
  kept_text_bytes_ += TextBytes(output);
  Output* last = nullptr;
  if (!items_.empty() && items_.back().overtakes_parts == overtakes_parts) {
    last = absl::get_if<Output>(&items_.back().what);
  }
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
  items_.push_back({std::move(output), overtakes_parts});
}

void Outbox::Text(std::string text) { Put(std::move(text), /*overtakes_parts=*/false); }

void Outbox::Urgent(std::string text) {
  Put(UrgentText{std::move(text)}, /*overtakes_parts=*/true);
}

void Outbox::InOrder(std::string text) {
  Put(UrgentText{std::move(text)}, /*overtakes_parts=*/false);
}

void Outbox::File(FileSlice slice) { Put(std::move(slice), /*overtakes_parts=*/false); }

void Outbox::Chunk(std::string header, FileSlice slice) {
  Put(ChunkToSend{std::move(header), std::move(slice)}, /*overtakes_parts=*/false);
}

void Outbox::SharedText(std::shared_ptr<const std::string> text, PartHeader header) {
  put_bytes_ += text->size();
  items_.push_back({Shared{std::move(text), header}, false});
  ++shared_;
}

std::vector<Output> Outbox::Take() {
  std::vector<Output> taken;
  bool waits = false;  // for a shared text
  for (auto item = items_.begin(); item != items_.end();) {
    if (waits && !item->overtakes_parts) {
      ++item;
      continue;
    }
    if (auto* shared = absl::get_if<Shared>(&item->what)) {
      waits = !TakeShared(shared, &taken);
      if (waits) {
        ++item;
        continue;
      }
      --shared_;
    } else {
      auto& output = absl::get<Output>(item->what);
      taken_bytes_ += Bytes(output);
      kept_text_bytes_ -= TextBytes(output);
      unsent_text_bytes_ += TextBytes(output);
      taken.push_back(std::move(output));
    }
    item = items_.erase(item);
  }
  return taken;
}

bool Outbox::TakeShared(Shared* shared, std::vector<Output>* taken) {
  const size_t total = shared->text->size();
  while (shared->offset < total) {
    if (unsent_text_bytes_ > kPieceBytes - kPartBytes) return false;
    const size_t size = std::min(kPartBytes, total - shared->offset);
    std::string part = shared->header(total, shared->offset, size);
    put_bytes_ += part.size();
    part.append(*shared->text, shared->offset, size);
    shared->offset += size;
    taken_bytes_ += part.size();
    unsent_text_bytes_ += part.size();
    taken->emplace_back(std::move(part));
  }
  return true;
}

void Outbox::OnSent(size_t sent, size_t unsent_text_bytes, size_t unsent_bytes) {
  unsent_text_bytes_ = unsent_text_bytes;
  const uint64_t left = std::max<uint64_t>(
      sent_bytes_ + sent, taken_bytes_ - std::min<uint64_t>(taken_bytes_, unsent_bytes));
  sent_bytes_ = std::min(left, taken_bytes_);
}

void Outbox::Finish() {
  for (auto item = items_.begin(); item != items_.end();) {
    const auto* shared = absl::get_if<Shared>(&item->what);
    if (shared == nullptr) {
      ++item;
      continue;
    }
    put_bytes_ -= shared->text->size() - shared->offset;
    item = items_.erase(item);
  }
  shared_ = 0;
}

}  // namespace p2p::session
