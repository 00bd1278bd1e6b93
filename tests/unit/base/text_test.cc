#include "core/base/text.h"

#include <limits>
#include <string>

#include "absl/time/time.h"
#include "core/base/limits.h"
#include "core/base/names.h"
#include "gtest/gtest.h"

namespace p2p {
namespace {

TEST(Printable, LeavesOrdinaryTextAsItIs) {
  for (absl::string_view text : {"", "a", "a/b.c", "..", "two words",
                                 "\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80", "<b>&amp;</b>"}) {
    EXPECT_EQ(Printable(text), text);
  }
}

TEST(Printable, T07_EscapesWhatWouldSteerATerminalOrALog) {
  EXPECT_EQ(Printable("\x1b[31mred\x1b]0;title\x07"), "\\x1b[31mred\\x1b]0;title\\x07");
  EXPECT_EQ(Printable("line\r\nforged"), "line\\x0d\\x0aforged");
  EXPECT_EQ(Printable(absl::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(Printable("\x7f"), "\\x7f");
  EXPECT_EQ(Printable("\xc2\x9b"), "\\xc2\\x9b") << "the one-byte CSI in UTF-8";
  EXPECT_EQ(Printable("a\xe2\x80\xae"
                      "b"),
            "a\\xe2\\x80\\xaeb");
  EXPECT_EQ(Printable("\xff\xc0\xaf\xed\xa0\x80"), "\\xff\\xc0\\xaf\\xed\\xa0\\x80");
}

TEST(Printable, T07_GivesLegalTextForEveryPairOfBytes) {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const std::string text = Printable(std::string{static_cast<char>(a), static_cast<char>(b)});
      ASSERT_TRUE(IsValidUtf8(text)) << a << " " << b;
      for (char c : text)
        ASSERT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) << a << " " << b;
    }
  }
}

TEST(Printable, CutsLongTextButNoCharacter) {
  EXPECT_EQ(Printable("abcd", 4), "abcd");
  EXPECT_EQ(Printable("abcde", 4), "abcd...");
  EXPECT_EQ(Printable("abc\xc3\xa9"
                      "de",
                      4),
            "abc\xc3\xa9...");
  EXPECT_LE(Printable(std::string(1 << 20, '\x01')).size(), 256u + 8);
}

TEST(ParseDecimal, T09_TakesOnlyPlainDecimalUpToItsMaximum) {
  constexpr uint64_t kMost = limits::kMaxFileBytes;
  EXPECT_EQ(ParseDecimal("0", kMost), 0u);
  EXPECT_EQ(ParseDecimal("10", kMost), 10u);
  EXPECT_EQ(ParseDecimal("1125899906842623", kMost), kMost - 1);
  EXPECT_EQ(ParseDecimal("1125899906842624", kMost), kMost);
  for (absl::string_view bad : {"1125899906842625",
                                "9223372036854775808",
                                "18446744073709551615",
                                "18446744073709551616",
                                "1234567890123456789012345678901234567890",
                                "-1",
                                "+5",
                                "",
                                " ",
                                " 1",
                                "1 ",
                                "1e9",
                                "0x10",
                                "007",
                                "00",
                                "1.0",
                                "1,000",
                                "1\n",
                                "\xd9\xa1",
                                "a"}) {
    EXPECT_EQ(ParseDecimal(bad, kMost), absl::nullopt) << bad;
  }
}

TEST(ParseDecimal, T09_ReachesTheEndOf64Bits) {
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  EXPECT_EQ(ParseDecimal("18446744073709551614", kMost), kMost - 1);
  EXPECT_EQ(ParseDecimal("18446744073709551615", kMost), kMost);
  EXPECT_EQ(ParseDecimal("18446744073709551616", kMost), absl::nullopt);
  EXPECT_EQ(ParseDecimal("99999999999999999999", kMost), absl::nullopt);
}

TEST(ParseDecimal, T09_HonoursSmallMaxima) {
  EXPECT_EQ(ParseDecimal("0", 0), 0u);
  EXPECT_EQ(ParseDecimal("1", 0), absl::nullopt);
  EXPECT_EQ(ParseDecimal("7", 7), 7u);
  EXPECT_EQ(ParseDecimal("8", 7), absl::nullopt);
  EXPECT_EQ(ParseDecimal("65535", 65'535), 65'535u);
  EXPECT_EQ(ParseDecimal("65536", 65'535), absl::nullopt);
}

TEST(HumanBytes, ChangesTheUnitBeforeTheNumberHasFourDigits) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1'023), "1023 B");
  EXPECT_EQ(HumanBytes(1'024), "1.0 KiB");
  EXPECT_EQ(HumanBytes(1'536), "1.5 KiB");
  EXPECT_EQ(HumanBytes((1 << 20) - 1), "1.0 MiB");
  EXPECT_EQ(HumanBytes(limits::kMaxFileBytes), "1.0 PiB");
  EXPECT_EQ(HumanBytes(std::numeric_limits<uint64_t>::max()), "16384.0 PiB");
}

TEST(HumanDuration, ShowsTwoUnitsAtMost) {
  EXPECT_EQ(HumanDuration(absl::ZeroDuration()), "0 s");
  EXPECT_EQ(HumanDuration(absl::Seconds(59)), "59 s");
  EXPECT_EQ(HumanDuration(absl::Seconds(125)), "2 min 5 s");
  EXPECT_EQ(HumanDuration(absl::Seconds(3'780)), "1 h 3 min");
}

}  // namespace
}  // namespace p2p
