#include "core/content/bencode.h"

#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace p2p::content {
namespace {

using testing::HasSubstr;

// Whether `input` is one canonical value, whole.
absl::Status Check(absl::string_view input) {
  BencodeReader reader(input);
  const absl::Status status = reader.Skip();
  return status.ok() ? reader.Finish() : status;
}

TEST(Bencode, ReadsWhatItWrites) {
  std::string out = "d";
  BencodeString("a", &out);
  BencodeInteger(-7, &out);
  BencodeString("b", &out);
  BencodeString(std::string("\0\n", 2), &out);
  out += 'e';
  EXPECT_EQ(out, std::string("d1:ai-7e1:b2:\0\ne", 16));

  BencodeReader reader(out);
  ASSERT_TRUE(reader.EnterDictionary().ok());
  EXPECT_EQ(*reader.NextKey(), absl::optional<absl::string_view>("a"));
  EXPECT_EQ(*reader.ReadInteger(), -7);
  EXPECT_EQ(*reader.NextKey(), absl::optional<absl::string_view>("b"));
  EXPECT_EQ(*reader.ReadString(), absl::string_view("\0\n", 2));
  EXPECT_EQ(*reader.NextKey(), absl::nullopt);
  EXPECT_TRUE(reader.Finish().ok());
}

TEST(Bencode, TakesEveryCanonicalShape) {
  for (absl::string_view good : {"i0e", "i-1e", "i10e", "0:", "3:abc", "le", "de", "llee",
                                 "ld1:aleee", "d0:i1e1:ai2e2:aai3ee", "l1:ai5ed1:bleee"}) {
    EXPECT_TRUE(Check(good).ok()) << good;
  }
}

TEST(Bencode, C14_RefusesEveryOtherSpelling) {
  for (absl::string_view bad : {"",
                                "i",
                                "ie",
                                "i-e",
                                "i-0e",
                                "i00e",
                                "i01e",
                                "i+1e",
                                "i 1e",
                                "i1",
                                "i1.0e",
                                "i0x1e",
                                "01:a",
                                "-1:a",
                                "1:",
                                "2:a",
                                ":",
                                "1",
                                "d",
                                "l",
                                "e",
                                "d1:ae",
                                "d1:a",
                                "di1e1:ae",
                                "d1:bi1e1:ai1ee",
                                "d1:ai1e1:ai2ee",
                                "d1:aai1e1:ai1ee",
                                "dlei1ee",
                                "i1ei1e",
                                "lee",
                                "1:ab",
                                "x",
                                "l1:ae1",
                                " i1e"}) {
    const absl::Status status = Check(bad);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(std::string(status.message()), HasSubstr("at byte ")) << bad;
  }
}

TEST(Bencode, C14_EveryTruncationIsRefused) {
  const std::string whole = "d4:listli1e3:abcd1:xleee3:numi-12e3:str10:0123456789e";
  ASSERT_TRUE(Check(whole).ok());
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(Check(whole.substr(0, length)).ok()) << "first " << length << " bytes";
  }
}

TEST(Bencode, T09_IntegersEndAt64Bits) {
  const auto read = [](absl::string_view text) { return BencodeReader(text).ReadInteger(); };
  EXPECT_EQ(*read("i9223372036854775807e"), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(*read("i-9223372036854775808e"), std::numeric_limits<int64_t>::min());
  for (absl::string_view beyond :
       {"i9223372036854775808e", "i-9223372036854775809e", "i18446744073709551616e",
        "i99999999999999999999999999999999999999999e"}) {
    EXPECT_FALSE(read(beyond).ok()) << beyond;
  }
}

TEST(Bencode, C14_AStringLengthIsNeverTrusted) {
  for (absl::string_view bad :
       {"4:abc", "2147483648:abc", "18446744073709551615:abc", "18446744073709551616:abc",
        "99999999999999999999:abc", "999999999999999999999999999999:abc"}) {
    EXPECT_FALSE(Check(bad).ok()) << bad;
  }
}

TEST(Bencode, C14_DepthIsBounded) {
  const auto lists = [](size_t depth) { return std::string(depth, 'l') + std::string(depth, 'e'); };
  constexpr size_t kMost = limits::kMaxPathDepth + 8;
  EXPECT_TRUE(Check(lists(kMost - 1)).ok());
  EXPECT_TRUE(Check(lists(kMost)).ok());
  EXPECT_THAT(std::string(Check(lists(kMost + 1)).message()), HasSubstr("nested too deeply"));
  EXPECT_FALSE(Check(std::string(10'000'000, 'l')).ok());
  std::string dictionaries;
  for (int i = 0; i < 100'000; ++i) dictionaries += "d1:a";
  EXPECT_FALSE(Check(dictionaries).ok());
}

TEST(Bencode, AskingForAnotherKindFailsWithTheKind) {
  EXPECT_THAT(std::string(BencodeReader("1:a").ReadInteger().status().message()),
              HasSubstr("an integer"));
  EXPECT_THAT(std::string(BencodeReader("i1e").ReadString().status().message()),
              HasSubstr("a string"));
  EXPECT_THAT(std::string(BencodeReader("le").EnterDictionary().message()),
              HasSubstr("a dictionary"));
  EXPECT_THAT(std::string(BencodeReader("").ReadString().status().message()),
              HasSubstr("ends early"));
}

}  // namespace
}  // namespace p2p::content
