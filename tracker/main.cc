// p2p-tracker: the registry of who shares what. Flags and config -> server -> run until a signal ->
// stop.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/optional.h"
#include "asio/io_context.hpp"
#include "asio/signal_set.hpp"
#include "asio/steady_timer.hpp"
#include "core/base/clock.h"
#include "core/base/free_memory.h"
#include "core/base/start_guard.h"
#include "core/base/status.h"
#include "core/net/address.h"
#include "core/net/descriptors.h"
#include "core/net/log_sink.h"
#include "spdlog/spdlog.h"
#include "tracker/config.h"
#include "tracker/redis_store.h"
#include "tracker/server.h"
#include "tracker/snapshot_keeper.h"
#include "tracker/status.h"
#include "tracker/store_password.h"

namespace p2p::tracker {
namespace {

constexpr uint16_t kDefaultPort = 8080;
// How long the start waits for what the store has.
constexpr absl::Duration kStorePatience = absl::Seconds(20);
constexpr absl::Duration kSignalPatience = absl::Milliseconds(50);
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitConfig = 78;  // EX_CONFIG of sysexits.h

struct Flags {
  Config config;
  absl::optional<uint16_t> port;
  absl::optional<std::string> status;  // where to ask; "" is this host
  std::string config_file;
};

int Fail(int exit_code, const absl::Status& status) {
  std::cerr << "p2p-tracker: " << std::string(status.message()) << "\n";
  return exit_code;
}

std::string FlagOf(absl::string_view key) {
  return absl::StrCat("--", absl::StrReplaceAll(key, {{"_", "-"}}));
}

// Adds the settings that the configuration has too.
void AddSettings(CLI::App* app, Config* config, CLI::Option* port) {
  for (const TextSetting& setting : TextSettings()) {
    auto* option = app->add_option_function<std::string>(
        FlagOf(setting.key),
        [config, &setting](const std::string& text) { config->*setting.value = text; },
        setting.help);
    option->type_name(setting.type);
    if (absl::string_view(setting.key) == "listen") option->excludes(port);
  }
  for (const NumberSetting& setting : NumberSettings()) {
    app->add_option_function<int64_t>(
           FlagOf(setting.key),
           [config, &setting](int64_t number) { config->*setting.value = number; }, setting.help)
        ->type_name(setting.unit);
  }
  for (const SwitchSetting& setting : SwitchSettings()) {
    app->add_flag_callback(
        FlagOf(setting.key), [config, &setting] { config->*setting.value = true; }, setting.help);
  }
}

// The store of a configuration, if it has one; whatever can be wrong with it is told at the start.
absl::StatusOr<absl::optional<StoreOptions>> StoreOf(const Config& config) {
  const std::string password_file = config.store_password_file.value_or("");
  StoreOptions options;
  options.ca_file = config.store_ca.value_or("");
  options.password = [password_file] { return ReadStorePassword(password_file); };
  if (!config.store.has_value()) {
    if (password_file.empty() && options.ca_file.empty()) return absl::optional<StoreOptions>();
    return absl::InvalidArgumentError(
        "--store-password-file and --store-ca belong to a --store, which is not given");
  }
  auto url = ParseStoreUrl(*config.store);
  if (!url.ok()) return Annotate(url.status(), "--store");
  options.url = *std::move(url);
  const auto password = options.password();
  if (!password.ok()) return Annotate(password.status(), "--store-password-file");
  if (password->empty() && !options.url.user.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--store: the user ", options.url.user,
                     " needs a password: --store-password-file or P2P_STORE_PASSWORD"));
  }
  if (!options.ca_file.empty() && !options.url.tls) {
    return absl::InvalidArgumentError("--store-ca belongs to a --store that begins with rediss://");
  }
  if (!options.ca_file.empty() && access(options.ca_file.c_str(), R_OK) != 0) {
    return ErrnoStatus(errno, absl::StrCat("--store-ca: cannot read ", options.ca_file));
  }
  return absl::make_optional(std::move(options));
}

// -1: go on; else the exit code.
int ParseCommandLine(int argc, char** argv, Flags* flags) {
  CLI::App app("Registry of who shares what, for p2pd and programs of the original protocol.",
               "p2p-tracker");
  uint16_t port = 0;
  std::string status;
  auto* port_option =
      app.add_option("PORT", port, "Port to listen on, on all addresses (default 8080)")
          ->check(CLI::Range(0, 65535));
  AddSettings(&app, &flags->config, port_option);
  app.add_option("--config", flags->config_file,
                 "TOML file with any of these settings, '_' for '-'; SIGHUP reads it again")
      ->type_name("FILE");
  auto* status_option =
      app.add_option("--status", status, "Show how the tracker there (default 127.0.0.1:8080) does")
          ->type_name("[HOST:]PORT")
          ->expected(0, 1);
  app.set_version_flag("--version", "p2p-tracker " P2P_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (*port_option) flags->port = port;
  if (*status_option) flags->status = status;
  for (const NumberSetting& setting : NumberSettings()) {
    const auto& number = flags->config.*setting.value;
    if (!number.has_value()) continue;
    const absl::Status good = CheckNumber(setting, *number);
    if (!good.ok()) return Fail(kExitUsage, Annotate(good, FlagOf(setting.key)));
  }
  return -1;
}

absl::StatusOr<std::vector<net::Endpoint>> ListenAddresses(const Flags& flags,
                                                           const Config& config) {
  if (!flags.port.has_value() && config.listen.has_value()) {
    auto endpoint = net::ParseEndpoint(*config.listen, /*allow_port_zero=*/true);
    if (!endpoint.ok()) return Annotate(endpoint.status(), "--listen");
    return std::vector<net::Endpoint>{*endpoint};
  }
  const uint16_t port = flags.port.value_or(kDefaultPort);
  // The first takes IPv4 too; the second is for machines without IPv6.
  return std::vector<net::Endpoint>{net::Endpoint(asio::ip::tcp::v6(), port),
                                    net::Endpoint(asio::ip::tcp::v4(), port)};
}

int ShowStatus(const std::string& where) {
  const auto tracker = TrackerToAsk(where, kDefaultPort);
  if (!tracker.ok()) return Fail(kExitUsage, Annotate(tracker.status(), "--status"));
  const auto figures = AskFigures(*tracker);
  if (!figures.ok()) return Fail(kExitFailed, figures.status());
  std::cout << FigureTable(*figures);
  return EXIT_SUCCESS;
}

// A snapshot that cannot be written is noticed at the start, not after the first minute.
absl::Status CheckStatePlace(const std::string& path) {
  if (path.empty()) return absl::InvalidArgumentError("--state: is empty; it takes a file");
  const std::string flag = absl::StrCat("--state ", path);
  struct stat info {};
  if (stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(flag, ": is no file, which it takes"));
  }
  const size_t slash = path.rfind('/');
  const std::string folder = slash == path.npos ? "." : path.substr(0, slash + 1);
  if (access(folder.c_str(), W_OK | X_OK) == 0) return absl::OkStatus();
  return Annotate(ErrnoStatus(errno, absl::StrCat("cannot write into ", folder)), flag);
}

void StartLog() {
  auto logger = std::make_shared<spdlog::logger>("p2p-tracker",
                                                 std::make_shared<net::LogSink>(STDERR_FILENO));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l: %v");
  spdlog::set_default_logger(std::move(logger));
}

// The running program: what it was told, and what it does at signals and every minute.
class Program {
 public:
  Program(const Flags& flags, const Config& config, absl::optional<StoreOptions> store)
      : flags_(flags), config_(config), store_options_(std::move(store)) {
    if (config.state.has_value()) keeper_.emplace(*config.state);
    WaitForSignal();
    GiveMemoryBack();
  }

  absl::Status Start(absl::Span<const net::Endpoint> at) {
    if (keeper_.has_value()) P2P_RETURN_IF_ERROR(keeper_->Claim());
    server_ = std::make_unique<Server>(OptionsOf(config_), [this] { return Figures(); });
    if (keeper_.has_value()) keeper_->Load(&server_->service().registry());
    if (store_options_.has_value()) StartStore();
    P2P_RETURN_IF_ERROR(server_->Listen(at));
    spdlog::info("p2p-tracker {} listening on {}", P2P_VERSION,
                 net::FormatEndpoint(server_->local()));
    SaveLater();
    return absl::OkStatus();
  }

  // Whether nothing is lost that was to be kept.
  bool RunUntilStopped() {
    context_.run();
    spdlog::info("stopping");
    server_->Stop();
    if (store_ != nullptr) store_->Stop();
    return !keeper_.has_value() || keeper_->Save(server_->service().registry());
  }

 private:
  wire::Figures Figures() const {
    wire::Figures figures =
        keeper_.has_value() ? keeper_->figures() : wire::Figures{{"snapshot", "off"}};
    const wire::Figures of_store =
        store_ != nullptr ? store_->figures() : wire::Figures{{"store", "off"}};
    figures.insert(figures.end(), of_store.begin(), of_store.end());
    return figures;
  }

  // Who asks is not told that nobody shares what was only not read yet.
  void StartStore() {
    Service& service = server_->service();
    store_ = std::make_unique<RedisStore>(*store_options_, &service.registry());
    service.SetChangeListener(store_->listener());
    const absl::Time patience_ends = MonotonicNow() + kStorePatience;
    // Signals are obeyed meanwhile; after the last one nothing is left to wait for.
    while (!store_->WaitUntilSettled(kSignalPatience) && MonotonicNow() < patience_ends) {
      context_.poll();
      if (context_.stopped()) return;
    }
    if (store_->connected()) return;
    spdlog::warn("starting without what the store has; it comes when it is read");
  }

  // After SIGTERM or SIGINT, signals have their default again, so that a second one ends the
  // program at once.
  void WaitForSignal() {
    signals_.async_wait([this](const asio::error_code& error, int number) {
      if (error) return;
      if (number == SIGHUP) {
        Reload();
        return WaitForSignal();
      }
      signals_.clear();
      save_timer_.cancel();
      memory_timer_.cancel();
    });
  }

  void SaveLater() {
    if (!keeper_.has_value()) return;
    save_timer_.expires_after(absl::ToChronoSeconds(keeper_->interval()));
    save_timer_.async_wait([this](const asio::error_code& error) {
      if (error) return;
      keeper_->Save(server_->service().registry());
      SaveLater();
    });
  }

  void GiveMemoryBack() {
    memory_timer_.expires_after(absl::ToChronoMilliseconds(kFreeMemoryInterval));
    memory_timer_.async_wait([this](const asio::error_code& error) {
      if (error) return;
      GiveFreeMemoryBack();
      GiveMemoryBack();
    });
  }

  void Reload() {
    if (flags_.config_file.empty()) {
      return spdlog::info("SIGHUP: there is no --config to read again");
    }
    const auto read = ReadConfigFile(flags_.config_file);
    if (!read.ok()) {
      return spdlog::error("the configuration stays as it was: {}",
                           std::string(read.status().message()));
    }
    const Config former = std::exchange(config_, Merge(flags_.config, *read));
    server_->SetOptions(OptionsOf(config_));
    spdlog::info("{} was read again", flags_.config_file);
    if (former.listen != config_.listen || former.state != config_.state ||
        former.store != config_.store || former.store_ca != config_.store_ca ||
        former.store_password_file != config_.store_password_file) {
      spdlog::warn("another listen, state or store is used only after a restart");
    }
  }

  const Flags flags_;
  Config config_;
  const absl::optional<StoreOptions> store_options_;
  absl::optional<SnapshotKeeper> keeper_;
  asio::io_context context_;
  asio::steady_timer memory_timer_{context_};
  asio::signal_set signals_{context_, SIGTERM, SIGINT, SIGHUP};
  asio::steady_timer save_timer_{context_};
  std::unique_ptr<Server> server_;
  std::unique_ptr<RedisStore> store_;  // in the server's registry
};

int Run(int argc, char** argv) {
  Flags flags;
  const int exit_code = ParseCommandLine(argc, argv, &flags);
  if (exit_code >= 0) return exit_code;
  if (flags.status.has_value()) return ShowStatus(*flags.status);
  Config file;
  if (!flags.config_file.empty()) {
    auto read = ReadConfigFile(flags.config_file);
    if (!read.ok()) return Fail(kExitConfig, read.status());
    file = *std::move(read);
  }
  const Config config = Merge(flags.config, file);
  const auto addresses = ListenAddresses(flags, config);
  if (!addresses.ok()) return Fail(kExitUsage, addresses.status());
  if (config.state.has_value()) {
    const absl::Status place = CheckStatePlace(*config.state);
    if (!place.ok()) return Fail(kExitUsage, place);
  }
  auto store = StoreOf(config);
  if (!store.ok()) return Fail(kExitUsage, store.status());

  const absl::Status descriptors = net::CheckDescriptorLimit();
  if (!descriptors.ok()) return Fail(kExitFailed, descriptors);
  absl::optional<StartGuard> guard("p2p-tracker");
  StartLog();
  Program program(flags, config, *std::move(store));
  const absl::Status started = program.Start(*addresses);
  if (!started.ok()) return Fail(kExitFailed, started);
  guard.reset();
  return program.RunUntilStopped() ? EXIT_SUCCESS : kExitFailed;
}

}  // namespace
}  // namespace p2p::tracker

int main(int argc, char** argv) {
  p2p::KeepFreeMemoryTogether();
  p2p::net::HoldStandardDescriptors();
  p2p::net::RaiseDescriptorLimit();
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGUSR1, SIG_IGN);
#ifdef NDEBUG
  // Debian's Abseil looks for deadlocks at every lock, under one lock of the whole process.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
  return p2p::tracker::Run(argc, argv);
}
