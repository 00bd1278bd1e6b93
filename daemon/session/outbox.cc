#include "daemon/session/outbox.h"

#include <algorithm>
#include <utility>

namespace p2p::session {
namespace {

// Of a shared text so much stands in the connection at a time.
constexpr size_t kPieceBytes = 256 << 10;

}  // namespace

void Outbox::Text(std::string text) {
  put_bytes_ += text.size();
  kept_text_bytes_ += text.size();
  if (!items_.empty() && absl::holds_alternative<std::string>(items_.back())) {
    absl::get<std::string>(items_.back()) += text;
  } else {
    items_.emplace_back(std::move(text));
  }
}

void Outbox::SharedText(std::shared_ptr<const std::string> text) {
  put_bytes_ += text->size();
  kept_text_bytes_ += text->size();
  items_.emplace_back(Shared{std::move(text)});
}

void Outbox::File(FileSlice slice) {
  put_bytes_ += slice.length;
  items_.emplace_back(std::move(slice));
}

std::vector<Output> Outbox::Take() {
  std::vector<Output> taken;
  while (!items_.empty()) {
    Item& item = items_.front();
    if (auto* shared = absl::get_if<Shared>(&item)) {
      TakeShared(shared, &taken);
      if (shared->offset < shared->text->size()) break;
    } else if (auto* text = absl::get_if<std::string>(&item)) {
      taken_bytes_ += text->size();
      kept_text_bytes_ -= text->size();
      unsent_text_bytes_ += text->size();
      taken.emplace_back(std::move(*text));
    } else {
      taken_bytes_ += absl::get<FileSlice>(item).length;
      taken.emplace_back(std::move(absl::get<FileSlice>(item)));
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
    const auto* text = absl::get_if<std::string>(&item);
    if (text != nullptr) kept_text_bytes_ += text->size();
    put_bytes_ += text != nullptr ? text->size() : absl::get<FileSlice>(item).length;
  }
}

}  // namespace p2p::session
