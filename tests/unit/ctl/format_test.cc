#include "ctl/format.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace p2p::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::Transfer MakeTransfer(v1::TransferState state) {
  v1::Transfer t;
  t.set_id(3);
  t.set_name("sample.txt");
  t.set_kind(v1::TRANSFER_KIND_DOWNLOAD);
  t.set_state(state);
  t.set_bytes_total(3 << 20);
  t.set_bytes_done(1 << 20);
  t.set_rate_down(512 << 10);
  t.set_peers(2);
  t.set_path("/srv/sample.txt");
  return t;
}

TEST(ProgressLine, ShowsPercentageBytesRateTimeLeftAndPeers) {
  EXPECT_EQ(ProgressLine(MakeTransfer(v1::TRANSFER_STATE_DOWNLOADING), 0),
            "downloading  33.3%  1.0 MiB of 3.0 MiB  512.0 KiB/s  4 s left  2 peers");
}

TEST(ProgressLine, ShowsWhatItWaitsFor) {
  v1::Transfer t = MakeTransfer(v1::TRANSFER_STATE_QUEUED);
  t.set_rate_down(0);
  t.set_bytes_total(0);
  t.set_peers(0);
  t.set_error("no peer found yet");
  EXPECT_EQ(ProgressLine(t, 0), "queued           -  0 peers  (no peer found yet)");
}

TEST(ProgressLine, OfHashingShowsHowFastItReads) {
  v1::Transfer t = MakeTransfer(v1::TRANSFER_STATE_HASHING);
  t.set_rate_down(0);
  EXPECT_EQ(ProgressLine(t, 1 << 20),
            "hashing      33.3%  1.0 MiB of 3.0 MiB  1.0 MiB/s  2 s left");
}

TEST(Percentage, IsNeverAHundredBeforeTheLastByte) {
  v1::Transfer t = MakeTransfer(v1::TRANSFER_STATE_DOWNLOADING);
  t.set_bytes_total(uint64_t{1} << 50);
  t.set_bytes_done((uint64_t{1} << 50) - 1);
  EXPECT_EQ(Percentage(t), "99.9%");
  t.set_bytes_done(uint64_t{1} << 50);
  EXPECT_EQ(Percentage(t), "100.0%");
}

TEST(Percentage, OfNothingIsUnknownUntilItIsThere) {
  v1::Transfer t = MakeTransfer(v1::TRANSFER_STATE_DOWNLOADING);
  t.set_bytes_total(0);
  EXPECT_EQ(Percentage(t), "-");
  t.set_state(v1::TRANSFER_STATE_COMPLETE);
  EXPECT_EQ(Percentage(t), "100.0%");
}

TEST(Format, AnUnverifiedDownloadIsMarkedEverywhere) {
  v1::Transfer t = MakeTransfer(v1::TRANSFER_STATE_COMPLETE);
  EXPECT_THAT(TransferTable({t}), HasSubstr("complete, unverified"));
  EXPECT_THAT(TransferDetails(t), HasSubstr("complete, unverified"));
  EXPECT_THAT(DownloadSummary(t), HasSubstr("verified:    NO"));
  EXPECT_THAT(ProgressLine(t, 0), HasSubstr("unverified"));
  t.set_verified(true);
  EXPECT_THAT(TransferTable({t}), Not(HasSubstr("unverified")));
  EXPECT_THAT(DownloadSummary(t), HasSubstr("verified:    yes"));
}

TEST(Format, TheTableIsAligned) {
  v1::Transfer other = MakeTransfer(v1::TRANSFER_STATE_PAUSED);
  other.set_id(12);
  other.set_rate_down(0);
  other.set_error("no peer found yet");
  EXPECT_EQ(TransferTable({MakeTransfer(v1::TRANSFER_STATE_DOWNLOADING), other}),
            "ID  STATE         DONE     SIZE         DOWN  UP  PEERS  NAME\n"
            " 3  downloading  33.3%  3.0 MiB  512.0 KiB/s   -      2  sample.txt\n"
            "12  paused       33.3%  3.0 MiB            -   -      2  sample.txt  (no peer found "
            "yet)\n");
}

TEST(Format, ShareEndsWithItsNameContentIdAndLinkOnLinesOfTheirOwn) {
  v1::Transfer t = MakeTransfer(v1::TRANSFER_STATE_SEEDING);
  t.set_content_id("abcd");
  t.set_magnet("magnet:?xt=urn:btmh:1220abcd&dn=sample.txt");
  EXPECT_EQ(ShareSummary(t),
            "name:        sample.txt\n"
            "content id:  abcd\n"
            "magnet:      magnet:?xt=urn:btmh:1220abcd&dn=sample.txt\n");
}

TEST(Format, ALongPathIsShownWhole) {
  v1::Transfer t = MakeTransfer(v1::TRANSFER_STATE_COMPLETE);
  t.set_path("/" + std::string(4'000, 'x'));
  EXPECT_THAT(DownloadSummary(t), HasSubstr(t.path() + "\n"));
}

// Everything that a peer, a file system or a tracker chose.
TEST(Format, T07_NothingFromOutsideReachesTheTerminalRaw) {
  const std::string evil = "x\x1b[2J\n\x07\x7f\xE2\x80\xAE\xff<b>";
  const std::string shown = "x\\x1b[2J\\x0a\\x07\\x7f\\xe2\\x80\\xae\\xff<b>";
  v1::Transfer t = MakeTransfer(v1::TRANSFER_STATE_ERROR);
  t.set_name(evil);
  t.set_content_id(evil);
  t.set_magnet(evil);
  t.set_path(evil);
  t.set_error(evil);
  v1::Peer peer;
  peer.set_address(evil);
  peer.set_agent(evil);
  peer.set_problem(evil);
  v1::Daemon daemon;
  daemon.set_version(evil);
  daemon.set_peer_id(evil);
  daemon.set_listen(evil);
  daemon.add_trackers()->set_address(evil);
  daemon.mutable_trackers(0)->set_state(evil);
  daemon.set_state_dir(evil);
  daemon.set_download_dir(evil);
  daemon.set_hash_implementation(evil);
  daemon.set_problem(evil);
  for (const std::string& text :
       {ProgressLine(t, 0), TransferTable({t}), TransferDetails(t), ShareSummary(t),
        DownloadSummary(t), PeerTable({peer}), DaemonDetails(daemon)}) {
    EXPECT_THAT(text, HasSubstr(shown));
    for (const char c : text) EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << text;
  }
  EXPECT_EQ(ShareSummary(t),
            "name:        " + shown + "\ncontent id:  " + shown + "\nmagnet:      " + shown + "\n");
}

TEST(CutToColumns, CountsCharactersAndCutsBetweenThem) {
  EXPECT_EQ(CutToColumns("abc", 3), "abc");
  EXPECT_EQ(CutToColumns("abcd", 3), "abc");
  EXPECT_EQ(CutToColumns("\xC3\xA4\xC3\xB6\xC3\xBC", 2), "\xC3\xA4\xC3\xB6");
  EXPECT_EQ(CutToColumns("abc", 0), "");
}

}  // namespace
}  // namespace p2p::ctl
