// A row of the catalog as it stands on a damaged disk: columns of any type and content are read
// without harm, one that is not as it was saved does not pass for whole, and what is believed reads
// the same once it is saved again.
//
// The input is lines: each is one column, 'i' with a number, 'b' or 't' with bytes, or NULL.
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/chunk_set.h"
#include "daemon/store/catalog_database.h"
#include "daemon/store/catalog_encoding.h"
#include "daemon/store/catalog_tables.h"
#include "tests/fuzz/fuzz.h"

namespace p2p::store {
namespace {

Statement& AnyRow() {
  static Database* const database = Database::Open(":memory:")->release();
  static Statement* const statement =
      new Statement(*database->Prepare("SELECT ?,?,?,?,?,?,?,?,?,?,?,?,?"));
  return *statement;
}

constexpr int kColumns = 13;

void BindColumn(absl::string_view line, Statement* row) {
  const char kind = line.empty() ? ' ' : line.front();
  const absl::string_view value = line.empty() ? line : line.substr(1);
  int64_t number = 0;
  if (kind == 'i' && absl::SimpleAtoi(value, &number)) {
    row->Bind(number);
  } else if (kind == 'b') {
    row->BindBlob(value);
  } else if (kind == 't') {
    row->BindText(value);
  } else {
    row->BindNull();
  }
}

TransferRecord ReadRow(const std::vector<absl::string_view>& columns) {
  Statement& row = AnyRow().Start();
  for (int i = 0; i < kColumns; ++i) {
    BindColumn(static_cast<size_t>(i) < columns.size() ? columns[i] : absl::string_view(), &row);
  }
  P2P_FUZZ_CHECK(*row.Step());
  TransferRecord record = RecordFromRow(row);
  row.Finish();
  return record;
}

void CheckRecord(const TransferRecord& record) {
  P2P_FUZZ_CHECK(DecodeTrackers(EncodeTrackers(record.trackers)) == record.trackers);
  const int64_t checksum = RecordChecksum(record);
  P2P_FUZZ_CHECK(RecordChecksum(record) == checksum);
  // One column after the other, something else than was saved.
  TransferRecord other = record;
  other.id += TransferId(1);
  P2P_FUZZ_CHECK(RecordChecksum(other) != checksum);
  other = record;
  other.finished = !other.finished;
  P2P_FUZZ_CHECK(RecordChecksum(other) != checksum);
  other = record;
  other.trackers.emplace_back("x:1");
  P2P_FUZZ_CHECK(RecordChecksum(other) != checksum);
  // A byte that moves from one column to the next.
  other = record;
  if (other.name.empty()) return;
  other.path.insert(0, 1, other.name.back());
  other.name.pop_back();
  P2P_FUZZ_CHECK(RecordChecksum(other) != checksum);
}

void CheckBlob(absl::string_view blob) {
  const size_t before = fuzz::AllocatedBytes();
  const auto identities = DecodeIdentities(blob);
  P2P_FUZZ_CHECK(fuzz::AllocatedBytes() - before <= 2 * blob.size() + 1'024);
  if (identities.ok()) P2P_FUZZ_CHECK(EncodeIdentities(*identities) == blob);
  for (const uint32_t chunks : {0, 1, 7, 64, 1'000}) {
    ChunkSet have(chunks);
    have.AddBytes(ChunkIndex(0), blob);
    P2P_FUZZ_CHECK(have.count() <= chunks);
    ChunkSet again(chunks);
    again.AddBytes(ChunkIndex(0), have.ToBytes());
    P2P_FUZZ_CHECK(again.ToBytes() == have.ToBytes() && again.count() == have.count());
  }
}

}  // namespace
}  // namespace p2p::store

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text = p2p::fuzz::AsText(data, size);
  p2p::store::CheckRecord(p2p::store::ReadRow(absl::StrSplit(text, '\n')));
  p2p::store::CheckBlob(text);
  return 0;
}
