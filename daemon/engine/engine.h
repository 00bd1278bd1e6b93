// The engine: owns transfers, swarms and all decisions, and is the only part that knows both
// network and disk. Everything public here may be called from any thread: calls are posted to the
// engine loop and, where they answer, wait for it: DeadlineExceeded when it stands still. Nothing
// here blocks on a name service or a peer, and on a disk only where it says so.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "core/base/ids.h"

namespace p2p::engine {

struct EngineOptions {
  std::string state_dir;
  std::string download_dir;
  std::string listen;                 // "HOST:PORT" with a literal host; port 0 takes a free one
  std::vector<std::string> trackers;  // "HOST:PORT"
  std::string congestion_control = "auto";  // see core/net/congestion_control.h
  bool allow_unverified = false;            // for every download
  int io_threads = 0;                       // 0: chosen by cores
  int worker_threads = 0;                   // 0: chosen by cores
};

enum class TransferState {
  kHashing,
  kQueued,
  kDownloading,
  kSeeding,
  kPaused,
  kChecking,
  kComplete,
  kError
};
enum class TransferKind { kShare, kDownload };

// One transfer as a user sees it.
struct TransferInfo {
  TransferId id;
  TransferKind kind = TransferKind::kShare;
  TransferState state = TransferState::kQueued;
  std::string name;
  std::string content_id;  // hex, "" when not yet known or none
  std::string magnet;      // "" without a content id
  bool verified = false;   // every byte it claims was checked against the content id
  uint64_t bytes_total = 0;
  uint64_t bytes_done = 0;
  double rate_down = 0;  // bytes a second
  double rate_up = 0;
  uint32_t peers = 0;   // connected
  std::string path;     // absolute; may hold any bytes
  bool placed = false;  // `path` is where it is; until then it is what the user asked for
  std::string error;  // the reason when the state is kError; else what it waits for ("no peer found
                      // yet"), or ""
  bool unverified_refused = false;  // the reason is that it can only be had unverified
};

struct PeerInfo {
  std::string address;
  std::string peer_id;  // hex, "" for original peers
  std::string agent;    // "" for original peers
  bool original = false;
  bool connected = false;
  bool dialled = false;
  double rate_down = 0;
  double rate_up = 0;
  uint64_t bytes_down = 0;
  uint64_t bytes_up = 0;
  uint64_t chunks_have = 0;
  std::string problem;  // why it is not used, or ""
};

struct TrackerInfo {
  std::string address;
  bool ok = false;
  std::string state;  // "ok", "connecting", "not reached: connection refused; next try in 4 s"
};

struct DaemonInfo {
  std::string version;
  std::string peer_id;
  std::string listen;  // with the real port
  std::vector<TrackerInfo> trackers;
  std::string state_dir;
  std::string download_dir;
  uint64_t transfers = 0;
  uint64_t connections = 0;
  uint64_t bytes_down = 0;  // payload since the start
  uint64_t bytes_up = 0;
  double rate_down = 0;
  double rate_up = 0;
  int64_t uptime_seconds = 0;
  int io_threads = 0;
  int worker_threads = 0;
  int hash_threads = 0;              // of these, at once for whole files in the download directory
  std::string download_device_type;  // as store::DeviceTypeName
  std::string hash_implementation;
  std::string congestion_control;  // what connections to peers get, in words
  bool allow_unverified = false;   // as in EngineOptions
  std::string problem;             // something that needs the operator, or ""
};

// A loop of the engine, for whoever watches that it makes progress.
struct LoopHandle {
  std::string name;
  // Runs its argument on the loop. From any thread; does nothing once the loop is gone.
  std::function<void(std::function<void()>)> post;
};

class Engine {
 public:
  // Opens the state directory (FailedPrecondition when another daemon has it), listens, loads
  // transfers, starts threads. Returns when the daemon is ready to serve.
  static absl::StatusOr<std::unique_ptr<Engine>> Start(EngineOptions options);
  // Stop() if it was not called.
  ~Engine();

  // Every call is answered at once, now and from now on (Unavailable, or OK where only the commit
  // was waited for). Then commits everything, tells the trackers, closes. Gives up waiting for
  // others at `deadline` (a duration). Whether everything was committed.
  bool Stop(absl::Duration deadline);

  // `path` absolute. The same unchanged path again gives the same transfer. Returns at once; `done`
  // runs on some thread, and must not wait there, when the path was looked at, which takes as long
  // as its disk does. Hashing goes on after that.
  void Share(const std::string& path, const std::string& name,
             std::function<void(absl::StatusOr<TransferId>)> done);
  // `source`: a name, a content id or a magnet link. `output` absolute or "" for the download
  // directory; a directory that exists, or a trailing '/', means: into it. `allow_unverified`: also
  // from peers of the original protocol, which have no hashes.
  absl::StatusOr<TransferId> Download(const std::string& source, const std::string& output,
                                      bool allow_unverified);
  // Pause and Resume return when a restart would find it so, with all that was fetched until then,
  // but wait for the disk no longer than limits::kCommitWait; an error says what the catalog could
  // not save.
  absl::Status Pause(TransferId id);
  absl::Status Resume(TransferId id);
  absl::Status Remove(TransferId id, bool with_data);
  // Hashes what is there again; the outcome shows as state and error.
  absl::Status Verify(TransferId id);

  // `what`: an id, a content id (or a unique beginning of at least 8 digits), or a unique name.
  // NotFound says so; FailedPrecondition lists the candidates.
  absl::StatusOr<TransferId> Find(const std::string& what);

  absl::StatusOr<TransferInfo> Transfer(TransferId id);
  // Those with an id above `after`, in id order, at most `most`.
  absl::StatusOr<std::vector<TransferInfo>> Transfers(TransferId after, size_t most);
  absl::StatusOr<std::vector<PeerInfo>> Peers(TransferId id);
  absl::StatusOr<DaemonInfo> Daemon();
  // Where peers reach it: "HOST:PORT".
  const std::string& listen() const;
  // Every loop that must never wait long. Workers are not among them: a disk may be slow.
  std::vector<LoopHandle> Loops();

  // Grows with every change that a watcher should see at once (states, transfers added or removed).
  uint64_t revision() const;
  // Waits until revision() differs from `seen` or `timeout` is over; returns the current one.
  uint64_t WaitForChange(uint64_t seen, absl::Duration timeout);

  // SIGHUP: what can change while running (trackers, download_dir, allow_unverified). Others are
  // ignored with a log line.
  void Reconfigure(const EngineOptions& options);

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

const char* StateName(TransferState state);  // "hashing", ... as promised to scripts
const char* KindName(TransferKind kind);

}  // namespace p2p::engine
