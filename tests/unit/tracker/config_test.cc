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
  EXPECT_EQ(config->ttl, absl::Seconds(60));
  EXPECT_EQ(config->trust_addresses, true);
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
}

}  // namespace
}  // namespace p2p::tracker
