#include "tracker/store_writer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/clock.h"

namespace p2p::tracker {
namespace {

// Together about a thousand calls in flight at most.
constexpr size_t kBatches = 4;
constexpr size_t kChangesPerBatch = 256;
// Of a hash in one call.
constexpr size_t kFieldsPerCall = 256;
constexpr size_t kMaxMessageBytes = 128 << 10;
// More fields than this, and twice what is registered, are mostly those of what has ended.
constexpr size_t kMaxDeadFields = 256;
// Of one peer. When it has withdrawn more within a ttl they are dropped, but for the last: a
// tracker that was cut off then may bring back, until its ttl ends, what it did not see going.
constexpr int64_t kMaxNotes = 4096;
// A hash outlives its last registration, which says itself when it ends, and notes what they are
// about.
constexpr absl::Duration kKeySlack = absl::Seconds(10);

}  // namespace

StoreWriter::StoreWriter(Context context, bool tell_all,
                         std::function<void(const absl::Status&)> on_told)
    : context_(std::move(context)), on_told_(std::move(on_told)) {
  if (tell_all) tell_all_from_.emplace();
}

StoreWriter::~StoreWriter() {
  for (Batch& batch : under_way_) context_.waiting->PutBack(std::move(batch.items));
}

bool StoreWriter::IsIdle() const {
  return under_way_.empty() && context_.waiting->count() == 0 && !tell_all_from_.has_value();
}

size_t StoreWriter::changes_under_way() const {
  size_t changes = tell_all_from_.has_value() ? 1 : 0;
  for (const Batch& batch : under_way_) {
    for (const auto& item : batch.items) changes += item.second.count();
  }
  return changes;
}

void StoreWriter::Write() {
  if (context_.waiting->lost()) {
    context_.waiting->ForgetLoss();
    tell_all_from_.emplace();
  }
  if (MonotonicNow() < refused_until_) return;
  const size_t batches = refused_until_ == absl::InfinitePast() ? kBatches : 1;
  while (under_way_.size() < batches) {
    AddRegistered();
    if (context_.waiting->count() == 0) return;
    SendBatch();
  }
}

// Where everything is to be told, enough of it for a batch, as if it had changed.
void StoreWriter::AddRegistered() {
  while (tell_all_from_.has_value() && context_.waiting->count() < kChangesPerBatch) {
    const bool more =
        context_.registry->VisitSome(&*tell_all_from_, MonotonicNow(),
                                     [this](const RegistrationView& one) { AddUnchanged(one); });
    if (!more) tell_all_from_.reset();
  }
}

void StoreWriter::AddUnchanged(const RegistrationView& one) {
  context_.waiting->AddChanged(one.address, RecordField({one.name, one.content_id, one.address}),
                               absl::InfinitePast());
}

void StoreWriter::TellAgain(const wire::PeerAddress& address) {
  context_.registry->VisitAddress(address, MonotonicNow(),
                                  [this](const RegistrationView& one) { AddUnchanged(one); });
}

void StoreWriter::SendBatch() {
  const BatchPlace batch = under_way_.emplace(under_way_.end());
  batch->items = context_.waiting->Take(kChangesPerBatch);
  // Not done before the last of its calls is counted.
  ++batch->calls_due;
  for (const auto& item : batch->items) Tell(batch, item);
  OnReply(batch, RedisReply());
}

void StoreWriter::Tell(BatchPlace batch, const WaitingChanges::Item& item) {
  const bool all = !item.second.IsAboutFields();
  if (all) {
    TellAllOf(batch, item);
  } else {
    TellRegistered(batch, item);
  }
  TellGone(batch, item);
  if (!all && item.second.renewed_until > MonotonicNow()) TellRenewed(batch, item);
}

// Others may lack what Redis lacks, so they are told what is rewritten, too.
void StoreWriter::TellAllOf(BatchPlace batch, const WaitingChanges::Item& item) {
  const std::string key = PeerKey(item.first);
  Call(batch, key, {"DEL", key});
  std::vector<RedisNodes::Words> calls;
  const absl::Time unregistered_at = item.second.unregistered_at;
  if (unregistered_at != absl::InfinitePast()) {
    AppendUnregistered(item.first, unregistered_at, *context_.clock, MessageOf(batch));
    const std::string gone_key = GoneKey(item.first);
    SetNotes(batch, gone_key,
             {"HSET", gone_key, std::string(kUnregisteredField),
              absl::StrCat(context_.clock->ToStore(unregistered_at))});
  }
  context_.registry->VisitAddress(item.first, MonotonicNow(), [&](const RegistrationView& one) {
    if (calls.empty() || calls.back().size() >= 2 * kFieldsPerCall) calls.push_back({"HSET", key});
    calls.back().push_back(RecordField({one.name, one.content_id, one.address}));
    calls.back().push_back(RecordValue(one, *context_.clock));
    AppendRegistered(one, *context_.clock, MessageOf(batch));
  });
  for (const RedisNodes::Words& call : calls) Call(batch, key, call);
  if (!calls.empty()) KeepLonger(batch, key);
}

void StoreWriter::TellRegistered(BatchPlace batch, const WaitingChanges::Item& item) {
  const std::string key = PeerKey(item.first);
  RedisNodes::Words set = {"HSET", key};
  const absl::Time now = MonotonicNow();
  for (const auto& field : item.second.fields) {
    const auto named = ParseRecordField(field.first, item.first);
    if (!named.has_value()) continue;
    const auto known = context_.registry->Get(*named, now);
    if (!known.has_value()) continue;
    set.push_back(field.first);
    set.push_back(RecordValue(*known, *context_.clock));
    AppendRegistered(*known, *context_.clock, MessageOf(batch));
  }
  if (set.size() == 2) return;
  Call(batch, key, set);
  KeepLonger(batch, key);
  CountFields(batch, item.first, /*renewed=*/false);
}

// What comes or goes between the look above and the one here has its turn after this.
void StoreWriter::TellGone(BatchPlace batch, const WaitingChanges::Item& item) {
  const std::string key = PeerKey(item.first);
  const std::string gone_key = GoneKey(item.first);
  RedisNodes::Words forget = {"HDEL", key};
  RedisNodes::Words set = {"HSET", gone_key};
  const absl::Time now = MonotonicNow();
  for (const auto& field : item.second.fields) {
    const absl::Time gone_at = field.second;
    const auto named = ParseRecordField(field.first, item.first);
    if (gone_at == absl::InfinitePast() || !named.has_value()) continue;
    if (context_.registry->Get(*named, now).has_value()) continue;
    forget.push_back(field.first);
    set.push_back(field.first);
    set.push_back(absl::StrCat(context_.clock->ToStore(gone_at)));
    AppendGone(*named, gone_at, *context_.clock, MessageOf(batch));
  }
  if (set.size() == 2) return;
  Call(batch, key, forget);
  SetNotes(batch, gone_key, set);
}

void StoreWriter::TellRenewed(BatchPlace batch, const WaitingChanges::Item& item) {
  const std::string key = PeerKey(item.first);
  const absl::Time until = item.second.renewed_until;
  AppendRenewed(item.first, until, *context_.clock, MessageOf(batch));
  Call(batch, key,
       {"HSET", key, std::string(kRenewedField), absl::StrCat(context_.clock->ToStore(until))});
  KeepLonger(batch, key);
  CountFields(batch, item.first, /*renewed=*/true);
}

void StoreWriter::SetNotes(BatchPlace batch, const std::string& key, const RedisNodes::Words& set) {
  Call(batch, key, set);
  KeepLonger(batch, key);
  ++batch->calls_due;
  context_.nodes->Send(key, {"HLEN", key}, [this, batch, key, set](const RedisReply& reply) {
    if (reply.type == RedisReply::Type::kNumber && reply.number > kMaxNotes) {
      Call(batch, key, {"DEL", key});
      Call(batch, key, set);
      KeepLonger(batch, key);
    }
    OnReply(batch, reply);
  });
}

void StoreWriter::KeepLonger(BatchPlace batch, const std::string& key) {
  const absl::Duration life = context_.registry->options().ttl + kKeySlack;
  Call(batch, key, {"PEXPIRE", key, absl::StrCat(absl::ToInt64Milliseconds(life))});
}

void StoreWriter::Call(BatchPlace batch, const std::string& key, const RedisNodes::Words& words) {
  ++batch->calls_due;
  context_.nodes->Send(key, words,
                       [this, batch](const RedisReply& reply) { OnReply(batch, reply); });
}

void StoreWriter::CountFields(BatchPlace batch, const wire::PeerAddress& address, bool renewed) {
  const std::string key = PeerKey(address);
  ++batch->calls_due;
  context_.nodes->Send(key, {"HLEN", key},
                       [this, batch, address, renewed](const RedisReply& reply) {
                         OnFieldCount(address, renewed, reply);
                         OnReply(batch, reply);
                       });
}

// What a peer renews is all that it has: where Redis has more or less, as after an eviction or with
// what has ended, it gets all of it again. Of one that only registers it has not too much.
void StoreWriter::OnFieldCount(const wire::PeerAddress& address, bool renewed,
                               const RedisReply& reply) {
  if (reply.type != RedisReply::Type::kNumber || context_.waiting->Knows(address)) return;
  const size_t registered = context_.registry->CountOf(address, MonotonicNow());
  const auto has_fields = static_cast<size_t>(reply.number);
  // With that of the renewal.
  const bool fits =
      renewed ? has_fields == registered + 1 : has_fields <= 2 * registered + kMaxDeadFields;
  if (fits) return;
  const auto has = [&address](const Batch& batch) {
    return std::any_of(batch.items.begin(), batch.items.end(),
                       [&address](const auto& item) { return item.first == address; });
  };
  // What came after the renewal may not be counted yet.
  if (std::count_if(under_way_.begin(), under_way_.end(), has) > 1) return;
  context_.waiting->AddRewrite(address);
}

void StoreWriter::OnReply(BatchPlace batch, const RedisReply& reply) {
  if (reply.IsError()) {
    if (absl::StartsWith(reply.text, "MOVED ")) {
      return context_.nodes->Fail(absl::UnavailableError("its cluster has changed"));
    }
    // A key that is no hash is somebody else's: the other trackers are told all the same.
    if (!absl::StartsWith(reply.text, "WRONGTYPE")) {
      batch->problem = absl::UnavailableError(ExplainRedisError(reply.text));
    }
  }
  if (--batch->calls_due > 0) return;
  if (!std::exchange(batch->published, true)) {
    Publish(batch);
    if (batch->calls_due > 0) return;
  }
  const absl::Status problem = batch->problem;
  if (!problem.ok()) context_.waiting->PutBack(std::move(batch->items));
  under_way_.erase(batch);
  refused_until_ = problem.ok() ? absl::InfinitePast() : MonotonicNow() + kRefusedPause;
  on_told_(problem);
}

std::string* StoreWriter::MessageOf(BatchPlace batch) {
  if (batch->messages.empty() || batch->messages.back().size() >= kMaxMessageBytes) {
    batch->messages.push_back(absl::StrCat(context_.sender, "\n"));
  }
  return &batch->messages.back();
}

// Once Redis has it: who then subscribes, and reads everything, misses nothing.
void StoreWriter::Publish(BatchPlace batch) {
  batch->calls_due += batch->messages.size();
  for (const std::string& message : batch->messages) {
    context_.nodes->SendTo(0, {"PUBLISH", context_.channel, message},
                           [this, batch](const RedisReply& reply) { OnReply(batch, reply); });
  }
}

}  // namespace p2p::tracker
