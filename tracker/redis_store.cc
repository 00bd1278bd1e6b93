#include "tracker/redis_store.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/random/random.h"
#include "absl/random/uniform_real_distribution.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "spdlog/spdlog.h"

namespace p2p::tracker {
namespace {

// Of what waits for Redis: some hundred thousand changes. Beyond it everything that is registered
// is told when it is back, and who unregistered is forgotten elsewhere after its ttl.
constexpr size_t kMaxWaitingBytes = 64 << 20;
// Of what others tell while everything is read. Beyond it reading begins anew.
constexpr size_t kMaxHeldBytes = 64 << 20;
constexpr absl::Duration kFirstRetry = absl::Milliseconds(100);
constexpr absl::Duration kLastRetry = absl::Seconds(10);
// Changes of so long leave together.
constexpr absl::Duration kTakeInterval = absl::Milliseconds(5);
constexpr absl::Duration kTimeInterval = absl::Seconds(10);
constexpr absl::Duration kStopPatience = absl::Seconds(1);

std::string RandomId() {
  absl::BitGen random;
  return absl::StrFormat("%016x%016x", absl::Uniform<uint64_t>(random),
                         absl::Uniform<uint64_t>(random));
}

// "run_id:..." out of INFO: another one after each start of a server; where we may not know,
// another one each time.
std::string RunId(const RedisReply& info) {
  for (absl::string_view line : absl::StrSplit(info.text, '\n')) {
    if (absl::StartsWith(line, "run_id:")) return std::string(line);
  }
  return RandomId();
}

}  // namespace

const char* RedisStore::NameOf(State state) {
  switch (state) {
    case State::kConnecting:
      return "connecting";
    case State::kLoading:
      return "loading";
    case State::kConnected:
      return "connected";
    case State::kRefused:
      return "refused";
    case State::kAway:
      return "away";
  }
  return "";
}

RedisStore::RedisStore(StoreOptions options, Registry* registry)
    : options_(std::move(options)),
      where_(options_.url.ToString()),
      // Channels belong to all databases of a server.
      channel_(absl::StrCat("p2p:changes:", options_.url.database)),
      self_(RandomId()),
      registry_(registry),
      loop_("tracker-store"),
      queue_([this] { loop_.Post([this] { TakeSoon(); }); }),
      retry_timer_(&loop_),
      take_timer_(&loop_),
      time_timer_(&loop_),
      waiting_(kMaxWaitingBytes) {
  {
    absl::MutexLock lock(&mutex_);
    shown_.since = MonotonicNow();
  }
  loop_.Start();
  loop_.Post([this] { Connect(); });
}

RedisStore::~RedisStore() { Stop(); }

bool RedisStore::WaitUntilSettled(absl::Duration at_most) { return settled_.WaitFor(at_most); }

bool RedisStore::connected() const {
  absl::MutexLock lock(&mutex_);
  return shown_.state == State::kConnected;
}

void RedisStore::Stop() {
  if (std::exchange(stopped_, true)) return;
  loop_.Post([this] {
    stopping_ = true;
    TakeChanges();
  });
  idle_.WaitFor(kStopPatience);
  loop_.RunAndWait([this] {
    Disconnect();
    retry_timer_.Disarm();
    take_timer_.Disarm();
  });
  loop_.Stop();
}

wire::Figures RedisStore::figures() const {
  absl::MutexLock lock(&mutex_);
  wire::Figures figures = {{"store", where_}, {"store_state", NameOf(shown_.state)}};
  const auto add = [&figures](const char* name, uint64_t value) {
    figures.emplace_back(name, absl::StrCat(value));
  };
  add("store_state_seconds",
      static_cast<uint64_t>(absl::ToInt64Seconds(MonotonicNow() - shown_.since)));
  add("store_changes_waiting", shown_.waiting + queue_.count());
  add("store_changes_learned", shown_.learned);
  add("store_changes_unreadable", shown_.unreadable);
  if (!shown_.error.empty()) {
    figures.emplace_back("store_error", absl::StrReplaceAll(shown_.error, {{" ", "_"}}));
  }
  return figures;
}

// --- The connection

void RedisStore::Connect() {
  auto password = options_.password();
  if (!password.ok()) return OnClosed(password.status());
  link_options_ = LinkOptions(*std::move(password));
  link_options_.at = NextNode();
  subscriber_ = std::make_unique<RedisLink>(
      &loop_, link_options_,
      RedisLink::Events{[this] { subscriber_->Subscribe(channel_); },
                        [this](const absl::Status& why) { OnClosed(why); },
                        [this](const RedisReply& reply) { OnPush(reply); }});
}

// The nodes that were named, and where these fail the others of their cluster in turn.
net::HostPort RedisStore::NextNode() {
  const std::vector<net::HostPort>& named = options_.url.nodes;
  const size_t turn = dialled_++ % (named.size() + masters_.size());
  return turn < named.size() ? named[turn] : masters_[turn - named.size()];
}

RedisLinkOptions RedisStore::LinkOptions(std::string password) const {
  RedisLinkOptions options;
  options.tls = options_.url.tls;
  options.ca_file = options_.ca_file;
  options.user = options_.url.user;
  options.password = std::move(password);
  options.database = options_.url.database;
  return options;
}

void RedisStore::OnPush(const RedisReply& reply) {
  if (reply.IsError()) {
    return subscriber_->Fail(absl::UnavailableError(ExplainRedisError(reply.text)));
  }
  if (!reply.IsList(3)) return;
  if (reply.list[0].text == "subscribe" && nodes_ == nullptr) return DialNodes();
  if (reply.list[0].text == "message") OnMessage(reply.list[2].text);
}

void RedisStore::DialNodes() {
  nodes_ = std::make_unique<RedisNodes>(
      &loop_, link_options_, [this] { OnNodesReady(); },
      [this](const absl::Status& why) { OnClosed(why); });
}

void RedisStore::OnNodesReady() {
  masters_ = nodes_->masters();
  // Each would have registrations of its own.
  if (masters_.empty() && options_.url.nodes.size() > 1)
    return nodes_->Fail(absl::InvalidArgumentError(
        "several nodes are named, and one that answers is not of a Redis Cluster; name one"));
  AskTime();
}

// Ends are moments of Redis' clock: those of the trackers may differ.
void RedisStore::AskTime() {
  nodes_->SendTo(0, {"TIME"},
                 [this, asked = MonotonicNow()](const RedisReply& reply) { OnTime(asked, reply); });
}

void RedisStore::OnTime(absl::Time asked, const RedisReply& reply) {
  // Until the year 2248, as in store_record.cc.
  constexpr uint64_t kMaxSeconds = (uint64_t{1} << 43) / 1000;
  absl::optional<uint64_t> seconds;
  absl::optional<uint64_t> micros;
  if (reply.IsList(2)) {
    seconds = ParseDecimal(reply.list[0].text, kMaxSeconds);
    micros = ParseDecimal(reply.list[1].text, 999'999);
  }
  if (!seconds.has_value() || !micros.has_value()) {
    return nodes_->Fail(absl::InvalidArgumentError(
        reply.IsError() ? ExplainRedisError(reply.text) : "its answer to TIME has no time"));
  }
  const absl::Time here = asked + (MonotonicNow() - asked) / 2;
  clock_.ahead = absl::FromUnixMicros(static_cast<int64_t>(*seconds * 1'000'000 + *micros)) - here;
  if (writer_ == nullptr) return AskIdentity();
  // It has lasted; one that ends at once each time is tried less often.
  failures_ = 0;
  time_timer_.Arm(MonotonicNow() + kTimeInterval, [this] { AskTime(); });
}

void RedisStore::AskIdentity() {
  next_identity_.clear();
  for (size_t i = 0; i < nodes_->count(); ++i) {
    nodes_->SendTo(i, {"INFO", "server"}, [this](const RedisReply& reply) {
      next_identity_.push_back(RunId(reply));
      if (next_identity_.size() < nodes_->count()) return;
      absl::c_sort(next_identity_);
      Load();
    });
  }
}

void RedisStore::OnClosed(const absl::Status& why) {
  Disconnect();
  if (stopping_) return Write();
  SetState(State::kAway, why.message());
  if (!settled_.HasBeenNotified()) settled_.Notify();
  // Each node of a cluster has its turn before the wait becomes longer.
  const int rounds = failures_++ / static_cast<int>(1 + masters_.size());
  const absl::Duration most =
      std::min(kLastRetry, kFirstRetry * static_cast<int64_t>(uint64_t{1} << std::min(rounds, 10)));
  retry_timer_.Arm(MonotonicNow() + most * absl::Uniform(random_, 0.5, 1.0), [this] { Connect(); });
}

void RedisStore::Disconnect() {
  time_timer_.Disarm();
  writer_.reset();
  loader_.reset();
  nodes_.reset();
  subscriber_.reset();
  held_.clear();
  held_bytes_ = 0;
}

// --- What others know

void RedisStore::Load() {
  SetState(State::kLoading, "");
  load_began_ = MonotonicNow();
  // A server that was not started again has what it was told. What is here may be older than it.
  tell_all_ = next_identity_ != identity_ && registry_->registration_count() > 0;
  loader_ = std::make_unique<StoreLoader>(
      nodes_.get(), clock_, &waiting_, registry_,
      [this](absl::StatusOr<size_t> registrations) { OnLoaded(std::move(registrations)); });
}

void RedisStore::OnLoaded(absl::StatusOr<size_t> registrations) {
  if (!registrations.ok()) return nodes_->Fail(registrations.status());
  identity_ = next_identity_;
  dialled_ = 0;
  writer_ = std::make_unique<StoreWriter>(
      StoreWriter::Context{nodes_.get(), &clock_, &waiting_, registry_, channel_, self_}, tell_all_,
      [this](const absl::Status& status) { OnTold(status); });
  for (const std::string& message : std::exchange(held_, {})) Apply(message);
  held_bytes_ = 0;
  spdlog::info("{} registrations were read from {} in {} ms", *registrations, where_,
               absl::ToInt64Milliseconds(MonotonicNow() - load_began_));
  time_timer_.Arm(MonotonicNow() + kTimeInterval, [this] { AskTime(); });
  Write();
  SetState(State::kConnected, "");
  if (!settled_.HasBeenNotified()) settled_.Notify();
}

void RedisStore::OnMessage(const std::string& message) {
  if (writer_ != nullptr) {
    Apply(message);
    return Write();
  }
  held_bytes_ += message.size();
  if (held_bytes_ > kMaxHeldBytes) {
    return subscriber_->Fail(
        absl::ResourceExhaustedError("more changed than can be kept while everything is read"));
  }
  held_.push_back(message);
}

void RedisStore::Apply(absl::string_view message) {
  uint64_t learned = 0;
  uint64_t unreadable = 0;
  const absl::Time now = MonotonicNow();
  std::vector<wire::PeerAddress> all_gone;
  const std::vector<absl::string_view> lines = absl::StrSplit(message, '\n');
  if (lines.front() == self_) return;
  // The last one has no end.
  for (size_t i = 1; i + 1 < lines.size(); ++i) {
    absl::optional<wire::PeerAddress> unregistered;
    ++(ApplyChange(lines[i], clock_, now, registry_, &unregistered) ? learned : unreadable);
    if (unregistered.has_value()) all_gone.push_back(*unregistered);
  }
  // With what came back in the same message: of that, too, Redis may have something older from
  // here.
  for (const wire::PeerAddress& address : all_gone) writer_->TellAgain(address);
  absl::MutexLock lock(&mutex_);
  shown_.learned += learned;
  shown_.unreadable += unreadable;
}

// --- What clients changed here

void RedisStore::TakeSoon() {
  const absl::Time now = MonotonicNow();
  if (now >= write_after_) return TakeChanges();
  take_timer_.Arm(write_after_, [this] { TakeChanges(); });
}

void RedisStore::TakeChanges() {
  write_after_ = MonotonicNow() + kTakeInterval;
  {
    // At no moment does a figure leave out what is taken over.
    absl::MutexLock lock(&mutex_);
    queue_.Take(&taken_);
    shown_.waiting += taken_.count;
  }
  const bool lost_before = waiting_.lost();
  if (taken_.lost) waiting_.SetLost();
  ChangeQueue::Change change;
  for (absl::string_view rest = taken_.text; ChangeQueue::Batch::Next(&rest, &change);) {
    switch (change.kind) {
      case ChangeQueue::Kind::kChanged:
        waiting_.AddChanged(change.address, change.field, change.time);
        break;
      case ChangeQueue::Kind::kRenewed:
        waiting_.AddRenewed(change.address, change.time);
        break;
      case ChangeQueue::Kind::kUnregistered:
        waiting_.AddUnregistered(change.address, change.time);
        break;
    }
  }
  if (waiting_.lost() && !lost_before) {
    spdlog::warn(
        "more changes wait for {} than are kept: everything that is registered will be told when "
        "it takes them, and what was withdrawn meanwhile is known elsewhere until its ttl ends",
        where_);
  }
  Write();
}

void RedisStore::Write() {
  if (writer_ != nullptr) writer_->Write();
  TellFigures();
  if (!stopping_ || idle_.HasBeenNotified()) return;
  if (writer_ == nullptr || writer_->IsIdle()) idle_.Notify();
}

void RedisStore::OnTold(const absl::Status& status) {
  if (status.ok()) {
    SetState(State::kConnected, "");
    // Not from within the call that told it.
    return loop_.Post([this] { Write(); });
  }
  SetState(State::kRefused, status.message());
  retry_timer_.Arm(MonotonicNow() + StoreWriter::kRefusedPause, [this] { Write(); });
}

void RedisStore::TellFigures() {
  const size_t waiting = waiting_.count() + (writer_ == nullptr ? 0 : writer_->changes_under_way());
  absl::MutexLock lock(&mutex_);
  shown_.waiting = waiting;
}

void RedisStore::SetState(State state, absl::string_view error) {
  TellFigures();
  {
    absl::MutexLock lock(&mutex_);
    // While it is away it is tried again and again.
    if (state == State::kLoading && shown_.state == State::kAway) return;
    const bool same = state == shown_.state && error == shown_.error;
    if (state != shown_.state) shown_.since = MonotonicNow();
    shown_.state = state;
    shown_.error = std::string(error);
    if (same) return;
  }
  switch (state) {
    case State::kConnected:
      return spdlog::info("{} is connected", where_);
    case State::kRefused:
      return spdlog::error("{} refuses what changes, which is kept and tried again: {}", where_,
                           std::string(error));
    case State::kAway:
      return spdlog::error("{} is away, answering from what is known here: {}", where_,
                           std::string(error));
    case State::kConnecting:
    case State::kLoading:
      return;
  }
}

}  // namespace p2p::tracker
