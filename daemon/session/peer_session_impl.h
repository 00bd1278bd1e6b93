// The frame of a peer session: which protocol is spoken, which part the next bytes belong to, what
// must wait, and what time decides. The parts judge the content. Owned by PeerSession; on its loop.
#pragma once

#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/wire/line_reader.h"
#include "daemon/session/chunk_receiver.h"
#include "daemon/session/extension_dialogue.h"
#include "daemon/session/original_dialogue.h"
#include "daemon/session/peer_session.h"
#include "daemon/session/rate_watch.h"
#include "daemon/session/session_core.h"

namespace p2p::session {

struct PeerSession::Impl {
  // What the next line is judged by.
  enum class Mode {
    kAwaitsHello,     // dialled: HELLO was said
    kAwaitsFirst,     // accepted: nothing was heard yet
    kExtension,       // both have said HELLO
    kOriginalServer,  // the other side asks with GET_CHUNK
    kOriginalClient,  // we ask with GET_CHUNK
  };

  Impl(PeerSessionOptions options, std::shared_ptr<ChunkPool> pool, absl::Time now);

  // --- Bytes

  // Bytes came, or the end of them.
  void Hear(absl::Time time);
  // Judges what is held and then `fresh`, as far as that may be done now; holds the rest.
  void Pump(absl::string_view fresh);
  // Payload of a chunk is in the receiver.
  void OnChunkBytes(size_t size);
  // No line may be judged now.
  bool Blocked() const;
  int Requested() const { return extension.requested() + (client.asked() ? 1 : 0); }

  // --- Time

  void SetNow(absl::Time time) { core.now = std::max(core.now, time); }
  // Starts and stops what is watched, after anything that may have changed it.
  void Settle();
  // `core.now` was told just now.
  void TickWatches();
  void CheckTimes();
  // Never later than CheckTimes has something to do; stays the same while bytes flow, so that the
  // driver need not set its timer anew for each of them.
  absl::Time WakeUpTime();

  SessionCore core;
  ChunkReceiver receiver;
  ExtensionDialogue extension;
  OriginalServer server;
  OriginalClient client;
  wire::LineReader lines;
  Mode mode = Mode::kAwaitsFirst;
  std::string held;  // input that may not be judged yet
  bool end_of_stream = false;
  bool line_ended_by_pause = false;  // its end may still come, and is then no empty line
  bool heard_line_end = false;       // the other side is one that ends its lines

  const absl::Time start;
  absl::Time last_received;
  absl::Time last_active;  // received or sent
  bool pinged = false;
  RateWatch recv_watch;    // while we wait for what we asked for
  Patience manifest_wait;  // the same for a manifest, however it trickles
  Patience buffer_wait;    // for a chunk whose buffer others may want
  RateWatch send_watch;    // while the other side has something to read
  absl::Time told_wake_up = absl::InfinitePast();

 private:
  void Consume(absl::string_view* input);
  void ConsumeLine(absl::string_view* input);
  void OnLine(absl::string_view line);
  void OnHello(absl::string_view line);
  void OnOriginalAnswer();
  void OnTooLongLine();
  void Finish();
  void Release();

  // Whether it is the other side that asks, in the original protocol as far as is known.
  bool Serves() const { return mode == Mode::kAwaitsFirst || mode == Mode::kOriginalServer; }
  // Whether the silence of the other side counts.
  bool Listening() const { return !Blocked() && !receiver.waits_for_buffer(); }
  // Whether an idle session may close: the original protocol has no PING, so an answer on its way
  // keeps it.
  bool MayIdle() const {
    return mode != Mode::kOriginalServer || (server.queued() == 0 && core.outbox.Drained());
  }
  absl::Time NextDeadline() const;
  bool AwaitsFirstRequest() const { return Serves() && !server.has_had_request(); }
  // An unended line counts as ended when the other side pauses, and has never ended one.
  bool PauseEndsLine() const {
    return Serves() && !heard_line_end && lines.HasPartial() && !Blocked();
  }
};

}  // namespace p2p::session
