// A peer session with a driver that needs no socket: reads as PlanRead tells it, sends in virtual
// time, and keeps what was said.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/buffers.h"
#include "core/base/limits.h"
#include "daemon/session/peer_session.h"
#include "gtest/gtest.h"

namespace p2p::session {

inline PeerId TestPeerId(uint8_t n) {
  PeerId id;
  id.hash.bytes.fill(n);
  return id;
}
inline ContentId TestContentId(uint8_t n) {
  ContentId id;
  id.hash.bytes.fill(n);
  return id;
}

// Byte i is (i + seed) mod 251: every chunk looks different and shifts show.
inline std::string Pattern(size_t size, size_t seed = 0) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>((i + seed) % 251);
  return bytes;
}

// A slice whose "file" is the string that owns it.
inline FileSlice SliceOf(std::string bytes) {
  auto owner = std::make_shared<const std::string>(std::move(bytes));
  FileSlice slice;
  slice.length = static_cast<uint32_t>(owner->size());
  slice.owner = std::move(owner);
  return slice;
}

inline PeerSessionOptions Accepted() {
  PeerSessionOptions options;
  options.self = TestPeerId(0xaa);
  options.listen_port = 9001;
  options.agent = "p2pd/test";
  return options;
}
inline PeerSessionOptions Dialled() {
  PeerSessionOptions options = Accepted();
  options.dialled = true;
  options.self = TestPeerId(0xdd);
  return options;
}
inline PeerSessionOptions DialledOriginal() {
  PeerSessionOptions options = Dialled();
  options.original = true;
  return options;
}

inline std::string HelloLine(bool leaves = false) {
  return absl::StrCat("HELLO 3 id=", TestPeerId(0xbb).Hex(), " port=9002", leaves ? " leaves" : "",
                      " agent=other/1\n");
}

class Harness {
 public:
  explicit Harness(PeerSessionOptions options, size_t pool_bytes = limits::kChunkPoolBytes)
      : pool(ChunkPool::Create(pool_bytes)), session(std::move(options), pool, now) {
    Pump();
  }

  // Brings bytes of the other side: at most `scratch_bytes` in a read, no more than the session
  // wants.
  void Feed(absl::string_view bytes) {
    unread_.append(bytes.data(), bytes.size());
    Read();
  }

  // Reads on until the session pauses or nothing is left.
  void Read() {
    while (!unread_.empty() && !session.ended()) {
      PeerSession::ReadPlan plan = session.PlanRead();
      Pump();
      if (plan.mode == PeerSession::ReadMode::kPause) return;
      if (plan.mode == PeerSession::ReadMode::kPayload) {
        const size_t size = std::min(plan.payload.size(), unread_.size());
        std::memcpy(plan.payload.data(), unread_.data(), size);
        unread_.erase(0, size);
        session.OnPayload(size, now);
      } else {
        const size_t size = std::min(scratch_bytes, unread_.size());
        const std::string scratch = unread_.substr(0, size);
        unread_.erase(0, size);
        session.OnBytes(scratch, now);
      }
      Pump();
    }
  }

  void EndOfStream() {
    session.OnEndOfStream(now);
    Pump();
  }

  // Lets time pass, waking the session whenever it asks to be.
  void Advance(absl::Duration duration) {
    const absl::Time until = now + duration;
    for (int wakes = 0; session.WakeUpTime() <= until; ++wakes) {
      ASSERT_LT(wakes, 10'000) << "the session wakes without end";
      now = std::max(now, session.WakeUpTime());
      session.OnTime(now);
      Pump();
    }
    now = until;
    session.OnTime(now);
    Pump();
  }

  // The connection takes what is queued: all of it, or so many bytes.
  void Send(size_t most = SIZE_MAX) {
    const size_t sent = std::min(most, queue_.size());
    said.append(queue_, 0, sent);
    queue_.erase(0, sent);
    text_bytes_ -= std::min(text_bytes_, sent);
    if (sent == 0) return;
    session.OnSent(sent, queue_.empty() ? 0 : text_bytes_, queue_.size(), now);
    Pump();
  }

  // Overtaking is the connection's affair: here everything leaves in order.
  void AddText(const std::string& text) {
    queue_ += text;
    text_bytes_ += text.size();
  }

  void AddFile(const FileSlice& slice) {
    const auto& file = *static_cast<const std::string*>(slice.owner.get());
    queue_ += file.substr(slice.offset, slice.length);
  }

  void Pump() {
    for (Output& output : session.TakeOutput()) {
      if (auto* text = absl::get_if<std::string>(&output)) {
        AddText(*text);
      } else if (auto* urgent = absl::get_if<UrgentText>(&output)) {
        AddText(urgent->text);
      } else if (auto* chunk = absl::get_if<ChunkToSend>(&output)) {
        AddText(chunk->header);
        AddFile(chunk->slice);
      } else {
        AddFile(absl::get<FileSlice>(output));
      }
    }
    for (PeerEvent& event : session.TakeEvents()) events.push_back(std::move(event));
    if (sends_at_once && !queue_.empty()) Send();
  }

  // What was said since the last call.
  std::string Said() {
    Pump();
    return std::exchange(said, "");
  }

  // Takes the next event, which must be a T; progress is passed over.
  template <typename T>
  T Next() {
    Pump();
    while (!events.empty() && (absl::holds_alternative<ProgressMade>(events.front()) ||
                               absl::holds_alternative<ManifestProgress>(events.front()))) {
      events.pop_front();
    }
    if (events.empty() || !absl::holds_alternative<T>(events.front())) {
      ADD_FAILURE() << "another event: index "
                    << (events.empty() ? -1 : int(events.front().index()));
      return T{};
    }
    T event = absl::get<T>(std::move(events.front()));
    events.pop_front();
    return event;
  }
  bool NoEvents() {
    Pump();
    return events.empty();
  }
  template <typename T>
  int Count() {
    return static_cast<int>(std::count_if(events.begin(), events.end(), [](const PeerEvent& e) {
      return absl::holds_alternative<T>(e);
    }));
  }

  PeerSession::ReadMode mode() { return session.PlanRead().mode; }
  size_t queued_bytes() const { return queue_.size(); }
  size_t unread_bytes() const { return unread_.size(); }

  // Accepts or says HELLO, and opens content 0xcc of `chunks` chunks; `leaves`: with a peer that
  // knows of them.
  void OpenAsAccepter(uint32_t chunks, bool leaves = false) {
    Feed(HelloLine(leaves) + "OPEN " + TestContentId(0xcc).Hex() + "\n");
    Next<PeerHello>();
    Next<OpenAsked>();
    session.AcceptOpen(chunks);
    Said();
  }
  void OpenAsDialler(uint32_t chunks, bool leaves = false) {
    session.Open(TestContentId(0xcc));
    session.SetChunkCount(chunks);
    Feed(HelloLine(leaves) + absl::StrCat("OPENED ", chunks, "\n"));
    Next<PeerHello>();
    EXPECT_TRUE(Next<OpenAnswered>().accepted);
    Said();
  }

  absl::Time now = absl::UnixEpoch() + absl::Hours(1);
  std::shared_ptr<ChunkPool> pool;
  PeerSession session;
  std::deque<PeerEvent> events;
  std::string said;
  bool sends_at_once = true;
  size_t scratch_bytes = 16 << 10;

 private:
  std::string unread_;  // sent by the other side, not read
  std::string queue_;   // in the connection
  size_t text_bytes_ = 0;
};

}  // namespace p2p::session
