#include "tracker/config.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace p2p::tracker {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string ErrorOf(absl::string_view text) {
  const auto config = ParseConfig(text, "tracker.toml");
  EXPECT_FALSE(config.ok()) << text;
  return std::string(config.status().message());
}

TEST(TrackerConfig, TakesEveryKey) {
  const auto config =
      ParseConfig("listen = \"127.0.0.1:0\"\nttl = 60\ntrust_addresses = true\n", "x");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->listen, "127.0.0.1:0");
  EXPECT_EQ(config->ttl, 60);
  EXPECT_EQ(config->trust_addresses, true);
}

TEST(TrackerConfig, HasAKeyForEveryLimit) {
  const auto config = ParseConfig(
      "max_connections = 11\nmax_connections_per_address = 12\n"
      "max_new_connections_per_second = 13\nmax_registrations_per_address = 14\n"
      "max_memory = 15\npublic_stats = true\naccess_log = true\nstate = \"s\"\nttl = 16\n",
      "x");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->state, "s");
  const ServerOptions options = OptionsOf(*config);
  EXPECT_EQ(options.listener.max_connections, 11);
  EXPECT_EQ(options.listener.max_connections_per_address, 12);
  EXPECT_EQ(options.listener.max_new_connections_per_second, 13);
  EXPECT_EQ(options.registry.max_registrations_per_ip, 14);
  EXPECT_EQ(options.registry.max_bytes, size_t{15} << 20);
  EXPECT_EQ(options.registry.ttl, absl::Seconds(16));
  EXPECT_TRUE(options.public_stats);
  EXPECT_TRUE(options.access_log);
  EXPECT_FALSE(options.trust_addresses);
}

TEST(TrackerConfig, AFlagComesBeforeTheFile) {
  Config flags;
  flags.ttl = 5;
  Config file;
  file.ttl = 6;
  file.max_memory = 7;
  file.trust_addresses = true;
  const Config merged = Merge(flags, file);
  EXPECT_EQ(merged.ttl, 5);
  EXPECT_EQ(merged.max_memory, 7);
  EXPECT_EQ(merged.trust_addresses, true);
  EXPECT_FALSE(merged.listen.has_value());
}

TEST(TrackerConfig, F01_RefusesWhatIsNoTomlWithItsPlace) {
  EXPECT_TRUE(ParseConfig("", "x").ok());
  EXPECT_THAT(ErrorOf("ttl = 60\nlisten 127"), StartsWith("tracker.toml:2: "));
  EXPECT_THAT(ErrorOf(absl::string_view("\x7f\x45\x4c\x46\0\1", 6)),
              StartsWith("tracker.toml:1: "));
  EXPECT_THAT(std::string(ReadConfigFile("/").status().message()), HasSubstr("is not a file"));
  EXPECT_THAT(std::string(ReadConfigFile("/nonexistent").status().message()),
              HasSubstr("no such file"));
  EXPECT_THAT(std::string(ReadConfigFile("/dev/zero").status().message()),
              HasSubstr("larger than"));
}

TEST(TrackerConfig, F02_RefusesUnknownAndDoubleKeysAndWrongTypes) {
  EXPECT_THAT(ErrorOf("\ntttl = 1"), HasSubstr("tracker.toml:2: tttl: unknown key"));
  EXPECT_THAT(ErrorOf("ttl = 1\nttl = 2"), StartsWith("tracker.toml:2: "));
  EXPECT_THAT(ErrorOf("ttl = \"1\""), HasSubstr("number"));
  EXPECT_THAT(ErrorOf("listen = 8080"), HasSubstr("text"));
  EXPECT_THAT(ErrorOf("trust_addresses = 1"), HasSubstr("true or false"));
}

TEST(TrackerConfig, F03_RefusesNumbersOutOfRange) {
  for (const char* ttl : {"-1", "0", "86401", "9223372036854775807", "1e3", "nan"}) {
    EXPECT_FALSE(ParseConfig(absl::StrCat("ttl = ", ttl), "x").ok()) << ttl;
  }
  EXPECT_TRUE(ParseConfig("ttl = 1", "x").ok());
  EXPECT_TRUE(ParseConfig("ttl = 86400", "x").ok());
  EXPECT_THAT(ErrorOf("listen = \"127.0.0.1:70000\""), HasSubstr("65535"));
  for (const NumberSetting& setting : NumberSettings()) {
    EXPECT_THAT(ErrorOf(absl::StrCat(setting.key, " = ", setting.min - 1)),
                HasSubstr(absl::StrCat(setting.key, ": must be ", setting.min, " to ", setting.max,
                                       ", not ", setting.min - 1)));
    EXPECT_FALSE(ParseConfig(absl::StrCat(setting.key, " = ", setting.max + 1), "x").ok());
    EXPECT_TRUE(ParseConfig(absl::StrCat(setting.key, " = ", setting.max), "x").ok());
  }
}

}  // namespace
}  // namespace p2p::tracker
