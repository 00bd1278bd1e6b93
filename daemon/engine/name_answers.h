// What the trackers say of one name, put together: ready when all that were asked have answered, or
// a short while after one knew the name, so that a tracker that hangs holds nobody up. Belongs to
// the engine loop.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/types/optional.h"
#include "core/net/event_loop.h"
#include "daemon/session/tracker_session.h"

namespace p2p::engine {

struct NameAnswer {
  std::vector<session::NameFound::Version> versions;
  absl::optional<session::NameFound::Original> originals;
  int answered = 0;
  std::string problem;  // why a tracker did not answer, "" if all did

  bool known() const { return !versions.empty() || originals.has_value(); }
};

class NameAnswers {
 public:
  // `asked` trackers will answer, each once, to what is put together so far. `ready` runs once.
  NameAnswers(net::EventLoop* engine_loop, int asked, NameAnswer so_far,
              std::function<void(NameAnswer)> ready);

  // `event`: nullptr when the connection ended, for the reason in `tracker_problem`.
  void OnAnswer(const std::string& tracker, const std::string& tracker_problem,
                const session::TrackerEvent* event);

 private:
  void Merge(const session::NameFound& found);
  void Finish();

  net::Timer timer_;
  int open_;
  NameAnswer answer_;
  std::function<void(NameAnswer)> ready_;  // nullptr once it ran
};

}  // namespace p2p::engine
