#include "daemon/logging.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "absl/strings/str_cat.h"
#include "core/net/log_sink.h"
#include "spdlog/pattern_formatter.h"
#include "spdlog/spdlog.h"

namespace p2p::daemon {
namespace {

// syslog(3)'s number for the line's level.
class Priority : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& line) override {
    line.push_back(message.level >= spdlog::level::err    ? '3'
                   : message.level == spdlog::level::warn ? '4'
                   : message.level == spdlog::level::info ? '6'
                                                          : '7');
  }
  std::unique_ptr<spdlog::custom_flag_formatter> clone() const override {
    return std::make_unique<Priority>();
  }
};

// $JOURNAL_STREAM names the journal's "device:inode"; it is inherited, so stderr may have become
// something else.
bool StderrIsJournal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat info {};
  return stream != nullptr && fstat(STDERR_FILENO, &info) == 0 &&
         stream == absl::StrCat(info.st_dev, ":", info.st_ino);
}

}  // namespace

void StartLogging(const std::string& level) {
  auto logger =
      std::make_shared<spdlog::logger>("p2pd", std::make_shared<net::LogSink>(STDERR_FILENO));
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  if (StderrIsJournal()) {
    formatter->add_flag<Priority>('*').set_pattern("<%*>%v");
  } else {
    formatter->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l: %v");
  }
  logger->set_formatter(std::move(formatter));
  spdlog::set_default_logger(std::move(logger));
  SetLogLevel(level);
}

void SetLogLevel(const std::string& level) { spdlog::set_level(spdlog::level::from_str(level)); }

}  // namespace p2p::daemon
