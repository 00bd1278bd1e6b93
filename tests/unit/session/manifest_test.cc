// Manifests, in parts, and chunk hashes.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "tests/unit/session/session_harness.h"

namespace p2p::session {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(Manifests, C14_TakesManifestsUpToTheLimitOnly) {
  Harness h(Dialled());
  h.OpenAsDialler(1);
  h.session.AskManifest(0);
  h.Feed("MANIFEST 300000 0 +200000\n" + Pattern(200'000) +
         "PING\nMANIFEST 300000 200000 +100000\n" + Pattern(100'000, 200'000));
  EXPECT_EQ(h.Next<ManifestReceived>().info, Pattern(300'000));
  EXPECT_THAT(h.Said(), HasSubstr("PONG\n")) << "other messages may stand between parts";
  h.session.AskManifest(0);
  h.Feed(absl::StrCat("MANIFEST ", limits::kMaxManifestBytes + 1, " 0 +1\n"));
  EXPECT_TRUE(h.Next<SessionEnded>().protocol_error);
}

TEST(Manifests, C14_TakesThePartsOfAManifestInOrderOnly) {
  for (const char* part :
       {"MANIFEST 10 4 +1\n", "MANIFEST 10 6 +1\n", "MANIFEST 10 0 +1\n", "MANIFEST 11 5 +1\n"}) {
    Harness h(Dialled());
    h.OpenAsDialler(1);
    h.session.AskManifest(0);
    h.Feed("MANIFEST 10 0 +5\nhello");
    h.Said();
    h.Feed(part);
    EXPECT_THAT(h.Said(), StartsWith("ERROR 400 parts of MANIFEST")) << part;
    EXPECT_TRUE(h.Next<SessionEnded>().protocol_error);
  }
}

TEST(Manifests, AManifestOnItsWayIsNotEndedByTheRefusalOfAnother) {
  Harness h(Dialled());
  h.OpenAsDialler(2);
  h.session.AskManifest(2);
  h.session.AskManifest(2);
  h.Feed(
      "MANIFEST 10 0 +5\nhelloNO-MANIFEST 429 one is on its way\nMANIFEST 10 5 +5\nworld"
      "HASHES 0 0 2 0 +64\n" +
      std::string(64, 'h'));
  h.Next<ManifestRefused>();
  EXPECT_EQ(h.Next<ManifestReceived>().info, "helloworld");
  EXPECT_EQ(h.Next<HashesReceived>().range.hashes.size(), 2u);
}

// Its parts put together.
std::string ManifestIn(absl::string_view said) {
  std::string manifest;
  while (absl::StartsWith(said, "MANIFEST ")) {
    const size_t end = said.find('\n');
    const std::vector<std::string> words = absl::StrSplit(said.substr(0, end), ' ');
    const size_t size = std::stoul(words[3].substr(1));
    EXPECT_EQ(std::stoul(words[2]), manifest.size());
    manifest += std::string(said.substr(end + 1, size));
    said.remove_prefix(end + 1 + size);
    while (absl::ConsumePrefix(&said, "PONG\n") || absl::ConsumePrefix(&said, "HAVE 0 1\n")) {
    }
  }
  return manifest;
}

TEST(Manifests, SendsALargeManifestAsItDrainsAndOtherMessagesBetweenItsParts) {
  auto info = std::make_shared<const std::string>(Pattern(5 << 20));
  Harness h(Accepted());
  h.OpenAsAccepter(1);
  h.sends_at_once = false;
  h.Feed("GET-MANIFEST 0\nSUBSCRIBE\n");
  h.Next<ManifestAsked>();
  h.session.SendManifest(info);
  h.Next<SubscribeAsked>();
  h.session.SendHave(ChunkIndex(0), 1);
  h.Feed("PING\nGET-MANIFEST 0\n");
  EXPECT_LE(h.queued_bytes(), size_t{257} << 10) << "not all of it at once";
  EXPECT_EQ(info.use_count(), 2) << "and not copied";
  h.Send(300'000);
  EXPECT_THAT(h.Said(), AllOf(HasSubstr("PONG\nNO-MANIFEST 429 "), Not(HasSubstr("HAVE"))))
      << "neither waits for it; a have-set follows it";
  EXPECT_EQ(info.use_count(), 2);
  h.Feed("PING\n");
  while (h.queued_bytes() > 0) h.Send(100'000);
  EXPECT_THAT(h.Said(), EndsWith("HAVE 0 1\n"));
  EXPECT_EQ(info.use_count(), 1);

  Harness whole(Accepted());
  whole.OpenAsAccepter(1);
  whole.Feed("GET-MANIFEST 0\n");
  whole.session.SendManifest(info);
  EXPECT_EQ(ManifestIn(whole.Said()), *info);
}

TEST(Manifests, SaysWhyItEndsAlsoInTheMiddleOfAManifest) {
  Harness h(Accepted());
  h.OpenAsAccepter(1);
  h.sends_at_once = false;
  h.Feed("GET-MANIFEST 0\n");
  h.session.SendManifest(std::make_shared<const std::string>(Pattern(5 << 20)));
  h.Feed(HelloLine());
  while (h.queued_bytes() > 0) h.Send(100'000);
  const std::string said = h.Said();
  EXPECT_LT(said.size(), size_t{300} << 10) << "no more parts of it";
  EXPECT_TRUE(absl::EndsWith(said, "ERROR 400 HELLO comes only once\n"));
}

content::HashRange Range(uint32_t first, size_t hashes, size_t proof) {
  content::HashRange range;
  range.first = first;
  for (size_t i = 0; i < hashes; ++i)
    range.hashes.push_back(TestPeerId(static_cast<uint8_t>(i)).hash);
  for (size_t i = 0; i < proof; ++i)
    range.proof.push_back(TestPeerId(static_cast<uint8_t>(200 + i)).hash);
  return range;
}

TEST(Manifests, PassesHashesAndTheirProof) {
  Harness from(Accepted());
  from.OpenAsAccepter(100);
  from.Feed("GET-HASHES 3 8192\n");
  EXPECT_EQ(from.Next<HashesAsked>().first, 8192u);
  from.session.SendHashes(FileIndex(3), Range(8192, 5, 2));
  const std::string message = from.Said();
  EXPECT_THAT(message, StartsWith("HASHES 3 8192 5 2 +224\n"));

  Harness to(Dialled());
  to.OpenAsDialler(100);
  to.session.AskHashes(FileIndex(3), 8192);
  to.Feed(message);
  const auto received = to.Next<HashesReceived>();
  EXPECT_EQ(received.file, FileIndex(3));
  EXPECT_EQ(received.range.hashes, Range(8192, 5, 2).hashes);
  EXPECT_EQ(received.range.proof, Range(8192, 5, 2).proof);
}

TEST(Manifests, TakesHashesUnaskedOnlyAsManyAsWereAskedWithTheManifest) {
  for (uint32_t count : {4u, 5u, 6u}) {
    Harness h(Dialled());
    h.OpenAsDialler(100);
    h.session.AskManifest(5);
    h.Feed(absl::StrCat("MANIFEST 1 0 +1\nxHASHES 0 0 ", count, " 0 +", 32 * count, "\n"));
    h.Feed(std::string(32 * count, 'h'));
    h.Next<ManifestReceived>();
    EXPECT_EQ(h.session.ended(), count > 5) << count;
  }
}

}  // namespace
}  // namespace p2p::session
