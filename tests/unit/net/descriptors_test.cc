#include "core/net/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace p2p::net {
namespace {

TEST(StandardDescriptors, X12_AreNeverTakenByOtherFiles) {
  const int saved = dup(STDERR_FILENO);
  ASSERT_GE(saved, 0);
  close(STDERR_FILENO);
  HoldStandardDescriptors();
  const int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int held = fcntl(STDERR_FILENO, F_GETFD);
  dup2(saved, STDERR_FILENO);
  close(saved);
  close(next);
  EXPECT_GE(held, 0);
  EXPECT_GT(next, STDERR_FILENO);
}

TEST(DescriptorLimit, IsRaisedToTheHardOne) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 64;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_EQ(DescriptorLimit(), 64);
  EXPECT_TRUE(CheckDescriptorLimit().ok());
  RaiseDescriptorLimit();
  const int raised = DescriptorLimit();
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_GT(raised, 64);
}

}  // namespace
}  // namespace p2p::net
