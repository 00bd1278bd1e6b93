#include "daemon/engine/trackers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "spdlog/spdlog.h"

namespace p2p::engine {
namespace {

// A tracker whose answers stay wrong is told of once in that time.
constexpr absl::Duration kTellAgain = absl::Hours(1);

uint64_t TokenOf(const session::TrackerEvent& event) {
  return absl::visit(
      [](const auto& e) -> uint64_t {
        if constexpr (std::is_same_v<std::decay_t<decltype(e)>, session::TrackerEnded>) {
          return 0;
        } else {
          return e.token;
        }
      },
      event);
}

bool IsAnswer(const session::TrackerEvent& event) {
  if (absl::holds_alternative<session::TrackerEnded>(event)) return false;
  const auto* refused = absl::get_if<session::TrackerRefused>(&event);
  return refused == nullptr || refused->code != 0;  // 0: it ended without an answer
}

}  // namespace

Trackers::Trackers(Runtime* runtime) : runtime_(runtime), random_(std::random_device{}()) {}

Trackers::~Trackers() = default;

void Trackers::Configure(const std::vector<std::string>& addresses) {
  for (auto& entry : entries_) {
    if (!entry->own || std::count(addresses.begin(), addresses.end(), entry->address) > 0) continue;
    entry->own = false;
    if (entry->link != nullptr && !announcements_.empty()) {
      entry->link->Do([token = next_id_++](session::TrackerSession& s) {
        s.WithdrawAll(token, MonotonicNow());
      });
    }
    // What remains is announced on a new connection.
    Drop(entry.get());
    if (!entry->transfers.empty()) Connect(entry.get(), /*now_please=*/true);
  }
  DropUnused();
  for (const std::string& address : addresses) {
    Entry* entry = Add(address);
    if (std::exchange(entry->own, true)) continue;
    if (entry->link == nullptr) {
      Connect(entry, /*now_please=*/true);  // announces everything
    } else {
      AnnounceAll(entry);
    }
  }
}

void Trackers::Use(TransferId transfer, const std::vector<std::string>& addresses) {
  for (const std::string& address : addresses) {
    Entry* entry = Add(address);
    entry->transfers.insert(transfer);
    Connect(entry, /*now_please=*/true);
  }
}

void Trackers::Release(TransferId transfer) {
  for (auto& entry : entries_) entry->transfers.erase(transfer);
  // Not at once: it may be the answer to a question that ends the transfer.
  runtime_->engine_loop.Post([this] { DropUnused(); });
}

bool Trackers::HasAnyFor(TransferId transfer) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const auto& entry) { return Serves(*entry, transfer); });
}

Trackers::Entry* Trackers::Add(const std::string& address) {
  for (auto& entry : entries_) {
    if (entry->address == address) return entry.get();
  }
  auto entry = std::make_unique<Entry>();
  entry->address = address;
  if (runtime_->extension_trackers.Has(address))
    entry->protocol = session::TrackerProtocol::kExtension;
  entry->retry_timer = std::make_unique<net::Timer>(&runtime_->engine_loop);
  entry->renew_timer = std::make_unique<net::Timer>(&runtime_->engine_loop);
  entries_.push_back(std::move(entry));
  return entries_.back().get();
}

void Trackers::Drop(Entry* entry) {
  entry->retry_timer->Disarm();
  entry->renew_timer->Disarm();
  entry->connected = false;
  if (entry->link != nullptr) {
    entry->link->Finish();
    leaving_[entry->link_id] = std::exchange(entry->link, nullptr);
  }
  for (auto& [token, answer] : std::exchange(entry->questions, {})) answer(nullptr);
}

void Trackers::DropUnused() {
  for (size_t i = entries_.size(); i-- > 0;) {
    if (entries_[i]->own || !entries_[i]->transfers.empty()) continue;
    Drop(entries_[i].get());
    entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

Teller Trackers::TellerOf(const Entry& entry) {
  return {entry.own ? Teller::Kind::kOwnTracker : Teller::Kind::kLinkTracker,
          absl::StrCat("tracker ", entry.address), entry.at};
}

bool Trackers::CanBeAsked(const Entry& entry) {
  return entry.link != nullptr || MonotonicNow() >= entry.next_try;
}

bool Trackers::Connect(Entry* entry, bool now_please) {
  if (entry->link != nullptr) return true;
  if (!now_please && !CanBeAsked(*entry)) return false;
  entry->retry_timer->Disarm();
  const absl::StatusOr<net::HostPort> to = net::ParseHostPort(entry->address);
  if (!to.ok()) {
    entry->problem = std::string(to.status().message());
    return false;
  }
  entry->link_id = next_id_++;
  entry->link = std::make_shared<TrackerLink>(entry->link_id, runtime_->io_loops[0].get(), this);
  entry->connected = false;
  entry->link->Dial(*to, runtime_->listen_port, entry->protocol);
  AnnounceAll(entry);
  return true;
}

void Trackers::Ask(Entry* entry, std::function<void(session::TrackerSession&, uint64_t)> question,
                   std::function<void(const session::TrackerEvent*)> answer) {
  if (!Connect(entry, /*now_please=*/true)) return answer(nullptr);
  const uint64_t token = next_id_++;
  entry->questions[token] = std::move(answer);
  entry->link->Do(
      [token, question = std::move(question)](session::TrackerSession& s) { question(s, token); });
}

void Trackers::FindName(TransferId transfer, const std::string& name,
                        std::function<void(NameAnswer)> done) {
  std::vector<std::string> reachable, others;
  for (const auto& entry : entries_) {
    if (!Serves(*entry, transfer)) continue;
    (CanBeAsked(*entry) ? reachable : others).push_back(entry->address);
  }
  // One that failed a moment ago is tried when nobody else knows the name: it may be back.
  AskForName(name, reachable, NameAnswer(), [this, name, others, done](NameAnswer answer) {
    if (answer.known()) return done(std::move(answer));
    AskForName(name, others, std::move(answer), done);
  });
}

void Trackers::AskForName(const std::string& name, const std::vector<std::string>& addresses,
                          NameAnswer so_far, std::function<void(NameAnswer)> done) {
  std::vector<Entry*> asked;
  for (auto& entry : entries_) {
    if (std::count(addresses.begin(), addresses.end(), entry->address) > 0)
      asked.push_back(entry.get());
  }
  if (asked.empty()) return done(std::move(so_far));
  const auto answers = std::make_shared<NameAnswers>(
      &runtime_->engine_loop, static_cast<int>(asked.size()), std::move(so_far), std::move(done));
  for (Entry* entry : asked) {
    Ask(
        entry,
        [name](session::TrackerSession& s, uint64_t token) {
          s.FindName(token, name, MonotonicNow());
        },
        [answers, entry](const session::TrackerEvent* event) {
          answers->OnAnswer(entry->address, entry->problem, TellerOf(*entry), event);
        });
  }
}

void Trackers::FindPeers(TransferId transfer, const ContentId& content_id,
                         std::function<void(const ToldPeers&)> found) {
  for (auto& entry : entries_) {
    if (!Serves(*entry, transfer) || !CanBeAsked(*entry)) continue;
    Ask(
        entry.get(),
        [content_id](session::TrackerSession& s, uint64_t token) {
          s.FindPeers(token, content_id, MonotonicNow());
        },
        [found, entry = entry.get()](const session::TrackerEvent* event) {
          if (event == nullptr) return;
          if (const auto* peers = absl::get_if<session::PeersFound>(event)) {
            found({TellerOf(*entry), peers->peers});
          }
        });
  }
}

void Trackers::Leave(std::function<void()> done) {
  const bool announced = !announcements_.empty();
  announcements_.clear();
  auto open = std::make_shared<int>(1);
  const auto one_less = [open, done = std::move(done)] {
    if (--*open == 0) done();
  };
  for (auto& entry : entries_) {
    // An original tracker may close after each answer; one of ours that has closed is gone.
    if (!announced || !(entry->connected || entry->original())) continue;
    ++*open;
    Ask(
        entry.get(),
        [](session::TrackerSession& s, uint64_t token) { s.WithdrawAll(token, MonotonicNow()); },
        [one_less](const session::TrackerEvent*) { one_less(); });
  }
  one_less();
}

Trackers::Entry* Trackers::FindByLink(uint64_t link) {
  for (auto& entry : entries_) {
    if (entry->link != nullptr && entry->link_id == link) return entry.get();
  }
  return nullptr;
}

void Trackers::OnTrackerConnected(uint64_t link, net::Endpoint remote) {
  runtime_->engine_loop.Post([this, link, remote] {
    if (Entry* entry = FindByLink(link)) {
      entry->at = remote;
      entry->connected = true;
      // "ok" before the first answer: nothing may have been asked. A refusal or a close says
      // otherwise.
      entry->ok = true;
      entry->problem.clear();
    }
  });
}

void Trackers::OnTrackerEvents(uint64_t link, std::vector<session::TrackerEvent> events,
                               session::TrackerProtocol protocol) {
  runtime_->engine_loop.Post([this, link, events = std::move(events), protocol] {
    for (const session::TrackerEvent& event : events) {
      Entry* entry = FindByLink(link);
      if (entry == nullptr) return;
      entry->protocol = protocol;
      if (protocol == session::TrackerProtocol::kExtension)
        runtime_->extension_trackers.Add(entry->address);
      OnEvent(entry, event);
    }
  });
}

void Trackers::OnTrackerClosed(uint64_t link, std::string reason,
                               session::TrackerProtocol protocol) {
  runtime_->engine_loop.Post([this, link, reason = std::move(reason), protocol] {
    leaving_.erase(link);
    if (Entry* entry = FindByLink(link)) OnClosedHere(entry, reason, protocol);
  });
}

void Trackers::OnEvent(Entry* entry, const session::TrackerEvent& event) {
  if (IsAnswer(event)) entry->backoff.Reset();
  if (const auto* announced = absl::get_if<session::Announced>(&event)) {
    entry->ok = true;
    if (entry->refused.empty()) entry->problem.clear();
    OnAnnounced(entry, announced->ttl);
  }
  const auto* ended = absl::get_if<session::TrackerEnded>(&event);
  if (ended != nullptr && ended->at_fault) OnFault(entry, ended->reason);
  const auto question = entry->questions.find(TokenOf(event));
  if (question != entry->questions.end()) {
    if (IsAnswer(event)) entry->fault.clear();
    const auto answer = std::move(question->second);
    entry->questions.erase(question);
    answer(&event);
  } else if (const auto* refused = absl::get_if<session::TrackerRefused>(&event)) {
    const bool lost = refused->code == 0;  // with the connection
    std::string problem =
        absl::StrCat(lost ? "" : "it refused an announcement: ", Printable(refused->reason));
    Tell(entry, problem);
    entry->problem = std::move(problem);
    if (lost) return;  // the end of the connection has everything announced again
    OnSomeRefused(entry, *refused);
  }
}

void Trackers::OnFault(Entry* entry, const std::string& reason) {
  const std::string fault = Printable(reason);
  Tell(entry, fault);
  // Over an announcement it is the connection's problem, which ends with the next one.
  if (!entry->announcing) entry->fault = fault;
}

void Trackers::Tell(Entry* entry, const std::string& problem) {
  const absl::Time now = MonotonicNow();
  if (problem == entry->told && now < entry->tell_again) return;
  spdlog::warn("tracker {}: {}", entry->address, problem);
  entry->told = problem;
  entry->tell_again = now + kTellAgain;
}

void Trackers::OnClosedHere(Entry* entry, const std::string& reason,
                            session::TrackerProtocol protocol) {
  const bool had_connected = std::exchange(entry->connected, false);
  entry->link.reset();
  // One that is not reached may come back as another program; it may have been on its way down when
  // it said nothing to HELLO.
  const bool was_original = protocol == session::TrackerProtocol::kOriginal;
  entry->protocol = was_original && !had_connected ? session::TrackerProtocol::kUnknown : protocol;
  // An original tracker may close after each answer and is well; one of ours that closes has gone
  // away.
  if (!had_connected || entry->announcing || (!was_original && !AnnouncementsFor(*entry).empty())) {
    if (!had_connected) {
      entry->ok = false;
      entry->problem = reason;
    }
    const absl::Duration wait = entry->backoff.Next(&random_);
    entry->next_try = MonotonicNow() + wait;
    if (entry->backoff.failures() == 1 && !had_connected) {
      spdlog::warn("tracker {} is not reached: {}; trying on", entry->address, reason);
    }
    entry->retry_timer->Arm(entry->next_try, [this, entry] {
      entry->retry_timer->Disarm();
      Connect(entry, /*now_please=*/true);
    });
  }
  for (auto& [token, answer] : std::exchange(entry->questions, {})) answer(nullptr);
}

std::vector<TrackerInfo> Trackers::Info() const {
  std::vector<TrackerInfo> all;
  for (const auto& entry : entries_) {
    TrackerInfo info;
    info.address = entry->address;
    info.ok = entry->ok;
    if (entry->ok && !entry->problem.empty()) {
      info.state = entry->problem;
    } else if (entry->ok && !entry->fault.empty()) {
      info.state = entry->fault;
    } else if (entry->ok) {
      info.state = entry->original() ? "ok (original protocol)" : "ok";
    } else if (entry->problem.empty()) {
      info.state = "connecting";
    } else {
      const absl::Duration wait = std::max(absl::ZeroDuration(), entry->next_try - MonotonicNow());
      info.state =
          absl::StrCat("not reached: ", entry->problem, "; next try in ", HumanDuration(wait));
    }
    all.push_back(std::move(info));
  }
  return all;
}

}  // namespace p2p::engine
