#include "core/base/names.h"

#include <string>
#include <vector>

#include "core/base/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace p2p {
namespace {

using testing::HasSubstr;

TEST(Names, T05_RefuseWhatLeavesTheShare) {
  for (absl::string_view bad :
       {"../x", "/etc/x", "a//b", ".", "..", "a/../b", "a/..", "a/.", "./a", "a/", "/", "//", ""}) {
    EXPECT_EQ(CheckName(bad).code(), absl::StatusCode::kInvalidArgument) << bad;
  }
  EXPECT_THAT(std::string(CheckName("/etc/x").message()), HasSubstr("absolute path"));
  EXPECT_FALSE(CheckNameComponent("a/b").ok());
  EXPECT_TRUE(CheckName("a/b").ok());
}

TEST(Names, TakeEveryOrdinaryName) {
  for (absl::string_view good :
       {"a", "...", "..a", ".hidden", "a b", " lead and trail ", "quote\"'`$;|&<>", "C:\\x", "-rf",
        "\xc3\xa9", "\xe4\xb8\xad\xe6\x96\x87", "\xf0\x9f\x98\x80", "~", "\xc2\xa0"}) {
    EXPECT_TRUE(CheckName(good).ok()) << good << CheckName(good);
  }
}

TEST(Names, T06_RefuseControlCharacters) {
  std::vector<std::string> bad = {
      std::string("a\0b", 3), std::string(1, '\0'), "a\rb", "a\nb", "\x1b[31m", "a\x7f", "\t"};
  for (char c = 1; c < 0x20; ++c) bad.push_back(std::string("a") + c);
  for (int code = 0x80; code <= 0x9f; ++code) bad.push_back({'\xc2', static_cast<char>(code)});
  for (const std::string& name : bad) {
    EXPECT_THAT(std::string(CheckName(name).message()), HasSubstr("control character"))
        << testing::PrintToString(name);
  }
}

TEST(Names, T06_RefuseCharactersThatReverseOrBreakText) {
  for (absl::string_view bad :
       {"\xe2\x80\xae", "\xe2\x80\xaa", "\xe2\x80\x8e", "\xe2\x80\x8f", "\xe2\x81\xa6",
        "\xe2\x81\xa9", "\xd8\x9c", "\xe2\x80\xa8", "\xe2\x80\xa9"}) {
    EXPECT_THAT(std::string(CheckName(std::string("a") + std::string(bad)).message()),
                HasSubstr("reverses"));
  }
  EXPECT_TRUE(CheckName("\xe2\x80\xaf").ok()) << "U+202F, just behind the overrides, is a space";
}

TEST(Names, T06_RefuseCharactersThatShowNothing) {
  for (absl::string_view bad :
       {"\xe2\x80\x8b", "\xe2\x80\x8c", "\xe2\x80\x8d", "\xe2\x81\xa0", "\xef\xbb\xbf",
        // soft hyphen, grapheme joiner, Hangul and Khmer fillers, Mongolian separator
        "\xc2\xad", "\xcd\x8f", "\xe1\x85\x9f", "\xe1\x85\xa0", "\xe3\x85\xa4", "\xef\xbe\xa0",
        "\xe1\x9e\xb4", "\xe1\x9e\xb5", "\xe1\xa0\x8b", "\xe1\xa0\x8e", "\xe1\xa0\x8f",
        // invisible operators, deprecated format characters, variation selectors, annotation
        "\xe2\x81\xa1", "\xe2\x81\xa4", "\xe2\x81\xa5", "\xe2\x81\xaa", "\xe2\x81\xaf",
        "\xef\xb8\x80", "\xef\xb8\x8f", "\xef\xbf\xb0", "\xef\xbf\xb9", "\xef\xbf\xbb",
        // shorthand and music format, tags, more variation selectors
        "\xf0\x9b\xb2\xa0", "\xf0\x9d\x85\xb3", "\xf3\xa0\x80\x81", "\xf3\xa0\x87\xaf",
        "\xf3\xa0\xbf\xbf"}) {
    for (const std::string& name : {"a" + std::string(bad), std::string(bad) + "a"}) {
      EXPECT_THAT(std::string(CheckName(name).message()), HasSubstr("shows nothing"))
          << testing::PrintToString(name);
    }
  }
  // Their neighbours.
  for (absl::string_view good :
       {"\xc2\xac", "\xc2\xae", "\xe2\x80\x8a", "\xe2\x80\x90", "\xe2\x81\x9f", "\xe2\x81\xb0",
        "\xef\xb7\xbf", "\xef\xb8\x90", "\xef\xbb\xbe", "\xef\xbc\x80", "\xef\xbf\xaf",
        "\xef\xbf\xbc", "\xf3\x9f\xbf\xbf", "\xf3\xa1\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(CheckName(good).ok()) << testing::PrintToString(std::string(good));
  }
}

TEST(Names, T06_WhatEmojiAndScriptsNeedMayStandBehindThem) {
  for (absl::string_view good :
       {"\xe2\x9d\xa4\xef\xb8\x8f.txt",                              // red heart
        "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9.jpg",          // man, joiner, woman
        "\xf0\x9f\x8f\xb3\xef\xb8\x8f\xe2\x80\x8d\xf0\x9f\x8c\x88",  // rainbow flag
        "\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xae\xd9\x88\xd8\xa7\xd9\x87\xd9\x85",  // Persian
        "\xe0\xa4\x95\xe0\xa5\x8d\xe2\x80\x8d\xe0\xa4\xb7"}) {                   // Hindi
    EXPECT_TRUE(CheckName(good).ok()) << testing::PrintToString(std::string(good));
  }
  for (absl::string_view bad :
       {"\xe2\x9d\xa4\xef\xb8\x8f\xef\xb8\x8f", "\xe2\x9d\xa4\xe2\x80\x8d\xe2\x80\x8d",
        "a\xef\xb8\x8f\xe2\x80\x8d", "\xd8\x9c\xe2\x80\x8c", "\xe2\x9d\xa4\xe2\x80\x8c",
        "\xc3\xa9\xe2\x80\x8d", "\xe2\x81\xa0\xe2\x80\x8d", "\xe2\x9d\xa4\xef\xb8\x8e",
        "\xe2\x9d\xa4/\xe2\x80\x8d", "\xe2\x9d\xa4\xe2\x80\x8d"}) {
    EXPECT_FALSE(CheckName(bad).ok()) << testing::PrintToString(std::string(bad));
  }
}

TEST(Names, T06_RefuseWhatIsNotUtf8) {
  for (absl::string_view bad :
       {"\xff", "\xfe", "\x80", "\xbf", "a\xc3", "\xe4\xb8", "\xf0\x9f\x98", "\xc3(", "\xe4(\xad",
        // overlong forms of '/', of NUL's neighbours, of U+07FF and of U+FFFF
        "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xe0\x9f\xbf", "\xf0\x80\x80\xaf",
        "\xf0\x8f\xbf\xbf",
        // surrogates
        "\xed\xa0\x80", "\xed\xbf\xbf", "\xed\xa0\xbd\xed\xb8\x80",
        // beyond U+10FFFF
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80"}) {
    EXPECT_FALSE(IsValidUtf8(bad)) << testing::PrintToString(std::string(bad));
    EXPECT_THAT(std::string(CheckName(bad).message()), HasSubstr("UTF-8"))
        << testing::PrintToString(std::string(bad));
  }
  for (absl::string_view good :
       {"", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(IsValidUtf8(good)) << testing::PrintToString(std::string(good));
  }
}

TEST(Names, T06_TheReasonRepeatsNothingOfTheName) {
  for (absl::string_view bad : {"secret\x1b[31m", "secret\xff", "secret//x", "secret/.."}) {
    EXPECT_THAT(std::string(CheckName(bad).message()), testing::Not(HasSubstr("secret")));
  }
}

TEST(Names, T08_AComponentHasAtMost255Bytes) {
  for (size_t bytes : {254, 255, 256}) {
    const std::string component(bytes, 'x');
    EXPECT_EQ(CheckNameComponent(component).ok(), bytes <= 255) << bytes;
    EXPECT_EQ(CheckName(component).ok(), bytes <= 255) << bytes;
    EXPECT_EQ(CheckName("a/" + component + "/b").ok(), bytes <= 255) << bytes;
  }
}

TEST(Names, T08_ANameHasAtMost1024Bytes) {
  const std::string start =
      std::string(255, 'a') + "/" + std::string(255, 'b') + "/" + std::string(255, 'c') + "/";
  for (size_t bytes : {1'023, 1'024, 1'025}) {
    std::string name = start + std::string(200, 'd') + "/";
    name += std::string(bytes - name.size(), 'e');
    ASSERT_EQ(name.size(), bytes);
    EXPECT_EQ(CheckName(name).ok(), bytes <= limits::kMaxNameBytes) << bytes;
  }
}

TEST(Names, T08_TenThousandComponentsAreTooLong) {
  std::string name = "x";
  for (int i = 1; i < 10'000; ++i) name += "/x";
  EXPECT_FALSE(CheckName(name).ok());
  EXPECT_TRUE(CheckName(name.substr(0, 1'023)).ok()) << "512 of them fit";
}

}  // namespace
}  // namespace p2p
