// How a Connection ends: by us, by the other side, by its owner, by a file that cannot be read.
#include <csignal>

#include "net_test_support.h"

namespace p2p::net {
namespace {

using ConnectionEnd = ConnectionTest;

constexpr uint32_t kMiB = 1 << 20;

// --- Closed by the handler, from inside each of its calls

void CloseOnce(Connection* connection, Recorder* recorder) {
  connection->Close();
  connection->Close();
  EXPECT_FALSE(recorder->closed()) << "told from within Close";
  connection->SendText("dropped");
  EXPECT_EQ(connection->unsent_bytes(), 0u);
}

TEST_F(ConnectionEnd, ClosesFromInsideReadBuffer) {
  recorder_.on_read_buffer = [&] {
    CloseOnce(connection_.get(), &recorder_);
    return recorder_.buffer();
  };
  Open();
  other_.SendAll("x");
  EXPECT_TRUE(recorder_.AwaitClosed().ok());
  EXPECT_EQ(recorder_.received(), "");
}

TEST_F(ConnectionEnd, ClosesFromInsideOnRead) {
  recorder_.on_read = [&] { CloseOnce(connection_.get(), &recorder_); };
  Open();
  other_.SendAll("x");
  EXPECT_TRUE(recorder_.AwaitClosed().ok());
  EXPECT_EQ(other_.ReadToEnd(), "");
}

TEST_F(ConnectionEnd, ClosesFromInsideOnSent) {
  recorder_.on_sent = [&] { CloseOnce(connection_.get(), &recorder_); };
  Open();
  InLoop([&] { connection_->SendText("bye"); });
  EXPECT_TRUE(recorder_.AwaitClosed().ok());
  EXPECT_EQ(other_.ReadToEnd(), "bye");
}

TEST_F(ConnectionEnd, ClosesFromInsideOnEndOfStream) {
  recorder_.on_end_of_stream = [&] { CloseOnce(connection_.get(), &recorder_); };
  Open();
  other_.FinishSending();
  EXPECT_TRUE(recorder_.AwaitClosed().ok());
  EXPECT_EQ(other_.ReadToEnd(), "");
}

TEST_F(ConnectionEnd, ClosesFromInsideOnFileError) {
  recorder_.on_file_error = [&] { CloseOnce(connection_.get(), &recorder_); };
  Open();
  const PatternFile file(10);
  InLoop([&] { connection_->SendFile(file.Slice(10, 1)); });
  EXPECT_TRUE(recorder_.AwaitClosed().ok());
  EXPECT_FALSE(recorder_.file_error().ok());
}

// --- Destroyed by its owner

TEST_F(ConnectionEnd, MayBeDestroyedInsideOnClosed) {
  recorder_.on_closed = [&] { connection_.reset(); };
  Open();
  InLoop([&] { connection_->Close(); });
  EXPECT_TRUE(recorder_.AwaitClosed().ok());
  InLoop([&] { EXPECT_EQ(connection_, nullptr); });
}

TEST_F(ConnectionEnd, MayBeDestroyedInsideOnRead) {
  recorder_.on_read = [&] { connection_.reset(); };
  Open();
  other_.SendAll("x");
  EXPECT_EQ(other_.ReadToEnd(), "");
  InLoop([&] { EXPECT_EQ(connection_, nullptr); });
  EXPECT_FALSE(recorder_.closed());
}

TEST_F(ConnectionEnd, MayBeDestroyedInsideOnSent) {
  recorder_.on_sent = [&] { connection_.reset(); };
  Open();
  InLoop([&] { connection_->SendText("x"); });
  EXPECT_EQ(other_.ReadToEnd(), "x");
  InLoop([&] { EXPECT_EQ(connection_, nullptr); });
}

TEST_F(ConnectionEnd, DestructionClosesWithoutAnotherCall) {
  Open();
  const PatternFile file(kMiB);
  InLoop([&] {
    connection_->SendFile(file.Slice(0, kMiB));
    connection_.reset();
  });
  EXPECT_EQ(other_.ReadToEnd(), "");
  EXPECT_FALSE(recorder_.closed());
  EXPECT_EQ(file.slices(), 0);
}

TEST(ConnectionAndLoop, MayEndInEitherOrder) {
  Recorder recorder;
  const RawListener listener;
  std::unique_ptr<Connection> connection;
  EventLoop loop("short");
  loop.Start();
  loop.RunAndWait([&] {
    Connect(&loop, listener.at, kPatience, [&](absl::StatusOr<asio::ip::tcp::socket> socket) {
      ASSERT_TRUE(socket.ok());
      connection =
          std::make_unique<Connection>(&loop, *std::move(socket), ConnectionOptions(), &recorder);
      connection->Start();
      connection->SendText("x");
    });
  });
  const RawSocket other = listener.Accept();
  EXPECT_EQ(other.Read(1), "x");
  loop.Stop();
  connection.reset();
  EXPECT_EQ(other.ReadToEnd(), "");
}

// --- Ended by the other side

TEST_F(ConnectionEnd, SendsAfterTheOtherSideEnded) {
  recorder_.on_end_of_stream = [&] {
    connection_->SendText("you said " + recorder_.received());
    connection_->FinishSending();
  };
  Open();
  other_.SendAll("hello");
  other_.FinishSending();
  EXPECT_EQ(other_.ReadToEnd(), "you said hello");
  EXPECT_TRUE(recorder_.AwaitClosed().ok());
}

TEST_F(ConnectionEnd, AResetIsToldWithItsReason) {
  Open();
  other_.Reset();
  const absl::Status status = recorder_.AwaitClosed();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(status.message(), "the other side reset the connection");
  EXPECT_FALSE(recorder_.ended());
}

TEST_F(ConnectionEnd, AResetIsNoticedWhileReadingIsStopped) {
  recorder_.on_read_buffer = [] { return absl::Span<uint8_t>(); };
  Open();
  other_.SendAll("x");
  InLoop([] {});
  other_.Reset();
  EXPECT_EQ(recorder_.AwaitClosed().code(), absl::StatusCode::kAborted);
}

TEST_F(ConnectionEnd, AResetIsNoticedAfterTheEndOfTheStream) {
  Open();
  other_.FinishSending();
  EXPECT_TRUE(recorder_.AwaitEnd());
  other_.Reset();
  EXPECT_EQ(recorder_.AwaitClosed().code(), absl::StatusCode::kAborted);
}

TEST_F(ConnectionEnd, TheLastWordsOfTheOtherSideAreReadThoughSendingFails) {
  Open();
  InLoop([&] {
    connection_->SendText("a request that is never read");
    // Both the words and the reset are there before the loop goes on.
    other_.SendAll("ERROR 503 full\n");
    other_.Reset();
  });
  EXPECT_EQ(recorder_.AwaitClosed().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(recorder_.received(), "ERROR 503 full\n");
}

TEST_F(ConnectionEnd, UrgentDataNeitherSpinsNorCloses) {
  recorder_.on_read_buffer = [] { return absl::Span<uint8_t>(); };
  Open();
  other_.SendAll("x");
  InLoop([] {});
  ASSERT_EQ(send(other_.fd(), "!", 1, MSG_OOB), 1);
  InLoop([&] { connection_->SendText("still here"); });
  EXPECT_EQ(other_.Read(10), "still here");
  EXPECT_FALSE(recorder_.closed());
}

// --- Ended by us

TEST_F(ConnectionEnd, FinishSendingDeliversAllThenEnds) {
  Open();
  const PatternFile file(4 * kMiB);
  InLoop([&] {
    connection_->SendText("head");
    connection_->SendFile(file.Slice(0, 4 * kMiB));
    connection_->FinishSending();
    connection_->SendText("too late");
  });
  EXPECT_EQ(other_.ReadToEnd(), "head" + Pattern(0, 4 * kMiB));
  EXPECT_FALSE(recorder_.closed());
  other_.Close();
  EXPECT_TRUE(recorder_.AwaitClosed().ok());
}

TEST_F(ConnectionEnd, TheLastBytesReachASenderThatDoesNotStop) {
  recorder_.on_read = [&] {
    connection_->SendText("ERROR 413 too long\n");
    connection_->FinishSending();
    recorder_.on_read = [] { FAIL() << "read after FinishSending"; };
  };
  Open();
  // More than the buffers hold: without being read on, the sender would block, and then be reset.
  other_.SendAll(std::string(32 * kMiB, 'x'));
  other_.FinishSending();
  EXPECT_EQ(other_.ReadToEnd(), "ERROR 413 too long\n");
  EXPECT_TRUE(recorder_.AwaitClosed().ok());
  EXPECT_FALSE(recorder_.ended());
}

TEST_F(ConnectionEnd, FinishSendingReadsOnThoughReadingWasStopped) {
  recorder_.on_read_buffer = [] { return absl::Span<uint8_t>(); };
  Open();
  other_.SendAll("x");
  InLoop([&] { connection_->FinishSending(); });
  EXPECT_EQ(other_.ReadToEnd(), "");
  other_.SendAll(std::string(32 * kMiB, 'x'));
  other_.Close();
  EXPECT_TRUE(recorder_.AwaitClosed().ok());
}

TEST_F(ConnectionEnd, DoesNotWaitForEverForTheOtherSideToEnd) {
  ConnectionOptions options;
  options.close_linger = absl::Milliseconds(50);
  Open(options);
  InLoop([&] {
    connection_->SendText("x");
    connection_->FinishSending();
  });
  EXPECT_TRUE(recorder_.AwaitClosed().ok());
  EXPECT_EQ(other_.ReadToEnd(), "x");
}

TEST_F(ConnectionEnd, GivesUpAFinishThatTheOtherSideDoesNotRead) {
  ConnectionOptions options;
  options.slow_reader_timeout = absl::Milliseconds(50);
  Open(options);
  const PatternFile file(kMiB);
  InLoop([&] {
    for (int i = 0; i < 64; ++i) connection_->SendFile(file.Slice(0, kMiB));
    connection_->FinishSending();
  });
  const absl::Status status = recorder_.AwaitClosed();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(status.message(), "the other side stopped reading");
  EXPECT_EQ(file.slices(), 0);
}

// --- Files that cannot be read

TEST_F(ConnectionEnd, P14_AFileThatBecameShorterIsToldAndCloses) {
  Open();
  const PatternFile file(1'000);
  ASSERT_EQ(ftruncate(file.fd(), 600), 0);
  InLoop([&] {
    connection_->SendText("1000\n");
    connection_->SendFile(file.Slice(0, 1'000));
  });
  EXPECT_EQ(recorder_.AwaitClosed().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(recorder_.file_error().message(), "the file became shorter");
  EXPECT_EQ(other_.ReadToEnd(), "1000\n" + Pattern(0, 600));
  EXPECT_EQ(file.slices(), 0);
}

TEST_F(ConnectionEnd, P14_AReadErrorOfTheDiskIsToldAndCloses) {
  Open();
  // Address 0 of a process is not readable: EIO.
  const int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  InLoop([&] { connection_->SendFile({nullptr, fd, 0, 4'096}); });
  EXPECT_EQ(recorder_.AwaitClosed().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(recorder_.file_error().message(),
            "cannot read the file: input/output error; check the disk");
  close(fd);
}

TEST_F(ConnectionEnd, ADescriptorThatCannotBeReadIsTheFilesFault) {
  Open();
  const int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
  InLoop([&] { connection_->SendFile({nullptr, fd, 0, 1}); });
  EXPECT_FALSE(recorder_.AwaitClosed().ok());
  EXPECT_FALSE(recorder_.file_error().ok());
  close(fd);
}

// --- The other side goes while we send

TEST_F(ConnectionEnd, X03_WritingToAResetSocketRaisesNoSignal) {
  std::signal(SIGPIPE, SIG_DFL);  // a signal would end this program
  const PatternFile file(kMiB);
  for (const bool as_file : {false, true}) {
    Recorder recorder;
    std::unique_ptr<Connection> connection;
    RawListener listener;
    InLoop([&] {
      Connect(&loop_, listener.at, kPatience, [&](absl::StatusOr<asio::ip::tcp::socket> socket) {
        ASSERT_TRUE(socket.ok());
        // The reset is there before the first write, and its error is taken: the write gets EPIPE.
        RawSocket other = listener.Accept();
        other.Reset();
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(socket->native_handle(), SOL_SOCKET, SO_ERROR, &error, &size);
        EXPECT_EQ(error, ECONNRESET);
        connection = std::make_unique<Connection>(&loop_, *std::move(socket), ConnectionOptions(),
                                                  &recorder);
        as_file ? connection->SendFile(file.Slice(0, kMiB)) : connection->SendText("x");
      });
    });
    EXPECT_EQ(recorder.AwaitClosed().code(), absl::StatusCode::kAborted);
    EXPECT_TRUE(recorder.file_error().ok());
    InLoop([&] { connection.reset(); });
  }
}

TEST_F(ConnectionEnd, P18_AResetInTheMiddleOfAFileGivesEverythingBack) {
  Open();
  const PatternFile file(4 * kMiB);
  InLoop([&] {
    for (int i = 0; i < 32; ++i) connection_->SendFile(file.Slice(0, 4 * kMiB));
  });
  EXPECT_EQ(other_.Read(kMiB).size(), kMiB);
  other_.Reset();
  EXPECT_EQ(recorder_.AwaitClosed().code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(recorder_.file_error().ok());
  EXPECT_EQ(file.slices(), 0);
  InLoop([&] { EXPECT_EQ(connection_->unsent_bytes(), 0u); });
}

}  // namespace
}  // namespace p2p::net
