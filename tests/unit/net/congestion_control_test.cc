#include "core/net/congestion_control.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace p2p::net {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class TcpSocket {
 public:
  TcpSocket() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {}
  ~TcpSocket() { close(fd_); }
  int fd() const { return fd_; }

  std::string CongestionControl() const {
#ifdef TCP_CONGESTION
    char name[16] = {};
    socklen_t size = sizeof name;
    if (getsockopt(fd_, IPPROTO_TCP, TCP_CONGESTION, name, &size) == 0) return name;
#endif
    return "";
  }

 private:
  const int fd_;
};

// One that any process may use; "" where the system has no choice.
std::string Usable() { return CheckCongestionControl("reno").ok() ? "reno" : ""; }

TEST(CongestionControl, TakesTheWordsAndWhatMayBeAName) {
  for (const char* good : {"auto", "system", "bbr", "bbr2", "cubic", "some_name-1"}) {
    EXPECT_TRUE(CheckCongestionName(good).ok()) << good;
  }
  for (const char* bad : {"", "a b", "bbr\n", "x/../y", "sixteen_letters_"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckCongestionName(bad))) << bad;
  }
}

TEST(CongestionControl, SaysWhatMayBeUsedInsteadOfAnUnknownOne) {
  const absl::Status status = CheckCongestionControl("no_such_one");
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("\"no_such_one\" can not be used here"));
}

TEST(CongestionControl, TheWordsCanAlwaysBeUsed) {
  EXPECT_TRUE(CheckCongestionControl(kCongestionAuto).ok());
  EXPECT_TRUE(CheckCongestionControl(kCongestionSystem).ok());
  EXPECT_THAT(DescribeCongestionControl(kCongestionAuto),
              AnyOf(StartsWith("bbr from 2 ms on"), HasSubstr("(bbr is not available)")));
}

TEST(CongestionControl, AppliesTheNameThatWasChosen) {
  if (Usable().empty()) GTEST_SKIP() << "this system offers no choice";
  const TcpSocket tcp;
  ApplyCongestionControl(tcp.fd(), Usable());
  EXPECT_EQ(tcp.CongestionControl(), Usable());
  EXPECT_EQ(DescribeCongestionControl(Usable()), Usable());
}

TEST(CongestionControl, NothingIsPacedFromTheStart) {
  if (Usable().empty()) GTEST_SKIP() << "this system offers no choice";
  const TcpSocket tcp;
  PostponeBbr(tcp.fd());
  EXPECT_NE(tcp.CongestionControl(), "bbr");
}

TEST(CongestionControl, LeavesAConnectionWithoutARoundTripAsItIs) {
  const TcpSocket tcp;
  PostponeBbr(tcp.fd());
  const std::string before = tcp.CongestionControl();
  ApplyCongestionControl(tcp.fd(), kCongestionAuto);
  EXPECT_EQ(tcp.CongestionControl(), before);
}

TEST(CongestionControl, SystemGivesBackTheDefault) {
  const TcpSocket fresh;
  const TcpSocket tcp;
  PostponeBbr(tcp.fd());
  ApplyCongestionControl(tcp.fd(), kCongestionSystem);
  EXPECT_EQ(tcp.CongestionControl(), fresh.CongestionControl());
}

}  // namespace
}  // namespace p2p::net
