#include "daemon/engine/download_target.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"

namespace p2p::engine {
namespace {

using ::testing::HasSubstr;
using testing_support::TempDir;

const std::string kId(64, 'a');
const std::string kMagnet = absl::StrCat("magnet:?xt=urn:btmh:1220", kId, "&dn=report.pdf");

class DownloadTargetTest : public ::testing::Test {
 protected:
  // "PLACE" below the directory, or the reason against it.
  std::string Resolve(const std::string& wanted, const std::string& source,
                      const std::string& manifest_name) {
    const auto target = ResolveTarget(files_, directory_ / wanted, source, manifest_name);
    if (!target.ok()) return std::string(target.status().message());
    return target->substr(directory_.path().size() + 1);
  }

  TempDir directory_;
  store::FileSystem* const files_ = store::SystemFiles();
};

TEST_F(DownloadTargetTest, V14_ByNameItIsCalledWhatWasAskedFor) {
  std::filesystem::create_directory(directory_ / "in");
  for (const char* wanted : {"in/", "in"}) {
    EXPECT_EQ(Resolve(wanted, "report.pdf", ".bash_login"), "in/report.pdf");
    EXPECT_EQ(Resolve(wanted, "share/deep/one.bin", "other"), "in/one.bin");
    EXPECT_EQ(Resolve(wanted, ".hidden", "shown"), "in/.hidden") << "the user typed the dot";
  }
}

TEST_F(DownloadTargetTest, V14_ByIdOrMagnetLinkItIsCalledWhatItsManifestSays) {
  std::filesystem::create_directory(directory_ / "in");
  for (const std::string& source : {kId, kMagnet}) {
    EXPECT_EQ(Resolve("in/", source, "film.bin"), "in/film.bin");
    EXPECT_EQ(Resolve("in", source, "film.bin"), "in/film.bin");
  }
}

TEST_F(DownloadTargetTest, V14_ALeadingDotIsTakenOnlyFromTheUser) {
  std::filesystem::create_directory(directory_ / "in");
  for (const std::string& source : {kId, kMagnet}) {
    for (const char* wanted : {"in/", "in", "new/"}) {
      EXPECT_THAT(Resolve(wanted, source, ".ssh"), HasSubstr("-o PATH")) << wanted;
      EXPECT_THAT(Resolve(wanted, source, ".bash_login"), HasSubstr("\".bash_login\"")) << wanted;
    }
    EXPECT_EQ(Resolve("in/.bash_login", source, ".bash_login"), "in/.bash_login");
    EXPECT_EQ(Resolve("in/login", source, ".bash_login"), "in/login");
  }
  EXPECT_FALSE(std::filesystem::exists(directory_ / "new"))
      << "nothing is made for what is refused";
}

TEST_F(DownloadTargetTest, ASlashAtTheEndMakesTheDirectory) {
  EXPECT_EQ(Resolve("a/b/", kId, "film.bin"), "a/b/film.bin");
  EXPECT_TRUE(std::filesystem::is_directory(directory_ / "a/b"));
  EXPECT_THAT(Resolve("c/d", kId, "film.bin"), HasSubstr("the directory for the download"));
}

}  // namespace
}  // namespace p2p::engine
