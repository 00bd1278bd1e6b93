#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "daemon/store/file_chunk_manager.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/store/store_test_support.h"

namespace p2p::store {
namespace {

using testing::HasSubstr;
using testing_support::TempDir;
using testing_support::WriteFile;

std::string Refusal(const std::string& path, const std::string& name = "share") {
  const auto scanned = ScanShare(SystemFiles(), path, name);
  EXPECT_TRUE(absl::IsInvalidArgument(scanned.status())) << scanned.status();
  return std::string(scanned.status().message());
}

TEST(ScanShare, AFileIsAShareOfOneFileUnderTheGivenName) {
  TempDir dir;
  WriteFile(dir / "file.txt", "12345");
  const auto scanned = ScanShare(SystemFiles(), dir / "file.txt", "other name");
  ASSERT_TRUE(scanned.ok()) << scanned.status();
  EXPECT_FALSE(scanned->layout->is_directory());
  EXPECT_EQ(scanned->layout->name(), "other name");
  EXPECT_EQ(scanned->layout->total_bytes(), ByteCount(5));
  ASSERT_EQ(scanned->identities.size(), 1u);
  EXPECT_EQ(scanned->identities[0].size, 5u);
}

TEST(ScanShare, ADirectoryIsListedToItsDepthInManifestOrder) {
  TempDir dir;
  std::filesystem::create_directories(dir / "share/a/b");
  std::filesystem::create_directories(dir / "share/empty");
  WriteFile(dir / "share/a/b/deep", "1");
  WriteFile(dir / "share/a.b", "22");
  WriteFile(dir / "share/zero", "");
  ASSERT_EQ(::chmod((dir / "share/a.b").c_str(), 0755), 0);
  const auto scanned = ScanShare(SystemFiles(), dir / "share", "share");
  ASSERT_TRUE(scanned.ok()) << scanned.status();
  const auto& files = scanned->layout->files();
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[0].path, "a/b/deep");
  EXPECT_FALSE(files[0].executable);
  EXPECT_EQ(files[1].path, "a.b");
  EXPECT_TRUE(files[1].executable);
  EXPECT_EQ(files[2].path, "zero");
  EXPECT_EQ(scanned->identities[1].size, 2u);
  EXPECT_EQ(scanned->identities[2].size, 0u);
}

TEST(ScanShare, RefusesSymbolicLinksWithThePathAndAdvice) {
  TempDir dir;
  std::filesystem::create_directories(dir / "share/a");
  WriteFile(dir / "share/file", "1");
  ASSERT_EQ(::symlink("../file", (dir / "share/a/link").c_str()), 0);
  EXPECT_THAT(Refusal(dir / "share"), testing::AllOf(HasSubstr("share/a/link is a symbolic link"),
                                                     HasSubstr("replace it by a copy")));
  EXPECT_THAT(Refusal(dir / "share/a/link"), HasSubstr("is a symbolic link"));
}

TEST(ScanShare, P13_RefusesWhatIsNeitherFileNorDirectory) {
  TempDir dir;
  std::filesystem::create_directories(dir / "share");
  ASSERT_EQ(::mkfifo((dir / "share/fifo").c_str(), 0600), 0);
  EXPECT_THAT(Refusal(dir / "share"), HasSubstr("share/fifo is neither a file nor a directory"));
  EXPECT_THAT(Refusal("/dev/null"), HasSubstr("/dev/null is neither a file nor a directory"));
}

TEST(ScanShare, RefusesIllegalNamesWithAdvice) {
  TempDir dir;
  for (const char* name : {"line\nbreak", "bad\xff", "esc\x1b", "\xe2\x80\xae"}) {
    std::filesystem::create_directories(dir / "share");
    WriteFile(dir / "share/" + name, "1");
    EXPECT_THAT(Refusal(dir / "share"), HasSubstr("rename it")) << name;
    std::filesystem::remove_all(dir / "share");
  }
  WriteFile(dir / "line\nbreak", "1");
  EXPECT_THAT(Refusal(dir / "line\nbreak", "line\nbreak"), HasSubstr("--name"));
  EXPECT_TRUE(ScanShare(SystemFiles(), dir / "line\nbreak", "fine").ok());
}

TEST(ScanShare, RefusesADirectoryWithoutFiles) {
  TempDir dir;
  std::filesystem::create_directories(dir / "share/a/b");
  EXPECT_THAT(Refusal(dir / "share"), HasSubstr("has no files"));
}

TEST(ScanShare, TakesTheDeepestAllowedFileAndRefusesOneDeeper) {
  TempDir dir;
  std::string deepest = dir / "share";
  for (int i = 1; i < limits::kMaxPathDepth; ++i) deepest += "/d";
  std::filesystem::create_directories(deepest);
  WriteFile(deepest + "/file", "1");
  EXPECT_TRUE(ScanShare(SystemFiles(), dir / "share", "share").ok());
  std::filesystem::create_directories(deepest + "/d");
  WriteFile(deepest + "/d/file", "1");
  EXPECT_THAT(Refusal(dir / "share"), HasSubstr("deeper than 100"));
}

TEST(ScanShare, S19_NamesThatDifferOnlyByCaseAreTwoFiles) {
  TempDir dir;
  std::filesystem::create_directories(dir / "share");
  WriteFile(dir / "share/File", "1");
  WriteFile(dir / "share/file", "22");
  const auto scanned = ScanShare(SystemFiles(), dir / "share", "share");
  ASSERT_TRUE(scanned.ok());
  if (scanned->layout->files().size() == 1) GTEST_SKIP() << "the file system does not tell case";
  EXPECT_EQ(scanned->layout->files()[0].path, "File");
  EXPECT_EQ(scanned->layout->files()[1].path, "file");
}

TEST(ScanShare, WhatIsNotThereIsNotFound) {
  TempDir dir;
  EXPECT_TRUE(absl::IsNotFound(ScanShare(SystemFiles(), dir / "none", "none").status()));
  EXPECT_TRUE(absl::IsNotFound(ScanShare(SystemFiles(), dir / "none/none", "none").status()));
}

TEST(ScanShare, S17_ASparseFileOfTheLargestSizeIsScanned) {
  TempDir dir;
  WriteFile(dir / "huge", "");
  if (::truncate((dir / "huge").c_str(), 8LL << 40) != 0)
    GTEST_SKIP() << "the file system is too small";
  const auto scanned = ScanShare(SystemFiles(), dir / "huge", "huge");
  ASSERT_TRUE(scanned.ok()) << scanned.status();
  EXPECT_EQ(scanned->layout->chunk_count(), (uint64_t{8} << 40) / kChunk);
}

}  // namespace
}  // namespace p2p::store
