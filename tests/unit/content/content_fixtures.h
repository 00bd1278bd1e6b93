// Inputs that the tests of core/content share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/ids.h"
#include "core/base/limits.h"
#include "core/content/bencode.h"
#include "core/content/layout.h"
#include "core/content/merkle.h"

namespace p2p::content {

// Bytes that can be made again anywhere: the known answers of manifest_test.cc are of these.
inline std::vector<uint8_t> PatternBytes(size_t size) {
  std::vector<uint8_t> bytes(size);
  for (size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<uint8_t>(i * 131 + (i >> 8) * 17 + (i >> 16) * 29);
  }
  return bytes;
}

inline std::vector<Hash256> ChunkHashesOf(absl::Span<const uint8_t> file) {
  std::vector<Hash256> hashes;
  for (size_t at = 0; at < file.size(); at += limits::kChunkBytes) {
    hashes.push_back(ChunkHash(file.subspan(at, limits::kChunkBytes), ByteCount(file.size())));
  }
  return hashes;
}

// Hashes that differ from each other.
inline std::vector<Hash256> DistinctHashes(uint32_t count, uint8_t seed = 1) {
  std::vector<Hash256> hashes(count);
  for (uint32_t i = 0; i < count; ++i) {
    hashes[i].bytes = {seed, static_cast<uint8_t>(i >> 24), static_cast<uint8_t>(i >> 16),
                       static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)};
  }
  return hashes;
}

inline LayoutFile File(std::string path, uint64_t length, bool executable = false) {
  LayoutFile file;
  file.path = std::move(path);
  file.length = ByteCount(length);
  file.executable = executable;
  return file;
}

inline std::string Bencoded(absl::string_view text) {
  std::string out;
  BencodeString(text, &out);
  return out;
}

// What a file tree holds under the name of a file; a root of 32 'r' where the file is not empty.
inline std::string FileEntry(uint64_t length) {
  return absl::StrCat("d0:d6:lengthi", length, "e",
                      length == 0 ? "" : absl::StrCat("11:pieces root32:", std::string(32, 'r')),
                      "ee");
}

// An info dictionary; `tree` is the bencoded file tree, `more` further sorted keys behind all
// others.
inline std::string Info(absl::string_view tree, absl::string_view name,
                        absl::string_view more = "") {
  return absl::StrCat("d9:file tree", tree, "12:meta versioni2e4:name", Bencoded(name),
                      "12:piece lengthi524288e", more, "e");
}

}  // namespace p2p::content
