#include "core/wire/original_messages.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace p2p::wire::peer {
namespace {

using ::testing::HasSubstr;

RequestRefusal Refused(absl::string_view line) {
  const auto parsed = ParseOriginalRequest(line);
  EXPECT_TRUE(absl::holds_alternative<RequestRefusal>(parsed)) << line;
  return absl::holds_alternative<RequestRefusal>(parsed) ? absl::get<RequestRefusal>(parsed)
                                                         : RequestRefusal();
}

OriginalRequest Taken(absl::string_view line) {
  const auto parsed = ParseOriginalRequest(line);
  EXPECT_TRUE(absl::holds_alternative<OriginalRequest>(parsed)) << line;
  return absl::holds_alternative<OriginalRequest>(parsed) ? absl::get<OriginalRequest>(parsed)
                                                          : OriginalRequest();
}

TEST(OriginalRequests, TakeTheChunkFromTheRightSoThatNamesMayHoldSpaces) {
  EXPECT_EQ(Taken("GET_CHUNK a b c 7").name, "a b c");
  EXPECT_EQ(Taken("GET_CHUNK a b c 7").chunk_id, 7u);
  EXPECT_EQ(Taken("GET_CHUNK dir/sub dir/1 2").name, "dir/sub dir/1");
  EXPECT_EQ(FormatOriginalRequest("a b", ChunkIndex(3)), "GET_CHUNK a b 3\n");
  EXPECT_EQ(FormatChunkHeader(limits::kChunkBytes).size(), limits::kMaxChunkHeaderBytes);
}

TEST(OriginalRequests, T04_NameTheFieldThatIsMissing) {
  EXPECT_THAT(Refused("GET_CHUNK").error.text, HasSubstr("filename"));
  EXPECT_THAT(Refused("GET_CHUNK ").error.text, HasSubstr("filename"));
  EXPECT_THAT(Refused("GET_CHUNK a").error.text, HasSubstr("chunk_id"));
  for (const char* line :
       {"", " ", "get_chunk a 0", "GET_CHUNKS a 0", "GET a 0", "HELLO 3", " GET_CHUNK a 0"}) {
    EXPECT_EQ(Refused(line).error.code, 400) << line;
    EXPECT_FALSE(Refused(line).foreign) << line;
  }
}

TEST(OriginalRequests, P03_RefuseWhatIsNoChunkNumber) {
  for (const char* id : {"-1", "+1", "", "1a", "١", "18446744073709551616", "00", "1e3", "0x1"}) {
    EXPECT_EQ(Refused(absl::StrCat("GET_CHUNK a ", id)).error.code, 416) << id;
  }
  EXPECT_EQ(Taken("GET_CHUNK a 18446744073709551615").chunk_id, UINT64_MAX);
}

TEST(OriginalRequests, P06_RefuseIllegalNamesAndRepeatNothingOfThem) {
  for (const std::string& name :
       {std::string("../x"), std::string("/etc/x"), std::string("a//b"), std::string("."),
        std::string("a/../b"), std::string("a\0b", 3), std::string("\x1b[m"),
        std::string("\xe2\x80\xae"), std::string("\xc0\xaf"), std::string("\xed\xa0\x80"),
        std::string(1'025, 'x'), std::string(256, 'x')}) {
    const RequestRefusal refusal = Refused(absl::StrCat("GET_CHUNK ", name, " 0"));
    EXPECT_EQ(refusal.error.code, 422) << name;
    EXPECT_FALSE(refusal.foreign);
  }
  EXPECT_EQ(Taken(absl::StrCat("GET_CHUNK ", std::string(255, 'x'), " 0")).name.size(), 255u);
}

TEST(OriginalRequests, T25_TellOtherProtocolsFromMistakes) {
  for (const char* line : {"GET / HTTP/1.1", "POST /x HTTP/1.0", "\x16\x03\x01\x02",
                           "\x13"
                           "BitTorrent protocol",
                           "\xff\xfe"}) {
    EXPECT_TRUE(Refused(line).foreign) << line;
  }
}

using Reader = OriginalAnswerReader;

TEST(OriginalAnswers, C01_C02_AreACanonicalSizeOrAnError) {
  for (const auto& [header, size] : std::vector<std::pair<std::string, uint32_t>>{
           {"1\n", 1}, {"524287\n", 524'287}, {"524288\n", 524'288}}) {
    Reader reader;
    absl::string_view input = header;
    const Reader::Result result = reader.Next(&input);
    ASSERT_TRUE(absl::holds_alternative<Reader::Size>(result)) << header;
    EXPECT_EQ(absl::get<Reader::Size>(result).bytes, size);
  }
  for (const char* header :
       {"0\n", "524289\n", "999999\n", "1234567", "\n", "01\n", " 1\n", "1 \n", "1\r\n", "-1\n",
        "+1\n", "x\n", "1a", "\x80", "E\n", "ERRORS 404 x\n"}) {
    Reader reader;
    absl::string_view input = header;
    EXPECT_TRUE(absl::holds_alternative<Reader::Malformed>(reader.Next(&input))) << header;
  }
}

TEST(OriginalAnswers, T03_AreReadTheSameByteByByteAndLeaveTheData) {
  for (const std::string& answer :
       {std::string("12345\n"), std::string("ERROR 404 unknown file\r\n")}) {
    Reader reader;
    for (size_t i = 0; i + 1 < answer.size(); ++i) {
      absl::string_view byte = absl::string_view(answer).substr(i, 1);
      ASSERT_TRUE(absl::holds_alternative<Reader::NeedMore>(reader.Next(&byte)));
    }
    absl::string_view rest = "\ndata\n";
    const Reader::Result result = reader.Next(&rest);
    EXPECT_EQ(rest, "data\n");
    if (const auto* error = absl::get_if<WireError>(&result)) {
      EXPECT_EQ(error->code, 404);
      EXPECT_EQ(error->text, "unknown file");
    } else {
      EXPECT_EQ(absl::get<Reader::Size>(result).bytes, 12'345u);
    }
    absl::string_view next = "7\n";
    EXPECT_EQ(absl::get<Reader::Size>(reader.Next(&next)).bytes, 7u) << "ready for the next answer";
  }
}

TEST(OriginalAnswers, T02_HoldTheLimitOfAnErrorLineExactly) {
  for (size_t size :
       {limits::kMaxLineBytes - 1, limits::kMaxLineBytes, limits::kMaxLineBytes + 1}) {
    std::string line = "ERROR 404 ";
    line.resize(size - 1, 'x');
    line += '\n';
    Reader reader;
    absl::string_view input = line;
    EXPECT_EQ(absl::holds_alternative<WireError>(reader.Next(&input)),
              size <= limits::kMaxLineBytes)
        << size;
  }
}

}  // namespace
}  // namespace p2p::wire::peer
