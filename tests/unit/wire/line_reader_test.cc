#include "core/wire/line_reader.h"

#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace p2p::wire {
namespace {

using Result = LineReader::Result;

// Every whole line of `pieces`, and "413" when a line was too long.
std::vector<std::string> Lines(const std::vector<std::string>& pieces) {
  LineReader reader;
  std::vector<std::string> lines;
  for (const std::string& piece : pieces) {
    absl::string_view input = piece;
    while (!input.empty()) {
      absl::string_view line;
      const Result result = reader.Next(&input, &line);
      if (result == Result::kNeedMore) break;
      if (result == Result::kTooLong) {
        lines.push_back("413");
        return lines;
      }
      lines.push_back(std::string(line));
    }
  }
  return lines;
}

TEST(LineReader, TakesLfAndCrlf) {
  EXPECT_EQ(Lines({"a\nb\r\n\r\n\nc"}), (std::vector<std::string>{"a", "b", "", ""}));
}

TEST(LineReader, T02_HoldsTheLimitOfALineExactly) {
  EXPECT_EQ(Lines({std::string(4'094, 'x') + "\n"})[0].size(), 4'094u);
  EXPECT_EQ(Lines({std::string(4'095, 'x') + "\n"})[0].size(), 4'095u);
  EXPECT_EQ(Lines({std::string(4'096, 'x') + "\n"}), std::vector<std::string>{"413"});
  // Without its LF there must be room for one.
  EXPECT_TRUE(Lines({std::string(4'095, 'x')}).empty());
  EXPECT_EQ(Lines({std::string(4'096, 'x')}), std::vector<std::string>{"413"});
  EXPECT_EQ(Lines({std::string(4'095, 'x'), "x"}), std::vector<std::string>{"413"});
  EXPECT_EQ(Lines({std::string(4'095, 'x'), "\n"})[0].size(), 4'095u);
}

TEST(LineReader, T03_ReadsTheSameLinesHoweverTheyAreCut) {
  const std::string text = "REGISTER na\xc3\xafve \xf0\x9f\x90\xb6 7 192.0.2.1:9\r\n\nLOOKUP x\n" +
                           std::string(4'095, 'y') + "\nUNREGISTER 192.0.2.1:9\n";
  const std::vector<std::string> whole = Lines({text});
  ASSERT_EQ(whole.size(), 5u);
  std::vector<std::string> bytes;
  for (char c : text) bytes.push_back(std::string(1, c));
  EXPECT_EQ(Lines(bytes), whole);
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> pieces;
    for (size_t at = 0; at < text.size();) {
      const size_t length = 1 + random() % (round % 2 == 0 ? 9 : 900);
      pieces.push_back(text.substr(at, length));
      at += length;
    }
    EXPECT_EQ(Lines(pieces), whole) << "round " << round;
  }
}

TEST(LineReader, LeavesWhatFollowsALineToItsReader) {
  LineReader reader;
  absl::string_view input = "CHUNK +3\nabc";
  absl::string_view line;
  ASSERT_EQ(reader.Next(&input, &line), Result::kLine);
  EXPECT_EQ(input, "abc");
}

TEST(LineReader, EndsAnUnfinishedLineOnDemand) {
  LineReader reader;
  absl::string_view input = "LOOKUP x\r";
  absl::string_view line;
  EXPECT_FALSE(reader.HasPartial());
  ASSERT_EQ(reader.Next(&input, &line), Result::kNeedMore);
  EXPECT_TRUE(reader.HasPartial());
  EXPECT_EQ(reader.TakePartial(), "LOOKUP x");
  EXPECT_FALSE(reader.HasPartial());
  input = "y\n";
  ASSERT_EQ(reader.Next(&input, &line), Result::kLine);
  EXPECT_EQ(line, "y");
}

}  // namespace
}  // namespace p2p::wire
