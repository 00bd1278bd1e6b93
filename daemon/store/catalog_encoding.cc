#include "daemon/store/catalog_encoding.h"

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "core/content/sha256.h"

namespace p2p::store {
namespace {

constexpr size_t kNumberBytes = 8;
constexpr size_t kIdentityBytes = 5 * kNumberBytes;

void AppendNumber(uint64_t value, std::string* out) {
  for (size_t i = 0; i < kNumberBytes; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

uint64_t NumberAt(absl::string_view bytes, size_t at) {
  uint64_t value = 0;
  for (size_t i = 0; i < kNumberBytes; ++i) {
    value |= uint64_t{static_cast<uint8_t>(bytes[at + i])} << (8 * i);
  }
  return value;
}

}  // namespace

std::string EncodeIdentities(const std::vector<FileIdentity>& identities) {
  std::string out;
  out.reserve(identities.size() * kIdentityBytes);
  for (const FileIdentity& identity : identities) {
    AppendNumber(identity.device, &out);
    AppendNumber(identity.inode, &out);
    AppendNumber(identity.size, &out);
    AppendNumber(static_cast<uint64_t>(identity.mtime_ns), &out);
    AppendNumber(static_cast<uint64_t>(identity.ctime_ns), &out);
  }
  return out;
}

absl::StatusOr<std::vector<FileIdentity>> DecodeIdentities(absl::string_view bytes) {
  if (bytes.size() % kIdentityBytes != 0)
    return absl::DataLossError("saved identities have an odd length");
  std::vector<FileIdentity> identities(bytes.size() / kIdentityBytes);
  size_t at = 0;
  for (FileIdentity& identity : identities) {
    identity.device = NumberAt(bytes, at);
    identity.inode = NumberAt(bytes, at + kNumberBytes);
    identity.size = NumberAt(bytes, at + 2 * kNumberBytes);
    identity.mtime_ns = static_cast<int64_t>(NumberAt(bytes, at + 3 * kNumberBytes));
    identity.ctime_ns = static_cast<int64_t>(NumberAt(bytes, at + 4 * kNumberBytes));
    at += kIdentityBytes;
  }
  return identities;
}

std::string EncodeTrackers(const std::vector<std::string>& trackers) {
  return absl::StrJoin(trackers, "\n");
}

std::vector<std::string> DecodeTrackers(absl::string_view text) {
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

int64_t RowChecksum(TransferId id, std::initializer_list<absl::string_view> parts) {
  std::string lengths;
  AppendNumber(id.value(), &lengths);
  for (const absl::string_view part : parts) {
    AppendNumber(part.size(), &lengths);
    // Hashed on its own: a part may be large and is not copied.
    lengths.append(content::Sha256(part).AsView().data(), sizeof(Hash256::bytes));
  }
  return static_cast<int64_t>(NumberAt(content::Sha256(lengths).AsView(), 0));
}

int64_t EncodeTrust(const TransferRecord& record) {
  return (record.verified ? 1 : 0) | (record.allow_unverified ? 2 : 0);
}

void DecodeTrust(int64_t value, TransferRecord* record) {
  record->verified = (value & 1) != 0;
  record->allow_unverified = (value & 2) != 0;
}

int64_t RecordChecksum(const TransferRecord& record) {
  std::string numbers;
  AppendNumber(static_cast<uint64_t>(record.kind), &numbers);
  AppendNumber(record.content_id.has_value() ? 1 : 0, &numbers);
  AppendNumber(record.paused ? 1 : 0, &numbers);
  AppendNumber(record.finished ? 1 : 0, &numbers);
  AppendNumber(static_cast<uint64_t>(EncodeTrust(record)), &numbers);
  AppendNumber(record.size_bytes, &numbers);
  AppendNumber(static_cast<uint64_t>(record.added_unix_seconds), &numbers);
  const absl::string_view content_id =
      record.content_id.has_value() ? record.content_id->hash.AsView() : absl::string_view();
  return RowChecksum(record.id, {numbers, record.name, record.path, content_id, record.source,
                                 record.error, EncodeTrackers(record.trackers)});
}

}  // namespace p2p::store
