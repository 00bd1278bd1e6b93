#include "daemon/engine/name_index.h"

#include "gtest/gtest.h"

namespace p2p::engine {
namespace {

TEST(NameIndex, FindsAllOfANameInOrder) {
  NameIndex index;
  index.Add("b", TransferId(7));
  index.Add("a", TransferId(3));
  index.Add("a", TransferId(1));
  index.Add("a", TransferId(3));
  EXPECT_EQ(index.Find("a"), (std::vector<TransferId>{TransferId(1), TransferId(3)}));
  EXPECT_EQ(index.Find("b"), std::vector<TransferId>{TransferId(7)});
  EXPECT_TRUE(index.Find("c").empty());
}

TEST(NameIndex, ForgetsATransferWithAllNamesThatItHad) {
  NameIndex index;
  index.Add("old", TransferId(1));
  index.Add("new", TransferId(1));
  index.Add("new", TransferId(2));
  index.Add("", TransferId(2));
  index.Remove(TransferId(1));
  index.Remove(TransferId(1));
  EXPECT_TRUE(index.Find("old").empty());
  EXPECT_TRUE(index.Find("").empty()) << "what has no name yet is not asked for";
  EXPECT_EQ(index.Find("new"), std::vector<TransferId>{TransferId(2)});
}

}  // namespace
}  // namespace p2p::engine
