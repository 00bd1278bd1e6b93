#include "tracker/change_queue.h"

#include <algorithm>
#include <cstring>

#include "core/base/clock.h"
#include "tracker/store_record.h"

namespace p2p::tracker {
namespace {

// Some hundred thousand changes: what comes in a second at most. What does not fit is lost.
constexpr size_t kMaxBytes = 32 << 20;

// A change in the text. Its `size` bytes follow.
struct Header {
  ChangeQueue::Kind kind;
  uint16_t port;
  uint16_t size;
  int64_t time_ns;
  std::array<uint8_t, 16> ip;
};

}  // namespace

void ChangeQueue::OnChanged(const RegistrationKey& key) {
  Push(Kind::kChanged, key.address, MonotonicNow(), RecordField(key));
}

void ChangeQueue::OnRenewed(const wire::PeerAddress& address, absl::Time until) {
  Push(Kind::kRenewed, address, until, "");
}

void ChangeQueue::OnUnregistered(const wire::PeerAddress& address, absl::Time at) {
  Push(Kind::kUnregistered, address, at, "");
}

void ChangeQueue::Push(Kind kind, const wire::PeerAddress& address, absl::Time time,
                       absl::string_view more) {
  const Header header = {kind, address.port, static_cast<uint16_t>(more.size()),
                         absl::ToUnixNanos(time), address.ip.bytes};
  bool first = false;
  {
    absl::MutexLock lock(&mutex_);
    if (batch_.text.size() + sizeof header + more.size() > kMaxBytes) {
      batch_.lost = true;
      return;
    }
    first = batch_.text.empty();
    batch_.text.append(reinterpret_cast<const char*>(&header), sizeof header);
    batch_.text.append(more.data(), more.size());
    ++batch_.count;
  }
  if (first) on_first_();
}

void ChangeQueue::Take(Batch* batch) {
  batch->text.clear();
  batch->count = 0;
  batch->lost = false;
  absl::MutexLock lock(&mutex_);
  std::swap(batch_, *batch);
}

size_t ChangeQueue::count() const {
  absl::MutexLock lock(&mutex_);
  return batch_.count;
}

bool ChangeQueue::Batch::Next(absl::string_view* rest, Change* change) {
  if (rest->empty()) return false;
  Header header;
  std::memcpy(&header, rest->data(), sizeof header);
  rest->remove_prefix(sizeof header);
  change->field = rest->substr(0, header.size);
  rest->remove_prefix(header.size);
  change->kind = header.kind;
  change->address.ip.bytes = header.ip;
  change->address.port = header.port;
  change->time = absl::FromUnixNanos(header.time_ns);
  return true;
}

}  // namespace p2p::tracker
