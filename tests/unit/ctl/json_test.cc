#include "ctl/json.h"

#include "gtest/gtest.h"

namespace p2p::ctl {
namespace {

v1::Transfer MakeTransfer() {
  v1::Transfer t;
  t.set_id(3);
  t.set_name("a b");
  t.set_content_id("cc");
  t.set_magnet("magnet:?x");
  t.set_kind(v1::TRANSFER_KIND_DOWNLOAD);
  t.set_state(v1::TRANSFER_STATE_PAUSED);
  t.set_bytes_total(uint64_t{1} << 50);
  t.set_bytes_done(10);
  t.set_rate_down(7);
  t.set_path("/srv/a b");
  t.set_error("no peer found yet");
  t.set_placed(true);
  return t;
}

TEST(Json, ATransferHasExactlyThePromisedFieldsInTheirOrder) {
  EXPECT_EQ(JsonLine(ToJson(MakeTransfer())),
            R"({"id":"3","name":"a b","content_id":"cc","magnet":"magnet:?x","kind":"download",)"
            R"("state":"paused","verified":false,"bytes_total":1125899906842624,"bytes_done":10,)"
            R"("rate_down":7,"rate_up":0,"peers":0,"path":"/srv/a b",)"
            R"("error":"no peer found yet","placed":true,"unverified_refused":false})");
}

TEST(Json, TheDaemonHasItsTrackersAndTotals) {
  v1::Daemon daemon;
  daemon.set_version("0.1.0");
  v1::Tracker* tracker = daemon.add_trackers();
  tracker->set_address("127.0.0.1:8080");
  tracker->set_ok(true);
  tracker->set_state("ok");
  daemon.mutable_totals()->set_bytes_up(9);
  const Json json = Json::parse(JsonLine(ToJson(daemon)));
  EXPECT_EQ(json["version"], "0.1.0");
  EXPECT_EQ(json["trackers"][0]["address"], "127.0.0.1:8080");
  EXPECT_EQ(json["trackers"][0]["ok"], true);
  EXPECT_EQ(json["totals"]["bytes_up"], 9);
  for (const char* field :
       {"peer_id", "listen", "state_dir", "download_dir", "io_threads", "worker_threads",
        "hash_threads", "download_device_type", "hash_implementation", "uptime_seconds", "problem",
        "allow_unverified"}) {
    EXPECT_TRUE(json.contains(field)) << field;
  }
}

TEST(Json, BytesThatAreNotUtf8AreReplacedAndTheLineStaysOne) {
  v1::Transfer transfer = MakeTransfer();
  transfer.set_path("/srv/\xff\n\xc3");
  const std::string line = JsonLine(ToJson(transfer));
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(Json::parse(line)["path"], "/srv/\xEF\xBF\xBD\n\xEF\xBF\xBD");
}

TEST(Json, T07_NoNameCanDoAnythingToATerminal) {
  v1::Transfer transfer = MakeTransfer();
  const std::string name = "\x1b]0;x\x07\x7f \xE2\x80\xAEgpj \xC3\xA4";
  transfer.set_name(name);
  const std::string line = JsonLine(ToJson(transfer));
  for (const char c : line) {
    EXPECT_GE(c, 0x20);
    EXPECT_LT(c, 0x7f);
  }
  EXPECT_EQ(Json::parse(line)["name"], name);
}

}  // namespace
}  // namespace p2p::ctl
