#include "ctl/follow.h"

#include "ctl/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace p2p::ctl {
namespace {

using ::testing::HasSubstr;

v1::Transfer Downloading(uint64_t done) {
  v1::Transfer t;
  t.set_id(1);
  t.set_state(v1::TRANSFER_STATE_DOWNLOADING);
  t.set_bytes_total(100);
  t.set_bytes_done(done);
  return t;
}

TEST(ProgressPrinter, PlainLinesComeAboutOnceASecond) {
  ProgressPrinter printer(ProgressPrinter::Style::kPlain);
  const absl::Time start = absl::UnixEpoch();
  EXPECT_TRUE(printer.Next(Downloading(1), start));
  EXPECT_FALSE(printer.Next(Downloading(2), start + absl::Milliseconds(999)));
  EXPECT_TRUE(printer.Next(Downloading(3), start + absl::Milliseconds(1'000)));
  EXPECT_FALSE(printer.Next(Downloading(4), start + absl::Milliseconds(1'999)));
}

TEST(ProgressPrinter, ANewStateIsALineAtOnce) {
  ProgressPrinter printer(ProgressPrinter::Style::kPlain);
  printer.Next(Downloading(1), absl::UnixEpoch());
  v1::Transfer paused = Downloading(1);
  paused.set_state(v1::TRANSFER_STATE_PAUSED);
  const auto line = printer.Next(paused, absl::UnixEpoch() + absl::Milliseconds(1));
  ASSERT_TRUE(line);
  EXPECT_THAT(*line, HasSubstr("paused"));
}

TEST(ProgressPrinter, WhatItWaitsForIsALineWhenItChanges) {
  ProgressPrinter printer(ProgressPrinter::Style::kPlain);
  printer.Next(Downloading(1), absl::UnixEpoch());
  v1::Transfer waiting = Downloading(1);
  waiting.set_error("no peer found yet");
  EXPECT_TRUE(printer.Next(waiting, absl::UnixEpoch() + absl::Milliseconds(1)));
  EXPECT_FALSE(printer.Next(waiting, absl::UnixEpoch() + absl::Milliseconds(2)));
  EXPECT_TRUE(printer.Next(Downloading(1), absl::UnixEpoch() + absl::Milliseconds(3)));
}

TEST(ProgressPrinter, TheLiveLineIsAlwaysTheNewest) {
  ProgressPrinter printer(ProgressPrinter::Style::kLive);
  EXPECT_THAT(*printer.Next(Downloading(1), absl::UnixEpoch()), HasSubstr("1.0%"));
  EXPECT_THAT(*printer.Next(Downloading(2), absl::UnixEpoch()), HasSubstr("2.0%"));
}

TEST(ProgressPrinter, JsonIsOneObjectALine) {
  ProgressPrinter printer(ProgressPrinter::Style::kJson);
  const auto text = printer.Next(Downloading(5), absl::UnixEpoch());
  ASSERT_TRUE(text);
  EXPECT_EQ(text->find('\n'), text->size() - 1);
  EXPECT_EQ(Json::parse(*text)["bytes_done"], 5);
}

TEST(ProgressPrinter, MeasuresHowFastHashingReads) {
  ProgressPrinter printer(ProgressPrinter::Style::kLive);
  v1::Transfer hashing = Downloading(0);
  hashing.set_state(v1::TRANSFER_STATE_HASHING);
  printer.Next(hashing, absl::UnixEpoch());
  hashing.set_bytes_done(40);
  EXPECT_THAT(*printer.Next(hashing, absl::UnixEpoch() + absl::Seconds(2)),
              HasSubstr("20 B/s  3 s left"));
}

}  // namespace
}  // namespace p2p::ctl
