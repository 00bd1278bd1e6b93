// p2p-tracker: the registry of who shares what. Flags and config -> server -> run until a signal ->
// stop.
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "asio/io_context.hpp"
#include "asio/signal_set.hpp"
#include "core/base/status.h"
#include "core/net/address.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"
#include "tracker/config.h"
#include "tracker/server.h"

namespace p2p::tracker {
namespace {

constexpr uint16_t kDefaultPort = 8080;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitConfig = 78;  // EX_CONFIG of sysexits.h

struct Flags {
  absl::optional<uint16_t> port;
  absl::optional<std::string> listen;
  absl::optional<int64_t> ttl_seconds;
  bool trust_addresses = false;
  std::string config_file;
};

int Fail(int exit_code, const absl::Status& status) {
  std::cerr << "p2p-tracker: " << std::string(status.message()) << "\n";
  return exit_code;
}

// -1: go on; else the exit code.
int ParseCommandLine(int argc, char** argv, Flags* flags) {
  CLI::App app("Registry of who shares what, for p2pd and programs of the original protocol.",
               "p2p-tracker");
  uint16_t port = 0;
  std::string listen;
  int64_t ttl_seconds = 0;
  auto* port_option =
      app.add_option("PORT", port, "Port to listen on, on all addresses (default 8080)")
          ->check(CLI::Range(0, 65535));
  auto* listen_option =
      app.add_option("--listen", listen, "Address to listen on; port 0 takes a free one")
          ->type_name("HOST:PORT")
          ->excludes(port_option);
  auto* ttl_option =
      app.add_option("--ttl", ttl_seconds, "How long a registration lives unless it is renewed")
          ->type_name("SECONDS");
  app.add_flag("--trust-addresses", flags->trust_addresses,
               "Let peers register addresses other than the one they connect from");
  app.add_option("--config", flags->config_file, "TOML file with listen, ttl, trust_addresses")
      ->type_name("FILE");
  app.set_version_flag("--version", "p2p-tracker " P2P_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (*port_option) flags->port = port;
  if (*listen_option) flags->listen = listen;
  if (*ttl_option) flags->ttl_seconds = ttl_seconds;
  return -1;
}

absl::StatusOr<std::vector<net::Endpoint>> ListenAddresses(const Flags& flags,
                                                           const Config& config) {
  const absl::optional<std::string> one =
      flags.listen.has_value() || flags.port.has_value() ? flags.listen : config.listen;
  if (one.has_value()) {
    auto endpoint = net::ParseEndpoint(*one, /*allow_port_zero=*/true);
    if (!endpoint.ok()) return Annotate(endpoint.status(), "--listen");
    return std::vector<net::Endpoint>{*endpoint};
  }
  const uint16_t port = flags.port.value_or(kDefaultPort);
  // The first takes IPv4 too; the second is for machines without IPv6.
  return std::vector<net::Endpoint>{net::Endpoint(asio::ip::tcp::v6(), port),
                                    net::Endpoint(asio::ip::tcp::v4(), port)};
}

absl::StatusOr<ServerOptions> MakeOptions(const Flags& flags, const Config& config) {
  ServerOptions options;
  if (config.ttl.has_value()) options.registry.ttl = *config.ttl;
  if (flags.ttl_seconds.has_value()) {
    auto ttl = TtlFromSeconds(*flags.ttl_seconds);
    if (!ttl.ok()) return Annotate(ttl.status(), "--ttl");
    options.registry.ttl = *ttl;
  }
  options.trust_addresses = flags.trust_addresses || config.trust_addresses.value_or(false);
  return options;
}

void StartLog() {
  auto logger = spdlog::stderr_logger_mt("p2p-tracker");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l: %v");
  spdlog::set_default_logger(std::move(logger));
}

// From its making on, SIGTERM, SIGINT and SIGHUP end Wait(); after that they have their default
// again, so that a second one ends the program at once.
class StopSignal {
 public:
  StopSignal() {
    signals_.async_wait([this](const asio::error_code&, int) { signals_.clear(); });
  }
  void Wait() { context_.run(); }

 private:
  asio::io_context context_;
  asio::signal_set signals_{context_, SIGTERM, SIGINT, SIGHUP};
};

int Run(int argc, char** argv) {
  Flags flags;
  const int exit_code = ParseCommandLine(argc, argv, &flags);
  if (exit_code >= 0) return exit_code;
  Config config;
  if (!flags.config_file.empty()) {
    auto read = ReadConfigFile(flags.config_file);
    if (!read.ok()) return Fail(kExitConfig, read.status());
    config = *std::move(read);
  }
  const auto addresses = ListenAddresses(flags, config);
  if (!addresses.ok()) return Fail(kExitUsage, addresses.status());
  const auto options = MakeOptions(flags, config);
  if (!options.ok()) return Fail(kExitUsage, options.status());

  StartLog();
  StopSignal stop_signal;
  auto server = Server::Start(*addresses, *options);
  if (!server.ok()) return Fail(kExitFailed, server.status());
  spdlog::info("p2p-tracker {} listening on {}", P2P_VERSION,
               net::FormatEndpoint((*server)->local()));
  stop_signal.Wait();
  spdlog::info("stopping");
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace p2p::tracker

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGUSR1, SIG_IGN);
  return p2p::tracker::Run(argc, argv);
}
