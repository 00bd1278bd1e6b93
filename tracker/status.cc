#include "tracker/status.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "asio/connect.hpp"
#include "asio/io_context.hpp"
#include "asio/read_until.hpp"
#include "asio/write.hpp"
#include "core/base/limits.h"
#include "core/base/text.h"
#include "core/wire/error_line.h"

namespace p2p::tracker {
namespace {

constexpr std::chrono::seconds kPatience(5);
constexpr absl::string_view kThisHost = "127.0.0.1:";

template <typename Done>
void ReadLine(asio::ip::tcp::socket* socket, std::string* text, Done done) {
  asio::async_read_until(
      *socket, asio::dynamic_buffer(*text, limits::kMaxLineBytes), '\n',
      [done = std::move(done)](const asio::error_code& read, size_t) { done(read); });
}

}  // namespace

absl::StatusOr<net::Endpoint> TrackerToAsk(absl::string_view where, uint16_t default_port) {
  if (where.empty() || where == "localhost") {
    return net::ParseEndpoint(absl::StrCat(kThisHost, default_port));
  }
  const bool is_here =
      absl::ConsumePrefix(&where, "localhost:") || ParseDecimal(where, UINT16_MAX).has_value();
  return net::ParseEndpoint(is_here ? absl::StrCat(kThisHost, where) : std::string(where));
}

absl::StatusOr<wire::Figures> AskFigures(const net::Endpoint& tracker) {
  asio::io_context context;
  asio::ip::tcp::socket socket(context);
  const std::string request = wire::FormatStatsRequest();
  std::string answer;
  asio::error_code problem = asio::error::timed_out;
  socket.async_connect(tracker, [&](const asio::error_code& connected) {
    problem = connected;
    if (connected) return;
    problem = asio::error::timed_out;
    asio::async_write(socket, asio::buffer(request), [&](const asio::error_code& written, size_t) {
      if (written) problem = written;
    });
    ReadLine(&socket, &answer, [&](const asio::error_code& read) {
      problem = read;
      // It greets whom it has no room for, and says so in its next line.
      if (read || !absl::StartsWith(answer, "HELLO ")) return;
      answer.erase(0, answer.find('\n') + 1);
      if (absl::StrContains(answer, "\n")) return;
      ReadLine(&socket, &answer, [&](const asio::error_code& more) { problem = more; });
    });
  });
  context.run_for(kPatience);
  const std::string address = net::FormatEndpoint(tracker);
  if (problem == asio::error::eof || problem == asio::error::connection_reset ||
      problem == asio::error::broken_pipe) {
    return absl::UnavailableError(absl::StrCat(
        "the tracker at ", address, " closed the connection without an answer; perhaps this host ",
        "has as many connections to it as it may (--max-connections-per-address)"));
  }
  if (problem) {
    return absl::UnavailableError(
        absl::StrCat("the tracker at ", address, " does not answer: ", problem.message()));
  }
  const absl::string_view line = absl::string_view(answer).substr(0, answer.find('\n'));
  if (const auto error = wire::ParseErrorLine(line)) {
    if (error->code == 503) {
      return absl::UnavailableError(absl::StrCat(
          "the tracker at ", address, " has no room: ", error->text, "; perhaps this host has as ",
          "many connections to it as it may (--max-connections-per-address)"));
    }
    return absl::FailedPreconditionError(
        absl::StrCat("the tracker at ", address, " refuses: ", error->text));
  }
  auto figures = wire::ParseStats(line);
  if (figures.ok()) return figures;
  return absl::FailedPreconditionError(
      absl::StrCat("what answers at ", address, " is no tracker of this version"));
}

std::string FigureTable(const wire::Figures& figures) {
  size_t width = 0;
  for (const auto& [name, value] : figures) width = std::max(width, name.size());
  std::string table;
  for (const auto& [name, value] : figures) {
    absl::StrAppendFormat(&table, "%-*s  %s\n", static_cast<int>(width), Printable(name),
                          Printable(value));
  }
  return table;
}

}  // namespace p2p::tracker
