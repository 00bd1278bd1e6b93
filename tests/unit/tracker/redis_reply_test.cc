#include "tracker/redis_reply.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tracker/cluster_slots.h"

namespace p2p::tracker {
namespace {

using Type = RedisReply::Type;

RedisReply Read(absl::string_view bytes) {
  RedisReplyReader reader;
  reader.Feed(bytes);
  auto reply = reader.Next();
  return reply.ok() && reply->has_value() ? **std::move(reply) : RedisReply();
}

TEST(RedisReply, ReadsRepliesInPiecesOfAnySize) {
  const std::string text =
      "+OK\r\n:7\r\n$5\r\na\r\nbc\r\n$-1\r\n-ERR "
      "no\r\n*3\r\n$1\r\n0\r\n*2\r\n:1\r\n$1\r\nx\r\n*0\r\n";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    RedisReplyReader reader;
    std::vector<RedisReply> replies;
    for (size_t at = 0; at < text.size(); at += piece) {
      reader.Feed(text.substr(at, piece));
      for (;;) {
        auto reply = reader.Next();
        ASSERT_TRUE(reply.ok());
        if (!reply->has_value()) break;
        replies.push_back(**std::move(reply));
      }
    }
    ASSERT_EQ(replies.size(), 6u);
    EXPECT_EQ(replies[0].text, "OK");
    EXPECT_EQ(replies[1].number, 7);
    EXPECT_EQ(replies[2].text, "a\r\nbc");
    EXPECT_EQ(replies[3].type, Type::kNothing);
    EXPECT_TRUE(replies[4].IsError());
    ASSERT_TRUE(replies[5].IsList(3));
    EXPECT_EQ(replies[5].list[0].text, "0");
    ASSERT_TRUE(replies[5].list[1].IsList(2));
    EXPECT_EQ(replies[5].list[1].list[1].text, "x");
    EXPECT_TRUE(replies[5].list[2].IsList(0));
  }
}

TEST(RedisReply, RefusesWhatIsNoReplyOrPromisesTooMuch) {
  std::string nested;
  for (int i = 0; i < 100; ++i) nested += "*100000\r\n";
  for (const std::string& text :
       {std::string("HTTP/1.1 400 Bad Request\r\n"), std::string("*2000000000\r\n"), nested,
        std::string("*99999999999999999999\r\n"), std::string("$-7\r\n"), std::string("$x\r\n"),
        std::string(":1x\r\n"), std::string("*-7\r\n"), std::string("\0\r\n", 3)}) {
    RedisReplyReader reader;
    reader.Feed(text);
    EXPECT_FALSE(reader.Next().ok()) << text.substr(0, 40);
    EXPECT_FALSE(reader.Next().ok()) << "it stays so";
  }
}

TEST(RedisReply, RefusesAReplyThatDoesNotEnd) {
  RedisReplyReader reader;
  reader.Feed("$2000000000\r\n");
  const std::string megabyte(1 << 20, 'x');
  size_t fed = 0;
  while (fed <= RedisReplyReader::kMaxReplyBytes && reader.Next().ok()) {
    reader.Feed(megabyte);
    fed += megabyte.size();
  }
  EXPECT_FALSE(reader.Next().ok());
}

TEST(RedisReply, ManyRepliesTogetherMayBeLargerThanOneMay) {
  RedisReplyReader reader;
  const std::string reply = absl::StrCat("$1048576\r\n", std::string(1 << 20, 'x'), "\r\n");
  for (int i = 0; i < 40; ++i) {
    reader.Feed(reply);
    const auto read = reader.Next();
    ASSERT_TRUE(read.ok() && read->has_value());
  }
}

TEST(RedisReply, NoNoiseDoesHarm) {
  std::mt19937 random(9);
  const std::string letters = "*$:+-0123456789\r\n\r\n\r\nax";
  for (int round = 0; round < 20'000; ++round) {
    RedisReplyReader reader;
    std::string text;
    for (int i = 0; i < 60; ++i) text.push_back(letters[random() % letters.size()]);
    reader.Feed(text);
    for (int i = 0; i < 60; ++i) {
      const auto reply = reader.Next();
      if (!reply.ok() || !reply->has_value()) break;
    }
  }
}

TEST(ClusterSlots, AreThoseOfTheSpecification) {
  EXPECT_EQ(ClusterSlot("123456789"), 0x31C3);
  EXPECT_EQ(ClusterSlot("{user1000}.following"), ClusterSlot("{user1000}.followers"));
  EXPECT_EQ(ClusterSlot("foo{}{bar}"), ClusterSlot("foo{}{bar}"));
  EXPECT_NE(ClusterSlot("foo{}{bar}"), ClusterSlot("bar"));
  EXPECT_EQ(ClusterSlot("foo{bar}{zap}"), ClusterSlot("bar"));
  EXPECT_EQ(ClusterSlot(""), 0);
}

TEST(ClusterSlots, AreReadFromTheAnswer) {
  const auto map = ParseClusterSlots(
      Read("*2\r\n*3\r\n:0\r\n:100\r\n*2\r\n$3\r\none\r\n:7000\r\n"
           "*4\r\n:101\r\n:16383\r\n*2\r\n$0\r\n\r\n:7001\r\n*2\r\n$1\r\nr\r\n:7002\r\n"),
      "asked");
  ASSERT_TRUE(map.ok()) << map.status();
  ASSERT_EQ(map->masters.size(), 2u);
  EXPECT_EQ(map->masters[map->master_of_slot[100]].host, "one");
  EXPECT_EQ(map->masters[map->master_of_slot[101]].host, "asked");
  EXPECT_EQ(map->masters[map->master_of_slot[16'383]].port, 7001);
}

TEST(ClusterSlots, OfAnotherFormAreRefused) {
  for (const char* text : {"+OK\r\n", "*0\r\n", "*1\r\n:1\r\n", "*1\r\n*2\r\n:0\r\n:16383\r\n",
                           "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n",
                           "*1\r\n*3\r\n:5\r\n:4\r\n*2\r\n$1\r\na\r\n:1\r\n",
                           "*1\r\n*3\r\n:-1\r\n:16383\r\n*2\r\n$1\r\na\r\n:1\r\n",
                           "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$1\r\na\r\n:0\r\n",
                           "*1\r\n*3\r\n:0\r\n:16383\r\n*1\r\n$1\r\na\r\n",
                           "*1\r\n*3\r\n:0\r\n:16382\r\n*2\r\n$1\r\na\r\n:1\r\n"}) {
    EXPECT_FALSE(ParseClusterSlots(Read(text), "asked").ok()) << text;
  }
}

}  // namespace
}  // namespace p2p::tracker
