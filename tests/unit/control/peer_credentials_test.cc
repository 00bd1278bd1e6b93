#include "daemon/control/peer_credentials.h"

#include <sys/socket.h>
#include <unistd.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace p2p::control {
namespace {

PeerCredentials Peer(uid_t user, std::vector<gid_t> groups) {
  PeerCredentials peer;
  peer.user = user;
  peer.groups = std::move(groups);
  return peer;
}

TEST(PeerCredentials, TheDaemonsUserAndRootMayControl) {
  EXPECT_TRUE(MayControl(Peer(500, {500}), 500, absl::nullopt));
  EXPECT_TRUE(MayControl(Peer(0, {0}), 500, absl::nullopt));
  EXPECT_FALSE(MayControl(Peer(501, {500}), 500, absl::nullopt));
}

TEST(PeerCredentials, MembersOfTheGroupMayControlWhicheverOfTheirGroupsItIs) {
  EXPECT_TRUE(MayControl(Peer(501, {70}), 500, 70));
  EXPECT_TRUE(MayControl(Peer(501, {1, 2, 70}), 500, 70));
  EXPECT_FALSE(MayControl(Peer(501, {1, 2}), 500, 70));
  // The group of root opens nothing by being 0.
  EXPECT_FALSE(MayControl(Peer(501, {0}), 500, absl::nullopt));
}

TEST(PeerCredentials, AreThoseOfTheProcessThatConnected) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const auto peer = ReadPeerCredentials(ends[0]);
  ASSERT_TRUE(peer.ok()) << peer.status();
  EXPECT_EQ(peer->user, geteuid());
  EXPECT_EQ(peer->process, getpid());
  EXPECT_THAT(peer->groups, ::testing::Contains(getegid()));
  close(ends[0]);
  close(ends[1]);
}

TEST(PeerCredentials, AreRefusedForWhatIsNoSocket) { EXPECT_FALSE(ReadPeerCredentials(-1).ok()); }

TEST(PeerCredentials, AGroupThatDoesNotExistIsNamed) {
  const auto group = FindGroup("no such group");
  EXPECT_TRUE(absl::IsInvalidArgument(group.status()));
  EXPECT_THAT(std::string(group.status().message()), ::testing::HasSubstr("no such group"));
}

}  // namespace
}  // namespace p2p::control
