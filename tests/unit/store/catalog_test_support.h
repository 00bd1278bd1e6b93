// Transfers for the catalog's tests.
#pragma once

#include <memory>
#include <string>

#include "daemon/store/catalog.h"
#include "gtest/gtest.h"
#include "tests/unit/store/store_test_support.h"

namespace p2p::store {

inline TransferRecord SampleRecord(int number) {
  TransferRecord record;
  record.kind = number % 2 == 0 ? TransferKind::kDownload : TransferKind::kShare;
  record.name = "name " + std::to_string(number);
  record.path = "/somewhere/\xff\n/" + std::to_string(number);  // any bytes
  record.content_id = ContentId{};
  record.content_id->hash.bytes.fill(static_cast<uint8_t>(number));
  record.source = "magnet:?" + std::to_string(number);
  record.paused = number % 3 == 0;
  record.finished = number % 5 == 0;
  record.verified = number % 7 != 0;
  record.allow_unverified = number % 6 == 0;
  record.size_bytes = 1000000007ull * static_cast<uint64_t>(number);
  record.error = number % 4 == 0 ? "an error" : "";
  record.trackers = {"127.0.0.1:8080", "[::1]:" + std::to_string(number + 1)};
  record.added_unix_seconds = 1700000000 + number;
  return record;
}

inline void ExpectSame(const TransferRecord& a, const TransferRecord& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.path, b.path);
  EXPECT_EQ(a.content_id, b.content_id);
  EXPECT_EQ(a.source, b.source);
  EXPECT_EQ(a.paused, b.paused);
  EXPECT_EQ(a.finished, b.finished);
  EXPECT_EQ(a.verified, b.verified);
  EXPECT_EQ(a.allow_unverified, b.allow_unverified);
  EXPECT_EQ(a.size_bytes, b.size_bytes);
  EXPECT_EQ(a.error, b.error);
  EXPECT_EQ(a.trackers, b.trackers);
  EXPECT_EQ(a.added_unix_seconds, b.added_unix_seconds);
}

inline std::vector<FileIdentity> SampleIdentities(size_t count) {
  std::vector<FileIdentity> identities(count);
  for (size_t i = 0; i < count; ++i) {
    identities[i] = {~uint64_t{0} - i, i, uint64_t{1} << 50, -5 - static_cast<int64_t>(i),
                     1700000000123456789};
  }
  return identities;
}

inline std::unique_ptr<Catalog> OpenCatalog(const std::string& state_dir,
                                            std::string* recovered = nullptr) {
  std::string ignored;
  auto catalog = Catalog::Open(state_dir, recovered == nullptr ? &ignored : recovered);
  EXPECT_TRUE(catalog.ok()) << catalog.status();
  return catalog.ok() ? *std::move(catalog) : nullptr;
}

}  // namespace p2p::store
