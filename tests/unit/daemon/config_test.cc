#include "daemon/config.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace p2p::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

std::string ErrorOf(const std::string& toml) {
  const auto settings = ParseSettings(toml, "p2pd.toml");
  return settings.ok() ? "accepted" : std::string(settings.status().message());
}

Environment EnvironmentWith(std::map<std::string, std::string> variables, unsigned user_id = 1000) {
  Environment environment;
  environment.get = [variables](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::string() : found->second;
  };
  environment.user_id = user_id;
  environment.has_ipv6 = true;
  return environment;
}

// A directory of this test's own, removed with what is in it.
class ConfigFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/config_test_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    path_ = directory_ + "/p2pd.toml";
  }
  void TearDown() override {
    chmod(path_.c_str(), 0600);
    unlink(path_.c_str());
    rmdir(directory_.c_str());
  }
  void Write(const std::string& text) { std::ofstream(path_, std::ios::binary) << text; }
  std::string ReadError(const std::string& path) {
    const auto settings = ReadSettings(path);
    return settings.ok() ? "accepted" : std::string(settings.status().message());
  }

  std::string directory_;
  std::string path_;
};

TEST(ConfigText, EveryKeyIsUnderstood) {
  const auto settings = ParseSettings(R"(
    state_dir = "/var/lib/p2pd"
    socket = "/run/p2pd/p2pd.sock"
    listen = "[::]:9001"
    trackers = ["192.0.2.1:8080", "tracker.example:8080"]
    download_dir = "/srv/downloads"
    group = "p2p users"
    log_level = "debug"
    worker_threads = 6
    allow_unverified = true
  )",
                                      "p2pd.toml");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->state_dir, "/var/lib/p2pd");
  EXPECT_EQ(settings->socket, "/run/p2pd/p2pd.sock");
  EXPECT_EQ(settings->listen, "[::]:9001");
  EXPECT_THAT(*settings->trackers, ElementsAre("192.0.2.1:8080", "tracker.example:8080"));
  EXPECT_EQ(settings->download_dir, "/srv/downloads");
  EXPECT_EQ(settings->group, "p2p users");
  EXPECT_EQ(settings->log_level, "debug");
  EXPECT_EQ(settings->worker_threads, 6);
  EXPECT_EQ(settings->allow_unverified, true);
}

TEST(ConfigText, F01_AnEmptyFileSaysNothingAndIsGood) {
  for (const char* text : {"", "\n", "# only a comment\n"}) {
    const auto settings = ParseSettings(text, "p2pd.toml");
    ASSERT_TRUE(settings.ok()) << settings.status();
    EXPECT_FALSE(settings->listen.has_value());
    EXPECT_FALSE(settings->trackers.has_value());
  }
}

TEST(ConfigText, F01_BinaryIsRefusedInOneLineThatNamesThePlace) {
  std::string elf(
      "\x7f"
      "ELF\x02\x01\x01\0\0\0",
      10);
  for (const std::string& text : {elf, std::string(1000, '\0'), std::string("\xff\xfe\xfd"),
                                  std::string("listen = \"\x1b[31m\"")}) {
    EXPECT_THAT(ErrorOf(text), StartsWith("p2pd.toml:1: "));
    EXPECT_THAT(ErrorOf(text), Not(HasSubstr("\n")));
    EXPECT_THAT(ErrorOf(text), Not(HasSubstr("\x1b")));
  }
}

TEST(ConfigText, F01_AKeyThatBeginsWithADotIsRefused) {
  EXPECT_THAT(ErrorOf("[.a]"), StartsWith("p2pd.toml:1: "));
}

TEST(ConfigText, F01_DeepNestingIsRefusedAndNotFollowed) {
  EXPECT_THAT(ErrorOf("trackers = " + std::string(500'000, '[')), StartsWith("p2pd.toml:1: "));
}

TEST(ConfigText, F02_AnUnknownKeyIsRefusedWithTheNearestOne) {
  EXPECT_EQ(ErrorOf("\ntracker = []"),
            "p2pd.toml:2: unknown key \"tracker\"; did you mean \"trackers\"?");
  EXPECT_EQ(ErrorOf("downlod_dir = \"/x\""),
            "p2pd.toml:1: unknown key \"downlod_dir\"; did you mean \"download_dir\"?");
  EXPECT_EQ(ErrorOf("State_Dir = \"/x\""),
            "p2pd.toml:1: unknown key \"State_Dir\"; did you mean \"state_dir\"?");
}

TEST(ConfigText, F02_AKeyLikeNoOtherIsRefusedWithAllOfThem) {
  EXPECT_EQ(
      ErrorOf("colour = 1"),
      "p2pd.toml:1: unknown key \"colour\"; the keys are allow_unverified, congestion_control, "
      "download_dir, group, "
      "listen, log_level, socket, state_dir, trackers, worker_threads");
  EXPECT_THAT(ErrorOf("[listen_on]\nport = 1"), StartsWith("p2pd.toml:1: unknown key"));
  EXPECT_THAT(ErrorOf(std::string(100'000, 'k') + " = 1"), StartsWith("p2pd.toml:1: unknown key"));
}

TEST(ConfigText, F02_ADuplicateKeyIsRefused) {
  EXPECT_THAT(ErrorOf("listen = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\""),
              AllOf(StartsWith("p2pd.toml:2: "), HasSubstr("listen")));
}

TEST(ConfigText, F02_AWrongTypeIsRefusedByItsName) {
  EXPECT_EQ(ErrorOf("listen = 9001"), "p2pd.toml:1: listen must be text in quotes, not a number");
  EXPECT_EQ(ErrorOf("socket = true"),
            "p2pd.toml:1: socket must be text in quotes, not a truth value");
  EXPECT_EQ(ErrorOf("group = [\"a\"]"), "p2pd.toml:1: group must be text in quotes, not a list");
  EXPECT_EQ(ErrorOf("[group]"), "p2pd.toml:1: group must be text in quotes, not a table");
  EXPECT_EQ(ErrorOf("log_level = 2020-01-01"),
            "p2pd.toml:1: log_level must be text in quotes, not a date or time");
  EXPECT_EQ(ErrorOf("worker_threads = \"4\""),
            "p2pd.toml:1: worker_threads must be a whole number, not text");
  EXPECT_EQ(ErrorOf("allow_unverified = \"yes\""),
            "p2pd.toml:1: allow_unverified must be true or false, not text");
  EXPECT_EQ(ErrorOf("worker_threads = 1.5"),
            "p2pd.toml:1: worker_threads must be a whole number, not a fraction");
  EXPECT_EQ(ErrorOf("trackers = \"192.0.2.1:8080\""),
            "p2pd.toml:1: trackers must be a list such as [\"192.0.2.1:8080\"], not text");
  EXPECT_EQ(ErrorOf("trackers = [\"192.0.2.1:8080\",\n 8080]"),
            "p2pd.toml:2: trackers must hold text in quotes, not a number");
}

TEST(ConfigText, F03_PortsAreNumbersFrom1To65535) {
  for (const char* port : {"-1", "65536", "70000", "9223372036854775808", "1e3", "10 MB", "nan", "",
                           "+1", "0x10", "007"}) {
    EXPECT_THAT(ErrorOf(absl::StrCat("listen = \"127.0.0.1:", port, "\"")),
                StartsWith("p2pd.toml:1: listen: "))
        << port;
    EXPECT_THAT(ErrorOf(absl::StrCat("trackers = [\"127.0.0.1:", port, "\"]")),
                StartsWith("p2pd.toml:1: trackers: "))
        << port;
  }
  EXPECT_EQ(ErrorOf("listen = \"127.0.0.1:1\""), "accepted");
  EXPECT_EQ(ErrorOf("listen = \"127.0.0.1:65535\""), "accepted");
}

TEST(ConfigText, F03_PortZeroIsForListeningOnly) {
  EXPECT_EQ(ErrorOf("listen = \"127.0.0.1:0\""), "accepted");
  EXPECT_THAT(ErrorOf("trackers = [\"127.0.0.1:0\"]"), StartsWith("p2pd.toml:1: trackers: "));
}

TEST(ConfigText, ListenTakesOnlyLiteralAddresses) {
  EXPECT_THAT(ErrorOf("listen = \"localhost:9001\""), HasSubstr("literal"));
}

TEST(ConfigText, PathsAreAbsolute) {
  EXPECT_EQ(
      ErrorOf("state_dir = \"state\""),
      "p2pd.toml:1: state_dir: must be an absolute path, one that begins with '/', not \"state\"");
  EXPECT_EQ(ErrorOf("socket = \"\""), "p2pd.toml:1: socket: must not be empty");
  EXPECT_EQ(ErrorOf("socket = \"/a\\u0000b\""),
            "p2pd.toml:1: socket: must not hold a NUL character");
}

TEST(ConfigText, WorkerThreadsAreFromZeroTo256) {
  for (const char* number : {"0", "1", "256"}) {
    EXPECT_EQ(ErrorOf(absl::StrCat("worker_threads = ", number)), "accepted");
  }
  for (const char* number : {"-1", "257", "9223372036854775807"}) {
    EXPECT_THAT(ErrorOf(absl::StrCat("worker_threads = ", number)),
                StartsWith("p2pd.toml:1: worker_threads: must be between 0 "));
  }
  Settings flags;
  flags.worker_threads = 257;
  EXPECT_THAT(CheckFlags(flags).message().data(), StartsWith("--worker-threads"));
}

TEST(ConfigText, LogLevelsAreFour) {
  for (const char* level : {"debug", "info", "warning", "error"}) {
    EXPECT_EQ(ErrorOf(absl::StrCat("log_level = \"", level, "\"")), "accepted");
  }
  EXPECT_THAT(ErrorOf("log_level = \"loud\""), HasSubstr("debug, info, warning or error"));
}

TEST(ConfigText, F07_PathsAreTakenLiterally) {
  const auto settings = ParseSettings(R"(download_dir = "/srv/$HOME/%h/`id`\n;~")", "p2pd.toml");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->download_dir, "/srv/$HOME/%h/`id`\n;~");
}

TEST_F(ConfigFile, IsReadWhole) {
  Write("listen = \"127.0.0.1:0\"\n" + std::string(100'000, '#') + "\ngroup = \"users\"\n");
  const auto settings = ReadSettings(path_);
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->listen, "127.0.0.1:0");
  EXPECT_EQ(settings->group, "users");
}

TEST_F(ConfigFile, F01_MissingIsAnErrorWithItsPath) {
  EXPECT_THAT(ReadError(path_), AllOf(HasSubstr(path_), Not(HasSubstr("\n"))));
}

TEST_F(ConfigFile, F01_DirectoriesAndPipesAreNoConfiguration) {
  EXPECT_THAT(ReadError(directory_), HasSubstr("is not a file"));
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(ReadError(path_), HasSubstr("is not a file"));
}

TEST_F(ConfigFile, F01_UnreadableIsAnErrorWithItsPath) {
  Write("");
  ASSERT_EQ(chmod(path_.c_str(), 0), 0);
  if (access(path_.c_str(), R_OK) == 0) GTEST_SKIP() << "this user may read everything";
  EXPECT_THAT(ReadError(path_), HasSubstr(path_));
}

TEST_F(ConfigFile, F01_TheSizeLimitIsExact) {
  Write(std::string(kMaxConfigBytes - 1, '#'));
  EXPECT_EQ(ReadError(path_), "accepted");
  Write(std::string(kMaxConfigBytes, '#'));
  EXPECT_EQ(ReadError(path_), "accepted");
  Write(std::string(kMaxConfigBytes + 1, '#'));
  EXPECT_THAT(ReadError(path_), HasSubstr("too large"));
}

TEST_F(ConfigFile, F01_AGigabyteIsRefusedWithoutReadingIt) {
  Write("");
  ASSERT_EQ(truncate(path_.c_str(), 1 << 30), 0);
  EXPECT_THAT(ReadError(path_), HasSubstr("too large"));
}

TEST_F(ConfigFile, F06_ReadableByOthersIsFineWhileItHoldsNoSecret) {
  Write("listen = \"127.0.0.1:0\"\n");
  ASSERT_EQ(chmod(path_.c_str(), 0644), 0);
  EXPECT_EQ(ReadError(path_), "accepted");
}

TEST(ConfigFlags, AreCheckedLikeTheFile) {
  Settings flags;
  EXPECT_TRUE(CheckFlags(flags).ok());
  flags.trackers = {"192.0.2.1:8080", "192.0.2.2"};
  EXPECT_TRUE(absl::StartsWith(CheckFlags(flags).message(), "--tracker: "));
  flags.trackers.reset();
  flags.state_dir = "";
  EXPECT_EQ(CheckFlags(flags).message(), "--state-dir: must not be empty");
}

TEST(ConfigFlags, OverrideTheFile) {
  Settings file;
  file.listen = "127.0.0.1:1";
  file.group = "users";
  file.trackers = {"192.0.2.1:8080"};
  Settings flags;
  flags.listen = "127.0.0.1:2";
  flags.trackers = {"192.0.2.2:8080"};
  const Settings both = Override(file, flags);
  EXPECT_EQ(both.listen, "127.0.0.1:2");
  EXPECT_EQ(both.group, "users");
  EXPECT_THAT(*both.trackers, ElementsAre("192.0.2.2:8080"));
  EXPECT_THAT(*Override(file, Settings()).trackers, ElementsAre("192.0.2.1:8080"));
}

TEST(ConfigDefaults, OfAPersonAreInTheirHome) {
  const auto config = Complete(
      Settings(), EnvironmentWith({{"HOME", "/home/ann"}, {"XDG_RUNTIME_DIR", "/run/user/1000"}}));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->state_dir, "/home/ann/.local/state/p2pd");
  EXPECT_EQ(config->download_dir, "/home/ann/Downloads");
  EXPECT_EQ(config->socket, "/run/user/1000/p2pd.sock");
  EXPECT_EQ(config->listen, "[::]:9001");
  EXPECT_THAT(config->trackers, IsEmpty());
  EXPECT_EQ(config->group, "");
  EXPECT_EQ(config->log_level, "info");
}

TEST(ConfigDefaults, FollowTheXdgVariables) {
  const auto config =
      Complete(Settings(), EnvironmentWith({{"HOME", "/home/ann"},
                                            {"XDG_STATE_HOME", "/data/state"},
                                            {"XDG_DOWNLOAD_DIR", "/data/downloads"}}));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->state_dir, "/data/state/p2pd");
  EXPECT_EQ(config->download_dir, "/data/downloads");
}

TEST(ConfigDefaults, OfRootAreTheSystems) {
  const auto config = Complete(Settings(), EnvironmentWith({{"HOME", "/root"}}, /*user_id=*/0));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->state_dir, "/var/lib/p2pd");
  EXPECT_EQ(config->download_dir, "/var/lib/p2pd/downloads");
  EXPECT_EQ(config->socket, "/run/p2pd/p2pd.sock");
}

TEST(ConfigDefaults, OfAServiceAreWhatSystemdMadeForIt) {
  const auto config =
      Complete(Settings(), EnvironmentWith({{"STATE_DIRECTORY", "/var/lib/p2pd:/var/lib/other"},
                                            {"RUNTIME_DIRECTORY", "/run/p2pd"}}));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->state_dir, "/var/lib/p2pd");
  EXPECT_EQ(config->download_dir, "/var/lib/p2pd/downloads");
  EXPECT_EQ(config->socket, "/run/p2pd/p2pd.sock");
}

TEST(ConfigDefaults, DownloadsOfRootFollowAGivenStateDirectory) {
  Settings settings;
  settings.state_dir = "/srv/p2pd";
  const auto config = Complete(settings, EnvironmentWith({}, /*user_id=*/0));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->download_dir, "/srv/p2pd/downloads");
}

TEST(ConfigDefaults, WithoutAHomeAskForADirectory) {
  const auto no_state = Complete(Settings(), EnvironmentWith({}));
  ASSERT_FALSE(no_state.ok());
  EXPECT_TRUE(absl::StrContains(no_state.status().message(), "--state-dir"));
  Settings settings;
  settings.state_dir = "/srv/p2pd";
  const auto no_downloads = Complete(settings, EnvironmentWith({}));
  ASSERT_FALSE(no_downloads.ok());
  EXPECT_TRUE(absl::StrContains(no_downloads.status().message(), "--download-dir"));
}

TEST(ConfigDefaults, ListenOnIpv4WhereThereIsNoIpv6) {
  Environment environment = EnvironmentWith({{"HOME", "/home/ann"}});
  environment.has_ipv6 = false;
  const auto config = Complete(Settings(), environment);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->listen, "0.0.0.0:9001");
}

}  // namespace
}  // namespace p2p::daemon
