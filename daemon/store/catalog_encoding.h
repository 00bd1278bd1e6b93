// How the catalog writes what SQLite has no type for, the same on every machine, with checksums by
// which a flipped bit is told. Pure; any thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "daemon/store/catalog.h"

namespace p2p::store {

// Five 64-bit numbers for each file, lowest byte first.
std::string EncodeIdentities(const std::vector<FileIdentity>& identities);
// DataLoss when the length is no multiple of one identity's.
absl::StatusOr<std::vector<FileIdentity>> DecodeIdentities(absl::string_view bytes);

// One a line; a tracker's address holds no line break.
std::string EncodeTrackers(const std::vector<std::string>& trackers);
std::vector<std::string> DecodeTrackers(absl::string_view text);

// The column `verified`: bit 0 is TransferRecord::verified, bit 1 allow_unverified.
int64_t EncodeTrust(const TransferRecord& record);
void DecodeTrust(int64_t value, TransferRecord* record);

// Over the id and the parts, with their lengths: 64 bits of SHA-256.
int64_t RowChecksum(TransferId id, std::initializer_list<absl::string_view> parts);
int64_t RecordChecksum(const TransferRecord& record);

}  // namespace p2p::store
