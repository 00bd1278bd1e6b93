#include "daemon/store/posix_io.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "gtest/gtest.h"

namespace p2p::store {
namespace {

const std::string& Content() {
  static const std::string content = "the quick brown fox jumps over the lazy dog";
  return content;
}

int calls = 0;

// Interrupted, then not ready, then one byte; and so on.
ssize_t HaltingRead(int, void* data, size_t size, off_t offset) {
  ++calls;
  if (calls % 3 != 0) {
    errno = calls % 3 == 1 ? EINTR : EAGAIN;
    return -1;
  }
  const size_t left = Content().size() - std::min(Content().size(), static_cast<size_t>(offset));
  const size_t give = std::min<size_t>({size, left, 1});
  std::memcpy(data, Content().data() + offset, give);
  return static_cast<ssize_t>(give);
}

std::string written;

ssize_t HaltingWrite(int, const void* data, size_t size, off_t offset) {
  ++calls;
  if (calls % 3 != 0) {
    errno = calls % 3 == 1 ? EINTR : EAGAIN;
    return -1;
  }
  const size_t take = std::min<size_t>(size, 3);
  written.resize(std::max(written.size(), static_cast<size_t>(offset) + take));
  std::memcpy(&written[static_cast<size_t>(offset)], data, take);
  return static_cast<ssize_t>(take);
}

ssize_t NeverReady(int, void*, size_t, off_t) {
  ++calls;
  errno = EAGAIN;
  return -1;
}

ssize_t WritesNothing(int, const void*, size_t, off_t) { return 0; }

TEST(PosixIo, S07_ShortAndInterruptedReadsGoOnToTheExactCount) {
  calls = 0;
  std::vector<uint8_t> data(10);
  ASSERT_EQ(ReadFully(HaltingRead, 0, 4, absl::MakeSpan(data)), 0);
  EXPECT_EQ(std::string(data.begin(), data.end()), Content().substr(4, 10));
  EXPECT_EQ(calls, 30);
}

TEST(PosixIo, S07_ShortAndInterruptedWritesGoOnToTheExactCount) {
  calls = 0;
  written.clear();
  const std::string text = "0123456789";
  ASSERT_EQ(
      WriteFully(HaltingWrite, 0, 2,
                 absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(text.data()), text.size())),
      0);
  EXPECT_EQ(written.substr(2), text);
}

TEST(PosixIo, S07_AReadBeyondTheEndIsToldFromAnError) {
  calls = 0;
  std::vector<uint8_t> data(Content().size() + 1);
  EXPECT_EQ(ReadFully(HaltingRead, 0, 0, absl::MakeSpan(data)), kEndOfFile);
}

TEST(PosixIo, S07_AFileThatIsNeverReadyEndsInAnErrorAndNotInALoop) {
  calls = 0;
  std::vector<uint8_t> data(1);
  EXPECT_EQ(ReadFully(NeverReady, 0, 0, absl::MakeSpan(data)), EAGAIN);
  EXPECT_LE(calls, 1000);
}

TEST(PosixIo, S07_AWriteThatWritesNothingIsAnError) {
  const uint8_t byte = 0;
  EXPECT_EQ(WriteFully(WritesNothing, 0, 0, absl::MakeConstSpan(&byte, 1)), EIO);
}

}  // namespace
}  // namespace p2p::store
