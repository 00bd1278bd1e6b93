// The p2pctl program against a control server over a fake engine.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <thread>

#include "absl/strings/str_split.h"
#include "ctl/exit_codes.h"
#include "ctl/json.h"
#include "daemon/control/control_server.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_transfer_service.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

namespace p2p::ctl {
namespace {

using control::ControlServer;
using control::ControlSocket;
using engine::TransferKind;
using engine::TransferState;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using testing_support::FakeTransferService;
using testing_support::MakeTransfer;
using testing_support::Program;
using testing_support::TempDir;

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

class P2pctlTest : public ::testing::Test {
 protected:
  std::vector<std::string> Words(std::vector<std::string> words) {
    words.insert(words.begin(), {P2PCTL_PROGRAM, "--socket", path_});
    return words;
  }
  Outcome Run(std::vector<std::string> words) {
    Program program(Words(std::move(words)));
    const int code = program.Wait();
    return {code, program.out(), program.err()};
  }
  // A socket at `path_` that is not a daemon's: answers each connection with `greeting` and closes
  // it.
  void ServeGreeting(const std::string& greeting) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(listener, 1), 0);
    greeter_ = std::thread([listener, greeting] {
      const int fd = accept(listener, nullptr, nullptr);
      send(fd, greeting.data(), greeting.size(), MSG_NOSIGNAL);
      close(fd);
      close(listener);
    });
  }
  ~P2pctlTest() override {
    if (greeter_.joinable()) greeter_.join();
  }

  TempDir directory_;
  const std::string path_ = directory_ / "p2pd.sock";
  std::thread greeter_;
};

TEST_F(P2pctlTest, G12_WithoutADaemonItExits69AndSaysHowToStartOne) {
  for (const auto& words : std::vector<std::vector<std::string>>{{"status"},
                                                                 {"list"},
                                                                 {"share", "/etc/hosts"},
                                                                 {"get", "x"},
                                                                 {"watch"},
                                                                 {"stop"},
                                                                 {"peers", "1"},
                                                                 {"pause", "1"},
                                                                 {"resume", "1"},
                                                                 {"remove", "1"},
                                                                 {"verify", "1"}}) {
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.code, kNotRunning) << words[0];
    EXPECT_THAT(outcome.err, HasSubstr("start it with: p2pd")) << words[0];
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_EQ(outcome.out, "");
  }
}

TEST_F(P2pctlTest, G12_AStaleSocketIsNoDaemonEither) {
  ServeGreeting("");
  EXPECT_EQ(Run({"status"}).code, kNotRunning);  // closed at once: it is stopping
  greeter_.join();
  const Outcome outcome = Run({"status"});
  EXPECT_EQ(outcome.code, kNotRunning);
  EXPECT_THAT(outcome.err, HasSubstr("not running"));
}

TEST_F(P2pctlTest, G12_ADaemonThatRefusesTheUserMakesItExit77WithItsReason) {
  ServeGreeting("p2pd: not permitted: user 7 may not control this daemon\n");
  const Outcome outcome = Run({"status"});
  EXPECT_EQ(outcome.code, kNotPermitted);
  EXPECT_THAT(outcome.err, HasSubstr("user 7 may not control this daemon; "));
}

TEST_F(P2pctlTest, G12_ASocketThatMayNotBeOpenedMakesItExit77) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  ServeGreeting("");
  const std::string program = directory_ / "p2pctl-copy";
  // The build may lie where only its owner may go.
  std::filesystem::copy_file(P2PCTL_PROGRAM, program);
  ASSERT_EQ(chmod(directory_.path().c_str(), 0755), 0);
  ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
  const pid_t child = fork();
  if (child == 0) {
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(1);
    execl(program.c_str(), "p2pctl", "--socket", path_.c_str(), "status", nullptr);
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), kNotPermitted);
  EXPECT_EQ(Run({"status"}).code, kNotRunning);  // lets the greeter end
}

TEST_F(P2pctlTest, G12_WhatIsNotP2pdMakesItExit65) {
  ServeGreeting("220 mail.example ESMTP\r\n");
  const Outcome outcome = Run({"status"});
  EXPECT_EQ(outcome.code, kNotUnderstood);
  EXPECT_THAT(outcome.err, HasSubstr("is not p2pd"));
}

TEST_F(P2pctlTest, G12_ABusyDaemonIsAFailureThatSaysSo) {
  ServeGreeting("p2pd: busy: too many control connections are open; close some\n");
  const Outcome outcome = Run({"status"});
  EXPECT_EQ(outcome.code, kFailed);
  EXPECT_THAT(outcome.err, HasSubstr("busy"));
}

TEST_F(P2pctlTest, G12_WrongUsageMakesItExit2WithAHint) {
  const Outcome outcome = Run({"get"});
  EXPECT_EQ(outcome.code, kUsage);
  EXPECT_EQ(outcome.err, "p2pctl: get needs SOURCE; see p2pctl help get\n");
  EXPECT_EQ(Run({}).code, kUsage);
  EXPECT_EQ(Run({"nonsense"}).code, kUsage);
  EXPECT_EQ(Run({"help", "nonsense"}).code, kUsage);
}

TEST_F(P2pctlTest, G03_ATooLongSocketPathIsAClearError) {
  Program program({P2PCTL_PROGRAM, "--socket", "/" + std::string(107, 'x'), "status"});
  EXPECT_EQ(program.Wait(), kFailed);
  EXPECT_THAT(program.err(), HasSubstr("107"));
}

TEST_F(P2pctlTest, HelpAndVersionNeedNoDaemon) {
  EXPECT_THAT(Run({"help"}).out, HasSubstr("commands:"));
  EXPECT_THAT(Run({"help", "get"}).out, StartsWith("usage: p2pctl get SOURCE"));
  EXPECT_THAT(Run({"get", "--help"}).out, StartsWith("usage: p2pctl get SOURCE"));
  const Outcome version = Run({"version"});
  EXPECT_EQ(version.code, kDone);
  EXPECT_EQ(version.out, "p2pctl " P2P_VERSION "\np2pd   is not running\n");
  const Json json = Json::parse(Run({"--json", "version"}).out);
  EXPECT_EQ(json["p2pctl"], P2P_VERSION);
  EXPECT_TRUE(json["p2pd"].is_null());
}

TEST_F(P2pctlTest, ItsSocketIsTakenFromTheEnvironment) {
  Program program({P2PCTL_PROGRAM, "status"}, {"P2P_SOCKET=/nowhere/s"});
  EXPECT_EQ(program.Wait(), kNotRunning);
  EXPECT_THAT(program.err(), HasSubstr("/nowhere/s"));
}

// With a daemon.
class P2pctlWithDaemonTest : public P2pctlTest {
 protected:
  P2pctlWithDaemonTest() {
    auto claim = ControlSocket::Claim({path_, ""});
    EXPECT_TRUE(claim.ok()) << claim.status();
    socket_ = *std::move(claim);
    auto server = ControlServer::Serve(socket_.get(), &transfers_, [this] {
      stopper_ = std::thread([this] {
        server_->Stop();
        socket_.reset();
      });
    });
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  ~P2pctlWithDaemonTest() override {
    if (stopper_.joinable()) stopper_.join();
  }
  static std::vector<Json> Objects(const std::string& text) {
    std::vector<Json> out;
    for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
      out.push_back(Json::parse(std::string(line)));
    }
    return out;
  }
  engine::TransferInfo Put(uint64_t id, TransferState state, TransferKind kind) {
    const auto info = MakeTransfer(id, state, kind, "file");
    transfers_.Put(info);
    return info;
  }

  FakeTransferService transfers_;
  std::unique_ptr<ControlSocket> socket_;
  std::unique_ptr<ControlServer> server_;
  std::thread stopper_;
};

TEST_F(P2pctlWithDaemonTest, ShareSendsAnAbsolutePathAndPrintsNameContentIdAndLink) {
  const auto info = Put(1, TransferState::kSeeding, TransferKind::kShare);
  const Outcome outcome = Run({"share", "/usr/../usr/x", "--name", "uno"});
  EXPECT_EQ(outcome.code, kDone) << outcome.err;
  EXPECT_THAT(transfers_.calls(), ElementsAre("share /usr/x uno"));
  EXPECT_THAT(outcome.out, EndsWith("name:        file\ncontent id:  " + info.content_id +
                                    "\nmagnet:      " + info.magnet + "\n"));
  EXPECT_EQ(outcome.err, "");
}

TEST_F(P2pctlWithDaemonTest, ShareWaitsUntilItIsHashed) {
  auto info = MakeTransfer(1, TransferState::kHashing, TransferKind::kShare, "file");
  info.content_id = info.magnet = "";
  transfers_.Put(info);
  Program program(Words({"share", "/srv/file"}));
  ASSERT_TRUE(program.AwaitOutput("hashing"));
  Put(1, TransferState::kSeeding, TransferKind::kShare);
  EXPECT_EQ(program.Wait(), kDone);
  EXPECT_THAT(program.out(), HasSubstr("content id:  aaaa"));
}

TEST_F(P2pctlWithDaemonTest, AShareThatFailsExits1WithTheReason) {
  auto info = MakeTransfer(1, TransferState::kError, TransferKind::kShare, "file");
  info.error = "it holds a symbolic link";
  transfers_.Put(info);
  const Outcome outcome = Run({"share", "/srv/file"});
  EXPECT_EQ(outcome.code, kFailed);
  EXPECT_EQ(outcome.err, "p2pctl: it holds a symbolic link\n");
}

TEST_F(P2pctlWithDaemonTest, GetWaitsAndSaysWhereTheFileIsAndThatItIsVerified) {
  auto info = MakeTransfer(1, TransferState::kDownloading, TransferKind::kDownload, "file");
  info.error = "no peer found yet";
  transfers_.Put(info);
  Program program(Words({"get", "file", "-o", "/tmp/"}));
  ASSERT_TRUE(program.AwaitOutput("(no peer found yet)\n"));
  Put(1, TransferState::kComplete, TransferKind::kDownload);
  EXPECT_EQ(program.Wait(), kDone);
  EXPECT_THAT(transfers_.calls(), ElementsAre("download file /tmp/"));
  EXPECT_THAT(program.out(), HasSubstr("file:        /srv/file\nverified:    yes"));
}

TEST_F(P2pctlWithDaemonTest, GetSaysWhereItWillBeAsSoonAsThatIsKnown) {
  auto info = MakeTransfer(1, TransferState::kQueued, TransferKind::kDownload, "file");
  info.placed = false;
  transfers_.Put(info);
  Program program(Words({"get", "file"}));
  ASSERT_TRUE(program.AwaitOutput("queued"));
  EXPECT_THAT(program.out(), Not(HasSubstr("/srv/file")));
  Put(1, TransferState::kDownloading, TransferKind::kDownload);
  ASSERT_TRUE(program.AwaitOutput("to:          /srv/file\n"));
  Put(1, TransferState::kComplete, TransferKind::kDownload);
  EXPECT_EQ(program.Wait(), kDone);
  EXPECT_EQ(program.out().find("to: "), program.out().rfind("to: ")) << "once";
}

TEST_F(P2pctlWithDaemonTest, D01_GetExits3WhenItIsRefusedAsUnverified) {
  auto info = MakeTransfer(1, TransferState::kError, TransferKind::kDownload, "file");
  info.error = "only original peers have it";
  info.unverified_refused = true;
  transfers_.Put(info);
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"get", "file"}, {"--json", "get", "file"}, {"watch", "1"}}) {
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.code, kUnverified);
    EXPECT_EQ(outcome.err, "p2pctl: only original peers have it\n");
  }
}

TEST_F(P2pctlWithDaemonTest, D01_GetOfWhatIsUnverifiedSucceedsOnlyWhereItWasAllowed) {
  auto info = MakeTransfer(1, TransferState::kComplete, TransferKind::kDownload, "file");
  info.verified = false;
  transfers_.Put(info);
  const Outcome outcome = Run({"get", "file"});
  EXPECT_EQ(outcome.code, kUnverified);
  EXPECT_THAT(outcome.err, HasSubstr("--allow-unverified"));
  EXPECT_EQ(Run({"get", "file", "--allow-unverified"}).code, kDone);
  engine::DaemonInfo daemon;
  daemon.allow_unverified = true;
  transfers_.SetDaemon(daemon);
  EXPECT_EQ(Run({"get", "file"}).code, kDone);
  EXPECT_THAT(transfers_.calls(),
              ElementsAre("download file ", "download file  allow unverified", "download file "));
}

TEST_F(P2pctlWithDaemonTest, GetWithJsonPrintsProgressObjectsAndEndsWithTheFinalOne) {
  Put(1, TransferState::kDownloading, TransferKind::kDownload);
  Program program(Words({"get", "file", "--json"}));
  ASSERT_TRUE(program.AwaitOutput("downloading"));
  Put(1, TransferState::kComplete, TransferKind::kDownload);
  EXPECT_EQ(program.Wait(), kDone);
  const std::vector<Json> objects = Objects(program.out());
  ASSERT_GE(objects.size(), 2u);
  EXPECT_EQ(objects.front()["state"], "downloading");
  EXPECT_EQ(objects.back()["state"], "complete");
  EXPECT_EQ(objects.back()["path"], "/srv/file");
}

TEST_F(P2pctlWithDaemonTest, GetThatFailsLaterExits1AndItsLastObjectSaysWhy) {
  Put(1, TransferState::kDownloading, TransferKind::kDownload);
  Program program(Words({"--json", "get", "file"}));
  ASSERT_TRUE(program.AwaitOutput("downloading"));
  auto info = MakeTransfer(1, TransferState::kError, TransferKind::kDownload, "file");
  info.error = "/srv/file is there already";
  transfers_.Put(info);
  EXPECT_EQ(program.Wait(), kFailed);
  EXPECT_EQ(program.err(), "p2pctl: /srv/file is there already\n");
  EXPECT_EQ(Objects(program.out()).back()["error"], "/srv/file is there already");
}

TEST_F(P2pctlWithDaemonTest, GetThatIsRefusedExits1WithTheReason) {
  transfers_.AnswerWith(absl::AlreadyExistsError("/srv/file is there already"));
  const Outcome outcome = Run({"get", "file"});
  EXPECT_EQ(outcome.code, kFailed);
  EXPECT_EQ(outcome.err, "p2pctl: /srv/file is there already\n");
}

TEST_F(P2pctlWithDaemonTest, TheDaemonsUnavailableIsNotTakenForItsAbsence) {
  transfers_.AnswerWith(absl::UnavailableError("too many open files"));
  EXPECT_EQ(Run({"get", "file"}).code, kFailed);
}

TEST_F(P2pctlWithDaemonTest, GetDetachedReturnsAtOnceWithTheTransfer) {
  Put(1, TransferState::kQueued, TransferKind::kDownload);
  const Outcome outcome = Run({"get", "file", "--detach"});
  EXPECT_EQ(outcome.code, kDone);
  EXPECT_THAT(outcome.out, HasSubstr("p2pctl watch 1"));
  EXPECT_EQ(Objects(Run({"--json", "get", "file", "--detach"}).out).at(0)["id"], "1");
}

TEST_F(P2pctlWithDaemonTest, CtrlCDuringGetLeavesTheDownloadAndSaysSo) {
  Put(1, TransferState::kDownloading, TransferKind::kDownload);
  Program program(Words({"get", "file"}));
  ASSERT_TRUE(program.AwaitOutput("downloading"));
  program.Signal(SIGINT);
  EXPECT_EQ(program.Wait(), kInterrupted);
  EXPECT_THAT(program.err(), HasSubstr("goes on in the daemon; p2pctl watch 1 follows it"));
  EXPECT_THAT(transfers_.calls(), ElementsAre("download file "));
}

TEST_F(P2pctlWithDaemonTest, GetWhoseTransferIsRemovedByAnotherExits1) {
  Put(1, TransferState::kDownloading, TransferKind::kDownload);
  Program program(Words({"get", "file"}));
  ASSERT_TRUE(program.AwaitOutput("downloading"));
  transfers_.Erase(1);
  EXPECT_EQ(program.Wait(), kFailed);
  EXPECT_THAT(program.err(), HasSubstr("was removed by someone else"));
}

TEST_F(P2pctlWithDaemonTest, GetWhoseDaemonGoesExits69) {
  Put(1, TransferState::kDownloading, TransferKind::kDownload);
  Program program(Words({"get", "file"}));
  ASSERT_TRUE(program.AwaitOutput("downloading"));
  server_->Stop();
  EXPECT_EQ(program.Wait(), kNotRunning);
  EXPECT_THAT(program.err(), HasSubstr("start p2pd again"));
}

TEST_F(P2pctlWithDaemonTest, ListPrintsAllOfThemAcrossPages) {
  for (uint64_t id = 1; id <= 1'500; ++id) Put(id, TransferState::kPaused, TransferKind::kShare);
  const std::vector<Json> objects = Objects(Run({"--json", "list"}).out);
  ASSERT_EQ(objects.size(), 1'500u);
  EXPECT_EQ(objects.back()["id"], "1500");
}

TEST_F(P2pctlWithDaemonTest, ListOfNothingSaysWhatToDo) {
  EXPECT_THAT(Run({"list"}).out, HasSubstr("p2pctl share PATH"));
  EXPECT_EQ(Run({"--json", "list"}).out, "");
}

TEST_F(P2pctlWithDaemonTest, StatusShowsTheDaemonOrOneTransfer) {
  engine::DaemonInfo daemon;
  daemon.version = "9.9.9";
  daemon.listen = "0.0.0.0:9001";
  transfers_.SetDaemon(daemon);
  Put(1, TransferState::kSeeding, TransferKind::kShare);
  EXPECT_THAT(Run({"status"}).out, HasSubstr("0.0.0.0:9001"));
  EXPECT_EQ(Objects(Run({"--json", "status"}).out).at(0)["version"], "9.9.9");
  EXPECT_THAT(Run({"status", "file"}).out, HasSubstr("path:        /srv/file\n"));
  EXPECT_EQ(Objects(Run({"status", "1", "--json"}).out).at(0)["state"], "seeding");
  const Outcome unknown = Run({"status", "77"});
  EXPECT_EQ(unknown.code, kFailed);
  EXPECT_THAT(unknown.err, HasSubstr("p2pctl list"));
  EXPECT_EQ(Run({"status", "\xff"}).code, kFailed);
  EXPECT_EQ(Run({"version"}).out, "p2pctl " P2P_VERSION "\np2pd   9.9.9\n");
}

TEST_F(P2pctlWithDaemonTest, PeersShowsWhoTheyAre) {
  Put(1, TransferState::kDownloading, TransferKind::kDownload);
  EXPECT_THAT(Run({"peers", "1"}).out, HasSubstr("no peers"));
  engine::PeerInfo peer;
  peer.address = "10.0.0.1:9001";
  peer.original = true;
  transfers_.SetPeers({peer});
  EXPECT_THAT(Run({"peers", "1"}).out, HasSubstr("original protocol"));
  EXPECT_EQ(Objects(Run({"peers", "1", "--json"}).out).at(0)["address"], "10.0.0.1:9001");
}

TEST_F(P2pctlWithDaemonTest, ChangesArePassedOn) {
  Put(1, TransferState::kPaused, TransferKind::kDownload);
  EXPECT_EQ(Run({"pause", "1"}).out, "paused 1 (file)\n");
  EXPECT_EQ(Run({"resume", "file"}).out, "resumed 1 (file)\n");
  EXPECT_EQ(Run({"verify", "1"}).code, kDone);
  EXPECT_EQ(Run({"remove", "1", "--with-data"}).out, "removed 1 (file)\n");
  EXPECT_EQ(Run({"remove", "1"}).code, kFailed);
  EXPECT_THAT(transfers_.calls(),
              ElementsAre("pause 1", "resume 1", "verify 1", "remove 1 with data"));
}

TEST_F(P2pctlWithDaemonTest, VerifyWaitsForTheOutcome) {
  Put(1, TransferState::kChecking, TransferKind::kShare);
  Program program(Words({"verify", "1"}));
  ASSERT_TRUE(program.AwaitOutput("checking"));
  auto info = MakeTransfer(1, TransferState::kError, TransferKind::kShare, "file");
  info.error = "the file was changed";
  transfers_.Put(info);
  EXPECT_EQ(program.Wait(), kFailed);
  EXPECT_EQ(program.err(), "p2pctl: the file was changed\n");
}

TEST_F(P2pctlWithDaemonTest, WatchOfAllTellsWhatComesAndGoesUntilCtrlC) {
  Program program(Words({"--json", "watch"}));
  Put(5, TransferState::kPaused, TransferKind::kShare);
  ASSERT_TRUE(program.AwaitOutput("\"id\":\"5\""));
  transfers_.Erase(5);
  ASSERT_TRUE(program.AwaitOutput("{\"id\":\"5\",\"removed\":true}\n"));
  program.Signal(SIGINT);
  EXPECT_EQ(program.Wait(), kInterrupted);
}

TEST_F(P2pctlWithDaemonTest, WatchOfADownloadEndsWithIt) {
  Put(1, TransferState::kDownloading, TransferKind::kDownload);
  Program program(Words({"watch", "1"}));
  ASSERT_TRUE(program.AwaitOutput("downloading"));
  Put(1, TransferState::kComplete, TransferKind::kDownload);
  EXPECT_EQ(program.Wait(), kDone);
}

TEST_F(P2pctlWithDaemonTest, StopWaitsUntilTheDaemonHasGone) {
  const Outcome outcome = Run({"stop"});
  EXPECT_EQ(outcome.code, kDone) << outcome.err;
  EXPECT_EQ(outcome.out, "p2pd has stopped\n");
  EXPECT_FALSE(testing_support::IsThere(path_));
}

TEST_F(P2pctlWithDaemonTest, AFullDiskBehindTheOutputIsAFailure) {
  if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "needs /dev/full";
  const pid_t child = fork();
  if (child == 0) {
    const int full = open("/dev/full", O_WRONLY);
    dup2(full, STDOUT_FILENO);
    execl(P2PCTL_PROGRAM, "p2pctl", "--socket", path_.c_str(), "status", nullptr);
    _exit(99);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), kFailed);
}

}  // namespace
}  // namespace p2p::ctl
