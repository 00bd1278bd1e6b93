#include "tracker/store_url.h"

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace p2p::tracker {
namespace {

std::string Told(absl::string_view text) {
  const auto url = ParseStoreUrl(text);
  return url.ok() ? url->ToString() : "refused";
}

TEST(StoreUrl, TakesWhatIsLeftOutAsRedisDoes) {
  EXPECT_EQ(Told("redis://host"), "redis://host:6379/0");
  EXPECT_EQ(Told("redis://host/"), "redis://host:6379/0");
  EXPECT_EQ(Told("redis://host:1/15"), "redis://host:1/15");
  EXPECT_EQ(Told("rediss://tracker@10.0.0.1:7000/2"), "rediss://tracker@10.0.0.1:7000/2");
  EXPECT_EQ(Told("redis://[2001:db8::1]"), "redis://[2001:db8::1]:6379/0");
  EXPECT_EQ(Told("redis://[2001:db8::1]:7000/1"), "redis://[2001:db8::1]:7000/1");
}

TEST(StoreUrl, TakesSeveralNodes) {
  EXPECT_EQ(Told("redis://a,b:7000,[2001:db8::1]/0"), "redis://a:6379,b:7000,[2001:db8::1]:6379/0");
  EXPECT_EQ(Told("rediss://tracker@a:1,b:2"), "rediss://tracker@a:1,b:2/0");
}

TEST(StoreUrl, RefusesWhatCannotBeMeant) {
  for (const char* text : {"",
                           "redis",
                           "redis:",
                           "redis://",
                           "redis:///0",
                           "http://host",
                           "host:6379",
                           "redis://host:0",
                           "redis://host:65536",
                           "redis://host:x",
                           "redis://host/x",
                           "redis://host/-1",
                           "redis://host/1/2",
                           "redis://host/1000001",
                           "redis://ho st",
                           "redis://host,",
                           "redis://,host",
                           "redis://host,,host",
                           "redis://host:0,host",
                           "redis://@host",
                           "redis://us er@host",
                           "redis://host?x=1",
                           "REDIS://host",
                           " redis://host",
                           "redis://host\n"}) {
    const auto url = ParseStoreUrl(text);
    ASSERT_FALSE(url.ok()) << text;
    EXPECT_TRUE(absl::StrContains(url.status().message(), "redis://HOST:PORT/DB")) << text;
  }
}

TEST(StoreUrl, RefusesAPasswordAndDoesNotRepeatIt) {
  for (const char* text : {"redis://:s3cret@host", "redis://user:s3cret@host:1/0",
                           "redis://user:s3@cret@host", "rediss://u:s3cret@[::1]"}) {
    const auto url = ParseStoreUrl(text);
    ASSERT_FALSE(url.ok()) << text;
    EXPECT_TRUE(absl::StrContains(url.status().message(), "P2P_STORE_PASSWORD"));
    EXPECT_FALSE(absl::StrContains(url.status().message(), "s3"));
  }
}

}  // namespace
}  // namespace p2p::tracker
