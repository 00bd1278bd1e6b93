// The original protocol on an accepted connection.
#include <random>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "tests/unit/session/session_harness.h"

namespace p2p::session {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(OriginalServer, SendsTheSizeAndThenTheData) {
  Harness h(Accepted());
  h.Feed("GET_CHUNK my holiday film.mp4 7\n");
  const auto asked = h.Next<ServeOriginalChunk>();
  EXPECT_EQ(asked.name, "my holiday film.mp4");
  EXPECT_EQ(asked.chunk_id, 7u);
  h.session.SendOriginalChunk(SliceOf("hello"));
  EXPECT_EQ(h.Said(), "5\nhello");
  EXPECT_FALSE(h.session.ended());
}

TEST(OriginalServer, P01_P02_KeepsTheConnectionAfterARefusal) {
  Harness h(Accepted());
  h.Feed("GET_CHUNK nothing 0\r\nGET_CHUNK early 1\nGET_CHUNK good 2\n");
  EXPECT_EQ(h.Next<ServeOriginalChunk>().name, "nothing");
  EXPECT_TRUE(h.NoEvents()) << "the next is asked for after the answer";
  h.session.SendOriginalError(404, "unknown file");
  EXPECT_EQ(h.Next<ServeOriginalChunk>().name, "early");
  h.session.SendOriginalError(409, "not available yet");
  EXPECT_EQ(h.Next<ServeOriginalChunk>().name, "good");
  h.session.SendOriginalChunk(SliceOf("x"));
  EXPECT_EQ(h.Said(), "ERROR 404 unknown file\nERROR 409 not available yet\n1\nx");
}

TEST(OriginalServer, P03_RefusesWhatIsNoChunkNumberAndKeepsTheConnection) {
  for (const char* id : {"-1", "+1", "", "1a", "١", "18446744073709551616", "00", "1e3", "0x1"}) {
    Harness h(Accepted());
    h.Feed(absl::StrCat("GET_CHUNK file ", id, "\n"));
    EXPECT_THAT(h.Said(), StartsWith("ERROR 416 ")) << id;
    EXPECT_FALSE(h.session.ended());
  }
  for (const char* id : {"0", "2147483647", "2147483648", "4294967296", "18446744073709551615"}) {
    Harness h(Accepted());
    h.Feed(absl::StrCat("GET_CHUNK file ", id, "\n"));
    EXPECT_EQ(absl::StrCat(h.Next<ServeOriginalChunk>().chunk_id), id)
        << "the range is the driver's";
  }
}

TEST(OriginalServer, P06_RefusesNamesThatBreakTheRules) {
  for (const char* name : {"../x", "/etc/passwd", "a//b", ".", "a/../b", "\x1b[31m", "\xff"}) {
    Harness h(Accepted());
    h.Feed(absl::StrCat("GET_CHUNK ", name, " 0\n"));
    const std::string said = h.Said();
    EXPECT_THAT(said, StartsWith("ERROR 422 ")) << name;
    EXPECT_THAT(said, ::testing::Not(HasSubstr("\x1b")));
    EXPECT_FALSE(h.session.ended());
  }
}

TEST(OriginalServer, P07_QueuesSixtyFourRequestsAndThenStopsReading) {
  for (int count : {63, 64, 65}) {
    Harness h(Accepted());
    std::string burst;
    for (int i = 0; i < count; ++i) absl::StrAppend(&burst, "GET_CHUNK f ", i, "\n");
    h.Feed(burst);
    EXPECT_EQ(h.session.queued_to_serve(), std::min(count, 64));
    EXPECT_EQ(h.mode() == PeerSession::ReadMode::kPause, count >= 64) << count;
  }
}

TEST(OriginalServer, P07_AnswersTenThousandPipelinedRequestsInOrder) {
  Harness h(Accepted());
  std::string burst;
  for (int i = 0; i < 10'000; ++i) absl::StrAppend(&burst, "GET_CHUNK f ", i, "\n");
  h.Feed(burst);
  EXPECT_GT(h.unread_bytes(), burst.size() / 2) << "most of it stays with the other side";
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_EQ(h.Next<ServeOriginalChunk>().chunk_id, static_cast<uint64_t>(i));
    ASSERT_LE(h.session.queued_to_serve(), limits::kMaxPipelinedRequests);
    h.session.SendOriginalChunk(SliceOf("x"));
    h.Pump();
    h.Read();
  }
  EXPECT_EQ(h.Said().size(), 30'000u);
}

TEST(OriginalServer, P08_EndsWhenTheOtherSideStopsReading) {
  Harness h(Accepted());
  h.sends_at_once = false;
  h.Feed("GET_CHUNK f 0\n");
  h.session.SendOriginalChunk(SliceOf(Pattern(limits::kChunkBytes)));
  h.Pump();
  h.Send(100'000);
  h.Advance(absl::Seconds(29));
  EXPECT_FALSE(h.session.ended());
  h.Advance(absl::Seconds(1));
  EXPECT_TRUE(h.session.ended());
}

TEST(OriginalServer, P08_KeepsAReaderThatIsJustFastEnough) {
  for (const uint64_t bytes : {limits::kMinTransferBytes - 1, limits::kMinTransferBytes}) {
    Harness h(Accepted());
    h.sends_at_once = false;
    h.Feed("GET_CHUNK f 0\n");
    h.session.SendOriginalChunk(SliceOf(Pattern(limits::kChunkBytes)));
    h.Pump();
    h.Send(7);
    for (int i = 0; i < 6; ++i) {
      h.Advance(absl::Seconds(28));
      h.Send(bytes);
      h.Advance(absl::Seconds(1));
    }
    EXPECT_EQ(h.session.ended(), bytes < limits::kMinTransferBytes) << bytes;
  }
}

TEST(OriginalServer, P08_PreparesNoMoreThanTheWindowForAPeerThatDoesNotRead) {
  Harness h(Accepted());
  h.sends_at_once = false;
  std::string burst;
  for (int i = 0; i < 40; ++i) absl::StrAppend(&burst, "GET_CHUNK f ", i, "\n");
  h.Feed(burst);
  const auto prepare = [&h] {
    int prepared = 0;
    while (h.Count<ServeOriginalChunk>() > 0) {
      h.Next<ServeOriginalChunk>();
      h.session.SendOriginalChunk(SliceOf(Pattern(limits::kChunkBytes)));
      h.Pump();
      ++prepared;
    }
    return prepared;
  };
  EXPECT_EQ(prepare(), 1) << "nothing is known of how fast it reads";
  h.Send(limits::kChunkBytes + 7);
  EXPECT_EQ(h.Count<ServeOriginalChunk>(), 1) << "it has left";
  int most = 0;
  for (int i = 0; i < 8; ++i) {
    const int prepared = prepare();
    EXPECT_GE(prepared, most) << "it reads at once";
    most = prepared;
    h.Send();
  }
  EXPECT_EQ(most, PeerSession::kServeAhead);
  prepare();
  h.Send(limits::kChunkBytes + 7);
  EXPECT_EQ(h.Count<ServeOriginalChunk>(), 1) << "one has left";
}

TEST(OriginalServer, P15_EndsWhenNoRequestComesInTime) {
  Harness silent(Accepted());
  silent.Advance(limits::kFirstRequestTimeout - absl::Milliseconds(1));
  EXPECT_FALSE(silent.session.ended());
  silent.Advance(absl::Milliseconds(1));
  EXPECT_TRUE(silent.session.ended());

  Harness dripping(Accepted());
  for (int i = 0; i < 90; ++i) {
    dripping.Feed("G");
    dripping.Advance(absl::Milliseconds(150));
  }
  EXPECT_TRUE(dripping.session.ended());
}

TEST(OriginalServer, P15_EndsAnIdleConnection) {
  Harness h(Accepted());
  h.Feed("GET_CHUNK f 0\n");
  h.Next<ServeOriginalChunk>();
  h.session.SendOriginalChunk(SliceOf("x"));
  h.Pump();
  h.Advance(limits::kIdleTimeout - absl::Seconds(1));
  EXPECT_FALSE(h.session.ended());
  h.Advance(absl::Seconds(1));
  EXPECT_TRUE(h.session.ended());
  EXPECT_FALSE(h.Next<SessionEnded>().protocol_error);
}

TEST(OriginalServer, DoesNotCountTheTimeThatItsOwnDiskTakes) {
  Harness h(Accepted());
  h.Feed("GET_CHUNK f 0\n");
  h.Advance(absl::Seconds(200));
  EXPECT_FALSE(h.session.ended());
}

TEST(OriginalServer, TakesALineWithoutEndAfterAPauseOrAHalfClose) {
  Harness pausing(Accepted());
  pausing.Feed("GET_CHUNK f 3");
  pausing.Advance(absl::Milliseconds(199));
  EXPECT_TRUE(pausing.NoEvents());
  pausing.Advance(absl::Milliseconds(1));
  EXPECT_EQ(pausing.Next<ServeOriginalChunk>().chunk_id, 3u);

  pausing.Feed("GET_CHUNK f 4");
  pausing.Advance(absl::Milliseconds(200));
  pausing.session.SendOriginalChunk(SliceOf("x"));
  EXPECT_EQ(pausing.Next<ServeOriginalChunk>().chunk_id, 4u) << "it never ends its lines";
  EXPECT_EQ(pausing.Said(), "1\nx");

  for (const char* end : {"\n", "\r\n"}) {
    Harness late(Accepted());
    late.Feed("GET_CHUNK f 3");
    late.Advance(absl::Milliseconds(200));
    late.Next<ServeOriginalChunk>();
    late.Feed(end);
    late.session.SendOriginalChunk(SliceOf("x"));
    late.Feed("GET_CHUNK f 4\n");
    EXPECT_EQ(late.Next<ServeOriginalChunk>().chunk_id, 4u) << "a late end is no empty line";
    EXPECT_EQ(late.Said(), "1\nx");
  }

  Harness closing(Accepted());
  closing.Feed("GET_CHUNK f 1\nGET_CHUNK f 2");
  closing.EndOfStream();
  EXPECT_EQ(closing.Next<ServeOriginalChunk>().chunk_id, 1u);
  closing.session.SendOriginalChunk(SliceOf("a"));
  EXPECT_EQ(closing.Next<ServeOriginalChunk>().chunk_id, 2u);
  EXPECT_FALSE(closing.session.ended()) << "what is asked for is still answered";
  closing.session.SendOriginalChunk(SliceOf("b"));
  EXPECT_EQ(closing.Said(), "1\na1\nb");
  EXPECT_FALSE(closing.Next<SessionEnded>().protocol_error);
}

TEST(OriginalServer, P03_APauseEndsNoLineOfAClientThatHasEndedOne) {
  Harness h(Accepted());
  h.Feed("GET_CHUNK f 100\nGET_CHUNK f 1");
  h.Next<ServeOriginalChunk>();
  h.session.SendOriginalChunk(SliceOf("x"));
  h.Advance(absl::Milliseconds(300));
  EXPECT_TRUE(h.NoEvents()) << "half a number";
  h.Feed("7\n");
  EXPECT_EQ(h.Next<ServeOriginalChunk>().chunk_id, 17u);
}

TEST(OriginalServer, T01_TakesEightMalformedLinesAndNoMore) {
  Harness h(Accepted());
  for (int i = 1; i <= limits::kMaxBadLines; ++i) {
    h.Feed(i % 2 == 0 ? "\r\n" : "get_chunk x 0\n");
    EXPECT_THAT(h.Said(), StartsWith("ERROR 400 "));
    ASSERT_FALSE(h.session.ended()) << i;
  }
  h.Feed("GET_CHUNK onlyname\n");
  EXPECT_THAT(h.Said(), HasSubstr("chunk_id"));
  EXPECT_TRUE(h.session.ended());
  EXPECT_TRUE(h.Next<SessionEnded>().protocol_error);
}

TEST(OriginalServer, T02_RefusesALineThatIsTooLong) {
  for (size_t size :
       {limits::kMaxLineBytes - 1, limits::kMaxLineBytes, limits::kMaxLineBytes + 1}) {
    Harness h(Accepted());
    h.Feed(std::string(size - 1, 'x') + "\n");
    EXPECT_THAT(h.Said(), StartsWith(size > limits::kMaxLineBytes ? "ERROR 413 " : "ERROR 400 "));
    EXPECT_EQ(h.session.ended(), size > limits::kMaxLineBytes) << size;
  }
  Harness endless(Accepted());
  endless.Feed(std::string(limits::kMaxLineBytes, 'x'));
  EXPECT_THAT(endless.Said(), StartsWith("ERROR 413 "));
}

TEST(OriginalServer, SendsEarlierAnswersBeforeTheLastError) {
  Harness h(Accepted());
  h.Feed("GET_CHUNK f 0\n" + std::string(5'000, 'x') + "\nGET_CHUNK f 1\n");
  h.Next<ServeOriginalChunk>();
  EXPECT_EQ(h.mode(), PeerSession::ReadMode::kLines) << "the rest is read and thrown away";
  h.session.SendOriginalChunk(SliceOf("x"));
  EXPECT_THAT(h.Said(), StartsWith("1\nxERROR 413 "));
  EXPECT_TRUE(h.Next<SessionEnded>().protocol_error);
}

TEST(OriginalServer, T25_SendsProgramsOfOtherProtocolsAway) {
  std::mt19937 random(1);
  std::string noise(64, '\0');
  for (char& c : noise) c = static_cast<char>(random() | 0x80);
  for (const std::string& bytes : {std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), noise,
                                   std::string("\x13"
                                               "BitTorrent protocol\0\0\0",
                                               23)}) {
    Harness h(Accepted());
    h.Feed(bytes);
    h.Advance(limits::kLinePause);
    EXPECT_THAT(h.Said(), StartsWith("ERROR 400 "));
    EXPECT_TRUE(h.session.ended());
    EXPECT_TRUE(h.Next<SessionEnded>().protocol_error);
  }
}

TEST(OriginalServer, T25_ClosesOverTlsAtOnceAndWithoutAWord) {
  for (const std::string& bytes :
       {std::string("\x16"), std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11)}) {
    Harness h(Accepted());
    h.Feed(bytes);
    EXPECT_EQ(h.Said(), "");
    EXPECT_TRUE(h.Next<SessionEnded>().protocol_error);
  }
  Harness later(Accepted());
  later.Feed("GET_CHUNK f 0\n\x16\n");
  later.Next<ServeOriginalChunk>();
  EXPECT_FALSE(later.session.ended()) << "it is reserved as the first byte alone";
}

TEST(OriginalServer, P14_EndsAfterADiskError) {
  Harness h(Accepted());
  h.Feed("GET_CHUNK f 0\nGET_CHUNK f 1\n");
  h.Next<ServeOriginalChunk>();
  h.session.SendOriginalError(500, "disk error");
  EXPECT_EQ(h.Said(), "ERROR 500 disk error\n");
  EXPECT_TRUE(h.session.ended());
}

TEST(OriginalServer, P06_T03_GivesTheSameAnswersHoweverTheBytesArrive) {
  const std::string input =
      "GET_CHUNK na\xc3\xafve film 1\r\n\nGET_CHUNK ../x 1\nfoo\nGET_CHUNK a b\nGET_CHUNK a "
      "0\nHELLO 3\n";
  const auto answers = [&](std::vector<size_t> cuts) {
    Harness h(Accepted());
    size_t at = 0;
    for (size_t cut : cuts) {
      h.Feed(absl::string_view(input).substr(at, cut));
      at += cut;
    }
    h.Feed(absl::string_view(input).substr(std::min(at, input.size())));
    while (h.Count<ServeOriginalChunk>() > 0) {
      const auto asked = h.Next<ServeOriginalChunk>();
      h.session.SendOriginalChunk(SliceOf(absl::StrCat(asked.name, asked.chunk_id)));
      h.Pump();
    }
    return h.Said();
  };
  const std::string expected = answers({});
  EXPECT_THAT(expected, HasSubstr("12\nna\xc3\xafve film1"));
  EXPECT_EQ(answers(std::vector<size_t>(input.size(), 1)), expected);
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<size_t> cuts;
    for (size_t at = 0; at < input.size(); at += cuts.back()) {
      cuts.push_back(std::min<size_t>(random() % 20, input.size() - at));
    }
    ASSERT_EQ(answers(cuts), expected);
  }
}

}  // namespace
}  // namespace p2p::session
