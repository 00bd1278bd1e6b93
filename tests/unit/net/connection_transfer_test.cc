// Bytes through a Connection: order, content, amounts, and who waits for whom.
#include <sys/stat.h>

#include "core/base/limits.h"
#include "net_test_support.h"

namespace p2p::net {
namespace {

using ConnectionTransfer = ConnectionTest;

constexpr uint32_t kMiB = 1 << 20;

TEST_F(ConnectionTransfer, SendsTextsInTheOrderTheyWereQueued) {
  Open();
  std::string expected;
  InLoop([&] {
    for (int i = 0; i < 1'000; ++i) {
      const std::string line = std::to_string(i) + "\n";
      expected += line;
      connection_->SendText(line);
    }
    connection_->SendText("");
    connection_->FinishSending();
  });
  EXPECT_EQ(other_.ReadToEnd(), expected);
  EXPECT_EQ(recorder_.AwaitSent(expected.size()), expected.size());
}

TEST_F(ConnectionTransfer, SendsTextsAndFileSlicesInTheirOrder) {
  Open();
  const PatternFile file(3 * kMiB);
  InLoop([&] {
    connection_->SendText("5\n");
    connection_->SendFile(file.Slice(100, 5));
    connection_->SendFile(file.Slice(0, 0));
    connection_->SendText("big");
    connection_->SendText("\n");
    connection_->SendFile(file.Slice(4'097, 2 * kMiB + 11));
    connection_->SendFile(file.Slice(3 * kMiB - 1, 1));
    connection_->SendText("end");
    connection_->FinishSending();
  });
  EXPECT_EQ(other_.ReadToEnd(), "5\n" + Pattern(100, 5) + "big\n" + Pattern(4'097, 2 * kMiB + 11) +
                                    Pattern(3 * kMiB - 1, 1) + "end");
  other_.Close();
  EXPECT_TRUE(recorder_.AwaitClosed().ok());
  EXPECT_EQ(file.slices(), 0);
}

TEST_F(ConnectionTransfer, ASlowConnectionSendsTheSameInRecords) {
  ConnectionOptions options;
  options.not_sent_low_water_bytes = 16 << 10;
  Open(options);
  const PatternFile file(3 * kMiB);
  std::string expected;
  uint64_t queued = 0;
  InLoop([&] {
    // Slices from one byte to many records, some without a header, texts longer than a record.
    uint64_t offset = 0;
    for (uint32_t length = 1; offset + length < 3 * kMiB;
         offset += length, length = 2 * length + 1) {
      const std::string header = length % 8 == 7 ? std::to_string(length) + "\n" : "";
      const std::string text(length / 3, 't');
      connection_->SendFile(file.Slice(offset, length), header);
      connection_->SendText(text);
      expected += header + Pattern(offset, length) + text;
    }
    queued = connection_->unsent_bytes();
    connection_->FinishSending();
  });
  EXPECT_EQ(queued, expected.size());
  EXPECT_TRUE(other_.ReadToEnd() == expected);
  EXPECT_EQ(recorder_.AwaitSent(expected.size()), expected.size());
  EXPECT_EQ(file.slices(), 0);
}

TEST_F(ConnectionTransfer, ASlowConnectionThatBecomesFastLosesNothing) {
  ConnectionOptions options;
  options.not_sent_low_water_bytes = 16 << 10;
  recorder_.on_sent = [this, fast = false]() mutable {
    fast = !fast;
    connection_->SetNotSentLowWater(fast ? 512 << 10 : 16 << 10);
  };
  Open(options);
  const PatternFile file(16 * kMiB);
  InLoop([&] {
    connection_->SendFile(file.Slice(3, 16 * kMiB - 3), "first ");
    connection_->FinishSending();
  });
  EXPECT_TRUE(other_.ReadToEnd() == "first " + Pattern(3, 16 * kMiB - 3));
  Destroy();
}

TEST_F(ConnectionTransfer, UrgentTextOvertakesSlicesWithAHeaderOnly) {
  Open();
  const PatternFile file(1'000);
  InLoop([&] {
    connection_->SendFile(file.Slice(0, 10), "first ");
    connection_->SendUrgentText("a ");
    connection_->SendFile(file.Slice(10, 10));
    connection_->SendFile(file.Slice(20, 10), "second ");
    connection_->SendFile(file.Slice(0, 0), "empty ");
    connection_->SendFile(file.Slice(30, 10), "third ");
    connection_->SendUrgentText("b ");
    connection_->SendUrgentText("c ");
    connection_->SendText(" end");
    connection_->FinishSending();
  });
  EXPECT_EQ(other_.ReadToEnd(), "a first " + Pattern(0, 10) + Pattern(10, 10) + "second " +
                                    Pattern(20, 10) + "empty b c third " + Pattern(30, 10) +
                                    " end");
}

TEST_F(ConnectionTransfer, UrgentTextDoesNotCutASliceThatHasBegunToLeave) {
  Open();
  const PatternFile file(16 * kMiB);
  InLoop([&] {
    connection_->SendFile(file.Slice(0, 16 * kMiB), "first ");
    connection_->SendFile(file.Slice(5, 10), "second ");
  });
  EXPECT_GT(recorder_.AwaitSent(1), 0u);
  InLoop([&] {
    EXPECT_GT(connection_->unsent_bytes(), 17u) << "the reader should be slow";
    connection_->SendUrgentText("urgent ");
    connection_->FinishSending();
  });
  EXPECT_EQ(other_.ReadToEnd(),
            "first " + Pattern(0, 16 * kMiB) + "urgent second " + Pattern(5, 10));
}

TEST_F(ConnectionTransfer, TellsWhatIsNotSentYet) {
  Open();
  const PatternFile file(1'000);
  InLoop([&] {
    connection_->SendText("12345");
    connection_->SendFile(file.Slice(0, 1'000));
    EXPECT_EQ(connection_->unsent_text_bytes(), 5u);
    EXPECT_EQ(connection_->unsent_bytes(), 1'005u);
  });
  EXPECT_EQ(recorder_.AwaitSent(1'005), 1'005u);
  InLoop([&] {
    EXPECT_EQ(connection_->unsent_text_bytes(), 0u);
    EXPECT_EQ(connection_->unsent_bytes(), 0u);
  });
}

TEST_F(ConnectionTransfer, CountsWhatASlowReaderLeavesUnsent) {
  Open();
  InLoop([&] { connection_->SendText(std::string(64 * kMiB, 'x')); });
  EXPECT_GT(recorder_.AwaitSent(1), 0u);
  InLoop([&] {
    EXPECT_GT(connection_->unsent_text_bytes(), 0u);
    EXPECT_EQ(connection_->unsent_bytes() + recorder_.sent(), 64u * kMiB);
  });
  EXPECT_EQ(other_.Read(64 * kMiB).size(), 64u * kMiB);
  EXPECT_EQ(recorder_.AwaitSent(64 * kMiB), 64u * kMiB);
}

TEST_F(ConnectionTransfer, MoreMayBeQueuedFromInsideOnSent) {
  int rounds = 0;
  recorder_.on_sent = [&] {
    if (++rounds < 100) connection_->SendText("again ");
  };
  Open();
  InLoop([&] { connection_->SendText("first "); });
  EXPECT_EQ(recorder_.AwaitSent(600), 600u);
  EXPECT_EQ(other_.Read(600).substr(0, 12), "first again ");
  Destroy();
}

TEST_F(ConnectionTransfer, ReadsWhatComesInPiecesOrAtOnce) {
  Open();
  other_.SendAll("a");
  EXPECT_EQ(recorder_.AwaitReceived(1), "a");
  other_.SendAll("bc");
  EXPECT_EQ(recorder_.AwaitReceived(3), "abc");
  const std::string much = Pattern(0, 5 * kMiB);
  other_.SendAll(much);
  EXPECT_EQ(recorder_.AwaitReceived(3 + much.size()), "abc" + much);
}

TEST_F(ConnectionTransfer, ReadsNothingBeforeStart) {
  Open(ConnectionOptions(), /*start=*/false);
  other_.SendAll("early");
  InLoop([&] { connection_->SendText("hello"); });
  EXPECT_EQ(other_.Read(5), "hello");
  EXPECT_EQ(recorder_.received(), "");
  InLoop([&] { connection_->Start(); });
  EXPECT_EQ(recorder_.AwaitReceived(5), "early");
}

TEST_F(ConnectionTransfer, AnEmptyReadBufferStopsReadingUntilResumed) {
  bool has_room = false;
  int asked = 0;
  recorder_.on_read_buffer = [&] {
    ++asked;
    return has_room ? recorder_.buffer() : absl::Span<uint8_t>();
  };
  Open();
  other_.SendAll("wait");
  // What is sent after the first question is not asked about again.
  while (true) {
    int seen = 0;
    InLoop([&] { seen = asked; });
    if (seen > 0) break;
  }
  other_.SendAll("ing");
  InLoop([&] { connection_->SendText("x"); });
  EXPECT_EQ(other_.Read(1), "x");
  InLoop([&] {
    EXPECT_EQ(asked, 1);
    has_room = true;
    connection_->ResumeReading();
    connection_->ResumeReading();
  });
  EXPECT_EQ(recorder_.AwaitReceived(7), "waiting");
  Destroy();
}

TEST_F(ConnectionTransfer, AReaderThatDoesNotReadHoldsTheSenderBack) {
  bool has_room = false;
  recorder_.on_read_buffer = [&] { return has_room ? recorder_.buffer() : absl::Span<uint8_t>(); };
  Open();
  fcntl(other_.fd(), F_SETFL, O_NONBLOCK);
  const std::string block(kMiB, 'x');
  size_t sent = 0;
  // The kernel's buffers grow at first; they are full when nothing is taken for a while.
  for (int refused = 0; refused < 3;) {
    const ssize_t n = send(other_.fd(), block.data(), block.size(), MSG_NOSIGNAL);
    if (n > 0) sent += static_cast<size_t>(n);
    if (n < 0) ++refused;
    ASSERT_LT(sent, size_t{200} * kMiB);
    if (n < 0) InLoop([] {});
  }
  EXPECT_EQ(recorder_.received(), "");
  InLoop([&] {
    has_room = true;
    connection_->ResumeReading();
  });
  EXPECT_EQ(recorder_.AwaitReceived(sent).size(), sent);
  Destroy();
}

TEST_F(ConnectionTransfer, V08_WorkForFewBytesLeavesOthersTheirTurn) {
  int reads = 0;
  int reads_before_other = 0;
  recorder_.on_read_buffer = [&] { return recorder_.buffer().subspan(0, 1'000); };
  recorder_.on_read = [&] {
    // Something else of the loop becomes ready, and this read takes all of a turn.
    if (++reads == 1) loop_.Post([&] { reads_before_other = reads; });
    const absl::Time over = MonotonicNow() + limits::kMaxReadTurn;
    while (MonotonicNow() < over) {
    }
  };
  Open(ConnectionOptions(), /*start=*/false);
  other_.SendAll(std::string(20'000, 'x'));
  InLoop([&] { connection_->Start(); });
  recorder_.AwaitReceived(20'000);
  InLoop([&] { EXPECT_EQ(reads_before_other, 1) << "of " << reads; });
  Destroy();
}

TEST_F(ConnectionTransfer, ResumingInsideReadBufferIsNotLost) {
  int asked = 0;
  recorder_.on_read_buffer = [&] {
    if (++asked > 1) return recorder_.buffer();
    connection_->ResumeReading();
    return absl::Span<uint8_t>();
  };
  Open();
  other_.SendAll("kept");
  EXPECT_EQ(recorder_.AwaitReceived(4), "kept");
  Destroy();
}

TEST_F(ConnectionTransfer, TellsItsAddressesAndRoundTripTime) {
  Open();
  other_.SendAll("x");
  recorder_.AwaitReceived(1);
  InLoop([&] {
    EXPECT_EQ(FormatHost(connection_->remote()), "127.0.0.1");
    EXPECT_EQ(FormatHost(connection_->local()), "127.0.0.1");
    EXPECT_NE(connection_->local().port(), connection_->remote().port());
#if defined(__linux__) && !defined(P2P_PORTABLE)
    EXPECT_GT(connection_->RoundTripTime(), absl::ZeroDuration());
#endif
    EXPECT_LT(connection_->RoundTripTime(), absl::Seconds(10));
  });
}

// Checks pattern bytes as they come in, without keeping them.
class PatternReader : public Recorder {
 public:
  PatternReader() : Recorder(512 << 10) {}
  void OnRead(size_t size) override {
    for (size_t i = 0; i < size; ++i) {
      if (static_cast<char>(buffer()[i]) != PatternByte((offset_ + i) % (4 * kMiB))) ++wrong_;
    }
    offset_ += size;
    if (offset_ == 64 * kMiB) OnEndOfStream();
  }
  uint64_t offset_ = 0;
  uint64_t wrong_ = 0;
};

TEST(ConnectionPair, Moves64MiBInBothDirectionsAtOnce) {
  EventLoop loops[2] = {EventLoop("left"), EventLoop("right")};
  const PatternFile file(4 * kMiB);
  PatternReader readers[2];
  std::unique_ptr<Connection> connections[2];
  const RawListener listener;
  const int fds[2] = {socket(AF_INET, SOCK_STREAM, 0), -1};
  ASSERT_EQ(connect(fds[0], listener.at.data(), static_cast<socklen_t>(listener.at.size())), 0);
  const int accepted = accept(listener.fd, nullptr, nullptr);
  for (int i = 0; i < 2; ++i) {
    loops[i].Start();
    const int fd = i == 0 ? fds[0] : accepted;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    loops[i].RunAndWait([&, i] {
      asio::error_code error;
      asio::ip::tcp::socket socket(loops[i].context());
      socket.assign(asio::ip::tcp::v4(), fd, error);
      connections[i] = std::make_unique<Connection>(&loops[i], std::move(socket),
                                                    ConnectionOptions(), &readers[i]);
      connections[i]->Start();
      for (uint64_t offset = 0; offset < 64 * kMiB; offset += kMiB / 2) {
        // Every other piece starts with bytes from memory.
        const uint64_t in_file = offset % (4 * kMiB);
        const uint32_t as_text = offset % kMiB == 0 ? 1'000 : 0;
        connections[i]->SendText(Pattern(in_file, as_text));
        connections[i]->SendFile(file.Slice(in_file + as_text, kMiB / 2 - as_text));
      }
    });
  }
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(readers[i].AwaitEnd());
    EXPECT_EQ(readers[i].AwaitSent(64 * kMiB), 64 * kMiB);
  }
  for (int i = 0; i < 2; ++i) {
    loops[i].RunAndWait([&, i] { connections[i].reset(); });
    EXPECT_EQ(readers[i].wrong_, 0u);
  }
  EXPECT_EQ(file.slices(), 0);
}

}  // namespace
}  // namespace p2p::net
