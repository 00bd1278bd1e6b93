#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/base/limits.h"
#include "core/content/manifest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/content/content_fixtures.h"

namespace p2p::content {
namespace {

using testing::HasSubstr;

std::string Refusal(const std::string& info) {
  const absl::Status status = Manifest::Parse(info).status();
  if (status.ok()) return "(accepted)";
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  return std::string(status.message());
}

std::string OneFile(absl::string_view entry) { return Info(absl::StrCat("d1:f", entry, "e"), "f"); }

const std::string kRoot = absl::StrCat("11:pieces root32:", std::string(32, 'r'));

TEST(ManifestParse, TellsAFileFromADirectory) {
  const absl::StatusOr<Manifest> file = Manifest::Parse(OneFile(FileEntry(5)));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_FALSE(file->layout().is_directory());

  const absl::StatusOr<Manifest> one =
      Manifest::Parse(Info(absl::StrCat("d1:g", FileEntry(5), "e"), "f"));
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_TRUE(one->layout().is_directory());
  EXPECT_EQ(one->layout().file(FileIndex(0)).path, "g");

  const absl::StatusOr<Manifest> nested =
      Manifest::Parse(Info(absl::StrCat("d1:fd1:f", FileEntry(5), "ee"), "f"));
  ASSERT_TRUE(nested.ok()) << nested.status();
  EXPECT_TRUE(nested->layout().is_directory());
  EXPECT_EQ(nested->layout().file(FileIndex(0)).path, "f/f");
}

TEST(ManifestParse, KeepsUnknownKeysBecauseTheyArePartOfTheContentId) {
  const std::string tree = absl::StrCat("d1:f", FileEntry(5), "e");
  const std::string info = Info(tree, "f", "7:privatei1e6:sourcel1:xe");
  const absl::StatusOr<Manifest> parsed = Manifest::Parse(info);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->info(), info);
  EXPECT_NE(parsed->content_id(), Manifest::Parse(Info(tree, "f"))->content_id());
  EXPECT_THAT(Refusal(Info(tree, "f", "6:source1:x7:privatei1e")), HasSubstr("sorted"));
}

TEST(ManifestParse, TakesAttributesThatItDoesNotKnow) {
  const auto with = [](absl::string_view attributes) {
    return Manifest::Parse(
        OneFile(absl::StrCat("d0:d4:attr", Bencoded(attributes), "6:lengthi0eee")));
  };
  EXPECT_FALSE(with("h")->layout().file(FileIndex(0)).executable);
  EXPECT_TRUE(with("hx")->layout().file(FileIndex(0)).executable);
  EXPECT_THAT(std::string(with("l").status().message()), HasSubstr("symbolic links"));
  EXPECT_THAT(std::string(with("xl").status().message()), HasSubstr("symbolic links"));
  EXPECT_THAT(std::string(with("p").status().message()), HasSubstr("pad files"));
}

TEST(ManifestParse, C14_RefusesWhatIsMissingOrWrong) {
  const std::string tree = absl::StrCat("d1:f", FileEntry(5), "e");
  const std::string good = Info(tree, "f");
  ASSERT_TRUE(Manifest::Parse(good).ok());
  const auto without = [&](absl::string_view part, absl::string_view instead = "") {
    const std::string info = absl::StrReplaceAll(good, {{part, instead}});
    EXPECT_NE(info, good) << part;
    return Refusal(info);
  };
  EXPECT_THAT(without(absl::StrCat("9:file tree", tree)), HasSubstr("file tree"));
  EXPECT_THAT(without("12:meta versioni2e"), HasSubstr("meta version"));
  EXPECT_THAT(without("12:meta versioni2e", "12:meta versioni1e"), HasSubstr("meta version"));
  EXPECT_THAT(without("12:meta versioni2e", "12:meta version1:2"), HasSubstr("an integer"));
  EXPECT_THAT(without("4:name1:f"), HasSubstr("no name"));
  EXPECT_THAT(without("4:name1:f", "4:namei1e"), HasSubstr("a string"));
  EXPECT_THAT(without("12:piece lengthi524288e"), HasSubstr("piece length"));
  EXPECT_THAT(without("i524288e", "i262144e"), HasSubstr("262144"));
  EXPECT_THAT(without("i524288e", "i-1e"), HasSubstr("piece length"));
  EXPECT_THAT(without(kRoot), HasSubstr("no pieces root"));
  EXPECT_THAT(without("6:lengthi5e"), HasSubstr("no length"));
  EXPECT_THAT(without(kRoot, absl::StrCat("11:pieces root31:", std::string(31, 'r'))),
              HasSubstr("32 bytes"));
  EXPECT_THAT(without("i5e", "i0e"), HasSubstr("empty file has a pieces root"));
}

TEST(ManifestParse, C14_RefusesTreesThatAreNone) {
  for (absl::string_view tree : {"de", "d1:fdee", "d1:flee", "d1:fi1ee", "le", "i1e", "1:x",
                                 "d1:fd0:i1eee", "d1:fd0:leee", "d0:d6:lengthi0eee"}) {
    EXPECT_NE(Refusal(Info(tree, "f")), "(accepted)") << tree;
  }
  EXPECT_THAT(Refusal(Info("d1:fd0:d6:lengthi0ee1:gd0:d6:lengthi0eeeee", "f")), HasSubstr("both"));
  EXPECT_THAT(Refusal(Info("d1:fd0:d6:lengthi0eee1:fd0:d6:lengthi0eeee", "f")), HasSubstr("twice"));
  EXPECT_THAT(Refusal(Info("d1:gd0:d6:lengthi0eee1:fd0:d6:lengthi0eeee", "f")),
              HasSubstr("sorted"));
}

TEST(ManifestParse, C14_RefusesEveryTruncationAndWhatFollows) {
  const std::string info =
      Info(absl::StrCat("d1:ad1:b", FileEntry(5), "e1:c", FileEntry(0), "e"), "dir");
  ASSERT_TRUE(Manifest::Parse(info).ok());
  for (size_t length = 0; length < info.size(); ++length) {
    EXPECT_FALSE(Manifest::Parse(info.substr(0, length)).ok()) << "first " << length << " bytes";
  }
  EXPECT_FALSE(Manifest::Parse(info + "e").ok());
  EXPECT_FALSE(Manifest::Parse(info + '\0').ok());
}

// Any change either is refused or gives another content id: nothing is passed over.
TEST(ManifestParse, C14_EveryFlippedBitIsRefusedOrChangesTheContentId) {
  const std::string info =
      Info(absl::StrCat("d1:ad1:b", FileEntry(5), "e1:c", FileEntry(0), "e"), "dir");
  const ContentId id = Manifest::Parse(info)->content_id();
  for (size_t i = 0; i < info.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = info;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      const absl::StatusOr<Manifest> parsed = Manifest::Parse(flipped);
      if (parsed.ok()) {
        EXPECT_NE(parsed->content_id(), id) << "byte " << i << " bit " << bit;
      }
    }
  }
}

TEST(ManifestParse, T09_LengthsEndAt2To50) {
  const auto with = [](absl::string_view length) {
    return Refusal(OneFile(absl::StrCat("d0:d6:lengthi", length, "e", kRoot, "ee")));
  };
  EXPECT_EQ(with("1125899906842623"), "(accepted)");
  EXPECT_EQ(with("1125899906842624"), "(accepted)");
  for (absl::string_view bad :
       {"1125899906842625", "9223372036854775807", "9223372036854775808", "18446744073709551617",
        "-1", "-1125899906842624", "007", "+5", "1e9", "0x10", ""}) {
    EXPECT_NE(with(bad), "(accepted)") << bad;
  }
}

TEST(ManifestParse, T12_TheTotalOfManyHugeFilesDoesNotWrap) {
  std::string tree = "d";
  for (int i = 0; i < 100; ++i)
    absl::StrAppend(&tree, "3:", 100 + i, FileEntry(limits::kMaxFileBytes));
  EXPECT_THAT(Refusal(Info(tree + "e", "dir")), HasSubstr("at most"));
}

TEST(ManifestParse, T05_T06_RefusesNamesThatAreNotLegal) {
  const std::vector<std::string> bad = {"",
                                        ".",
                                        "..",
                                        "a/b",
                                        "/etc",
                                        "../x",
                                        std::string("a\0b", 3),
                                        "a\rb",
                                        "a\nb",
                                        "a\x1b[0m",
                                        "a\x7f",
                                        "a\xe2\x80\xae"
                                        "b",
                                        "\xff",
                                        "\xc0\xaf",
                                        "\xed\xa0\x80"};
  for (const std::string& name : bad) {
    const std::string entry = Bencoded(name) + FileEntry(1);
    EXPECT_NE(Refusal(Info(absl::StrCat("d", entry, "e"), "dir")), "(accepted)") << name;
    EXPECT_NE(Refusal(Info(absl::StrCat("d1:dd", entry, "ee"), "dir")), "(accepted)") << name;
    EXPECT_NE(Refusal(Info(absl::StrCat("d1:f", FileEntry(1), "e"), name)), "(accepted)") << name;
    EXPECT_NE(Refusal(Info(absl::StrCat("d", entry, "e"), name)), "(accepted)") << name;
  }
}

TEST(ManifestParse, T08_NamesAndDepthAtTheirLimits) {
  const auto nested = [](int components) {
    std::string tree = FileEntry(1);
    for (int i = 0; i < components; ++i) tree = absl::StrCat("d1:x", tree, "e");
    return Refusal(Info(tree, "dir"));
  };
  EXPECT_EQ(nested(limits::kMaxPathDepth - 1), "(accepted)");
  EXPECT_EQ(nested(limits::kMaxPathDepth), "(accepted)");
  EXPECT_THAT(nested(limits::kMaxPathDepth + 1), HasSubstr("components"));
  EXPECT_THAT(nested(10'000), HasSubstr("deep"));

  // "dir/" and four components with their slashes: 4 + 255 + 1 + 255 + 1 + 255 + 1 + n.
  const auto with_last = [](size_t bytes) {
    std::string tree = Bencoded(std::string(bytes, 'x')) + FileEntry(1);
    for (int i = 0; i < 3; ++i)
      tree = absl::StrCat(Bencoded(std::string(255, 'd')), "d", tree, "e");
    return Refusal(Info(absl::StrCat("d", tree, "e"), "dir"));
  };
  EXPECT_EQ(with_last(251), "(accepted)");
  EXPECT_EQ(with_last(252), "(accepted)");
  EXPECT_THAT(with_last(253), HasSubstr("1024"));
  EXPECT_THAT(with_last(256), HasSubstr("255"));
}

TEST(ManifestParse, C14_SizeOfTheDictionaryAtItsLimit) {
  const std::string tree = absl::StrCat("d1:f", FileEntry(1), "e");
  const auto of_size = [&](size_t bytes) {
    const size_t padding = bytes - Info(tree, "f", "1:z12345678:").size();
    return Refusal(Info(tree, "f", absl::StrCat("1:z", padding, ":", std::string(padding, 'p'))));
  };
  EXPECT_EQ(of_size(limits::kMaxManifestBytes - 1), "(accepted)");
  EXPECT_EQ(of_size(limits::kMaxManifestBytes), "(accepted)");
  EXPECT_THAT(of_size(limits::kMaxManifestBytes + 1), HasSubstr("larger than 64 MiB"));
}

TEST(ManifestParse, C14_NumberOfFilesAtItsLimit) {
  const auto of_files = [](uint32_t count) {
    std::string tree = "d";
    const std::string entry = FileEntry(0);
    for (uint32_t i = 0; i < count; ++i) absl::StrAppend(&tree, "8:", 10'000'000 + i, entry);
    return Refusal(Info(tree + "e", "dir"));
  };
  EXPECT_EQ(of_files(limits::kMaxFiles - 1), "(accepted)");
  EXPECT_EQ(of_files(limits::kMaxFiles), "(accepted)");
  EXPECT_THAT(of_files(limits::kMaxFiles + 1), HasSubstr("more than 1000000 files"));
}

}  // namespace
}  // namespace p2p::content
