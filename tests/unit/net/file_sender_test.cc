#include "core/net/file_sender.h"

#include <sys/socket.h>

#include <vector>

#include "tests/unit/net/net_test_support.h"

namespace p2p::net {
namespace {

constexpr size_t kRecordsReadBytes = 16 << 10;

class FileSenderTest : public testing::Test {
 protected:
  FileSenderTest() {
    const RawListener listener;
    us_ = RawSocket::To(listener.at);
    other_ = listener.Accept();
  }
  size_t Send(FileSender* sender, uint32_t low_water) {
    const FileSent sent = sender->Send(file_.Slice(0, kSize), low_water, absl::MakeSpan(scratch_));
    EXPECT_EQ(sent.error_number, 0);
    EXPECT_EQ(other_.Read(sent.bytes), Pattern(0, sent.bytes));
    return sent.bytes;
  }

  static constexpr uint32_t kSize = 128 << 10;
  const PatternFile file_{kSize};
  std::vector<uint8_t> scratch_ = std::vector<uint8_t>(64 << 10);
  RawSocket us_;
  RawSocket other_;
};

TEST_F(FileSenderTest, SendsFromTheFileWhereMuchMayBeUnsent) {
  FileSender sender(us_.fd());
  EXPECT_GT(Send(&sender, 512 << 10), kRecordsReadBytes);
}

#if defined(__linux__) && !defined(P2P_PORTABLE)
TEST_F(FileSenderTest, V08_MakesNoRecordsOnAFastPathHoweverSlowlyItIsFed) {
  FileSender sender(us_.fd());
  // What is known of the path comes with acknowledgements.
  size_t most = 0;
  for (int i = 0; i < 100 && most <= kRecordsReadBytes; ++i) most = Send(&sender, 16 << 10);
  EXPECT_GT(most, kRecordsReadBytes);
}
#endif

}  // namespace
}  // namespace p2p::net
