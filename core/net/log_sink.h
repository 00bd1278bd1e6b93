// Where log lines go: to a descriptor, written by a thread of its own, so that nobody who logs ever
// waits for whoever reads the log. Thread-safe.
#pragma once

#include <memory>
#include <mutex>

#include "spdlog/sinks/base_sink.h"

namespace p2p::net {

class LogSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  // `fd` stays open and may be slow, full for ever, or not there at all. Lines that wait are
  // bounded in bytes; those beyond are counted and told of when there is room again.
  explicit LogSink(int fd);
  // Gives what waits a second to be written.
  ~LogSink() override;

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override;

 private:
  struct Queue;
  const std::shared_ptr<Queue> queue_;
};

}  // namespace p2p::net
