#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/content/manifest.h"

namespace p2p::content {
namespace {

// A file of one chunk needs no hashes beside the manifest: its root is the chunk's hash.
bool NeedsRuns(const LayoutFile& file) { return file.chunk_count > 1; }

}  // namespace

ChunkHashes::ChunkHashes(std::shared_ptr<const Manifest> manifest)
    : manifest_(std::move(manifest)) {
  for (const LayoutFile& file : manifest_->layout().files()) {
    if (NeedsRuns(file)) unknown_ += file.chunk_count;
  }
  AdvanceCursor();
}

ChunkIndex ChunkHashes::RunOf(const LayoutFile& file, ChunkIndex chunk) const {
  const uint32_t in_file = (chunk - file.first_chunk).value();
  return chunk - ChunkIndex(in_file % SpanOf(file.chunk_count));
}

bool ChunkHashes::Knows(ChunkIndex chunk) const {
  if (manifest_ == nullptr || chunk.value() >= manifest_->layout().chunk_count()) return false;
  const Layout& layout = manifest_->layout();
  const LayoutFile& file = layout.file(layout.Locate(chunk).file);
  return !NeedsRuns(file) || runs_.contains(RunOf(file, chunk));
}

std::vector<std::pair<ChunkIndex, uint32_t>> ChunkHashes::KnownRuns() const {
  std::vector<std::pair<ChunkIndex, uint32_t>> known;
  if (manifest_ == nullptr) return known;
  for (const auto& [first, run] : runs_) {
    known.emplace_back(first, static_cast<uint32_t>(run.hashes.size()));
  }
  for (const LayoutFile& file : manifest_->layout().files()) {
    if (!NeedsRuns(file) && file.chunk_count > 0) known.emplace_back(file.first_chunk, 1);
  }
  std::sort(known.begin(), known.end());
  size_t last = 0;
  for (size_t i = 1; i < known.size(); ++i) {
    if (known[last].first.value() + known[last].second == known[i].first.value()) {
      known[last].second += known[i].second;
    } else {
      known[++last] = known[i];
    }
  }
  known.resize(std::min(known.size(), last + 1));
  return known;
}

const Hash256& ChunkHashes::Get(ChunkIndex chunk) const {
  const Layout& layout = manifest_->layout();
  const FileIndex index = layout.Locate(chunk).file;
  const LayoutFile& file = layout.file(index);
  if (!NeedsRuns(file)) return manifest_->root(index);
  const ChunkIndex run = RunOf(file, chunk);
  return runs_.find(run)->second.hashes[(chunk - run).value()];
}

absl::Status ChunkHashes::Add(FileIndex file, const HashRange& range) {
  if (manifest_ == nullptr || file.value() >= manifest_->layout().files().size()) {
    return absl::InvalidArgumentError("the share has no file of that number");
  }
  const LayoutFile& shape = manifest_->layout().file(file);
  P2P_RETURN_IF_ERROR(VerifyHashRange(range, shape.chunk_count, manifest_->root(file)));
  if (NeedsRuns(shape)) Keep(shape, range);
  return absl::OkStatus();
}

void ChunkHashes::Keep(const LayoutFile& file, HashRange range) {
  const uint32_t count = static_cast<uint32_t>(range.hashes.size());
  const ChunkIndex run = file.first_chunk + ChunkIndex(range.first);
  if (!runs_.emplace(run, std::move(range)).second) return;
  unknown_ -= count;
  AdvanceCursor();
}

absl::StatusOr<HashRange> ChunkHashes::Range(FileIndex file, uint32_t first) const {
  if (manifest_ == nullptr || file.value() >= manifest_->layout().files().size()) {
    return absl::InvalidArgumentError("the share has no file of that number");
  }
  const LayoutFile& shape = manifest_->layout().file(file);
  const uint32_t span = SpanOf(shape.chunk_count);
  if (first >= shape.chunk_count || first % span != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("runs of chunk hashes of this file start at multiples of ", span, " below ",
                     shape.chunk_count));
  }
  if (!NeedsRuns(shape)) return HashRange{first, {manifest_->root(file)}, {}};
  const auto it = runs_.find(shape.first_chunk + ChunkIndex(first));
  if (it == runs_.end()) return absl::NotFoundError("these chunk hashes are not known here yet");
  return it->second;
}

void ChunkHashes::AdvanceCursor() {
  const std::vector<LayoutFile>& files = manifest_->layout().files();
  while (cursor_file_ < files.size()) {
    const LayoutFile& file = files[cursor_file_];
    if (!NeedsRuns(file) || cursor_first_ >= file.chunk_count) {
      ++cursor_file_;
      cursor_first_ = 0;
      continue;
    }
    if (!runs_.contains(file.first_chunk + ChunkIndex(cursor_first_))) return;
    cursor_first_ += SpanOf(file.chunk_count);
  }
}

std::vector<ChunkHashes::Wanted> ChunkHashes::Missing(size_t most) const {
  std::vector<Wanted> wanted;
  if (Complete()) return wanted;
  const std::vector<LayoutFile>& files = manifest_->layout().files();
  uint32_t first = cursor_first_;
  for (uint32_t index = cursor_file_; index < files.size(); ++index, first = 0) {
    const LayoutFile& file = files[index];
    if (!NeedsRuns(file)) continue;
    for (; first < file.chunk_count; first += SpanOf(file.chunk_count)) {
      if (wanted.size() >= most) return wanted;
      if (runs_.contains(file.first_chunk + ChunkIndex(first))) continue;
      wanted.push_back({FileIndex(index), first});
    }
  }
  return wanted;
}

std::string ChunkHashes::Encode() const {
  std::string bytes;
  if (manifest_ == nullptr) return bytes;
  for (const LayoutFile& file : manifest_->layout().files()) {
    if (!NeedsRuns(file)) continue;
    for (uint32_t first = 0; first < file.chunk_count; first += SpanOf(file.chunk_count)) {
      const HashRange& run = runs_.find(file.first_chunk + ChunkIndex(first))->second;
      for (const Hash256& hash : run.hashes) absl::StrAppend(&bytes, hash.AsView());
    }
  }
  return bytes;
}

absl::StatusOr<ChunkHashes> ChunkHashes::Decode(std::shared_ptr<const Manifest> manifest,
                                                absl::string_view bytes) {
  ChunkHashes result(manifest);
  if (bytes.size() != size_t{result.unknown_} * sizeof(Hash256)) {
    return absl::InvalidArgumentError("the chunk hashes have a wrong length");
  }
  const Layout& layout = manifest->layout();
  for (uint32_t i = 0; i < layout.files().size(); ++i) {
    const LayoutFile& file = layout.file(FileIndex(i));
    if (!NeedsRuns(file)) continue;
    std::vector<Hash256> hashes(file.chunk_count);
    for (Hash256& hash : hashes) {
      std::copy_n(bytes.begin(), sizeof(Hash256), hash.bytes.begin());
      bytes.remove_prefix(sizeof(Hash256));
    }
    if (FileRoot(hashes) != manifest->root(FileIndex(i))) {
      return absl::InvalidArgumentError("the chunk hashes do not lead to the file's root");
    }
    for (HashRange& run : MakeHashRanges(hashes)) result.Keep(file, std::move(run));
  }
  return result;
}

}  // namespace p2p::content
