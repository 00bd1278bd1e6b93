#include "daemon/engine/runtime.h"

#include <utility>

#include "core/base/clock.h"
#include "spdlog/spdlog.h"

namespace p2p::engine {

void Runtime::Log(LineLimit* limit, std::string line) {
  const auto logged = limit->Pass(std::move(line), MonotonicNow());
  if (logged.has_value()) spdlog::warn("{}", *logged);
}

}  // namespace p2p::engine
