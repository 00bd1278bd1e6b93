// What the trackers say of one name, put together: ready when all that were asked have answered, or
// a while after one knew the name, so that a tracker that hangs holds nobody up for long. Belongs
// to the engine loop.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/net/event_loop.h"
#include "daemon/engine/address_rules.h"
#include "daemon/session/tracker_session.h"

namespace p2p::engine {

struct NameAnswer {
  struct Version {
    ContentId content_id;
    ByteCount total_bytes;
    std::vector<ToldPeers> peers;

    size_t CountPeers() const;
  };
  // Peers that share a file of that name and size, without saying which.
  struct Original {
    ByteCount total_bytes;
    ToldPeers peers;
  };
  std::vector<Version> versions;
  std::vector<Original> originals;
  int answered = 0;
  std::string problem;  // why a tracker did not answer, "" if all did

  bool known() const { return !versions.empty() || !originals.empty(); }
};

class NameAnswers {
 public:
  // `asked` trackers will answer, each once, to what is put together so far. `ready` runs once.
  NameAnswers(net::EventLoop* engine_loop, int asked, NameAnswer so_far,
              std::function<void(NameAnswer)> ready);

  // `event`: nullptr when the connection ended, for the reason in `tracker_problem`.
  void OnAnswer(const std::string& tracker, const std::string& tracker_problem,
                const Teller& teller, const session::TrackerEvent* event);

 private:
  void Merge(const Teller& teller, const session::NameFound& found);
  void Finish();

  net::Timer timer_;
  int open_;
  NameAnswer answer_;
  std::function<void(NameAnswer)> ready_;  // nullptr once it ran
};

}  // namespace p2p::engine
