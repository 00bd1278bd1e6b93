#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "daemon/store/file_system.h"
#include "daemon/store/open_files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"

namespace p2p::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::IsThere;
using testing_support::ReadFile;
using testing_support::TempDir;
using testing_support::WriteFile;

absl::Span<const uint8_t> Bytes(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

class SystemFilesTest : public testing::Test {
 protected:
  SystemFilesTest() {
    auto opened = SystemFiles()->OpenRoot(dir_.path());
    EXPECT_TRUE(opened.ok()) << opened.status();
    root_ = *std::move(opened);
  }

  TempDir dir_;
  std::unique_ptr<Directory> root_;
};

TEST_F(SystemFilesTest, WritesAndReadsWhatWasWritten) {
  auto file = root_->CreateNew("file");
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE((*file)->Truncate(10).ok());
  ASSERT_TRUE((*file)->Allocate(0, 10).ok());
  ASSERT_TRUE((*file)->WriteAt(6, Bytes("data")).ok());
  (*file)->StartWriteBack();
  ASSERT_TRUE((*file)->SyncData().ok());
  std::vector<uint8_t> data(10);
  ASSERT_TRUE((*file)->ReadAt(0, absl::MakeSpan(data)).ok());
  EXPECT_EQ(std::string(data.begin(), data.end()), std::string(6, '\0') + "data");
  EXPECT_EQ((*file)->Info()->identity.size, 10u);
  EXPECT_EQ(root_->CreateNew("file").status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(SystemFilesTest, AllocatingDoesNotChangeTheLength) {
  auto file = *root_->CreateNew("file");
  ASSERT_TRUE(file->Allocate(0, 1 << 20).ok());
  EXPECT_EQ(file->Info()->identity.size, 0u);
}

TEST_F(SystemFilesTest, AReadBeyondTheEndIsOutOfRange) {
  WriteFile(dir_ / "file", "12345");
  auto file = *root_->OpenRead("file");
  std::vector<uint8_t> data(6);
  EXPECT_TRUE(absl::IsOutOfRange(file->ReadAt(0, absl::MakeSpan(data))));
  EXPECT_TRUE(absl::IsOutOfRange(file->ReadAhead(0, 6)));
  EXPECT_TRUE(file->ReadAhead(0, 5).ok());
  EXPECT_TRUE(file->ReadAhead(5, 0).ok());
}

TEST_F(SystemFilesTest, NextDataSkipsHoles) {
  auto file = *root_->CreateNew("file");
  ASSERT_TRUE(file->Truncate(64 << 20).ok());
  EXPECT_EQ(*file->NextData(0), uint64_t{64 << 20});
  ASSERT_TRUE(file->WriteAt(32 << 20, Bytes("x")).ok());
  const auto next = file->NextData(0);
  ASSERT_TRUE(next.ok());
  EXPECT_LE(*next, uint64_t{32 << 20});
  EXPECT_GT(*next, uint64_t{16 << 20}) << "a file system without holes";
}

TEST_F(SystemFilesTest, MakingAnExecutableFollowsTheReadBits) {
  WriteFile(dir_ / "file", "x");
  ASSERT_EQ(::chmod((dir_ / "file").c_str(), 0640), 0);
  auto file = *root_->OpenReadWrite("file");
  ASSERT_TRUE(file->SetExecutable().ok());
  ASSERT_TRUE(file->SyncData().ok());
  EXPECT_EQ(root_->Info("file")->mode, 0750u);
}

TEST_F(SystemFilesTest, ListsSortedWithoutTheDots) {
  for (const char* name : {"b", "a", ".hidden"}) WriteFile(dir_ / name, "");
  EXPECT_THAT(*root_->List(), ElementsAre(".hidden", "a", "b"));
  EXPECT_THAT(*root_->List(), ElementsAre(".hidden", "a", "b"));
}

TEST_F(SystemFilesTest, MakesDirectoriesOnceAndRefusesFilesInTheirPlace) {
  EXPECT_TRUE(root_->MakeDirectory("d").ok());
  EXPECT_TRUE(root_->MakeDirectory("d").ok());
  EXPECT_TRUE(root_->MakeDirectory("d/e").ok());
  EXPECT_TRUE(absl::IsNotFound(root_->MakeDirectory("x/e")));
  WriteFile(dir_ / "file", "");
  EXPECT_TRUE(absl::IsFailedPrecondition(root_->MakeDirectory("file")));
  ASSERT_EQ(::symlink("d", (dir_ / "link").c_str()), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(root_->MakeDirectory("link")));
}

TEST_F(SystemFilesTest, RemovesAFullDirectoryNever) {
  ASSERT_TRUE(root_->MakeDirectory("d").ok());
  WriteFile(dir_ / "d/file", "x");
  EXPECT_TRUE(absl::IsAlreadyExists(root_->Remove("d", true)));
  EXPECT_TRUE(root_->Remove("d/file", false).ok());
  EXPECT_TRUE(root_->Remove("d", true).ok());
  EXPECT_TRUE(root_->Sync().ok());
}

TEST_F(SystemFilesTest, P13_OnlyRegularFilesAreOpened) {
  ASSERT_EQ(::mkfifo((dir_ / "fifo").c_str(), 0644), 0);
  ASSERT_EQ(::mkdir((dir_ / "directory").c_str(), 0755), 0);
  ASSERT_EQ(::symlink("/dev/null", (dir_ / "link").c_str()), 0);
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, (dir_ / "socket").c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(listener, reinterpret_cast<struct sockaddr*>(&address), sizeof address), 0);
  // None of these may block.
  for (const char* name : {"fifo", "directory", "link", "socket"}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(root_->OpenRead(name).status()))
        << name << ": " << root_->OpenRead(name).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(root_->OpenReadWrite(name).status()))
        << name << ": " << root_->OpenReadWrite(name).status();
  }
  ::close(listener);
  auto devices = SystemFiles()->OpenRoot("/dev");
  ASSERT_TRUE(devices.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition((*devices)->OpenRead("null").status()));
  EXPECT_TRUE(absl::IsFailedPrecondition((*devices)->OpenRead("zero").status()));
}

TEST_F(SystemFilesTest, S08_ErrorsNameThePathAndTheReason) {
  WriteFile(dir_ / "file", "x");
  const auto below_file = root_->OpenRead("file/x").status();
  EXPECT_THAT(std::string(below_file.message()), HasSubstr("file/x"));
  EXPECT_TRUE(absl::IsFailedPrecondition(below_file)) << below_file;
  const auto long_name = root_->CreateNew(std::string(256, 'x')).status();
  EXPECT_THAT(std::string(long_name.message()), HasSubstr("too long"));
  EXPECT_TRUE(root_->CreateNew(std::string(255, 'x')).ok());
  EXPECT_TRUE(absl::IsNotFound(root_->OpenRead("none").status()));
  EXPECT_TRUE(absl::IsNotFound(SystemFiles()->OpenRoot(dir_ / "none").status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(SystemFiles()->OpenRoot(dir_ / "file").status()));
}

TEST_F(SystemFilesTest, S08_MessagesShowControlCharactersEscaped) {
  const auto status = root_->OpenRead("a\x1b[31mb").status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("\\x1b"));
}

// Permissions do not bind root; the effective user of this thread is another one meanwhile.
TEST_F(SystemFilesTest, S08_DeniedPermissionsAreToldAndNotFatal) {
  WriteFile(dir_ / "secret", "x");
  ASSERT_EQ(::chmod((dir_ / "secret").c_str(), 0), 0);
  ASSERT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
  const bool is_root = ::geteuid() == 0;
  ASSERT_EQ(is_root ? ::seteuid(65534) : 0, 0);
  const absl::Status read = root_->OpenRead("secret").status();
  const absl::Status made = root_->CreateNew("new").status();
  ASSERT_EQ(is_root ? ::seteuid(0) : 0, 0);
  EXPECT_TRUE(absl::IsPermissionDenied(read)) << read;
  EXPECT_EQ(absl::IsPermissionDenied(made), is_root) << made;
}

TEST_F(SystemFilesTest, S08_AFileSizeLimitIsAnErrorAndNotASignal) {
  auto file = *root_->CreateNew("file");
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit old_limit;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  struct rlimit small = old_limit;
  small.rlim_cur = 4096;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status fits = file->WriteAt(4092, Bytes("1234"));
  const absl::Status beyond = file->WriteAt(4096, Bytes("x"));
  ::setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_TRUE(fits.ok()) << fits;
  EXPECT_TRUE(absl::IsFailedPrecondition(beyond)) << beyond;
}

TEST_F(SystemFilesTest, S16_WhenDescriptorsRunOutKeptFilesAreClosedAndTheOpenSucceeds) {
  WriteFile(dir_ / "file", "x");
  OpenFiles& kept = OpenFiles::OfProcess();
  const uint64_t owner = kept.NewOwner();
  for (uint32_t i = 0; i < 8; ++i) kept.KeepFile(owner, FileIndex(i), *root_->OpenRead("file"));
  // The limit is set to the lowest descriptor that is free: not one more can be opened.
  const int lowest = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(lowest, 0);
  ::close(lowest);
  struct rlimit old_limit;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old_limit), 0);
  struct rlimit small = old_limit;
  small.rlim_cur = static_cast<rlim_t>(lowest);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &small), 0);
  const auto first = root_->OpenRead("file");
  kept.CloseAll();
  std::vector<std::unique_ptr<File>> many;
  absl::Status exhausted;
  while (exhausted.ok() && many.size() < 100) {
    auto file = root_->OpenRead("file");
    exhausted = file.status();
    if (file.ok()) many.push_back(*std::move(file));
  }
  ::setrlimit(RLIMIT_NOFILE, &old_limit);
  kept.DropOwner(owner);
  EXPECT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE(absl::IsUnavailable(exhausted)) << exhausted;
  EXPECT_THAT(std::string(exhausted.message()), HasSubstr("too many open files"));
}

TEST(OpenFiles, S16_TheLongestUnusedIsClosedFirst) {
  TempDir dir;
  WriteFile(dir / "file", "x");
  auto root = *SystemFiles()->OpenRoot(dir.path());
  OpenFiles files(2);
  files.KeepFile(1, FileIndex(0), *root->OpenRead("file"));
  files.KeepFile(1, FileIndex(1), *root->OpenRead("file"));
  EXPECT_NE(files.FindFile(1, FileIndex(0)), nullptr);
  files.KeepFile(2, FileIndex(0), *root->OpenRead("file"));
  EXPECT_NE(files.FindFile(1, FileIndex(0)), nullptr);
  EXPECT_EQ(files.FindFile(1, FileIndex(1)), nullptr);
  EXPECT_NE(files.FindFile(2, FileIndex(0)), nullptr);
  files.DropOwner(1);
  EXPECT_EQ(files.FindFile(1, FileIndex(0)), nullptr);
  EXPECT_TRUE(files.CloseAll());
  EXPECT_FALSE(files.CloseAll());
}

TEST(OpenFiles, AFileInUseOutlivesItsPlaceInTheCache) {
  TempDir dir;
  WriteFile(dir / "file", "x");
  auto root = *SystemFiles()->OpenRoot(dir.path());
  OpenFiles files(2);
  files.KeepFile(1, FileIndex(0), *root->OpenRead("file"));
  const auto used = files.FindFile(1, FileIndex(0));
  files.CloseAll();
  uint8_t byte = 0;
  EXPECT_TRUE(used->ReadAt(0, absl::MakeSpan(&byte, 1)).ok());
  EXPECT_EQ(byte, 'x');
}

}  // namespace
}  // namespace p2p::store
